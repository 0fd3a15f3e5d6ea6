//! What is being done, and how long it took, a line each.

use std::fmt::Display;
use std::io::{IsTerminal as _, Write as _};
use std::time::{Duration, Instant};

/// Where progress is shown.
#[derive(Clone, Copy, Debug)]
pub struct Progress {
    shown: bool,
    terminal: bool,
}

impl Progress {
    /// On standard error: on a terminal with what is being done now, else only with what is done.
    #[must_use]
    pub fn shown() -> Self {
        Self {
            shown: true,
            terminal: std::io::stderr().is_terminal(),
        }
    }

    /// Nowhere.
    #[must_use]
    pub const fn silent() -> Self {
        Self {
            shown: false,
            terminal: false,
        }
    }

    /// Begins something.
    pub(crate) fn begin(self, subject: impl Display, doing: &str) -> Step {
        if self.terminal {
            write(&format!("\r\x1b[K  {subject:<24} {doing} …"));
        }
        Step {
            progress: self,
            subject: subject.to_string(),
            begun: Instant::now(),
        }
    }

    /// Begins something that takes minutes: said at once, also where lines cannot be replaced.
    #[must_use]
    pub fn begin_long(self, subject: impl Display, doing: &str) -> Step {
        let step = self.begin(subject, doing);
        if self.shown && !self.terminal {
            write(&format!("  {:<24} {doing} …\n", step.subject));
        }
        step
    }

    /// Says something in a line of its own.
    pub(crate) fn say(self, sentence: impl Display) {
        if self.shown {
            let clear = if self.terminal { "\r\x1b[K" } else { "" };
            write(&format!("{clear}{sentence}\n"));
        }
    }
}

/// Something that was begun.
#[derive(Debug)]
pub struct Step {
    progress: Progress,
    subject: String,
    begun: Instant,
}

impl Step {
    /// It is done.
    pub fn done(self, outcome: &str) {
        let line = line(&self.subject, outcome, self.begun.elapsed());
        self.progress.say(line);
    }
}

fn line(subject: &str, outcome: &str, took: Duration) -> String {
    format!(
        "  {subject:<24} {outcome:<16} {:>6.1} s",
        took.as_secs_f64()
    )
}

fn write(text: &str) {
    let mut terminal = std::io::stderr().lock();
    // Progress that cannot be shown is no reason to stop.
    let _ = terminal.write_all(text.as_bytes());
    let _ = terminal.flush();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_says_what_and_how_long() {
        assert_eq!(
            line("kube-apiserver", "ready", Duration::from_millis(2140)),
            "  kube-apiserver           ready               2.1 s"
        );
    }
}
