//! A template's text to its steps.

use std::sync::LazyLock;

use regex::Regex;
use serde_json::{Number, Value};

use super::{Filter, Slice, Step, TemplateError, wrong};

/// `'key'` in brackets.
static KEY: LazyLock<Option<Regex>> = LazyLock::new(|| Regex::new("^'([^']*)'$").ok());

/// `from:to:step` in brackets.
static SLICE: LazyLock<Option<Regex>> =
    LazyLock::new(|| Regex::new("^(-?[0-9]*)(:-?[0-9]*)?(:-?[0-9]*)?$").ok());

/// The two sides of a filter, and the operator between them.
static COMPARISON: LazyLock<Option<Regex>> =
    LazyLock::new(|| Regex::new("^([^!<>=]+)([!<>=]+)(.+?)$").ok());

pub(super) fn parse(text: &str) -> Result<Vec<Step>, TemplateError> {
    let mut parser = Parser {
        rest: text,
        token: text,
    };
    let mut steps = Vec::new();
    loop {
        while !parser.rest.is_empty() && !parser.rest.starts_with('{') {
            parser.next();
        }
        let text = parser.take();
        if !text.is_empty() {
            steps.push(constant(text));
        }
        if parser.next().is_none() {
            return Ok(steps);
        }
        parser.take();
        steps.push(Step::List(parser.action()?));
    }
}

/// The steps of one action, given without its braces.
fn parse_action(text: &str) -> Result<Vec<Step>, TemplateError> {
    let whole = format!("{{{text}}}");
    let mut parser = Parser {
        rest: &whole,
        token: &whole,
    };
    parser.next();
    parser.take();
    parser.action()
}

fn constant(text: &str) -> Step {
    Step::Constant(Value::String(text.to_owned()))
}

struct Parser<'a> {
    /// What is not yet read.
    rest: &'a str,
    /// What is not yet taken: the text that is being read, and what follows it.
    token: &'a str,
}

impl<'a> Parser<'a> {
    fn next(&mut self) -> Option<char> {
        let mut letters = self.rest.chars();
        let letter = letters.next()?;
        self.rest = letters.as_str();
        Some(letter)
    }

    fn peek(&self) -> Option<char> {
        self.rest.chars().next()
    }

