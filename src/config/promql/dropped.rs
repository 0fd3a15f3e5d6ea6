//! Whom the result of a query leaves out, and which series it cannot tell apart: [`flaws`].
//!
//! The policy takes contrast from healthy pods, so a pod with metrics must be in the result whether it is healthy or not.
//! Each series is followed from its selector to the result, and what drops it on its way is a [`Flaw`].

use std::collections::BTreeSet;

use promql_parser::parser::{
    BinaryExpr, Expr,
    token::{T_DIV, T_GTR, T_LAND, T_LOR, T_LUNLESS, T_MOD, T_NEQ},
    value::ValueType,
};

use super::{
    expression::{bare, depth, operands},
    filter::{SCOPES, filters, is_of_a_moment, lacks_idle_pods},
    flaw::{Flaw, OperandOf},
    labels::{chooses, groups_by_pod, names_pods, tells_containers_apart},
};
use crate::core::policy::PodLabels;

/// How deep the expressions are that are looked into: people write up to about thirty levels, and more than this would
/// not fit a small stack.
const DEEPEST: usize = 250;

/// What a query probably gets wrong, each thing once.
pub(super) fn flaws(expression: &Expr, labels: &PodLabels) -> BTreeSet<Flaw> {
    if depth(expression) > DEEPEST {
        return BTreeSet::new();
    }
    let mut flaws = Walk { labels }.dropped(expression, OperandOf::Nothing);
    if tells_containers_apart(expression) {
        flaws.insert(Flaw::Containers);
    }
    if !names_pods(expression, labels) {
        flaws.insert(Flaw::Labels);
    }
    flaws
}

struct Walk<'l> {
    labels: &'l PodLabels,
}

impl Walk<'_> {
    /// What drops pods on the way to the result of an expression, which is an operand of this.
    fn dropped(&self, expression: &Expr, of: OperandOf) -> BTreeSet<Flaw> {
        match expression {
            Expr::Paren(inner) => self.dropped(&inner.expr, of),
            Expr::Binary(binary) => self.by_operator(binary, of),
            Expr::Aggregate(aggregate) => {
                let mut dropped = self.dropped(&aggregate.expr, OperandOf::Aggregation);
                if chooses(aggregate) && !groups_by_pod(aggregate, self.labels) {
                    dropped.insert(Flaw::Chosen);
                }
                dropped
            }
            Expr::Call(call) if lacks_idle_pods(call) => BTreeSet::from([Flaw::Filter]),
            Expr::VectorSelector(selector) if is_of_a_moment(selector) => {
                BTreeSet::from([Flaw::Filter])
            }
            _ => self.of_all(operands(expression)),
        }
    }

    fn of_all(&self, operands: Vec<&Expr>) -> BTreeSet<Flaw> {
        let dropped = operands.into_iter();
        dropped
            .flat_map(|operand| self.dropped(operand, OperandOf::Calculation))
            .collect()
    }

    fn by_operator(&self, binary: &BinaryExpr, of: OperandOf) -> BTreeSet<Flaw> {
        match binary.op.id() {
            T_LOR => self.by_or(binary),
            T_LAND => {
                let mut dropped = self.dropped(&binary.lhs, OperandOf::And);
                dropped.append(&mut self.dropped(&binary.rhs, OperandOf::And));
                dropped
            }
            T_LUNLESS => {
                let mut dropped = self.dropped(&binary.lhs, OperandOf::Unless);
                // A pod that the right side lacks stays: only its comparisons decide over pods.
                let mut right = self.dropped(&binary.rhs, OperandOf::Unless);
                right.retain(|flaw| matches!(flaw, Flaw::Comparison(_)));
                dropped.append(&mut right);
                dropped
            }
            _ if binary.op.is_comparison_operator() && !binary.return_bool() => {
                let mut dropped = self.by_arithmetic(binary, of);
                dropped.insert(Flaw::Comparison(of));
                dropped
            }
            _ => self.by_arithmetic(binary, OperandOf::Calculation),
        }
    }

    /// What one side of `or` lacks, the other may have.
    fn by_or(&self, binary: &BinaryExpr) -> BTreeSet<Flaw> {
        let mut left = self.dropped(&binary.lhs, OperandOf::Or);
        let mut right = self.dropped(&binary.rhs, OperandOf::Or);
        let is_whole = |side: &Expr, dropped: &BTreeSet<Flaw>| {
            dropped.is_empty() && names_pods(side, self.labels)
        };
        if is_whole(&binary.lhs, &left) || is_whole(&binary.rhs, &right) {
            return BTreeSet::new();
        }
        left.append(&mut right);
        left
    }

    fn by_arithmetic(&self, binary: &BinaryExpr, of: OperandOf) -> BTreeSet<Flaw> {
        let modifier = binary.modifier.as_ref();
        let (fills_left, fills_right) = modifier.map_or((false, false), |modifier| {
            let fill = &modifier.fill_values;
            (fill.lhs.is_some(), fill.rhs.is_some())
        });
        let mut left = self.dropped(&binary.lhs, of);
        let mut right = self.dropped(divisor(binary), of);
        if binary.op.id() == T_DIV && binary.rhs.value_type() == ValueType::Vector {
            // With the same filter above and below, the ratio is of what the filter selects.
            left.remove(&Flaw::Filter);
            right.remove(&Flaw::Filter);
            if self.filters_more(binary) {
                left.insert(Flaw::Numerator);
            }
        }
        if fills_left {
            left.clear();
        }
        if !fills_right {
            left.append(&mut right);
        }
        left
    }

    /// Whether the numerator has a filter that the denominator lacks, without a fallback.
    fn filters_more(&self, division: &BinaryExpr) -> bool {
        let below = filters(&division.rhs);
        let filters_more = || {
            let mut above = filters(&division.lhs).into_iter();
            above.any(|filter| !SCOPES.contains(&&*filter.name) && !below.contains(&filter))
        };
        !self.has_fallback(&division.lhs) && filters_more()
    }

    fn has_fallback(&self, expression: &Expr) -> bool {
        let is_fallback = match expression {
            Expr::Binary(binary) if binary.op.id() == T_LOR => names_pods(&binary.rhs, self.labels),
            _ => false,
        };
        let within = || {
            let mut operands = operands(expression).into_iter();
            operands.any(|operand| self.has_fallback(operand))
        };
        is_fallback || within()
    }
}

