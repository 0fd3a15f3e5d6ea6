//! A signal at work, with pods to put before it and samples to take from it.

use std::{
    collections::BTreeMap,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    sync::{Arc, Mutex},
    time::Duration,
};

use jiff::Timestamp;
use pod_quarantine::{
    clock::Clock,
    config,
    core::{
        judge::{Answer, Sample},
        object::{ContainerRun, ObjectKey, Uid},
        policy::{HttpProbe, Policy, PrometheusQuery, PrometheusServer, Signal, Threshold},
    },
    signal::{
        Observer, SignalContext, SignalEvent, SignalTarget, TargetChange,
        probe::{self, Permits},
        prometheus,
    },
};
use tokio::{
    sync::{Semaphore, mpsc},
    task::JoinSet,
    time::timeout,
};

use crate::server::Server;

/// Longer than anything here takes; a test that waits this long has failed.
pub(crate) const LONG: Duration = Duration::from_secs(10);

const POLICIES: &str = "
prometheus: { url: 'http://127.0.0.1:1' }
policies:
  - name: web-probe
    pods: { matchLabels: { app: web } }
    probe: { httpGet: { path: /healthz, port: 8080 }, periodSeconds: 1 }
  - name: web-query
    pods: { matchLabels: { app: web } }
    prometheus: { query: up, above: 0.05, interval: 1s, for: 1s }
";

fn policy(name: &str) -> (Arc<Policy>, PrometheusServer) {
    let file = config::parse("test", POLICIES).expect("policies").file;
    let policy = file.policy(name).expect("the policy").clone();
    (policy, file.prometheus.expect("the server"))
}

/// A probe that asks often: every 100 ms, for at most 100 ms.
pub(crate) fn quick_probe() -> HttpProbe {
    let Signal::Probe(mut probe) = policy("web-probe").0.signal.clone() else {
        panic!("not a probe")
    };
    probe.period = Duration::from_millis(100);
    probe.timeout = Duration::from_millis(100);
    probe
}

/// A query that is asked every 100 ms, of this server.
pub(crate) fn quick_query(server: &Server) -> (PrometheusQuery, PrometheusServer) {
    query_of(&format!("http://{}", server.address))
}

pub(crate) fn query_of(url: &str) -> (PrometheusQuery, PrometheusServer) {
    let (policy, mut server) = policy("web-query");
    let Signal::Prometheus(mut query) = policy.signal.clone() else {
        panic!("not a query")
    };
    query.interval = Duration::from_millis(100);
    query.threshold = Threshold::Above(0.05);
    url.clone_into(&mut server.url);
    (query, server)
}

/// A pod that listens there, of the uid `uid-NAME`.
pub(crate) fn pod(name: &str, address: SocketAddr) -> SignalTarget {
    SignalTarget {
        pod: ObjectKey::new("shop", name),
        uid: format!("uid-{name}").into(),
        address: Some(address.ip()),
        port: Some(address.port()),
        run: Some(running(ago(3600))),
    }
}

/// The run of a container since then.
pub(crate) fn running(since: Timestamp) -> ContainerRun {
    ContainerRun { since, restarts: 0 }
}

/// A pod that nobody asks itself.
pub(crate) fn silent_pod(name: &str) -> SignalTarget {
    pod(name, SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 1))
}

/// What an observer received.
#[derive(Clone, Debug, Default)]
pub(crate) struct Observed {
    pub(crate) probes: usize,
    pub(crate) queries: Vec<Duration>,
    pub(crate) errors: BTreeMap<&'static str, usize>,
    pub(crate) remarks: BTreeMap<&'static str, usize>,
    pub(crate) successes: usize,
    pub(crate) beats: Vec<std::time::Instant>,
}

#[derive(Default)]
struct Recorder(Mutex<Observed>);

impl Observer for Recorder {
    fn observe(&self, policy: &str, event: SignalEvent) {
        let mut observed = self.0.lock().unwrap();
        match event {
            SignalEvent::Probe(_) => {
                assert_eq!(policy, "web-probe");
                observed.probes += 1;
            }
            SignalEvent::Query(took) => {
                assert_eq!(policy, "web-query");
                observed.queries.push(took);
            }
            SignalEvent::Success => observed.successes += 1,
            SignalEvent::Remark(remark) => {
                *observed.remarks.entry(remark.as_str()).or_default() += 1;
            }
            SignalEvent::Error(cause) => *observed.errors.entry(cause.as_str()).or_default() += 1,
        }
    }

    fn beat(&self, task: &str) {
        assert!(task.starts_with("signal web-"), "{task}");
        let now = std::time::Instant::now();
        self.0.lock().unwrap().beats.push(now);
    }
}

/// A running signal; it ends when dropped.
pub(crate) struct Rig {
    targets: mpsc::UnboundedSender<TargetChange>,
    samples: mpsc::Receiver<Sample>,
    recorder: Arc<Recorder>,
    tasks: JoinSet<String>,
    clock: Clock,
}

