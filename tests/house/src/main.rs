//! Checks the agent's source for three things that clippy does not: a type name that is defined twice, a function that
//! is named as a question and changes something, and files of a crate that import each other in a circle.
//!
//! `cargo run --package test-house -- [--strict] [DIRECTORY]` reads `src` and `crates/*/src` there, without the modules
//! for tests. It prints three counts, each with what it found, and fails where something has no argued exemption in
//! [`exemptions`]. `--strict` is about the circles: see [`circles`].

mod circles;
mod exemptions;
mod names;
mod questions;
mod source;

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context as _;

use crate::circles::Parents;
use crate::exemptions::Exemptions;
use crate::source::Crate;

fn main() -> anyhow::Result<ExitCode> {
    let mut directory = PathBuf::from(".");
    let mut parents = Parents::Ignored;
    for argument in std::env::args_os().skip(1) {
        if argument == "--strict" {
            parents = Parents::Counted;
        } else {
            directory = argument.into();
        }
    }
    let crates = Crate::all(&directory)
        .with_context(|| format!("reading the source in {}", directory.display()))?;

    let mut exempt_names = Exemptions::of(exemptions::TYPE_NAMES);
    let mut exempt_questions = Exemptions::of(exemptions::QUESTIONS);
    let names = names::defined_more_than_once(&crates, &mut exempt_names);
    let questions = questions::that_act(&crates, &mut exempt_questions);
    let circles = circles::of_imports(&crates, parents);
    let unused = [exempt_names.unused(), exempt_questions.unused()].concat();

    print("type names defined more than once", &names);
    print("questions that act", &questions);
    print("import circles", &circles);
    print("exemptions that nothing needs", &unused);
    let clean = [names, questions, circles, unused]
        .iter()
        .all(Vec::is_empty);
    Ok(if clean {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

#[expect(clippy::print_stdout, reason = "it is a program")]
fn print(what: &str, found: &[String]) {
    println!("{what}: {}", found.len());
    for one in found {
        println!("{one}");
    }
}
