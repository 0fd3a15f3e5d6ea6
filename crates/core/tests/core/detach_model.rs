//! `detach` against a model that knows nothing but the rules: it tries every value of every key.

use std::{collections::BTreeMap, sync::Arc};

use pod_quarantine_core::{
    detach::{Constraints, Edits, LabelEdit, NamedSelector, detach},
    keys,
    selector::{Labels, Operator, Requirement, Selector},
};
use proptest::{collection::vec, option, prelude::*, sample::select};

/// Few, so that selectors meet; the last one is the agent's and never edited.
const KEYS: [&str; 5] = ["app", "enabled", keys::INSTANCE, "tier", OWN];
const OWN: &str = "pod-quarantine.io/group";
const VALUES: [&str; 4] = ["true", "false", "quarantined", "a"];

/// One requirement: key, operator (0 In, 1 `NotIn`, 2 Exists, 3 `DoesNotExist`), values.
type Asked = (&'static str, u8, Vec<&'static str>);
type Plain = BTreeMap<&'static str, &'static str>;

#[derive(Clone, Copy, Debug, PartialEq)]
enum Role {
    /// A Service or controller: left where it matches, else not entered.
    Taker,
    Kept,
    WishedAway,
    WishedKept,
}

#[derive(Clone, Debug)]
struct Case {
    labels: Plain,
    selectors: Vec<(Role, Vec<Asked>)>,
    fixed: Vec<&'static str>,
}

fn asked() -> impl Strategy<Value = Asked> {
    (select(&KEYS[..]), 0..4u8, vec(select(&VALUES[..]), 1..3))
}

fn cases() -> impl Strategy<Value = Case> {
    let role = prop_oneof![
        4 => Just(Role::Taker),
        1 => Just(Role::Kept),
        1 => Just(Role::WishedAway),
        1 => Just(Role::WishedKept),
    ];
    let values = vec(option::weighted(0.7, select(&VALUES[..])), KEYS.len());
    let selectors = vec((role, vec(asked(), 1..3)), 2..9);
    let fixed = option::weighted(0.3, select(&KEYS[..]));
    (values, selectors, fixed).prop_map(|(values, selectors, fixed)| Case {
        labels: KEYS
            .into_iter()
            .zip(values)
            .filter_map(|(key, value)| Some((key, value?)))
            .collect(),
        selectors,
        fixed: fixed.into_iter().collect(),
    })
}

/// Kubernetes' rules for a selector, once more.
fn selects(asked: &[Asked], labels: &Plain) -> bool {
    asked.iter().all(|(key, operator, values)| {
        let value = labels.get(key);
        let among = value.is_some_and(|value| values.contains(value));
        match operator {
            0 => among,
            1 => !among,
            2 => value.is_some(),
            _ => value.is_none(),
        }
    })
}

impl Case {
    /// How many wishes these labels miss; `None` where they break a rule.
    fn missed(&self, after: &Plain) -> Option<usize> {
        let mut missed = 0;
        for (role, asked) in &self.selectors {
            let before = selects(asked, &self.labels);
            let after = selects(asked, after);
            match role {
                Role::Taker if after => return None,
                Role::Kept if before && !after => return None,
                Role::WishedAway if before && after => missed += 1,
                Role::WishedKept if before && !after => missed += 1,
                _ => {}
            }
        }
        Some(missed)
    }

    fn may_edit(&self, key: &str) -> bool {
        key != OWN && !self.fixed.contains(&key)
    }

    /// All labels that edits can lead to, with the number of edits.
    fn every_edit_set(&self) -> Vec<(Plain, usize)> {
        let mut ways = vec![(self.labels.clone(), 0)];
        for key in KEYS.into_iter().filter(|key| self.may_edit(key)) {
            let value = self.labels.get(key).copied();
            let mut more = Vec::new();
            for (way, edits) in &ways {
                let with = |new: Option<&'static str>| {
                    let mut way = way.clone();
                    way.remove(key);
                    way.extend(new.map(|new| (key, new)));
                    (way, edits + 1)
                };
                if value == Some("true") {
                    more.push(with(Some("false")));
                }
                if value != Some("quarantined") {
                    more.push(with(Some("quarantined")));
                }
                if value.is_some() {
                    more.push(with(None));
                }
            }
            ways.extend(more);
        }
        ways
    }

    /// The fewest unmet wishes, then the fewest edits, of all edit sets that break no rule.
    fn best(&self) -> Option<(usize, usize)> {
        let ways = self.every_edit_set().into_iter();
        ways.filter_map(|(way, edits)| Some((self.missed(&way)?, edits)))
            .min()
    }

    /// How ties are decided after that: less is better.
    fn rank(&self, edits: &Edits) -> (bool, std::cmp::Reverse<usize>, usize, Edits) {
        let toggles = edits.values().filter(|edit| **edit == LabelEdit::SwitchOff);
        let other = |(role, asked): &&(Role, Vec<Asked>)| match role {
            Role::Taker => !selects(asked, &self.labels),
            Role::Kept | Role::WishedKept => selects(asked, &self.labels),
            Role::WishedAway => false,
        };
        let uses = self.selectors.iter().filter(other).map(|(_, asked)| {
            let used = |key: &&Arc<str>| asked.iter().any(|(used, ..)| *used == &***key);
            edits.keys().filter(used).count()
        });
        (
            !edits.contains_key(keys::INSTANCE),
            std::cmp::Reverse(toggles.count()),
            uses.sum(),
            edits.clone(),
        )
    }

    fn constraints(&self) -> Constraints {
        let mut constraints = Constraints {
            fixed: self.fixed.iter().map(|key| Arc::from(*key)).collect(),
            added: Labels::from([(keys::STATE.into(), keys::QUARANTINED.into())]),
            ..Constraints::default()
        };
        for (index, (role, asked)) in self.selectors.iter().enumerate() {
            let list = match (role, selects(asked, &self.labels)) {
                (Role::Taker, true) => &mut constraints.leave,
                (Role::Taker, false) => &mut constraints.avoid,
                (Role::Kept, true) => &mut constraints.keep,
                (Role::WishedAway, true) => &mut constraints.wish_to_leave,
                (Role::WishedKept, true) => &mut constraints.wish_to_keep,
                (_, false) => continue,
            };
            list.push(NamedSelector {
                whose: format!("{role:?} {index}").into(),
                selector: Selector::new(asked.iter().map(requirement).collect()),
            });
        }
        constraints
    }
}

