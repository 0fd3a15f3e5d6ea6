//! When `/healthz` was answered, and with what: `GET /answers` on the control port.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// As many answers as are kept.
const KEPT: usize = 64;

/// One answer of `/healthz`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Answered {
    /// When it was handed to the connection.
    pub at: Timestamp,
    /// Its status.
    pub status: u16,
}

/// The last answers, the oldest first.
#[derive(Debug, Default)]
pub(crate) struct LastAnswers(Mutex<VecDeque<Answered>>);

impl LastAnswers {
    pub(crate) fn add(&self, status: u16) {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.len() == KEPT {
            kept.pop_front();
        }
        kept.push_back(Answered {
            at: Timestamp::now(),
            status,
        });
    }

    pub(crate) fn all(&self) -> Vec<Answered> {
        let kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        kept.iter().copied().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_answers_are_kept_in_their_order() {
        let answers = LastAnswers::default();
        for status in 200..300 {
            answers.add(status);
        }
        let kept = answers.all();
        assert_eq!(kept.len(), KEPT);
        assert_eq!(kept[KEPT - 1].status, 299);
        assert!(kept.is_sorted_by(|one, next| one.at <= next.at && one.status < next.status));
    }
}
