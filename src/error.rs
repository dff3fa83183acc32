//! The one error type of the library.

use std::fmt;

use crate::frame::{BUFFER_MIN, FrameStyle, META_MAX};
use crate::fti::Field;
use crate::inflate::Fault;
use crate::sys::errno::Errno;

/// Why a call failed: what was wrong, and where.
///
/// Offsets are in bytes: of a [`Checkpt`](crate::Checkpt) relative to the checkpoint's first byte, of a
/// [`Restore`](crate::Restore) relative to the first byte of the file or region (of a pipe: of what was read from it).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Error {
    /// A frame is open, which the call does not allow.
    FrameOpen,
    /// No frame is open, which the call needs.
    NoFrame,
    /// An earlier call failed.
    Failed,
    /// An argument is not acceptable.
    Argument(&'static str),
    /// A metadata buffer is larger than [`META_MAX`].
    MetaTooLarge {
        /// Size of the buffer in bytes.
        size: u64,
    },
    /// A buffer for reading or writing is smaller than [`BUFFER_MIN`].
    BufferTooSmall {
        /// Size of the buffer in bytes.
        size: u64,
    },
    /// There is no such frame style.
    UnknownStyle {
        /// The number that was given for it.
        style: i32,
    },
    /// The offset to go to lies behind the end.
    SeekPastEnd {
        /// The offset asked for.
        offset: u64,
        /// The size of what is restored from.
        size: u64,
    },
    /// What is restored from has no size or position, so that only reading on is possible.
    NotSeekable,
    /// A system call failed.
    Io {
        /// What the library was doing.
        doing: Doing,
        /// Where: no byte from here on can be relied on.
        offset: u64,
        /// The reason that the system gave.
        errno: Errno,
    },
    /// What is restored from ended inside a buffer.
    UnexpectedEnd {
        /// Where it ended.
        offset: u64,
        /// How many bytes more were needed, at least.
        missing: u64,
    },
    /// The memory region is too small for the frame that is made.
    NoRoom {
        /// Where in the region the buffer or chunk begins.
        offset: u64,
        /// How many bytes the region has from there on.
        left: u64,
        /// The style of the frame.
        style: FrameStyle,
    },
    /// A buffer so large that the offset of its end is beyond what there can be.
    TooLarge {
        /// Size of the buffer in bytes.
        size: u64,
    },
    /// A compressed chunk is not what compression makes of a chunk of the size asked for.
    Corrupt {
        /// Where the chunk begins.
        offset: u64,
        /// What is wrong with it.
        what: &'static str,
    },
    /// Compressed data is not sound.
    Stream {
        /// What is wrong with it.
        fault: Fault,
        /// Where, in bits from the stream's first byte on, the lowest bit of a byte being its first: the first bit of the symbol or block
        /// header that is wrong, or of the field of a zlib or gzip header or trailer.
        bit: u64,
    },
    /// What a decompressor is to be restored from is no checkpoint, damaged, or one that does not fit.
    Checkpoint(&'static str),
    /// The input ends before the compressed stream does.
    Truncated {
        /// Where it ends.
        offset: u64,
    },
    /// The input has another size than the one that an index was made of.
    InputSize {
        /// How many bytes it has.
        size: u64,
        /// How many that one had.
        expected: u64,
    },
    /// A part of the input is not as it was when an index was made of it.
    InputChanged {
        /// Where the part begins.
        from: u64,
        /// Where it ends.
        to: u64,
    },
    /// Memory could not be had.
    OutOfMemory,
    /// What is read is not of the format at all.
    Unrecognized(&'static str),
    /// What is read is of the format, but not as it can be.
    Malformed {
        /// Where in the file.
        offset: u64,
        /// What is wrong there.
        what: &'static str,
    },
    /// A section lies, in whole or in part, outside of the container's data.
    SectionOutOfRange {
        /// The section's type.
        kind: u8,
        /// Its offset, as the file has it.
        offset: i64,
        /// Its length in bytes, as the file has it.
        length: i64,
        /// How many bytes of data there are.
        size: u64,
    },
    /// The container has no section of the type asked for.
    NoSuchSection {
        /// The type.
        kind: u8,
    },
    /// The container has not so many sections.
    NoSuchIndex {
        /// The position asked for, counted from 0.
        index: u64,
    },
    /// The memory that the result is to go to is too small.
    MemoryTooSmall {
        /// Its size in bytes.
        size: u64,
        /// How many bytes are needed.
        needed: u64,
    },
    /// A verification has found something: the file can be read, but is not as it would be written.
    NotCanonical {
        /// How much it has found.
        findings: u64,
    },
    /// The file to append to is not the one that was read before, or has changed since.
    FileChanged,
    /// Somebody else is updating the file in place.
    FileBusy,
    /// An update of the file was prepared, and has yet to be decided on.
    UpdatePrepared,
    /// A checkpoint file of FTI is damaged.
    FtiDamaged {
        /// What is damaged.
        field: Field,
        /// The id of the variable it is about.
        variable: Option<i32>,
        /// Which container of the variable.
        container: Option<i32>,
        /// Where in the file.
        offset: u64,
    },
    /// The checkpoint has no variable with the id asked for.
    NoSuchVariable {
        /// The id.
        id: i32,
    },
    /// A variable has another size in the checkpoint.
    VariableSize {
        /// Its id.
        id: i32,
        /// Its size in the checkpoint, in bytes.
        stored: u64,
        /// The size that was given for it.
        protected: u64,
    },
    /// The checkpoint has a variable that is not among those to recover.
    VariableNotProtected {
        /// Its id.
        id: i32,
    },
    /// There is a region, or an attribute, of this name already.
    NameTaken,
    /// There is no region, frame or attribute of this name or number.
    NoSuchRegion,
    /// The memory given for a region is not of its size.
    RegionSize {
        /// The region's size in bytes.
        size: u64,
        /// The memory's.
        given: u64,
    },
    /// A part was asked for that the region does not have.
    OutOfRegion {
        /// Where it was to begin.
        offset: u64,
        /// How many bytes it was to have.
        length: u64,
        /// How many the region has.
        size: u64,
    },
    /// The region can't be used where it lies in the file: only RAW frames are the data itself.
    NotMappable,
    /// What can't be mapped is larger than was allowed.
    InputTooLarge {
        /// How many bytes were allowed.
        limit: u64,
    },
    /// The caller has cancelled it.
    Cancelled,
    /// A verification has found damage.
    Damaged {
        /// How many regions are lost.
        regions: u64,
        /// Where the first of the damage is.
        offset: u64,
    },
    /// A defect of the library. Please report it.
    Internal,
}

/// What the library was doing when a system call failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Doing {
    /// Writing to a descriptor.
    Writing,
    /// Reading from a descriptor.
    Reading,
    /// Moving the position of a descriptor.
    Seeking,
    /// Asking for the size of a file, or mapping it into memory.
    Mapping,
    /// Opening a file.
    Opening,
    /// Opening the folder that a file is to be in.
    OpeningFolder,
    /// Making a temporary file.
    Creating,
    /// Having the data of a file written to the device.
    Syncing,
    /// Closing a file that was written.
    Closing,
    /// Giving the temporary file its name.
    Renaming,
    /// Having the name of a file written to the device.
    SyncingFolder,
}

impl Doing {
    /// What it is, and whether it is a matter of a place.
    fn describe(self) -> (&'static str, bool) {
        match self {
            Self::Writing => ("writing", true),
            Self::Reading => ("reading", true),
            Self::Seeking => ("seeking", true),
            Self::Mapping => ("mapping the file", true),
            Self::Opening => ("opening the file", false),
            Self::OpeningFolder => ("opening the folder of the file", false),
            Self::Creating => ("making a temporary file in the folder", false),
            Self::Syncing => ("syncing the file", false),
            Self::Closing => ("closing the file", false),
            Self::Renaming => ("renaming the temporary file", false),
            Self::SyncingFolder => ("syncing the folder, with the new file in its place,", false),
        }
    }
}

impl Error {
    /// The offset at which it went wrong, if it is a matter of a place.
    pub fn offset(&self) -> Option<u64> {
        match *self {
            Self::Io { doing, offset, .. } => Some(offset).filter(|_| doing.describe().1),
            Self::UnexpectedEnd { offset, .. }
            | Self::NoRoom { offset, .. }
            | Self::Corrupt { offset, .. }
            | Self::Malformed { offset, .. }
            | Self::FtiDamaged { offset, .. }
            | Self::Damaged { offset, .. }
            | Self::SeekPastEnd { offset, .. } => Some(offset),
            Self::Truncated { offset } | Self::InputChanged { from: offset, .. } => Some(offset),
            Self::Stream { bit, .. } => Some(bit / 8),
            _ => None,
        }
    }

    /// The reason that the system gave, if a system call failed.
    pub fn errno(&self) -> Option<Errno> {
        match *self {
            Self::Io { errno, .. } => Some(errno),
            Self::OutOfMemory => Some(Errno::OUT_OF_MEMORY),
            _ => None,
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::FrameOpen => f.write_str("a frame is open: close it first (without that it can't be relied on)"),
            Self::NoFrame => f.write_str("no frame is open: open one first"),
            Self::Failed => f.write_str("an earlier call failed: nothing more is possible"),
            Self::Argument(what) => f.write_str(what),
            Self::MetaTooLarge { size } => {
                write!(f, "a metadata buffer of {size} bytes: at most {META_MAX} are allowed, larger ones are data")
            }
            Self::BufferTooSmall { size } => {
                write!(f, "an I/O buffer of {size} bytes: at least {} are needed", BUFFER_MIN)
            }
            Self::UnknownStyle { style } => write!(f, "frame style {style} is not supported: 1 is RAW, 2 is LZ4"),
            Self::SeekPastEnd { offset, size } => {
                write!(f, "can't seek to offset {offset}: the checkpoint ends at {size}")
            }
            Self::NotSeekable => f.write_str("can't seek: the descriptor has no size or position (a pipe, for example)"),
            Self::Io { doing, offset, errno } => {
                let (doing, has_place) = doing.describe();
                f.write_str(doing)?;
                if has_place {
                    write!(f, " at offset {offset}")?;
                }
                write!(f, " failed (errno {}: {errno})", errno.raw())
            }
            Self::UnexpectedEnd { offset, missing } => write!(
                f,
                "the checkpoint ends at offset {offset}, where {missing} bytes more are needed: it is truncated, or was made \
                 of other buffers"
            ),
            Self::NoRoom { offset, left, .. } => {
                write!(f, "the memory region has {left} bytes from offset {offset} on, more are needed")
            }
            Self::TooLarge { size } => write!(f, "a buffer of {size} bytes ends beyond the largest offset there is"),
            Self::Corrupt { offset, what } => {
                write!(f, "the LZ4 chunk at offset {offset} {what}: it is damaged, or was made of other buffers")
            }
            Self::Stream { fault, bit } => {
                write!(f, "the compressed data is damaged at byte {} (bit {bit} of the stream): {fault}", bit / 8)
            }
            Self::Checkpoint(what) => write!(f, "can't restore: the checkpoint {what}"),
            Self::Truncated { offset } => {
                write!(f, "the input ends at byte {offset}, before the compressed stream does: it is truncated")
            }
            Self::InputSize { size, expected } => write!(
                f,
                "the input has {size} bytes, the one that the index was made of had {expected}: it is another one, or was changed \
                 since"
            ),
            Self::InputChanged { from, to } => write!(
                f,
                "between the bytes {from} and {to} the input is not the one that the index was made of: it is another one, or was \
                 changed since"
            ),
            Self::OutOfMemory => f.write_str("memory could not be had"),
            Self::Unrecognized(what) => f.write_str(what),
            Self::Malformed { offset, what } => write!(f, "at offset {offset}: {what}"),
            Self::SectionOutOfRange { kind, offset, length, size } => write!(
                f,
                "section out of range: the section of type {kind} is to have {length} bytes at offset {offset}, but the \
                 container has {size} bytes of data: it is damaged or truncated"
            ),
            Self::NoSuchSection { kind } => write!(f, "the container has no section of type {kind}"),
            Self::NoSuchIndex { index } => write!(f, "the container has no section at position {index}, counted from 0"),
            Self::MemoryTooSmall { size, needed } => write!(f, "{needed} bytes are needed, the memory given has {size}"),
            Self::NotCanonical { findings } => write!(f, "the file is not as it would be written: {findings} findings"),
            Self::FileChanged => f.write_str(
                "the file is another one than before, or has changed since: read a container again, then append to it; an update that \
                 can't be abandoned was committed in part, so commit it, or its file was damaged before, so remove that",
            ),
            Self::FileBusy => f.write_str("the file is being updated by somebody else: try again when that is done"),
            Self::UpdatePrepared => f.write_str(
                "an update of the file was prepared, and neither committed nor abandoned: decide on it first (fdckpt_fti_resolve)",
            ),
            Self::FtiDamaged { field, variable, container, offset } => {
                f.write_str("the checkpoint is damaged: ")?;
                if let Some(id) = variable {
                    write!(f, "variable {id}, ")?;
                }
                if let Some(container) = container {
                    write!(f, "container {container}, ")?;
                }
                write!(f, "{field} at offset {offset} is not what the rest of the file tells (verify has the details)")
            }
            Self::NoSuchVariable { id } => write!(f, "the checkpoint has no variable {id}"),
            Self::VariableSize { id, stored, protected } => {
                write!(f, "variable {id} has {stored} bytes in the checkpoint, {protected} are protected")
            }
            Self::VariableNotProtected { id } => {
                write!(f, "the checkpoint has a variable {id}, which is not protected: protect all, or recover one by one")
            }
            Self::NameTaken => f.write_str("there is one of this name already"),
            Self::NoSuchRegion => f.write_str("there is none of this name or number"),
            Self::RegionSize { size, given } => write!(f, "the region has {size} bytes, the memory given for it {given}"),
            Self::OutOfRegion { offset, length, size } => {
                write!(f, "the region has {size} bytes, and not {length} from offset {offset} of it on")
            }
            Self::NotMappable => {
                f.write_str("the region is compressed, so it can't be used where it lies in the file: read it instead")
            }
            Self::InputTooLarge { limit } => write!(f, "the input can't be mapped, and is larger than the {limit} bytes allowed"),
            Self::Cancelled => f.write_str("cancelled by the caller"),
            Self::Damaged { regions, offset } => {
                write!(f, "the checkpoint is damaged, first at offset {offset}: {regions} regions are lost")
            }
            Self::Internal => f.write_str("internal error of libfdckpt, please report it"),
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Io { errno, .. } => Some(errno),
            _ => None,
        }
    }
}

impl From<Error> for std::io::Error {
    fn from(error: Error) -> Self {
        use std::io::ErrorKind;
        let kind = match error {
            // Memory is short: this is the one that needs none.
            Error::OutOfMemory => return ErrorKind::OutOfMemory.into(),
            Error::Io { errno, .. } => Self::from(errno).kind(),
            Error::UnexpectedEnd { .. } | Error::Truncated { .. } => ErrorKind::UnexpectedEof,
            Error::Corrupt { .. }
            | Error::Unrecognized(_)
            | Error::Malformed { .. }
            | Error::NotCanonical { .. }
            | Error::FtiDamaged { .. }
            | Error::SectionOutOfRange { .. }
            | Error::Stream { .. }
            | Error::Checkpoint(_)
            | Error::InputSize { .. }
            | Error::InputChanged { .. }
            | Error::Damaged { .. } => ErrorKind::InvalidData,
            Error::Cancelled => ErrorKind::Other,
            Error::NameTaken => ErrorKind::AlreadyExists,
            Error::NoSuchRegion => ErrorKind::NotFound,
            Error::NotMappable => ErrorKind::Unsupported,
            Error::NoSuchSection { .. } | Error::NoSuchIndex { .. } | Error::NoSuchVariable { .. } => ErrorKind::NotFound,
            Error::NoRoom { .. } | Error::MemoryTooSmall { .. } => ErrorKind::WriteZero,
            Error::UnknownStyle { .. } => ErrorKind::Unsupported,
            Error::Internal => ErrorKind::Other,
            _ => ErrorKind::InvalidInput,
        };
        Self::new(kind, error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{self, ErrorKind};

    #[test]
    fn each_error_has_its_kind() {
        for (error, kind) in [
            (Error::Io { doing: Doing::Reading, offset: 0, errno: Errno::OUT_OF_MEMORY }, ErrorKind::OutOfMemory),
            (Error::UnexpectedEnd { offset: 0, missing: 1 }, ErrorKind::UnexpectedEof),
            (Error::Corrupt { offset: 0, what: "" }, ErrorKind::InvalidData),
            (Error::NoRoom { offset: 0, left: 0, style: FrameStyle::Raw }, ErrorKind::WriteZero),
            (Error::OutOfMemory, ErrorKind::OutOfMemory),
            (Error::UnknownStyle { style: 3 }, ErrorKind::Unsupported),
            (Error::Internal, ErrorKind::Other),
            (Error::NoFrame, ErrorKind::InvalidInput),
            (Error::Cancelled, ErrorKind::Other),
            (Error::NameTaken, ErrorKind::AlreadyExists),
            (Error::NoSuchRegion, ErrorKind::NotFound),
            (Error::NotMappable, ErrorKind::Unsupported),
            (Error::NoSuchSection { kind: 1 }, ErrorKind::NotFound),
            (Error::NoSuchIndex { index: 1 }, ErrorKind::NotFound),
            (Error::NoSuchVariable { id: 1 }, ErrorKind::NotFound),
        ] {
            assert_eq!(io::Error::from(error).kind(), kind, "{error}");
        }
    }

    #[test]
    fn what_has_a_place_tells_it() {
        for (error, offset) in [
            (Error::Io { doing: Doing::Reading, offset: 5, errno: Errno::OUT_OF_MEMORY }, Some(5)),
            (Error::Io { doing: Doing::Closing, offset: 5, errno: Errno::OUT_OF_MEMORY }, None),
            (Error::NoRoom { offset: 5, left: 0, style: FrameStyle::Raw }, Some(5)),
            (Error::Truncated { offset: 5 }, Some(5)),
            (Error::InputChanged { from: 5, to: 9 }, Some(5)),
            (Error::NoFrame, None),
        ] {
            assert_eq!(error.offset(), offset, "{error}");
        }
    }
}
