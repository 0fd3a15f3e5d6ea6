//! A real Kubernetes on one machine, for the demo and the tests.
//!
//! [`Cluster::ensure`] brings up etcd, the control plane and a node with containerd in a network namespace of its own,
//! from nothing but Go modules and Debian packages; `cluster up` does the same from a shell. Tests run inside that
//! namespace, through `cluster exec -- COMMAND`, and begin with [`Cluster::attach`].

mod apply;
mod bring_up;
pub mod build;
mod certificates;
mod cgroups;
mod cluster;
mod components;
mod containerd;
mod control;
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
pub use components::Component;
pub use control::Control;
pub use namespace::TestNamespace;
pub use progress::Progress;
