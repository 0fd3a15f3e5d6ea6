//! The agent's command line: where a mistake in it would open what must stay closed, and what it asks of a running agent.

#![allow(
    clippy::expect_used,
    reason = "a test that meets the unexpected fails, and says where"
)]

use std::process::Command;

use axum::{Router, http::StatusCode, routing::get};
use pod_quarantine::core::text::Fingerprint;

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

/// Serves what an agent with that policy file in force serves; gives the address.
async fn replica(policy: &str, ready: bool) -> String {
    let in_force = Fingerprint::of(policy);
    let metrics = format!("pod_quarantine_config_info{{hash=\"{in_force}\"}} 1\n");
    let ready = if ready {
        (StatusCode::OK, "ok\n")
    } else {
        let why = "not all watches have synced yet\n";
        (StatusCode::SERVICE_UNAVAILABLE, why)
    };
    let pages = Router::new()
        .route("/metrics", get(async move || metrics))
        .route("/readyz", get(async move || ready));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0")
        .await
        .expect("a port");
    let address = listener.local_addr().expect("an address").to_string();
    tokio::spawn(async move { axum::serve(listener, pages).await });
    address
}

#[tokio::test(flavor = "multi_thread")]
async fn a_running_agent_is_asked_for_its_readiness_and_its_policy_file() {
    let policy = "policies: [{ name: a, pods: { matchLabels: { a: b } }, probe: { httpGet: { port: 80 } } }]";
    let file = std::env::temp_dir().join(format!("verify-{}.yaml", std::process::id()));
    std::fs::write(&file, policy).expect("the policy file is written");
    let hash = Fingerprint::of(policy);
    let replicas = [
        (
            replica(policy, true).await,
            Ok(format!(
                "1 replica is ready at ADDRESS, with the policy file {hash} in force"
            )),
        ),
        (
            replica("another", true).await,
            Err(format!(
                "the replica at ADDRESS: the policy file {hash} is not in force"
            )),
        ),
        (
            replica(policy, false).await,
            Err(
                "the replica at ADDRESS: it is not ready: not all watches have synced yet"
                    .to_owned(),
            ),
        ),
        (
            "127.0.0.1:1".to_owned(),
            Err("the replica at ADDRESS: error sending request".to_owned()),
        ),
    ];
    for (address, expected) in replicas {
        let file = file.clone();
        let asked = address.clone();
        let ended = tokio::task::spawn_blocking(move || {
            Command::new(env!("CARGO_BIN_EXE_pod-quarantine"))
                .arg("verify")
                .arg(&file)
                .args(["--agent", &asked, "--timeout", "1s"])
                .output()
                .expect("the command is started")
        });
        let ended = ended.await.expect("the command ends");
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let (said, told) = (text(&ended.stdout), text(&ended.stderr));
        let (code, expected, said) = match expected {
            Ok(expected) => (0, expected, said),
            Err(expected) => (1, expected, told),
        };
        let expected = expected.replace("ADDRESS", &address);
        assert!(said.contains(&expected), "{expected}\n{said}");
        assert_eq!(ended.status.code(), Some(code), "{said}");
    }
    std::fs::remove_file(&file).expect("the policy file is removed");
}
