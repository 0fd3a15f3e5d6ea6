//! The annotations of a pod: lines of a key's last part, a space and the text, such as `ttl 4h`.

use std::collections::BTreeMap;

use jiff::Timestamp;
use pod_quarantine_core::{
    judge::Findings,
    keys,
    object::{Annotations, MAX_ANNOTATION_BYTES, Pod},
    overrides::{Hold, Overrides, ReleaseCommand},
    restore::{self, HIGHEST_COST},
    write::Write,
};
use test_objects::changed;

use crate::cluster::{after_hours, empty_ledger, file, plan, pod, record, slot, view};

type Texts<'t> = BTreeMap<&'static str, &'t str>;

pub(crate) fn run(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else {
        return;
    };
    let mut pod = pod();
    let mut texts = Texts::new();
    for line in text.lines() {
        let Some((key, text)) = line.split_once(' ').and_then(|(name, text)| {
            let mut keys = keys::READ_FROM_PODS.into_iter();
            let key = keys.find(|key| key.rsplit_once('/').is_some_and(|(_, end)| end == name))?;
            Some((key, text))
        }) else {
            continue;
        };
        pod.annotations.insert(key.into(), text.into());
        texts.insert(key, text);
    }
    the_last_text_counts_in_whatever_order_they_are_written(&pod, &texts);
    what_cannot_be_read_has_the_safe_reading(pod.overrides(), &texts);
    the_mark_of_a_release_goes_by_itself(&pod, &texts);
    nothing_shortens_the_time_in_force_but_a_readable_ttl(&pod, &texts);
}

fn the_last_text_counts_in_whatever_order_they_are_written(pod: &Pod, texts: &Texts<'_>) {
    let texts = texts.iter().rev();
    let mut again: Annotations = texts
        .map(|(key, text)| ((*key).into(), (*text).into()))
        .collect();
    assert_eq!(pod.annotations, again);
    for (key, text) in pod.annotations.iter() {
        assert!(text.len() <= MAX_ANNOTATION_BYTES, "{key}");
        again.remove(key);
    }
    assert_eq!(again, Annotations::default());
}

fn what_cannot_be_read_has_the_safe_reading(read: &Overrides, texts: &Texts<'_>) {
    let text_of = |key| texts.get(key).copied();
    let mut unreadable = Vec::new();
    let exempt = text_of(keys::EXEMPT);
    assert_eq!(read.exempt, exempt.is_some_and(|text| text != "false"));
    if exempt.is_some_and(|text| !["true", "false"].contains(&text)) {
        unreadable.push(keys::EXEMPT);
    }
    let release = match text_of(keys::RELEASE) {
        Some("true") => Some(ReleaseCommand::Safely),
        Some("force") => Some(ReleaseCommand::Force),
        None | Some("false") => None,
        Some(_) => {
            unreadable.push(keys::RELEASE);
            None
        }
    };
    assert_eq!(read.release, release);
    match text_of(keys::HOLD) {
        None | Some("false") => assert_eq!(read.hold, Hold::No),
        Some("true") => assert_eq!(read.hold, Hold::Open),
        Some(text) => match read.hold {
            Hold::Until(time) => assert_eq!(text.parse::<Timestamp>().unwrap(), time),
            hold => {
                assert_eq!(hold, Hold::Open);
                unreadable.push(keys::HOLD);
            }
        },
    }
    if text_of(keys::TTL).is_some() && read.ttl.is_none() {
        unreadable.push(keys::TTL);
    }
    let reason = read.quarantine.as_deref();
    assert_eq!(reason.is_some(), texts.contains_key(keys::QUARANTINE));
    assert!(reason.is_none_or(|reason| (1..=1024).contains(&reason.len())));

    let mistakes: Vec<&str> = read.mistakes.iter().map(|mistake| mistake.key).collect();
    assert_eq!(mistakes, unreadable);
    for mistake in &read.mistakes {
        assert!(mistake.message.len() < 1024, "{}", mistake.message);
        assert!(!mistake.message.contains('\n'), "{}", mistake.message);
    }
}

fn the_mark_of_a_release_goes_by_itself(pod: &Pod, texts: &Texts<'_>) {
    let settled = changed(pod, &restore::settle(pod, || true, Timestamp::MAX));
    assert!(!settled.annotations.contains_key(keys::RELEASED));
    let cost = settled.annotation(keys::DELETION_COST);
    if texts.get(keys::DELETION_COST) != Some(&HIGHEST_COST) {
        assert_eq!(
            cost,
            texts.get(keys::DELETION_COST).copied(),
            "people's own"
        );
    }
    let again = restore::settle(&settled, || true, Timestamp::MAX);
    assert!(!again.annotations.contains_key(keys::DELETION_COST));
}

/// The pod in quarantine for four hours, which a readable annotation once made six.
fn nothing_shortens_the_time_in_force_but_a_readable_ttl(pod: &Pod, texts: &Texts<'_>) {
    let mut pod = pod.clone();
    let record = record();
    pod.labels = record.labels.clone();
    pod.labels.insert("app".into(), "quarantined".into());
    pod.labels
        .insert(keys::STATE.into(), keys::QUARANTINED.into());
    let text = record.to_text().unwrap();
    pod.annotations.insert(keys::RECORD.into(), text.into());
    let overrides = pod.overrides().clone();
    let mut slot = slot(&pod);
    slot.expires = Some(after_hours(6));
    let mut ledger = empty_ledger();
    assert!(ledger.take(slot));
    let mut view = view(ledger);
    assert!(view.put_pod(pod));

    for hours in [3, 5, 7, 24 * 100] {
        let now = after_hours(hours);
        let plan = plan(&file(), &view, &Findings::default(), now);
        let is_reaped = plan
            .writes
            .iter()
            .any(|write| matches!(write, Write::Reap(_)));
        let in_force = match (overrides.ttl, texts.get(keys::TTL)) {
            (Some(ttl), _) => record.at.checked_add(ttl).unwrap(),
            (None, Some(_)) => after_hours(6),
            (None, None) => record.expires,
        };
        // `limits.hold.max` is a week.
        let is_held = match overrides.hold {
            Hold::No => false,
            Hold::Open => hours < 24 * 7,
            Hold::Until(end) => now < end && hours < 24 * 7,
        };
        assert!(
            !is_reaped || (in_force <= now && !is_held),
            "after {hours} h"
        );
        let commands = [keys::RELEASE, keys::HOLD];
        if !commands.iter().any(|key| texts.contains_key(key)) {
            assert_eq!(is_reaped, in_force <= now, "after {hours} h");
        }
    }
}
