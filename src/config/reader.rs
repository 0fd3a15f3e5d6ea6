//! How a tree of YAML is read: every key is declared once, where it is read.
//!
//! A [`Kind`] is what a value may be; it can read a node and it can describe itself as JSON Schema. A
//! [`record`] is a function over [`Fields`] that names its keys one after the other. Run over a mapping it reads
//! it; run without one it writes down what it asked for. So reader and schema are the same few lines.

use serde_json::{Map, Value as Json, json};

use super::{
    context::{Context, Step},
    yaml::{Entry, Node, Value, quoted},
};

/// What a value may be.
pub(super) trait Kind {
    /// What is made of it.
    type Value;

    /// Reads a node; `None` after a mistake.
    fn read(&self, node: &Node, context: &mut Context) -> Option<Self::Value>;

    /// Itself, as JSON Schema.
    fn schema(&self) -> Json;
}

/// A mapping with known keys.
pub(super) struct Record<F>(F);

/// A mapping that this function reads key by key. It must ask for every key whatever it has read before:
/// so it makes its value at its end.
pub(super) fn record<T, F: Fn(&mut Fields) -> Option<T>>(read: F) -> Record<F> {
    Record(read)
}

impl<T, F: Fn(&mut Fields) -> Option<T>> Kind for Record<F> {
    type Value = T;

    fn read(&self, node: &Node, context: &mut Context) -> Option<T> {
        let Value::Map(entries) = &node.value else {
            context.unlike(node, "a mapping");
            return None;
        };
        let mut fields = Fields::new(Side::Read {
            node,
            entries,
            context,
        });
        let value = (self.0)(&mut fields);
        fields.finish();
        value
    }

    fn schema(&self) -> Json {
        let mut schema = Schema::default();
        (self.0)(&mut Fields::new(Side::Describe(&mut schema)));
        schema.into_json()
    }
}

/// The keys of one mapping: asked of a file, or written down for the schema.
pub(super) struct Fields<'f, 't> {
    known: Vec<&'static str>,
    refused: Vec<&'static str>,
    /// What is missing: any of these keys would do, and this is to be said.
    missing: Vec<(Vec<&'static str>, String)>,
    side: Side<'f, 't>,
}

enum Side<'f, 't> {
    Read {
        node: &'f Node,
        entries: &'f [Entry],
        context: &'f mut Context<'t>,
    },
    Describe(&'f mut Schema),
}

impl<'f, 't> Fields<'f, 't> {
    fn new(side: Side<'f, 't>) -> Self {
        Self {
            known: Vec::new(),
            refused: Vec::new(),
            missing: Vec::new(),
            side,
        }
    }

    /// A key that may be left out; `None` if it is, and after a mistake.
    #[expect(
        clippy::needless_pass_by_value,
        reason = "a kind is made where it is asked for"
    )]
    pub(super) fn optional<K: Kind>(
        &mut self,
        key: &'static str,
        about: &str,
        kind: K,
    ) -> Option<K::Value> {
        self.known.push(key);
        match &mut self.side {
            Side::Read {
                entries, context, ..
            } => {
                let entry = find(entries, key)?;
                context.within(Step::Key(key.to_owned()), |context| {
                    kind.read(&entry.node, context)
                })
            }
            Side::Describe(schema) => {
                schema.property(key, about, kind.schema());
                None
            }
        }
    }

    /// A key that stands for a value if it is left out; `None` only after a mistake.
    pub(super) fn or<K: Kind>(
        &mut self,
        key: &'static str,
        about: &str,
        kind: K,
        default: K::Value,
    ) -> Option<K::Value> {
        let value = self.optional(key, about, kind);
        if self.has(key) { value } else { Some(default) }
    }

    /// A key that must be there.
    pub(super) fn required<K: Kind>(
        &mut self,
        key: &'static str,
        about: &str,
        kind: K,
    ) -> Option<K::Value> {
        let value = self.optional(key, about, kind);
        match &mut self.side {
            Side::Read { entries, .. } if find(entries, key).is_none() => {
                self.missing
                    .push((vec![key], format!("{key:?} is missing: {about}")));
            }
            Side::Read { .. } => {}
            Side::Describe(schema) => schema.required.push(key),
        }
        value
    }

