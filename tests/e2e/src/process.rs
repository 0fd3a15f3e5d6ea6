//! The agent as a process of the test: it can be ended at any moment, and sees the API server through a [`Gate`].
//!
//! It is the static program of the image and has the rights that `deploy/base` gives, nothing more.

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{ExitStatus, Stdio},
    time::{Duration, Instant},
};

use anyhow::{Context as _, bail, ensure};
use k8s_openapi::api::{
    authentication::v1::{TokenRequest, TokenRequestSpec},
    core::v1::ServiceAccount,
};
use kube::{Api, api::PostParams};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::json;
use test_cluster::{
    build::{Profile, static_binary},
    wait,
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    process::{Child, Command},
    sync::OnceCell,
};

use crate::{Agent, Gate, Metric, Quiet, Stage, agent::series, stage::SOON};

/// How every agent of the tests is started.
const ARGUMENTS: [&str; 5] = ["run", "--listen", "127.0.0.1:0", "--explain", "127.0.0.1:0"];

/// `deploy/base` without a pod of the agent, and its `ServiceAccount`'s token.
pub struct Rights {
    /// The installation: its namespace, its ledger.
    pub agent: Agent,
    /// Signs in as the agent.
    pub token: String,
}

/// A running agent.
pub struct Process {
    /// When it was started.
    pub began: Instant,
    child: Child,
    directory: PathBuf,
    address: SocketAddr,
}

impl Stage {
    /// Installs everything of the agent but its pod into a namespace of its own.
    pub async fn rights(&self, hint: &str) -> anyhow::Result<Rights> {
        Rights::install(self, hint).await
    }

    /// Signs in as a ServiceAccount, for an hour.
    pub async fn token(&self, namespace: &str, account: &str) -> anyhow::Result<String> {
        token(self, namespace, account).await
    }

    /// So many pods that no node runs.
    pub async fn quiet(&self, namespace: &str, replicas: usize) -> anyhow::Result<Quiet> {
        Quiet::start(self, namespace, replicas).await
    }
}

impl Rights {
    async fn install(stage: &Stage, hint: &str) -> anyhow::Result<Self> {
        let agent = Agent::install_idle(stage, hint).await?;
        let token = token(stage, agent.namespace(), "pod-quarantine").await?;
        Ok(Self { agent, token })
    }

    /// Starts an agent with these rights; waits until it knows the cluster.
    pub async fn run(&self, gate: &Gate, policy: &str) -> anyhow::Result<Process> {
        let process = self.start(gate, policy).await?;
        process.ready().await?;
        Ok(process)
    }

    /// Starts an agent with these rights; waits until it listens. It acts, also beside another one of the same
    /// installation: what holds must hold all the same.
    pub async fn start(&self, gate: &Gate, policy: &str) -> anyhow::Result<Process> {
        self.start_with(gate, policy, "--leader-elect=false").await
    }

    /// Starts an agent that acts only while it holds the Lease; waits until it knows the cluster.
    pub async fn run_electing(&self, gate: &Gate, policy: &str) -> anyhow::Result<Process> {
        let process = self.start_with(gate, policy, "--leader-elect").await?;
        process.ready().await?;
        Ok(process)
    }

    async fn start_with(
        &self,
        gate: &Gate,
        policy: &str,
        argument: &str,
    ) -> anyhow::Result<Process> {
        let kubeconfig = json!({
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{ "name": "gate", "cluster": { "server": gate.url() } }],
            "users": [{ "name": "agent", "user": { "token": self.token } }],
            "contexts": [{ "name": "gate", "context": { "cluster": "gate", "user": "agent" } }],
            "current-context": "gate",
        });
        self.start_reaching(policy, argument, &kubeconfig, &[])
            .await
    }

    /// Starts an agent that reaches the API server by that kubeconfig, in that environment; waits until it listens.
    pub async fn start_reaching(
        &self,
        policy: &str,
        argument: &str,
        kubeconfig: &serde_json::Value,
        environment: &[(&str, &str)],
    ) -> anyhow::Result<Process> {
        static COUNT: std::sync::atomic::AtomicU32 = std::sync::atomic::AtomicU32::new(0);
        let count = COUNT.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let program = program().await?;
        let name = format!("{}-{count}", self.agent.namespace());
        let directory = std::env::temp_dir().join(name);
        std::fs::create_dir_all(&directory).context("make the agent's directory")?;
        std::fs::write(directory.join("kubeconfig"), kubeconfig.to_string())?;
        std::fs::write(directory.join("config.yaml"), policy)?;
        let log = std::fs::File::create(directory.join("log"))?;
        let began = Instant::now();
        let child = Command::new(program)
            .args(ARGUMENTS)
            .arg(argument)
            .arg("--kubeconfig")
            .arg(directory.join("kubeconfig"))
            .arg("--config")
            .arg(directory.join("config.yaml"))
            .args(["--namespace", self.agent.namespace()])
            .envs(environment.iter().copied())
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .kill_on_drop(true)
            .spawn()
            .context("start the agent")?;
        let mut process = Process {
            began,
            child,
            directory,
            address: SocketAddr::from(([127, 0, 0, 1], 0)),
        };
        process.address = wait::until("the agent listens", SOON, async || {
            let log = process.log()?;
            listens_on(&log).with_context(|| log.clone())
        })
        .await?;
        Ok(process)
    }
}

