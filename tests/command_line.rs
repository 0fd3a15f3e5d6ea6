//! The agent's command line, where a mistake in it would open what must stay closed.

use std::process::Command;

#[test]
fn pods_are_explained_on_the_loopback_only() {
    for address in [
        "0.0.0.0:9091",
        "[::]:9091",
        "10.0.0.1:9091",
        "localhost",
        "9091",
    ] {
        let ended = Command::new(env!("CARGO_BIN_EXE_pod-quarantine"))
            .args(["run", "--config", "/nowhere", "--explain", address])
            .output()
            .expect("the agent is started");
        let said = String::from_utf8_lossy(&ended.stderr);
        assert_eq!(ended.status.code(), Some(2), "{address}: {said}");
        assert!(said.contains("such as 127.0.0.1:9091"), "{address}: {said}");
    }
}

/// A file and a pipe are read by programs.
#[test]
fn a_log_that_no_terminal_shows_has_no_colours() {
    let file = std::env::temp_dir().join(format!("command-line-{}.yaml", std::process::id()));
    let policy = "policies: [{ name: a, pods: { matchLabels: { a: b } }, probe: { httpGet: { port: 80 } } }]";
    std::fs::write(&file, policy).expect("the policy file is written");
    let ended = Command::new(env!("CARGO_BIN_EXE_pod-quarantine"))
        .args(["run", "--log", "text", "--config"])
        .arg(&file)
        .env_remove("KUBERNETES_SERVICE_HOST")
        .env("KUBECONFIG", "/nowhere")
        .output()
        .expect("the agent is started");
    std::fs::remove_file(&file).expect("the policy file is removed");
    let log = String::from_utf8_lossy(&ended.stdout);
    assert!(log.contains("ERROR"), "{log}");
    assert!(!log.contains('\u{1b}'), "{log:?}");
}
