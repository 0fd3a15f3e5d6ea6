//! The diagnostics of a file while it is read, and the path to the value that is being read.

use std::{fmt::Write as _, ops::Range};

use super::{
    diagnostic::{Diagnostic, Errors, Severity, Source},
    yaml::YamlNode,
};

/// How strictly a file is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Strictness {
    /// As the agent reads a file.
    Run,
    /// As the command `check` reads a file.
    Check,
}

/// The diagnostics so far, and the current path.
pub(super) struct ReadContext<'t> {
    source: &'t Source<'t>,
    strictness: Strictness,
    errors: Collected,
    warnings: Collected,
    path: Vec<PathStep>,
}

/// How many diagnostics of each severity are kept: more than anybody reads, and few enough to cost nothing.
const MOST_KEPT: usize = 500;

#[derive(Default)]
struct Collected {
    count: usize,
    /// The first ones, each with the first byte that it is about.
    kept: Vec<(usize, Diagnostic)>,
}

impl Collected {
    fn add(&mut self, start: usize, diagnostic: impl FnOnce() -> Diagnostic) {
        self.count += 1;
        if self.kept.len() < MOST_KEPT {
            self.kept.push((start, diagnostic()));
        }
    }

    fn in_order(mut self) -> Vec<Diagnostic> {
        self.kept.sort_by_key(|(start, _)| *start);
        let kept = self.kept.into_iter();
        kept.map(|(_, diagnostic)| diagnostic).collect()
    }
}

/// One step from a value to one within it.
pub(super) enum PathStep {
    Key(String),
    Index(usize),
}

impl<'t> ReadContext<'t> {
    pub(super) fn new(source: &'t Source<'t>, strictness: Strictness) -> Self {
        Self {
            source,
            strictness,
            errors: Collected::default(),
            warnings: Collected::default(),
            path: Vec::new(),
        }
    }

    /// Adds an error at these bytes of the text; the message is not prefixed with the path.
    pub(super) fn error_at(&mut self, span: &Range<usize>, message: String) {
        let diagnostic = || {
            self.source
                .diagnostic(Severity::Error, span.clone(), message)
        };
        self.errors.add(span.start, diagnostic);
    }

    /// Adds an error in the value of a node.
    pub(super) fn error(&mut self, node: &YamlNode, message: &str) {
        let message = self.with_path(message);
        self.error_at(&node.span, message);
    }

    /// Adds an error: the node is of another kind than expected.
    pub(super) fn mismatch(&mut self, node: &YamlNode, expected: &str) {
        let found = node.value.described();
        self.error(node, &format!("must be {expected}, is {found}"));
    }

    /// Adds a warning: something is allowed and probably not intended.
    pub(super) fn warn(&mut self, node: &YamlNode, message: &str) {
        let message = self.with_path(message);
        let diagnostic = || {
            self.source
                .diagnostic(Severity::Warning, node.span.clone(), message)
        };
        self.warnings.add(node.span.start, diagnostic);
    }

    /// Adds an error for the command `check`, and a warning for the agent.
    pub(super) fn error_in_check(&mut self, node: &YamlNode, message: &str) {
        match self.strictness {
            Strictness::Check => self.error(node, message),
            Strictness::Run => self.warn(node, message),
        }
    }

    /// A value as the file writes it.
    pub(super) fn text_of(&self, node: &YamlNode) -> &'t str {
        let text = self.source.text().get(node.span.clone());
        text.unwrap_or_default()
    }

    pub(super) fn strictness(&self) -> Strictness {
        self.strictness
    }

    /// Errors and warnings, each in the order of the file.
    pub(super) fn into_diagnostics(self) -> (Errors, Vec<Diagnostic>) {
        let count = self.errors.count;
        (
            Errors::new(self.errors.in_order(), count),
            self.warnings.in_order(),
        )
    }

    pub(super) fn within<T>(&mut self, step: PathStep, read: impl FnOnce(&mut Self) -> T) -> T {
        self.path.push(step);
        let value = read(self);
        self.path.pop();
        value
    }

    /// The current path, such as `policies[1].ttl`; empty for the whole file.
    pub(super) fn path(&self) -> String {
        let mut path = String::new();
        for step in &self.path {
            match step {
                PathStep::Key(key) if path.is_empty() => path.push_str(key),
                PathStep::Key(key) => path.extend([".", key]),
                PathStep::Index(index) => _ = write!(path, "[{index}]"),
            }
        }
        path
    }

    /// A message with the path before it.
    pub(super) fn with_path(&self, message: &str) -> String {
        match self.path() {
            path if path.is_empty() => format!("the file: {message}"),
            path => format!("{path}: {message}"),
        }
    }
}
