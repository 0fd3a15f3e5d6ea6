//! Whether a component is up, asked from inside the namespace.

use std::time::Duration;

use anyhow::{Context as _, bail};
use kube::{Client, Config};

use crate::components::Component;
use crate::containerd;
use crate::layout::Layout;
use crate::log;
use crate::process::Identity;
use crate::wait;

/// For one answer: all of them come from this machine.
const ANSWER: Duration = Duration::from_secs(2);

/// How a component is asked.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Check {
    /// At an address and a path, without a look at the certificate: it is our own process that is asked.
    Http(&'static str, &'static str),
    /// Over its socket, with a client of its own.
    Containerd,
}

/// Asks once.
pub(crate) async fn ask(component: Component, layout: &Layout) -> anyhow::Result<()> {
    match component.check() {
        Check::Http(server, path) => tokio::time::timeout(ANSWER, get(server, path))
            .await
            .with_context(|| format!("no answer of {server}{path} within {ANSWER:?}"))?,
        Check::Containerd => containerd::ask(layout).await,
    }
}

async fn get(server: &str, path: &str) -> anyhow::Result<()> {
    let mut config = Config::new(server.parse().context("an address")?);
    config.accept_invalid_certs = true;
    // Asking again is done elsewhere.
    config.default_retry = false;
    let client = Client::try_from(config).context("make a client")?;
    let request = http::Request::get(path)
        .body(Vec::new())
        .context("make a request")?;
    match client.request_text(request).await {
        Ok(_) => Ok(()),
        Err(kube::Error::Api(status)) => bail!(
            "{server}{path} answered {}: {}",
            status.code,
            failed_checks(&status.message)
        ),
        Err(error) => Err(error).with_context(|| format!("ask {server}{path}")),
    }
}

/// Of the lines that Kubernetes' programs answer with, those that say what is wrong.
fn failed_checks(answer: &str) -> String {
    let failed: Vec<&str> = answer
        .lines()
        .filter_map(|line| line.strip_prefix("[-]"))
        .collect();
    if failed.is_empty() {
        return answer.lines().next().unwrap_or_default().to_owned();
    }
    failed.join(", ")
}

/// Waits until a component that was just started is healthy, or has ended, or `limit` is over.
pub(crate) async fn settled(
    component: Component,
    process: &Identity,
    layout: &Layout,
    limit: Duration,
) -> anyhow::Result<()> {
    let healthy = wait::until(format!("{component} is healthy"), limit, async || {
        ask(component, layout).await
    });
    let ended = async {
        while process.runs() {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    let outcome = tokio::select! {
        outcome = healthy => outcome,
        () = ended => Err(anyhow::anyhow!("it ended by itself")),
    };
    outcome.with_context(|| {
        format!(
            "{component} did not start{}",
            log::last_lines(&layout.log(component.name()))
        )
    })
}

/// Whether a component runs and is healthy, as one sentence if it is not.
pub(crate) async fn verdict(
    component: Component,
    process: Option<&Identity>,
    layout: &Layout,
) -> anyhow::Result<()> {
    if process.is_none() {
        bail!("does not run");
    }
    ask(component, layout).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_an_answer_only_what_failed_is_told() {
        let answer = "[+]ping ok\n[-]etcd failed: reason withheld\n[+]log ok\nreadyz check failed";
        assert_eq!(failed_checks(answer), "etcd failed: reason withheld");
        assert_eq!(failed_checks("not yet\nsorry"), "not yet");
    }
}
