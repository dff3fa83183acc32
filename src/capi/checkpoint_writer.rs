//! The functions fdckpt_writer_* of fdckpt.h. The comments here are those of the header.

#![allow(non_camel_case_types)]

use std::ffi::{c_char, c_int, c_uint, c_void};
use std::mem;
use std::ops::ControlFlow;
use std::ptr::NonNull;

use super::call_error::CallError;
use super::ffi;
use super::fti;
use crate::checkpoint::{Error, ErrorKind, FRAME_SIZE_DEFAULT, Progress, Writer, WriterOptions};
use crate::error_base::InvalidArgument;
use crate::frame::FrameStyle;

/// A checkpoint in the making that describes itself: regions of memory with names, an index, checksums.
/// docs/format/checkpoint.md specifies the file; its frames can be restored by fd_restore_* too.
///
/// It is made by fdckpt_writer_open or fdckpt_writer_open_fd, freed by fdckpt_writer_free, and used by one thread at a time. When a call
/// with it has failed, what was written is discarded, and all further ones fail in the same way. So it is enough to look at what
/// fdckpt_writer_commit returns.
pub struct fdckpt_writer_t {
    /// Or why there is none: it was committed or aborted, or a call failed.
    writer: Result<Writer<'static>, Error>,
    /// A call is underway: what the host calls meanwhile, to be told of progress, must not have the writer as well.
    at_work: bool,
}

/// The state of a writer's handle as long as a call has it.
struct AtWork(NonNull<fdckpt_writer_t>);

impl AtWork {
    /// # Safety
    /// `writer` may be NULL or misaligned; otherwise fdckpt_writer_open or its like returned it, it was not freed, and no other thread uses it.
    unsafe fn begin(writer: *mut fdckpt_writer_t) -> Result<Self, InvalidArgument> {
        let handle = ffi::check_handle(writer)?;
        // SAFETY: the caller's promise. Who is at work, has borrowed the other member alone.
        let at_work = unsafe { &mut (*handle.as_ptr()).at_work };
        if mem::replace(at_work, true) {
            return Err(InvalidArgument(
                "the writer is at work: a progress callback can't use it, and cancels by what it returns",
            ));
        }
        Ok(Self(handle))
    }

    fn writer(&mut self) -> &mut Result<Writer<'static>, Error> {
        // SAFETY: as in `begin`; there is no second one of the same handle.
        unsafe { &mut (*self.0.as_ptr()).writer }
    }
}

impl Drop for AtWork {
    fn drop(&mut self) {
        // SAFETY: as in `begin`.
        unsafe { (*self.0.as_ptr()).at_work = false };
    }
}

/// The styles of frames, as in fd_checkpt.h: the data as it is, which is what 0 means too, and fastest.
pub const FDCKPT_STYLE_RAW: c_int = 1;
/// Compressed by LZ4.
pub const FDCKPT_STYLE_LZ4: c_int = 2;

const _: () = assert!(FDCKPT_STYLE_RAW == FrameStyle::Raw as c_int && FDCKPT_STYLE_LZ4 == FrameStyle::Lz4 as c_int);

/// How many bytes of data a frame has at most, if the options don't say it.
pub const FDCKPT_FRAME_SIZE_DEFAULT: u64 = 262144;

const _: () = assert!(FDCKPT_FRAME_SIZE_DEFAULT == FRAME_SIZE_DEFAULT as u64);

/// How far saving, loading or verifying has come.
#[repr(C)]
pub struct fdckpt_progress_t {
    /// Bytes of data that are done.
    pub data: u64,
    /// Bytes of data in all; when saving, those that were added so far.
    pub total: u64,
    /// Bytes of the file that were written or read for it.
    pub stored: u64,
}

/// Is told of progress after each frame (where several threads read, after each that the calling one has done, and when all is done), by the
/// thread that called the library, with the context of the options. Returns 0 to go on; anything
/// else cancels, and the call fails with FDCKPT_ERR_CANCELLED. It must return: no longjmp, no C++ exception. It can't use the writer that
/// it is told of (such a call is refused, and changes nothing), nor close the reader.
pub type fdckpt_progress_fn_t = Option<unsafe extern "C" fn(context: *mut c_void, progress: *const fdckpt_progress_t) -> c_int>;

