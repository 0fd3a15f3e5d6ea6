//! Joins the series of an answer to pods.

use std::{sync::Arc, time::Duration};

use jiff::{SignedDuration, Timestamp};

use super::{
    error::QueryError,
    result::{QueryResult, Series},
};
use crate::{
    core::{
        judge::Answer,
        object::Uid,
        policy::{PrometheusQuery, Threshold},
    },
    signal::SignalTarget,
};

/// What an answer says about one pod, for its sample.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PodReading {
    pub answer: Answer,
    pub saw: Arc<str>,
}

impl PodReading {
    fn none(saw: impl Into<Arc<str>>) -> Self {
        Self {
            answer: Answer::None,
            saw: saw.into(),
        }
    }
}

/// A reading for every pod, in the order of the pods.
pub(super) fn read<'a>(
    result: &Result<QueryResult, QueryError>,
    query: &PrometheusQuery,
    now: Timestamp,
    pods: impl Iterator<Item = &'a SignalTarget>,
) -> Vec<(Uid, PodReading)> {
    let of_pod = |target: &SignalTarget| match result {
        Err(error) => PodReading::none(format!("Prometheus: {error}")),
        Ok(_) if !is_old_enough(target, query.look_back, now) => {
            let seconds = query.look_back.as_secs();
            PodReading::none(format!(
                "younger than the {seconds} s that the query looks back"
            ))
        }
        Ok(result) => {
            let series = result.series(&target.pod.namespace, &target.pod.name);
            judge(query.threshold, series)
        }
    };
    pods.map(|target| (target.uid.clone(), of_pod(target)))
        .collect()
}

/// Whether all that the query looks at is about this pod, since its containers were last started: not about an earlier pod
/// of its name.
fn is_old_enough(target: &SignalTarget, look_back: Duration, now: Timestamp) -> bool {
    let since = target.run.map(|run| now.duration_since(run.since));
    since.is_some_and(|since| {
        since >= SignedDuration::try_from(look_back).unwrap_or(SignedDuration::MAX)
    })
}

fn judge(threshold: Threshold, series: Option<Series>) -> PodReading {
    let value = match series {
        Some(Series::One(value)) => value,
        Some(Series::Histogram) => return PodReading::none("a histogram, not a number"),
        Some(Series::Exported) => {
            return PodReading::none(
                "the series is about another pod (exported_pod): scrape it with honorLabels, or name that label in podLabel",
            );
        }
        Some(Series::Many) => return PodReading::none("more than one series"),
        None => return PodReading::none("no series"),
    };
    let Some(bad) = threshold.is_bad(value) else {
        return PodReading::none("NaN");
    };
    let (side, bound) = match threshold {
        Threshold::Above(bound) => ("above", bound),
        Threshold::Below(bound) => ("below", bound),
    };
    let (answer, is) = if bad {
        (Answer::Bad, "is")
    } else {
        (Answer::Good, "is not")
    };
    let saw = format!("{} {is} {side} {bound}", short(value, bound));
    PodReading {
        answer,
        saw: saw.into(),
    }
}

/// A value with few digits, or with all of them if it would otherwise look equal to the bound.
fn short(value: f64, bound: f64) -> String {
    if value.is_infinite() {
        return if value > 0.0 { "+Inf" } else { "-Inf" }.to_owned();
    }
    let rounded = format!("{value:.3e}").parse().unwrap_or(value);
    if rounded.total_cmp(&bound).is_eq() || !(1e-6..1e15).contains(&rounded.abs()) && rounded != 0.0
    {
        return format!("{value:?}");
    }
    format!("{rounded}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reading_says_what_was_compared_with_what() {
        let above = Threshold::Above(0.05);
        let below = Threshold::Below(99.0);
        for (threshold, value, answer, saw) in [
            (above, 0.310_344_8, Answer::Bad, "0.3103 is above 0.05"),
            (above, 0.01, Answer::Good, "0.01 is not above 0.05"),
            (above, 0.0, Answer::Good, "0 is not above 0.05"),
            (above, 0.05, Answer::Good, "0.05 is not above 0.05"),
            (above, 0.050_000_1, Answer::Bad, "0.0500001 is above 0.05"),
            (above, f64::INFINITY, Answer::Bad, "+Inf is above 0.05"),
            (
                above,
                f64::NEG_INFINITY,
                Answer::Good,
                "-Inf is not above 0.05",
            ),
            (below, 12.0, Answer::Bad, "12 is below 99"),
            (below, 123_456.0, Answer::Good, "123500 is not below 99"),
            (below, 1e300, Answer::Good, "1e300 is not below 99"),
        ] {
            let reading = judge(threshold, Some(Series::One(value)));
            assert_eq!((reading.answer, &*reading.saw), (answer, saw));
        }
    }

    #[test]
    fn what_is_not_one_number_is_no_answer() {
        for (series, saw) in [
            (None, "no series"),
            (Some(Series::Many), "more than one series"),
            (
                Some(Series::Exported),
                "the series is about another pod (exported_pod): scrape it with honorLabels, or name that label in podLabel",
            ),
            (Some(Series::One(f64::NAN)), "NaN"),
            (Some(Series::Histogram), "a histogram, not a number"),
        ] {
            assert_eq!(judge(Threshold::Above(0.0), series), PodReading::none(saw));
        }
    }
}
