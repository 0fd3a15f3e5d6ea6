//! What a writer asks of the API server, and the answers it gets: the real writer, run again from its start with the answers
//! that it has had, comes to the calls that it waits for now. So its future need not be copied with the state.

use std::{
    collections::{BTreeMap, VecDeque},
    future::pending,
    pin::pin,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll, Wake, Waker},
};

use jiff::Timestamp;
use pod_quarantine_core::{
    keys,
    ledger::{Ledger, Slot},
    object::{Pod, Uid},
    view::Update,
    write::{Change, PodVersion, Write},
};
use pod_quarantine_writer::{
    Writer,
    api_server::{ApiServer, RequestError, WriteFailure},
};

use crate::world::{PODS, START, index_of};

/// A request.
#[derive(Clone, Debug)]
pub(crate) enum Call {
    Patch {
        pod: PodVersion,
        change: Change,
        dry_run: bool,
    },
    Get(PodVersion),
    Delete(PodVersion),
    CreateLedger {
        lost: Option<Timestamp>,
        /// The slots of the ledger before.
        slots: BTreeMap<Uid, Slot>,
    },
    ReadLedger,
    SwapLedger {
        before: Ledger,
        after: Ledger,
    },
    RepairLedger {
        before: Ledger,
        rebuilt: Timestamp,
    },
    /// The Lease is read and written by it, so it does not arrive late: what it was read as has changed by then.
    NameLedger(Ledger),
}

/// What the API server said, and when.
#[derive(Clone, Debug)]
pub(crate) struct Answer {
    pub(crate) said: Said,
    pub(crate) at: Timestamp,
}

#[derive(Clone, Debug)]
pub(crate) enum Said {
    Patched(Result<Pod, WriteFailure>),
    Got(Option<Pod>),
    Deleted(Result<(), WriteFailure>),
    Ledger(Result<Update, RequestError>),
    Swapped(Result<Option<Ledger>, RequestError>),
}

/// The calls about one object follow one another: the writer makes the next one when it has the answer to the last.
/// There is one lane for each pod, and one for the ledger.
pub(crate) const LANES: usize = PODS + 1;

impl Call {
    pub(crate) fn lane(&self) -> usize {
        match self {
            Self::Patch { pod, .. } | Self::Get(pod) | Self::Delete(pod) => index_of(&pod.key),
            Self::CreateLedger { .. }
            | Self::ReadLedger
            | Self::SwapLedger { .. }
            | Self::RepairLedger { .. }
            | Self::NameLedger(_) => PODS,
        }
    }

    /// Whether it changes nothing.
    pub(crate) fn only_reads(&self) -> bool {
        match self {
            Self::Patch { dry_run, .. } => *dry_run,
            Self::Get(_) | Self::ReadLedger => true,
            Self::Delete(_)
            | Self::CreateLedger { .. }
            | Self::SwapLedger { .. }
            | Self::RepairLedger { .. }
            | Self::NameLedger(_) => false,
        }
    }

    /// What the writer gets when no answer comes.
    pub(crate) fn unanswered(&self) -> Said {
        let why = || RequestError::new("no answer");
        match self {
            Self::Patch { .. } => Said::Patched(Err(WriteFailure::Unknown(why()))),
            Self::Delete(_) => Said::Deleted(Err(WriteFailure::Unknown(why()))),
            Self::Get(_) => Said::Got(None),
            Self::CreateLedger { .. } | Self::ReadLedger | Self::NameLedger(_) => {
                Said::Ledger(Err(why()))
            }
            Self::SwapLedger { .. } | Self::RepairLedger { .. } => Said::Swapped(Err(why())),
        }
    }

    /// What the request does.
    pub(crate) fn verb(&self) -> &'static str {
        match self {
            Self::Patch { dry_run: true, .. } => "dry-runs",
            Self::Patch { change, .. } => {
                let record = change.annotations.get(keys::RECORD);
                let fence = change.annotations.get(keys::FENCE);
                match (record, fence) {
                    (Some(Some(_)), _) => "quarantines",
                    (Some(None), Some(None)) => "releases",
                    (Some(None), _) => "undoes the quarantine of",
                    (None, Some(_)) => "fences",
                    _ => "settles",
                }
            }
            Self::Delete(_) => "deletes",
            Self::CreateLedger { lost: None, .. } => "creates",
            Self::CreateLedger { lost: Some(_), .. } => "rebuilds",
            Self::Get(_) | Self::ReadLedger => "reads",
            Self::SwapLedger { .. } => "swaps",
            Self::RepairLedger { .. } => "repairs",
            Self::NameLedger(_) => "names",
        }
    }

    /// In words.
    pub(crate) fn describe(&self) -> String {
        let verb = self.verb();
        match self {
            Self::Patch { pod, .. } | Self::Get(pod) | Self::Delete(pod) => {
                format!(
                    "the request that {verb} {} at version {}",
                    pod.key.name, pod.resource_version
                )
            }
            Self::CreateLedger { .. }
            | Self::ReadLedger
            | Self::RepairLedger { .. }
            | Self::NameLedger(_) => {
                format!("the request that {verb} the ledger")
            }
            Self::SwapLedger { before, after } => {
                let slots = |ledger: &Ledger| {
                    let slots = ledger.slots.values();
                    let slots: Vec<String> = slots
                        .map(|slot| format!("{}@{}", slot.name, slot.resource_version))
                        .collect();
                    format!("[{}]", slots.join(" "))
                };
                format!(
                    "the request that {verb} the ledger at version {}: {} to {}",
                    before.resource_version,
                    slots(before),
                    slots(after)
                )
            }
        }
    }
}

