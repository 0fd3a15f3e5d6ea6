//! How many pods there are in each scope.

use std::collections::HashMap;

use crate::scope::{PodScopes, Scope};

#[derive(Clone, Debug, Default)]
pub(super) struct ScopeCounts(HashMap<Scope, u32>);

impl ScopeCounts {
    pub(super) fn add(&mut self, pod: &PodScopes) {
        for scope in pod.iter() {
            *self.0.entry(scope).or_default() += 1;
        }
    }

    /// Takes out a pod that was added with the same scopes.
    pub(super) fn remove(&mut self, pod: &PodScopes) {
        for scope in pod.iter() {
            if let Some(count) = self.0.get_mut(&scope) {
                *count -= 1;
                if *count == 0 {
                    self.0.remove(&scope);
                }
            }
        }
    }

    pub(super) fn get(&self, scope: &Scope) -> u32 {
        self.0.get(scope).copied().unwrap_or(0)
    }
}
