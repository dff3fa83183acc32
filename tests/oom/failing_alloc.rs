//! A global allocator that fails on request.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::io;

/// The system's allocator: counts the memory of each thread, and fails on request.
struct Failing;

thread_local! {
    /// Bytes in use, and their maximum. (A thread may free what another one has allocated.)
    pub static NOW: Cell<isize> = const { Cell::new(0) };
    pub static MOST: Cell<isize> = const { Cell::new(0) };
    /// Number of allocations until one fails, counted from 1; 0 for never.
    static FAILS_IN: Cell<u64> = const { Cell::new(0) };
}

// SAFETY: forwards to the system's allocator, or fails.
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
        // SAFETY: the caller of this method guarantees what the system's allocator requires.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        NOW.set(NOW.get() - layout.size() as isize);
        // SAFETY: the caller of this method guarantees what the system's allocator requires.
        unsafe { System.dealloc(memory, layout) }
    }
}

#[global_allocator]
static FAILING: Failing = Failing;

/// Makes the `n`th allocation of this thread fail, counted from 1.
pub fn fail_in(n: u64) {
    FAILS_IN.set(n);
}

/// Stops failing. Returns whether the failure was still to come.
pub fn never() -> bool {
    FAILS_IN.replace(0) > 0
}

/// Repeats `call` with its first allocation failing, then its second, and so on. Returns the number of allocations.
pub fn at_each_allocation<T, E: Into<io::Error>>(mut call: impl FnMut() -> Result<T, E>) -> u64 {
    for n in 1.. {
        fail_in(n);
        let result = call();
        let not_reached = never();
        match result {
            Ok(_) => {
                assert!(not_reached, "allocation {n} has failed, and the call has not");
                return n - 1;
            }
            Err(error) => {
                let error = error.into();
                // The error of an allocation has nothing inside, since that would take memory.
                let out_of_memory = error.kind() == io::ErrorKind::OutOfMemory && error.get_ref().is_none();
                assert!(out_of_memory && !not_reached, "allocation {n}: {error:?}");
            }
        }
    }
    unreachable!()
}
