//! Of two agents one is the leader, the other a standby. No limit depends on that.

use std::time::{Duration, Instant};

use anyhow::ensure;
use kube::api::DeleteParams;
use test_cluster::wait;
use test_e2e::{Gate, Labels, PROBE, Passing, Process, Scene};

use crate::faults::Faults;

/// What is promised after a kill.
const TAKEN_OVER: Duration = Duration::from_secs(15);

async fn two(hint: &str) -> anyhow::Result<Scene> {
    let scene = Scene::set(hint, 3, Labels::NoToggle, PROBE).await?;
    scene.agent.scale(2).await?;
    Ok(scene)
}

/// Ends the leader; returns after how long the standby acts.
async fn ended(scene: &Scene, grace: DeleteParams) -> anyhow::Result<Duration> {
    let leader = scene.agent.leader().await?;
    let pods = scene.stage.pods(scene.agent.namespace());
    let began = Instant::now();
    pods.delete(&leader, &grace).await?;
    scene
        .until("another agent acts", async || {
            let leaders = scene.agent.leaders().await?;
            let other = leaders.iter().any(|name| *name != leader);
            ensure!(other, "{leaders:?}");
            Ok(())
        })
        .await?;
    Ok(began.elapsed())
}

#[tokio::test]
async fn a_standby_takes_over_within_fifteen_seconds_of_a_kill() -> anyhow::Result<()> {
    let scene = two("lead-kill").await?;
    let took = ended(&scene, DeleteParams::default().grace_period(0)).await?;
    assert!(took <= TAKEN_OVER, "{took:?}");
    // It goes on where the first one was.
    scene.web.switch(&scene.pods[0], "500").await?;
    scene.web.quarantined(&scene.pods[0]).await?;
    scene.clear().await
}

#[tokio::test]
async fn a_standby_takes_over_at_once_when_the_leader_is_terminated() -> anyhow::Result<()> {
    let scene = two("lead-term").await?;
    let took = ended(&scene, DeleteParams::default()).await?;
    // Sooner than the Lease runs out; and it is looked at once a second.
    assert!(took <= Duration::from_secs(8), "{took:?}");
    scene.web.switch(&scene.pods[0], "500").await?;
    scene.web.quarantined(&scene.pods[0]).await?;
    scene.clear().await
}

/// As a rolling upgrade does it. The machine may be busy at one time or another, hence the median of five.
#[tokio::test]
async fn a_standby_acts_within_two_seconds_of_the_leaders_sigterm() -> anyhow::Result<()> {
    let faults = Faults::new("lead-rolls", 3, 2).await?;
    let run = async || {
        let agent = faults
            .rights
            .run_electing(&faults.gate, &faults.policy)
            .await?;
        agent.ready().await?;
        anyhow::Ok(agent)
    };
    let mut leader = run().await?;
    acts(&leader, true).await?;
    let mut took = Vec::new();
    for _ in 0..5 {
        let standby = run().await?;
        let began = Instant::now();
        let acting = async {
            acts(&standby, true).await?;
            Ok(began.elapsed())
        };
        let ((status, _), after) = tokio::try_join!(leader.terminate(), acting)?;
        ensure!(status.success(), "{status}");
        took.push(after);
        leader = standby;
    }
    took.sort();
    println!("the standby acted after {took:?}");
    assert!(took[2] <= Duration::from_secs(2), "{took:?}");
    drop(leader);
    faults.end().await
}

