//! Completion of command lines: for `kubectl quarantine`, for which kubectl runs the program [`PROGRAM`], and as a script
//! for `kubectl-quarantine`.

use std::{path::PathBuf, time::Duration};

use clap::{Arg, Command, CommandFactory};
use kube::{ResourceExt, api::ListParams};
use tokio::time::timeout;

use super::{
    arguments::{Arguments, Global},
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
    let mut global = Global {
        namespace: None,
        all_namespaces: false,
        context: None,
        kubeconfig: None,
        output: None,
    };
    let mut command = &command;
    let mut expected: Option<&Arg> = None;
    for word in before {
        if let Some(arg) = expected.take() {
            note(&mut global, arg, word);
        } else if let Some((flag, value)) = word.split_once('=') {
            if let Some(arg) = flag_of(command, flag) {
                note(&mut global, arg, value);
            }
        } else if word.starts_with('-') {
            expected = flag_of(command, word).filter(|arg| arg.get_action().takes_values());
        } else if let Some(below) = command.find_subcommand(word) {
            command = below;
        }
    }
    (global, after(command, expected, partial))
}

fn after(command: &Command, expected: Option<&Arg>, partial: &str) -> Next {
    if let Some(arg) = expected {
        return match arg.get_id().as_str() {
            "kubeconfig" => Next::File,
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

/// The flag `-n` or `--namespace`.
fn flag_of<'a>(command: &'a Command, written: &str) -> Option<&'a Arg> {
    let mut all = command.get_arguments();
    all.find(|arg| match written.strip_prefix("--") {
        Some(long) => arg.get_long() == Some(long),
        None => arg.get_short().map(|short| format!("-{short}")).as_deref() == Some(written),
    })
}

fn note(global: &mut Global, arg: &Arg, value: &str) {
    match arg.get_id().as_str() {
        "namespace" => global.namespace = Some(value.to_owned()),
        "context" => global.context = Some(value.to_owned()),
        "kubeconfig" => global.kubeconfig = Some(PathBuf::from(value)),
        _ => {}
    }
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
