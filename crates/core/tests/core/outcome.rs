//! What came out of a decision, read the way that a test speaks of it.

use std::sync::Arc;

use pod_quarantine_core::{
    action::{Action, Notice, Quarantine, Reap, Refusal, Release},
    object::Pod,
    reason::Reason,
    restore::Change,
    selector::Labels,
};

fn set(map: &mut Labels, key: &Arc<str>, value: Option<&Arc<str>>) {
    match value {
        Some(value) => map.insert(key.clone(), value.clone()),
        None => map.remove(key),
    };
}

/// A pod after a change, as the API server would make it.
pub(crate) fn changed(pod: &Pod, change: &Change) -> Pod {
    let mut pod = pod.clone();
    for (key, value) in &change.labels {
        set(&mut pod.labels, key, value.as_ref());
    }
    for (key, value) in &change.annotations {
        set(&mut pod.annotations, key, value.as_ref());
    }
    pod
}

pub(crate) fn quarantines(actions: &[Action]) -> Vec<&Quarantine> {
    let mut found = Vec::new();
    for action in actions {
        if let Action::Quarantine(quarantine) = action {
            found.push(&**quarantine);
        }
    }
    found
}

pub(crate) fn the_quarantine(actions: &[Action]) -> &Quarantine {
    match actions {
        [Action::Quarantine(quarantine)] => quarantine,
        other => panic!("not one quarantine: {other:#?}"),
    }
}

pub(crate) fn refusals(actions: &[Action]) -> Vec<(&str, Reason)> {
    let mut found = Vec::new();
    for action in actions {
        if let Action::Refuse(refusal) = action {
            found.push((&*refusal.pod.name, refusal.reason));
        }
    }
    found
}

pub(crate) fn the_refusal(actions: &[Action]) -> &Refusal {
    match actions {
        [Action::Refuse(refusal)] => refusal,
        other => panic!("not one refusal: {other:#?}"),
    }
}

pub(crate) fn notices(actions: &[Action]) -> Vec<&Notice> {
    let mut found = Vec::new();
    for action in actions {
        if let Action::Tell(notice) = action {
            found.push(notice);
        }
    }
    found
}

pub(crate) fn the_notice(actions: &[Action]) -> &Notice {
    match actions {
        [Action::Tell(notice)] => notice,
        other => panic!("not one notice: {other:#?}"),
    }
}

pub(crate) fn the_release(actions: &[Action]) -> &Release {
    match actions {
        [Action::Release(release)] => release,
        other => panic!("not one release: {other:#?}"),
    }
}

pub(crate) fn reaps(actions: &[Action]) -> Vec<&Reap> {
    let mut found = Vec::new();
    for action in actions {
        if let Action::Reap(reap) = action {
            found.push(&**reap);
        }
    }
    found
}
