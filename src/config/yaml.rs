//! YAML text as a tree in which every value has its place.
//!
//! One document, keys that are text, no key twice, no tags. Aliases are followed without copying, and the size of the
//! expanded tree is bounded, so that a small file cannot expand to a huge one.

use std::{collections::HashMap, ops::Range, rc::Rc};

use granit_parser::{Event, Parser, ScalarStyle, Span, StrInput};

use super::diagnostic::Source;

/// How many values a file may expand to: a policy has about thirty.
const MOST_VALUES: usize = 50_000;
/// Levels of nesting, with aliases expanded: a policy file has seven.
const DEEPEST: usize = 64;

#[derive(Debug)]
pub(super) struct YamlNode {
    /// The bytes that errors point at: the value, or the beginning of a value of several lines.
    pub(super) span: Range<usize>,
    pub(super) value: YamlValue,
    /// How many values it expands to, itself included.
    count: usize,
    depth: usize,
}

#[derive(Debug)]
pub(super) enum YamlValue {
    Null,
    Bool(bool),
    /// A number without a fraction.
    Integer(i64),
    Number(f64),
    Text(String),
    List(Vec<Rc<YamlNode>>),
    Map(Vec<Entry>),
}

/// A key and its value.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) key: String,
    pub(super) key_span: Range<usize>,
    pub(super) node: Rc<YamlNode>,
}

impl YamlValue {
    /// The type in words, for messages.
    pub(super) fn described(&self) -> String {
        match self {
            Self::Null => "empty".to_owned(),
            Self::Bool(value) => format!("the boolean {value}"),
            Self::Integer(value) => format!("the number {value}"),
            Self::Number(value) => format!("the number {value}"),
            Self::Text(text) => quoted(text),
            Self::List(_) => "a list".to_owned(),
            Self::Map(_) => "a mapping".to_owned(),
        }
    }

    /// A plain scalar by the core schema of YAML 1.2.
    fn plain(text: &str) -> Self {
        match text {
            "" | "~" | "null" | "Null" | "NULL" => return Self::Null,
            "true" | "True" | "TRUE" => return Self::Bool(true),
            "false" | "False" | "FALSE" => return Self::Bool(false),
            ".nan" | ".NaN" | ".NAN" => return Self::Number(f64::NAN),
            _ => {}
        }
        let (sign, digits) = match text.strip_prefix('-') {
            Some(digits) => (-1.0, digits),
            None => (1.0, text.strip_prefix('+').unwrap_or(text)),
        };
        match digits {
            ".inf" | ".Inf" | ".INF" => Self::Number(sign * f64::INFINITY),
            _ if digits.starts_with(|first: char| first.is_ascii_digit() || first == '.') => text
                .parse()
                .map(Self::Integer)
                .or_else(|_| text.parse().map(Self::Number))
                .unwrap_or_else(|_| Self::Text(text.to_owned())),
            _ => Self::Text(text.to_owned()),
        }
    }
}

/// Text in the form of messages: in quotes, with invisible characters escaped, and cut.
pub(super) fn quoted(text: &str) -> String {
    match text.char_indices().nth(64) {
        Some((end, _)) => format!("{:?}…", text.split_at(end).0),
        None => format!("{text:?}"),
    }
}

/// The place and the message of an error after which there is no tree.
type SyntaxError = (Range<usize>, String);

/// Reads a text; `None` after an error that leaves no tree. Errors go to `report`.
pub(super) fn parse(
    source: &Source,
    report: &mut dyn FnMut(Range<usize>, String),
) -> Option<Rc<YamlNode>> {
    let mut options = granit_parser::options! {
        flow_nesting_limit: DEEPEST,
        block_nesting_limit: DEEPEST,
    };
    options.set_emit_comments(false);
    let mut builder = Builder {
        source,
        events: Parser::new_from_str_with_options(source.text(), options),
        read: 0,
        anchors: HashMap::new(),
        report,
    };
    match builder.document() {
        Ok(root) => Some(root),
        Err((span, message)) => {
            (builder.report)(span, message);
            None
        }
    }
}

struct Builder<'t, 'r> {
    source: &'r Source<'t>,
    events: Parser<'t, StrInput<'t>>,
    /// The number of values so far, including those of refused keys.
    read: usize,
    anchors: HashMap<usize, Rc<YamlNode>>,
    report: &'r mut dyn FnMut(Range<usize>, String),
}

