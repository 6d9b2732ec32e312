//! What a command prints: plain text for people, JSON for programs. Colours only where the reader has asked for nothing
//! else: on a terminal, without `NO_COLOR`, and never in JSON.

use serde::Serialize;
use std::io::{IsTerminal, Write};
use std::time::{Duration, Instant};

/// Lines are no longer than this, whatever the terminal has: they are read over serial consoles and pasted into mails.
const WIDEST: usize = 100;
/// Where nothing says how wide the terminal is.
const USUAL: usize = 80;

/// The colours there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ink {
    /// As it should be.
    Good,
    /// Look at it.
    Doubtful,
    /// Broken.
    Bad,
    /// Less important.
    Faint,
    /// A heading.
    Strong,
}

impl Ink {
    fn code(self) -> &'static str {
        match self {
            Ink::Good => "32",
            Ink::Doubtful => "33",
            Ink::Bad => "31",
            Ink::Faint => "2",
            Ink::Strong => "1",
        }
    }
}

/// Where a command prints to.
pub struct Screen {
    /// JSON instead of text.
    pub json: bool,
    /// Standard output is one.
    terminal: bool,
    colour: bool,
    width: usize,
    /// Standard error is a terminal: progress may be drawn there.
    lively: bool,
    drawn: bool,
    began: Instant,
}

impl Screen {
    /// For this process.
    pub fn new(json: bool) -> Screen {
        // https://no-color.org: whatever it says, unless it says nothing.
        let unwanted = std::env::var_os("NO_COLOR").is_some_and(|v| !v.is_empty());
        let dumb = std::env::var_os("TERM").is_some_and(|t| t == "dumb");
        let terminal = std::io::stdout().is_terminal();
        let columns = rustix::termios::tcgetwinsize(std::io::stdout()).map_or(0, |size| usize::from(size.ws_col));
        Screen {
            json,
            terminal,
            colour: terminal && !json && !dumb && !unwanted,
            width: if columns < 40 { USUAL } else { columns.min(WIDEST) },
            lively: std::io::stderr().is_terminal() && !dumb && !json,
            drawn: false,
            began: Instant::now(),
        }
    }

    /// Text in a colour, if there are any.
    pub fn ink(&self, ink: Ink, text: &str) -> String {
        if self.colour { format!("\x1b[{}m{text}\x1b[0m", ink.code()) } else { text.to_owned() }
    }

    /// A line. Nobody reading any more is no error of ours, and the end of it.
    pub fn line(&mut self, text: &str) {
        self.wipe();
        let mut out = std::io::stdout().lock();
        if writeln!(out, "{text}").and_then(|()| out.flush()).is_err() {
            std::process::exit(i32::from(super::exit::Exit::Done.code()));
        }
    }

    /// Words after a label, wrapped so that the words stand in their own column.
    pub fn field(&mut self, label: &str, words: &str) {
        let column = 16;
        let wrapped = wrap(words, self.width.saturating_sub(column).max(20));
        for (i, line) in wrapped.iter().enumerate() {
            let label = if i == 0 { label } else { "" };
            self.line(&format!("  {label:<width$}{line}", width = column - 2));
        }
    }

    /// Words indented by so much, wrapped.
    pub fn indented(&mut self, indent: usize, words: &str) {
        for line in wrap(words, self.width.saturating_sub(indent).max(20)) {
            self.line(&format!("{:indent$}{line}", ""));
        }
    }

    /// A line that is one entry: on a terminal wrapped, its further lines indented by so much; else whole, for programs read it by lines.
    pub fn entry(&mut self, indent: usize, words: &str) {
        if !self.terminal {
            return self.line(words);
        }
        for line in hang(words, self.width, indent) {
            self.line(&line);
        }
    }

    /// JSON, on one line where it is followed by others, else laid out.
    pub fn value(&mut self, value: &impl Serialize, laid_out: bool) {
        let text = if laid_out { serde_json::to_string_pretty(value) } else { serde_json::to_string(value) };
        self.line(&text.unwrap_or_else(|e| format!("{{\"error\":\"{e}\"}}")));
    }

    /// What is being done, while it takes its time: on a terminal only, replaced by whatever comes next.
    pub fn progress(&mut self, doing: &str) {
        if !self.lively {
            return;
        }
        let seconds = self.began.elapsed().as_secs();
        let text: String = format!("… {doing} ({seconds} s)").chars().take(USUAL - 1).collect();
        eprint!("\r\x1b[K{text}");
        self.drawn = true;
    }

    fn wipe(&mut self) {
        if std::mem::take(&mut self.drawn) {
            eprint!("\r\x1b[K");
        }
    }

    /// Waits for something, saying what all the time.
    pub async fn during<T>(&mut self, doing: &str, what: impl Future<Output = T>) -> T {
        let mut what = std::pin::pin!(what);
        let mut tick = tokio::time::interval(Duration::from_secs(1));
        loop {
            tokio::select! {
                done = &mut what => {
                    self.wipe();
                    return done;
                }
                _ = tick.tick() => self.progress(doing),
            }
        }
    }
}

