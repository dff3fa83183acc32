//! Encoding frames on several threads.

use super::checksum;
use super::error::ErrorKind;
use crate::alloc::{try_collect, try_grow};
use crate::frame::FrameStyle;
use crate::frames::codec::{self, add_frame, bound};
use crate::sync::pipeline::{JobOutput, Pipeline};
use crate::sys::cond_mutex::CondMutex;
use crate::sys::lz4::StreamOffset;

/// An encoded frame.
pub(super) enum EncodedFrame<'m> {
    /// RAW: the data itself.
    Raw,
    Compressed {
        bytes: &'m [u8],
        stored_checksum: u64,
        data_checksum: u64,
    },
}

/// Receives the encoded frames in order, with the index of the part that each encodes.
pub(super) type OnFrame<'t> = dyn FnMut(usize, EncodedFrame<'_>) -> Result<(), ErrorKind> + 't;

/// Encodes consecutive frames. The bytes of LZ4 frames depend on the position of the previous ones in the LZ4 stream.
pub(super) struct FrameEncoder {
    threads: usize,
    stream_offset: StreamOffset,
    /// Compressors and buffers for reuse: faulting in new memory costs more than encoding.
    spare: CondMutex<Spare>,
}

#[derive(Default)]
struct Spare {
    makers: Vec<codec::FrameEncoder>,
    buffers: Vec<Vec<u8>>,
}

impl FrameEncoder {
    pub(super) fn new(threads: usize) -> Self {
        Self { threads, stream_offset: StreamOffset::default(), spare: CondMutex::new(Spare::default()) }
    }

    /// Returns the number of frames to collect before encoding, so that all threads have work. 0 with one thread.
    pub(super) fn batch_size(&self, style: FrameStyle) -> usize {
        if style == FrameStyle::Raw || self.threads == 1 { 0 } else { 8 * self.threads }
    }

    /// Encodes each part as a frame and passes the frames to `on_frame` in order. From part `region` on, computes checksums of the data
    /// too. Returns the index of the part that failed with the error.
    pub(super) fn encode(
        &mut self,
        style: FrameStyle,
        checksums: bool,
        parts: &[&[u8]],
        region: usize,
        on_frame: &mut OnFrame<'_>,
    ) -> Result<(), (usize, ErrorKind)> {
        if style == FrameStyle::Raw {
            return (0..parts.len()).try_for_each(|index| on_frame(index, EncodedFrame::Raw).map_err(|error| (index, error)));
        }
        let offsets = parts.iter().map(|part| add_frame(&mut self.stream_offset, style, std::iter::once(part.len() as u64)));
        let offsets = try_collect(offsets).map_err(|error| (0, error.into()))?;
        let spare = &self.spare;
        let encode = |maker: &mut PooledMaker<'_>, index: usize| {
            let part = parts[index];
            let mut buffer = spare.lock().buffers.pop().unwrap_or_default();
            let bound = bound(style, std::iter::once(part.len() as u64))? as usize;
            try_grow(&mut buffer, bound)?;
            let data_checksum = if checksums && index >= region { checksum(part) } else { 0 };
            let maker = maker.maker.as_mut().ok_or(ErrorKind::Internal)?;
            let size = maker.make(style, offsets[index], std::iter::once(part), &mut buffer)?;
            let stored_checksum = if checksums { checksum(&buffer[..size]) } else { 0 };
            Ok::<_, ErrorKind>(CompressedFrame { buffer, size, stored_checksum, data_checksum })
        };
        let mut pass_on = |index: usize, CompressedFrame { buffer, size, stored_checksum, data_checksum }: CompressedFrame| {
            on_frame(index, EncodedFrame::Compressed { bytes: &buffer[..size], stored_checksum, data_checksum })?;
            let mut spare = spare.lock();
            if spare.buffers.try_reserve(1).is_ok() {
                spare.buffers.push(buffer);
            }
            Ok(())
        };
        if self.threads > 1 && parts.len() > 1 {
            // The jobs have their own buffers.
            let pipeline = Pipeline { threads: self.threads, jobs: parts.len(), buffer_size: 0 };
            let encode = |maker: &mut PooledMaker<'_>, index: usize, _: &mut [u8]| {
                encode(maker, index).map(|result| JobOutput { len: 0, result })
            };
            let result = pipeline.run_ordered(|| PooledMaker::take(spare), encode, |index, _, frame| pass_on(index, frame));
            return result.map_err(|failed| (failed.job, failed.error));
        }
        let mut maker = PooledMaker::take(spare).map_err(|error| (0, error))?;
        (0..parts.len()).try_for_each(|index| {
            encode(&mut maker, index).and_then(|frame| pass_on(index, frame)).map_err(|error| (index, error))
        })
    }
}

/// A compressed frame: the first `size` bytes of its buffer.
struct CompressedFrame {
    buffer: Vec<u8>,
    size: usize,
    stored_checksum: u64,
    data_checksum: u64,
}

/// A maker that returns to the pool when dropped.
struct PooledMaker<'m> {
    maker: Option<codec::FrameEncoder>,
    spare: &'m CondMutex<Spare>,
}

impl<'m> PooledMaker<'m> {
    fn take(spare: &'m CondMutex<Spare>) -> Result<Self, ErrorKind> {
        let maker = spare.lock().makers.pop();
        Ok(Self { maker: Some(maker.map_or_else(codec::FrameEncoder::new, Ok)?), spare })
    }
}

impl Drop for PooledMaker<'_> {
    fn drop(&mut self) {
        let mut spare = self.spare.lock();
        if spare.makers.try_reserve(1).is_ok() {
            spare.makers.extend(self.maker.take());
        }
    }
}
