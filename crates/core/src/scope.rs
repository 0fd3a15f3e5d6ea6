//! Where pods are counted together, to see whether so many are unhealthy that the cause lies elsewhere.

use std::{fmt, sync::Arc};

use serde::{Deserialize, Serialize};

use crate::workload::WorkloadId;

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Scope {
    Cluster,
    /// The nodes with that value of the label `topology.kubernetes.io/zone`.
    Zone(Arc<str>),
    Node(Arc<str>),
    Workload(WorkloadId),
}

impl Scope {
    /// The label value of a metric.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Cluster => "cluster",
            Self::Zone(_) => "zone",
            Self::Node(_) => "node",
            Self::Workload(_) => "workload",
        }
    }

    /// The label values of all kinds.
    pub const KINDS: [&'static str; 4] = ["cluster", "zone", "node", "workload"];
}

impl fmt::Display for Scope {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Cluster => formatter.write_str("cluster"),
            Self::Zone(name) => write!(formatter, "zone {name}"),
            Self::Node(name) => write!(formatter, "node {name}"),
            Self::Workload(id) => write!(formatter, "workload {}", id.as_str()),
        }
    }
}

/// The scopes that a pod is counted in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PodScopes {
    pub workload: WorkloadId,
    /// `None` until it is scheduled.
    pub node: Option<Arc<str>>,
    /// `None` where its node is in no zone.
    pub zone: Option<Arc<str>>,
    /// An exempt pod is counted in its workload alone: it stays in service however long it is bad.
    pub exempt: bool,
}

impl PodScopes {
    /// Those of a pod on no node.
    #[must_use]
    pub fn of(workload: WorkloadId) -> Self {
        Self {
            workload,
            node: None,
            zone: None,
            exempt: false,
        }
    }

    pub fn iter(&self) -> impl Iterator<Item = Scope> {
        let of_others = |scope: Option<Scope>| scope.filter(|_| !self.exempt);
        let node = of_others(self.node.clone().map(Scope::Node));
        let zone = of_others(self.zone.clone().map(Scope::Zone));
        let workload = Scope::Workload(self.workload.clone());
        let scopes = node.into_iter().chain(zone).chain([workload]);
        scopes.chain(of_others(Some(Scope::Cluster)))
    }
}
