//! The failures of a command, in kubectl's words where the API server reports them.

use std::{error, io, time::Duration};

use http::Uri;
use kube::{Error, runtime::watcher};

use crate::{
    cluster::{ClientConfigError, ConnectionError, UnreadablePod, error_chain, in_short},
    deadline::within,
};

/// How long one request may take.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(15);

/// Why a command is not carried out.
#[derive(Debug, thiserror::Error)]
pub enum CommandFailure {
    /// The API server refuses a request.
    #[error("Error from server ({reason}): {message}")]
    Server {
        code: u16,
        reason: String,
        message: String,
    },
    /// The API server cannot be reached, or the user cannot sign in to it.
    #[error("{0}")]
    Unreached(String),
    /// A request gets no answer.
    #[error("error: {what}: {why}")]
    Request { what: String, why: String },
    /// The kubeconfig names no cluster that can be reached.
    #[error("error: {}", error_chain(.0))]
    ClientConfig(#[from] ClientConfigError),
    /// A pod cannot be read.
    #[error("error: {0}")]
    Pod(#[from] UnreadablePod),
    /// What cannot be done, in a sentence.
    #[error("error: {0}")]
    Refused(String),
}

impl CommandFailure {
    /// The failure of a request.
    pub(super) fn of(what: &str, error: &Error) -> Self {
        match error {
            Error::Api(status) => Self::Server {
                code: status.code,
                reason: status.reason.clone(),
                message: status.message.clone(),
            },
            Error::Service(source) if source.is::<ConnectionError>() => {
                Self::Unreached(unreached(source.as_ref()))
            }
            error => Self::Request {
                what: what.to_owned(),
                why: in_short(error),
            },
        }
    }

    /// The failure of a watch.
    pub(super) fn of_watch(what: &str, error: &watcher::Error) -> Self {
        match error {
            watcher::Error::InitialListFailed(error)
            | watcher::Error::WatchStartFailed(error)
            | watcher::Error::WatchFailed(error) => Self::of(what, error),
            error => Self::Request {
                what: what.to_owned(),
                why: error.to_string(),
            },
        }
    }

    /// Whether there is no such object.
    #[must_use]
    pub fn is_not_found(&self) -> bool {
        matches!(self, Self::Server { code: 404, .. })
    }

    /// Whether the right to the request is missing.
    #[must_use]
    pub fn is_forbidden(&self) -> bool {
        matches!(self, Self::Server { code: 403, .. })
    }
}

/// A request, with a bound on its time.
pub(super) async fn request<T>(
    what: &str,
    request: impl Future<Output = Result<T, Error>>,
) -> Result<T, CommandFailure> {
    let answered = within(REQUEST_TIMEOUT, request).await;
    let answered = answered.map_err(|timed_out| CommandFailure::Request {
        what: what.to_owned(),
        why: timed_out.to_string(),
    })?;
    answered.map_err(|error| CommandFailure::of(what, &error))
}

/// As kubectl says it, and with the proxy on the way.
fn unreached(error: &(dyn error::Error + 'static)) -> String {
    let (server, proxy, source) = match error.downcast_ref() {
        Some(ConnectionError::Unreached {
            server,
            proxy,
            source,
        }) => (server, proxy, source),
        Some(ConnectionError::SignIn { program, .. }) => {
            let hint = program
                .as_ref()
                .and_then(|program| program.install_hint.as_deref());
            let hint = hint.map(|hint| format!("\n{}", hint.replace(is_harmful, " ")));
            let why = error_chain(error);
            return format!(
                "Unable to connect to the server: {why}{}",
                hint.unwrap_or_default()
            );
        }
        None => return error_chain(error),
    };
    let through = match proxy {
        Some(proxy) => format!(" through the proxy {proxy}"),
        None => String::new(),
    };
    let server: Option<Uri> = server.parse().ok();
    let server = server.as_ref().and_then(Uri::authority);
    let server = server.map(ToString::to_string).unwrap_or_default();
    if is_refused(source.as_ref()) {
        return format!(
            "The connection to the server {server}{through} was refused - did you specify the right host or port?"
        );
    }
    let why = error_chain(source.as_ref());
    format!("Unable to connect to the server {server}{through}: {why}")
}

/// What would act on a terminal.
fn is_harmful(letter: char) -> bool {
    letter.is_control() && letter != '\n'
}

fn is_refused(error: &(dyn error::Error + 'static)) -> bool {
    let mut cause = Some(error);
    while let Some(error) = cause {
        let io: Option<&io::Error> = error.downcast_ref();
        if io.is_some_and(|error| error.kind() == io::ErrorKind::ConnectionRefused) {
            return true;
        }
        cause = error.source();
    }
    false
}
