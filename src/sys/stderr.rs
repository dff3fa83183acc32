//! Standard error of the process.

use std::mem::MaybeUninit;
use std::ptr;

use super::errno::Errno;

/// Writes `line` to standard error with one write(2), so that lines of several threads do not mix. A failure is
/// ignored. Raises no SIGPIPE and preserves `errno`.
pub(crate) fn write_stderr(line: &[u8]) {
    let errno = Errno::last();
    with_sigpipe_blocked(|| {
        // SAFETY: `line` is borrowed for the call, which reads its length at most.
        let written = unsafe { libc::write(libc::STDERR_FILENO, line.as_ptr().cast(), line.len()) };
        written < 0 && Errno::last().raw() == libc::EPIPE
    });
    errno.set();
}

/// Runs `write` with SIGPIPE blocked, and consumes the signal it raised. `write` returns whether it failed with EPIPE.
fn with_sigpipe_blocked(write: impl FnOnce() -> bool) {
    // SAFETY: every set is initialised before it is read, by sigemptyset or by the call that fills it, and every
    // pointer is to a local, or NULL where POSIX allows it. Only the mask of this thread changes, and it is restored.
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
            let zero_timeout = libc::timespec { tv_sec: 0, tv_nsec: 0 };
            while libc::sigtimedwait(sigpipe.as_ptr(), ptr::null_mut(), &zero_timeout) < 0 && Errno::last().is_interrupted() {}
        }
        libc::pthread_sigmask(libc::SIG_SETMASK, old_mask.as_ptr(), ptr::null_mut());
    }
}
