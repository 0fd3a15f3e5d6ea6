//! Why a signal has no answer: a closed set, for the label `cause` of `signal_errors_total`.

/// Why a signal got no answer that counts. A variant in lower case is the label value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, strum::IntoStaticStr)]
#[strum(serialize_all = "lowercase")]
pub enum ErrorCause {
    /// The agent is out of descriptors, ports or routes, so it cannot ask.
    Agent,
    /// All permits to ask were taken for a whole period.
    Busy,
    /// No connection, or it broke.
    Connection,
    /// The name does not resolve.
    Dns,
    /// A file that the policy file names cannot be read or used.
    File,
    /// No series carries the labels that pods are found by.
    Labels,
    /// The answer is not what it should be.
    Parse,
    /// The server answered with an error of the query.
    Query,
    /// The request cannot be sent as it is configured.
    Request,
    /// The answer is too large.
    Size,
    /// The answer is no newer than the one before.
    Stale,
    /// An HTTP status that is not 200.
    Status,
    /// No answer in time.
    Timeout,
    Tls,
    /// The server says itself that the answer may be partial.
    Warnings,
}

impl ErrorCause {
    /// The label value.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        self.into()
    }
}
