//! Queries: whether they are PromQL, and whether they probably return what a policy needs.
//!
//! A policy joins the series of a result to pods by two labels, and takes contrast from the series of healthy pods. A query
//! that drops either is allowed, with a warning; so is one that only another dialect knows.

mod dropped;
mod expression;
mod filter;
mod flaw;
mod labels;
mod text;

use std::time::Duration;

use promql_parser::parser::{self, Expr, value::ValueType};
use serde_json::Value as Json;

use self::{dropped::flaws, expression::look_back, text::lex};
use super::{context::ReadContext, kind::ValueKind, values::Text, yaml::YamlNode};
use crate::core::policy::PodLabels;

/// The parser and the functions of this module recurse: a query of this depth fits the stack of any thread.
const MOST_OPERATORS: usize = 1_000;

/// How far a query of another dialect may look back: as far as a server does without a range.
const UNKNOWN_LOOK_BACK: Duration = Duration::from_mins(5);

/// A query whose result names pods by these labels.
pub(super) struct Query<'l>(pub(super) &'l PodLabels);

const TEXT: Text = Text {
    max_bytes: 8 * 1024,
};

impl ValueKind for Query<'_> {
    /// The query, and how far it looks back.
    type Value = (String, Duration);

    fn read(&self, node: &YamlNode, context: &mut ReadContext) -> Option<Self::Value> {
        let query = TEXT.read(node, context)?;
        let lexed = lex(&query);
        if let Some(comment) = lexed
            .comments
            .iter()
            .find(|comment| was_joined(node, context, comment))
        {
            let begin = comment.chars().take(20).collect::<String>();
            let message = format!(
                "everything from {begin:?} on is a comment, since YAML has joined the lines; \
                 write `|` instead of `>` or quotes, which keeps them apart"
            );
            context.warn(node, &message);
        }
        if let Some(mistake) = lexed.mistake {
            context.error_in_check(node, &format!("is not PromQL: {mistake}"));
            return Some((query, UNKNOWN_LOOK_BACK));
        }
        let expression = match parse(&query) {
            Ok(expression) => expression,
            Err(ParseError::TooLong) => {
                let message = "is not PromQL: too many operators and parentheses";
                context.error_in_check(node, message);
                return Some((query, UNKNOWN_LOOK_BACK));
            }
            Err(ParseError::Dialect(message)) => {
                let message = format!("is not PromQL ({message}); your server may know it");
                context.warn(node, &message);
                return Some((query, UNKNOWN_LOOK_BACK));
            }
        };
        if let Some(instead) = never_a_vector(expression.value_type()) {
            context.error(node, &instead);
            return None;
        }
        for flaw in flaws(&expression, self.0) {
            context.warn(node, &flaw.message(self.0));
        }
        Some((query, look_back(&expression)))
    }

    fn schema(&self) -> Json {
        TEXT.schema()
    }
}

/// Whether a comment of the query has more in it than its line in the file.
fn was_joined(node: &YamlNode, context: &ReadContext, comment: &str) -> bool {
    let written = context.text_of(node);
    written.contains('\n') && !written.contains(comment.trim_end())
}

/// Why a result of this type is no answer about pods.
fn never_a_vector(result: ValueType) -> Option<String> {
    let instead = match result {
        ValueType::Vector => return None,
        ValueType::Matrix => "such as `rate(x[5m])` or `max_over_time(x[5m])` instead of `x[5m]`",
        ValueType::Scalar | ValueType::String => {
            "such as `sum by (namespace, pod) (x)`; the number belongs into `above` or `below`"
        }
    };
    let kind = match result {
        ValueType::Matrix => "a range vector",
        ValueType::Scalar => "a scalar",
        _ => "a string",
    };
    Some(format!(
        "returns {kind}, never one value for each pod; write a query that returns an instant vector, {instead}"
    ))
}

enum ParseError {
    TooLong,
    /// What the parser says.
    Dialect(String),
}

fn parse(query: &str) -> Result<Expr, ParseError> {
    let nested = query
        .matches(['(', '+', '-', '*', '/', '%', '^', '<', '>', '=', '!'])
        .count();
    if nested > MOST_OPERATORS {
        return Err(ParseError::TooLong);
    }
    parser::parse(query).map_err(|message| {
        let words: Vec<_> = message.split_whitespace().collect();
        ParseError::Dialect(words.join(" "))
    })
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
            let expression = parse(query).ok().expect(query);
            assert_eq!(look_back(&expression).as_secs(), seconds, "{query}");
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
                format!("{}up", "-".repeat(MOST_OPERATORS)),
                format!("up{}", "+up".repeat(2_000)),
                format!("up{}", "+up".repeat(MOST_OPERATORS)),
                format!("up{}", " or up".repeat(1_300)),
                format!("up{}", "/up".repeat(MOST_OPERATORS)),
                format!("up{}", "/up".repeat(240)),
                format!("{}up{}", "-sum(".repeat(120), ")".repeat(120)),
            ] {
                if let Ok(expression) = parse(&query) {
                    look_back(&expression);
                    flaws(&expression, &PodLabels::default());
                }
            }
        });
        spawn
            .expect("a thread starts")
            .join()
            .expect("nothing overflows");
    }
}