impl<'t> Builder<'t, '_> {
    /// Reads the only document of the stream.
    fn document(&mut self) -> Result<Rc<YamlNode>, SyntaxError> {
        const EMPTY: &str = "the file is empty; it needs at least one policy under \"policies\"";
        let mut root = None;
        loop {
            let (event, span) = self.next()?;
            match event {
                Event::StreamStart | Event::DocumentEnd => {}
                Event::DocumentStart(..) if root.is_some() => {
                    let message =
                        "a second YAML document begins here; a policy file is one document";
                    return Err((span, message.to_owned()));
                }
                Event::DocumentStart(..) => {
                    let (event, span) = self.next()?;
                    root = Some(self.node(event, span)?);
                }
                Event::StreamEnd => break,
                _ => return Err((span, "unexpected YAML".to_owned())),
            }
        }
        root.filter(|root| !matches!(root.value, YamlValue::Null))
            .ok_or_else(|| (0..0, EMPTY.to_owned()))
    }

    fn next(&mut self) -> Result<(Event<'t>, Range<usize>), SyntaxError> {
        match self.events.next_event() {
            Some(Ok((event, span))) => Ok((event, bytes(&span))),
            Some(Err(error)) => {
                let at = error
                    .marker()
                    .byte_offset()
                    .unwrap_or(self.source.text().len());
                Err((at..at, format!("invalid YAML: {}", error.info())))
            }
            None => Err((
                self.source.text().len()..self.source.text().len(),
                "the YAML ends too early".to_owned(),
            )),
        }
    }

    /// Reads the node that begins with this event.
    fn node(&mut self, event: Event<'t>, span: Range<usize>) -> Result<Rc<YamlNode>, SyntaxError> {
        if let Some(tag) = event.tag() {
            (self.report)(
                span.clone(),
                format!("the tag {} is not supported", quoted(&tag.original())),
            );
        }
        self.read += 1;
        if self.read > MOST_VALUES {
            return Err((span, format!("the file has more than {MOST_VALUES} values")));
        }
        let anchor = event.anchor_id();
        let (value, span) = match event {
            Event::Alias(target) => {
                let inside_itself = "the alias stands for a value that contains it".to_owned();
                return self
                    .anchors
                    .get(&target)
                    .cloned()
                    .ok_or((span, inside_itself));
            }
            Event::Scalar(text, ScalarStyle::Plain, ..) => (YamlValue::plain(&text), span),
            Event::Scalar(text, ..) => (YamlValue::Text(text.into_owned()), span),
            Event::SequenceStart(..) => {
                let list = self.list()?;
                let first = list.first().map(|node| node.span.clone());
                (YamlValue::List(list), self.opening(span, first))
            }
            Event::MappingStart(..) => {
                let map = self.map()?;
                let first = map.first().map(|entry| entry.key_span.clone());
                (YamlValue::Map(map), self.opening(span, first))
            }
            _ => return Err((span, "a value is missing".to_owned())),
        };
        let node = Rc::new(YamlNode::new(span, value)?);
        if let Some(anchor) = anchor {
            self.anchors.insert(anchor, node.clone());
        }
        Ok(node)
    }

    fn list(&mut self) -> Result<Vec<Rc<YamlNode>>, SyntaxError> {
        let mut list = Vec::new();
        loop {
            match self.next()? {
                (Event::SequenceEnd, _) => return Ok(list),
                (event, span) => list.push(self.node(event, span)?),
            }
        }
    }

    fn map(&mut self) -> Result<Vec<Entry>, SyntaxError> {
        let mut map: Vec<Entry> = Vec::new();
        let mut seen = HashMap::new();
        loop {
            let (event, key_span) = self.next()?;
            let key = match event {
                Event::MappingEnd => return Ok(map),
                Event::Scalar(text, ..) => Some(text.into_owned()),
                event => {
                    self.node(event, key_span.clone())?;
                    let message = "a key must be text".to_owned();
                    (self.report)(key_span.clone(), message);
                    None
                }
            };
            let (event, span) = self.next()?;
            let mut node = self.node(event, span)?;
            let Some(key) = key else { continue };
            let first = *seen.entry(key.clone()).or_insert(key_span.start);
            if first != key_span.start {
                let line = self.source.line(first);
                let message = format!(
                    "duplicate key {}; it is already on line {line}",
                    quoted(&key)
                );
                (self.report)(key_span, message);
                continue;
            }
            if matches!(node.value, YamlValue::Null) && node.span.is_empty() {
                node = Rc::new(YamlNode::new(key_span.clone(), YamlValue::Null)?);
            }
            map.push(Entry {
                key,
                key_span,
                node,
            });
        }
    }

    /// Where errors about a list or a mapping point: the whole `[…]` is too much, and in block style readers look at
    /// the first item.
    fn opening(&self, start: Range<usize>, first: Option<Range<usize>>) -> Range<usize> {
        let bracket = self
            .source
            .text()
            .get(start.start..)
            .is_some_and(|rest| rest.starts_with(['[', '{']));
        match first {
            Some(first) if !bracket => first,
            _ => start.start..start.start + usize::from(bracket),
        }
    }
}

impl YamlNode {
    fn new(span: Range<usize>, value: YamlValue) -> Result<Self, SyntaxError> {
        let (count, depth) = match &value {
            YamlValue::List(list) => weigh(list.iter()),
            YamlValue::Map(map) => weigh(map.iter().map(|entry| &entry.node)),
            _ => (1, 1),
        };
        if count > MOST_VALUES {
            return Err((
                span,
                format!("the value expands to more than {MOST_VALUES} values"),
            ));
        }
        if depth > DEEPEST {
            return Err((
                span,
                format!("the value is nested more than {DEEPEST} levels deep"),
            ));
        }
        Ok(Self {
            span,
            value,
            count,
            depth,
        })
    }
}

/// How many values these and their parent expand to, and their depth.
fn weigh<'n>(children: impl Iterator<Item = &'n Rc<YamlNode>>) -> (usize, usize) {
    children.fold((1, 1), |(count, depth), child| {
        (
            count.saturating_add(child.count),
            depth.max(child.depth + 1),
        )
    })
}

fn bytes(span: &Span) -> Range<usize> {
    span.byte_range().unwrap_or_default()
}
