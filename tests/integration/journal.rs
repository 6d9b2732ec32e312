//! What stands in the journal after a call: fields that find it, messages that say what to do, and nothing that is nobody's
//! business. The real program writes to a journal of the test's own. Needs root for `unshare --mount`.
use crate::support::participant::{Guest, Participant};
use crate::support::program::{self, CALLER, Daemon, PATIENCE, RESIDENT, RESIDENT_NAME, configure};
use residentd::journal::messages;
use residentd_lab::{CallOptions, Lab, Options, ReplyKind};
use serde_json::json;
use std::collections::BTreeMap;
use std::fs::File;
use std::os::unix::fs::MetadataExt;
use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};

type Entry = BTreeMap<String, String>;

/// An entry of the native protocol: `KEY=value`, or `KEY`, the value's length in eight bytes, and the value.
fn entry(mut bytes: &[u8]) -> Entry {
    let mut entry = Entry::new();
    while let Some(end) = bytes.iter().position(|b| *b == b'\n') {
        let line = String::from_utf8_lossy(&bytes[..end]).into_owned();
        bytes = &bytes[end + 1..];
        if let Some((key, value)) = line.split_once('=') {
            entry.insert(key.to_owned(), value.to_owned());
        } else if let Some((length, rest)) = bytes.split_first_chunk::<8>() {
            let (value, rest) = rest.split_at(usize::try_from(u64::from_le_bytes(*length)).unwrap());
            entry.insert(line, String::from_utf8_lossy(value).into_owned());
            bytes = rest.get(1..).unwrap_or_default();
        }
    }
    entry
}

#[derive(Clone, Default)]
struct Journal(Arc<Mutex<Vec<Entry>>>);

impl Journal {
    fn entries(&self) -> Vec<Entry> {
        self.0.lock().unwrap().clone()
    }
}

/// The program, whose journal is ours.
fn start(lab: &Lab, dir: &Path, more: &str) -> (Daemon, Journal) {
    let journal = Journal::default();
    std::fs::create_dir(dir.join("journal")).unwrap();
    let socket = UnixDatagram::bind(dir.join("journal/socket")).unwrap();
    let written = journal.clone();
    std::thread::spawn(move || {
        let mut buffer = vec![0; 1 << 20];
        while let Ok(length) = socket.recv(&mut buffer) {
            // The logger's first word is an empty one, to see whether anybody is there.
            if length == 0 {
                continue;
            }
            written.0.lock().unwrap().push(entry(&buffer[..length]));
        }
    });
    let stderr = File::create(dir.join("stderr")).unwrap();
    let identity = stderr.metadata().unwrap();
    let script = "mount -t tmpfs tmpfs /run && mkdir -p /run/systemd/journal && mount --bind \"$0\" /run/systemd/journal && exec \"$@\"";
    let mut command = Command::new("unshare");
    command.args(["--mount", "sh", "-c", script]).arg(dir.join("journal"));
    command.arg(env!("CARGO_BIN_EXE_residentd")).arg("--config").arg(configure(lab, dir, more));
    command.env("JOURNAL_STREAM", format!("{}:{}", identity.dev(), identity.ino()));
    command.stdin(Stdio::null()).stderr(stderr);
    (Daemon::start(&mut command, dir), journal)
}

/// Everything urgent says what to do about it.
fn urgent_entries_are_in_the_catalogue(entries: &[Entry]) {
    for entry in entries.iter().filter(|entry| entry["PRIORITY"].as_str() <= "4") {
        let id = entry.get("MESSAGE_ID").unwrap_or_else(|| panic!("no MESSAGE_ID: {entry:?}"));
        assert!(messages::ALL.iter().any(|message| message.id == id), "not in the catalogue: {entry:?}");
    }
}

