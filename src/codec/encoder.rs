//! Making a checkpoint.

use super::engine::{Codec, Engine};
use super::sink::Sink;
use super::style::FrameStyle;
use super::{CHUNK_HEADER, CHUNK_MAX, Kind, chunk_bound, next_in_ring};
use crate::bytes::put_u24;
use crate::error::Error;
use crate::sys::lz4::Compressor;
use crate::sys::memory::Region;

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
    pub(crate) fn put(&mut self, kind: Kind, buffer: Region<'_>) -> Result<(), Error> {
        self.or_fail(|engine| match engine.admit(kind, buffer.size(), buffer.is_null())? {
            None => Ok(()),
            Some(FrameStyle::Raw) => engine.end.write(&buffer),
            Some(FrameStyle::Lz4) => engine.put_chunks(&buffer),
        })
    }

    fn put_chunks(&mut self, buffer: &Region<'_>) -> Result<(), Error> {
        let mut done = 0;
        while let Some(chunk) = buffer.get(done, (buffer.size() - done).min(CHUNK_MAX as u64)) {
            self.put_chunk(chunk)?;
            done += chunk.len() as u64;
        }
        Ok(())
    }

    fn put_chunk(&mut self, chunk: &[u8]) -> Result<(), Error> {
        let lz4 = self.lz4.as_mut().ok_or(Error::Internal)?;
        let at = next_in_ring(self.ring_cursor, chunk.len());
        self.end.write_chunk(chunk_bound(chunk.len()), |room| {
            let (header, room) = room.split_first_chunk_mut::<CHUNK_HEADER>()?;
            let compressed = lz4.compress(at, chunk, room)?;
            put_u24(header, compressed as u32);
            Some(CHUNK_HEADER + compressed)
        })
    }
}
