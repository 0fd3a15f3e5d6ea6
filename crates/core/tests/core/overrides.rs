//! What people say on a pod, readable and not.

use std::time::Duration;

use pod_quarantine_core::{
    keys,
    overrides::{self, Hold, Overrides, ReleaseCommand},
};
use proptest::prelude::*;

use crate::world::{START, at, pod};

fn read(key: &str, text: &str) -> Overrides {
    let mut pod = pod("a");
    pod.annotations.insert(key.into(), text.into());
    pod.overrides().clone()
}

/// The overrides, and the message if there is a mistake.
fn one<T>(key: &str, text: &str, of: impl Fn(&Overrides) -> T) -> (T, Option<String>) {
    let overrides = read(key, text);
    let value = of(&overrides);
    let mut mistakes = overrides.mistakes.into_iter();
    let message = mistakes.next().map(|mistake| {
        assert_eq!(mistake.key, key);
        mistake.message
    });
    assert!(mistakes.next().is_none(), "one annotation, one mistake");
    (value, message)
}

#[test]
fn a_pod_without_annotations_has_no_overrides() {
    assert_eq!(*pod("a").overrides(), Overrides::default());
}

#[test]
fn an_unreadable_exempt_exempts() {
    for (text, exempt, readable) in [
        ("true", true, true),
        ("false", false, true),
        ("", true, false),
        ("True", true, false),
        ("yes", true, false),
        ("no", true, false),
        (" true", true, false),
    ] {
        let (value, message) = one(keys::EXEMPT, text, |overrides| overrides.exempt);
        assert_eq!((value, message.is_none()), (exempt, readable), "{text:?}");
    }
    assert_eq!(
        one(keys::EXEMPT, "yes", |_| ()).1.unwrap(),
        "pod-quarantine.io/exempt is \"yes\": expected \"true\" or \"false\"; until then the pod is exempt"
    );
}

#[test]
fn an_unreadable_release_releases_nothing() {
    for (text, release, readable) in [
        ("true", Some(ReleaseCommand::Safely), true),
        ("force", Some(ReleaseCommand::Force), true),
        ("false", None, true),
        ("", None, false),
        ("Force", None, false),
        ("1", None, false),
    ] {
        let (value, message) = one(keys::RELEASE, text, |overrides| overrides.release);
        assert_eq!((value, message.is_none()), (release, readable), "{text:?}");
    }
    assert_eq!(
        one(keys::RELEASE, "now", |_| ()).1.unwrap(),
        "pod-quarantine.io/release is \"now\": expected \"true\" or \"force\"; until then the pod is not released"
    );
}

#[test]
fn an_unreadable_hold_holds() {
    for (text, hold, readable) in [
        ("true", Hold::Open, true),
        ("false", Hold::No, true),
        (START, Hold::Until(at(START)), true),
        ("2030-01-31T13:00:00+01:00", Hold::Until(at(START)), true),
        ("", Hold::Open, false),
        ("2030-01-31", Hold::Open, false),
        ("2030-13-31T12:00:00Z", Hold::Open, false),
        ("4h", Hold::Open, false),
        ("tomorrow", Hold::Open, false),
    ] {
        let (value, message) = one(keys::HOLD, text, |overrides| overrides.hold);
        assert_eq!((value, message.is_none()), (hold, readable), "{text:?}");
    }
    assert_eq!(
        one(keys::HOLD, "4h", |_| ()).1.unwrap(),
        "pod-quarantine.io/hold is \"4h\": expected \"true\" or an RFC 3339 time such as 2030-01-31T12:00:00Z; until then the pod is held"
    );
}

#[test]
fn a_hold_until_a_time_ends_at_that_time() {
    let before = at("2030-01-31T11:59:59.999Z");
    assert!(Hold::Until(at(START)).holds(before));
    assert!(!Hold::Until(at(START)).holds(at(START)));
    assert!(Hold::Open.holds(at(START)));
    assert!(!Hold::No.holds(at(START)));
}

#[test]
fn an_unreadable_ttl_is_ignored() {
    for (text, seconds) in [
        ("1s", Some(1)),
        ("4h", Some(14_400)),
        ("1h 30m", Some(5_400)),
        ("1h30m", Some(5_400)),
        ("90d", Some(7_776_000)),
        ("90d 1s", None),
        ("0s", None),
        ("999ms", None),
        ("1M", None),
        ("-4h", None),
        ("4", None),
        ("", None),
        ("four hours", None),
        ("99999999999999999999d", None),
        // The parser panics on these sums.
        ("18446744073709551615s 1000000000ns", None),
        ("18446744073709551615s1000ms", None),
    ] {
        let (value, message) = one(keys::TTL, text, |overrides| overrides.ttl);
        assert_eq!(value, seconds.map(Duration::from_secs), "{text:?}");
        assert_eq!(message.is_none(), seconds.is_some(), "{text:?}");
    }
    assert_eq!(
        one(keys::TTL, "1M", |_| ()).1.unwrap(),
        "pod-quarantine.io/ttl is \"1M\": expected a duration from 1s to 90d such as 4h; until then it is ignored"
    );
}

#[test]
fn any_text_is_a_reason_to_quarantine_and_an_empty_text_reads_as_by_hand() {
    for (text, reason) in [
        ("it leaks", "it leaks"),
        (" it leaks\n", "it leaks"),
        ("", "by hand"),
        ("  ", "by hand"),
    ] {
        let (value, message) = one(keys::QUARANTINE, text, |all| all.quarantine.clone());
        assert_eq!(value.as_deref(), Some(reason));
        assert_eq!(message, None);
    }
}

#[test]
fn only_the_beginning_of_a_long_reason_is_kept() {
    let reason = read(keys::QUARANTINE, &"x".repeat(250_000)).quarantine;
    assert_eq!(reason.unwrap().len(), 1024);
}

#[test]
fn all_mistakes_are_reported_at_once() {
    let mut pod = pod("a");
    for key in [keys::EXEMPT, keys::RELEASE, keys::HOLD, keys::TTL] {
        pod.annotations.insert(key.into(), "?".into());
    }
    let mistakes = &pod.overrides().mistakes;
    let keys_named: Vec<&str> = mistakes.iter().map(|mistake| mistake.key).collect();
    assert_eq!(
        keys_named,
        [keys::EXEMPT, keys::RELEASE, keys::HOLD, keys::TTL]
    );
}

proptest! {
    #![proptest_config(crate::proptest_cases(1_000))]

    #[test]
    fn no_text_panics_or_is_read_as_permission_to_act(
        text in "(\\PC{0,30}|[0-9dhmsM.TZ:+ -]{0,30}|([0-9]{1,20} ?(y|w|d|h|m|s|ms|us|ns) ?){1,6}|1844674407370955161[0-9]s ?(999|1000)[0-9]{0,6}(ms|us|ns))",
    ) {
        let exempt = read(keys::EXEMPT, &text).exempt;
        prop_assert!(exempt || text == "false");
        let hold = read(keys::HOLD, &text);
        prop_assert!(hold.hold != Hold::No || text == "false");
        let release = read(keys::RELEASE, &text).release;
        prop_assert!(release.is_none() || text == "true" || text == "force");
        if let Some(ttl) = read(keys::TTL, &text).ttl {
            prop_assert!((Duration::from_secs(1)..=overrides::LONGEST_TTL).contains(&ttl));
        }
    }
}
