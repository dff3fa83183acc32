//! The last error of each thread, in the form in which C sees it.
//!
//! Nothing here allocates, locks, or asks for the locale: memory may be what is short, and the caller a signal handler.

#![allow(non_camel_case_types)]

use std::cell::UnsafeCell;
use std::ffi::{CStr, c_char, c_int};
use std::{fmt, ptr};

use super::error_code::SUCCESS;
use super::fixed_string::FixedString;
use crate::checkpoint::ErrorContext;
use crate::sys::errno::Errno;

/// In fdckpt_error_t: the failure is not a matter of a place.
pub const FDCKPT_NO_OFFSET: u64 = u64::MAX;

/// In fdckpt_error_t: the failure is not a matter of a frame.
pub const FDCKPT_NO_FRAME: u64 = u64::MAX;

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
    /// The frame that it is about, counted from 0: of the frames given to fdckpt_frames_*, the first for which it failed; of a checkpoint, its
    /// number. Or FDCKPT_NO_FRAME.
    pub frame: u64,
    /// Of fdckpt_writer_*, fdckpt_reader_* and fdckpt_salvage_file: the file, as the caller named it. Else, or if it was not named, NULL. It and
    /// name are cut after 511 bytes.
    pub file: *const c_char,
    /// The region or attribute that it is about, or NULL.
    pub name: *const c_char,
}

/// Size in bytes of messages and names with their NUL. Longer ones are truncated.
pub(super) const TEXT_SIZE: usize = 512;

/// What there is to say about a failed call.
pub(super) struct FailureReport<'e> {
    pub(super) code: c_int,
    pub(super) message: &'e dyn fmt::Display,
    pub(super) offset: Option<u64>,
    pub(super) errno: Option<Errno>,
    pub(super) context: ErrorContext<'e>,
}

thread_local! {
    // Constant and without a destructor, so that it is there as long as the thread. (Where the library was loaded by dlopen,
    // the system allocates the thread-local data of all of it at a thread's first use, which is here.)
    static LAST: LastError = const { LastError::none() };
}

struct LastError {
    error: UnsafeCell<fdckpt_error_t>,
    text: UnsafeCell<FixedString<TEXT_SIZE>>,
    file: UnsafeCell<FixedString<TEXT_SIZE>>,
    name: UnsafeCell<FixedString<TEXT_SIZE>>,
}

impl LastError {
    const fn none() -> Self {
        let (function, text) = (c"".as_ptr(), c"no call has failed".as_ptr());
        let (file, name, frame) = (ptr::null(), ptr::null(), FDCKPT_NO_FRAME);
        let error = fdckpt_error_t { code: SUCCESS, errnum: 0, offset: FDCKPT_NO_OFFSET, function, text, file, name, frame };
        let (text, file, name) = (FixedString::new(), FixedString::new(), FixedString::new());
        Self {
            error: UnsafeCell::new(error),
            text: UnsafeCell::new(text),
            file: UnsafeCell::new(file),
            name: UnsafeCell::new(name),
        }
    }

    fn set(&self, function: &'static CStr, report: &FailureReport<'_>) {
        // SAFETY: `LAST` is thread-local and this function does not call itself, so nothing else in Rust refers to the cells;
        // C reads them through pointers only between calls (documented at fdckpt_last_error).
        unsafe {
            let text = &mut *self.text.get();
            text.set(report.message);
            let copy = |to: &UnsafeCell<FixedString<TEXT_SIZE>>, text: Option<&str>| {
                let to = &mut *to.get();
                text.map_or(ptr::null(), |text| {
                    to.set(text);
                    to.as_c_str().as_ptr()
                })
            };
            *self.error.get() = fdckpt_error_t {
                code: report.code,
                errnum: report.errno.map_or(0, |errno| errno.raw()),
                offset: report.offset.unwrap_or(FDCKPT_NO_OFFSET),
                function: function.as_ptr(),
                text: text.as_c_str().as_ptr(),
                file: copy(&self.file, report.context.file),
                name: copy(&self.name, report.context.name),
                frame: report.context.frame.unwrap_or(FDCKPT_NO_FRAME),
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
