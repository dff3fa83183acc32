//! Decoder: restores buffers from a checkpoint.

use super::codec::{FrameCodec, Lz4Stream};
use super::error::Error;
use super::source::{BufferedSource, SIZE_MAX, Source, chunk_size};
use super::style::FrameStyle;
use super::{BufferKind, CHUNK_HEADER_SIZE, CHUNK_MAX, META_MAX, advance_ring_cursor, chunk_bound};
use super::{readahead, small_block};
use crate::sys::copy::copy_prefix;
use crate::sys::lz4::Decompressor;
use crate::sys::shared_bytes::SharedBytesMut;

/// The codec that restores a checkpoint.
pub(crate) type Decoder<'h> = FrameCodec<'h, Decompressor<'h>, Source<'h>>;

impl Lz4Stream for Decompressor<'_> {
    fn reset(&mut self) {
        Decompressor::reset(self);
    }
}

impl Decoder<'_> {
    /// Moves to `offset`, at which the frame to open next begins.
    pub(crate) fn seek(&mut self, offset: u64) -> Result<(), Error> {
        self.poison_on_err(|codec| {
            codec.state.check_can_open()?;
            match codec.endpoint.size() {
                size if size > SIZE_MAX => Err(Error::NotSeekable),
                size if offset > size => Err(Error::SeekPastEnd { offset, size }),
                _ => codec.endpoint.seek(offset),
            }
        })
    }

    /// Restores a buffer of the frame.
    #[inline]
    pub(crate) fn read_buffer(&mut self, kind: BufferKind, mut buffer: SharedBytesMut<'_>) -> Result<(), Error> {
        self.poison_on_err(|codec| match codec.validate_buffer(kind, buffer.size(), buffer.is_null())? {
            None => Ok(()),
            Some(FrameStyle::Raw) => codec.endpoint.read(&mut buffer),
            Some(FrameStyle::Lz4) => codec.read_lz4_buffer(&mut buffer),
        })
    }

    /// Fast path of [`read_buffer`](Self::read_buffer) for RAW frames: copies bytes that are in memory already. Returns
    /// false, and does nothing, if the buffer is large or bytes are missing.
    #[inline(always)]
    pub(crate) fn try_read_raw_fast(&mut self, buffer: &mut SharedBytesMut<'_>) -> bool {
        match (buffer.get_if_at_most(META_MAX as u64), &mut self.endpoint) {
            _ if self.state.style() != Some(FrameStyle::Raw) => false,
            (Some(bytes), Source::Stream(stream)) => try_consume(stream, bytes),
            (Some(bytes), Source::Mmio(mmio)) => try_consume(mmio, bytes),
            (None, _) => false,
        }
    }

    /// Fast path for small buffers of LZ4 frames, without a call of LZ4. Otherwise as
    /// [`try_read_raw_fast`](Self::try_read_raw_fast), but may overwrite the buffer before it returns false.
    #[inline(always)]
    pub(crate) fn try_read_small_lz4_fast(&mut self, buffer: &mut SharedBytesMut<'_>) -> bool {
        match (buffer.get_if_at_most(small_block::DECOMPRESS_MAX as u64), &mut self.lz4, &mut self.endpoint) {
            _ if self.state.style() != Some(FrameStyle::Lz4) => false,
            (Some(bytes), Some(lz4), Source::Stream(stream)) => try_consume_small_chunk(stream, lz4, self.ring_cursor, bytes),
            (Some(bytes), Some(lz4), Source::Mmio(mmio)) => try_consume_small_chunk(mmio, lz4, self.ring_cursor, bytes),
            _ => false,
        }
    }

    /// Fast path for buffers of one chunk in LZ4 frames: calls LZ4, but not the system. Otherwise as
    /// [`try_read_raw_fast`](Self::try_read_raw_fast).
    #[inline(always)]
    pub(crate) fn try_read_lz4_fast(&mut self, buffer: &mut SharedBytesMut<'_>) -> bool {
        match (buffer.get_if_at_most(META_MAX as u64), &mut self.lz4, &mut self.endpoint) {
            _ if self.state.style() != Some(FrameStyle::Lz4) => false,
            (Some(bytes), Some(lz4), Source::Stream(stream)) => try_consume_chunk(stream, lz4, self.ring_cursor, bytes),
            (Some(bytes), Some(lz4), Source::Mmio(mmio)) => try_consume_chunk(mmio, lz4, self.ring_cursor, bytes),
            _ => false,
        }
    }

    fn read_lz4_buffer(&mut self, buffer: &mut SharedBytesMut<'_>) -> Result<(), Error> {
        let (mut done, size) = (0, buffer.size());
        while done < size {
            let remaining = size - done;
            if remaining > CHUNK_MAX as u64
                && let Some(rest) = buffer.get(done, remaining)
                && self.read_chunks_in_place(rest)?
            {
                break;
            }
            let chunk = buffer.get(done, remaining.min(CHUNK_MAX as u64)).ok_or(Error::OffsetOverflow { size })?;
            done += chunk.len() as u64;
            self.read_chunk(chunk)?;
        }
        Ok(())
    }

    /// Restores a buffer of more than one chunk without a copy through the ring. Returns false, and does nothing, if LZ4
    /// would lose data that the chunks may refer to.
    fn read_chunks_in_place(&mut self, buffer: &mut [u8]) -> Result<bool, Error> {
        let Some(mut lz4) = self.lz4.as_mut().ok_or(Error::Internal)?.in_place(buffer) else { return Ok(false) };
        while lz4.remaining() > 0 {
            if let Source::Stream(stream) = &mut self.endpoint
                && readahead::should_read_ahead(stream, lz4.remaining(), self.threads)
            {
                readahead::decompress(stream, &mut lz4, CORRUPT)?;
                break;
            }
            let len = lz4.remaining().min(CHUNK_MAX);
            self.endpoint.read_chunk(chunk_bound(len), |block| lz4.decompress(len, block).ok_or(CORRUPT))?;
        }
        *self.ring_cursor = lz4.finish() as u64;
        Ok(true)
    }

    fn read_chunk(&mut self, chunk: &mut [u8]) -> Result<(), Error> {
        let lz4 = self.lz4.as_mut().ok_or(Error::Internal)?;
        let ring_offset = advance_ring_cursor(self.ring_cursor, chunk.len());
        self.endpoint.read_chunk(chunk_bound(chunk.len()), |block| {
            chunk.copy_from_slice(lz4.decompress(ring_offset, chunk.len(), block).ok_or(CORRUPT)?);
            Ok(())
        })
    }
}

