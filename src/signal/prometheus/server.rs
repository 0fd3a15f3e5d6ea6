//! The Prometheus server: sends the query and returns the answer as bytes.

use std::time::Duration;

use reqwest::{
    Client, Method, Request, Response, StatusCode, Url,
    header::{AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue},
    redirect,
};
use serde::Deserialize;
use url::form_urlencoded::Serializer;

use super::error::{QueryError, quote};
use crate::{core::policy::PrometheusServer, signal::tls};

/// The answer about 5,000 pods takes 1 MiB; more than this is not an answer about pods.
const MAX_ANSWER: usize = 32 << 20;

/// The bytes that are read of an error: its text is at the beginning.
const MAX_ERROR: usize = 64 << 10;

/// What a server answers that takes no form: one that forbids, or does not know, to POST.
const REFUSES_A_FORM: [StatusCode; 3] = [
    StatusCode::FORBIDDEN,
    StatusCode::METHOD_NOT_ALLOWED,
    StatusCode::NOT_IMPLEMENTED,
];

/// The server that one query is sent to.
pub(super) struct Server {
    settings: PrometheusServer,
    form: String,
    client: Option<CachedClient>,
}

/// A client, and the content of the caFile that it trusts.
struct CachedClient {
    client: Client,
    roots: Option<Vec<u8>>,
}

impl Server {
    pub(super) fn new(query: &str, settings: PrometheusServer, limit: Duration) -> Self {
        // The server may stop when the client no longer waits for the answer.
        let timeout = format!("{}ms", limit.as_millis());
        let mut form = Serializer::new(String::new());
        form.append_pair("query", query)
            .append_pair("timeout", &timeout);
        let form = form.finish();
        Self {
            settings,
            form,
            client: None,
        }
    }

    /// Sends the query and returns the body of a 200. A server that takes no form gets the same query as a GET, as from
    /// Prometheus' own client: each time, since a proxy that is changed later may refuse the one or the other.
    pub(super) async fn ask(&mut self) -> Result<Vec<u8>, QueryError> {
        let mut answer = self.send(Method::POST).await?;
        if REFUSES_A_FORM.contains(&answer.status()) {
            answer = self.send(Method::GET).await?;
        }
        if answer.status() != StatusCode::OK {
            return Err(error_of(answer).await);
        }
        body(answer, MAX_ANSWER).await
    }

    async fn send(&mut self, method: Method) -> Result<Response, QueryError> {
        let request = self.request(method).await?;
        let client = self.client().await?;
        let sent = client.execute(request).await;
        sent.map_err(|error| QueryError::of_client(&error))
    }

    async fn request(&self, method: Method) -> Result<Request, QueryError> {
        let is_form = method == Method::POST;
        let mut request = Request::new(method, self.url(!is_form)?);
        let headers = request.headers_mut();
        for (name, value) in &self.settings.headers {
            set(headers, name, value)
                .ok_or_else(|| QueryError::Request(quote(&format!("header {name}"))))?;
        }
        if let Some(file) = &self.settings.bearer_token_file {
            headers.insert(AUTHORIZATION, bearer(file).await?);
        }
        if is_form {
            let kind = HeaderValue::from_static("application/x-www-form-urlencoded");
            headers.insert(CONTENT_TYPE, kind);
            *request.body_mut() = Some(self.form.clone().into());
        }
        Ok(request)
    }

    /// The address that is asked. The policy file's parameters are in its query string, never in the form: proxies that
    /// decide by them read them there.
    fn url(&self, with_query: bool) -> Result<Url, QueryError> {
        let mut url = Url::parse(&self.settings.url)
            .map_err(|error| QueryError::Request(quote(&format!("url: {error}"))))?;
        let path = format!("{}/api/v1/query", url.path().trim_end_matches('/'));
        url.set_path(&path);
        let mut sent = Serializer::new(String::new());
        sent.extend_pairs(&self.settings.parameters);
        let mut sent = sent.finish();
        if with_query {
            if !sent.is_empty() {
                sent.push('&');
            }
            sent.push_str(&self.form);
        }
        url.set_query(Some(&*sent).filter(|sent| !sent.is_empty()));
        Ok(url)
    }

    /// The client; a new one if the caFile has changed.
    async fn client(&mut self) -> Result<Client, QueryError> {
        let roots = match &self.settings.ca_file {
            Some(file) => Some(tokio::fs::read(file).await.map_err(QueryError::Roots)?),
            None => None,
        };
        if let Some(cached) = &self.client
            && cached.roots == roots
        {
            return Ok(cached.client.clone());
        }
        let client = build(roots.as_deref())?;
        let cached = CachedClient {
            client: client.clone(),
            roots,
        };
        self.client = Some(cached);
        Ok(client)
    }
}

/// A client that follows no redirect (its headers are for this server only) and keeps no connection: for one query per
/// interval it is not worth checking whether an idle connection still works.
fn build(roots: Option<&[u8]>) -> Result<Client, QueryError> {
    let tls = tls::verified(roots).map_err(QueryError::BadRoots)?;
    let client = Client::builder()
        .tls_backend_preconfigured(tls)
        .user_agent(crate::signal::USER_AGENT)
        .redirect(redirect::Policy::none())
        .pool_max_idle_per_host(0)
        .build();
    client.map_err(|error| QueryError::Request(quote(&error.to_string())))
}

fn set(headers: &mut HeaderMap, name: &str, value: &str) -> Option<()> {
    let name = HeaderName::try_from(name).ok()?;
    let mut value = HeaderValue::from_str(value).ok()?;
    value.set_sensitive(true);
    headers.append(name, value);
    Some(())
}

/// The current token: it may be renewed while the agent runs.
async fn bearer(file: &str) -> Result<HeaderValue, QueryError> {
    let read = tokio::fs::read_to_string(file).await;
    let token = read.map_err(QueryError::Token)?;
    let mut value = HeaderValue::from_str(&format!("Bearer {}", token.trim()))
        .map_err(|_| QueryError::BadToken)?;
    value.set_sensitive(true);
    Ok(value)
}

async fn body(mut answer: Response, max: usize) -> Result<Vec<u8>, QueryError> {
    let mut body = Vec::new();
    while let Some(chunk) = answer
        .chunk()
        .await
        .map_err(|error| QueryError::of_client(&error))?
    {
        if body.len() + chunk.len() > max {
            return Err(QueryError::Size(max));
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}

/// The body of an answer that is an error.
#[derive(Deserialize)]
struct ErrorBody {
    error: String,
}

async fn error_of(answer: Response) -> QueryError {
    let status = answer.status().as_u16();
    let text = body(answer, MAX_ERROR).await.unwrap_or_default();
    match serde_json::from_slice::<ErrorBody>(&text) {
        Ok(ErrorBody { error }) => QueryError::Query {
            status,
            error: quote(&error),
        },
        Err(_) => QueryError::Status(status),
    }
}
