//! Why nothing new is quarantined although the view of the cluster is current.

use strum::IntoStaticStr;

#[derive(Clone, Copy, Debug, PartialEq, Eq, IntoStaticStr)]
pub enum Doubt {
    /// The clocks differ: no time can be trusted, so nothing is reaped either.
    #[strum(serialize = "the agent's clock and the API server's are more than a minute apart")]
    ClockIsOff,
    /// The latest policy file has errors: what people want now is not known.
    #[strum(serialize = "the policy file has changed, and is refused")]
    PolicyFileRefused,
}

impl Doubt {
    /// The sentence that refusals show.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        self.into()
    }
}