/// How a checkpoint is to be saved. Members that are 0 stand for what is usual, so that `{ 0 }` is all of the defaults.
#[repr(C)]
pub struct fdckpt_writer_options_t {
    /// How frames are encoded: FDCKPT_STYLE_RAW, which is also what 0 means, or FDCKPT_STYLE_LZ4.
    pub style: c_int,
    /// How many threads may compress, the caller's included; they are gone when a call returns. 0: what fdckpt_set_max_threads says, which
    /// is 1 unless it was called. The file is the same, byte for byte. With several, LZ4 takes memory of up to 35 frames for each.
    pub threads: c_uint,
    /// How many bytes of data a frame has at most: 65536 to 1 GiB. 0: FDCKPT_FRAME_SIZE_DEFAULT.
    pub frame_size: u64,
    /// One of FDCKPT_SYNC_*: what the file has to survive. Of a descriptor: all but FDCKPT_SYNC_NONE sync it in the end, if it can be.
    pub sync: c_int,
    /// Not 0: frames and regions get no checksums, so that damage to data goes unnoticed.
    pub no_checksums: c_int,
    /// Is told of progress, and can cancel. May be NULL.
    pub progress: fdckpt_progress_fn_t,
    /// What progress gets as context.
    pub context: *mut c_void,
}

/// A callback of the host and its context.
#[derive(Clone, Copy)]
pub(super) struct Callback {
    pub(super) progress: fdckpt_progress_fn_t,
    pub(super) context: *mut c_void,
}

// SAFETY: it is called by the thread alone that has called the library; what its context allows, the host answers for.
unsafe impl Send for Callback {}

impl Callback {
    pub(super) fn call(&self, Progress { data, total, stored, .. }: Progress) -> ControlFlow<()> {
        let Some(progress) = self.progress else { return ControlFlow::Continue(()) };
        let now = fdckpt_progress_t { data, total, stored };
        // SAFETY: the host promised that it can be called; the struct lives until it returns.
        if unsafe { progress(self.context, &now) } == 0 { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
    }
}

impl fdckpt_writer_options_t {
    /// # Safety
    /// `options` is NULL or good for a read.
    pub(super) unsafe fn read(options: *const Self) -> Result<WriterOptions<'static>, CallError> {
        let mut with = WriterOptions::new();
        if options.is_null() {
            return Ok(with);
        }
        // SAFETY: not NULL, so good for a read.
        let options = unsafe { options.read_unaligned() };
        with = with.style(FrameStyle::asked_for(options.style)?);
        if options.threads > 0 {
            with = with.threads(options.threads as usize);
        }
        if options.frame_size > 0 {
            with = with.frame_size(usize::try_from(options.frame_size).unwrap_or(usize::MAX));
        }
        with = with.sync(fti::sync(options.sync)?).checksums(options.no_checksums == 0);
        if options.progress.is_some() {
            let callback = Callback { progress: options.progress, context: options.context };
            with = with.progress(move |progress| callback.call(progress));
        }
        Ok(with)
    }
}

/// fdckpt_writer_open begins a checkpoint that is to be the file path. It becomes that in fdckpt_writer_commit: until then it is a
/// temporary file in the same folder (.fdckpt-*.tmp), and what has the name stays. Temporary files that processes have left there that
/// have died are removed. The file gets the permissions that new files have; a symbolic link is replaced itself.
///
/// options may be NULL, for the defaults. Neither it nor path need stay.
///
/// Returns the writer, to be freed with fdckpt_writer_free, or NULL: FDCKPT_ERR_INVALID_ARGUMENT; FDCKPT_ERR_IO; FDCKPT_ERR_NO_MEMORY.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fdckpt_writer_open(
    path: *const c_char,
    options: *const fdckpt_writer_options_t,
) -> *mut fdckpt_writer_t {
    ffi::ffi_new(c"fdckpt_writer_open", || {
        // SAFETY: the caller keeps to the comment above.
        let (path, options) = unsafe { (fti::path(path)?, fdckpt_writer_options_t::read(options)?) };
        Ok(fdckpt_writer_t { writer: Ok(options.create(path)?), at_work: false })
    })
}

/// fdckpt_writer_open_fd begins a checkpoint that is written to fd, a file, pipe or socket, from its current position on, and
/// without going back. It must be all that a file has, so write at its begin. Until fdckpt_writer_commit has succeeded there is a part of
/// it. The descriptor is not closed.
///
/// Returns as fdckpt_writer_open.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fdckpt_writer_open_fd(fd: c_int, options: *const fdckpt_writer_options_t) -> *mut fdckpt_writer_t {
    ffi::ffi_new(c"fdckpt_writer_open_fd", || {
        // SAFETY: the caller keeps to the comment above.
        let options = unsafe { fdckpt_writer_options_t::read(options)? };
        Ok(fdckpt_writer_t { writer: Ok(options.write_to(ffi::borrow_fd(fd)?)?), at_work: false })
    })
}

