//! The functions fdckpt_frames_* and fdckpt_pool_* of fdckpt.h. The comments here are those of the header.

#![allow(non_camel_case_types)]

use std::ffi::{CStr, c_int, c_void};
use std::mem::offset_of;
use std::ptr;

use super::call_error::CallError;
use super::ffi;
use crate::alloc::try_with_capacity;
use crate::error_base::InvalidArgument;
use crate::frame::{Error, FrameStyle};
use crate::frames::{Frame, FrameError, FrameReadRequest, Frames};
use crate::sys::pool::Pool;
use crate::sys::threads;

/// Threads that stay, for a program that makes many calls which use some: starting them for each takes some 0.1 ms. What the calls do is
/// the same. It is made by fdckpt_thread_pool_new and freed by fdckpt_thread_pool_free.
pub struct fdckpt_thread_pool_t {
    pool: Pool,
}

/// A buffer: memory of sz bytes. mem may be NULL if sz is 0. Making a checkpoint reads it, restoring writes it.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct fdckpt_buffer_t {
    pub mem: *mut c_void,
    pub sz: usize,
}

/// A frame of many.
#[repr(C)]
pub struct fdckpt_frame_t {
    /// One of FD_CHECKPT_FRAME_STYLE_*, 0 stands for the default.
    pub style: c_int,
    /// How many buffers it has, at bufs (which may be NULL if there are none).
    pub buf_cnt: usize,
    pub bufs: *const fdckpt_buffer_t,
    /// Offset of its first byte: told by fdckpt_frames_checkpt_*, asked for by fdckpt_frames_restore_*.
    pub off: u64,
    /// Offset one past its last byte: told by both.
    pub end: u64,
}

/// How far a checkpoint is that is made by several calls. Zeros, at its begin.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct fdckpt_frames_cursor_t {
    /// Offset of the next frame. At the begin of a checkpoint it may be any, say, of a file that has something else before.
    pub off: u64,
    /// What of the frames so far shows in the bytes of LZ4 frames to come. Of use to the next call alone.
    pub history: u64,
}

/// # Safety
/// `frames` is NULL or good for reads of `count` frames, and so are the buffers of each, as long as nobody changes them (`'f`).
unsafe fn given<'f>(frames: *const fdckpt_frame_t, count: usize) -> Result<&'f [fdckpt_frame_t], InvalidArgument> {
    match count {
        0 => return Ok(&[]),
        _ if frames.is_null() => return Err(InvalidArgument("the pointer to the frames is NULL")),
        _ if !frames.is_aligned() => return Err(InvalidArgument("the address of the frames is not a multiple of 8")),
        _ if count > isize::MAX as usize / size_of::<fdckpt_frame_t>() => {
            return Err(InvalidArgument("the number of frames is too large"));
        }
        _ => {}
    }
    // SAFETY: not NULL, aligned, and no larger than an object can be; the rest is the caller's promise.
    Ok(unsafe { std::slice::from_raw_parts(frames, count) })
}

impl fdckpt_frame_t {
    /// # Safety
    /// `bufs` is NULL or good for reads of `buf_cnt` buffers for `'b`.
    unsafe fn buffers<'b>(&self) -> Result<&'b [fdckpt_buffer_t], InvalidArgument> {
        match self.buf_cnt {
            0 => Ok(&[]),
            _ if self.bufs.is_null() => Err(InvalidArgument("the pointer to the buffers is NULL")),
            _ if !self.bufs.is_aligned() => Err(InvalidArgument("the address of the buffers is not a multiple of 8")),
            count if count > isize::MAX as usize / size_of::<fdckpt_buffer_t>() => {
                Err(InvalidArgument("the number of buffers is too large"))
            }
            // SAFETY: not NULL, aligned, and no larger than an object can be; the rest is the caller's promise.
            count => Ok(unsafe { std::slice::from_raw_parts(self.bufs, count) }),
        }
    }
}