/// The right operand; of a division without the comparison that only keeps zeros away, whose quotient is no value.
fn divisor(binary: &BinaryExpr) -> &Expr {
    let right = bare(&binary.rhs);
    match right {
        Expr::Binary(guard) if [T_DIV, T_MOD].contains(&binary.op.id()) => {
            let is_zero = matches!(bare(&guard.rhs), Expr::NumberLiteral(zero) if zero.val == 0.0);
            let keeps_others = [T_GTR, T_NEQ].contains(&guard.op.id()) && !guard.return_bool();
            if is_zero && keeps_others {
                &guard.lhs
            } else {
                right
            }
        }
        _ => right,
    }
}

#[cfg(test)]
mod tests {
    use promql_parser::parser;

    use super::*;

    fn flaws_of(query: &str) -> Vec<Flaw> {
        let expression = parser::parse(query).expect(query);
        let flaws = flaws(&expression, &PodLabels::default());
        flaws.into_iter().collect()
    }

    #[test]
    fn a_comparison_is_a_flaw_wherever_it_drops_pods() {
        for (query, of) in [
            ("up > 0", OperandOf::Nothing),
            ("((up != 1))", OperandOf::Nothing),
            ("1 < up < 5", OperandOf::Nothing),
            ("(a > 1) and (b > 2)", OperandOf::And),
            ("a and (b > 2)", OperandOf::And),
            ("(a > 1) or (b > 2)", OperandOf::Or),
            ("(a > 1) or vector(0)", OperandOf::Or),
            ("(a > 1) unless b", OperandOf::Unless),
            ("a unless on (namespace, pod) (b > 2)", OperandOf::Unless),
            ("sum by (namespace, pod) (up == 0)", OperandOf::Aggregation),
            (
                "count by (namespace, pod) (rate(r[1m]) > 5)",
                OperandOf::Aggregation,
            ),
            ("(a > 0) * 100", OperandOf::Calculation),
            ("-(up == 0)", OperandOf::Calculation),
            ("clamp_max(up == 0, 1)", OperandOf::Calculation),
            (
                "max_over_time((rate(r[1m]) > 0)[5m:30s])",
                OperandOf::Calculation,
            ),
            ("a / (b > 5)", OperandOf::Calculation),
        ] {
            assert_eq!(flaws_of(query), [Flaw::Comparison(of)], "{query}");
        }
        for query in [
            "up > bool 0",
            "(a > bool 1) * (b > bool 2)",
            "(a > 1) or 0 * a",
            "a and on (namespace, pod) b",
            "a unless on (namespace, pod) b",
            "a / (b > 0)",
            "a / (b != 0)",
        ] {
            assert_eq!(flaws_of(query), [], "{query}");
        }
    }

    #[test]
    fn a_choice_among_pods_is_a_flaw_and_one_among_the_series_of_a_pod_is_not() {
        for query in [
            "topk(5, up)",
            "bottomk by (namespace) (1, up)",
            "limitk(3, up)",
            "limit_ratio(0.5, up)",
            "topk without (pod) (1, up)",
        ] {
            assert_eq!(flaws_of(query), [Flaw::Chosen], "{query}");
        }
        for query in [
            "topk by (namespace, pod) (1, up)",
            "limitk without (job) (1, up)",
        ] {
            assert_eq!(flaws_of(query), [], "{query}");
        }
    }

