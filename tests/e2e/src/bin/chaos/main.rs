//! `make chaos`: two agents that both act, on pods that go bad and good, while agents are killed and stopped, the API
//! server is restarted, and requests are late, lost and sent twice; and while tenants write anything onto the pods of their
//! own namespaces. A watcher that shares no code with the agent sees every version of every pod: no quarantine may
//! begin at or above a limit, no label may be lost, and nothing may befall a pod of another namespace that nobody asked for.
//! In the end a quarantine that is asked for there begins in time, whatever the tenants do.
//!
//! Runs inside the cluster's network namespace, with the images loaded. `ROUNDS` says how many things happen, `SEED` which,
//! `TENANTS` how many there are: without any, the limit of the cluster stands in the way of the others again and again;
//! what comes of them depends on the cluster's own timing, too. With `SABOTAGE` (see there) it breaks a rule itself, and must
//! fail. A run that fails, or has `KEEP=1`, leaves everything as it is in the end.

mod agents;
mod ending;
mod hostility;
mod register;
mod report;
mod round;
mod sabotage;
mod scene;
mod tenants;
mod watcher;

use std::{fs, process::ExitCode, sync::Arc, time::Instant};

use anyhow::{Context as _, ensure};
use fastrand::Rng;
use test_e2e::Stage;

use crate::{
    agents::Agents,
    register::Seen,
    round::{Event, Round},
    sabotage::Sabotage,
    scene::{Scene, limits},
    tenants::Tenants,
    watcher::Watcher,
};

/// They take less than three minutes.
const ROUNDS: usize = 200;

const TENANTS: usize = 3;

/// Rounds from one line of progress to the next.
const PROGRESS: usize = 20;

/// As shells have it for a program that Ctrl-C ended.
const INTERRUPTED: u8 = 130;

#[tokio::main]
async fn main() -> ExitCode {
    let run = Box::pin(run());
    let well = tokio::select! {
        well = run => well,
        // The agents end with it.
        _ = tokio::signal::ctrl_c() => return ExitCode::from(INTERRUPTED),
    };
    match well {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Whether nothing was wrong.
async fn run() -> anyhow::Result<bool> {
    let rounds = number("ROUNDS")?.map_or(Ok(ROUNDS), usize::try_from)?;
    let seed = number("SEED")?.unwrap_or_else(|| fastrand::u64(0..1_000_000));
    let tenants = number("TENANTS")?.map_or(Ok(TENANTS), usize::try_from)?;
    let sabotage = Sabotage::asked()?;
    println!("{rounds} rounds, SEED={seed}");
    let began = Instant::now();
    let stage = Stage::open_alone().await?;
    let watcher = Arc::new(Watcher::begin(&stage.client, limits(tenants)).await?);
    ensure!(
        watcher.register(|register| !register.pods().values().any(Seen::is_marked)),
        "pods count as quarantined already, perhaps since a run that failed: `make cluster-down` takes them away"
    );
    let mut tenants = Tenants::set(&stage, tenants).await?;
    let scene = Scene::set(stage, &tenants.names()).await?;
    let mut agents = Agents::start(&scene, seed).await?;
    tenants.begin(&watcher, scene.rights.agent.namespace(), seed);

    let mut rng = Rng::with_seed(seed);
    let events = round::events(rounds, &mut rng);
    for (number, &event) in (1..).zip(&events) {
        let round = Round {
            scene: &scene,
            watcher: &watcher,
            agents: &mut agents,
            rng: rng.fork(),
        };
        let played = round.play(event).await;
        played.with_context(|| format!("round {number}, {event:?}"))?;
        if let Some(sabotage) = sabotage.filter(|_| number == rounds / 2) {
            sabotage.commit(&scene, &watcher).await?;
        }
        if number % PROGRESS == 0 || number == rounds {
            report::progress(number, rounds, began.elapsed(), &watcher);
        }
    }
    let rest = ending::come_to_rest(&scene, &watcher, &mut agents, &mut tenants).await;

    let restarts = events
        .into_iter()
        .filter(|event| *event == Event::RestartApiServer);
    let survivors = watcher.register(|register| register.compare_all(|pod| scene.has(pod)));
    let took_place = report::TookPlace {
        rounds,
        api_server_restarts: restarts.count(),
        survivors,
        limits: scene.limits,
    };
    let mut wrong = took_place.report(&agents, &watcher, &tenants);
    wrong.extend(
        rest.err()
            .map(|error| format!("it did not come to rest: {error:#}")),
    );
    wrong.extend(watcher.register(|register| {
        let findings = register.findings().iter();
        findings.map(ToString::to_string).collect::<Vec<_>>()
    }));
    let (over, lost, touched) = watcher.register(|register| {
        let over = register.over_the_cap();
        (over, register.labels_lost(), register.foreign_touched())
    });
    for wrong in &wrong {
        println!("WRONG: {wrong}");
    }
    let logs = agents.logs().to_owned();
    drop(agents);
    if wrong.is_empty() && !is_set("KEEP") {
        scene.clear().await?;
        tenants.clear().await?;
        fs::remove_dir_all(logs)?;
    } else {
        println!("The agents' logs are in {}", logs.display());
    }
    println!("{:.0} s, SEED={seed}", began.elapsed().as_secs_f64());
    println!(
        "{rounds} rounds, {over} over the cap, {lost} labels lost, {touched} foreign namespaces touched"
    );
    Ok(wrong.is_empty())
}

fn number(variable: &str) -> anyhow::Result<Option<u64>> {
    match std::env::var(variable) {
        Ok(text) if !text.is_empty() => {
            let number = text.parse();
            Ok(Some(
                number.with_context(|| format!("{variable} is {text:?}"))?,
            ))
        }
        _ => Ok(None),
    }
}

fn is_set(variable: &str) -> bool {
    std::env::var_os(variable).is_some_and(|value| !value.is_empty() && value != "0")
}