    /// What was read since the last time.
    fn take(&mut self) -> &'a str {
        let length = self.token.len().saturating_sub(self.rest.len());
        let (taken, _) = self.token.split_at_checked(length).unwrap_or_default();
        self.token = self.rest;
        taken
    }

    fn skip(&mut self, prefix: &str) -> bool {
        match self.rest.strip_prefix(prefix) {
            Some(rest) => {
                self.rest = rest;
                true
            }
            None => false,
        }
    }

    /// The steps up to the closing brace.
    fn action(&mut self) -> Result<Vec<Step>, TemplateError> {
        let mut steps = Vec::new();
        loop {
            if self.skip("}") {
                self.take();
                return Ok(steps);
            }
            if self.skip("[?(") {
                self.take();
                steps.push(self.filter()?);
                continue;
            }
            if self.skip("..") {
                if steps.last() == Some(&Step::Recursive) {
                    return wrong("invalid multiple recursive descent");
                }
                self.take();
                steps.push(Step::Recursive);
                if self.peek().is_some_and(is_alphanumeric) {
                    steps.push(self.field());
                }
                continue;
            }
            match self.peek() {
                None | Some('\r' | '\n') => return wrong("unclosed action"),
                Some(' ' | '@' | '$') => {
                    self.next();
                    self.take();
                }
                Some('[') => self.brackets(&mut steps)?,
                Some(quote @ ('"' | '\'')) => steps.push(self.quotation(quote)?),
                Some('.') => {
                    self.next();
                    steps.push(self.field());
                }
                Some(letter) if matches!(letter, '+' | '-') || letter.is_numeric() => {
                    steps.push(self.number()?);
                }
                Some(letter) if is_alphanumeric(letter) => steps.push(self.keyword()),
                Some(letter) => {
                    let code = u32::from(letter);
                    return wrong(format!(
                        "unrecognized character in action: U+{code:04X} '{letter}'"
                    ));
                }
            }
        }
    }

    fn keyword(&mut self) -> Step {
        while self.peek().is_some_and(|letter| !ends_a_name(letter)) {
            self.next();
        }
        match self.take() {
            "true" => Step::Constant(Value::Bool(true)),
            "false" => Step::Constant(Value::Bool(false)),
            word => Step::Keyword(word.to_owned()),
        }
    }

    fn number(&mut self) -> Result<Step, TemplateError> {
        if matches!(self.peek(), Some('+' | '-')) {
            self.next();
        }
        while self
            .peek()
            .is_some_and(|letter| letter == '.' || letter.is_numeric())
        {
            self.next();
        }
        let text = self.take();
        let whole = text.parse().ok().map(|whole: i64| Number::from(whole));
        let number = whole.or_else(|| text.parse().ok().and_then(Number::from_f64));
        match number {
            Some(number) => Ok(Step::Constant(Value::Number(number))),
            None => wrong(format!("cannot parse number {text}")),
        }
    }

    /// The name behind a dot; a backslash takes its meaning from the next letter.
    fn field(&mut self) -> Step {
        self.take();
        while let Some(letter) = self.peek().filter(|letter| !ends_a_name(*letter)) {
            self.next();
            if letter == '\\' {
                self.next();
            }
        }
        match self.take() {
            "*" => Step::Wildcard,
            name => Step::Field(name.replace('\\', "")),
        }
    }

    /// An index, a slice, a key, or several of them.
    fn brackets(&mut self, steps: &mut Vec<Step>) -> Result<(), TemplateError> {
        loop {
            match self.next() {
                None | Some('\n') => return wrong("unterminated array"),
                Some(']') => break,
                Some(_) => {}
            }
        }
        let text = self.take();
        let text = text
            .strip_prefix('[')
            .and_then(|text| text.strip_suffix(']'));
        let text = match text.unwrap_or_default() {
            "*" => ":",
            text => text,
        };
        if text.contains(',') {
            let mut union = Vec::new();
            for part in text.split(',') {
                union.push(parse_action(&format!("[{}]", part.trim_matches(' ')))?);
            }
            steps.push(Step::Union(union));
            return Ok(());
        }
        if let Some([_, key]) = groups(&KEY, text).as_deref() {
            steps.extend(parse_action(&format!(".{key}"))?);
            return Ok(());
        }
        let Some([_, from, to, step]) = groups(&SLICE, text).map(|all| {
            let mut all = all.into_iter();
            [(); 4].map(|()| all.next().unwrap_or_default())
        }) else {
            return wrong(format!("invalid array index {text}"));
        };
        steps.push(Step::Slice(Slice {
            from: index(from)?,
            to: index(to.strip_prefix(':').unwrap_or_default())?,
            step: index(step.strip_prefix(':').unwrap_or_default())?,
            is_index: to.is_empty(),
        }));
        Ok(())
    }

    fn filter(&mut self) -> Result<Step, TemplateError> {
        // Quotes come in pairs, and a parenthesis between them ends nothing.
        let (mut quote, mut is_closed, mut before) = (None, false, ' ');
        loop {
            let letter = match self.next() {
                None | Some('\n') => return wrong("unterminated filter"),
                Some(letter) => letter,
            };
            match (letter, quote) {
                ('"' | '\'', None) => quote = Some(letter),
                ('"' | '\'', Some(open)) if before != '\\' && letter == open => is_closed = true,
                (')', _) if quote.is_some() == is_closed => break,
                _ => {}
            }
            before = letter;
        }
        if self.next() != Some(']') {
            return wrong("unclosed array expect ]");
        }
        let text = self.take();
        let text = text.strip_suffix(")]").unwrap_or_default();
        let Some([_, left, operator, right]) = groups(&COMPARISON, text).map(|all| {
            let mut all = all.into_iter();
            [(); 4].map(|()| all.next().unwrap_or_default())
        }) else {
            return Ok(Step::Filter(Filter {
                left: parse_action(text)?,
                comparison: None,
            }));
        };
        Ok(Step::Filter(Filter {
            left: parse_action(left)?,
            comparison: Some((operator.to_owned(), parse_action(right)?)),
        }))
    }

    fn quotation(&mut self, quote: char) -> Result<Step, TemplateError> {
        let mut before = self.next();
        loop {
            match self.next() {
                None | Some('\n') => return wrong("unterminated quoted string"),
                Some(letter) if letter == quote && before != Some('\\') => break,
                letter => before = letter,
            }
        }
        let text = self.take();
        match unquote(text, quote) {
            Some(text) => Ok(constant(&text)),
            None => wrong(format!("unquote string {text} error invalid syntax")),
        }
    }
}

