//! Why nothing could be learned: a closed set, for a metric's label.

/// Why a signal got no answer that counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
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
    /// The question cannot be put as it is configured.
    Request,
    /// The answer is too large.
    Size,
    /// The answer is no newer than the one before.
    Stale,
    /// An HTTP status that is not 200.
    Status,
    /// No answer in time.
    Timeout,
    /// TLS failed.
    Tls,
    /// The server says itself that the answer may be partial.
    Warnings,
}

impl ErrorCause {
    /// Every cause.
    pub const ALL: [Self; 15] = [
        Self::Agent,
        Self::Busy,
        Self::Connection,
        Self::Dns,
        Self::File,
        Self::Labels,
        Self::Parse,
        Self::Query,
        Self::Request,
        Self::Size,
        Self::Stale,
        Self::Status,
        Self::Timeout,
        Self::Tls,
        Self::Warnings,
    ];

    /// The label value.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Agent => "agent",
            Self::Busy => "busy",
            Self::Connection => "connection",
            Self::Dns => "dns",
            Self::File => "file",
            Self::Labels => "labels",
            Self::Parse => "parse",
            Self::Query => "query",
            Self::Request => "request",
            Self::Size => "size",
            Self::Stale => "stale",
            Self::Status => "status",
            Self::Timeout => "timeout",
            Self::Tls => "tls",
            Self::Warnings => "warnings",
        }
    }
}
