//! The program as a process: signals, exit codes, environment, one-shot commands.

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, ChildStdout, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use test_workload::counts::Counts;

use crate::wire::{LONG, SHORT, get, server};

const PROGRAM: &str = env!("CARGO_BIN_EXE_test-workload");

/// A process that does not outlive its test.
struct Running(Child);

impl Running {
    fn start(command: &mut Command) -> Self {
        Self(command.stdout(Stdio::piped()).spawn().unwrap())
    }

    fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.0), signal).unwrap();
    }

    fn ended_within(&mut self, time: Duration) -> Option<ExitStatus> {
        let deadline = Instant::now() + time;
        loop {
            let ended = self.0.try_wait().unwrap();
            if ended.is_some() || Instant::now() > deadline {
                return ended;
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A server on free ports, and where they are.
struct Pod {
    process: Running,
    log: BufReader<ChildStdout>,
    traffic: SocketAddr,
    control: SocketAddr,
}

impl Pod {
    fn start(environment: &[(&str, &str)]) -> Self {
        let mut command = Command::new(PROGRAM);
        command.arg("serve").env("BIND", "127.0.0.1");
        command.env("PORT", "0").env("CONTROL_PORT", "0");
        command.envs(environment.iter().copied());
        let mut process = Running::start(&mut command);
        let mut log = BufReader::new(process.0.stdout.take().unwrap());
        let line = next_line(&mut log);
        let (traffic, control) = line.split_once(", ").expect(&line);
        Self {
            process,
            log,
            traffic: traffic.trim_start_matches("traffic on ").parse().unwrap(),
            control: control.trim_start_matches("control on ").parse().unwrap(),
        }
    }
}

fn next_line(log: &mut BufReader<ChildStdout>) -> String {
    let mut line = String::new();
    log.read_line(&mut line).unwrap();
    line.trim_end().to_owned()
}

fn switch(to: SocketAddr, behaviour: &str) -> std::process::Output {
    let mut command = Command::new(PROGRAM);
    command.args(["switch", "--to", &format!("http://{to}"), behaviour]);
    command.output().unwrap()
}

#[tokio::test]
async fn the_environment_says_how_a_pod_starts() {
    let pod = Pod::start(&[("BEHAVIOUR", "418"), ("POD_NAME", "from-env")]);
    let reply = get(pod.traffic, "/").await;
    assert_eq!(reply.status, 418);
    assert_eq!(reply.body, "pod: from-env\n");
}

#[tokio::test]
async fn a_pod_without_a_name_says_its_host_name() {
    let pod = Pod::start(&[]);
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap();
    let reply = get(pod.traffic, "/").await;
    assert_eq!(reply.body, format!("pod: {host}"));
}

#[test]
fn a_wrong_behaviour_in_the_environment_ends_the_pod_with_the_reason() {
    let mut command = Command::new(PROGRAM);
    let output = command
        .arg("serve")
        .env("BEHAVIOUR", "sick")
        .output()
        .unwrap();
    assert!(!output.status.success());
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains("`sick`"), "{said}");
}

#[test]
fn sigterm_ends_a_pod_at_once_with_a_request_in_flight() {
    let mut pod = Pod::start(&[("BEHAVIOUR", "hang")]);
    let mut stream = std::net::TcpStream::connect(pod.traffic).unwrap();
    std::io::Write::write_all(&mut stream, b"GET / HTTP/1.1\r\nhost: x\r\n\r\n").unwrap();
    std::thread::sleep(SHORT);
    pod.process.signal(Signal::TERM);
    let ended = pod.process.ended_within(Duration::from_secs(1));
    assert_eq!(ended.expect("an end").code(), Some(0));
}

#[test]
fn sigterm_is_ignored_if_the_environment_says_so() {
    let mut pod = Pod::start(&[("IGNORE_SIGTERM", "true")]);
    pod.process.signal(Signal::TERM);
    assert_eq!(next_line(&mut pod.log), "ignored SIGTERM");
    assert_eq!(pod.process.ended_within(SHORT), None);
    pod.process.signal(Signal::INT);
    assert!(pod.process.ended_within(LONG).expect("an end").success());
}

#[tokio::test]
async fn a_switch_changes_a_pod_and_the_pod_logs_one_line() {
    let mut pod = Pod::start(&[]);
    let output = switch(pod.control, r#"{"traffic": {"answer": {"status": 500}}}"#);
    assert!(output.status.success(), "{output:?}");
    assert_eq!(get(pod.traffic, "/").await.status, 500);
    let line = next_line(&mut pod.log);
    assert!(line.starts_with("switched to {"), "{line}");
    assert!(line.contains(r#"{"status":500}"#), "{line}");
    assert!(switch(pod.control, "ok").status.success());
    assert_eq!(get(pod.traffic, "/").await.status, 200);
    let line = next_line(&mut pod.log);
    assert!(!line.contains("500"), "{line}");
}

#[test]
fn a_switch_fails_if_no_pod_listens() {
    let pod = Pod::start(&[]);
    let control = pod.control;
    drop(pod);
    let output = switch(control, "ok");
    assert!(!output.status.success());
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains("refused"), "{said}");
}

#[tokio::test]
async fn a_bounded_client_prints_its_counts_and_ends() {
    let server = server("ok").await;
    let url = format!("http://{}/", server.traffic);
    let mut command = tokio::process::Command::new(PROGRAM);
    command.args(["client", "--url", &url, "--for", "300ms", "--rate", "20"]);
    let output = command.env("CONTROL_PORT", "0").output().await.unwrap();
    assert!(output.status.success(), "{output:?}");
    let counts: Counts = serde_json::from_slice(&output.stdout).unwrap();
    assert!(counts.by_pod["web-1"][&200] >= 1, "{counts:?}");
}

#[test]
fn pause_collects_orphaned_processes_and_ends_on_sigterm() {
    // The shell becomes the pause program, which so has a child that it never started.
    let script = format!("sleep 0.3 & echo $!; exec {PROGRAM} pause");
    let mut process = Running::start(Command::new("sh").args(["-c", &script]));
    let mut log = BufReader::new(process.0.stdout.take().unwrap());
    let child = format!("/proc/{}", next_line(&mut log));
    assert!(Path::new(&child).exists());
    let deadline = Instant::now() + LONG;
    while Path::new(&child).exists() {
        assert!(Instant::now() < deadline, "{child} is still there");
        std::thread::sleep(Duration::from_millis(20));
    }
    assert_eq!(process.ended_within(SHORT), None);
    process.signal(Signal::TERM);
    let ended = process.ended_within(Duration::from_secs(1));
    assert_eq!(ended.expect("an end").code(), Some(0));
}
