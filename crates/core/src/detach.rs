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
    text::truncate,
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
    /// How many sets of edits were tried.
    pub tried: u32,
    /// What a search takes time for: how many requirements of selectors were looked at; a set of edits counts as ten more.
    pub work: usize,
}

/// No set of edits satisfies the constraints.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub struct NoWayOut {
    /// The objects that prevent it: kind and name, with the selector. Of many only the first are named.
    pub in_the_way: Vec<String>,
    /// How many sets of edits were tried.
    pub tried: u32,
    /// What a search takes time for: how many requirements of selectors were looked at; a set of edits counts as ten more.
    pub work: usize,
}

impl NoWayOut {
    fn new<'a>(
        in_the_way: impl Iterator<Item = &'a NamedSelector>,
        tried: u32,
        work: usize,
    ) -> Self {
        let all: Vec<&NamedSelector> = in_the_way.collect();
        let mut in_the_way: Vec<String> = all
            .iter()
            .take(MAX_NAMED)
            .map(|named| show(named))
            .collect();
        if all.len() > MAX_NAMED {
            in_the_way.push(format!("and {} more", all.len() - MAX_NAMED));
        }
        Self {
            in_the_way,
            tried,
            work,
        }
    }
}

fn show(named: &NamedSelector) -> String {
    let selector = named.selector.to_string();
    let shown = truncate(&selector, SHOWN_BYTES);
    let rest = if shown.len() < selector.len() {
        "…"
    } else {
        ""
    };
    format!("{} ({shown}{rest})", named.whose)
}

impl fmt::Display for NoWayOut {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "in the way: {}", self.in_the_way.join("; "))
    }
}

/// How many sets of edits are tried at most, for one pod. A pod whose selectors use six keys has 4,096. After that the
/// best set found so far is as safe as any other.
const MAX_TRIED: u32 = 10_000;

/// As many requirements as are looked at in the time in which a set of edits is tried that the first one rules out.
const WORK_OF_A_SET: usize = 10;

/// How much work the search is at most, for one pod: a selector may have hundreds of requirements, and a namespace hundreds
/// of selectors. 10,000 sets beside selectors of a few requirements are less.
const MAX_WORK: usize = 200_000;

/// How many sets are tried at most to name what stands in the way, after the search has failed.
const MAX_TRIED_TO_EXPLAIN: u32 = 2_000;

/// How much work that is at most.
const MAX_WORK_TO_EXPLAIN: usize = 50_000;

/// How many objects in the way are named; the others are counted.
const MAX_NAMED: usize = 5;

/// How much is shown of a selector in the way.
const SHOWN_BYTES: usize = 256;

/// Searches for the edits.
pub fn detach(labels: &Labels, constraints: &Constraints) -> Result<Detachment, NoWayOut> {
    let reach = Reach {
        labels,
        constraints,
    };
    let stuck = || {
        constraints
            .leave
            .iter()
            .filter(|named| !reach.can_leave(&named.selector))
    };
    if stuck().next().is_some() {
        return Err(NoWayOut::new(stuck(), 0, constraints.size()));
    }
    // Most selectors of a namespace are of other applications: no edit makes a pod match them.
    let relevant = Constraints {
        avoid: constraints
            .avoid
            .iter()
            .filter(|named| reach.can_enter(&named.selector))
            .cloned()
            .collect(),
        ..constraints.clone()
    };
    let uses = constraints.uses();
    let mut search = Search::new(labels, &relevant, &uses, MAX_TRIED, MAX_WORK);
    search.run();
    let Search { best, tried, .. } = search;
    // Before the search, all selectors were looked at.
    let work = search.work + constraints.size();
    let Some(best) = best else {
        return Err(explain(labels, &relevant, &uses, tried, work));
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
        tried,
        work,
    })
}

/// What labels can become by any edits at all.
struct Reach<'a> {
    labels: &'a Labels,
    constraints: &'a Constraints,
}

