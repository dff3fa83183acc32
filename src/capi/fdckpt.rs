//! The functions of fdckpt.h. The comments here are those of the header.

#![allow(non_camel_case_types)]

use std::ffi::{c_char, c_int, c_void};

use super::log;

/// Success. Functions of this header that can fail return this or one of the following; those that return a pointer, NULL instead.
/// The codes are none of fd_checkpt.h's. What they are about in the case at hand, fdckpt_last_error() says.
pub const FDCKPT_OK: c_int = 0;

/// An argument is not acceptable: NULL where that is not allowed, out of its range, too large.
pub const FDCKPT_ERR_ARGUMENT: c_int = -11;

/// What the call works on is not in a state in which it is possible.
pub const FDCKPT_ERR_STATE: c_int = -12;

/// Memory could not be had. What the call works on is as it was; the call can be made again.
pub const FDCKPT_ERR_NO_MEMORY: c_int = -13;

/// The memory given for the result is too small.
pub const FDCKPT_ERR_NO_ROOM: c_int = -14;

/// A system call failed; fdckpt_last_error() has its errno.
pub const FDCKPT_ERR_IO: c_int = -15;

/// What is read is not of the format at all.
pub const FDCKPT_ERR_FORMAT: c_int = -16;

/// What is read is of the format, but damaged or truncated.
pub const FDCKPT_ERR_CORRUPT: c_int = -17;

/// What is read refers to something that lies outside of it.
pub const FDCKPT_ERR_RANGE: c_int = -18;

/// There is nothing of this name, number or type. This is an answer rather than a failure: it is not logged.
pub const FDCKPT_ERR_NOT_FOUND: c_int = -19;

/// A verification has findings. They were given to the caller, and are not logged.
pub const FDCKPT_ERR_VERIFY: c_int = -20;

/// A defect of the library. Please report it.
pub const FDCKPT_ERR_INTERNAL: c_int = -21;

/// In fdckpt_error_t: the failure is not a matter of a place.
pub const FDCKPT_NO_OFFSET: u64 = u64::MAX;

/// The level of a line that tells of a failure.
pub const FDCKPT_LOG_WARNING: c_int = 3;

/// What is known about a call that failed.
#[repr(C)]
pub struct fdckpt_error_t {
    /// The error as a code, also of functions that return NULL: a FD_CHECKPT_ERR_* for the functions of fd_checkpt.h, a
    /// FDCKPT_ERR_* for those of this header. 0 if no call of this thread has failed yet.
    pub code: c_int,
    /// errno of the system call that failed, 0 if it was none.
    pub errnum: c_int,
    /// Where it went wrong, in bytes: in the checkpoint when making one, in the file, stream or region when restoring. Or
    /// FDCKPT_NO_OFFSET.
    pub offset: u64,
    /// Name of the function that failed, "" if none did. Not NULL.
    pub function: *const c_char,
    /// The reason, in a sentence for people; it says offset and errno too, where there are any. Its wording may change. Not
    /// NULL.
    pub text: *const c_char,
}

/// Receives log lines. context is what was given to fdckpt_set_log, level is FDCKPT_LOG_WARNING, line is text without a newline
/// at its end, valid until the function returns. Called by the thread whose call failed, by several at a time if it so happens.
/// It may call the library (fdckpt_last_error() tells the failure that the line is about, and still does after calls of the
/// callback's own have failed), but must return: no longjmp, no C++ exception.
pub type fdckpt_log_fn_t = Option<unsafe extern "C" fn(context: *mut c_void, level: c_int, line: *const c_char)>;

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
pub extern "C" fn fdckpt_set_log(callback: fdckpt_log_fn_t, context: *mut c_void) {
    log::set_hook(callback, context);
}

/// Returns what is known about the last call of this thread that failed (calls that succeed don't change it). Never NULL, not to
/// be freed. The struct and its strings are valid until the next call of this thread that fails, and as long as the thread lives.
#[unsafe(no_mangle)]
pub extern "C" fn fdckpt_last_error() -> *const fdckpt_error_t {
    log::last_error()
}