/// Breaks text into lines of at most so many characters, at spaces; a longer word stands alone.
pub fn wrap(text: &str, width: usize) -> Vec<String> {
    let mut lines = Vec::new();
    let mut line = String::new();
    let mut length = 0;
    for word in text.split_whitespace() {
        let size = columns(word);
        if length > 0 && length + 1 + size > width {
            lines.push(std::mem::take(&mut line));
            length = 0;
        }
        if length > 0 {
            line.push(' ');
            length += 1;
        }
        line += word;
        length += size;
    }
    lines.push(line);
    lines
}

/// Breaks text likewise, but indents every line after the first. What stands between the words stays as it is, unless a line ends there.
fn hang(text: &str, width: usize, indent: usize) -> Vec<String> {
    let mut lines = Vec::new();
    let (mut line, mut gap) = (String::new(), "");
    let mut rest = text;
    while !rest.is_empty() {
        let end = rest.find(' ').unwrap_or(rest.len());
        let (word, after) = rest.split_at(end);
        if !line.trim_start().is_empty() && columns(&line) + gap.len() + columns(word) > width {
            lines.push(std::mem::replace(&mut line, " ".repeat(indent)));
        } else {
            line += gap;
        }
        line += word;
        rest = after.trim_start_matches(' ');
        gap = &after[..after.len() - rest.len()];
    }
    lines.push(line);
    lines
}

/// How many columns text takes: a colour takes none.
fn columns(text: &str) -> usize {
    let coloured = text.split("\x1b[").skip(1).map(|code| code.find('m').map_or(0, |end| end + 3)).sum::<usize>();
    text.chars().count().saturating_sub(coloured)
}

/// Text of others as it may stand on a terminal: no control characters, and not endless.
pub fn tame(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(200).collect()
}

/// A time span in the two units that matter.
pub fn span(span: Duration) -> String {
    let s = span.as_secs();
    match (s / 86_400, s / 3600 % 24, s / 60 % 60, s % 60) {
        (0, 0, 0, s) => format!("{s} s"),
        (0, 0, m, s) => format!("{m} min {s} s"),
        (0, h, m, _) => format!("{h} h {m} min"),
        (d, h, ..) => format!("{d} d {h} h"),
    }
}

/// A moment of the API in local time, and how long ago it was.
pub fn since(moment: &serde_json::Value) -> String {
    let Some(at) = moment.as_str().and_then(|t| t.parse::<jiff::Timestamp>().ok()) else { return "an unknown time".into() };
    let ago = jiff::Timestamp::now().as_second().saturating_sub(at.as_second());
    format!("{} ({})", clock(at), span(Duration::from_secs(u64::try_from(ago).unwrap_or(0))))
}

/// A moment in local time: the hour today, else the day as well.
pub fn clock(at: jiff::Timestamp) -> String {
    let (zoned, now) = (at.to_zoned(jiff::tz::TimeZone::system()), jiff::Zoned::now());
    let format = if zoned.date() == now.date() { "%H:%M:%S" } else { "%Y-%m-%d %H:%M" };
    zoned.strftime(format).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_broken_at_spaces_and_nothing_is_lost() {
        let text = "one two  three fourfourfourfour five";
        let lines = wrap(text, 9);
        assert_eq!(lines, ["one two", "three", "fourfourfourfour", "five"]);
        assert_eq!(wrap("", 9), [""]);
    }

    #[test]
    fn further_lines_of_an_entry_hang_and_nothing_is_lost() {
        assert_eq!(hang("call.ring = 60  # default", 80, 4), ["call.ring = 60  # default"]);
        assert_eq!(hang("call.ring = 60  # default", 16, 4), ["call.ring = 60", "    # default"]);
        assert_eq!(hang("one two three fourfourfour five", 10, 2), ["one two", "  three", "  fourfourfour", "  five"]);
        assert_eq!(hang("oneoneoneone two", 4, 2), ["oneoneoneone", "  two"]);
        assert_eq!(hang("", 4, 2), [""]);
    }

    #[test]
    fn colours_take_no_room() {
        assert_eq!(columns("\x1b[32mgood\x1b[0m"), 4);
        assert_eq!(wrap("\x1b[32mone two\x1b[0m", 7).len(), 1);
        assert_eq!(columns("\x1b[\x1b[torn"), 4 + 4);
    }

    #[test]
    fn spans_have_two_units() {
        let of = |s| span(Duration::from_secs(s));
        assert_eq!([of(7), of(67), of(3700), of(90_000)], ["7 s", "1 min 7 s", "1 h 1 min", "1 d 1 h"]);
    }

    #[test]
    fn a_name_cannot_move_the_cursor() {
        assert_eq!(tame("A\x1b[2Jda\n"), "A[2Jda");
    }
}
