//! A query as text: its comments and brackets, which all dialects of PromQL share.

/// What is left of a query without its strings, and its comments.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Lexed<'q> {
    /// Each from its `#` to the end of its line.
    pub(super) comments: Vec<&'q str>,
    /// What no dialect accepts.
    pub(super) mistake: Option<String>,
}

/// Finds the comments of a query, and what is open or closed in it without its counterpart.
pub(super) fn lex(query: &str) -> Lexed<'_> {
    let mut lexed = Lexed::default();
    let mut open = Vec::new();
    let mut is_empty = true;
    let mut rest = query;
    while let Some(first) = rest.chars().next() {
        let length = match first {
            '#' => {
                let comment = rest.lines().next().unwrap_or_default();
                lexed.comments.push(comment);
                comment.len()
            }
            '"' | '\'' | '`' => {
                let Some(length) = string(rest, first) else {
                    lexed.mistake =
                        Some(format!("the string that begins with {first} does not end"));
                    return lexed;
                };
                length
            }
            '(' | '[' | '{' => {
                open.push(first);
                1
            }
            ')' | ']' | '}' => {
                let expected = match first {
                    ')' => '(',
                    ']' => '[',
                    _ => '{',
                };
                if open.pop() != Some(expected) {
                    lexed.mistake = Some(format!("{first} closes no {expected}"));
                    return lexed;
                }
                1
            }
            _ => first.len_utf8(),
        };
        is_empty &= first == '#' || first.is_whitespace();
        rest = rest.get(length..).unwrap_or_default();
    }
    lexed.mistake = match open.pop() {
        Some(bracket) => Some(format!("{bracket} is not closed")),
        None if is_empty => Some("nothing but comments".to_owned()),
        None => None,
    };
    lexed
}

/// The length of the string that a text begins with; `None` if it does not end.
fn string(text: &str, quote: char) -> Option<usize> {
    let mut escaped = false;
    for (at, char) in text.char_indices().skip(1) {
        if escaped {
            escaped = false;
        } else if char == quote {
            return Some(at + quote.len_utf8());
        } else {
            escaped = char == '\\' && quote != '`';
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_comment_begins_outside_strings_and_ends_with_its_line() {
        let query = "a{b=\"#\\\"#\", c='#', d=`#\\`} # one\n + b #two";
        let lexed = lex(query);
        assert_eq!(
            (lexed.comments, lexed.mistake),
            (vec!["# one", "#two"], None)
        );
    }

    #[test]
    fn what_no_dialect_accepts_is_a_mistake() {
        for (query, mistake) in [
            ("sum(rate(x[1m])", "( is not closed"),
            ("sum(x))", ") closes no ("),
            ("rate(x[1m)]", ") closes no ("),
            ("x{a=\"b}", "the string that begins with \" does not end"),
            ("# only a remark\n", "nothing but comments"),
        ] {
            assert_eq!(lex(query).mistake.as_deref(), Some(mistake), "{query}");
        }
        for query in ["a default 0", "x{a=\"(\"} # (", "rate(x[$__rate_interval])"] {
            assert_eq!(lex(query).mistake, None, "{query}");
        }
    }
}
