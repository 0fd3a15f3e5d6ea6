//! Brings every version of every pod to the [`Register`], straight from the API server.
//!
//! A restarted API server remembers no events from before. The versions in between are then read one by one,
//! as lists of exactly that version; only where that is refused, too, is something not seen, and that is counted.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use anyhow::{Context as _, ensure};
use futures::StreamExt as _;
use k8s_openapi::{api::core::v1::Pod, apimachinery::pkg::apis::meta::v1::ObjectMeta};
use kube::{
    Api, Client,
    api::{ListParams, VersionMatch, WatchEvent, WatchParams},
};
use test_cluster::wait;
use tokio::task::JoinHandle;

use crate::register::{Limits, Register, version};

/// Between two attempts to reach the API server.
const PAUSE: Duration = Duration::from_millis(50);

/// How the watch went.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Course {
    /// Watches that went on where the last one had ended.
    pub(crate) resumed: usize,
    /// Times that the versions in between were read one by one.
    pub(crate) relisted: usize,
    /// How many versions those were.
    pub(crate) versions_listed: usize,
    /// How many of them could not be read.
    pub(crate) versions_not_seen: usize,
}

/// Follows all pods of the cluster.
pub(crate) struct Watcher {
    seen: Arc<Mutex<(Register, Course)>>,
    pods: Api<Pod>,
    task: JoinHandle<()>,
}

impl Watcher {
    /// Begins with the pods that there are.
    pub(crate) async fn begin(client: &Client, limits: Limits) -> anyhow::Result<Self> {
        let pods: Api<Pod> = Api::all(client.clone());
        let mut register = Register::new(limits);
        let (all, version) = list(&pods, &ListParams::default()).await?;
        register.are(&all);
        let seen = Arc::new(Mutex::new((register, Course::default())));
        let follow = Follow {
            pods: pods.clone(),
            seen: seen.clone(),
            version,
        };
        let task = tokio::spawn(follow.on());
        Ok(Self { seen, pods, task })
    }

    /// What is known so far.
    pub(crate) fn register<T>(&self, look: impl FnOnce(&mut Register) -> T) -> T {
        look(&mut lock(&self.seen).0)
    }

    pub(crate) fn course(&self) -> Course {
        lock(&self.seen).1
    }

    /// Waits until it has seen what there is now.
    pub(crate) async fn is_up_to_date(&self) -> anyhow::Result<()> {
        ensure!(!self.task.is_finished(), "the watcher has ended");
        let (now, _) = list(&self.pods, &ListParams::default()).await?;
        wait::until("all is seen", Duration::from_secs(30), async || {
            self.register(|register| {
                for meta in &now {
                    let uid = meta.uid.as_deref().unwrap_or_default();
                    // One that is not known any more has gone since.
                    if let Some(seen) = register.pods().get(uid) {
                        ensure!(seen.version >= version(meta), "{seen} is not");
                    }
                }
                Ok(())
            })
        })
        .await
    }
}

impl Drop for Watcher {
    fn drop(&mut self) {
        self.task.abort();
    }
}

struct Follow {
    pods: Api<Pod>,
    seen: Arc<Mutex<(Register, Course)>>,
    /// All that was written up to this version is known.
    version: u64,
}

impl Follow {
    async fn on(mut self) {
        loop {
            match self.watch().await {
                Ok(End::Over) => lock(&self.seen).1.resumed += 1,
                Ok(End::Expired) => self.catch_up().await,
                // The API server is away.
                Err(_) => {}
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    async fn watch(&mut self) -> anyhow::Result<End> {
        let params = WatchParams {
            bookmarks: true,
            ..WatchParams::default()
        };
        let from = self.version.to_string();
        let mut events = match self.pods.watch_metadata(&params, &from).await {
            Err(kube::Error::Api(status)) if status.code == 410 => return Ok(End::Expired),
            events => events?.boxed(),
        };
        while let Some(event) = events.next().await {
            match event {
                Ok(WatchEvent::Added(pod) | WatchEvent::Modified(pod)) => {
                    self.version = version(&pod.metadata);
                    lock(&self.seen).0.is(&pod.metadata);
                }
                Ok(WatchEvent::Deleted(pod)) => {
                    self.version = version(&pod.metadata);
                    lock(&self.seen).0.is_gone(&pod.metadata);
                }
                Ok(WatchEvent::Bookmark(bookmark)) => {
                    self.version = bookmark.metadata.resource_version.parse()?;
                }
                Ok(WatchEvent::Error(status)) if status.code == 410 => return Ok(End::Expired),
                Ok(WatchEvent::Error(_)) | Err(_) => break,
            }
        }
        Ok(End::Over)
    }

    /// Reads all versions that were written meanwhile, by whatever kind of object.
    async fn catch_up(&mut self) {
        let Ok((_, now)) = list(&self.pods, &ListParams::default()).await else {
            return;
        };
        lock(&self.seen).1.relisted += 1;
        while self.version < now {
            let next = self.version + 1;
            let exactly = ListParams::default()
                .at(&next.to_string())
                .matching(VersionMatch::Exact);
            match list(&self.pods, &exactly).await {
                Ok((all, _)) => {
                    let (register, course) = &mut *lock(&self.seen);
                    register.are(&all);
                    course.versions_listed += 1;
                }
                Err(error) if is_refused(&error) => lock(&self.seen).1.versions_not_seen += 1,
                // It is away again: the watch finds out whether it goes on from here.
                Err(_) => return,
            }
            self.version = next;
        }
    }
}

/// Why a watch is over.
enum End {
    /// It broke off, or its time was up.
    Over,
    /// The API server does not know its version any more.
    Expired,
}

async fn list(pods: &Api<Pod>, params: &ListParams) -> anyhow::Result<(Vec<ObjectMeta>, u64)> {
    let list = pods.list_metadata(params).await?;
    let version = list.metadata.resource_version.unwrap_or_default();
    let all = list.items.into_iter().map(|pod| pod.metadata).collect();
    Ok((all, version.parse().context("a list without a version")?))
}

/// Whether the API server said no, and will go on to.
fn is_refused(error: &anyhow::Error) -> bool {
    let cause = error.downcast_ref::<kube::Error>();
    matches!(cause, Some(kube::Error::Api(status)) if (400..500).contains(&status.code) && status.code != 429)
}

fn lock(seen: &Mutex<(Register, Course)>) -> MutexGuard<'_, (Register, Course)> {
    seen.lock().unwrap_or_else(PoisonError::into_inner)
}
