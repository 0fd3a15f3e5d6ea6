//! The output of a command: ages, times, columns and paragraphs in kubectl's form, JSON and YAML.

use std::fmt::Write as _;

use jiff::Timestamp;
use serde::{Serialize, Serializer};

use super::{failure::CommandFailure, output::OutputFormat};

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Printout {
    /// The text for standard output.
    pub stdout: String,
    /// The lines for standard error.
    pub stderr: Vec<String>,
    /// Whether something was refused or failed.
    pub failed: bool,
}

/// A value as JSON, or in that format where it is another one for programs.
pub(super) fn structured(
    output: Option<&OutputFormat>,
    value: &impl Serialize,
) -> Result<String, CommandFailure> {
    let unwritten = |why: String| CommandFailure::Request {
        what: "write the output".to_owned(),
        why,
    };
    let text = match output {
        Some(OutputFormat::Yaml) => {
            return serde_saphyr::to_string(value).map_err(|error| unwritten(error.to_string()));
        }
        Some(OutputFormat::JsonPath(template)) => {
            let value =
                serde_json::to_value(value).map_err(|error| unwritten(error.to_string()))?;
            return Ok(template.fill(&value)?);
        }
        _ => serde_json::to_string_pretty(value),
    };
    let text = text.map_err(|error| unwritten(error.to_string()))?;
    Ok(format!("{text}\n"))
}

const MINUTE: i64 = 60;
const HOUR: i64 = 60 * MINUTE;
const DAY: i64 = 24 * HOUR;
const YEAR: i64 = 365 * DAY;

/// The time from one moment to another, in two or three figures. A moment in the future is `0s` ago: clocks differ.
#[must_use]
pub fn format_age(from: Timestamp, to: Timestamp) -> String {
    let seconds = to.as_second().saturating_sub(from.as_second()).max(0);
    match seconds {
        ..120 => format!("{seconds}s"),
        120..600 => two_units(seconds, (MINUTE, "m"), (1, "s")),
        600..10_800 => format!("{}m", seconds / MINUTE),
        10_800..28_800 => two_units(seconds, (HOUR, "h"), (MINUTE, "m")),
        28_800..172_800 => format!("{}h", seconds / HOUR),
        172_800..691_200 => two_units(seconds, (DAY, "d"), (HOUR, "h")),
        691_200..63_072_000 => format!("{}d", seconds / DAY),
        63_072_000..252_288_000 => two_units(seconds, (YEAR, "y"), (DAY, "d")),
        _ => format!("{}y", seconds / YEAR),
    }
}

fn two_units(
    seconds: i64,
    (large, of_large): (i64, &str),
    (small, of_small): (i64, &str),
) -> String {
    let rest = seconds % large / small;
    match rest {
        0 => format!("{}{of_large}", seconds / large),
        _ => format!("{}{of_large}{rest}{of_small}", seconds / large),
    }
}

/// A moment to the second, in RFC 3339.
#[must_use]
pub fn format_time(at: Timestamp) -> String {
    format!("{at:.0}")
}

/// A moment without its fraction of a second.
#[must_use]
pub(super) fn to_the_second(at: Timestamp) -> Timestamp {
    // A time without its fraction is always a valid time.
    Timestamp::from_second(at.as_second()).unwrap_or(at)
}

/// Serialises a moment to the second.
#[expect(clippy::ref_option, reason = "serde passes a reference to the field")]
pub(super) fn serialize_time<S: Serializer>(
    at: &Option<Timestamp>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    at.map(format_time).serialize(serializer)
}

/// The space between two columns: as in kubectl there are no borders, and nothing is cut.
const GAP: usize = 3;

/// Rows of cells whose columns stay where they are, also when more rows come later.
#[derive(Clone, Debug, Default)]
pub struct Columns(Vec<usize>);

impl Columns {
    /// Lines these rows up; columns become wider where that is needed.
    pub fn lines(&mut self, rows: &[Vec<String>]) -> String {
        let Self(widths) = self;
        let rows: Vec<Vec<String>> = rows
            .iter()
            .map(|row| row.iter().map(|cell| sanitize(cell)).collect())
            .collect();
        for row in &rows {
            widths.resize(widths.len().max(row.len()), 0);
            for (cell, width) in row.iter().zip(&mut *widths) {
                *width = cell.chars().count().max(*width);
            }
        }
        let mut text = String::new();
        for row in &rows {
            let mut line = String::new();
            for (cell, width) in row.iter().zip(&*widths) {
                // Writing to a string cannot fail.
                _ = write!(line, "{cell:width$}", width = width + GAP);
            }
            text += line.trim_end();
            text.push('\n');
        }
        text
    }
}

/// Lines, each with a line break.
#[must_use]
pub fn lines(lines: impl IntoIterator<Item = String>) -> String {
    let mut text = String::new();
    for line in lines {
        text += &line;
        text.push('\n');
    }
    text
}

/// Paragraphs with headings, in the form of `kubectl describe`. A paragraph without lines is left out.
#[must_use]
pub fn paragraphs(paragraphs: &[(&str, Vec<String>)]) -> String {
    let mut rows = Vec::new();
    for (head, lines) in paragraphs {
        for (number, line) in lines.iter().enumerate() {
            let head = match number {
                0 => format!("{head}:"),
                _ => String::new(),
            };
            rows.push(vec![head, line.clone()]);
        }
    }
    Columns::default().lines(&rows)
}

/// A text without control characters, which would break a table or act on a terminal.
#[must_use]
pub fn sanitize(text: &str) -> String {
    text.replace(char::is_control, " ")
}
