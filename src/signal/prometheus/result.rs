//! The answer of Prometheus, reduced to a value per namespace and pod.

use std::{
    collections::{BTreeMap, HashMap},
    time::Duration,
};

use jiff::Timestamp;
use serde::{Deserialize, de::IgnoredAny};
use serde_json::value::RawValue;

use super::{
    error::{QueryError, quote},
    series_labels::SeriesLabelsReader,
};
use crate::{core::policy::PodLabels, signal::Remark};

/// How the engine's remarks on the query and its series begin, which Prometheus puts among the warnings; a proxy in between may put
/// its own name before. The answer is complete.
const REMARKS: [&str; 2] = ["PromQL info:", "PromQL warning:"];

/// An answer is stale if its time is further from now than three intervals, and than this.
const STALE: Duration = Duration::from_mins(2);

/// The series of a complete answer.
#[derive(Debug, Default)]
pub(super) struct QueryResult {
    series: HashMap<String, HashMap<String, Series>>,
    time: Option<f64>,
    /// What is told of the answer, each with the first text or pod that it is about.
    pub(super) remarks: BTreeMap<Remark, String>,
}

/// What an answer says about a pod.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Series {
    /// One series.
    One(f64),
    /// One series, whose value is a histogram.
    Histogram,
    /// More than one series, of which none can be chosen.
    Many,
    /// The pod is the exporter that told of another pod, which `exported_pod` names.
    Exported,
}

#[derive(Deserialize)]
struct Envelope {
    status: ResponseStatus,
    error: Option<String>,
    warnings: Option<Vec<String>>,
    infos: Option<Vec<String>>,
    /// How `VictoriaMetrics` reports a partial answer.
    #[serde(rename = "isPartial")]
    is_partial: Option<bool>,
    data: Option<ResultType>,
}

#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
enum ResponseStatus {
    Success,
    Error,
}

#[derive(Deserialize)]
struct ResultType {
    #[serde(rename = "resultType")]
    result_type: String,
}

#[derive(Deserialize)]
struct VectorResponse<'a> {
    #[serde(borrow)]
    data: VectorData<'a>,
}

#[derive(Deserialize)]
struct VectorData<'a> {
    #[serde(borrow)]
    result: Option<Vec<VectorElement<'a>>>,
}

#[derive(Deserialize)]
struct VectorElement<'a> {
    /// The labels, of which few are read.
    #[serde(borrow)]
    metric: &'a RawValue,
    value: Option<(f64, String)>,
    histogram: Option<(f64, IgnoredAny)>,
}

impl QueryResult {
    /// Reads the body of an answer in two passes: the form of the result is known only after the first.
    pub(super) fn parse(body: &[u8], labels: &PodLabels) -> Result<Self, QueryError> {
        let envelope: Envelope = json(body)?;
        if matches!(envelope.status, ResponseStatus::Error) {
            let error = quote(&envelope.error.unwrap_or_default());
            return Err(QueryError::Query { status: 200, error });
        }
        let is_remark = |text: &str| REMARKS.iter().any(|remark| text.contains(remark));
        let mut warnings = envelope.warnings.iter().flatten();
        if let Some(warning) = warnings.find(|text| !is_remark(text)) {
            return Err(QueryError::Warnings(quote(warning)));
        }
        if envelope.is_partial == Some(true) {
            return Err(QueryError::Warnings("isPartial".to_owned()));
        }
        let kind = envelope.data.ok_or(QueryError::Parse)?.result_type;
        if kind != "vector" {
            return Err(QueryError::Type(quote(&kind)));
        }
        let whole: VectorResponse = json(body)?;
        let mut result = Self::collect(whole.data.result.unwrap_or_default(), labels)?;
        let mut remarks = envelope.warnings.iter().chain(&envelope.infos).flatten();
        if let Some(remark) = remarks.next() {
            result.remarks.insert(Remark::Engine, quote(remark));
        }
        Ok(result)
    }

    fn collect(elements: Vec<VectorElement>, labels: &PodLabels) -> Result<Self, QueryError> {
        let reader = SeriesLabelsReader::new(labels);
        let mut result = Self::default();
        let any = !elements.is_empty();
        for element in elements {
            let (time, series) = match (element.value, element.histogram) {
                (Some((time, value)), _) => {
                    let value = value.parse().map_err(|_| QueryError::Parse)?;
                    (time, Series::One(value))
                }
                (None, Some((time, _))) => (time, Series::Histogram),
                (None, None) => return Err(QueryError::Parse),
            };
            result.time = Some(result.time.map_or(time, |latest| latest.max(time)));
            let read = reader.read(element.metric.get())?;
            let series = if read.is_exported {
                Series::Exported
            } else {
                series
            };
            if let (Some(namespace), Some(pod)) = (read.namespace, read.pod) {
                if read.is_exported {
                    let remark = result.remarks.entry(Remark::Exported);
                    remark.or_insert_with(|| quote(&format!("{namespace}/{pod}")));
                }
                let pods = result.series.entry(namespace).or_default();
                pods.entry(pod)
                    .and_modify(|known| *known = Series::Many)
                    .or_insert(series);
            }
        }
        if any && result.series.is_empty() {
            return Err(QueryError::Labels(labels.clone()));
        }
        Ok(result)
    }

    /// What the answer says about a pod.
    pub(super) fn series(&self, namespace: &str, pod: &str) -> Option<Series> {
        self.series.get(namespace)?.get(pod).copied()
    }
}

fn json<'a, T: Deserialize<'a>>(body: &'a [u8]) -> Result<T, QueryError> {
    serde_json::from_slice(body).map_err(|_| QueryError::Parse)
}

/// Detects stale answers: a cache in between may send an old one again. Each answer is compared with the one before, not
/// with the latest of all, so that a server whose clock is set back costs one answer and not all.
#[derive(Debug, Default)]
pub(super) struct Freshness {
    last: Option<f64>,
}

impl Freshness {
    /// `now`: the API server's time.
    pub(super) fn check(
        &mut self,
        result: QueryResult,
        interval: Duration,
        now: Timestamp,
    ) -> Result<QueryResult, QueryError> {
        let Some(time) = result.time else {
            return Ok(result);
        };
        let away = (now.as_duration().as_secs_f64() - time).abs();
        if away > (interval * 3).max(STALE).as_secs_f64() {
            return Err(QueryError::Away(away.round()));
        }
        let moved = self.last.is_none_or(|last| time > last);
        self.last = Some(time);
        if moved {
            Ok(result)
        } else {
            Err(QueryError::Stale)
        }
    }
}
