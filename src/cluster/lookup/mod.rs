//! What no watch reports: read once, when it is needed, and dropped. So these are k8s-openapi's own types.

mod drain;
mod needs;
mod node;
mod pod;
mod quota;
mod reader;

pub use self::{
    pod::{UnreadablePod, read_pod},
    reader::Reader,
};
