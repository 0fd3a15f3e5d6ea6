//! Each namespace has its turn before any has a second one.

use std::{collections::BTreeMap, sync::Arc};

/// How many turns each namespace had.
#[derive(Default)]
pub(super) struct Turns(BTreeMap<Arc<str>, usize>);

impl Turns {
    /// Gives a namespace another turn; tells how many it had before.
    pub(super) fn take(&mut self, namespace: &Arc<str>) -> usize {
        let turns = self.0.entry(namespace.clone()).or_default();
        let before = *turns;
        *turns += 1;
        before
    }
}
