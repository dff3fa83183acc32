//! Errors of checkpoint files, and the file, region and frame that they concern.

use std::fmt;
use std::path::Path;

use crate::container;
use crate::error_base::{CANCELLED, INTERNAL, IoError, OUT_OF_MEMORY, OffsetOverflow, impl_module_error};
use crate::file_error::impl_from_file_error;
use crate::frame;
use crate::sys::errno::Errno;

/// Why a call on a checkpoint file failed. Offsets are in bytes from the start of the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ErrorKind {
    /// An argument is invalid; says which and why.
    InvalidArgument(&'static str),
    /// A system call failed.
    Io(IoError),
    /// The file is no checkpoint, or one of a later version; says which.
    UnknownFormat(&'static str),
    /// The file is corrupt.
    Corrupt {
        /// The offset.
        offset: u64,
        /// What is wrong.
        reason: &'static str,
    },
    /// Verification found corrupt regions.
    CorruptRegions {
        /// Number of regions lost.
        regions: u64,
        /// Offset of the first corrupt part.
        offset: u64,
    },
    /// A region or attribute of this name exists already.
    DuplicateName,
    /// No region has this name or index.
    RegionNotFound,
    /// No frame has this index.
    FrameNotFound,
    /// No attribute has this key or index.
    AttributeNotFound,
    /// The size of the destination differs from the region's size.
    RegionSizeMismatch {
        /// The region's size in bytes.
        size: u64,
        /// The destination's size in bytes.
        given: u64,
    },
    /// A range is not within its region.
    RangeOutOfBounds {
        /// Offset of the range in the region.
        offset: u64,
        /// Its length in bytes.
        length: u64,
        /// The region's size in bytes.
        size: u64,
    },
    /// The region is compressed, so it can't be accessed in place.
    RegionCompressed,
    /// Input that can't be mapped exceeds the limit for spooling.
    InputTooLarge {
        /// The limit in bytes.
        limit: u64,
    },
    /// An earlier call failed; nothing more is possible with this object.
    Poisoned,
    /// The caller cancelled the operation.
    Cancelled,
    /// A frame can't be encoded or decoded.
    Frame(frame::Error),
    /// The container of the checkpoint is not valid.
    Container(container::Error),
    /// Verification found issues: the file can be read, but differs from the canonical form.
    NotCanonical {
        /// Number of issues.
        issues: u64,
    },
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

impl_module_error!(ErrorKind);
impl_from_file_error!(ErrorKind);

impl ErrorKind {
    /// The offset in bytes at which it went wrong, if the error has one.
    pub fn offset(&self) -> Option<u64> {
        match *self {
            Self::Io(error) => error.offset,
            Self::Corrupt { offset, .. } | Self::CorruptRegions { offset, .. } => Some(offset),
            Self::Frame(error) => error.offset(),
            Self::Container(error) => error.offset(),
            _ => None,
        }
    }

    pub(crate) fn io_kind(&self) -> std::io::ErrorKind {
        use std::io::ErrorKind as Io;
        match *self {
            Self::Io(error) => std::io::Error::from(error.errno).kind(),
            Self::OutOfMemory => Io::OutOfMemory,
            Self::UnknownFormat(_) | Self::Corrupt { .. } | Self::CorruptRegions { .. } | Self::NotCanonical { .. } => {
                Io::InvalidData
            }
            Self::DuplicateName => Io::AlreadyExists,
            Self::RegionNotFound | Self::FrameNotFound | Self::AttributeNotFound => Io::NotFound,
            Self::RegionCompressed => Io::Unsupported,
            Self::Frame(error) => std::io::Error::from(error).kind(),
            Self::Container(error) => std::io::Error::from(error).kind(),
            Self::Cancelled | Self::Internal => Io::Other,
            _ => Io::InvalidInput,
        }
    }
}

impl fmt::Display for ErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::InvalidArgument(message) | Self::UnknownFormat(message) => f.write_str(message),
            Self::Io(error) => error.fmt(f),
            Self::Corrupt { offset, reason } => write!(f, "corrupt at offset {offset}: {reason}"),
            Self::CorruptRegions { regions, offset } => {
                write!(f, "corrupt checkpoint: {regions} regions lost, first corrupt byte at offset {offset}")
            }
            Self::DuplicateName => f.write_str("name already exists"),
            Self::RegionNotFound => f.write_str("no such region"),
            Self::FrameNotFound => f.write_str("no such frame"),
            Self::AttributeNotFound => f.write_str("no such attribute"),
            Self::RegionSizeMismatch { size, given } if given < size => {
                write!(f, "buffer too small for region: {given} bytes, need {size}")
            }
            Self::RegionSizeMismatch { size, given } => {
                write!(f, "buffer size differs from region size: {given} bytes, need exactly {size}")
            }
            Self::RangeOutOfBounds { offset, length, size } => {
                write!(f, "range out of bounds: {length} bytes at offset {offset}, the region has {size}")
            }
            Self::RegionCompressed => f.write_str("the region is compressed and can't be mapped; read it instead"),
            Self::InputTooLarge { limit } => write!(f, "the input can't be mapped and exceeds the limit of {limit} bytes"),
            Self::Poisoned => f.write_str("an earlier call failed; no further call is possible"),
            Self::Cancelled => f.write_str(CANCELLED),
            Self::Frame(error) => error.fmt(f),
            Self::Container(error) => error.fmt(f),
            Self::NotCanonical { issues } => write!(f, "the file is not in canonical form: {issues} issues"),
            Self::OffsetOverflow { size } => write!(f, "{size} bytes end beyond the largest file offset"),
            Self::OutOfMemory => f.write_str(OUT_OF_MEMORY),
            Self::Internal => f.write_str(INTERNAL),
        }
    }
}

