//! Encoder: appends buffers to a checkpoint.

use super::codec::{FrameCodec, Lz4Stream};
use super::error::Error;
use super::sink::{BufferedSink, Sink, WRITE_THROUGH_MIN};
use super::style::FrameStyle;
use super::{BufferKind, CHUNK_HEADER_SIZE, CHUNK_MAX, META_MAX, advance_ring_cursor, chunk_bound};
use super::{parallel_compress, small_block};
use crate::bytes::put_u24;
use crate::sys::copy::copy_prefix;
use crate::sys::lz4::Compressor;
use crate::sys::shared_bytes::SharedBytes;
use crate::sys::threads;

/// The codec that writes a checkpoint.
pub(crate) type Encoder<'h> = FrameCodec<'h, Compressor<'h>, Sink<'h>>;

impl Lz4Stream for Compressor<'_> {
    fn reset(&mut self) {
        Compressor::reset(self);
    }
}

impl Encoder<'_> {
    /// Appends a buffer to the frame.
    #[inline]
    pub(crate) fn write_buffer(&mut self, kind: BufferKind, buffer: SharedBytes<'_>) -> Result<(), Error> {
        self.poison_on_err(|codec| match codec.validate_buffer(kind, buffer.size(), buffer.is_null())? {
            None => Ok(()),
            Some(FrameStyle::Raw) => codec.endpoint.write(&buffer),
            Some(FrameStyle::Lz4) => codec.write_lz4_buffer(&buffer),
        })
    }

    /// Fast path of [`write_buffer`](Self::write_buffer) for RAW frames: copies the buffer without a system call. Returns
    /// false, and does nothing, if the buffer is large or the space available is too small.
    #[inline(always)]
    pub(crate) fn try_write_raw_fast(&mut self, buffer: &SharedBytes<'_>) -> bool {
        match (buffer.get_if_at_most(META_MAX as u64), &mut self.endpoint) {
            _ if self.state.style() != Some(FrameStyle::Raw) => false,
            (Some(bytes), Sink::Stream(stream)) => bytes.len() < WRITE_THROUGH_MIN && try_append(stream, bytes),
            (Some(bytes), Sink::Mmio(mmio)) => try_append(mmio, bytes),
            (None, _) => false,
        }
    }

    /// Fast path for small buffers of LZ4 frames, without a call of LZ4. Otherwise as
    /// [`try_write_raw_fast`](Self::try_write_raw_fast).
    #[inline(always)]
    pub(crate) fn try_write_small_lz4_fast(&mut self, buffer: &SharedBytes<'_>) -> bool {
        match (buffer.get_if_at_most(small_block::COMPRESS_MAX as u64), &mut self.lz4, &mut self.endpoint) {
            _ if self.state.style() != Some(FrameStyle::Lz4) => false,
            (Some(bytes), Some(lz4), Sink::Stream(stream)) => try_append_small_chunk(stream, lz4, self.ring_cursor, bytes),
            (Some(bytes), Some(lz4), Sink::Mmio(mmio)) => try_append_small_chunk(mmio, lz4, self.ring_cursor, bytes),
            _ => false,
        }
    }

    /// Fast path for buffers of one chunk in LZ4 frames: calls LZ4, but not the system. Otherwise as
    /// [`try_write_raw_fast`](Self::try_write_raw_fast).
    #[inline(always)]
    pub(crate) fn try_write_lz4_fast(&mut self, buffer: &SharedBytes<'_>) -> bool {
        match (buffer.get_if_at_most(META_MAX as u64), &mut self.lz4, &mut self.endpoint) {
            _ if self.state.style() != Some(FrameStyle::Lz4) => false,
            (Some(bytes), Some(lz4), Sink::Stream(stream)) => try_append_chunk(stream, lz4, self.ring_cursor, bytes),
            (Some(bytes), Some(lz4), Sink::Mmio(mmio)) => try_append_chunk(mmio, lz4, self.ring_cursor, bytes),
            _ => false,
        }
    }

    fn write_lz4_buffer(&mut self, buffer: &SharedBytes<'_>) -> Result<(), Error> {
        let (mut done, size) = (0, buffer.size());
        while done < size {
            let chunk = buffer.get(done, (size - done).min(CHUNK_MAX as u64)).ok_or(Error::OffsetOverflow { size })?;
            self.write_chunk(chunk)?;
            let in_place = match buffer.get(done, size - done) {
                Some(rest) => self.write_chunks_in_place(rest, chunk.len())?,
                None => 0,
            };
            done += (chunk.len() + in_place) as u64;
        }
        Ok(())
    }

    /// Writes what follows the first `done` bytes of the buffer without copying it to the ring, as far as possible. These
    /// `done` bytes must have been written last. Returns the number of bytes written.
    fn write_chunks_in_place(&mut self, buffer: &[u8], done: usize) -> Result<usize, Error> {
        let lz4 = self.lz4.as_mut().ok_or(Error::Internal)?;
        let Some(mut lz4) = lz4.in_place(buffer, done, *self.ring_cursor as usize) else { return Ok(0) };
        // After an unsuccessful parallel attempt, chunks are compressed serially before the next one, each time twice as many.
        let (mut serial_chunks, mut backoff) = (0, parallel_compress::INITIAL_BACKOFF_CHUNKS);
        while lz4.remaining() > 0 {
            if serial_chunks == 0 {
                let threads = threads::resolve_thread_count(self.threads);
                parallel_compress::compress_parallel(&mut lz4, &mut self.endpoint, threads)?;
                (serial_chunks, backoff) = (backoff, backoff * 2);
                continue;
            }
            serial_chunks -= 1;
            let len = lz4.remaining().min(CHUNK_MAX);
            let out = self.endpoint.reserve(chunk_bound(len))?;
            // Near the end of a region `write_chunk` takes over: there LZ4 decides whether a chunk fits, as in the original.
            let Some((header, out)) =
                out.split_first_chunk_mut().filter(|(_, out)| out.len() + CHUNK_HEADER_SIZE == chunk_bound(len))
            else {
                break;
            };
            let size = lz4.compress(len, out).ok_or(Error::Internal)?;
            put_u24(header, size as u32);
            self.endpoint.commit_chunk(Some(CHUNK_HEADER_SIZE + size))?;
        }
        let written = buffer.len() - done - lz4.remaining();
        *self.ring_cursor = lz4.finish() as u64;
        Ok(written)
    }

    fn write_chunk(&mut self, chunk: &[u8]) -> Result<(), Error> {
        let lz4 = self.lz4.as_mut().ok_or(Error::Internal)?;
        let out = self.endpoint.reserve(chunk_bound(chunk.len()))?;
        let size = compress(lz4, advance_ring_cursor(self.ring_cursor, chunk.len()), chunk, out);
        self.endpoint.commit_chunk(size)
    }
}

