//! Coding large buffers where they are, without the way through the ring.

use std::ffi::{c_char, c_int};
use std::ptr::NonNull;

use lz4_sys::{LZ4_decompress_safe_continue, LZ4_setStreamDecode, LZ4StreamEncode};

use super::compress::{ACCELERATION, Compressor, LZ4_compress_fast_continue, StreamState};
use super::decompress::{Decompressor, StreamDecodeState};
use super::snapshot::Snapshot;
use super::{RING_SIZE, WINDOW, place_in_ring};
use crate::sys::shared_bytes::copy_raw;

/// Where LZ4 starts its count of a stream's bytes anew.
const OFFSET_MAX: u32 = 1 << 31;

// As in compress.rs.
unsafe extern "C" {
    /// As LZ4_compress_fast_continue with acceleration 1 where the source does not follow the dictionary, even if it does. `dst` must
    /// have room for any block of this size.
    fn LZ4_compress_forceExtDict(stream: *mut LZ4StreamEncode, src: *const c_char, dst: *mut c_char, src_size: c_int) -> c_int;
}

/// Compresses chunks where they lie in memory of the caller, to the very blocks that they become by way of the ring.
///
/// What a block refers to is always before it in the stream, within [`WINDOW`] bytes, hence in the caller's memory too. The ring comes in
/// only by the place where it starts over: there LZ4 takes what is before for an external dictionary, which it does not connect
/// with the chunk, and forgets it after. So it is told here.
pub(crate) struct CompressInPlace<'s, 'r> {
    lz4: &'s mut Compressor<'r>,
    buffer: &'s [u8],
    done: usize,
    /// Where in the ring the next chunk would go.
    cursor: usize,
}

/// Compresses `chunk`, whose place in the ring would be at or after `cursor`, to the start of `dst`. Returns the block's size, or `None`
/// where `dst` is too small for just any block.
///
/// # Safety
/// The stream is valid, used by nobody else, and whatever it has seen of the 64 KiB before the chunk can be read.
pub(super) unsafe fn compress_chunk(
    stream: NonNull<LZ4StreamEncode>,
    chunk: &[u8],
    cursor: &mut usize,
    dst: &mut [u8],
) -> Option<usize> {
    let len = chunk.len();
    if len > RING_SIZE || dst.len() < len + len / 255 + 16 {
        return None;
    }
    let at = place_in_ring(*cursor, len);
    let starts_over = at != *cursor;
    let (stream, src, dst_size) = (stream.as_ptr(), chunk.as_ptr().cast(), dst.len().min(c_int::MAX as usize) as c_int);
    // SAFETY: LZ4 reads the chunk and up to 64 KiB before it, for which the caller answers; and writes no more than what any
    // block of so many bytes takes, for which there is room.
    let size = unsafe {
        if starts_over {
            LZ4_compress_forceExtDict(stream, src, dst.as_mut_ptr().cast(), len as c_int)
        } else {
            LZ4_compress_fast_continue(stream, src, dst.as_mut_ptr().cast(), len as c_int, dst_size, ACCELERATION)
        }
    };
    *cursor = at + len;
    usize::try_from(size).ok().filter(|&size| size > 0)
}

impl<'r> Compressor<'r> {
    /// Compresses what follows the first `done` bytes of `buffer`, which were compressed last, up to `cursor` in the ring. `None` where
    /// that is less than a window.
    pub(crate) fn in_place<'s>(&'s mut self, buffer: &'s [u8], done: usize, cursor: usize) -> Option<CompressInPlace<'s, 'r>> {
        if done < WINDOW || done == buffer.len() || cursor > RING_SIZE {
            return None;
        }
        // SAFETY: as in `follow`.
        let state = unsafe { self.stream.cast::<StreamState>().as_mut() };
        let seen = state.dictionary_size as usize;
        if seen < WINDOW || state.dictionary.wrapping_add(seen) != self.ring.as_ptr().wrapping_add(cursor) {
            return None;
        }
        state.dictionary = buffer[done - WINDOW..].as_ptr();
        state.dictionary_size = WINDOW as u32;
        Some(CompressInPlace { lz4: self, buffer, done, cursor })
    }
}

