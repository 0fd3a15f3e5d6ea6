//! Joins the series of an answer to pods.

use std::sync::Arc;

use super::{
    error::QueryError,
    result::{QueryResult, Series},
};
use crate::core::{
    judge::Answer,
    object::{ObjectKey, Uid},
    policy::Threshold,
};

/// What an answer says about one pod, for its sample.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct PodReading {
    pub(super) answer: Answer,
    pub(super) saw: Arc<str>,
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
    threshold: Threshold,
    pods: impl Iterator<Item = (&'a Uid, &'a ObjectKey)>,
) -> Vec<(Uid, PodReading)> {
    match result {
        Ok(result) => pods
            .map(|(uid, pod)| {
                let series = result.series(&pod.namespace, &pod.name);
                (uid.clone(), judge(threshold, series))
            })
            .collect(),
        Err(error) => {
            let all = PodReading::none(format!("Prometheus: {error}"));
            pods.map(|(uid, _)| (uid.clone(), all.clone())).collect()
        }
    }
}

fn judge(threshold: Threshold, series: Option<Series>) -> PodReading {
    let value = match series {
        Some(Series::One(value)) => value,
        Some(Series::Histogram) => return PodReading::none("a histogram, not a number"),
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
            (Some(Series::One(f64::NAN)), "NaN"),
            (Some(Series::Histogram), "a histogram, not a number"),
        ] {
            assert_eq!(judge(Threshold::Above(0.0), series), PodReading::none(saw));
        }
    }
}
