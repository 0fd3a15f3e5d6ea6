//! The only task that decides: it owns the view, the judge and the state, receives all watch events and samples, and
//! gives the writer one batch of writes at a time.

mod answer;
mod background;

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use self::background::Background;
use futures::{
    StreamExt,
    future::{BoxFuture, FutureExt, OptionFuture},
    stream::FuturesUnordered,
};
use pod_quarantine_writer::{Effect, Outcome, Writer};
use tokio::{
    sync::{mpsc, watch},
    time::{MissedTickBehavior, interval, timeout},
};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::{
    clock::Clock,
    cluster::{Installation, Kubernetes, Leadership, Reader, WatchEvent, WatchState},
    core::{
        decide::{Doubt, State, decide},
        judge::{Judge, Sample},
        object::ObjectKey,
        policy::PolicyFile,
        view::{Update, View},
        write::Act,
    },
    report::{Report, explain::Question, health::Health, metrics::StateNow},
    targets::{Senders, Targets},
};

/// The decider's name in [`Health`].
pub const TASK: &str = "decide";

/// How often a decision is made without events: TTLs and timeouts expire.
const TICK: Duration = Duration::from_secs(1);

/// How many decisions there may be within one tick because a pod or the ledger had changed. A pod that was written every
/// 30 ms needed two tries at the 95th percentile.
const TRIES: u32 = 3;

/// How long the batch in flight may still take when the agent stops.
const LAST_WRITES: Duration = Duration::from_millis(500);

/// Watch events, or samples, received at once.
const BATCH: usize = 1024;

/// What the decider receives.
pub struct Inputs {
    pub events: mpsc::Receiver<WatchEvent>,
    pub samples: mpsc::Receiver<Sample>,
    /// Changes of the policy file.
    pub files: mpsc::Receiver<PolicyFileChange>,
    pub leadership: watch::Receiver<Leadership>,
    /// What people ask about single pods.
    pub questions: mpsc::Receiver<Question>,
    /// Cancelled when the decider is to stop.
    pub stop: CancellationToken,
}

/// The policy file has changed.
pub enum PolicyFileChange {
    /// The new file is in force, with its signals.
    InForce(Arc<PolicyFile>, Senders),
    /// The new file is refused: what people want now is not known.
    Refused,
}

/// What the decider acts on.
pub struct Handles {
    /// Looks up what no watch reports.
    pub reader: Reader,
    pub writer: Writer<Kubernetes>,
    pub report: Report,
    /// Receives the heartbeats of the decider and the watches.
    pub health: Arc<Health>,
    /// Set once all watches have synced.
    pub ready: Arc<AtomicBool>,
    pub clock: Clock,
}

pub struct Decider {
    handles: Handles,
    file: Arc<PolicyFile>,
    view: View,
    judge: Judge,
    state: State,
    targets: Targets,
    watches: BTreeMap<&'static str, WatchState>,
    synced: bool,
    leads: bool,
    /// Whether the latest policy file was refused.
    file_refused: bool,
    in_flight: Option<BoxFuture<'static, Outcome>>,
    /// No decision waits for these tasks.
    background: FuturesUnordered<BoxFuture<'static, Background>>,
    tries: u32,
}

impl Decider {
    /// A decider with an empty view. `kinds` are those of all watches.
    #[must_use]
    pub fn new(
        handles: Handles,
        file: Arc<PolicyFile>,
        senders: Senders,
        installation: Installation<'_>,
        kinds: impl IntoIterator<Item = &'static str>,
    ) -> Self {
        let mut view = View::new(installation.own_namespace);
        view.watched_namespaces = installation.namespaces.iter().cloned().collect();
        let unsynced = |kind| {
            let why = format!("the {kind} were not read yet");
            (kind, WatchState::OutOfSync(why))
        };
        let mut decider = Self {
            handles,
            file: file.clone(),
            view,
            judge: Judge::default(),
            state: State::default(),
            targets: Targets::default(),
            watches: kinds.into_iter().map(unsynced).collect(),
            synced: false,
            leads: false,
            file_refused: false,
            in_flight: None,
            background: FuturesUnordered::new(),
            tries: 0,
        };
        decider.set_file(file, senders);
        decider.update_staleness();
        decider
    }

