//! The answers to questions about single pods.

use super::Decider;
use crate::{
    core::explain::{Explanation, explain},
    report::explain::Question,
};

impl Decider {
    /// Answers from the present view and the last decision. The client may have disconnected.
    pub(super) fn answer(&self, question: Question) {
        let now = self.handles.clock.now();
        let (file, view) = (&self.file, &self.view);
        let (judge, state) = (&self.judge, &self.state);
        let explanation = explain(&question.pod, file, view, judge, state, self.doubt(), now);
        let _ = question.answer.send(Explanation {
            acts: self.leads,
            ..explanation
        });
    }
}
