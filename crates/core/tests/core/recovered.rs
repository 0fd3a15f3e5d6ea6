//! What a pod answered last is held against those that were bad when it was asked, whatever they have answered since and
//! whatever else stood in the way: between two answers, to the tenth of a second.

use std::{sync::Arc, time::Duration};

use pod_quarantine_core::{
    judge::BadThen,
    policy::{Contrast, Policy, PrometheusQuery, Signal, Threshold},
    reason::Reason,
};

use crate::{
    outcome::{quarantines, refusals},
    scene::Scene,
    streaks_and_storms::{Cluster, Is, sample},
    world::{World, policy, probe_of, workload_id},
};

/// Both pods of a workload answer 500 from 22 s to 45 s. Meanwhile, and a second longer, something else refuses.
fn taken_after_both_failed(
    refuses: impl FnOnce(&mut World),
    ends: impl FnOnce(&mut World),
) -> Vec<String> {
    let mut scene = Scene::new(&["d7-0", "d7-1"]);
    scene.says(149, "d7-0", Is::Good);
    scene.says(151, "d7-1", Is::Good);
    refuses(&mut scene.cluster.world);
    scene.says(249, "d7-0", Is::Bad);
    scene.says(251, "d7-1", Is::Bad);
    scene.says(349, "d7-0", Is::Bad);
    scene.says(351, "d7-1", Is::Bad);
    scene.says(449, "d7-0", Is::Bad);
    scene.says(451, "d7-1", Is::Good);
    ends(&mut scene.cluster.world);
    scene.decide_at(460);
    scene.decide_at(470);
    scene.says(549, "d7-0", Is::Good);
    scene.taken().into_iter().map(str::to_owned).collect()
}

#[test]
fn the_end_of_a_failure_costs_no_pod_without_anything_else() {
    assert_eq!(taken_after_both_failed(|_| {}, |_| {}), [""; 0]);
}

#[test]
fn the_end_of_a_failure_costs_no_pod_though_watches_were_out_of_sync() {
    let taken = taken_after_both_failed(
        |world| world.view.stale = Some("the pods are out of sync".into()),
        |world| world.view.stale = None,
    );
    assert_eq!(taken, [""; 0]);
}

#[test]
fn the_end_of_a_failure_costs_no_pod_though_the_ledger_was_closed() {
    let taken = taken_after_both_failed(
        |world| {
            let now = world.now.wall;
            world.ledger().rebuilt = Some(now);
        },
        |world| world.ledger().rebuilt = None,
    );
    assert_eq!(taken, [""; 0]);
}

/// The agent's network fails from 22 s to 46 s: its watches do, too, and are in sync a little later.
#[test]
fn the_end_of_a_failure_of_the_agents_network_costs_no_pod_though_its_watches_failed_too() {
    let mut scene = Scene::new(&["d0-0", "d1-0"]);
    scene.says(150, "d0-0", Is::Good);
    scene.says(190, "d1-0", Is::Good);
    scene.cluster.world.view.stale = Some("the pods are out of sync".into());
    for second in [25, 35, 45] {
        scene.says(second * 10, "d0-0", Is::Unreached);
        scene.says(second * 10 + 5, "d1-0", Is::Unreached);
    }
    scene.says(550, "d0-0", Is::Good);
    scene.cluster.world.view.stale = None;
    scene.decide_at(552);
    scene.says(555, "d1-0", Is::Good);
    assert_eq!(scene.taken(), [""; 0]);
}

#[test]
fn the_end_of_a_failure_costs_no_pod_though_a_write_was_in_flight() {
    let mut scene = Scene::new(&["d7-0", "d7-1"]);
    scene.says(149, "d7-0", Is::Good);
    scene.says(151, "d7-1", Is::Good);
    scene.says(249, "d7-0", Is::Bad);
    scene.says(251, "d7-1", Is::Bad);
    scene.says(349, "d7-0", Is::Bad);
    scene.says(351, "d7-1", Is::Bad);
    scene.says_while_a_write_is_in_flight(449, "d7-0", Is::Bad);
    scene.says(451, "d7-1", Is::Good);
    scene.says(549, "d7-0", Is::Good);
    assert_eq!(scene.taken(), [""; 0]);
}

