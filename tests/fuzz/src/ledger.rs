//! The entries of the ledger: lines of a key, a space and the text.

use std::collections::BTreeMap;

use pod_quarantine_core::{
    judge::Findings,
    keys,
    ledger::{Ledger, MAX_PACING_RECORDS, MAX_STORMS, Note, PacingRecord, Slot, Storm},
    object::ResourceVersion,
    write::Write,
};

use crate::cluster::{after_hours, file, is_config_map_key, plan, pod, view};

pub(crate) fn run(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else {
        return;
    };
    let lines = text.lines().filter_map(|line| line.split_once(' '));
    let entries: BTreeMap<&str, &str> = lines.filter(|(key, _)| is_config_map_key(key)).collect();
    let version = ResourceVersion::new(7);
    let ledger = Ledger::read(version, entries.iter().map(|(key, text)| (*key, *text)));
    it_is_read_back_as_written(&ledger, &entries);
    what_is_written_is_valid(&ledger, entries.values().copied());
    it_never_makes_room(ledger);
}

fn it_is_read_back_as_written(ledger: &Ledger, entries: &BTreeMap<&str, &str>) {
    let written = ledger.entries();
    let keys: Vec<&str> = written.keys().map(String::as_str).collect();
    // An entry of the last hour's quarantines that names none is not written again.
    let read = entries.iter().filter(|(key, text)| {
        **key != "begun" || written.contains_key(**key) || text.trim() != "{}"
    });
    let read: Vec<&str> = read.map(|(key, _)| *key).collect();
    assert_eq!(keys, read, "no entry is dropped, and none added");
    assert_eq!(read_again(ledger), *ledger);
}

fn read_again(ledger: &Ledger) -> Ledger {
    let entries = ledger.entries();
    let entries = entries.iter().map(|(key, text)| (&**key, &**text));
    let mut again = Ledger::read(ledger.resource_version, entries);
    again.uid = ledger.uid.clone();
    again
}

/// Whatever stands in an entry, what the agent makes of it is an object that the API server takes.
fn what_is_written_is_valid<'t>(ledger: &Ledger, texts: impl Iterator<Item = &'t str>) {
    for text in texts {
        let mut after = ledger.clone();
        let pacing = serde_json::from_str::<PacingRecord>(text).ok();
        if let Ok(slot) = serde_json::from_str::<Slot>(text)
            && ledger.closed(after_hours(1)).is_none()
        {
            let known = after.slots.get(&slot.uid).cloned();
            if after.begin(slot.clone(), pacing.as_ref()) {
                let forward =
                    known.is_none_or(|known| known.resource_version <= slot.resource_version);
                assert!(forward, "a slot moves forward only");
                assert!(after.free(&slot) && !after.free(&slot));
                assert!(after.take(slot));
            } else {
                assert_eq!(after, *ledger);
            }
        }
        if let Ok(storm) = serde_json::from_str::<Storm>(text) {
            let is_new = after.note(&Note::StormBegan(storm.clone()));
            assert!(!after.note(&Note::StormBegan(storm.clone())));
            if is_new {
                assert_eq!(read_again(&after), after);
                assert!(after.note(&Note::StormEnded(storm.scope)));
            }
        }
        for key in after.entries().into_keys() {
            assert!(is_config_map_key(&key), "{key:?}");
        }
        assert!(after.memory.pacing.len() <= MAX_PACING_RECORDS.max(ledger.memory.pacing.len()));
        assert!(after.memory.storms.len() <= MAX_STORMS.max(ledger.memory.storms.len()));
        assert_eq!(read_again(&after), after);
    }
}

/// A pod that would be quarantined under an empty ledger is not, where that one has no room for it.
fn it_never_makes_room(ledger: Ledger) {
    let now = after_hours(1);
    let mut pod = pod();
    pod.ready = false;
    pod.annotations
        .insert(keys::QUARANTINE.into(), "it leaks".into());
    let file = file();
    let is_taken_out = |ledger: Ledger| {
        let mut view = view(ledger);
        assert!(view.put_pod(pod.clone()));
        let plan = plan(&file, &view, &Findings::default(), now);
        plan.writes
            .iter()
            .any(|write| matches!(write, Write::Quarantine(_)))
    };
    let full = ledger.slots.len() + ledger.unreadable.len() >= file.limits.cluster.max as usize;
    let hour = ledger.memory.begun_within_an_hour(now) >= file.limits.cluster.per_hour;
    let stopped = full || hour || ledger.memory.pause.is_some() || ledger.closed(now).is_some();
    let taken = is_taken_out(ledger);
    assert!(!(stopped && taken), "there is no room for it");
}
