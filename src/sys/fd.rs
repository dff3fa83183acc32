//! Reading and writing descriptors to the end of the job: interrupted calls are repeated, a descriptor that would
//! block is waited for, and what was transferred only in part is continued.

use std::ffi::c_int;
use std::os::fd::{AsRawFd, BorrowedFd};

use super::cancel::CancelGuard;
use super::errno::Errno;

/// Writes all of `first`, then all of `second`.
pub(crate) fn write_all(fd: BorrowedFd<'_>, mut first: &[u8], mut second: &[u8]) -> Result<(), Errno> {
    while !(first.is_empty() && second.is_empty()) {
        let written = match write_once(fd, first, second) {
            Ok(0) => return Err(Errno::NO_PROGRESS),
            Ok(written) => written,
            Err(errno) => {
                retry_or_wait(errno, fd, libc::POLLOUT)?;
                continue;
            }
        };
        let of_first = written.min(first.len());
        first = &first[of_first..];
        second = &second[written - of_first..];
    }
    Ok(())
}

/// One system call: write(2) if there is one part, writev(2) if there are two.
fn write_once(fd: BorrowedFd<'_>, first: &[u8], second: &[u8]) -> Result<usize, Errno> {
    let fd = fd.as_raw_fd();
    let one = if first.is_empty() { second } else { first };
    let parts = [
        libc::iovec { iov_base: first.as_ptr().cast_mut().cast(), iov_len: first.len() },
        libc::iovec { iov_base: second.as_ptr().cast_mut().cast(), iov_len: second.len() },
    ];
    uncancelled(|| {
        // SAFETY: the parts are borrowed for the call, which only reads them.
        unsafe {
            if one.len() == first.len() + second.len() {
                libc::write(fd, one.as_ptr().cast(), one.len())
            } else {
                libc::writev(fd, parts.as_ptr(), 2)
            }
        }
    })
}

/// Writes all of `data` to the file, from `offset` on; its position stays. The end of the data must fit an `off_t`.
pub(crate) fn write_all_at(fd: BorrowedFd<'_>, mut data: &[u8], mut offset: u64) -> Result<(), Errno> {
    while !data.is_empty() {
        // SAFETY: the data is borrowed for the call, which only reads it.
        let write = || unsafe { libc::pwrite(fd.as_raw_fd(), data.as_ptr().cast(), data.len(), offset as i64) };
        match uncancelled(write) {
            Ok(0) => return Err(Errno::NO_PROGRESS),
            Ok(written) => {
                data = &data[written..];
                offset += written as u64;
            }
            Err(errno) => retry_or_wait(errno, fd, libc::POLLOUT)?,
        }
    }
    Ok(())
}

/// Reads at least `least` bytes, no more than `first` holds, to `first`; whatever else the same calls give goes to the rest of
/// it and then to `second`. Returns how many it read: fewer than `least` only if the file ended there.
pub(crate) fn read_at_least(fd: BorrowedFd<'_>, first: &mut [u8], second: &mut [u8], least: usize) -> Result<usize, Errno> {
    read_at_least_from(fd, None, first, second, least)
}

/// The same, from the file position on, or without regard to it from `at` on; the end of what is read must fit an `off_t` then.
pub(crate) fn read_at_least_from(
    fd: BorrowedFd<'_>,
    at: Option<u64>,
    first: &mut [u8],
    second: &mut [u8],
    least: usize,
) -> Result<usize, Errno> {
    let mut got = 0;
    while got < least {
        match read_once(fd, at.map(|at| (at + got as u64) as i64), &mut first[got..], second) {
            Ok(0) => break,
            Ok(read) => got += read,
            Err(errno) => retry_or_wait(errno, fd, libc::POLLIN)?,
        }
    }
    Ok(got)
}

