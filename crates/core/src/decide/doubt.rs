//! Why nothing new is quarantined although the view of the cluster is current.

use strum::IntoStaticStr;

#[derive(Clone, Copy, Debug, PartialEq, Eq, IntoStaticStr)]
pub enum Doubt {
    /// The clocks differ: no time can be trusted.
    #[strum(serialize = "the agent's clock and the API server's are more than a minute apart")]
    ClockIsOff,
    #[strum(serialize = "no answer of the API server has had a Date within the last minute")]
    TimeUnknown,
    #[strum(serialize = "the API server's time has changed by a step within the last minute")]
    TimeStepped,
    /// The latest policy file has errors: what people want now is not known.
    #[strum(serialize = "the policy file has changed, and is refused")]
    PolicyFileRefused,
}

impl Doubt {
    /// Whether no time can be trusted: then nothing is reaped, and nothing is released by itself.
    #[must_use]
    pub fn is_about_time(self) -> bool {
        match self {
            Self::ClockIsOff | Self::TimeUnknown | Self::TimeStepped => true,
            Self::PolicyFileRefused => false,
        }
    }

    /// The sentence that refusals show.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        self.into()
    }
}