/// Both pods hang from 22 s to 45 s.
#[test]
fn the_end_of_a_failure_costs_no_pod_by_a_probe_that_began_before() {
    let mut scene = Scene::new(&["d7-0", "d7-1"]);
    scene.says(145, "d7-0", Is::Good);
    scene.says(152, "d7-1", Is::Good);
    scene.hangs(255, "d7-0");
    scene.hangs(262, "d7-1");
    scene.hangs(355, "d7-0");
    scene.hangs(362, "d7-1");
    scene.says(452, "d7-1", Is::Good);
    scene.hangs(455, "d7-0");
    scene.decide_at(460);
    scene.says(545, "d7-0", Is::Good);
    assert_eq!(scene.taken(), [""; 0]);
}

/// `d7-0` is always bad, `d7-1` in every second answer of the query, which arrive in that order, each with the time of
/// the query. A decision is made after each, as after any event.
fn taken_beside_one_that_flaps(order: &[&'static str]) -> Vec<String> {
    let mut cluster = Cluster::new(30, 2, 1000);
    cluster.policies(|policies| {
        let query = PrometheusQuery::new("x".to_owned(), Threshold::Above(0.5));
        Arc::make_mut(&mut policies[0]).signal = Signal::Prometheus(query);
    });
    let mut scene = Scene::of(cluster, &["d7-0", "d7-1", "d8-0"]);
    for turn in 0..100 {
        scene.at(100 + turn * 150);
        let asked = scene.cluster.world.now;
        for name in order {
            let is_bad = match *name {
                "d7-0" => turn > 1,
                "d7-1" => turn > 0 && turn.is_multiple_of(2),
                _ => false,
            };
            let is = if is_bad { Is::Bad } else { Is::Good };
            let pod = scene.cluster.world.pod(name).clone();
            if !pod.counts_as_quarantined() {
                let sample = sample(&pod, is, asked, asked.moment);
                scene.cluster.judge.record(&sample);
            }
            scene.cluster.world.pass(Duration::from_millis(1));
            scene.cluster.decide();
        }
    }
    scene.taken().into_iter().map(str::to_owned).collect()
}

#[test]
fn a_bad_pod_is_taken_beside_one_that_flaps() {
    assert_eq!(taken_beside_one_that_flaps(&["d7-1", "d7-0"]), ["d7-0"]);
}

#[test]
fn a_bad_pod_is_taken_beside_one_that_flaps_whatever_else_is_decided_about() {
    let order = ["d8-0", "d7-1", "d7-0"];
    assert_eq!(taken_beside_one_that_flaps(&order), ["d7-0"]);
}

#[test]
fn something_says_why_a_pod_that_is_asked_once_more_is_not_quarantined() {
    let mut scene = Scene::new(&["d7-0", "d7-1"]);
    scene.says(149, "d7-0", Is::Good);
    scene.says(151, "d7-1", Is::Good);
    for second in [25, 35] {
        scene.says(second * 10 - 1, "d7-0", Is::Bad);
        scene.says(second * 10 + 1, "d7-1", Is::Bad);
    }
    scene.says(449, "d7-0", Is::Bad);
    scene.says(451, "d7-1", Is::Good);
    let why = "too many pods are unhealthy at once: it may not be the pod: more than 50% of the pods of Deployment d7 were unhealthy or about to be when this pod was last asked";
    assert_eq!(scene.why("d7-0"), [why]);
}

/// Both pods of a workload fail from 22 s on, and still do at 45 s; what `d7-1` says at 44 s is in question.
fn taken_while_both_fail(at_44_seconds: Option<Is>) -> usize {
    let mut scene = Scene::new(&["d7-0", "d7-1"]);
    scene.says(141, "d7-1", Is::Good);
    scene.says(149, "d7-0", Is::Good);
    for tenth in [241, 341] {
        scene.says(tenth, "d7-1", Is::Bad);
        scene.says(tenth + 8, "d7-0", Is::Bad);
    }
    if let Some(is) = at_44_seconds {
        scene.says(441, "d7-1", is);
    }
    scene.says(449, "d7-0", Is::Bad);
    scene.taken().len()
}

/// No answer is never good: their probes hang, and the agent has too many under way to ask once more.
#[test]
fn a_bad_pod_that_could_not_be_asked_has_not_recovered() {
    assert_eq!(taken_while_both_fail(Some(Is::Bad)), 0);
    assert_eq!(taken_while_both_fail(None), 0);
    assert_eq!(taken_while_both_fail(Some(Is::NotAsked)), 0);
    assert_eq!(taken_while_both_fail(Some(Is::Good)), 1);
}

/// A dependency is down from 20 s to 80 s. `d7-0` hangs until its probe's timeout of 30 s, which is longer than the period;
/// `d7-1` answers 500 at once, and perhaps once more later.
fn taken_after_a_failure_and_a_relapse(at_95_seconds: Is) -> usize {
    let mut cluster = Cluster::new(30, 2, 1000);
    let timeout = Duration::from_secs(30);
    cluster.policies(|policies| probe_of(policies).timeout = timeout);
    let mut scene = Scene::of(cluster, &["d7-0", "d7-1"]);
    scene.timeout = timeout;
    scene.says(149, "d7-0", Is::Good);
    scene.says(151, "d7-1", Is::Good);
    for tenth in [251, 351] {
        scene.says(tenth, "d7-1", Is::Bad);
    }
    scene.hangs(449, "d7-0");
    for tenth in [451, 551, 651] {
        scene.says(tenth, "d7-1", Is::Bad);
    }
    scene.hangs(749, "d7-0");
    scene.says(751, "d7-1", Is::Bad);
    scene.says(851, "d7-1", Is::Good);
    scene.says(951, "d7-1", at_95_seconds);
    scene.says(1046, "d7-1", Is::Good);
    scene.hangs(1049, "d7-0");
    scene.says(1050, "d7-0", Is::Good);
    scene.taken().len()
}

#[test]
fn a_pod_that_hung_is_compared_with_the_failure_though_another_had_a_relapse() {
    assert_eq!(taken_after_a_failure_and_a_relapse(Is::Good), 0);
    assert_eq!(taken_after_a_failure_and_a_relapse(Is::Bad), 0);
}

/// `d7-0` is dead. `d7-1` is bad at 34 s, is perhaps started again, and is good before `d7-0` is asked again.
#[test]
fn a_pod_that_is_good_after_a_restart_has_recovered() {
    for restarts in [false, true] {
        let mut scene = Scene::new(&["d7-0", "d7-1"]);
        scene.says(140, "d7-1", Is::Good);
        scene.says(149, "d7-0", Is::Good);
        scene.says(249, "d7-0", Is::Bad);
        scene.says(340, "d7-1", Is::Bad);
        scene.says(349, "d7-0", Is::Bad);
        if restarts {
            let run = scene.run(1);
            scene.set_run("d7-1", Some(run));
        }
        scene.says(440, "d7-1", Is::Good);
        scene.says(449, "d7-0", Is::Bad);
        let why = scene.why("d7-0");
        assert_eq!(scene.taken(), ["d7-0"], "{restarts}: {why:?}");
    }
}

/// Each is asked every two minutes. `d7-0` is dead, `d7-1` is bad at every third turn, and is then started again.
#[test]
fn a_dead_pod_is_taken_beside_one_that_is_restarted_now_and_then() {
    let mut cluster = Cluster::new(30, 2, 1000);
    cluster.policies(|policies| probe_of(policies).period = Duration::from_mins(2));
    let mut scene = Scene::of(cluster, &["d7-0", "d7-1"]);
    scene.says(101, "d7-0", Is::Good);
    scene.says(102, "d7-1", Is::Good);
    for turn in 1..60 {
        let is_bad = turn % 3 == 0;
        let is = if is_bad { Is::Bad } else { Is::Good };
        scene.says(turn * 1200, "d7-1", is);
        if is_bad {
            let run = scene.run(u32::try_from(turn).unwrap());
            scene.set_run("d7-1", Some(run));
        }
        scene.says(turn * 1200 + 600, "d7-0", Is::Bad);
    }
    assert_eq!(scene.taken(), ["d7-0"], "{:?}", scene.why("d7-0"));
}

/// Five of 66 pods are bad, which is 8%. Their tenant deletes each as soon as it was asked. (A Job whose pods fail does the
/// same without ill will.)
#[test]
fn a_tenant_that_deletes_its_bad_pods_again_and_again_holds_back_no_other() {
    const OF_TENANT: [&str; 5] = ["t-0", "t-1", "t-2", "t-3", "t-4"];
    for deletes in [false, true] {
        let mut cluster = Cluster::new(30, 2, 1000);
        cluster.world.deployment("t", 6);
        cluster.watch();
        let mut scene = Scene::of(cluster, &["d7-0", "t-0", "t-1", "t-2", "t-3", "t-4"]);
        scene.says(110, "d7-0", Is::Good);
        for turn in 0..60 {
            let begins = 200 + turn * 100;
            for name in OF_TENANT {
                scene.says(begins + 10, name, Is::Bad);
                let pod = scene.cluster.world.pod(name);
                if deletes && !pod.counts_as_quarantined() {
                    scene.cluster.recreate(name, format!("{name}-{turn}"));
                }
            }
            scene.says(begins + 50, "d7-0", Is::Bad);
        }
        let why = scene.why("d7-0");
        assert!(scene.taken().contains(&"d7-0"), "{deletes}: {why:?}");
    }
}

/// A new pod is asked within ten seconds, however long the period is.
#[test]
fn a_single_pod_that_is_deleted_again_and_again_holds_back_no_other() {
    let mut cluster = Cluster::new(30, 2, 1000);
    cluster.world.deployment("t", 2);
    cluster.policies(|policies| probe_of(policies).period = Duration::from_mins(1));
    let mut scene = Scene::of(cluster, &["d7-0", "t-0"]);
    scene.says(110, "d7-0", Is::Good);
    for turn in 0..180 {
        let begins = 200 + turn * 100;
        scene.says(begins + 10, "t-0", Is::Bad);
        scene.cluster.recreate("t-0", format!("t-0-{turn}"));
        if turn % 6 == 0 {
            scene.says(begins + 50, "d7-0", Is::Bad);
        }
    }
    assert_eq!(scene.taken(), ["d7-0"], "{:?}", scene.why("d7-0"));
}

/// `d0-0` is dead, `d0-1` was bad for a moment: two of four are half, no storm.
#[test]
fn a_recovered_pod_that_two_policies_found_bad_counts_once() {
    for policies in [&["answers"] as &[_], &["answers", "second"]] {
        let mut cluster = Cluster::new(15, 4, 1000);
        cluster.policies(|policies| policies.push(Arc::new(policy("second"))));
        cluster.watch_for("second", "d0-1", false);
        let mut scene = Scene::of(cluster, &["d0-0", "d0-1"]);
        scene.says(140, "d0-0", Is::Good);
        for policy in ["answers", "second"] {
            scene.says_to(policy, 141, "d0-1", Is::Good);
        }
        scene.hangs(250, "d0-0");
        for policy in policies {
            scene.says_to(policy, 341, "d0-1", Is::Bad);
        }
        scene.hangs(350, "d0-0");
        for policy in policies {
            scene.says_to(policy, 441, "d0-1", Is::Good);
        }
        // It was asked at 44.0 s.
        scene.hangs(450, "d0-0");
        let why = scene.why("d0-0");
        assert_eq!(scene.taken(), ["d0-0"], "{why:?}");
    }
}

/// `web-0` is bad, others were. More than half of the pods would be a storm.
fn is_taken(with_verdict: u32, then: BadThen) -> bool {
    let mut world = World::with_web();
    world.file.limits.storm.workload = 50;
    world.with_verdict.insert(workload_id("web"), with_verdict);
    world.unhealthy("web-0");
    world.was_bad("web", then);
    let planned = world.planned();
    let refused = refusals(&planned);
    assert!(refused.is_empty() || refused == [("web-0", Reason::Storm)]);
    !quarantines(&planned).is_empty()
}

#[test]
fn a_pod_without_a_verdict_counts_among_all_pods_as_long_as_it_counts_as_bad() {
    let then = |pods, without_verdict| BadThen {
        pods,
        without_verdict,
        ..BadThen::default()
    };
    assert!(!is_taken(3, then(1, 0)));
    assert!(is_taken(4, then(1, 0)));
    assert!(!is_taken(2, then(1, 1)));
    assert!(is_taken(3, then(1, 1)));
}

/// With a threshold of 100% there is no storm.
#[test]
fn no_more_than_all_pods_were_ever_bad() {
    let mut world = World::with_web();
    world.unhealthy("web-0");
    world.was_bad(
        "web",
        BadThen {
            pods: 100,
            ..BadThen::default()
        },
    );
    assert_eq!(quarantines(&world.planned()).len(), 1);
}

/// A wrong policy found a third of the pods bad, and is gone; nobody can say good of them for it any more. `d0-0` is dead.
fn taken_after_a_policy_is_gone(deletes: bool) -> Vec<String> {
    let mut cluster = Cluster::new(30, 2, 1000);
    let wrong = Policy {
        contrast: Contrast::None,
        ..policy("wrong")
    };
    cluster.policies(|policies| policies.push(Arc::new(wrong)));
    let names: Vec<&'static str> = (10..30)
        .map(|index| &*format!("d{index}-0").leak())
        .collect();
    for name in &names {
        cluster.watch_for("wrong", name, false);
    }
    let mut scene = Scene::of(cluster, &["d0-0"]);
    scene.says(110, "d0-0", Is::Good);
    for tenth in [150, 250, 350] {
        for name in &names {
            scene.says_to("wrong", tenth, name, Is::Bad);
        }
        scene.says(tenth + 5, "d0-0", Is::Bad);
    }
    scene.cluster.policies(|policies| {
        policies.pop();
    });
    scene.decide_at(360);
    if deletes {
        for name in &names {
            scene.cluster.recreate(name, format!("{name}-new"));
        }
    }
    // The cooldown is ten minutes.
    for turn in 4..75 {
        scene.says(turn * 100 + 55, "d0-0", Is::Bad);
    }
    scene.taken().into_iter().map(str::to_owned).collect()
}

#[test]
fn a_dead_pod_is_taken_a_cooldown_after_a_wrong_policy_is_gone() {
    for deletes in [false, true] {
        assert_eq!(taken_after_a_policy_is_gone(deletes), ["d0-0"]);
    }
}

/// A policy that asks Prometheus.
pub(crate) fn errors() -> Arc<Policy> {
    let query = PrometheusQuery::new("x".to_owned(), Threshold::Above(0.05));
    Arc::new(Policy {
        signal: Signal::Prometheus(query),
        ..policy("errors")
    })
}

/// The query found `d7-1` bad once, and has no answer since; the probe finds it good.
#[test]
fn a_dead_pod_is_taken_a_cooldown_after_a_query_has_no_answer_any_more() {
    for fails in [false, true] {
        let mut cluster = Cluster::new(30, 2, 1000);
        cluster.policies(|policies| policies.push(errors()));
        for name in ["d7-0", "d7-1"] {
            cluster.watch_for("errors", name, false);
        }
        let mut scene = Scene::of(cluster, &["d7-0"]);
        scene.says(110, "d7-0", Is::Good);
        scene.says_to("errors", 120, "d7-0", Is::Good);
        scene.says_to("errors", 120, "d7-1", Is::Good);
        scene.says(215, "d7-0", Is::Bad);
        if fails {
            scene.says_to("errors", 270, "d7-1", Is::Bad);
        }
        scene.says(315, "d7-0", Is::Bad);
        scene.says(415, "d7-0", Is::Bad);
        if fails {
            scene.says_to("errors", 420, "d7-1", Is::NotAsked);
        }
        for turn in 5..75 {
            scene.says(turn * 100 + 15, "d7-0", Is::Bad);
        }
        let why = scene.why("d7-0");
        assert_eq!(scene.taken(), ["d7-0"], "{fails}: {why:?}");
    }
}
