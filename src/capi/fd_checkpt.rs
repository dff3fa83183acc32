//! The functions of fd_checkpt.h. The comments here are those of the header.

use std::ffi::{c_char, c_int, c_void};
use std::os::fd::BorrowedFd;
use std::ptr::NonNull;

use super::fd_checkpt_types::{
    NO_FD, fd_checkpt_private_mmio_t, fd_checkpt_private_to, fd_checkpt_private_wbuf_t, fd_checkpt_t, fd_restore_private_from,
    fd_restore_private_mmio_t, fd_restore_private_rbuf_t, fd_restore_t, ulong,
};
use super::ffi;
use crate::frame::decoder::Decoder;
use crate::frame::encoder::Encoder;
use crate::frame::small_block::DECOMPRESS_MAX;
use crate::frame::state::FrameState;
use crate::frame::{BUFFER_MIN, BufferKind, Error, FrameStyle, source};
use crate::sys::lz4::{Compressor, Decompressor};

/// Puts a buffer, by the shortest of four ways that does it. A macro, since closures that are used in one place alone become one
/// straight path with it.
macro_rules! put {
    ($function:expr, $checkpt:expr, $kind:expr, $buf:expr, $sz:expr) => {{
        let raw = |mut encoder: Encoder<'_>, &(buf, sz): &_| encoder.try_write_raw_fast(&ffi::region_from_raw(buf, sz));
        let tiny = |mut encoder: Encoder<'_>, &(buf, sz): &_| encoder.try_write_small_lz4_fast(&ffi::region_from_raw(buf, sz));
        let lz4 = |mut encoder: Encoder<'_>, &(buf, sz): &_| encoder.try_write_lz4_fast(&ffi::region_from_raw(buf, sz));
        let any = |checkpt: *mut fd_checkpt_t, (buf, sz)| {
            ffi::with_codec($function, checkpt, |mut encoder| encoder.write_buffer($kind, ffi::region_from_raw(buf, sz)))
        };
        let any_apart = |checkpt, buffer| ffi::outlined(checkpt, buffer, any);
        let lz4 = |checkpt, buffer| ffi::try_fast_path(FrameStyle::Lz4, checkpt, buffer, lz4, any_apart);
        let lz4_apart = |checkpt, buffer| ffi::outlined(checkpt, buffer, lz4);
        let tiny = |checkpt, buffer| ffi::try_fast_path(FrameStyle::Lz4, checkpt, buffer, tiny, lz4_apart);
        ffi::try_fast_path(FrameStyle::Raw, $checkpt, ($buf, $sz), raw, |checkpt, buffer| match buffer {
            (_, ..=TINY_MAX) => ffi::outlined(checkpt, buffer, tiny),
            _ => ffi::outlined(checkpt, buffer, lz4),
        })
    }};
}

/// Gets a buffer, as `put` puts it.
macro_rules! get {
    ($function:expr, $restore:expr, $kind:expr, $buf:expr, $sz:expr) => {{
        let raw = |mut decoder: Decoder<'_>, &(buf, sz): &_| decoder.try_read_raw_fast(&mut ffi::region_mut_from_raw(buf, sz));
        let tiny =
            |mut decoder: Decoder<'_>, &(buf, sz): &_| decoder.try_read_small_lz4_fast(&mut ffi::region_mut_from_raw(buf, sz));
        let lz4 = |mut decoder: Decoder<'_>, &(buf, sz): &_| decoder.try_read_lz4_fast(&mut ffi::region_mut_from_raw(buf, sz));
        let any = |restore: *mut fd_restore_t, (buf, sz)| {
            ffi::with_codec($function, restore, |mut decoder| decoder.read_buffer($kind, ffi::region_mut_from_raw(buf, sz)))
        };
        let any_apart = |restore, buffer| ffi::outlined(restore, buffer, any);
        let lz4 = |restore, buffer| ffi::try_fast_path(FrameStyle::Lz4, restore, buffer, lz4, any_apart);
        let lz4_apart = |restore, buffer| ffi::outlined(restore, buffer, lz4);
        let tiny = |restore, buffer| ffi::try_fast_path(FrameStyle::Lz4, restore, buffer, tiny, lz4_apart);
        ffi::try_fast_path(FrameStyle::Raw, $restore, ($buf, $sz), raw, |restore, buffer| match buffer {
            (_, ..=TINY_MAX) => ffi::outlined(restore, buffer, tiny),
            _ => ffi::outlined(restore, buffer, lz4),
        })
    }};
}

