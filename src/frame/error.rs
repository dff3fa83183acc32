//! Errors of frames.

use std::fmt;
use std::io::ErrorKind;

use super::limits::{BUFFER_MIN, META_MAX};
use super::style::FrameStyle;
use crate::error_base::{INTERNAL, IoError, OUT_OF_MEMORY, OffsetOverflow, impl_module_error};

/// Error of a call on frames.
///
/// Offsets are in bytes: of a [`Checkpt`](crate::Checkpt) relative to the checkpoint's first byte, of a
/// [`Restore`](crate::Restore) relative to the first byte of the file or memory (of a pipe: of what was read from it).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Error {
    /// A frame is open, which the call does not allow.
    FrameOpen,
    /// No frame is open, which the call needs.
    NoFrame,
    /// An earlier call failed; this object cannot be used any more.
    Poisoned,
    /// An argument is invalid; says which and why.
    InvalidArgument(&'static str),
    /// A metadata buffer is larger than [`META_MAX`].
    MetaTooLarge {
        /// Size of the buffer in bytes.
        size: u64,
    },
    /// An I/O buffer is smaller than [`BUFFER_MIN`].
    IoBufferTooSmall {
        /// Size of the buffer in bytes.
        size: u64,
    },
    /// The frame style does not exist.
    UnknownStyle {
        /// The invalid number.
        style: i32,
    },
    /// The target of a seek is past the end.
    SeekPastEnd {
        /// Target of the seek.
        offset: u64,
        /// Size of the file or memory in bytes.
        size: u64,
    },
    /// The descriptor is not seekable (a pipe, for example).
    NotSeekable,
    /// A system call failed.
    Io(IoError),
    /// The checkpoint ends inside a buffer.
    UnexpectedEof {
        /// Offset of the end.
        offset: u64,
        /// Minimum number of bytes missing.
        missing: u64,
    },
    /// The memory written to is too small for the frame.
    BufferFull {
        /// Offset in the memory at which the buffer or chunk begins.
        offset: u64,
        /// Number of bytes available from that offset.
        available: u64,
        /// Style of the frame.
        style: FrameStyle,
    },
    /// A buffer ends beyond the largest possible file offset.
    OffsetOverflow {
        /// Size of the buffer in bytes.
        size: u64,
    },
    /// A compressed chunk is corrupt, or the size of the buffer differs from the one written.
    Corrupt {
        /// Offset of the chunk.
        offset: u64,
        /// Description of the defect.
        reason: &'static str,
    },
    /// An allocation failed. The call may be repeated.
    OutOfMemory,
    /// A defect of the library; please report it.
    Internal,
}

impl_module_error!(Error);

impl Error {
    /// Returns the offset in bytes at which the error occurred, if it has one.
    pub fn offset(&self) -> Option<u64> {
        match *self {
            Self::Io(error) => error.offset,
            Self::UnexpectedEof { offset, .. }
            | Self::BufferFull { offset, .. }
            | Self::Corrupt { offset, .. }
            | Self::SeekPastEnd { offset, .. } => Some(offset),
            _ => None,
        }
    }

    pub(crate) fn io_kind(&self) -> ErrorKind {
        match self {
            Self::Io(error) => std::io::Error::from(error.errno).kind(),
            Self::OutOfMemory => ErrorKind::OutOfMemory,
            Self::UnexpectedEof { .. } => ErrorKind::UnexpectedEof,
            Self::Corrupt { .. } => ErrorKind::InvalidData,
            Self::BufferFull { .. } => ErrorKind::WriteZero,
            Self::UnknownStyle { .. } => ErrorKind::Unsupported,
            Self::Internal => ErrorKind::Other,
            _ => ErrorKind::InvalidInput,
        }
    }
}

impl From<OffsetOverflow> for Error {
    fn from(error: OffsetOverflow) -> Self {
        Self::OffsetOverflow { size: error.size }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::FrameOpen => f.write_str("a frame is still open; close it first"),
            Self::NoFrame => f.write_str("no frame is open; open one first"),
            Self::Poisoned => f.write_str("an earlier call failed; no further call is possible"),
            Self::InvalidArgument(message) => f.write_str(message),
            Self::MetaTooLarge { size } => {
                write!(f, "metadata buffer too large: {size} bytes, maximum {META_MAX}; pass it as data")
            }
            Self::IoBufferTooSmall { size } => write!(f, "I/O buffer too small: {size} bytes, minimum {BUFFER_MIN}"),
            Self::UnknownStyle { style } => write!(f, "unknown frame style {style}; 1 is RAW, 2 is LZ4"),
            Self::SeekPastEnd { offset, size } => {
                write!(f, "seek past the end: offset {offset}, the checkpoint has {size} bytes")
            }
            Self::NotSeekable => f.write_str("the descriptor is not seekable (a pipe, for example)"),
            Self::Io(error) => error.fmt(f),
            Self::UnexpectedEof { offset, missing } => write!(
                f,
                "unexpected end of the checkpoint at offset {offset}: {missing} more bytes needed; truncated, or other buffer sizes"
            ),
            Self::BufferFull { offset, available, .. } => {
                write!(f, "memory too small for the frame: {available} bytes available at offset {offset}, more needed")
            }
            Self::OffsetOverflow { size } => write!(f, "a buffer of {size} bytes ends beyond the largest file offset"),
            Self::Corrupt { offset, reason } => {
                write!(f, "corrupt frame (or other buffer sizes) at offset {offset}: {reason}")
            }
            Self::OutOfMemory => f.write_str(OUT_OF_MEMORY),
            Self::Internal => f.write_str(INTERNAL),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error_base::IoOperation;
    use crate::sys::errno::Errno;
    use std::io;

    #[test]
    fn each_error_has_its_kind() {
        for (error, kind) in [
            (IoOperation::Read.failed_at(0)(Errno::OUT_OF_MEMORY).into(), ErrorKind::OutOfMemory),
            (Error::UnexpectedEof { offset: 0, missing: 1 }, ErrorKind::UnexpectedEof),
            (Error::Corrupt { offset: 0, reason: "" }, ErrorKind::InvalidData),
            (Error::BufferFull { offset: 0, available: 0, style: FrameStyle::Raw }, ErrorKind::WriteZero),
            (Error::OutOfMemory, ErrorKind::OutOfMemory),
            (Error::UnknownStyle { style: 3 }, ErrorKind::Unsupported),
            (Error::Internal, ErrorKind::Other),
            (Error::NoFrame, ErrorKind::InvalidInput),
        ] {
            assert_eq!(io::Error::from(error).kind(), kind, "{error}");
        }
    }

    #[test]
    fn errors_with_a_position_report_it() {
        for (error, offset) in [
            (IoOperation::Read.failed_at(5)(Errno::OUT_OF_MEMORY).into(), Some(5)),
            (IoOperation::Close.failed()(Errno::OUT_OF_MEMORY).into(), None),
            (Error::BufferFull { offset: 5, available: 0, style: FrameStyle::Raw }, Some(5)),
            (Error::NoFrame, None),
        ] {
            assert_eq!(error.offset(), offset, "{error}");
        }
    }
}
