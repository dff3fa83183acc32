//! Compression and decompression of large buffers where they lie, without the ring.

use std::ffi::c_int;

use lz4_sys::{LZ4_decompress_safe_continue, LZ4_setStreamDecode};

use super::compress::{Compressor, compress_chunk, stream_state};
use super::decompress::Decompressor;
use super::ring::{RING_SIZE, WINDOW, ring_position};
use super::snapshot::Snapshot;
use super::stream_offset::OFFSET_MAX;
use crate::sys::copy::copy_raw;

/// Compresses chunks where they lie in the caller's buffer, to the same blocks as in the ring.
///
/// A block refers to at most [`WINDOW`] bytes before it in the stream, which the buffer holds too. Only the wrap-around
/// of the ring shows in the blocks: there LZ4 treats the preceding data as an external dictionary, not contiguous with
/// the chunk, and drops it after the chunk. [`compress_chunk`] makes it do the same here.
pub(crate) struct CompressInPlace<'s, 'r> {
    lz4: &'s mut Compressor<'r>,
    buffer: &'s [u8],
    done: usize,
    /// Position in the ring that the next chunk would have.
    cursor: usize,
}

impl<'r> Compressor<'r> {
    /// Continues in place after the first `done` bytes of `buffer`, which were compressed last, up to `cursor` in the
    /// ring. `None` if less than a window precedes, or nothing is left.
    pub(crate) fn in_place<'s>(&'s mut self, buffer: &'s [u8], done: usize, cursor: usize) -> Option<CompressInPlace<'s, 'r>> {
        if done < WINDOW || done == buffer.len() || cursor > RING_SIZE {
            return None;
        }
        let end = self.ring.as_ptr().wrapping_add(cursor).cast_const();
        let state = self.state();
        let seen = state.dictionary_size as usize;
        if seen < WINDOW || state.dictionary.wrapping_add(seen) != end {
            return None;
        }
        state.dictionary = buffer[done - WINDOW..].as_ptr();
        state.dictionary_size = WINDOW as u32;
        Some(CompressInPlace { lz4: self, buffer, done, cursor })
    }
}

impl<'s> CompressInPlace<'s, '_> {
    /// Returns the whole buffer.
    pub(crate) fn buffer(&self) -> &'s [u8] {
        self.buffer
    }

    /// Returns the number of bytes of the buffer that are compressed.
    pub(crate) fn done(&self) -> usize {
        self.done
    }

    /// Returns the position in the ring that the next chunk would have.
    pub(crate) fn cursor(&self) -> usize {
        self.cursor
    }

    /// Captures the state that decides how the next chunk is encoded.
    pub(crate) fn snapshot(&self, to: &mut Snapshot) {
        // SAFETY: the stream is valid and exclusive by the invariant of `Compressor`, and only read during this call.
        to.capture(unsafe { stream_state(self.lz4.stream) });
    }

    /// Skips to offset `done` of the buffer: the chunks of `chunk` bytes before it were compressed elsewhere, which
    /// left this state.
    pub(crate) fn skip_to(&mut self, done: usize, chunk: usize, snapshot: &Snapshot) {
        assert!(
            self.done <= done && done <= self.buffer.len() && (done - self.done).is_multiple_of(chunk),
            "whole chunks of the buffer"
        );
        let state = self.lz4.state();
        let mut offset = state.current_offset;
        while self.done < done {
            // As LZ4 restarts its counter; it shows when LZ4 next starts a stream.
            if offset + chunk as u32 > OFFSET_MAX as u32 {
                offset = WINDOW as u32;
            }
            offset += chunk as u32;
            self.cursor = ring_position(self.cursor, chunk) + chunk;
            self.done += chunk;
        }
        snapshot.restore_into(state, offset);
        state.dictionary = self.buffer[done - WINDOW..].as_ptr();
        state.dictionary_size = WINDOW as u32;
    }

    /// Returns the number of bytes of the buffer that are still to be compressed.
    pub(crate) fn remaining(&self) -> usize {
        self.buffer.len() - self.done
    }

    /// Compresses the next `len` bytes of the buffer to the start of `dst`. Returns the size of the block; `None` if
    /// `dst` is too small for the largest possible block, or the buffer has fewer bytes.
    pub(crate) fn compress(&mut self, len: usize, dst: &mut [u8]) -> Option<usize> {
        let chunk = self.buffer.get(self.done..)?.get(..len)?;
        // SAFETY: the stream is valid and exclusive by the invariant of `Compressor`. The data that it has seen last
        // precedes the chunk in `buffer`, which is borrowed for longer than `self`.
        let size = unsafe { compress_chunk(self.lz4.stream, chunk, &mut self.cursor, dst) };
        self.done += len;
        size
    }

    /// Copies the data that later chunks may refer to into the ring, so that the stream no longer refers to the buffer.
    /// Returns the cursor in the ring.
    pub(crate) fn finish(self) -> usize {
        let ring = self.lz4.ring.as_ptr();
        let state = self.lz4.state();
        let seen = (state.dictionary_size as usize).min(WINDOW);
        assert!(seen <= self.cursor && seen <= self.done, "the stream refers to data since the ring wrapped around");
        // SAFETY: the `seen` bytes before `cursor` lie in the ring: `seen` is at most `cursor` by the assertion, and
        // cursors are at most RING_SIZE. The buffer is not part of the ring, which is exclusive by the invariant of
        // `Compressor`.
        unsafe {
            let to = ring.add(self.cursor - seen);
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
    /// Without [`finish`](Self::finish), resets the stream, so that it does not refer to the buffer.
    fn drop(&mut self) {
        self.lz4.reset();
    }
}

/// Decompresses consecutive chunks to the caller's buffer instead of the ring.
pub(crate) struct DecompressInPlace<'s, 'r> {
    lz4: &'s mut Decompressor<'r>,
    buffer: &'s mut [u8],
    done: usize,
}

impl<'r> Decompressor<'r> {
    /// Decompresses the next chunks to `buffer`. `None` if LZ4 would lose data that they may refer to: it remembers two
    /// memory ranges, one of which would be the buffer. After a further chunk of 64 KiB in the ring this succeeds.
    pub(crate) fn in_place<'s>(&'s mut self, buffer: &'s mut [u8]) -> Option<DecompressInPlace<'s, 'r>> {
        let state = self.state();
        let is_contiguous = state.external_dictionary_size == 0 || state.prefix_size >= WINDOW;
        is_contiguous.then(|| DecompressInPlace { lz4: self, buffer, done: 0 })
    }
}

