//! How long a decision takes beside what tenants can write: `make bench-decide`. Printed, not claimed: machines are shared.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use pod_quarantine_core::{
    decide::decide,
    judge::{Answer, Judge, Sample},
    keys,
    object::{Pod, PodSelectingKind, PodSelectingObject, Service},
    policy::{Policy, PrometheusQuery, Signal, Threshold},
    restore::HIGHEST_COST,
};

use crate::{
    bounded_work::with_budgets_that_cannot_be_left,
    tenants::forge,
    world::{World, policy, selecting, selector, service},
};

/// Decisions of which the median is taken.
const ROUNDS: usize = 51;

/// Makes the same decision again and again; gives the first time, in which nothing is remembered, and the median.
fn times(mut decision: impl FnMut()) -> (Duration, Duration) {
    let mut times = Vec::new();
    for _ in 0..ROUNDS {
        let began = Instant::now();
        decision();
        times.push(began.elapsed());
    }
    let first = times[0];
    times.sort();
    (first, times[ROUNDS / 2])
}

fn print(what: &str, (first, median): (Duration, Duration)) {
    println!("{what:<60} first {first:>10.1?} median {median:>10.1?}");
}

fn of_world(world: &mut World) -> (Duration, Duration) {
    times(|| {
        world.pass(Duration::from_millis(20));
        world.decide();
    })
}

fn forged_records() -> World {
    let mut world = World::new();
    world.deployment("web", 50);
    for index in 0..100 {
        forge(&mut world, &format!("e{index}"), |record| {
            record["policy"] = "p".repeat(240_000).into();
        });
    }
    world
}

/// 400 pods that people ask to quarantine, each the last one on its node, with 400 PodDisruptionBudgets and 400 Services.
fn pods_that_ask() -> World {
    let mut world = World::new();
    world.deployment("web", 400);
    let of_web = || selector(&[("app", "web")]);
    for index in 0..400 {
        let budget = PodSelectingKind::PodDisruptionBudget;
        let budget = selecting(budget, &format!("b{index}"), of_web());
        world.view.put_selecting(budget);
        world.service(&format!("s{index}"), &[("app", "web")]);
        let name = format!("web-{index}");
        world.change(&name, |pod| pod.node = Some(name.as_str().into()));
        world.annotate(&name, keys::QUARANTINE, "x");
    }
    let local = Service {
        local: true,
        ..service("the-last", of_web())
    };
    world.view.put_selecting(PodSelectingObject::Service(local));
    world
}

/// 5,000 pods that seem to have been released, of a ReplicaSet that never settles.
fn pods_that_seem_to_have_been_released() -> World {
    let mut world = World::new();
    world.deployment("web", 5000);
    let released = r#"{"at":"2030-01-01T00:00:00Z","until":"2100-01-01T00:00:00Z"}"#;
    for index in 0..5000 {
        let name = format!("web-{index}");
        world.annotate(&name, keys::RELEASED, released);
        world.annotate(&name, keys::DELETION_COST, HIGHEST_COST);
    }
    let mut waiting = world.pod("web-0").clone();
    waiting.key.name = "waiting".into();
    waiting.uid = "uid-of-waiting".into();
    waiting.owner = None;
    world.put(waiting);
    world
}

/// The pods of Deployments of so many, all watched for the policy `answers`.
struct Judged {
    world: World,
    judge: Judge,
    pods: Vec<Pod>,
}

impl Judged {
    fn new(deployments: u32, replicas: u32) -> Self {
        let mut world = World::new();
        for index in 0..deployments {
            world.deployment(&format!("d{index}"), replicas);
        }
        let mut judge = Judge::default();
        judge.set_policies(&world.file, Duration::ZERO);
        let pods: Vec<Pod> = world.view.pods().cloned().collect();
        for pod in &pods {
            let scopes = world.view.scopes_of(pod);
            judge.watch("answers", &pod.uid, &pod.key, &scopes);
        }
        Self { world, judge, pods }
    }

    fn hear(&mut self, policy: &str, pod: &Pod, answer: Answer) {
        self.judge.record(&Sample {
            policy: policy.into(),
            pod: pod.uid.clone(),
            run: None,
            at: self.world.now,
            asked: self.world.now.moment,
            answer,
            saw: "HTTP 500".into(),
            unreached: false,
        });
    }

    /// Ten seconds later each answers the same.
    fn all_answer(&mut self, answer: Answer) {
        self.world.pass(Duration::from_secs(10));
        let pods = std::mem::take(&mut self.pods);
        for pod in &pods {
            self.hear("answers", pod, answer);
        }
        self.pods = pods;
    }

    /// Judge and decision, as for each sample in the agent.
    fn times(&mut self) -> (Duration, Duration) {
        let Self { world, judge, .. } = self;
        times(|| {
            world.pass(Duration::from_millis(20));
            let findings = judge.findings(world.now.moment);
            let (state, file) = (&mut world.state, &world.file);
            decide(state, file, &world.view, &findings, None, world.now);
        })
    }
}

fn of_one_workload(answer: Answer) -> (Duration, Duration) {
    let mut judged = Judged::new(1, 5000);
    for _ in 0..3 {
        judged.all_answer(answer);
    }
    judged.times()
}

/// One pod of 100,000 is bad by a query that is asked once an hour: before and after all had one bad answer, as the agent's
/// network had a hiccup.
fn around_a_hiccup() -> [(Duration, Duration); 2] {
    let mut judged = Judged::new(10_000, 10);
    let hourly = PrometheusQuery {
        interval: Duration::from_hours(1),
        ..PrometheusQuery::new("x".to_owned(), Threshold::Above(0.05))
    };
    judged.world.file.policies.push(Arc::new(Policy {
        signal: Signal::Prometheus(hourly),
        ..policy("hourly")
    }));
    judged
        .judge
        .set_policies(&judged.world.file, Duration::ZERO);
    let pod = judged.pods[0].clone();
    let scopes = judged.world.view.scopes_of(&pod);
    judged.judge.watch("hourly", &pod.uid, &pod.key, &scopes);
    judged.all_answer(Answer::Good);
    judged.hear("hourly", &pod, Answer::Good);
    judged.world.pass(Duration::from_secs(1));
    judged.hear("hourly", &pod, Answer::Bad);
    judged.all_answer(Answer::Good);
    let before = judged.times();
    judged.all_answer(Answer::Bad);
    judged.all_answer(Answer::Good);
    [before, judged.times()]
}

#[test]
#[ignore = "measures: make bench-decide"]
fn a_decision_beside_what_tenants_write() {
    let mut quiet = World::new();
    quiet.deployment("web", 50);
    print("floor: 50 pods, nothing to do", of_world(&mut quiet));
    let took = of_world(&mut with_budgets_that_cannot_be_left());
    print("50 budgets of sixteen NotIn, 50 annotated pods", took);
    print(
        "100 forged records of 240 KB",
        of_world(&mut forged_records()),
    );
    let took = of_world(&mut pods_that_ask());
    print("400 annotated pods, 400 budgets, 400 Services", took);
    let took = of_world(&mut pods_that_seem_to_have_been_released());
    print("5,000 pods that seem to have been released", took);
    let took = of_one_workload(Answer::Good);
    print("floor: 5,000 pods of one workload, all good", took);
    let took = of_one_workload(Answer::Bad);
    print("5,000 pods of one workload that were never good", took);
    let [before, after] = around_a_hiccup();
    print("floor: one bad pod of 100,000", before);
    print(
        "one bad pod of 100,000 that were bad for ten seconds",
        after,
    );
}
