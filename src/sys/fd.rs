//! Operations on an open descriptor.
//!
//! Reads and writes are complete: interrupted calls are retried, a descriptor that would block is polled, and partial
//! transfers are continued. No call is a cancellation point.

use std::ffi::c_int;
use std::os::fd::{AsRawFd, BorrowedFd, IntoRawFd, OwnedFd};

use super::errno::Errno;
use super::syscall::{syscall, syscall_size};

/// Writes all of `first`, then all of `second`.
pub(crate) fn write_all(fd: BorrowedFd<'_>, mut first: &[u8], mut second: &[u8]) -> Result<(), Errno> {
    while !(first.is_empty() && second.is_empty()) {
        let written = match write_once(fd, first, second) {
            Ok(0) => return Err(Errno::WRITE_ZERO),
            Ok(written) => written,
            Err(errno) => {
                retry_or_poll(errno, fd, libc::POLLOUT)?;
                continue;
            }
        };
        let of_first = written.min(first.len());
        first = &first[of_first..];
        second = &second[written - of_first..];
    }
    Ok(())
}

/// Makes one system call: write(2) if one part is empty, else writev(2).
fn write_once(fd: BorrowedFd<'_>, first: &[u8], second: &[u8]) -> Result<usize, Errno> {
    let fd = fd.as_raw_fd();
    let one = if first.is_empty() { second } else { first };
    let parts = [
        libc::iovec { iov_base: first.as_ptr().cast_mut().cast(), iov_len: first.len() },
        libc::iovec { iov_base: second.as_ptr().cast_mut().cast(), iov_len: second.len() },
    ];
    syscall_size(|| {
        // SAFETY: `parts` and `one` point into `first` and `second`, which are borrowed for the call; it only reads
        // them.
        unsafe {
            if one.len() == first.len() + second.len() {
                libc::write(fd, one.as_ptr().cast(), one.len())
            } else {
                libc::writev(fd, parts.as_ptr(), 2)
            }
        }
    })
}

/// Writes all of `data` at `offset`; the file position stays. The end of the data must fit an `off_t`.
pub(crate) fn write_all_at(fd: BorrowedFd<'_>, mut data: &[u8], mut offset: u64) -> Result<(), Errno> {
    while !data.is_empty() {
        // SAFETY: `data` is borrowed for the call, which only reads it.
        let write = || unsafe { libc::pwrite(fd.as_raw_fd(), data.as_ptr().cast(), data.len(), offset as i64) };
        match syscall_size(write) {
            Ok(0) => return Err(Errno::WRITE_ZERO),
            Ok(written) => {
                data = &data[written..];
                offset += written as u64;
            }
            Err(errno) => retry_or_poll(errno, fd, libc::POLLOUT)?,
        }
    }
    Ok(())
}

/// Reads at the file position until `first` has at least `min` bytes, or the file ends. What the calls return beyond
/// that goes to the rest of `first`, then to `second`. Returns the number of bytes read: less than `min` only at the
/// end of the file.
///
/// `min` is at most the length of `first`.
pub(crate) fn read_at_least(fd: BorrowedFd<'_>, first: &mut [u8], second: &mut [u8], min: usize) -> Result<usize, Errno> {
    pread_at_least(fd, None, first, second, min)
}

/// As [`read_at_least`], but at `offset` if there is one; the file position then stays. The end of the data must fit an
/// `off_t`.
pub(crate) fn pread_at_least(
    fd: BorrowedFd<'_>,
    offset: Option<u64>,
    first: &mut [u8],
    second: &mut [u8],
    min: usize,
) -> Result<usize, Errno> {
    let mut total = 0;
    while total < min {
        match read_once(fd, offset.map(|offset| (offset + total as u64) as i64), &mut first[total..], second) {
            Ok(0) => break,
            Ok(read) => total += read,
            Err(errno) => retry_or_poll(errno, fd, libc::POLLIN)?,
        }
    }
    Ok(total)
}

/// Makes one system call: read(2) or pread(2) if `second` is empty, else readv(2) or preadv(2).
fn read_once(fd: BorrowedFd<'_>, offset: Option<i64>, first: &mut [u8], second: &mut [u8]) -> Result<usize, Errno> {
    let fd = fd.as_raw_fd();
    let parts = [
        libc::iovec { iov_base: first.as_mut_ptr().cast(), iov_len: first.len() },
        libc::iovec { iov_base: second.as_mut_ptr().cast(), iov_len: second.len() },
    ];
    syscall_size(|| {
        // SAFETY: `parts` are `first` and `second`, borrowed mutably for the call; it writes at most their lengths.
        unsafe {
            match (offset, second.is_empty()) {
                (None, true) => libc::read(fd, parts[0].iov_base, parts[0].iov_len),
                (None, false) => libc::readv(fd, parts.as_ptr(), 2),
                (Some(offset), true) => libc::pread(fd, parts[0].iov_base, parts[0].iov_len, offset),
                (Some(offset), false) => libc::preadv(fd, parts.as_ptr(), 2, offset),
            }
        }
    })
}