impl DecompressInPlace<'_, '_> {
    /// Returns the number of bytes of the buffer that are still to be filled.
    pub(crate) fn remaining(&self) -> usize {
        self.buffer.len() - self.done
    }

    /// Decompresses the block `src` to the next `len` bytes of the buffer. `None` if the block is corrupt or has
    /// another size, or the buffer has fewer bytes.
    pub(crate) fn decompress(&mut self, len: usize, src: &[u8]) -> Option<()> {
        let dst = self.buffer.get_mut(self.done..)?.get_mut(..len)?;
        let (src_size, len_int) = (c_int::try_from(src.len()).ok()?, c_int::try_from(len).ok()?);
        // SAFETY: LZ4 writes at most `len` bytes to `dst`. It checks all reads against `src` and the data that was
        // decompressed since the last reset, which lies in the ring and in the buffer; both are borrowed for longer
        // than `self`.
        let got = unsafe {
            let dst = dst.as_mut_ptr().cast();
            LZ4_decompress_safe_continue(self.lz4.stream.as_ptr(), src.as_ptr().cast(), dst, src_size, len_int)
        };
        self.done += len;
        (usize::try_from(got) == Ok(len)).then_some(())
    }

    /// Copies the last 64 KiB, which later chunks may refer to, into the ring, so that the stream no longer refers to
    /// the buffer. The buffer must be full and hold at least 64 KiB. Returns the cursor in the ring.
    pub(crate) fn finish(self) -> usize {
        assert!(self.done == self.buffer.len() && self.done >= WINDOW, "the buffer is full");
        let ring = self.lz4.ring.as_ptr();
        // SAFETY: the ring is larger than the window, and not part of the buffer. The stream is valid and exclusive by
        // the invariant of `Decompressor`; from now on it refers to the ring only.
        unsafe {
            copy_raw(ring, &self.buffer[self.done - WINDOW..]);
            LZ4_setStreamDecode(self.lz4.stream.as_ptr(), ring.cast(), WINDOW as c_int);
        }
        std::mem::forget(self);
        WINDOW
    }
}

impl Drop for DecompressInPlace<'_, '_> {
    /// Without [`finish`](Self::finish), resets the stream, so that it does not refer to the buffer.
    fn drop(&mut self) {
        self.lz4.reset();
    }
}
