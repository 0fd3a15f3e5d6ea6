//! The agent is ended with SIGKILL between a decision and its effect. A new one finishes, or leaves all as it was; there
//! is never a pod too many out, and never a label lost.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use pod_quarantine::core::keys;
use test_cluster::wait;
use test_e2e::Passing;

use crate::faults::Faults;

/// Longer than the agent needs to notice and to act.
const A_WHILE: Duration = Duration::from_secs(2);

async fn only_one_is_out(faults: &Faults, pod: &str) -> anyhow::Result<()> {
    tokio::time::sleep(A_WHILE).await;
    assert_eq!(faults.quiet.quarantined().await?, [pod]);
    assert_eq!(faults.slots().await?, [pod]);
    assert_eq!(faults.most.most(), 1);
    Ok(())
}

#[tokio::test]
async fn an_agent_killed_between_slot_and_patch_finishes_after_its_restart() -> anyhow::Result<()> {
    let faults = Faults::new("kill-slot", 3, 1).await?;
    let names = faults.names();
    let agent = faults.run().await?;
    let caught = faults.catch_pod_patch();
    faults.quiet.ask(&names[..1], true).await?;
    let held = caught.held().await?;
    assert_eq!(faults.slots().await?, names[..1], "the slot comes first");
    assert!(faults.quiet.quarantined().await?.is_empty());
    agent.kill().await?;
    drop(held);

    faults.quiet.ask(&names, true).await?;
    let _agent = faults.run().await?;
    faults.quiet.quarantined_are(1).await?;
    only_one_is_out(&faults, &names[0]).await?;
    faults.put_all_back().await?;
    faults.end().await
}

#[tokio::test]
async fn an_agent_killed_before_the_answer_to_its_patch_leaves_the_pod_quarantined()
-> anyhow::Result<()> {
    let faults = Faults::new("kill-answer", 3, 1).await?;
    let names = faults.names();
    let agent = faults.run().await?;
    let caught = faults.catch_pod_patch();
    faults.quiet.ask(&names[..1], true).await?;
    let held = caught.held().await?;
    assert_eq!(held.send().await?.status, 200);
    agent.kill().await?;
    let record = async || {
        let pod = faults.quiet.pod(&names[0]).await?;
        let mut annotations = pod.metadata.annotations.unwrap_or_default();
        anyhow::Ok(annotations.remove(keys::RECORD))
    };
    let written = record().await?;
    assert!(written.is_some());

    faults.quiet.ask(&names[1..], true).await?;
    let _agent = faults.run().await?;
    only_one_is_out(&faults, &names[0]).await?;
    assert_eq!(record().await?, written, "it is not written again");
    faults.put_all_back().await?;
    faults.end().await
}

#[tokio::test]
async fn a_patch_that_arrives_after_the_restart_is_counted() -> anyhow::Result<()> {
    let faults = Faults::new("kill-late", 3, 1).await?;
    let names = faults.names();
    let agent = faults.run().await?;
    let caught = faults.catch_pod_patch();
    faults.quiet.ask(&names[..1], true).await?;
    let held = caught.held().await?;
    agent.kill().await?;

    faults.quiet.ask(&names[1..], true).await?;
    // The new agent finds the slot, and wants to finish: that too must wait, so that the late one comes first.
    let again = faults.catch_pod_patch();
    let _agent = faults.run().await?;
    let again = again.held().await?;
    assert!(
        again.request.uri.path().ends_with(&names[0]),
        "{:?}",
        again.request
    );
    assert_eq!(held.send().await?.status, 200);
    let refused = again.send().await?;
    assert_eq!(refused.status, 409, "it asks for a version that is gone");
    again.answer(refused)?;
    only_one_is_out(&faults, &names[0]).await?;
    faults.put_all_back().await?;
    faults.end().await
}

#[tokio::test]
async fn an_answer_to_a_duplicate_request_frees_no_slot() -> anyhow::Result<()> {
    let faults = Faults::new("kill-twice", 3, 1).await?;
    let names = faults.names();
    let agent = faults.run().await?;
    let caught = faults.catch_pod_patch();
    faults.quiet.ask(&names[..1], true).await?;
    let held = caught.held().await?;
    assert_eq!(held.send().await?.status, 200);
    let second = held.send().await?;
    assert_eq!(second.status, 409);
    held.answer(second)?;
    faults.quiet.ask(&names[1..], true).await?;
    only_one_is_out(&faults, &names[0]).await?;
    agent.kill().await?;
    let _agent = faults.run().await?;
    only_one_is_out(&faults, &names[0]).await?;
    faults.put_all_back().await?;
    faults.end().await
}

