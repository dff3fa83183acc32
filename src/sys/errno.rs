//! The system's error numbers.

use std::ffi::{CStr, c_int};
use std::fmt;

/// An error number of the system (`errno`).
///
/// Displayed as the system's message for it. Converts into a [`std::io::Error`].
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

    /// A write that wrote nothing and gave no reason: retrying could go on for ever.
    pub(super) const NO_PROGRESS: Self = Self(libc::EIO);

    /// Out of memory, as reported by calls that have no error number of their own.
    pub(crate) const OUT_OF_MEMORY: Self = Self(libc::ENOMEM);

    /// The number itself, as in `<errno.h>`.
    pub fn raw(self) -> i32 {
        self.0
    }

    pub(super) fn is_interrupted(self) -> bool {
        self.0 == libc::EINTR
    }

    pub(super) fn is_would_block(self) -> bool {
        self.0 == libc::EAGAIN || self.0 == libc::EWOULDBLOCK
    }
}

impl fmt::Display for Errno {
    // On the stack alone: failures are logged when memory may be short.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = [0u8; 128];
        // SAFETY: the buffer is valid for its length. The XSI strerror_r, which libc binds, ends it with a NUL.
        let failed = unsafe { libc::strerror_r(self.0, text.as_mut_ptr().cast(), text.len()) } != 0;
        match CStr::from_bytes_until_nul(&text).map(CStr::to_str) {
            Ok(Ok(text)) if !failed && !text.is_empty() => f.write_str(text),
            _ => write!(f, "unknown error {}", self.0),
        }
    }
}

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
    fn shows_the_systems_text() {
        assert_eq!(Errno(libc::ENOSPC).to_string(), "No space left on device");
        assert!(Errno(123_456).to_string().contains("123456"));
        assert_eq!(std::io::Error::from(Errno(libc::EINTR)).kind(), std::io::ErrorKind::Interrupted);
    }
}
