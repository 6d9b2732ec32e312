//! `residentd`: arguments, configuration, journal, readiness, run, orderly stop.

use clap::Parser;
use residentd::arguments::Arguments;
use residentd::config::{self, Config, Sources};
use residentd::{daemon, health, journal};
use std::process::ExitCode;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// EX_CONFIG of sysexits.h: what is wrong stands on standard error. The unit starts it again all the same, ever more seldom:
/// the file may be corrected, or its file system mounted later.
const BAD_CONFIGURATION: u8 = 78;

/// Keeps what a call took from staying with the process for ever: glibc gives each thread an arena of its own and returns
/// little of it. Measured over 40 calls: 71 MiB with these two limits, 179 MiB without.
#[cfg(target_env = "gnu")]
#[allow(unsafe_code)]
fn limit_allocator() {
    // SAFETY: mallopt only sets limits of the allocator; it is called before there is a second thread.
    unsafe {
        libc::mallopt(libc::M_ARENA_MAX, 2);
        libc::mallopt(libc::M_TRIM_THRESHOLD, 128 * 1024);
    }
}

#[cfg(not(target_env = "gnu"))]
fn limit_allocator() {}

fn main() -> ExitCode {
    limit_allocator();
    let arguments = Arguments::parse();
    if arguments.reference {
        print!("{}", config::reference());
        return ExitCode::SUCCESS;
    }
    let config = match Config::load(&Sources::system(arguments.config.as_deref(), arguments.set)) {
        Ok(config) => config,
        Err(mistakes) => {
            eprintln!("{mistakes}");
            return ExitCode::from(BAD_CONFIGURATION);
        }
    };
    if arguments.show_config {
        print!("{}", config.show());
    }
    if arguments.show_config || arguments.check_config {
        return ExitCode::SUCCESS;
    }
    journal::install(config.text("log.level").parse().expect("the table of settings lists only levels"));
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).max_blocking_threads(16).enable_all().build();
    let ended = runtime.map_err(|e| format!("no runtime: {e}")).and_then(|runtime| {
        let ended = runtime.block_on(run(config));
        // A device that hangs while it is closed must not hold up an orderly stop: the kernel closes it with the process.
        runtime.shutdown_timeout(Duration::from_millis(200));
        ended
    });
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            log::error!("{why}");
            ExitCode::FAILURE
        }
    }
}

async fn run(config: Config) -> Result<(), String> {
    let stop = CancellationToken::new();
    let signal = |kind| tokio::signal::unix::signal(kind).map_err(|e| format!("signals cannot be awaited: {e}"));
    let (mut term, mut int) =
        (signal(tokio::signal::unix::SignalKind::terminate())?, signal(tokio::signal::unix::SignalKind::interrupt())?);
    let stopper = stop.clone();
    tokio::spawn(async move {
        tokio::select! { _ = term.recv() => {}, _ = int.recv() => {} }
        stopper.cancel();
    });
    let agent = daemon::start(config).await?;
    let watchdog = tokio::spawn(health::watchdog());
    let ended = agent.run(stop).await;
    watchdog.abort();
    ended
}