/// Reason of the error for a block that LZ4 rejects.
const CORRUPT: &str = "an LZ4 chunk does not decompress to the size of the buffer";

#[inline(always)]
fn try_consume(source: &mut impl BufferedSource, bytes: &mut [u8]) -> bool {
    // The copy comes last: it may be a call, across which no register should have to be saved.
    let Some(available) = source.consume(bytes.len()) else { return false };
    copy_prefix(bytes, available);
    true
}

#[inline(always)]
fn try_consume_small_chunk(
    source: &mut impl BufferedSource,
    lz4: &mut Decompressor<'_>,
    ring_cursor: &mut u64,
    chunk: &mut [u8],
) -> bool {
    let Some((block, size)) = peek_block(source, chunk.len()) else { return false };
    let Some(context) = lz4.continue_prefix(*ring_cursor as usize, chunk.len()) else { return false };
    if small_block::decompress(context.before(), block, chunk).is_none() {
        return false;
    }
    context.append(chunk);
    *ring_cursor += chunk.len() as u64;
    source.advance(size);
    true
}

#[inline(always)]
fn try_consume_chunk(
    source: &mut impl BufferedSource,
    lz4: &mut Decompressor<'_>,
    ring_cursor: &mut u64,
    chunk: &mut [u8],
) -> bool {
    let Some((block, size)) = peek_block(source, chunk.len()) else { return false };
    let mut cursor = *ring_cursor;
    let ring_offset = advance_ring_cursor(&mut cursor, chunk.len());
    let Some(decompressed) = lz4.decompress(ring_offset, chunk.len(), block) else { return false };
    copy_prefix(chunk, decompressed);
    *ring_cursor = cursor;
    source.advance(size);
    true
}

/// Returns the block of the next chunk, which decompresses to `len` bytes, and its size with header. Consumes nothing.
#[inline(always)]
fn peek_block(source: &impl BufferedSource, len: usize) -> Option<(&[u8], usize)> {
    let available = source.peek(CHUNK_HEADER_SIZE, chunk_bound(len))?;
    let size = chunk_size(available, chunk_bound(len)).ok()?;
    Some((available.get(CHUNK_HEADER_SIZE..size)?, size))
}
