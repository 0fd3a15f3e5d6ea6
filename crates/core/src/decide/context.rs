//! What a decision reads, and does not change.

use std::sync::Arc;

use super::doubt::Doubt;
use crate::{
    ledger::{KnownPod, Ledger, LedgerView},
    object::{ObjectKind, Pod, Reference, Uid},
    policy::PolicyFile,
    time::Now,
    view::{LeaseView, View},
};

/// Why no slot can be taken.
#[derive(Debug, thiserror::Error)]
pub(super) enum NoSlot {
    /// The agent is just reading the ledger, or making it.
    #[error("{0}")]
    Yet(&'static str),
    #[error("{0}")]
    Closed(String),
}

#[derive(Clone, Debug)]
pub(super) struct Context<'a> {
    pub(super) file: &'a PolicyFile,
    pub(super) view: &'a View,
    /// `None` where there is no ledger, or it was not read yet.
    pub(super) ledger: Option<&'a Ledger>,
    /// Why nothing new is quarantined, if so.
    pub(super) doubt: Option<Doubt>,
    pub(super) now: Now,
    /// This installation, `namespace/name`.
    pub(super) agent: Arc<str>,
}

impl<'a> Context<'a> {
    pub(super) fn new(
        file: &'a PolicyFile,
        view: &'a View,
        doubt: Option<Doubt>,
        now: Now,
    ) -> Self {
        Self {
            file,
            view,
            ledger: view.ledger.present(),
            doubt,
            now,
            agent: format!("{}/{}", view.own_namespace, file.agent).into(),
        }
    }

    /// The ledger, or why no slot can be taken.
    pub(super) fn open_ledger(&self) -> Result<&'a Ledger, NoSlot> {
        let view = self.view;
        let ledger = match &view.ledger {
            LedgerView::NotLoaded => return Err(NoSlot::Yet("the ledger was not read yet")),
            LedgerView::Gone(_) => return Err(NoSlot::Yet("there is no ledger")),
            LedgerView::Present(ledger) => ledger,
        };
        if let Some(why) = ledger.closed(self.now.wall) {
            return Err(NoSlot::Closed(why));
        }
        match &view.lease {
            LeaseView::Names(Some(named)) if *named == ledger.uid => Ok(ledger),
            LeaseView::Names(_) => Err(NoSlot::Yet("the Lease does not name the ledger yet")),
            LeaseView::NotLoaded => Err(NoSlot::Yet("the Lease was not read yet")),
        }
    }

    /// The ledger's object, for what is about no pod and no workload.
    pub(super) fn ledger_object(&self) -> Reference {
        Reference {
            kind: ObjectKind::from("ConfigMap"),
            name: crate::ledger::name(&self.file.agent).into(),
            uid: self
                .ledger
                .map_or_else(Uid::default, |ledger| ledger.uid.clone()),
        }
    }

    /// A pod whose record the agent wrote: a record that anyone else writes makes a pod count, and no more.
    pub(super) fn known<'b>(&self, pod: &'b Pod) -> Option<KnownPod<'b>>
    where
        'a: 'b,
    {
        self.ledger?.known(pod)
    }

    /// The controller whose pod template carries a command, if one does: then every pod carries it, and no person has given
    /// it.
    pub(super) fn template_with(&self, command: &str, pod: &Pod) -> Option<Reference> {
        let recorded = pod.record().claimed().map(|record| &record.owner);
        let owner = recorded.or(pod.owner.as_ref())?;
        let owner = self.view.controller(&pod.key.namespace, owner)?;
        let mut commands = owner.template_commands.iter();
        if commands.any(|key| &**key == command) {
            return Some(owner.reference());
        }
        None
    }
}
