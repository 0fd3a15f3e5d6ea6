//! The test workload.
fn main() {}