#[tokio::test]
async fn an_agent_killed_while_it_takes_a_slot_finishes_or_begins_again() -> anyhow::Result<()> {
    let faults = Faults::new("kill-ledger", 3, 1).await?;
    for arrives in [true, false] {
        let names = faults.quiet.names().await?;
        let agent = faults.run().await?;
        let caught = faults.gate.catch(Passing::is_ledger_patch);
        faults.quiet.ask(&names[..1], true).await?;
        let held = caught.held().await?;
        assert!(faults.slots().await?.is_empty());
        if arrives {
            assert_eq!(held.send().await?.status, 200);
        }
        agent.kill().await?;
        drop(held);
        assert!(faults.quiet.quarantined().await?.is_empty());

        faults.quiet.ask(&names, true).await?;
        let agent = faults.run().await?;
        let out = faults.quiet.quarantined_are(1).await?;
        if arrives {
            assert_eq!(out, names[..1], "the slot was for this one");
        }
        only_one_is_out(&faults, &out[0]).await?;
        faults.put_all_back().await?;
        agent.kill().await?;
    }
    faults.end().await
}

/// The pod's version never changes by itself, so nothing but the fence stands between a late patch and a pod too many.
#[tokio::test]
async fn an_unused_slot_is_fenced_and_a_later_patch_is_refused() -> anyhow::Result<()> {
    let faults = Faults::new("kill-fence", 3, 1).await?;
    let names = faults.names();
    let agent = faults.run().await?;
    let caught = faults.catch_pod_patch();
    faults.quiet.ask(&names[..1], true).await?;
    let held = caught.held().await?;
    agent.kill().await?;
    faults.quiet.ask(&names[1..], true).await?;

    // This one acts on nothing by itself: it fences.
    let observe = faults.policy.replace("mode: enforce", "mode: observe");
    let agent = faults.rights.run(&faults.gate, &observe).await?;
    wait::until("the slot is free", Duration::from_secs(40), async || {
        let slots = faults.slots().await?;
        anyhow::ensure!(slots.is_empty(), "{slots:?}");
        Ok(())
    })
    .await?;
    let fenced = faults.quiet.pod(&names[0]).await?;
    let annotations = fenced.metadata.annotations.unwrap_or_default();
    assert!(annotations.contains_key(keys::FENCE), "{annotations:?}");
    agent.set_policy(&faults.policy)?;
    let out = faults.quiet.quarantined_are(1).await?;
    assert_eq!(held.send().await?.status, 409, "too late");
    only_one_is_out(&faults, &out[0]).await?;
    let labels = faults.quiet.pod(&names[0]).await?.metadata.labels;
    if out[0] != names[0] {
        assert_eq!(labels.as_ref(), Some(&faults.before[&names[0]].0));
    }
    faults.end().await
}

/// A moment between 0 and 1.5 s.
struct Moments(u64);

impl Moments {
    fn next(&mut self) -> Duration {
        // Knuth's MMIX generator; its upper bits are good.
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        Duration::from_millis((self.0 >> 33) % 1500)
    }
}

#[tokio::test]
async fn an_agent_killed_at_random_moments_keeps_the_limit_and_loses_no_label() -> anyhow::Result<()>
{
    const ROUNDS: usize = 20;
    let faults = Faults::new("kill-random", 6, 2).await?;
    let seed = SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs();
    println!("seed {seed}");
    let mut moments = Moments(seed);
    for round in 0..ROUNDS {
        // While pods are taken out.
        let names = faults.quiet.names().await?;
        let agent = faults.rights.start(&faults.gate, &faults.policy).await?;
        let (killed, asked) = tokio::join!(
            async {
                tokio::time::sleep(moments.next()).await;
                agent.kill().await
            },
            faults.quiet.ask(&names, true),
        );
        killed?;
        asked?;
        let agent = faults.rights.start(&faults.gate, &faults.policy).await?;
        faults.quiet.quarantined_are(2).await?;
        // While they are put back, in every other round.
        let agent = if round % 2 == 0 {
            agent
        } else {
            let out = faults.quiet.quarantined().await?;
            faults.quiet.ask(&names, false).await?;
            let (killed, asked) = tokio::join!(
                async {
                    tokio::time::sleep(moments.next()).await;
                    agent.kill().await
                },
                faults.quiet.release(&out),
            );
            killed?;
            asked?;
            faults.rights.start(&faults.gate, &faults.policy).await?
        };
        faults.put_all_back().await?;
        agent.kill().await?;
    }
    assert_eq!(faults.most.most(), 2, "seed {seed}");
    faults.end().await
}
