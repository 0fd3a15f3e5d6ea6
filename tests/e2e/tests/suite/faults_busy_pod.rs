//! A pod that others write all the time is quarantined all the same, and its slot does not leak.

use std::{
    sync::atomic::{AtomicBool, Ordering},
    time::{Duration, Instant},
};

use crate::faults::Faults;

#[tokio::test]
async fn a_pod_that_is_patched_every_thirty_milliseconds_is_quarantined_within_seconds()
-> anyhow::Result<()> {
    let faults = Faults::new("busy", 4, 2).await?;
    let names = faults.names();
    let _agent = faults.run().await?;
    let over = AtomicBool::new(false);
    let write = async {
        let mut writes = 0_u64;
        while !over.load(Ordering::Relaxed) {
            let stage = &faults.stage;
            let text = writes.to_string();
            for name in &names[..2] {
                stage
                    .annotate(faults.namespace.name(), name, "busy", Some(&text))
                    .await?;
            }
            writes += 1;
            tokio::time::sleep(Duration::from_millis(30)).await;
        }
        for name in &names[..2] {
            let stage = &faults.stage;
            stage
                .annotate(faults.namespace.name(), name, "busy", None)
                .await?;
        }
        anyhow::Ok(writes)
    };
    let ask = async {
        tokio::time::sleep(Duration::from_millis(500)).await;
        let began = Instant::now();
        faults.quiet.ask(&names[..2], true).await?;
        let out = faults.quiet.quarantined_are(2).await;
        let took = began.elapsed();
        over.store(true, Ordering::Relaxed);
        assert_eq!(out?, names[..2]);
        assert!(took < Duration::from_secs(10), "it took {took:?}");
        anyhow::Ok(())
    };
    let (writes, asked) = tokio::join!(write, ask);
    asked?;
    assert!(writes? > 10);
    assert_eq!(faults.slots().await?.len(), 2);
    faults.put_all_back().await?;
    assert_eq!(faults.most.most(), 2);
    faults.end().await
}
