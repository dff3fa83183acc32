//! Frames by several threads: the same bytes, offsets and errors as by one.

mod parallel_compress;
mod readahead;

use std::sync::{Mutex, MutexGuard, PoisonError};

/// Locks out the other tests: the number of threads and the statistics belong to the process.
fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}
