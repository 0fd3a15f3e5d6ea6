//! Stores texts once that many objects have in common, above all labels.

use std::{
    collections::{BTreeMap, BTreeSet, HashSet},
    sync::Arc,
};

use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;

use crate::{
    cluster::client::BadObject,
    core::selector::{Labels, MAX_SIZE, Operator, Requirement, Selector},
};

/// The longest text that objects have in common: the key of a label, with its prefix.
const MAX_BYTES: usize = 317;

/// Unused texts are not looked for before the texts take that many bytes.
const SWEEP_AT_LEAST: usize = 1 << 20;

#[derive(Debug, Default)]
pub(crate) struct Interner {
    texts: HashSet<Arc<str>>,
    bytes: usize,
    /// When the texts take that many bytes, unused ones are dropped.
    sweep_at: usize,
}

impl Interner {
    pub(crate) fn text(&mut self, text: &str) -> Arc<str> {
        if let Some(known) = self.texts.get(text) {
            return known.clone();
        }
        let text: Arc<str> = text.into();
        if text.len() > MAX_BYTES {
            return text;
        }
        if self.bytes >= self.sweep_at {
            self.texts.retain(|text| Arc::strong_count(text) > 1);
            self.bytes = self.texts.iter().map(|text| text.len()).sum();
            self.sweep_at = (self.bytes * 2).max(SWEEP_AT_LEAST);
        }
        self.bytes += text.len();
        self.texts.insert(text.clone());
        text
    }

    pub(crate) fn labels(&mut self, map: Option<&BTreeMap<String, String>>) -> Labels {
        let pairs = map.into_iter().flatten();
        pairs
            .map(|(key, value)| (self.text(key), self.text(value)))
            .collect()
    }

    pub(crate) fn requirement(
        &mut self,
        key: &str,
        operator: &str,
        values: Option<&Vec<String>>,
    ) -> Result<Requirement, BadObject> {
        let values = values.into_iter().flatten();
        let values: BTreeSet<Arc<str>> = values.map(|value| self.text(value)).collect();
        let operator = match operator {
            "In" => Operator::In(values),
            "NotIn" => Operator::NotIn(values),
            "Exists" => Operator::Exists,
            "DoesNotExist" => Operator::DoesNotExist,
            other => return Err(BadObject::Operator(other.to_owned())),
        };
        Ok(Requirement {
            key: self.text(key),
            operator,
        })
    }

    /// The selector of `matchLabels`, or of a Service's plain map.
    pub(crate) fn labels_selector(
        &mut self,
        map: Option<&BTreeMap<String, String>>,
    ) -> Result<Selector, BadObject> {
        // Of each label a requirement and its value.
        check_size(2 * map.map_or(0, BTreeMap::len))?;
        Ok(Selector::from_labels(&self.labels(map)))
    }

    pub(crate) fn selector(&mut self, wire: &LabelSelector) -> Result<Selector, BadObject> {
        let labels = self.labels_selector(wire.match_labels.as_ref())?;
        let expressions = wire.match_expressions.iter().flatten();
        let sizes = expressions.map(|one| 1 + one.values.as_ref().map_or(0, Vec::len));
        check_size(labels.size() + sizes.sum::<usize>())?;
        let mut requirements = labels.requirements().to_vec();
        for one in wire.match_expressions.iter().flatten() {
            requirements.push(self.requirement(&one.key, &one.operator, one.values.as_ref())?);
        }
        Ok(Selector::new(requirements))
    }
}

/// Before anything of it is kept.
fn check_size(size: usize) -> Result<(), BadObject> {
    if size > MAX_SIZE {
        return Err(BadObject::SelectorTooLarge);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kept(interner: &Interner) -> usize {
        interner.texts.iter().map(|text| text.len()).sum()
    }

    #[test]
    fn texts_that_nobody_uses_any_more_do_not_pile_up() {
        let mut interner = Interner::default();
        let in_use: Vec<_> = (0..3000)
            .map(|number| interner.text(&format!("in use {number}")))
            .collect();
        for (length, times) in [(MAX_BYTES - 8, 20_000), (250_000, 4_000)] {
            for number in 0..times {
                drop(interner.text(&format!("{number:0>8}{}", "x".repeat(length))));
                assert!(kept(&interner) <= 2 * SWEEP_AT_LEAST);
            }
        }
        let again = interner.text("in use 7");
        assert!(Arc::ptr_eq(&again, &in_use[7]));
    }
}
