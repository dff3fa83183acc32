//! Decoding the frames of a checkpoint file.

use super::error::ErrorKind;
use super::index_format::Frame;
use crate::alloc::try_grow;
use crate::frame;
use crate::frame::decoder::Decoder;
use crate::frame::source::{Mmio, Source};
use crate::frame::state::FrameState;
use crate::frame::{CHUNK_MAX, FrameStyle, Kind};
use crate::sys::lz4::OwnedDecompressor;
use crate::sys::shared_bytes::{SharedBytes, SharedBytesMut};

/// What a thread needs to restore frames.
#[derive(Default)]
pub(super) struct Loader {
    lz4: Option<OwnedDecompressor>,
    scratch: Vec<u8>,
    /// Which frame is in it, from its begin on.
    frame: Option<usize>,
    /// How many bytes of it.
    ready: usize,
}

impl Loader {
    /// Restores the first bytes of an LZ4 frame, as many as `to` has.
    pub(super) fn decode(&mut self, stored: &[u8], frame: &Frame, to: &mut [u8]) -> Result<(), ErrorKind> {
        if self.lz4.is_none() {
            self.lz4 = Some(OwnedDecompressor::new().ok_or(ErrorKind::OutOfMemory)?);
        }
        let lz4 = self.lz4.as_mut().ok_or(ErrorKind::Internal)?;
        let (mut phase, mut ring_cursor, mut offset) = (FrameState::BETWEEN_FRAMES, 0, 0);
        let end = Source::Mmio(Mmio { offset: &mut offset, region: SharedBytes::new(stored) });
        let mut decoder = Decoder { phase: &mut phase, lz4: Some(lz4.borrow()), ring_cursor: &mut ring_cursor, end, threads: 1 };
        let is_whole = to.len() as u64 == frame.data.end - frame.data.start;
        let mut decode = |decoder: &mut Decoder<'_>| {
            decoder.open(FrameStyle::Lz4 as i32, || Ok(()))?;
            decoder.get(Kind::Data, SharedBytesMut::new(to))?;
            decoder.close(|| Ok(()))
        };
        let begin = frame.stored.start;
        match decode(&mut decoder) {
            Ok(end) if is_whole && end != stored.len() as u64 => {
                Err(ErrorKind::Corrupt { offset: begin + end, reason: "the frame is longer than its data" })
            }
            Ok(_) => Ok(()),
            Err(frame::Error::Corrupt { offset, reason }) => Err(ErrorKind::Corrupt { offset: begin + offset, reason }),
            Err(error) => Err(error.into()),
        }
    }

    /// Restores at least the first `least` bytes of a frame to memory of its own: the frame of this number.
    pub(super) fn decode_apart(&mut self, number: usize, stored: &[u8], frame: &Frame, least: usize) -> Result<&[u8], ErrorKind> {
        if self.frame != Some(number) || self.ready < least {
            let size = (frame.data.end - frame.data.start) as usize;
            // A chunk comes whole, or not at all. Whoever wants more of a frame than before, will go on; but what is wrong with the rest is
            // nothing to what was asked for.
            let least = least.next_multiple_of(CHUNK_MAX).min(size);
            let mut ready = if self.frame == Some(number) { size } else { least };
            self.frame = None;
            let mut scratch = std::mem::take(&mut self.scratch);
            try_grow(&mut scratch, ready)?;
            let mut result = self.decode(stored, frame, &mut scratch[..ready]);
            if result.is_err() && least < ready {
                ready = least;
                result = self.decode(stored, frame, &mut scratch[..ready]);
            }
            self.scratch = scratch;
            result?;
            (self.frame, self.ready) = (Some(number), ready);
        }
        Ok(&self.scratch[..self.ready])
    }
}
