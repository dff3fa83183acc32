//! Result codes, and the code of each error. The comments of the codes of fdckpt.h are those of the header.

#![allow(non_camel_case_types)]

use std::ffi::{CStr, c_int};

use super::call_error::CallError;
use crate::checkpoint;
use crate::container;
use crate::error::Error;
use crate::file_error::FileError;
use crate::frame::{self, FrameStyle};
use crate::frames::FrameError;
use crate::fti;
use crate::inflate;

pub(super) const SUCCESS: c_int = 0;
pub(super) const ERR_INVAL: c_int = -1;
pub(super) const ERR_UNSUP: c_int = -2;
pub(super) const ERR_IO: c_int = -3;
pub(super) const ERR_COMP: c_int = -4;

/// Result codes. Functions that can fail return FDCKPT_OK or an error; functions that return a
/// pointer return NULL, and fdckpt_last_error() has the code. Codes above 0 are no errors
/// (fdckpt_inflate_status_t). No code of this enum is also a code of fd_checkpt.h.
#[repr(C)]
pub enum fdckpt_error_code_t {
    /// Success.
    FDCKPT_OK = 0,
    /// An argument is invalid: NULL, misaligned, out of range, too large, or a struct without a
    /// valid struct_size.
    FDCKPT_ERR_INVALID_ARGUMENT = -11,
    /// The object or file is in a state in which the call is not allowed.
    FDCKPT_ERR_INVALID_STATE = -12,
    /// Memory allocation failed. The call may be retried.
    FDCKPT_ERR_NO_MEMORY = -13,
    /// The caller's buffer is too small for the result; an out parameter has the required size.
    /// Not logged.
    FDCKPT_ERR_BUFFER_TOO_SMALL = -14,
    /// A system call failed; fdckpt_last_error() has its errno.
    FDCKPT_ERR_IO = -15,
    /// The input is not in the expected format.
    FDCKPT_ERR_FORMAT = -16,
    /// The input is in the expected format, but corrupt or truncated.
    FDCKPT_ERR_CORRUPT = -17,
    /// The input refers to data outside of its own bounds.
    FDCKPT_ERR_OUT_OF_RANGE = -18,
    /// Nothing has this name, index, id or type. Not logged.
    FDCKPT_ERR_NOT_FOUND = -19,
    /// A verification found issues, which it reported to the callback. Not logged.
    FDCKPT_ERR_VERIFY_FAILED = -20,
    /// A defect of the library. Any function may return it; please report it.
    FDCKPT_ERR_INTERNAL = -21,
    /// The caller's progress callback cancelled the call. Not logged.
    FDCKPT_ERR_CANCELLED = -22,
}

constants! { fdckpt_error_code_t:
    FDCKPT_OK FDCKPT_ERR_INVALID_ARGUMENT FDCKPT_ERR_INVALID_STATE FDCKPT_ERR_NO_MEMORY FDCKPT_ERR_BUFFER_TOO_SMALL FDCKPT_ERR_IO
    FDCKPT_ERR_FORMAT FDCKPT_ERR_CORRUPT FDCKPT_ERR_OUT_OF_RANGE FDCKPT_ERR_NOT_FOUND FDCKPT_ERR_VERIFY_FAILED FDCKPT_ERR_INTERNAL
    FDCKPT_ERR_CANCELLED
}

/// The code of an error for a function of fd_checkpt.h.
pub(super) fn fd_checkpt_code(error: &frame::Error) -> c_int {
    use frame::Error;
    match error {
        Error::FrameOpen
        | Error::NoFrame
        | Error::Poisoned
        | Error::InvalidArgument(_)
        | Error::MetaTooLarge { .. }
        | Error::IoBufferTooSmall { .. }
        | Error::NotSeekable
        | Error::SeekPastEnd { .. }
        | Error::Internal => ERR_INVAL,
        Error::UnknownStyle { .. } => ERR_UNSUP,
        Error::Io(_)
        | Error::UnexpectedEof { .. }
        | Error::OffsetOverflow { .. }
        | Error::BufferFull { style: FrameStyle::Raw, .. } => ERR_IO,
        Error::Corrupt { .. } | Error::BufferFull { style: FrameStyle::Lz4, .. } | Error::OutOfMemory => ERR_COMP,
    }
}

