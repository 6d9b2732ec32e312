//! `generate`: man pages, completions and the reference page, all from the one definition of the arguments.

use super::arguments::Arguments;
use super::exit::{self, Exit, Failure};
use super::screen::Screen;
use clap::{Command, CommandFactory};
use clap_complete::Shell;
use clap_mangen::Man;
use clap_mangen::roff::{Roff, roman};
use serde_json::json;
use std::io;
use std::path::{Path, PathBuf};

/// Writes everything below `folder`: `man/*.1`, `man/*.8`, `completions/*` and `residentctl.md`. Below `docs` they are kept
/// with the sources, because a cross build cannot run what it built; a test compares.
///
/// # Errors
/// When a file cannot be written.
pub fn run(screen: &mut Screen, folder: &Path) -> Result<Exit, Failure> {
    let written =
        write_all(folder).map_err(|(path, e)| Failure::new(Exit::Failed, format!("{} cannot be written: {e}", path.display())))?;
    if screen.json {
        screen.value(&json!(written), true);
    } else {
        written.iter().for_each(|path| screen.line(&path.display().to_string()));
    }
    Ok(Exit::Done)
}

fn write_all(folder: &Path) -> Result<Vec<PathBuf>, (PathBuf, io::Error)> {
    let mut written = Vec::new();
    for (path, content) in files() {
        let path = folder.join(path);
        let parent = path.parent().map_or(Ok(()), std::fs::create_dir_all);
        parent.and_then(|()| std::fs::write(&path, content)).map_err(|e| (path.clone(), e))?;
        written.push(path);
    }
    Ok(written)
}

/// Every file with its content.
pub fn files() -> Vec<(String, Vec<u8>)> {
    let mut files = vec![("residentctl.md".to_owned(), reference().into_bytes())];
    let mut ctl = Arguments::command();
    ctl.build();
    pages(&ctl, "residentctl", &mut files);
    let daemon = crate::arguments::Arguments::command();
    files.push(("man/residentd.8".to_owned(), page(daemon.clone(), "8", &daemon_sections())));
    for (name, command) in [("residentctl", Arguments::command()), ("residentd", daemon)] {
        for (shell, path) in [
            (Shell::Bash, format!("completions/{name}.bash")),
            (Shell::Zsh, format!("completions/_{name}")),
            (Shell::Fish, format!("completions/{name}.fish")),
        ] {
            let mut text = Vec::new();
            clap_complete::generate(shell, &mut command.clone(), name, &mut text);
            files.push((path, text));
        }
    }
    files
}

/// The page of a command and those of its subcommands.
fn pages(command: &Command, name: &str, files: &mut Vec<(String, Vec<u8>)>) {
    let titled = command.clone().name(name.to_owned()).disable_help_subcommand(true);
    files.push((format!("man/{name}.1"), page(titled, "1", &ctl_sections())));
    for sub in command.get_subcommands().filter(|s| !s.is_hide_set() && s.get_name() != "help") {
        pages(sub, &format!("{name}-{}", sub.get_name()), files);
    }
}

