//! Queries: whether they are PromQL, and whether they probably return what a policy needs.
//!
//! A policy joins the series of a result to pods by the labels `namespace` and `pod`, and takes contrast from the series of
//! healthy pods. A query that drops either is allowed, with a warning.

use std::time::Duration;

use promql_parser::{
    label::Matcher,
    parser::{
        self, AggregateExpr, AtModifier, BinaryExpr, Expr, Offset, VectorMatchCardinality,
        token::{T_BOTTOMK, T_DIV, T_LAND, T_LIMIT_RATIO, T_LIMITK, T_LOR, T_LUNLESS, T_TOPK},
    },
};
use serde_json::Value as Json;

use super::{context::ReadContext, kind::ValueKind, values::Text, yaml::YamlNode};

/// The parser and the functions below recurse: a query of this depth fits the stack of any thread.
const MOST_OPERATORS: usize = 1_000;

/// How far a query of another dialect may look back: as far as a server does without a range.
const UNKNOWN_LOOK_BACK: Duration = Duration::from_mins(5);

/// How far a query looks back that is about a fixed time (`@`): further than any pod is kept.
const FIXED_TIME: Duration = Duration::from_hours(24 * 365);

pub(super) struct Query;

const TEXT: Text = Text {
    max_bytes: 8 * 1024,
};

impl ValueKind for Query {
    /// The query, and how far it looks back.
    type Value = (String, Duration);

    fn read(&self, node: &YamlNode, context: &mut ReadContext) -> Option<Self::Value> {
        let query = TEXT.read(node, context)?;
        match parse(&query) {
            Ok(expression) => {
                for doubt in doubts(&expression) {
                    context.warn(node, doubt);
                }
                let look_back = look_back(&expression);
                Some((query, look_back))
            }
            Err(message) => {
                context.error_in_check(node, &format!("is not PromQL: {message}"));
                Some((query, UNKNOWN_LOOK_BACK))
            }
        }
    }

    fn schema(&self) -> Json {
        TEXT.schema()
    }
}

fn parse(query: &str) -> Result<Expr, String> {
    let nested = query
        .matches(['(', '+', '-', '*', '/', '%', '^', '<', '>', '=', '!'])
        .count();
    if nested > MOST_OPERATORS {
        return Err("too many operators and parentheses".to_owned());
    }
    parser::parse(query).map_err(|message| message.split_whitespace().collect::<Vec<_>>().join(" "))
}

/// How far an expression looks back, from the time of its evaluation.
fn look_back(expression: &Expr) -> Duration {
    match expression {
        Expr::VectorSelector(selector) => shift(selector.offset.as_ref(), selector.at.as_ref()),
        Expr::MatrixSelector(selector) => {
            let shift = shift(selector.vs.offset.as_ref(), selector.vs.at.as_ref());
            selector.range.saturating_add(shift)
        }
        Expr::Subquery(inner) => {
            let shift = shift(inner.offset.as_ref(), inner.at.as_ref());
            let range = inner.range.saturating_add(shift);
            range.saturating_add(look_back(&inner.expr))
        }
        _ => parts(expression)
            .into_iter()
            .map(look_back)
            .max()
            .unwrap_or_default(),
    }
}

fn shift(offset: Option<&Offset>, at: Option<&AtModifier>) -> Duration {
    match (at, offset) {
        (Some(AtModifier::At(_)), _) => FIXED_TIME,
        (_, Some(Offset::Pos(back))) => *back,
        (_, Some(Offset::Neg(_)) | None) => Duration::ZERO,
    }
}

/// Warns of what a query probably gets wrong.
fn doubts(expression: &Expr) -> Vec<&'static str> {
    let mut doubts = Vec::new();
    if compares(expression) {
        doubts.push(
            "the comparison drops the healthy pods from the result; move its number to `above` or `below`",
        );
    }
    if lacks_series(expression) {
        doubts.push(
            "the numerator has a filter that the denominator lacks, so a pod without matching series has no value; \
             add `or 0 * <the denominator>` to the numerator",
        );
    }
    if !keeps(expression, "namespace") || !keeps(expression, "pod") {
        doubts.push(
            "the result lacks the label `namespace` or `pod`, so no series belongs to a pod; aggregate `by (namespace, pod)`",
        );
    }
    doubts
}

/// Whether the query's last step is a comparison that drops series.
fn compares(expression: &Expr) -> bool {
    match expression {
        Expr::Paren(inner) => compares(&inner.expr),
        Expr::Binary(binary) => binary.op.is_comparison_operator() && !binary.return_bool(),
        _ => false,
    }
}