/// fd_checkpt_init_stream initialises mem as a checkpoint that is written to the descriptor fd, from
/// its current position. mem has FD_CHECKPT_FOOTPRINT bytes aligned to FD_CHECKPT_ALIGN; wbuf is a
/// buffer of wbuf_sz bytes, at least FD_CHECKPT_WBUF_MIN, of any alignment. A non-blocking
/// descriptor is waited for.
///
/// On success returns the checkpoint, in no frame. It owns mem, wbuf and fd until fini: they must
/// not be used otherwise. (Between frames wbuf is empty, so the descriptor's position is the end of
/// the last frame.)
///
/// On failure returns NULL and owns nothing. Reasons: mem is NULL or misaligned, fd is negative,
/// wbuf is NULL or too small, allocation of the compressor failed.
///
/// # Safety
/// `mem` is NULL, misaligned, or writable for a `fd_checkpt_t`; `wbuf` is writable for `wbuf_sz` bytes. Both stay in
/// place, used by nobody else, until fini; `fd` is the caller's to use until then.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fd_checkpt_init_stream(
    mem: *mut c_void,
    fd: c_int,
    wbuf: *mut c_void,
    wbuf_sz: ulong,
) -> *mut fd_checkpt_t {
    let fill = |checkpt: NonNull<fd_checkpt_t>| {
        check_stream(fd, wbuf, wbuf_sz)?;
        let wbuf = fd_checkpt_private_wbuf_t { mem: wbuf.cast(), sz: wbuf_sz, used: 0 };
        init_checkpt(checkpt, fd, fd_checkpt_private_to { wbuf })
    };
    ffi::init(c"fd_checkpt_init_stream", mem, fill)
}

/// fd_checkpt_init_mmio initialises mem as a checkpoint that is written to the region of mmio_sz
/// bytes at mmio, from its start (mmio may be NULL if mmio_sz is 0). close returns the end of the
/// checkpoint; bytes of the region after it may have been changed too.
///
/// On success returns the checkpoint, in no frame. It owns mem and the region until fini.
///
/// On failure returns NULL and owns nothing. Reasons: mem is NULL or misaligned (see
/// fd_checkpt_init_stream), mmio is NULL and mmio_sz not 0, allocation of the compressor failed.
///
/// # Safety
/// `mem` as for [`fd_checkpt_init_stream`]; `mmio` is writable for `mmio_sz` bytes and used by nobody else until fini.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fd_checkpt_init_mmio(mem: *mut c_void, mmio: *mut c_void, mmio_sz: ulong) -> *mut fd_checkpt_t {
    let fill = |checkpt: NonNull<fd_checkpt_t>| {
        check_region(mmio, mmio_sz)?;
        let mmio = fd_checkpt_private_mmio_t { mem: mmio.cast(), sz: mmio_sz };
        init_checkpt(checkpt, NO_FD, fd_checkpt_private_to { mmio })
    };
    ffi::init(c"fd_checkpt_init_mmio", mem, fill)
}

/// fd_checkpt_fini ends the checkpoint, and frees what the library allocated for it.
///
/// On success returns the memory given to init; it and the buffer, region or descriptor belong to
/// the caller again. The descriptor is neither closed nor synced. A failed checkpoint is ended the
/// same way.
///
/// On failure returns NULL. Reasons: checkpt is NULL, or a frame is open. The frame is then
/// discarded and the checkpoint failed: a second fini succeeds.
///
/// # Safety
/// `checkpt` is NULL, misaligned, or was initialised by fd_checkpt_init_* and not ended; no other thread uses it.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fd_checkpt_fini(checkpt: *mut fd_checkpt_t) -> *mut c_void {
    // SAFETY: `checkpt` is NULL, misaligned or initialised, and used by this thread alone (caller).
    unsafe { ffi::fini(c"fd_checkpt_fini", checkpt, |mut encoder| encoder.finish()) }
}

