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
use crate::frame::{BUFFER_MIN, Error, FrameStyle, Kind, source};
use crate::sys::lz4::{Compressor, Decompressor};

/// Puts a buffer, by the shortest of four ways that does it. A macro, since closures that are used in one place alone become one
/// straight path with it.
macro_rules! put {
    ($function:expr, $checkpt:expr, $kind:expr, $buf:expr, $sz:expr) => {{
        let raw = |mut encoder: Encoder<'_>, &(buf, sz): &_| Ok(encoder.put_raw_at_hand(&ffi::region_from_raw(buf, sz)));
        let tiny = |mut encoder: Encoder<'_>, &(buf, sz): &_| {
            ffi::catch_panic(move || Ok(encoder.put_tiny_at_hand(&ffi::region_from_raw(buf, sz))))
        };
        let lz4 = |mut encoder: Encoder<'_>, &(buf, sz): &_| {
            ffi::catch_panic(move || Ok(encoder.put_lz4_at_hand(&ffi::region_from_raw(buf, sz))))
        };
        let any = |checkpt: *mut fd_checkpt_t, (buf, sz)| {
            ffi::with_engine($function, checkpt, |mut encoder| encoder.put($kind, ffi::region_from_raw(buf, sz)))
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
        let raw = |mut decoder: Decoder<'_>, &(buf, sz): &_| Ok(decoder.get_raw_at_hand(&mut ffi::region_mut_from_raw(buf, sz)));
        let tiny = |mut decoder: Decoder<'_>, &(buf, sz): &_| {
            ffi::catch_panic(move || Ok(decoder.get_tiny_at_hand(&mut ffi::region_mut_from_raw(buf, sz))))
        };
        let lz4 = |mut decoder: Decoder<'_>, &(buf, sz): &_| {
            ffi::catch_panic(move || Ok(decoder.get_lz4_at_hand(&mut ffi::region_mut_from_raw(buf, sz))))
        };
        let any = |restore: *mut fd_restore_t, (buf, sz)| {
            ffi::with_engine($function, restore, |mut decoder| decoder.get($kind, ffi::region_mut_from_raw(buf, sz)))
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

/// fd_checkpt_init_stream makes mem a checkpoint that is written to the descriptor fd, from its current position on. mem has
/// FD_CHECKPT_FOOTPRINT bytes aligned to FD_CHECKPT_ALIGN; wbuf is a buffer of wbuf_sz bytes, at least FD_CHECKPT_WBUF_MIN, of
/// any alignment. A descriptor in non-blocking mode is waited for.
///
/// On success returns the checkpoint, in no frame. It owns mem, wbuf and fd until fini: they must not be used otherwise (between
/// frames nothing waits in wbuf, so then the descriptor's position is where the last frame ended).
///
/// On failure returns NULL and owns nothing. Reasons: mem is NULL or misaligned, fd is negative, wbuf is NULL or too small, memory
/// for the compressor could not be had.
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
        start_checkpt(checkpt, fd, fd_checkpt_private_to { wbuf })
    };
    ffi::init(c"fd_checkpt_init_stream", mem, fill)
}

/// fd_checkpt_init_mmio makes mem a checkpoint that is written to the region of mmio_sz bytes at mmio, from its start on (mmio may
/// be NULL if mmio_sz is 0). How far the checkpoint goes, close tells; bytes of the region behind that may have been changed too.
///
/// On success returns the checkpoint, in no frame. It owns mem and the region until fini.
///
/// On failure returns NULL and owns nothing. Reasons: mem is NULL or misaligned (see fd_checkpt_init_stream), mmio is NULL while
/// mmio_sz is not 0, memory for the compressor could not be had.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fd_checkpt_init_mmio(mem: *mut c_void, mmio: *mut c_void, mmio_sz: ulong) -> *mut fd_checkpt_t {
    let fill = |checkpt: NonNull<fd_checkpt_t>| {
        check_region(mmio, mmio_sz)?;
        let mmio = fd_checkpt_private_mmio_t { mem: mmio.cast(), sz: mmio_sz };
        start_checkpt(checkpt, NO_FD, fd_checkpt_private_to { mmio })
    };
    ffi::init(c"fd_checkpt_init_mmio", mem, fill)
}

