//! Lists, and mappings whose keys are the user's own.

use std::{rc::Rc, sync::Arc};

use serde_json::{Value as Json, json};

use super::{
    context::{Context, Step},
    pattern::Pattern,
    reader::Kind,
    yaml::{Entry, Node, Value, quoted},
};

/// A list of one kind of values.
pub(super) struct List<K> {
    of: K,
    at_least: usize,
}

/// A list that may be empty.
pub(super) fn list<K: Kind>(of: K) -> List<K> {
    List { of, at_least: 0 }
}

/// A list with one value at least.
pub(super) fn some<K: Kind>(of: K) -> List<K> {
    List { of, at_least: 1 }
}

impl<K: Kind> Kind for List<K> {
    type Value = Vec<K::Value>;

    fn read(&self, node: &Node, context: &mut Context) -> Option<Self::Value> {
        let Value::List(items) = &node.value else {
            context.unlike(node, "a list");
            return None;
        };
        if items.len() < self.at_least {
            context.wrong(node, "must not be empty");
            return None;
        }
        let mut read = |(index, item): (usize, &Rc<Node>)| {
            context.within(Step::Index(index), |context| self.of.read(item, context))
        };
        // All are read before any is missed.
        let values: Vec<_> = items.iter().enumerate().map(&mut read).collect();
        values.into_iter().collect()
    }

    fn schema(&self) -> Json {
        json!({ "type": "array", "items": self.of.schema(), "minItems": self.at_least })
    }
}

/// A mapping from names of one form to one kind of values.
pub(super) struct Table<K> {
    pub(super) keys: &'static Pattern,
    pub(super) values: K,
}

impl<K: Kind> Kind for Table<K> {
    type Value = Vec<(Arc<str>, K::Value)>;

    fn read(&self, node: &Node, context: &mut Context) -> Option<Self::Value> {
        let Value::Map(entries) = &node.value else {
            context.unlike(node, "a mapping");
            return None;
        };
        let mut read = |entry: &Entry| {
            let key = entry.key.as_str();
            let fits = self.keys.matches(key);
            if !fits {
                let message = format!("the key {} must be {}", quoted(key), self.keys.meaning);
                let message = context.about(&message);
                context.mistake(&entry.key_span, message);
            }
            let step = Step::Key(if fits { key.to_owned() } else { quoted(key) });
            let value = context.within(step, |context| self.values.read(&entry.node, context));
            fits.then_some((Arc::from(key), value?))
        };
        let values: Vec<_> = entries.iter().map(&mut read).collect();
        values.into_iter().collect()
    }

    fn schema(&self) -> Json {
        json!({
            "type": "object",
            "propertyNames": self.keys.schema(),
            "additionalProperties": self.values.schema(),
        })
    }
}
