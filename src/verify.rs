//! Whether the replicas of a running agent are ready, with a policy file in force: asked from outside, over their port.

use std::{
    net::SocketAddr,
    path::Path,
    time::{Duration, Instant},
};

use anyhow::{Context, bail, ensure};
use reqwest::Client;
use tokio::{net::lookup_host, time::sleep};

use crate::{config, core::text::Fingerprint, signal::tls};

/// How long one answer may take.
const ANSWER: Duration = Duration::from_secs(5);

/// How often the replicas are asked, until all answer as they should.
const AGAIN: Duration = Duration::from_secs(1);

/// Asks each address of `agent`, a name and a port, until all of them are ready and have the file in force. Says how many
/// there are, or which of them did not answer so within that time.
pub async fn verify(file: &Path, agent: &str, timeout: Duration) -> anyhow::Result<String> {
    let hash = config::read(file)?.hash;
    // It speaks HTTP without TLS; a client is not built without a provider.
    let client = Client::builder()
        .tls_backend_preconfigured(tls::verified(None)?)
        .timeout(ANSWER)
        .no_proxy()
        .build()?;
    let begun = Instant::now();
    loop {
        match all(&client, agent, &hash).await {
            Ok(replicas) => {
                let replicas = match replicas {
                    1 => "1 replica is".to_owned(),
                    more => format!("{more} replicas are"),
                };
                return Ok(format!(
                    "{replicas} ready at {agent}, with the policy file {hash} in force"
                ));
            }
            Err(why) if begun.elapsed() >= timeout => return Err(why),
            Err(_) => {}
        }
        sleep(AGAIN).await;
    }
}

async fn all(client: &Client, agent: &str, hash: &Fingerprint) -> anyhow::Result<usize> {
    let addresses = lookup_host(agent).await;
    let addresses = addresses.with_context(|| format!("look {agent} up"))?;
    let mut replicas = 0;
    for address in addresses {
        one(client, address, hash)
            .await
            .with_context(|| format!("the replica at {address}"))?;
        replicas += 1;
    }
    ensure!(replicas > 0, "{agent} has no address");
    Ok(replicas)
}

async fn one(client: &Client, address: SocketAddr, hash: &Fingerprint) -> anyhow::Result<()> {
    let get = async |page: &str| {
        let answer = client
            .get(format!("http://{address}/{page}"))
            .send()
            .await?;
        let status = answer.status();
        Ok::<_, reqwest::Error>((status, answer.text().await?))
    };
    let (status, text) = get("readyz").await?;
    ensure!(status.is_success(), "it is not ready: {}", text.trim());
    let (status, text) = get("metrics").await?;
    ensure!(status.is_success(), "GET /metrics: {status}");
    let in_force = format!("pod_quarantine_config_info{{hash=\"{hash}\"}} 1");
    if !text.lines().any(|line| line == in_force) {
        bail!("the policy file {hash} is not in force");
    }
    Ok(())
}
