//! Command lines.

use std::{sync::Arc, time::Duration};

use clap::error::ErrorKind;
use pod_quarantine::plugin::{
    OutputFormat,
    arguments::{AgentArgs, Arguments, PluginCommand, UninstallPods},
};

fn read(line: &str) -> Result<Arguments, ErrorKind> {
    let words = std::iter::once("kubectl-quarantine").chain(line.split_whitespace());
    Arguments::read(words).map_err(|error| error.kind())
}

fn understood(line: &str) -> Arguments {
    read(line).unwrap_or_else(|kind| panic!("{line}: {kind}"))
}

#[test]
fn the_flags_of_kubectl_stand_before_and_after_the_command() {
    for line in [
        "-n shop --context test -o wide list",
        "list --namespace shop --context=test --output=wide",
    ] {
        let global = understood(line).global;
        assert_eq!(global.namespace.as_deref(), Some("shop"));
        assert_eq!(global.connection.context.as_deref(), Some("test"));
        assert_eq!(global.output, Some(OutputFormat::Wide));
    }
    assert!(understood("list -A").global.all_namespaces);
    assert!(understood("ls -A").global.all_namespaces);
}

#[test]
fn every_switch_takes_a_value_as_in_kubectl() {
    for (line, everywhere, watch) in [
        ("list -A --watch", true, true),
        ("list -Aw", true, true),
        ("list -wA -n shop", true, true),
        ("list --all-namespaces=true -w=false", true, false),
        ("list -A=0 --watch=T", false, true),
        ("--all-namespaces=false list", false, false),
    ] {
        let arguments = understood(line);
        assert_eq!(arguments.global.all_namespaces, everywhere, "{line}");
        let PluginCommand::List(list) = arguments.command else {
            panic!("{line}")
        };
        assert_eq!(list.watch, watch, "{line}");
    }
    let PluginCommand::Release(release) = understood("release web-0 --force=false").command else {
        panic!("not release")
    };
    assert!(!release.force);
}

#[test]
fn values_stand_behind_a_letter_with_and_without_a_space() {
    for line in [
        "list -nshop -lapp=web -owide",
        "list -n=shop -l=app=web -o=wide",
        "list -n shop -l app=web -o wide",
        "list -Awnshop --selector app=web --output wide",
    ] {
        let Arguments { global, command } = understood(line);
        assert_eq!(global.namespace.as_deref(), Some("shop"), "{line}");
        assert_eq!(global.output, Some(OutputFormat::Wide), "{line}");
        let PluginCommand::List(list) = command else {
            panic!("{line}")
        };
        assert_eq!(list.selector, "app=web", "{line}");
    }
}

#[test]
fn a_request_may_take_seconds_or_a_duration_or_for_ever() {
    for (line, seconds) in [
        ("list --request-timeout 3", 3),
        ("list --request-timeout=2m", 120),
        ("--request-timeout 0 list", 0),
        ("list --request-timeout 0s", 0),
    ] {
        let timeout = understood(line).global.request_timeout;
        assert_eq!(timeout, Some(Duration::from_secs(seconds)), "{line}");
    }
    assert_eq!(understood("list").global.request_timeout, None);
}

#[test]
fn whom_to_act_as_reaches_the_client() {
    let line = "list --as ann --as-group a --as-group b,c --as-uid 7 --as-user-extra k=v=w --cluster x --user y -s z";
    let flags = understood(line).global.connection.flags();
    assert_eq!(flags.to_user.impersonate.as_deref(), Some("ann"));
    assert_eq!(flags.to_user.impersonate_groups, ["a", "b,c"]);
    assert_eq!(flags.to_user.impersonate_uid.as_deref(), Some("7"));
    assert_eq!(flags.to_user.impersonate_extra, ["k=v=w"]);
    assert_eq!(flags.cluster.as_deref(), Some("x"));
    assert_eq!(flags.user.as_deref(), Some("y"));
    assert_eq!(flags.to_cluster.server.as_deref(), Some("z"));
    assert_eq!(
        understood("list --context=")
            .global
            .connection
            .flags()
            .context,
        None
    );
}

#[test]
fn a_pod_is_named_as_in_kubectl() {
    for text in ["web-0", "pod/web-0", "pods/web-0", "po/web-0"] {
        let PluginCommand::Why(why) = understood(&format!("why {text}")).command else {
            panic!("{text}")
        };
        assert_eq!(why.pod, "web-0");
    }
    for text in ["deployment/web", "pod/", "web/0", "a:b"] {
        let kind = read(&format!("why {text}")).map(|_| ());
        assert_eq!(kind, Err(ErrorKind::ValueValidation), "{text}");
    }
}

#[test]
fn several_pods_may_be_named() {
    let PluginCommand::Release(release) = understood("release web-0 pod/web-1 --force").command
    else {
        panic!("not release")
    };
    assert_eq!(release.pods, ["web-0", "web-1"]);
    assert!(release.force);
    assert_eq!(release.waiting.timeout, Duration::from_secs(30));
}

#[test]
fn a_hold_is_for_ever_or_for_a_time_or_off() {
    let PluginCommand::Hold(hold) = understood("hold web-0 --for 1h30m").command else {
        panic!("not hold")
    };
    assert_eq!(hold.time, Some(Duration::from_mins(90)));
    understood("hold web-0");
    understood("hold web-0 --off");
    for (line, kind) in [
        ("hold web-0 --for 1h --off", ErrorKind::ArgumentConflict),
        ("hold web-0 --for 1M", ErrorKind::ValueValidation),
        ("hold web-0 --for 0s", ErrorKind::ValueValidation),
        ("hold web-0 --for 91d", ErrorKind::ValueValidation),
        ("hold", ErrorKind::MissingRequiredArgument),
    ] {
        assert_eq!(read(line).map(|_| ()), Err(kind), "{line}");
    }
}

