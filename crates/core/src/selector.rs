//! Label selectors, as the API server and its controllers read them.
//!
//! The semantics are those of `k8s.io/apimachinery/pkg/labels`: all requirements must hold, an absent key
//! satisfies `NotIn` and `DoesNotExist`, and a selector without requirements matches everything.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    sync::Arc,
};

use crate::keys;

/// The largest selector that is read, by its [`Selector::size`]. The API server bounds an object at 1.5 MB, and with it a
/// selector at tens of thousands of requirements; the largest ones that people write have dozens. Each is looked at
/// again and again in the search for a pod's way out.
pub const MAX_SIZE: usize = 1000;

/// Labels of one object. Keys and values are shared: thousands of pods carry the same ones.
pub type Labels = BTreeMap<Arc<str>, Arc<str>>;

/// A conjunction of requirements on labels.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Selector {
    requirements: Vec<Requirement>,
}

/// One requirement on one key.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Requirement {
    pub key: Arc<str>,
    pub operator: Operator,
}

/// The four operators of a `LabelSelectorRequirement`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Operator {
    /// The key is present with one of these values.
    In(BTreeSet<Arc<str>>),
    /// The key is absent, or present with another value.
    NotIn(BTreeSet<Arc<str>>),
    Exists,
    DoesNotExist,
}

impl Requirement {
    #[must_use]
    pub fn matches(&self, labels: &Labels) -> bool {
        self.allows(labels.get(&self.key).map(AsRef::as_ref))
    }

    /// Whether the key may have that value; `None` for no such key.
    #[must_use]
    pub fn allows(&self, value: Option<&str>) -> bool {
        match &self.operator {
            Operator::In(values) => value.is_some_and(|value| values.contains(value)),
            Operator::NotIn(values) => value.is_none_or(|value| !values.contains(value)),
            Operator::Exists => value.is_some(),
            Operator::DoesNotExist => value.is_none(),
        }
    }
}

impl Selector {
    #[must_use]
    pub fn new(requirements: Vec<Requirement>) -> Self {
        Self { requirements }
    }

    /// The selector of `matchLabels`, or of a Service's plain map.
    #[must_use]
    pub fn from_labels(labels: &Labels) -> Self {
        let requirement = |(key, value): (&Arc<str>, &Arc<str>)| Requirement {
            key: key.clone(),
            operator: Operator::In(BTreeSet::from([value.clone()])),
        };
        Self::new(labels.iter().map(requirement).collect())
    }

    #[must_use]
    pub fn matches(&self, labels: &Labels) -> bool {
        self.compare(labels, &mut 0)
    }

    /// The same, and counts the requirements that are looked at.
    pub(crate) fn compare(&self, labels: &Labels, work: &mut usize) -> bool {
        self.requirements.iter().all(|requirement| {
            *work += 1;
            requirement.matches(labels)
        })
    }

    /// Whether the selector selects every object there is.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.requirements.is_empty()
    }

    #[must_use]
    pub fn requirements(&self) -> &[Requirement] {
        &self.requirements
    }

    /// How many requirements it has, and values in them.
    #[must_use]
    pub fn size(&self) -> usize {
        let values = self
            .requirements
            .iter()
            .map(|requirement| match &requirement.operator {
                Operator::In(values) | Operator::NotIn(values) => values.len(),
                Operator::Exists | Operator::DoesNotExist => 0,
            });
        self.requirements.len() + values.sum::<usize>()
    }

    /// The keys of the requirements.
    pub fn keys(&self) -> impl Iterator<Item = &Arc<str>> {
        self.requirements.iter().map(|requirement| &requirement.key)
    }

    /// Whether it selects by the agent's own labels: such a selector is meant for quarantined pods.
    #[must_use]
    pub fn is_about_quarantine(&self) -> bool {
        self.keys().any(|key| key.starts_with(keys::PREFIX))
    }

    /// The same selector without the requirements on keys for which `drop` is true.
    #[must_use]
    pub fn without(&self, drop: impl Fn(&str) -> bool) -> Self {
        let mut kept = self.requirements.clone();
        kept.retain(|requirement| !drop(&requirement.key));
        Self::new(kept)
    }
}

/// In the form of `kubectl get --selector`: `app=web,tier in (a,b),!old`.
impl fmt::Display for Selector {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, requirement) in self.requirements.iter().enumerate() {
            if index > 0 {
                formatter.write_str(",")?;
            }
            write!(formatter, "{requirement}")?;
        }
        Ok(())
    }
}

impl fmt::Display for Requirement {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let key = &self.key;
        let list = |values: &BTreeSet<Arc<str>>| {
            let values: Vec<&str> = values.iter().map(AsRef::as_ref).collect();
            values.join(",")
        };
        match &self.operator {
            Operator::In(values) if values.len() == 1 => {
                write!(formatter, "{key}={}", list(values))
            }
            Operator::In(values) => write!(formatter, "{key} in ({})", list(values)),
            Operator::NotIn(values) => write!(formatter, "{key} notin ({})", list(values)),
            Operator::Exists => write!(formatter, "{key}"),
            Operator::DoesNotExist => write!(formatter, "!{key}"),
        }
    }
}
