//! The first byte chooses what the other targets do; here always through pipes too, so that all modes are compared with each
//! other. Slower, as pipes take threads.
#![no_main]

#[path = "../../tests/frames/model/mod.rs"]
mod model;

use std::cell::RefCell;

use fdckpt as _;
use libfuzzer_sys::fuzz_target;
use model::compare::all_modes;
use model::library_driver::{Bench, silence};

thread_local!(static BENCH: RefCell<Bench> = RefCell::new(Bench::new()));

fuzz_target!(init: silence(), |case: &[u8]| BENCH.with_borrow_mut(|bench| all_modes(bench, case)));