/// All buffers of these frames, each as `to` makes it.
///
/// # Safety
/// As for [`given`], and for `to`.
unsafe fn all_buffers<B>(
    frames: &[fdckpt_frame_t],
    to: impl Fn(&fdckpt_buffer_t) -> Result<B, InvalidArgument>,
) -> Result<Vec<B>, FrameError> {
    let mut all = Vec::new();
    for (number, frame) in frames.iter().enumerate() {
        let failed = |error: InvalidArgument| FrameError { frame: number, error: error.into() };
        // SAFETY: the caller's promise.
        let buffers = unsafe { frame.buffers() }.map_err(failed)?;
        all.try_reserve(buffers.len())?;
        for buffer in buffers {
            all.push(to(buffer).map_err(failed)?);
        }
    }
    Ok(all)
}

/// Makes the frames by `make`, and tells where they are, of those that were made.
///
/// # Safety
/// The caller keeps to the comments below.
unsafe fn checkpt(
    function: &'static CStr,
    frames: *mut fdckpt_frame_t,
    frame_cnt: usize,
    place: *mut fdckpt_frames_cursor_t,
    threads: c_int,
    make: impl FnOnce(&mut Frames, &mut [Frame<'_>]) -> Result<u64, FrameError>,
) -> c_int {
    call(function, || {
        let mut settings = settings(threads)?;
        if !place.is_null() {
            // SAFETY: not NULL, so good for a read.
            let fdckpt_frames_cursor_t { off, history } = unsafe { place.read_unaligned() };
            settings = settings.at(off).with_history(history)?;
        }
        // SAFETY: the caller's promise; nothing refers to the frames when they are written to.
        let buffers = unsafe {
            let given = given(frames, frame_cnt)?;
            all_buffers(given, |buffer| ffi::slice_from_raw(buffer.mem, buffer.sz))?
        };
        let mut made = try_with_capacity(frame_cnt)?;
        let mut rest = &buffers[..];
        for number in 0..frame_cnt {
            // SAFETY: as before.
            let (style, count) = unsafe { ((*frames.add(number)).style, (*frames.add(number)).buf_cnt) };
            let style = FrameStyle::asked_for(style).map_err(|error| FrameError { frame: number, error })?;
            let (these, behind) = rest.split_at(count);
            made.push(Frame::new(style, these));
            rest = behind;
        }
        let result = make(&mut settings, &mut made);
        let count = match result {
            Ok(_) => frame_cnt,
            Err(FrameError { frame, error: Error::BufferFull { .. } | Error::Io(_) | Error::OutOfMemory }) => frame,
            Err(_) => 0,
        };
        for (number, frame) in made.iter().enumerate().take(count) {
            // SAFETY: as before, and the frames are the caller's for writing too.
            unsafe { ((*frames.add(number)).off, (*frames.add(number)).end) = (frame.range().start, frame.range().end) };
        }
        result?;
        if !place.is_null() {
            // SAFETY: not NULL, so good for a write.
            unsafe { place.write_unaligned(fdckpt_frames_cursor_t { off: settings.offset(), history: settings.history() }) };
        }
        Ok(())
    })
}

/// Restores the frames by `restore`, and tells where they end.
///
/// # Safety
/// The caller keeps to the comments below.
unsafe fn restore(
    function: &'static CStr,
    frames: *mut fdckpt_frame_t,
    frame_cnt: usize,
    threads: c_int,
    restore: impl FnOnce(&Frames, &mut [FrameReadRequest<'_, '_>]) -> Result<(), FrameError>,
) -> c_int {
    call(function, || {
        let settings = settings(threads)?;
        // SAFETY: the caller's promise; nothing refers to the frames when they are written to.
        let mut buffers = unsafe {
            let given = given(frames, frame_cnt)?;
            all_buffers(given, |buffer| ffi::slice_from_raw_mut(buffer.mem, buffer.sz))?
        };
        let mut wanted = try_with_capacity(frame_cnt)?;
        let mut rest = &mut buffers[..];
        for number in 0..frame_cnt {
            // SAFETY: as before.
            let (style, count, off) =
                unsafe { ((*frames.add(number)).style, (*frames.add(number)).buf_cnt, (*frames.add(number)).off) };
            let style = FrameStyle::asked_for(style).map_err(|error| FrameError { frame: number, error })?;
            let (these, behind) = rest.split_at_mut(count);
            wanted.push(FrameReadRequest::new(style, off, these));
            rest = behind;
        }
        restore(&settings, &mut wanted)?;
        for (number, frame) in wanted.iter().enumerate() {
            // SAFETY: as before, and the frames are the caller's for writing too.
            unsafe { (*frames.add(number)).end = frame.end() };
        }
        Ok(())
    })
}

/// Runs the body of a function whose errors are about one of the frames.
fn call(function: &'static CStr, body: impl FnOnce() -> Result<(), FrameError>) -> c_int {
    ffi::ffi_call(function, || Ok(body()?))
}

fn settings(threads: c_int) -> Result<Frames, InvalidArgument> {
    parse_thread_count(threads).map(|threads| Frames::new().threads(threads))
}

fn parse_thread_count(threads: c_int) -> Result<usize, InvalidArgument> {
    usize::try_from(threads).map_err(|_| InvalidArgument("the number of threads is negative"))
}

/// fdckpt_frames_bound tells how many bytes the frame_cnt frames at frames take at most: so much memory is enough for
/// fdckpt_frames_write_memory. Of the frames it looks at style, buf_cnt, and the sizes of the buffers.
///
/// Returns FDCKPT_OK and fills *_bound. On failure it is untouched: FDCKPT_ERR_INVALID_ARGUMENT, which includes frames larger than any can be;
/// FDCKPT_ERR_NO_MEMORY.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fdckpt_frames_bound(frames: *const fdckpt_frame_t, frame_cnt: usize, _bound: *mut u64) -> c_int {
    call(c"fdckpt_frames_bound", || {
        ffi::ensure_non_null(_bound, ffi::ERR_NULL_OUT_PARAM)?;
        // SAFETY: the caller keeps to the comment above.
        let frames = unsafe { given(frames, frame_cnt) }?;
        let mut sum = 0;
        for (number, frame) in frames.iter().enumerate() {
            // SAFETY: the caller keeps to the comment above.
            let buffers = unsafe { frame.buffers() };
            let end = FrameStyle::asked_for(frame.style)
                .and_then(|style| Frames::bound_of(style, buffers?.iter().map(|buffer| buffer.sz as u64), sum));
            sum = end.map_err(|error| FrameError { frame: number, error })?;
        }
        // SAFETY: not NULL, so good for a write.
        unsafe { _bound.write_unaligned(sum) };
        Ok(())
    })
}

/// fdckpt_frames_write_memory makes the frame_cnt frames at frames in memory of mmio_sz bytes at mmio, on up to threads threads,
/// the caller's included; 0 stands for as many as fdckpt_set_max_threads allows. The bytes are those that one fd_checkpt_t makes of
/// the same frames in the same order, whatever the number of threads. Bytes behind the last frame may be changed too.
///
/// place says where the first frame goes, from mmio on, and goes on with a checkpoint: the next call with it makes what the same
/// handle would have made next. NULL stands for the begin of a checkpoint, at mmio.
///
/// Returns FDCKPT_OK, fills off and end of each frame, and moves *place to behind the last. On failure *place is untouched:
/// FDCKPT_ERR_BUFFER_TOO_SMALL, the memory is too small for the frame that fdckpt_last_error names (fdckpt_frames_bound tells what is enough;
/// with less, the same frame fails as if they were made one after the other); FDCKPT_ERR_NO_MEMORY: the frames before the one
/// named are made, and their off and end told; FDCKPT_ERR_INVALID_ARGUMENT: none need be.
///
/// Frames take memory until they are at their place: for each thread at most three times as much as the largest LZ4 frame, but that
/// is taken for 0.6 MiB where it is less, as small frames are made together, and for 32 MiB where it is more: larger ones are made
/// one at a time, by all threads together where their buffers are large, and take what fdckpt_set_max_threads says.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fdckpt_frames_write_memory(
    frames: *mut fdckpt_frame_t,
    frame_cnt: usize,
    mmio: *mut c_void,
    mmio_sz: usize,
    place: *mut fdckpt_frames_cursor_t,
    threads: c_int,
) -> c_int {
    // SAFETY: the caller keeps to the comment above.
    unsafe {
        checkpt(c"fdckpt_frames_write_memory", frames, frame_cnt, place, threads, |settings, frames| {
            let region = ffi::slice_from_raw_mut(mmio, mmio_sz)?;
            settings.write_to_slice(frames, region)
        })
    }
}

