//! The real program, as a service manager starts and ends it.
use crate::support::program::{CALLER, Daemon, PATIENCE, RESIDENT, command, configure, television};
use residentd_lab::{CallOptions, Lab, Options, Power, ReplyKind};
use std::path::Path;
use std::process::Command;

fn start(lab: &Lab, dir: &Path) -> Daemon {
    Daemon::start(&mut command(&configure(lab, dir, "")), dir)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_while_it_rings_the_next_start_puts_the_television_back_and_calls_go_on() {
    let lab = Lab::start(Options::default()).await.unwrap();
    let dir = tempfile::tempdir().unwrap();
    let mut caller = lab.caller(CALLER);
    let daemon = start(&lab, dir.path());
    assert!(caller.presence(RESIDENT, true, PATIENCE).await, "not online");
    let (power, input) = (Power::Standby, lab.tv().borrow().input.clone());
    caller.request(RESIDENT, &CallOptions::default());
    television(&lab, Power::On, "box").await;
    daemon.signal("-KILL");
    drop(daemon);
    assert!(caller.presence(RESIDENT, false, PATIENCE).await, "still online");
    let _daemon = start(&lab, dir.path());
    television(&lab, power, &input).await;
    assert!(caller.presence(RESIDENT, true, PATIENCE).await, "not online again");
    caller.request(RESIDENT, &CallOptions::default());
    television(&lab, Power::On, "box").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn asked_to_end_while_it_rings_the_caller_is_told_and_the_program_ends_well() {
    let lab = Lab::start(Options::default()).await.unwrap();
    let dir = tempfile::tempdir().unwrap();
    let mut caller = lab.caller(CALLER);
    let mut daemon = start(&lab, dir.path());
    assert!(caller.presence(RESIDENT, true, PATIENCE).await, "not online");
    caller.request(RESIDENT, &CallOptions::default());
    television(&lab, Power::On, "box").await;
    daemon.signal("-TERM");
    let status = daemon.end().await;
    assert!(status.success(), "{status}");
    assert!(matches!(caller.reply(PATIENCE).await.expect("no reply").kind, ReplyKind::Declined(_)));
    television(&lab, Power::Standby, "tuner").await;
}

#[test]
fn a_wrong_configuration_is_told_line_by_line_with_the_status_for_it() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("config.toml");
    std::fs::write(&file, "[call]\nring = 1\nrong = 2\n").unwrap();
    let out = Command::new(env!("CARGO_BIN_EXE_residentd")).arg("--config").arg(&file).output().unwrap();
    assert_eq!(out.status.code(), Some(78));
    let told = String::from_utf8(out.stderr).unwrap();
    assert!(told.contains("config.toml:2: call.ring is 1") && told.contains("config.toml:3: there is no setting call.rong"), "{told}");
}
