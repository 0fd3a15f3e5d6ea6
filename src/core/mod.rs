//! What is decided, and why: no clock, no network, no async, no client type.
