//! Builds the images of the agent and of the workload and loads them into the running cluster.

use test_cluster::{Cluster, build::Profile};

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    let release = std::env::args().any(|argument| argument == "--release");
    let profile = if release {
        Profile::Release
    } else {
        Profile::Dev
    };
    test_e2e::prepare(&Cluster::attach()?, profile).await
}
