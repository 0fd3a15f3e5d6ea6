//! What a query's answer says about each pod, and what says nothing.

use std::{
    collections::BTreeMap,
    sync::{
        LazyLock,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use futures::future::join_all;
use pod_quarantine::core::{
    judge::Answer::{self, Bad, Good, None},
    policy::{PodLabels, Threshold},
};

use crate::{
    rig::{Rig, ago, quick_query, running, silent_pod},
    server::{Asked, Reply, Server, answer, ok},
};

/// A time that moves on with every answer, as it does in a Prometheus.
fn time() -> f64 {
    static BEGIN: LazyLock<f64> = LazyLock::new(|| ago(0).as_duration().as_secs_f64());
    static TIME: AtomicU64 = AtomicU64::new(0);
    let tick = u32::try_from(TIME.fetch_add(1, Ordering::SeqCst)).unwrap();
    *BEGIN + f64::from(tick) / 1000.0
}

fn series(pod: &str, value: &str) -> String {
    series_at(pod, value, time())
}

fn series_at(pod: &str, value: &str, time: f64) -> String {
    format!(r#"{{"metric":{{"namespace":"shop","pod":"{pod}"}},"value":[{time},"{value}"]}}"#)
}

fn envelope(result: &str) -> String {
    format!(r#"{{"status":"success","data":{{"resultType":"vector","result":[{result}]}}}}"#)
}

/// Answers with a value per pod of the namespace `shop`.
pub(crate) fn vector(
    values: &[(&'static str, &'static str)],
) -> impl Fn(&Asked) -> Reply + Send + Sync + 'static {
    let values = values.to_vec();
    move |_| {
        let result: Vec<_> = values
            .iter()
            .map(|(pod, value)| series(pod, value))
            .collect();
        ok(&envelope(&result.join(",")))
    }
}

fn rig(server: &Server, pods: &[&str]) -> Rig {
    let rig = Rig::query(quick_query(server));
    for pod in pods {
        rig.put(silent_pod(pod));
    }
    rig
}

/// One that waits for answers that take long to make and to read.
fn patient_rig(server: &Server) -> Rig {
    let (mut query, mut prometheus) = quick_query(server);
    query.interval *= 20;
    prometheus.timeout = query.interval;
    let rig = Rig::query((query, prometheus));
    rig.put(silent_pod("a"));
    rig
}

/// The second answer about a pod from a server that always behaves so: by then a stale one is known to be.
async fn answer_to(
    behave: impl Fn(&Asked) -> Reply + Send + Sync + 'static,
) -> (Answer, String, Vec<&'static str>) {
    let server = Server::start(behave).await;
    let mut rig = rig(&server, &["a"]);
    rig.answer().await;
    let (answer, saw) = rig.answer().await;
    (answer, saw, rig.observed().errors.into_keys().collect())
}

#[tokio::test]
async fn every_pod_gets_a_sample_whether_or_not_it_has_a_series() {
    let server = Server::start(vector(&[
        ("bad", "0.31"),
        ("good", "0.01"),
        ("nan", "NaN"),
        ("inf", "+Inf"),
        ("minus", "-Inf"),
        ("twice", "0.01"),
        ("twice", "0.01"),
        ("not-watched", "0.99"),
    ]))
    .await;
    let pods = ["bad", "good", "nan", "inf", "minus", "twice", "absent"];
    let mut rig = rig(&server, &pods);
    let round = rig.round(7).await;
    for (uid, answer, saw) in [
        ("uid-bad", Bad, "0.31 is above 0.05"),
        ("uid-good", Good, "0.01 is not above 0.05"),
        ("uid-nan", None, "NaN"),
        ("uid-inf", Bad, "+Inf is above 0.05"),
        ("uid-minus", Good, "-Inf is not above 0.05"),
        ("uid-twice", None, "more than one series"),
        ("uid-absent", None, "no series"),
    ] {
        assert_eq!(round[uid], (answer, saw.to_owned()), "{uid}");
    }
    let observed = rig.observed();
    assert!(
        observed.successes > 0 && observed.errors.is_empty(),
        "{observed:?}"
    );
}

#[tokio::test]
async fn a_value_under_below_is_bad() {
    let server = Server::start(vector(&[("a", "0.31"), ("b", "7")])).await;
    let (mut query, prometheus) = quick_query(&server);
    query.threshold = Threshold::Below(1.0);
    let mut rig = Rig::query((query, prometheus));
    rig.put(silent_pod("a"));
    rig.put(silent_pod("b"));
    let round = rig.round(2).await;
    assert_eq!(round["uid-a"], (Bad, "0.31 is below 1".to_owned()));
    assert_eq!(round["uid-b"], (Good, "7 is not below 1".to_owned()));
}

#[tokio::test]
async fn a_series_counts_for_its_own_namespace_only() {
    let server = Server::start(|_| {
        let elsewhere = series("a", "0.9").replace("shop", "bank");
        ok(&envelope(&format!("{elsewhere},{}", series("a", "0"))))
    })
    .await;
    let mut rig = rig(&server, &["a"]);
    assert_eq!(rig.answer().await, (Good, "0 is not above 0.05".to_owned()));
}

#[tokio::test]
async fn an_answer_without_series_says_nothing_about_any_pod() {
    let (answer, saw, causes) = answer_to(|_| ok(&envelope(""))).await;
    assert_eq!((answer, &*saw), (None, "no series"));
    assert!(causes.is_empty());
}

#[tokio::test]
async fn an_incomplete_answer_says_nothing_about_any_pod() {
    let number = |value| envelope(&series("a", value));
    let cases: Vec<(Reply, &str, &str)> = vec![
        (answer("503 Unavailable", "busy"), "status", "HTTP 503"),
        (answer("204 No Content", ""), "status", "HTTP 204"),
        (answer("302 Found", ""), "status", "HTTP 302"),
        (
            answer(
                "422 Unprocessable",
                r#"{"status":"error","errorType":"execution","error":"many-to-many\nmatching"}"#,
            ),
            "query",
            "HTTP 422: many-to-many matching",
        ),
        (
            ok(r#"{"status":"error","error":"oh"}"#),
            "query",
            "HTTP 200: oh",
        ),
        (
            ok("<html>sign in</html>"),
            "parse",
            "the answer is not a Prometheus query result",
        ),
        (
            ok(""),
            "parse",
            "the answer is not a Prometheus query result",
        ),
        (
            ok(r#"{"status":"success"}"#),
            "parse",
            "the answer is not a Prometheus query result",
        ),
        (
            ok(&number("0.9x")),
            "parse",
            "the answer is not a Prometheus query result",
        ),
        (
            ok(&number("0.9")[..80]),
            "parse",
            "the answer is not a Prometheus query result",
        ),
        (
            ok(&"[".repeat(100_000)),
            "parse",
            "the answer is not a Prometheus query result",
        ),
        (
            ok(r#"{"status":"success","data":{"resultType":"scalar","result":[1,"0.9"]}}"#),
            "query",
            "the query returns a scalar, not a vector",
        ),
        (
            ok(r#"{"status":"success","data":{"resultType":"matrix","result":[]}}"#),
            "query",
            "the query returns a matrix, not a vector",
        ),
        (
            ok(&number("0.9").replace(r#"{"status"#, r#"{"warnings":["store down"],"status"#)),
            "warnings",
            "partial answer: store down",
        ),
        (
            ok(&number("0.9").replace(r#"{"status"#, r#"{"isPartial":true,"status"#)),
            "warnings",
            "partial answer: isPartial",
        ),
        (
            ok(&number("0.9").replace("namespace", "exported_namespace")),
            "labels",
            "no series has the labels namespace and pod",
        ),
        (
            Reply::Bytes(b"HTTP/1.1 200 OK\r\ncontent-length: 999\r\n\r\n{".to_vec()),
            "connection",
            "connection broken",
        ),
        (
            Reply::Bytes(b"what?\r\n\r\n".to_vec()),
            "connection",
            "connection broken",
        ),
        (Reply::Bytes(Vec::new()), "connection", "connection broken"),
    ];
    join_all(cases.into_iter().map(async |(reply, cause, saw)| {
        let shown = format!("{reply:?}");
        let said = answer_to(move |_| reply.clone()).await;
        let expected = (None, format!("Prometheus: {saw}"), vec![cause]);
        assert_eq!(said, expected, "{}", &shown[..shown.len().min(300)]);
    }))
    .await;
}

#[tokio::test]
async fn a_remark_on_the_style_of_a_query_does_not_void_its_answer() {
    let behave = |_: &Asked| {
        let whole = envelope(&series("a", "0.9"));
        let remarks =
            r#"{"infos":["x"],"warnings":["PromQL info: metric might not be a counter"],"status"#;
        ok(&whole.replace(r#"{"status"#, remarks))
    };
    let (answer, saw, _) = answer_to(behave).await;
    assert_eq!((answer, &*saw), (Bad, "0.9 is above 0.05"));
}

#[tokio::test]
async fn a_remark_of_the_engine_about_one_series_does_not_void_the_answer_about_all() {
    for remark in [
        "PromQL warning: encountered a mix of histograms and floats for metric name",
        "proxy-7: PromQL info: metric might not be a counter",
    ] {
        let behave = move |_: &Asked| {
            let whole = envelope(&series("a", "0.9"));
            let remarks = format!(r#"{{"warnings":["{remark}"],"status"#);
            ok(&whole.replace(r#"{"status"#, &remarks))
        };
        let (answer, saw, errors) = answer_to(behave).await;
        assert_eq!((answer, &*saw), (Bad, "0.9 is above 0.05"));
        assert_eq!(errors, [""; 0]);
    }
}

#[tokio::test]
async fn null_is_absent() {
    let behave = |_: &Asked| {
        let whole = envelope(&series("a", "0.9"));
        let nulls = r#"{"warnings":null,"infos":null,"error":null,"isPartial":null,"status"#;
        ok(&whole.replace(r#"{"status"#, nulls))
    };
    let (answer, ..) = answer_to(behave).await;
    assert_eq!(answer, Bad);
    let nothing =
        |_: &Asked| ok(r#"{"status":"success","data":{"resultType":"vector","result":null}}"#);
    let (answer, saw, errors) = answer_to(nothing).await;
    assert_eq!((answer, &*saw), (None, "no series"));
    assert_eq!(errors, [""; 0]);
}

#[tokio::test]
async fn a_series_that_tells_of_another_pod_says_nothing_about_its_exporter() {
    let behave = |_: &Asked| {
        let exported = series("a", "0.9").replace(r#""pod":"#, r#""exported_pod":"b","pod":"#);
        ok(&envelope(&exported))
    };
    let (answer, saw, _) = answer_to(behave).await;
    let expected = "the series is about another pod (exported_pod): scrape it with honorLabels, or name that label in podLabel";
    assert_eq!((answer, &*saw), (None, expected));
}

/// Each answer is counted once for each kind of remark, whatever the number of texts and series.
#[tokio::test]
async fn remarks_on_an_answer_that_counts_are_counted() {
    let of_engine = |_: &Asked| {
        let whole = envelope(&series("a", "0.9"));
        let remarks = r#"{"warnings":["PromQL warning: a","PromQL info: b"],"status"#;
        ok(&whole.replace(r#"{"status"#, remarks))
    };
    let infos = |_: &Asked| {
        let whole = envelope(&series("a", "0.9"));
        ok(&whole.replace(r#"{"status"#, r#"{"infos":["PromQL info: b"],"status"#))
    };
    let exported = |_: &Asked| {
        let one = series("a", "0.9").replace(r#""pod":"#, r#""exported_pod":"b","pod":"#);
        ok(&envelope(&format!("{one},{one},{}", series("c", "0"))))
    };
    let partial = |_: &Asked| {
        let whole = envelope(&series("a", "0.9"));
        let remarks = r#"{"warnings":["PromQL info: b","store down"],"status"#;
        ok(&whole.replace(r#"{"status"#, remarks))
    };
    let plain = vector(&[("a", "0.9")]);
    let server = Server::start(plain).await;
    let mut rig = rig(&server, &["a"]);
    rig.answer().await;
    assert_eq!(rig.observed().remarks, BTreeMap::new());
    server.now(partial);
    rig.answer().await;
    rig.answer().await;
    assert_eq!(rig.observed().remarks, BTreeMap::new());
    for (behave, remark) in [
        (
            Box::new(of_engine) as Box<dyn Fn(&Asked) -> Reply + Send + Sync>,
            "engine",
        ),
        (Box::new(infos), "engine"),
        (Box::new(exported), "exported"),
    ] {
        let server = Server::start(behave).await;
        let mut rig = self::rig(&server, &["a"]);
        rig.answer().await;
        rig.answer().await;
        let observed = rig.observed();
        let answers = observed.successes;
        assert_eq!(observed.remarks, BTreeMap::from([(remark, answers)]));
    }
}

#[tokio::test]
async fn a_series_belongs_to_the_pod_that_the_named_labels_name() {
    let behave = |_: &Asked| {
        let exported =
            r#""exported_namespace":"shop","exported_pod":"a","namespace":"monitoring","pod":"#;
        let series = series("exporter", "0.9").replace(r#""namespace":"shop","pod":"#, exported);
        ok(&envelope(&series))
    };
    let server = Server::start(behave).await;
    let (query, mut prometheus) = quick_query(&server);
    prometheus.labels = PodLabels {
        namespace: "exported_namespace".to_owned(),
        pod: "exported_pod".to_owned(),
    };
    let mut rig = Rig::query((query.clone(), prometheus.clone()));
    rig.put(silent_pod("a"));
    assert_eq!(rig.answer().await, (Bad, "0.9 is above 0.05".to_owned()));

    prometheus.labels.pod = "instance".to_owned();
    let mut rig = Rig::query((query, prometheus));
    rig.put(silent_pod("a"));
    let said = "Prometheus: no series has the labels exported_namespace and instance";
    assert_eq!(rig.answer().await, (None, said.to_owned()));
}

#[tokio::test]
async fn an_answer_of_another_time_says_nothing() {
    for away in [-600.0, 600.0] {
        let behave = move |_: &Asked| ok(&envelope(&series_at("a", "0.9", time() + away)));
        let (answer, saw, errors) = answer_to(behave).await;
        assert_eq!(answer, None);
        assert!(
            saw.starts_with("Prometheus: stale answer: its time is "),
            "{saw}"
        );
        assert_eq!(errors, ["stale"]);
    }
}

#[tokio::test]
async fn a_query_says_nothing_of_a_pod_that_is_younger_than_it_looks_back() {
    let server = Server::start(vector(&[("young", "0.9"), ("old", "0.9")])).await;
    let (mut query, prometheus) = quick_query(&server);
    query.look_back = Duration::from_mins(5);
    let mut rig = Rig::query((query, prometheus));
    for (name, age) in [("young", 290), ("old", 310)] {
        let mut pod = silent_pod(name);
        pod.run = Some(running(ago(age)));
        rig.put(pod);
    }
    let samples = rig.samples_for(Duration::from_millis(350)).await;
    for sample in samples {
        let expected = match &*sample.pod {
            "uid-old" => (Bad, "0.9 is above 0.05"),
            _ => (None, "younger than the 300 s that the query looks back"),
        };
        assert_eq!((sample.answer, &*sample.saw), expected);
    }
}

#[tokio::test]
async fn an_answer_whose_timestamp_does_not_advance_says_nothing() {
    let old = envelope(&series("a", "0.9"));
    let (answer, saw, causes) = answer_to(move |_| ok(&old)).await;
    let stale = "Prometheus: stale answer: its timestamp has not advanced";
    assert_eq!((answer, &*saw, causes), (None, stale, vec!["stale"]));
}

#[tokio::test]
async fn a_server_whose_clock_is_set_back_costs_one_answer() {
    let server = Server::start(vector(&[("a", "0.9")])).await;
    let mut rig = rig(&server, &["a"]);
    assert_eq!(rig.answer().await.0, Bad);
    server.now(|_| ok(&envelope(&series_at("a", "0.9", time() - 60.0))));
    let mut answers = Vec::new();
    while !matches!(answers[..], [.., None, Bad]) {
        assert!(answers.len() < 50, "{answers:?}");
        answers.push(rig.answer().await.0);
    }
    let nones = answers.iter().filter(|answer| **answer == None).count();
    assert_eq!(nones, 1, "{answers:?}");
}

#[tokio::test]
async fn an_answer_too_large_is_not_read_to_its_end() {
    let megabyte = " ".repeat(1 << 20);
    let body = format!("{}{}", megabyte.repeat(33), envelope(&series("a", "0.9")));
    let server = Server::start(move |_| ok(&body)).await;
    let mut rig = patient_rig(&server);
    let (answer, saw) = rig.answer().await;
    assert_eq!(
        (answer, &*saw),
        (None, "Prometheus: the answer is larger than 32 MiB")
    );
    assert!(rig.observed().errors.contains_key("size"));
}

#[tokio::test]
async fn a_large_answer_is_an_answer() {
    let behave = |_: &Asked| {
        let many: Vec<_> = (0..5000)
            .map(|number| series(&format!("other-{number}"), "0.5"))
            .collect();
        ok(&envelope(&format!(
            "{},{}",
            many.join(","),
            series("a", "0.9")
        )))
    };
    let server = Server::start(behave).await;
    let mut rig = patient_rig(&server);
    assert_eq!(rig.answer().await, (Bad, "0.9 is above 0.05".to_owned()));
}

#[tokio::test]
async fn a_native_histogram_is_no_number() {
    let behave = |_: &Asked| {
        let time = time();
        let element = format!(
            r#"{{"metric":{{"namespace":"shop","pod":"a"}},"histogram":[{time},{{"count":"3","sum":"1"}}]}}"#
        );
        ok(&envelope(&element))
    };
    let (answer, saw, _) = answer_to(behave).await;
    assert_eq!((answer, &*saw), (None, "a histogram, not a number"));
}
