//! The types of fdckpt.h in which failures are reported: codes, details, log lines. The comments here are those of the
//! header.

#![allow(non_camel_case_types)]

use std::ffi::{c_char, c_int, c_void};

/// Result codes. Functions that can fail return FDCKPT_OK or an error; functions that return a
/// pointer return NULL, and fdckpt_last_error() has the code. Codes above 0 are no errors
/// (fdckpt_inflate_status_t). No code of this enum is also a code of fd_checkpt.h.
#[repr(C)]
pub enum fdckpt_error_code_t {
    /// Success.
    FDCKPT_OK = 0,
    /// An argument is invalid: NULL, misaligned, out of range, too large, or a struct without a
    /// valid struct_size.
    FDCKPT_ERR_INVALID_ARGUMENT = -11,
    /// The object or file is in a state in which the call is not allowed.
    FDCKPT_ERR_INVALID_STATE = -12,
    /// Memory allocation failed. The call may be retried.
    FDCKPT_ERR_NO_MEMORY = -13,
    /// The caller's buffer is too small for the result; an out parameter has the required size.
    /// Not logged.
    FDCKPT_ERR_BUFFER_TOO_SMALL = -14,
    /// A system call failed; fdckpt_last_error() has its errno.
    FDCKPT_ERR_IO = -15,
    /// The input is not in the expected format.
    FDCKPT_ERR_FORMAT = -16,
    /// The input is in the expected format, but corrupt or truncated.
    FDCKPT_ERR_CORRUPT = -17,
    /// The input refers to data outside of its own bounds.
    FDCKPT_ERR_OUT_OF_RANGE = -18,
    /// Nothing has this name, index, id or type. Not logged.
    FDCKPT_ERR_NOT_FOUND = -19,
    /// A verification found issues, which it reported to the callback. Not logged.
    FDCKPT_ERR_VERIFY_FAILED = -20,
    /// A defect of the library. Any function may return it; please report it.
    FDCKPT_ERR_INTERNAL = -21,
    /// The caller's progress callback cancelled the call. Not logged.
    FDCKPT_ERR_CANCELLED = -22,
}

constants! { fdckpt_error_code_t:
    FDCKPT_OK FDCKPT_ERR_INVALID_ARGUMENT FDCKPT_ERR_INVALID_STATE FDCKPT_ERR_NO_MEMORY FDCKPT_ERR_BUFFER_TOO_SMALL FDCKPT_ERR_IO
    FDCKPT_ERR_FORMAT FDCKPT_ERR_CORRUPT FDCKPT_ERR_OUT_OF_RANGE FDCKPT_ERR_NOT_FOUND FDCKPT_ERR_VERIFY_FAILED FDCKPT_ERR_INTERNAL
    FDCKPT_ERR_CANCELLED
}

/// Value of an `offset` field: no offset is associated.
pub const FDCKPT_NO_OFFSET: u64 = u64::MAX;

/// Value of a `frame` field: no frame is associated.
pub const FDCKPT_NO_FRAME: u64 = u64::MAX;

/// Details of a failed call, filled by the library. Fields beyond struct_size do not exist.
#[repr(C)]
pub struct fdckpt_error_t {
    /// Size in bytes of this struct in the library.
    pub struct_size: usize,
    /// FDCKPT_ERR_*, or FD_CHECKPT_ERR_* after a function of fd_checkpt.h; 0 if no call of this
    /// thread has failed yet.
    pub code: c_int,
    /// errno of the failed system call, or 0.
    pub errnum: c_int,
    /// Offset in bytes of the error in the checkpoint that is written, or in the file, stream or
    /// memory that is read; FDCKPT_NO_OFFSET if none is associated.
    pub offset: u64,
    /// Index of the frame, counted from 0: for fdckpt_frames_* the first of the given frames that
    /// failed, for a checkpoint its number in the file; FDCKPT_NO_FRAME if none is associated.
    pub frame: u64,
    /// Name of the function that failed; "" if none did. Never NULL.
    pub function: *const c_char,
    /// The error in words, one line, with offset and errno if known. The wording may change.
    /// Never NULL.
    pub message: *const c_char,
    /// Path of the file as the caller gave it, at most 511 bytes of it, or NULL. Set by
    /// fdckpt_writer_*, fdckpt_reader_* and fdckpt_salvage_file.
    pub path: *const c_char,
    /// Name of the region or attribute, at most 511 bytes of it, or NULL.
    pub region: *const c_char,
}

/// Levels of log lines.
#[repr(C)]
pub enum fdckpt_log_level_t {
    /// A call failed.
    FDCKPT_LOG_WARNING = 3,
}

constants! { fdckpt_log_level_t: FDCKPT_LOG_WARNING }

/// Receives log lines.
///
/// Called by the thread whose call failed, possibly by several threads at the same time. May call
/// the library: fdckpt_last_error() describes the failure that is logged, and still does after a
/// call made by the callback fails too. Must return: no longjmp, no C++ exception.
///
/// @param context  `context` of fdckpt_set_log_callback
/// @param level    FDCKPT_LOG_WARNING
/// @param line     text without a newline, valid until the callback returns
pub type fdckpt_log_fn_t = Option<unsafe extern "C" fn(context: *mut c_void, level: c_int, line: *const c_char)>;
