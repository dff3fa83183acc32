//! Advisory locks (flock) on open files.

use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use super::errno::Errno;
use super::syscall::syscall;

/// Locks a file without waiting, for as long as any process has this open file description. Returns false if it is
/// locked elsewhere.
///
/// # Errors
/// On a file system without locks; callers treat such a file as locked by nobody.
pub(crate) fn try_lock(fd: BorrowedFd<'_>) -> Result<bool, Errno> {
    // SAFETY: flock takes no pointers; the descriptor is open for as long as it is borrowed.
    match syscall(|| unsafe { libc::flock(fd.as_raw_fd(), libc::LOCK_EX | libc::LOCK_NB) }) {
        Ok(_) => Ok(true),
        Err(errno) if errno.is_would_block() => Ok(false),
        Err(errno) => Err(errno),
    }
}

/// A file that is locked until this is dropped.
pub(crate) struct FileLock(OwnedFd);

impl FileLock {
    /// Locks a file without waiting. Returns `None` if it is locked elsewhere. On a file system without locks,
    /// succeeds.
    pub(crate) fn try_new(file: OwnedFd) -> Option<Self> {
        (try_lock(file.as_fd()) != Ok(false)).then_some(Self(file))
    }
}

impl AsFd for FileLock {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

impl Drop for FileLock {
    /// Unlocks explicitly: a child that was forked meanwhile shares the descriptor, so closing it would not unlock.
    fn drop(&mut self) {
        // SAFETY: flock takes no pointers; the descriptor is owned.
        _ = syscall(|| unsafe { libc::flock(self.0.as_raw_fd(), libc::LOCK_UN) });
    }
}
