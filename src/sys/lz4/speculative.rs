//! Compression that begins within a buffer, before the data in front of it is compressed.

use std::ptr::NonNull;

use lz4_sys::{LZ4_createStream, LZ4_freeStream, LZ4StreamEncode};

use super::compress::{compress_chunk, reset, stream_state};
use super::ring::WINDOW;
use super::snapshot::Snapshot;

/// Compresses the chunks of a buffer from any offset on, with a known state or a cold one.
///
/// Invariant: `stream` is a valid stream that this owns, and which refers to `buffer` only.
pub(crate) struct SpeculativeCompressor<'b> {
    stream: NonNull<LZ4StreamEncode>,
    buffer: &'b [u8],
    at: usize,
    /// Position in the ring that the next chunk would have.
    cursor: usize,
}

// SAFETY: the stream is owned, and LZ4's states have no ties to a thread.
unsafe impl Send for SpeculativeCompressor<'_> {}

impl<'b> SpeculativeCompressor<'b> {
    /// `None` if the allocation failed.
    pub(crate) fn new(buffer: &'b [u8]) -> Option<Self> {
        // SAFETY: LZ4_createStream takes no arguments.
        let stream = NonNull::new(unsafe { LZ4_createStream() })?;
        Some(Self { stream, buffer, at: 0, cursor: 0 })
    }

    /// Moves to offset `at` of the buffer, with a cold state: no earlier data is known.
    pub(crate) fn seek_cold(&mut self, at: usize, cursor: usize) {
        // SAFETY: `stream` is valid and owned by the type's invariant.
        unsafe { reset(self.stream) };
        (self.at, self.cursor) = (at, cursor);
    }

    /// Moves to offset `at` of the buffer, at least 64 KiB, with this state.
    pub(crate) fn seek_with_state(&mut self, at: usize, cursor: usize, snapshot: &Snapshot) {
        self.seek_cold(at, cursor);
        let before = &self.buffer[at - WINDOW..at];
        // SAFETY: `stream` is valid and owned by the type's invariant, and `self` is borrowed exclusively.
        let state = unsafe { stream_state(self.stream) };
        // A counter beyond the window keeps entries that are out of reach there.
        snapshot.restore_into(state, 2 * WINDOW as u32);
        state.mark_used();
        state.dictionary = before.as_ptr();
        state.dictionary_size = WINDOW as u32;
    }

    /// Compresses the next `len` bytes, as [`CompressInPlace::compress`](super::in_place::CompressInPlace::compress)
    /// does.
    pub(crate) fn compress(&mut self, len: usize, dst: &mut [u8]) -> Option<usize> {
        let chunk = self.buffer.get(self.at..)?.get(..len)?;
        // SAFETY: `stream` is valid and owned by the type's invariant. The data that it has seen last precedes the
        // chunk in `buffer`, which is borrowed for longer than `self`.
        let size = unsafe { compress_chunk(self.stream, chunk, &mut self.cursor, dst) };
        self.at += len;
        size
    }

    pub(crate) fn snapshot(&self, to: &mut Snapshot) {
        // SAFETY: `stream` is valid and owned by the type's invariant, and only read during this call.
        to.capture(unsafe { stream_state(self.stream) });
    }
}

impl Drop for SpeculativeCompressor<'_> {
    fn drop(&mut self) {
        // SAFETY: `stream` is from LZ4_createStream, owned, and freed only here.
        unsafe { LZ4_freeStream(self.stream.as_ptr()) };
    }
}
