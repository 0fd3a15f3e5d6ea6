//! The objects that cannot be read.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use crate::object::ObjectKey;

/// The kind of pods, as in [`Update::Unreadable`](super::Update::Unreadable).
const PODS: &str = "pods";

/// Kind and name of each object, by namespace.
#[derive(Clone, Debug, Default)]
pub(super) struct Unreadable(BTreeMap<Arc<str>, BTreeSet<(&'static str, Arc<str>)>>);

impl Unreadable {
    pub(super) fn insert(&mut self, kind: &'static str, key: &ObjectKey) {
        let of_namespace = self.0.entry(key.namespace.clone()).or_default();
        of_namespace.insert((kind, key.name.clone()));
    }

    pub(super) fn remove(&mut self, kind: &'static str, key: &ObjectKey) {
        if let Some(of_namespace) = self.0.get_mut(&key.namespace) {
            of_namespace.remove(&(kind, key.name.clone()));
            if of_namespace.is_empty() {
                self.0.remove(&key.namespace);
            }
        }
    }

    /// Those that may select pods of a namespace.
    pub(super) fn selecting_in(
        &self,
        namespace: &str,
    ) -> impl Iterator<Item = &(&'static str, Arc<str>)> {
        let of_namespace = self.0.get(namespace).into_iter().flatten();
        of_namespace.filter(|(kind, _)| *kind != PODS)
    }

    pub(super) fn by_kind(&self) -> BTreeMap<&'static str, i64> {
        let mut counts = BTreeMap::new();
        for (kind, _) in self.0.values().flatten() {
            *counts.entry(*kind).or_default() += 1;
        }
        counts
    }
}
