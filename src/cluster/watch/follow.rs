//! One watch: it lists its kind once and then watches it, turning objects into [`Update`]s.
//!
//! Not kube-runtime's watcher: that yields nothing when it opens a watch again after an interruption, so in a quiet
//! namespace nothing would report that the view is no longer stale. This watch reports that it is in sync, and every
//! bookmark: a decision must not be made on a dead watch that looks like a quiet one.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use futures::{StreamExt, TryStreamExt, stream::BoxStream};
use kube::{
    Error,
    api::{self, ListParams, WatchParams},
};
use tokio::{
    sync::{Semaphore, mpsc},
    time::{Instant, sleep},
};
use tracing::warn;

use super::{Converter, WatchEvent, WatchState, kinds::WatchedKind};
use crate::{
    cluster::client::{BadObject, ClientError, ListPages, Objects},
    core::{
        object::ObjectKey,
        view::{Update, Within},
    },
    deadline::within,
};

/// How long the API server keeps a watch open. Load balancers drop idle flows after 240 s and more.
const WATCH_SECONDS: u32 = 170;

/// How long the API server keeps the first watch open after an interruption: two seconds before its end it sends a
/// bookmark, which says that all events so far were sent. Otherwise the next bookmark may come a minute later.
const CATCH_UP_SECONDS: u32 = 3;

/// How much earlier than asked for a watch may end: a watch that ends sooner was cut, whatever its last bytes look like
/// (kube takes a connection that breaks off for the end of the watch).
const EARLY_END: Duration = Duration::from_secs(1);

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

/// What a watch follows.
pub(super) struct Followed<K> {
    /// Its name in events.
    pub(super) name: &'static str,
    pub(super) objects: Objects<K>,
    pub(super) within: Within,
    /// Only the objects that match, such as `metadata.name=web`.
    pub(super) fields: Option<String>,
    /// The pages that are read at once, of all watches together.
    pub(super) pages: Arc<Semaphore>,
}

/// Watches one kind for ever.
pub(super) async fn follow<K: WatchedKind>(
    followed: Followed<K>,
    events: mpsc::Sender<WatchEvent>,
) {
    let mut watch = Watch {
        followed,
        events,
        converter: Converter::default(),
        failures: 0,
        state: None,
        unreadable: BTreeSet::new(),
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
        /// Before that the API server does not end it.
        lasts_until: Instant,
        events: BoxStream<'static, Result<api::WatchEvent<K>, Error>>,
    },
}

impl<K> Progress<K> {
    /// Continues from the same version. Only if that has expired, or an event cannot be read, everything is listed again.
    fn after(self, error: &ClientError) -> Self {
        let again = error.is_expired() || error.is_unreadable();
        match self {
            Self::Reached(reached) | Self::Open { reached, .. } if !again => Self::Reached(reached),
            _ => Self::Unlisted,
        }
    }
}

