//! The one task that decides: it owns the view, the judge and the state, hears all news and samples, and hands what
//! is to be written to the writer, one batch at a time.

mod answer;

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

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
    cluster::{Headers, Kubernetes, Leadership, Reader, WatchEvent, WatchState},
    core::{
        action::{Action, Follow},
        decide::{State, decide},
        judge::{Judge, Sample},
        object::{ObjectKey, Uid},
        policy::PolicyFile,
        replacement::Reading,
        update::Update,
        view::View,
    },
    report::{Report, explain::Question, health::Health, metrics::StateNow},
    signal::Clock,
    targets::{Senders, Targets},
};

/// The decider's name in [`Health`].
pub const TASK: &str = "decide";

/// Without news, a decision is made so often: times run out.
const TICK: Duration = Duration::from_secs(1);

/// How often within one tick it is decided afresh because a pod or the ledger had changed meanwhile.
/// A pod that was written every 30 ms needed two tries at the 95th percentile.
const TRIES: u32 = 3;

/// How long a batch that is under way may take to end when the agent is told to stop.
const LAST_WRITES: Duration = Duration::from_millis(500);

/// News or samples taken at once.
const BATCH: usize = 1024;

/// What the decider hears.
pub struct Ears {
    /// From the watches.
    pub news: mpsc::Receiver<WatchEvent>,
    /// From the signals.
    pub samples: mpsc::Receiver<Sample>,
    /// What became of the policy file.
    pub files: mpsc::Receiver<FileNews>,
    /// Whether this agent acts.
    pub leads: watch::Receiver<Leadership>,
    /// What people ask about single pods.
    pub questions: mpsc::Receiver<Question>,
    /// Told to stop.
    pub stop: CancellationToken,
}

/// What became of the policy file when it changed.
pub enum FileNews {
    /// A new one is in force, with its signals.
    InForce(Arc<PolicyFile>, Senders),
    /// It is refused: what people want now is not known.
    Refused,
}

/// What the decider acts through.
pub struct Hands {
    /// Reads what no watch tells.
    pub reader: Reader,
    /// Writes.
    pub writer: Writer<Kubernetes>,
    /// Tells.
    pub report: Report,
    /// Is told that the decider lives.
    pub health: Arc<Health>,
    /// Set once everything is known.
    pub ready: Arc<AtomicBool>,
    /// Both clocks.
    pub clock: Clock,
    /// What the API server says beside its answers.
    pub headers: Headers,
}

/// What came of something that went on beside.
enum Aside {
    /// Changes were tried early.
    Tried(Outcome),
    /// It was read what the replacement of a pod would need.
    Read(Uid, Reading),
    /// A pod was followed out of the slices of its Services, from that time on; it is still in these.
    Followed(Follow, Instant, Vec<Arc<str>>),
}

/// See the module.
pub struct Decider {
    hands: Hands,
    file: Arc<PolicyFile>,
    view: View,
    judge: Judge,
    state: State,
    targets: Targets,
    watches: BTreeMap<&'static str, WatchState>,
    synced: bool,
    leads: bool,
    /// Whether the policy file that people wrote last was refused.
    file_refused: bool,
    in_flight: Option<BoxFuture<'static, Outcome>>,
    /// What goes on beside: nothing that is decided waits for it.
    aside: FuturesUnordered<BoxFuture<'static, Aside>>,
    tries: u32,
}

impl Decider {
    /// A decider that knows nothing yet. `kinds` are those of all watches.
    #[must_use]
    pub fn new(
        hands: Hands,
        file: Arc<PolicyFile>,
        senders: Senders,
        own_namespace: &str,
        kinds: impl IntoIterator<Item = &'static str>,
    ) -> Self {
        let unsynced = |kind| {
            (
                kind,
                WatchState::Broken(format!("the {kind} were not read yet")),
            )
        };
        let mut decider = Self {
            hands,
            file: file.clone(),
            view: View::new(own_namespace),
            judge: Judge::default(),
            state: State::default(),
            targets: Targets::default(),
            watches: kinds.into_iter().map(unsynced).collect(),
            synced: false,
            leads: false,
            file_refused: false,
            in_flight: None,
            aside: FuturesUnordered::new(),
            tries: 0,
        };
        decider.set_file(file, senders);
        decider.note_staleness();
        decider
    }

