//! The failures of a command, in kubectl's words where the API server reports them.

use std::{error, io};

use http::Uri;
use kube::{Error, runtime::watcher};

use super::jsonpath::TemplateError;
use crate::cluster::{ClientConfigError, ConnectionError, UnreadablePod, error_chain, in_short};

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
    /// The API server refuses the label selector of the command line.
    #[error("Error from server (BadRequest): {0}")]
    Selector(String),
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
    /// A template does not fit what is to be printed.
    #[error("error: {0}")]
    Template(#[from] TemplateError),
    /// What cannot be done, in a sentence.
    #[error("error: {0}")]
    Refused(String),
}

impl CommandFailure {
    /// The failure of a request.
    pub(super) fn of(what: &str, error: &Error) -> Self {
        match error {
            Error::Api(status) if status.code == 401 => {
                Self::Refused("You must be logged in to the server (Unauthorized)".to_owned())
            }
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

    /// The failure of a list of pods, where it is the fault of a label selector.
    pub(super) fn of_selector(self, selector: &str) -> Self {
        match self {
            Self::Server {
                code: 400, message, ..
            } if !selector.is_empty() => Self::Selector(message),
            failure => failure,
        }
    }

    /// The failure of a watch.
    pub(super) fn of_watch(what: &str, error: &watcher::Error) -> Self {
        match error {
            watcher::Error::InitialListFailed(error)
            | watcher::Error::WatchStartFailed(error)
            | watcher::Error::WatchFailed(error) => Self::of(what, error),
            watcher::Error::WatchError(status) => Self::Server {
                code: status.code,
                reason: status.reason.clone(),
                message: status.message.clone(),
            },
            watcher::Error::NoResourceVersion => Self::Request {
                what: what.to_owned(),
                why: error.to_string(),
            },
        }
    }

    /// Whether the command line is wrong, and the same line never works.
    #[must_use]
    pub fn is_usage(&self) -> bool {
        matches!(self, Self::Selector(_))
    }

    /// Whether a watch may go on after it: the API server was away, or no longer has the version that was watched from.
    pub(super) fn passes(&self) -> bool {
        match self {
            Self::Server { code, .. } => matches!(code, 408 | 410 | 429 | 500..),
            Self::Unreached(_) | Self::Request { .. } => true,
            _ => false,
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
