//! The images of the tests: the agent's and the workload's, built here and loaded into the cluster. The plugin is built
//! along with them: inside, no registry can be asked.

use std::path::Path;

use anyhow::Context as _;
use test_cluster::{
    Cluster, Progress, Step,
    build::{Profile, static_binary},
    image::Image,
};

/// Name of the agent's image.
pub(crate) const AGENT: (&str, &str) = ("pod-quarantine", "test");

/// Name of the workload's image.
pub const WORKLOAD: &str = "test-workload:test";

/// Builds both images and loads them, and builds the plugin. Registries may be asked: call it outside the cluster's namespace.
///
/// The agent's is laid out as the Dockerfile does it. With `AGENT_IMAGE_ARCHIVE` that archive is loaded instead: the
/// image that the Dockerfile built.
pub async fn prepare(cluster: &Cluster, profile: Profile) -> anyhow::Result<()> {
    let directory = std::env::temp_dir().join(format!("images-{}", std::process::id()));
    std::fs::create_dir_all(&directory).context("make a directory for images")?;
    let prepared = prepare_in(cluster, profile, &directory).await;
    std::fs::remove_dir_all(&directory).context("remove the directory of images")?;
    prepared
}

async fn prepare_in(cluster: &Cluster, profile: Profile, directory: &Path) -> anyhow::Result<()> {
    let step = begin("workload's image");
    let workload = static_binary("test-workload", profile).await?;
    let archive = directory.join("workload.tar");
    Image::from_binary(WORKLOAD, workload).write(&archive)?;
    cluster.load_image(&archive).await?;
    step.done("loaded");
    let step = begin("plugin");
    static_binary("kubectl-quarantine", Profile::Dev).await?;
    step.done("built");
    let step = begin("agent's image");
    if let Some(built) = std::env::var_os("AGENT_IMAGE_ARCHIVE") {
        cluster.load_image(Path::new(&built)).await?;
    } else {
        let agent = static_binary("pod-quarantine", profile).await?;
        let archive = directory.join("agent.tar");
        Image::from_binary(&format!("{}:{}", AGENT.0, AGENT.1), agent).write(&archive)?;
        cluster.load_image(&archive).await?;
    }
    step.done("loaded");
    Ok(())
}

fn begin(image: &str) -> Step {
    Progress::shown().begin_long(image, "building, minutes the first time")
}
