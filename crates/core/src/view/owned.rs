//! What each owner owns.

use std::{
    collections::{BTreeSet, HashMap},
    sync::Arc,
};

use crate::object::{ObjectKind, Reference, Uid};

/// The objects of each owner, by the reference that they carry to their controller.
///
/// An owner is told apart by namespace, kind and uid together: whoever may create a pod can write the uid of an object of
/// another namespace, or of another kind, into its ownerReference.
#[derive(Clone, Debug)]
pub(super) struct Owned<Child> {
    children: HashMap<(Arc<str>, ObjectKind, Uid), BTreeSet<Child>>,
}

impl<Child> Default for Owned<Child> {
    fn default() -> Self {
        Self {
            children: HashMap::new(),
        }
    }
}

fn id(namespace: &Arc<str>, owner: &Reference) -> (Arc<str>, ObjectKind, Uid) {
    (namespace.clone(), owner.kind.clone(), owner.uid.clone())
}

impl<Child: Ord> Owned<Child> {
    pub(super) fn insert(&mut self, namespace: &Arc<str>, owner: Option<&Reference>, child: Child) {
        if let Some(owner) = owner {
            let children = self.children.entry(id(namespace, owner)).or_default();
            children.insert(child);
        }
    }

    pub(super) fn remove(
        &mut self,
        namespace: &Arc<str>,
        owner: Option<&Reference>,
        child: &Child,
    ) {
        let Some(owner) = owner.map(|owner| id(namespace, owner)) else {
            return;
        };
        if let Some(children) = self.children.get_mut(&owner) {
            children.remove(child);
            if children.is_empty() {
                self.children.remove(&owner);
            }
        }
    }

    /// The objects that a reference in that namespace owns, in their order.
    pub(super) fn of(
        &self,
        namespace: &Arc<str>,
        owner: &Reference,
    ) -> impl Iterator<Item = &Child> + use<'_, Child> {
        let children = self.children.get(&id(namespace, owner));
        children.into_iter().flatten()
    }
}
