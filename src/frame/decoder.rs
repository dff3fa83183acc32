//! Restoring a checkpoint.

use super::codec::{Codec, Engine};
use super::error::Error;
use super::source::{Ready, SIZE_MAX, Source, chunk_size};
use super::style::FrameStyle;
use super::{CHUNK_HEADER, CHUNK_MAX, Kind, META_MAX, chunk_bound, next_in_ring};
use super::{readahead, small_block};
use crate::sys::copy::copy_prefix;
use crate::sys::lz4::Decompressor;
use crate::sys::shared_bytes::SharedBytesMut;

/// The engine that restores a checkpoint.
pub(crate) type Decoder<'h> = Engine<'h, Decompressor<'h>, Source<'h>>;

impl Codec for Decompressor<'_> {
    fn reset(&mut self) {
        Decompressor::reset(self);
    }
}

impl Decoder<'_> {
    /// Goes to `offset`, where the next frame to be opened begins.
    pub(crate) fn seek(&mut self, offset: u64) -> Result<(), Error> {
        self.or_fail(|engine| {
            engine.phase.check_can_open()?;
            match engine.end.size() {
                size if size > SIZE_MAX => Err(Error::NotSeekable),
                size if offset > size => Err(Error::SeekPastEnd { offset, size }),
                _ => engine.end.seek(offset),
            }
        })
    }

    /// Restores a buffer of the frame.
    #[inline]
    pub(crate) fn get(&mut self, kind: Kind, mut buffer: SharedBytesMut<'_>) -> Result<(), Error> {
        self.or_fail(|engine| match engine.admit(kind, buffer.size(), buffer.is_null())? {
            None => Ok(()),
            Some(FrameStyle::Raw) => engine.end.read(&mut buffer),
            Some(FrameStyle::Lz4) => engine.get_chunks(&mut buffer),
        })
    }

    /// Does what [`get`](Self::get) does in the usual case of a RAW frame, and without calls: the buffer is not too large for anything, and its
    /// bytes are at hand. In any other case does nothing, and returns false.
    #[inline(always)]
    pub(crate) fn get_raw_at_hand(&mut self, buffer: &mut SharedBytesMut<'_>) -> bool {
        match (buffer.get_if_at_most(META_MAX as u64), &mut self.end) {
            _ if self.phase.style() != Some(FrameStyle::Raw) => false,
            (Some(bytes), Source::Stream(stream)) => take(stream, bytes),
            (Some(bytes), Source::Mmio(mmio)) => take(mmio, bytes),
            (None, _) => false,
        }
    }

    /// The same for an LZ4 frame and a tiny buffer. Returning false, may have spoiled the buffer's content.
    #[inline(always)]
    pub(crate) fn get_tiny_at_hand(&mut self, buffer: &mut SharedBytesMut<'_>) -> bool {
        match (buffer.get_if_at_most(small_block::DECOMPRESS_MAX as u64), &mut self.lz4, &mut self.end) {
            _ if self.phase.style() != Some(FrameStyle::Lz4) => false,
            (Some(bytes), Some(lz4), Source::Stream(stream)) => take_tiny_chunk(stream, lz4, self.ring_cursor, bytes),
            (Some(bytes), Some(lz4), Source::Mmio(mmio)) => take_tiny_chunk(mmio, lz4, self.ring_cursor, bytes),
            _ => false,
        }
    }

    /// The same for an LZ4 frame, with calls of LZ4 alone.
    #[inline(always)]
    pub(crate) fn get_lz4_at_hand(&mut self, buffer: &mut SharedBytesMut<'_>) -> bool {
        match (buffer.get_if_at_most(META_MAX as u64), &mut self.lz4, &mut self.end) {
            _ if self.phase.style() != Some(FrameStyle::Lz4) => false,
            (Some(bytes), Some(lz4), Source::Stream(stream)) => take_chunk(stream, lz4, self.ring_cursor, bytes),
            (Some(bytes), Some(lz4), Source::Mmio(mmio)) => take_chunk(mmio, lz4, self.ring_cursor, bytes),
            _ => false,
        }
    }

    fn get_chunks(&mut self, buffer: &mut SharedBytesMut<'_>) -> Result<(), Error> {
        let (mut done, size) = (0, buffer.size());
        while done < size {
            let left = size - done;
            if left > CHUNK_MAX as u64
                && let Some(rest) = buffer.get(done, left)
                && self.get_in_place(rest)?
            {
                break;
            }
            let chunk = buffer.get(done, left.min(CHUNK_MAX as u64)).ok_or(Error::OffsetOverflow { size })?;
            done += chunk.len() as u64;
            self.get_chunk(chunk)?;
        }
        Ok(())
    }

    /// Restores a buffer of more than one chunk without the way through the ring. False, with nothing done, where that is not possible.
    fn get_in_place(&mut self, buffer: &mut [u8]) -> Result<bool, Error> {
        let Some(mut lz4) = self.lz4.as_mut().ok_or(Error::Internal)?.in_place(buffer) else { return Ok(false) };
        while lz4.remaining() > 0 {
            if let Source::Stream(stream) = &mut self.end
                && readahead::is_worth_it(stream, lz4.remaining(), self.threads)
            {
                readahead::decompress(stream, &mut lz4, CORRUPT)?;
                break;
            }
            let len = lz4.remaining().min(CHUNK_MAX);
            self.end.read_chunk(chunk_bound(len), |compressed| lz4.decompress(len, compressed).ok_or(CORRUPT))?;
        }
        *self.ring_cursor = lz4.finish() as u64;
        Ok(true)
    }

    fn get_chunk(&mut self, chunk: &mut [u8]) -> Result<(), Error> {
        let lz4 = self.lz4.as_mut().ok_or(Error::Internal)?;
        let at = next_in_ring(self.ring_cursor, chunk.len());
        self.end.read_chunk(chunk_bound(chunk.len()), |compressed| {
            chunk.copy_from_slice(lz4.decompress(at, chunk.len(), compressed).ok_or(CORRUPT)?);
            Ok(())
        })
    }
}

