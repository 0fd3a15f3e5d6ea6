//! A way to the API server on which a test can hold, lose, repeat or delay single requests, or leave that to chance.
//!
//! Nothing in the agent knows of it: the agent's kubeconfig names it as the API server.

use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Context as _, anyhow, ensure};
use axum::{
    Router,
    body::{Body, Bytes, to_bytes},
    extract::{Request, State},
    http::{HeaderMap, Method, StatusCode, Uri, header},
    response::{IntoResponse as _, Response},
};
use jiff::{SignedDuration, Timestamp};
use kube::{
    Client, Config,
    config::{AuthInfo, KubeConfigOptions, Kubeconfig},
};
use serde_json::json;
use tokio::{net::TcpListener, sync::oneshot, task::JoinHandle};

use crate::{
    Stage,
    unreliable::{Disturbed, Unreliable},
};

/// A request as it came.
#[derive(Clone, Debug)]
pub struct Passing {
    /// Its method.
    pub method: Method,
    /// Path and query.
    pub uri: Uri,
    /// What it brings.
    pub body: Bytes,
    headers: HeaderMap,
}

impl Passing {
    /// Whether it changes a pod for real.
    #[must_use]
    pub fn is_pod_patch(&self) -> bool {
        self.changes("/pods/")
    }

    /// Whether it changes a ledger.
    #[must_use]
    pub fn is_ledger_patch(&self) -> bool {
        self.changes("/configmaps/pod-quarantine-ledger-")
    }

    fn changes(&self, path: &str) -> bool {
        self.method == Method::PATCH
            && self.uri.path().contains(path)
            && !self.uri.query().unwrap_or_default().contains("dryRun")
    }
}

type Wanted = Box<dyn Fn(&Passing) -> bool + Send>;

struct Trap {
    wanted: Wanted,
    caught: oneshot::Sender<Held>,
}

#[derive(Clone)]
struct Way {
    api_server: Client,
    traps: Arc<Mutex<Vec<Trap>>>,
    unreliable: Option<Arc<Unreliable>>,
    mood: Arc<Mutex<Mood>>,
}

/// What holds for every request until a test says otherwise.
#[derive(Default)]
struct Mood {
    /// Lost before they reach the API server.
    lost: Option<Wanted>,
    /// How far the dates of all answers are ahead.
    ahead: Option<SignedDuration>,
    /// How many requests have come.
    came: usize,
}

/// An open way; it ends with this.
pub struct Gate {
    way: Way,
    url: String,
    server: JoinHandle<()>,
}

/// A trap that is set.
pub struct Caught(oneshot::Receiver<Held>);

/// A request that was caught before it reached the API server. Dropped without an answer, it is lost: the connection
/// it came on gives an error.
pub struct Held {
    /// What was caught.
    pub request: Passing,
    api_server: Client,
    answer: oneshot::Sender<Response>,
}

/// What the API server answered to a held request.
pub struct Answered {
    /// The status.
    pub status: StatusCode,
    body: Bytes,
}

impl Gate {
    /// Opens one to the stage's API server; who signs in is left to those who come.
    pub async fn open(stage: &Stage) -> anyhow::Result<Self> {
        Self::open_to(stage, None).await
    }

    /// The same; what is not caught is disturbed by chance, until [`Gate::calm`].
    pub async fn open_unreliable(stage: &Stage, seed: u64) -> anyhow::Result<Self> {
        Self::open_to(stage, Some(Arc::new(Unreliable::new(seed)))).await
    }

    async fn open_to(stage: &Stage, unreliable: Option<Arc<Unreliable>>) -> anyhow::Result<Self> {
        let kubeconfig = Kubeconfig::read_from(stage.cluster.kubeconfig())?;
        let mut config =
            Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await?;
        config.auth_info = AuthInfo::default();
        config.proxy_url = None;
        config.default_retry = false;
        let way = Way {
            api_server: Client::try_from(config)?,
            traps: Arc::default(),
            unreliable,
            mood: Arc::default(),
        };
        let listener = TcpListener::bind("127.0.0.1:0")
            .await
            .context("open a gate")?;
        let url = format!("http://{}", listener.local_addr()?);
        let routes = Router::new().fallback(pass).with_state(way.clone());
        let server = tokio::spawn(async move {
            // It never ends by itself.
            let _ = axum::serve(listener, routes).await;
        });
        Ok(Self { way, url, server })
    }

    /// Where it listens.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// From now on loses these requests.
    pub fn lose(&self, wanted: impl Fn(&Passing) -> bool + Send + 'static) {
        self.way.mood().lost = Some(Box::new(wanted));
    }

    /// From now on loses none.
    pub fn lose_none(&self) {
        self.way.mood().lost = None;
    }

    /// From now on the dates of the API server's answers are that far ahead.
    pub fn date_ahead(&self, ahead: SignedDuration) {
        self.way.mood().ahead = Some(ahead);
    }

    /// How many requests have come.
    #[must_use]
    pub fn came(&self) -> usize {
        self.way.mood().came
    }

    /// Catches the next request that is wanted, once.
    pub fn catch(&self, wanted: impl Fn(&Passing) -> bool + Send + 'static) -> Caught {
        let (caught, receiver) = oneshot::channel();
        let trap = Trap {
            wanted: Box::new(wanted),
            caught,
        };
        self.way.traps().push(trap);
        Caught(receiver)
    }

