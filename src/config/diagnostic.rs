//! Errors and warnings about a policy file, with their places, and how they are shown.

use std::{fmt, ops::Range, sync::Arc};

use annotate_snippets::{AnnotationKind, Group, Level, Origin, Renderer, Snippet};
use serde::Serialize;

/// One error or warning about a policy file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Diagnostic {
    /// Whether the file is refused for it.
    pub severity: Severity,
    /// The name of the file as it was given.
    pub file: Arc<str>,
    /// `None` if it is about the whole file.
    #[serde(flatten)]
    pub place: Option<Place>,
    /// What is wrong, and what would be right.
    pub message: String,
    #[serde(skip)]
    printed: String,
}

/// Whether a diagnostic makes the agent refuse the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Severity {
    Error,
    /// Allowed, and probably not intended.
    Warning,
}

/// A place in a text, counted in characters from one, as in editors.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Place {
    pub line: usize,
    pub column: usize,
    /// How many characters of the line it covers; at least one.
    pub width: usize,
}

/// How many bytes of a line are shown: the layout of longer ones takes noticeable time (500 errors in a line of 50,000
/// tabs took 1.6 s), and nobody writes them.
const LONGEST_SHOWN_LINE: usize = 2 * 1024;

/// A named text, in which places can be found.
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

    /// A diagnostic about the bytes `span` of the text; of several lines it shows the first.
    pub(super) fn diagnostic(
        &self,
        severity: Severity,
        span: Range<usize>,
        message: String,
    ) -> Diagnostic {
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
        let place = Place {
            line,
            column: before.chars().count() + 1,
            width: meant.chars().count().max(1),
        };

        let end = before.len() + meant.len();
        let title = severity.level().primary_title(message.as_str());
        let printed = if text.len() <= LONGEST_SHOWN_LINE {
            let (before, meant) = (visible(before), visible(meant));
            let after = visible(text.get(end..).unwrap_or_default());
            let shown = format!("{before}{meant}{after}");
            let meant = before.len()..before.len() + meant.len();
            print(
                title.element(
                    Snippet::source(&*shown)
                        .path(&*self.name)
                        .line_start(line)
                        .annotation(AnnotationKind::Primary.span(meant)),
                ),
            )
        } else {
            let origin = Origin::path(&*self.name).line(line);
            print(title.element(origin.char_column(place.column)))
        };
        Diagnostic {
            severity,
            file: self.name.clone(),
            place: Some(place),
            message,
            printed,
        }
    }
}

/// A terminal obeys control characters. The renderer shows those of ASCII as pictures, and the others as they are.
fn visible(text: &str) -> String {
    text.replace(|one| matches!(one, '\u{80}'..='\u{9f}'), "\u{fffd}")
}

impl Severity {
    fn level(self) -> Level<'static> {
        match self {
            Self::Error => Level::ERROR,
            Self::Warning => Level::WARNING,
        }
    }
}

fn print(group: Group) -> String {
    Renderer::plain().render(&[group])
}

/// In the form of a compiler: the message, the place, and the line with carets under the value.
impl fmt::Display for Diagnostic {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.printed)
    }
}

/// All errors of a policy file, in the order of the file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct Errors {
    kept: Vec<Diagnostic>,
    /// The number of errors, of which only the first are kept.
    #[serde(skip)]
    count: usize,
}

impl Errors {
    pub(super) fn new(kept: Vec<Diagnostic>, count: usize) -> Self {
        Self { kept, count }
    }

    /// An error without a place in the file.
    pub(super) fn of_the_file(file: &str, message: String) -> Self {
        let severity = Severity::Error;
        let title = severity.level().primary_title(message.as_str());
        let printed = print(title.element(Origin::path(file)));
        Self::from(Diagnostic {
            severity,
            file: Arc::from(file),
            place: None,
            message,
            printed,
        })
    }

    /// The errors that are kept.
    pub fn iter(&self) -> std::slice::Iter<'_, Diagnostic> {
        self.kept.iter()
    }

    /// The number of errors.
    #[must_use]
    pub fn count(&self) -> usize {
        self.count
    }
}

impl From<Diagnostic> for Errors {
    fn from(diagnostic: Diagnostic) -> Self {
        Self::new(vec![diagnostic], 1)
    }
}

impl<'a> IntoIterator for &'a Errors {
    type Item = &'a Diagnostic;
    type IntoIter = std::slice::Iter<'a, Diagnostic>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

/// All errors, then their number.
impl fmt::Display for Errors {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for diagnostic in &self.kept {
            writeln!(formatter, "{diagnostic}\n")?;
        }
        match (self.count, self.kept.len()) {
            (1, _) => formatter.write_str("1 error"),
            (count, kept) if count > kept => {
                write!(formatter, "{count} errors, the first {kept} of them shown")
            }
            (count, _) => write!(formatter, "{count} errors"),
        }
    }
}

impl std::error::Error for Errors {}
