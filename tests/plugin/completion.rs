//! Completions of a command line.

use pod_quarantine::{
    core::keys,
    plugin::completion::{Next, complete, next},
};

fn words(line: &str) -> Vec<String> {
    line.split_whitespace().map(ToOwned::to_owned).collect()
}

/// What comes behind a line that ends with a space.
fn behind(line: &str) -> Next {
    next(&words(line), "").1
}

#[test]
fn pods_are_completed_after_commands_about_pods() {
    for line in ["why", "add --reason x", "-n shop add", "add web-0"] {
        assert_eq!(behind(line), Next::Pod(""), "{line}");
    }
    for line in ["release", "hold --for 4h", "hold --off -n shop"] {
        assert_eq!(behind(line), Next::Pod(keys::STATE), "{line}");
    }
}

#[test]
fn the_flags_before_the_pod_say_where_to_look_for_pods() {
    let (global, _) = next(&words("why -n shop --context=test --kubeconfig /a"), "");
    assert_eq!(global.namespace.as_deref(), Some("shop"));
    assert_eq!(global.connection.context.as_deref(), Some("test"));
    assert_eq!(global.connection.kubeconfig.unwrap().to_str(), Some("/a"));
    for line in [
        "why -nshop",
        "why -n=shop",
        "why -An shop",
        "-nshop -A why",
        "why -Anshop",
    ] {
        let (global, next) = next(&words(line), "");
        assert_eq!(global.namespace.as_deref(), Some("shop"), "{line}");
        assert_eq!(next, Next::Pod(""), "{line}");
    }
    let (global, _) = next(
        &words("why --as ann --as-group=a --as-group b --all-namespaces=false"),
        "",
    );
    assert_eq!(global.connection.as_user.as_deref(), Some("ann"));
    assert_eq!(global.connection.as_groups, ["a", "b"]);
    assert!(!global.all_namespaces);
    assert_eq!(behind("list --kubeconfig"), Next::File);
    assert_eq!(behind("list -n"), Next::Words(Vec::new()));
    assert_eq!(behind("list"), Next::Words(Vec::new()));
}

#[tokio::test]
async fn matching_words_are_offered_and_no_files() {
    for (line, candidates) in [
        (vec!["re"], "release\nresume\n:4\n"),
        (
            vec!["list", "-o", ""],
            "json\nyaml\nname\nwide\njsonpath=\n:4\n",
        ),
        (vec!["release", "--f"], "--force\n:4\n"),
        (vec!["hold", "--off", "--kube"], "--kubeconfig\n:4\n"),
        (
            vec!["add", "web-0", "--agent"],
            "--agent-namespace\n--agent\n--agent-port\n:4\n",
        ),
        (vec!["completion", "z"], "zsh\n:4\n"),
        (vec!["list", "--kubeconfig", ""], ""),
    ] {
        let words: Vec<String> = line.iter().map(|word| (*word).to_owned()).collect();
        assert_eq!(complete(&words).await, candidates, "{line:?}");
    }
}