#[test]
fn a_pause_names_one_agent() {
    let words = [
        "kubectl-quarantine",
        "pause",
        "--reason",
        " we move the cluster ",
    ];
    let PluginCommand::Pause(pause) = Arguments::read(words).unwrap().command else {
        panic!("not pause")
    };
    assert_eq!(pause.reason, "we move the cluster");
    assert_eq!(pause.agent.namespace, "pod-quarantine");
    assert_eq!(pause.agent.name_or_default(), "default");
    let PluginCommand::Resume(resume) =
        understood("resume --agent-namespace ops --agent b").command
    else {
        panic!("not resume")
    };
    assert_eq!((&*resume.namespace, resume.name_or_default()), ("ops", "b"));
    let long = format!("pause --reason {}", "x".repeat(501));
    for (line, kind) in [
        ("pause", ErrorKind::MissingRequiredArgument),
        ("pause --reason x -n shop", ErrorKind::ArgumentConflict),
        ("resume -A", ErrorKind::ArgumentConflict),
        ("resume web-0", ErrorKind::UnknownArgument),
        (&long, ErrorKind::ValueValidation),
    ] {
        assert_eq!(read(line).map(|_| ()), Err(kind), "{line}");
    }
}

#[test]
fn the_pods_are_kept_where_an_uninstallation_says_nothing_else() {
    let uninstall = |line: &str| match understood(line).command {
        PluginCommand::UninstallPrepare(uninstall) => uninstall,
        other => panic!("{other:?}"),
    };
    assert_eq!(uninstall("uninstall-prepare").pods, UninstallPods::Keep);
    let some = uninstall("uninstall-prepare --watch-namespace shop,blog --watch-namespace shop");
    assert_eq!(some.watched.namespaces(), ["blog", "shop"].map(Arc::from));
    let reap = uninstall("uninstall-prepare --pods reap --timeout 10m");
    assert_eq!(reap.pods, UninstallPods::Reap);
    assert_eq!(reap.timeout, Duration::from_mins(10));
    for (line, kind) in [
        ("uninstall-prepare -n shop", ErrorKind::ArgumentConflict),
        ("uninstall-prepare -A", ErrorKind::ArgumentConflict),
        ("uninstall-prepare --pods delete", ErrorKind::InvalidValue),
        (
            "uninstall-prepare --watch-namespace shop,,blog",
            ErrorKind::ValueValidation,
        ),
        (
            "uninstall-prepare --watch-namespace Shop",
            ErrorKind::ValueValidation,
        ),
        ("uninstall-prepare web-0", ErrorKind::UnknownArgument),
    ] {
        assert_eq!(read(line).map(|_| ()), Err(kind), "{line}");
    }
}

/// The agent that a command is about.
fn agent(command: PluginCommand) -> Option<AgentArgs> {
    match command {
        PluginCommand::List(list) => Some(list.agent),
        PluginCommand::Why(why) => Some(why.agent),
        PluginCommand::Add(add) => Some(add.agent),
        PluginCommand::Release(release) => Some(release.agent),
        PluginCommand::Hold(hold) => Some(hold.agent),
        PluginCommand::Pause(pause) => Some(pause.agent),
        PluginCommand::Resume(agent) => Some(agent),
        PluginCommand::UninstallPrepare(uninstall) => Some(uninstall.agent),
        PluginCommand::UninstallFinish(finish) => Some(finish.agent),
        PluginCommand::Completion { .. } => None,
    }
}

#[test]
fn the_agent_is_named_by_the_same_flags_everywhere() {
    for line in [
        "list",
        "why web-0",
        "add web-0 --reason x",
        "release web-0",
        "hold web-0",
        "pause --reason x",
        "resume",
        "uninstall-prepare",
        "uninstall-finish",
    ] {
        let flags = "--agent-namespace ops --agent b --agent-port 9092";
        let named = agent(understood(&format!("{line} {flags}")).command).unwrap();
        assert_eq!(named.namespace, "ops", "{line}");
        assert_eq!(named.port, 9092, "{line}");
        assert!(named.includes("b") && !named.includes("default"), "{line}");
        let any = agent(understood(line).command).unwrap();
        assert_eq!(any.namespace, "pod-quarantine", "{line}");
        assert!(any.includes("b") && any.includes("default"), "{line}");
    }
}

#[test]
fn contradictory_and_incomplete_lines_are_mistakes() {
    for (line, kind) in [
        ("add web-0", ErrorKind::MissingRequiredArgument),
        ("add --reason x", ErrorKind::MissingRequiredArgument),
        ("why -A web-0", ErrorKind::ArgumentConflict),
        ("list -o table", ErrorKind::InvalidValue),
        ("list -o jsonpath", ErrorKind::InvalidValue),
        ("list -o jsonpath={.a", ErrorKind::ValueValidation),
        ("list --watch=perhaps", ErrorKind::ValueValidation),
        ("list --request-timeout soon", ErrorKind::ValueValidation),
        ("list --as-user-extra x", ErrorKind::ValueValidation),
        ("why web-0 -l app=web", ErrorKind::UnknownArgument),
        ("remove web-0", ErrorKind::InvalidSubcommand),
        (
            "release web-0 --no-wait --timeout 5s",
            ErrorKind::ArgumentConflict,
        ),
        ("completion cmd", ErrorKind::InvalidValue),
    ] {
        assert_eq!(read(line).map(|_| ()), Err(kind), "{line}");
    }
    let empty = ["kubectl-quarantine", "add", "web-0", "--reason", " "];
    let kind = Arguments::read(empty).map_err(|error| error.kind());
    assert_eq!(kind.map(|_| ()), Err(ErrorKind::ValueValidation));
}
