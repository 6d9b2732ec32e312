//! A closed peer connection leaves nothing behind. Alone in its process: it counts the process's files and tasks.

use crate::support::peers::{PATIENCE, Side, call, config};
use residentd::media::Codec;
use std::time::Duration;

fn files() -> usize {
    std::fs::read_dir("/proc/self/fd").unwrap().count()
}

fn tasks() -> usize {
    tokio::runtime::Handle::current().metrics().num_alive_tasks()
}

async fn one_call(drop_only: bool) {
    let mut a = Side::new("a", config(&[Codec::Vp8]), 500_000, true).await;
    let mut b = Side::new("b", config(&[Codec::H264, Codec::Vp8]), 500_000, true).await;
    call(&mut a, &mut b).await;
    if !drop_only {
        a.peer.close().await;
        b.peer.close().await;
    }
}

/// A connection that is made, offered and never answered: a room's first one often is.
async fn one_in_vain() {
    let side = Side::new("a", config(&[Codec::Vp8]), 500_000, true).await;
    side.peer.offer(false).await.unwrap();
    side.peer.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn twenty_calls_leave_no_files_and_no_tasks() {
    one_call(false).await;
    one_in_vain().await;
    settle(tasks(), usize::MAX).await;
    let (tasks_after_first, files_after_first) = (tasks(), files());
    for turn in 0..20 {
        one_call(turn % 5 == 4).await;
        one_in_vain().await;
    }
    settle(tasks_after_first, files_after_first).await;
}

/// Tasks that were told to end are polled once more, soon.
async fn settle(most_tasks: usize, most_files: usize) {
    let waited = tokio::time::timeout(PATIENCE, async {
        while tasks() > most_tasks || files() > most_files {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    });
    assert!(waited.await.is_ok(), "{} tasks, {most_tasks} after the first call; {} files, {most_files}", tasks(), files());
}
