//! A real TURN server (coturn) on loopback, with a certificate of its own authority.

#![allow(dead_code, clippy::unwrap_used)] // each test uses its part; a test may fail

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

pub const USER: &str = "box";
pub const PASSWORD: &str = "boxpass";

/// Ended when dropped.
pub struct Coturn {
    pub port: u16,
    pub tls_port: u16,
    pub authority: PathBuf,
    process: Child,
    directory: tempfile::TempDir,
    _ports: [File; 2],
}

/// A port that nobody has, and that no other test takes for its own server while the file is held: coturn shares a port that another
/// one listens at, and some calls would go there.
fn free_port() -> (u16, File) {
    loop {
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let file = File::create(std::env::temp_dir().join(format!("residentd-test-port-{port}"))).unwrap();
        if file.try_lock().is_ok() {
            return (port, file);
        }
    }
}

/// Writes an authority and a server certificate for `name`.
fn certificates(directory: &Path, name: &str) {
    use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};
    let mut authority = CertificateParams::default();
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    authority.distinguished_name.push(DnType::CommonName, "test authority");
    let key = KeyPair::generate().unwrap();
    let certificate = authority.self_signed(&key).unwrap();
    let issuer = Issuer::new(authority, key);
    let server_key = KeyPair::generate().unwrap();
    let server = CertificateParams::new(vec![name.to_owned()]).unwrap().signed_by(&server_key, &issuer).unwrap();
    std::fs::write(directory.join("authority.pem"), certificate.pem()).unwrap();
    std::fs::write(directory.join("server.pem"), server.pem()).unwrap();
    std::fs::write(directory.join("server.key"), server_key.serialize_pem()).unwrap();
}

impl Coturn {
    /// With a certificate for `name`.
    pub fn start(name: &str) -> Coturn {
        Coturn::configured(name, "")
    }

    /// So many bytes a second go through, each way, for each client.
    pub fn thin(bytes: u32) -> Coturn {
        Coturn::configured("localhost", &format!("max-bps={bytes}\n"))
    }

    fn configured(name: &str, more: &str) -> Coturn {
        let directory = tempfile::tempdir().unwrap();
        let at = |file: &str| directory.path().join(file);
        certificates(directory.path(), name);
        let ((port, own), (tls_port, tls)) = (free_port(), free_port());
        let configuration = format!(
            "listening-ip=127.0.0.1\nrelay-ip=127.0.0.1\nlistening-port={port}\ntls-listening-port={tls_port}\nrealm=turn.test\n\
             fingerprint\nlt-cred-mech\nuser={USER}:{PASSWORD}\ncert={}\npkey={}\nallow-loopback-peers\nno-cli\nno-dtls\n\
             no-multicast-peers\npidfile={}\nuserdb={}\nlog-file=stdout\nsimple-log\n{more}",
            at("server.pem").display(),
            at("server.key").display(),
            at("pid").display(),
            at("users").display()
        );
        std::fs::write(at("turnserver.conf"), configuration).unwrap();
        let program = std::env::var_os("TURNSERVER").unwrap_or_else(|| "turnserver".into());
        let log = File::create(at("log")).unwrap();
        let started = Command::new(program).arg("-c").arg(at("turnserver.conf")).stdout(log).stderr(Stdio::null()).spawn();
        let process = started.unwrap_or_else(|error| panic!("turnserver does not start ({error}); run `make tools`"));
        let coturn = Coturn { port, tls_port, authority: at("authority.pem"), process, directory, _ports: [own, tls] };
        let start = Instant::now();
        while [port, tls_port].iter().any(|port| std::net::TcpStream::connect(("127.0.0.1", *port)).is_err()) {
            assert!(start.elapsed() < Duration::from_secs(20), "turnserver does not listen: {}", coturn.log());
            std::thread::sleep(Duration::from_millis(20));
        }
        coturn
    }

    pub fn log(&self) -> String {
        std::fs::read_to_string(self.directory.path().join("log")).unwrap_or_default()
    }
}

impl Drop for Coturn {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
        for port in [self.port, self.tls_port] {
            let _ = std::fs::remove_file(std::env::temp_dir().join(format!("residentd-test-port-{port}")));
        }
    }
}
