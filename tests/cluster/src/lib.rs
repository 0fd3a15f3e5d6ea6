//! A real Kubernetes on one machine, for the demo and the tests.
//!
//! [`Cluster::ensure`] brings up etcd, the control plane and a node with containerd in a network namespace of its own,
//! from nothing but Go modules and Debian packages; `cluster up` does the same from a shell. Tests run inside that
//! namespace, through `cluster exec -- COMMAND`, and begin with [`Cluster::attach`].
//!
//! `cluster up --for-demo` leaves out what only tests need ([`Extent::Demo`]); `cluster up` adds it to what runs.
//!
//! From pods and from that namespace, Prometheus is at `http://prometheus.monitoring:9090`. It scrapes each pod with the
//! annotations `prometheus.io/scrape: "true"` and `prometheus.io/port` every two seconds, and its series carry the labels
//! `namespace` and `pod`.
//!
//! | variable | meaning |
//! |---|---|
//! | `TEST_CLUSTER_DIR` | where everything of the cluster is; by default `cluster/` in cargo's target directory |
//! | `USE_EXISTING_CLUSTER=true`, `KUBECONFIG` | use that cluster instead and start nothing |
//! | `LOAD_IMAGE_COMMAND` | brings an image archive into an existing cluster, such as `kind load image-archive` |
//! | `KUBEBUILDER_ASSETS` | where etcd, kube-apiserver and kubectl are taken from, if they are there |

mod apply;
mod bring_up;
pub mod build;
mod certificates;
mod cgroups;
mod cluster;
mod components;
mod containerd;
mod control;
pub mod dockerfile;
mod exec;
mod health;
pub mod image;
mod kernel;
mod layout;
mod log;
mod mounts;
mod namespace;
mod netns;
mod parts;
mod process;
pub mod programs;
mod progress;
mod sign_in;
mod tear_down;
pub mod wait;

pub use cluster::Cluster;
pub use components::{Component, Extent};
pub use control::Control;
pub use namespace::TestNamespace;
pub use progress::{Progress, Step};
