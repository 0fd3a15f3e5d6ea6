//! What is told of an answer that counts: a closed set, for the label `remark` of `signal_remarks_total`.

/// What is told of an answer that counts. The label value is the variant in lower case.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, strum::IntoStaticStr)]
#[strum(serialize_all = "lowercase")]
pub enum Remark {
    /// Prometheus' engine remarks on the query or on a series.
    Engine,
    /// A series tells of another pod than the one that was scraped, and says nothing.
    Exported,
}

impl Remark {
    /// The label value.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        self.into()
    }
}
