//! Arbitrary checkpoints, and real ones that were tampered with: refused without a trace, or gone on from.
#![no_main]

#[path = "../../tests/common/deflate/mod.rs"]
mod deflate;

use libfuzzer_sys::fuzz_target;

fuzz_target!(|case: &[u8]| deflate::run::restore(case));