/// The code of an error for a function of fdckpt.h.
pub(super) fn call_code(error: &CallError) -> c_int {
    match error {
        CallError::InvalidArgument(_) => FDCKPT_ERR_INVALID_ARGUMENT,
        CallError::OutOfMemory => FDCKPT_ERR_NO_MEMORY,
        CallError::Internal => FDCKPT_ERR_INTERNAL,
        CallError::Library(Error::Frame(error) | Error::Frames(FrameError { error, .. })) => frame_code(error),
        CallError::Library(Error::Container(error)) => container_code(error),
        CallError::Library(Error::Checkpoint(error)) => checkpoint_code(&error.kind()),
        CallError::Library(Error::Fti(error)) => fti_code(error),
        CallError::Library(Error::Inflate(error)) => inflate_code(error),
        CallError::Library(Error::File(error)) => file_code(error),
    }
}

fn frame_code(error: &frame::Error) -> c_int {
    use frame::Error;
    match error {
        Error::InvalidArgument(_)
        | Error::MetaTooLarge { .. }
        | Error::IoBufferTooSmall { .. }
        | Error::UnknownStyle { .. }
        | Error::SeekPastEnd { .. }
        | Error::OffsetOverflow { .. } => FDCKPT_ERR_INVALID_ARGUMENT,
        Error::FrameOpen | Error::NoFrame | Error::Poisoned | Error::NotSeekable => FDCKPT_ERR_INVALID_STATE,
        Error::OutOfMemory => FDCKPT_ERR_NO_MEMORY,
        Error::BufferFull { .. } => FDCKPT_ERR_BUFFER_TOO_SMALL,
        Error::Io(_) => FDCKPT_ERR_IO,
        Error::Corrupt { .. } | Error::UnexpectedEof { .. } => FDCKPT_ERR_CORRUPT,
        Error::Internal => FDCKPT_ERR_INTERNAL,
    }
}

fn container_code(error: &container::Error) -> c_int {
    use container::Error;
    match error {
        Error::InvalidArgument(_) | Error::OffsetOverflow { .. } => FDCKPT_ERR_INVALID_ARGUMENT,
        Error::FileChanged => FDCKPT_ERR_INVALID_STATE,
        Error::OutOfMemory => FDCKPT_ERR_NO_MEMORY,
        Error::BufferTooSmall { .. } => FDCKPT_ERR_BUFFER_TOO_SMALL,
        Error::Io(_) => FDCKPT_ERR_IO,
        Error::UnknownFormat(_) => FDCKPT_ERR_FORMAT,
        Error::Corrupt { .. } => FDCKPT_ERR_CORRUPT,
        Error::SectionOutOfRange { .. } => FDCKPT_ERR_OUT_OF_RANGE,
        Error::SectionNotFound { .. } | Error::IndexNotFound { .. } => FDCKPT_ERR_NOT_FOUND,
        Error::NotCanonical { .. } => FDCKPT_ERR_VERIFY_FAILED,
        Error::Internal => FDCKPT_ERR_INTERNAL,
    }
}