/// A token of a `ServiceAccount`, for an hour.
pub(crate) async fn token(stage: &Stage, namespace: &str, account: &str) -> anyhow::Result<String> {
    let accounts: Api<ServiceAccount> = Api::namespaced(stage.client.clone(), namespace);
    let request = TokenRequest {
        spec: TokenRequestSpec {
            expiration_seconds: Some(3600),
            ..TokenRequestSpec::default()
        },
        ..TokenRequest::default()
    };
    let issued = accounts
        .create_token_request(account, &PostParams::default(), &request)
        .await
        .with_context(|| format!("ask for a token of the ServiceAccount {account}"))?;
    let token = issued.status.context("a token request without a token")?;
    Ok(token.token)
}

impl Process {
    /// Waits until it knows the cluster.
    pub async fn ready(&self) -> anyhow::Result<()> {
        wait::until("the agent is ready", SOON, async || {
            self.get("/readyz").await.map(drop)
        })
        .await
    }

    /// SIGKILL. What it has sent is on its way, what it has not sent never will be.
    pub async fn kill(mut self) -> anyhow::Result<()> {
        self.child.kill().await.context("kill the agent")
    }

    /// SIGTERM; gives how it ended and after how long.
    pub async fn terminate(&mut self) -> anyhow::Result<(ExitStatus, Duration)> {
        let began = Instant::now();
        self.signal(Signal::TERM)?;
        let ended = tokio::time::timeout(SOON, self.child.wait()).await;
        let status = ended.context("the agent does not end")??;
        Ok((status, began.elapsed()))
    }

    fn signal(&self, signal: Signal) -> anyhow::Result<()> {
        let pid = self.child.id().context("the agent has ended")?;
        let pid = Pid::from_raw(i32::try_from(pid)?).context("a process without a number")?;
        kill_process(pid, signal).context("send a signal to the agent")
    }

    /// SIGSTOP: it keeps its connections and does nothing.
    pub fn pause(&self) -> anyhow::Result<()> {
        self.signal(Signal::STOP)
    }

    /// Ends [`Process::pause`].
    pub fn resume(&self) -> anyhow::Result<()> {
        self.signal(Signal::CONT)
    }

    /// The text of its log.
    pub fn log(&self) -> anyhow::Result<String> {
        Ok(std::fs::read_to_string(self.log_path())?)
    }

    /// Where its log is; the file goes with this, unless something else links to it.
    #[must_use]
    pub fn log_path(&self) -> PathBuf {
        self.directory.join("log")
    }

    /// How it ended, if it has.
    pub fn ended(&mut self) -> anyhow::Result<Option<ExitStatus>> {
        self.child
            .try_wait()
            .context("ask whether the agent has ended")
    }

    /// Replaces its policy file.
    pub fn set_policy(&self, policy: &str) -> anyhow::Result<()> {
        let new = self.directory.join("config.yaml.new");
        std::fs::write(&new, policy)?;
        Ok(std::fs::rename(new, self.directory.join("config.yaml"))?)
    }

    /// What it answers on a path.
    pub async fn get(&self, path: &str) -> anyhow::Result<String> {
        get(self.address, path).await
    }

    /// The sum of the series of a metric that have all these labels.
    pub async fn sum(&self, name: &str, labels: &[(&str, &str)]) -> anyhow::Result<f64> {
        Ok(sum(&self.get("/metrics").await?, name, labels))
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // A test that failed has said what it saw; with KEEP the agent's log stays.
        if std::env::var_os("KEEP").is_none() {
            let _ = std::fs::remove_dir_all(&self.directory);
        }
    }
}

/// What an address answers on a path, if it is a 200.
pub async fn get(address: SocketAddr, path: &str) -> anyhow::Result<String> {
    let mut stream = TcpStream::connect(address).await?;
    let request = format!("GET {path} HTTP/1.1\r\nHost: agent\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await?;
    let (head, body) = answer.split_once("\r\n\r\n").context("no HTTP answer")?;
    ensure!(head.starts_with("HTTP/1.1 200"), "{answer}");
    Ok(body.to_owned())
}

/// The sum of the series of a metric in the text of a metrics page that have all these labels.
#[must_use]
pub fn sum(text: &str, name: &str, labels: &[(&str, &str)]) -> f64 {
    let name = format!("pod_quarantine_{name}");
    let lines = text.lines().filter_map(|line| line.strip_prefix(&name));
    let wanted = |(series, value): Metric| -> Option<f64> {
        let mut labels = labels.iter();
        let has = labels.all(|(key, value)| series.get(*key).map(String::as_str) == Some(*value));
        has.then_some(value)
    };
    lines.filter_map(series).filter_map(wanted).sum()
}

fn listens_on(log: &str) -> Option<SocketAddr> {
    let (_, rest) = log.split_once("\"address\":\"")?;
    rest.split_once('"')?.0.parse().ok()
}

/// The program, as `prepare` built it for the image.
async fn program() -> anyhow::Result<&'static Path> {
    static PROGRAM: OnceCell<PathBuf> = OnceCell::const_new();
    let build = || async {
        if let Some(program) = std::env::var_os("AGENT_PROGRAM") {
            return Ok(PathBuf::from(program));
        }
        let program = static_binary("pod-quarantine", Profile::Dev).await?;
        if !program.is_file() {
            bail!("{} is not there", program.display());
        }
        Ok(program)
    };
    Ok(PROGRAM.get_or_try_init(build).await?)
}
