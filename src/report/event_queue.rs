//! Events that wait to be published: each namespace has its turn, and its share of the room.

use std::{
    collections::{BTreeMap, VecDeque},
    ops::Bound,
};

use super::events::AgentEvent;

/// Events that wait in all; more are dropped.
const WAITING: usize = 1000;

/// Events that wait about objects of one namespace: whoever may patch pods there can cause many.
const WAITING_OF_A_NAMESPACE: usize = WAITING / 8;

#[derive(Default)]
pub(super) struct EventQueue {
    of_namespaces: BTreeMap<String, VecDeque<AgentEvent>>,
    waiting: usize,
    /// The namespace that had the last turn.
    last: String,
}

impl EventQueue {
    /// Adds an Event. False if there is no room for it.
    pub(super) fn push(&mut self, event: AgentEvent) -> bool {
        let namespace = event.regarding.namespace.clone().unwrap_or_default();
        let of_namespace = self.of_namespaces.get(&namespace);
        let waiting = of_namespace.map_or(0, VecDeque::len);
        if self.waiting >= WAITING || waiting >= WAITING_OF_A_NAMESPACE {
            return false;
        }
        let queue = self.of_namespaces.entry(namespace).or_default();
        queue.push_back(event);
        self.waiting += 1;
        true
    }

    /// Takes the first Event of the next namespace.
    pub(super) fn pop(&mut self) -> Option<AgentEvent> {
        let after = (Bound::Excluded(self.last.clone()), Bound::Unbounded);
        let next = self.of_namespaces.range(after).next();
        let next = next.or_else(|| self.of_namespaces.first_key_value());
        let namespace = next?.0.clone();
        let queue = self.of_namespaces.get_mut(&namespace)?;
        let event = queue.pop_front();
        if queue.is_empty() {
            self.of_namespaces.remove(&namespace);
        }
        self.waiting -= usize::from(event.is_some());
        self.last = namespace;
        event
    }
}

#[cfg(test)]
mod tests {
    use k8s_openapi::api::core::v1::ObjectReference;
    use kube::runtime::events::{Event, EventType};

    use super::*;

    fn event(namespace: &str, number: usize) -> AgentEvent {
        AgentEvent {
            regarding: ObjectReference {
                namespace: Some(namespace.to_owned()),
                name: Some(number.to_string()),
                ..ObjectReference::default()
            },
            event: Event {
                type_: EventType::Normal,
                reason: String::new(),
                note: None,
                action: String::new(),
                secondary: None,
            },
        }
    }

    #[test]
    fn a_namespace_with_many_events_takes_its_share_and_its_turns() {
        let mut queue = EventQueue::default();
        let queued = (0..2000).filter(|number| queue.push(event("evil", *number)));
        assert_eq!(queued.count(), WAITING_OF_A_NAMESPACE);
        for number in 0..3 {
            assert!(queue.push(event("shop", number)));
            assert!(queue.push(event("bank", number)));
        }
        let of = |event: AgentEvent| event.regarding.namespace.unwrap();
        let first: Vec<String> = (0..7).filter_map(|_| queue.pop().map(of)).collect();
        assert_eq!(
            first,
            ["bank", "evil", "shop", "bank", "evil", "shop", "bank"]
        );
        let rest = std::iter::from_fn(|| queue.pop()).count();
        assert_eq!(rest, WAITING_OF_A_NAMESPACE + 6 - 7);
        assert!(queue.push(event("evil", 0)));
    }

    /// An empty turn would be taken for an empty queue.
    #[test]
    fn a_namespace_without_room_has_no_turn() {
        let mut queue = EventQueue::default();
        for number in 0..WAITING {
            assert!(queue.push(event(&format!("evil-{}", number % 8), number)));
        }
        assert!(!queue.push(event("bank", 0)));
        let taken = std::iter::from_fn(|| queue.pop()).count();
        assert_eq!(taken, WAITING);
    }
}
