//! LZ4's state between two chunks, taken out of one stream and compared with, or put into, another.

use std::ptr::NonNull;

use lz4_sys::{LZ4_createStream, LZ4_freeStream, LZ4StreamEncode};

use super::compress::{StreamState, reset};
use super::in_place::compress_chunk;
use super::{HASH_BITS, WINDOW};

/// All of a compressor's state that decides what becomes of the next chunk, where 64 KiB precede it: how far back in front of it each entry of
/// the hash table lies. 0 stands for those that are out of reach for good.
#[derive(PartialEq, Eq)]
pub(crate) struct Snapshot(Vec<u16>);

impl Snapshot {
    /// `None` where memory is short.
    pub(crate) fn new() -> Option<Self> {
        let mut distances = Vec::new();
        distances.try_reserve_exact(1 << HASH_BITS).ok()?;
        distances.resize(1 << HASH_BITS, 0);
        Some(Self(distances))
    }

    pub(crate) fn copy_from(&mut self, other: &Self) {
        self.0.copy_from_slice(&other.0);
    }

    pub(super) fn take(&mut self, state: &StreamState) {
        for (distance, &index) in self.0.iter_mut().zip(&state.table) {
            *distance = u16::try_from(state.current_offset.wrapping_sub(index)).unwrap_or(0);
        }
    }

    /// Makes this the state of a stream that has seen `offset` bytes, at least 64 KiB.
    pub(super) fn give(&self, state: &mut StreamState, offset: u32) {
        debug_assert!(offset >= WINDOW as u32);
        for (&distance, index) in self.0.iter().zip(&mut state.table) {
            *index = if distance == 0 { 0 } else { offset - u32::from(distance) };
        }
        state.current_offset = offset;
    }
}

/// Compresses chunks from anywhere in a buffer on, before or while what precedes them is compressed elsewhere.
pub(crate) struct Ahead<'b> {
    stream: NonNull<LZ4StreamEncode>,
    buffer: &'b [u8],
    at: usize,
    /// Where in the ring the next chunk would go.
    cursor: usize,
}

// SAFETY: the stream is owned, and has no ties to a thread.
unsafe impl Send for Ahead<'_> {}

impl<'b> Ahead<'b> {
    /// `None` where memory is short.
    pub(crate) fn new(buffer: &'b [u8]) -> Option<Self> {
        // SAFETY: no preconditions.
        let stream = NonNull::new(unsafe { LZ4_createStream() })?;
        Some(Self { stream, buffer, at: 0, cursor: 0 })
    }

    /// Goes to `at` in the buffer, without knowing anything of what is before.
    pub(crate) fn start(&mut self, at: usize, cursor: usize) {
        // SAFETY: the stream is valid by the type's invariant.
        unsafe { reset(self.stream) };
        (self.at, self.cursor) = (at, cursor);
    }

    /// Goes to `at` in the buffer, at least 64 KiB from its beginning, in this state.
    pub(crate) fn resume(&mut self, at: usize, cursor: usize, snapshot: &Snapshot) {
        self.start(at, cursor);
        let before = &self.buffer[at - WINDOW..at];
        // SAFETY: the stream is valid by the type's invariant, and its state is of this layout.
        let state = unsafe { self.stream.cast::<StreamState>().as_mut() };
        // As if more bytes had been seen than can be referred to, so that what is out of reach stays so.
        snapshot.give(state, 2 * WINDOW as u32);
        state.mark_used();
        state.dictionary = before.as_ptr();
        state.dictionary_size = WINDOW as u32;
    }

    /// Compresses the next `len` bytes, as [`CompressInPlace::compress`](super::in_place::CompressInPlace::compress) does.
    pub(crate) fn compress(&mut self, len: usize, dst: &mut [u8]) -> Option<usize> {
        let chunk = self.buffer.get(self.at..)?.get(..len)?;
        // SAFETY: what LZ4 has seen last is the bytes before the chunk in the same buffer, which is borrowed as long as self.
        let size = unsafe { compress_chunk(self.stream, chunk, &mut self.cursor, dst) };
        self.at += len;
        size
    }

    pub(crate) fn snapshot(&self, to: &mut Snapshot) {
        // SAFETY: as in `resume`.
        to.take(unsafe { self.stream.cast::<StreamState>().as_ref() });
    }
}

impl Drop for Ahead<'_> {
    fn drop(&mut self) {
        // SAFETY: it was made by LZ4_createStream, and is freed once.
        unsafe { LZ4_freeStream(self.stream.as_ptr()) };
    }
}
