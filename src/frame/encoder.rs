//! Making a checkpoint.

use super::codec::{Codec, Engine};
use super::error::Error;
use super::sink::{Room, Sink, WRITE_NOW};
use super::style::FrameStyle;
use super::{CHUNK_HEADER, CHUNK_MAX, Kind, META_MAX, chunk_bound, next_in_ring};
use super::{parallel_compress, small_block};
use crate::bytes::put_u24;
use crate::sys::copy::copy_prefix;
use crate::sys::lz4::Compressor;
use crate::sys::shared_bytes::SharedBytes;
use crate::sys::threads;

/// The engine that makes a checkpoint.
pub(crate) type Encoder<'h> = Engine<'h, Compressor<'h>, Sink<'h>>;

impl Codec for Compressor<'_> {
    fn reset(&mut self) {
        Compressor::reset(self);
    }
}

impl Encoder<'_> {
    /// Adds a buffer to the frame.
    #[inline]
    pub(crate) fn put(&mut self, kind: Kind, buffer: SharedBytes<'_>) -> Result<(), Error> {
        self.or_fail(|engine| match engine.admit(kind, buffer.size(), buffer.is_null())? {
            None => Ok(()),
            Some(FrameStyle::Raw) => engine.end.write(&buffer),
            Some(FrameStyle::Lz4) => engine.put_chunks(&buffer),
        })
    }

    /// Does what [`put`](Self::put) does in the usual case of a RAW frame, and without calls: the buffer is not too large for anything, and there
    /// is room for it at hand. In any other case does nothing, and returns false.
    #[inline(always)]
    pub(crate) fn put_raw_at_hand(&mut self, buffer: &SharedBytes<'_>) -> bool {
        match (buffer.get_if_at_most(META_MAX as u64), &mut self.end) {
            _ if self.phase.style() != Some(FrameStyle::Raw) => false,
            (Some(bytes), Sink::Stream(stream)) => bytes.len() < WRITE_NOW && append(stream, bytes),
            (Some(bytes), Sink::Mmio(mmio)) => append(mmio, bytes),
            (None, _) => false,
        }
    }

    /// The same for an LZ4 frame and a tiny buffer.
    #[inline(always)]
    pub(crate) fn put_tiny_at_hand(&mut self, buffer: &SharedBytes<'_>) -> bool {
        match (buffer.get_if_at_most(small_block::COMPRESS_MAX as u64), &mut self.lz4, &mut self.end) {
            _ if self.phase.style() != Some(FrameStyle::Lz4) => false,
            (Some(bytes), Some(lz4), Sink::Stream(stream)) => append_tiny_chunk(stream, lz4, self.ring_cursor, bytes),
            (Some(bytes), Some(lz4), Sink::Mmio(mmio)) => append_tiny_chunk(mmio, lz4, self.ring_cursor, bytes),
            _ => false,
        }
    }

    /// The same for an LZ4 frame, with calls of LZ4 alone.
    #[inline(always)]
    pub(crate) fn put_lz4_at_hand(&mut self, buffer: &SharedBytes<'_>) -> bool {
        match (buffer.get_if_at_most(META_MAX as u64), &mut self.lz4, &mut self.end) {
            _ if self.phase.style() != Some(FrameStyle::Lz4) => false,
            (Some(bytes), Some(lz4), Sink::Stream(stream)) => append_chunk(stream, lz4, self.ring_cursor, bytes),
            (Some(bytes), Some(lz4), Sink::Mmio(mmio)) => append_chunk(mmio, lz4, self.ring_cursor, bytes),
            _ => false,
        }
    }

    fn put_chunks(&mut self, buffer: &SharedBytes<'_>) -> Result<(), Error> {
        let (mut done, size) = (0, buffer.size());
        while done < size {
            let chunk = buffer.get(done, (size - done).min(CHUNK_MAX as u64)).ok_or(Error::OffsetOverflow { size })?;
            self.put_chunk(chunk)?;
            let in_place = match buffer.get(done, size - done) {
                Some(rest) => self.put_in_place(rest, chunk.len())?,
                None => 0,
            };
            done += (chunk.len() + in_place) as u64;
        }
        Ok(())
    }

    /// Adds what follows the first `done` bytes of the buffer, which were added last, without the way through the ring, as far as that
    /// is possible. Returns how many bytes it was.
    fn put_in_place(&mut self, buffer: &[u8], done: usize) -> Result<usize, Error> {
        let lz4 = self.lz4.as_mut().ok_or(Error::Internal)?;
        let Some(mut lz4) = lz4.in_place(buffer, done, *self.ring_cursor as usize) else { return Ok(0) };
        // Where several threads give up, this one goes on for a while, longer each time.
        let (mut alone, mut patience) = (0, parallel_compress::PATIENCE);
        while lz4.remaining() > 0 {
            if alone == 0 {
                parallel_compress::compress(&mut lz4, &mut self.end, threads::resolve_thread_count(self.threads))?;
                (alone, patience) = (patience, patience * 2);
                continue;
            }
            alone -= 1;
            let len = lz4.remaining().min(CHUNK_MAX);
            let room = self.end.make_room(chunk_bound(len))?;
            // Where the region ends, LZ4 is to judge what fits, as ever.
            let Some((header, room)) =
                room.split_first_chunk_mut().filter(|(_, room)| room.len() + CHUNK_HEADER == chunk_bound(len))
            else {
                break;
            };
            let size = lz4.compress(len, room).ok_or(Error::Internal)?;
            put_u24(header, size as u32);
            self.end.add_chunk(Some(CHUNK_HEADER + size))?;
        }
        let added = buffer.len() - done - lz4.remaining();
        *self.ring_cursor = lz4.finish() as u64;
        Ok(added)
    }

    fn put_chunk(&mut self, chunk: &[u8]) -> Result<(), Error> {
        let lz4 = self.lz4.as_mut().ok_or(Error::Internal)?;
        let room = self.end.make_room(chunk_bound(chunk.len()))?;
        let size = compress(lz4, next_in_ring(self.ring_cursor, chunk.len()), chunk, room);
        self.end.add_chunk(size)
    }
}

