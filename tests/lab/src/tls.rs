//! Certificates: the lab's own authority, or what the operator brings. One port speaks both TLS and plain HTTP
//! ([`crate::serve`]), so a certificate is always there.

use rcgen::{BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose};
use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use std::path::Path;
use std::sync::Arc;

/// The public names of the services the lab stands in for: a page that was built for them runs unmodified when they are
/// mapped to the lab and the lab's authority is trusted (contract chatta §1 and §10, twilio-video §1).
const NAMES: [&str; 10] = [
    "localhost",
    "api.caremessenger.co.uk",
    "api-staging.caremessenger.co.uk",
    "api-dev.caremessenger.co.uk",
    "api-demo.caremessenger.co.uk",
    "ws-eu.pusher.com",
    "sockjs-eu.pusher.com",
    "global.vss.twilio.com",
    "sdkgw.us1.twilio.com",
    "lab.test",
];

/// Why there is no certificate.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A certificate could not be made.
    #[error("cannot make a certificate: {0}")]
    Make(#[from] rcgen::Error),
    /// Certificate and key do not fit together, or are no good.
    #[error("certificate or key is not usable: {0}")]
    Use(#[from] rustls::Error),
    /// A file cannot be read as PEM.
    #[error("cannot read {0}: {1}")]
    Read(String, rustls::pki_types::pem::Error),
}

/// A server's identity, and the authority that vouches for it as PEM where it is the lab's own.
pub(crate) struct Identity {
    pub(crate) config: Arc<ServerConfig>,
    pub(crate) ca_pem: Option<String>,
}

/// An authority made now and a certificate for the well-known names, `extra` names and addresses.
pub(crate) fn own(extra: &[String]) -> Result<Identity, TlsError> {
    let mut ca = CertificateParams::new(Vec::new())?;
    ca.distinguished_name.push(DnType::CommonName, "residentd lab authority");
    ca.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    ca.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign, KeyUsagePurpose::DigitalSignature];
    let ca_key = KeyPair::generate()?;
    let ca_cert = ca.self_signed(&ca_key)?;
    let issuer = Issuer::new(ca, ca_key);

    let mut names: Vec<String> = NAMES.iter().map(|n| (*n).to_owned()).collect();
    names.extend(["127.0.0.1".to_owned(), "::1".to_owned()]);
    names.extend(extra.iter().filter(|n| !names.contains(n)).cloned().collect::<Vec<_>>());
    let mut leaf = CertificateParams::new(names)?;
    leaf.distinguished_name.push(DnType::CommonName, "residentd lab");
    leaf.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    leaf.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    leaf.use_authority_key_identifier_extension = true;
    let key = KeyPair::generate()?;
    let cert = leaf.signed_by(&key, &issuer)?;
    let der = PrivateKeyDer::try_from(key.serialize_der()).expect("rcgen writes PKCS#8");
    let config = server(vec![cert.der().clone(), ca_cert.der().clone()], der)?;
    Ok(Identity { config, ca_pem: Some(ca_cert.pem()) })
}

/// The operator's certificate chain and key, both PEM files.
pub(crate) fn given(cert: &Path, key: &Path) -> Result<Identity, TlsError> {
    let read = |path: &Path, e| TlsError::Read(path.display().to_string(), e);
    let chain = CertificateDer::pem_file_iter(cert).and_then(Iterator::collect::<Result<Vec<_>, _>>).map_err(|e| read(cert, e))?;
    let key = PrivateKeyDer::from_pem_file(key).map_err(|e| read(key, e))?;
    Ok(Identity { config: server(chain, key)?, ca_pem: None })
}

fn server(chain: Vec<CertificateDer<'static>>, key: PrivateKeyDer<'static>) -> Result<Arc<ServerConfig>, TlsError> {
    let mut config = ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(chain, key)?;
    // WebSockets need HTTP/1.1, and nothing here gains from HTTP/2.
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}
