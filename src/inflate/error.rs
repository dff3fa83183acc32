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
        /// Why it is invalid.
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
        /// Why it is invalid there.
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

/// Why compressed data is invalid. The numbers are those of the C API (`FDCKPT_INFLATE_ERR_*`) and never change.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
#[repr(u8)]
pub enum DataError {
    /// Block type 3, which is reserved.
    BlockType = 1,
    /// LEN of a stored block is not the complement of NLEN.
    StoredLength = 2,
    /// A dynamic block of Deflate with more than 286 literal/length codes or more than 30 distance codes.
    TooManyCodes = 3,
    /// The Huffman code of the code lengths is over-subscribed or incomplete.
    LengthCodes = 4,
    /// The first code length is a repetition.
    NothingToRepeat = 5,
    /// A repetition exceeds the number of code lengths.
    TooManyLengths = 6,
    /// A dynamic block without an end-of-block code.
    NoEndOfBlock = 7,
    /// The literal/length code is over-subscribed.
    LiteralCodesOversubscribed = 8,
    /// The literal/length code is incomplete.
    LiteralCodesIncomplete = 9,
    /// The distance code is over-subscribed.
    DistanceCodesOversubscribed = 10,
    /// The distance code is incomplete.
    DistanceCodesIncomplete = 11,
    /// A literal/length code without a symbol, or a reserved symbol.
    LiteralCode = 12,
    /// A distance code without a symbol, or a reserved symbol.
    DistanceCode = 13,
    /// A distance to before the start of the output.
    DistanceTooFar = 14,
    /// The zlib header is invalid.
    ZlibHeader = 15,
    /// A zlib stream that needs a preset dictionary.
    ZlibDictionary = 16,
    /// A zlib stream with a window of more than 32 KiB.
    ZlibWindow = 17,
    /// The gzip header is invalid.
    GzipHeader = 18,
    /// A gzip member with a compression method other than 8 (Deflate).
    GzipMethod = 19,
    /// A gzip header with reserved flags.
    GzipFlags = 20,
    /// The checksum of a gzip header does not match.
    GzipHeaderChecksum = 21,
    /// The checksum of the output does not match.
    Checksum = 22,
    /// The size of the output that a gzip member states does not match.
    Length = 23,
}

impl DataError {
    /// Returns the message.
    pub(crate) const fn text(self) -> &'static str {
        match self {
            Self::BlockType => "reserved block type 3",
            Self::StoredLength => "LEN of a stored block is not the complement of NLEN",
            Self::TooManyCodes => "more than 286 literal/length codes or 30 distance codes",
            Self::LengthCodes => "the code of the code lengths is over-subscribed or incomplete",
            Self::NothingToRepeat => "the first code length is a repetition",
            Self::TooManyLengths => "more code lengths than codes",
            Self::NoEndOfBlock => "no end-of-block code",
            Self::LiteralCodesOversubscribed => "the literal/length code is over-subscribed",
            Self::LiteralCodesIncomplete => "the literal/length code is incomplete",
            Self::DistanceCodesOversubscribed => "the distance code is over-subscribed",
            Self::DistanceCodesIncomplete => "the distance code is incomplete",
            Self::LiteralCode => "invalid literal/length code",
            Self::DistanceCode => "invalid distance code",
            Self::DistanceTooFar => "a distance to before the start of the output",
            Self::ZlibHeader => "invalid zlib header",
            Self::ZlibDictionary => "a preset dictionary is needed (not supported)",
            Self::ZlibWindow => "a zlib window of more than 32 KiB",
            Self::GzipHeader => "invalid gzip header",
            Self::GzipMethod => "a gzip compression method other than Deflate",
            Self::GzipFlags => "reserved gzip flags are set",
            Self::GzipHeaderChecksum => "the checksum of the gzip header does not match",
            Self::Checksum => "the checksum of the output does not match",
            Self::Length => "the size of the output in the gzip trailer does not match",
        }
    }
}

impl fmt::Display for DataError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.text())
    }
}
