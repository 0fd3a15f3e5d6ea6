//! Forms of text, each defined once for the reader, the schema and messages.

use std::{ops::RangeInclusive, sync::OnceLock};

use regex::Regex;
use serde_json::{Value as Json, json};

pub(super) struct Pattern {
    /// A regular expression with the same meaning in Rust and in JSON Schema.
    expression: &'static str,
    /// The longest text, in characters.
    lengths: RangeInclusive<usize>,
    /// The form in words, after "must be".
    pub(super) meaning: &'static str,
    compiled: OnceLock<Regex>,
}

impl Pattern {
    pub(super) const fn new(
        expression: &'static str,
        lengths: RangeInclusive<usize>,
        meaning: &'static str,
    ) -> Self {
        Self {
            expression,
            lengths,
            meaning,
            compiled: OnceLock::new(),
        }
    }

    pub(super) fn matches(&self, text: &str) -> bool {
        let length = text.chars().take(self.lengths.end() + 1).count();
        self.lengths.contains(&length) && self.regex().is_match(text)
    }

    pub(super) fn schema(&self) -> Json {
        json!({
            "type": "string",
            "minLength": self.lengths.start(),
            "maxLength": self.lengths.end(),
            "pattern": self.expression,
        })
    }

    #[expect(
        clippy::expect_used,
        reason = "the expressions are constants, and tests use each of them"
    )]
    fn regex(&self) -> &Regex {
        self.compiled
            .get_or_init(|| Regex::new(self.expression).expect("a constant expression is valid"))
    }
}

/// A name that Kubernetes accepts in a host name.
pub(super) static DNS_LABEL: Pattern = Pattern::new(
    "^[a-z0-9]([-a-z0-9]*[a-z0-9])?$",
    1..=63,
    "a DNS label (lower-case letters, digits and \"-\", a letter or digit at both ends, at most 63 characters)",
);

/// A label's key: a prefix of at most 253 characters, a slash, and a name of at most 63.
pub(super) static LABEL_KEY: Pattern = Pattern::new(
    r"^([a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*/)?[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?$",
    1..=317,
    "a label key (an optional DNS name and \"/\", then at most 63 letters, digits, \"-\", \"_\" or \".\", a letter or digit at both ends)",
);

pub(super) static LABEL_VALUE: Pattern = Pattern::new(
    "^([A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?)?$",
    0..=63,
    "a label value (at most 63 letters, digits, \"-\", \"_\" or \".\", a letter or digit at both ends)",
);

/// A header's name, as the API server accepts it in a probe.
pub(super) static HEADER_NAME: Pattern = Pattern::new(
    "^[-A-Za-z0-9]+$",
    1..=128,
    "a header name (letters, digits and \"-\")",
);

pub(super) static HEADER_VALUE: Pattern = Pattern::new(
    r"^[\t -~]*$",
    0..=4096,
    "a header value (printable ASCII, at most 4096 characters)",
);

/// The name of a parameter of a query string, such as `namespace` or `replicaLabels[]`.
pub(super) static PARAMETER_NAME: Pattern = Pattern::new(
    r"^[-A-Za-z0-9_.:]+(\[\])?$",
    1..=128,
    "the name of a parameter (letters, digits, \"-\", \"_\", \".\" and \":\", perhaps \"[]\" at its end)",
);

/// Its value; it is encoded when it is sent.
pub(super) static PARAMETER_VALUE: Pattern = Pattern::new(
    r"^[ -~]*$",
    0..=1024,
    "the value of a parameter (printable ASCII, at most 1024 characters)",
);

/// A label of a metric: of Prometheus, or an attribute of OpenTelemetry.
pub(super) static METRIC_LABEL: Pattern = Pattern::new(
    "^[A-Za-z_][-A-Za-z0-9_.:/]*$",
    1..=128,
    "the name of a label (a letter or \"_\", then letters, digits, \"_\", \"-\", \".\", \":\" or \"/\")",
);

/// Path and query of a probe.
pub(super) static PATH: Pattern = Pattern::new(
    r"^[^\x00-\x1f\x7f]*$",
    0..=2048,
    "a path (without control characters)",
);

/// The form of the address of a Prometheus server; its parts are checked when it is read.
pub(super) static HTTP_URL: Pattern = Pattern::new(
    "^https?://[!-~]+$",
    1..=2048,
    "an http:// or https:// address",
);

pub(super) static PERCENT: Pattern = Pattern::new(
    "^([1-9][0-9]?|100)%$",
    2..=4,
    "a percentage from 1% to 100%",
);

/// A percentage that may be zero.
pub(super) static PERCENT_OR_ZERO: Pattern = Pattern::new(
    "^([1-9]?[0-9]|100)%$",
    2..=4,
    "a percentage from 0% to 100%",
);

/// The name of a port in IANA's form: with a letter, and no "-" at an end or next to another.
pub(super) static PORT_NAME: Pattern = Pattern::new(
    "^([0-9]+-)*[0-9]*[a-z][a-z0-9]*(-[a-z0-9]+)*$",
    1..=15,
    "the name of a port (at most 15 lower-case letters, digits and \"-\", with at least one letter)",
);
