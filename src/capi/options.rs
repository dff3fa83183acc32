//! Options of fdckpt.h that several groups of functions have. The comments here are those of the header.

#![allow(non_camel_case_types)]

use std::ffi::{c_int, c_void};
use std::ops::ControlFlow;

use crate::checkpoint::Progress;
use crate::error_base::InvalidArgument;
use crate::frame::FrameStyle;
use crate::fti::SyncMode;

/// Encodings of frames. Where a style is an option, 0 stands for FDCKPT_STYLE_RAW.
#[repr(C)]
pub enum fdckpt_style_t {
    /// The data as it is.
    FDCKPT_STYLE_RAW = 1,
    /// Compressed by LZ4.
    FDCKPT_STYLE_LZ4 = 2,
}

constants! { fdckpt_style_t: FDCKPT_STYLE_RAW FDCKPT_STYLE_LZ4 }

const _: () = assert!(FDCKPT_STYLE_RAW == FrameStyle::Raw as c_int && FDCKPT_STYLE_LZ4 == FrameStyle::Lz4 as c_int);

/// Durability of a file that is written. Replacing a file is atomic in all modes: at any time, other
/// processes find either the complete old file or the complete new one at its path.
#[repr(C)]
pub enum fdckpt_sync_t {
    /// fsync of the file and its directory: once the call returns, the new file survives a system
    /// crash.
    FDCKPT_SYNC_FULL = 0,
    /// fsync of the file: after a system crash, the path has the complete old or new file.
    FDCKPT_SYNC_DATA = 1,
    /// No fsync: survives the end of the process; after a system crash the file may lack data.
    FDCKPT_SYNC_NONE = 2,
}

constants! { fdckpt_sync_t: FDCKPT_SYNC_FULL FDCKPT_SYNC_DATA FDCKPT_SYNC_NONE }

pub(super) fn sync(mode: c_int) -> Result<SyncMode, InvalidArgument> {
    match mode {
        FDCKPT_SYNC_FULL => Ok(SyncMode::Full),
        FDCKPT_SYNC_DATA => Ok(SyncMode::Data),
        FDCKPT_SYNC_NONE => Ok(SyncMode::None),
        _ => Err(InvalidArgument("sync is none of FDCKPT_SYNC_*")),
    }
}

/// Progress of a call, filled by the library. Fields beyond struct_size do not exist.
#[repr(C)]
pub struct fdckpt_progress_t {
    /// Size in bytes of this struct in the library.
    pub struct_size: usize,
    /// Number of bytes of data processed.
    pub data_bytes: u64,
    /// Number of bytes of data in total; for a writer, the number added so far.
    pub total_bytes: u64,
    /// Number of bytes of the file written or read for that data.
    pub file_bytes: u64,
}

/// Receives the progress of a call, and may cancel it.
///
/// Called on the thread that called the library, after each frame that this thread completes and
/// once at the end. Must not use the writer (such a call is rejected and changes nothing) nor free
/// the reader. Must return: no longjmp, no C++ exception.
///
/// @param context   `context` of the options
/// @param progress  valid until the callback returns
/// @return 0 to continue; anything else cancels: the call fails with FDCKPT_ERR_CANCELLED
pub type fdckpt_progress_fn_t = Option<unsafe extern "C" fn(context: *mut c_void, progress: *const fdckpt_progress_t) -> c_int>;

/// The caller's progress callback.
#[derive(Clone, Copy)]
pub(super) struct ProgressCallback {
    function: fdckpt_progress_fn_t,
    context: *mut c_void,
}

// SAFETY: the function is called only on threads that the caller has call the library, which it allows for (documented
// at `fdckpt_progress_fn_t`); the context is passed on, never dereferenced.
unsafe impl Send for ProgressCallback {}

impl ProgressCallback {
    pub(super) fn new(function: fdckpt_progress_fn_t, context: *mut c_void) -> Self {
        Self { function, context }
    }

    pub(super) fn is_set(&self) -> bool {
        self.function.is_some()
    }

    pub(super) fn call(&self, Progress { data, total, stored, .. }: Progress) -> ControlFlow<()> {
        let Some(function) = self.function else { return ControlFlow::Continue(()) };
        let struct_size = size_of::<fdckpt_progress_t>();
        let now = fdckpt_progress_t { struct_size, data_bytes: data, total_bytes: total, file_bytes: stored };
        // SAFETY: the caller gave the function as callable with this context; `now` lives until it returns.
        if unsafe { function(self.context, &now) } == 0 { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
    }
}