/// Reads some bytes at `offset`, which must fit an `off_t`; the file position stays. Returns 0 only at the end of the
/// file.
pub(crate) fn read_at(fd: BorrowedFd<'_>, offset: i64, to: &mut [u8]) -> Result<usize, Errno> {
    loop {
        // SAFETY: `to` is borrowed mutably for the call, which writes at most its length.
        match syscall_size(|| unsafe { libc::pread(fd.as_raw_fd(), to.as_mut_ptr().cast(), to.len(), offset) }) {
            Err(errno) => retry_or_poll(errno, fd, libc::POLLIN)?,
            read => return read,
        }
    }
}

/// Queries the attributes of a file.
fn fstat(fd: BorrowedFd<'_>) -> Result<libc::stat, Errno> {
    // SAFETY: an all-zero `stat` is valid (plain integers), and fstat writes one `stat` to the local.
    unsafe {
        let mut stat: libc::stat = std::mem::zeroed();
        match libc::fstat(fd.as_raw_fd(), &mut stat) {
            0 => Ok(stat),
            _ => Err(Errno::last()),
        }
    }
}

/// Returns whether the descriptor is a regular file: it has a size and can be mapped.
pub(crate) fn is_regular_file(fd: BorrowedFd<'_>) -> Result<bool, Errno> {
    fstat(fd).map(|stat| stat.st_mode & libc::S_IFMT == libc::S_IFREG)
}

/// Returns whether the file still has a name; true if that is unknown.
pub(crate) fn is_linked(fd: BorrowedFd<'_>) -> bool {
    fstat(fd).map_or(true, |stat| stat.st_nlink > 0)
}

/// Returns the size of a file in bytes.
pub(crate) fn size(fd: BorrowedFd<'_>) -> Result<u64, Errno> {
    fstat(fd).map(|stat| u64::try_from(stat.st_size).unwrap_or_default())
}

/// Identifies a file, whatever its names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct FileId(libc::dev_t, libc::ino_t);

/// Returns the identity of an open file.
pub(crate) fn file_id(fd: BorrowedFd<'_>) -> Result<FileId, Errno> {
    fstat(fd).map(|stat| FileId(stat.st_dev, stat.st_ino))
}

/// Owner, group and permission bits of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Access {
    owner: libc::uid_t,
    group: libc::gid_t,
    /// Without the set-ID bits: writing to a file clears them, so replacing one does too.
    permissions: libc::mode_t,
}

impl Access {
    /// Returns the access of an open file.
    pub(crate) fn of(file: BorrowedFd<'_>) -> Result<Self, Errno> {
        fstat(file).map(|stat| Self { owner: stat.st_uid, group: stat.st_gid, permissions: stat.st_mode & 0o777 })
    }

    /// Gives an open file this owner and group, as far as the process may, and then these permissions. If the group can't be kept, the
    /// new group gets no more permissions than everybody. File systems without owners or permissions ignore that.
    pub(crate) fn apply(self, file: BorrowedFd<'_>) -> Result<(), Errno> {
        const UNCHANGED: libc::uid_t = libc::uid_t::MAX;
        let fd = file.as_raw_fd();
        let current = Self::of(file)?;
        if (current.owner, current.group) != (self.owner, self.group) {
            // SAFETY: fchown takes no pointers.
            let both = syscall(|| unsafe { libc::fchown(fd, self.owner, self.group) });
            if both.is_err() && current.group != self.group {
                // SAFETY: fchown takes no pointers.
                _ = syscall(|| unsafe { libc::fchown(fd, UNCHANGED, self.group) });
            }
        }
        let mut permissions = self.permissions;
        if Self::of(file)?.group != self.group {
            permissions &= !0o070 | (permissions & 0o007) << 3;
        }
        // SAFETY: fchmod takes no pointers.
        _ = syscall(|| unsafe { libc::fchmod(fd, permissions) });
        Ok(())
    }
}

/// Returns whether the file is open for appending (O_APPEND): then pwrite(2) ignores its offset.
pub(crate) fn is_append_only(fd: BorrowedFd<'_>) -> bool {
    // SAFETY: F_GETFL takes no pointers.
    let flags = unsafe { libc::fcntl(fd.as_raw_fd(), libc::F_GETFL) };
    flags >= 0 && flags & libc::O_APPEND != 0
}

/// Returns size and position of the file; `None` if it is not seekable (a pipe).
pub(crate) fn size_and_position(fd: BorrowedFd<'_>) -> Option<(i64, i64)> {
    let size = fstat(fd).ok()?.st_size;
    // SAFETY: lseek takes no pointers.
    let position = unsafe { libc::lseek(fd.as_raw_fd(), 0, libc::SEEK_CUR) };
    (position >= 0).then_some((size, position))
}

