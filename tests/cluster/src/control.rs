//! One component of the running cluster, to be killed, stopped, restarted or made to hang.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context as _, bail};
use rustix::process::Signal;

use crate::components::Component;
use crate::health;
use crate::layout::Layout;
use crate::netns;
use crate::process::{self, Identity};

/// From the start of a process until it is healthy. The slowest takes five seconds on two cores; the machine may be busy.
const HEALTHY: Duration = Duration::from_secs(90);
/// After SIGTERM. An API server lets its requests end.
const ENDED: Duration = Duration::from_secs(30);
/// After SIGKILL.
const KILLED: Duration = Duration::from_secs(10);

/// A hold on one component.
#[derive(Clone, Debug)]
pub struct Control {
    component: Component,
    layout: Layout,
}

impl Control {
    pub(crate) fn new(component: Component, layout: Layout) -> Self {
        Self { component, layout }
    }

    /// Ends it with SIGKILL.
    pub async fn kill(&self) -> anyhow::Result<()> {
        let process = self.process()?;
        process.signal(Signal::KILL)?;
        process.ended(KILLED).await
    }

    /// Ends it with SIGTERM, and with SIGKILL if it takes longer than 30 s.
    pub async fn stop(&self) -> anyhow::Result<()> {
        let process = self.process()?;
        // One that is paused would not notice.
        process.signal(Signal::CONT)?;
        process.signal(Signal::TERM)?;
        if process.ended(ENDED).await.is_err() {
            self.kill().await?;
        }
        Ok(())
    }

    /// Starts it and waits until it is healthy.
    pub async fn start(&self) -> anyhow::Result<()> {
        if let Some(process) = self.running() {
            bail!("{} runs already, as {}", self.component, process.pid());
        }
        let control = self.clone();
        netns::inside(
            &self.layout,
            move || async move { control.start_here().await },
        )
        .await
    }

    /// Stops it, starts it and waits until it is healthy.
    pub async fn restart(&self) -> anyhow::Result<()> {
        if self.running().is_some() {
            self.stop().await?;
        }
        self.start().await
    }

    /// Makes it hang (SIGSTOP): it keeps its connections and answers nothing.
    pub fn pause(&self) -> anyhow::Result<()> {
        self.process()?.signal(Signal::STOP)
    }

    /// Ends [`Control::pause`].
    pub fn resume(&self) -> anyhow::Result<()> {
        self.process()?.signal(Signal::CONT)
    }

    /// Where it writes its log.
    #[must_use]
    pub fn log_path(&self) -> PathBuf {
        self.layout.log(self.component.name())
    }

    /// The number of its process, if it runs.
    #[must_use]
    pub fn pid(&self) -> Option<i32> {
        self.running().map(|process| process.pid())
    }

    /// Whether it runs and is healthy; the error says what is wrong.
    pub async fn check(&self) -> anyhow::Result<()> {
        let control = self.clone();
        netns::inside(&self.layout, move || async move {
            health::verdict(
                control.component,
                control.running().as_ref(),
                &control.layout,
            )
            .await
        })
        .await
    }

    fn process(&self) -> anyhow::Result<Identity> {
        self.running()
            .with_context(|| format!("{} does not run", self.component))
    }

    pub(crate) fn running(&self) -> Option<Identity> {
        Identity::recorded(&self.record())
    }

    fn record(&self) -> PathBuf {
        self.layout
            .in_run(&format!("processes/{}", self.component.name()))
    }

    /// Starts it. The calling thread is inside the namespace.
    pub(crate) async fn start_here(&self) -> anyhow::Result<()> {
        let launch = self.component.launch(&self.layout);
        let process = process::start(&launch, &self.log_path())?;
        process.record(&self.record())?;
        health::settled(self.component, &process, &self.layout, HEALTHY).await
    }
}