/// Everything that the first quarantine stands on is made meanwhile: the Lease, the ledger, a slot.
#[tokio::test]
async fn an_agent_that_starts_first_does_at_once_what_people_have_asked_for() -> anyhow::Result<()>
{
    let faults = Faults::new("lead-first", 2, 2).await?;
    faults.quiet.ask(&faults.names()[..1], true).await?;
    let first = faults
        .rights
        .run_electing(&faults.gate, &faults.policy)
        .await?;
    faults.quiet.quarantined_are(1).await?;
    println!("quarantined {:?} after the start", first.began.elapsed());
    // It sees what people ask for in other tests, too: no policy of it selects those pods.
    let metrics = first.get("/metrics").await?;
    let own = "refusals_total{policy=\"web-does-not-answer\"";
    let refused = metrics
        .lines()
        .filter(|line| line.contains(own) && !line.ends_with(" 0"));
    assert_eq!(refused.collect::<Vec<_>>(), [""; 0]);
    faults.put_all_back().await?;
    drop(first);
    faults.end().await
}

fn is_lease(request: &Passing) -> bool {
    request.uri.path().contains("/leases")
}

/// Waits until this agent acts, or does not.
async fn acts(agent: &Process, acts: bool) -> anyhow::Result<()> {
    wait::until("acts, or does not", Duration::from_secs(30), async || {
        let now = agent.sum("leader", &[]).await? > 0.0;
        ensure!(now == acts, "acts: {now}");
        Ok(())
    })
    .await
}

/// Whether an agent probes these pods, and whether it exports the gauges of state.
async fn is_idle(agent: &Process) -> anyhow::Result<()> {
    let asked = async || agent.sum("signal_samples_total", &[]).await;
    let before = asked().await?;
    tokio::time::sleep(Duration::from_secs(3)).await;
    ensure!(asked().await? == before, "it probes pods");
    let text = agent.get("/metrics").await?;
    ensure!(
        !text.contains("pod_quarantine_limit{"),
        "it exports the gauges of state"
    );
    Ok(())
}

#[tokio::test]
async fn a_leader_that_cannot_renew_the_lease_stops_acting_before_the_standby_begins()
-> anyhow::Result<()> {
    let faults = Faults::new("lead-cut", 3, 2).await?;
    let gate = Gate::open(&faults.stage).await?;
    let first = faults.rights.run_electing(&gate, &faults.policy).await?;
    acts(&first, true).await?;
    let second = faults
        .rights
        .run_electing(&faults.gate, &faults.policy)
        .await?;
    is_idle(&second).await?;
    gate.lose(is_lease);
    let both = async {
        loop {
            let (one, other) =
                tokio::try_join!(first.sum("leader", &[]), second.sum("leader", &[]))?;
            ensure!(one + other <= 1.0, "both act");
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        #[allow(unreachable_code, reason = "it ends with an error alone")]
        anyhow::Ok(())
    };
    let handed_over = async {
        acts(&first, false).await?;
        acts(&second, true).await
    };
    tokio::select! {
        ended = both => ended?,
        handed = handed_over => handed?,
    }
    is_idle(&first).await?;
    gate.lose_none();
    tokio::time::sleep(Duration::from_secs(3)).await;
    acts(&first, false).await?;
    faults.quiet.ask(&faults.names(), true).await?;
    faults.quiet.quarantined_are(2).await?;
    faults.put_all_back().await?;
    assert_eq!(faults.most.most(), 2);
    drop((first, second));
    faults.end().await
}

#[tokio::test]
async fn a_leader_that_hung_stands_by_when_it_resumes() -> anyhow::Result<()> {
    let faults = Faults::new("lead-hung", 3, 2).await?;
    let first = faults
        .rights
        .run_electing(&faults.gate, &faults.policy)
        .await?;
    acts(&first, true).await?;
    let second = faults
        .rights
        .run_electing(&faults.gate, &faults.policy)
        .await?;
    first.pause()?;
    let began = Instant::now();
    acts(&second, true).await?;
    assert!(began.elapsed() <= TAKEN_OVER, "{:?}", began.elapsed());
    first.resume()?;
    acts(&first, false).await?;
    acts(&second, true).await?;
    faults.quiet.ask(&faults.names(), true).await?;
    faults.quiet.quarantined_are(2).await?;
    faults.put_all_back().await?;
    assert_eq!(faults.most.most(), 2);
    drop((first, second));
    faults.end().await
}
