//! What a check lets pass, each with its reason. One that nothing needs any more is a finding too.

use std::collections::BTreeSet;

/// Type names that may be defined more than once.
pub(crate) const TYPE_NAMES: &[(&str, &str)] = &[];

/// Functions that are named as a question and may change something.
pub(crate) const QUESTIONS: &[(&str, &str)] = &[];

/// The exemptions of one check.
pub(crate) struct Exemptions {
    unused: BTreeSet<&'static str>,
    all: BTreeSet<&'static str>,
}

impl Exemptions {
    pub(crate) fn of(list: &[(&'static str, &'static str)]) -> Self {
        let all: BTreeSet<_> = list.iter().map(|(name, _)| *name).collect();
        Self {
            unused: all.clone(),
            all,
        }
    }

    /// Whether `name` is exempt; it is noted that something needed it.
    pub(crate) fn use_for(&mut self, name: &str) -> bool {
        self.unused.remove(name);
        self.all.contains(name)
    }

    pub(crate) fn unused(&self) -> Vec<String> {
        self.unused.iter().map(|name| format!("  {name}")).collect()
    }
}
