//! The functions of fdckpt.h for threads: fdckpt_set_max_threads, fdckpt_thread_pool_*. The comments here are those of
//! the header.

#![allow(non_camel_case_types)]

use std::ffi::{c_int, c_uint};
use std::mem::offset_of;
use std::ptr;

use super::call_error::CallError;
use super::ffi;
use super::struct_size::{Output, growable};
use crate::error_base::InvalidArgument;
use crate::frame::{ParallelStats, set_max_threads};
use crate::sys::pool::Pool;
use crate::sys::threads;

/// Sets the maximum number of threads per call, the caller's included. The output of all functions
/// is the same, byte for byte, for any number of threads.
///
/// Threads are used by calls whose thread option is 0, and by two functions of fd_checkpt.h:
/// fd_checkpt_data in an LZ4 frame for buffers of more than 3 MiB; fd_restore_data for buffers of at
/// least 4 MiB, from a file with an I/O buffer of at least 258 KiB (one thread that reads ahead).
///
/// A call starts its threads and ends them before it returns (see fdckpt_thread_pool_new for threads
/// that stay); if the system refuses some, the call uses fewer. Each takes up to 20 MiB of address
/// space, of which only what is used is resident. They block all asynchronous signals; synchronous
/// signals (SIGSEGV, SIGBUS, ...) are delivered to the thread that raised them.
///
/// @param threads  maximum number of threads; 0: the number of processors. The default is the value
///                 of the environment variable FDCKPT_THREADS when first needed, or 1.
///
/// Thread safety: any thread, at any time; the limit is one for the whole process.
#[unsafe(no_mangle)]
pub extern "C" fn fdckpt_set_max_threads(threads: c_uint) {
    set_max_threads(threads as usize);
}

/// Statistics of parallel LZ4 compression since the process started.
/// Initialise with FDCKPT_PARALLEL_STATS_INIT.
#[repr(C)]
pub struct fdckpt_parallel_stats_t {
    /// Size in bytes of this struct in the caller.
    pub struct_size: usize,
    /// Number of segments compressed before the segment that precedes them was finished.
    pub speculative_segments: u64,
    /// Number of those whose predicted initial LZ4 state was wrong.
    pub mispredicted_segments: u64,
    /// Number of bytes compressed in front of segments to predict their initial state.
    pub warm_up_bytes: u64,
    /// Number of bytes compressed again after mispredictions.
    pub recompressed_bytes: u64,
}

growable! { fdckpt_parallel_stats_t { first_size: 40, last: recompressed_bytes: u64, init: "FDCKPT_PARALLEL_STATS_INIT" } }

/// Returns statistics of parallel compression.
///
/// @param out_stats  initialised with FDCKPT_PARALLEL_STATS_INIT; written on success
/// @return FDCKPT_OK
///         FDCKPT_ERR_INVALID_ARGUMENT  out_stats is NULL or not initialised
///
/// Thread safety: any thread, at any time.
///
/// # Safety
/// `out_stats` is an output struct (see [`crate::capi`]).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fdckpt_parallel_stats(out_stats: *mut fdckpt_parallel_stats_t) -> c_int {
    ffi::ffi_call(c"fdckpt_parallel_stats", || {
        // SAFETY: `out_stats` is NULL or writable for its struct_size (caller).
        let out_stats = unsafe { Output::required(out_stats)? };
        let ParallelStats { speculative_segments, mispredicted_segments, warm_up_bytes, recompressed_bytes } =
            ParallelStats::snapshot();
        out_stats.write(fdckpt_parallel_stats_t {
            struct_size: size_of::<fdckpt_parallel_stats_t>(),
            speculative_segments,
            mispredicted_segments,
            warm_up_bytes,
            recompressed_bytes,
        });
        Ok(())
    })
}

/// A pool of threads that outlive calls, for programs that make many parallel calls: starting
/// threads takes about 0.1 ms per call. Results are the same with and without a pool.
///
/// Created by fdckpt_thread_pool_new, freed by fdckpt_thread_pool_free.
pub struct fdckpt_thread_pool_t {
    pool: Pool,
}

/// Creates a pool and starts its threads. Signals are handled as described at
/// fdckpt_set_max_threads.
///
/// @param threads  number of threads, the caller's included; 0: the limit of fdckpt_set_max_threads.
///                 If the system refuses some, there are fewer.
/// @return pool, to be freed with fdckpt_thread_pool_free; or NULL, fdckpt_last_error() has the
///         code:
///         FDCKPT_ERR_INVALID_ARGUMENT  threads is negative
///         FDCKPT_ERR_NO_MEMORY         allocation failed
///
/// Thread safety: any thread, at any time.
#[unsafe(no_mangle)]
pub extern "C" fn fdckpt_thread_pool_new(threads: c_int) -> *mut fdckpt_thread_pool_t {
    ffi::ffi_new(c"fdckpt_thread_pool_new", || {
        let threads = threads::resolve_thread_count(parse_thread_count(threads)?);
        Pool::new(threads).map(|pool| fdckpt_thread_pool_t { pool }).ok_or(CallError::OutOfMemory)
    })
}

/// Makes a pool current for the calling thread: parallel calls of this thread, fd_checkpt_data
/// included, run on the pool's threads instead of starting threads. A call whose thread option is 0
/// uses all threads of the pool.
///
/// A pool serves one call at a time; calls made meanwhile by other threads run on their own thread
/// alone. The same holds in a forked process, where the pool has no threads.
///
/// @param pool  live pool, which must not be freed while current for another thread; NULL: none
/// @return pool that was current before, or NULL; cannot fail
///
/// Thread safety: any thread, at any time; several threads may use one pool.
///
/// # Safety
/// `pool` is NULL or a live handle that stays live until another pool, or none, is made current in this thread.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fdckpt_thread_pool_set_current(pool: *mut fdckpt_thread_pool_t) -> *mut fdckpt_thread_pool_t {
    let new = if pool.is_null() {
        ptr::null()
    } else {
        // SAFETY: not NULL, so a live handle (caller); no reference is made.
        unsafe { &raw const (*pool).pool }
    };
    // SAFETY: the pool stays as long as it is current in this thread (caller, and freeing it ends that in the freeing
    // thread).
    let before = unsafe { Pool::set_current(new) };
    if before.is_null() {
        return ptr::null_mut();
    }
    // SAFETY: this function alone makes pools current in threads of C, and each is the field of a
    // `fdckpt_thread_pool_t`.
    unsafe { before.byte_sub(offset_of!(fdckpt_thread_pool_t, pool)).cast_mut().cast() }
}

/// Ends the threads of a pool and frees it. If it is current for the calling thread, that ends.
///
/// @param pool  pool, not current for another thread; may be NULL
///
/// Thread safety: any thread that is the last to use the pool.
///
/// # Safety
/// `pool` is NULL or a live handle that no other thread uses; it is not live any more afterwards.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fdckpt_thread_pool_free(pool: *mut fdckpt_thread_pool_t) {
    // SAFETY: NULL or a live handle that no other thread uses (caller).
    unsafe { ffi::free(c"fdckpt_thread_pool_free", pool) }
}

/// Checks a number of threads; 0 is left to the limit.
pub(super) fn parse_thread_count(threads: c_int) -> Result<usize, InvalidArgument> {
    usize::try_from(threads).map_err(|_| InvalidArgument("the number of threads is negative"))
}
