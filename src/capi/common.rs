//! The functions of fdckpt.h. The comments here are those of the header.

#![allow(non_camel_case_types)]

use std::ffi::{c_char, c_uint, c_void};

use super::last_error::{self, fdckpt_error_t};
use super::log::{self, fdckpt_log_fn_t};
use crate::atomic_file::remove_temp_files;
use crate::frame::ParallelStats;
use crate::frame::set_threads;

/// Returns the version of the library in use, as "MAJOR.MINOR.PATCH". Lives for ever. Compare it with FDCKPT_VERSION_STRING to
/// see whether header and library are of the same version.
#[unsafe(no_mangle)]
pub extern "C" fn fdckpt_version() -> *const c_char {
    concat!(env!("CARGO_PKG_VERSION"), "\0").as_ptr().cast()
}

/// Sends the library's log lines to callback, with context as its first argument; both must stay valid until they are replaced,
/// and until calls under way in other threads have returned. NULL goes back to the default: a line to stderr per failure, or
/// nothing if the environment variable FDCKPT_LOG is "off" when the first line is due. A program that reports errors itself
/// silences the library by a callback that does nothing. Holds for all threads. Can be called at any time.
#[unsafe(no_mangle)]
pub extern "C" fn fdckpt_set_log_callback(callback: fdckpt_log_fn_t, context: *mut c_void) {
    log::set_callback(callback, context);
}

/// Returns what is known about the last call of this thread that failed (calls that succeed don't change it). Never NULL, not to
/// be freed. The struct and its strings are valid until the next call of this thread that fails, and as long as the thread lives.
#[unsafe(no_mangle)]
pub extern "C" fn fdckpt_last_error() -> *const fdckpt_error_t {
    last_error::get()
}

/// Removes the temporary files of all that this process is saving (fdckpt_writer_*, fdckpt_fti_*, indexes), for a program that a signal is
/// about to end: without it they stay until the next save in their folder. Files that have their names are not touched. What is
/// being saved can't be completed then. It can be called in a signal handler, and by any thread. Of more than 64 files at a time it
/// knows 64.
#[unsafe(no_mangle)]
pub extern "C" fn fdckpt_remove_temp_files() {
    remove_temp_files();
}

/// What was done on several threads since the process began.
#[repr(C)]
pub struct fdckpt_parallel_stats_t {
    /// Segments of buffers that were compressed ahead of what precedes them.
    pub segments: u64,
    /// Those of them whose beginning was not foreseen right.
    pub mispredictions: u64,
    /// Bytes that were compressed before segments, to foresee their beginning.
    pub warm_up_bytes: u64,
    /// Bytes that were compressed again after mispredictions.
    pub recompressed_bytes: u64,
}

/// Allows each call up to threads threads, the caller's included; 0 stands for as many as there are processors. 1 is the default, or
/// what the environment variable FDCKPT_THREADS says when it is first of use. More threads are used by fd_checkpt_data with a buffer
/// of more than 3 MiB in an LZ4 frame: the checkpoint is the same, byte for byte; and one more, which reads ahead, by
/// fd_restore_data with one of at least 4 MiB, from a file by an I/O buffer of at least 258 KiB. fdckpt_frames_* use as many if they
/// are not told a number.
///
/// The threads are started by the call and are gone when it returns; if they can't be, there are fewer. Signals are not delivered to
/// them but for what they cause themselves: a host's handler of SIGSEGV or SIGBUS, say, which makes memory accessible, is called by
/// whichever thread comes upon it. Each takes up to 20 MiB of memory, of which what is compressed is used. Holds for all threads of
/// the process. Can be called at any time.
#[unsafe(no_mangle)]
pub extern "C" fn fdckpt_set_max_threads(threads: c_uint) {
    set_threads(threads as usize);
}

/// Writes to *statistics (not NULL, or nothing is written) what was done on several threads since the process began.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fdckpt_parallel_stats(statistics: *mut fdckpt_parallel_stats_t) {
    let ParallelStats { segments, mispredictions, warm_up_bytes, recompressed_bytes } = ParallelStats::now();
    let now = fdckpt_parallel_stats_t { segments, mispredictions, warm_up_bytes, recompressed_bytes };
    if !statistics.is_null() {
        // SAFETY: not NULL, so the caller's memory for it.
        unsafe { statistics.write_unaligned(now) }
    }
}