#[inline(always)]
fn append(to: &mut impl Room, bytes: &[u8]) -> bool {
    // The copy comes last, since it may be a call.
    let Some(room) = to.take_room(bytes.len()) else { return false };
    copy_prefix(room, bytes);
    true
}

#[inline(always)]
fn append_chunk(to: &mut impl Room, lz4: &mut Compressor<'_>, ring_cursor: &mut u64, chunk: &[u8]) -> bool {
    let Some(room) = to.room(chunk_bound(chunk.len())) else { return false };
    let at = next_in_ring(ring_cursor, chunk.len());
    let size = compress(lz4, at, chunk, room).expect("a chunk is not larger than its bound");
    to.advance(size);
    true
}

#[inline(always)]
fn append_tiny_chunk(to: &mut impl Room, lz4: &mut Compressor<'_>, ring_cursor: &mut u64, chunk: &[u8]) -> bool {
    let Some((header, room)) = to.room(CHUNK_HEADER + small_block::BLOCK_ROOM).and_then(|room| room.split_first_chunk_mut())
    else {
        return false;
    };
    let (Some(room), Some(following)) = (room.first_chunk_mut(), lz4.continue_prefix(*ring_cursor as usize, chunk)) else {
        return false;
    };
    let size = small_block::compress(following, chunk, room);
    put_u24(header, size as u32);
    *ring_cursor += chunk.len() as u64;
    to.advance(CHUNK_HEADER + size);
    true
}

/// Compresses a chunk, which comes to `at` in the ring, to the start of `room`. Returns its size with header, or `None` if it does
/// not fit.
#[inline(always)]
fn compress(lz4: &mut Compressor<'_>, at: usize, chunk: &[u8], room: &mut [u8]) -> Option<usize> {
    let (header, room) = room.split_first_chunk_mut()?;
    let size = lz4.compress(at, chunk, room)?;
    put_u24(header, size as u32);
    Some(CHUNK_HEADER + size)
}
