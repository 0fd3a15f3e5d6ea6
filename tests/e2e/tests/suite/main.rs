//! The agent on a real cluster. Runs inside the cluster's network namespace: `make test`.

#![allow(clippy::float_cmp, reason = "metrics here are whole numbers")]
#![allow(
    clippy::indexing_slicing,
    reason = "a test that finds nothing where something must be has failed"
)]
#![allow(
    clippy::large_futures,
    reason = "a test's future is made once, and moved nowhere"
)]

mod admission;
mod autoscaler;
mod availability;
mod confinement;
mod doubt;
mod effect;
mod endings;
mod faults;
mod faults_api_server;
mod faults_busy_pod;
mod faults_kill;
mod faults_ledger;
mod faults_policy_file;
mod faults_prometheus;
mod faults_stop;
mod faults_two_agents;
mod install;
mod install_page;
mod kubectl;
mod kubectl_jsonpath;
mod kubectl_proxies;
mod leadership;
mod limits;
mod modes;
mod ordinary_clusters;
mod overrides;
mod owners;
mod pacing;
mod pause;
mod plugin;
mod plugin_watch;
mod plugin_why;
mod probe;
mod prometheus;
mod quarantine;
mod reap;
mod record;
mod release;
mod replacement;
mod reporting;
mod selectors;
mod storm;
mod tenants;
mod toggles;
mod uninstall;
