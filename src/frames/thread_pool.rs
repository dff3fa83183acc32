//! Threads that a program keeps for many calls.

use std::fmt;

use crate::frame::Error;
use crate::sys::pool::Pool;
use crate::sys::threads;

/// Threads that stay, for a program that makes many calls which use some: starting them for each takes some 0.1 ms.
///
/// What such calls do is the same with a pool. It helps in one call at a time: calls that other threads make with it meanwhile are done by
/// these alone, and so are those in a process that was forked. When it is dropped, its threads end.
///
/// ```
/// use fdckpt::{Checkpt, FrameStyle, ThreadPool};
///
/// # fn main() -> Result<(), fdckpt::Error> {
/// let pool = ThreadPool::new(4)?;
/// # let (steps, field) = (3, vec![5; 5 << 20]);
/// # let mut region = vec![0; 6 << 20];
/// for _ in 0..steps {
///     let mut checkpt = Checkpt::mmio(&mut region)?;
///     checkpt.open(FrameStyle::Lz4)?;
///     pool.install(|| checkpt.data(&field))?;
///     checkpt.close()?;
/// }
/// # Ok(())
/// # }
/// ```
pub struct ThreadPool(Pool);

impl ThreadPool {
    /// Starts the threads that calls with the pool have besides their own: so that there are `threads`, or as many as can be; 0 stands for
    /// as many as [`set_max_threads`](crate::set_max_threads) allows.
    ///
    /// # Errors
    /// [`Error::OutOfMemory`].
    pub fn new(threads: usize) -> Result<Self, Error> {
        Pool::new(threads::resolve_thread_count(threads)).map(Self).ok_or(Error::OutOfMemory)
    }

    /// How many threads a call can use with it, its own included.
    pub fn threads(&self) -> usize {
        self.0.threads()
    }

    /// Calls `call`. The calls of this library that it makes in this thread use the pool: as many of its threads as they are told to, all of
    /// them where it is left to [`set_max_threads`](crate::set_max_threads).
    pub fn install<R>(&self, call: impl FnOnce() -> R) -> R {
        self.0.install(call)
    }
}

impl fmt::Debug for ThreadPool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ThreadPool").field("threads", &self.threads()).finish_non_exhaustive()
    }
}
