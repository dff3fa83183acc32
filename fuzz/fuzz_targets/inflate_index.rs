//! Indexes and inputs that were tampered with: refused, or what is read is right.
#![no_main]

#[path = "../../tests/common/deflate/mod.rs"]
mod deflate;

use libfuzzer_sys::fuzz_target;

fuzz_target!(|case: &[u8]| deflate::run::index(case));
