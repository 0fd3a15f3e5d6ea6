//! Prometheus is away, hangs, or answers nonsense. None of that is a sample, and nothing is quarantined for it.

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use anyhow::ensure;
use axum::{
    Router,
    extract::State,
    http::StatusCode,
    response::{IntoResponse as _, Response},
};
use jiff::Timestamp;
use serde_json::{Value, json};
use test_cluster::{Component, wait};
use test_e2e::{Gate, Labels, Process, Stage, Web};

const SOON: Duration = Duration::from_secs(40);

fn policy(namespace: &str, url: &str, query: &str) -> String {
    format!(
        r"
limits: {{ workload: {{ max: 2, minReady: 0% }}, storm: {{ workload: 100%, cluster: 100% }} }}
prometheus: {{ url: '{url}', timeout: 1s }}
policies:
  - name: errors
    mode: enforce
    pods: {{ matchLabels: {{ team: shop }} }}
    namespaces: {{ matchLabels: {{ kubernetes.io/metadata.name: {namespace} }} }}
    prometheus: {{ query: '{query}', above: 0.5, interval: 1s, for: 2s }}
"
    )
}

async fn grows(agent: &Process, name: &str, labels: &[(&str, &str)]) -> anyhow::Result<()> {
    let before = agent.sum(name, labels).await?;
    wait::until(format_args!("{name} {labels:?} grows"), SOON, async || {
        let now = agent.sum(name, labels).await?;
        ensure!(now > before, "{before}, now {now}");
        Ok(())
    })
    .await
}

/// Nothing but `none` comes in while the error of this cause is counted, and no pod is taken out.
async fn says_nothing(agent: &Process, web: &Web, cause: &str) -> anyhow::Result<()> {
    // The first one of the cause: what came before belongs to what came before.
    grows(agent, "signal_errors_total", &[("cause", cause)]).await?;
    let samples = async || -> anyhow::Result<f64> {
        let good = agent
            .sum("signal_samples_total", &[("result", "good")])
            .await?;
        let bad = agent
            .sum("signal_samples_total", &[("result", "bad")])
            .await?;
        Ok(good + bad)
    };
    let before = samples().await?;
    grows(agent, "signal_samples_total", &[("result", "none")]).await?;
    grows(agent, "signal_errors_total", &[("cause", cause)]).await?;
    assert_eq!(samples().await?, before, "{cause}: a sample");
    assert_eq!(web.all_quarantined().await?, [""; 0], "{cause}");
    Ok(())
}

/// Tests that run alone: they would disturb the others.
mod alone {
    use super::*;

    #[tokio::test]
    async fn a_stopped_or_hanging_prometheus_gives_no_samples_until_it_is_back()
    -> anyhow::Result<()> {
        let stage = Stage::open_alone().await?;
        if !stage.cluster.is_own() {
            return Ok(());
        }
        let namespace = stage.namespace("prometheus-away").await?;
        let web = stage.web(namespace.name(), 3, Labels::NoToggle).await?;
        let rights = stage.rights("prometheus-away").await?;
        let gate = Gate::open(&stage).await?;
        // 0 of a pod whose metrics are there, 1 of one whose are not.
        let query = "1 - max by (namespace, pod) (up)";
        let url = "http://prometheus.monitoring:9090";
        let agent = rights
            .run(&gate, &policy(namespace.name(), url, query))
            .await?;
        grows(&agent, "signal_samples_total", &[("result", "good")]).await?;
        let bad = web.serving().await?[0].clone();
        let prometheus = stage.cluster.component(Component::Prometheus)?;

        prometheus.stop().await?;
        web.switch(&bad, "close").await?;
        let stopped = says_nothing(&agent, &web, "connection").await;
        prometheus.start().await?;
        stopped?;
        web.quarantined(&bad).await?;

        prometheus.pause()?;
        let late = grows(&agent, "signal_errors_total", &[("cause", "timeout")]).await;
        prometheus.resume()?;
        late?;
        grows(&agent, "signal_samples_total", &[("result", "good")]).await?;
        assert_eq!(web.all_quarantined().await?, [bad]);
        rights.agent.uninstall().await?;
        namespace.delete().await
    }
}

/// How a faulty Prometheus answers; each answer would lead to a quarantine if it were believed.
#[derive(Clone, Copy, Debug)]
enum Answer {
    Good,
    Bad,
    Garbage,
    Cut,
    Slow,
    Endless,
    Status500,
    Redirect,
    QueryError,
    Warnings,
    Matrix,
    NoLabels,
    Old,
}

#[derive(Clone)]
struct Fake {
    answer: Arc<Mutex<Answer>>,
    pods: Arc<Vec<String>>,
    namespace: String,
}