/// Whether the numerator of a division has a matcher that its denominator lacks, without a fallback.
fn lacks_series(expression: &Expr) -> bool {
    match expression {
        Expr::Binary(binary) if binary.op.id() == T_LOR => false,
        Expr::Binary(binary) if binary.op.id() == T_DIV => {
            let filled = binary
                .modifier
                .as_ref()
                .is_some_and(|with| with.fill_values.lhs.is_some());
            !filled && !has_fallback(&binary.lhs) && filters_more(binary)
        }
        _ => parts(expression).into_iter().any(lacks_series),
    }
}

fn has_fallback(expression: &Expr) -> bool {
    let or = matches!(expression, Expr::Binary(binary) if binary.op.id() == T_LOR);
    or || parts(expression).into_iter().any(has_fallback)
}

fn filters_more(division: &BinaryExpr) -> bool {
    let below = matchers(&division.rhs);
    matchers(&division.lhs)
        .iter()
        .any(|matcher| !below.contains(matcher))
}

/// The label matchers of all vector selectors in an expression.
fn matchers(expression: &Expr) -> Vec<&Matcher> {
    match expression {
        Expr::VectorSelector(selector) => selector.matchers.matchers.iter().collect(),
        Expr::MatrixSelector(selector) => selector.vs.matchers.matchers.iter().collect(),
        _ => parts(expression).into_iter().flat_map(matchers).collect(),
    }
}

/// Whether the result of an expression may have a label; true if that cannot be known.
fn keeps(expression: &Expr, label: &str) -> bool {
    match expression {
        Expr::Aggregate(aggregate) => aggregate_keeps(aggregate, label),
        Expr::Binary(binary) => binary_keeps(binary, label),
        Expr::Call(call) => match call.func.name {
            "absent" | "absent_over_time" | "scalar" | "vector" | "time" | "pi" => false,
            "label_replace" | "label_join" => true,
            _ => call.args.args.iter().any(|argument| keeps(argument, label)),
        },
        Expr::NumberLiteral(_) | Expr::StringLiteral(_) => false,
        Expr::Paren(inner) => keeps(&inner.expr, label),
        Expr::Unary(inner) => keeps(&inner.expr, label),
        Expr::Subquery(inner) => keeps(&inner.expr, label),
        Expr::VectorSelector(_) | Expr::MatrixSelector(_) | Expr::Extension(_) => true,
    }
}

fn aggregate_keeps(aggregate: &AggregateExpr, label: &str) -> bool {
    let chooses = [T_TOPK, T_BOTTOMK, T_LIMITK, T_LIMIT_RATIO].contains(&aggregate.op.id());
    let groups_by = aggregate.modifier.as_ref().is_some_and(|modifier| {
        let named = modifier.labels().labels.iter().any(|named| named == label);
        named == modifier.is_include()
    });
    (chooses || groups_by) && keeps(&aggregate.expr, label)
}

fn binary_keeps(binary: &BinaryExpr, label: &str) -> bool {
    let (left, right) = (keeps(&binary.lhs, label), keeps(&binary.rhs, label));
    if [T_LOR, T_LAND, T_LUNLESS].contains(&binary.op.id()) {
        return left;
    }
    let Some(modifier) = &binary.modifier else {
        return left || right;
    };
    match &modifier.card {
        VectorMatchCardinality::ManyToOne(_) => left,
        VectorMatchCardinality::OneToMany(_) => right,
        _ => {
            let dropped = modifier.matching.as_ref().is_some_and(|matching| {
                let named = matching.labels().labels.iter().any(|named| named == label);
                named != matching.is_include()
            });
            !dropped && (left || right)
        }
    }
}

