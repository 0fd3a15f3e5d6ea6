//! One watch: it lists its kind once and then watches it, turning objects into [`Update`]s.
//!
//! Not kube-runtime's watcher: that yields nothing when it opens a watch again after an interruption, so in a quiet
//! namespace nothing would report that the view is no longer stale. This watch reports that it is in sync, and every
//! bookmark: a decision must not be made on a dead watch that looks like a quiet one.

use std::time::Duration;

use futures::{StreamExt, TryStreamExt, stream::BoxStream};
use kube::{
    Error,
    api::{self, ListParams, WatchParams},
};
use tokio::{sync::mpsc, time::sleep};

use super::{Converter, WatchEvent, WatchState, kinds::WatchedKind};
use crate::{
    cluster::client::{BadObject, ClientError, ListPages, Objects},
    deadline::within,
};

/// How long the API server keeps a watch open. Load balancers drop idle flows after 240 s and more.
const WATCH_SECONDS: u32 = 170;

/// How long the API server keeps the first watch open after an interruption: two seconds before its end it sends a
/// bookmark, which says that all events so far were sent. Otherwise the next bookmark may come a minute later.
const CATCH_UP_SECONDS: u32 = 3;

/// How long a watch may be silent; then it has missed even its own end.
const SILENCE: Duration = Duration::from_secs(WATCH_SECONDS as u64 + 10);

/// How long one page of a list may take: the API server's own bound is a minute.
const LIST_TIMEOUT: Duration = Duration::from_secs(65);

/// How long the API server may take to accept a watch.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(15);

/// Waits between attempts.
const BACKOFF: [Duration; 5] = [
    Duration::from_millis(200),
    Duration::from_millis(500),
    Duration::from_secs(1),
    Duration::from_secs(3),
    Duration::from_secs(10),
];

/// Watches one kind for ever, only the objects that match `fields`, such as `metadata.name=web`.
pub(super) async fn follow<K: WatchedKind>(
    objects: Objects<K>,
    fields: Option<String>,
    events: mpsc::Sender<WatchEvent>,
) {
    let mut watch = Watch {
        objects,
        fields,
        events,
        converter: Converter::default(),
        failures: 0,
        state: None,
    };
    let mut progress = Progress::Unlisted;
    while !watch.events.is_closed() {
        if let Err(error) = watch.step(&mut progress).await {
            progress = progress.after(&error);
            watch.wait_after(&error).await;
        }
    }
}

/// The progress of a watch.
enum Progress<K> {
    /// Nothing is known; next everything is listed.
    Unlisted,
    /// Everything up to this version is passed on; next a watch is opened from there.
    Reached(String),
    /// A watch is open; next its events are passed on.
    Open {
        /// Everything up to this version is passed on.
        reached: String,
        events: BoxStream<'static, Result<api::WatchEvent<K>, Error>>,
    },
}

impl<K> Progress<K> {
    /// Continues from the same version. Only if that has expired everything is listed again.
    fn after(self, error: &ClientError) -> Self {
        match self {
            Self::Reached(reached) | Self::Open { reached, .. } if !error.is_expired() => {
                Self::Reached(reached)
            }
            _ => Self::Unlisted,
        }
    }
}

struct Watch<K> {
    objects: Objects<K>,
    fields: Option<String>,
    events: mpsc::Sender<WatchEvent>,
    converter: Converter,
    /// Consecutive failures.
    failures: usize,
    /// What was last passed on of whether everything that has happened was passed on.
    state: Option<WatchState>,
}

impl<K: WatchedKind> Watch<K> {
    /// Lists, opens the watch, or passes on its next event.
    async fn step(&mut self, progress: &mut Progress<K>) -> Result<(), ClientError> {
        match progress {
            Progress::Unlisted => {
                let why = "everything is being listed".to_owned();
                self.set_state(WatchState::OutOfSync(why)).await;
                *progress = Progress::Reached(self.list().await?);
                self.set_state(WatchState::InSync).await;
            }
            Progress::Reached(version) => {
                let reached = version.clone();
                let events = self.open(&reached).await?;
                *progress = Progress::Open { reached, events };
            }
            Progress::Open { reached, events } => {
                if let Some(event) = within(SILENCE, events.try_next()).await?? {
                    if let Some(version) = self.pass_on(event).await? {
                        *reached = version;
                    }
                } else {
                    // The API server ends each watch, and sends everything before.
                    *progress = Progress::Reached(std::mem::take(reached));
                    self.set_state(WatchState::InSync).await;
                }
            }
        }
        Ok(())
    }

