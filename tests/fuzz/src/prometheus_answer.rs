//! The body of an answer of Prometheus, about three pods.

use pod_quarantine::signal::{SignalTarget, prometheus::read_answer};
use pod_quarantine_core::{
    judge::Answer,
    object::{ContainerRun, ObjectKey},
    policy::{PodLabels, PrometheusQuery, Threshold},
};
use serde_json::Value;

use crate::cluster::{SHOP, after_hours, start};

const BOUND: f64 = 0.05;

pub(crate) fn run(bytes: &[u8]) {
    let pods = ["web-0", "web-1", "web-2"].map(|name| SignalTarget {
        pod: ObjectKey::new(SHOP, name),
        uid: name.into(),
        address: None,
        port: None,
        run: Some(ContainerRun {
            since: start(),
            restarts: 0,
        }),
    });
    let now = after_hours(1);
    for threshold in [Threshold::Above(BOUND), Threshold::Below(BOUND)] {
        let query = PrometheusQuery::new("up".to_owned(), threshold);
        let readings = read_answer(bytes, &query, &PodLabels::default(), now, pods.iter());
        assert_eq!(readings.len(), pods.len(), "each pod has a sample");
        for (pod, (uid, reading)) in pods.iter().zip(&readings) {
            assert_eq!(pod.uid, *uid);
            assert!(!reading.saw.is_empty() && reading.saw.len() < 1024);
            assert!(!reading.saw.contains(char::is_control), "{:?}", reading.saw);
            let expected = match values(bytes, &pod.pod.name)[..] {
                [Some(value)] => threshold.is_bad(value),
                _ => None,
            };
            match reading.answer {
                Answer::None => {}
                answer => assert_eq!(expected, Some(answer == Answer::Bad), "{}", reading.saw),
            }
        }
    }
}

/// The values of all series of a pod in an answer without errors; `None` of a series that has no number. Bytes that are
/// no text are in the way only where they are read.
fn values(body: &[u8], pod: &str) -> Vec<Option<f64>> {
    let Ok(answer) = serde_json::from_str::<Value>(&String::from_utf8_lossy(body)) else {
        return Vec::new();
    };
    if answer["status"] != "success" {
        return Vec::new();
    }
    let warnings = answer["warnings"].as_array();
    let is_complete = answer["isPartial"] != true
        && warnings.into_iter().flatten().all(|warning| {
            let text = warning.as_str().unwrap_or_default();
            text.contains("PromQL info:") || text.contains("PromQL warning:")
        });
    let series = answer["data"]["result"].as_array();
    let series = series.into_iter().flatten();
    let of_pod =
        series.filter(|one| one["metric"]["namespace"] == SHOP && one["metric"]["pod"] == pod);
    of_pod
        .map(|one| {
            let labels = &one["metric"];
            let is_its_own =
                labels["exported_pod"].is_null() && labels["exported_namespace"].is_null();
            let value = one["value"][1].as_str().and_then(|text| text.parse().ok());
            value.filter(|_| is_its_own && is_complete)
        })
        .collect()
}
