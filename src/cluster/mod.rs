//! The API server: watches in, writes out. kube's types stay inside this module.

mod client;
mod leadership;
mod lookup;
mod watch;
mod write;

pub use self::{
    client::{ClientConfigError, ListPages, client, client_config, error_chain, in_short},
    leadership::{KIND as LEASE, LeaderCandidate, Leadership, lead},
    lookup::{Reader, UnreadablePod, read_pod},
    watch::{WatchEvent, WatchState, watches},
    write::Kubernetes,
};