    /// Reports that the watch is out of sync and waits. A version that has expired is no failure; anything else is.
    async fn wait_after(&mut self, error: &ClientError) {
        if !error.is_expired() || self.failures > 0 {
            let why = format!("watching {}: {error}", K::KIND);
            self.set_state(WatchState::OutOfSync(why)).await;
            let wait = BACKOFF.get(self.failures).or(BACKOFF.last());
            sleep(wait.copied().unwrap_or_default()).await;
        }
        self.failures += 1;
    }

    async fn open(
        &self,
        from: &str,
    ) -> Result<BoxStream<'static, Result<api::WatchEvent<K>, Error>>, ClientError> {
        let seconds = if self.state == Some(WatchState::InSync) {
            WATCH_SECONDS
        } else {
            CATCH_UP_SECONDS
        };
        let params = WatchParams {
            field_selector: self.fields.clone(),
            ..WatchParams::default().timeout(seconds)
        };
        let events = within(CONNECT_TIMEOUT, self.objects.watch(&params, from)).await??;
        Ok(events.boxed())
    }

    /// Passes on all objects, page by page. Returns the version that they were read at.
    async fn list(&mut self) -> Result<String, ClientError> {
        let mut pages = ListPages::of(ListParams {
            field_selector: self.fields.clone(),
            ..ListParams::default()
        });
        let mut listed = Vec::new();
        let mut version = None;
        while let Some(params) = pages.next() {
            let page = within(LIST_TIMEOUT, self.objects.list(params)).await??;
            for object in page.items {
                let update = object.present(&mut self.converter)?;
                self.send(WatchEvent::Update(K::KIND, Box::new(update)))
                    .await;
                listed.push((object.meta().key()?, object.meta().uid()?));
            }
            self.send(WatchEvent::Bookmark(K::KIND)).await;
            pages.turn(&page.metadata);
            version = page.metadata.resource_version;
        }
        let version = version.ok_or(BadObject::Missing("resourceVersion"))?;
        let number = version.parse().map_err(BadObject::from)?;
        if let Some(all) = K::all(listed, number) {
            self.send(WatchEvent::Update(K::KIND, Box::new(all))).await;
        }
        Ok(version)
    }

    /// Passes on one event. Returns its version.
    async fn pass_on(&mut self, event: api::WatchEvent<K>) -> Result<Option<String>, ClientError> {
        let (update, version) = match event {
            api::WatchEvent::Added(object) | api::WatchEvent::Modified(object) => (
                object.present(&mut self.converter)?,
                object.meta().resource_version.clone(),
            ),
            api::WatchEvent::Deleted(object) => {
                (object.gone()?, object.meta().resource_version.clone())
            }
            api::WatchEvent::Bookmark(bookmark) => {
                self.send(WatchEvent::Bookmark(K::KIND)).await;
                self.set_state(WatchState::InSync).await;
                return Ok(Some(bookmark.metadata.resource_version));
            }
            api::WatchEvent::Error(status) => return Err(Error::Api(status).into()),
        };
        self.send(WatchEvent::Update(K::KIND, Box::new(update)))
            .await;
        Ok(version)
    }

    /// Passes on whether everything that has happened was passed on.
    async fn set_state(&mut self, state: WatchState) {
        if state == WatchState::InSync {
            self.failures = 0;
        }
        if self.state.as_ref() != Some(&state) {
            self.state = Some(state.clone());
            self.send(WatchEvent::Watch(K::KIND, state)).await;
        }
    }

    /// A closed receiver means that the agent is stopping, which the caller's loop notices.
    async fn send(&self, event: WatchEvent) {
        let _ = self.events.send(event).await;
    }
}