/// fd_checkpt_fini ends the checkpoint, and frees what the library allocated for it.
///
/// On success returns the memory given to init, which together with the buffer, region or descriptor is the caller's again. The
/// descriptor is neither closed nor synced. A failed checkpoint is ended in the same way.
///
/// On failure returns NULL. Reasons: checkpt is NULL, or a frame is open. The frame is then given up and the checkpoint failed: a
/// second fini succeeds.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fd_checkpt_fini(checkpt: *mut fd_checkpt_t) -> *mut c_void {
    // SAFETY: the caller keeps to the comment above.
    unsafe { ffi::fini(c"fd_checkpt_fini", checkpt, |mut encoder| encoder.finish()) }
}

/// fd_checkpt_open_advanced opens a frame of style frame_style (FD_CHECKPT_FRAME_STYLE_*, 0 is the default).
///
/// On success returns FD_CHECKPT_SUCCESS, and *_off is the offset of the frame's first byte, counted from the checkpoint's first
/// byte. On failure *_off is untouched and the checkpoint failed. Reasons: FD_CHECKPT_ERR_INVAL, checkpt is NULL, a frame is open,
/// the checkpoint is failed, or _off is NULL; FD_CHECKPT_ERR_UNSUP, there is no such style.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fd_checkpt_open_advanced(checkpt: *mut fd_checkpt_t, frame_style: c_int, _off: *mut ulong) -> c_int {
    // SAFETY: the caller keeps to the comment above.
    unsafe {
        ffi::with_engine(c"fd_checkpt_open_advanced", checkpt, |mut encoder| {
            let off = encoder.open(frame_style, || Ok(ffi::ensure_non_null(_off, NULL_OFF)?))?;
            _off.write_unaligned(off);
            Ok(())
        })
    }
}

/// fd_checkpt_close_advanced closes the frame, and writes out what is left of it in the buffer. The memory of its buffers is the
/// caller's again.
///
/// On success returns FD_CHECKPT_SUCCESS, and *_off is the offset one past the frame's last byte, counted from the checkpoint's
/// first byte. On failure *_off is untouched and the checkpoint failed. Reasons: FD_CHECKPT_ERR_INVAL, checkpt is NULL, no frame is
/// open, or _off is NULL; FD_CHECKPT_ERR_IO, writing failed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fd_checkpt_close_advanced(checkpt: *mut fd_checkpt_t, _off: *mut ulong) -> c_int {
    // SAFETY: the caller keeps to the comment above.
    unsafe {
        ffi::with_engine(c"fd_checkpt_close_advanced", checkpt, |mut encoder| {
            let off = encoder.close(|| Ok(ffi::ensure_non_null(_off, NULL_OFF)?))?;
            _off.write_unaligned(off);
            Ok(())
        })
    }
}

/// fd_checkpt_meta adds the sz bytes at buf to the frame, sz in [0,FD_CHECKPT_META_MAX]. The caller may change or free buf as soon
/// as it returns. If sz is 0, nothing is added, and buf may be NULL.
///
/// Returns FD_CHECKPT_SUCCESS, or on failure, after which the checkpoint is failed, FD_CHECKPT_ERR_INVAL: checkpt is NULL, no frame
/// is open, buf is NULL or sz too large; FD_CHECKPT_ERR_IO: writing failed, or the region of a RAW frame is full;
/// FD_CHECKPT_ERR_COMP: the region of an LZ4 frame is full.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fd_checkpt_meta(checkpt: *mut fd_checkpt_t, buf: *const c_void, sz: ulong) -> c_int {
    // SAFETY: the caller keeps to the comment above.
    unsafe { put!(c"fd_checkpt_meta", checkpt, Kind::Meta, buf, sz) }
}

/// fd_checkpt_data adds the sz bytes at buf to the frame; sz can be of any size. buf must stay as it is until the frame is
/// closed. Otherwise as fd_checkpt_meta.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fd_checkpt_data(checkpt: *mut fd_checkpt_t, buf: *const c_void, sz: ulong) -> c_int {
    // SAFETY: the caller keeps to the comment above.
    unsafe { put!(c"fd_checkpt_data", checkpt, Kind::Data, buf, sz) }
}