    /// Decides until it is told to stop; then the batch that is under way may end.
    pub async fn run(mut self, mut ears: Ears) {
        let mut tick = interval(TICK);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut news = Vec::new();
        let mut samples = Vec::new();
        loop {
            tokio::select! {
                biased;
                () = ears.stop.cancelled() => break,
                Some(outcome) = OptionFuture::from(self.in_flight.as_mut()) => self.done(outcome),
                Some(aside) = self.aside.next() => self.beside(aside),
                _ = tick.tick() => self.tick(),
                Some(news) = ears.files.recv() => self.hear_of_file(news),
                Ok(()) = ears.leads.changed() => {}
                Some(question) = ears.questions.recv() => self.answer(question),
                count = ears.news.recv_many(&mut news, BATCH) => {
                    if count == 0 {
                        break;
                    }
                    self.hear_news(&mut news);
                }
                _ = ears.samples.recv_many(&mut samples, BATCH) => self.hear_samples(&mut samples),
            }
            let leads = ears.leads.borrow().acts();
            if leads != self.leads {
                self.lead(leads);
            }
            self.decide();
        }
        if let Some(in_flight) = self.in_flight.take()
            && let Ok(outcome) = timeout(LAST_WRITES, in_flight).await
        {
            self.done(outcome);
        }
    }

    fn hear_of_file(&mut self, news: FileNews) {
        self.file_refused = matches!(news, FileNews::Refused);
        if let FileNews::InForce(file, senders) = news {
            self.set_file(file, senders);
        }
    }

    /// Begins to act, or ends: then what is under way is cut off, and another agent finds it as it is.
    fn lead(&mut self, leads: bool) {
        self.leads = leads;
        self.hands.report.metrics.leads(leads);
        if leads {
            info!("acting as leader");
            self.aim_all();
            return;
        }
        warn!("lost leadership, standing by");
        self.in_flight = None;
        self.aside.clear();
        self.state = State::default();
        self.targets.clear(&mut self.judge);
        self.hands.report.metrics.stand_by();
    }

    fn set_file(&mut self, file: Arc<PolicyFile>, senders: Senders) {
        self.hands.report.metrics.policies(&file);
        self.judge.set_policies(&file);
        self.targets.set_senders(senders);
        self.file = file;
        self.aim_all();
    }

    fn aim_all(&mut self) {
        let pods: Vec<ObjectKey> = self.view.pods().map(|pod| pod.key.clone()).collect();
        self.aim(&pods);
    }

    /// Nothing is asked of pods before all is known, nor by an agent that stands by.
    fn aim(&mut self, pods: &[ObjectKey]) {
        if !self.synced || !self.leads {
            return;
        }
        for pod in pods {
            self.targets
                .update_pod(pod, &self.view, &self.file, &mut self.judge);
        }
    }

    fn hear_news(&mut self, news: &mut Vec<WatchEvent>) {
        for news in news.drain(..) {
            match news {
                WatchEvent::Update(kind, update) => {
                    self.hands.health.beat(&watch_task(kind));
                    let changed = self.view.update(*update);
                    self.aim(&changed);
                }
                WatchEvent::Bookmark(kind) => self.hands.health.beat(&watch_task(kind)),
                WatchEvent::Watch(kind, state) => self.watch_state(kind, state),
            }
        }
    }

    fn watch_state(&mut self, kind: &'static str, state: WatchState) {
        self.hands.health.beat(&watch_task(kind));
        if self.watches.get(kind) == Some(&state) {
            return;
        }
        if let WatchState::Broken(why) = &state {
            warn!(
                kind,
                why, "a watch is out of sync: nothing new is quarantined"
            );
        }
        self.hands
            .report
            .metrics
            .watch(kind, state != WatchState::Following);
        self.watches.insert(kind, state);
        self.note_staleness();
        if !self.synced && self.view.stale.is_none() {
            self.synced = true;
            self.aim_all();
            self.hands.ready.store(true, Ordering::Release);
            info!(pods = self.view.pods().count(), "all watches have synced");
        }
    }

    fn note_staleness(&mut self) {
        let broken = self.watches.values().find_map(|state| match state {
            WatchState::Broken(why) => Some(why.as_str().into()),
            WatchState::Following => None,
        });
        self.view.stale = broken;
    }

    fn hear_samples(&mut self, samples: &mut Vec<Sample>) {
        for sample in samples.drain(..) {
            self.hands
                .report
                .metrics
                .sample(&sample.policy, sample.answer);
            self.judge.hear(&sample);
        }
    }

    fn tick(&mut self) {
        self.tries = 0;
        self.hands.health.beat(TASK);
        if let Some(ahead) = self.hands.headers.ahead() {
            self.hands.report.metrics.clock(ahead);
        }
        if !self.leads {
            return;
        }
        let mut unhealthy: BTreeMap<Arc<str>, i64> = BTreeMap::new();
        let now = self.hands.clock.now();
        let findings = self.judge.findings(now.moment);
        for finding in findings.into_iter().filter(|finding| finding.past) {
            *unhealthy.entry(finding.policy.name.clone()).or_default() += 1;
        }
        self.hands.report.metrics.state(&StateNow {
            view: &self.view,
            file: &self.file,
            state: &self.state,
            unhealthy: &unhealthy,
            wall: now.wall,
        });
    }