/// fdckpt_frames_write_stream makes frames and writes them to fd in order: a file, from its position on, a pipe, a socket. Offsets
/// begin with place->off, 0 without. Otherwise as fdckpt_frames_write_memory.
///
/// Returns FDCKPT_OK, or on failure FDCKPT_ERR_IO; FDCKPT_ERR_NO_MEMORY: the frames before the one that fdckpt_last_error names are
/// written, perhaps also a part of what follows; FDCKPT_ERR_INVALID_ARGUMENT.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fdckpt_frames_write_stream(
    frames: *mut fdckpt_frame_t,
    frame_cnt: usize,
    fd: c_int,
    place: *mut fdckpt_frames_cursor_t,
    threads: c_int,
) -> c_int {
    // SAFETY: the caller keeps to the comment above.
    unsafe {
        checkpt(c"fdckpt_frames_write_stream", frames, frame_cnt, place, threads, |settings, frames| {
            let fd = ffi::borrow_fd(fd)?;
            settings.write_to_stream(frames, fd)
        })
    }
}

/// fdckpt_frames_write_file makes frames and writes them to the file fd, several at a time and each at its offset (pwrite): where the
/// file stands does not matter, and does not change. The first goes to place->off, 0 without. Otherwise as
/// fdckpt_frames_write_memory.
///
/// Returns FDCKPT_OK, or on failure FDCKPT_ERR_IO; FDCKPT_ERR_NO_MEMORY: the frames before the one that fdckpt_last_error names are
/// written, perhaps also parts of others; FDCKPT_ERR_INVALID_ARGUMENT, which includes a file that is open for appending (O_APPEND).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fdckpt_frames_write_file(
    frames: *mut fdckpt_frame_t,
    frame_cnt: usize,
    fd: c_int,
    place: *mut fdckpt_frames_cursor_t,
    threads: c_int,
) -> c_int {
    // SAFETY: the caller keeps to the comment above.
    unsafe {
        checkpt(c"fdckpt_frames_write_file", frames, frame_cnt, place, threads, |settings, frames| {
            let fd = ffi::borrow_fd(fd)?;
            settings.write_to_file(frames, fd)
        })
    }
}

