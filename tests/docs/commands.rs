//! `docs/commands.md` has every command and flag, and no other; what any page shows of them is understood.

use std::{collections::BTreeSet, process::Command as Process};

use clap::{Arg, Command, CommandFactory};
use pod_quarantine::plugin::arguments::Arguments;

use crate::page::{all_pages, page, quoted};

/// The flags of a text: `--timeout` of `--timeout 30s`.
fn flags(text: &str) -> BTreeSet<String> {
    quoted(text)
        .filter_map(|word| word.split([' ', '=']).next())
        .filter(|word| word.starts_with("--"))
        .map(str::to_owned)
        .collect()
}

fn long(arg: &Arg) -> Option<String> {
    let long = arg
        .get_long()
        .filter(|long| !["help", "version"].contains(long));
    long.map(|long| format!("--{long}"))
}

/// The flags of a command that are its own.
fn own_flags(command: &Command) -> BTreeSet<String> {
    let args = command.get_arguments();
    let own = args.filter(|arg| !is_about_agent(arg) && !arg.is_global_set());
    own.filter_map(long).collect()
}

fn is_about_agent(arg: &Arg) -> bool {
    arg.get_help_heading() == Some("Agent")
}

fn default(arg: &Arg) -> Option<String> {
    let default = arg.get_default_values().first()?;
    Some(format!("`{}`", default.to_str().unwrap()))
}

#[test]
fn every_command_of_the_plugin_is_there_with_its_flags_and_no_other() {
    let plugin = Arguments::command();
    let rows = page("docs/commands.md")
        .section("## The kubectl plugin")
        .rows("command");
    let names = |row: &Vec<String>| quoted(&row[0]).next().unwrap().to_owned();
    let listed: BTreeSet<String> = rows
        .iter()
        .map(|row| names(row).split(' ').next().unwrap().to_owned())
        .collect();
    let known: BTreeSet<String> = plugin
        .get_subcommands()
        .map(|command| command.get_name().to_owned())
        .collect();
    assert_eq!(listed, known);
    for row in &rows {
        let name = names(row);
        let command = plugin
            .find_subcommand(name.split(' ').next().unwrap())
            .unwrap();
        assert_eq!(flags(&row[1]), own_flags(command), "{name}");
        for arg in command.get_arguments().filter(|arg| !is_about_agent(arg)) {
            if let (Some(long), Some(default)) = (long(arg), default(arg)) {
                let shown = format!("`{long} {}", default.trim_start_matches('`'));
                assert!(row[1].contains(&shown), "{name}: {shown}");
            }
            let is_required = arg.is_required_set() && arg.get_long().is_some();
            assert!(!is_required || row[1].contains("(required)"), "{name}");
        }
        for alias in command.get_visible_aliases() {
            assert!(row[0].contains(&format!("`{alias}`")), "{name}: {alias}");
        }
    }
}

#[test]
fn the_flags_of_every_command_are_there_and_no_other() {
    let plugin = Arguments::command();
    let rows = page("docs/commands.md").rows("flag of every command");
    let globals = plugin.get_arguments().filter(|arg| arg.is_global_set());
    let mut known = BTreeSet::new();
    for arg in globals {
        let long = long(arg).unwrap();
        let row = rows
            .iter()
            .find(|row| flags(&row[0]).contains(&long))
            .unwrap();
        if let Some(short) = arg.get_short() {
            assert!(row[0].contains(&format!("`-{short}`")), "{long}");
        }
        for value in arg.get_possible_values() {
            let word = format!("`{}`", value.get_name());
            assert!(
                !arg.get_action().takes_values() || row[2].contains(&word),
                "{word}"
            );
        }
        known.insert(long);
    }
    let listed: BTreeSet<String> = rows.iter().flat_map(|row| flags(&row[0])).collect();
    assert_eq!(listed, known);
}

#[test]
fn the_flags_about_the_agent_are_those_of_every_command_but_completion() {
    let plugin = Arguments::command();
    let rows = page("docs/commands.md").rows("flag about the agent");
    let listed: BTreeSet<String> = rows.iter().flat_map(|row| flags(&row[0])).collect();
    for command in plugin.get_subcommands() {
        let about_agent = command.get_arguments().filter(|arg| is_about_agent(arg));
        let about_agent: Vec<&Arg> = about_agent.collect();
        if command.get_name() == "completion" {
            assert!(about_agent.is_empty());
            continue;
        }
        let known: BTreeSet<String> = about_agent.iter().filter_map(|arg| long(arg)).collect();
        assert_eq!(listed, known, "{}", command.get_name());
        for arg in about_agent {
            let long = long(arg).unwrap();
            let row = rows
                .iter()
                .find(|row| flags(&row[0]).contains(&long))
                .unwrap();
            let default = default(arg).unwrap_or_default();
            assert!(row[1].contains(&default), "{long}: {default}");
        }
    }
}

