//! What is promised about restarts, crashes and bad disks.

use super::*;
use crate::call::{Caller, CallerId, Medium, Reference, Wish};
use crate::tv::{Power, TvState};
use std::fs;
use std::io::{BufRead, BufReader};
use std::os::unix::fs::PermissionsExt;
use std::process::{Command, Stdio};
use std::time::Instant;

const SOON: Duration = Duration::from_secs(20);

fn time(second: i64) -> Timestamp {
    Timestamp::from_second(1_800_000_000 + second).unwrap()
}

fn offer() -> Offer {
    let caller = Caller {
        line: LineId("chatta".into()),
        id: CallerId("5".into()),
        username: Some("ada".into()),
        name: "Ada".into(),
        role: None,
        photo: None,
    };
    let wish = Wish::Answer { after: Duration::from_secs(5) };
    Offer { caller, medium: Medium::Video, wish, reference: Reference { room: Some("ada-to-bob".into()), sid: None } }
}

fn record(call: u64) -> Record {
    Record {
        call: CallId(call),
        caller: offer().caller,
        medium: Medium::Video,
        offered: time(call as i64),
        accepted: None,
        automatic: false,
        ended: time(call as i64 + 1),
        ending: Ending::Withdrawn,
    }
}

fn calls(records: &[Record]) -> Vec<u64> {
    records.iter().map(|record| record.call.0).collect()
}

fn standby() -> Remembered {
    let found = TvState { power: Power::Standby, input: Some("tuner".into()), volume: Some(12) };
    Remembered { found, power: true, input: true, volume: None, steps: 0, used: false, released: None }
}

fn on() -> Remembered {
    Remembered { found: TvState { power: Power::On, ..standby().found }, ..standby() }
}

fn names_in(directory: &Path) -> Vec<String> {
    let mut names: Vec<String> = fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[test]
fn everything_is_there_after_a_restart() {
    let directory = tempfile::tempdir().unwrap();
    let line = LineId("chatta".into());
    let store = Store::open(directory.path());
    assert_eq!((store.next_call(), store.trouble()), (CallId(1), None));
    for call in 1..=3 {
        store.began(CallId(call), &offer(), time(0));
        store.ended(&record(call));
    }
    store.keep_token(&line, "old");
    store.keep_token(&line, "secret");
    assert!(store.remember(&standby()));
    drop(store);

    let store = Store::open(directory.path());
    assert_eq!(store.next_call(), CallId(4));
    assert_eq!(store.log(10), [record(3), record(2), record(1)]);
    assert_eq!(store.log(2), [record(3), record(2)]);
    assert_eq!(store.token(&line).unwrap().as_str(), "secret");
    assert_eq!(store.token(&LineId("other".into())), None);
    assert_eq!(store.to_restore(), Some(standby()));
    assert_eq!(store.interrupted(), None);
    store.restored();
    store.forget_token(&line);
    drop(store);

    let store = Store::open(directory.path());
    assert_eq!((store.to_restore(), store.token(&line)), (None, None));
}

#[test]
fn what_is_to_be_put_back_is_the_latest_word_until_it_is_put_back() {
    let directory = tempfile::tempdir().unwrap();
    let store = Store::open(directory.path());
    store.remember(&standby());
    store.remember(&on());
    assert_eq!(store.to_restore(), Some(on()));
    store.restored();
    assert_eq!(store.to_restore(), None);
    assert!(store.remember(&on()));
    assert_eq!(store.to_restore(), Some(on()));
}

#[test]
fn a_call_that_was_broken_off_is_known_after_the_restart_until_it_is_ended() {
    let directory = tempfile::tempdir().unwrap();
    let restart = || Store::open(directory.path());
    let store = restart();
    store.began(CallId(1), &offer(), time(0));
    drop(store);
    assert_eq!(restart().interrupted().map(|call| (call.call, call.accepted)), Some((CallId(1), None)));

    let store = restart();
    store.ended(&store.interrupted().unwrap().record(time(9)));
    store.began(CallId(2), &offer(), time(10));
    store.accepted(CallId(1), time(11));
    store.accepted(CallId(2), time(12));
    drop(store);

    let store = restart();
    let interrupted = store.interrupted().unwrap();
    assert_eq!((interrupted.call, interrupted.accepted, &interrupted.offer), (CallId(2), Some(time(12)), &offer()));
    // A new call comes before the old one is settled.
    store.began(CallId(3), &offer(), time(20));
    assert_eq!(store.interrupted(), Some(interrupted.clone()));
    store.ended(&interrupted.record(time(21)));
    assert_eq!(store.interrupted(), None);
    store.ended(&record(3));
    drop(store);
    assert_eq!(restart().interrupted(), None);
    assert_eq!(calls(&restart().log(10)), [3, 2, 1]);
}

#[test]
fn the_log_is_bounded() {
    let directory = tempfile::tempdir().unwrap();
    let store = Store::open(directory.path());
    for call in 1..=1100 {
        store.ended(&record(call));
        if call % 100 == 0 {
            assert!(store.flush(SOON));
        }
    }
    let log = calls(&store.log(usize::MAX));
    assert_eq!((log.len(), log[0], log[999]), (1000, 1100, 101));
}

#[test]
fn nobody_else_can_read_it() {
    let directory = tempfile::tempdir().unwrap();
    let state = directory.path().join("state");
    fs::create_dir(&state).unwrap();
    fs::set_permissions(&state, fs::Permissions::from_mode(0o755)).unwrap();
    let store = Store::open(&state);
    store.keep_token(&LineId("chatta".into()), "secret");
    assert!(store.flush(SOON));
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&state), 0o700);
    let names = names_in(&state);
    assert!(names.contains(&"residentd.db-wal".to_owned()), "{names:?}");
    for name in names {
        assert_eq!(mode(&state.join(&name)), 0o600, "{name}");
    }
}

