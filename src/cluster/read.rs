//! A pod that was read elsewhere than in a watch, as the core sees it.

use serde::{Deserialize, Serialize};

use super::{convert::Shared, wire::WirePod};
use crate::core::object::Pod;

/// A pod that cannot be understood.
#[derive(Debug, thiserror::Error)]
#[error("read a pod: {0}")]
pub struct UnreadablePod(String);

/// Reads any form of a pod that the API server sends: the whole of it, or its metadata alone.
pub fn read_pod(pod: &impl Serialize) -> Result<Pod, UnreadablePod> {
    let unreadable = |error: &dyn std::fmt::Display| UnreadablePod(error.to_string());
    let value = serde_json::to_value(pod).map_err(|error| unreadable(&error))?;
    let wire = WirePod::deserialize(value).map_err(|error| unreadable(&error))?;
    Shared::default()
        .pod(&wire)
        .map_err(|error| unreadable(&error))
}
