//! The codes that C gets for errors.

use std::ffi::{CStr, c_int};

use crate::codec::FrameStyle;
use crate::error::Error;

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
        | Error::Checkpoint(_)
        | Error::CheckpointRoom { .. }
        | Error::Internal => ERR_INVAL,
        Error::UnknownStyle { .. } => ERR_UNSUP,
        Error::Io { .. }
        | Error::UnexpectedEnd { .. }
        | Error::TooLarge { .. }
        | Error::NoRoom { style: FrameStyle::Raw, .. } => ERR_IO,
        Error::Corrupt { .. } | Error::Stream { .. } | Error::NoRoom { style: FrameStyle::Lz4, .. } | Error::OutOfMemory => {
            ERR_COMP
        }
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
