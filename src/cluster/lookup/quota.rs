//! What a pod uses of the quotas of its namespace, and the quotas.

use std::{collections::BTreeMap, sync::Arc};

use k8s_openapi::{
    api::core::v1::{Pod, PodSpec, ResourceQuota, ResourceRequirements},
    apimachinery::pkg::api::resource,
};

use crate::{
    cluster::client::BadObject,
    core::{
        quantity::Quantity,
        quota::{Amounts, PriorityClass, Quota, QuotaScope, Taken},
    },
};

/// Amounts by resource, as in the API.
type Written = BTreeMap<String, resource::Quantity>;

/// A quota. Until its status is first written, nothing of it is used.
pub(super) fn quota(object: &ResourceQuota) -> Result<Quota, BadObject> {
    let name = object.metadata.name.as_deref();
    let spec = object.spec.as_ref();
    let status = object.status.as_ref();
    let limited = status.and_then(|status| status.hard.as_ref());
    let limited = limited.filter(|hard| !hard.is_empty());
    let mut scopes = Vec::new();
    for name in spec
        .and_then(|spec| spec.scopes.as_ref())
        .into_iter()
        .flatten()
    {
        scopes.push(scope(name, "", &[]));
    }
    let selecting = spec.and_then(|spec| spec.scope_selector.as_ref()?.match_expressions.as_ref());
    for one in selecting.into_iter().flatten() {
        let values = one.values.as_deref().unwrap_or_default();
        scopes.push(scope(&one.scope_name, &one.operator, values));
    }
    Ok(Quota {
        name: name.ok_or(BadObject::Missing("name"))?.into(),
        scopes,
        hard: amounts(limited.or(spec.and_then(|spec| spec.hard.as_ref())))?,
        used: amounts(status.and_then(|status| status.used.as_ref()))?,
    })
}

fn scope(name: &str, operator: &str, values: &[String]) -> QuotaScope {
    let values = || values.iter().map(|value| value.as_str().into()).collect();
    match (name, operator) {
        ("Terminating", _) => QuotaScope::HasDeadline(true),
        ("NotTerminating", _) => QuotaScope::HasDeadline(false),
        ("BestEffort", _) => QuotaScope::BestEffort(true),
        ("NotBestEffort", _) => QuotaScope::BestEffort(false),
        ("PriorityClass", "In") => QuotaScope::PriorityClass(PriorityClass::In(values())),
        ("PriorityClass", "NotIn") => QuotaScope::PriorityClass(PriorityClass::NotIn(values())),
        ("PriorityClass", "DoesNotExist") => QuotaScope::PriorityClass(PriorityClass::DoesNotExist),
        ("PriorityClass", _) => QuotaScope::PriorityClass(PriorityClass::Exists),
        _ => QuotaScope::Unknown,
    }
}

/// What a pod uses of quotas: `PodUsageFunc` of the API server.
pub(super) fn taken(pod: &Pod, spec: &PodSpec) -> Result<Taken, BadObject> {
    let mut taken = Amounts::from([
        ("pods".into(), Quantity::whole(1)),
        ("count/pods".into(), Quantity::whole(1)),
    ]);
    for (resource, amount) in total(spec, |resources| resources.requests.as_ref())? {
        taken.insert(format!("requests.{resource}").into(), amount);
        if !is_extended(&resource) {
            taken.insert(resource, amount);
        }
    }
    for (resource, amount) in total(spec, |resources| resources.limits.as_ref())? {
        taken.insert(format!("limits.{resource}").into(), amount);
    }
    let status = pod.status.as_ref();
    let quality = status.and_then(|status| status.qos_class.as_deref());
    Ok(Taken {
        amounts: taken,
        best_effort: quality == Some("BestEffort"),
        has_deadline: spec.active_deadline_seconds.is_some(),
        priority_class: spec.priority_class_name.as_deref().map(Into::into),
    })
}

/// Whether it is an extended resource, such as `example.com/gpu`: a quota counts the requests of it.
fn is_extended(resource: &str) -> bool {
    resource.contains('/') && !resource.contains("kubernetes.io/")
}

/// What the pod needs at once: the sum of its containers or, if that is more, the largest init container with the sidecars
/// started before it, and the overhead.
fn total(
    spec: &PodSpec,
    of: impl Fn(&ResourceRequirements) -> Option<&Written>,
) -> Result<Amounts, BadObject> {
    let amounts_of = |resources: Option<&ResourceRequirements>| amounts(resources.and_then(&of));
    let mut sidecars = Amounts::new();
    let mut before = Amounts::new();
    for container in spec.init_containers.iter().flatten() {
        let own = amounts_of(container.resources.as_ref())?;
        if container.restart_policy.as_deref() == Some("Always") {
            add(&mut sidecars, &own);
            raise(&mut before, &sidecars);
        } else {
            let mut with_sidecars = sidecars.clone();
            add(&mut with_sidecars, &own);
            raise(&mut before, &with_sidecars);
        }
    }
    let mut total = sidecars;
    for container in &spec.containers {
        add(&mut total, &amounts_of(container.resources.as_ref())?);
    }
    raise(&mut total, &before);
    // Resources of the pod as a whole override the sum.
    total.extend(amounts_of(spec.resources.as_ref())?);
    for (resource, amount) in amounts(spec.overhead.as_ref())? {
        if let Some(known) = total.get_mut(&resource) {
            *known = known.plus(amount);
        }
    }
    Ok(total)
}

fn add(sum: &mut Amounts, more: &Amounts) {
    for (resource, amount) in more {
        let known = sum.entry(resource.clone()).or_default();
        *known = known.plus(*amount);
    }
}

fn raise(most: &mut Amounts, to: &Amounts) {
    for (resource, amount) in to {
        let known = most.entry(resource.clone()).or_default();
        *known = (*known).max(*amount);
    }
}

/// Parses amounts.
fn amounts(written: Option<&Written>) -> Result<Amounts, BadObject> {
    let mut amounts = Amounts::new();
    for (resource, amount) in written.into_iter().flatten() {
        amounts.insert(Arc::from(resource.as_str()), amount.0.parse()?);
    }
    Ok(amounts)
}