/// fd_checkpt_open_advanced opens a frame of style frame_style (FD_CHECKPT_FRAME_STYLE_*; 0: the
/// default).
///
/// On success returns FD_CHECKPT_SUCCESS, and *_off is the offset of the frame's first byte, counted
/// from the checkpoint's first byte. On failure *_off is unchanged and the checkpoint failed.
/// Reasons: FD_CHECKPT_ERR_INVAL, checkpt is NULL, a frame is open, the checkpoint is failed, or
/// _off is NULL; FD_CHECKPT_ERR_UNSUP, the style is unknown.
///
/// # Safety
/// `checkpt` as for [`fd_checkpt_fini`]; `_off` is NULL or valid for a write.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fd_checkpt_open_advanced(checkpt: *mut fd_checkpt_t, frame_style: c_int, _off: *mut ulong) -> c_int {
    // SAFETY: `checkpt` is NULL, misaligned or initialised, and used by this thread alone; `_off` is NULL or writable
    // (caller).
    unsafe {
        ffi::with_codec(c"fd_checkpt_open_advanced", checkpt, |mut encoder| {
            let off = encoder.open(frame_style, || Ok(ffi::ensure_non_null(_off, NULL_OFF)?))?;
            _off.write_unaligned(off);
            Ok(())
        })
    }
}

/// fd_checkpt_close_advanced closes the frame, and writes what is left of it in the buffer. The
/// memory of its buffers belongs to the caller again.
///
/// On success returns FD_CHECKPT_SUCCESS, and *_off is the offset one past the frame's last byte,
/// counted from the checkpoint's first byte. On failure *_off is unchanged and the checkpoint
/// failed. Reasons: FD_CHECKPT_ERR_INVAL, checkpt is NULL, no frame is open, or _off is NULL;
/// FD_CHECKPT_ERR_IO, writing failed.
///
/// # Safety
/// As for [`fd_checkpt_open_advanced`]; the buffers given to [`fd_checkpt_data`] in this frame are still readable and
/// unmodified.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fd_checkpt_close_advanced(checkpt: *mut fd_checkpt_t, _off: *mut ulong) -> c_int {
    // SAFETY: `checkpt` is NULL, misaligned or initialised, and used by this thread alone; `_off` is NULL or writable
    // (caller).
    unsafe {
        ffi::with_codec(c"fd_checkpt_close_advanced", checkpt, |mut encoder| {
            let off = encoder.close(|| Ok(ffi::ensure_non_null(_off, NULL_OFF)?))?;
            _off.write_unaligned(off);
            Ok(())
        })
    }
}

/// fd_checkpt_meta adds the sz bytes at buf to the frame, sz in [0,FD_CHECKPT_META_MAX]. The caller
/// may change or free buf as soon as it returns. If sz is 0, nothing is added, and buf may be NULL.
///
/// Returns FD_CHECKPT_SUCCESS, or on failure, which fails the checkpoint: FD_CHECKPT_ERR_INVAL,
/// checkpt is NULL, no frame is open, buf is NULL or sz too large; FD_CHECKPT_ERR_IO, writing
/// failed, or the region of a RAW frame is full; FD_CHECKPT_ERR_COMP, the region of an LZ4 frame is
/// full.
///
/// # Safety
/// `checkpt` as for [`fd_checkpt_fini`]; `buf` is NULL, or readable for `sz` bytes and unmodified during the call.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fd_checkpt_meta(checkpt: *mut fd_checkpt_t, buf: *const c_void, sz: ulong) -> c_int {
    // SAFETY: `checkpt` is NULL, misaligned or initialised, and used by this thread alone;
    // `buf` is NULL or readable for `sz` bytes (caller).
    unsafe { put!(c"fd_checkpt_meta", checkpt, BufferKind::Meta, buf, sz) }
}

/// fd_checkpt_data adds the sz bytes at buf to the frame; sz may have any value. buf must remain
/// valid and unmodified until the frame is closed. Otherwise as fd_checkpt_meta.
///
/// # Safety
/// As for [`fd_checkpt_meta`], and `buf` stays readable and unmodified until the frame is closed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fd_checkpt_data(checkpt: *mut fd_checkpt_t, buf: *const c_void, sz: ulong) -> c_int {
    // SAFETY: `checkpt` is NULL, misaligned or initialised, and used by this thread alone;
    // `buf` is NULL or readable for `sz` bytes (caller).
    unsafe { put!(c"fd_checkpt_data", checkpt, BufferKind::Data, buf, sz) }
}

