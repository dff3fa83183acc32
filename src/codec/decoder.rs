//! Restoring a checkpoint.

use super::engine::{Codec, Engine};
use super::source::{SIZE_MAX, Source};
use super::style::FrameStyle;
use super::{CHUNK_MAX, Kind, chunk_bound, next_in_ring};
use crate::error::Error;
use crate::sys::lz4::Decompressor;
use crate::sys::memory::RegionMut;

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
    pub(crate) fn get(&mut self, kind: Kind, mut buffer: RegionMut<'_>) -> Result<(), Error> {
        self.or_fail(|engine| match engine.admit(kind, buffer.size(), buffer.is_null())? {
            None => Ok(()),
            Some(FrameStyle::Raw) => engine.end.read(&mut buffer),
            Some(FrameStyle::Lz4) => engine.get_chunks(&mut buffer),
        })
    }

    fn get_chunks(&mut self, buffer: &mut RegionMut<'_>) -> Result<(), Error> {
        let (mut done, size) = (0, buffer.size());
        while let Some(chunk) = buffer.get(done, (size - done).min(CHUNK_MAX as u64)) {
            self.get_chunk(chunk)?;
            done += chunk.len() as u64;
        }
        Ok(())
    }

    fn get_chunk(&mut self, chunk: &mut [u8]) -> Result<(), Error> {
        let lz4 = self.lz4.as_mut().ok_or(Error::Internal)?;
        let at = next_in_ring(self.ring_cursor, chunk.len());
        self.end.read_chunk(chunk_bound(chunk.len()), |compressed| {
            let decompressed = lz4.decompress(at, chunk.len(), compressed).ok_or("does not decompress to the size asked for")?;
            chunk.copy_from_slice(decompressed);
            Ok(())
        })
    }
}
