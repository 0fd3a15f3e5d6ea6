//! What is wrong or doubtful in a policy file, where that is, and how it is shown.

use std::{fmt, ops::Range, sync::Arc};

use serde::Serialize;

/// One thing to say about a policy file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// Whether the file is refused for it.
    pub severity: Severity,
    /// Name of the file, as it was given.
    pub file: Arc<str>,
    /// Where; absent if it is about the file as a whole.
    #[serde(flatten)]
    pub place: Option<Place>,
    /// What, and what would be right.
    pub message: String,
}

/// Whether a file is refused for a finding.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Severity {
    /// It is.
    Mistake,
    /// It is not: allowed, and probably not meant.
    Warning,
}

/// A place in a text, counted in characters from one, as editors do.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Place {
    /// The line.
    pub line: usize,
    /// The column.
    pub column: usize,
    /// How many characters of the line are meant; at least one.
    pub width: usize,
    /// The line itself, or what of a very long one is around the column.
    #[serde(skip)]
    excerpt: Excerpt,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Excerpt {
    line: String,
    /// As wide as what stands before the place, tabs kept, so that the caret is under it.
    indent: String,
    carets: usize,
}

/// Characters of a line that are shown before and after the place; policy files seldom have longer ones.
const SHOWN_BEFORE: usize = 80;
const SHOWN_AFTER: usize = 80;

/// A text with a name, in which places can be found.
pub(super) struct Source<'t> {
    name: Arc<str>,
    text: &'t str,
    line_starts: Vec<usize>,
}

impl<'t> Source<'t> {
    pub(super) fn new(name: &str, text: &'t str) -> Self {
        let after_breaks = text.match_indices('\n').map(|(index, _)| index + 1);
        Self {
            name: Arc::from(name),
            text,
            line_starts: std::iter::once(0).chain(after_breaks).collect(),
        }
    }

    pub(super) fn text(&self) -> &'t str {
        self.text
    }

    /// The line of a byte of the text, from one.
    pub(super) fn line(&self, at: usize) -> usize {
        self.line_starts.partition_point(|start| *start <= at)
    }

    /// Something to say about the bytes `span` of the text.
    pub(super) fn finding(
        &self,
        severity: Severity,
        span: Range<usize>,
        message: String,
    ) -> Finding {
        Finding {
            severity,
            file: self.name.clone(),
            place: Some(self.place(span)),
            message,
        }
    }

    fn place(&self, span: Range<usize>) -> Place {
        let line = self.line(span.start);
        let start = self
            .line_starts
            .get(line.saturating_sub(1))
            .copied()
            .unwrap_or(0);
        let rest = self.text.get(start..).unwrap_or_default();
        let text = rest.lines().next().unwrap_or_default();
        let (before, here) = text
            .split_at_checked(span.start - start)
            .unwrap_or((text, ""));
        let meant = here.get(..span.len()).unwrap_or(here).trim_end();
        let column = before.chars().count();
        let width = meant.chars().count().max(1);
        Place {
            line,
            column: column + 1,
            width,
            excerpt: Excerpt::new(text, column, width),
        }
    }
}

impl Excerpt {
    fn new(line: &str, column: usize, width: usize) -> Self {
        // A control character could move the cursor of the terminal that shows it.
        let shown = |letter: char| match letter {
            '\t' => '\t',
            letter if letter.is_control() => '\u{fffd}',
            letter => letter,
        };
        let cut = column.saturating_sub(SHOWN_BEFORE);
        let mark = |needed: bool| if needed { "…" } else { "" };
        let before: String = line.chars().take(column).skip(cut).map(shown).collect();
        let here: String = line
            .chars()
            .skip(column)
            .take(SHOWN_AFTER)
            .map(shown)
            .collect();
        let more = line.chars().nth(column + SHOWN_AFTER).is_some();
        let (head, tail) = (mark(cut > 0), mark(more));
        let blank = |letter| if letter == '\t' { '\t' } else { ' ' };
        Self {
            line: format!("{head}{before}{here}{tail}"),
            indent: head.chars().chain(before.chars()).map(blank).collect(),
            carets: width.min(SHOWN_AFTER),
        }
    }
}

/// One finding as it is printed: place and message, then the line with a caret under the place.
impl fmt::Display for Finding {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            severity,
            file,
            place,
            message,
        } = self;
        write!(formatter, "{file}:")?;
        if let Some(Place { line, column, .. }) = place {
            write!(formatter, "{line}:{column}:")?;
        }
        if *severity == Severity::Warning {
            formatter.write_str(" warning:")?;
        }
        write!(formatter, " {message}")?;
        if let Some(Place { line, excerpt, .. }) = place {
            let Excerpt {
                line: text,
                indent,
                carets,
            } = excerpt;
            write!(
                formatter,
                "\n{line:>5} | {text}\n      | {indent}{:^>carets$}",
                ""
            )?;
        }
        Ok(())
    }
}

/// Everything for which a policy file is refused, in the order of the file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct Mistakes {
    kept: Vec<Finding>,
    /// How many there are; of a great many, only the first are kept.
    #[serde(skip)]
    count: usize,
}

impl Mistakes {
    pub(super) fn new(kept: Vec<Finding>, count: usize) -> Self {
        Self { kept, count }
    }

    /// A mistake that has no place within the file.
    pub(super) fn of_the_file(file: &str, message: String) -> Self {
        Self::from(Finding {
            severity: Severity::Mistake,
            file: Arc::from(file),
            place: None,
            message,
        })
    }

    /// The mistakes one by one.
    pub fn iter(&self) -> std::slice::Iter<'_, Finding> {
        self.kept.iter()
    }

    /// How many mistakes there are.
    #[must_use]
    pub fn count(&self) -> usize {
        self.count
    }
}

impl From<Finding> for Mistakes {
    fn from(finding: Finding) -> Self {
        Self::new(vec![finding], 1)
    }
}

impl<'a> IntoIterator for &'a Mistakes {
    type Item = &'a Finding;
    type IntoIter = std::slice::Iter<'a, Finding>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

/// All of them, and how many they are.
impl fmt::Display for Mistakes {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for finding in &self.kept {
            writeln!(formatter, "{finding}\n")?;
        }
        match (self.count, self.kept.len()) {
            (1, _) => formatter.write_str("1 mistake"),
            (count, kept) if count > kept => {
                write!(formatter, "{count} mistakes, {kept} of them shown")
            }
            (count, _) => write!(formatter, "{count} mistakes"),
        }
    }
}

impl std::error::Error for Mistakes {}
