//! Lists, and mappings with keys chosen by the user.

use std::{rc::Rc, sync::Arc};

use serde_json::{Value as Json, json};

use super::{
    context::{PathStep, ReadContext},
    kind::{Collection, ValueKind},
    pattern::Pattern,
    yaml::{Entry, YamlNode, YamlValue, quoted},
};

/// A list of one kind of values.
pub(super) struct ListOf<K> {
    of: K,
    min_items: usize,
}

/// A list that may be empty.
pub(super) fn list<K: ValueKind>(of: K) -> ListOf<K> {
    ListOf { of, min_items: 0 }
}

/// A list with at least one value.
pub(super) fn non_empty_list<K: ValueKind>(of: K) -> ListOf<K> {
    ListOf { of, min_items: 1 }
}

impl<K: ValueKind> ValueKind for ListOf<K> {
    type Value = Vec<K::Value>;

    fn read(&self, node: &YamlNode, context: &mut ReadContext) -> Option<Self::Value> {
        let YamlValue::List(items) = &node.value else {
            context.mismatch(node, "a list");
            return None;
        };
        if items.len() < self.min_items {
            context.error(node, "must not be empty");
            return None;
        }
        let mut read = |(index, item): (usize, &Rc<YamlNode>)| {
            let step = PathStep::Index(index);
            context.within(step, |context| self.of.read(item, context))
        };
        // All items are read before an error drops the list.
        let values: Vec<_> = items.iter().enumerate().map(&mut read).collect();
        values.into_iter().collect()
    }

    fn schema(&self) -> Json {
        json!({ "type": "array", "items": self.of.schema(), "minItems": self.min_items })
    }
}

impl<K: ValueKind> Collection for ListOf<K> {
    fn empty() -> Json {
        json!([])
    }
}

/// How many names a mapping has at most: a request has room for as many headers.
const MOST_NAMES: usize = 100;

/// A mapping from names of one form to one kind of values.
pub(super) struct MapOf<K> {
    pub(super) keys: &'static Pattern,
    pub(super) values: K,
}

impl<K: ValueKind> ValueKind for MapOf<K> {
    type Value = Vec<(Arc<str>, K::Value)>;

    fn read(&self, node: &YamlNode, context: &mut ReadContext) -> Option<Self::Value> {
        let YamlValue::Map(entries) = &node.value else {
            context.mismatch(node, "a mapping");
            return None;
        };
        if entries.len() > MOST_NAMES {
            context.error(node, &format!("must have at most {MOST_NAMES} keys"));
            return None;
        }
        let mut read = |entry: &Entry| {
            let key = entry.key.as_str();
            let fits = self.keys.matches(key);
            if !fits {
                let message = format!("the key {} must be {}", quoted(key), self.keys.meaning);
                let message = context.with_path(&message);
                context.error_at(&entry.key_span, message);
            }
            let step = PathStep::Key(if fits { key.to_owned() } else { quoted(key) });
            let value = context.within(step, |context| self.values.read(&entry.node, context));
            if fits {
                Some((Arc::from(key), value?))
            } else {
                None
            }
        };
        let values: Vec<_> = entries.iter().map(&mut read).collect();
        values.into_iter().collect()
    }

    fn schema(&self) -> Json {
        json!({
            "type": "object",
            "propertyNames": self.keys.schema(),
            "additionalProperties": self.values.schema(),
            "maxProperties": MOST_NAMES,
        })
    }
}

impl<K: ValueKind> Collection for MapOf<K> {
    fn empty() -> Json {
        json!({})
    }
}