/// What the agent prints of itself.
fn help(words: &[&str]) -> String {
    let program = env!("CARGO_BIN_EXE_pod-quarantine");
    let ended = Process::new(program).args(words).arg("--help").output();
    String::from_utf8(ended.unwrap().stdout).unwrap()
}

#[test]
fn every_command_of_the_agent_is_there_and_no_other() {
    let help = help(&[]);
    let (_, commands) = help.split_once("\nCommands:\n").unwrap();
    let (commands, _) = commands.split_once("\n\n").unwrap();
    let known = commands
        .lines()
        .map(|line| line.split_whitespace().next().unwrap());
    let known: BTreeSet<&str> = known.filter(|name| *name != "help").collect();
    let rows = page("docs/commands.md")
        .section("## The agent")
        .rows("command");
    let listed: BTreeSet<&str> = rows
        .iter()
        .map(|row| quoted(&row[0]).next().unwrap().split(' ').nth(1).unwrap())
        .collect();
    assert_eq!(listed, known);
}

#[test]
fn every_flag_of_the_agent_is_there_with_its_default_and_no_other() {
    let help = help(&["run"]);
    let mut known = BTreeSet::new();
    let rows = page("docs/commands.md").rows("flag of `run`");
    for line in help.lines().filter(|line| line.starts_with("      --")) {
        let flag = line.split_whitespace().next().unwrap();
        known.insert(flag.to_owned());
        let row = rows.iter().find(|row| flags(&row[0]).contains(flag));
        let row = row.unwrap_or_else(|| panic!("{flag} is missing"));
        if let Some((_, rest)) = line.split_once("[default: ") {
            // `[::]:9090` has brackets of its own.
            let end = rest.find("] [").unwrap_or(rest.rfind(']').unwrap());
            assert_eq!(row[1], format!("`{}`", &rest[..end]), "{flag}");
        }
    }
    let listed: BTreeSet<String> = rows.iter().flat_map(|row| flags(&row[0])).collect();
    assert_eq!(listed, known);
}

#[test]
fn the_exit_codes_are_those_of_the_help() {
    let plugin = Arguments::command();
    let said = plugin.get_after_help().unwrap().to_string();
    let section = page("docs/commands.md").section("## The kubectl plugin");
    assert!(section.flat().contains(&said), "{said}");
}

/// The words of a command line, as a shell parts them; what comes behind a `#` or a `>` is none of them.
fn words(line: &str) -> Vec<String> {
    let mut words: Vec<String> = Vec::new();
    let mut quoted = false;
    for piece in line.split_whitespace() {
        if !quoted && (piece.starts_with('#') || piece == ">") {
            break;
        }
        let text = piece.replace('"', "");
        match words.last_mut() {
            Some(last) if quoted => *last = format!("{last} {text}"),
            _ => words.push(text),
        }
        quoted ^= piece.matches('"').count() == 1;
    }
    words
}

#[test]
fn every_command_of_the_plugin_that_is_shown_is_understood() {
    let mut shown = BTreeSet::new();
    for page in all_pages() {
        for line in page.commands() {
            let Some(line) = line.strip_prefix("kubectl quarantine ") else {
                continue;
            };
            let words = words(&format!("kubectl-quarantine {line}"));
            let read = Arguments::read(&words);
            read.unwrap_or_else(|mistake| panic!("{}: {line}: {mistake}", page.path.display()));
            if page.path.ends_with("commands.md") {
                shown.insert(words[1].clone());
            }
        }
    }
    let plugin = Arguments::command();
    let all: BTreeSet<String> = plugin
        .get_subcommands()
        .map(|command| command.get_name().to_owned())
        .collect();
    assert_eq!(shown, all);
    assert_eq!(
        words("add web --reason \"wrong prices, ask Ann\"   # now"),
        ["add", "web", "--reason", "wrong prices, ask Ann"]
    );
}
