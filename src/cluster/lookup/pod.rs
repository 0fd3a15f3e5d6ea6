//! Reads pods that do not come from a watch into the core's type.

use serde::{Deserialize, Serialize};

use crate::{
    cluster::{
        client::BadObject,
        watch::{Converter, WirePod},
    },
    core::object::Pod,
};

/// A pod that cannot be read.
#[derive(Debug, thiserror::Error)]
#[error("read a pod: {0}")]
pub struct UnreadablePod(String);

impl From<serde_json::Error> for UnreadablePod {
    fn from(error: serde_json::Error) -> Self {
        Self(error.to_string())
    }
}

impl From<BadObject> for UnreadablePod {
    fn from(error: BadObject) -> Self {
        Self(error.to_string())
    }
}

/// Reads any form of a pod that the API server sends: the whole object, or only its metadata.
pub fn read_pod(pod: &impl Serialize) -> Result<Pod, UnreadablePod> {
    let wire = WirePod::deserialize(serde_json::to_value(pod)?)?;
    Ok(Converter::default().pod(&wire)?)
}
