//! `residentd`: arguments, configuration, journal, readiness, run, orderly stop.

use clap::Parser;
use residentd::agent::Renewal;
use residentd::arguments::Arguments;
use residentd::config::{self, Config, Sources};
use residentd::health::Starts;
use residentd::journal::messages;
use residentd::{daemon, health, journal};
use std::process::ExitCode;
use std::time::Duration;
use tokio::sync::mpsc;
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

/// Lets hardware codecs be closed: the V4L2 elements of GStreamer 1.22 part from the driver's buffers ("orphaning") when they stop,
/// and forget one reference in doing so. Their copy of the device's descriptor then stays open after every call, until the
/// daemon ends.
#[allow(unsafe_code)]
fn close_codecs() {
    // SAFETY: it is called before there is a second thread that could read the environment.
    unsafe { std::env::set_var("GST_V4L2_FORCE_DRAIN", "1") };
}

/// Packages hold one program with two names: a second one would be as large again, for it does the same calls.
fn called_residentctl() -> bool {
    let name = std::env::args_os().next().map(std::path::PathBuf::from);
    name.is_some_and(|name| name.file_name().is_some_and(|name| name == "residentctl"))
}

fn main() -> ExitCode {
    if called_residentctl() {
        return residentd::ctl::main();
    }
    limit_allocator();
    close_codecs();
    let arguments = Arguments::parse();
    if arguments.catalogue {
        print!("{}", journal::messages::catalogue());
        return ExitCode::SUCCESS;
    }
    if arguments.reference {
        print!("{}", config::reference());
        return ExitCode::SUCCESS;
    }
    let serving = !arguments.check_config && !arguments.show_config;
    if serving {
        journal::install(log::LevelFilter::Info);
    }
    let starts = if serving { Starts::of_the_unit() } else { None };
    match starts.as_ref().map_or(Ok(true), Starts::hold_back) {
        Ok(true) => {}
        Ok(false) => return ExitCode::SUCCESS,
        Err(e) => log::warn!(MESSAGE_ID = messages::DEFECT.id; "it cannot wait, and starts at once: {e}"),
    }
    let sources = move || Sources::system(arguments.config.as_deref(), arguments.set.clone());
    let config = match Config::load(&sources()) {
        Ok(config) => config,
        Err(mistakes) => {
            if serving && journal::is_there() {
                log::error!(MESSAGE_ID = messages::CONFIGURATION_REFUSED.id; "{mistakes}");
            } else {
                eprintln!("{mistakes}");
            }
            return ExitCode::from(BAD_CONFIGURATION);
        }
    };
    if arguments.show_config {
        print!("{}", config.show());
    }
    if arguments.show_config || arguments.check_config {
        return ExitCode::SUCCESS;
    }
    journal::set_level(config.text("log.level").parse().expect("the table of settings lists only levels"));
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).max_blocking_threads(16).enable_all().build();
    let ended = runtime.map_err(|e| format!("no runtime: {e}")).and_then(|runtime| {
        if let Some(starts) = starts.clone() {
            runtime.spawn(async move {
                tokio::time::sleep(health::LONG_ENOUGH).await;
                starts.forget();
            });
        }
        let ended = runtime.block_on(run(config, &sources));
        // A device that hangs while it is closed must not hold up an orderly stop: the kernel closes it with the process.
        runtime.shutdown_timeout(Duration::from_millis(200));
        ended
    });
    match ended {
        Ok(()) => {
            starts.inspect(Starts::forget);
            ExitCode::SUCCESS
        }
        Err(why) => {
            log::error!(MESSAGE_ID = messages::DEFECT.id; "{why}");
            ExitCode::FAILURE
        }
    }
}

/// The files are read anew: good ones are taken over between two calls, of bad ones the mistakes are told.
async fn reload(current: &mut Config, sources: &impl Fn() -> Sources, renew: &mpsc::Sender<Renewal>) {
    health::reloading();
    let read = Config::load(&sources()).map_err(|e| e.to_string()).and_then(|new| Ok((daemon::renewal(&new)?, new)));
    match read {
        Ok((renewal, new)) => {
            let later: Vec<&str> =
                current.differences(&new).into_iter().filter(|key| daemon::AT_START.iter().any(|start| key.starts_with(start))).collect();
            if !later.is_empty() {
                log::warn!(MESSAGE_ID = messages::CONFIGURATION_LATER.id; "taken over at the next start only: {}", later.join(", "));
            }
            journal::set_level(new.text("log.level").parse().expect("the table of settings lists only levels"));
            // The agent takes it at once; it is gone only when everything ends.
            let _ = renew.send(renewal).await;
            *current = new;
        }
        Err(mistakes) => log::error!(
            MESSAGE_ID = messages::CONFIGURATION_REFUSED.id;
            "the configuration has mistakes; what was in force stays in force: {mistakes}"
        ),
    }
    health::ready();
}

async fn run(mut config: Config, sources: &impl Fn() -> Sources) -> Result<(), String> {
    let stop = CancellationToken::new();
    let signal = |kind| tokio::signal::unix::signal(kind).map_err(|e| format!("signals cannot be awaited: {e}"));
    let (mut term, mut int) =
        (signal(tokio::signal::unix::SignalKind::terminate())?, signal(tokio::signal::unix::SignalKind::interrupt())?);
    let mut hangup = signal(tokio::signal::unix::SignalKind::hangup())?;
    let stopper = stop.clone();
    tokio::spawn(async move {
        tokio::select! { _ = term.recv() => {}, _ = int.recv() => {} }
        stopper.cancel();
    });
    let agent = daemon::start(config.clone()).await?;
    let watchdog = tokio::spawn(health::watchdog());
    let renew = agent.renew.clone();
    let mut running = tokio::spawn(agent.run(stop));
    let ended = loop {
        tokio::select! {
            ended = &mut running => break ended.unwrap_or_else(|e| Err(format!("the agent's loop broke down: {e}"))),
            Some(()) = hangup.recv() => reload(&mut config, sources, &renew).await,
        }
    };
    watchdog.abort();
    ended
}
