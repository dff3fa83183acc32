//! The last error of each thread, as a C struct. The comments of its type are those of the header.
//!
//! Nothing here allocates, locks, or uses the locale: the error may be a failed allocation, and the caller a signal handler.

#![allow(non_camel_case_types)]

use std::cell::UnsafeCell;
use std::ffi::{CStr, c_char, c_int};
use std::{fmt, ptr};

use super::error_code::SUCCESS;
use super::fixed_string::FixedString;
use crate::checkpoint::ErrorContext;
use crate::sys::errno::Errno;

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

/// Size in bytes of messages and names with their NUL. Longer ones are truncated.
pub(super) const TEXT_SIZE: usize = 512;

/// The details of a failed call.
pub(super) struct FailureReport<'e> {
    pub(super) code: c_int,
    pub(super) message: &'e dyn fmt::Display,
    pub(super) offset: Option<u64>,
    pub(super) errno: Option<Errno>,
    pub(super) context: ErrorContext<'e>,
}

thread_local! {
    // Constant and without a destructor, so that it lives as long as the thread. (Where the library was loaded by dlopen,
    // the system allocates the thread-local data of all of it at a thread's first use, which is here.)
    static LAST: LastError = const { LastError::none() };
}

struct LastError {
    error: UnsafeCell<fdckpt_error_t>,
    message: UnsafeCell<FixedString<TEXT_SIZE>>,
    path: UnsafeCell<FixedString<TEXT_SIZE>>,
    region: UnsafeCell<FixedString<TEXT_SIZE>>,
}

impl LastError {
    const fn none() -> Self {
        let error = fdckpt_error_t {
            struct_size: size_of::<fdckpt_error_t>(),
            code: SUCCESS,
            errnum: 0,
            offset: FDCKPT_NO_OFFSET,
            frame: FDCKPT_NO_FRAME,
            function: c"".as_ptr(),
            message: c"no call has failed".as_ptr(),
            path: ptr::null(),
            region: ptr::null(),
        };
        Self {
            error: UnsafeCell::new(error),
            message: UnsafeCell::new(FixedString::new()),
            path: UnsafeCell::new(FixedString::new()),
            region: UnsafeCell::new(FixedString::new()),
        }
    }

    fn set(&self, function: &'static CStr, report: &FailureReport<'_>) {
        // SAFETY: `LAST` is thread-local and this function does not call itself, so nothing else in Rust refers to the cells;
        // C reads them through pointers only between calls (documented at fdckpt_last_error).
        unsafe {
            let message = &mut *self.message.get();
            message.set(report.message);
            let copy = |to: &UnsafeCell<FixedString<TEXT_SIZE>>, text: Option<&str>| {
                let to = &mut *to.get();
                text.map_or(ptr::null(), |text| {
                    to.set(text);
                    to.as_c_str().as_ptr()
                })
            };
            *self.error.get() = fdckpt_error_t {
                struct_size: size_of::<fdckpt_error_t>(),
                code: report.code,
                errnum: report.errno.map_or(0, |errno| errno.raw()),
                offset: report.offset.unwrap_or(FDCKPT_NO_OFFSET),
                frame: report.context.frame.unwrap_or(FDCKPT_NO_FRAME),
                function: function.as_ptr(),
                message: message.as_c_str().as_ptr(),
                path: copy(&self.path, report.context.file),
                region: copy(&self.region, report.context.name),
            };
        }
    }
}

/// Remembers that `function` failed in this thread.
pub(super) fn set(function: &'static CStr, report: &FailureReport<'_>) {
    LAST.with(|last| last.set(function, report));
}

/// The thread's last error; valid and unchanged until a further call of this thread fails.
pub(super) fn get() -> *const fdckpt_error_t {
    LAST.with(|last| last.error.get().cast_const())
}
