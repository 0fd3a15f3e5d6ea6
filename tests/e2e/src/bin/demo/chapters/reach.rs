//! A quarantined pod can be looked into as before.

use std::process::Stdio;

use anyhow::{Context as _, ensure};
use jiff::Timestamp;
use test_workload::{
    counts::Counts,
    request::{Connection, Target},
};
use tokio::{
    io::{AsyncBufReadExt as _, BufReader, Lines},
    process::{Child, ChildStdout, Command},
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
    let shown: String = last.chars().take(80).collect();
    timeline.quote(&format!("{shown} …"));
    ensure!(
        last.contains("500"),
        "its log does not mention the switch to 500: {log}"
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
    let counts: Counts = serde_json::from_str(&printed).context("read the client's counts")?;
    timeline.quote(&format!("{:?}", counts.by_pod));
    let codes = counts.by_pod.values().flat_map(|codes| codes.keys());
    ensure!(
        codes.copied().collect::<Vec<u16>>() == [500],
        "a client inside it should get 500 alone: {printed}"
    );
    timeline.came_true(
        Timestamp::now(),
        "a program inside it can be run, and sees the fault",
    );

    let forward = Forward::begin(timeline, scene, pod).await?;
    let target: Target = format!("http://127.0.0.1:{}/", forward.port).parse()?;
    let mut connection = Connection::open(&target).await?;
    let answer = connection
        .send(&target, http::Method::GET, String::new(), false)
        .await?;
    let body = String::from_utf8_lossy(&answer.body).trim().to_owned();
    forward.end().await?;
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

/// A running port-forward.
struct Forward {
    kubectl: Child,
    /// On this side.
    port: u16,
    /// kubectl writes a line for each connection, and would end if nobody could read it.
    _output: Lines<BufReader<ChildStdout>>,
}

impl Forward {
    async fn begin(timeline: &Timeline, scene: &Scene, pod: &str) -> anyhow::Result<Self> {
        let arguments = ["-n", scene.namespace.name(), "port-forward", pod, ":8080"];
        timeline.command(&format!("kubectl {}", arguments.join(" ")));
        let mut command = Command::from(scene.stage.cluster.command("kubectl"));
        command
            .args(arguments)
            .stdout(Stdio::piped())
            .kill_on_drop(true);
        let mut kubectl = command.spawn().context("run kubectl port-forward")?;
        let output = kubectl.stdout.take().context("it has no output")?;
        let mut lines = BufReader::new(output).lines();
        let line = timeout(SOON, lines.next_line())
            .await
            .context("kubectl port-forward says nothing")??;
        let line = line.context("kubectl port-forward ended")?;
        timeline.quote(&line);
        let port = port(&line).with_context(|| format!("no port in: {line}"))?;
        Ok(Self {
            kubectl,
            port,
            _output: lines,
        })
    }

    async fn end(mut self) -> anyhow::Result<()> {
        self.kubectl
            .kill()
            .await
            .context("end kubectl port-forward")
    }
}

/// Of a line such as `Forwarding from 127.0.0.1:40123 -> 8080`.
fn port(line: &str) -> Option<u16> {
    let (from, _) = line.split_once(" -> ")?;
    let (_, port) = from.rsplit_once(':')?;
    port.parse().ok()
}
