//! Which pods were bad at one time, where policies differ about them, or they are bad in turns.

use std::{sync::Arc, time::Duration};

use pod_quarantine_core::{
    judge::{Answer, Sample},
    policy::{Contrast, Policy},
    time::Now,
};

use crate::{
    recovered::errors,
    scene::Scene,
    streaks_and_storms::{Cluster, Is},
    world::probe_of,
};

/// Both pods of d7 are bad at 59.9 s, or `d7-0` alone. A query that was asked at 57 s finds `d7-1` good, and answers at 69.7 s.
fn taken_with_late_query(has_query: bool, both: bool) -> Vec<String> {
    let mut cluster = Cluster::new(30, 2, 1000);
    cluster.policies(|policies| policies.push(errors()));
    for name in ["d7-0", "d7-1"] {
        cluster.watch_for("errors", name, false);
    }
    let mut scene = Scene::of(cluster, &["d7-0", "d7-1"]);
    scene.says(110, "d7-0", Is::Good);
    scene.says(115, "d7-1", Is::Good);
    if has_query {
        scene.says_to("errors", 120, "d7-1", Is::Good);
    }
    for tenth in [195, 295] {
        scene.says(tenth, "d7-1", Is::Good);
        if tenth == 195 {
            scene.says(tenth + 4, "d7-0", Is::Good);
        }
        if has_query && tenth == 195 {
            scene.says_to("errors", 270, "d7-1", Is::Bad);
        }
    }
    scene.says(299, "d7-0", Is::Good);
    scene.says(395, "d7-1", Is::Good);
    scene.says(399, "d7-0", Is::Bad);
    if has_query {
        scene.says_to("errors", 420, "d7-1", Is::NotAsked);
    }
    scene.says(495, "d7-1", Is::Good);
    scene.says(499, "d7-0", Is::Bad);
    scene.at(570);
    let asked: Now = scene.cluster.world.now;
    scene.says(595, "d7-1", if both { Is::Bad } else { Is::Good });
    scene.says(599, "d7-0", Is::Bad);
    scene.says(695, "d7-1", Is::Good);
    if has_query {
        scene.at(697);
        let uid = scene.uid("d7-1");
        scene.cluster.judge.record(&Sample {
            policy: "errors".into(),
            pod: uid,
            run: None,
            at: asked,
            asked: asked.moment,
            answer: Answer::Good,
            unreached: false,
            saw: "0".into(),
        });
    }
    scene.decide_at(698);
    scene.says(699, "d7-0", Is::Good);
    scene.taken().into_iter().map(str::to_owned).collect()
}

#[test]
fn a_query_that_answers_late_does_not_hide_what_a_probe_found_since() {
    for has_query in [false, true] {
        assert_eq!(taken_with_late_query(has_query, true), [""; 0]);
        assert_eq!(taken_with_late_query(has_query, false), ["d7-0"]);
    }
}

/// `d7-0` is dead. The query found `d7-1` bad once, and is gone, or has no answer any more. The probe finds `d7-1` bad once
/// in nine minutes, for ten seconds.
fn is_taken_within_hours(query_was_bad: bool, is_removed: bool) -> bool {
    let mut cluster = Cluster::new(30, 2, 1000);
    cluster.policies(|policies| policies.push(errors()));
    for name in ["d7-0", "d7-1"] {
        cluster.watch_for("errors", name, false);
    }
    let mut scene = Scene::of(cluster, &["d7-0", "d7-1"]);
    scene.says(110, "d7-0", Is::Good);
    scene.says(115, "d7-1", Is::Good);
    scene.says_to("errors", 120, "d7-1", Is::Good);
    scene.says(210, "d7-0", Is::Bad);
    scene.says(215, "d7-1", Is::Good);
    if query_was_bad {
        scene.says_to("errors", 270, "d7-1", Is::Bad);
    }
    scene.says(310, "d7-0", Is::Bad);
    if is_removed {
        scene.cluster.policies(|policies| {
            policies.pop();
        });
    } else {
        scene.says_to("errors", 311, "d7-1", Is::NotAsked);
    }
    for turn in 4..720 {
        scene.says(turn * 100 + 10, "d7-0", Is::Bad);
        let is = if turn % 54 == 0 { Is::Bad } else { Is::Good };
        scene.says(turn * 100 + 15, "d7-1", is);
        if !is_removed {
            scene.says_to("errors", turn * 100 + 20, "d7-1", Is::NotAsked);
        }
        if !scene.taken().is_empty() {
            return true;
        }
    }
    false
}

#[test]
fn a_dead_pod_is_taken_beside_one_that_waits_for_a_policy_for_ever_and_is_bad_now_and_then() {
    assert!(is_taken_within_hours(false, false), "control");
    assert!(is_taken_within_hours(true, false), "no answer");
}

#[test]
fn a_dead_pod_is_taken_beside_one_that_waits_for_a_policy_that_is_gone() {
    assert!(is_taken_within_hours(true, true), "gone");
}

