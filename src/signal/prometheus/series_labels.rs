//! The labels of a series that say whose it is: [`SeriesLabelsReader`].

use std::{borrow::Cow, fmt};

use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, Visitor};

use super::error::QueryError;
use crate::core::policy::PodLabels;

/// What a series says about whose it is.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct SeriesLabels {
    pub(super) namespace: Option<String>,
    pub(super) pod: Option<String>,
    /// Whether it tells of another pod than the one that was scraped: Prometheus puts `exported_` before a label of the
    /// page where the target has one of the same name.
    pub(super) is_exported: bool,
}

/// Reads the labels of a series, and keeps the few that matter.
pub(super) struct SeriesLabelsReader<'l> {
    labels: &'l PodLabels,
    exported: [String; 2],
}

impl<'l> SeriesLabelsReader<'l> {
    pub(super) fn new(labels: &'l PodLabels) -> Self {
        let exported = [&labels.namespace, &labels.pod].map(|label| format!("exported_{label}"));
        Self { labels, exported }
    }

    /// Reads an object of JSON.
    pub(super) fn read(&self, metric: &str) -> Result<SeriesLabels, QueryError> {
        let mut json = serde_json::Deserializer::from_str(metric);
        self.deserialize(&mut json).map_err(|_| QueryError::Parse)
    }
}

impl<'de> DeserializeSeed<'de> for &SeriesLabelsReader<'_> {
    type Value = SeriesLabels;

    fn deserialize<D: Deserializer<'de>>(self, metric: D) -> Result<SeriesLabels, D::Error> {
        metric.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for &SeriesLabelsReader<'_> {
    type Value = SeriesLabels;

    fn expecting(&self, formatter: &mut fmt::Formatter) -> fmt::Result {
        formatter.write_str("the labels of a series")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<SeriesLabels, A::Error> {
        let mut read = SeriesLabels::default();
        while let Some(name) = map.next_key::<Cow<str>>()? {
            let label = if *name == self.labels.namespace {
                &mut read.namespace
            } else if *name == self.labels.pod {
                &mut read.pod
            } else {
                let is_exported = self.exported.iter().any(|exported| *name == **exported);
                read.is_exported |= is_exported;
                map.next_value::<IgnoredAny>()?;
                continue;
            };
            if label.is_some() {
                return Err(A::Error::custom("a label twice"));
            }
            *label = map.next_value()?;
        }
        Ok(read)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(labels: &PodLabels, metric: &str) -> Option<(Option<String>, Option<String>, bool)> {
        let read = SeriesLabelsReader::new(labels).read(metric).ok()?;
        Some((read.namespace, read.pod, read.is_exported))
    }

    #[test]
    fn a_series_belongs_to_the_pod_that_the_named_labels_name() {
        let metric = r#"{"__name__":"x","namespace":"n","pod":"exporter","exported_namespace":"shop","exported_pod":"a"}"#;
        let some = |text: &str| Some(text.to_owned());
        let plain = PodLabels::default();
        let expected = Some((some("n"), some("exporter"), true));
        assert_eq!(read(&plain, metric), expected);
        let exported = PodLabels {
            namespace: "exported_namespace".to_owned(),
            pod: "exported_pod".to_owned(),
        };
        let expected = Some((some("shop"), some("a"), false));
        assert_eq!(read(&exported, metric), expected);
    }

    #[test]
    fn labels_that_are_missing_null_or_doubled_name_no_pod() {
        let plain = PodLabels::default();
        assert_eq!(read(&plain, r#"{"pod":null}"#), Some((None, None, false)));
        assert_eq!(read(&plain, "{}"), Some((None, None, false)));
        for metric in [
            r#"{"pod":"a","pod":"b"}"#,
            r#"["pod"]"#,
            r#"{"pod":1}"#,
            "null",
        ] {
            assert_eq!(read(&plain, metric), None, "{metric}");
        }
    }
}
