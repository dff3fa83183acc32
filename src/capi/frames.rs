//! The functions fdckpt_frames_* of fdckpt.h. The comments here are those of the header.

#![allow(non_camel_case_types)]

use std::ffi::{CStr, c_int, c_void};

use super::ffi;
use super::threads::parse_thread_count;
use crate::alloc::try_with_capacity;
use crate::error_base::InvalidArgument;
use crate::frame::{Error, FrameStyle};
use crate::frames::{Frame, FrameError, FrameReadRequest, Frames};

/// Memory of the caller. Used in arrays: its layout is frozen.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct fdckpt_buffer_t {
    /// The memory: fdckpt_frames_write_* read it, fdckpt_frames_read_* write it. May be NULL if size
    /// is 0.
    pub data: *mut c_void,
    /// Number of bytes at data.
    pub size: usize,
}

/// A frame. Used in arrays: its layout is frozen.
#[repr(C)]
pub struct fdckpt_frame_t {
    /// Encoding, FDCKPT_STYLE_* or FD_CHECKPT_FRAME_STYLE_*. 0: RAW.
    pub style: c_int,
    /// Number of buffers.
    pub buffer_count: usize,
    /// Buffers of the frame. May be NULL if buffer_count is 0.
    pub buffers: *const fdckpt_buffer_t,
    /// Offset of the first byte: set by fdckpt_frames_write_*, required by fdckpt_frames_read_*.
    pub begin_offset: u64,
    /// Offset one past the last byte: set by both.
    pub end_offset: u64,
}

/// Resume position of a checkpoint that is written by several calls. Zero-initialise it to start a
/// checkpoint. Its layout is frozen.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct fdckpt_frames_cursor_t {
    /// Offset of the next frame. To start a checkpoint it may be any offset, for example behind
    /// other contents of a file.
    pub offset: u64,
    /// Opaque LZ4 stream state carried to the next call; do not interpret.
    pub lz4_state: u64,
}

/// Returns the caller's frames.
///
/// # Safety
/// `frames` is NULL or readable for `count` frames that nobody changes for `'f`.
unsafe fn frames_from_raw<'f>(frames: *const fdckpt_frame_t, count: usize) -> Result<&'f [fdckpt_frame_t], InvalidArgument> {
    match count {
        0 => return Ok(&[]),
        _ if frames.is_null() => return Err(InvalidArgument("the pointer to the frames is NULL")),
        _ if !frames.is_aligned() => return Err(InvalidArgument("the address of the frames is not a multiple of 8")),
        _ if count > isize::MAX as usize / size_of::<fdckpt_frame_t>() => {
            return Err(InvalidArgument("the number of frames is too large"));
        }
        _ => {}
    }
    // SAFETY: not NULL, aligned and no larger than an object can be (checked above); readable and unchanged (required).
    Ok(unsafe { std::slice::from_raw_parts(frames, count) })
}

impl fdckpt_frame_t {
    /// # Safety
    /// `buffers` is NULL or readable for `buffer_count` buffers that nobody changes for `'b`.
    unsafe fn buffers<'b>(&self) -> Result<&'b [fdckpt_buffer_t], InvalidArgument> {
        match self.buffer_count {
            0 => Ok(&[]),
            _ if self.buffers.is_null() => Err(InvalidArgument("the pointer to the buffers is NULL")),
            _ if !self.buffers.is_aligned() => Err(InvalidArgument("the address of the buffers is not a multiple of 8")),
            count if count > isize::MAX as usize / size_of::<fdckpt_buffer_t>() => {
                Err(InvalidArgument("the number of buffers is too large"))
            }
            // SAFETY: not NULL, aligned and no larger than an object can be (checked above); readable and unchanged
            // (required).
            count => Ok(unsafe { std::slice::from_raw_parts(self.buffers, count) }),
        }
    }
}