/// fd_restore_init_stream initialises mem as a restore from the descriptor fd, from its current
/// position. mem has FD_RESTORE_FOOTPRINT bytes aligned to FD_RESTORE_ALIGN; rbuf is a buffer of
/// rbuf_sz bytes, at least FD_RESTORE_RBUF_MIN, of any alignment. The descriptor need not be
/// seekable (a pipe, a socket); a non-blocking one is waited for. At most rbuf_sz bytes are read
/// ahead.
///
/// On success returns the restore, in no frame. It owns mem, rbuf and fd until fini.
///
/// On failure returns NULL and owns nothing. Reasons: mem is NULL or misaligned, fd is negative,
/// rbuf is NULL or too small, the position of fd is after the end of its file, allocation of the
/// decompressor failed.
///
/// # Safety
/// `mem` is NULL, misaligned, or writable for a `fd_restore_t`; `rbuf` is writable for `rbuf_sz` bytes. Both stay in
/// place, used by nobody else, until fini; `fd` is the caller's to use until then.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fd_restore_init_stream(
    mem: *mut c_void,
    fd: c_int,
    rbuf: *mut c_void,
    rbuf_sz: ulong,
) -> *mut fd_restore_t {
    let fill = |restore: NonNull<fd_restore_t>| {
        check_stream(fd, rbuf, rbuf_sz)?;
        // SAFETY: not negative (checked above); the descriptor is the caller's to use.
        let size_and_position = source::file_size_and_offset(unsafe { BorrowedFd::borrow_raw(fd) })?;
        let rbuf = fd_restore_private_rbuf_t { mem: rbuf.cast(), sz: rbuf_sz, lo: 0, ready: 0 };
        init_restore(restore, fd, size_and_position, fd_restore_private_from { rbuf })
    };
    ffi::init(c"fd_restore_init_stream", mem, fill)
}

/// fd_restore_init_mmio initialises mem as a restore from the region of mmio_sz bytes at mmio, from
/// its start (mmio may be NULL if mmio_sz is 0). Any number of restores may share a region.
///
/// On success returns the restore, in no frame. It owns mem until fini; the region must not change
/// until then.
///
/// On failure returns NULL and owns nothing. Reasons: mem is NULL or misaligned (see
/// fd_restore_init_stream), mmio is NULL and mmio_sz not 0, mmio_sz exceeds LONG_MAX, allocation of
/// the decompressor failed.
///
/// # Safety
/// `mem` as for [`fd_restore_init_stream`]; `mmio` is readable for `mmio_sz` bytes and unmodified until fini.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fd_restore_init_mmio(mem: *mut c_void, mmio: *const c_void, mmio_sz: ulong) -> *mut fd_restore_t {
    let fill = |restore: NonNull<fd_restore_t>| {
        check_region(mmio, mmio_sz)?;
        if mmio_sz > source::SIZE_MAX {
            return Err(Error::InvalidArgument("the memory region is larger than LONG_MAX"));
        }
        let mmio = fd_restore_private_mmio_t { mem: mmio.cast() };
        init_restore(restore, NO_FD, (mmio_sz, 0), fd_restore_private_from { mmio })
    };
    ffi::init(c"fd_restore_init_mmio", mem, fill)
}

/// fd_restore_fini ends the restore, and frees what the library allocated for it.
///
/// On success returns the memory given to init; it and the buffer, region or descriptor belong to
/// the caller again. The descriptor is not closed; its position is undefined. A failed restore is
/// ended the same way.
///
/// On failure returns NULL. Reasons: restore is NULL, or a frame is open. The restore is then
/// failed: a second fini succeeds.
///
/// # Safety
/// `restore` is NULL, misaligned, or was initialised by fd_restore_init_* and not ended; no other thread uses it.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fd_restore_fini(restore: *mut fd_restore_t) -> *mut c_void {
    // SAFETY: `restore` is NULL, misaligned or initialised, and used by this thread alone (caller).
    unsafe { ffi::fini(c"fd_restore_fini", restore, |mut decoder| decoder.finish()) }
}