/// The operands of an expression.
fn parts(expression: &Expr) -> Vec<&Expr> {
    match expression {
        Expr::Aggregate(aggregate) => vec![&aggregate.expr],
        Expr::Unary(inner) => vec![&inner.expr],
        Expr::Binary(binary) => vec![&binary.lhs, &binary.rhs],
        Expr::Paren(inner) => vec![&inner.expr],
        Expr::Subquery(inner) => vec![&inner.expr],
        Expr::Call(call) => call.args.args.iter().map(AsRef::as_ref).collect(),
        _ => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_query_looks_back_as_far_as_its_ranges_offsets_and_subqueries() {
        for (query, seconds) in [
            ("up", 0),
            ("up offset 1m", 60),
            ("up offset -1m", 0),
            ("rate(r[5m])", 300),
            ("rate(r[5m] offset 1h)", 3900),
            ("rate(r[1m]) / rate(r[10m])", 600),
            ("max_over_time(rate(r[5m])[1h:1m])", 3900),
            ("max_over_time(rate(r[5m])[1h:1m] offset 1m)", 3960),
            (
                "sum by (pod) (rate(r[2m])) or 0 * sum by (pod) (rate(r[3m]))",
                180,
            ),
            ("-rate(r[1m])", 60),
            ("up @ 1609746000", 365 * 24 * 3600),
            ("time() - start_time", 0),
        ] {
            let expression = parse(query).expect(query);
            assert_eq!(look_back(&expression).as_secs(), seconds, "{query}");
        }
    }

    fn doubts_of(query: &str) -> Vec<&'static str> {
        doubts(&parse(query).expect(query))
            .into_iter()
            .map(|doubt| {
                doubt
                    .split_whitespace()
                    .nth(1)
                    .expect("each has a second word")
            })
            .collect()
    }

    #[test]
    fn the_ratio_of_the_contract_raises_no_doubt() {
        let query = r#"
            (  sum by (namespace, pod) (rate(http_requests_total{code=~"5.."}[1m]))
            or 0 * sum by (namespace, pod) (rate(http_requests_total[1m])) )
            /  sum by (namespace, pod) (rate(http_requests_total[1m]))"#;
        assert_eq!(doubts_of(query), [""; 0]);
    }

    #[test]
    fn a_comparison_at_the_top_is_doubted_and_one_with_bool_is_not() {
        assert_eq!(doubts_of("up > 0"), ["comparison"]);
        assert_eq!(doubts_of("((up != 1))"), ["comparison"]);
        assert_eq!(doubts_of("up > bool 0"), [""; 0]);
    }

    #[test]
    fn a_numerator_that_healthy_pods_lack_is_doubted() {
        let ratio = |top: &str, bottom: &str| {
            doubts_of(&format!(
                "sum by (namespace, pod) ({top}) / sum by (namespace, pod) ({bottom})"
            ))
        };
        assert_eq!(
            ratio(r#"rate(r{code=~"5.."}[1m])"#, "rate(r[1m])"),
            ["numerator"]
        );
        assert_eq!(
            ratio(r#"rate(r{code="500"}[1m]) or r"#, "rate(r[1m])"),
            [""; 0]
        );
        assert_eq!(
            ratio(r#"rate(e{job="a"}[1m])"#, r#"rate(r{job="a"}[1m])"#),
            [""; 0]
        );
        assert_eq!(doubts_of(r#"100 * (r{code="500"} / r)"#), ["numerator"]);
        assert_eq!(doubts_of(r#"r{code="500"} / r or 0 * r"#), [""; 0]);
    }

    #[test]
    fn a_result_that_belongs_to_no_pod_is_doubted() {
        for query in [
            "sum(up)",
            "sum by (pod) (up)",
            "sum without (namespace) (up)",
            "1",
            "absent(up)",
            "sum by (namespace, pod) (sum by (namespace) (up))",
            "a / on (pod) b",
            "a / ignoring (pod) b",
            "1 - sum(up)",
        ] {
            assert_eq!(doubts_of(query), ["result"], "{query}");
        }
        for query in [
            "up",
            "topk(3, up)",
            "max without (container) (up)",
            "1 - up",
            "a / on (namespace, pod) group_left () b",
            "a * on (node) group_left () b",
            r#"label_replace(sum(up), "pod", "x", "", "")"#,
        ] {
            assert_eq!(doubts_of(query), [""; 0], "{query}");
        }
    }

    #[test]
    fn the_deepest_query_fits_a_small_stack() {
        let spawn = std::thread::Builder::new().stack_size(1 << 20).spawn(|| {
            for query in [
                format!("{}up{}", "(".repeat(4_000), ")".repeat(4_000)),
                format!(
                    "{}up{}",
                    "(".repeat(MOST_OPERATORS),
                    ")".repeat(MOST_OPERATORS)
                ),
                format!("{}1", "-".repeat(8_000)),
                format!("{}1", "-".repeat(MOST_OPERATORS)),
                format!("up{}", "+up".repeat(2_000)),
                format!("up{}", "+up".repeat(MOST_OPERATORS)),
                format!("up{}", " or up".repeat(1_300)),
            ] {
                let _ = parse(&query).map(|expression| doubts(&expression).len());
            }
        });
        spawn
            .expect("a thread starts")
            .join()
            .expect("nothing overflows");
    }
}