    /// Nothing is decided while writes are under way, and not more than [`TRIES`] times a tick on conflicts.
    fn decide(&mut self) {
        if !self.synced || !self.leads || self.in_flight.is_some() || self.tries >= TRIES {
            return;
        }
        self.view.clock_is_off = self.hands.headers.clocks_are_apart();
        self.view.unsure = if self.view.clock_is_off {
            Some("the agent's clock and the API server's are more than a minute apart".into())
        } else if self.file_refused {
            Some("the policy file has changed, and is refused".into())
        } else {
            None
        };
        let began = Instant::now();
        let now = self.hands.clock.now();
        let verdicts = self.judge.verdicts(now.moment);
        let actions = decide(&mut self.state, &self.file, &self.view, &verdicts, now);
        self.hands.report.metrics.decided(began.elapsed());
        for action in &actions {
            self.hands.report.decided(action);
        }
        let mut early = Vec::new();
        let mut writes = Vec::new();
        for action in actions {
            match action {
                Action::TryEarly(quarantine) => early.push(*quarantine),
                Action::Inquire(inquiry) => {
                    let eye = self.hands.reader.clone();
                    let read = async move { eye.inquire(inquiry).await };
                    let read = read.map(|(pod, reading)| Aside::Read(pod, reading));
                    self.aside.push(read.boxed());
                }
                Action::Follow(follow) => self.follow(follow, Instant::now()),
                Action::Refuse(_) | Action::Tell(_) => {}
                action => writes.push(action),
            }
        }
        if !early.is_empty() {
            let hand = self.hands.writer.clone();
            let tried = async move { Aside::Tried(hand.try_early(early).await) };
            self.aside.push(tried.boxed());
        }
        if writes.is_empty() {
            return;
        }
        let ledger = self.view.ledger.present().cloned();
        let hand = self.hands.writer.clone();
        self.in_flight = Some(async move { hand.carry_out(ledger, writes).await }.boxed());
    }

    fn done(&mut self, outcome: Outcome) {
        self.in_flight = None;
        for effect in &outcome.effects {
            self.hands.report.effect(effect);
        }
        self.take_note(outcome.updates, &outcome.effects);
        for failure in &outcome.failures {
            self.hands.report.failed(failure);
        }
        self.tries = match (outcome.failures.is_empty(), outcome.conflicts) {
            (false, _) => TRIES,
            (true, true) => self.tries + 1,
            (true, false) => self.tries,
        };
    }

    fn beside(&mut self, aside: Aside) {
        match aside {
            // What was refused is told when the pod is past its threshold; what failed is tried again then.
            Aside::Tried(outcome) => self.take_note(outcome.updates, &outcome.effects),
            Aside::Read(pod, reading) => self.state.read(&pod, reading),
            Aside::Followed(follow, since, still_in) => self.followed(follow, since, still_in),
        }
    }

    fn follow(&mut self, follow: Follow, since: Instant) {
        let eye = self.hands.reader.clone();
        let followed = async move {
            let still_in = eye.drained(&follow).await;
            Aside::Followed(follow, since, still_in)
        };
        self.aside.push(followed.boxed());
    }

    /// A pod that is not out yet is followed on, for as long as it is to be out.
    fn followed(&mut self, follow: Follow, since: Instant, still_in: Vec<Arc<str>>) {
        let pod = self.view.pod(&follow.pod);
        let stays = pod.is_some_and(|pod| pod.uid == follow.uid && pod.is_counted());
        if !stays {
            return;
        }
        let is_out = still_in.is_empty();
        self.state.drained(&follow.uid, still_in);
        if is_out {
            self.hands.report.drained(&follow, since.elapsed());
        } else {
            self.follow(follow, since);
        }
    }

    fn take_note(&mut self, updates: Vec<Update>, effects: &[Effect]) {
        for update in updates {
            let changed = self.view.update(update);
            self.aim(&changed);
        }
        let moment = self.hands.clock.now().moment;
        for effect in effects {
            match effect {
                Effect::Refused(quarantine, reason, detail) => {
                    self.state
                        .denied(&quarantine.pod.uid, *reason, detail.clone(), moment);
                }
                Effect::Accepted(quarantine) => self.state.accepted(&quarantine.slot.workload),
                Effect::Quarantined(_)
                | Effect::Released(_)
                | Effect::Reaped(_)
                | Effect::Noted(_) => {}
            }
        }
    }
}

/// A watch's name in [`Health`].
#[must_use]
pub fn watch_task(kind: &str) -> String {
    format!("watch {kind}")
}