    #[test]
    fn a_numerator_that_healthy_pods_lack_is_a_flaw() {
        let ratio = |top: &str, bottom: &str| {
            flaws_of(&format!(
                "sum by (namespace, pod) ({top}) / sum by (namespace, pod) ({bottom})"
            ))
        };
        for (top, bottom) in [
            (r#"rate(r{code=~"5.."}[1m])"#, "rate(r[1m])"),
            (r#"rate(r{code="500"}[1m]) or vector(0)"#, "rate(r[1m])"),
        ] {
            assert_eq!(ratio(top, bottom), [Flaw::Numerator], "{top} / {bottom}");
        }
        for (top, bottom) in [
            (r#"rate(r{code="500"}[1m]) or r"#, "rate(r[1m])"),
            (r#"rate(e{job="a"}[1m])"#, r#"rate(r{job="a"}[1m])"#),
            (r#"rate(s{code="200"}[1m])"#, r#"rate(r{code="200"}[1m])"#),
            (
                r#"rate(e{container!="",container!="POD"}[1m])"#,
                "rate(r[1m])",
            ),
        ] {
            assert_eq!(ratio(top, bottom), [], "{top} / {bottom}");
        }
        assert_eq!(flaws_of(r#"100 * (r{code="500"} / r)"#), [Flaw::Numerator]);
        for query in [
            r#"r{code="500"} / r or 0 * r"#,
            r#"r{code="500"} / fill_left(0) r"#,
        ] {
            assert_eq!(flaws_of(query), [], "{query}");
        }
    }

    #[test]
    fn a_count_of_what_healthy_pods_have_none_of_is_a_flaw() {
        for query in [
            r#"sum by (namespace, pod) (rate(r{code=~"5.."}[1m]))"#,
            r#"increase(jobs_total{kind="fatal"}[5m]) / 5"#,
            r#"sum by (namespace, pod) (rate({"http.server.count", "http.response.status_code"=~"5.."}[1m]))"#,
            r#"sum by (namespace, pod) (kube_pod_container_status_waiting_reason{reason="CrashLoopBackOff"})"#,
        ] {
            assert_eq!(flaws_of(query), [Flaw::Filter], "{query}");
        }
        for query in [
            r#"rate(r{job="shop"}[1m])"#,
            r#"kube_pod_status_ready{condition="false"}"#,
            r#"http_request_duration_seconds{quantile="0.99"}"#,
            r#"rate(r{code="500"}[1m]) or 0 * up"#,
        ] {
            assert_eq!(flaws_of(query), [], "{query}");
        }
    }

    #[test]
    fn a_series_for_each_container_is_a_flaw() {
        for query in [
            "container_memory_working_set_bytes",
            r#"rate(container_cpu_usage_seconds_total{container!=""}[1m])"#,
            "kube_pod_container_status_ready",
            "sum by (namespace, pod, container) (container_memory_rss)",
            "max without (instance) (kube_pod_container_status_restarts_total)",
        ] {
            assert_eq!(flaws_of(query), [Flaw::Containers], "{query}");
        }
        for query in [
            "max by (namespace, pod) (container_memory_working_set_bytes)",
            r#"kube_pod_container_status_ready{container="app"}"#,
            "sum without (container, id, name, image) (container_memory_working_set_bytes)",
        ] {
            assert_eq!(flaws_of(query), [], "{query}");
        }
    }

    #[test]
    fn a_result_that_belongs_to_no_pod_is_a_flaw() {
        for query in [
            "sum(up)",
            "sum by (pod) (up)",
            "sum without (namespace) (up)",
            "absent(up)",
            "sum by (namespace, pod) (sum by (namespace) (up))",
            "a / on (pod) b",
            "a / ignoring (pod) b",
            "1 - sum(up)",
            "sum by (exported_namespace, exported_pod) (up)",
            r#"label_replace(sum(up), "node", "x", "", "")"#,
            "up * on (node) group_left (pod) sum by (node) (up)",
        ] {
            assert_eq!(flaws_of(query), [Flaw::Labels], "{query}");
        }
        for query in [
            "up",
            "max without (container) (up)",
            "1 - up",
            "a / on (namespace, pod) group_left () b",
            "a * on (node) group_left () b",
            "sum by (node) (a) * on (node) group_left (namespace, pod) kube_pod_info",
            "kube_pod_info * on (node) group_right (namespace, pod) sum by (node) (x)",
            r#"label_replace(sum by (namespace) (up), "pod", "x", "", "")"#,
            r#"count_values by (namespace) ("pod", x)"#,
        ] {
            assert_eq!(flaws_of(query), [], "{query}");
        }
        let exported = PodLabels {
            namespace: "k8s.namespace.name".to_owned(),
            pod: "exported_pod".to_owned(),
        };
        let query = r#"sum by ("k8s.namespace.name", exported_pod) (up)"#;
        let expression = parser::parse(query).expect(query);
        assert_eq!(flaws(&expression, &exported), BTreeSet::new());
    }
}
