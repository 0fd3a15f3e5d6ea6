//! The story as the terminal shows it: a line for each step, with the time since its cause.

use std::io::{IsTerminal as _, Write as _};

use jiff::Timestamp;

/// Where the text of a step begins.
const INDENT: usize = 14;

/// As wide as most terminals can show.
const WIDTH: usize = 110;

const BOLD: &str = "1";
const DIM: &str = "2";
const RED: &str = "1;31";
const GREEN: &str = "32";
const CYAN: &str = "36";

/// Tells the story.
pub(crate) struct Timeline {
    terminal: bool,
    colours: bool,
    chapters: usize,
    cause: Timestamp,
    results: Vec<(String, String)>,
}

impl Timeline {
    /// On standard output; coloured on a terminal, unless `NO_COLOR` is set.
    pub(crate) fn new() -> Self {
        let terminal = std::io::stdout().is_terminal();
        let plain = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty())
            || std::env::var_os("TERM").is_some_and(|value| value == "dumb");
        Self {
            terminal: terminal && !plain,
            colours: terminal && !plain,
            chapters: 0,
            cause: Timestamp::now(),
            results: Vec::new(),
        }
    }

    /// Begins a chapter.
    pub(crate) fn chapter(&mut self, title: &str) {
        self.chapters += 1;
        let title = format!("{}. {title}", self.chapters);
        self.write(&format!("\n{}\n", self.painted(BOLD, &title)));
    }

    /// Something happens that the next steps follow from; they are timed from `at`.
    pub(crate) fn cause(&mut self, at: Timestamp, text: &str) {
        self.cause = at;
        self.step(at, " ", text);
    }

    /// A step that came true at that time.
    pub(crate) fn came_true(&self, at: Timestamp, text: &str) {
        self.step(at, &self.painted(GREEN, "✓"), text);
    }

    /// A step that did not come true.
    pub(crate) fn failed(&self, text: &str) {
        self.step(Timestamp::now(), &self.painted(RED, "✗"), text);
    }

    /// What is awaited, until the next line; on a terminal alone.
    pub(crate) fn awaiting(&self, what: &str) {
        if self.terminal {
            let what: String = what.chars().take(WIDTH - INDENT).collect();
            let text = format!("{:INDENT$}{what} …", "");
            print(&format!("\r\x1b[K{}", self.painted(DIM, &text)));
        }
    }

    /// A command that is run now.
    pub(crate) fn command(&self, command: &str) {
        let text = format!("$ {command}");
        self.write(&format!("{:INDENT$}{}\n", "", self.painted(CYAN, &text)));
    }

    /// What a command printed, or anything else that is shown as it is.
    pub(crate) fn quote(&self, text: &str) {
        for line in wrapped(text, WIDTH - INDENT - 2) {
            self.write(&format!("{:INDENT$}  {}\n", "", self.painted(DIM, &line)));
        }
    }

    /// Text at the margin.
    pub(crate) fn say(&self, text: &str) {
        self.write(&format!("{text}\n"));
    }

    /// Keeps a figure for [`Timeline::summary`].
    pub(crate) fn result(&mut self, what: &str, from: Timestamp, to: Timestamp) {
        let time = format!("{:>7.2} s", seconds(from, to));
        self.results.push((what.to_owned(), time));
    }

    /// All figures that were kept.
    pub(crate) fn summary(&self) {
        self.say(&format!("\n{}", self.painted(BOLD, "How long it took")));
        self.table(&self.results);
    }

    /// A title and the rows below it.
    pub(crate) fn section(&self, title: &str, rows: &[(String, String)]) {
        self.say(&format!("\n{}", self.painted(BOLD, title)));
        self.table(rows);
    }

    fn table(&self, rows: &[(String, String)]) {
        let width = rows.iter().map(|(left, _)| left.chars().count()).max();
        let width = width.unwrap_or(0);
        for (left, right) in rows {
            self.say(&format!("  {left:<width$}  {right}"));
        }
    }

    fn step(&self, at: Timestamp, mark: &str, text: &str) {
        let time = format!("{:+.2} s", seconds(self.cause, at));
        let lines = wrapped(text, WIDTH - INDENT).join(&format!("\n{:INDENT$}", ""));
        self.write(&format!("{time:>11} {mark} {lines}\n"));
    }

    fn write(&self, text: &str) {
        let clear = if self.terminal { "\r\x1b[K" } else { "" };
        print(&format!("{clear}{text}"));
    }

    fn painted(&self, colour: &str, text: &str) -> String {
        if self.colours {
            format!("\x1b[{colour}m{text}\x1b[0m")
        } else {
            text.to_owned()
        }
    }
}

/// From one time to the other.
pub(crate) fn seconds(from: Timestamp, to: Timestamp) -> f64 {
    to.duration_since(from).as_secs_f64()
}

fn print(text: &str) {
    let mut terminal = std::io::stdout().lock();
    // A reader that went away is no reason to leave the cluster as it is.
    let _ = terminal.write_all(text.as_bytes());
    let _ = terminal.flush();
}

/// Lines of at most so many characters, broken between words.
fn wrapped(text: &str, width: usize) -> Vec<String> {
    let mut lines = Vec::new();
    for paragraph in text.lines() {
        let mut line = String::new();
        for word in paragraph.split(' ') {
            let longer = line.chars().count() + 1 + word.chars().count();
            if !line.is_empty() && longer > width {
                lines.push(std::mem::take(&mut line));
            }
            if !line.is_empty() {
                line.push(' ');
            }
            line.push_str(word);
        }
        lines.push(line);
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_broken_between_words_alone() {
        assert_eq!(wrapped("a pod answers 500", 9), ["a pod", "answers", "500"]);
        assert_eq!(wrapped("one\ntwo three", 20), ["one", "two three"]);
        assert_eq!(wrapped("unbreakable", 4), ["unbreakable"]);
    }
}
