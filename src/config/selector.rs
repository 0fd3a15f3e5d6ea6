//! Label selectors, checked as the API server checks them.

use std::{collections::BTreeSet, sync::Arc};

use strum::{IntoStaticStr, VariantArray};

use super::{
    collections::{MapOf, list},
    kind::ValueKind,
    pattern::{LABEL_KEY, LABEL_VALUE},
    reader::{Fields, object},
    values::{Matching, choice},
};
use crate::core::selector::{Operator, Requirement, Selector};

pub(super) fn selector() -> impl ValueKind<Value = Selector> {
    object(|fields| {
        let labels = fields.or_empty(
            "matchLabels",
            "labels that an object must have, each with exactly this value",
            MapOf {
                keys: &LABEL_KEY,
                values: Matching(&LABEL_VALUE),
            },
        );
        let expressions = fields.or_empty(
            "matchExpressions",
            "further requirements, all of which must hold",
            list(object(requirement)),
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

/// The four operators, without values.
#[derive(Clone, Copy, IntoStaticStr, VariantArray)]
enum OperatorName {
    In,
    NotIn,
    Exists,
    DoesNotExist,
}

fn requirement(fields: &mut Fields) -> Option<Requirement> {
    let key = fields.require("key", "key of the label", Matching(&LABEL_KEY));
    let name = fields.require("operator", "what the label must satisfy", choice());
    let values = fields.or_empty(
        "values",
        "at least one value for In and NotIn, none for Exists and DoesNotExist",
        list(Matching(&LABEL_VALUE)),
    );
    let (key, name) = (key?, name?);
    let values: BTreeSet<Arc<str>> = values?.into_iter().collect();
    let operator = match (name, values.is_empty()) {
        (OperatorName::In, false) => Operator::In(values),
        (OperatorName::NotIn, false) => Operator::NotIn(values),
        (OperatorName::Exists, true) => Operator::Exists,
        (OperatorName::DoesNotExist, true) => Operator::DoesNotExist,
        (OperatorName::In | OperatorName::NotIn, true) => {
            fields.error(
                "operator",
                "In and NotIn need at least one value under \"values\"",
            );
            return None;
        }
        (OperatorName::Exists | OperatorName::DoesNotExist, false) => {
            fields.error(
                "values",
                "must be left out: Exists and DoesNotExist take no values",
            );
            return None;
        }
    };
    Some(Requirement { key, operator })
}
