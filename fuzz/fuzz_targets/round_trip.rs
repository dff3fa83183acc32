//! Arbitrary sequences of calls make a checkpoint and restore it: as the naive model does.
#![no_main]

#[path = "../../tests/frames/model/mod.rs"]
mod model;

use std::cell::RefCell;

use fdckpt as _;
use libfuzzer_sys::fuzz_target;
use model::compare::round_trip;
use model::library_driver::{Bench, silence};

thread_local!(static BENCH: RefCell<Bench> = RefCell::new(Bench::new()));

fuzz_target!(init: silence(), |case: &[u8]| BENCH.with_borrow_mut(|bench| round_trip(bench, case, false)));