/// Eight of 69 pods are bad, which is 13% with `d7-0`. `d7-0` hangs, for five seconds each time it is asked; the tenant
/// deletes its own meanwhile, and the new ones are bad, too.
fn taken_beside_tenant(deletes: bool) -> Vec<String> {
    const OF_TENANT: [&str; 8] = ["t-0", "t-1", "t-2", "t-3", "t-4", "t-5", "t-6", "t-7"];
    let mut cluster = Cluster::new(30, 2, 1000);
    cluster.world.deployment("t", 9);
    cluster.policies(|policies| probe_of(policies).timeout = Duration::from_secs(5));
    let mut special = OF_TENANT.to_vec();
    special.push("d7-0");
    let mut scene = Scene::of(cluster, &special);
    scene.timeout = Duration::from_secs(5);
    scene.says(110, "d7-0", Is::Good);
    for turn in 0..130 {
        let begins = 200 + turn * 100;
        scene.hangs(begins, "d7-0");
        for (index, name) in (0..).zip(OF_TENANT) {
            scene.at(begins + 60 + index);
            if deletes && !scene.cluster.world.pod(name).counts_as_quarantined() {
                scene.cluster.recreate(name, format!("{name}-{turn}"));
            }
            scene.says(begins + 60 + index, name, Is::Bad);
        }
    }
    scene.taken().into_iter().map(str::to_owned).collect()
}

#[test]
fn a_tenant_that_deletes_its_bad_pods_counts_them_once() {
    for deletes in [false, true] {
        let taken = taken_beside_tenant(deletes);
        assert!(taken.contains(&"d7-0".to_owned()), "{taken:?}");
    }
}

/// `d0-0` of ten pods is dead: it hangs for five seconds. Of the others at most three are bad at a time: one group is good
/// again, then the next is bad, while `d0-0` is waited for perhaps. Four of ten is no storm.
fn is_taken_beside_turns(answers_at_once: bool) -> bool {
    const GROUPS: [[&str; 3]; 3] = [
        ["d0-1", "d0-2", "d0-3"],
        ["d0-4", "d0-5", "d0-6"],
        ["d0-7", "d0-8", "d0-9"],
    ];
    let mut cluster = Cluster::new(10, 10, 1000);
    let timeout = Duration::from_secs(5);
    cluster.policies(|policies| probe_of(policies).timeout = timeout);
    let mut special: Vec<&'static str> = GROUPS.concat();
    special.push("d0-0");
    let mut scene = Scene::of(cluster, &special);
    scene.timeout = if answers_at_once {
        Duration::ZERO
    } else {
        timeout
    };
    scene.all_say(&special, 105, Is::Good);
    for turn in 2..200_usize {
        let begins = 100 * u64::try_from(turn).unwrap();
        for (index, group) in GROUPS.iter().enumerate() {
            let is_bad = turn % 3 == index;
            if !is_bad {
                for name in group {
                    scene.at(begins + 20);
                    scene.hear("answers", name, Is::Good, Duration::ZERO);
                }
            }
        }
        for name in GROUPS[turn % 3] {
            scene.at(begins + 21);
            scene.hear("answers", name, Is::Bad, Duration::ZERO);
        }
        scene.cluster.decide();
        // It was asked at `begins`.
        scene.hangs(begins + 50, "d0-0");
        if scene.taken().contains(&"d0-0") {
            return true;
        }
    }
    false
}

#[test]
fn a_dead_pod_is_taken_beside_others_that_are_bad_in_turns() {
    assert!(is_taken_beside_turns(true), "control");
    assert!(is_taken_beside_turns(false));
}

/// Each is asked once a minute. `d7-0` is bad at 71, 131, and 191 s, `d7-1` at 181 s: two of three. `d7-1` is deleted perhaps,
/// and its replacement is good.
#[test]
fn a_bad_pod_that_is_gone_is_one_of_as_many_pods_as_there_were() {
    for deletes in [false, true] {
        let mut cluster = Cluster::new(30, 3, 1000);
        cluster.policies(|policies| probe_of(policies).period = Duration::from_mins(1));
        let mut scene = Scene::of(cluster, &["d7-0", "d7-1"]);
        scene.says(110, "d7-0", Is::Good);
        scene.says(610, "d7-1", Is::Good);
        scene.says(710, "d7-0", Is::Bad);
        scene.says(1210, "d7-1", Is::Good);
        scene.says(1310, "d7-0", Is::Bad);
        scene.says(1810, "d7-1", Is::Bad);
        scene.says(1910, "d7-0", Is::Bad);
        scene.at(1950);
        if deletes {
            scene.cluster.recreate("d7-1", "again".to_owned());
        }
        scene.says(2010, "d7-1", Is::Good);
        scene.says(2510, "d7-0", Is::Good);
        assert_eq!(scene.taken(), [""; 0], "{deletes}");
    }
}

