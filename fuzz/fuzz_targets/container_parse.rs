//! Arbitrary bytes as a container: as the naive model reads it, and in memory of the size that is promised.
//!
//! The first byte says how much of the input is data, the rest is metadata that gets its trailer; or if it is 255, that the input
//! is the file.
#![no_main]

#[path = "../../tests/container/model/mod.rs"]
mod model;
#[path = "../counted.rs"]
mod counted;

use std::sync::atomic::Ordering::Relaxed;

use model::compare;
use counted::{MOST, NOW};
use fdckpt::{BlockIndex, Container};
use libfuzzer_sys::fuzz_target;

fn file(case: &[u8]) -> Vec<u8> {
    let Some((&first, rest)) = case.split_first() else { return Vec::new() };
    let mut file = rest.to_vec();
    if first != 255 {
        let metadata = rest.len() - rest.len().min(first.into());
        file.extend((metadata as u32).to_le_bytes());
        file.extend(b"CKPT");
    }
    file
}

fuzz_target!(|case: &[u8]| {
    let file = file(case);
    let before = NOW.load(Relaxed);
    MOST.store(before, Relaxed);
    drop(Container::parse(&file));
    let most = MOST.load(Relaxed) - before;
    assert!(most <= 30 * file.len() + (16 << 10), "{most} bytes for {}", file.len());
    compare(&file);
    if let Ok(index) = BlockIndex::decode(&file) {
        assert!(index.blocks.len() * 41 <= file.len());
        if index.stop.is_none() {
            assert_eq!(index.encode().unwrap(), file);
        }
    }
});
