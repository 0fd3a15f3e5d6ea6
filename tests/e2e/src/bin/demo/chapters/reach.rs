//! A quarantined pod can be looked into as before.

use std::process::Stdio;

use anyhow::{Context as _, ensure};
use jiff::Timestamp;
use test_workload::request::{Connection, Target};
use tokio::{
    io::{AsyncBufReadExt as _, BufReader},
    process::{Child, Command},
    time::timeout,
};

use crate::{scene::Scene, timeline::Timeline};

/// How long a port-forward may take to begin.
const SOON: std::time::Duration = std::time::Duration::from_secs(20);

/// `kubectl logs`, `exec` and `port-forward`.
pub(super) async fn reaches(
    timeline: &mut Timeline,
    scene: &Scene,
    pod: &str,
) -> anyhow::Result<()> {
    timeline.chapter("The quarantined pod is still there, to be looked into");
    timeline.cause(
        Timestamp::now(),
        &format!("{pod} gets no traffic, and runs on as it was"),
    );

    let log = scene.kubectl(timeline, &["logs", pod]).await?;
    let last = log.lines().last().unwrap_or_default();
    timeline.quote(last);
    ensure!(
        last.contains("500"),
        "its log does not tell of the switch to 500: {log}"
    );
    timeline.came_true(Timestamp::now(), "its log is there");

    let within = [
        "exec",
        pod,
        "--",
        "/test-workload",
        "client",
        "--url",
        "http://127.0.0.1:8080/",
        "--for",
        "500ms",
        "--control-port",
        "0",
    ];
    let printed = scene.kubectl(timeline, &within).await?;
    timeline.quote(printed.trim());
    ensure!(
        printed.contains(r#""500":"#),
        "a client inside it got no 500: {printed}"
    );
    timeline.came_true(
        Timestamp::now(),
        "a program inside it can be run, and sees the fault",
    );

    let (mut forward, port) = port_forward(timeline, scene, pod).await?;
    let target: Target = format!("http://127.0.0.1:{port}/").parse()?;
    let mut connection = Connection::open(&target).await?;
    let answer = connection
        .send(&target, http::Method::GET, String::new(), false)
        .await?;
    let body = String::from_utf8_lossy(&answer.body).trim().to_owned();
    forward.kill().await?;
    let said = format!("HTTP {}: {body}", answer.status);
    timeline.quote(&said);
    ensure!(
        answer.status.as_u16() == 500 && body.contains(pod),
        "the forwarded port answers {said}, and not 500 from {pod}"
    );
    timeline.came_true(
        Timestamp::now(),
        "its port can be forwarded, and answers 500",
    );
    Ok(())
}

/// A running port-forward, and its port on this side.
async fn port_forward(
    timeline: &Timeline,
    scene: &Scene,
    pod: &str,
) -> anyhow::Result<(Child, u16)> {
    let namespace = scene.namespace.name();
    timeline.command(&format!("kubectl -n {namespace} port-forward {pod} :8080"));
    let mut command = Command::from(scene.stage.cluster.command("kubectl"));
    command
        .args(["-n", namespace, "port-forward", pod, ":8080"])
        .stdout(Stdio::piped())
        .kill_on_drop(true);
    let mut forward = command.spawn().context("run kubectl port-forward")?;
    let output = forward.stdout.take().context("it has no output")?;
    let mut lines = BufReader::new(output).lines();
    let line = timeout(SOON, lines.next_line())
        .await
        .context("kubectl port-forward says nothing")??;
    let line = line.context("kubectl port-forward ended")?;
    timeline.quote(&line);
    // Forwarding from 127.0.0.1:40123 -> 8080
    let port = line
        .split(" -> ")
        .next()
        .and_then(|from| from.rsplit(':').next());
    let port = port.and_then(|port| port.parse().ok());
    Ok((
        forward,
        port.with_context(|| format!("no port in: {line}"))?,
    ))
}
