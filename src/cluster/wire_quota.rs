//! What is read off the wire about a quota, and what it becomes in the core.

use std::{collections::BTreeMap, sync::Arc};

use k8s_openapi::{api::core::v1::ResourceQuota, apimachinery::pkg::apis::meta::v1::ObjectMeta};
use kube::Resource;
use serde::Deserialize;

use super::{
    convert::{BadObject, key},
    wire::metadata,
};
use crate::core::quota::{Amounts, PriorityClass, Quota, Scope};

/// Resources by name, as they are written.
pub(super) type Written = BTreeMap<String, String>;

/// A quota.
#[derive(Clone, Debug, Deserialize, Resource)]
#[resource(inherit = ResourceQuota)]
pub(super) struct WireQuota {
    #[serde(deserialize_with = "metadata")]
    pub(super) metadata: ObjectMeta,
    #[serde(default)]
    spec: QuotaSpec,
    #[serde(default)]
    status: QuotaStatus,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct QuotaSpec {
    hard: Written,
    scopes: Vec<String>,
    scope_selector: ScopeSelector,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct ScopeSelector {
    match_expressions: Vec<ScopeRequirement>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct ScopeRequirement {
    scope_name: String,
    operator: String,
    values: Vec<String>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
struct QuotaStatus {
    hard: Written,
    used: Written,
}

impl WireQuota {
    /// The quota. Until its status was first written, none of it is taken.
    pub(super) fn quota(&self) -> Result<Quota, BadObject> {
        let hard = if self.status.hard.is_empty() {
            &self.spec.hard
        } else {
            &self.status.hard
        };
        let plain = self.spec.scopes.iter().map(|name| scope(name, "", &[]));
        let selecting = self.spec.scope_selector.match_expressions.iter();
        let selecting = selecting.map(|one| scope(&one.scope_name, &one.operator, &one.values));
        Ok(Quota {
            name: key(&self.metadata)?.name,
            scopes: plain.chain(selecting).collect(),
            hard: amounts(hard)?,
            used: amounts(&self.status.used)?,
        })
    }
}

fn scope(name: &str, operator: &str, values: &[String]) -> Scope {
    let values = || {
        values
            .iter()
            .map(|value| Arc::from(value.as_str()))
            .collect()
    };
    match (name, operator) {
        ("Terminating", _) => Scope::HasDeadline(true),
        ("NotTerminating", _) => Scope::HasDeadline(false),
        ("BestEffort", _) => Scope::BestEffort(true),
        ("NotBestEffort", _) => Scope::BestEffort(false),
        ("PriorityClass", "In") => Scope::PriorityClass(PriorityClass::In(values())),
        ("PriorityClass", "NotIn") => Scope::PriorityClass(PriorityClass::NotIn(values())),
        ("PriorityClass", "DoesNotExist") => Scope::PriorityClass(PriorityClass::DoesNotExist),
        ("PriorityClass", _) => Scope::PriorityClass(PriorityClass::Exists),
        _ => Scope::Unknown,
    }
}

/// What is written, as amounts.
pub(super) fn amounts(written: &Written) -> Result<Amounts, BadObject> {
    let amount = |(name, text): (&String, &String)| Ok((Arc::from(name.as_str()), text.parse()?));
    written.iter().map(amount).collect()
}
