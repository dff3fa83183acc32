//! The codes that C gets for errors.

use std::ffi::{CStr, c_int};

use super::error_types::*;
use crate::error::Error;
use crate::frame::FrameStyle;

pub(super) const SUCCESS: c_int = 0;
pub(super) const ERR_INVAL: c_int = -1;
pub(super) const ERR_UNSUP: c_int = -2;
pub(super) const ERR_IO: c_int = -3;
pub(super) const ERR_COMP: c_int = -4;

/// The code of an error.
pub(super) fn code(error: &Error) -> c_int {
    match error {
        Error::FrameOpen
        | Error::NoFrame
        | Error::Failed
        | Error::Argument(_)
        | Error::MetaTooLarge { .. }
        | Error::BufferTooSmall { .. }
        | Error::NotSeekable
        | Error::SeekPastEnd { .. }
        | Error::Internal => ERR_INVAL,
        Error::UnknownStyle { .. } => ERR_UNSUP,
        Error::Io { .. }
        | Error::UnexpectedEnd { .. }
        | Error::TooLarge { .. }
        | Error::NoRoom { style: FrameStyle::Raw, .. } => ERR_IO,
        Error::Corrupt { .. } | Error::NoRoom { style: FrameStyle::Lz4, .. } | Error::OutOfMemory => ERR_COMP,
        // Of other rooms.
        Error::Unrecognized(_)
        | Error::Malformed { .. }
        | Error::SectionOutOfRange { .. }
        | Error::NoSuchSection { .. }
        | Error::NoSuchIndex { .. }
        | Error::NotCanonical { .. }
        | Error::MemoryTooSmall { .. }
        | Error::FtiDamaged { .. }
        | Error::NoSuchVariable { .. }
        | Error::VariableSize { .. }
        | Error::VariableNotProtected { .. }
        | Error::FileChanged
        | Error::FileBusy
        | Error::UpdatePrepared
        | Error::Stream { .. }
        | Error::Checkpoint(_)
        | Error::Truncated { .. }
        | Error::InputSize { .. }
        | Error::InputChanged { .. } => ERR_INVAL,
        Error::NameTaken
        | Error::NoSuchRegion
        | Error::RegionSize { .. }
        | Error::OutOfRegion { .. }
        | Error::NotMappable
        | Error::InputTooLarge { .. }
        | Error::Cancelled
        | Error::Damaged { .. } => ERR_INVAL,
    }
}

/// The code of an error of a function that is not one of fd_checkpt.h.
pub(super) fn fdckpt_code(error: &Error) -> c_int {
    match error {
        Error::Argument(_)
        | Error::MetaTooLarge { .. }
        | Error::BufferTooSmall { .. }
        | Error::UnknownStyle { .. }
        | Error::SeekPastEnd { .. }
        | Error::TooLarge { .. } => FDCKPT_ERR_INVALID_ARGUMENT,
        Error::FrameOpen
        | Error::NoFrame
        | Error::Failed
        | Error::NotSeekable
        | Error::FileChanged
        | Error::FileBusy
        | Error::UpdatePrepared
        | Error::VariableSize { .. }
        | Error::VariableNotProtected { .. }
        | Error::InputSize { .. }
        | Error::InputChanged { .. } => FDCKPT_ERR_INVALID_STATE,
        Error::OutOfMemory => FDCKPT_ERR_NO_MEMORY,
        Error::NoRoom { .. } | Error::MemoryTooSmall { .. } => FDCKPT_ERR_BUFFER_TOO_SMALL,
        Error::Io { .. } => FDCKPT_ERR_IO,
        Error::Unrecognized(_) => FDCKPT_ERR_FORMAT,
        Error::Malformed { .. }
        | Error::Corrupt { .. }
        | Error::FtiDamaged { .. }
        | Error::UnexpectedEnd { .. }
        | Error::Stream { .. }
        | Error::Checkpoint(_)
        | Error::Truncated { .. } => FDCKPT_ERR_CORRUPT,
        Error::SectionOutOfRange { .. } => FDCKPT_ERR_OUT_OF_RANGE,
        Error::NoSuchSection { .. } | Error::NoSuchIndex { .. } | Error::NoSuchVariable { .. } => FDCKPT_ERR_NOT_FOUND,
        Error::NotCanonical { .. } => FDCKPT_ERR_VERIFY_FAILED,
        Error::NameTaken | Error::RegionSize { .. } | Error::OutOfRegion { .. } | Error::InputTooLarge { .. } => {
            FDCKPT_ERR_INVALID_ARGUMENT
        }
        Error::NoSuchRegion => FDCKPT_ERR_NOT_FOUND,
        Error::NotMappable => FDCKPT_ERR_INVALID_STATE,
        Error::Damaged { .. } => FDCKPT_ERR_CORRUPT,
        Error::Cancelled => FDCKPT_ERR_CANCELLED,
        Error::Internal => FDCKPT_ERR_INTERNAL,
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
