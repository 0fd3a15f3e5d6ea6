//! Stores texts once that many objects have in common, above all labels.

use std::{
    collections::{BTreeMap, BTreeSet, HashSet},
    sync::Arc,
};

use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;

use crate::{
    cluster::client::BadObject,
    core::selector::{Labels, Operator, Requirement, Selector},
};

#[derive(Debug, Default)]
pub(crate) struct Interner {
    texts: HashSet<Arc<str>>,
    /// At this number, unused texts are dropped.
    sweep_at: usize,
}

impl Interner {
    pub(crate) fn text(&mut self, text: &str) -> Arc<str> {
        if let Some(known) = self.texts.get(text) {
            return known.clone();
        }
        if self.texts.len() >= self.sweep_at {
            self.texts.retain(|text| Arc::strong_count(text) > 1);
            self.sweep_at = (self.texts.len() * 2).max(1024);
        }
        let text: Arc<str> = text.into();
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

    pub(crate) fn selector(&mut self, wire: &LabelSelector) -> Result<Selector, BadObject> {
        let labels = Selector::from_labels(&self.labels(wire.match_labels.as_ref()));
        let mut requirements = labels.requirements().to_vec();
        for one in wire.match_expressions.iter().flatten() {
            requirements.push(self.requirement(&one.key, &one.operator, one.values.as_ref())?);
        }
        Ok(Selector::new(requirements))
    }
}