/// fd_restore_init_stream makes mem a restore from the descriptor fd, from its current position on. mem has FD_RESTORE_FOOTPRINT
/// bytes aligned to FD_RESTORE_ALIGN; rbuf is a buffer of rbuf_sz bytes, at least FD_RESTORE_RBUF_MIN, of any alignment. The
/// descriptor need not be seekable (it can be a pipe, a socket); one in non-blocking mode is waited for. It is read ahead by at most
/// rbuf_sz bytes.
///
/// On success returns the restore, in no frame. It owns mem, rbuf and fd until fini.
///
/// On failure returns NULL and owns nothing. Reasons: mem is NULL or misaligned, fd is negative, rbuf is NULL or too small, fd
/// stands behind the end of its file, memory for the decompressor could not be had.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fd_restore_init_stream(
    mem: *mut c_void,
    fd: c_int,
    rbuf: *mut c_void,
    rbuf_sz: ulong,
) -> *mut fd_restore_t {
    let fill = |restore: NonNull<fd_restore_t>| {
        check_stream(fd, rbuf, rbuf_sz)?;
        // SAFETY: not negative, by the check before; who gives another's descriptor answers for it.
        let size_and_position = source::size_and_position(unsafe { BorrowedFd::borrow_raw(fd) })?;
        let rbuf = fd_restore_private_rbuf_t { mem: rbuf.cast(), sz: rbuf_sz, lo: 0, ready: 0 };
        start_restore(restore, fd, size_and_position, fd_restore_private_from { rbuf })
    };
    ffi::init(c"fd_restore_init_stream", mem, fill)
}

/// fd_restore_init_mmio makes mem a restore from the region of mmio_sz bytes at mmio, from its start on (mmio may be NULL if mmio_sz
/// is 0). Any number of restores can share a region.
///
/// On success returns the restore, in no frame. It owns mem until fini; the region must not change until then.
///
/// On failure returns NULL and owns nothing. Reasons: mem is NULL or misaligned (see fd_restore_init_stream), mmio is NULL while
/// mmio_sz is not 0, mmio_sz is over LONG_MAX, memory for the decompressor could not be had.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fd_restore_init_mmio(mem: *mut c_void, mmio: *const c_void, mmio_sz: ulong) -> *mut fd_restore_t {
    let fill = |restore: NonNull<fd_restore_t>| {
        check_region(mmio, mmio_sz)?;
        if mmio_sz > source::SIZE_MAX {
            return Err(Error::InvalidArgument("the memory region is larger than LONG_MAX"));
        }
        let mmio = fd_restore_private_mmio_t { mem: mmio.cast() };
        start_restore(restore, NO_FD, (mmio_sz, 0), fd_restore_private_from { mmio })
    };
    ffi::init(c"fd_restore_init_mmio", mem, fill)
}

/// fd_restore_fini ends the restore, and frees what the library allocated for it.
///
/// On success returns the memory given to init, which together with the buffer, region or descriptor is the caller's again. The
/// descriptor is not closed; where it stands is undefined. A failed restore is ended in the same way.
///
/// On failure returns NULL. Reasons: restore is NULL, or a frame is open. The restore is then failed: a second fini succeeds.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fd_restore_fini(restore: *mut fd_restore_t) -> *mut c_void {
    // SAFETY: the caller keeps to the comment above.
    unsafe { ffi::fini(c"fd_restore_fini", restore, |mut decoder| decoder.finish()) }
}

/// fd_restore_open_advanced opens the frame that begins at the restore's position. frame_style is the style it was made in (0 is
/// the default).
///
/// On success returns FD_CHECKPT_SUCCESS, and *_off is the offset of the frame's first byte, counted from the first byte of the file
/// or region, for what is not seekable from where it stood at init. On failure *_off is untouched and the restore failed. Reasons:
/// FD_CHECKPT_ERR_INVAL, restore is NULL, a frame is open, the restore is failed, or _off is NULL; FD_CHECKPT_ERR_UNSUP, there is no
/// such style.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fd_restore_open_advanced(restore: *mut fd_restore_t, frame_style: c_int, _off: *mut ulong) -> c_int {
    // SAFETY: the caller keeps to the comment above.
    unsafe {
        ffi::with_engine(c"fd_restore_open_advanced", restore, |mut decoder| {
            let off = decoder.open(frame_style, || Ok(ffi::ensure_non_null(_off, NULL_OFF)?))?;
            _off.write_unaligned(off);
            Ok(())
        })
    }
}

