//! The watches: each lists its kind once and then follows it, turning what it sees into [`Update`]s.
//!
//! This is kube-runtime's watcher with one thing more: it tells when the API server last spoke, bookmarks included.
//! Behind a load balancer that drops idle flows a dead watch looks like a quiet one, and a decision must not be made
//! on it.

use std::{fmt::Debug, time::Duration};

use futures::{StreamExt, TryStreamExt};
use kube::{
    Api, Error, Resource,
    api::{ListParams, WatchEvent, WatchParams},
};
use serde::de::DeserializeOwned;
use tokio::{
    sync::mpsc,
    time::{sleep, timeout},
};

use super::{
    convert::{BadObject, Shared, key, uid},
    error::in_short,
};
use crate::core::{
    object::{ObjectKey, ResourceVersion, Uid},
    update::Update,
};

/// What a watch says about itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WatchState {
    /// It follows: all that was there has been told.
    Following,
    /// It does not, and why.
    Broken(String),
}

/// What comes from a watch.
#[derive(Clone, Debug, PartialEq)]
pub enum News {
    /// About the cluster, from the watch of that kind.
    Update(&'static str, Box<Update>),
    /// About the watch of that kind.
    Watch(&'static str, WatchState),
    /// The API server spoke to the watch of that kind, of nothing that changed.
    Heard(&'static str),
}

/// Objects in one page of a list, as client-go asks for them.
const PAGE: u32 = 500;

/// How long the API server keeps a watch open. Load balancers drop idle flows after 240 s and more.
const WATCH_SECONDS: u32 = 170;

/// How long a watch may say nothing, not even its end.
const SILENCE: Duration = Duration::from_secs(WATCH_SECONDS as u64 + 10);

/// How long one page of a list may take: the API server's own bound is a minute.
const LIST_TIMEOUT: Duration = Duration::from_secs(65);

/// How long it takes to learn whether a watch was accepted.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(15);

/// Waits between attempts.
const BACKOFF: [Duration; 5] = [
    Duration::from_millis(200),
    Duration::from_millis(500),
    Duration::from_secs(1),
    Duration::from_secs(3),
    Duration::from_secs(10),
];

/// A kind that is watched.
pub(super) trait Watched:
    Resource<DynamicType = ()> + Clone + DeserializeOwned + Debug + Send + 'static
{
    /// Kind, as a person writes it.
    const KIND: &'static str;
    /// It is there, or changed.
    fn seen(&self, shared: &mut Shared) -> Result<Update, BadObject>;
    /// It is gone.
    fn gone(&self) -> Result<Update, BadObject>;
    /// These are all there are.
    fn all(listed: Vec<(ObjectKey, Uid)>, version: ResourceVersion) -> Option<Update>;
}

/// Why a watch was interrupted.
#[derive(Debug, thiserror::Error)]
enum Interruption {
    #[error("{}", in_short(.0))]
    Api(#[from] Error),
    #[error("no answer within {} s", .0.as_secs())]
    Timeout(Duration),
    #[error(transparent)]
    Object(#[from] BadObject),
    #[error("a list without a resourceVersion")]
    NoVersion,
}

impl Interruption {
    /// Whether the version that was followed is no longer to be had: only then is everything listed again.
    fn is_expired(&self) -> bool {
        matches!(self, Self::Api(Error::Api(status)) if status.code == 410 || status.reason == "Expired")
    }
}

/// Watches one kind, for ever. `fields` narrows it, as `metadata.name=web`.
pub(super) async fn follow<K: Watched>(
    api: Api<K>,
    fields: Option<String>,
    news: mpsc::Sender<News>,
) {
    let mut watch = Watch {
        api,
        fields,
        news,
        shared: Shared::default(),
        failures: 0,
    };
    let mut version = None;
    while !watch.news.is_closed() {
        let from = version.take();
        let interruption = match watch.go_on(from, &mut version).await {
            Ok(()) => continue,
            Err(interruption) => interruption,
        };
        let expired = interruption.is_expired();
        if expired {
            version = None;
        }
        if !expired || watch.failures > 0 {
            let why = format!("watching {}: {interruption}", K::KIND);
            watch
                .tell(News::Watch(K::KIND, WatchState::Broken(why)))
                .await;
            let wait = BACKOFF
                .get(watch.failures)
                .or(BACKOFF.last())
                .copied()
                .unwrap_or_default();
            sleep(wait).await;
        }
        watch.failures += 1;
    }
}

struct Watch<K> {
    api: Api<K>,
    fields: Option<String>,
    news: mpsc::Sender<News>,
    shared: Shared,
    /// In a row.
    failures: usize,
}

impl<K: Watched> Watch<K> {
    /// Lists if there is no version to go on from, then watches until the API server ends it. `reached` is where
    /// to go on after an interruption.
    async fn go_on(
        &mut self,
        from: Option<String>,
        reached: &mut Option<String>,
    ) -> Result<(), Interruption> {
        let from = match from {
            Some(version) => version,
            None => self.list().await?,
        };
        *reached = Some(from.clone());
        let params = WatchParams {
            field_selector: self.fields.clone(),
            ..WatchParams::default().timeout(WATCH_SECONDS)
        };
        let opened = timeout(CONNECT_TIMEOUT, self.api.watch(&params, &from)).await;
        let events = opened.map_err(|_| Interruption::Timeout(CONNECT_TIMEOUT))??;
        let mut events = events.boxed();
        self.failures = 0;
        self.tell(News::Watch(K::KIND, WatchState::Following)).await;
        loop {
            let next = timeout(SILENCE, events.try_next()).await;
            let Some(event) = next.map_err(|_| Interruption::Timeout(SILENCE))?? else {
                return Ok(());
            };
            if let Some(version) = self.event(event).await? {
                *reached = Some(version);
            }
        }
    }

    /// Everything there is, page by page. Gives the version that it was read at.
    async fn list(&mut self) -> Result<String, Interruption> {
        let mut params = ListParams {
            field_selector: self.fields.clone(),
            ..ListParams::default().limit(PAGE)
        };
        let mut listed = Vec::new();
        loop {
            let page = timeout(LIST_TIMEOUT, self.api.list(&params)).await;
            let page = page.map_err(|_| Interruption::Timeout(LIST_TIMEOUT))??;
            for object in page.items {
                let update = object.seen(&mut self.shared)?;
                self.tell(News::Update(K::KIND, Box::new(update))).await;
                listed.push((key(object.meta())?, uid(object.meta())?));
            }
            self.tell(News::Heard(K::KIND)).await;
            params.continue_token = page.metadata.continue_.filter(|token| !token.is_empty());
            if params.continue_token.is_none() {
                let version = page
                    .metadata
                    .resource_version
                    .ok_or(Interruption::NoVersion)?;
                let number = version.parse().map_err(BadObject::from)?;
                if let Some(all) = K::all(listed, number) {
                    self.tell(News::Update(K::KIND, Box::new(all))).await;
                }
                return Ok(version);
            }
        }
    }

    /// Tells of one event. Gives the version that it brought.
    async fn event(&mut self, event: WatchEvent<K>) -> Result<Option<String>, Interruption> {
        let (update, version) = match event {
            WatchEvent::Added(object) | WatchEvent::Modified(object) => (
                object.seen(&mut self.shared)?,
                object.meta().resource_version.clone(),
            ),
            WatchEvent::Deleted(object) => (object.gone()?, object.meta().resource_version.clone()),
            WatchEvent::Bookmark(bookmark) => {
                self.tell(News::Heard(K::KIND)).await;
                return Ok(Some(bookmark.metadata.resource_version));
            }
            WatchEvent::Error(status) => return Err(Error::Api(status).into()),
        };
        self.tell(News::Update(K::KIND, Box::new(update))).await;
        Ok(version)
    }

    /// A receiver that is gone means that the agent ends; the caller's loop sees it.
    async fn tell(&self, news: News) {
        let _ = self.news.send(news).await;
    }
}
