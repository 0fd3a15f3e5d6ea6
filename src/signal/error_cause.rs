//! Why a signal has no answer: a closed set, for the label `cause` of `signal_errors_total`.

/// Why a signal has no answer. The label value is the variant in lower case.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, strum::IntoStaticStr)]
#[strum(serialize_all = "lowercase")]
pub enum ErrorCause {
    /// The agent has no descriptors, ports or routes left to ask.
    Agent,
    /// All permits were taken for a whole period.
    Busy,
    /// There was no connection, or it broke.
    Connection,
    /// The name does not resolve.
    Dns,
    /// A file that the policy file names cannot be read or used.
    File,
    /// No series has the labels that identify pods.
    Labels,
    /// The answer has an unexpected form.
    Parse,
    /// The server reported an error of the query.
    Query,
    /// The request cannot be sent as it is configured.
    Request,
    /// The answer is too large.
    Size,
    /// The answer is not newer than the one before.
    Stale,
    /// An HTTP status that is not 200.
    Status,
    /// There was no answer in time.
    Timeout,
    /// TLS failed; of a probe: server and agent have nothing in common.
    Tls,
    /// The server warns that the answer may be partial.
    Warnings,
}

impl ErrorCause {
    /// The label value.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        self.into()
    }
}