/// fdckpt_writer_add adds a region: the size bytes at data, which are not needed any more when it returns (they were written, or copied: if
/// they are fewer than a quarter of a frame or, where several threads compress, than 8 frames for each). size can be 0, and data NULL then. name is what it is found by: UTF-8, not
/// empty, at most 65535 bytes, and of no other region. Regions keep the order in which they are added.
///
/// Returns FDCKPT_OK, or FDCKPT_ERR_INVALID_ARGUMENT; FDCKPT_ERR_IO; FDCKPT_ERR_NO_MEMORY; FDCKPT_ERR_CANCELLED; FDCKPT_ERR_INVALID_STATE, it
/// was committed or aborted; or what a call before has returned that failed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fdckpt_writer_add(
    writer: *mut fdckpt_writer_t,
    name: *const c_char,
    data: *const c_void,
    size: usize,
) -> c_int {
    // SAFETY: the caller keeps to the comment above.
    unsafe {
        call(c"fdckpt_writer_add", writer, |writer| {
            let name = ffi::str_from_c(name)?;
            writer.add(name, ffi::slice_from_raw(data, size).map_err(|error| Error::from(error).in_region(name))?)
        })
    }
}

/// fdckpt_writer_set_style says the style of the regions that are added from now on: FDCKPT_STYLE_RAW or
/// FDCKPT_STYLE_LZ4.
///
/// Returns as fdckpt_writer_add.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fdckpt_writer_set_style(writer: *mut fdckpt_writer_t, style: c_int) -> c_int {
    // SAFETY: the caller keeps to the comment above.
    unsafe { call(c"fdckpt_writer_set_style", writer, |writer| writer.set_style(FrameStyle::asked_for(style)?)) }
}

/// fdckpt_writer_set_attribute adds an attribute: whatever the program wants to tell of the checkpoint. Keys are like names of regions, and a
/// key is there once. The value is copied. Attributes are for small things: they are read when a checkpoint is opened.
///
/// Returns as fdckpt_writer_add.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fdckpt_writer_set_attribute(
    writer: *mut fdckpt_writer_t,
    key: *const c_char,
    value: *const c_void,
    size: usize,
) -> c_int {
    // SAFETY: the caller keeps to the comment above.
    unsafe {
        call(c"fdckpt_writer_set_attribute", writer, |writer| {
            let key = ffi::str_from_c(key)?;
            writer.attribute(key, ffi::slice_from_raw(value, size).map_err(|error| Error::from(error).in_region(key))?)
        })
    }
}

/// fdckpt_writer_commit writes what is left and the index, and gives the file its name, as durably as the options say. The writer is
/// then to be freed.
///
/// Returns FDCKPT_OK: the file is there, whole. Or as fdckpt_writer_add: then path is what it was, and nothing is left of the new file.
/// But if it was syncing the folder that failed (FDCKPT_ERR_IO), path is the new file, and a crash can bring the old one back.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fdckpt_writer_commit(writer: *mut fdckpt_writer_t) -> c_int {
    ffi::ffi_call(c"fdckpt_writer_commit", || {
        // SAFETY: the caller keeps to the comment above.
        let mut handle = unsafe { AtWork::begin(writer)? };
        let result = mem::replace(handle.writer(), Err(ErrorKind::Poisoned.into())).and_then(Writer::commit);
        *handle.writer() = Err(result.as_ref().err().cloned().unwrap_or(ErrorKind::Poisoned.into()));
        Ok(result.map(drop)?)
    })
}

/// fdckpt_writer_abort discards what was written: path stays what it was. (To a descriptor it may have been written already.) The
/// writer is then to be freed. NULL is fine.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fdckpt_writer_abort(writer: *mut fdckpt_writer_t) {
    if writer.is_null() {
        return;
    }
    ffi::ffi_call(c"fdckpt_writer_abort", || {
        // SAFETY: the caller keeps to the comment above.
        *unsafe { AtWork::begin(writer)? }.writer() = Err(ErrorKind::Poisoned.into());
        Ok(())
    });
}

/// fdckpt_writer_free frees a writer. If it was not committed, what was written is discarded. NULL is fine.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fdckpt_writer_free(writer: *mut fdckpt_writer_t) {
    if writer.is_null() {
        return;
    }
    ffi::ffi_call(c"fdckpt_writer_free", || {
        // SAFETY: the caller keeps to the comment above.
        unsafe {
            drop(AtWork::begin(writer)?);
            ffi::free(c"fdckpt_writer_free", writer);
        }
        Ok(())
    });
}

/// # Safety
/// As for [`ffi::call_mut`].
unsafe fn call(
    function: &'static std::ffi::CStr,
    writer: *mut fdckpt_writer_t,
    body: impl FnOnce(&mut Writer<'static>) -> Result<(), Error>,
) -> c_int {
    ffi::ffi_call(function, || {
        // SAFETY: the caller's promise.
        let mut handle = unsafe { AtWork::begin(writer)? };
        let writer = handle.writer().as_mut().map_err(|error| error.clone())?;
        let result = body(writer).map_err(|error| writer.in_this_file(error));
        if let Err(error) = &result {
            // Also where it was an argument that C alone can get wrong.
            *handle.writer() = Err(error.clone());
        }
        Ok(result?)
    })
}