impl<'s> CompressInPlace<'s, '_> {
    /// All of the buffer, what is done of it included.
    pub(crate) fn buffer(&self) -> &'s [u8] {
        self.buffer
    }

    /// How many bytes of it are done.
    pub(crate) fn done(&self) -> usize {
        self.done
    }

    /// Where in the ring the next chunk would go.
    pub(crate) fn cursor(&self) -> usize {
        self.cursor
    }

    /// The state that decides what becomes of the next chunk.
    pub(crate) fn snapshot(&self, to: &mut Snapshot) {
        // SAFETY: as in `follow`.
        to.take(unsafe { self.lz4.stream.cast::<StreamState>().as_ref() });
    }

    /// Takes it that the next bytes of the buffer, up to `done` and in chunks of `chunk` bytes, were compressed elsewhere, and left the
    /// stream like this.
    pub(crate) fn skip_to(&mut self, done: usize, chunk: usize, snapshot: &Snapshot) {
        assert!(
            self.done <= done && done <= self.buffer.len() && (done - self.done).is_multiple_of(chunk),
            "whole chunks of the buffer"
        );
        // SAFETY: as in `follow`.
        let state = unsafe { self.lz4.stream.cast::<StreamState>().as_mut() };
        let mut offset = state.current_offset;
        while self.done < done {
            // LZ4 starts its count anew before it gets too high, and that is seen when it next starts a stream.
            if offset + chunk as u32 > OFFSET_MAX {
                offset = WINDOW as u32;
            }
            offset += chunk as u32;
            self.cursor = place_in_ring(self.cursor, chunk) + chunk;
            self.done += chunk;
        }
        snapshot.give(state, offset);
        state.dictionary = self.buffer[done - WINDOW..].as_ptr();
        state.dictionary_size = WINDOW as u32;
    }

    /// How many bytes of the buffer are still to be compressed.
    pub(crate) fn left(&self) -> usize {
        self.buffer.len() - self.done
    }

    /// Compresses the next `len` bytes of the buffer to the start of `dst`. Returns the block's size, or `None` where `dst` is too small for
    /// just any block, or the buffer ends before.
    pub(crate) fn compress(&mut self, len: usize, dst: &mut [u8]) -> Option<usize> {
        let chunk = self.buffer.get(self.done..)?.get(..len)?;
        // SAFETY: what LZ4 has seen last is the bytes before the chunk in the same buffer, which is borrowed as long as self.
        let size = unsafe { compress_chunk(self.lz4.stream, chunk, &mut self.cursor, dst) };
        self.done += len;
        size
    }

    /// Brings what chunks to come may refer to into the ring, so that the buffer is the caller's again. Returns where in the ring the
    /// next chunk goes.
    pub(crate) fn finish(self) -> usize {
        // SAFETY: as in `follow`.
        let state = unsafe { self.lz4.stream.cast::<StreamState>().as_mut() };
        let seen = (state.dictionary_size as usize).min(WINDOW);
        assert!(
            seen <= self.cursor && seen <= self.done,
            "a window is no more than what was compressed since the ring started over"
        );
        // SAFETY: inside the ring by the assertion, and since cursors are; the buffer is no part of it.
        unsafe {
            let to = self.lz4.ring.as_ptr().add(self.cursor - seen);
            copy_raw(to, &self.buffer[self.done - seen..self.done]);
            state.dictionary = to;
        }
        state.dictionary_size = seen as u32;
        let cursor = self.cursor;
        std::mem::forget(self);
        cursor
    }
}

impl Drop for CompressInPlace<'_, '_> {
    /// Without `finish`, nothing may refer to the buffer any more.
    fn drop(&mut self) {
        self.lz4.reset();
    }
}

/// Decompresses chunks one behind the other to memory of the caller instead of the ring.
pub(crate) struct DecompressInPlace<'s, 'r> {
    lz4: &'s mut Decompressor<'r>,
    buffer: &'s mut [u8],
    done: usize,
}

impl<'r> Decompressor<'r> {
    /// Decompresses the chunks to come to `buffer`. `None` where LZ4 would lose what they may refer to: it remembers two pieces of memory, and
    /// one of them would be the buffer. Once another chunk of 64 KiB has been decompressed to the ring, it is possible.
    pub(crate) fn in_place<'s>(&'s mut self, buffer: &'s mut [u8]) -> Option<DecompressInPlace<'s, 'r>> {
        // SAFETY: as in `follow`.
        let state = unsafe { self.stream.cast::<StreamDecodeState>().as_ref() };
        let is_one_piece = state.external_dictionary_size == 0 || state.prefix_size >= WINDOW;
        is_one_piece.then(|| DecompressInPlace { lz4: self, buffer, done: 0 })
    }
}

impl DecompressInPlace<'_, '_> {
    /// How many bytes of the buffer are still to be filled.
    pub(crate) fn left(&self) -> usize {
        self.buffer.len() - self.done
    }

    /// Decompresses the block `src` to the next `len` bytes of the buffer. `None` if the block is corrupt or has any other size, or
    /// the buffer ends before.
    pub(crate) fn decompress(&mut self, len: usize, src: &[u8]) -> Option<()> {
        let dst = self.buffer.get_mut(self.done..)?.get_mut(..len)?;
        let (src_size, len_int) = (c_int::try_from(src.len()).ok()?, c_int::try_from(len).ok()?);
        // SAFETY: LZ4 writes at most `len` bytes to dst, and checks all that it reads against `src` and against what was
        // decompressed since the last reset: that is in the ring and in the buffer, borrowed as long as self.
        let got = unsafe {
            let dst = dst.as_mut_ptr().cast();
            LZ4_decompress_safe_continue(self.lz4.stream.as_ptr(), src.as_ptr().cast(), dst, src_size, len_int)
        };
        self.done += len;
        (usize::try_from(got) == Ok(len)).then_some(())
    }

    /// Brings what chunks to come may refer to into the ring, so that the buffer is the caller's again: it must be full, and have
    /// at least 64 KiB. Returns where in the ring the next chunk goes.
    pub(crate) fn finish(self) -> usize {
        assert!(self.done == self.buffer.len() && self.done >= WINDOW, "the buffer is full");
        let ring = self.lz4.ring.as_ptr();
        // SAFETY: the ring is larger than the window, and no part of the buffer. LZ4 from now on refers to the ring alone.
        unsafe {
            copy_raw(ring, &self.buffer[self.done - WINDOW..]);
            LZ4_setStreamDecode(self.lz4.stream.as_ptr(), ring.cast(), WINDOW as c_int);
        }
        std::mem::forget(self);
        WINDOW
    }
}

impl Drop for DecompressInPlace<'_, '_> {
    /// Without `finish`, nothing may refer to the buffer any more.
    fn drop(&mut self) {
        self.lz4.reset();
    }
}