struct Watch<K> {
    followed: Followed<K>,
    events: mpsc::Sender<WatchEvent>,
    converter: Converter,
    /// Consecutive failures.
    failures: usize,
    /// What was last passed on of whether everything that has happened was passed on.
    state: Option<WatchState>,
    /// The objects that cannot be read.
    unreadable: BTreeSet<ObjectKey>,
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
                *progress = self.open(reached).await?;
            }
            Progress::Open {
                reached,
                lasts_until,
                events,
            } => {
                if let Some(event) = within(SILENCE, events.try_next()).await?? {
                    if let Some(version) = self.pass_on(event).await? {
                        *reached = version;
                    }
                } else if Instant::now() < *lasts_until {
                    return Err(ClientError::EndedEarly);
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
            let why = format!("watching {}: {error}", self.followed.name);
            self.set_state(WatchState::OutOfSync(why)).await;
            // An object that cannot be read may change often, and each time everything is listed.
            let wait = if error.is_unreadable() {
                BACKOFF.last()
            } else {
                BACKOFF.get(self.failures).or(BACKOFF.last())
            };
            sleep(wait.copied().unwrap_or_default()).await;
        }
        self.failures += 1;
    }

    async fn open(&self, reached: String) -> Result<Progress<K>, ClientError> {
        let seconds = if self.state == Some(WatchState::InSync) {
            WATCH_SECONDS
        } else {
            CATCH_UP_SECONDS
        };
        let params = WatchParams {
            field_selector: self.followed.fields.clone(),
            ..WatchParams::default().timeout(seconds)
        };
        let lasts_until = Instant::now() + Duration::from_secs(seconds.into()) - EARLY_END;
        let events = self.followed.objects.watch(&params, &reached);
        let events = within(CONNECT_TIMEOUT, events).await??.boxed();
        Ok(Progress::Open {
            reached,
            lasts_until,
            events,
        })
    }

    /// Passes on all objects, page by page. Returns the version that they were read at.
    async fn list(&mut self) -> Result<String, ClientError> {
        let mut pages = ListPages::of(ListParams {
            field_selector: self.followed.fields.clone(),
            ..ListParams::default()
        });
        let mut listed = Vec::new();
        let mut unreadable = BTreeMap::new();
        let mut version = None;
        while let Some(params) = pages.next() {
            // Nobody closes it.
            let _turn = self.followed.pages.clone().acquire_owned().await;
            let page = match within(LIST_TIMEOUT, self.followed.objects.list(params)).await? {
                Err(ClientError::PageTooLarge) if pages.halve() => continue,
                page => page?,
            };
            for object in page.items {
                let (key, uid) = (object.meta().key()?, object.meta().uid()?);
                if let Some(why) = self.present(&object).await? {
                    unreadable.insert(key, why);
                } else {
                    listed.push((key, uid));
                }
            }
            unreadable.extend(page.unreadable);
            self.send(WatchEvent::Bookmark(self.followed.name)).await;
            pages.turn(&page.metadata);
            version = page.metadata.resource_version;
        }
        let version = version.ok_or(BadObject::Missing("resourceVersion"))?;
        let number = version.parse().map_err(BadObject::from)?;
        if let Some(all) = K::all(&self.followed.within, listed, number) {
            self.send_update(all).await;
        }
        for key in std::mem::take(&mut self.unreadable) {
            if !unreadable.contains_key(&key) {
                self.send_update(Update::Readable(K::KIND, key)).await;
            }
        }
        for (key, why) in unreadable {
            self.leave_out(key, &why).await;
        }
        Ok(version)
    }

    /// Passes on an object. Returns why it cannot be read, if so: then it is left out, and its kind goes on.
    async fn present(&mut self, object: &K) -> Result<Option<String>, ClientError> {
        match object.present(&mut self.converter) {
            Ok(update) => {
                self.send_update(update).await;
                Ok(None)
            }
            Err(error) if K::MAY_BE_LEFT_OUT => Ok(Some(error.to_string())),
            Err(error) => Err(error.into()),
        }
    }

    /// Tells of an object that cannot be read: what it may select counts as in the way.
    async fn leave_out(&mut self, key: ObjectKey, why: &str) {
        if self.unreadable.insert(key.clone()) {
            warn!(kind = K::KIND, object = %key, why, "an object cannot be read, and is left out");
        }
        self.send_update(Update::Unreadable(K::KIND, key)).await;
    }

    async fn readable(&mut self, key: &ObjectKey) {
        if self.unreadable.remove(key) {
            self.send_update(Update::Readable(K::KIND, key.clone()))
                .await;
        }
    }

    async fn send_update(&self, update: Update) {
        self.send(WatchEvent::Update(self.followed.name, Box::new(update)))
            .await;
    }

    /// Passes on one event. Returns its version.
    async fn pass_on(&mut self, event: api::WatchEvent<K>) -> Result<Option<String>, ClientError> {
        match event {
            api::WatchEvent::Added(object) | api::WatchEvent::Modified(object) => {
                let key = object.meta().key()?;
                match self.present(&object).await? {
                    None => self.readable(&key).await,
                    Some(why) => {
                        // What was known of it is out of date.
                        self.send_update(object.gone()?).await;
                        self.leave_out(key, &why).await;
                    }
                }
                Ok(object.meta().resource_version.clone())
            }
            api::WatchEvent::Deleted(object) => {
                self.send_update(object.gone()?).await;
                self.readable(&object.meta().key()?).await;
                Ok(object.meta().resource_version.clone())
            }
            api::WatchEvent::Bookmark(bookmark) => {
                self.send(WatchEvent::Bookmark(self.followed.name)).await;
                self.set_state(WatchState::InSync).await;
                Ok(Some(bookmark.metadata.resource_version))
            }
            api::WatchEvent::Error(status) => Err(Error::Api(status).into()),
        }
    }

    /// Passes on whether everything that has happened was passed on.
    async fn set_state(&mut self, state: WatchState) {
        if state == WatchState::InSync {
            self.failures = 0;
        }
        if self.state.as_ref() != Some(&state) {
            self.state = Some(state.clone());
            self.send(WatchEvent::Watch(self.followed.name, state))
                .await;
        }
    }

    /// A closed receiver means that the agent is stopping, which the caller's loop notices.
    async fn send(&self, event: WatchEvent) {
        let _ = self.events.send(event).await;
    }
}