type Sections = Vec<(&'static str, Vec<String>)>;

fn ctl_sections() -> Sections {
    let codes = exit::TABLE.iter().map(|(exit, means)| format!("{}\t{means}", exit.code())).collect();
    let files = vec![
        "/run/residentd/residentd.sock\tthe daemon's socket".to_owned(),
        "/etc/residentd/config.toml, /etc/residentd/config.d/*.toml\tthe configuration".to_owned(),
        "/etc/residentd/credentials/*, /etc/credstore.encrypted/*\tcredentials, readable by root only".to_owned(),
    ];
    let environment = vec!["NO_COLOR\tif set to anything, nothing is coloured".to_owned()];
    vec![("EXIT STATUS", codes), ("ENVIRONMENT", environment), ("FILES", files), ("SEE ALSO", vec!["\tresidentd(8), journalctl(1)".into()])]
}

fn daemon_sections() -> Sections {
    let codes = vec![
        "0\tended because it was asked to".to_owned(),
        "1\ta part of it failed; the service manager starts it anew".to_owned(),
        "78\tthe configuration has mistakes; every one of them was printed".to_owned(),
    ];
    let signals = vec!["SIGTERM, SIGINT\tends a running call with a reply, puts the television back, and ends".to_owned()];
    vec![("EXIT STATUS", codes), ("SIGNALS", signals), ("SEE ALSO", vec!["\tresidentctl(1), journalctl(1)".into()])]
}

/// A man page. Writing to memory cannot fail.
fn page(command: Command, section: &str, more: &Sections) -> Vec<u8> {
    let version = command.get_version().is_some();
    let subcommands = command.get_subcommands().any(|s| !s.is_hide_set());
    let man = Man::new(command).section(section).manual("residentd");
    let mut text = Vec::new();
    let mut render = || -> io::Result<()> {
        man.render_title(&mut text)?;
        man.render_name_section(&mut text)?;
        man.render_synopsis_section(&mut text)?;
        man.render_description_section(&mut text)?;
        man.render_options_section(&mut text)?;
        if subcommands {
            man.render_subcommands_section(&mut text)?;
        }
        let mut roff = Roff::new();
        for (title, entries) in more {
            roff.control("SH", [*title]);
            for entry in entries {
                let (term, words) = entry.split_once('\t').unwrap_or(("", entry));
                roff.control("TP", []);
                roff.text([roman(term)]);
                roff.text([roman(words)]);
            }
        }
        roff.to_writer(&mut text)?;
        if version { man.render_version_section(&mut text) } else { Ok(()) }
    };
    render().expect("memory takes everything");
    text
}

/// docs/residentctl.md: every command with what it takes, and the exit codes.
pub fn reference() -> String {
    let mut command = Arguments::command();
    command.build();
    let mut page = String::from(
        "# residentctl\n\n<!-- Made by `residentctl generate docs`; a test compares. -->\n\n\
         The technician's command. Every command takes `--json`; text is coloured on a terminal only, and never with `NO_COLOR` set.\n\n",
    );
    page += &exit::markdown();
    page += "\n## Everywhere\n\n";
    let global: Vec<_> = command.get_arguments().filter(|a| a.is_global_set()).collect();
    global.iter().for_each(|a| page += &argument(a));
    commands(&command, "residentctl", &mut page);
    page
}

fn commands(command: &Command, name: &str, page: &mut String) {
    for sub in command.get_subcommands().filter(|s| !s.is_hide_set() && s.get_name() != "help") {
        let name = format!("{name} {}", sub.get_name());
        *page += &format!("\n## {name}\n\n");
        if let Some(about) = sub.get_long_about().or(sub.get_about()) {
            *page += &format!("{about}\n\n");
        }
        let own = sub.get_arguments().filter(|a| !a.is_global_set() && !["help", "version"].contains(&a.get_id().as_str()));
        own.for_each(|a| *page += &argument(a));
        commands(sub, &name, page);
    }
}

fn argument(argument: &clap::Arg) -> String {
    let value = argument.get_value_names().and_then(|names| names.first()).map(ToString::to_string);
    let value = value.filter(|_| argument.get_action().takes_values());
    let name = match (argument.get_long(), value) {
        (Some(long), Some(value)) => format!("--{long} {value}"),
        (Some(long), None) => format!("--{long}"),
        (None, value) => value.unwrap_or_default(),
    };
    let help = argument.get_help().map(ToString::to_string).unwrap_or_default();
    format!("- `{name}` {help}\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_kept_in_the_documentation_is_what_the_program_writes() {
        let docs = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/docs"));
        let old: Vec<_> = files().into_iter().filter(|(path, text)| std::fs::read(docs.join(path)).ok().as_ref() != Some(text)).collect();
        let old: Vec<_> = old.iter().map(|(path, _)| path).collect();
        assert!(old.is_empty(), "below docs these are old: {old:?}; run `cargo run --bin residentctl -- generate docs`");
    }

    #[test]
    fn every_exit_code_is_in_the_man_page_in_the_help_and_in_the_documentation() {
        let files = files();
        let man = files.iter().find(|(path, _)| path == "man/residentctl.1").map(|(_, text)| text.clone()).unwrap();
        let (man, help) = (String::from_utf8(man).unwrap(), Arguments::command().render_long_help().to_string());
        let codes: std::collections::HashSet<u8> = exit::TABLE.iter().map(|(exit, _)| exit.code()).collect();
        assert_eq!(codes.len(), exit::TABLE.len());
        for (exit, means) in exit::TABLE {
            assert!(man.contains(&format!("{}\n{}", exit.code(), means.replace('-', "\\-"))), "{means}: {man}");
            assert!(help.contains(means), "{means}: {help}");
            assert!(reference().contains(&format!("| {} | {means} |", exit.code())));
        }
    }

    #[test]
    fn every_command_has_a_man_page_and_is_completed() {
        let files = files();
        let names: Vec<_> = files.iter().map(|(path, _)| path.as_str()).collect();
        for page in ["man/residentctl-status.1", "man/residentctl-config-show.1", "man/residentd.8"] {
            assert!(names.contains(&page), "{names:?}");
        }
        let bash = files.iter().find(|(path, _)| path == "completions/residentctl.bash").unwrap();
        let bash = String::from_utf8_lossy(&bash.1).into_owned();
        for command in Arguments::command().get_subcommands().filter(|c| !c.is_hide_set()) {
            assert!(bash.contains(command.get_name()), "{}", command.get_name());
        }
    }

    #[test]
    fn the_definition_is_sound() {
        Arguments::command().debug_assert();
        crate::arguments::Arguments::command().debug_assert();
    }
}
