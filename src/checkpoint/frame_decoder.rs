//! Decoding the frames of a checkpoint file.

use super::error::ErrorKind;
use super::index_format::FrameRecord;
use crate::alloc::try_grow;
use crate::frame;
use crate::frame::decoder::Decoder;
use crate::frame::source::{Mmio, Source};
use crate::frame::state::FrameState;
use crate::frame::{BufferKind, CHUNK_MAX, FrameStyle};
use crate::sys::lz4::OwnedDecompressor;
use crate::sys::shared_bytes::{SharedBytes, SharedBytesMut};

/// Decodes frames for one thread. Keeps the last one for reads of several parts of it.
#[derive(Default)]
pub(super) struct FrameDecoder {
    lz4: Option<OwnedDecompressor>,
    scratch: Vec<u8>,
    /// Index of the frame whose first bytes are in `scratch`.
    frame: Option<usize>,
    /// Number of bytes of it that are decoded.
    decoded: usize,
}

impl FrameDecoder {
    /// Decodes the first `to.len()` bytes of an LZ4 frame.
    pub(super) fn decode(&mut self, stored: &[u8], frame: &FrameRecord, to: &mut [u8]) -> Result<(), ErrorKind> {
        if self.lz4.is_none() {
            self.lz4 = Some(OwnedDecompressor::new().ok_or(ErrorKind::OutOfMemory)?);
        }
        let lz4 = self.lz4.as_mut().ok_or(ErrorKind::Internal)?;
        let (mut state, mut ring_cursor, mut offset) = (FrameState::BETWEEN_FRAMES, 0, 0);
        let endpoint = Source::Mmio(Mmio { offset: &mut offset, region: SharedBytes::new(stored) });
        let mut decoder =
            Decoder { state: &mut state, lz4: Some(lz4.borrow()), ring_cursor: &mut ring_cursor, endpoint, threads: 1 };
        let is_whole = to.len() as u64 == frame.data.end - frame.data.start;
        let mut decode = |decoder: &mut Decoder<'_>| {
            decoder.open(FrameStyle::Lz4 as i32, || Ok(()))?;
            decoder.read_buffer(BufferKind::Data, SharedBytesMut::new(to))?;
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

    /// Decodes at least the first `min_size` bytes of the frame to memory of the decoder.
    pub(super) fn decode_to_scratch(
        &mut self,
        index: usize,
        stored: &[u8],
        frame: &FrameRecord,
        min_size: usize,
    ) -> Result<&[u8], ErrorKind> {
        if self.frame != Some(index) || self.decoded < min_size {
            let size = (frame.data.end - frame.data.start) as usize;
            // Chunks decode as a whole. A second read of the same frame probably continues to its end, so all of it is decoded; corruption
            // behind the requested part must not fail it.
            let min_size = min_size.next_multiple_of(CHUNK_MAX).min(size);
            let mut decoded = if self.frame == Some(index) { size } else { min_size };
            self.frame = None;
            let mut scratch = std::mem::take(&mut self.scratch);
            try_grow(&mut scratch, decoded)?;
            let mut result = self.decode(stored, frame, &mut scratch[..decoded]);
            if result.is_err() && min_size < decoded {
                decoded = min_size;
                result = self.decode(stored, frame, &mut scratch[..decoded]);
            }
            self.scratch = scratch;
            result?;
            (self.frame, self.decoded) = (Some(index), decoded);
        }
        Ok(&self.scratch[..self.decoded])
    }
}