    /// Decides until [`Inputs::stop`] is cancelled; then the batch in flight may end.
    pub async fn run(mut self, mut inputs: Inputs) {
        let mut tick = interval(TICK);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut events = Vec::new();
        let mut samples = Vec::new();
        loop {
            tokio::select! {
                biased;
                () = inputs.stop.cancelled() => break,
                Some(outcome) = OptionFuture::from(self.in_flight.as_mut()) => self.on_outcome(outcome),
                Some(background) = self.background.next() => self.on_background(background),
                _ = tick.tick() => self.tick(),
                Some(change) = inputs.files.recv() => self.change_file(change),
                Ok(()) = inputs.leadership.changed() => {}
                Some(question) = inputs.questions.recv() => self.answer(question),
                count = inputs.events.recv_many(&mut events, BATCH) => {
                    if count == 0 {
                        break;
                    }
                    for event in events.drain(..) {
                        self.handle_watch_event(event);
                    }
                    // However many events come: without samples nothing is judged.
                    for _ in 0..BATCH {
                        let Ok(sample) = inputs.samples.try_recv() else { break };
                        self.record_sample(&sample);
                    }
                }
                _ = inputs.samples.recv_many(&mut samples, BATCH) => {
                    for sample in samples.drain(..) {
                        self.record_sample(&sample);
                    }
                }
            }
            let leads = inputs.leadership.borrow().acts();
            if leads != self.leads {
                self.set_leads(leads);
            }
            self.decide();
        }
        if let Some(in_flight) = self.in_flight.take()
            && let Ok(outcome) = timeout(LAST_WRITES, in_flight).await
        {
            self.on_outcome(outcome);
        }
    }

    fn change_file(&mut self, change: PolicyFileChange) {
        match change {
            PolicyFileChange::InForce(file, senders) => {
                self.file_refused = false;
                self.set_file(file, senders);
            }
            PolicyFileChange::Refused => self.file_refused = true,
        }
    }

    /// Begins to act, or stops: then the batch in flight is aborted, and the next leader continues from what was written.
    fn set_leads(&mut self, leads: bool) {
        self.leads = leads;
        self.handles.report.metrics.leads(leads);
        if leads {
            info!("acting as leader");
            self.update_all_targets();
            return;
        }
        warn!("lost leadership, standing by");
        self.in_flight = None;
        self.background.clear();
        self.state = State::default();
        let now = self.handles.clock.now().moment;
        self.targets.clear(&mut self.judge, now);
        self.handles.report.metrics.stand_by();
    }

    fn set_file(&mut self, file: Arc<PolicyFile>, senders: Senders) {
        self.handles.report.metrics.policies(&file);
        let now = self.handles.clock.now().moment;
        self.judge.set_policies(&file, now);
        self.targets.set_senders(senders);
        self.file = file;
        self.update_all_targets();
    }

    fn update_all_targets(&mut self) {
        let pods: Vec<ObjectKey> = self.view.pods().map(|pod| pod.key.clone()).collect();
        self.update_targets(&pods);
    }

    /// No signal asks about a pod before all watches have synced, or while another agent acts.
    fn update_targets(&mut self, pods: &[ObjectKey]) {
        if !self.synced || !self.leads {
            return;
        }
        let now = self.handles.clock.now().moment;
        for pod in pods {
            self.targets
                .update_pod(pod, &self.view, &self.file, &mut self.judge, now);
        }
    }

    fn handle_watch_event(&mut self, event: WatchEvent) {
        match event {
            WatchEvent::Update(kind, update) => {
                self.handles.health.beat(&watch_task(kind));
                let changed = self.view.update(*update);
                self.update_targets(&changed);
            }
            WatchEvent::Bookmark(kind) => self.handles.health.beat(&watch_task(kind)),
            WatchEvent::Watch(kind, state) => self.set_watch_state(kind, state),
        }
    }

    fn set_watch_state(&mut self, kind: &'static str, state: WatchState) {
        self.handles.health.beat(&watch_task(kind));
        if self.watches.get(kind) == Some(&state) {
            return;
        }
        if let WatchState::OutOfSync(why) = &state {
            warn!(
                kind,
                why, "a watch is out of sync: nothing new is quarantined"
            );
        }
        let out_of_sync = state != WatchState::InSync;
        self.handles.report.metrics.watch(kind, out_of_sync);
        self.watches.insert(kind, state);
        self.update_staleness();
        if !self.synced && self.view.stale.is_none() {
            self.synced = true;
            self.update_all_targets();
            self.handles.ready.store(true, Ordering::Release);
            info!(pods = self.view.pods().count(), "all watches have synced");
        }
    }

