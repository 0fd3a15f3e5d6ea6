//! What a query probably gets wrong, in words.

use crate::core::policy::PodLabels;

/// Something that a query probably gets wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Flaw {
    /// A comparison drops pods.
    Comparison(OperandOf),
    /// An aggregation chooses among pods.
    Chosen,
    /// A numerator lacks pods that its denominator has.
    Numerator,
    /// A selector lacks pods to which nothing of its kind has happened.
    Filter,
    /// There are several series for a pod.
    Containers,
    /// No series belongs to a pod.
    Labels,
}

/// What a comparison is an operand of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum OperandOf {
    /// It is the last step of the query.
    Nothing,
    And,
    Or,
    Unless,
    Aggregation,
    /// Arithmetic, or a function.
    Calculation,
}

impl Flaw {
    /// What is wrong, and what would be right.
    pub(super) fn message(self, labels: &PodLabels) -> String {
        let by = by(labels);
        match self {
            Self::Comparison(OperandOf::Nothing) => {
                "the comparison drops the healthy pods from the result; move its number to `above` or `below`".to_owned()
            }
            Self::Comparison(OperandOf::And) => {
                "`and` over a comparison drops the healthy pods from the result; \
                 write `(a > bool 1) * (b > bool 2)` for `(a > 1) and (b > 2)`, with `above: 0`".to_owned()
            }
            Self::Comparison(OperandOf::Or) => {
                "`or` over comparisons drops the healthy pods from the result; \
                 write `(a > bool 1) + (b > bool 2)` for `(a > 1) or (b > 2)`, with `above: 0`".to_owned()
            }
            Self::Comparison(OperandOf::Unless) => {
                "`unless` over a comparison drops pods from the result, healthy ones too; write \
                 `(a > bool 1) * (b <= bool 2)` with `above: 0` for `(a > 1) unless (b > 2)`, \
                 and `a unless b` with `above: 1` for `(a > 1) unless b`".to_owned()
            }
            Self::Comparison(OperandOf::Aggregation) => {
                format!(
                    "the comparison within the aggregation drops pods from the result, the healthy ones if it looks for a \
                     fault; write `bool` after its operator, which gives 0 or 1 for each series, and aggregate with `sum {by}` or `max {by}`"
                )
            }
            Self::Comparison(OperandOf::Calculation) => {
                "the comparison within the query drops pods from the result, the healthy ones if it looks for a fault; \
                 write `bool` after its operator, which gives 0 or 1 for each series, or move its number to `above` or `below`".to_owned()
            }
            Self::Chosen => {
                "`topk`, `bottomk`, `limitk` and `limit_ratio` drop the other pods from the result; \
                 leave them out, since every pod is compared with `above` or `below`".to_owned()
            }
            Self::Numerator => {
                "the numerator has a filter that the denominator lacks, so a pod without matching series has no value; \
                 add `or 0 * <the denominator>` to the numerator".to_owned()
            }
            Self::Filter => {
                "a healthy pod may have no series that passes the filter, and then it has no value; \
                 add `or 0 * <a metric that every pod has>`, or divide by the query without the filter"
                    .to_owned()
            }
            Self::Containers => {
                format!(
                    "the result has a series for each container, and a pod with several of them has no value; \
                     aggregate, such as with `max {by}`, or choose one with `container=\"…\"`"
                )
            }
            Self::Labels => {
                format!(
                    "the result lacks the label `{}` or `{}`, so no series belongs to a pod; aggregate `{by}`, \
                     or name the labels of the result in `namespaceLabel` and `podLabel` of the file's `prometheus`",
                    labels.namespace, labels.pod
                )
            }
        }
    }
}

/// The grouping that keeps these labels, as a query writes it.
fn by(labels: &PodLabels) -> String {
    let written = |label: &str| {
        let is_plain = |char: char| char.is_ascii_alphanumeric() || char == '_';
        if label.chars().all(is_plain) {
            label.to_owned()
        } else {
            format!("\"{label}\"")
        }
    };
    format!(
        "by ({}, {})",
        written(&labels.namespace),
        written(&labels.pod)
    )
}
