//! Something that must never be, and where and when it was.

use std::fmt;

use jiff::Timestamp;

/// Something that must never be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Wrong {
    /// The quarantine began at or above these limits.
    OverTheCap(Vec<String>),
    /// Labels that differ from those that the pod was made with: the key, how it was, how it is.
    LabelsLost(Vec<(String, Option<String>, Option<String>)>),
    /// It was quarantined before it was seen otherwise, so that nothing can be said of its labels.
    Unknown,
    /// This befell a pod without anybody who may ask for it having asked.
    Unasked(&'static str),
    /// A quarantine was asked for, and there was room for it.
    NotInTime(String),
}

/// Where and when something was wrong.
#[derive(Clone, Debug)]
pub(crate) struct Finding {
    pub(crate) pod: String,
    pub(crate) version: u64,
    pub(crate) at: Timestamp,
    pub(crate) wrong: Wrong,
    /// The pods that were quarantined then, each with the version in which that began.
    pub(crate) quarantined: Vec<String>,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            pod, version, at, ..
        } = self;
        match &self.wrong {
            Wrong::OverTheCap(scopes) => write!(
                f,
                "{at} {pod}, version {version}: its quarantine began over the cap ({}); quarantined then: {}",
                scopes.join(", "),
                self.quarantined.join(", ")
            ),
            Wrong::LabelsLost(labels) => {
                write!(f, "{at} {pod}, version {version}: labels lost:")?;
                let text = |value: &Option<String>| value.clone().unwrap_or_else(|| "none".into());
                for (key, was, is) in labels {
                    write!(f, " {key} was {}, is {}", text(was), text(is))?;
                }
                Ok(())
            }
            Wrong::Unasked(what) => write!(
                f,
                "{at} {pod}, version {version}: {what}, and nobody had asked for that"
            ),
            Wrong::NotInTime(why) => write!(
                f,
                "{at} {pod}: a quarantine was asked for, and none began: {why}"
            ),
            Wrong::Unknown => write!(
                f,
                "{at} {pod}, version {version}: it was quarantined when it was first seen"
            ),
        }
    }
}
