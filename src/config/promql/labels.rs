//! Which labels the series of a result have.

use promql_parser::{
    label::MatchOp,
    parser::{
        AggregateExpr, BinaryExpr, Call, Expr, VectorMatchCardinality, VectorSelector,
        token::{
            T_BOTTOMK, T_COUNT_VALUES, T_LAND, T_LIMIT_RATIO, T_LIMITK, T_LOR, T_LUNLESS, T_TOPK,
        },
    },
};

use super::expression::bare;
use crate::core::policy::PodLabels;

/// Metrics with a series for each container of a pod, or for each of its network interfaces.
const PER_CONTAINER: [&str; 3] = [
    "container_",
    "kube_pod_container_",
    "kube_pod_init_container_",
];

/// Whether a result may have both labels that name a pod.
pub(super) fn names_pods(expression: &Expr, labels: &PodLabels) -> bool {
    let any = |_: &VectorSelector| true;
    keeps(expression, &labels.namespace, any) && keeps(expression, &labels.pod, any)
}

/// Whether a result has a series for each container of a pod.
pub(super) fn tells_containers_apart(expression: &Expr) -> bool {
    keeps(expression, "container", is_per_container)
}

/// Whether an aggregation makes a group of each pod, or of less.
pub(super) fn groups_by_pod(aggregate: &AggregateExpr, labels: &PodLabels) -> bool {
    [&labels.namespace, &labels.pod]
        .iter()
        .all(|label| groups_by(aggregate, label))
}

/// Whether an aggregation chooses among its series instead of adding them up.
pub(super) fn chooses(aggregate: &AggregateExpr) -> bool {
    [T_TOPK, T_BOTTOMK, T_LIMITK, T_LIMIT_RATIO].contains(&aggregate.op.id())
}

fn is_per_container(selector: &VectorSelector) -> bool {
    let name = selector.name.as_deref().unwrap_or_default();
    let names_one = selector
        .matchers
        .matchers
        .iter()
        .any(|matcher| matcher.name == "container" && matcher.op == MatchOp::Equal);
    !names_one && PER_CONTAINER.iter().any(|prefix| name.starts_with(prefix))
}

/// Whether the result of an expression may have a label; `has` knows it of a selector.
fn keeps<F: Fn(&VectorSelector) -> bool + Copy>(expression: &Expr, label: &str, has: F) -> bool {
    match expression {
        Expr::Aggregate(aggregate) => aggregate_keeps(aggregate, label, has),
        Expr::Binary(binary) => binary_keeps(binary, label, has),
        Expr::Call(call) => call_keeps(call, label, has),
        Expr::NumberLiteral(_) | Expr::StringLiteral(_) => false,
        Expr::Paren(inner) => keeps(&inner.expr, label, has),
        Expr::Unary(inner) => keeps(&inner.expr, label, has),
        Expr::Subquery(inner) => keeps(&inner.expr, label, has),
        Expr::VectorSelector(selector) => has(selector),
        Expr::MatrixSelector(selector) => has(&selector.vs),
        Expr::Extension(_) => true,
    }
}

fn call_keeps<F: Fn(&VectorSelector) -> bool + Copy>(call: &Call, label: &str, has: F) -> bool {
    let arguments = &call.args.args;
    match call.func.name {
        "absent" | "absent_over_time" | "scalar" | "vector" | "time" | "pi" => false,
        "label_replace" | "label_join" if is_text(arguments.get(1).map(AsRef::as_ref), label) => {
            true
        }
        _ => arguments.iter().any(|argument| keeps(argument, label, has)),
    }
}

fn is_text(expression: Option<&Expr>, text: &str) -> bool {
    let expression = expression.map(bare);
    matches!(expression, Some(Expr::StringLiteral(literal)) if literal.val == text)
}

fn aggregate_keeps<F: Fn(&VectorSelector) -> bool + Copy>(
    aggregate: &AggregateExpr,
    label: &str,
    has: F,
) -> bool {
    if aggregate.op.id() == T_COUNT_VALUES && is_text(aggregate.param.as_deref(), label) {
        return true;
    }
    (chooses(aggregate) || groups_by(aggregate, label)) && keeps(&aggregate.expr, label, has)
}

fn groups_by(aggregate: &AggregateExpr, label: &str) -> bool {
    aggregate.modifier.as_ref().is_some_and(|modifier| {
        let named = modifier.labels().labels.iter().any(|named| named == label);
        named == modifier.is_include()
    })
}

fn binary_keeps<F: Fn(&VectorSelector) -> bool + Copy>(
    binary: &BinaryExpr,
    label: &str,
    has: F,
) -> bool {
    let (left, right) = (
        keeps(&binary.lhs, label, has),
        keeps(&binary.rhs, label, has),
    );
    match binary.op.id() {
        T_LAND | T_LUNLESS => return left,
        T_LOR => return left || right,
        _ => {}
    }
    let Some(modifier) = &binary.modifier else {
        return left || right;
    };
    let names = |labels: &[String]| labels.iter().any(|named| named == label);
    match &modifier.card {
        // The one side's value of a label that is named here replaces that of the many.
        VectorMatchCardinality::ManyToOne(taken) if names(&taken.labels) => right,
        VectorMatchCardinality::OneToMany(taken) if names(&taken.labels) => left,
        VectorMatchCardinality::ManyToOne(_) => left,
        VectorMatchCardinality::OneToMany(_) => right,
        _ => {
            let dropped = modifier
                .matching
                .as_ref()
                .is_some_and(|matching| names(&matching.labels().labels) != matching.is_include());
            !dropped && (left || right)
        }
    }
}