/// fd_restore_open_advanced opens the frame that begins at the restore's position. frame_style is
/// the style in which it was written (0: the default).
///
/// On success returns FD_CHECKPT_SUCCESS, and *_off is the offset of the frame's first byte, counted
/// from the first byte of the file or region, or, if that is not seekable, from its position at
/// init. On failure *_off is unchanged and the restore failed. Reasons: FD_CHECKPT_ERR_INVAL,
/// restore is NULL, a frame is open, the restore is failed, or _off is NULL; FD_CHECKPT_ERR_UNSUP,
/// the style is unknown.
///
/// # Safety
/// `restore` as for [`fd_restore_fini`]; `_off` is NULL or valid for a write.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fd_restore_open_advanced(restore: *mut fd_restore_t, frame_style: c_int, _off: *mut ulong) -> c_int {
    // SAFETY: `restore` is NULL, misaligned or initialised, and used by this thread alone; `_off` is NULL or writable
    // (caller).
    unsafe {
        ffi::with_codec(c"fd_restore_open_advanced", restore, |mut decoder| {
            let off = decoder.open(frame_style, || Ok(ffi::ensure_non_null(_off, NULL_OFF)?))?;
            _off.write_unaligned(off);
            Ok(())
        })
    }
}

/// fd_restore_close_advanced closes the frame. All its buffers are complete then. A frame need not
/// be restored to its end.
///
/// On success returns FD_CHECKPT_SUCCESS, and *_off is the offset one past the last byte restored,
/// counted as by open. On failure *_off is unchanged and the restore failed. Reasons:
/// FD_CHECKPT_ERR_INVAL, restore is NULL, no frame is open, or _off is NULL.
///
/// # Safety
/// As for [`fd_restore_open_advanced`]; the buffers given to [`fd_restore_data`] in this frame are still writable and
/// unused.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fd_restore_close_advanced(restore: *mut fd_restore_t, _off: *mut ulong) -> c_int {
    // SAFETY: `restore` is NULL, misaligned or initialised, and used by this thread alone; `_off` is NULL or writable
    // (caller).
    unsafe {
        ffi::with_codec(c"fd_restore_close_advanced", restore, |mut decoder| {
            let off = decoder.close(|| Ok(ffi::ensure_non_null(_off, NULL_OFF)?))?;
            _off.write_unaligned(off);
            Ok(())
        })
    }
}

/// fd_restore_seek moves to the offset off, counted from the first byte of the file or region, in
/// [0,fd_restore_sz( restore )]. The frame to open next begins there.
///
/// Returns FD_CHECKPT_SUCCESS, or on failure, which fails the restore: FD_CHECKPT_ERR_INVAL, restore
/// is NULL, a frame is open, the restore is not seekable, or off is too large; FD_CHECKPT_ERR_IO,
/// the system call failed.
///
/// # Safety
/// `restore` as for [`fd_restore_fini`].
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fd_restore_seek(restore: *mut fd_restore_t, off: ulong) -> c_int {
    // SAFETY: `restore` is NULL, misaligned or initialised, and used by this thread alone (caller).
    unsafe { ffi::with_codec(c"fd_restore_seek", restore, |mut decoder| decoder.seek(off)) }
}

/// fd_restore_meta restores the next sz bytes of the frame to buf, sz in [0,FD_RESTORE_META_MAX].
/// They are complete when it returns. If sz is 0, nothing is restored, and buf may be NULL.
///
/// Returns FD_CHECKPT_SUCCESS, or on failure, which fails the restore and leaves the contents of buf
/// undefined: FD_CHECKPT_ERR_INVAL, restore is NULL, no frame is open, buf is NULL or sz too large;
/// FD_CHECKPT_ERR_IO, reading failed, or the checkpoint ends before sz bytes; FD_CHECKPT_ERR_COMP,
/// the compressed data is corrupt (no buffer of this size was written here), or the region ends in
/// it.
///
/// # Safety
/// `restore` as for [`fd_restore_fini`]; `buf` is NULL, or writable for `sz` bytes and used by nobody else during the
/// call.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fd_restore_meta(restore: *mut fd_restore_t, buf: *mut c_void, sz: ulong) -> c_int {
    // SAFETY: `restore` is NULL, misaligned or initialised, and used by this thread alone;
    // `buf` is NULL or writable for `sz` bytes (caller).
    unsafe { get!(c"fd_restore_meta", restore, BufferKind::Meta, buf, sz) }
}