/// fdckpt_frames_read_memory restores the frame_cnt frames at frames from memory of mmio_sz bytes at mmio (a file mapped into
/// memory, say), on up to threads threads, the caller's included; 0 stands for as many as fdckpt_set_max_threads allows. Each frame is
/// told by its off and has the style and the sizes of buffers with which it was made; they can come in any order, and need not be
/// all of the checkpoint's. No two buffers have a byte in common.
///
/// Returns FDCKPT_OK and fills end of each frame. On failure they are untouched, what is in the buffers of any frame is undefined, and
/// fdckpt_last_error tells the first frame for which it failed, and where: FDCKPT_ERR_CORRUPT, which includes frames that go beyond the
/// end; FDCKPT_ERR_INVALID_ARGUMENT; FDCKPT_ERR_NO_MEMORY. The format has no checksums: damage to LZ4 frames is found sometimes, to RAW
/// frames never.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fdckpt_frames_read_memory(
    frames: *mut fdckpt_frame_t,
    frame_cnt: usize,
    mmio: *const c_void,
    mmio_sz: usize,
    threads: c_int,
) -> c_int {
    // SAFETY: the caller keeps to the comment above.
    unsafe {
        restore(c"fdckpt_frames_read_memory", frames, frame_cnt, threads, |settings, frames| {
            let region = ffi::slice_from_raw(mmio, mmio_sz)?;
            settings.read_from_slice(frames, region)
        })
    }
}

