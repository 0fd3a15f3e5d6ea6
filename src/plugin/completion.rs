//! Completion of command lines: for `kubectl quarantine`, for which kubectl runs the program [`PROGRAM`], and as a script
//! for `kubectl-quarantine`.

use std::time::Duration;

use clap::{Arg, Command, CommandFactory, FromArgMatches, Parser, ValueHint};
use kube::{ResourceExt, api::ListParams};
use tokio::time::timeout;

use super::{
    arguments::{Arguments, Global, with_boolean_values},
    print::{Printout, lines},
    session::Session,
};
use crate::core::keys;

/// The program that kubectl runs to complete the plugin's arguments.
pub const PROGRAM: &str = "kubectl_complete-quarantine";

/// The directive to kubectl after the candidates: there are no others, and no files.
const NO_FILES: &str = ":4";

/// How long the user waits for candidates.
const TIMEOUT: Duration = Duration::from_secs(2);

/// How many pods are offered at most: nobody reads more.
const PODS: u32 = 500;

/// A script that completes `kubectl-quarantine`.
pub(super) fn script(shell: clap_complete::Shell) -> Printout {
    let mut script = Vec::new();
    let program = "kubectl-quarantine";
    clap_complete::generate(shell, &mut Arguments::command(), program, &mut script);
    Printout {
        stdout: String::from_utf8_lossy(&script).into_owned(),
        ..Printout::default()
    }
}

/// What may come next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Next {
    Words(Vec<String>),
    /// A pod that matches this label selector.
    Pod(&'static str),
    /// A file, which the shell completes by itself.
    File,
}

/// Completes the last of the words after `kubectl quarantine`, which may be empty.
pub async fn complete(words: &[String]) -> String {
    let (partial, before) = match words {
        [before @ .., partial] => (partial.as_str(), before),
        [] => ("", words),
    };
    let (global, next) = next(before, partial);
    let (candidates, directive) = match next {
        Next::Words(words) => (words, Some(NO_FILES)),
        Next::Pod(labels) => (pods(&global, labels).await, Some(NO_FILES)),
        Next::File => (Vec::new(), None),
    };
    let mut fitting = candidates;
    fitting.retain(|candidate| candidate.starts_with(partial));
    lines(fitting.into_iter().chain(directive.map(ToOwned::to_owned)))
}

/// Reads the words before the one that is to be completed, ignoring what is invalid.
#[must_use]
pub fn next(before: &[String], partial: &str) -> (Global, Next) {
    let mut command = Arguments::command();
    command.build();
    let mut command = &command;
    // The flags of every command, in a form that clap reads.
    let mut globals = vec![PROGRAM.to_owned()];
    let mut note = |arg: &Arg, value: &str| {
        if let Some(long) = arg.get_long().filter(|_| arg.is_global_set()) {
            globals.push(format!("--{long}={value}"));
        }
    };
    let mut expected: Option<&Arg> = None;
    for word in before {
        if let Some(arg) = expected.take() {
            note(arg, word);
        } else if let Some(flag) = word.strip_prefix("--") {
            let (name, value) = match flag.split_once('=') {
                Some((name, value)) => (name, Some(value)),
                None => (flag, None),
            };
            let Some(arg) = long(command, name) else {
                continue;
            };
            match value {
                Some(value) => note(arg, value),
                None if takes_value(arg) => expected = Some(arg),
                None => note(arg, "true"),
            }
        } else if let Some(letters) = word.strip_prefix('-') {
            expected = switches(command, letters, &mut note);
        } else if let Some(below) = command.find_subcommand(word) {
            command = below;
        }
    }
    let flags = with_boolean_values(GlobalFlags::command()).ignore_errors(true);
    let read = flags.try_get_matches_from(globals);
    let read = read.and_then(|matches| GlobalFlags::from_arg_matches(&matches));
    let global = read.map(|flags| flags.global).unwrap_or_default();
    (global, after(command, expected, partial))
}

/// The flags of every command, without a command.
#[derive(Parser)]
struct GlobalFlags {
    #[command(flatten)]
    global: Global,
}

/// Reads flags of one letter in one word, such as `-An`, `-nshop` or `-n=shop`. The flag whose value is the next word, if
/// there is one.
fn switches<'a>(
    command: &'a Command,
    letters: &str,
    note: &mut impl FnMut(&Arg, &str),
) -> Option<&'a Arg> {
    let mut rest = letters.chars();
    while let Some(letter) = rest.next() {
        let mut all = command.get_arguments();
        let arg = all.find(|arg| arg.get_short() == Some(letter))?;
        let value = rest.as_str();
        match value.strip_prefix('=') {
            Some(value) => note(arg, value),
            None if !takes_value(arg) => {
                note(arg, "true");
                continue;
            }
            None if value.is_empty() => return Some(arg),
            None => note(arg, value),
        }
        break;
    }
    None
}

fn long<'a>(command: &'a Command, name: &str) -> Option<&'a Arg> {
    let mut all = command.get_arguments();
    all.find(|arg| arg.get_long() == Some(name))
}

fn takes_value(arg: &Arg) -> bool {
    arg.get_action().takes_values()
}

fn after(command: &Command, expected: Option<&Arg>, partial: &str) -> Next {
    if let Some(arg) = expected {
        return match arg.get_value_hint() {
            ValueHint::FilePath => Next::File,
            _ => Next::Words(values(arg)),
        };
    }
    if partial.starts_with('-') {
        let flags = command.get_arguments().filter_map(Arg::get_long);
        return Next::Words(flags.map(|flag| format!("--{flag}")).collect());
    }
    if command.has_subcommands() {
        let names = command.get_subcommands().map(Command::get_name);
        return Next::Words(names.map(ToOwned::to_owned).collect());
    }
    match (command.get_name(), command.get_positionals().next()) {
        (_, None) => Next::Words(Vec::new()),
        ("why" | "add", _) => Next::Pod(""),
        ("release" | "hold", _) => Next::Pod(keys::STATE),
        (_, Some(arg)) => Next::Words(values(arg)),
    }
}

/// The possible values of an argument.
fn values(arg: &Arg) -> Vec<String> {
    let values = arg.get_possible_values();
    let names = values.iter().map(|value| value.get_name().to_owned());
    names.collect()
}

/// The names of pods; empty if the cluster does not answer.
async fn pods(global: &Global, labels: &str) -> Vec<String> {
    let found = async {
        let session = Session::open(global).ok()?;
        let some = ListParams::default().labels(labels).limit(PODS);
        session.pods().list_metadata(&some).await.ok()
    };
    let found = timeout(TIMEOUT, found).await.ok().flatten();
    let found = found.into_iter().flat_map(|found| found.items);
    found.map(|pod| pod.name_any()).collect()
}
