//! `provision`: makes a box somebody's. What is given is checked at the platform first; only then the credential (0600,
//! root's) and a drop-in of the configuration are written, each in one step, and the daemon is restarted. A sealed credential of an earlier
//! resident would count before them: it is set aside.

#![allow(rustdoc::bare_urls, reason = "these words are the help's and the man page's, too")]

use super::client::Daemon;
use super::exit::{Exit, Failure};
use super::screen::Screen;
use crate::config::{Config, Origin, Sources, written};
use crate::line::chatta::Credentials;
use crate::line::chatta::probe::{Identity, Probe, ProbeError};
use crate::{daemon, net};
use clap::Args;
use serde_json::json;
use std::io::{BufRead, IsTerminal, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;
use zeroize::Zeroizing;

/// How long the restarted daemon may take to come online.
const ONLINE: Duration = Duration::from_secs(60);

/// What `provision` takes.
#[derive(Debug, Clone, Default, Args)]
pub struct Wish {
    /// A file with everything (TOML): settings, and at its top `username` with `password`, or `token`.
    #[arg(long, value_name = "FILE")]
    pub file: Option<PathBuf>,
    /// The platform.
    #[arg(long, default_value = "chatta", value_parser = ["chatta"])]
    pub platform: String,
    /// The platform's REST API, e.g. https://api.caremessenger.co.uk.
    #[arg(long, value_name = "URL")]
    pub api: Option<String>,
    /// The platform's Pusher server, e.g. wss://ws-eu.pusher.com.
    #[arg(long, value_name = "URL")]
    pub pusher: Option<String>,
    /// The public key of its Pusher application.
    #[arg(long)]
    pub key: Option<String>,
    /// The room signalling.
    #[arg(long, value_name = "URL")]
    pub rooms: Option<String>,
    /// The resident's user name. Asked for on a terminal when nothing else is given.
    #[arg(long)]
    pub user: Option<String>,
    /// File with the password; `-` reads it from standard input. Asked for on a terminal.
    #[arg(long, value_name = "FILE", conflicts_with = "token_file")]
    pub password_file: Option<PathBuf>,
    /// File with a ready token instead; `-` reads it from standard input.
    #[arg(long, value_name = "FILE")]
    pub token_file: Option<PathBuf>,
    /// Write below this folder instead of `/`: into an image. Nothing is restarted.
    #[arg(long, value_name = "FOLDER")]
    pub root: Option<PathBuf>,
    /// Do not ask the platform first.
    #[arg(long)]
    pub no_check: bool,
    /// Do not restart the daemon.
    #[arg(long)]
    pub no_restart: bool,
}

/// What is secret of it.
#[derive(Default)]
struct Secrets {
    password: Option<Zeroizing<String>>,
    token: Option<Zeroizing<String>>,
}

/// Provisions the box. `flags` are those of `--set`: they are written, too.
///
/// # Errors
/// See [`Exit`]; nothing is written unless the platform agreed.
pub async fn run(screen: &mut Screen, daemon: &Daemon, wish: Wish, flags: Vec<String>) -> Result<Exit, Failure> {
    let (mut given, mut secrets) = (Vec::new(), Secrets::default());
    let mut user = wish.user.clone();
    if let Some(file) = &wish.file {
        read_file(file, &mut given, &mut secrets, &mut user)?;
    }
    if let Some(file) = &wish.password_file {
        secrets.password = Some(read_secret(file)?);
    }
    if let Some(file) = &wish.token_file {
        secrets.token = Some(read_secret(file)?);
    }
    if secrets.token.is_none() && user.is_none() {
        user = Some(ask("User name of the resident: ", true)?.to_string());
    }
    if secrets.token.is_none() && secrets.password.is_none() {
        secrets.password = Some(ask("Password: ", false)?);
    }
    let quoted = |text: &str| toml::Value::String(text.to_owned()).to_string();
    let mut set = |key: &str, value: &Option<String>| {
        if let Some(value) = value {
            given.push(format!("line.chatta.{key}={}", quoted(value)));
        }
    };
    set("api", &wish.api);
    set("pusher", &wish.pusher);
    set("key", &wish.key);
    set("rooms", &wish.rooms);
    set("username", &user);
    given.push("line.chatta.enabled=true".into());
    // A file named by an earlier configuration would count before the credential that is written now.
    given.extend(["line.chatta.password_file=\"\"", "line.chatta.token_file=\"\""].map(str::to_owned));
    given.extend(flags);
    let config = effective(&given, user.is_some())?;
    let root = wish.root.clone().unwrap_or_else(|| "/".into());
    refuse_what_stays_sealed(&root)?;

    let who = if wish.no_check { None } else { Some(check(screen, &config, &user, &secrets).await?) };
    let files = write(&root, &config, &secrets)?;
    let aside = set_aside(&root)?;
    let online = match &wish.root {
        None if !wish.no_restart => restart(screen, daemon).await?,
        _ => None,
    };
    if screen.json {
        let who = who.map(
            |w| json!({ "username": w.username(), "resident": w.resident(), "customer": w.customer(), "set_top_box": w.set_top_box() }),
        );
        screen.value(&json!({ "account": who, "written": files, "set_aside": aside, "online": online }), true);
        return Ok(if online == Some(false) { Exit::Failed } else { Exit::Done });
    }
    if let Some(who) = who {
        screen.line(&format!("the platform knows {}: resident {} of organisation {}", who.username(), who.resident(), who.customer()));
    }
    for file in &files {
        screen.line(&format!("written: {}", file.display()));
    }
    for file in &aside {
        screen.line(&format!("set aside: {}, for a sealed credential counts before what is written now", file.display()));
    }
    match online {
        Some(true) => screen.line("online: calls can arrive"),
        Some(false) => screen.line("the daemon is not online yet: residentctl doctor says why"),
        None if wish.root.is_none() => screen.line("restart residentd to use it (systemctl restart residentd)"),
        None => {}
    }
    Ok(if online == Some(false) { Exit::Failed } else { Exit::Done })
}

/// Settings become flags; what is secret is taken out.
fn read_file(file: &Path, given: &mut Vec<String>, secrets: &mut Secrets, user: &mut Option<String>) -> Result<(), Failure> {
    let wrong = |why: String| Failure::new(Exit::Configuration, format!("{}: {why}", file.display()));
    let text = std::fs::read_to_string(file).map(Zeroizing::new).map_err(|e| wrong(format!("cannot be read: {e}")))?;
    // The parser's own words would repeat the line, and there may be a password in it.
    let mut table: toml::Table = toml::from_str(&text).map_err(|e: toml::de::Error| wrong(format!("is not TOML: {}", e.message())))?;
    let mut take = |key: &str| match table.remove(key) {
        Some(toml::Value::String(text)) => Ok(Some(Zeroizing::new(text))),
        Some(_) => Err(wrong(format!("{key} must be a text"))),
        None => Ok(None),
    };
    secrets.password = take("password")?;
    secrets.token = take("token")?;
    if let Some(name) = take("username")? {
        user.get_or_insert_with(|| name.to_string());
    }
    flatten("", &table, given);
    Ok(())
}

fn flatten(prefix: &str, table: &toml::Table, given: &mut Vec<String>) {
    for (name, value) in table {
        let key = if prefix.is_empty() { name.clone() } else { format!("{prefix}.{name}") };
        match value {
            toml::Value::Table(inner) => flatten(&key, inner, given),
            other => given.push(format!("{key}={other}")),
        }
    }
}

fn read_secret(file: &Path) -> Result<Zeroizing<String>, Failure> {
    let text = if file == Path::new("-") {
        let mut line = Zeroizing::new(String::new());
        std::io::stdin().lock().read_line(&mut line).map(|_| line)
    } else {
        std::fs::read_to_string(file).map(Zeroizing::new)
    };
    let text = text.map_err(|e| Failure::new(Exit::Failed, format!("{} cannot be read: {e}", file.display())))?;
    let text = Zeroizing::new(text.trim().to_owned());
    if text.is_empty() { Err(Failure::new(Exit::Usage, format!("{} is empty", file.display()))) } else { Ok(text) }
}

/// Asks on the terminal; what is typed is not shown when it is secret.
fn ask(question: &str, shown: bool) -> Result<Zeroizing<String>, Failure> {
    let stdin = std::io::stdin();
    if !stdin.is_terminal() {
        return Err(Failure::new(Exit::Usage, "give --user with --password-file (or - for standard input), --token-file, or --file"));
    }
    use rustix::termios::{LocalModes, OptionalActions, tcgetattr, tcsetattr};
    let before = (!shown).then(|| tcgetattr(&stdin)).and_then(Result::ok);
    if let Some(before) = &before {
        let mut silent = before.clone();
        silent.local_modes.remove(LocalModes::ECHO);
        let _ = tcsetattr(&stdin, OptionalActions::Flush, &silent);
    }
    eprint!("{question}");
    let mut line = Zeroizing::new(String::new());
    let read = stdin.lock().read_line(&mut line);
    if let Some(before) = &before {
        let _ = tcsetattr(&stdin, OptionalActions::Flush, before);
        eprintln!();
    }
    let line = Zeroizing::new(line.trim().to_owned());
    match read {
        Ok(_) if !line.is_empty() => Ok(line),
        _ => Err(Failure::new(Exit::Usage, "nothing was typed")),
    }
}

/// The configuration as it will be; every mistake of what is given.
fn effective(given: &[String], with_user: bool) -> Result<Config, Failure> {
    let mut flags = given.to_vec();
    // Without a user name there is a token, which is not written yet: for this check only, a file stands for it.
    if !with_user {
        flags.push("line.chatta.token_file=/dev/null".into());
    }
    Config::load(&Sources { flags, ..Sources::default() }).map_err(|mistakes| Failure::new(Exit::Configuration, mistakes.to_string()))
}

async fn check(screen: &mut Screen, config: &Config, user: &Option<String>, secrets: &Secrets) -> Result<Identity, Failure> {
    let tls = net::tls::client(config.path("network.authority").as_deref());
    let tls = tls.map_err(|e| Failure::new(Exit::Configuration, e.to_string()))?;
    let mut settings = daemon::chatta(config).map_err(|e| Failure::new(Exit::Configuration, e))?;
    settings.credentials = Credentials { username: user.clone(), password: secrets.password.clone(), token: secrets.token.clone() };
    let refused = |e: ProbeError| match e {
        ProbeError::Refused(why) => Failure::new(Exit::Refused, format!("{why}; nothing was written")),
        ProbeError::Network(why) => {
            Failure::new(Exit::Network, format!("{why}; check the network and --api; nothing was written (--no-check writes all the same)"))
        }
    };
    let probe = Probe::new(settings, tls).map_err(refused)?;
    screen.during("asking the platform", probe.login()).await.map_err(refused)
}

const DROP_IN: &str = "etc/residentd/config.d/50-provisioned.toml";
const CREDENTIALS: &str = "etc/residentd/credentials";

/// Writes credential and drop-in; which files.
fn write(root: &Path, config: &Config, secrets: &Secrets) -> Result<Vec<PathBuf>, Failure> {
    let failed = |path: &Path, e: std::io::Error| {
        let exit = if e.kind() == std::io::ErrorKind::PermissionDenied { Exit::Forbidden } else { Exit::Failed };
        Failure::new(exit, format!("{} cannot be written: {e}; use sudo", path.display()))
    };
    let credentials = root.join(CREDENTIALS);
    std::fs::DirBuilder::new().recursive(true).mode(0o700).create(&credentials).map_err(|e| failed(&credentials, e))?;
    let mut files = Vec::new();
    // The other kind of an earlier provisioning would be tried as well: it goes.
    for (name, secret) in NAMES.into_iter().zip([&secrets.password, &secrets.token]) {
        let path = credentials.join(name);
        match secret {
            Some(secret) => {
                replace(&path, secret.as_bytes(), 0o600).map_err(|e| failed(&path, e))?;
                files.push(path);
            }
            None => match std::fs::remove_file(&path) {
                Err(e) if e.kind() != std::io::ErrorKind::NotFound => return Err(failed(&path, e)),
                _ => {}
            },
        }
    }
    let path = root.join(DROP_IN);
    let mut text = String::from("# Written by residentctl provision; written anew by the next one.\n");
    for (key, value, origin) in config.entries() {
        let stands_for_token = key == "line.chatta.token_file";
        if matches!(origin, Origin::Flag(_)) && !stands_for_token {
            text += &format!("{key} = {}\n", written(value));
        }
    }
    text += "line.chatta.token_file = \"\"\n";
    path.parent().map_or(Ok(()), std::fs::create_dir_all).map_err(|e| failed(&path, e))?;
    replace(&path, text.as_bytes(), 0o644).map_err(|e| failed(&path, e))?;
    files.push(path);
    Ok(files)
}

/// Where sealed credentials of the technician's lie.
const SEALED: &str = "etc/credstore.encrypted";
/// Where systemd finds others, which are not ours to take away: the firmware's, or whatever made them at this boot.
const SEALED_BY_OTHERS: [&str; 4] =
    ["run/credentials/@encrypted", "run/credstore.encrypted", "usr/local/lib/credstore.encrypted", "usr/lib/credstore.encrypted"];
const NAMES: [&str; 2] = ["chatta-password", "chatta-token"];

/// The unit hands over a sealed credential where there is one, and what is written here would never be used.
fn refuse_what_stays_sealed(root: &Path) -> Result<(), Failure> {
    let mut places = SEALED_BY_OTHERS.iter().flat_map(|place| NAMES.map(|name| root.join(place).join(name)));
    match places.find(|path| path.symlink_metadata().is_ok()) {
        Some(path) => {
            let why = "is sealed, and counts before what would be written: remove it first; nothing was written";
            Err(Failure::new(Exit::Failed, format!("{} {why}", path.display())))
        }
        None => Ok(()),
    }
}

/// Takes sealed credentials of an earlier provisioning out of the way; what they are called now. The new one is written already: until
/// then the old one counts, also when the power goes.
fn set_aside(root: &Path) -> Result<Vec<PathBuf>, Failure> {
    let mut aside = Vec::new();
    for name in NAMES {
        let (path, new) = (root.join(SEALED).join(name), root.join(SEALED).join(format!("{name}.old")));
        match std::fs::rename(&path, &new) {
            Ok(()) => aside.push(new),
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => {}
            Err(e) => {
                let why = "is sealed, counts before what was written, and cannot be renamed";
                return Err(Failure::new(Exit::Failed, format!("{} {why}: {e}; remove it, and restart residentd", path.display())));
            }
        }
    }
    Ok(aside)
}

/// A file with this content and mode, whole or not at all, also when the power goes.
fn replace(path: &Path, content: &[u8], mode: u32) -> std::io::Result<()> {
    let new = path.with_extension("new");
    let _ = std::fs::remove_file(&new);
    let mut file = std::fs::OpenOptions::new().write(true).create_new(true).mode(mode).open(&new)?;
    // Whatever the umask says.
    file.set_permissions(std::fs::Permissions::from_mode(mode))?;
    file.write_all(content)?;
    file.sync_all()?;
    std::fs::rename(&new, path)
}

/// Restarts the daemon and waits until it is online; `None`: there is no systemd unit to restart.
async fn restart(screen: &mut Screen, daemon: &Daemon) -> Result<Option<bool>, Failure> {
    let systemctl = |arguments: &'static [&'static str]| async move {
        let mut command = tokio::process::Command::new("systemctl");
        command.args(arguments).stdin(std::process::Stdio::null()).output().await
    };
    let known = systemctl(&["cat", "residentd.service"]).await.is_ok_and(|output| output.status.success());
    if !known {
        return Ok(None);
    }
    let restarted = screen.during("restarting residentd", systemctl(&["restart", "residentd.service"])).await;
    match restarted {
        Ok(output) if output.status.success() => {}
        Ok(output) => {
            let why = String::from_utf8_lossy(&output.stderr).trim().to_owned();
            return Err(Failure::new(Exit::Failed, format!("everything is written, but residentd does not start: {why}")));
        }
        Err(e) => return Err(Failure::new(Exit::Failed, format!("everything is written, but systemctl does not run: {e}"))),
    }
    let online = async {
        loop {
            let status = daemon.get("status").await.unwrap_or_default();
            if status["lines"].as_object().is_some_and(|lines| lines.values().any(|line| line["state"] == "online")) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    };
    Ok(Some(screen.during("waiting until it is online", tokio::time::timeout(ONLINE, online)).await.is_ok()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_provisioning_file_gives_settings_and_secrets_and_its_mistakes_show_no_secret() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("box.toml");
        std::fs::write(
            &file,
            "username = \"ada\"\npassword = \"geheim\"\n[media]\ncamera = \"none\"\nrate = 15\n[consent]\ncallers = [5]\n",
        )
        .unwrap();
        let (mut given, mut secrets, mut user) = (Vec::new(), Secrets::default(), None);
        read_file(&file, &mut given, &mut secrets, &mut user).unwrap();
        given.sort();
        assert_eq!(given, ["consent.callers=[5]", "media.camera=\"none\"", "media.rate=15"]);
        assert_eq!((user.as_deref(), secrets.password.as_deref().map(String::as_str)), (Some("ada"), Some("geheim")));
        std::fs::write(&file, "password = \"geheim\" oops\n").unwrap();
        let error = read_file(&file, &mut given, &mut secrets, &mut user).unwrap_err();
        assert!(error.exit == Exit::Configuration && !error.says.contains("geheim"), "{}", error.says);
    }

    #[test]
    fn a_sealed_credential_is_set_aside_whichever_it_is_and_one_of_the_firmware_is_refused() {
        let root = tempfile::tempdir().unwrap();
        assert_eq!(set_aside(root.path()).unwrap(), Vec::<PathBuf>::new());
        let sealed = root.path().join(SEALED);
        std::fs::create_dir_all(&sealed).unwrap();
        for content in ["first", "second"] {
            std::fs::write(sealed.join("chatta-token"), content).unwrap();
            refuse_what_stays_sealed(root.path()).unwrap();
            assert_eq!(set_aside(root.path()).unwrap(), [sealed.join("chatta-token.old")]);
            assert!(!sealed.join("chatta-token").exists());
            assert_eq!(std::fs::read_to_string(sealed.join("chatta-token.old")).unwrap(), content);
        }
        for place in SEALED_BY_OTHERS {
            let file = root.path().join(place).join("chatta-password");
            std::fs::create_dir_all(file.parent().unwrap()).unwrap();
            std::fs::write(&file, "sealed").unwrap();
            let refused = refuse_what_stays_sealed(root.path()).unwrap_err();
            assert!(refused.says.contains(place) && refused.says.contains("remove it"), "{}", refused.says);
            std::fs::remove_file(&file).unwrap();
        }
    }
}
