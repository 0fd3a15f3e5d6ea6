//! A plan, read in the words of the tests.

use pod_quarantine_core::{
    decide::Plan,
    lookup::Lookup,
    notice::{Notice, Notification, RefusedPod},
    reason::Reason,
    write::{Quarantine, Reap, Release, Write},
};

pub(crate) use test_objects::changed;

/// One thing of a plan.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Planned {
    Write(Write),
    Lookup(Lookup),
    Notice(Notice),
}

/// Everything in a plan.
pub(crate) fn everything(plan: Plan) -> Vec<Planned> {
    let writes = plan.writes.into_iter().map(Planned::Write);
    let lookups = plan.lookups.into_iter().map(Planned::Lookup);
    let notices = plan.notices.into_iter().map(Planned::Notice);
    writes.chain(lookups).chain(notices).collect()
}

pub(crate) fn quarantines(planned: &[Planned]) -> Vec<&Quarantine> {
    let mut found = Vec::new();
    for one in planned {
        if let Planned::Write(Write::Quarantine(quarantine)) = one {
            found.push(&**quarantine);
        }
    }
    found
}

pub(crate) fn the_quarantine(planned: &[Planned]) -> &Quarantine {
    match planned {
        [Planned::Write(Write::Quarantine(quarantine))] => quarantine,
        other => panic!("not one quarantine: {other:#?}"),
    }
}

pub(crate) fn refusals(planned: &[Planned]) -> Vec<(&str, Reason)> {
    let mut found = Vec::new();
    for one in planned {
        if let Planned::Notice(Notice::Refused(refused)) = one {
            found.push((&*refused.pod.name, refused.refusal.reason));
        }
    }
    found
}

pub(crate) fn the_refusal(planned: &[Planned]) -> &RefusedPod {
    match planned {
        [Planned::Notice(Notice::Refused(refused))] => refused,
        other => panic!("not one refusal: {other:#?}"),
    }
}

pub(crate) fn notices(planned: &[Planned]) -> Vec<&Notification> {
    let mut found = Vec::new();
    for one in planned {
        if let Planned::Notice(Notice::Notify(notification)) = one {
            found.push(notification);
        }
    }
    found
}

pub(crate) fn the_notice(planned: &[Planned]) -> &Notification {
    match planned {
        [Planned::Notice(Notice::Notify(notification))] => notification,
        other => panic!("not one notification: {other:#?}"),
    }
}

pub(crate) fn the_release(planned: &[Planned]) -> &Release {
    match planned {
        [Planned::Write(Write::Release(release))] => release,
        other => panic!("not one release: {other:#?}"),
    }
}

pub(crate) fn reaps(planned: &[Planned]) -> Vec<&Reap> {
    let mut found = Vec::new();
    for one in planned {
        if let Planned::Write(Write::Reap(reap)) = one {
            found.push(&**reap);
        }
    }
    found
}

pub(crate) fn writes(planned: &[Planned]) -> Vec<Write> {
    let writes = planned.iter().filter_map(|one| match one {
        Planned::Write(write) => Some(write.clone()),
        _ => None,
    });
    writes.collect()
}

pub(crate) fn lookups(planned: &[Planned]) -> Vec<Lookup> {
    let lookups = planned.iter().filter_map(|one| match one {
        Planned::Lookup(lookup) => Some(lookup.clone()),
        _ => None,
    });
    lookups.collect()
}