/// What the groups of an expression match, the whole first.
fn groups<'a>(expression: &LazyLock<Option<Regex>>, text: &'a str) -> Option<Vec<&'a str>> {
    let found = LazyLock::force(expression).as_ref()?.captures(text)?;
    let all = found.iter();
    Some(
        all.map(|group| group.map_or("", |group| group.as_str()))
            .collect(),
    )
}

fn index(text: &str) -> Result<Option<i64>, TemplateError> {
    if text.is_empty() {
        return Ok(None);
    }
    match text.parse() {
        Ok(index) => Ok(Some(index)),
        Err(_) => wrong(format!("array index {text} is not a number")),
    }
}

fn ends_a_name(letter: char) -> bool {
    matches!(
        letter,
        ' ' | '\t' | '\r' | '\n' | '.' | ',' | '[' | ']' | '$' | '@' | '{' | '}'
    )
}

fn is_alphanumeric(letter: char) -> bool {
    letter == '_' || letter.is_alphanumeric()
}

/// The text between quotes, with Go's escapes; `None` where one is none.
fn unquote(text: &str, quote: char) -> Option<String> {
    let inner = text.strip_prefix(quote)?.strip_suffix(quote)?;
    let mut bytes = Vec::new();
    let mut letters = inner.chars();
    while let Some(letter) = letters.next() {
        if letter == quote {
            return None;
        }
        if letter != '\\' {
            bytes.extend(letter.to_string().bytes());
            continue;
        }
        let (length, radix) = match letters.next()? {
            'a' => {
                bytes.push(7);
                continue;
            }
            'b' => {
                bytes.push(8);
                continue;
            }
            'f' => {
                bytes.push(12);
                continue;
            }
            'n' => {
                bytes.push(b'\n');
                continue;
            }
            'r' => {
                bytes.push(b'\r');
                continue;
            }
            't' => {
                bytes.push(b'\t');
                continue;
            }
            'v' => {
                bytes.push(11);
                continue;
            }
            '\\' => {
                bytes.push(b'\\');
                continue;
            }
            same if same == quote => {
                bytes.extend(same.to_string().bytes());
                continue;
            }
            'x' => (2, 16),
            'u' => (4, 16),
            'U' => (8, 16),
            '0'..='7' => (3, 8),
            _ => return None,
        };
        // An octal number has no letter before it.
        let mut digits = letters.as_str();
        if radix == 8 {
            let read = inner.len() - digits.len() - 1;
            digits = inner.get(read..)?;
        }
        let number = digits.get(..length)?;
        if !number.chars().all(|digit| digit.is_digit(radix)) {
            return None;
        }
        letters = digits.get(length..)?.chars();
        let number = u32::from_str_radix(number, radix).ok()?;
        if length <= 3 {
            bytes.push(u8::try_from(number).ok()?);
        } else {
            bytes.extend(char::from_u32(number)?.to_string().bytes());
        }
    }
    Some(String::from_utf8_lossy(&bytes).into_owned())
}