impl Reach<'_> {
    /// The values that a key may have; `None` for none.
    fn values(&self, key: &str) -> Vec<Option<Arc<str>>> {
        if let Some(added) = self.constraints.added.get(key) {
            return vec![Some(added.clone())];
        }
        let now = self.labels.get(key);
        let mut values = vec![now.cloned()];
        if self.constraints.may_edit(key) {
            let now = now.map(AsRef::as_ref);
            let edits = LabelEdit::ALL
                .into_iter()
                .filter(|edit| edit.applies_to(now));
            values.extend(edits.map(LabelEdit::value));
        }
        values
    }

    /// Whether some edits make a selector not match. One requirement that does not hold is enough.
    fn can_leave(&self, selector: &Selector) -> bool {
        let mut requirements = selector.requirements().iter();
        requirements.any(|one| {
            let mut values = self.values(&one.key).into_iter();
            values.any(|value| !one.allows(value.as_deref()))
        })
    }

    /// Whether some edits may make a selector match: each requirement must be able to hold.
    fn can_enter(&self, selector: &Selector) -> bool {
        let mut requirements = selector.requirements().iter();
        requirements.all(|one| {
            let mut values = self.values(&one.key).into_iter();
            values.any(|value| one.allows(value.as_deref()))
        })
    }
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
    /// Whether the labels violate a constraint; counts the requirements that are looked at.
    fn reject(&self, labels: &Labels, work: &mut usize) -> bool {
        let mut taking = self.leave.iter().chain(&self.avoid);
        let mut keep = self.keep.iter();
        taking.any(|named| named.selector.compare(labels, work))
            || keep.any(|named| !named.selector.compare(labels, work))
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

    /// Whether a key is ever edited.
    fn may_edit(&self, key: &str) -> bool {
        !key.starts_with(keys::PREFIX) && !self.fixed.contains(key)
    }

    /// How many selectors but those that must, or should, be left use each key.
    fn uses(&self) -> BTreeMap<Arc<str>, usize> {
        let mut uses = BTreeMap::new();
        for named in self.others() {
            let keys: BTreeSet<&Arc<str>> = named.selector.keys().collect();
            for key in keys {
                *uses.entry(key.clone()).or_default() += 1;
            }
        }
        uses
    }

    /// How many selectors there are, with all their requirements and values.
    pub(crate) fn size(&self) -> usize {
        self.all().map(|named| 1 + named.selector.size()).sum()
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
    may_try: u32,
    work: usize,
    may_work: usize,
    best: Option<EditSet>,
}

impl<'a> Search<'a> {
    fn new(
        original: &'a Labels,
        constraints: &'a Constraints,
        uses: &BTreeMap<Arc<str>, usize>,
        may_try: u32,
        may_work: usize,
    ) -> Self {
        let named: BTreeSet<&Arc<str>> = constraints
            .all()
            .flat_map(|named| named.selector.keys())
            .collect();
        let option = |key: &Arc<str>| {
            let value = original.get(key).map(AsRef::as_ref);
            let edits = LabelEdit::ALL
                .into_iter()
                .filter(|edit| edit.applies_to(value));
            (
                key.clone(),
                edits.collect(),
                uses.get(key).copied().unwrap_or(0),
            )
        };
        Self {
            constraints,
            options: named
                .into_iter()
                .filter(|key| constraints.may_edit(key))
                .map(option)
                .collect(),
            original,
            labels: edited(original, &Edits::new(), &constraints.added),
            edits: Edits::new(),
            tried: 0,
            may_try,
            work: 0,
            may_work,
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
            if perfect || self.is_over() {
                return;
            }
        }
    }

    /// Whether it has tried as many sets, or worked as much, as it may.
    fn is_over(&self) -> bool {
        self.tried >= self.may_try || self.work >= self.may_work
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
                if self.is_over() {
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
        self.work += WORK_OF_A_SET;
        let constraints = self.constraints;
        if constraints.reject(&self.labels, &mut self.work) {
            return;
        }
        let wishes = constraints.wish_to_leave.iter();
        let wishes = wishes.chain(&constraints.wish_to_keep);
        let of_wishes = wishes.map(|named| named.selector.requirements().len());
        // The keys are gone through, too, to compare sets that will do.
        self.work += of_wishes.sum::<usize>() + self.options.len();
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
            missed_wishes: constraints.missed(&self.labels).count(),
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

/// Names every constraint without which the search succeeds; all of them where there is no such one.
fn explain(
    labels: &Labels,
    constraints: &Constraints,
    uses: &BTreeMap<Arc<str>, usize>,
    mut tried: u32,
    mut work: usize,
) -> NoWayOut {
    let mut may_try = MAX_TRIED_TO_EXPLAIN;
    let mut may_work = MAX_WORK_TO_EXPLAIN;
    let size = constraints.size();
    let mut possible_without = |left_out: &NamedSelector| {
        if may_try == 0 || may_work == 0 {
            return false;
        }
        let others = |list: &[NamedSelector]| -> Vec<NamedSelector> {
            let others = list.iter().filter(|named| *named != left_out);
            others.cloned().collect()
        };
        let constraints = Constraints {
            leave: others(&constraints.leave),
            keep: others(&constraints.keep),
            avoid: others(&constraints.avoid),
            wish_to_leave: Vec::new(),
            wish_to_keep: Vec::new(),
            unavoidable: constraints.unavoidable.clone(),
            fixed: constraints.fixed.clone(),
            added: constraints.added.clone(),
        };
        let mut search = Search::new(labels, &constraints, uses, may_try, may_work);
        search.run();
        may_try = may_try.saturating_sub(search.tried);
        tried += search.tried;
        // All the others were copied.
        let work_here = size + search.work;
        may_work = may_work.saturating_sub(work_here);
        work += work_here;
        search.best.is_some()
    };
    let hard = || {
        constraints
            .leave
            .iter()
            .chain(&constraints.keep)
            .chain(&constraints.avoid)
    };
    let in_the_way: Vec<&NamedSelector> = hard().filter(|named| possible_without(named)).collect();
    if in_the_way.is_empty() {
        return NoWayOut::new(hard(), tried, work);
    }
    NoWayOut::new(in_the_way.into_iter(), tried, work)
}
