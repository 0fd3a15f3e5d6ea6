//! Restoring a pod that others changed while it was out.

use std::{collections::BTreeSet, sync::Arc};

use pod_quarantine_core::{
    keys,
    object::Pod,
    record::Values,
    selector::Labels,
    write::{Change, Write},
};
use proptest::{collection::vec, option, prelude::*, sample::select};

use crate::{
    outcome::{Planned, changed, the_release},
    world::World,
};

const LABELS: [&str; 4] = ["app", "enabled", "other", keys::INSTANCE];
const ANNOTATIONS: [&str; 4] = [
    keys::DO_NOT_DISRUPT,
    keys::SAFE_TO_EVICT,
    keys::ARGO_SYNC_OPTIONS,
    keys::HOLD,
];

/// What someone does to one key: writes a value or removes it.
fn changes(keys: &'static [&'static str]) -> impl Strategy<Value = Vec<OneChange>> {
    let values = select(vec!["true", "false", "web", "quarantined", "Prune=false"]);
    vec((select(keys), option::of(values)), 0..4)
}

type OneChange = (&'static str, Option<&'static str>);

fn apply(pod: &mut Pod, labels: &[OneChange], annotations: &[OneChange]) {
    let values = |changes: &[OneChange]| -> Values {
        let values = changes
            .iter()
            .map(|(key, value)| (Arc::from(*key), value.map(Arc::from)));
        values.collect()
    };
    let (labels, annotations) = (values(labels), values(annotations));
    *pod = changed(
        pod,
        &Change {
            labels,
            annotations,
        },
    );
}

/// Per key that the agent edited: what is still as written goes back; what someone changed stays, and is named unless
/// it is what stood there before. All other keys stay.
fn model(
    edited: &Values,
    before: &Labels,
    written: &Labels,
    now: &Labels,
    named: &mut BTreeSet<String>,
) -> Labels {
    let keys = [before, written, now]
        .into_iter()
        .flat_map(|map| map.keys())
        .collect::<BTreeSet<_>>();
    let mut after = Labels::new();
    for key in keys {
        let ours = edited.contains_key(key);
        let (before, written, now) = (before.get(key), written.get(key), now.get(key));
        if ours && now != written && now != before {
            named.insert(key.to_string());
        }
        let value = if ours && now == written { before } else { now };
        after.extend(value.map(|value| (key.clone(), value.clone())));
    }
    after
}

fn without_own<'a>(all: impl IntoIterator<Item = (&'a Arc<str>, &'a Arc<str>)>) -> Labels {
    let own = |key: &str| key.starts_with(keys::PREFIX) && key != keys::HOLD;
    let others = all
        .into_iter()
        .filter(|(key, _)| !own(key) && &***key != keys::DELETION_COST);
    others
        .map(|(key, value)| (key.clone(), value.clone()))
        .collect()
}

#[test]
fn a_label_that_others_restored_already_is_not_named() {
    let mut world = World::with_web();
    world.quarantine("web-0");
    world.change("web-0", |pod| {
        pod.labels.insert("app".into(), "web".into());
    });
    world.annotate("web-0", keys::RELEASE, "force");
    let planned = world.planned();
    assert!(the_release(&planned).left.is_empty());
}

proptest! {
    #![proptest_config(crate::proptest_cases(1_000))]

    #[test]
    fn labels_changed_by_others_stay_and_all_other_labels_are_restored(
        labels in changes(&LABELS[1..]),
        annotations in changes(&ANNOTATIONS[..3]),
        labels_since in changes(&LABELS),
        annotations_since in changes(&ANNOTATIONS),
        service: bool,
    ) {
        let mut world = World::with_web();
        world.file.keep_node = true;
        world.change("web-0", |pod| {
            apply(pod, &labels, &annotations);
        });
        if service && world.pod("web-0").labels.get("enabled").is_some_and(|value| &**value == "true") {
            world.service("second", &[("enabled", "true")]);
            world.beside("web-0");
        }
        let before = world.pod("web-0").clone();
        let record = world.quarantine("web-0").record;
        let written = world.pod("web-0").clone();
        world.change("web-0", |pod| {
            apply(pod, &labels_since, &annotations_since);
        });
        world.annotate("web-0", keys::RELEASE, "force");
        let now = world.pod("web-0").clone();
        let mut planned = world.planned();
        planned.retain(|one| matches!(one, Planned::Write(Write::Release(_))));
        let release = the_release(&planned);
        let after = changed(&now, &release.change);

        let mut named = BTreeSet::new();
        let expected = model(&record.edits, &before.labels, &without_own(&written.labels), &without_own(&now.labels), &mut named);
        prop_assert_eq!(&after.labels, &expected);
        let [before, written, now] = [&before, &written, &now].map(|pod| without_own(pod.annotations.iter()));
        let expected = model(&record.annotations, &before, &written, &now, &mut named);
        prop_assert_eq!(without_own(after.annotations.iter()), expected);
        let left: BTreeSet<String> = release.left.iter().map(ToString::to_string).collect();
        prop_assert_eq!(left, named);
    }
}
