//! Doubts that are not about the cluster.

use strum::IntoStaticStr;

/// Why nothing new is quarantined although the view is current.
#[derive(Clone, Copy, Debug, PartialEq, Eq, IntoStaticStr)]
pub enum Doubt {
    /// No time can be trusted: nothing is reaped either.
    #[strum(serialize = "the agent's clock and the API server's are more than a minute apart")]
    ClockIsOff,
    /// What people want now is not known.
    #[strum(serialize = "the policy file has changed, and is refused")]
    PolicyFileRefused,
}

impl Doubt {
    /// The sentence.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        self.into()
    }
}