/// The code of an error of a checkpoint file.
pub(super) fn checkpoint_code(kind: &checkpoint::ErrorKind) -> c_int {
    use checkpoint::ErrorKind;
    match kind {
        ErrorKind::InvalidArgument(_)
        | ErrorKind::DuplicateName
        | ErrorKind::RegionSizeMismatch { .. }
        | ErrorKind::RangeOutOfBounds { .. }
        | ErrorKind::InputTooLarge { .. }
        | ErrorKind::OffsetOverflow { .. } => FDCKPT_ERR_INVALID_ARGUMENT,
        ErrorKind::Poisoned | ErrorKind::RegionCompressed => FDCKPT_ERR_INVALID_STATE,
        ErrorKind::OutOfMemory => FDCKPT_ERR_NO_MEMORY,
        ErrorKind::Io(_) => FDCKPT_ERR_IO,
        ErrorKind::UnknownFormat(_) => FDCKPT_ERR_FORMAT,
        ErrorKind::Corrupt { .. } | ErrorKind::CorruptRegions { .. } => FDCKPT_ERR_CORRUPT,
        ErrorKind::RegionNotFound | ErrorKind::FrameNotFound | ErrorKind::AttributeNotFound => FDCKPT_ERR_NOT_FOUND,
        ErrorKind::NotCanonical { .. } => FDCKPT_ERR_VERIFY_FAILED,
        ErrorKind::Cancelled => FDCKPT_ERR_CANCELLED,
        ErrorKind::Frame(error) => frame_code(error),
        ErrorKind::Container(error) => container_code(error),
        ErrorKind::Internal => FDCKPT_ERR_INTERNAL,
    }
}

fn fti_code(error: &fti::Error) -> c_int {
    use fti::Error;
    match error {
        Error::InvalidArgument(_) | Error::OffsetOverflow { .. } => FDCKPT_ERR_INVALID_ARGUMENT,
        Error::FileChanged
        | Error::FileBusy
        | Error::TransactionInDoubt
        | Error::PartiallyApplied
        | Error::CorruptTarget
        | Error::VariableSizeMismatch { .. }
        | Error::VariableNotProtected { .. } => FDCKPT_ERR_INVALID_STATE,
        Error::OutOfMemory => FDCKPT_ERR_NO_MEMORY,
        Error::Io(_) => FDCKPT_ERR_IO,
        Error::UnknownFormat(_) | Error::ParityFile => FDCKPT_ERR_FORMAT,
        Error::Corrupt { .. } => FDCKPT_ERR_CORRUPT,
        Error::VariableNotFound { .. } | Error::IndexNotFound { .. } => FDCKPT_ERR_NOT_FOUND,
        Error::VerifyFailed { .. } => FDCKPT_ERR_VERIFY_FAILED,
        Error::Internal => FDCKPT_ERR_INTERNAL,
    }
}

fn inflate_code(error: &inflate::Error) -> c_int {
    use inflate::Error;
    match error {
        Error::InvalidArgument(_) => FDCKPT_ERR_INVALID_ARGUMENT,
        Error::Poisoned | Error::NotSeekable | Error::SourceSizeMismatch { .. } | Error::SourceModified { .. } => {
            FDCKPT_ERR_INVALID_STATE
        }
        Error::OutOfMemory => FDCKPT_ERR_NO_MEMORY,
        Error::BufferTooSmall { .. } => FDCKPT_ERR_BUFFER_TOO_SMALL,
        Error::Io(_) => FDCKPT_ERR_IO,
        Error::UnknownFormat(_) => FDCKPT_ERR_FORMAT,
        Error::Corrupt { .. } | Error::InvalidCheckpoint(_) | Error::UnexpectedEof { .. } | Error::CorruptIndex { .. } => {
            FDCKPT_ERR_CORRUPT
        }
        Error::Container(error) => container_code(error),
        Error::Internal => FDCKPT_ERR_INTERNAL,
    }
}

fn file_code(error: &FileError) -> c_int {
    match error {
        FileError::InvalidArgument(_) | FileError::OffsetOverflow { .. } => FDCKPT_ERR_INVALID_ARGUMENT,
        FileError::OutOfMemory => FDCKPT_ERR_NO_MEMORY,
        FileError::Io(_) => FDCKPT_ERR_IO,
        FileError::Internal => FDCKPT_ERR_INTERNAL,
    }
}

/// What a code means, in two or three words.
pub(super) fn text(code: c_int) -> &'static CStr {
    match code {
        SUCCESS => c"success",
        ERR_INVAL => c"bad input args",
        ERR_UNSUP => c"unsupported on this target",
        ERR_IO => c"io error",
        ERR_COMP => c"compression error",
        _ => c"unknown",
    }
}
