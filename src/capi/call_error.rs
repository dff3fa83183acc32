//! Errors of exported functions.

use std::collections::TryReserveError;
use std::fmt;

use crate::checkpoint::{self, ErrorContext};
use crate::error::Error;
use crate::error_base::{INTERNAL, Internal, InvalidArgument, OUT_OF_MEMORY, OutOfMemory};
use crate::frames::FrameError;
use crate::sys::errno::Errno;

/// Why a function of fdckpt.h failed: at the boundary to C, or in the library.
#[derive(Debug)]
pub(super) enum CallError {
    /// An argument that only C can get wrong.
    InvalidArgument(&'static str),
    /// An allocation for C failed.
    OutOfMemory,
    /// The library panicked.
    Internal,
    Library(Error),
}

impl CallError {
    pub(super) fn offset(&self) -> Option<u64> {
        match self {
            Self::Library(error) => error.offset(),
            _ => None,
        }
    }

    pub(super) fn errno(&self) -> Option<Errno> {
        match self {
            Self::Library(error) => error.errno(),
            Self::OutOfMemory => Some(Errno::OUT_OF_MEMORY),
            _ => None,
        }
    }

    /// The file, region and frame it is about.
    pub(super) fn context(&self) -> ErrorContext<'_> {
        match self {
            Self::Library(Error::Checkpoint(error)) => error.context(),
            Self::Library(Error::Frames(FrameError { frame, .. })) => {
                ErrorContext { frame: Some(*frame as u64), ..ErrorContext::default() }
            }
            _ => ErrorContext::default(),
        }
    }
}

impl fmt::Display for CallError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::InvalidArgument(message) => f.write_str(message),
            Self::OutOfMemory => f.write_str(OUT_OF_MEMORY),
            Self::Internal => f.write_str(INTERNAL),
            Self::Library(error) => error.fmt(f),
        }
    }
}

impl<E: Into<Error>> From<E> for CallError {
    fn from(error: E) -> Self {
        Self::Library(error.into())
    }
}

impl From<checkpoint::ErrorKind> for CallError {
    fn from(kind: checkpoint::ErrorKind) -> Self {
        checkpoint::Error::from(kind).into()
    }
}

impl From<InvalidArgument> for CallError {
    fn from(error: InvalidArgument) -> Self {
        Self::InvalidArgument(error.0)
    }
}

impl From<OutOfMemory> for CallError {
    fn from(_: OutOfMemory) -> Self {
        Self::OutOfMemory
    }
}

impl From<TryReserveError> for CallError {
    fn from(_: TryReserveError) -> Self {
        Self::OutOfMemory
    }
}

impl From<Internal> for CallError {
    fn from(_: Internal) -> Self {
        Self::Internal
    }
}
