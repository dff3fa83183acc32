//! Errors of whole files: those of [`AtomicFile`](crate::AtomicFile) and [`MappedFile`](crate::MappedFile).

use std::fmt;
use std::io::ErrorKind;

use crate::error_base::{INTERNAL, IoError, OUT_OF_MEMORY, impl_module_error};

/// Why a file could not be replaced or mapped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum FileError {
    /// An argument is invalid (the path, for example); says which and why.
    InvalidArgument(&'static str),
    /// A system call failed.
    Io(IoError),
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

impl_module_error!(FileError);

impl FileError {
    /// The offset in bytes at which it went wrong, if the error has one.
    pub fn offset(&self) -> Option<u64> {
        match self {
            Self::Io(error) => error.offset,
            _ => None,
        }
    }

    pub(crate) fn io_kind(&self) -> ErrorKind {
        match self {
            Self::Io(error) => std::io::Error::from(error.errno).kind(),
            Self::OutOfMemory => ErrorKind::OutOfMemory,
            Self::Internal => ErrorKind::Other,
            _ => ErrorKind::InvalidInput,
        }
    }
}

impl fmt::Display for FileError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::InvalidArgument(message) => f.write_str(message),
            Self::Io(error) => error.fmt(f),
            Self::OffsetOverflow { size } => write!(f, "{size} bytes end beyond the largest file offset"),
            Self::OutOfMemory => f.write_str(OUT_OF_MEMORY),
            Self::Internal => f.write_str(INTERNAL),
        }
    }
}

/// Implements `From<FileError>` for an error enum that has all of its variants.
macro_rules! impl_from_file_error {
    ($error:ident) => {
        impl From<$crate::file_error::FileError> for $error {
            fn from(error: $crate::file_error::FileError) -> Self {
                use $crate::file_error::FileError;
                match error {
                    FileError::InvalidArgument(message) => Self::InvalidArgument(message),
                    FileError::Io(error) => Self::Io(error),
                    FileError::OffsetOverflow { size } => Self::OffsetOverflow { size },
                    FileError::OutOfMemory => Self::OutOfMemory,
                    FileError::Internal => Self::Internal,
                }
            }
        }
    };
}

pub(crate) use impl_from_file_error;
