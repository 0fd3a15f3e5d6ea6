//! The search: all states, those that fewer steps lead to first, on two threads.

use std::{
    collections::{BTreeSet, HashMap, HashSet, hash_map::Entry},
    fmt,
    sync::{
        PoisonError, RwLock,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use crate::{
    known::Mark,
    model::{Model, Scope},
    promise::Violation,
    state::State,
};

const THREADS: usize = 2;

/// States that a thread takes at once.
const AT_ONCE: usize = 32;

/// What a search has seen.
pub(crate) struct Explored {
    pub(crate) states: usize,
    pub(crate) transitions: usize,
    /// The most steps that any state is away.
    pub(crate) depth: usize,
    pub(crate) endings: usize,
    pub(crate) values: usize,
    /// What the requests in it do.
    pub(crate) verbs: BTreeSet<&'static str>,
    pub(crate) time: Duration,
    pub(crate) found: Option<Found>,
}

/// What was promised and is not so, and the fewest steps that lead there.
pub(crate) struct Found {
    pub(crate) violation: Violation,
    pub(crate) trace: Vec<String>,
}

impl fmt::Display for Explored {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            formatter,
            "{} states, {} transitions, {} steps deep, {} endings, {} values, {:.1} s",
            self.states,
            self.transitions,
            self.depth,
            self.endings,
            self.values,
            self.time.as_secs_f64()
        )?;
        if let Some(found) = &self.found {
            write!(formatter, "\n{:?} after", found.violation)?;
            for (index, step) in found.trace.iter().enumerate() {
                write!(formatter, "\n{:>4}. {step}", index + 1)?;
            }
        }
        Ok(())
    }
}

/// What one thread makes of a part of a level.
#[derive(Default)]
struct Part {
    next: Vec<(Mark, Mark, State)>,
    /// The state that it was found from, and whether by the step after it.
    violations: Vec<(Mark, bool, Violation)>,
    transitions: usize,
    endings: usize,
}

struct Search {
    model: Model,
    /// Every state that was reached, and from which one.
    reached: HashMap<Mark, Mark>,
    ends_well: RwLock<HashSet<Mark>>,
}

/// Explores everything within a scope, up to the first violation.
pub(crate) fn explore(scope: Scope, says_how_far: bool) -> Explored {
    let began = Instant::now();
    let model = Model::new(scope);
    let start = model.start();
    let mut search = Search {
        reached: HashMap::from([(start.mark(), start.mark())]),
        model,
        ends_well: RwLock::default(),
    };
    let mut explored = Explored {
        states: 1,
        transitions: 0,
        depth: 0,
        endings: 0,
        values: 0,
        verbs: BTreeSet::new(),
        time: Duration::ZERO,
        found: None,
    };
    let mut level = vec![start];
    loop {
        let parts = search.expand(&level);
        level.clear();
        let mut violations = Vec::new();
        for part in parts {
            explored.transitions += part.transitions;
            explored.endings += part.endings;
            violations.extend(part.violations);
            for (mark, from, state) in part.next {
                if let Entry::Vacant(free) = search.reached.entry(mark) {
                    free.insert(from);
                    level.push(state);
                }
            }
        }
        explored.states = search.reached.len();
        explored.values = search.model.values();
        explored.verbs = search.model.verbs();
        explored.time = began.elapsed();
        if let Some((from, by_step, violation)) = violations.into_iter().min() {
            let trace = search.trace(from, by_step.then_some(&violation));
            explored.found = Some(Found { violation, trace });
            return explored;
        }
        if level.is_empty() {
            return explored;
        }
        explored.depth += 1;
        if says_how_far {
            println!("{explored}; {} to go on from", level.len());
        }
    }
}

impl Search {
    fn expand(&self, level: &[State]) -> Vec<Part> {
        let taken = AtomicUsize::new(0);
        thread::scope(|scope| {
            let work = || {
                let mut part = Part::default();
                loop {
                    let first = taken.fetch_add(AT_ONCE, Ordering::Relaxed);
                    let Some(states) = level.get(first..) else {
                        return part;
                    };
                    for state in states.iter().take(AT_ONCE) {
                        self.expand_one(state, &mut part);
                    }
                }
            };
            let threads: Vec<_> = (0..THREADS).map(|_| scope.spawn(work)).collect();
            let parts = threads
                .into_iter()
                .map(|thread| thread.join().expect("it ends"));
            parts.collect()
        })
    }

    fn expand_one(&self, state: &State, part: &mut Part) {
        let from = state.mark();
        let tried = |one_of| from.is_multiple_of(Mark::from(one_of));
        if self.model.scope.endings.is_some_and(tried) {
            part.endings += 1;
            let known = |mark| {
                let known = self
                    .ends_well
                    .read()
                    .unwrap_or_else(PoisonError::into_inner);
                known.contains(&mark)
            };
            match self.model.ends_well(state, &known) {
                Ok(way) => {
                    let mut known = self
                        .ends_well
                        .write()
                        .unwrap_or_else(PoisonError::into_inner);
                    known.extend(way);
                }
                Err(violation) => part.violations.push((from, false, violation)),
            }
        }
        self.model.steps(state, &mut |_, result| {
            part.transitions += 1;
            match result {
                Ok(next) => {
                    let mark = next.mark();
                    if !self.reached.contains_key(&mark) {
                        part.next.push((mark, from, next));
                    }
                }
                Err(violation) => part.violations.push((from, true, violation)),
            }
        });
    }

    /// The steps to a state, and the one that is the violation if it is one. The agents keep their own names on the way.
    fn trace(&self, to: Mark, violation: Option<&Violation>) -> Vec<String> {
        let mut marks = vec![to];
        let mut at = to;
        while self.reached[&at] != at {
            at = self.reached[&at];
            marks.push(at);
        }
        marks.pop();
        let mut state = self.model.start();
        let mut trace = Vec::new();
        while let Some(mark) = marks.pop() {
            let mut taken = None;
            self.model.steps(&state, &mut |step, result| {
                if let Ok(next) = result
                    && taken.is_none()
                    && next.mark() == mark
                {
                    taken = Some((step, next));
                }
            });
            let (step, next) = taken.expect("the state was reached by a step");
            trace.push(self.model.describe_step(step, &state));
            state = next;
        }
        if let Some(violation) = violation {
            let mut last = None;
            self.model.steps(&state, &mut |step, result| {
                if result.err().as_ref() == Some(violation) && last.is_none() {
                    last = Some(step);
                }
            });
            let last = last.expect("the violation is found again");
            trace.push(self.model.describe_step(last, &state));
        }
        trace
    }
}
