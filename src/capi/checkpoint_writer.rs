//! The functions fdckpt_writer_* of fdckpt.h. The comments here are those of the header.

#![allow(non_camel_case_types)]

use std::ffi::{CStr, c_char, c_int, c_uint, c_void};
use std::mem;
use std::ptr::NonNull;

use super::call_error::CallError;
use super::ffi;
use super::options::{ProgressCallback, fdckpt_progress_fn_t, sync};
use super::struct_size::{growable, read_or_default};
use crate::checkpoint::{Error, ErrorKind, FRAME_SIZE_DEFAULT, Writer, WriterOptions};
use crate::error_base::InvalidArgument;
use crate::frame::FrameStyle;

/// Writes a checkpoint file: named regions of memory, attributes, an index and checksums
/// (docs/format/checkpoint.md). Its frames can also be restored by fd_restore_*.
///
/// Created by fdckpt_writer_open or fdckpt_writer_open_fd, freed by fdckpt_writer_free. After a
/// failed call the written data is discarded, and all further calls return the same error: checking
/// the result of fdckpt_writer_commit is enough.
pub struct fdckpt_writer_t {
    /// The writer, or why there is none: it was committed or aborted, or a call failed.
    writer: Result<Writer<'static>, Error>,
    /// Whether a call is in progress: its progress callback must not use the writer too.
    in_use: bool,
}

/// Exclusive use of a writer by one call.
struct InUseGuard(NonNull<fdckpt_writer_t>);

impl InUseGuard {
    /// # Safety
    /// `writer` is NULL, misaligned, or a live handle that no other thread uses and that stays live as long as the
    /// guard.
    unsafe fn begin(writer: *mut fdckpt_writer_t) -> Result<Self, InvalidArgument> {
        let handle = ffi::check_handle(writer)?;
        // SAFETY: `check` found the pointer good, so it is a live handle (caller). A guard that exists already has
        // borrowed only the other field.
        let in_use = unsafe { &mut (*handle.as_ptr()).in_use };
        if mem::replace(in_use, true) {
            return Err(InvalidArgument("a progress callback must not use its writer; it cancels by its return value"));
        }
        Ok(Self(handle))
    }

    fn writer(&mut self) -> &mut Result<Writer<'static>, Error> {
        // SAFETY: the handle is live (`begin`), and `in_use` makes this the only guard of it.
        unsafe { &mut (*self.0.as_ptr()).writer }
    }
}

impl Drop for InUseGuard {
    fn drop(&mut self) {
        // SAFETY: the handle is live (`begin`), and nothing else borrows this field.
        unsafe { (*self.0.as_ptr()).in_use = false };
    }
}

/// Default of fdckpt_writer_options_t.frame_size in bytes.
pub const FDCKPT_FRAME_SIZE_DEFAULT: u64 = 262144;

const _: () = assert!(FDCKPT_FRAME_SIZE_DEFAULT == FRAME_SIZE_DEFAULT as u64);

/// Options of a writer. Initialise with FDCKPT_WRITER_OPTIONS_INIT: every other field is then 0 and
/// has its default.
#[repr(C)]
pub struct fdckpt_writer_options_t {
    /// Size in bytes of this struct in the caller.
    pub struct_size: usize,
    /// Encoding of frames, FDCKPT_STYLE_*. 0: FDCKPT_STYLE_RAW.
    pub style: c_int,
    /// Maximum number of threads that compress, the caller's included. 0: the limit of
    /// fdckpt_set_max_threads. With several threads, LZ4 takes memory for up to 35 frames per
    /// thread. The file is the same for any number of threads.
    pub threads: c_uint,
    /// Maximum size of a frame in bytes of data, 65536 to 2^30. 0: FDCKPT_FRAME_SIZE_DEFAULT.
    pub frame_size: u64,
    /// Durability of the committed file, FDCKPT_SYNC_*. For fdckpt_writer_open_fd, all but
    /// FDCKPT_SYNC_NONE fsync the descriptor if it supports that.
    pub sync: c_int,
    /// Not 0: frames and regions get no checksums, so that corruption is not detected.
    pub no_checksums: c_int,
    /// Progress callback, which can cancel. May be NULL.
    pub on_progress: fdckpt_progress_fn_t,
    /// Passed to on_progress.
    pub context: *mut c_void,
}

growable! { fdckpt_writer_options_t { first_size: 48, last: context: *mut c_void, init: "FDCKPT_WRITER_OPTIONS_INIT" } }

impl fdckpt_writer_options_t {
    /// # Safety
    /// `options` is NULL or readable for its struct_size.
    pub(super) unsafe fn read(options: *const Self) -> Result<WriterOptions<'static>, CallError> {
        // SAFETY: as required of `options`.
        let options = unsafe { read_or_default(options)? };
        let mut with = WriterOptions::new().style(FrameStyle::from_c_arg(options.style)?);
        if options.threads > 0 {
            with = with.threads(options.threads as usize);
        }
        if options.frame_size > 0 {
            with = with.frame_size(usize::try_from(options.frame_size).unwrap_or(usize::MAX));
        }
        with = with.sync(sync(options.sync)?).checksums(options.no_checksums == 0);
        let callback = ProgressCallback::new(options.on_progress, options.context);
        if callback.is_set() {
            with = with.progress(move |progress| callback.call(progress));
        }
        Ok(with)
    }
}

