//! Arbitrary bytes, or a checkpoint that was tampered with, are restored by arbitrary calls: as the naive model does.
#![no_main]

#[path = "../../ctests/model/mod.rs"]
mod model;

use std::cell::RefCell;

use fdckpt as _;
use libfuzzer_sys::fuzz_target;
use model::check::restore_anything;
use model::ours::{Bench, silence};

thread_local!(static BENCH: RefCell<Bench> = RefCell::new(Bench::new()));

fuzz_target!(init: silence(), |case: &[u8]| BENCH.with_borrow_mut(|bench| restore_anything(bench, case, false)));
