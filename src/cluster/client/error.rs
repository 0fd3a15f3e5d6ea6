//! Why a request failed, in words.

use kube::Error;

use crate::{
    core::{object::BadResourceVersion, quantity::BadQuantity, selector::MAX_SIZE},
    deadline::TimedOut,
};

/// A failed request. Whether a write took place is unknown.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ClientError {
    #[error("{}", in_short(.0))]
    Api(#[from] Error),
    #[error(transparent)]
    TimedOut(#[from] TimedOut),
    #[error(transparent)]
    Object(#[from] BadObject),
    #[error("the object has changed meanwhile")]
    Changed,
    #[error("a page of the list is too large")]
    PageTooLarge,
    #[error("the watch ended before its time")]
    EndedEarly,
}

impl ClientError {
    /// The HTTP status of a refusal.
    pub(crate) fn code(&self) -> Option<u16> {
        match self {
            Self::Api(Error::Api(status)) => Some(status.code),
            _ => None,
        }
    }

    /// Whether an event of a watch cannot be read: it would come again and again. kube takes most of them for a status
    /// without a code, since no field of a status is required.
    pub(crate) fn is_unreadable(&self) -> bool {
        match self {
            Self::Api(Error::SerdeError(_)) => true,
            Self::Api(Error::Api(status)) => status.code == 0,
            _ => false,
        }
    }

    /// Whether the version that a watch should start from has expired.
    pub(crate) fn is_expired(&self) -> bool {
        matches!(self, Self::Api(Error::Api(status)) if status.code == 410 || status.reason == "Expired")
    }
}

/// An object that cannot be read. It is left out of the view, so nothing is done about it.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BadObject {
    /// The API server always sends these.
    #[error("read an object: it has no {0}")]
    Missing(&'static str),
    #[error(transparent)]
    ResourceVersion(#[from] BadResourceVersion),
    /// The API server refuses such selectors.
    #[error("read a selector: unknown operator {0:?}")]
    Operator(String),
    /// The API server takes selectors as long as an object may be.
    #[error("read a selector: it has more than {MAX_SIZE} requirements and values")]
    SelectorTooLarge,
    /// The API server refuses such amounts.
    #[error(transparent)]
    Quantity(#[from] BadQuantity),
}

/// One line: the status code and message of the API server, else the error of the connection.
#[must_use]
pub fn in_short(error: &Error) -> String {
    match error {
        Error::Api(status) if status.code == 0 => "an answer cannot be read".to_owned(),
        Error::Api(status) => format!("HTTP {} {}: {}", status.code, status.reason, status.message),
        Error::Service(source) => error_chain(source.as_ref()),
        other => error_chain(other),
    }
}

/// An error and its causes, each once, although many errors repeat their cause in their own text.
#[must_use]
pub fn error_chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        if !text.contains(&cause_text) {
            text = format!("{text}: {cause_text}");
        }
        source = cause.source();
    }
    text
}
