//! A pod that was read elsewhere than in a watch, as the core sees it.

use serde::{Deserialize, Serialize};

use crate::{
    cluster::{
        client::BadObject,
        watch::{Converter, WirePod},
    },
    core::object::Pod,
};

/// A pod that cannot be understood.
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

/// Reads any form of a pod that the API server sends: the whole of it, or its metadata alone.
pub fn read_pod(pod: &impl Serialize) -> Result<Pod, UnreadablePod> {
    let wire = WirePod::deserialize(serde_json::to_value(pod)?)?;
    Ok(Converter::default().pod(&wire)?)
}
