//! Restoring a checkpoint.

use super::engine::{Codec, Engine};
use super::source::{SIZE_MAX, Source};
use super::style::FrameStyle;
use super::{CHUNK_MAX, Kind, chunk_bound, next_in_ring};
use crate::error::Error;
use crate::sys::lz4::Decompressor;

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

    /// Restores a buffer of `size` bytes. `buffer` gives it, and is not asked where it is empty or not acceptable anyway.
    #[inline]
    pub(crate) fn get<'b>(
        &mut self,
        kind: Kind,
        size: u64,
        buffer: impl FnOnce() -> Result<&'b mut [u8], Error>,
    ) -> Result<(), Error> {
        self.or_fail(|engine| match engine.admit(kind, size)? {
            None => Ok(()),
            Some(FrameStyle::Raw) => engine.end.read(buffer()?),
            Some(FrameStyle::Lz4) => buffer()?.chunks_mut(CHUNK_MAX).try_for_each(|chunk| engine.get_chunk(chunk)),
        })
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
