//! Starts, joins and stops the long-running tasks: the only place that spawns.
//!
//! [`run`] is the agent. A task that ends by itself ends the process: half an agent is worse than none.

mod signals;
mod tasks;

use std::{
    net::SocketAddr,
    path::PathBuf,
    sync::{Arc, atomic::AtomicBool},
    time::Duration,
};

use anyhow::{Context, anyhow};
use futures::{FutureExt, future::BoxFuture};
use kube::Client;
use pod_quarantine_writer::Writer;
use tokio::{
    net::TcpListener,
    signal::unix::{SignalKind, signal},
    sync::{mpsc, watch},
    time::{interval, timeout},
};
use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};

use self::{
    signals::Signals,
    tasks::{TaskEnd, Tasks},
};
use crate::{
    clock::Clock,
    cluster::{
        self, ConnectionFlags, Installation, Kubernetes, LeaderCandidate, Leadership, Reader,
    },
    config,
    decider::{self, Decider, Handles, Inputs, PolicyFileChange, watch_task},
    report::{
        Report, SignalReport, explain, health::Health, http, metrics::Metrics, publisher::publisher,
    },
};

/// The settings from the command line of `run`.
#[derive(Clone, Debug)]
pub struct Settings {
    pub config: PathBuf,
    /// The address that serves `/metrics`, `/healthz` and `/readyz`.
    pub listen: SocketAddr,
    /// The loopback address that explains single pods.
    pub explain: SocketAddr,
    /// `None`: the usual kubeconfig, else the pod's `ServiceAccount`.
    pub kubeconfig: Option<PathBuf>,
    pub context: Option<String>,
    pub namespace: Option<String>,
    /// The namespaces whose pods are watched; empty for those of the whole cluster.
    pub watch_namespaces: Vec<Arc<str>>,
    /// The name of the agent's own pod in Events and in the Lease.
    pub instance: Option<String>,
    /// Whether the agent acts only while it holds the Lease.
    pub leader_elect: bool,
}

/// How often the policy file is read. A ConfigMap's volume swaps a link: no notification is as reliable as reading it.
const RELOAD: Duration = Duration::from_secs(2);

/// How long the decider may take to stop.
const DECIDER_STOP: Duration = Duration::from_millis(600);

/// How long the release of the Lease may take: SIGTERM ends the agent within a second.
const STEP_DOWN: Duration = Duration::from_millis(300);

/// Watch events, and samples, that may queue for the decider; beyond that their senders wait.
const WAITING: usize = 4096;

/// The name of the task that holds the Lease.
const LEAD: &str = "lead";

/// The health check fails if the decider is silent for longer.
const DECIDER_BOUND: Duration = Duration::from_secs(30);

/// The health check fails if a watch is silent for longer: it reports something, if only its failure, at least every
/// 180 s.
const WATCH_BOUND: Duration = Duration::from_mins(5);

/// Questions about pods that may queue for the decider.
const QUESTIONS: usize = 16;

/// Runs until SIGTERM or SIGINT, or until a task ends by itself.
pub async fn run(settings: Settings) -> anyhow::Result<()> {
    let mut terminate = signal(SignalKind::terminate()).context("listen for SIGTERM")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("listen for SIGINT")?;
    let mut agent = tokio::select! {
        agent = Agent::start(settings) => agent?,
        _ = terminate.recv() => return Ok(()),
        _ = interrupt.recv() => return Ok(()),
    };
    let mut reload = interval(RELOAD);
    let end: Result<&str, TaskEnd> = loop {
        tokio::select! {
            end = agent.tasks.next_end() => break Err(end),
            _ = terminate.recv() => break Ok("SIGTERM"),
            _ = interrupt.recv() => break Ok("SIGINT"),
            _ = reload.tick() => agent.reload().await,
        }
    };
    if let Ok(signal) = end {
        info!(signal, "stopping");
    }
    agent.stop().await;
    let Err((name, result)) = end else {
        return Ok(());
    };
    let ended = format!("the task {name:?} ended");
    Err(match result {
        Err(error) => error.context(ended),
        Ok(()) => anyhow!(ended),
    })
}