impl Fake {
    /// The first pod is as bad as said.
    fn body(&self, first: &str, at: Timestamp) -> Value {
        let series = |(index, pod): (usize, &String)| {
            let value = if index == 0 { first } else { "0" };
            let seconds = at.as_millisecond() / 1000;
            json!({
                "metric": { "namespace": self.namespace, "pod": pod },
                "value": [seconds, value],
            })
        };
        let result: Vec<Value> = self.pods.iter().enumerate().map(series).collect();
        json!({ "status": "success", "data": { "resultType": "vector", "result": result } })
    }

    async fn respond(&self) -> Response {
        let answer = *self.answer.lock().unwrap_or_else(PoisonError::into_inner);
        let mut bad = self.body("1", Timestamp::now());
        match answer {
            Answer::Good => self.body("0", Timestamp::now()).to_string().into_response(),
            Answer::Bad => bad.to_string().into_response(),
            Answer::Garbage => format!("{bad} and more").into_response(),
            Answer::Cut => bad.to_string().split_at(100).0.to_owned().into_response(),
            Answer::Slow => {
                tokio::time::sleep(Duration::from_secs(2)).await;
                bad.to_string().into_response()
            }
            Answer::Endless => {
                let spaces = || Some(Ok::<_, std::io::Error>(vec![b' '; 1 << 20]));
                let endless = futures::stream::iter(std::iter::from_fn(spaces));
                axum::body::Body::from_stream(endless).into_response()
            }
            Answer::Status500 => {
                (StatusCode::INTERNAL_SERVER_ERROR, bad.to_string()).into_response()
            }
            Answer::Redirect => {
                let to = [("location", "/elsewhere")];
                (StatusCode::FOUND, to, bad.to_string()).into_response()
            }
            Answer::QueryError => {
                bad["status"] = "error".into();
                bad["error"] = "it went wrong".into();
                bad.to_string().into_response()
            }
            Answer::Warnings => {
                bad["warnings"] = json!(["one store did not answer"]);
                bad.to_string().into_response()
            }
            Answer::Matrix => {
                bad["data"]["resultType"] = "matrix".into();
                bad.to_string().into_response()
            }
            Answer::NoLabels => bad
                .to_string()
                .replace("\"pod\"", "\"instance\"")
                .into_response(),
            Answer::Old => self
                .body("1", Timestamp::UNIX_EPOCH)
                .to_string()
                .into_response(),
        }
    }
}

#[tokio::test]
async fn garbage_errors_and_slow_or_partial_answers_of_prometheus_are_no_samples()
-> anyhow::Result<()> {
    let stage = Stage::open().await?;
    let namespace = stage.namespace("prometheus-garbage").await?;
    let web = stage.web(namespace.name(), 3, Labels::NoToggle).await?;
    let pods = web.serving().await?;
    let fake = Fake {
        answer: Arc::new(Mutex::new(Answer::Good)),
        pods: Arc::new(pods.clone()),
        namespace: namespace.name().to_owned(),
    };
    let listener = tokio::net::TcpListener::bind(SocketAddr::from(([127, 0, 0, 1], 0))).await?;
    let url = format!("http://{}", listener.local_addr()?);
    let respond = |State(fake): State<Fake>| async move { fake.respond().await };
    let routes = Router::new().fallback(respond).with_state(fake.clone());
    let _server = tokio::spawn(async move { axum::serve(listener, routes).await });
    let rights = stage.rights("prometheus-garbage").await?;
    let gate = Gate::open(&stage).await?;
    let agent = rights
        .run(&gate, &policy(namespace.name(), &url, "up"))
        .await?;
    grows(&agent, "signal_samples_total", &[("result", "good")]).await?;

    for (answer, cause) in [
        (Answer::Garbage, "parse"),
        (Answer::Cut, "parse"),
        (Answer::Slow, "timeout"),
        (Answer::Endless, "size"),
        (Answer::Status500, "status"),
        (Answer::Redirect, "status"),
        (Answer::QueryError, "query"),
        (Answer::Warnings, "warnings"),
        (Answer::Matrix, "query"),
        (Answer::NoLabels, "labels"),
        (Answer::Old, "stale"),
    ] {
        *fake.answer.lock().unwrap_or_else(PoisonError::into_inner) = answer;
        let seen = says_nothing(&agent, &web, cause).await;
        seen.map_err(|error| error.context(format!("{answer:?}")))?;
    }
    *fake.answer.lock().unwrap_or_else(PoisonError::into_inner) = Answer::Bad;
    web.quarantined(&pods[0]).await?;
    rights.agent.uninstall().await?;
    namespace.delete().await
}