/// What is wrong with a block that LZ4 refuses.
const CORRUPT: &str = "an LZ4 chunk does not decompress to the size of the buffer";

#[inline(always)]
fn take(from: &mut impl Ready, bytes: &mut [u8]) -> bool {
    // The copy comes last, since it may be a call.
    let Some(ready) = from.take_ready(bytes.len()) else { return false };
    copy_prefix(bytes, ready);
    true
}

#[inline(always)]
fn take_tiny_chunk(from: &mut impl Ready, lz4: &mut Decompressor<'_>, ring_cursor: &mut u64, chunk: &mut [u8]) -> bool {
    let Some((block, size)) = ready_block(from, chunk.len()) else { return false };
    let Some(next) = lz4.continue_prefix(*ring_cursor as usize, chunk.len()) else { return false };
    if small_block::decompress(next.before(), block, chunk).is_none() {
        return false;
    }
    next.append(chunk);
    *ring_cursor += chunk.len() as u64;
    from.advance(size);
    true
}

#[inline(always)]
fn take_chunk(from: &mut impl Ready, lz4: &mut Decompressor<'_>, ring_cursor: &mut u64, chunk: &mut [u8]) -> bool {
    let Some((block, size)) = ready_block(from, chunk.len()) else { return false };
    let mut cursor = *ring_cursor;
    let at = next_in_ring(&mut cursor, chunk.len());
    let Some(decompressed) = lz4.decompress(at, chunk.len(), block) else { return false };
    copy_prefix(chunk, decompressed);
    *ring_cursor = cursor;
    from.advance(size);
    true
}

/// The block of the next chunk, which has `len` bytes when decompressed, and its size with header.
#[inline(always)]
fn ready_block(from: &impl Ready, len: usize) -> Option<(&[u8], usize)> {
    let ready = from.ready(CHUNK_HEADER, chunk_bound(len))?;
    let size = chunk_size(ready, chunk_bound(len)).ok()?;
    Some((ready.get(CHUNK_HEADER..size)?, size))
}
