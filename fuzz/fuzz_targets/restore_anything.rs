//! Arbitrary bytes, or a checkpoint that was tampered with, are restored by arbitrary calls: as the naive model does.
#![no_main]

#[path = "../../tests/frames/model/mod.rs"]
mod model;

use std::cell::RefCell;

use fdckpt as _;
use libfuzzer_sys::fuzz_target;
use model::compare::restore_anything;
use model::library_driver::{Bench, silence};

thread_local!(static BENCH: RefCell<Bench> = RefCell::new(Bench::new()));

fuzz_target!(init: silence(), |case: &[u8]| BENCH.with_borrow_mut(|bench| restore_anything(bench, case, false)));
