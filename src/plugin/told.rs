//! Events, as far as they are shown.

use jiff::Timestamp;
use k8s_openapi::api::core::v1::Event;
use kube::ResourceExt;
use serde::Serialize;

use crate::core::keys;

/// An Event.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Told {
    /// When it was told last.
    pub at: Option<Timestamp>,
    /// Its reason, such as `QuarantineRefused`.
    pub reason: String,
    /// The sentence.
    pub note: String,
    /// Who told it.
    pub reporter: String,
    /// How often it was told.
    pub count: i32,
    /// Which Event it is.
    #[serde(skip)]
    pub uid: String,
    /// Changes whenever it is told again.
    #[serde(skip)]
    pub version: String,
}

impl Told {
    /// Whether an agent told it.
    #[must_use]
    pub fn is_of_agent(&self) -> bool {
        self.reporter == keys::REPORTING_CONTROLLER
    }
}

impl From<&Event> for Told {
    fn from(event: &Event) -> Self {
        let series = event.series.as_ref();
        let repeated = series.and_then(|series| series.last_observed_time.as_ref());
        let micro = repeated.or(event.event_time.as_ref()).map(|time| time.0);
        let last = event.last_timestamp.as_ref().map(|time| time.0);
        let created = event.metadata.creation_timestamp.as_ref();
        let count = series.and_then(|series| series.count).or(event.count);
        let component = event.reporting_component.clone().unwrap_or_default();
        let source = event.source.as_ref();
        let source = source.and_then(|source| source.component.clone());
        let reporter = if component.is_empty() {
            source.unwrap_or_default()
        } else {
            component
        };
        Self {
            at: micro.or(last).or(created.map(|time| time.0)),
            reason: event.reason.clone().unwrap_or_default(),
            note: event.message.clone().unwrap_or_default(),
            reporter,
            count: count.unwrap_or(1).max(1),
            uid: event.uid().unwrap_or_default(),
            version: event.resource_version().unwrap_or_default(),
        }
    }
}
