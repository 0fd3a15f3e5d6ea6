//! A state of the model: the objects on the API server, what each agent knows and does, and the requests on their way.

use crate::{
    call::LANES,
    known::{Id, Mark, mark},
    world::PODS,
};

pub(crate) const AGENTS: usize = 2;

/// All that is. Objects are named, see [`crate::known`].
#[derive(Clone, PartialEq, Eq, Hash)]
pub(crate) struct State {
    /// The pods on the API server.
    pub(crate) pods: [Id; PODS],
    /// The labels of each pod that an agent has quarantined before that; of one that counts all the same, there are none.
    pub(crate) labels_before: [Id; PODS],
    /// Whether people have changed a label of it since.
    pub(crate) changed_by_people: [bool; PODS],
    /// The record that an agent wrote last onto the pod of hostile people, while that matters.
    pub(crate) wrote: Id,
    /// Whether the signal says that the pod is bad.
    pub(crate) bad: [bool; PODS],
    /// The ledger on the API server.
    pub(crate) ledger: Id,
    /// The last resourceVersion that a ledger had.
    pub(crate) ledger_version: u64,
    /// Which ledger the Lease names: by the version that it was made at.
    pub(crate) named: Option<u64>,
    pub(crate) agents: [Agent; AGENTS],
    /// Requests that nobody waits for any more, and that may arrive all the same, in order.
    pub(crate) strays: Vec<Id>,
    /// Seconds since the start.
    pub(crate) time: u32,
    pub(crate) left: Left,
}

/// An agent. It remembers nothing but what it sees: all else can be lost at any time.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Agent {
    pub(crate) view: Seen,
    /// The batch that it carries out.
    pub(crate) batch: Id,
}

/// What an agent has last seen of each object.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Seen {
    pub(crate) pods: [Id; PODS],
    pub(crate) ledger: Id,
    /// Where there is none: the last one, as it was seen last.
    pub(crate) ledger_before: Id,
    /// The version at which a ledger went, of the last one that did.
    pub(crate) ledger_gone: Option<u64>,
    /// Which one the Lease names.
    pub(crate) named: Option<u64>,
}

/// A batch under way: what it began with, and the answers to it so far.
#[derive(Clone, Debug)]
pub(crate) struct Batch {
    pub(crate) ledger: Id,
    pub(crate) writes: Id,
    pub(crate) answers: [Vec<Id>; LANES],
}

/// How much may yet go wrong: the search ends where nothing is left.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Left {
    /// Of all that follows but time, so much.
    pub(crate) in_all: u8,
    /// Crashes, answers lost, requests late or doubled.
    pub(crate) network: u8,
    /// Writes of a kubelet.
    pub(crate) status: u8,
    /// Acts of people.
    pub(crate) people: u8,
    /// Acts of hostile people, on the pods of their own namespace.
    pub(crate) hostile: u8,
    /// Labels that a webhook drops.
    pub(crate) webhook: u8,
    /// Deletions of the ledger.
    pub(crate) ledger: u8,
    /// Pods that get well, or bad again.
    pub(crate) health: u8,
    /// Times at which half a minute passes.
    pub(crate) half_minutes: u8,
    /// Times at which the ttl passes.
    pub(crate) ttls: u8,
}

impl Left {
    pub(crate) const NOTHING: Self = Self {
        in_all: 0,
        network: 0,
        status: 0,
        people: 0,
        hostile: 0,
        webhook: 0,
        ledger: 0,
        health: 0,
        half_minutes: 0,
        ttls: 0,
    };
}

impl State {
    /// By this it is known again. The agents are alike: which of them is which makes no other state.
    pub(crate) fn mark(&self) -> Mark {
        if self.agents.is_sorted() {
            return mark(self);
        }
        let mut sorted = self.clone();
        sorted.agents.sort_unstable();
        mark(&sorted)
    }
}