#[inline(always)]
fn try_append(sink: &mut impl BufferedSink, bytes: &[u8]) -> bool {
    // The copy comes last: it may be a call, across which no register should have to be saved.
    let Some(out) = sink.claim(bytes.len()) else { return false };
    copy_prefix(out, bytes);
    true
}

#[inline(always)]
fn try_append_chunk(sink: &mut impl BufferedSink, lz4: &mut Compressor<'_>, ring_cursor: &mut u64, chunk: &[u8]) -> bool {
    let Some(out) = sink.available_mut(chunk_bound(chunk.len())) else { return false };
    let ring_offset = advance_ring_cursor(ring_cursor, chunk.len());
    let size = compress(lz4, ring_offset, chunk, out).expect("a chunk is not larger than its bound");
    sink.advance(size);
    true
}

#[inline(always)]
fn try_append_small_chunk(sink: &mut impl BufferedSink, lz4: &mut Compressor<'_>, ring_cursor: &mut u64, chunk: &[u8]) -> bool {
    let Some((header, out)) =
        sink.available_mut(CHUNK_HEADER_SIZE + small_block::BLOCK_BOUND).and_then(|out| out.split_first_chunk_mut())
    else {
        return false;
    };
    let (Some(out), Some(context)) = (out.first_chunk_mut(), lz4.continue_prefix(*ring_cursor as usize, chunk)) else {
        return false;
    };
    let size = small_block::compress(context, chunk, out);
    put_u24(header, size as u32);
    *ring_cursor += chunk.len() as u64;
    sink.advance(CHUNK_HEADER_SIZE + size);
    true
}

/// Compresses a chunk, to be stored at `ring_offset` of the ring, to the start of `out`. Returns its size with header, or
/// `None` if `out` is too small.
#[inline(always)]
fn compress(lz4: &mut Compressor<'_>, ring_offset: usize, chunk: &[u8], out: &mut [u8]) -> Option<usize> {
    let (header, out) = out.split_first_chunk_mut()?;
    let size = lz4.compress(ring_offset, chunk, out)?;
    put_u24(header, size as u32);
    Some(CHUNK_HEADER_SIZE + size)
}