/// fd_restore_close_advanced closes the frame. All its buffers are complete then. A frame need not be restored to its end.
///
/// On success returns FD_CHECKPT_SUCCESS, and *_off is the offset one past the last byte restored, counted as by open. On failure
/// *_off is untouched and the restore failed. Reasons: FD_CHECKPT_ERR_INVAL, restore is NULL, no frame is open, or _off is NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fd_restore_close_advanced(restore: *mut fd_restore_t, _off: *mut ulong) -> c_int {
    // SAFETY: the caller keeps to the comment above.
    unsafe {
        ffi::with_engine(c"fd_restore_close_advanced", restore, |mut decoder| {
            let off = decoder.close(|| Ok(ffi::ensure_non_null(_off, NULL_OFF)?))?;
            _off.write_unaligned(off);
            Ok(())
        })
    }
}

/// fd_restore_seek goes to the offset off, counted from the first byte of the file or region, in [0,fd_restore_sz( restore )]. There
/// begins the frame that is to be opened next.
///
/// Returns FD_CHECKPT_SUCCESS, or on failure, after which the restore is failed, FD_CHECKPT_ERR_INVAL: restore is NULL, a frame is
/// open, the restore is not seekable, off is too large; FD_CHECKPT_ERR_IO: the system could not seek.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fd_restore_seek(restore: *mut fd_restore_t, off: ulong) -> c_int {
    // SAFETY: the caller keeps to the comment above.
    unsafe { ffi::with_engine(c"fd_restore_seek", restore, |mut decoder| decoder.seek(off)) }
}

/// fd_restore_meta restores the next sz bytes of the frame to buf, sz in [0,FD_RESTORE_META_MAX]. They are complete when it returns.
/// If sz is 0, nothing is restored, and buf may be NULL.
///
/// Returns FD_CHECKPT_SUCCESS, or on failure, after which the restore is failed and what is in buf undefined, FD_CHECKPT_ERR_INVAL:
/// restore is NULL, no frame is open, buf is NULL or sz too large; FD_CHECKPT_ERR_IO: reading failed, or the checkpoint ends before
/// sz bytes; FD_CHECKPT_ERR_COMP: the compressed data is corrupt (a buffer of this size was not written here), or the region ends
/// inside it.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fd_restore_meta(restore: *mut fd_restore_t, buf: *mut c_void, sz: ulong) -> c_int {
    // SAFETY: the caller keeps to the comment above.
    unsafe { get!(c"fd_restore_meta", restore, Kind::Meta, buf, sz) }
}

/// fd_restore_data restores the next sz bytes of the frame to buf; sz can be of any size. If sz is over FD_RESTORE_META_MAX, buf must
/// neither move nor be used until the frame is closed. Otherwise as fd_restore_meta.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fd_restore_data(restore: *mut fd_restore_t, buf: *mut c_void, sz: ulong) -> c_int {
    // SAFETY: the caller keeps to the comment above.
    unsafe { get!(c"fd_restore_data", restore, Kind::Data, buf, sz) }
}

/// fd_checkpt_frame_style_is_supported returns 1 if frames of style frame_style, a FD_CHECKPT_FRAME_STYLE_*, can be made and
/// restored, and 0 if not.
/// cbindgen:prefix=FD_FN_CONST
#[unsafe(no_mangle)]
pub extern "C" fn fd_checkpt_frame_style_is_supported(frame_style: c_int) -> c_int {
    FrameStyle::from_number(frame_style).is_some().into()
}

/// fd_checkpt_strerror returns the meaning of the code err in words, also of one that there is not. Never NULL, lives for ever.
/// cbindgen:prefix=FD_FN_CONST
#[unsafe(no_mangle)]
pub extern "C" fn fd_checkpt_strerror(err: c_int) -> *const c_char {
    super::error_code::text(err).as_ptr()
}

/// LZ4 buffers of at most so many bytes may be tiny ones.
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

fn start_checkpt(checkpt: NonNull<fd_checkpt_t>, fd: c_int, to: fd_checkpt_private_to) -> Result<(), Error> {
    let lz4 = Compressor::create_raw().ok_or(Error::OutOfMemory)?.as_ptr();
    let checkpt = checkpt.as_ptr();
    // SAFETY: the caller of init gave memory for a handle. It is written, never read.
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

fn start_restore(
    restore: NonNull<fd_restore_t>,
    fd: c_int,
    (sz, off): (ulong, ulong),
    from: fd_restore_private_from,
) -> Result<(), Error> {
    let lz4 = Decompressor::create_raw().ok_or(Error::OutOfMemory)?.as_ptr();
    let restore = restore.as_ptr();
    // SAFETY: as in `start_checkpt`.
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