impl From<OffsetOverflow> for ErrorKind {
    fn from(error: OffsetOverflow) -> Self {
        Self::OffsetOverflow { size: error.size }
    }
}

impl From<frame::Error> for ErrorKind {
    fn from(error: frame::Error) -> Self {
        match error {
            frame::Error::InvalidArgument(message) => Self::InvalidArgument(message),
            frame::Error::Io(error) => Self::Io(error),
            frame::Error::Corrupt { offset, reason } => Self::Corrupt { offset, reason },
            frame::Error::OffsetOverflow { size } => Self::OffsetOverflow { size },
            frame::Error::OutOfMemory => Self::OutOfMemory,
            frame::Error::Internal => Self::Internal,
            error => Self::Frame(error),
        }
    }
}

impl From<container::Error> for ErrorKind {
    fn from(error: container::Error) -> Self {
        match error {
            container::Error::InvalidArgument(message) => Self::InvalidArgument(message),
            container::Error::Io(error) => Self::Io(error),
            container::Error::UnknownFormat(message) => Self::UnknownFormat(message),
            container::Error::Corrupt { offset, reason } => Self::Corrupt { offset, reason },
            container::Error::NotCanonical { issues } => Self::NotCanonical { issues },
            container::Error::OffsetOverflow { size } => Self::OffsetOverflow { size },
            container::Error::OutOfMemory => Self::OutOfMemory,
            container::Error::Internal => Self::Internal,
            error => Self::Container(error),
        }
    }
}

/// Error of a call on a checkpoint file: an [`ErrorKind`], with the file, region and frame that it concerns.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Error {
    kind: ErrorKind,
    file: Option<Box<str>>,
    name: Option<Box<str>>,
    frame: Option<u64>,
}

/// The context of an error, borrowed.
#[derive(Clone, Copy, Default)]
pub(crate) struct ErrorContext<'f> {
    pub(crate) file: Option<&'f str>,
    pub(crate) name: Option<&'f str>,
    pub(crate) frame: Option<u64>,
}

impl Error {
    /// The reason.
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }

    /// The path as given by the caller. `None` for descriptors and memory.
    pub fn file(&self) -> Option<&str> {
        self.file.as_deref()
    }

    /// The name of the region or attribute.
    pub fn name(&self) -> Option<&str> {
        self.name.as_deref()
    }

    /// The index of the frame, from 0.
    pub fn frame(&self) -> Option<u64> {
        self.frame
    }

    /// The offset in the file in bytes, if the error has one.
    pub fn offset(&self) -> Option<u64> {
        self.kind.offset()
    }

    /// The error number, if a system call or an allocation failed.
    pub fn errno(&self) -> Option<Errno> {
        self.kind.errno()
    }

    pub(crate) fn context(&self) -> ErrorContext<'_> {
        ErrorContext { file: self.file(), name: self.name(), frame: self.frame }
    }

    /// Adds the path of the file, unless the error has one.
    pub(super) fn in_file(mut self, file: Option<&str>) -> Self {
        if self.file.is_none() {
            self.file = file.and_then(copy);
        }
        self
    }

    /// Adds the name of the region or attribute, unless the error has one.
    pub(crate) fn in_region(mut self, name: &str) -> Self {
        if self.name.is_none() {
            self.name = copy(name);
        }
        self
    }

    /// Adds the index of the frame, unless the error has one.
    pub(super) fn in_frame(mut self, frame: usize) -> Self {
        self.frame = self.frame.or(Some(frame as u64));
        self
    }
}

/// Copies a text. `None` if the allocation fails: the error itself matters more.
fn copy(text: &str) -> Option<Box<str>> {
    let mut copy = String::new();
    copy.try_reserve_exact(text.len()).ok()?;
    copy.push_str(text);
    Some(copy.into_boxed_str())
}

/// Returns the path for messages.
pub(super) fn file_name(path: &Path) -> Option<Box<str>> {
    copy(path.to_str().unwrap_or("(a file whose path is not UTF-8)"))
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(file) = &self.file {
            write!(f, "{file}: ")?;
        }
        if let Some(name) = &self.name {
            write!(f, "\"{}\": ", name.escape_debug())?;
        }
        if let Some(frame) = self.frame {
            write!(f, "frame {frame}: ")?;
        }
        write!(f, "{}", self.kind)
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.kind)
    }
}

impl From<Error> for std::io::Error {
    fn from(error: Error) -> Self {
        match error.kind {
            // This conversion must not allocate.
            ErrorKind::OutOfMemory => std::io::ErrorKind::OutOfMemory.into(),
            kind => Self::new(kind.io_kind(), error),
        }
    }
}

/// Converts every condition to an error without context.
impl<E> From<E> for Error
where
    E: Into<ErrorKind>,
{
    fn from(kind: E) -> Self {
        Self { kind: kind.into(), file: None, name: None, frame: None }
    }
}
