//! The functions of fdckpt.h that belong to no format: version, errors, log. The comments here are those of the header.

use std::ffi::{c_char, c_void};

use super::last_error::{self, fdckpt_error_t};
use super::log::{self, fdckpt_log_fn_t};
use crate::atomic_file::remove_temp_files;

/// Returns the version of the library in use. Compare it with FDCKPT_VERSION_STRING to see whether
/// header and library are of the same version.
///
/// @return "MAJOR.MINOR.PATCH", static
///
/// Thread safety: any thread, at any time, also in signal handlers.
#[unsafe(no_mangle)]
pub extern "C" fn fdckpt_version() -> *const c_char {
    concat!(env!("CARGO_PKG_VERSION"), "\0").as_ptr().cast()
}

/// Returns the details of the last call of this thread that failed. Successful calls do not change
/// them.
///
/// @return never NULL; owned by the library. The struct and its strings are valid until the next
///         call of this thread that fails, at most until the thread ends.
///
/// Thread safety: any thread, at any time; each thread has its own.
#[unsafe(no_mangle)]
pub extern "C" fn fdckpt_last_error() -> *const fdckpt_error_t {
    last_error::get()
}

/// Sets the receiver of log lines, for all threads. The library logs one line per failed call.
///
/// A callback that does nothing silences the library.
///
/// @param callback  called with each line; NULL restores the default: lines go to stderr, or
///                  nowhere if the environment variable FDCKPT_LOG is "off" at the first line.
///                  Must stay callable until it is replaced and calls that are in progress in
///                  other threads have returned.
/// @param context   passed to the callback; must stay valid as long as the callback
///
/// Thread safety: any thread, at any time.
#[unsafe(no_mangle)]
pub extern "C" fn fdckpt_set_log_callback(callback: fdckpt_log_fn_t, context: *mut c_void) {
    log::set_callback(callback, context);
}

/// Removes the temporary files of all saves in progress in this process (fdckpt_writer_*,
/// fdckpt_fti_*, inflate indexes). For programs that a signal is about to end: files that are left
/// otherwise are removed by the next save in their directory.
///
/// Saves in progress cannot be completed afterwards. Committed files are not touched. At most 64
/// temporary files are known at a time.
///
/// Thread safety: any thread, at any time, also in signal handlers.
#[unsafe(no_mangle)]
pub extern "C" fn fdckpt_remove_temp_files() {
    remove_temp_files();
}