impl Rig {
    pub(crate) fn probe(probe: HttpProbe) -> Self {
        Self::probe_with(probe, Arc::new(Semaphore::new(100)), 1000)
    }

    /// With these permits, and room for so many samples that nobody has taken yet.
    pub(crate) fn probe_with(probe: HttpProbe, permits: Arc<Semaphore>, room: usize) -> Self {
        Self::probe_permits(probe, Permits::new(permits, 1000), room)
    }

    /// With these permits and shares.
    pub(crate) fn probe_permits(probe: HttpProbe, permits: Permits, room: usize) -> Self {
        Self::start("web-probe", room, |context| async move {
            probe::run(context, probe, permits)
                .await
                .unwrap_err()
                .to_string()
        })
    }

    pub(crate) fn query((query, server): (PrometheusQuery, PrometheusServer)) -> Self {
        Self::start("web-query", 1000, |context| async move {
            prometheus::run(context, query, server)
                .await
                .unwrap_err()
                .to_string()
        })
    }

    fn start<F>(name: &str, room: usize, run: impl FnOnce(SignalContext) -> F) -> Self
    where
        F: Future<Output = String> + Send + 'static,
    {
        let (targets, changes) = mpsc::unbounded_channel();
        let (output, samples) = mpsc::channel(room);
        let recorder = Arc::new(Recorder::default());
        let mut tasks = JoinSet::new();
        let clock = Clock::new();
        tasks.spawn(run(SignalContext {
            policy: policy(name).0,
            targets: changes,
            samples: output,
            clock: clock.clone(),
            observer: recorder.clone(),
        }));
        Self {
            targets,
            samples,
            recorder,
            tasks,
            clock,
        }
    }

    pub(crate) fn put(&self, target: SignalTarget) {
        self.targets
            .send(TargetChange::Put(target))
            .expect("the signal runs");
    }

    pub(crate) fn remove(&self, uid: &str) {
        self.targets
            .send(TargetChange::Remove(uid.into()))
            .expect("the signal runs");
    }

    /// The next sample.
    pub(crate) async fn sample(&mut self) -> Sample {
        let sample = timeout(LONG, self.samples.recv()).await;
        sample.expect("a sample").expect("the signal runs")
    }

    /// The next sample, and how long ago its pod was asked.
    pub(crate) async fn sample_and_age(&mut self) -> (Sample, Duration) {
        let sample = self.sample().await;
        let age = self.clock.now().moment.saturating_sub(sample.asked);
        (sample, age)
    }

    /// The next sample's answer and what it saw.
    pub(crate) async fn answer(&mut self) -> (Answer, String) {
        let sample = self.sample().await;
        (sample.answer, sample.saw.to_string())
    }

    /// The same, of a probe that may take longer than anything else here.
    pub(crate) async fn patient_answer(&mut self) -> (Answer, String) {
        let sample = timeout(6 * LONG, self.samples.recv()).await;
        let sample = sample.expect("a sample").expect("the signal runs");
        (sample.answer, sample.saw.to_string())
    }

    /// Drops the samples that are there.
    pub(crate) fn forget(&mut self) {
        while self.samples.try_recv().is_ok() {}
    }

    /// All samples of a time.
    pub(crate) async fn samples_for(&mut self, time: Duration) -> Vec<Sample> {
        let mut samples = Vec::new();
        let end = tokio::time::Instant::now() + time;
        while let Ok(sample) = tokio::time::timeout_at(end, self.samples.recv()).await {
            samples.push(sample.expect("the signal runs"));
        }
        samples
    }

    /// The next sample of each of so many pods.
    pub(crate) async fn round(&mut self, pods: usize) -> BTreeMap<Uid, (Answer, String)> {
        let mut round = BTreeMap::new();
        while round.len() < pods {
            let sample = self.sample().await;
            round.insert(sample.pod, (sample.answer, sample.saw.to_string()));
        }
        round
    }

    pub(crate) fn observed(&self) -> Observed {
        self.recorder.0.lock().unwrap().clone()
    }

    /// Ends what the agent would end, and returns what the signal says to it.
    pub(crate) async fn end_without_targets(self) -> String {
        let Self {
            targets, mut tasks, ..
        } = self;
        drop(targets);
        ended(&mut tasks).await
    }

    pub(crate) async fn end_without_a_receiver(self) -> String {
        let Self {
            targets,
            samples,
            mut tasks,
            ..
        } = self;
        drop(samples);
        let end = ended(&mut tasks).await;
        drop(targets);
        end
    }
}

async fn ended(tasks: &mut JoinSet<String>) -> String {
    let ended = timeout(LONG, tasks.join_next()).await.expect("an end");
    ended.expect("a task").expect("no panic")
}

/// A time so many seconds ago.
pub(crate) fn ago(seconds: i64) -> Timestamp {
    Timestamp::now() - jiff::SignedDuration::from_secs(seconds)
}
