//! Reading and writing descriptors to the end of the job: interrupted calls are repeated, a descriptor that would
//! block is waited for, and what was transferred only in part is continued.

use std::ffi::c_int;
use std::os::fd::{AsRawFd, BorrowedFd};

use super::errno::Errno;

/// Writes all of `first`, then all of `second`.
pub(crate) fn write_all(fd: BorrowedFd<'_>, mut first: &[u8], mut second: &[u8]) -> Result<(), Errno> {
    while !(first.is_empty() && second.is_empty()) {
        let parts = [
            libc::iovec { iov_base: first.as_ptr().cast_mut().cast(), iov_len: first.len() },
            libc::iovec { iov_base: second.as_ptr().cast_mut().cast(), iov_len: second.len() },
        ];
        // SAFETY: both parts are borrowed for the call, which only reads them.
        let written = unsafe { libc::writev(fd.as_raw_fd(), parts.as_ptr(), 2) };
        let written = match usize::try_from(written) {
            Ok(0) => return Err(Errno::NO_PROGRESS),
            Ok(written) => written,
            Err(_) => {
                retry_or_wait(fd, libc::POLLOUT)?;
                continue;
            }
        };
        let of_first = written.min(first.len());
        first = &first[of_first..];
        second = &second[written - of_first..];
    }
    Ok(())
}

/// How [`read_full`] ended.
pub(crate) enum Read {
    /// `dst` is full, and this many bytes that followed are in `ahead`.
    Full { ahead: usize },
    /// The file ended when this many bytes of `dst` were read.
    End { got: usize },
}

/// Reads until `dst` is full; whatever the calls that it takes can read beyond that goes to `ahead`.
pub(crate) fn read_full(fd: BorrowedFd<'_>, dst: &mut [u8], ahead: &mut [u8]) -> Result<Read, Errno> {
    let mut got = 0;
    while got < dst.len() {
        let rest = &mut dst[got..];
        let parts = [
            libc::iovec { iov_base: rest.as_mut_ptr().cast(), iov_len: rest.len() },
            libc::iovec { iov_base: ahead.as_mut_ptr().cast(), iov_len: ahead.len() },
        ];
        // SAFETY: both parts are borrowed mutably from the caller for the call, which writes at most their lengths.
        let read = unsafe { libc::readv(fd.as_raw_fd(), parts.as_ptr(), 2) };
        match usize::try_from(read) {
            Ok(0) => return Ok(Read::End { got }),
            Ok(read) => got += read,
            Err(_) => retry_or_wait(fd, libc::POLLIN)?,
        }
    }
    Ok(Read::Full { ahead: got - dst.len() })
}

/// Size and position of the file, if it has both (a pipe has none).
pub(crate) fn size_and_position(fd: BorrowedFd<'_>) -> Option<(i64, i64)> {
    // SAFETY: a zeroed stat is a valid one (plain integers), and fstat writes no more than it.
    let size = unsafe {
        let mut stat: libc::stat = std::mem::zeroed();
        (libc::fstat(fd.as_raw_fd(), &mut stat) == 0).then_some(stat.st_size)
    }?;
    // SAFETY: takes and changes no memory.
    let position = unsafe { libc::lseek(fd.as_raw_fd(), 0, libc::SEEK_CUR) };
    (position >= 0).then_some((size, position))
}

/// Moves the file position to `offset`, which must fit an `off_t`.
pub(crate) fn seek(fd: BorrowedFd<'_>, offset: i64) -> Result<(), Errno> {
    // SAFETY: takes and changes no memory.
    match unsafe { libc::lseek(fd.as_raw_fd(), offset, libc::SEEK_SET) } {
        position if position < 0 => Err(Errno::last()),
        _ => Ok(()),
    }
}

/// After a failed call: `Ok` where it is to be made again, at once or as soon as the descriptor is ready.
#[cold]
fn retry_or_wait(fd: BorrowedFd<'_>, events: i16) -> Result<(), Errno> {
    let errno = Errno::last();
    if errno.is_would_block() {
        return wait(fd, events);
    }
    if errno.is_interrupted() { Ok(()) } else { Err(errno) }
}

fn wait(fd: BorrowedFd<'_>, events: i16) -> Result<(), Errno> {
    const FOR_EVER: c_int = -1;
    let mut poll = libc::pollfd { fd: fd.as_raw_fd(), events, revents: 0 };
    loop {
        // SAFETY: the array is the one local element.
        if unsafe { libc::poll(&mut poll, 1, FOR_EVER) } >= 0 {
            // Also where poll reports an error condition: the call that is made again tells which.
            return Ok(());
        }
        let errno = Errno::last();
        if !errno.is_interrupted() {
            return Err(errno);
        }
    }
}
