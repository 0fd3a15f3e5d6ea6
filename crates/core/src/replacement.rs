//! What stands in the way of a replacement beside the pod that it stands in for.
//!
//! Both ran on one ReadWriteOnce volume when that was tried: silent corruption. So before a pod leaves its workload,
//! what the two could not share is read, and the quotas of its namespace.

use std::sync::Arc;

use super::{
    judge::Now,
    object::Pod,
    placement::{Node, Placement},
    quota::{Quota, Taken},
    reason::Reason,
    view::{View, Workload},
};

/// What was read of a pod and its surroundings; or why it could not be read, which hinders a quarantine as well.
#[derive(Clone, Debug, PartialEq)]
pub struct Needs {
    /// The claims of its volumes that a replacement would use as well.
    pub claims: Result<Vec<Claim>, String>,
    /// What it takes of the quotas of its namespace.
    pub quotas: Result<(Taken, Vec<Quota>), String>,
    /// What it asks of its node, and all nodes; not read of a pod that takes no port of its node.
    pub nodes: Result<(Placement, Vec<Node>), String>,
}

/// A PersistentVolumeClaim.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claim {
    /// Its name.
    pub name: Arc<str>,
    /// The access modes of the volume that it is bound to, else those it asks for; none where it is not there.
    pub modes: Vec<Arc<str>>,
}

impl Claim {
    /// Whether two pods may use it at the same time.
    fn can_be_shared(&self) -> bool {
        let shared = ["ReadWriteMany", "ReadOnlyMany"];
        self.modes.iter().any(|mode| shared.contains(&&**mode))
    }
}

/// A port that a pod takes of its node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostPort {
    /// The address; `None` for all of them.
    pub address: Option<Arc<str>>,
    /// The port.
    pub port: u16,
    /// `TCP`, `UDP` or `SCTP`.
    pub protocol: Arc<str>,
}

impl HostPort {
    fn is_that_of(&self, other: &Self) -> bool {
        let addresses = self.address.as_ref().zip(other.address.as_ref());
        self.port == other.port
            && self.protocol == other.protocol
            && addresses.is_none_or(|(one, other)| one == other)
    }
}

/// What cannot be shared by the strategy of the workload alone.
#[must_use]
pub fn runs_alone(workload: &Workload<'_>) -> Option<String> {
    let deployment = workload
        .deployment
        .filter(|deployment| deployment.recreate)?;
    let name = deployment.reference();
    Some(format!(
        "the strategy of {name} is Recreate: two of its pods never run side by side"
    ))
}

impl Needs {
    /// What the pod could not share with its replacement, if anything.
    #[must_use]
    pub fn cannot_be_shared(&self, view: &View, pod: &Pod) -> Option<String> {
        let claims = match &self.claims {
            Ok(claims) => claims,
            Err(why) => return Some(why.clone()),
        };
        if let Some(claim) = claims.iter().find(|claim| !claim.can_be_shared()) {
            let modes = if claim.modes.is_empty() {
                "not there".to_owned()
            } else {
                claim.modes.join(", ")
            };
            return Some(format!("PersistentVolumeClaim {} is {modes}", claim.name));
        }
        if !pod.takes_ports_of_its_node() {
            return None;
        }
        let (placement, nodes) = match &self.nodes {
            Ok(nodes) => nodes,
            Err(why) => return Some(why.clone()),
        };
        let free = |node: &&Node| placement.fits(node) && !is_taken(view, pod, &node.name);
        (!nodes.iter().any(|node| free(&node))).then(|| {
            "it takes ports of its node, and no other node that it fits has them free".to_owned()
        })
    }

    /// Why the quotas would forbid a replacement, if so, with `others` already on their way.
    #[must_use]
    pub fn past_quota(&self, others: usize) -> Option<String> {
        match &self.quotas {
            Err(why) => Some(why.clone()),
            Ok((taken, quotas)) => quotas
                .iter()
                .find_map(|quota| quota.forbids(taken, others + 1)),
        }
    }
}

/// Whether a node has a pod, the pod itself among them, that takes one of the ports. A pod of the same workload takes
/// the same ones, declared or not.
fn is_taken(view: &View, pod: &Pod, node: &str) -> bool {
    let there = view
        .with_ports_of_nodes()
        .filter(|other| other.node.as_deref() == Some(node) && !other.has_ended());
    let mut there = there.filter(|other| {
        let workload = view.workload_uid(pod);
        let same = workload.is_some() && view.workload_uid(other) == workload;
        let mut ports = pod.host_ports.iter();
        same || ports.any(|port| other.host_ports.iter().any(|taken| port.is_that_of(taken)))
    });
    there.next().is_some()
}

/// Needs, and when they were read.
#[derive(Clone, Debug, PartialEq)]
pub struct Reading {
    /// When the reading began.
    pub at: Now,
    /// What was read.
    pub needs: Needs,
}

/// Why a replacement could not stand beside the pod, if so.
#[must_use]
pub fn hindrance(
    view: &View,
    pod: &Pod,
    needs: &Needs,
    others: usize,
    allow_exclusive: bool,
) -> Option<(Reason, String)> {
    let shared = || needs.cannot_be_shared(view, pod);
    let exclusive = (!allow_exclusive).then(shared).flatten();
    exclusive
        .map(|why| (Reason::ExclusiveResource, why))
        .or_else(|| {
            needs
                .past_quota(others)
                .map(|why| (Reason::QuotaExhausted, why))
        })
}