/// Creates a writer of a file.
///
/// fdckpt_writer_commit gives the file its path. Until then a temporary file in the same directory
/// (.fdckpt-*.tmp) is written, and a file at the path is unchanged. Temporary files of processes
/// that ended are removed from the directory. The file keeps owner, group and permissions of the one
/// that it replaces, as far as the process may set them, without set-ID bits; a symbolic
/// link is replaced itself.
///
/// @param path     path of the file, NUL-terminated; copied
/// @param options  copied; NULL: defaults
/// @return writer, to be freed with fdckpt_writer_free; or NULL, fdckpt_last_error() has the code:
///         FDCKPT_ERR_INVALID_ARGUMENT  path is NULL, or an option is invalid
///         FDCKPT_ERR_IO                the temporary file could not be created
///         FDCKPT_ERR_NO_MEMORY         allocation failed
///
/// Thread safety: any thread, at any time.
///
/// # Safety
/// `path` is a C string, `options` NULL or an input struct (see [`crate::capi`]); what its `context` points to stays
/// valid until the writer is freed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fdckpt_writer_open(
    path: *const c_char,
    options: *const fdckpt_writer_options_t,
) -> *mut fdckpt_writer_t {
    ffi::ffi_new(c"fdckpt_writer_open", || {
        // SAFETY: `path` is NULL or a C string, `options` NULL or readable for its struct_size (caller).
        let (path, options) = unsafe { (ffi::path_from_c(path)?, fdckpt_writer_options_t::read(options)?) };
        Ok(fdckpt_writer_t { writer: Ok(options.create(path)?), in_use: false })
    })
}

/// Creates a writer to a descriptor.
///
/// Writes sequentially from the current position: to an empty file at its start, a pipe or a
/// socket. Until fdckpt_writer_commit succeeded, the output is incomplete.
///
/// @param fd       descriptor open for writing; not closed; must stay open until the writer is freed
/// @param options  as for fdckpt_writer_open
/// @return writer, to be freed with fdckpt_writer_free; or NULL, fdckpt_last_error() has the code:
///         FDCKPT_ERR_INVALID_ARGUMENT  fd is negative, or an option is invalid
///         FDCKPT_ERR_IO                the descriptor cannot be written
///         FDCKPT_ERR_NO_MEMORY         allocation failed
///
/// Thread safety: any thread, at any time.
///
/// # Safety
/// `fd` is the caller's to use. `options` as for [`fdckpt_writer_open`].
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fdckpt_writer_open_fd(fd: c_int, options: *const fdckpt_writer_options_t) -> *mut fdckpt_writer_t {
    ffi::ffi_new(c"fdckpt_writer_open_fd", || {
        // SAFETY: `options` is NULL or readable for its struct_size (caller).
        let options = unsafe { fdckpt_writer_options_t::read(options)? };
        Ok(fdckpt_writer_t { writer: Ok(options.write_to(ffi::borrow_fd(fd)?)?), in_use: false })
    })
}

/// Adds a region. Regions keep the order in which they are added.
///
/// @param writer  open writer
/// @param name    name of the region: NUL-terminated UTF-8, 1 to 65535 bytes, unique in the file
/// @param data    contents; written or copied when the call returns. May be NULL if size is 0.
/// @param size    number of bytes at data
/// @return FDCKPT_OK
///         FDCKPT_ERR_INVALID_ARGUMENT  an argument is NULL, or the name is invalid or exists
///                                      already
///         FDCKPT_ERR_INVALID_STATE     the writer was committed or aborted
///         FDCKPT_ERR_IO                writing failed
///         FDCKPT_ERR_NO_MEMORY         allocation failed
///         FDCKPT_ERR_CANCELLED         on_progress cancelled the call
///         or the error of an earlier call that failed
///
/// Thread safety: one thread at a time per writer.
///
/// # Safety
/// `writer` is a live handle that no other thread uses, `name` a C string, `data` readable for `size` bytes (see
/// [`crate::capi`]).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fdckpt_writer_add(
    writer: *mut fdckpt_writer_t,
    name: *const c_char,
    data: *const c_void,
    size: usize,
) -> c_int {
    // SAFETY: `writer` is NULL or a live handle used by this thread only, `name` NULL or a C string, `data` readable
    // (caller).
    unsafe {
        call(c"fdckpt_writer_add", writer, |writer| {
            let name = ffi::str_from_c(name)?;
            writer.add(name, ffi::slice_from_raw(data, size).map_err(|error| Error::from(error).in_region(name))?)
        })
    }
}