    fn update_staleness(&mut self) {
        self.view.stale = self.watches.values().find_map(|state| match state {
            WatchState::OutOfSync(why) => Some(why.as_str().into()),
            WatchState::InSync => None,
        });
    }

    fn record_sample(&mut self, sample: &Sample) {
        let metrics = &self.handles.report.metrics;
        metrics.sample(&sample.policy, sample.answer);
        self.judge.record(sample);
    }

    fn tick(&mut self) {
        self.tries = 0;
        self.handles.health.beat(TASK);
        if let Some(ahead) = self.handles.clock.ahead() {
            self.handles.report.metrics.clock(ahead);
        }
        if !self.leads {
            return;
        }
        let now = self.handles.clock.now();
        self.handles.report.metrics.state(&StateNow {
            view: &self.view,
            file: &self.file,
            state: &self.state,
            unhealthy: &self.judge.unhealthy_by_policy(now.moment),
            wall: now.wall,
        });
    }

    fn doubt(&self) -> Option<Doubt> {
        let refused = self.file_refused.then_some(Doubt::PolicyFileRefused);
        self.handles.clock.doubt().or(refused)
    }

    /// Decides, unless writes are in flight or conflicts have caused [`TRIES`] decisions within this tick.
    fn decide(&mut self) {
        if !self.synced || !self.leads || self.in_flight.is_some() || self.tries >= TRIES {
            return;
        }
        let began = Instant::now();
        let (now, doubt) = (self.handles.clock.now(), self.doubt());
        let findings = self.judge.findings(now.moment);
        let (file, view) = (&self.file, &self.view);
        let plan = decide(&mut self.state, file, view, &findings, doubt, now);
        let metrics = &self.handles.report.metrics;
        metrics.decided(began.elapsed(), plan.put_off);
        for notice in &plan.notices {
            self.handles.report.notice(notice);
        }
        self.look_up(plan.lookups);
        if plan.writes.is_empty() {
            return;
        }
        let ledger = self.view.ledger.present().cloned();
        let writer = self.handles.writer.clone();
        let written = async move { writer.carry_out(ledger, plan.writes).await };
        self.in_flight = Some(written.boxed());
    }

    fn on_outcome(&mut self, outcome: Outcome) {
        self.in_flight = None;
        for effect in &outcome.effects {
            self.handles.report.effect(effect);
        }
        for failure in &outcome.failures {
            self.handles.report.write_failed(failure);
        }
        // What has changed nothing would be decided again at once.
        let is_idle = outcome.effects.is_empty() && outcome.updates.is_empty();
        self.tries = match (outcome.failures.is_empty(), outcome.conflicts || is_idle) {
            (false, _) => TRIES,
            (true, true) => self.tries + 1,
            (true, false) => self.tries,
        };
        self.record_outcome(outcome.updates, &outcome.effects);
    }

    fn record_outcome(&mut self, updates: Vec<Update>, effects: &[Effect]) {
        for update in updates {
            let changed = self.view.update(update);
            self.update_targets(&changed);
        }
        let moment = self.handles.clock.now().moment;
        for effect in effects {
            match effect {
                Effect::Denied(pod, act, refusal) => {
                    let state = &mut self.state;
                    state.record_denial(&pod.uid, *act, refusal.clone(), moment);
                }
                Effect::Failed(pod, act, _) => self.state.record_failure(&pod.uid, *act, moment),
                Effect::Accepted(quarantine) => {
                    self.state.record_dry_run(&quarantine.slot.workload);
                }
                Effect::Quarantined(quarantine) => {
                    let pod = &quarantine.pod.uid;
                    self.state.record_success(pod, Act::Quarantine);
                }
                Effect::Released(release) => {
                    self.state.record_success(&release.pod.uid, Act::Release);
                }
                Effect::Reaped(_) | Effect::Noted(_) => {}
            }
        }
    }
}

/// A watch's name in [`Health`].
#[must_use]
pub fn watch_task(kind: &str) -> String {
    format!("watch {kind}")
}
