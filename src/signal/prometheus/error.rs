//! Why a query has no answer: in words for samples, as an [`ErrorCause`] for the metric.

use std::{error::Error as _, io};

use crate::{
    core::policy::PodLabels,
    deadline::TimedOut,
    signal::{ErrorCause, tls::RootsError},
};

/// How many characters of a foreign text are repeated.
const QUOTE: usize = 160;

#[derive(Debug, thiserror::Error)]
pub(super) enum QueryError {
    #[error(transparent)]
    Timeout(#[from] TimedOut),
    #[error("the name {0} does not resolve")]
    Dns(String),
    #[error("{0}")]
    Tls(String),
    #[error("connection refused")]
    Refused,
    #[error("connection broken")]
    Connection,
    #[error("HTTP {0}")]
    Status(u16),
    #[error("HTTP {status}: {error}")]
    Query { status: u16, error: String },
    #[error("the answer is larger than {} MiB", .0 >> 20)]
    Size(usize),
    #[error("the answer is not a Prometheus query result")]
    Parse,
    #[error("the query returns a {0}, not a vector")]
    Type(String),
    #[error("partial answer: {0}")]
    Warnings(String),
    #[error("stale answer: its timestamp has not advanced")]
    Stale,
    #[error("stale answer: its time is {0} s from that of the API server")]
    Away(f64),
    #[error("no series has the labels {} and {}", .0.namespace, .0.pod)]
    Labels(PodLabels),
    #[error("read bearerTokenFile: {0}")]
    Token(io::Error),
    #[error("bearerTokenFile cannot be sent as a header")]
    BadToken,
    #[error("read caFile: {0}")]
    Roots(io::Error),
    #[error("use caFile: {0}")]
    BadRoots(RootsError),
    #[error("the request cannot be sent: {0}")]
    Request(String),
}

impl QueryError {
    pub(super) fn cause(&self) -> ErrorCause {
        match self {
            Self::Timeout(_) => ErrorCause::Timeout,
            Self::Dns(_) => ErrorCause::Dns,
            Self::Tls(_) => ErrorCause::Tls,
            Self::Refused | Self::Connection => ErrorCause::Connection,
            Self::Status(_) => ErrorCause::Status,
            Self::Query { .. } | Self::Type(_) => ErrorCause::Query,
            Self::Size(_) => ErrorCause::Size,
            Self::Parse => ErrorCause::Parse,
            Self::Warnings(_) => ErrorCause::Warnings,
            Self::Stale | Self::Away(_) => ErrorCause::Stale,
            Self::Labels(_) => ErrorCause::Labels,
            Self::Token(_) | Self::BadToken | Self::Roots(_) | Self::BadRoots(_) => {
                ErrorCause::File
            }
            Self::Request(_) => ErrorCause::Request,
        }
    }

    /// The meaning of an error of the HTTP client. Some of its sources can be recognised only by their text.
    pub(super) fn of_client(error: &reqwest::Error) -> Self {
        if error.is_builder() {
            return Self::Request(quote(&error.to_string()));
        }
        let mut source = error.source();
        while let Some(cause) = source {
            if let Some(tls) = cause.downcast_ref::<rustls::Error>() {
                return Self::Tls(quote(&format!("TLS: {tls}")));
            }
            if cause.to_string().starts_with("dns error") {
                let host = error.url().and_then(|url| url.host_str());
                return Self::Dns(host.unwrap_or_default().to_owned());
            }
            if let Some(io) = cause.downcast_ref::<io::Error>() {
                if io.kind() == io::ErrorKind::ConnectionRefused {
                    return Self::Refused;
                }
                // The source of an io::Error is not the error inside it, but that error's source.
                if let Some(inner) = io.get_ref() {
                    source = Some(inner);
                    continue;
                }
            }
            source = cause.source();
        }
        Self::Connection
    }
}

/// The beginning of a foreign text on one line.
pub(super) fn quote(text: &str) -> String {
    let clean = |char: char| if char.is_control() { ' ' } else { char };
    let mut quote: String = text.chars().take(QUOTE).map(clean).collect();
    if text.chars().nth(QUOTE).is_some() {
        quote.push('…');
    }
    quote
}