/// The long-running tasks, and what a new policy file needs.
struct Agent {
    tasks: Tasks,
    signals: Signals,
    files: mpsc::Sender<PolicyFileChange>,
    config: PathBuf,
    /// The text of the policy file when it was last read.
    content: Vec<u8>,
    /// The installation's name. The ledger is named after it, so it cannot change.
    name: Arc<str>,
    metrics: Arc<Metrics>,
    stop: CancellationToken,
    step_down: CancellationToken,
}

impl Agent {
    async fn start(settings: Settings) -> anyhow::Result<Self> {
        let content = tokio::fs::read(&settings.config).await.unwrap_or_default();
        let checked = config::read(&settings.config)?;
        checked.warn();
        let file = Arc::new(checked.file);
        let clock = Clock::new();
        let (client, namespace) = connect(&settings, &clock)?;
        let metrics = Arc::new(Metrics::new().context("register the metrics")?);
        metrics.config_in_force(&checked.hash);
        tell_what_is_not_known(&settings, &metrics);
        let health = Arc::new(Health::default());
        let ready = Arc::new(AtomicBool::new(false));
        let stop = CancellationToken::new();
        let mut tasks = Tasks::default();

        let listener = bind(settings.listen).await?;
        let address = listener.local_addr().context("read the listen address")?;
        let version = env!("CARGO_PKG_VERSION");
        info!(version, %address, namespace, policies = file.policies.len(), "starting");
        let pages = http::Pages {
            metrics: metrics.clone(),
            health: health.clone(),
            ready: ready.clone(),
        };
        tasks.spawn(
            "http",
            async move { Ok(http::serve(listener, pages).await?) },
        );

        let explain_listener = bind(settings.explain).await?;
        let (questions_sender, questions) = mpsc::channel(QUESTIONS);
        tasks.spawn("explain", async move {
            Ok(explain::serve(explain_listener, questions_sender).await?)
        });

        let identity = settings
            .leader_elect
            .then(|| identity(settings.instance.as_deref()));
        let (publisher, publishing) = publisher(client.clone(), settings.instance, metrics.clone());
        tasks.spawn("events", publishing.map(Ok));

        let (event_sender, watch_events) = mpsc::channel(WAITING);
        let installation = Installation {
            own_namespace: &namespace,
            agent: &file.agent,
            namespaces: &settings.watch_namespaces,
        };
        let watches = cluster::watches(&client, installation, &event_sender);
        let kinds = spawn_watches(watches, &mut tasks, &health);
        health.expect(&watch_task(cluster::LEASE), WATCH_BOUND);
        let (leads, leadership) = watch::channel(Leadership::Standby);
        let step_down = CancellationToken::new();
        let candidate = LeaderCandidate {
            identity,
            events: event_sender.clone(),
            leads,
            step_down: step_down.clone(),
        };
        let lead = cluster::lead(&client, &namespace, &file.agent, candidate);
        tasks.spawn(LEAD, lead.map(Ok));

        let (samples_sender, samples) = mpsc::channel(WAITING);
        let signal_report = SignalReport {
            metrics: metrics.clone(),
            health: health.clone(),
        };
        let mut signals = Signals::new(samples_sender, clock.clone(), signal_report);
        let senders = signals.start(&file, &mut tasks);

        let (files, files_receiver) = mpsc::channel(1);
        health.expect(decider::TASK, DECIDER_BOUND);
        let reader = Reader::new(client.clone());
        let api_server = Kubernetes::new(client, &namespace, &file.agent, clock.clone());
        let handles = Handles {
            reader,
            writer: Writer::new(api_server),
            report: Report {
                metrics: metrics.clone(),
                publisher,
            },
            health,
            ready,
            clock,
        };
        let decider = Decider::new(handles, file.clone(), senders, installation, kinds);
        let inputs = Inputs {
            events: watch_events,
            samples,
            files: files_receiver,
            questions,
            leadership,
            stop: stop.clone(),
        };
        tasks.spawn(decider::TASK, decider.run(inputs).map(Ok));
        Ok(Self {
            tasks,
            signals,
            files,
            config: settings.config,
            content,
            name: file.agent.clone(),
            metrics,
            stop,
            step_down,
        })
    }

