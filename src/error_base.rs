//! The conditions that errors of all modules share. Nothing here knows a format.

use std::fmt;

use crate::sys::errno::Errno;

/// A system call failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct IoError {
    /// What the library was doing.
    pub op: IoOperation,
    /// The offset in bytes from which on nothing can be relied on; `None` if the operation has none.
    pub offset: Option<u64>,
    /// The reason that the system gave.
    pub errno: Errno,
}

/// What the library was doing when a system call failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum IoOperation {
    /// Writing to a descriptor.
    Write,
    /// Reading from a descriptor.
    Read,
    /// Moving the position of a descriptor.
    Seek,
    /// Querying the size of a file, or mapping it into memory.
    Mmap,
    /// Opening a file.
    Open,
    /// Opening the directory of a file.
    OpenDirectory,
    /// Creating a temporary file.
    CreateTempFile,
    /// Flushing the data of a file to the device.
    Fsync,
    /// Closing a file that was written.
    Close,
    /// Renaming a temporary file to its final name.
    Rename,
    /// Flushing a directory entry to the device.
    FsyncDirectory,
}

impl IoOperation {
    /// Makes the error of a system call that failed at `offset`.
    pub(crate) fn failed_at(self, offset: u64) -> impl Fn(Errno) -> IoError + Copy {
        move |errno| IoError { op: self, offset: Some(offset), errno }
    }

    /// Makes the error of a system call that concerns a whole file.
    pub(crate) fn failed(self) -> impl Fn(Errno) -> IoError + Copy {
        move |errno| IoError { op: self, offset: None, errno }
    }
}

impl fmt::Display for IoOperation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Write => "write",
            Self::Read => "read",
            Self::Seek => "seek",
            Self::Mmap => "mapping the file",
            Self::Open => "opening the file",
            Self::OpenDirectory => "opening the directory",
            Self::CreateTempFile => "creating a temporary file in the directory",
            Self::Fsync => "fsync of the file",
            Self::Close => "closing the file",
            Self::Rename => "renaming the temporary file",
            Self::FsyncDirectory => "fsync of the directory (the new file is in place)",
        })
    }
}

impl fmt::Display for IoError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.op)?;
        if let Some(offset) = self.offset {
            write!(f, " at offset {offset}")?;
        }
        write!(f, " failed: {} (errno {})", self.errno, self.errno.raw())
    }
}

impl std::error::Error for IoError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.errno)
    }
}

impl From<IoError> for std::io::Error {
    fn from(error: IoError) -> Self {
        Self::new(Self::from(error.errno).kind(), error)
    }
}

/// An allocation failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct OutOfMemory;

impl From<std::collections::TryReserveError> for OutOfMemory {
    fn from(_: std::collections::TryReserveError) -> Self {
        Self
    }
}

/// An argument is invalid; says which and why.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct InvalidArgument(pub(crate) &'static str);

/// Data ends beyond the largest possible offset.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct OffsetOverflow {
    /// Size of the data in bytes.
    pub(crate) size: u64,
}

/// A defect of the library.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Internal;

/// Messages of the shared conditions, so that each is worded once.
pub(crate) const OUT_OF_MEMORY: &str = "out of memory";
pub(crate) const INTERNAL: &str = "internal error of libfdckpt; please report it";
pub(crate) const CANCELLED: &str = "cancelled by the caller";

/// Implements what the error enum of each module has in common. The enum has the variants `Io(IoError)`, `OutOfMemory`,
/// `InvalidArgument(&'static str)` and `Internal`, and a method `io_kind() -> std::io::ErrorKind`.
macro_rules! impl_module_error {
    ($error:ident) => {
        impl $error {
            /// The reason that the system gave, if a system call or an allocation failed.
            pub fn errno(&self) -> Option<$crate::sys::errno::Errno> {
                match self {
                    Self::Io(error) => Some(error.errno),
                    Self::OutOfMemory => Some($crate::sys::errno::Errno::OUT_OF_MEMORY),
                    _ => None,
                }
            }
        }

        impl std::error::Error for $error {
            fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
                match self {
                    // The message is that of the `IoError`, so the source is the one below it.
                    Self::Io(error) => Some(&error.errno),
                    _ => None,
                }
            }
        }

        impl From<$error> for std::io::Error {
            fn from(error: $error) -> Self {
                match error {
                    // This conversion must not allocate.
                    $error::OutOfMemory => std::io::ErrorKind::OutOfMemory.into(),
                    error => Self::new(error.io_kind(), error),
                }
            }
        }

        impl From<$crate::error_base::IoError> for $error {
            fn from(error: $crate::error_base::IoError) -> Self {
                Self::Io(error)
            }
        }

        impl From<$crate::error_base::OutOfMemory> for $error {
            fn from(_: $crate::error_base::OutOfMemory) -> Self {
                Self::OutOfMemory
            }
        }

        impl From<std::collections::TryReserveError> for $error {
            fn from(_: std::collections::TryReserveError) -> Self {
                Self::OutOfMemory
            }
        }

        impl From<$crate::error_base::InvalidArgument> for $error {
            fn from(error: $crate::error_base::InvalidArgument) -> Self {
                Self::InvalidArgument(error.0)
            }
        }

        impl From<$crate::error_base::Internal> for $error {
            fn from(_: $crate::error_base::Internal) -> Self {
                Self::Internal
            }
        }
    };
}

pub(crate) use impl_module_error;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn io_error_displays_offset_only_if_it_has_one() {
        let errno = Errno::OUT_OF_MEMORY;
        assert!(IoOperation::Read.failed_at(5)(errno).to_string().starts_with("read at offset 5 failed: "));
        assert!(IoOperation::Close.failed()(errno).to_string().starts_with("closing the file failed: "));
    }
}
