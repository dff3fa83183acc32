//! The first byte chooses what the other targets do; here always through pipes too, so that all modes are compared with each
//! other. Slower, as pipes take threads.
#![no_main]

#[path = "../../ctests/model/mod.rs"]
mod model;

use std::cell::RefCell;

use fdckpt as _;
use libfuzzer_sys::fuzz_target;
use model::check::{restore_anything, round_trip};
use model::ours::{Bench, silence};

thread_local!(static BENCH: RefCell<Bench> = RefCell::new(Bench::new()));

fuzz_target!(init: silence(), |case: &[u8]| {
    let Some((&choice, case)) = case.split_first() else { return };
    let check = if choice % 2 == 0 { round_trip } else { restore_anything };
    BENCH.with_borrow_mut(|bench| check(bench, case, true));
});
