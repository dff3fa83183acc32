//! The log: one line for each failure. The comments of its types are those of the header.
//!
//! Nothing here allocates, locks, or uses the locale: the failure may be a failed allocation, and the caller a signal handler.

#![allow(non_camel_case_types)]

use std::ffi::{CStr, c_char, c_int, c_void};
use std::fmt::Write;
use std::sync::atomic::{AtomicPtr, AtomicU8, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::{mem, ptr};

use super::call_error::CallError;
use super::error_code::{
    self, FDCKPT_ERR_BUFFER_TOO_SMALL, FDCKPT_ERR_CANCELLED, FDCKPT_ERR_NOT_FOUND, FDCKPT_ERR_VERIFY_FAILED,
};
use super::fixed_string::FixedString;
use super::last_error::{self, FailureReport, TEXT_SIZE};
use crate::checkpoint::ErrorContext;
use crate::frame;
use crate::sys::cancel::CancelGuard;
use crate::sys::env::env_equals;
use crate::sys::stderr::write_stderr;

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

/// Remembers and logs that `function` of fd_checkpt.h failed, and returns the code for it.
#[cold]
pub(super) fn report_frame_error(function: &'static CStr, error: &frame::Error) -> c_int {
    let (offset, errno) = (error.offset(), error.errno());
    let code = error_code::fd_checkpt_code(error);
    log("fd_checkpt", function, &FailureReport { code, message: error, offset, errno, context: ErrorContext::default() })
}

/// Remembers that `function` of fdckpt.h failed, logs it unless the code is a regular result, and returns the code.
#[cold]
pub(super) fn report(function: &'static CStr, error: &CallError) -> c_int {
    let (offset, errno, context) = (error.offset(), error.errno(), error.context());
    let code = error_code::call_code(error);
    let report = FailureReport { code, message: error, offset, errno, context };
    if matches!(code, FDCKPT_ERR_BUFFER_TOO_SMALL | FDCKPT_ERR_NOT_FOUND | FDCKPT_ERR_VERIFY_FAILED | FDCKPT_ERR_CANCELLED) {
        last_error::set(function, &report);
        return code;
    }
    log("fdckpt", function, &report)
}

fn log(component: &str, function: &'static CStr, report: &FailureReport<'_>) -> c_int {
    // The callback may have cancellation points, and so has the write.
    let _uncancelled = CancelGuard::new();
    last_error::set(function, report);

    let mut line = FixedString::<TEXT_SIZE>::new();
    _ = write!(line, "WARNING {component}: {}: {}", function.to_str().unwrap_or_default(), report.message);
    match LOG_CALLBACK.get() {
        (Some(callback), context) => {
            // SAFETY: the function given to fdckpt_set_log_callback can be called from any thread (documented there); the line
            // is NUL-terminated (`as_c_str`) and lives until the callback returns.
            unsafe { callback(context, FDCKPT_LOG_WARNING, line.as_c_str().as_ptr()) };
            // A call made by the callback may have failed too; the caller needs this error.
            last_error::set(function, report);
        }
        (None, _) if is_silenced() => {}
        (None, _) => write_stderr(line.with_newline()),
    }
    report.code
}

/// The callback that lines go to, and its context: a seqlock with two slots. The lowest bit of the version says which one is
/// valid.
///
/// Reading takes no lock, so a failing call can neither deadlock in a forked child nor in a signal handler.
struct LogCallback {
    version: AtomicUsize,
    slots: [(AtomicPtr<c_void>, AtomicPtr<c_void>); 2],
}

static LOG_CALLBACK: LogCallback = LogCallback {
    version: AtomicUsize::new(0),
    slots: [const { (AtomicPtr::new(ptr::null_mut()), AtomicPtr::new(ptr::null_mut())) }; 2],
};

impl LogCallback {
    fn get(&self) -> (fdckpt_log_fn_t, *mut c_void) {
        loop {
            let version = self.version.load(Ordering::Acquire);
            let (callback, context) = &self.slots[version % 2];
            let (callback, context) = (callback.load(Ordering::Acquire), context.load(Ordering::Acquire));
            // If the version is unchanged, the slot was not written to meanwhile.
            if self.version.load(Ordering::Acquire) == version {
                // SAFETY: `set` alone stores here, a function of this type or NULL, which is `None` of it.
                return (unsafe { mem::transmute::<*mut c_void, fdckpt_log_fn_t>(callback) }, context);
            }
        }
    }

    fn set(&self, callback: fdckpt_log_fn_t, new_context: *mut c_void) {
        static SET_LOCK: Mutex<()> = Mutex::new(());
        let _guard = SET_LOCK.lock().unwrap_or_else(PoisonError::into_inner);
        let next = self.version.load(Ordering::Relaxed).wrapping_add(1);
        let (slot, context) = &self.slots[next % 2];
        slot.store(callback.map_or(ptr::null_mut(), |callback| callback as *mut c_void), Ordering::SeqCst);
        context.store(new_context, Ordering::SeqCst);
        self.version.store(next, Ordering::SeqCst);
    }
}

/// Sends lines to `callback`, or to standard error if there is none.
pub(super) fn set_callback(callback: fdckpt_log_fn_t, context: *mut c_void) {
    LOG_CALLBACK.set(callback, context);
}

/// Whether the environment disables the log. It is asked once, at the first line.
fn is_silenced() -> bool {
    const UNKNOWN: u8 = 0;
    const ENABLED: u8 = 1;
    const DISABLED: u8 = 2;
    static STATE: AtomicU8 = AtomicU8::new(UNKNOWN);
    if STATE.load(Ordering::Relaxed) == UNKNOWN {
        let state = if env_equals(c"FDCKPT_LOG", c"off") { DISABLED } else { ENABLED };
        STATE.store(state, Ordering::Relaxed);
    }
    STATE.load(Ordering::Relaxed) == DISABLED
}
