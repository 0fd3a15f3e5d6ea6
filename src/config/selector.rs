//! Label selectors, checked as the API server checks them.

use std::{collections::BTreeSet, sync::Arc};

use super::{
    collections::{Table, list},
    pattern::{LABEL_KEY, LABEL_VALUE},
    reader::{Fields, Kind, record},
    values::{Choice, Text},
};
use crate::core::selector::{Operator, Requirement, Selector};

/// A `LabelSelector`.
pub(super) fn selector() -> impl Kind<Value = Selector> {
    record(|fields| {
        let labels = fields.or(
            "matchLabels",
            "labels that must be there with exactly these values",
            Table {
                keys: &LABEL_KEY,
                values: Text(&LABEL_VALUE),
            },
            Vec::new(),
        );
        let expressions = fields.or(
            "matchExpressions",
            "further requirements; all must hold",
            list(record(requirement)),
            Vec::new(),
        );
        let equals = |(key, value)| Requirement {
            key,
            operator: Operator::In(BTreeSet::from([value])),
        };
        Some(Selector::new(
            labels?
                .into_iter()
                .map(equals)
                .chain(expressions?)
                .collect(),
        ))
    })
}

/// The four operators, before their values are known.
#[derive(Clone, Copy)]
enum Word {
    In,
    NotIn,
    Exists,
    DoesNotExist,
}

const WORDS: Choice<Word> = Choice(&[
    ("In", Word::In),
    ("NotIn", Word::NotIn),
    ("Exists", Word::Exists),
    ("DoesNotExist", Word::DoesNotExist),
]);

fn requirement(fields: &mut Fields) -> Option<Requirement> {
    let key = fields.required("key", "the label's key", Text(&LABEL_KEY));
    let word = fields.required("operator", "what is asked of the label", WORDS);
    let values = fields.or(
        "values",
        "for In and NotIn at least one value; for Exists and DoesNotExist none",
        list(Text(&LABEL_VALUE)),
        Vec::new(),
    );
    let (key, word) = (key?, word?);
    let values: BTreeSet<Arc<str>> = values?.into_iter().collect();
    let operator = match (word, values.is_empty()) {
        (Word::In, false) => Operator::In(values),
        (Word::NotIn, false) => Operator::NotIn(values),
        (Word::Exists, true) => Operator::Exists,
        (Word::DoesNotExist, true) => Operator::DoesNotExist,
        (Word::In | Word::NotIn, true) => {
            fields.wrong("operator", "In and NotIn need \"values\", one at least");
            return None;
        }
        (Word::Exists | Word::DoesNotExist, false) => {
            fields.wrong(
                "values",
                "must be left out: Exists and DoesNotExist take none",
            );
            return None;
        }
    };
    Some(Requirement { key, operator })
}