/// fd_restore_data restores the next sz bytes of the frame to buf; sz may have any value. If sz
/// exceeds FD_RESTORE_META_MAX, buf must neither move nor be used until the frame is closed.
/// Otherwise as fd_restore_meta.
///
/// # Safety
/// As for [`fd_restore_meta`]; a `buf` of more than FD_RESTORE_META_MAX bytes stays writable and unused until the frame
/// is closed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fd_restore_data(restore: *mut fd_restore_t, buf: *mut c_void, sz: ulong) -> c_int {
    // SAFETY: `restore` is NULL, misaligned or initialised, and used by this thread alone;
    // `buf` is NULL or writable for `sz` bytes (caller).
    unsafe { get!(c"fd_restore_data", restore, BufferKind::Data, buf, sz) }
}

/// fd_checkpt_frame_style_is_supported returns 1 if frames of style frame_style
/// (FD_CHECKPT_FRAME_STYLE_*) can be written and restored, and 0 if not.
/// cbindgen:prefix=FD_FN_CONST
#[unsafe(no_mangle)]
pub extern "C" fn fd_checkpt_frame_style_is_supported(frame_style: c_int) -> c_int {
    FrameStyle::from_raw(frame_style).is_some().into()
}

/// fd_checkpt_strerror returns the meaning of the code err in words, "unknown" for other values.
/// Never NULL, static. cbindgen:prefix=FD_FN_CONST
#[unsafe(no_mangle)]
pub extern "C" fn fd_checkpt_strerror(err: c_int) -> *const c_char {
    super::error_code::text(err).as_ptr()
}

/// Maximum size in bytes of LZ4 buffers that the path for tiny ones can handle.
const TINY_MAX: ulong = DECOMPRESS_MAX as ulong;

const NULL_OFF: &str = "_off is NULL";

fn check_stream(fd: c_int, buffer: *const c_void, size: ulong) -> Result<(), Error> {
    if fd < 0 {
        return Err(Error::InvalidArgument("the descriptor is negative"));
    }
    ffi::ensure_non_null(buffer, "the I/O buffer is NULL")?;
    if size < BUFFER_MIN as ulong { Err(Error::IoBufferTooSmall { size }) } else { Ok(()) }
}

fn check_region(mmio: *const c_void, size: ulong) -> Result<(), Error> {
    if size == 0 { Ok(()) } else { Ok(ffi::ensure_non_null(mmio, "the memory region is NULL")?) }
}

fn init_checkpt(checkpt: NonNull<fd_checkpt_t>, fd: c_int, to: fd_checkpt_private_to) -> Result<(), Error> {
    let lz4 = Compressor::create_raw().ok_or(Error::OutOfMemory)?.as_ptr();
    let checkpt = checkpt.as_ptr();
    // SAFETY: `checkpt` is not NULL and aligned (checked by `ffi::init`) and memory for a handle (caller). It is
    // written, never read.
    unsafe {
        (*checkpt).fd = fd;
        (*checkpt).frame_style = FrameState::BETWEEN_FRAMES;
        (*checkpt).lz4 = lz4;
        (*checkpt).gbuf_cursor = 0;
        (*checkpt).off = 0;
        (*checkpt).to = to;
    }
    Ok(())
}

fn init_restore(
    restore: NonNull<fd_restore_t>,
    fd: c_int,
    (sz, off): (ulong, ulong),
    from: fd_restore_private_from,
) -> Result<(), Error> {
    let lz4 = Decompressor::create_raw().ok_or(Error::OutOfMemory)?.as_ptr();
    let restore = restore.as_ptr();
    // SAFETY: `restore` is not NULL and aligned (checked by `ffi::init`) and memory for a handle (caller). It is
    // written, never read.
    unsafe {
        (*restore).fd = fd;
        (*restore).frame_style = FrameState::BETWEEN_FRAMES;
        (*restore).lz4 = lz4;
        (*restore).sbuf_cursor = 0;
        (*restore).sz = sz;
        (*restore).off = off;
        (*restore).from = from;
    }
    Ok(())
}
