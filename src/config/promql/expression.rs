//! Expressions of PromQL: their operands, and how far they look back.

use std::time::Duration;

use promql_parser::parser::{AtModifier, Expr, Offset};

/// How far a query looks back that is about a fixed time (`@`): further than any pod is kept.
const FIXED_TIME: Duration = Duration::from_hours(24 * 365);

/// The operands of an expression.
pub(super) fn operands(expression: &Expr) -> Vec<&Expr> {
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

/// An expression without the parentheses around it.
pub(super) fn bare(mut expression: &Expr) -> &Expr {
    while let Expr::Paren(inner) = expression {
        expression = &inner.expr;
    }
    expression
}

/// How many levels an expression has.
pub(super) fn depth(expression: &Expr) -> usize {
    let below = operands(expression).into_iter().map(depth).max();
    1 + below.unwrap_or_default()
}

/// How far an expression looks back, from the time of its evaluation.
pub(super) fn look_back(expression: &Expr) -> Duration {
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
        _ => operands(expression)
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
