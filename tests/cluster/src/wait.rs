//! Waiting with a deadline, and an error that says what was seen instead: [`until`].

use std::fmt::Display;
use std::time::Duration;

use anyhow::anyhow;
use tokio::time::Instant;

/// Between two looks: short beside the 15 ms that an `EndpointSlice` takes to follow a label would be waste, much longer
/// would show in the figures.
const PAUSE: Duration = Duration::from_millis(50);

/// Looks again and again until `look` answers `Ok`, for at most `limit`.
///
/// An error of `look` is what was seen instead; the last one becomes part of the error. A look that hangs is cut off at
/// the deadline.
///
/// ```no_run
/// # async fn example(api: kube::Api<k8s_openapi::api::core::v1::Pod>) -> anyhow::Result<()> {
/// use std::time::Duration;
/// use test_cluster::wait;
///
/// let pods = wait::until("three pods are there", Duration::from_secs(30), async || {
///     let pods = api.list(&Default::default()).await?.items;
///     anyhow::ensure!(pods.len() == 3, "{} pods", pods.len());
///     Ok(pods)
/// })
/// .await?;
/// # Ok(()) }
/// ```
pub async fn until<T>(
    what: impl Display,
    limit: Duration,
    mut look: impl AsyncFnMut() -> anyhow::Result<T>,
) -> anyhow::Result<T> {
    let deadline = Instant::now() + limit;
    let mut seen = String::from("nothing yet, the first look did not come back");
    loop {
        match tokio::time::timeout_at(deadline, look()).await {
            Ok(Ok(value)) => return Ok(value),
            Ok(Err(instead)) => seen = format!("{instead:#}"),
            Err(_) => break,
        }
        if Instant::now() + PAUSE >= deadline {
            break;
        }
        tokio::time::sleep(PAUSE).await;
    }
    Err(anyhow!(
        "awaited in vain for {limit:?}: {what}; last seen: {seen}"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use anyhow::{bail, ensure};

    #[tokio::test]
    async fn answers_as_soon_as_the_condition_holds() -> anyhow::Result<()> {
        let mut looks = 0;
        let seen = until("three looks", Duration::from_secs(5), async || {
            looks += 1;
            ensure!(looks == 3, "{looks} looks");
            Ok(looks)
        })
        .await?;
        assert_eq!(seen, 3);
        Ok(())
    }

    #[tokio::test]
    async fn says_what_was_awaited_how_long_and_what_was_seen_last() {
        let mut looks = 0;
        let ended: anyhow::Result<()> = until(
            "four pods are Ready",
            Duration::from_millis(120),
            async || {
                looks += 1;
                bail!("2 of 4 Ready")
            },
        )
        .await;
        let message = ended.err().map(|e| e.to_string()).unwrap_or_default();
        assert_eq!(
            message,
            "awaited in vain for 120ms: four pods are Ready; last seen: 2 of 4 Ready"
        );
        assert!(looks > 1);
    }

    #[tokio::test]
    async fn a_look_that_hangs_is_cut_off_at_the_deadline() {
        let ended: anyhow::Result<()> = until("an answer", Duration::from_millis(50), async || {
            std::future::pending().await
        })
        .await;
        let message = ended.err().map(|e| e.to_string()).unwrap_or_default();
        assert!(message.contains("did not come back"), "{message}");
    }
}
