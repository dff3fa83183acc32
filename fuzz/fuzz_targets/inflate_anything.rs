//! Arbitrary streams of any format, in arbitrary pieces with checkpoints between them: as in one go, and as other decoders have them.
#![no_main]

#[path = "../../tests/common/deflate/mod.rs"]
mod deflate;

use libfuzzer_sys::fuzz_target;

fuzz_target!(|case: &[u8]| deflate::run::anything(case));
