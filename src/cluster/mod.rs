//! The API server: watches in, writes out. kube's types stay inside this module.

mod client;
mod leadership;
mod lookup;
mod watch;
mod write;

pub use self::{
    client::{
        BadProxy, ClientConfigError, ClusterFlags, ConnectionError, ConnectionFlags, ListPages,
        UserFlags, client, client_config, connect, error_chain, in_short, proxy_of,
    },
    leadership::{KIND as LEASE, LeaderCandidate, Leadership, lead},
    lookup::{Reader, UnreadablePod, read_pod},
    watch::{Installation, WatchEvent, WatchState, not_known, watches},
    write::{Kubernetes, lease_name},
};
