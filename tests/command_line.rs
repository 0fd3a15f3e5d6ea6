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