    /// Leaves nothing to chance any more; waits until all that is late has arrived.
    pub async fn calm(&self) -> anyhow::Result<()> {
        match &self.way.unreliable {
            Some(unreliable) => unreliable.calm().await,
            None => Ok(()),
        }
    }

    /// What chance did so far.
    #[must_use]
    pub fn disturbed(&self) -> Disturbed {
        let unreliable = self.way.unreliable.as_ref();
        unreliable.map(|way| way.disturbed()).unwrap_or_default()
    }
}

impl Drop for Gate {
    fn drop(&mut self) {
        self.server.abort();
    }
}

impl Caught {
    /// The request, once it has come; at most half a minute.
    pub async fn held(self) -> anyhow::Result<Held> {
        let held = tokio::time::timeout(crate::stage::SOON, self.0).await;
        held.context("no such request came")?
            .context("the gate was closed")
    }
}

impl Held {
    /// Sends it to the API server now, whether or not its sender still lives; again and again if asked to.
    pub async fn send(&self) -> anyhow::Result<Answered> {
        let (parts, body) = self.api_server.forward(&self.request).await?.into_parts();
        let body = to_bytes(body, usize::MAX).await?;
        Ok(Answered {
            status: parts.status,
            body,
        })
    }

    /// Answers 429 Too Many Requests, and after how many seconds the sender may ask again.
    pub fn too_many(self, retry_after: u64) -> anyhow::Result<()> {
        let status = json!({
            "kind": "Status",
            "apiVersion": "v1",
            "status": "Failure",
            "reason": "TooManyRequests",
            "code": 429,
            "message": "too many requests",
        });
        let mut response = Response::new(Body::from(status.to_string()));
        *response.status_mut() = StatusCode::TOO_MANY_REQUESTS;
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, "application/json".parse()?);
        headers.insert(header::RETRY_AFTER, retry_after.into());
        let gone = self.answer.send(response).is_err();
        ensure!(!gone, "the sender of the request is gone");
        Ok(())
    }

    /// Gives the sender an answer.
    pub fn answer(self, answered: Answered) -> anyhow::Result<()> {
        let mut response = Response::new(Body::from(answered.body));
        *response.status_mut() = answered.status;
        let json = header::HeaderValue::from_static("application/json");
        response.headers_mut().insert(header::CONTENT_TYPE, json);
        let gone = self.answer.send(response).is_err();
        ensure!(!gone, "the sender of the request is gone");
        Ok(())
    }
}

impl Way {
    fn mood(&self) -> std::sync::MutexGuard<'_, Mood> {
        self.mood.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn traps(&self) -> std::sync::MutexGuard<'_, Vec<Trap>> {
        self.traps.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn trap_for(&self, request: &Passing) -> Option<Trap> {
        let mut traps = self.traps();
        let found = traps.iter().position(|trap| (trap.wanted)(request))?;
        Some(traps.remove(found))
    }
}

pub(crate) trait Forward {
    async fn forward(&self, request: &Passing) -> anyhow::Result<Response>;
}

impl Forward for Client {
    async fn forward(&self, request: &Passing) -> anyhow::Result<Response> {
        let mut sent = http::Request::new(kube::client::Body::from(request.body.to_vec()));
        *sent.method_mut() = request.method.clone();
        *sent.uri_mut() = request.uri.clone();
        *sent.headers_mut() = request.headers.clone();
        sent.headers_mut().remove(header::HOST);
        let answer = self.send(sent).await.map_err(|error| anyhow!(error))?;
        Ok(answer.map(Body::new))
    }
}

async fn pass(State(way): State<Way>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let Ok(body) = to_bytes(body, usize::MAX).await else {
        return StatusCode::BAD_REQUEST.into_response();
    };
    let request = Passing {
        method: parts.method,
        uri: parts.uri,
        body,
        headers: parts.headers,
    };
    let (is_lost, ahead) = {
        let mut mood = way.mood();
        mood.came += 1;
        let lost = mood.lost.as_ref().is_some_and(|lost| lost(&request));
        (lost, mood.ahead)
    };
    if is_lost {
        return bad_gateway(anyhow!("the request was lost"));
    }
    let mut answer = carry(way, request).await;
    if let Some(ahead) = ahead {
        let date = (Timestamp::now() + ahead).strftime("%a, %d %b %Y %H:%M:%S GMT");
        if let Ok(date) = date.to_string().parse() {
            answer.headers_mut().insert(header::DATE, date);
        }
    }
    answer
}

async fn carry(way: Way, request: Passing) -> Response {
    let Some(trap) = way.trap_for(&request) else {
        if let Some(unreliable) = way.unreliable {
            return unreliable.carry(way.api_server, request).await;
        }
        let answer = way.api_server.forward(&request).await;
        return answer.unwrap_or_else(bad_gateway);
    };
    let (answer, answered) = oneshot::channel();
    let held = Held {
        request,
        api_server: way.api_server.clone(),
        answer,
    };
    if trap.caught.send(held).is_err() {
        return bad_gateway(anyhow!("the test that asked for this request is over"));
    }
    match answered.await {
        Ok(answer) => answer,
        Err(_) => bad_gateway(anyhow!("the request was lost")),
    }
}

#[allow(clippy::needless_pass_by_value, reason = "the end of an error's way")]
pub(crate) fn bad_gateway(error: anyhow::Error) -> Response {
    (StatusCode::BAD_GATEWAY, format!("{error:#}")).into_response()
}
