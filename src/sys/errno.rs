//! Error numbers of the system.

use std::ffi::c_int;
use std::fmt;

/// An error number of the system (`errno`).
///
/// Displays as its English description. Converts into [`std::io::Error`].
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Errno(pub(super) c_int);

impl Errno {
    /// Returns the error number of the last failed call of this thread.
    pub(super) fn last() -> Self {
        // SAFETY: the C library returns a valid pointer to the `errno` of this thread.
        Self(unsafe { *libc::__errno_location() })
    }

    /// Sets the `errno` of this thread.
    pub(super) fn set(self) {
        // SAFETY: as in `last`; only this thread accesses its `errno`.
        unsafe { *libc::__errno_location() = self.0 }
    }

    /// Returns the error number in `error`, EIO if it has none.
    pub(crate) fn from_io_error(error: &std::io::Error) -> Self {
        error.raw_os_error().map_or(Self::WRITE_ZERO, Self)
    }

    /// A write(2) that returned 0: retrying could loop forever.
    pub(super) const WRITE_ZERO: Self = Self(libc::EIO);

    /// Out of memory, as reported by calls that have no error number of their own.
    pub(crate) const OUT_OF_MEMORY: Self = Self(libc::ENOMEM);

    /// A file of this name exists.
    pub(crate) const ALREADY_EXISTS: Self = Self(libc::EEXIST);

    /// Returns the number, as in `<errno.h>`.
    pub fn raw(self) -> i32 {
        self.0
    }

    pub(super) fn is_interrupted(self) -> bool {
        self.0 == libc::EINTR
    }

    pub(crate) fn is_already_exists(self) -> bool {
        self.0 == libc::EEXIST
    }

    pub(crate) fn is_not_found(self) -> bool {
        self.0 == libc::ENOENT
    }

    pub(crate) fn is_name_too_long(self) -> bool {
        self.0 == libc::ENAMETOOLONG
    }

    pub(super) fn is_storage_full(self) -> bool {
        self.0 == libc::ENOSPC || self.0 == libc::EDQUOT
    }

    pub(crate) fn is_invalid_input(self) -> bool {
        self.0 == libc::EINVAL
    }

    pub(super) fn is_would_block(self) -> bool {
        self.0 == libc::EAGAIN || self.0 == libc::EWOULDBLOCK
    }
}

impl fmt::Display for Errno {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match text(self.0) {
            Some(text) => f.write_str(text),
            None => write!(f, "system error {}", self.0),
        }
    }
}

/// Returns the text of an error number that calls of this library can return.
///
/// Unlike strerror it does not allocate, and does not depend on the locale of the program.
fn text(errno: c_int) -> Option<&'static str> {
    Some(match errno {
        libc::EPERM => "Operation not permitted",
        libc::ENOENT => "No such file or directory",
        libc::EINTR => "Interrupted system call",
        libc::EIO => "Input/output error",
        libc::ENXIO => "No such device or address",
        libc::EBADF => "Bad file descriptor",
        libc::EAGAIN => "Resource temporarily unavailable",
        libc::ENOMEM => "Cannot allocate memory",
        libc::EACCES => "Permission denied",
        libc::EFAULT => "Bad address",
        libc::EBUSY => "Device or resource busy",
        libc::EEXIST => "File exists",
        libc::ENODEV => "No such device",
        libc::ENOTDIR => "Not a directory",
        libc::EXDEV => "Invalid cross-device link",
        libc::EISDIR => "Is a directory",
        libc::EINVAL => "Invalid argument",
        libc::ENFILE => "Too many open files in system",
        libc::EMFILE => "Too many open files",
        libc::ETXTBSY => "Text file busy",
        libc::EFBIG => "File too large",
        libc::ENOSPC => "No space left on device",
        libc::ENOTEMPTY => "Directory not empty",
        libc::ELOOP => "Too many levels of symbolic links",
        libc::ESPIPE => "Illegal seek",
        libc::EROFS => "Read-only file system",
        libc::EPIPE => "Broken pipe",
        libc::ENAMETOOLONG => "File name too long",
        libc::ENOSYS => "Function not implemented",
        libc::EOVERFLOW => "Value too large for defined data type",
        libc::EDESTADDRREQ => "Destination address required",
        libc::EOPNOTSUPP => "Operation not supported",
        libc::ENOBUFS => "No buffer space available",
        libc::ENOTCONN => "Transport endpoint is not connected",
        libc::ECONNRESET => "Connection reset by peer",
        libc::ETIMEDOUT => "Connection timed out",
        libc::ESTALE => "Stale file handle",
        libc::EDQUOT => "Disk quota exceeded",
        _ => return None,
    })
}

impl std::error::Error for Errno {}

impl fmt::Debug for Errno {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Errno({}: {self})", self.0)
    }
}

impl From<Errno> for std::io::Error {
    fn from(errno: Errno) -> Self {
        Self::from_raw_os_error(errno.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_those_of_the_c_library() {
        let mut known = 0;
        for number in (1..200).filter(|&number| text(number).is_some()) {
            known += 1;
            let system = std::io::Error::from_raw_os_error(number).to_string();
            assert_eq!(format!("{} (os error {number})", Errno(number)), system);
        }
        assert_eq!(known, 38);
    }

    #[test]
    fn predicates_hold_for_their_numbers_only() {
        let matching = |test: fn(Errno) -> bool| (1..200).filter(|&number| test(Errno(number))).collect::<Vec<_>>();
        assert_eq!(matching(Errno::is_interrupted), [libc::EINTR]);
        assert_eq!(matching(Errno::is_storage_full), [libc::ENOSPC, libc::EDQUOT]);
        assert_eq!(matching(Errno::is_would_block), [libc::EAGAIN]);
    }

    #[test]
    fn formats_known_and_unknown_numbers() {
        assert_eq!(Errno(libc::ENOSPC).to_string(), "No space left on device");
        assert_eq!(format!("{:?}", Errno(libc::EIO)), "Errno(5: Input/output error)");
        assert_eq!(Errno(123_456).to_string(), "system error 123456");
        assert_eq!(std::io::Error::from(Errno(libc::EINTR)).kind(), std::io::ErrorKind::Interrupted);
    }
}
