//! The container where memory is short: every allocation fails once, and each call tells so and leaves things as they were. And
//! how much memory reading takes at most.
//!
//! Nothing else may be in this file: the allocator below is for all of the process.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::io::Write;

use fdckpt::{Block, BlockIndex, Container, Error};

/// The system's allocator, which counts what a thread asks for, and fails when told so.
struct Failing;

thread_local! {
    /// What is in use, and the most of it. (A thread also frees what another one has allocated.)
    static NOW: Cell<isize> = const { Cell::new(0) };
    static MOST: Cell<isize> = const { Cell::new(0) };
    /// Allocations until one fails, counted from 1; 0 for never.
    static FAILS_IN: Cell<u64> = const { Cell::new(0) };
}

// SAFETY: passes on to the system's, or fails.
unsafe impl GlobalAlloc for Failing {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let left = FAILS_IN.get();
        FAILS_IN.set(left.saturating_sub(1));
        if left == 1 {
            return std::ptr::null_mut();
        }
        // realloc is alloc, copy and dealloc by default, so that both count at once, as at worst they do.
        NOW.set(NOW.get() + layout.size() as isize);
        MOST.set(MOST.get().max(NOW.get()));
        // SAFETY: the caller's promise.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        NOW.set(NOW.get() - layout.size() as isize);
        // SAFETY: the caller's promise.
        unsafe { System.dealloc(memory, layout) }
    }
}

#[global_allocator]
static FAILING: Failing = Failing;

/// Calls `call` again and again: the first allocation in it fails, then the second, until there are no more. Returns how many
/// there are.
fn at_each_allocation<T>(mut call: impl FnMut() -> Result<T, Error>) -> u64 {
    for n in 1.. {
        FAILS_IN.set(n);
        let result = call();
        let not_reached = FAILS_IN.replace(0) > 0;
        match result {
            Ok(_) => {
                assert!(not_reached, "allocation {n} has failed, and the call has not");
                return n - 1;
            }
            Err(error) => assert!(error == Error::OutOfMemory && !not_reached, "allocation {n}: {error:?}"),
        }
    }
    unreachable!()
}

fn file(text: &str) -> Vec<u8> {
    [b"data", text.as_bytes(), &(text.len() as u32).to_le_bytes(), b"CKPT"].concat()
}

#[test]
fn any_allocation_can_fail() {
    let data = vec![7; 100_000];
    let mut container = Container::new();
    assert!(at_each_allocation(|| container.set(1, &data)) > 0);
    for kind in 2..10 {
        at_each_allocation(|| container.set(kind, &data));
    }
    assert_eq!(container.len(), 9);
    assert_eq!(at_each_allocation(|| container.remove(9)), 0);
    assert_eq!(at_each_allocation(|| container.serialized_size()), 0);
    assert!(at_each_allocation(|| container.serialize()) >= 2);
    let written = container.serialize().unwrap();
    assert!(at_each_allocation(|| Container::parse(&written).map(drop)) > 0);
    let file = file(r#"{"sections":[{},{},{},{},{},{},{}]}"#);
    let parsed = Container::parse(&file).unwrap();
    assert!(at_each_allocation(|| parsed.verify()) > 2);
    let target = tempfile::tempfile().unwrap();
    assert!(at_each_allocation(|| parsed.write_to(&target)) > 0);
    let target = tempfile::tempfile().unwrap();
    (&target).write_all(&file).unwrap();
    assert!(at_each_allocation(|| parsed.append_to(&target)) > 0);

    let blocks = [Block::default(); 50];
    assert_eq!(at_each_allocation(|| BlockIndex::new(&blocks)), 1);
    let index = BlockIndex::new(&blocks).unwrap();
    assert_eq!(at_each_allocation(|| index.encode()), 1);
    let encoded = index.encode().unwrap();
    assert!(at_each_allocation(|| BlockIndex::decode(&encoded)) > 1);
    assert!(at_each_allocation(|| BlockIndex::read(&encoded)) > 1);
}

/// The texts that make the most of a byte.
#[test]
fn reading_keeps_to_its_bound() {
    let mut worst = 0.0f64;
    for element in ["{}", "null", r#"{"type":1}"#] {
        for count in [0, 1, 4, 5, 8, 9, 100, 1000, 65_536, 65_537, 100_000, 131_073, 196_608] {
            let file = file(&format!("{{\"sections\":[{}]}}", vec![element; count].join(",")));
            let (before, metadata) = (NOW.get(), file.len() - 12);
            MOST.set(before);
            drop(Container::parse(&file));
            let most = (MOST.get() - before) as usize;
            assert!(most <= 30 * metadata + (16 << 10), "{most} bytes for {metadata} of metadata");
            worst = worst.max((most as f64 - 16_384.0) / metadata as f64);
        }
    }
    println!("reading takes {worst:.1} times the metadata at most");
    assert!(worst > 15.0, "the bound that is told could be lower");
}