/// `d0-0` is dead. A query without contrast returns only pods that have errors: every half minute another one of sixty has, for
/// one turn, and is not in the result afterwards, or is good.
#[test]
fn a_dead_pod_is_taken_beside_pods_that_have_errors_for_a_moment_in_turns() {
    for then in [Is::Good, Is::NotAsked] {
        let mut cluster = Cluster::new(30, 2, 1000);
        let names: Vec<&'static str> = (1..30)
            .flat_map(|index| [0, 1].map(|pod| &*format!("d{index}-{pod}").leak()))
            .collect();
        cluster.policies(|policies| {
            policies.push(Arc::new(Policy {
                contrast: Contrast::None,
                ..(*errors()).clone()
            }));
        });
        for name in &names {
            cluster.watch_for("errors", name, false);
        }
        let mut scene = Scene::of(cluster, &["d0-0"]);
        // Errors have been coming for ten minutes.
        for turn in 1..360_usize {
            if turn % 3 == 0 {
                let blips = names[turn / 3 % names.len()];
                let before = names[(turn / 3 - 1) % names.len()];
                let tenth = u64::try_from(turn).unwrap() * 100 + 20;
                scene.says_to("errors", tenth, before, then);
                scene.says_to("errors", tenth + 1, blips, Is::Bad);
            }
            let is = if turn < 60 { Is::Good } else { Is::Bad };
            scene.says(u64::try_from(turn).unwrap() * 100 + 50, "d0-0", is);
        }
        let why = scene.why("d0-0");
        assert_eq!(scene.taken(), ["d0-0"], "{why:?}");
    }
}

/// Twelve watched pods; the agent was restarted at 10 s. `d5-1` answers 500 once, then crashes and waits in back-off, or goes on;
/// the agent found it good before, or never. `d0-0` answers 500 from 20 s on.
fn dead_pod_beside_one_that_crashes(was_good: bool, crashes: bool) -> Option<u64> {
    let cluster = Cluster::new(6, 2, 1000);
    let mut scene = Scene::of(cluster, &["d0-0", "d5-1"]);
    scene.cluster.restart();
    scene.says(105, "d0-0", Is::Good);
    if was_good {
        scene.says(106, "d5-1", Is::Good);
    }
    scene.says(202, "d5-1", Is::Bad);
    if crashes {
        scene.at(204);
        scene.set_run("d5-1", None);
        scene.cluster.world.change("d5-1", |pod| pod.ready = false);
    }
    for turn in 2..150 {
        scene.says(turn * 100 + 5, "d0-0", Is::Bad);
        if crashes {
            scene.says(turn * 100 + 6, "d5-1", Is::NotAsked);
        } else if turn < 5 {
            scene.says(turn * 100 + 6, "d5-1", Is::Bad);
        }
    }
    scene.taken_at("d0-0")
}

/// Two of twelve pods are bad, which is 17%: the cluster's threshold is 20%.
#[test]
fn a_new_agent_counts_a_pod_once_that_was_never_good_and_waits() {
    let bad_still = dead_pod_beside_one_that_crashes(false, false);
    let was_good = dead_pod_beside_one_that_crashes(true, true);
    let never_good = dead_pod_beside_one_that_crashes(false, true);
    assert_eq!(
        [bad_still, was_good, never_good],
        [Some(40), Some(40), Some(40)],
        "bad still, good before, never good"
    );
}

/// A query finds `d7-1` bad at 20 s. `d7-0` is dead from 21 s on. The policy with the query is removed at 32 s perhaps; then
/// `d7-1` is deleted, and a healthy one comes in its place.
fn dead_pod_beside_one_that_is_gone(is_removed: bool) -> Option<u64> {
    let mut cluster = Cluster::new(30, 2, 1000);
    cluster.policies(|policies| policies.push(errors()));
    cluster.watch_for("errors", "d7-1", false);
    let mut scene = Scene::of(cluster, &["d7-0", "d7-1"]);
    scene.says(110, "d7-0", Is::Good);
    scene.says(115, "d7-1", Is::Good);
    scene.says_to("errors", 120, "d7-1", Is::Good);
    scene.says_to("errors", 200, "d7-1", Is::Bad);
    scene.says(210, "d7-0", Is::Bad);
    scene.says(215, "d7-1", Is::Good);
    scene.says(310, "d7-0", Is::Bad);
    scene.says(315, "d7-1", Is::Good);
    scene.at(320);
    if is_removed {
        scene.cluster.policies(|policies| {
            policies.pop();
        });
    }
    scene.at(330);
    scene.cluster.recreate("d7-1", "again".to_owned());
    for turn in 4..100 {
        scene.says(turn * 100 + 10, "d7-0", Is::Bad);
        scene.says(turn * 100 + 15, "d7-1", Is::Good);
    }
    scene.taken_at("d7-0")
}

#[test]
fn a_pod_that_is_gone_was_bad_until_then_also_to_a_policy_that_is_gone() {
    let taken = [false, true].map(dead_pod_beside_one_that_is_gone);
    assert!(taken[0].is_some_and(|at| at < 60), "{taken:?}");
    assert!(taken[1].is_some_and(|at| at < 60), "{taken:?}");
}
