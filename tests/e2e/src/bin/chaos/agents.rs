//! The agents: two of one installation, which both act, each behind an unreliable way of its own. They are killed, and
//! stopped for a while; each life has another policy file.

use std::{
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context as _, bail};
use fastrand::Rng;
use test_cluster::wait;
use test_e2e::{Disturbed, Gate, Process};
use tokio::time::Instant;

use crate::scene::Scene;

/// How often what was done to agents.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Done {
    pub(crate) started: usize,
    pub(crate) killed: usize,
    pub(crate) stopped: usize,
    /// Agents that ended though nobody killed them, or did not start.
    pub(crate) ended: usize,
}

/// All agents.
pub(crate) struct Agents {
    both: Vec<Agent>,
    logs: PathBuf,
    pub(crate) done: Done,
}

struct Agent {
    gate: Gate,
    state: State,
    lives: usize,
}

enum State {
    Runs(Process),
    Hangs(Process, Instant),
    Dead(Instant),
}

impl Agents {
    /// Starts two.
    pub(crate) async fn start(scene: &Scene, seed: u64) -> anyhow::Result<Self> {
        let logs = std::env::temp_dir().join(scene.rights.agent.namespace());
        fs::create_dir_all(&logs).context("make the directory of the agents' logs")?;
        let mut agents = Self {
            both: Vec::new(),
            logs,
            done: Done::default(),
        };
        for number in 0..2 {
            let gate = Gate::open_unreliable(&scene.stage, seed.wrapping_add(number)).await?;
            agents.both.push(Agent {
                gate,
                state: State::Dead(Instant::now()),
                lives: 0,
            });
        }
        agents.tend(scene).await;
        Ok(agents)
    }

    /// Where their logs are: a file for each life of each agent.
    pub(crate) fn logs(&self) -> &Path {
        &self.logs
    }

    /// What was done to their requests.
    pub(crate) fn disturbed(&self) -> Vec<Disturbed> {
        let gates = self.both.iter().map(|agent| agent.gate.disturbed());
        gates.collect()
    }

    /// Resumes or restarts the agents whose time has come.
    pub(crate) async fn tend(&mut self, scene: &Scene) {
        self.tend_at(scene, Instant::now()).await;
    }

    async fn tend_at(&mut self, scene: &Scene, now: Instant) {
        for (number, agent) in self.both.iter_mut().enumerate() {
            let state = std::mem::replace(&mut agent.state, State::Dead(now));
            agent.state = match state {
                State::Hangs(process, until) if until <= now => match process.resume() {
                    Ok(()) => State::Runs(process),
                    Err(_) => State::Dead(now),
                },
                State::Dead(until) if until <= now => {
                    let policies = &mut scene.policies.iter().cycle();
                    let policy = policies
                        .nth(number + agent.lives)
                        .map_or("", String::as_str);
                    let started = scene.rights.start(&agent.gate, policy).await;
                    agent.lives += 1;
                    self.done.started += 1;
                    match started {
                        Ok(process) => {
                            // The directory of a process goes with it, a link to its log stays.
                            let log = format!("agent-{number}-life-{}.log", agent.lives);
                            let _ = fs::hard_link(process.log_path(), self.logs.join(log));
                            State::Runs(process)
                        }
                        Err(error) => {
                            println!("an agent did not start: {error:#}");
                            self.done.ended += 1;
                            State::Dead(now + Duration::from_secs(1))
                        }
                    }
                }
                State::Runs(mut process) => match process.ended() {
                    Ok(None) => State::Runs(process),
                    ended => {
                        println!("agent {number} has ended by itself: {ended:?}");
                        self.done.ended += 1;
                        State::Dead(now)
                    }
                },
                state => state,
            };
        }
    }

    /// Kills one of the agents; it is restarted after a while.
    pub(crate) async fn kill(&mut self, rng: &mut Rng) -> anyhow::Result<()> {
        let while_dead = if rng.u8(0..4) == 0 { 6_000 } else { 2_000 };
        let until = Instant::now() + Duration::from_millis(rng.u64(0..while_dead));
        let Some(agent) = rng.choice(&mut self.both) else {
            return Ok(());
        };
        match std::mem::replace(&mut agent.state, State::Dead(until)) {
            State::Runs(process) | State::Hangs(process, _) => {
                process.kill().await?;
                self.done.killed += 1;
            }
            dead @ State::Dead(_) => agent.state = dead,
        }
        Ok(())
    }

    /// Stops one of them, often for longer than any request may take, at times for longer than slots are left alone.
    pub(crate) fn stop(&mut self, rng: &mut Rng) -> anyhow::Result<()> {
        let longest = [1_000, 3_000, 6_000, 12_000, 40_000];
        let longest = rng.choice(longest).unwrap_or(2_000);
        let until = Instant::now() + Duration::from_millis(rng.u64(200..longest));
        let Some(agent) = rng.choice(&mut self.both) else {
            return Ok(());
        };
        match std::mem::replace(&mut agent.state, State::Dead(until)) {
            State::Runs(process) => {
                process.pause()?;
                agent.state = State::Hangs(process, until);
                self.done.stopped += 1;
            }
            state => agent.state = state,
        }
        Ok(())
    }

    /// Ends all that was done to them, and gives them the policy file that has all the pods; waits until both are well.
    pub(crate) async fn recover(&mut self, scene: &Scene) -> anyhow::Result<()> {
        for agent in &self.both {
            agent.gate.calm().await?;
        }
        let at_last = Instant::now() + Duration::from_mins(1);
        self.tend_at(scene, at_last).await;
        let [policy_of_all, ..] = &scene.policies;
        for agent in &self.both {
            if let State::Runs(process) = &agent.state {
                process.set_policy(policy_of_all)?;
            }
        }
        self.are_well().await
    }

    /// Waits until both are well.
    pub(crate) async fn are_well(&self) -> anyhow::Result<()> {
        for (number, agent) in self.both.iter().enumerate() {
            let State::Runs(process) = &agent.state else {
                bail!("agent {number} does not run");
            };
            let what = format!("agent {number} is well");
            wait::until(what, Duration::from_mins(1), async || {
                process.get("/readyz").await?;
                process.get("/healthz").await.map(drop)
            })
            .await?;
        }
        Ok(())
    }
}
