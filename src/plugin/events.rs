//! Events about a pod, reduced to what is printed.

use jiff::Timestamp;
use k8s_openapi::api::core::v1::Event;
use kube::ResourceExt;
use serde::Serialize;

use super::print::{Columns, format_age, sanitize, serialize_time};
use crate::core::keys;

/// An Event about a pod.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PodEvent {
    /// When it was last published.
    #[serde(serialize_with = "serialize_time")]
    pub at: Option<Timestamp>,
    /// Its reason, such as `QuarantineRefused`.
    pub reason: String,
    pub note: String,
    /// The controller or component that published it.
    pub reporter: String,
    /// How often it was published.
    pub count: i32,
    #[serde(skip)]
    pub uid: String,
    /// Its resourceVersion, which changes whenever it is published again.
    #[serde(skip)]
    pub version: String,
}

impl PodEvent {
    /// Whether an agent published it.
    #[must_use]
    pub fn is_of_agent(&self) -> bool {
        self.reporter == keys::REPORTING_CONTROLLER
    }
}

impl From<&Event> for PodEvent {
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

/// One line for each Event.
pub(super) fn event_lines(events: &[PodEvent], now: Timestamp) -> Vec<String> {
    let mut rows = Vec::new();
    for event in events {
        let age = event.at.map(|at| format_age(at, now));
        let times = match event.count {
            ..=1 => String::new(),
            count => format!(" (x{count})"),
        };
        let note = format!("{}{times}", sanitize(event.note.trim()));
        rows.push(vec![age.unwrap_or_default(), event.reason.clone(), note]);
    }
    let lines = Columns::default().lines(&rows);
    lines.lines().map(ToOwned::to_owned).collect()
}