/// Four numbers with dots between them: an address, unless it is the one on which the lab's servers are.
fn addresses(text: &str) -> Vec<&str> {
    let words = text.split(|c: char| !c.is_ascii_digit() && c != '.');
    words.filter(|word| word.parse::<std::net::Ipv4Addr>().is_ok_and(|ip| !ip.is_loopback() && !ip.is_unspecified())).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_entry_of_a_call_carries_its_fields_and_nothing_that_is_nobodys_business() {
    let lab = Lab::start(Options::default()).await.unwrap();
    let dir = tempfile::tempdir().unwrap();
    let (mut daemon, journal) = start(&lab, dir.path(), "");
    daemon.online().await;
    let caller = lab.caller(CALLER);
    let call = caller.request(RESIDENT, &CallOptions::default());
    daemon.phase("ringing").await.unwrap();
    daemon.ask("POST", "/v1/accept");
    daemon.until("an answer", |status| status["phase"] == "waiting").await.unwrap();
    let mut seat = Guest::in_room(&lab, &call.room_name, CALLER, RESIDENT_NAME);
    seat.camera = false;
    let mut guest = Participant::join(seat).await;
    daemon.phase("talking").await.unwrap();
    program::until("sound", || guest.loud.load(std::sync::atomic::Ordering::Relaxed) > 0).await;
    // Somebody else is told that it is busy: that is not of this call.
    let mut other = lab.caller("second_admin");
    other.request(RESIDENT, &CallOptions::default());
    assert_eq!(other.reply(PATIENCE).await.unwrap().kind, ReplyKind::Declined(Some("busy".into())));
    daemon.ask("POST", "/v1/end");
    daemon.phase("idle").await.unwrap();
    guest.leave().await;
    daemon.signal("-TERM");
    daemon.end().await;

    let entries = journal.entries();
    let at =
        |what: &str| entries.iter().position(|e| e["MESSAGE"].starts_with(what)).unwrap_or_else(|| panic!("no {what:?}: {entries:#?}"));
    let of_call = &entries[at("offered")..=at("call over")];
    assert!(of_call.len() >= 5, "{of_call:#?}");
    for entry in of_call.iter().filter(|entry| entry.get("CALLER_ID").is_none_or(|id| id == "5")) {
        for (key, value) in [("CALL_ID", "1"), ("LINE", "chatta"), ("CALLER_ID", "5")] {
            assert_eq!(entry.get(key).map(String::as_str), Some(value), "{key} of {entry:?}");
        }
    }
    let busy: Vec<&Entry> = of_call.iter().filter(|e| e.get("CALLER_ID").is_some_and(|id| id != "5")).collect();
    assert!(!busy.is_empty() && busy.iter().all(|entry| entry.get("CALL_ID").is_none_or(|id| id != "1")), "{busy:?}");
    urgent_entries_are_in_the_catalogue(&entries);
    for entry in &entries {
        let text = format!("{entry:?}");
        // Tokens begin so, whatever they are for; descriptions and candidates hold these words.
        for secret in ["eyJ", "candidate:", "a=ice", "ice-pwd", "Roger", "roger_chatta", "second_admin", "@"] {
            assert!(!text.contains(secret), "{secret:?} stands in {text}");
        }
        assert_eq!(addresses(&text), Vec::<&str>::new(), "in {text}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_box_without_its_camera_says_what_to_do() {
    let lab = Lab::start(Options::default()).await.unwrap();
    let dir = tempfile::tempdir().unwrap();
    let (mut daemon, journal) = start(&lab, dir.path(), "media.camera = \"/dev/video99\"\ntv.sink = \"none\"\nmedia.speaker = \"none\"");
    daemon.online().await;
    let mut caller = lab.caller(CALLER);
    caller.request(RESIDENT, &CallOptions::default());
    assert_eq!(caller.reply(PATIENCE).await.unwrap().kind, ReplyKind::Declined(Some("no-camera".into())));
    let said = |entry: &Entry| entry.get("MESSAGE_ID").map(String::as_str) == Some(messages::NO_CAMERA.id);
    program::until("the message", || journal.entries().iter().any(said)).await;
    urgent_entries_are_in_the_catalogue(&journal.entries());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_platforms_record_of_the_box_asks_for_details() {
    let lab = Lab::start(Options::default()).await.unwrap();
    let dir = tempfile::tempdir().unwrap();
    let file = configure(&lab, dir.path(), "tv.sink = \"none\"\nmedia.speaker = \"none\"");
    let mut daemon = Daemon::start(&mut program::command(&file), dir.path());
    daemon.online().await;
    let level = || daemon.ask("GET", "/v1/log-level").unwrap().1;
    assert!(level().contains("info"), "{}", level());
    for (details, expected) in [(true, "debug"), (false, "info")] {
        let record = json!({ "id": RESIDENT, "set_top_box": { "id": 322, "logging_enabled": details } });
        // The presence channel is subscribed a little later than that of the calls.
        program::until("a subscriber", || lab.trigger("private-presence-7", "resident_updated", &record) > 0).await;
        program::until(expected, || {
            lab.trigger("private-presence-7", "resident_updated", &record);
            level().contains(expected)
        })
        .await;
    }
}
