//! Which labels to change so that a pod leaves its Services and its workload.
//!
//! The answer is the best of all sets of edits, by search: every selector that must be left is left, none is
//! entered, then as many wishes as possible hold, then the fewest labels change. Ties go to
//! `app.kubernetes.io/instance` (Argo CD prunes ownerless objects that carry its tracking label), then to a toggle,
//! then to the keys that the fewest other selectors use, then to the order of the keys. The same input gives the
//! same edits.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BTreeSet},
    fmt,
    sync::Arc,
};

use crate::{
    keys,
    selector::{Labels, Selector},
};

/// A selector, and the object that has it, such as `Service web`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NamedSelector {
    /// Kind and name of the object.
    pub whose: Arc<str>,
    pub selector: Selector,
}

/// What the new labels must, and should, match.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Constraints {
    /// Must not match any more.
    pub leave: Vec<NamedSelector>,
    /// Must go on matching.
    pub keep: Vec<NamedSelector>,
    /// Must not match if they do not match now.
    pub avoid: Vec<NamedSelector>,
    /// Should not match any more.
    pub wish_to_leave: Vec<NamedSelector>,
    /// Should go on matching.
    pub wish_to_keep: Vec<NamedSelector>,
    /// The objects whose selectors match whatever the labels are, though they should not.
    pub unavoidable: Vec<Arc<str>>,
    /// Keys that are never edited.
    pub fixed: BTreeSet<Arc<str>>,
    /// The agent's own labels, which are always written.
    pub added: Labels,
}

/// The edit of one label.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum LabelEdit {
    /// `true` becomes `false`, as a person would edit a toggle.
    SwitchOff,
    /// The value becomes `quarantined`.
    Replace,
    /// The key is removed.
    Remove,
}

impl LabelEdit {
    const ALL: [Self; 3] = [Self::SwitchOff, Self::Replace, Self::Remove];

    /// Whether the edit would change a label of that value.
    fn applies_to(self, value: Option<&str>) -> bool {
        match self {
            Self::SwitchOff => value == Some("true"),
            Self::Replace => value != Some(keys::QUARANTINED),
            Self::Remove => value.is_some(),
        }
    }

    /// `None` where the key is removed.
    #[must_use]
    pub fn value(self) -> Option<Arc<str>> {
        match self {
            Self::SwitchOff => Some("false".into()),
            Self::Replace => Some(keys::QUARANTINED.into()),
            Self::Remove => None,
        }
    }
}

/// The edit of each label that is edited.
pub type Edits = BTreeMap<Arc<str>, LabelEdit>;

/// The result of the search.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Detachment {
    /// The smallest set of edits with which all constraints hold.
    pub edits: Edits,
    /// All labels after the edits, the agent's own included.
    pub labels: Labels,
    /// The wishes that the labels do not fulfil.
    pub missed: Vec<Arc<str>>,
}

/// No set of edits satisfies the constraints.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub struct NoWayOut {
    /// The objects that prevent it: kind and name, with the selector.
    pub in_the_way: Vec<String>,
}

impl fmt::Display for NoWayOut {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "in the way: {}", self.in_the_way.join("; "))
    }
}

/// How many sets of edits are tried at most. A pod whose selectors use six keys has 4,096; with this many, and a
/// hundred selectors, the search ends within 25 ms, and the best set found so far is as safe as any other.
const MAX_TRIED: u32 = 10_000;

/// Searches for the edits.
pub fn detach(labels: &Labels, constraints: &Constraints) -> Result<Detachment, NoWayOut> {
    let mut search = Search::new(labels, constraints);
    search.run();
    let Some(best) = search.best else {
        return Err(explain(labels, constraints));
    };
    let labels = edited(labels, &best.edits, &constraints.added);
    let missed = constraints
        .missed(&labels)
        .map(|named| &named.whose)
        .chain(&constraints.unavoidable)
        .cloned()
        .collect();
    Ok(Detachment {
        edits: best.edits,
        labels,
        missed,
    })
}

/// The labels after these edits, with the agent's own.
#[must_use]
pub fn edited(labels: &Labels, edits: &Edits, added: &Labels) -> Labels {
    let mut labels = labels.clone();
    for (key, edit) in edits {
        match edit.value() {
            Some(value) => labels.insert(key.clone(), value),
            None => labels.remove(key),
        };
    }
    labels.extend(added.clone());
    labels
}

impl Constraints {
    /// The first constraint that the labels violate.
    fn broken(&self, labels: &Labels) -> Option<&NamedSelector> {
        for named in self.leave.iter().chain(&self.avoid) {
            if named.selector.matches(labels) {
                return Some(named);
            }
        }
        let mut keep = self.keep.iter();
        keep.find(|named| !named.selector.matches(labels))
    }

    /// The wishes that the labels do not fulfil.
    fn missed<'a>(&'a self, labels: &'a Labels) -> impl Iterator<Item = &'a NamedSelector> {
        let entered = self
            .wish_to_leave
            .iter()
            .filter(|named| named.selector.matches(labels));
        let left = self
            .wish_to_keep
            .iter()
            .filter(|named| !named.selector.matches(labels));
        entered.chain(left)
    }

    /// Every selector but those that must, or should, be left.
    fn others(&self) -> impl Iterator<Item = &NamedSelector> {
        self.keep
            .iter()
            .chain(&self.avoid)
            .chain(&self.wish_to_keep)
    }