fn requirement((key, operator, values): &Asked) -> Requirement {
    let values = || values.iter().map(|value| Arc::from(*value)).collect();
    Requirement {
        key: (*key).into(),
        operator: match operator {
            0 => Operator::In(values()),
            1 => Operator::NotIn(values()),
            2 => Operator::Exists,
            _ => Operator::DoesNotExist,
        },
    }
}

fn as_labels(plain: &Plain) -> Labels {
    let pair = |(key, value): (&&str, &&str)| (Arc::from(*key), Arc::from(*value));
    plain.iter().map(pair).collect()
}

/// The labels again, without the state label that the agent adds.
fn as_plain(labels: &Labels) -> Plain {
    let known = |text: &str| KEYS.into_iter().chain(VALUES).find(|known| *known == text);
    let pair = |(key, value): (&Arc<str>, &Arc<str>)| {
        (&**key != keys::STATE).then(|| (known(key).unwrap(), known(value).unwrap()))
    };
    labels.iter().filter_map(pair).collect()
}

proptest! {
    #![proptest_config(crate::proptest_cases(10_000))]

    #[test]
    fn the_label_edits_are_the_best_of_all_edit_sets(case in cases()) {
        let labels = as_labels(&case.labels);
        let constraints = case.constraints();
        let found = detach(&labels, &constraints);
        prop_assert_eq!(&found, &detach(&labels, &constraints), "the same input, another answer");
        let best = case.best();
        let Ok(found) = found else {
            prop_assert_eq!(best, None, "there is a way and it was not found");
            return Ok(());
        };
        let after = as_plain(&found.labels);
        let missed = case.missed(&after);
        prop_assert!(missed.is_some(), "it breaks a rule: {:?}", after);
        prop_assert_eq!(Some((missed.unwrap(), found.edits.len())), best);
        prop_assert_eq!(found.missed.len(), missed.unwrap());
        prop_assert_eq!(found.labels.get(keys::STATE).map(AsRef::as_ref), Some(keys::QUARANTINED));

        let mut edited = case.labels.clone();
        for (key, edit) in &found.edits {
            let key = KEYS.into_iter().find(|known| *known == &**key).unwrap();
            prop_assert!(case.may_edit(key), "{} must not be edited", key);
            prop_assert!(*edit != LabelEdit::SwitchOff || case.labels.get(key) == Some(&"true"));
            edited.remove(key);
            match edit {
                LabelEdit::SwitchOff => edited.insert(key, "false"),
                LabelEdit::Replace => edited.insert(key, "quarantined"),
                LabelEdit::Remove => None,
            };
            prop_assert_ne!(edited.get(key), case.labels.get(key), "an edit of nothing");
        }
        prop_assert_eq!(edited, after, "the labels are not those that the edits make");
    }
}

proptest! {
    #![proptest_config(crate::proptest_cases(2_000))]

    #[test]
    fn no_equally_good_edit_set_precedes_the_chosen_one(case in cases()) {
        let labels = as_labels(&case.labels);
        let Ok(found) = detach(&labels, &case.constraints()) else {
            return Ok(());
        };
        let best = case.best();
        for (way, edits) in case.every_edit_set() {
            if case.missed(&way).map(|missed| (missed, edits)) != best {
                continue;
            }
            let changed = KEYS.into_iter().filter(|key| way.get(key) != case.labels.get(key));
            let edit = |key: &&str| match way.get(key) {
                None => LabelEdit::Remove,
                Some(&"false") => LabelEdit::SwitchOff,
                Some(_) => LabelEdit::Replace,
            };
            let other: Edits = changed.map(|key| (key.into(), edit(&key))).collect();
            prop_assert!(
                case.rank(&found.edits) <= case.rank(&other),
                "{:?} comes before {:?}", other, found.edits
            );
        }
    }
}