/// Sets the encoding of the regions that are added from now on.
///
/// @param writer  open writer
/// @param style   FDCKPT_STYLE_*; 0: FDCKPT_STYLE_RAW
/// @return as for fdckpt_writer_add
///
/// Thread safety: one thread at a time per writer.
///
/// # Safety
/// `writer` is a live handle that no other thread uses (see [`crate::capi`]).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fdckpt_writer_set_style(writer: *mut fdckpt_writer_t, style: c_int) -> c_int {
    // SAFETY: `writer` is NULL or a live handle used by this thread only (caller).
    unsafe { call(c"fdckpt_writer_set_style", writer, |writer| writer.set_style(FrameStyle::from_c_arg(style)?)) }
}

/// Adds an attribute: a small value about the checkpoint, which is read when the file is opened.
///
/// @param writer  open writer
/// @param key     NUL-terminated UTF-8, 1 to 65535 bytes, unique among the attributes
/// @param value   copied; may be NULL if size is 0
/// @param size    number of bytes at value
/// @return as for fdckpt_writer_add
///
/// Thread safety: one thread at a time per writer.
///
/// # Safety
/// `writer` is a live handle that no other thread uses, `key` a C string, `value` readable for `size` bytes (see
/// [`crate::capi`]).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fdckpt_writer_set_attribute(
    writer: *mut fdckpt_writer_t,
    key: *const c_char,
    value: *const c_void,
    size: usize,
) -> c_int {
    // SAFETY: `writer` is NULL or a live handle used by this thread only, `key` NULL or a C string, `value` readable
    // (caller).
    unsafe {
        call(c"fdckpt_writer_set_attribute", writer, |writer| {
            let key = ffi::str_from_c(key)?;
            writer.attribute(key, ffi::slice_from_raw(value, size).map_err(|error| Error::from(error).in_region(key))?)
        })
    }
}

/// Completes the file: writes the remaining data and the index, and gives the file its path, as
/// durably as the options say. The writer can only be freed afterwards.
///
/// @param writer  open writer
/// @return FDCKPT_OK: the file is complete at its path. Else as for fdckpt_writer_add: the path is
///         as before and no temporary file is left; but if the fsync of the directory failed
///         (FDCKPT_ERR_IO), the path has the new file, and a system crash may restore the old one.
///
/// Thread safety: one thread at a time per writer.
///
/// # Safety
/// `writer` is a live handle that no other thread uses (see [`crate::capi`]).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fdckpt_writer_commit(writer: *mut fdckpt_writer_t) -> c_int {
    ffi::ffi_call(c"fdckpt_writer_commit", || {
        // SAFETY: `writer` is NULL or a live handle used by this thread only (caller).
        let mut handle = unsafe { InUseGuard::begin(writer)? };
        let result = mem::replace(handle.writer(), Err(ErrorKind::Poisoned.into())).and_then(Writer::commit);
        *handle.writer() = Err(result.as_ref().err().cloned().unwrap_or(ErrorKind::Poisoned.into()));
        Ok(result.map(drop)?)
    })
}

/// Discards what was written; the path is left as it was. (Data already written to a descriptor
/// stays there.) The writer can only be freed afterwards.
///
/// @param writer  open writer; may be NULL
///
/// Thread safety: one thread at a time per writer.
///
/// # Safety
/// `writer` is NULL or a live handle that no other thread uses (see [`crate::capi`]).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fdckpt_writer_abort(writer: *mut fdckpt_writer_t) {
    if writer.is_null() {
        return;
    }
    ffi::ffi_call(c"fdckpt_writer_abort", || {
        // SAFETY: not NULL, so a live handle used by this thread only (caller).
        *unsafe { InUseGuard::begin(writer)? }.writer() = Err(ErrorKind::Poisoned.into());
        Ok(())
    });
}

/// Frees a writer. What was not committed is discarded.
///
/// @param writer  writer; may be NULL
///
/// Thread safety: any thread that is the last to use the writer.
///
/// # Safety
/// `writer` is NULL or a live handle that no other thread uses; it is not live any more afterwards (see
/// [`crate::capi`]).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fdckpt_writer_free(writer: *mut fdckpt_writer_t) {
    if writer.is_null() {
        return;
    }
    ffi::ffi_call(c"fdckpt_writer_free", || {
        // SAFETY: not NULL, so a live handle that no other thread uses (caller); the guard, which fails in a progress
        // callback, is gone when it is freed.
        unsafe {
            drop(InUseGuard::begin(writer)?);
            ffi::free(c"fdckpt_writer_free", writer);
        }
        Ok(())
    });
}

/// Calls `body` with an open writer; a failure closes it.
///
/// # Safety
/// As for [`InUseGuard::begin`].
unsafe fn call(
    function: &'static CStr,
    writer: *mut fdckpt_writer_t,
    body: impl FnOnce(&mut Writer<'static>) -> Result<(), Error>,
) -> c_int {
    ffi::ffi_call(function, || {
        // SAFETY: as required of `writer`.
        let mut handle = unsafe { InUseGuard::begin(writer)? };
        let writer = handle.writer().as_mut().map_err(|error| error.clone())?;
        let result = body(writer).map_err(|error| writer.in_this_file(error));
        if let Err(error) = &result {
            // Arguments that only C can get wrong close it too.
            *handle.writer() = Err(error.clone());
        }
        Ok(result?)
    })
}