#[test]
fn a_token_is_not_shown_by_debug() {
    let directory = tempfile::tempdir().unwrap();
    let store = Store::open(directory.path());
    store.keep_token(&LineId("chatta".into()), "secret");
    assert!(!format!("{store:?}").contains("secret"));
}

#[test]
fn a_corrupt_database_is_moved_aside_and_a_fresh_one_begun() {
    type Spoil = fn(&Path);
    let garbage: [(&str, Spoil); 4] = [
        ("no database at all", |file| fs::write(file, vec![b'x'; 8192]).unwrap()),
        ("cut off", |file| fs::OpenOptions::new().write(true).open(file).unwrap().set_len(5000).unwrap()),
        ("damaged inside", |file| {
            let mut bytes = fs::read(file).unwrap();
            let half = bytes.len() / 2;
            bytes[4096..half].fill(0xa5);
            fs::write(file, bytes).unwrap();
        }),
        ("somebody else's tables", |file| {
            fs::remove_file(file).unwrap();
            rusqlite::Connection::open(file).unwrap().execute_batch("CREATE TABLE state (x); CREATE TABLE log (y)").unwrap();
        }),
    ];
    for (what, spoil) in garbage {
        let directory = tempfile::tempdir().unwrap();
        let store = Store::open(directory.path());
        (1..=200).for_each(|call| store.ended(&record(call)));
        drop(store);
        spoil(&directory.path().join("residentd.db"));

        let store = Store::open(directory.path());
        assert_eq!(store.trouble(), None, "{what}");
        assert!(store.next_call().0 > 200, "{what}: numbers of calls are not used twice");
        assert!(store.remember(&standby()), "{what}");
        store.ended(&record(201));
        assert!(names_in(directory.path()).iter().any(|name| name.starts_with("residentd.db.corrupt-")), "{what}");
        drop(store);
        let store = Store::open(directory.path());
        assert_eq!((calls(&store.log(10)), store.to_restore()), (vec![201], Some(standby())), "{what}");
    }
}

#[test]
fn a_database_that_breaks_while_we_run_is_replaced_with_all_that_is_known() {
    let directory = tempfile::tempdir().unwrap();
    let store = Store::open(directory.path());
    assert!(store.remember(&standby()));
    store.shared.shared.disk().open = None;
    fs::write(directory.path().join("residentd.db"), vec![b'x'; 8192]).unwrap();
    store.ended(&record(1));
    drop(store);
    let store = Store::open(directory.path());
    assert_eq!((store.to_restore(), calls(&store.log(10))), (Some(standby()), vec![1]));
}

#[test]
fn broken_databases_do_not_fill_the_disk() {
    let directory = tempfile::tempdir().unwrap();
    for _ in 0..6 {
        fs::write(directory.path().join("residentd.db"), "this is no database, and long enough to be told from an empty one").unwrap();
        drop(Store::open(directory.path()));
    }
    let aside = names_in(directory.path()).into_iter().filter(|name| name.contains(".corrupt-")).count();
    assert_eq!(aside, 3);
}

#[test]
fn without_a_usable_directory_calls_go_on_from_memory() {
    let directory = tempfile::tempdir().unwrap();
    let state = directory.path().join("state");
    fs::write(&state, "a file where the directory should be").unwrap();
    let store = Store::open(&state);
    let trouble = store.trouble().unwrap();
    assert!(matches!(trouble, StoreError::Files { .. }) && trouble.to_string().contains("check that the directory"), "{trouble}");

    let before = Instant::now();
    assert!(!store.remember(&standby()), "it is not safe, and says so");
    assert!(before.elapsed() < PATIENCE, "a disk that fails at once holds nothing up");
    assert_eq!(store.to_restore(), Some(standby()));
    let first = store.next_call();
    store.began(first, &offer(), time(0));
    assert_eq!(store.next_call().0, first.0 + 1);
    // Declined in the step in which it was offered: it never was in progress.
    store.ended(&record(first.0 + 1));
    assert_eq!(store.next_call().0, first.0 + 2);
    (1..=500).for_each(|call| store.ended(&record(call)));
    assert_eq!(store.log(usize::MAX).len(), 200, "bounded");

    fs::remove_file(&state).unwrap();
    assert!(store.flush(SOON), "used as soon as it can be: {:?}", store.trouble());
    drop(store);
    let store = Store::open(&state);
    assert_eq!((store.to_restore(), store.log(1)), (Some(standby()), vec![record(500)]));
}