    /// Reloads the policy file if it has changed. If it has errors, the previous one stays in force.
    async fn reload(&mut self) {
        let content = match tokio::fs::read(&self.config).await {
            Ok(content) if content == self.content => return,
            Ok(content) => content,
            // Reported once: the next read returns the same text.
            Err(_) if self.content.is_empty() => return,
            Err(_) => Vec::new(),
        };
        self.content = content;
        let checked = match config::read(&self.config) {
            Ok(checked) if checked.file.agent == self.name => checked,
            Ok(_) => {
                return self
                    .refuse(&"the agent's name cannot change while it runs")
                    .await;
            }
            Err(mistakes) => return self.refuse(&mistakes).await,
        };
        checked.warn();
        let file = Arc::new(checked.file);
        info!(
            policies = file.policies.len(),
            "the policy file has changed: the new one is in force"
        );
        let senders = self.signals.start(&file, &mut self.tasks);
        // If the decider has ended, that is reported where tasks are joined.
        let _ = self
            .files
            .send(PolicyFileChange::InForce(file, senders))
            .await;
        self.metrics.config_in_force(&checked.hash);
    }

    async fn refuse(&self, why: &(dyn std::fmt::Display + Sync)) {
        self.metrics.reload_failed();
        error!(
            "the policy file has changed and is refused: the previous one stays in force, and nothing new is quarantined\n{why}"
        );
        let _ = self.files.send(PolicyFileChange::Refused).await;
    }

    /// Lets the decider finish the batch in flight, then releases the Lease; everything else is aborted.
    async fn stop(&mut self) {
        self.stop.cancel();
        // Whatever is aborted here is finished, or undone, after a restart.
        let _ = timeout(DECIDER_STOP, self.tasks.wait_for(decider::TASK)).await;
        self.step_down.cancel();
        let _ = timeout(STEP_DOWN, self.tasks.wait_for(LEAD)).await;
    }
}

fn tell_what_is_not_known(settings: &Settings, metrics: &Metrics) {
    let not_known = cluster::not_known(&settings.watch_namespaces);
    metrics.not_watched(not_known.is_some());
    if let Some(not_known) = not_known {
        warn!("{not_known}");
    }
}

/// Starts the watches; gives their names.
fn spawn_watches(
    watches: Vec<(&'static str, BoxFuture<'static, ()>)>,
    tasks: &mut Tasks,
    health: &Health,
) -> Vec<&'static str> {
    let spawn = |(name, watch): (&'static str, BoxFuture<'static, ()>)| {
        health.expect(&watch_task(name), WATCH_BOUND);
        tasks.spawn(&watch_task(name), watch.map(Ok));
        name
    };
    watches.into_iter().map(spawn).collect()
}

async fn bind(listen: SocketAddr) -> anyhow::Result<TcpListener> {
    let listener = http::bind(listen).await;
    listener.with_context(|| format!("listen on {listen}"))
}

/// The client, and the agent's own namespace: as set, else the `ServiceAccount`'s or the context's.
fn connect(settings: &Settings, clock: &Clock) -> anyhow::Result<(Client, String)> {
    let flags = ConnectionFlags {
        kubeconfig: settings.kubeconfig.clone(),
        context: settings.context.clone(),
        ..ConnectionFlags::default()
    };
    let config = cluster::client_config(&flags)?;
    if config.accept_invalid_certs {
        warn!(
            server = %config.cluster_url,
            "the certificate of the API server is not verified, as the kubeconfig says"
        );
    }
    let namespace = settings
        .namespace
        .clone()
        .unwrap_or_else(|| config.default_namespace.clone());
    let client = cluster::client(config, clock).context("build the client")?;
    Ok((client, namespace))
}

/// The holder in the Lease: the agent's pod, so that a restarted container stays the leader; otherwise this process.
fn identity(instance: Option<&str>) -> String {
    let began = jiff::Timestamp::now().as_millisecond();
    match instance {
        Some(pod) => pod.to_owned(),
        None => format!("process-{}-{began}", std::process::id()),
    }
}
