//! What is said about failures: one line to the log, and the details to who asks for them.
//!
//! Nothing here allocates, locks, or asks for the locale: memory may be what is short, and the caller a signal handler.

use std::cell::UnsafeCell;
use std::ffi::{CStr, c_int, c_void};
use std::fmt::{self, Write};
use std::sync::atomic::{AtomicPtr, AtomicU8, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::{mem, ptr};

use super::error_code::{self, SUCCESS};
use super::error_types::{
    FDCKPT_ERR_BUFFER_TOO_SMALL, FDCKPT_ERR_CANCELLED, FDCKPT_ERR_NOT_FOUND, FDCKPT_ERR_VERIFY_FAILED, FDCKPT_LOG_WARNING,
    FDCKPT_NO_FRAME, FDCKPT_NO_OFFSET, fdckpt_error_t, fdckpt_log_fn_t,
};
use crate::checkpoint::{About, Failure};
use crate::error::Error;
use crate::frames::FrameError;
use crate::sys::process::{CancelGuard, environment_equals, write_stderr};

/// Remembers and logs that `function`, of fd_checkpt.h, failed, and returns the code for it.
#[cold]
pub(super) fn report(function: &'static CStr, error: &Error) -> c_int {
    report_as("fd_checkpt", function, &What::plain(error), error_code::code(error))
}

/// The same for a function of fdckpt.h.
#[cold]
pub(super) fn report_fdckpt(function: &'static CStr, error: &Error) -> c_int {
    report_what(function, &What::plain(error))
}

/// The same for one of many frames.
#[cold]
pub(super) fn report_frame(function: &'static CStr, failed: &FrameError) -> c_int {
    let about = About { frame: Some(failed.frame as u64), ..About::default() };
    report_what(function, &What { text: failed, error: &failed.error, about })
}

/// The same for a failure that tells what it is about.
#[cold]
pub(super) fn report_failure(function: &'static CStr, failure: &Failure) -> c_int {
    report_what(function, &What { text: failure, error: &failure.error(), about: failure.about() })
}

fn report_what(function: &'static CStr, what: &What<'_>) -> c_int {
    let code = error_code::fdckpt_code(what.error);
    if matches!(code, FDCKPT_ERR_BUFFER_TOO_SMALL | FDCKPT_ERR_NOT_FOUND | FDCKPT_ERR_VERIFY_FAILED | FDCKPT_ERR_CANCELLED) {
        // Answers, nothing for a log.
        LAST.with(|last| last.set(function, code, what));
        return code;
    }
    report_as("fdckpt", function, what, code)
}

/// What went wrong, in words, and with what.
struct What<'e> {
    text: &'e dyn fmt::Display,
    error: &'e Error,
    about: About<'e>,
}

impl<'e> What<'e> {
    fn plain(error: &'e Error) -> Self {
        Self { text: error, error, about: About::default() }
    }
}

fn report_as(face: &str, function: &'static CStr, what: &What<'_>, code: c_int) -> c_int {
    // The callback may have cancellation points, and so has the write.
    let _uncancelled = CancelGuard::begin();
    LAST.with(|last| last.set(function, code, what));

    let mut line = Line::<LINE_SIZE>::new();
    _ = write!(line, "WARNING {face}: {}: {}", function.to_str().unwrap_or_default(), what.text);
    match HOOK.get() {
        (Some(callback), context) => {
            // SAFETY: the host promised that it can be called from any thread; the line lives until it returns.
            unsafe { callback(context, FDCKPT_LOG_WARNING, line.as_c_str().as_ptr()) };
            // Should a call that the callback made have failed too: it is this call that the host asks about.
            LAST.with(|last| last.set(function, code, what));
        }
        (None, _) if is_silenced() => {}
        (None, _) => write_stderr(line.with_newline()),
    }
    code
}

/// Longer lines are cut.
pub(super) const LINE_SIZE: usize = 512;

/// Where lines go to: two places for a callback and its context, of which the version's lowest bit says which one holds.
///
/// Reading takes no lock, so a failing call can neither hang in a child that was forked nor in a signal handler.
struct Hook {
    version: AtomicUsize,
    places: [(AtomicPtr<c_void>, AtomicPtr<c_void>); 2],
}

static HOOK: Hook = Hook {
    version: AtomicUsize::new(0),
    places: [const { (AtomicPtr::new(ptr::null_mut()), AtomicPtr::new(ptr::null_mut())) }; 2],
};

impl Hook {
    fn get(&self) -> (fdckpt_log_fn_t, *mut c_void) {
        loop {
            let version = self.version.load(Ordering::Acquire);
            let (callback, context) = &self.places[version % 2];
            let (callback, context) = (callback.load(Ordering::Acquire), context.load(Ordering::Acquire));
            // Unless it has moved on, the place was not written to meanwhile.
            if self.version.load(Ordering::Acquire) == version {
                // SAFETY: it was stored by `set`: a function of this type, or NULL for none.
                return (unsafe { mem::transmute::<*mut c_void, fdckpt_log_fn_t>(callback) }, context);
            }
        }
    }

    fn set(&self, callback: fdckpt_log_fn_t, new_context: *mut c_void) {
        static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());
        let _alone = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
        let next = self.version.load(Ordering::Relaxed).wrapping_add(1);
        let (place, context) = &self.places[next % 2];
        place.store(callback.map_or(ptr::null_mut(), |callback| callback as *mut c_void), Ordering::SeqCst);
        context.store(new_context, Ordering::SeqCst);
        self.version.store(next, Ordering::SeqCst);
    }
}

