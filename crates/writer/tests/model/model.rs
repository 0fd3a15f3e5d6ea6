//! The model: what is explored, and what was worked out already. What each part of it does is in the file of that part.

use std::{collections::BTreeSet, sync::Arc};

use pod_quarantine_core::{
    ledger::Ledger,
    object::Pod,
    policy::PolicyFile,
    selector::Labels,
    view::{Update, View},
    write::Write,
};

use crate::{
    broken::Broken,
    call::{Answer, Call},
    hostile::Hostility,
    known::{GONE, Id, Known, Memo, NOTHING},
    promise::Kept,
    server::Altered,
    state::{AGENTS, Agent, Batch, Left, Seen, State},
    world::{self, PODS},
};

/// What is explored.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Scope {
    /// How many pods may be out at once.
    pub(crate) limit: u32,
    /// And how many of one namespace.
    pub(crate) of_namespace: u32,
    /// What may go wrong.
    pub(crate) left: Left,
    /// How many of the pods no agent has seen yet at the start.
    pub(crate) new_pods: usize,
    /// Whether what happens between a read and the answer to it is explored, too. An agent may as well make up its
    /// mind later, on the same view: so little is lost without.
    pub(crate) reads_wait: bool,
    /// In which states it is tried whether all ends well: in one of so many; `None`: in none.
    pub(crate) endings: Option<u64>,
    /// What is wrong with the agents, if anything.
    pub(crate) broken: Option<Broken>,
}

/// The calls that a batch waits for, or what it has learnt.
#[derive(Clone)]
pub(crate) struct Going {
    /// The lane, the call, whether it only reads.
    pub(crate) waits_for: Arc<[(usize, Id, bool)]>,
    pub(crate) learnt: Option<Arc<[Update]>>,
}

/// A pod, a patch of it, what a webhook makes of that, and when.
type Patch = (Id, Id, Option<Altered>, u32);

pub(crate) struct Model {
    pub(crate) scope: Scope,
    pub(crate) file: PolicyFile,
    pub(crate) known_to_all: View,
    pub(crate) pods: Known<Pod>,
    pub(crate) ledgers: Known<Ledger>,
    pub(crate) labels: Known<Labels>,
    pub(crate) records: Known<Arc<str>>,
    pub(crate) calls: Known<Call>,
    pub(crate) writes: Known<Vec<Write>>,
    pub(crate) answers: Known<Answer>,
    pub(crate) batches: Known<Batch>,
    pub(crate) decided: Memo<(Seen, [bool; PODS], u32), Id>,
    pub(crate) going: Memo<Id, Going>,
    pub(crate) answered: Memo<(Id, usize, Id), Id>,
    pub(crate) learnt: Memo<(Seen, Id), Seen>,
    pub(crate) patches: Memo<Patch, (Id, Id)>,
    pub(crate) befallen: Memo<(Id, Hostility, Id), Option<Id>>,
    pub(crate) kept: Kept,
}

impl Model {
    pub(crate) fn new(scope: Scope) -> Self {
        Self {
            scope,
            file: world::policy_file(scope.limit, scope.of_namespace),
            known_to_all: world::view(),
            pods: Known::default(),
            ledgers: Known::default(),
            labels: Known::default(),
            records: Known::default(),
            calls: Known::default(),
            writes: Known::default(),
            answers: Known::default(),
            batches: Known::default(),
            decided: Memo::default(),
            going: Memo::default(),
            answered: Memo::default(),
            learnt: Memo::default(),
            patches: Memo::default(),
            befallen: Memo::default(),
            kept: Kept::default(),
        }
    }

    pub(crate) fn start(&self) -> State {
        let pod = |index: usize| {
            let mut pod = world::pod(index);
            Broken::alter_at_first(self.scope.broken, &mut pod);
            self.pods.name(pod)
        };
        let pods = std::array::from_fn(pod);
        let ledger = self.ledgers.name(world::ledger(1));
        let seen = |index: usize| {
            if index < self.scope.new_pods {
                NOTHING
            } else {
                pods[index]
            }
        };
        let agent = Agent {
            view: Seen {
                pods: std::array::from_fn(seen),
                ledger,
                ledger_before: NOTHING,
                ledger_gone: None,
                named: Some(1),
            },
            batch: NOTHING,
        };
        State {
            pods,
            labels_before: [NOTHING; PODS],
            changed_by_people: [false; PODS],
            wrote: NOTHING,
            bad: [true; PODS],
            ledger,
            ledger_version: 1,
            named: Some(1),
            agents: [agent; AGENTS],
            strays: Vec::new(),
            time: 0,
            left: self.scope.left,
        }
    }

    /// The values in all states so far.
    pub(crate) fn values(&self) -> usize {
        self.pods.len() + self.ledgers.len() + self.calls.len() + self.batches.len()
    }

    /// The ledger of that name, if there is one.
    pub(crate) fn ledger(&self, id: Id) -> Option<Arc<Ledger>> {
        (id > GONE).then(|| self.ledgers.get(id))
    }

    /// The pod of that name, if there is one.
    pub(crate) fn pod(&self, id: Id) -> Option<Arc<Pod>> {
        (id > GONE).then(|| self.pods.get(id))
    }

    /// What all requests so far do.
    pub(crate) fn verbs(&self) -> BTreeSet<&'static str> {
        self.calls.map(Call::verb)
    }
}
