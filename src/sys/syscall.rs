//! System calls as `Result`s, and never as cancellation points.

use std::ffi::c_int;

use super::cancel::CancelGuard;
use super::errno::Errno;

/// Makes a call that returns a number of bytes, or a negative value and sets `errno`. A pthread_cancel that arrives
/// meanwhile takes effect when the thread is back in the caller's code.
pub(super) fn syscall_size(call: impl FnOnce() -> isize) -> Result<usize, Errno> {
    let _guard = CancelGuard::new();
    usize::try_from(call()).map_err(|_| Errno::last())
}

/// Makes a call that returns a status or a descriptor, otherwise as [`syscall_size`].
pub(super) fn syscall(call: impl FnOnce() -> c_int) -> Result<c_int, Errno> {
    syscall_size(|| call() as isize).map(|result| result as c_int)
}