/// Collects the buffers of all frames, each converted by `convert`.
///
/// # Safety
/// `buffers` of each frame is NULL or readable for its `buffer_count`.
unsafe fn all_buffers<B>(
    frames: &[fdckpt_frame_t],
    convert: impl Fn(&fdckpt_buffer_t) -> Result<B, InvalidArgument>,
) -> Result<Vec<B>, FrameError> {
    let mut all = Vec::new();
    for (number, frame) in frames.iter().enumerate() {
        let failed = |error: InvalidArgument| FrameError { frame: number, error: error.into() };
        // SAFETY: as required of each frame.
        let buffers = unsafe { frame.buffers() }.map_err(failed)?;
        all.try_reserve(buffers.len())?;
        for buffer in buffers {
            all.push(convert(buffer).map_err(failed)?);
        }
    }
    Ok(all)
}

/// Writes frames by `write`, and returns the offsets of those that were written.
///
/// # Safety
/// `frames` is NULL or valid for reads and writes of `frame_count` frames, whose `buffers` are readable, and the memory
/// of each buffer too; `cursor` is NULL or valid for reads and writes. No other thread changes any of them during the
/// call.
unsafe fn write_frames(
    function: &'static CStr,
    frames: *mut fdckpt_frame_t,
    frame_count: usize,
    cursor: *mut fdckpt_frames_cursor_t,
    threads: c_int,
    write: impl FnOnce(&mut Frames, &mut [Frame<'_>]) -> Result<u64, FrameError>,
) -> c_int {
    call(function, || {
        let mut settings = settings(threads)?;
        if !cursor.is_null() {
            // SAFETY: not NULL, so readable (required of `cursor`).
            let fdckpt_frames_cursor_t { offset, lz4_state } = unsafe { cursor.read_unaligned() };
            settings = settings.at(offset).with_history(lz4_state)?;
        }
        // SAFETY: frames, `buffers` and the buffers' memory are readable (required); no reference to the frames
        // outlives this block, so that they can be written below.
        let buffers = unsafe {
            let frames = frames_from_raw(frames, frame_count)?;
            all_buffers(frames, |buffer| ffi::slice_from_raw(buffer.data, buffer.size))?
        };
        let mut made = try_with_capacity(frame_count)?;
        let mut rest = &buffers[..];
        for number in 0..frame_count {
            // SAFETY: `frames` has `frame_count` elements (checked by `frames_from_raw`).
            let (style, count) = unsafe { ((*frames.add(number)).style, (*frames.add(number)).buffer_count) };
            let style = FrameStyle::from_c_arg(style).map_err(|error| FrameError { frame: number, error })?;
            let (these, following) = rest.split_at(count);
            made.push(Frame::new(style, these));
            rest = following;
        }
        let result = write(&mut settings, &mut made);
        let count = match result {
            Ok(_) => frame_count,
            Err(FrameError { frame, error: Error::BufferFull { .. } | Error::Io(_) | Error::OutOfMemory }) => frame,
            Err(_) => 0,
        };
        for (number, frame) in made.iter().enumerate().take(count) {
            // SAFETY: `frames` has `frame_count` elements, writable (required) and not borrowed.
            unsafe {
                (*frames.add(number)).begin_offset = frame.range().start;
                (*frames.add(number)).end_offset = frame.range().end;
            }
        }
        result?;
        if !cursor.is_null() {
            let next = fdckpt_frames_cursor_t { offset: settings.offset(), lz4_state: settings.history() };
            // SAFETY: not NULL, so writable (required of `cursor`).
            unsafe { cursor.write_unaligned(next) };
        }
        Ok(())
    })
}

/// Reads frames by `read`, and returns where they end.
///
/// # Safety
/// `frames` is NULL or valid for reads and writes of `frame_count` frames, whose `buffers` are readable; the memory of
/// each buffer is writable, and no two overlap. No other thread uses any of them during the call.
unsafe fn read_frames(
    function: &'static CStr,
    frames: *mut fdckpt_frame_t,
    frame_count: usize,
    threads: c_int,
    read: impl FnOnce(&Frames, &mut [FrameReadRequest<'_, '_>]) -> Result<(), FrameError>,
) -> c_int {
    call(function, || {
        let settings = settings(threads)?;
        // SAFETY: frames and `buffers` are readable, the buffers' memory is writable by this call alone (required); no
        // reference to the frames outlives this block, so that they can be written below.
        let mut buffers = unsafe {
            let frames = frames_from_raw(frames, frame_count)?;
            all_buffers(frames, |buffer| ffi::slice_from_raw_mut(buffer.data, buffer.size))?
        };
        let mut requests = try_with_capacity(frame_count)?;
        let mut rest = &mut buffers[..];
        for number in 0..frame_count {
            // SAFETY: `frames` has `frame_count` elements (checked by `frames_from_raw`).
            let (style, count, offset) = unsafe {
                let frame = frames.add(number);
                ((*frame).style, (*frame).buffer_count, (*frame).begin_offset)
            };
            let style = FrameStyle::from_c_arg(style).map_err(|error| FrameError { frame: number, error })?;
            let (these, following) = rest.split_at_mut(count);
            requests.push(FrameReadRequest::new(style, offset, these));
            rest = following;
        }
        read(&settings, &mut requests)?;
        for (number, frame) in requests.iter().enumerate() {
            // SAFETY: `frames` has `frame_count` elements, writable (required) and not borrowed.
            unsafe { (*frames.add(number)).end_offset = frame.end() };
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

/// Returns an upper bound of the encoded size of frames: fdckpt_frames_write_memory succeeds with a
/// memory of this size.
///
/// @param frames       frames, of which style, buffer_count and the buffers' sizes are used
/// @param frame_count  number of frames
/// @param out_size     bound in bytes; written on success
/// @return FDCKPT_OK
///         FDCKPT_ERR_INVALID_ARGUMENT  a pointer is NULL or misaligned, a style is unknown, or a
///                                      frame is too large
///         FDCKPT_ERR_NO_MEMORY         allocation failed
///
/// Thread safety: any thread, at any time.
///
/// # Safety
/// `frames` is readable for `frame_count` elements, and so are the `buffers` of each; `out_size` is an out parameter
/// (see [`crate::capi`]).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fdckpt_frames_bound(frames: *const fdckpt_frame_t, frame_count: usize, out_size: *mut u64) -> c_int {
    call(c"fdckpt_frames_bound", || {
        ffi::ensure_non_null(out_size, ffi::ERR_NULL_OUT_PARAM)?;
        // SAFETY: `frames` is NULL or readable for `frame_count` elements (caller).
        let frames = unsafe { frames_from_raw(frames, frame_count) }?;
        let mut sum = 0;
        for (number, frame) in frames.iter().enumerate() {
            // SAFETY: `buffers` is NULL or readable for `buffer_count` elements (caller).
            let buffers = unsafe { frame.buffers() };
            let end = FrameStyle::from_c_arg(frame.style)
                .and_then(|style| Frames::bound_of(style, buffers?.iter().map(|buffer| buffer.size as u64), sum));
            sum = end.map_err(|error| FrameError { frame: number, error })?;
        }
        // SAFETY: not NULL (checked above), so writable (caller).
        unsafe { out_size.write_unaligned(sum) };
        Ok(())
    })
}

/// Encodes frames into memory, several at a time.
///
/// The bytes are those that one fd_checkpt_t writes for the same frames in the same order, for any
/// number of threads. Bytes after the last frame may be changed too.
///
/// Memory use: frames are encoded in buffers before they are copied to their offset. A thread uses
/// at most three times the size of the largest LZ4 frame, but at least 0.6 MiB (small frames are
/// encoded together) and at most 32 MiB: larger frames are encoded one at a time, by all threads
/// together if their buffers are large, and take what fdckpt_set_max_threads says.
///
/// @param frames       frames to write; begin_offset and end_offset are set
/// @param frame_count  number of frames
/// @param memory       destination
/// @param memory_size  number of bytes at memory
/// @param cursor       where the first frame goes, as an offset from memory; advanced on success, so
///                     that the next call continues the checkpoint as the same fd_checkpt_t would.
///                     NULL: a new checkpoint at offset 0.
/// @param threads      maximum number of threads, the caller's included; 0: the limit of
///                     fdckpt_set_max_threads
/// @return FDCKPT_OK
///         FDCKPT_ERR_BUFFER_TOO_SMALL  the memory ends before the frame in fdckpt_last_error()
///         FDCKPT_ERR_NO_MEMORY         allocation failed
///         FDCKPT_ERR_INVALID_ARGUMENT  a pointer is NULL or misaligned, or a style, a size, the
///                                      cursor or threads is invalid
///         After the first two, the frames before the one in fdckpt_last_error() are written and
///         their offsets set; after the last, possibly none.
///
/// Thread safety: any thread, at any time; the arguments must not be used by others meanwhile.
///
/// # Safety
/// `frames` is valid for reads and writes of `frame_count` elements; the `buffers` of each are readable, and the `data`
/// of each of these for its `size`; `memory` is writable for `memory_size` bytes; `cursor` is NULL or valid for reads
/// and writes (see [`crate::capi`]).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fdckpt_frames_write_memory(
    frames: *mut fdckpt_frame_t,
    frame_count: usize,
    memory: *mut c_void,
    memory_size: usize,
    cursor: *mut fdckpt_frames_cursor_t,
    threads: c_int,
) -> c_int {
    // SAFETY: frames, buffers, cursor and memory are as the functions called require them (caller).
    unsafe {
        write_frames(c"fdckpt_frames_write_memory", frames, frame_count, cursor, threads, |settings, frames| {
            let region = ffi::slice_from_raw_mut(memory, memory_size)?;
            settings.write_to_slice(frames, region)
        })
    }
}

/// Encodes frames, several at a time, and writes them in order to a descriptor: a file from its
/// current position, a pipe or a socket. Otherwise as fdckpt_frames_write_memory.
///
/// @param frames       frames to write; begin_offset and end_offset are set
/// @param frame_count  number of frames
/// @param fd           descriptor open for writing; not closed
/// @param cursor       offset of the first frame; advanced on success. NULL: a new checkpoint at
///                     offset 0. The descriptor's position is not changed by it.
/// @param threads      as for fdckpt_frames_write_memory
/// @return FDCKPT_OK
///         FDCKPT_ERR_IO                writing failed
///         FDCKPT_ERR_NO_MEMORY         allocation failed
///         FDCKPT_ERR_INVALID_ARGUMENT  as for fdckpt_frames_write_memory, or fd is negative
///         After the first two, the frames before the one in fdckpt_last_error() are written, and
///         possibly a part of what follows.
///
/// Thread safety: any thread, at any time; the arguments must not be used by others meanwhile.
///
/// # Safety
/// `frames` and `cursor` as for [`fdckpt_frames_write_memory`]; `fd` is the caller's to use.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fdckpt_frames_write_stream(
    frames: *mut fdckpt_frame_t,
    frame_count: usize,
    fd: c_int,
    cursor: *mut fdckpt_frames_cursor_t,
    threads: c_int,
) -> c_int {
    // SAFETY: frames, buffers and cursor are as `write_frames` requires them (caller).
    unsafe {
        write_frames(c"fdckpt_frames_write_stream", frames, frame_count, cursor, threads, |settings, frames| {
            let fd = ffi::borrow_fd(fd)?;
            settings.write_to_stream(frames, fd)
        })
    }
}

/// Encodes frames and writes them to a file, several at a time and each at its offset (pwrite). The
/// position of the file is neither used nor changed. Otherwise as fdckpt_frames_write_memory.
///
/// @param frames       frames to write; begin_offset and end_offset are set
/// @param frame_count  number of frames
/// @param fd           descriptor of a file open for writing, not with O_APPEND; not closed
/// @param cursor       file offset of the first frame; advanced on success. NULL: a new checkpoint
///                     at offset 0.
/// @param threads      as for fdckpt_frames_write_memory
/// @return FDCKPT_OK
///         FDCKPT_ERR_IO                writing failed
///         FDCKPT_ERR_NO_MEMORY         allocation failed
///         FDCKPT_ERR_INVALID_ARGUMENT  as for fdckpt_frames_write_memory, or fd is negative or open
///                                      with O_APPEND
///         After the first two, the frames before the one in fdckpt_last_error() are written, and
///         possibly parts of others.
///
/// Thread safety: any thread, at any time; the arguments must not be used by others meanwhile.
///
/// # Safety
/// `frames` and `cursor` as for [`fdckpt_frames_write_memory`]; `fd` is the caller's to use.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fdckpt_frames_write_file(
    frames: *mut fdckpt_frame_t,
    frame_count: usize,
    fd: c_int,
    cursor: *mut fdckpt_frames_cursor_t,
    threads: c_int,
) -> c_int {
    // SAFETY: frames, buffers and cursor are as `write_frames` requires them (caller).
    unsafe {
        write_frames(c"fdckpt_frames_write_file", frames, frame_count, cursor, threads, |settings, frames| {
            let fd = ffi::borrow_fd(fd)?;
            settings.write_to_file(frames, fd)
        })
    }
}

/// Decodes frames from memory (a mapped file, for example), several at a time.
///
/// The format has no checksums: corruption of LZ4 frames is detected sometimes, of RAW frames never.
///
/// @param frames       frames to read, in any order, not necessarily all of a checkpoint. Each has
///                     the begin_offset, style and sizes of buffers with which it was written; no
///                     two buffers overlap. end_offset is set on success.
/// @param frame_count  number of frames
/// @param memory       checkpoint
/// @param memory_size  number of bytes at memory
/// @param threads      maximum number of threads, the caller's included; 0: the limit of
///                     fdckpt_set_max_threads
/// @return FDCKPT_OK
///         FDCKPT_ERR_CORRUPT           a frame is corrupt, or continues after the end of the memory
///         FDCKPT_ERR_NO_MEMORY         allocation failed
///         FDCKPT_ERR_INVALID_ARGUMENT  a pointer is NULL or misaligned, or a style, a size or
///                                      threads is invalid
///         If the call fails, the contents of all buffers are unspecified, and fdckpt_last_error()
///         has the first frame that failed and the offset.
///
/// Thread safety: any thread, at any time; the arguments must not be used by others meanwhile.
///
/// # Safety
/// `frames` is valid for reads and writes of `frame_count` elements; the `buffers` of each are readable, and the `data`
/// of each of these is writable for its `size`, none overlapping; `memory` is readable for `memory_size` bytes (see
/// [`crate::capi`]).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fdckpt_frames_read_memory(
    frames: *mut fdckpt_frame_t,
    frame_count: usize,
    memory: *const c_void,
    memory_size: usize,
    threads: c_int,
) -> c_int {
    // SAFETY: frames, buffers and memory are as the functions called require them (caller).
    unsafe {
        read_frames(c"fdckpt_frames_read_memory", frames, frame_count, threads, |settings, frames| {
            let region = ffi::slice_from_raw(memory, memory_size)?;
            settings.read_from_slice(frames, region)
        })
    }
}

/// Decodes frames from a file, reading at their offsets (pread). The position of the file is neither
/// used nor changed. Takes 0.5 MiB of memory per thread. Otherwise as fdckpt_frames_read_memory.
///
/// @param frames       frames to read, as for fdckpt_frames_read_memory
/// @param frame_count  number of frames
/// @param fd           descriptor of a file open for reading; not closed
/// @param threads      as for fdckpt_frames_read_memory
/// @return as for fdckpt_frames_read_memory, or
///         FDCKPT_ERR_IO                reading failed
///         FDCKPT_ERR_INVALID_ARGUMENT  fd is negative
///
/// Thread safety: any thread, at any time; the arguments must not be used by others meanwhile.
///
/// # Safety
/// `frames` as for [`fdckpt_frames_read_memory`]; `fd` is the caller's to use.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fdckpt_frames_read_file(
    frames: *mut fdckpt_frame_t,
    frame_count: usize,
    fd: c_int,
    threads: c_int,
) -> c_int {
    // SAFETY: frames and buffers are as `read_frames` requires them (caller).
    unsafe {
        read_frames(c"fdckpt_frames_read_file", frames, frame_count, threads, |settings, frames| {
            let fd = ffi::borrow_fd(fd)?;
            settings.read_from_file(frames, fd)
        })
    }
}
