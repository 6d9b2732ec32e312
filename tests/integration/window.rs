//! A window on a desktop as the television: the program on an X server without hardware, whose screen is a file.
use crate::support::program::{CALLER, Daemon, PATIENCE, RESIDENT, command, configure};
use residentd_lab::{CallOptions, Lab, Options};
use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// A desktop, of the size of the screens. Ended when dropped.
struct Desktop {
    server: Child,
    name: String,
    screen: PathBuf,
}

impl Desktop {
    fn start(dir: PathBuf) -> Desktop {
        std::fs::create_dir(&dir).unwrap();
        let mut server = Command::new("Xvfb")
            .args(["-displayfd", "1", "-nolisten", "tcp", "-screen", "0", "1920x1080x24", "-fbdir"])
            .arg(&dir)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("Xvfb (make tools)");
        // it says its number when it is ready
        let mut number = String::new();
        BufReader::new(server.stdout.take().unwrap()).read_line(&mut number).unwrap();
        assert!(!number.is_empty(), "the X server has not started");
        Desktop { server, name: format!(":{}", number.trim()), screen: dir.join("Xvfb_screen0") }
    }

    /// Red, green and blue at places in thousandths of width and height. The file is an XWD dump: numbers of four bytes, big-endian, a
    /// table of colours, the pixels.
    fn colours(&self, places: &[(usize, usize)]) -> Vec<[u8; 3]> {
        let data = std::fs::read(&self.screen).unwrap();
        let number = |index: usize| u32::from_be_bytes(data[4 * index..4 * index + 4].try_into().unwrap()) as usize;
        let (width, height, bits, line) = (number(4), number(5), number(11), number(12));
        assert_eq!((width, height, bits), (1920, 1080, 32));
        let pixels = &data[number(0) + 12 * number(19)..];
        let at = |(x, y): &(usize, usize)| {
            let pixel = &pixels[y * height / 1000 * line + x * width / 1000 * 4..][..4];
            // the byte order of this machine
            let value = u32::from_ne_bytes(pixel.try_into().unwrap());
            [(value >> 16) as u8, (value >> 8) as u8, value as u8]
        };
        places.iter().map(at).collect()
    }

    /// Waits until the screen is so.
    async fn until(&self, what: &str, is: impl Fn(&[[u8; 3]]) -> bool) {
        let from = Instant::now();
        loop {
            // the ground, and the button in focus
            let seen = self.colours(&[(30, 500), (90, 680)]);
            if is(&seen) {
                return;
            }
            assert!(from.elapsed() < PATIENCE, "{what}: {seen:?}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

impl Drop for Desktop {
    fn drop(&mut self) {
        let _ = self.server.kill();
        let _ = self.server.wait();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_window_shows_who_calls_and_is_gone_when_the_call_is() {
    let lab = Lab::start(Options::default()).await.unwrap();
    let dir = tempfile::tempdir().unwrap();
    let desktop = Desktop::start(dir.path().join("desktop"));
    let settings = "tv.sink = \"window\"\napi.keys = true\n";
    let mut program = command(&configure(&lab, dir.path(), settings));
    program.env("DISPLAY", &desktop.name).env_remove("WAYLAND_DISPLAY");
    let mut daemon = Daemon::start(&mut program, dir.path());
    daemon.online().await;
    let empty = |seen: &[[u8; 3]]| seen.iter().all(|colour| *colour == [0; 3]);
    assert!(empty(&desktop.colours(&[(30, 500), (90, 680)])), "something is shown before a call");

    let mut caller = lab.caller(CALLER);
    caller.request(RESIDENT, &CallOptions::default());
    desktop.until("the dialog", |seen| seen[0][0] < 40 && seen[0][2] > 30 && seen[1].iter().all(|c| *c > 220)).await;
    daemon.phase("ringing").await.unwrap();
    assert_eq!(daemon.ask("POST", "/v1/keys/red").map(|(status, _)| status), Some(204));
    caller.reply(PATIENCE).await.expect("the caller hears of it");
    desktop.until("an empty desktop", empty).await;
}