#[test]
fn a_full_disk_is_told_and_what_waits_is_written_when_there_is_space_again() {
    let directory = tempfile::tempdir().unwrap();
    let store = Store::open(directory.path());
    assert!(store.flush(SOON));
    let pages = |limit: i64| {
        // The database's own limit gives the same error as a full file system.
        let disk = store.shared.shared.disk();
        disk.open.as_ref().unwrap().pragma_update_and_check(None, "max_page_count", limit, |row| row.get::<_, i64>(0)).unwrap();
    };
    store.ended(&record(1));
    assert!(store.flush(SOON));
    pages(1);
    // One change at a time: what comes after the refused one finds space again.
    let written = || {
        let change = store.memory().change;
        store.wait_for(change, SOON)
    };
    let mut calls = 1;
    while written() {
        calls += 1;
        assert!(calls <= 100, "never full");
        store.ended(&record(calls as u64));
    }
    assert!(matches!(store.trouble(), Some(StoreError::Full { .. })), "{:?}", store.trouble());
    assert_eq!(store.log(usize::MAX).len(), calls);
    // The limit went with the connection: there is space again.
    assert!(store.flush(SOON));
    assert_eq!(store.trouble(), None);
    drop(store);
    assert_eq!(Store::open(directory.path()).log(usize::MAX).len(), calls);
}

#[test]
fn a_second_daemon_on_the_same_directory_is_told_and_harms_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let first = Store::open(directory.path());
    first.ended(&record(1));
    assert!(first.flush(SOON));
    let second = Store::open(directory.path());
    assert!(matches!(second.trouble(), Some(StoreError::InUse { .. })), "{:?}", second.trouble());
    second.ended(&record(2));
    assert!(!second.flush(SOON));
    first.ended(&record(3));
    assert!(first.flush(SOON));
    drop(second);
    drop(first);
    assert_eq!(calls(&Store::open(directory.path()).log(10)), [3, 1]);
}

/// Not a test of its own: what the next one starts and kills. Says each call's number when it is safe on the disk.
#[test]
fn child_that_writes_until_it_is_killed() {
    let Ok(directory) = std::env::var("RESIDENTD_TEST_STORE_CHILD") else { return };
    let store = Store::open(Path::new(&directory));
    assert_eq!(store.trouble(), None);
    loop {
        let call = store.next_call();
        store.began(call, &offer(), time(0));
        let safe = store.remember(&standby());
        store.accepted(call, time(1));
        store.ended(&record(call.0));
        store.restored();
        if safe && store.flush(SOON) {
            println!("safe {}", call.0);
        }
    }
}

#[test]
fn what_was_safe_survives_a_kill_at_any_moment() {
    let directory = tempfile::tempdir().unwrap();
    let mut safe = 0;
    for round in 0..12u64 {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "store::tests::child_that_writes_until_it_is_killed", "--nocapture"])
            .env("RESIDENTD_TEST_STORE_CHILD", directory.path())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let output = BufReader::new(child.stdout.take().unwrap());
        let mut lines = 0;
        for line in output.lines() {
            // The first of them follows the test's name on its line.
            let Some((_, call)) = line.as_ref().unwrap().split_once("safe ") else { continue };
            safe = call.parse().unwrap();
            lines += 1;
            if lines == 1 + round {
                // A different moment of the loop in each round, without a clock that would decide whether this passes.
                for n in 0..round * 20_000 {
                    std::hint::black_box(n);
                }
                child.kill().unwrap();
            }
        }
        child.wait().unwrap();
        assert!(lines > round, "the child ended by itself");

        let store = Store::open(directory.path());
        assert_eq!(store.trouble(), None);
        let log = calls(&store.log(usize::MAX));
        assert!(log[0] >= safe, "call {safe} was said to be safe, the log ends with {}", log[0]);
        let without_gap = (1..=log[0]).rev().take(1000);
        assert!(log.iter().copied().eq(without_gap), "each call once: {log:?}");
        assert!(store.next_call().0 > log[0]);
        match store.interrupted() {
            Some(call) => assert_eq!(call.call.0, log[0] + 1),
            None => assert!(store.next_call().0 == log[0] + 1),
        }
        assert!(store.to_restore().is_none_or(|left| left == standby()));
        store.restored();
        store.interrupted().into_iter().for_each(|call| store.ended(&call.record(time(0))));
        assert!(names_in(directory.path()).iter().all(|name| !name.contains("corrupt")));
    }
}