/// Moves the file position to `offset`, which must fit an `off_t`.
pub(crate) fn seek(fd: BorrowedFd<'_>, offset: i64) -> Result<(), Errno> {
    // SAFETY: lseek takes no pointers.
    match unsafe { libc::lseek(fd.as_raw_fd(), offset, libc::SEEK_SET) } {
        position if position < 0 => Err(Errno::last()),
        _ => Ok(()),
    }
}

/// Moves the file position to the end of the file and returns it.
pub(crate) fn seek_end(fd: BorrowedFd<'_>) -> Result<i64, Errno> {
    // SAFETY: lseek takes no pointers.
    let position = unsafe { libc::lseek(fd.as_raw_fd(), 0, libc::SEEK_END) };
    if position < 0 { Err(Errno::last()) } else { Ok(position) }
}

/// Sets the size of a file, which must fit an `off_t`.
pub(crate) fn ftruncate(fd: BorrowedFd<'_>, size: i64) -> Result<(), Errno> {
    loop {
        // SAFETY: ftruncate takes no pointers.
        match syscall(|| unsafe { libc::ftruncate(fd.as_raw_fd(), size) }) {
            Err(errno) if errno.is_interrupted() => {}
            result => return result.map(drop),
        }
    }
}

/// Preallocates file space (FALLOC_FL_KEEP_SIZE), so that writing there can not run out of space.
///
/// # Errors
/// Only that the device or a quota is full: a file system that can not preallocate is no failure.
pub(crate) fn fallocate(fd: BorrowedFd<'_>, offset: u64, size: u64) -> Result<(), Errno> {
    // A program with a fast interval timer could interrupt every attempt.
    const MAX_ATTEMPTS: usize = 16;
    for _ in 0..MAX_ATTEMPTS {
        let (fd, offset, size) = (fd.as_raw_fd(), offset as i64, size as i64);
        // SAFETY: fallocate takes no pointers.
        match syscall(|| unsafe { libc::fallocate(fd, libc::FALLOC_FL_KEEP_SIZE, offset, size) }) {
            Err(errno) if errno.is_interrupted() => {}
            Err(errno) if errno.is_storage_full() => return Err(errno),
            _ => break,
        }
    }
    Ok(())
}

/// Flushes a file to the device. Not retried on failure: the kernel may have dropped the dirty pages, so a second fsync
/// can succeed without having written them.
pub(crate) fn fsync(fd: BorrowedFd<'_>) -> Result<(), Errno> {
    // SAFETY: fsync takes no pointers.
    syscall(|| unsafe { libc::fsync(fd.as_raw_fd()) }).map(drop)
}

/// Closes a file, and reports the write errors that some file systems report only here.
pub(crate) fn close(fd: OwnedFd) -> Result<(), Errno> {
    let fd = fd.into_raw_fd();
    // SAFETY: `into_raw_fd` gave up ownership, so this is the only close of the descriptor.
    match syscall(|| unsafe { libc::close(fd) }) {
        // Linux closes the descriptor nevertheless.
        Err(errno) if errno.is_interrupted() => Ok(()),
        result => result.map(drop),
    }
}

/// Returns `Ok` if the failed call is to be retried: at once after a signal, or when the descriptor has become ready.
#[cold]
fn retry_or_poll(errno: Errno, fd: BorrowedFd<'_>, events: i16) -> Result<(), Errno> {
    if errno.is_would_block() {
        return poll_ready(fd, events);
    }
    if errno.is_interrupted() { Ok(()) } else { Err(errno) }
}

fn poll_ready(fd: BorrowedFd<'_>, events: i16) -> Result<(), Errno> {
    const INFINITE_TIMEOUT: c_int = -1;
    let mut poll = libc::pollfd { fd: fd.as_raw_fd(), events, revents: 0 };
    loop {
        // SAFETY: the array is the one local element.
        match syscall(|| unsafe { libc::poll(&mut poll, 1, INFINITE_TIMEOUT) }) {
            // Also if poll reports an error condition: the retried call returns it.
            Ok(_) => return Ok(()),
            Err(errno) if errno.is_interrupted() => {}
            Err(errno) => return Err(errno),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::fd::AsFd;

    #[test]
    fn writes_at_offsets_in_any_order() {
        let file = tempfile::tempfile().unwrap();
        write_all_at(file.as_fd(), b"cd", 2).unwrap();
        write_all_at(file.as_fd(), b"ab", 0).unwrap();
        assert_eq!(size(file.as_fd()), Ok(4));
        let (mut read, mut rest) = ([0; 4], []);
        assert_eq!(pread_at_least(file.as_fd(), Some(0), &mut read, &mut rest, 4), Ok(4));
        assert_eq!(&read, b"abcd");
    }
}