/// How far the writer comes with the answers that it has had.
#[derive(Clone)]
pub(crate) struct Ran {
    /// What it waits for, at most one call for each lane.
    pub(crate) waits_for: Vec<Call>,
    /// What it has learnt, when it has ended.
    pub(crate) learnt: Option<Vec<Update>>,
}

/// Runs the writer with the answers that it has had, those of each lane in their order.
pub(crate) fn run(
    ledger: Option<Ledger>,
    planned: Vec<Write>,
    answers: [Vec<Answer>; LANES],
) -> Ran {
    let replay = Arc::new(Replay(Mutex::new(Progress {
        answers: answers.map(VecDeque::from),
        waits_for: Vec::new(),
        now: START.parse().expect("a time"),
    })));
    let writer = Writer::new(Server(replay.clone()));
    let mut batch = pin!(writer.carry_out(ledger, planned));
    let woken = Arc::new(Woken(AtomicBool::new(true)));
    let waker = Waker::from(woken.clone());
    let mut learnt = None;
    while learnt.is_none() && woken.0.swap(false, Ordering::Relaxed) {
        if let Poll::Ready(outcome) = batch.as_mut().poll(&mut Context::from_waker(&waker)) {
            learnt = Some(outcome.updates);
        }
    }
    let mut progress = replay.0.lock().expect("no other thread");
    assert!(
        progress.answers.iter().all(VecDeque::is_empty),
        "the writer took another turn than before"
    );
    let mut waits_for = std::mem::take(&mut progress.waits_for);
    waits_for.sort_by_key(Call::lane);
    Ran { waits_for, learnt }
}

struct Woken(AtomicBool);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::Relaxed);
    }
}

struct Replay(Mutex<Progress>);

struct Progress {
    answers: [VecDeque<Answer>; LANES],
    waits_for: Vec<Call>,
    /// When the last answer came that was taken.
    now: Timestamp,
}

/// The API server that says what it has said before, and nothing more.
struct Server(Arc<Replay>);

impl Server {
    async fn ask(&self, call: Call) -> Said {
        if let Some(said) = self.next_answer(call) {
            return said;
        }
        pending().await
    }

    async fn ask_for_an_update(&self, call: Call) -> Result<Update, RequestError> {
        match self.ask(call).await {
            Said::Ledger(result) => result,
            other => panic!("a request about the ledger was answered {other:?}"),
        }
    }

    async fn ask_for_the_ledger(&self, call: Call) -> Result<Option<Ledger>, RequestError> {
        match self.ask(call).await {
            Said::Swapped(result) => result,
            other => panic!("a write of the ledger was answered {other:?}"),
        }
    }

    fn next_answer(&self, call: Call) -> Option<Said> {
        let mut progress = self.0.0.lock().expect("no other thread");
        let Some(answer) = progress.answers[call.lane()].pop_front() else {
            progress.waits_for.push(call);
            return None;
        };
        progress.now = answer.at;
        Some(answer.said)
    }
}

impl ApiServer for Server {
    async fn patch(
        &self,
        pod: &PodVersion,
        change: &Change,
        dry_run: bool,
    ) -> Result<Pod, WriteFailure> {
        let call = Call::Patch {
            pod: pod.clone(),
            change: change.clone(),
            dry_run,
        };
        match self.ask(call).await {
            Said::Patched(result) => result,
            other => panic!("a patch was answered {other:?}"),
        }
    }

    async fn get(&self, pod: &PodVersion) -> Result<Option<Pod>, RequestError> {
        match self.ask(Call::Get(pod.clone())).await {
            Said::Got(pod) => Ok(pod),
            other => panic!("a GET was answered {other:?}"),
        }
    }

    async fn delete(&self, pod: &PodVersion) -> Result<(), WriteFailure> {
        match self.ask(Call::Delete(pod.clone())).await {
            Said::Deleted(result) => result,
            other => panic!("a deletion was answered {other:?}"),
        }
    }

    async fn create_ledger(
        &self,
        lost: Option<Timestamp>,
        before: Option<&Ledger>,
    ) -> Result<Update, RequestError> {
        let slots = before.map(|before| before.slots.clone());
        let slots = slots.unwrap_or_default();
        self.ask_for_an_update(Call::CreateLedger { lost, slots })
            .await
    }

    async fn read_ledger(&self) -> Result<Update, RequestError> {
        self.ask_for_an_update(Call::ReadLedger).await
    }

    async fn swap_ledger(&self, before: &Ledger, after: &Ledger) -> Result<Ledger, WriteFailure> {
        let call = Call::SwapLedger {
            before: before.clone(),
            after: after.clone(),
        };
        match self.ask_for_the_ledger(call).await {
            Ok(Some(ledger)) => Ok(ledger),
            Ok(None) => Err(WriteFailure::Conflict),
            Err(why) => Err(WriteFailure::Unknown(why)),
        }
    }

    async fn repair_ledger(
        &self,
        before: &Ledger,
        rebuilt: Timestamp,
    ) -> Result<Option<Ledger>, RequestError> {
        let before = before.clone();
        self.ask_for_the_ledger(Call::RepairLedger { before, rebuilt })
            .await
    }

    async fn name_ledger(&self, ledger: &Ledger) -> Result<Update, RequestError> {
        self.ask_for_an_update(Call::NameLedger(ledger.clone()))
            .await
    }

    fn now(&self) -> Timestamp {
        self.0.0.lock().expect("no other thread").now
    }
}
