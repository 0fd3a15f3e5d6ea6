//! What is found while a file is read, and where in it the reading is.

use std::{fmt::Write as _, ops::Range};

use super::{
    finding::{Finding, Mistakes, Severity, Source},
    yaml::Node,
};

/// How strictly a file is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Strictness {
    /// As the agent does.
    Run,
    /// As the command `check` does.
    Check,
}

/// What was found so far, and where the reading is.
pub(super) struct Context<'t> {
    source: &'t Source<'t>,
    strictness: Strictness,
    mistakes: Found,
    warnings: Found,
    path: Vec<Step>,
}

/// Findings that are kept of each severity: more than anybody reads, and few enough to cost nothing.
const MOST_KEPT: usize = 500;

/// Findings of one severity.
#[derive(Default)]
struct Found {
    count: usize,
    /// The first of them, each with the first byte it is about.
    kept: Vec<(usize, Finding)>,
}

impl Found {
    fn add(&mut self, start: usize, finding: impl FnOnce() -> Finding) {
        self.count += 1;
        if self.kept.len() < MOST_KEPT {
            self.kept.push((start, finding()));
        }
    }

    fn in_order(mut self) -> Vec<Finding> {
        self.kept.sort_by_key(|(start, _)| *start);
        self.kept.into_iter().map(|(_, finding)| finding).collect()
    }
}

/// One step from a value to one within it.
pub(super) enum Step {
    Key(String),
    Index(usize),
}

impl<'t> Context<'t> {
    pub(super) fn new(source: &'t Source<'t>, strictness: Strictness) -> Self {
        Self {
            source,
            strictness,
            mistakes: Found::default(),
            warnings: Found::default(),
            path: Vec::new(),
        }
    }

    /// A mistake at these bytes of the text; the message stands as it is.
    pub(super) fn mistake(&mut self, span: &Range<usize>, message: String) {
        let finding = || {
            self.source
                .finding(Severity::Mistake, span.clone(), message)
        };
        self.mistakes.add(span.start, finding);
    }

    /// A mistake in the value of a node.
    pub(super) fn wrong(&mut self, node: &Node, message: &str) {
        let message = self.about(message);
        self.mistake(&node.span, message);
    }

    /// A node that is not what it must be.
    pub(super) fn unlike(&mut self, node: &Node, expected: &str) {
        let found = node.value.described();
        self.wrong(node, &format!("must be {expected}, is {found}"));
    }

    /// Something that is allowed and probably not meant.
    pub(super) fn warn(&mut self, node: &Node, message: &str) {
        let message = self.about(message);
        let finding = || {
            self.source
                .finding(Severity::Warning, node.span.clone(), message)
        };
        self.warnings.add(node.span.start, finding);
    }

    /// Something that only the command `check` refuses.
    pub(super) fn doubt(&mut self, node: &Node, message: &str) {
        match self.strictness {
            Strictness::Check => self.wrong(node, message),
            Strictness::Run => self.warn(node, message),
        }
    }

    pub(super) fn strictness(&self) -> Strictness {
        self.strictness
    }

    /// Mistakes and warnings, each in the order of the file.
    pub(super) fn into_findings(self) -> (Mistakes, Vec<Finding>) {
        let count = self.mistakes.count;
        (
            Mistakes::new(self.mistakes.in_order(), count),
            self.warnings.in_order(),
        )
    }

    pub(super) fn within<T>(&mut self, step: Step, read: impl FnOnce(&mut Self) -> T) -> T {
        self.path.push(step);
        let value = read(self);
        self.path.pop();
        value
    }

    /// Where the reading is, such as `policies[1].ttl`; empty for the whole file.
    pub(super) fn path(&self) -> String {
        let mut path = String::new();
        for step in &self.path {
            match step {
                Step::Key(key) if path.is_empty() => path.push_str(key),
                Step::Key(key) => path.extend([".", key]),
                Step::Index(index) => _ = write!(path, "[{index}]"),
            }
        }
        path
    }

    /// A message with the place in words before it.
    pub(super) fn about(&self, message: &str) -> String {
        match self.path() {
            path if path.is_empty() => format!("the file: {message}"),
            path => format!("{path}: {message}"),
        }
    }
}
