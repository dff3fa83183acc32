//! What the library uses of the process it lives in: its standard error and its environment.

use std::ffi::{CStr, c_int};
use std::mem::MaybeUninit;
use std::ptr;

use super::errno::Errno;

/// Writes `line` to standard error by one write(2), so that lines of several threads do not mix. If that fails there is
/// nobody to tell: it is left at that. No SIGPIPE comes of it, and errno stays what it was.
pub(crate) fn write_stderr(line: &[u8]) {
    let before = Errno::last();
    without_sigpipe(|| {
        // SAFETY: `line` is valid for reads of its length.
        let written = unsafe { libc::write(libc::STDERR_FILENO, line.as_ptr().cast(), line.len()) };
        written < 0 && Errno::last().raw() == libc::EPIPE
    });
    before.set();
}

/// The value of an environment variable, without allocating.
pub(crate) fn environment_equals(name: &CStr, value: &CStr) -> bool {
    // SAFETY: getenv takes a C string; what it returns is one, and is read at once. As everywhere in C, a host that
    // changes the environment while other threads read it breaks the rules itself.
    unsafe {
        let found = libc::getenv(name.as_ptr());
        !found.is_null() && CStr::from_ptr(found) == value
    }
}

/// The number that an environment variable has, without allocating. `None` where it is not set, or no decimal number.
pub(crate) fn environment_number(name: &CStr) -> Option<usize> {
    // SAFETY: as in `environment_equals`.
    unsafe {
        let found = libc::getenv(name.as_ptr());
        if found.is_null() { None } else { CStr::from_ptr(found).to_str().ok()?.parse().ok() }
    }
}

/// Runs `write`, which says whether it failed by EPIPE, with SIGPIPE blocked, and takes back the signal that it caused.
fn without_sigpipe(write: impl FnOnce() -> bool) {
    // SAFETY: the sets are initialised by sigemptyset or by the calls that fill them; every pointer is to a local or NULL
    // where that is allowed. Only this thread's mask is changed, and it is restored.
    unsafe {
        let mut sigpipe = MaybeUninit::<libc::sigset_t>::uninit();
        libc::sigemptyset(sigpipe.as_mut_ptr());
        libc::sigaddset(sigpipe.as_mut_ptr(), libc::SIGPIPE);

        let mut pending = MaybeUninit::<libc::sigset_t>::uninit();
        let was_pending = libc::sigpending(pending.as_mut_ptr()) == 0 && libc::sigismember(pending.as_ptr(), libc::SIGPIPE) == 1;

        let mut old_mask = MaybeUninit::<libc::sigset_t>::uninit();
        if libc::pthread_sigmask(libc::SIG_BLOCK, sigpipe.as_ptr(), old_mask.as_mut_ptr()) != 0 {
            return;
        }
        if write() && !was_pending {
            let at_once = libc::timespec { tv_sec: 0, tv_nsec: 0 };
            while libc::sigtimedwait(sigpipe.as_ptr(), ptr::null_mut(), &at_once) < 0 && Errno::last().is_interrupted() {}
        }
        libc::pthread_sigmask(libc::SIG_SETMASK, old_mask.as_ptr(), ptr::null_mut());
    }
}

// Not declared by libc.
unsafe extern "C" {
    fn pthread_setcancelstate(state: c_int, old_state: *mut c_int) -> c_int;
}

const PTHREAD_CANCEL_DISABLE: c_int = 1;

/// As long as it lives, a pthread_cancel does not end the thread: that would unwind the stack, which Rust code does not survive.
pub(crate) struct CancelGuard {
    old_state: c_int,
}

impl CancelGuard {
    pub(crate) fn begin() -> Self {
        let mut old_state = 0;
        // SAFETY: writes the thread's old state to the local.
        unsafe { pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &mut old_state) };
        Self { old_state }
    }
}

impl Drop for CancelGuard {
    fn drop(&mut self) {
        // SAFETY: a NULL old state is allowed on Linux; the state is one that this thread had.
        unsafe { pthread_setcancelstate(self.old_state, ptr::null_mut()) };
    }
}
