//! The system's error numbers.

use std::ffi::c_int;
use std::fmt;

/// An error number of the system (`errno`).
///
/// Displayed as what it means, in English. Converts into a [`std::io::Error`].
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Errno(pub(super) c_int);

impl Errno {
    /// The number that the last failed call of this thread left.
    pub(super) fn last() -> Self {
        // SAFETY: the pointer is to this thread's errno, which lives as long as the thread.
        Self(unsafe { *libc::__errno_location() })
    }

    /// Makes this the thread's `errno`.
    pub(super) fn set(self) {
        // SAFETY: as in `last`.
        unsafe { *libc::__errno_location() = self.0 }
    }

    /// The number that is in `error`.
    pub(crate) fn of(error: &std::io::Error) -> Self {
        error.raw_os_error().map_or(Self::NO_PROGRESS, Self)
    }

    /// A write that wrote nothing and gave no reason: retrying could go on for ever.
    pub(super) const NO_PROGRESS: Self = Self(libc::EIO);

    /// Out of memory, as reported by calls that have no error number of their own.
    pub(crate) const OUT_OF_MEMORY: Self = Self(libc::ENOMEM);

    /// There is such a file.
    pub(crate) const EXISTS: Self = Self(libc::EEXIST);

    /// The number itself, as in `<errno.h>`.
    pub fn raw(self) -> i32 {
        self.0
    }

    pub(super) fn is_interrupted(self) -> bool {
        self.0 == libc::EINTR
    }

    pub(crate) fn is_exists(self) -> bool {
        self.0 == libc::EEXIST
    }

    pub(crate) fn is_missing(self) -> bool {
        self.0 == libc::ENOENT
    }

    pub(crate) fn is_name_too_long(self) -> bool {
        self.0 == libc::ENAMETOOLONG
    }

    pub(super) fn is_full(self) -> bool {
        self.0 == libc::ENOSPC || self.0 == libc::EDQUOT
    }

    pub(crate) fn is_invalid(self) -> bool {
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

/// The numbers that calls of this library can give. Not strerror: that allocates, and translates where the host has set a
/// locale, but failures are logged in one language, and also when memory is short.
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

    /// The system's own texts, where they are not translated.
    #[test]
    fn says_what_the_system_says() {
        let mut known = 0;
        for number in (1..200).filter(|&number| text(number).is_some()) {
            known += 1;
            let system = std::io::Error::from_raw_os_error(number).to_string();
            assert_eq!(format!("{} (os error {number})", Errno(number)), system);
        }
        assert_eq!(known, 38);
    }

    #[test]
    fn what_to_do_about_it() {
        let such = |test: fn(Errno) -> bool| (1..200).filter(|&number| test(Errno(number))).collect::<Vec<_>>();
        assert_eq!(such(Errno::is_interrupted), [libc::EINTR]);
        assert_eq!(such(Errno::is_full), [libc::ENOSPC, libc::EDQUOT]);
        assert_eq!(such(Errno::is_would_block), [libc::EAGAIN]);
    }

    #[test]
    fn says_what_it_means() {
        assert_eq!(Errno(libc::ENOSPC).to_string(), "No space left on device");
        assert_eq!(format!("{:?}", Errno(libc::EIO)), "Errno(5: Input/output error)");
        assert_eq!(Errno(123_456).to_string(), "system error 123456");
        assert_eq!(std::io::Error::from(Errno(libc::EINTR)).kind(), std::io::ErrorKind::Interrupted);
    }
}