    /// Says that a mapping has exactly one of these keys.
    pub(super) fn exactly_one(&mut self, keys: [&'static str; 2]) {
        let [one, other] = keys;
        match &mut self.side {
            Side::Read {
                entries, context, ..
            } => match keys.map(|key| find(entries, key)) {
                [None, None] => {
                    self.missing
                        .push((keys.to_vec(), format!("needs either {one:?} or {other:?}")));
                }
                [Some(first), Some(second)] => {
                    let message = format!("has both {one:?} and {other:?}; exactly one is needed");
                    let later = if first.key_span.start < second.key_span.start {
                        second
                    } else {
                        first
                    };
                    let message = context.about(&message);
                    context.mistake(&later.key_span, message);
                }
                _ => {}
            },
            Side::Describe(schema) => {
                schema.one_of = keys.map(|key| json!({ "required": [key] })).to_vec();
            }
        }
    }

    /// A key that people know from elsewhere and that is a mistake here, with what to do instead.
    pub(super) fn refused(&mut self, key: &'static str, instead: &str) {
        self.refused.push(key);
        if let Side::Read {
            entries, context, ..
        } = &mut self.side
            && let Some(entry) = find(entries, key)
        {
            let message = context.about(&format!("{key:?} is not possible here: {instead}"));
            context.mistake(&entry.key_span, message);
        }
    }

    /// A mistake in the value of a key that is right by itself.
    pub(super) fn wrong(&mut self, key: &str, message: &str) {
        if let Side::Read {
            entries, context, ..
        } = &mut self.side
            && let Some(entry) = find(entries, key)
        {
            context.within(Step::Key(key.to_owned()), |context| {
                context.wrong(&entry.node, message);
            });
        }
    }

    /// Whether a key is there.
    pub(super) fn has(&self, key: &str) -> bool {
        match &self.side {
            Side::Read { entries, .. } => find(entries, key).is_some(),
            Side::Describe(_) => false,
        }
    }

    /// Says which keys are unknown and which are missing; a missing key that was only mistyped is said once.
    fn finish(mut self) {
        let Side::Read {
            node,
            entries,
            context,
        } = self.side
        else {
            return;
        };
        for Entry { key, key_span, .. } in entries {
            if self
                .known
                .iter()
                .chain(&self.refused)
                .any(|known| known == key)
            {
                continue;
            }
            let near = nearest(key, &self.known);
            let advice = match near {
                _ if key == "<<" => "merge keys are not followed; repeat the keys".to_owned(),
                Some(near) => format!("did you mean {near:?}?"),
                None => format!("known here: {}", self.known.join(", ")),
            };
            let place = match context.path() {
                path if path.is_empty() => path,
                path => format!(" in {path}"),
            };
            context.mistake(
                key_span,
                format!("unknown key {}{place}; {advice}", quoted(key)),
            );
            self.missing
                .retain(|(keys, _)| near.is_none_or(|near| !keys.contains(&near)));
        }
        for (_, message) in self.missing {
            context.wrong(node, &message);
        }
    }
}

fn find<'e>(entries: &'e [Entry], key: &str) -> Option<&'e Entry> {
    entries.iter().find(|entry| entry.key == key)
}

/// The known word that was probably meant: one letter in three may be off.
pub(super) fn nearest<'k>(word: &str, known: &[&'k str]) -> Option<&'k str> {
    // Beyond this length nothing known is near, and the distance costs the product of both lengths.
    let word = (word.len() <= 64).then_some(word)?.to_lowercase();
    let distance = |known: &str| strsim::osa_distance(&word, &known.to_lowercase());
    let (distance, nearest) = known.iter().map(|known| (distance(known), *known)).min()?;
    (distance <= nearest.len().div_ceil(3)).then_some(nearest)
}

/// What a record asked for.
#[derive(Default)]
struct Schema {
    properties: Map<String, Json>,
    required: Vec<&'static str>,
    one_of: Vec<Json>,
}

impl Schema {
    fn property(&mut self, key: &str, about: &str, mut schema: Json) {
        if let Some(schema) = schema.as_object_mut() {
            schema.insert("description".to_owned(), about.into());
        }
        self.properties.insert(key.to_owned(), schema);
    }

    fn into_json(self) -> Json {
        let mut schema = json!({
            "type": "object",
            "properties": self.properties,
            "additionalProperties": false,
        });
        if let Some(schema) = schema.as_object_mut() {
            if !self.required.is_empty() {
                schema.insert("required".to_owned(), self.required.into());
            }
            if !self.one_of.is_empty() {
                schema.insert("oneOf".to_owned(), self.one_of.into());
            }
        }
        schema
    }
}
