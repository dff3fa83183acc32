//! Making frames of data.

use super::checksum;
use crate::codec::FrameStyle;
use crate::codec::encoder::Encoder;
use crate::codec::sink::{Mmio, Sink};
use crate::codec::style::Phase;
use crate::codec::{CHUNK_MAX, Kind, chunk_bound};
use crate::error::Error;
use crate::sys::lz4::OwnedCompressor;
use crate::sys::memory::{Region, RegionMut};

/// The most bytes that an LZ4 frame of so much data takes.
pub(super) fn frame_bound(data: usize) -> usize {
    data / CHUNK_MAX * chunk_bound(CHUNK_MAX) + chunk_bound(data % CHUNK_MAX)
}

/// What makes LZ4 frames, one behind the other: one handle, as its frames depend on whether it has made others before.
pub(super) struct Maker {
    lz4: OwnedCompressor,
    frame: Vec<u8>,
}

/// A frame.
pub(super) struct Made<'m> {
    /// As it is in the file.
    pub(super) stored: &'m [u8],
    /// The checksum of its data, if it was asked for.
    pub(super) data_sum: u64,
}

impl Maker {
    pub(super) fn new() -> Result<Self, Error> {
        Ok(Self { lz4: OwnedCompressor::new().ok_or(Error::OutOfMemory)?, frame: Vec::new() })
    }

    /// Makes an LZ4 frame of one buffer.
    pub(super) fn make(&mut self, data: &[u8], with_sum: bool) -> Result<Made<'_>, Error> {
        let bound = frame_bound(data.len());
        if self.frame.len() < bound {
            self.frame.try_reserve_exact(bound - self.frame.len()).map_err(|_| Error::OutOfMemory)?;
            self.frame.resize(bound, 0);
        }
        let data_sum = if with_sum { checksum(data) } else { 0 };
        let (mut phase, mut ring_cursor, mut offset) = (Phase::BETWEEN_FRAMES, 0, 0);
        let end = Sink::Mmio(Mmio { offset: &mut offset, region: RegionMut::new(&mut self.frame) });
        let mut encoder = Encoder { phase: &mut phase, lz4: Some(self.lz4.borrow()), ring_cursor: &mut ring_cursor, end };
        encoder.open(FrameStyle::Lz4 as i32, || Ok(()))?;
        encoder.put(Kind::Data, Region::new(data))?;
        let size = encoder.close(|| Ok(()))?;
        Ok(Made { stored: &self.frame[..size as usize], data_sum })
    }
}