/// One system call, to two parts of memory that follow each other: read(2) or pread(2) if there is no second one, else readv(2) or
/// preadv(2).
fn read_once(fd: BorrowedFd<'_>, at: Option<i64>, first: &mut [u8], second: &mut [u8]) -> Result<usize, Errno> {
    let fd = fd.as_raw_fd();
    let parts = [
        libc::iovec { iov_base: first.as_mut_ptr().cast(), iov_len: first.len() },
        libc::iovec { iov_base: second.as_mut_ptr().cast(), iov_len: second.len() },
    ];
    uncancelled(|| {
        // SAFETY: the parts are borrowed mutably for the call, which writes at most their lengths.
        unsafe {
            match (at, second.is_empty()) {
                (None, true) => libc::read(fd, parts[0].iov_base, parts[0].iov_len),
                (None, false) => libc::readv(fd, parts.as_ptr(), 2),
                (Some(at), true) => libc::pread(fd, parts[0].iov_base, parts[0].iov_len, at),
                (Some(at), false) => libc::preadv(fd, parts.as_ptr(), 2, at),
            }
        }
    })
}

/// Reads from `offset` on, which must fit an `off_t`, without regard to the file position: some bytes, 0 only at the file's end.
pub(crate) fn read_at(fd: BorrowedFd<'_>, offset: i64, to: &mut [u8]) -> Result<usize, Errno> {
    loop {
        // SAFETY: the memory is borrowed mutably for the call, which writes at most its length.
        match uncancelled(|| unsafe { libc::pread(fd.as_raw_fd(), to.as_mut_ptr().cast(), to.len(), offset) }) {
            Err(errno) => retry_or_wait(errno, fd, libc::POLLIN)?,
            read => return read,
        }
    }
}

/// What the system knows of a file.
pub(super) fn about(fd: BorrowedFd<'_>) -> Result<libc::stat, Errno> {
    // SAFETY: a zeroed stat is a valid one (plain integers), and fstat writes no more than it.
    unsafe {
        let mut stat: libc::stat = std::mem::zeroed();
        match libc::fstat(fd.as_raw_fd(), &mut stat) {
            0 => Ok(stat),
            _ => Err(Errno::last()),
        }
    }
}

/// Whether it is a file that has its size, and can be mapped.
pub(crate) fn is_regular_file(fd: BorrowedFd<'_>) -> Result<bool, Errno> {
    about(fd).map(|stat| stat.st_mode & libc::S_IFMT == libc::S_IFREG)
}

/// Whether all that is written goes to the file's end, also what is to go elsewhere.
pub(crate) fn appends(fd: BorrowedFd<'_>) -> bool {
    // SAFETY: takes and changes no memory.
    let flags = unsafe { libc::fcntl(fd.as_raw_fd(), libc::F_GETFL) };
    flags >= 0 && flags & libc::O_APPEND != 0
}

/// Size and position of the file, if it has both (a pipe has none).
pub(crate) fn size_and_position(fd: BorrowedFd<'_>) -> Option<(i64, i64)> {
    let size = about(fd).ok()?.st_size;
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

/// Moves the file position to the end, and returns it.
pub(crate) fn seek_end(fd: BorrowedFd<'_>) -> Result<i64, Errno> {
    // SAFETY: takes and changes no memory.
    let position = unsafe { libc::lseek(fd.as_raw_fd(), 0, libc::SEEK_END) };
    if position < 0 { Err(Errno::last()) } else { Ok(position) }
}

/// Cuts a file to `size`, which must fit an `off_t`.
pub(crate) fn truncate(fd: BorrowedFd<'_>, size: i64) -> Result<(), Errno> {
    loop {
        // SAFETY: takes and changes no memory.
        match uncancelled(|| unsafe { libc::ftruncate(fd.as_raw_fd(), size) } as isize) {
            Err(errno) if errno.is_interrupted() => {}
            result => return result.map(drop),
        }
    }
}

/// After a failed call: `Ok` where it is to be made again, at once or as soon as the descriptor is ready.
#[cold]
fn retry_or_wait(errno: Errno, fd: BorrowedFd<'_>, events: i16) -> Result<(), Errno> {
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
        match uncancelled(|| unsafe { libc::poll(&mut poll, 1, FOR_EVER) } as isize) {
            // Also where poll reports an error condition: the call that is made again tells which.
            Ok(_) => return Ok(()),
            Err(errno) if errno.is_interrupted() => {}
            Err(errno) => return Err(errno),
        }
    }
}

/// Makes a system call that can block and be a cancellation point. A thread that is cancelled meanwhile ends when it is back in
/// the host's code.
pub(super) fn uncancelled(call: impl FnOnce() -> isize) -> Result<usize, Errno> {
    let _uncancelled = CancelGuard::begin();
    usize::try_from(call()).map_err(|_| Errno::last())
}
