//! Faults of devices, each at several moments of a call: what the resident sees, what the caller gets, what the journal says, and
//! how long it takes until it is well again. Every row is a call of the installed daemon in which the fault is really there; after
//! it the daemon is idle, is the same process, and holds no device.
//!
//! A row that fails is named in the table, the house is set up anew, and the others are tried all the same.

mod call;
mod fault;
mod resident;
mod table;

use crate::guest;
use call::House;
use futures_util::FutureExt;
use std::fmt::Write as _;
use std::panic::AssertUnwindSafe;
use std::time::{Duration, Instant};
use table::{Case, OF_EACH_KIND, OF_EACH_RUN, Place, TABLE};

/// What came of a case.
struct Row {
    resident: String,
    caller: String,
    journal: String,
    /// From the fault, or where it ends with its being mended from then, until all is well or over.
    well_after: Duration,
}

fn line(case: &Case, row: &Result<Row, String>) -> String {
    let Case { kind, moment, .. } = case;
    match row {
        Ok(Row { resident, caller, journal, well_after }) => {
            format!("| {kind:?} | {moment:?} | {resident} | {caller} | {:.1} s | {journal} |", well_after.as_secs_f64())
        }
        Err(why) => format!("| {kind:?} | {moment:?} | FAILED: {} | | | |", why.lines().next().unwrap_or_default()),
    }
}

/// Tries these cases, all of this place, and writes their table.
async fn try_all(cases: &[&Case], place: Place) {
    guest::is_guest();
    let mut text =
        String::from("| fault | moment | the resident sees | the caller gets | well after | the journal |\n|---|---|---|---|---|---|\n");
    let mut failed = Vec::new();
    let from = Instant::now();
    let mut house = None;
    for case in cases {
        let began = Instant::now();
        let trying = async {
            if house.is_none() {
                house = Some(House::start(place).await);
            }
            house.as_mut().expect("just started").row(case).await
        };
        let row = AssertUnwindSafe(trying).catch_unwind().await;
        let row = row.map_err(|why| {
            let words = why.downcast_ref::<String>().cloned().or(why.downcast_ref::<&str>().map(|s| (*s).to_owned()));
            words.unwrap_or_default()
        });
        let line = line(case, &row);
        println!("{line} ({:.1} s)", began.elapsed().as_secs_f64());
        writeln!(text, "{line}").unwrap();
        if let Err(why) = row {
            println!("{why}");
            failed.push(format!("{:?} {:?}", case.kind, case.moment));
            if let Some(house) = house.take() {
                println!("{}\n{}", house.service.journal_since(&house.mark).join("\n"), house.service.stands());
                house.clear();
            }
        }
    }
    if let Some(house) = house {
        assert_eq!(house.service.property("NRestarts"), "0");
    }
    writeln!(text, "\n{} rows, {} failed, {:.0} s", cases.len(), failed.len(), from.elapsed().as_secs_f64()).unwrap();
    std::fs::write(guest::keep(&format!("faults-{place:?}.md")), &text).unwrap();
    println!("{text}");
    assert!(failed.is_empty(), "not as they should be: {failed:#?}");
}

/// Those that DEVLAB_FAULT asks for: `each` kind once, the `few` of each run, or whose name contains one of its parts; without it all. A
/// part that no fault's name contains is a mistake.
async fn faults_of(place: Place) {
    let only = std::env::var("DEVLAB_FAULT").unwrap_or_default();
    let is_called = |case: &Case, part: &str| format!("{:?} {:?}", case.kind, case.moment).contains(part);
    let unknown: Vec<_> =
        only.split(',').filter(|part| !["each", "few"].contains(part) && !TABLE.iter().any(|case| is_called(case, part))).collect();
    assert_eq!(unknown, [""; 0], "no fault is called so");
    let wanted = |case: &&Case| match only.as_str() {
        "each" => OF_EACH_KIND.contains(&(case.kind, case.moment)),
        "few" => OF_EACH_RUN.contains(&(case.kind, case.moment)),
        only => only.split(',').any(|part| is_called(case, part)),
    };
    try_all(&TABLE.iter().filter(|case| case.kind.place() == place).filter(wanted).collect::<Vec<_>>(), place).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs the device lab: make devlab-faults"]
async fn of_camera_and_sound_at_any_moment_of_a_call_leave_nothing_stuck_open_or_unsaid() {
    let missing: Vec<_> = TABLE.iter().map(|case| case.kind).filter(|kind| OF_EACH_KIND.iter().all(|(known, _)| known != kind)).collect();
    assert_eq!(missing, []);
    faults_of(Place::Devices).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs the device lab: make devlab-faults"]
async fn of_the_television_at_any_moment_of_a_call_leave_nothing_stuck_open_or_unsaid() {
    faults_of(Place::Television).await;
}
