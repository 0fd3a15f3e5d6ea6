//! How a tree of YAML is read: every key is declared once, where it is read.
//!
//! A [`ValueKind`] is what a value may be; it can read a node and it can describe itself as JSON Schema. An
//! [`object`] is a function over [`Fields`] that names its keys one after the other. Run over a mapping it reads
//! it; run without one it writes down what it asked for. So reader and schema are the same few lines, and a default
//! is one expression for both and for the prose.

use serde_json::{Value as Json, json};

use super::{
    context::{PathStep, ReadContext},
    kind::{Collection, Scalar, ValueKind},
    schema::{Description, ObjectSchema},
    yaml::{Entry, YamlNode, YamlValue, quoted},
};

/// A mapping with known keys.
pub(super) struct Object<F>(F);

/// A mapping that this function reads key by key. It must ask for every key whatever it has read before:
/// so it makes its value at its end.
pub(super) fn object<T, F: Fn(&mut Fields) -> Option<T>>(read: F) -> Object<F> {
    Object(read)
}

impl<T, F: Fn(&mut Fields) -> Option<T>> ValueKind for Object<F> {
    type Value = T;

    fn read(&self, node: &YamlNode, context: &mut ReadContext) -> Option<T> {
        let YamlValue::Map(entries) = &node.value else {
            context.mismatch(node, "a mapping");
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
        let mut schema = ObjectSchema::default();
        (self.0)(&mut Fields::new(Side::Describe(&mut schema)));
        schema.into_json()
    }
}

/// The keys of one mapping: asked of a file, or written down for the schema.
pub(super) struct Fields<'f, 't> {
    known: Vec<&'static str>,
    refused: Vec<&'static str>,
    /// What is missing: any of these keys would do, and this is the message.
    missing: Vec<(Vec<&'static str>, String)>,
    side: Side<'f, 't>,
}

enum Side<'f, 't> {
    Read {
        node: &'f YamlNode,
        entries: &'f [Entry],
        context: &'f mut ReadContext<'t>,
    },
    Describe(&'f mut ObjectSchema),
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

    /// A key that may be left out; `None` if it is, and after an error.
    pub(super) fn optional<K: ValueKind>(
        &mut self,
        key: &'static str,
        about: &str,
        kind: K,
    ) -> Option<K::Value> {
        self.property(key, kind, |kind| {
            Description::new(about, kind.range(), None, None)
        })
    }

    /// A key that stands for a value if it is left out; `None` only after an error.
    pub(super) fn or<K: Scalar>(
        &mut self,
        key: &'static str,
        about: &str,
        kind: K,
        default: K::Value,
    ) -> Option<K::Value> {
        let value = self.property(key, kind, |kind| {
            let shown = kind.show(&default);
            Description::new(
                about,
                kind.range(),
                Some(&shown),
                Some(kind.write(&default)),
            )
        });
        if self.has(key) { value } else { Some(default) }
    }

    /// A key that stands for a value from elsewhere in the file if it is left out; `None` only after an error.
    pub(super) fn or_inherited<K: ValueKind>(
        &mut self,
        key: &'static str,
        about: &str,
        kind: K,
        (origin, inherited): (&str, K::Value),
    ) -> Option<K::Value> {
        let value = self.property(key, kind, |kind| {
            Description::new(about, kind.range(), Some(origin), None)
        });
        if self.has(key) {
            value
        } else {
            Some(inherited)
        }
    }

    /// A key that stands for nothing in it if it is left out; `None` only after an error.
    pub(super) fn or_empty<K: Collection<Value: Default>>(
        &mut self,
        key: &'static str,
        about: &str,
        kind: K,
    ) -> Option<K::Value> {
        let value = self.property(key, kind, |_| {
            Description::new(about, None, None, Some(K::empty()))
        });
        if self.has(key) {
            value
        } else {
            Some(K::Value::default())
        }
    }

    /// A mapping that is read as an empty one if it is left out: none of its keys is required. `None` only after an
    /// error.
    pub(super) fn section<T>(
        &mut self,
        key: &'static str,
        about: &str,
        read: impl Fn(&mut Fields) -> Option<T>,
    ) -> Option<T> {
        let value = self.property(key, object(&read), |_| {
            Description::new(about, None, None, Some(json!({})))
        });
        match &mut self.side {
            Side::Read {
                node,
                entries,
                context,
            } if find(entries, key).is_none() => read(&mut Fields::new(Side::Read {
                node,
                entries: &[],
                context,
            })),
            _ => value,
        }
    }

    /// A key that must be there.
    pub(super) fn require<K: ValueKind>(
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

    /// Reads a key, or writes it down.
    #[expect(
        clippy::needless_pass_by_value,
        reason = "a kind is made where it is asked for"
    )]
    fn property<K: ValueKind>(
        &mut self,
        key: &'static str,
        kind: K,
        describe: impl FnOnce(&K) -> Description,
    ) -> Option<K::Value> {
        self.known.push(key);
        match &mut self.side {
            Side::Read {
                entries, context, ..
            } => {
                let entry = find(entries, key)?;
                context.within(PathStep::Key(key.to_owned()), |context| {
                    kind.read(&entry.node, context)
                })
            }
            Side::Describe(schema) => {
                schema.property(key, describe(&kind), kind.schema());
                None
            }
        }
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
                    let message =
                        format!("has both {one:?} and {other:?}; it needs exactly one of them");
                    let later = if first.key_span.start < second.key_span.start {
                        second
                    } else {
                        first
                    };
                    let message = context.with_path(&message);
                    context.error_at(&later.key_span, message);
                }
                _ => {}
            },
            Side::Describe(schema) => {
                schema.one_of = keys.map(|key| json!({ "required": [key] })).to_vec();
            }
        }
    }

    /// A key that people know from elsewhere and that is an error here, with what to do instead.
    pub(super) fn refuse(&mut self, key: &'static str, instead: &str) {
        self.refused.push(key);
        if let Side::Read {
            entries, context, ..
        } = &mut self.side
            && let Some(entry) = find(entries, key)
        {
            let message = context.with_path(&format!("{key:?} is not supported: {instead}"));
            context.error_at(&entry.key_span, message);
        }
    }

    /// An error in the value of a key that is right by itself.
    pub(super) fn error(&mut self, key: &str, message: &str) {
        if let Side::Read {
            entries, context, ..
        } = &mut self.side
            && let Some(entry) = find(entries, key)
        {
            context.within(PathStep::Key(key.to_owned()), |context| {
                context.error(&entry.node, message);
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

    /// Reports which keys are unknown and which are missing; a missing key that was only mistyped is reported once.
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
                _ if key == "<<" => "merge keys are not supported; repeat the keys".to_owned(),
                Some(near) => format!("did you mean {near:?}?"),
                None => format!("the known keys are {}", self.known.join(", ")),
            };
            let place = match context.path() {
                path if path.is_empty() => path,
                path => format!(" in {path}"),
            };
            context.error_at(
                key_span,
                format!("unknown key {}{place}; {advice}", quoted(key)),
            );
            self.missing
                .retain(|(keys, _)| near.is_none_or(|near| !keys.contains(&near)));
        }
        for (_, message) in self.missing {
            context.error(node, &message);
        }
    }
}

fn find<'e>(entries: &'e [Entry], key: &str) -> Option<&'e Entry> {
    entries.iter().find(|entry| entry.key == key)
}

/// The known word that was probably meant: one letter in three may differ.
pub(super) fn nearest<'k>(word: &str, known: &[&'k str]) -> Option<&'k str> {
    // Beyond this length nothing known is near, and the distance costs the product of both lengths.
    if word.len() > 64 {
        return None;
    }
    let word = word.to_lowercase();
    let distance = |known: &str| strsim::osa_distance(&word, &known.to_lowercase());
    let (distance, nearest) = known.iter().map(|known| (distance(known), *known)).min()?;
    if distance > nearest.len().div_ceil(3) {
        return None;
    }
    Some(nearest)
}
