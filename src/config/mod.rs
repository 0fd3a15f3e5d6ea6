//! The policy file: reads its text, reports errors with their places, and describes its meaning.
//!
//! The way in is [`read`] (as `run` reads a file) or [`check`] (as the command `check` does, which is stricter).
//! Text becomes a tree in which every value has its place (`yaml`); one declaration per key (`file`, `policy`, `signal`,
//! `selector` and others) reads that tree and describes itself, so that [`schema`] and the reader cannot differ (`reader`).
//! An error never stops the reader: all errors are reported at once.

mod collections;
mod context;
mod describe;
mod diagnostic;
pub mod duration;
mod file;
mod kind;
mod limits;
mod numbers;
mod pattern;
mod policy;
mod prometheus;
mod promql;
mod reader;
mod schema;
mod selector;
mod signal;
mod values;
mod yaml;

use std::{fs::File, io::Read, path::Path};

use crate::core::{policy::PolicyFile, text::Fingerprint};

use self::{
    context::{ReadContext, Strictness},
    diagnostic::Source,
    kind::ValueKind,
};
pub use self::{
    describe::describe,
    diagnostic::{Diagnostic, Errors, Place, Severity},
    file::schema,
};

/// A `ConfigMap` has at most 1 MiB, so no policy file is longer.
const LONGEST_FILE: u64 = 1 << 20;

/// A policy file without errors.
#[derive(Clone, Debug)]
pub struct Checked {
    pub file: PolicyFile,
    /// Tells this text from any other one.
    pub hash: Fingerprint,
    /// The warnings, in the order of the file.
    pub warnings: Vec<Diagnostic>,
}

impl Checked {
    /// Logs the warnings.
    pub fn warn(&self) {
        for warning in &self.warnings {
            tracing::warn!("{warning}");
        }
    }
}

/// Reads a policy file as the agent does: a query whose brackets or strings do not end is a warning, since a server
/// decides what it takes.
pub fn read(path: impl AsRef<Path>) -> Result<Checked, Errors> {
    open(path.as_ref(), Strictness::Run)
}

/// The same for a text; errors name it `name`.
pub fn parse(name: &str, text: &str) -> Result<Checked, Errors> {
    understand(name, text, Strictness::Run)
}

/// Reads a policy file as the command `check` does: such a query is an error, and a file that the policy names and that does not exist is a warning.
pub fn check(path: impl AsRef<Path>) -> Result<Checked, Errors> {
    open(path.as_ref(), Strictness::Check)
}

/// The same for a text; errors name it `name`.
pub fn check_text(name: &str, text: &str) -> Result<Checked, Errors> {
    understand(name, text, Strictness::Check)
}

fn open(path: &Path, strictness: Strictness) -> Result<Checked, Errors> {
    let name = path.display().to_string();
    let mut bytes = Vec::new();
    let outcome =
        File::open(path).and_then(|file| file.take(LONGEST_FILE + 1).read_to_end(&mut bytes));
    if let Err(error) = outcome {
        return Err(Errors::of_the_file(
            &name,
            format!("reading the policy file failed: {error}"),
        ));
    }
    match std::str::from_utf8(&bytes) {
        Ok(text) => understand(&name, text, strictness),
        Err(error) => {
            let (valid, _) = bytes.split_at(error.valid_up_to());
            let text = String::from_utf8_lossy(valid);
            let source = Source::new(&name, &text);
            let message = "the file is not valid UTF-8 from here on".to_owned();
            let end = valid.len();
            let error = source.diagnostic(Severity::Error, end..end, message);
            Err(Errors::from(error))
        }
    }
}

fn understand(name: &str, text: &str, strictness: Strictness) -> Result<Checked, Errors> {
    if text.len() as u64 > LONGEST_FILE {
        let message = "the policy file is longer than 1 MiB".to_owned();
        return Err(Errors::of_the_file(name, message));
    }
    let source = Source::new(name, text);
    let mut context = ReadContext::new(&source, strictness);
    let file = yaml::parse(&source, &mut |span, message| {
        context.error_at(&span, message);
    })
    .and_then(|root| file::policy_file().read(&root, &mut context));
    let (errors, warnings) = context.into_diagnostics();
    match file {
        Some(file) if errors.count() == 0 => Ok(Checked {
            file,
            hash: Fingerprint::of(text),
            warnings,
        }),
        _ => Err(errors),
    }
}
