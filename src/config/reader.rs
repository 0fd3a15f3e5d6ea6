//! Reads a tree of YAML: every key is declared once, where it is read.
//!
//! A [`ValueKind`] reads a node and describes itself as JSON Schema. An [`object`] is a function over [`Fields`] that names
//! its keys one after the other. With a mapping it reads the keys; without one it collects their schema. So the reader and
//! the schema are the same few lines, and a default is one expression for both and for the description.

use serde_json::{Value as Json, json};

use super::{
    context::{PathStep, ReadContext},
    kind::{Collection, Scalar, ValueKind},
    schema::{Description, ObjectSchema},
    yaml::{Entry, YamlNode, YamlValue, quoted},
};

/// A mapping with known keys.
pub(super) struct Object<F>(F);

/// A mapping that this function reads key by key. It must request every key whatever it has read before, and so
/// creates its value at the end.
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

/// The keys of one mapping: read from a file, or collected for the schema.
pub(super) struct Fields<'f, 't> {
    known: Vec<&'static str>,
    refused: Vec<&'static str>,
    /// Missing keys with their message: one of the keys of an entry would be enough.
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

    /// An optional key; `None` if it is left out, and after an error.
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

    /// A key with a default; `None` only after an error.
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

    /// A key whose default is a value elsewhere in the file; `None` only after an error.
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

    /// A key that is empty by default; `None` only after an error.
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

    /// A mapping that is read as an empty one if it is left out, since none of its keys is required; `None` only after an
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

    /// A required key.
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

    /// Reads a key, or collects its schema.
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

    /// Requires exactly one of these keys.
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

    /// A key that people know from elsewhere and that is an error here; the message says what to do instead.
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

    /// Reports an error in the value of a key that is valid by itself.
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

    /// Warns of the value of a key, which is allowed and means something else here than where people know it from.
    pub(super) fn warn(&mut self, key: &str, message: &str) {
        if let Side::Read {
            entries, context, ..
        } = &mut self.side
            && let Some(entry) = find(entries, key)
        {
            context.within(PathStep::Key(key.to_owned()), |context| {
                context.warn(&entry.node, message);
            });
        }
    }

    /// Whether a key is present.
    pub(super) fn has(&self, key: &str) -> bool {
        match &self.side {
            Side::Read { entries, .. } => find(entries, key).is_some(),
            Side::Describe(_) => false,
        }
    }

    /// Reports the unknown and the missing keys; a missing key that was only mistyped is reported once.
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

/// The known word that was probably intended: one letter in three may differ.
pub(super) fn nearest<'k>(word: &str, known: &[&'k str]) -> Option<&'k str> {
    // No known word is that long, and the cost of the distance is the product of both lengths.
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
