//! YAML text as a tree in which every value knows its place.
//!
//! One document, text for keys, no key twice, no tags. Aliases are followed without copying, and how much the
//! tree unfolds to is bounded, so that a small file cannot stand for a huge one.

use std::{collections::HashMap, ops::Range, rc::Rc};

use granit_parser::{Event, Parser, ScalarStyle, Span, StrInput};

use super::finding::Source;

/// Values that a file may unfold to: a policy has about thirty.
const MOST_VALUES: usize = 50_000;
/// Levels of nesting, aliases followed: a policy file has seven.
const DEEPEST: usize = 64;

/// One value.
#[derive(Debug)]
pub(super) struct Node {
    /// The bytes to point at: the value, or of a value over several lines the beginning.
    pub(super) span: Range<usize>,
    pub(super) value: Value,
    /// How many values it unfolds to, itself included.
    count: usize,
    depth: usize,
}

/// What a node holds.
#[derive(Debug)]
pub(super) enum Value {
    Null,
    Bool(bool),
    /// A number without a fraction.
    Whole(i64),
    Number(f64),
    Text(String),
    List(Vec<Rc<Node>>),
    Map(Vec<Entry>),
}

/// A key and its value.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) key: String,
    pub(super) key_span: Range<usize>,
    pub(super) node: Rc<Node>,
}

impl Value {
    /// What it is, as a message says it.
    pub(super) fn described(&self) -> String {
        match self {
            Self::Null => "empty".to_owned(),
            Self::Bool(value) => format!("the boolean {value}"),
            Self::Whole(value) => format!("the number {value}"),
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
                .map(Self::Whole)
                .or_else(|_| text.parse().map(Self::Number))
                .unwrap_or_else(|_| Self::Text(text.to_owned())),
            _ => Self::Text(text.to_owned()),
        }
    }
}

/// Text as a message shows it: in quotes, what cannot be seen escaped, and not without end.
pub(super) fn quoted(text: &str) -> String {
    match text.char_indices().nth(64) {
        Some((end, _)) => format!("{:?}…", text.split_at(end).0),
        None => format!("{text:?}"),
    }
}

/// Where a mistake is, and what it says.
type Mistake = (Range<usize>, String);

/// Reads a text; `None` after a mistake that leaves nothing to look at. Mistakes go to `report`.
pub(super) fn parse(
    source: &Source,
    report: &mut dyn FnMut(Range<usize>, String),
) -> Option<Rc<Node>> {
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
    /// Values so far, those of refused keys too.
    read: usize,
    anchors: HashMap<usize, Rc<Node>>,
    report: &'r mut dyn FnMut(Range<usize>, String),
}

impl<'t> Builder<'t, '_> {
    /// The only document of the stream.
    fn document(&mut self) -> Result<Rc<Node>, Mistake> {
        const EMPTY: &str = "the file is empty; it needs at least one policy under \"policies\"";
        let mut root = None;
        loop {
            let (event, span) = self.next()?;
            match event {
                Event::StreamStart | Event::DocumentEnd => {}
                Event::DocumentStart(..) if root.is_some() => {
                    let message = "a second document begins; a policy file is one document";
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
        root.filter(|root| !matches!(root.value, Value::Null))
            .ok_or_else(|| (0..0, EMPTY.to_owned()))
    }

    fn next(&mut self) -> Result<(Event<'t>, Range<usize>), Mistake> {
        match self.events.next_event() {
            Some(Ok((event, span))) => Ok((event, bytes(&span))),
            Some(Err(error)) => {
                let at = error
                    .marker()
                    .byte_offset()
                    .unwrap_or(self.source.text().len());
                Err((at..at, format!("this is not YAML: {}", error.info())))
            }
            None => Err((
                self.source.text().len()..self.source.text().len(),
                "the YAML ends too early".to_owned(),
            )),
        }
    }

    /// The node that begins with this event.
    fn node(&mut self, event: Event<'t>, span: Range<usize>) -> Result<Rc<Node>, Mistake> {
        if let Some(tag) = event.tag() {
            (self.report)(
                span.clone(),
                format!(
                    "tags such as {} are not known here",
                    quoted(&tag.original())
                ),
            );
        }
        self.read += 1;
        if self.read > MOST_VALUES {
            return Err((span, format!("the file has more than {MOST_VALUES} values")));
        }
        let anchor = event.anchor_id();
        let (value, span) = match event {
            Event::Alias(target) => {
                let inside_itself = "an alias within the value that it stands for".to_owned();
                return self
                    .anchors
                    .get(&target)
                    .cloned()
                    .ok_or((span, inside_itself));
            }
            Event::Scalar(text, ScalarStyle::Plain, ..) => (Value::plain(&text), span),
            Event::Scalar(text, ..) => (Value::Text(text.into_owned()), span),
            Event::SequenceStart(..) => {
                let list = self.list()?;
                let first = list.first().map(|node| node.span.clone());
                (Value::List(list), self.opening(span, first))
            }
            Event::MappingStart(..) => {
                let map = self.map()?;
                let first = map.first().map(|entry| entry.key_span.clone());
                (Value::Map(map), self.opening(span, first))
            }
            _ => return Err((span, "a value is missing".to_owned())),
        };
        let node = Rc::new(Node::new(span, value)?);
        if let Some(anchor) = anchor {
            self.anchors.insert(anchor, node.clone());
        }
        Ok(node)
    }

    fn list(&mut self) -> Result<Vec<Rc<Node>>, Mistake> {
        let mut list = Vec::new();
        loop {
            match self.next()? {
                (Event::SequenceEnd, _) => return Ok(list),
                (event, span) => list.push(self.node(event, span)?),
            }
        }
    }

    fn map(&mut self) -> Result<Vec<Entry>, Mistake> {
        let mut map: Vec<Entry> = Vec::new();
        let mut seen = HashMap::new();
        loop {
            let (event, key_span) = self.next()?;
            let key = match event {
                Event::MappingEnd => return Ok(map),
                Event::Scalar(text, ..) => Some(text.into_owned()),
                event => {
                    self.node(event, key_span.clone())?;
                    let message = "a key must be written out, as text".to_owned();
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
                    "the key {} is given twice; first on line {line}",
                    quoted(&key)
                );
                (self.report)(key_span, message);
                continue;
            }
            if matches!(node.value, Value::Null) && node.span.is_empty() {
                node = Rc::new(Node::new(key_span.clone(), Value::Null)?);
            }
            map.push(Entry {
                key,
                key_span,
                node,
            });
        }
    }

    /// Where to point for a list or a mapping: the whole `[…]` is too much, and in block style the
    /// first item is what the eye sees.
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

impl Node {
    fn new(span: Range<usize>, value: Value) -> Result<Self, Mistake> {
        let (count, depth) = match &value {
            Value::List(list) => weigh(list.iter()),
            Value::Map(map) => weigh(map.iter().map(|entry| &entry.node)),
            _ => (1, 1),
        };
        if count > MOST_VALUES {
            return Err((
                span,
                format!("this unfolds to more than {MOST_VALUES} values"),
            ));
        }
        if depth > DEEPEST {
            return Err((
                span,
                format!("this is nested more than {DEEPEST} levels deep"),
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

/// How many values these and their parent unfold to, and how deep they are.
fn weigh<'n>(children: impl Iterator<Item = &'n Rc<Node>>) -> (usize, usize) {
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
