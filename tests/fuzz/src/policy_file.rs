//! The policy file.

use std::{sync::LazyLock, time::Duration};

use jsonschema::Validator;
use pod_quarantine::config::{self, Checked, Errors};
use pod_quarantine_core::policy::{PolicyFile, Signal};
use serde_json::Value;

static SCHEMA: LazyLock<Validator> =
    LazyLock::new(|| jsonschema::validator_for(&config::schema()).unwrap());

pub(crate) fn run(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else {
        return;
    };
    let checked = config::check_text("a.yaml", text);
    let read = config::parse("a.yaml", text);
    if let Err(errors) = &read {
        each_mistake_has_its_place(errors, text);
    }
    match (checked, read) {
        (Ok(checked), Ok(read)) => {
            assert_eq!(checked.file, read.file, "check and run read the same");
            the_schema_takes_it(text);
            it_is_within_bounds(&read.file);
            it_can_be_described(&checked);
        }
        // A query that is not PromQL.
        (Err(_), Ok(read)) => {
            assert!(!read.warnings.is_empty());
            it_is_within_bounds(&read.file);
        }
        (Err(errors), Err(_)) => each_mistake_has_its_place(&errors, text),
        (Ok(_), Err(errors)) => panic!("check takes it, and run does not: {errors}"),
    }
}

fn each_mistake_has_its_place(errors: &Errors, text: &str) {
    assert!(errors.count() >= 1 && errors.iter().len() <= 500);
    let lines = text.split('\n').count();
    for error in errors {
        if let Some(place) = &error.place {
            assert!((1..=lines).contains(&place.line), "{error}");
            let line = text.split('\n').nth(place.line - 1).unwrap();
            assert!(
                (1..=line.chars().count() + 1).contains(&place.column),
                "{error}"
            );
            assert!(place.width >= 1, "{error}");
        }
        assert!(
            !error.message.is_empty() && error.message.len() < 4096,
            "{error}"
        );
    }
    let printed = errors.to_string();
    let hostile = |one: char| one.is_control() && one != '\n';
    assert!(!printed.contains(hostile), "{printed:?}");
}

/// Another reader of YAML reads a file into values, and the JSON Schema takes them.
fn the_schema_takes_it(text: &str) {
    let Ok(document) = serde_saphyr::from_str::<Value>(text) else {
        return;
    };
    if let Err(error) = SCHEMA.validate(&document) {
        panic!("the schema refuses what the reader takes: {error}: {document}");
    }
}

fn it_is_within_bounds(file: &PolicyFile) {
    let from_a_second = |time: Duration, longest: Duration| {
        assert!(
            (Duration::from_secs(1)..=longest).contains(&time),
            "{time:?}"
        );
    };
    let (hour, day) = (Duration::from_hours(1), Duration::from_hours(24));
    let limits = &file.limits;
    assert!((1..=1_000).contains(&limits.cluster.max));
    assert!((1..=10_000).contains(&limits.cluster.per_hour));
    assert!(limits.namespace.max >= 1);
    let storm = &limits.storm;
    for share in [storm.workload, storm.node, storm.zone, storm.cluster] {
        assert!((1..=100).contains(&share), "{share}");
    }
    from_a_second(limits.storm.cooldown, day);
    from_a_second(limits.pacing.replacement_timeout, day);
    from_a_second(limits.hold.max, 90 * day);
    from_a_second(file.ttl, 90 * day);
    assert!(limits.reap.per_minute >= 1);
    assert!(!file.policies.is_empty());
    for policy in &file.policies {
        let same = file
            .policies
            .iter()
            .filter(|other| other.name == policy.name);
        assert_eq!(same.count(), 1, "the name of a policy is its own");
        from_a_second(policy.ttl, 90 * day);
        from_a_second(policy.settle, day);
        match &policy.signal {
            Signal::Probe(probe) => {
                from_a_second(probe.period, hour);
            }
            Signal::Prometheus(query) => {
                from_a_second(query.interval, hour);
                from_a_second(query.hold_for, day);
                assert!(file.prometheus.is_some() && query.query.len() <= 8192);
            }
        }
    }
}

fn it_can_be_described(checked: &Checked) {
    let described = config::describe(&checked.file);
    for policy in &checked.file.policies {
        assert!(described.contains(&*policy.name), "{described}");
    }
}