    fn all(&self) -> impl Iterator<Item = &NamedSelector> {
        self.leave
            .iter()
            .chain(&self.wish_to_leave)
            .chain(self.others())
    }
}

/// A set of edits and how good it is; less is better, field by field.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct EditSet {
    missed_wishes: usize,
    size: usize,
    keeps_instance: bool,
    switches: Reverse<usize>,
    uses_by_others: usize,
    edits: Edits,
}

struct Search<'a> {
    constraints: &'a Constraints,
    /// What may be done to each key, and how many other selectors use it.
    options: Vec<(Arc<str>, Vec<LabelEdit>, usize)>,
    original: &'a Labels,
    /// The labels with the edits that are being tried.
    labels: Labels,
    edits: Edits,
    tried: u32,
    best: Option<EditSet>,
}

impl<'a> Search<'a> {
    fn new(original: &'a Labels, constraints: &'a Constraints) -> Self {
        let named: BTreeSet<&Arc<str>> = constraints
            .all()
            .flat_map(|named| named.selector.keys())
            .collect();
        let option = |key: &Arc<str>| {
            let value = original.get(key).map(AsRef::as_ref);
            let edits = LabelEdit::ALL
                .into_iter()
                .filter(|edit| edit.applies_to(value));
            let uses = constraints
                .others()
                .filter(|named| named.selector.keys().any(|used| used == key));
            (key.clone(), edits.collect(), uses.count())
        };
        Self {
            constraints,
            options: named
                .iter()
                .filter(|key| !key.starts_with(keys::PREFIX) && !constraints.fixed.contains(**key))
                .map(|key| option(key))
                .collect(),
            original,
            labels: edited(original, &Edits::new(), &constraints.added),
            edits: Edits::new(),
            tried: 0,
            best: None,
        }
    }

    /// Smaller sets first: once one fulfils every wish, no larger one is better.
    fn run(&mut self) {
        for size in 0..=self.options.len() {
            self.extend(0, size);
            let perfect = self
                .best
                .as_ref()
                .is_some_and(|best| best.missed_wishes == 0);
            if perfect || self.tried >= MAX_TRIED {
                return;
            }
        }
    }

    /// Tries every way to add `missing` more edits to keys from `first` on.
    fn extend(&mut self, first: usize, missing: usize) {
        if missing == 0 {
            self.try_edits();
            return;
        }
        let last = self.options.len().saturating_sub(missing);
        for index in first..=last {
            let Some((key, edits, _)) = self.options.get(index).cloned() else {
                return;
            };
            for edit in edits {
                if self.tried >= MAX_TRIED {
                    return;
                }
                self.set(&key, edit.value());
                self.edits.insert(key.clone(), edit);
                self.extend(index + 1, missing - 1);
                self.edits.remove(&key);
            }
            self.set(&key, self.original.get(&key).cloned());
        }
    }

    fn set(&mut self, key: &Arc<str>, value: Option<Arc<str>>) {
        match value {
            Some(value) => self.labels.insert(key.clone(), value),
            None => self.labels.remove(key),
        };
    }

    fn try_edits(&mut self) {
        self.tried += 1;
        if self.constraints.broken(&self.labels).is_some() {
            return;
        }
        let uses = self
            .options
            .iter()
            .filter(|(key, ..)| self.edits.contains_key(key))
            .map(|(.., uses)| uses);
        let switches = self
            .edits
            .values()
            .filter(|edit| **edit == LabelEdit::SwitchOff)
            .count();
        let set = EditSet {
            missed_wishes: self.constraints.missed(&self.labels).count(),
            size: self.edits.len(),
            keeps_instance: !self.edits.contains_key(keys::INSTANCE),
            switches: Reverse(switches),
            uses_by_others: uses.sum(),
            edits: self.edits.clone(),
        };
        if self.best.as_ref().is_none_or(|best| set < *best) {
            self.best = Some(set);
        }
    }
}

/// Names the constraint that cannot be satisfied even alone, else every constraint without which the search succeeds.
fn explain(labels: &Labels, constraints: &Constraints) -> NoWayOut {
    let show = |named: &NamedSelector| format!("{} ({})", named.whose, named.selector);
    let possible =
        |leave: Vec<NamedSelector>, keep: Vec<NamedSelector>, avoid: Vec<NamedSelector>| {
            let constraints = Constraints {
                leave,
                keep,
                avoid,
                wish_to_leave: Vec::new(),
                wish_to_keep: Vec::new(),
                ..constraints.clone()
            };
            let mut search = Search::new(labels, &constraints);
            search.run();
            search.best.is_some()
        };
    let mut in_the_way = Vec::new();
    for named in &constraints.leave {
        if !possible(vec![named.clone()], Vec::new(), Vec::new()) {
            in_the_way.push(show(named));
        }
    }
    if !in_the_way.is_empty() {
        return NoWayOut { in_the_way };
    }
    let without = |list: &[NamedSelector], left_out: &NamedSelector| -> Vec<NamedSelector> {
        list.iter()
            .filter(|named| *named != left_out)
            .cloned()
            .collect()
    };
    let hard = constraints
        .leave
        .iter()
        .chain(&constraints.keep)
        .chain(&constraints.avoid);
    for named in hard.clone() {
        if possible(
            without(&constraints.leave, named),
            without(&constraints.keep, named),
            without(&constraints.avoid, named),
        ) {
            in_the_way.push(show(named));
        }
    }
    if in_the_way.is_empty() {
        in_the_way.extend(hard.map(show));
    }
    NoWayOut { in_the_way }
}
