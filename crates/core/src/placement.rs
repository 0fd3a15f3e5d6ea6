//! Where a pod could run: what its node must be, and what nodes there are.
//!
//! The rules are the scheduler's (`k8s.io/component-helpers/scheduling/corev1`), by the pod's spec alone: whether a node
//! has enough room left is not checked.

use std::sync::Arc;

use super::selector::{Labels, Selector};

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Node {
    pub name: Arc<str>,
    pub labels: Labels,
    /// Whether the node is Ready and not cordoned.
    pub takes_pods: bool,
    /// Only the taints that keep pods off the node: `NoSchedule` and `NoExecute`.
    pub taints: Vec<Taint>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Taint {
    pub key: Arc<str>,
    /// May be empty.
    pub value: Arc<str>,
    /// `NoSchedule` or `NoExecute`.
    pub effect: Arc<str>,
}

/// What a pod requires of its node.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Placement {
    pub node_selector: Labels,
    /// The terms of its required node affinity, one of which must match; `None` where it has none.
    pub terms: Option<Vec<Term>>,
    pub tolerations: Vec<Toleration>,
}

/// One term of a required node affinity.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Term {
    /// Over the node's labels.
    pub labels: Selector,
    /// Over the field `metadata.name`, as a selector over a label of that key.
    pub name: Selector,
    /// `Gt` and `Lt`.
    pub bounds: Vec<Bound>,
}

/// A label that must be a number above, or below, a bound.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bound {
    pub key: Arc<str>,
    /// Above the bound, else below it.
    pub above: bool,
    pub than: i64,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Toleration {
    /// `None`: every key.
    pub key: Option<Arc<str>>,
    /// `None`: every value (operator `Exists`).
    pub value: Option<Arc<str>>,
    /// `None`: every effect.
    pub effect: Option<Arc<str>>,
}

/// The one field of a node that an affinity can name.
pub const NODE_NAME: &str = "metadata.name";

impl Placement {
    /// Whether the pod's spec lets it run on a node.
    #[must_use]
    pub fn fits(&self, node: &Node) -> bool {
        let tolerated = |taint: &Taint| self.tolerations.iter().any(|one| one.tolerates(taint));
        node.takes_pods
            && Selector::from_labels(&self.node_selector).matches(&node.labels)
            && node.taints.iter().all(tolerated)
            && self
                .terms
                .as_ref()
                .is_none_or(|terms| terms.iter().any(|term| term.matches(node)))
    }
}

impl Term {
    /// A term without requirements matches no node.
    fn matches(&self, node: &Node) -> bool {
        let asks = !self.labels.is_empty() || !self.name.is_empty() || !self.bounds.is_empty();
        let name = Labels::from([(NODE_NAME.into(), node.name.clone())]);
        asks && self.labels.matches(&node.labels)
            && self.name.matches(&name)
            && self.bounds.iter().all(|bound| bound.holds(&node.labels))
    }
}

impl Bound {
    fn holds(&self, labels: &Labels) -> bool {
        let value = labels.get(&self.key).and_then(|value| value.parse().ok());
        value.is_some_and(|value: i64| {
            if self.above {
                value > self.than
            } else {
                value < self.than
            }
        })
    }
}

impl Toleration {
    fn tolerates(&self, taint: &Taint) -> bool {
        self.key.as_ref().is_none_or(|key| *key == taint.key)
            && self
                .value
                .as_ref()
                .is_none_or(|value| *value == taint.value)
            && self
                .effect
                .as_ref()
                .is_none_or(|effect| *effect == taint.effect)
    }
}