/// fdckpt_frames_read_file restores frames from the file fd, by reading at their offsets (pread): where the file stands does not
/// matter, and does not change. Takes half a MiB of memory for each thread. Otherwise as fdckpt_frames_read_memory.
///
/// Returns FDCKPT_OK, or on failure as fdckpt_frames_read_memory, or FDCKPT_ERR_IO.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fdckpt_frames_read_file(
    frames: *mut fdckpt_frame_t,
    frame_cnt: usize,
    fd: c_int,
    threads: c_int,
) -> c_int {
    // SAFETY: the caller keeps to the comment above.
    unsafe {
        restore(c"fdckpt_frames_read_file", frames, frame_cnt, threads, |settings, frames| {
            let fd = ffi::borrow_fd(fd)?;
            settings.read_from_file(frames, fd)
        })
    }
}

/// fdckpt_thread_pool_new starts the threads that calls with the pool have besides their own: so that there are threads, or as many as can be;
/// 0 stands for as many as fdckpt_set_max_threads allows. Signals are not delivered to them but for what they cause themselves, as SIGSEGV.
///
/// Returns the pool, or NULL if threads is negative or memory could not be had.
#[unsafe(no_mangle)]
pub extern "C" fn fdckpt_thread_pool_new(threads: c_int) -> *mut fdckpt_thread_pool_t {
    ffi::ffi_new(c"fdckpt_thread_pool_new", || {
        let threads = threads::resolve_thread_count(parse_thread_count(threads)?);
        Pool::new(threads).map(|pool| fdckpt_thread_pool_t { pool }).ok_or(CallError::OutOfMemory)
    })
}

/// fdckpt_thread_pool_set_current has all calls of this thread to the library that use threads, from now on, use those of the pool: as many as they
/// are told to, all of them where that is left to fdckpt_set_max_threads. That holds for fd_checkpt_data too. NULL ends it: threads are
/// started for each call again.
///
/// Several threads can use one pool, which helps in one call at a time: other calls meanwhile are done by their own thread alone.
/// So it is in a process that was forked, where the pool has no threads.
///
/// Returns the pool that this thread used before, or NULL. Cannot fail.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fdckpt_thread_pool_set_current(pool: *mut fdckpt_thread_pool_t) -> *mut fdckpt_thread_pool_t {
    // SAFETY: the caller has it from fdckpt_thread_pool_new, and keeps it until it is used no more, as the comment on freeing it says.
    unsafe {
        let at = if pool.is_null() { ptr::null() } else { &raw const (*pool).pool };
        let before = Pool::set_current(at);
        if before.is_null() {
            return ptr::null_mut();
        }
        // All that are used from C are part of one of these.
        before.byte_sub(offset_of!(fdckpt_thread_pool_t, pool)).cast_mut().cast()
    }
}

/// fdckpt_thread_pool_free ends the threads of the pool, and frees it. It may be NULL. No other thread uses it any more; if this one does, that
/// ends here.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fdckpt_thread_pool_free(pool: *mut fdckpt_thread_pool_t) {
    // SAFETY: the caller has it from fdckpt_thread_pool_new, and uses it no more.
    unsafe { ffi::free(c"fdckpt_thread_pool_free", pool) }
}
