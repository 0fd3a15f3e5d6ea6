//! Tests that need a process of their own: the test program runs itself again for one of its ignored tests.

use std::process::Command;

/// Runs the ignored test `name`, after `prepare` in the shell that becomes its process.
pub(crate) fn run_alone(name: &str, prepare: &str) {
    let program = std::env::current_exe().unwrap();
    let script = format!("{prepare}; exec \"$0\" --exact '{name}' --ignored --nocapture");
    let done = Command::new("sh")
        .arg("-c")
        .arg(script)
        .arg(program)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&done.stdout);
    let complained = String::from_utf8_lossy(&done.stderr);
    assert!(
        done.status.success() && said.contains("1 passed"),
        "{said}\n{complained}"
    );
}
