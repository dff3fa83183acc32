//! Errors of CKPT containers.

use std::fmt;
use std::io::ErrorKind;

use crate::error_base::{INTERNAL, IoError, OUT_OF_MEMORY, impl_module_error};

/// Why a call on a container failed. Offsets are in bytes from the start of the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Error {
    /// An argument is invalid; says which and why.
    InvalidArgument(&'static str),
    /// A system call failed.
    Io(IoError),
    /// The file is not of this format; says why.
    UnknownFormat(&'static str),
    /// The file is of this format, but corrupt.
    Corrupt {
        /// The offset.
        offset: u64,
        /// What is wrong.
        reason: &'static str,
    },
    /// A section exceeds the container's data.
    SectionOutOfRange {
        /// The section's type.
        kind: u8,
        /// Its stored offset.
        offset: i64,
        /// Its stored length in bytes.
        length: i64,
        /// Size of the container's data in bytes.
        size: u64,
    },
    /// The container has no section of this type.
    SectionNotFound {
        /// The type.
        kind: u8,
    },
    /// The container has no section with this index.
    IndexNotFound {
        /// The index, from 0.
        index: u64,
    },
    /// The buffer for the result is too small.
    BufferTooSmall {
        /// Its size in bytes.
        size: u64,
        /// Number of bytes needed.
        needed: u64,
    },
    /// Verification found issues: the file can be read, but differs from the canonical form.
    NotCanonical {
        /// Number of issues.
        issues: u64,
    },
    /// The file to append to has changed since it was opened.
    FileChanged,
    /// Data would end beyond the largest possible file offset.
    OffsetOverflow {
        /// Size of the data in bytes.
        size: u64,
    },
    /// An allocation failed. The call may be repeated.
    OutOfMemory,
    /// A defect of the library. Please report it.
    Internal,
}

impl_module_error!(Error);

impl Error {
    /// The offset in bytes at which it went wrong, if the error has one.
    pub fn offset(&self) -> Option<u64> {
        match *self {
            Self::Io(error) => error.offset,
            Self::Corrupt { offset, .. } => Some(offset),
            _ => None,
        }
    }

    pub(crate) fn io_kind(&self) -> ErrorKind {
        match self {
            Self::Io(error) => std::io::Error::from(error.errno).kind(),
            Self::OutOfMemory => ErrorKind::OutOfMemory,
            Self::UnknownFormat(_) | Self::Corrupt { .. } | Self::SectionOutOfRange { .. } | Self::NotCanonical { .. } => {
                ErrorKind::InvalidData
            }
            Self::SectionNotFound { .. } | Self::IndexNotFound { .. } => ErrorKind::NotFound,
            Self::BufferTooSmall { .. } => ErrorKind::WriteZero,
            Self::Internal => ErrorKind::Other,
            _ => ErrorKind::InvalidInput,
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::InvalidArgument(message) | Self::UnknownFormat(message) => f.write_str(message),
            Self::Io(error) => error.fmt(f),
            Self::Corrupt { offset, reason } => write!(f, "corrupt container at offset {offset}: {reason}"),
            Self::SectionOutOfRange { kind, offset, length, size } => {
                write!(f, "section of type {kind} out of range: {length} bytes at offset {offset}, the container has {size}")
            }
            Self::SectionNotFound { kind } => write!(f, "no section of type {kind}"),
            Self::IndexNotFound { index } => write!(f, "no section with index {index} (from 0)"),
            Self::BufferTooSmall { size, needed } => write!(f, "buffer too small: {size} bytes, need {needed}"),
            Self::NotCanonical { issues } => write!(f, "the file is not in canonical form: {issues} issues"),
            Self::FileChanged => f.write_str("the file has changed since it was opened; reopen it and append again"),
            Self::OffsetOverflow { size } => write!(f, "{size} bytes end beyond the largest file offset"),
            Self::OutOfMemory => f.write_str(OUT_OF_MEMORY),
            Self::Internal => f.write_str(INTERNAL),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io;

    #[test]
    fn each_error_has_its_kind() {
        for (error, kind) in [
            (Error::SectionNotFound { kind: 1 }, ErrorKind::NotFound),
            (Error::IndexNotFound { index: 1 }, ErrorKind::NotFound),
            (Error::BufferTooSmall { size: 1, needed: 2 }, ErrorKind::WriteZero),
            (Error::Corrupt { offset: 1, reason: "" }, ErrorKind::InvalidData),
        ] {
            assert_eq!(io::Error::from(error).kind(), kind, "{error}");
        }
    }
}
