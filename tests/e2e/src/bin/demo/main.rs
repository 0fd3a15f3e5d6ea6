//! `make demo`: shows on a real cluster what the agent does, as a timeline, and checks every step of it.
//!
//! Runs inside the cluster's network namespace, with the images loaded. A step that does not come true ends it with what
//! was seen instead. `KEEP=1` leaves everything running. With `USE_EXISTING_CLUSTER=true`, `PROMETHEUS_URL` says where
//! that cluster's Prometheus is for its pods; it must scrape annotated pods every few seconds. Without it the second pod
//! is found by its probe, too.

mod chapters;
mod ending;
mod lookout;
mod pulse;
mod scene;
mod timeline;

use std::process::ExitCode;

use test_e2e::Stage;

use crate::{scene::Scene, timeline::Timeline};

/// As shells have it for a program that Ctrl-C ended.
const INTERRUPTED: u8 = 130;

#[tokio::main]
async fn main() -> ExitCode {
    let mut timeline = Timeline::new();
    match run(&mut timeline).await {
        Ok(code) => code,
        Err(error) => {
            timeline.failed(&format!("{error:#}"));
            ExitCode::FAILURE
        }
    }
}

/// How the story ended.
enum End {
    CameTrue,
    Failed,
    Interrupted,
}

async fn run(timeline: &mut Timeline) -> anyhow::Result<ExitCode> {
    let stage = Stage::open().await?;
    let before = ending::namespaces(&stage).await?;
    let end = tokio::select! {
        end = play(timeline, &stage) => end,
        pressed = tokio::signal::ctrl_c() => pressed.map(|()| End::Interrupted).map_err(Into::into),
    };
    let code = match end {
        Ok(End::CameTrue) => return Ok(ExitCode::SUCCESS),
        Ok(End::Interrupted) => {
            timeline.say("\nInterrupted.");
            ExitCode::from(INTERRUPTED)
        }
        Ok(End::Failed) => ExitCode::FAILURE,
        Err(error) => {
            timeline.failed(&format!("{error:#}"));
            ExitCode::FAILURE
        }
    };
    if code == ExitCode::FAILURE {
        ending::seen_of_agent(timeline, &stage, &before).await;
    }
    ending::how_to_clean(timeline, &stage, &before).await?;
    Ok(code)
}

/// The whole story.
async fn play(timeline: &mut Timeline, stage: &Stage) -> anyhow::Result<End> {
    let scene = Scene::set(timeline, stage).await?;
    if let Err(error) = chapters::play(timeline, &scene).await {
        timeline.failed(&format!("{error:#}"));
        timeline.quote(&format!("seen instead:\n{}", scene.lookout.describe()));
        return Ok(End::Failed);
    }
    ending::summary(timeline, &scene).await?;
    if std::env::var_os("KEEP").is_some_and(|keep| !keep.is_empty() && keep != "0") {
        ending::how_to_look_around(timeline, &scene);
    } else {
        ending::clean(timeline, scene).await?;
    }
    Ok(End::CameTrue)
}
