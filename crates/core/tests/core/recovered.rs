//! What a pod answered last is held against those that were bad when it was asked, whatever they have answered since and
//! whatever else stood in the way: between two answers, to the tenth of a second.

use std::time::Duration;

use pod_quarantine_core::{
    judge::Judge,
    keys,
    object::ObjectKey,
    policy::{PrometheusQuery, Signal, Threshold},
    reason::Reason,
    time::{Moment, Now},
};

use crate::{
    outcome::{quarantines, refusals},
    streaks_and_storms::{Cluster, Is},
    world::World,
};

/// Thirty Deployments of two pods, with the default limits. All pods but the `special` ones are good every ten seconds;
/// what those say, the test says, to the tenth of a second.
struct Scene {
    cluster: Cluster,
    special: Vec<&'static str>,
    tenth: u64,
}

impl Scene {
    fn new(special: &[&'static str]) -> Self {
        Self::of(Cluster::new(30, 2, 1000), special)
    }

    fn of(cluster: Cluster, special: &[&'static str]) -> Self {
        let mut scene = Self {
            cluster,
            special: Vec::new(),
            tenth: 0,
        };
        scene.others_are_good();
        scene.special = special.to_vec();
        scene.at(100);
        scene
    }

    fn now_is(&mut self, tenth: u64) {
        let moment = self.cluster.began + Duration::from_millis(100 * tenth);
        let passed = moment
            .checked_sub(self.cluster.world.now.moment)
            .expect("time goes on");
        self.cluster.world.pass(passed);
        self.tenth = tenth;
    }

    /// It is so many tenths of a second after the beginning.
    fn at(&mut self, tenth: u64) {
        for turn in self.tenth + 1..=tenth {
            if turn.is_multiple_of(100) {
                self.now_is(turn);
                self.others_are_good();
            }
        }
        self.now_is(tenth);
    }

    fn others_are_good(&mut self) {
        let pods: Vec<ObjectKey> = self
            .cluster
            .world
            .view
            .pods()
            .map(|pod| pod.key.clone())
            .collect();
        for key in pods {
            if !self.special.contains(&&*key.name) {
                let now = self.cluster.world.now;
                self.hear(&key.name, Is::Good, now, now.moment);
            }
        }
    }

    /// An answer of that time arrives, of a pod that was asked at another perhaps.
    fn hear(&mut self, name: &str, is: Is, at: Now, asked: Moment) {
        let pod = self.cluster.world.pod(name).clone();
        if pod.counts_as_quarantined() {
            return;
        }
        self.cluster.hear(&pod, is, at, asked);
    }

    /// At that time a pod answers, and a decision is made.
    fn says(&mut self, tenth: u64, name: &str, is: Is) {
        self.says_while_a_write_is_in_flight(tenth, name, is);
        self.cluster.decide();
    }

    /// At that time a pod answers.
    fn says_while_a_write_is_in_flight(&mut self, tenth: u64, name: &str, is: Is) {
        self.at(tenth);
        let now = self.cluster.world.now;
        self.hear(name, is, now, now.moment);
    }

    /// At that time there is no answer of a pod that was asked a second before, and a decision is made.
    fn hangs(&mut self, tenth: u64, name: &str) {
        self.at(tenth);
        let now = self.cluster.world.now;
        self.hear(
            name,
            Is::Bad,
            now,
            now.moment.saturating_sub(Duration::from_secs(1)),
        );
        self.cluster.decide();
    }

    fn decide_at(&mut self, tenth: u64) {
        self.at(tenth);
        self.cluster.decide();
    }

    fn taken(&self) -> Vec<&str> {
        self.cluster.taken()
    }

    /// The agent is killed and started again.
    fn restart(&mut self) {
        self.cluster.world.restart();
        self.cluster.judge = Judge::default();
        self.cluster.judge.set_policies(&self.cluster.world.file);
        self.cluster.watch();
    }
}

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

fn lose(scene: &mut Scene, name: &'static str, from: u64) {
    for second in [from, from + 10, from + 20, from + 30] {
        scene.says(second * 10, name, Is::Unreached);
    }
}

/// One pod is lost and taken out; the agent restarts perhaps.
fn with_one_lost(restart: bool) -> Scene {
    let mut scene = Scene::new(&["d0-0", "d1-0"]);
    scene.says(105, "d0-0", Is::Good);
    scene.says(106, "d1-0", Is::Good);
    lose(&mut scene, "d0-0", 11);
    assert_eq!(scene.taken(), ["d0-0"]);
    if restart {
        scene.restart();
    }
    scene.special = vec!["d1-0"];
    scene
}

/// Which pods are taken out if one is lost, and one of another workload 100 s later.
fn taken_of_two_lost(restart: bool) -> Vec<String> {
    let mut scene = with_one_lost(restart);
    scene.at(1100);
    scene.says(1105, "d1-0", Is::Good);
    lose(&mut scene, "d1-0", 112);
    scene.taken().into_iter().map(str::to_owned).collect()
}

#[test]
fn a_lost_pod_holds_back_those_of_other_workloads() {
    assert_eq!(taken_of_two_lost(false), ["d0-0"]);
}

#[test]
fn a_lost_pod_holds_back_those_of_other_workloads_after_a_restart_too() {
    assert_eq!(taken_of_two_lost(true), ["d0-0"]);
}

#[test]
fn a_connection_that_breaks_under_way_is_a_lost_one_too() {
    let mut scene = Scene::new(&["d0-0", "d1-0"]);
    scene.says(105, "d0-0", Is::Good);
    scene.says(107, "d1-0", Is::Good);
    // The connection was there, and no complete answer came in time.
    scene.says(205, "d0-0", Is::Bad);
    scene.says(207, "d1-0", Is::Unreached);
    for second in [30, 40, 50, 60] {
        scene.says(second * 10 + 5, "d0-0", Is::Unreached);
        scene.says(second * 10 + 7, "d1-0", Is::Unreached);
    }
    assert_eq!(scene.taken(), [""; 0]);
}

/// `d7-0` is always bad, `d7-1` in every second answer of the query, which arrive in that order, each with the time of
/// the query. A decision is made after each, as after any event.
fn taken_beside_one_that_flaps(order: &[&'static str]) -> Vec<String> {
    let mut cluster = Cluster::new(30, 2, 1000);
    cluster.world.policy(|policy| {
        let query = PrometheusQuery::new("x".to_owned(), Threshold::Above(0.5));
        policy.signal = Signal::Prometheus(query);
    });
    cluster.judge.set_policies(&cluster.world.file);
    cluster.watch();
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
            scene.hear(name, is, asked, asked.moment);
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

fn with_two_lost() -> World {
    let mut world = World::with_web();
    world.deployment("api", 4);
    for name in ["web-0", "api-0"] {
        let mut finding = world.finding(name);
        finding.unreached = true;
        finding.since = world.now.moment;
        world.findings.push(finding);
    }
    let refused = [("web-0", Reason::Storm), ("api-0", Reason::Storm)];
    assert_eq!(refusals(&world.planned()), refused);
    world
}

#[test]
fn a_lost_pod_that_is_deleted_was_lost_all_the_same() {
    let mut world = with_two_lost();
    let gone = world.pod("web-0").clone();
    assert!(world.view.remove_pod(&gone.key, &gone.uid));
    world.findings.remove(0);
    assert_eq!(quarantines(&world.planned()).len(), 0);
}

#[test]
fn a_lost_pod_that_people_take_out_was_lost_all_the_same() {
    let mut world = with_two_lost();
    world.annotate("web-0", keys::QUARANTINE, "x");
    let planned = world.planned();
    let quarantine = quarantines(&planned)[0].clone();
    assert_eq!(&*quarantine.pod.key.name, "web-0");
    world.carry_out(&quarantine);
    world.findings.remove(0);
    assert_eq!(quarantines(&world.planned()).len(), 0);
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
    let uid = scene.cluster.world.pod("d7-0").uid.clone();
    let now: Moment = scene.cluster.world.now.moment;
    let verdict = scene.cluster.judge.verdict("answers", &uid, now);
    assert_eq!(verdict.as_str(), "unhealthy");
    assert!(scene.cluster.world.state.refused(&uid).next().is_some());
}

/// The other one was lost, and is out, for twice the cooldown; then this one may be as ill as any.
#[test]
fn a_pod_that_stays_lost_is_held_back_by_one_that_is_out_for_twice_the_cooldown() {
    for restart in [false, true] {
        let mut scene = with_one_lost(restart);
        scene.at(5300);
        scene.says(5305, "d1-0", Is::Good);
        for (until, taken) in [(1220, &["d0-0"] as &[_]), (1250, &["d0-0", "d1-0"])] {
            for second in (scene.tenth / 100 * 10 + 10..until).step_by(10) {
                scene.says(second * 10, "d1-0", Is::Unreached);
            }
            assert_eq!(scene.taken(), taken, "{restart}");
        }
    }
}
