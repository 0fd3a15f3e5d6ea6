//! Filters of a query: label matchers, and which of them healthy pods do not pass.

use promql_parser::{
    label::{MatchOp, Matcher},
    parser::{Call, Expr, VectorSelector},
};

use super::expression::operands;

/// The label matchers of all selectors in an expression but those that every series passes.
pub(super) fn filters(expression: &Expr) -> Vec<&Matcher> {
    let selector = match expression {
        Expr::VectorSelector(selector) => selector,
        Expr::MatrixSelector(selector) => &selector.vs,
        _ => return operands(expression).into_iter().flat_map(filters).collect(),
    };
    let all = selector.matchers.matchers.iter();
    all.filter(|matcher| filters_some(matcher)).collect()
}

/// Whether a matcher asks for more than that the label is there.
fn filters_some(matcher: &Matcher) -> bool {
    let is_any = matches!(matcher.op, MatchOp::Re(_)) && [".*", ".+"].contains(&&*matcher.value);
    let is_present = matcher.op == MatchOp::NotEqual && matcher.value.is_empty();
    !is_any && !is_present
}

/// Names of labels that say where a series comes from: every pod has series there.
pub(super) const SCOPES: [&str; 11] = [
    "cluster",
    "container",
    "endpoint",
    "image",
    "instance",
    "job",
    "metrics_path",
    "namespace",
    "node",
    "pod",
    "service",
];

/// Names of labels that say how something went: many programs have a series only for what has happened.
const OUTCOMES: [&str; 9] = [
    "code",
    "status",
    "error",
    "exception",
    "reason",
    "result",
    "outcome",
    "fail",
    "success",
];

/// The same of values, whatever their label is called.
const FAILURES: [&str; 5] = ["error", "fail", "fatal", "5xx", "5.."];

/// Whether a call counts events of one outcome.
pub(super) fn lacks_idle_pods(call: &Call) -> bool {
    let counts = ["rate", "irate", "increase"].contains(&call.func.name);
    let tells_outcome = |matcher: &&Matcher| {
        let (name, value) = (matcher.name.to_lowercase(), matcher.value.to_lowercase());
        OUTCOMES.iter().any(|part| name.contains(part))
            || FAILURES.iter().any(|part| value.contains(part))
    };
    let mut ranges = call.args.args.iter();
    counts && ranges.any(|range| filters(range).iter().any(tells_outcome))
}

/// Whether kube-state-metrics has a series only while a container is in the state that it tells of.
pub(super) fn is_of_a_moment(selector: &VectorSelector) -> bool {
    let name = selector.name.as_deref().unwrap_or_default();
    let of_container = [
        "kube_pod_container_status_",
        "kube_pod_init_container_status_",
    ];
    of_container.iter().any(|prefix| name.starts_with(prefix)) && name.ends_with("_reason")
}
