//! Errors of decompression, its checkpoints and its indexes.

use std::fmt;
use std::io::ErrorKind;

use crate::container;
use crate::error_base::{INTERNAL, IoError, OUT_OF_MEMORY, impl_module_error};
use crate::frame;

/// Why a call on a compressed stream, a checkpoint of its decompressor or an index of it failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Error {
    /// An argument is invalid; says which and why.
    InvalidArgument(&'static str),
    /// A system call failed.
    Io(IoError),
    /// The compressed data is corrupt.
    Corrupt {
        /// What is wrong with it.
        error: DataError,
        /// Where, as an offset in bits from the first byte of the stream, the lowest bit of a byte being its first: the
        /// first bit of the invalid symbol or block header, or of the invalid field of a zlib or gzip header or
        /// trailer.
        bit: u64,
    },
    /// The input ends before the compressed stream does.
    UnexpectedEof {
        /// Offset in bytes of the end of the input.
        offset: u64,
    },
    /// The checkpoint of a decompressor is invalid, corrupt, or belongs to another stream.
    InvalidCheckpoint(&'static str),
    /// An earlier call failed; only a reset or a restore is possible.
    Poisoned,
    /// The memory for the result is too small.
    BufferTooSmall {
        /// Its size in bytes.
        size: u64,
        /// Number of bytes needed.
        needed: u64,
    },
    /// The file is no index, or one of a later version; says which.
    UnknownFormat(&'static str),
    /// The index file is corrupt.
    CorruptIndex {
        /// The offset in the file in bytes.
        offset: u64,
        /// What is wrong there.
        reason: &'static str,
    },
    /// The input differs in size from the one that the index was built from.
    SourceSizeMismatch {
        /// Its size in bytes.
        size: u64,
        /// Size in bytes of the input of the index.
        expected: u64,
    },
    /// The input differs from the one that the index was built from.
    SourceModified {
        /// Offset in bytes at which the differing part begins.
        from: u64,
        /// Offset in bytes at which it ends.
        to: u64,
    },
    /// The container that an index is stored in can't be read or written.
    Container(container::Error),
    /// The descriptor has no size or position.
    NotSeekable,
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
            Self::Corrupt { bit, .. } => Some(bit / 8),
            Self::UnexpectedEof { offset } | Self::CorruptIndex { offset, .. } | Self::SourceModified { from: offset, .. } => {
                Some(offset)
            }
            Self::Container(error) => error.offset(),
            _ => None,
        }
    }

    pub(crate) fn io_kind(&self) -> ErrorKind {
        match self {
            Self::Io(error) => std::io::Error::from(error.errno).kind(),
            Self::OutOfMemory => ErrorKind::OutOfMemory,
            Self::UnexpectedEof { .. } => ErrorKind::UnexpectedEof,
            Self::Corrupt { .. }
            | Self::InvalidCheckpoint(_)
            | Self::UnknownFormat(_)
            | Self::CorruptIndex { .. }
            | Self::SourceSizeMismatch { .. }
            | Self::SourceModified { .. } => ErrorKind::InvalidData,
            Self::BufferTooSmall { .. } => ErrorKind::WriteZero,
            Self::Container(error) => error.io_kind(),
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
            Self::Corrupt { error, bit } => write!(f, "corrupt compressed data at byte {} (bit {bit}): {error}", bit / 8),
            Self::UnexpectedEof { offset } => {
                write!(f, "unexpected end of input at byte {offset}: the compressed stream is truncated")
            }
            Self::InvalidCheckpoint(reason) => write!(f, "can't restore: the checkpoint {reason}"),
            Self::Poisoned => f.write_str("an earlier call failed; reset or restore first"),
            Self::BufferTooSmall { size, needed } => write!(f, "buffer too small: {size} bytes, need {needed}"),
            Self::CorruptIndex { offset, reason } => write!(f, "corrupt index at offset {offset}: {reason}"),
            Self::SourceSizeMismatch { size, expected } => {
                write!(f, "the input has {size} bytes, but the index was built from one of {expected}; build a new index")
            }
            Self::SourceModified { from, to } => {
                write!(f, "bytes {from} to {to} of the input differ from those the index was built from; build a new index")
            }
            Self::Container(error) => error.fmt(f),
            Self::NotSeekable => f.write_str("the descriptor is not seekable (a pipe, for example)"),
            Self::OutOfMemory => f.write_str(OUT_OF_MEMORY),
            Self::Internal => f.write_str(INTERNAL),
        }
    }
}

