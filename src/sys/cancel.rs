//! Thread cancellation (pthread_cancel).

use std::ffi::c_int;
use std::ptr;

// Not declared by the libc crate.
unsafe extern "C" {
    fn pthread_setcancelstate(state: c_int, old_state: *mut c_int) -> c_int;
}

const PTHREAD_CANCEL_DISABLE: c_int = 1;

/// Defers cancellation of the thread for as long as it lives: cancellation unwinds the stack, which Rust code does not
/// survive.
pub(crate) struct CancelGuard {
    old_state: c_int,
}

impl CancelGuard {
    pub(crate) fn new() -> Self {
        let mut old_state = 0;
        // SAFETY: `old_state` is a local that the call writes the thread's state to.
        unsafe { pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &mut old_state) };
        Self { old_state }
    }
}

impl Drop for CancelGuard {
    fn drop(&mut self) {
        // SAFETY: Linux allows NULL for the old state; `self.old_state` is a state that `new` got from the system.
        unsafe { pthread_setcancelstate(self.old_state, ptr::null_mut()) };
    }
}
