//! Runs one target, the one that `FUZZ_TARGET` names, on the bytes that libFuzzer chooses. `make fuzz` starts it.
#![no_main]
#![allow(clippy::expect_used, reason = "a program of the tests")]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use test_fuzz::Target;

static TARGET: LazyLock<Target> = LazyLock::new(|| {
    let name = std::env::var("FUZZ_TARGET").expect("FUZZ_TARGET names a target");
    test_fuzz::target(&name).expect("there is a target of that name")
});

fuzz_target!(|bytes: &[u8]| TARGET(bytes));