/// Sends lines to `callback`, or to standard error if there is none.
pub(super) fn set_hook(callback: fdckpt_log_fn_t, context: *mut c_void) {
    HOOK.set(callback, context);
}

/// Whether the environment asks for silence. It is asked once, at the first line.
fn is_silenced() -> bool {
    const UNKNOWN: u8 = 0;
    const LOUD: u8 = 1;
    const SILENT: u8 = 2;
    static STATE: AtomicU8 = AtomicU8::new(UNKNOWN);
    if STATE.load(Ordering::Relaxed) == UNKNOWN {
        let state = if environment_equals(c"FDCKPT_LOG", c"off") { SILENT } else { LOUD };
        STATE.store(state, Ordering::Relaxed);
    }
    STATE.load(Ordering::Relaxed) == SILENT
}

thread_local! {
    // Constant and without a destructor, so that it is there as long as the thread. (Where the library was loaded by dlopen,
    // the system allocates the thread-local data of all of it at a thread's first use, which is here.)
    static LAST: LastError = const { LastError::none() };
}

/// The thread's last error, in the form in which C sees it.
struct LastError {
    error: UnsafeCell<fdckpt_error_t>,
    text: UnsafeCell<Line<LINE_SIZE>>,
    file: UnsafeCell<Line<LINE_SIZE>>,
    name: UnsafeCell<Line<LINE_SIZE>>,
}

impl LastError {
    const fn none() -> Self {
        let (function, text) = (c"".as_ptr(), c"no call has failed".as_ptr());
        let (file, name, frame) = (ptr::null(), ptr::null(), FDCKPT_NO_FRAME);
        let error = fdckpt_error_t {
            struct_size: size_of::<fdckpt_error_t>(),
            code: SUCCESS,
            errnum: 0,
            offset: FDCKPT_NO_OFFSET,
            frame,
            function,
            message: text,
            path: file,
            region: name,
        };
        let (text, file, name) = (Line::new(), Line::new(), Line::new());
        Self {
            error: UnsafeCell::new(error),
            text: UnsafeCell::new(text),
            file: UnsafeCell::new(file),
            name: UnsafeCell::new(name),
        }
    }

    fn set(&self, function: &'static CStr, code: c_int, what: &What<'_>) {
        let error = what.error;
        // SAFETY: it is the thread's own, and no reference to it outlives a function here. C reads it through a pointer,
        // between calls.
        unsafe {
            let text = &mut *self.text.get();
            text.set(what.text);
            let line = |line: &UnsafeCell<Line<LINE_SIZE>>, text: Option<&str>| {
                let line = &mut *line.get();
                text.map_or(ptr::null(), |text| {
                    line.set(text);
                    line.as_c_str().as_ptr()
                })
            };
            *self.error.get() = fdckpt_error_t {
                struct_size: size_of::<fdckpt_error_t>(),
                code,
                errnum: error.errno().map_or(0, |errno| errno.raw()),
                offset: error.offset().unwrap_or(FDCKPT_NO_OFFSET),
                function: function.as_ptr(),
                message: text.as_c_str().as_ptr(),
                path: line(&self.file, what.about.file),
                region: line(&self.name, what.about.name),
                frame: what.about.frame.unwrap_or(FDCKPT_NO_FRAME),
            };
        }
    }
}

/// The thread's last error; valid and unchanged until a further call of this thread fails.
pub(super) fn last_error() -> *const fdckpt_error_t {
    LAST.with(|last| last.error.get().cast_const())
}

/// A line of text of at most `SIZE - 1` bytes, on the stack.
pub(super) struct Line<const SIZE: usize> {
    bytes: [u8; SIZE],
    used: usize,
}

impl<const SIZE: usize> Line<SIZE> {
    pub(super) const fn new() -> Self {
        Self { bytes: [0; SIZE], used: 0 }
    }

    /// What an error says.
    pub(super) fn set(&mut self, what: impl fmt::Display) {
        *self = Self::new();
        _ = write!(self, "{what}");
    }

    pub(super) fn as_c_str(&self) -> &CStr {
        CStr::from_bytes_until_nul(&self.bytes).unwrap_or_default()
    }

    fn with_newline(&mut self) -> &[u8] {
        self.bytes[self.used] = b'\n';
        &self.bytes[..=self.used]
    }
}

impl<const SIZE: usize> Write for Line<SIZE> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let mut end = text.len().min(SIZE - 1 - self.used);
        while !text.is_char_boundary(end) {
            end -= 1;
        }
        let text = &text[..end];
        self.bytes[self.used..][..text.len()].copy_from_slice(text.as_bytes());
        self.used += text.len();
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_that_is_too_long_is_cut_between_characters() {
        let mut line = Line::<8>::new();
        _ = write!(line, "12345");
        _ = write!(line, "6ä and more");
        assert_eq!(line.as_c_str(), c"123456");
        assert_eq!(line.with_newline(), b"123456\n");
        let mut line = Line::<8>::new();
        _ = write!(line, "1234567");
        _ = write!(line, "8");
        assert_eq!(line.with_newline(), b"1234567\n");
    }
}