/// Frames compress the window of compact checkpoints.
impl From<frame::Error> for Error {
    fn from(error: crate::frame::Error) -> Self {
        match error {
            frame::Error::OutOfMemory => Self::OutOfMemory,
            _ => Self::Internal,
        }
    }
}

/// An index is stored in a container.
impl From<container::Error> for Error {
    fn from(error: container::Error) -> Self {
        match error {
            container::Error::InvalidArgument(message) => Self::InvalidArgument(message),
            container::Error::Io(error) => Self::Io(error),
            container::Error::UnknownFormat(message) => Self::UnknownFormat(message),
            container::Error::Corrupt { offset, reason } => Self::CorruptIndex { offset, reason },
            container::Error::OutOfMemory => Self::OutOfMemory,
            container::Error::Internal => Self::Internal,
            error => Self::Container(error),
        }
    }
}

/// What is wrong with compressed data. The numbers are those that C gets (`FDCKPT_INFLATE_ERR_*`); they don't change.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
#[repr(u8)]
pub enum DataError {
    /// A block of type 3, which there is not.
    BlockType = 1,
    /// The length of a stored block and its complement don't fit together.
    StoredLength = 2,
    /// A dynamic block of Deflate with more than 286 literal/length codes or more than 30 distance codes.
    TooManyCodes = 3,
    /// The codes for code lengths are over-subscribed or incomplete.
    LengthCodes = 4,
    /// A code length is to be repeated where there is none before.
    NothingToRepeat = 5,
    /// More code lengths than there are codes.
    TooManyLengths = 6,
    /// A dynamic block without a code for the end of the block.
    NoEndOfBlock = 7,
    /// There are more literal/length codes than bits can tell apart.
    LiteralCodesOversubscribed = 8,
    /// There are bits that are no literal/length code.
    LiteralCodesIncomplete = 9,
    /// There are more distance codes than bits can tell apart.
    DistanceCodesOversubscribed = 10,
    /// There are bits that are no distance code.
    DistanceCodesIncomplete = 11,
    /// Bits that are no literal or length.
    LiteralCode = 12,
    /// Bits that are no distance.
    DistanceCode = 13,
    /// A distance that reaches before the first byte of output.
    DistanceTooFar = 14,
    /// Not a zlib header.
    ZlibHeader = 15,
    /// A zlib stream that needs a preset dictionary.
    ZlibDictionary = 16,
    /// A zlib stream with a window of more than 32 KiB.
    ZlibWindow = 17,
    /// Not a gzip header.
    GzipHeader = 18,
    /// A gzip member with a compression method other than 8, Deflate.
    GzipMethod = 19,
    /// A gzip header with flags that are reserved.
    GzipFlags = 20,
    /// The checksum of a gzip header is wrong.
    GzipHeaderChecksum = 21,
    /// The checksum of the data is wrong.
    Checksum = 22,
    /// The length of the data, as a gzip member states it, is wrong.
    Length = 23,
}

impl DataError {
    /// What is wrong, in words.
    pub(crate) const fn text(self) -> &'static str {
        match self {
            Self::BlockType => "block type 3, which there is not",
            Self::StoredLength => "the length of a stored block and its complement don't fit together",
            Self::TooManyCodes => "more than 286 literal/length codes or 30 distance codes",
            Self::LengthCodes => "the codes for code lengths are over-subscribed or incomplete",
            Self::NothingToRepeat => "a code length is to be repeated where there is none before",
            Self::TooManyLengths => "more code lengths than codes",
            Self::NoEndOfBlock => "no code for the end of the block",
            Self::LiteralCodesOversubscribed => "the literal/length codes are over-subscribed",
            Self::LiteralCodesIncomplete => "the literal/length codes are incomplete",
            Self::DistanceCodesOversubscribed => "the distance codes are over-subscribed",
            Self::DistanceCodesIncomplete => "the distance codes are incomplete",
            Self::LiteralCode => "bits that are no literal or length",
            Self::DistanceCode => "bits that are no distance",
            Self::DistanceTooFar => "a distance that reaches before the first byte of output",
            Self::ZlibHeader => "not a zlib header",
            Self::ZlibDictionary => "a preset dictionary is needed, which is not supported",
            Self::ZlibWindow => "a zlib window of more than 32 KiB",
            Self::GzipHeader => "not a gzip header",
            Self::GzipMethod => "a gzip compression method other than Deflate",
            Self::GzipFlags => "reserved gzip flags are set",
            Self::GzipHeaderChecksum => "the checksum of the gzip header is wrong",
            Self::Checksum => "the checksum of the data is wrong",
            Self::Length => "the gzip member's length of the data is wrong",
        }
    }
}

impl fmt::Display for DataError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.text())
    }
}
