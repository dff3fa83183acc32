//! One frame, made or restored as at its place in a checkpoint.

use std::os::fd::BorrowedFd;

use crate::alloc::try_zeroed;
use crate::bytes::end_of;
use crate::frame::Error;
use crate::frame::decoder::Decoder;
use crate::frame::encoder::Encoder;
use crate::frame::sink::Sink;
use crate::frame::source::{self, Source};
use crate::frame::state::FrameState;
use crate::frame::{BufferKind, CHUNK_MAX, FrameStyle, chunk_bound, sink};
use crate::sys::lz4::{OwnedCompressor, OwnedDecompressor, StreamOffset};
use crate::sys::shared_bytes::{SharedBytes, SharedBytesMut};

/// Adds a frame that has buffers of these sizes to those made so far. Returns whether LZ4 compresses it with a used table.
pub(crate) fn add_frame(offset: &mut StreamOffset, style: FrameStyle, sizes: impl Iterator<Item = u64>) -> bool {
    if style != FrameStyle::Lz4 {
        return false;
    }
    let reuses_table = offset.start_stream();
    sizes.for_each(|size| offset.add_buffer(size, CHUNK_MAX as u64));
    reuses_table
}

/// The most bytes that a frame takes that has buffers of these sizes. An error where that is more than there can be.
pub(crate) fn bound(style: FrameStyle, sizes: impl Iterator<Item = u64>) -> Result<u64, Error> {
    let mut bound = 0;
    for size in sizes {
        let chunks = size / CHUNK_MAX as u64;
        let rest = (size % CHUNK_MAX as u64) as usize;
        let more = match style {
            FrameStyle::Raw => Some(size),
            FrameStyle::Lz4 => {
                let rest = if rest > 0 { chunk_bound(rest) as u64 } else { 0 };
                chunks.checked_mul(chunk_bound(CHUNK_MAX) as u64).and_then(|chunks| chunks.checked_add(rest))
            }
        };
        bound = end_of(bound, more.ok_or(Error::OffsetOverflow { size })?)?;
    }
    Ok(bound)
}

/// Makes frames: what one thread needs for that.
pub(crate) struct FrameEncoder(OwnedCompressor);

impl FrameEncoder {
    pub(crate) fn new() -> Result<Self, Error> {
        OwnedCompressor::new().map(Self).ok_or(Error::OutOfMemory)
    }

    /// Makes a frame at the start of `room`, which has as many bytes as [`bound`] says; with fewer, LZ4 judges what fits. Returns how many
    /// it took. `later` is what [`add_frame`] said.
    pub(crate) fn make<'b>(
        &mut self,
        style: FrameStyle,
        later: bool,
        buffers: impl Iterator<Item = &'b [u8]>,
        room: &mut [u8],
    ) -> Result<usize, Error> {
        let mut offset = 0;
        let endpoint = Sink::Mmio(sink::Mmio { offset: &mut offset, region: SharedBytesMut::new(room) });
        // One thread, which is one of several.
        self.make_at(style, later, buffers, endpoint, 1).map(|end| end as usize)
    }

    /// Makes a frame where `end` says, on up to `threads` threads. Returns the offset one past its last byte.
    pub(super) fn make_at<'b>(
        &mut self,
        style: FrameStyle,
        later: bool,
        buffers: impl Iterator<Item = &'b [u8]>,
        endpoint: Sink<'_>,
        threads: usize,
    ) -> Result<u64, Error> {
        let mut lz4 = self.0.borrow();
        lz4.start_stream(later);
        let (mut state, mut ring_cursor) = (FrameState::BETWEEN_FRAMES, 0);
        let mut encoder = Encoder { state: &mut state, lz4: Some(lz4), ring_cursor: &mut ring_cursor, endpoint, threads };
        encoder.open(style as i32, || Ok(()))?;
        for buffer in buffers {
            encoder.write_buffer(BufferKind::Data, SharedBytes::new(buffer))?;
        }
        encoder.close(|| Ok(()))
    }
}

/// Where frames are read from.
#[derive(Clone, Copy)]
pub(crate) enum From<'h> {
    /// Memory: offsets are those in it.
    Memory(&'h [u8]),
    /// A file, by pread(2): its position neither matters nor changes.
    File(BorrowedFd<'h>),
}

/// Restores frames: what one thread needs for that.
pub(crate) struct FrameDecoder<'h> {
    lz4: OwnedDecompressor,
    from: From<'h>,
    /// What is read from a file goes here.
    buffer: Vec<u8>,
}

/// Of a file, so much is read at a time.
const READ_SIZE: usize = 256 << 10;

impl<'h> FrameDecoder<'h> {
    pub(crate) fn new(from: From<'h>) -> Result<Self, Error> {
        let buffer = if let From::File(_) = from { try_zeroed(READ_SIZE)? } else { Vec::new() };
        Ok(Self { lz4: OwnedDecompressor::new().ok_or(Error::OutOfMemory)?, from, buffer })
    }

    /// Restores a frame from `offset` on. Returns the offset one past what was restored of it. After an error the content of the buffers is
    /// undefined.
    pub(crate) fn restore<'b>(
        &mut self,
        style: FrameStyle,
        mut offset: u64,
        buffers: impl Iterator<Item = &'b mut [u8]>,
    ) -> Result<u64, Error> {
        let (mut pos, mut available) = (0, 0);
        let endpoint = match self.from {
            From::Memory(memory) if offset > memory.len() as u64 => {
                return Err(Error::SeekPastEnd { offset, size: memory.len() as u64 });
            }
            From::Memory(memory) => Source::Mmio(source::Mmio { offset: &mut offset, region: SharedBytes::new(memory) }),
            From::File(fd) => Source::Stream(source::Stream {
                fd,
                positioned: true,
                size: source::NOT_SEEKABLE,
                offset: &mut offset,
                buffer: &mut self.buffer,
                pos: &mut pos,
                available: &mut available,
            }),
        };
        let (mut state, mut ring_cursor) = (FrameState::BETWEEN_FRAMES, 0);
        let lz4 = Some(self.lz4.borrow());
        let mut decoder = Decoder { state: &mut state, lz4, ring_cursor: &mut ring_cursor, endpoint, threads: 1 };
        decoder.open(style as i32, || Ok(()))?;
        for buffer in buffers {
            decoder.read_buffer(BufferKind::Data, SharedBytesMut::new(buffer))?;
        }
        decoder.close(|| Ok(()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frame::{Checkpt, Restore};

    fn letters(mut seed: u64, size: usize) -> Vec<u8> {
        let mut next = || {
            seed ^= seed << 13;
            seed ^= seed >> 7;
            seed ^= seed << 17;
            b"ACGT"[(seed >> 20) as usize % 4]
        };
        (0..size).map(|_| next()).collect()
    }

    /// Frames of low entropy, where history shows, of both styles, some without content.
    fn frames() -> Vec<(FrameStyle, Vec<Vec<u8>>)> {
        let mut frames = Vec::new();
        for seed in 1..40u64 {
            let style = if seed % 5 == 0 { FrameStyle::Raw } else { FrameStyle::Lz4 };
            let sizes: &[usize] = match seed % 4 {
                0 => &[],
                1 => &[40, 0, 3000],
                2 => &[0, 100_000, 16],
                _ => &[70_000, 65_536, 5, 200_000],
            };
            frames.push((style, sizes.iter().map(|&size| letters(seed, size)).collect()));
        }
        frames
    }

    #[test]
    fn frames_made_apart_are_those_that_one_handle_makes() {
        for skip in 0..6 {
            let frames = &frames()[skip..];
            let mut region = vec![0; 10 << 20];
            let mut one = Checkpt::mmio(&mut region).unwrap();
            let mut ends = Vec::new();
            for (style, buffers) in frames {
                one.open(*style).unwrap();
                buffers.iter().for_each(|buffer| one.data(buffer).unwrap());
                ends.push(one.close().unwrap() as usize);
            }
            drop(one);
            let (mut history, mut begin, mut differing) = (StreamOffset::default(), 0, 0);
            let mut maker = FrameEncoder::new().unwrap();
            for ((style, buffers), &end) in frames.iter().zip(&ends) {
                let sizes = || buffers.iter().map(|buffer| buffer.len() as u64);
                let later = add_frame(&mut history, *style, sizes());
                let bound = bound(*style, sizes()).unwrap() as usize;
                let mut make = |later| {
                    let mut room = vec![0; bound];
                    let made = maker.make(*style, later, buffers.iter().map(Vec::as_slice), &mut room).unwrap();
                    room.truncate(made);
                    room
                };
                assert!(make(later) == region[begin..end], "frame at {begin}, later: {later}");
                differing += usize::from(make(!later) != region[begin..end]);
                begin = end;
            }
            assert!(differing > 0, "history shows in these");
        }
    }

    #[test]
    fn only_lz4_frames_count() {
        let mut offset = StreamOffset::default();
        assert!(!add_frame(&mut offset, FrameStyle::Lz4, [0].into_iter()));
        assert!(!add_frame(&mut offset, FrameStyle::Raw, [5].into_iter()));
        assert!(!add_frame(&mut offset, FrameStyle::Lz4, [5].into_iter()));
        assert!(add_frame(&mut offset, FrameStyle::Lz4, [5].into_iter()));
    }

    #[test]
    fn bounds_are_kept_and_do_not_overflow() {
        assert_eq!(bound(FrameStyle::Raw, [1, 2].into_iter()), Ok(3));
        assert_eq!(bound(FrameStyle::Lz4, [0, 65_536, 65_537].into_iter()), Ok(2 * 65_812 + 20));
        for style in [FrameStyle::Raw, FrameStyle::Lz4] {
            assert!(bound(style, [u64::MAX, 1].into_iter()).is_err());
        }
        assert!(bound(FrameStyle::Lz4, [u64::MAX].into_iter()).is_err());
    }

    #[test]
    fn frames_are_restored_from_memory_and_from_a_file() {
        let mut region = vec![0; 10 << 20];
        let mut checkpt = Checkpt::mmio(&mut region).unwrap();
        let mut offsets = Vec::new();
        let frames = frames();
        for (style, buffers) in &frames {
            offsets.push(checkpt.open(*style).unwrap());
            buffers.iter().for_each(|buffer| checkpt.data(buffer).unwrap());
            checkpt.close().unwrap();
        }
        offsets.push(checkpt.open(FrameStyle::Raw).unwrap());
        drop(checkpt);
        region.truncate(offsets[frames.len()] as usize);
        let file = tempfile::tempfile().unwrap();
        std::io::Write::write_all(&mut &file, &region).unwrap();
        for from in [From::Memory(&region), From::File(std::os::fd::AsFd::as_fd(&file))] {
            let mut decoder = FrameDecoder::new(from).unwrap();
            for (number, (style, buffers)) in frames.iter().enumerate().rev() {
                let mut restored: Vec<Vec<u8>> = buffers.iter().map(|buffer| vec![0; buffer.len()]).collect();
                let end = decoder.restore(*style, offsets[number], restored.iter_mut().map(Vec::as_mut_slice));
                assert_eq!(end, Ok(offsets[number + 1]));
                assert!(&restored == buffers, "{number}");
            }
            let result = decoder.restore(FrameStyle::Raw, region.len() as u64 - 1, [&mut [0; 9][..]].into_iter());
            assert_eq!(result, Err(Error::UnexpectedEof { offset: region.len() as u64, missing: 8 }));
            assert!(decoder.restore(FrameStyle::Lz4, u64::MAX, [&mut [0; 9][..]].into_iter()).is_err());
            if let From::Memory(_) = from {
                // Also where nothing is asked for.
                let (offset, size) = (region.len() as u64 + 1, region.len() as u64);
                assert_eq!(decoder.restore(FrameStyle::Raw, size, [].into_iter()), Ok(size));
                assert_eq!(decoder.restore(FrameStyle::Raw, offset, [].into_iter()), Err(Error::SeekPastEnd { offset, size }));
            }
            // At the end of all offsets, and beyond.
            let mut far = |offset| decoder.restore(FrameStyle::Raw, offset, [&mut [0; 9][..]].into_iter()).unwrap_err();
            let (near, beyond) = (far(i64::MAX as u64 - 9), far(i64::MAX as u64 - 8));
            match from {
                From::Memory(_) => assert!(matches!((near, beyond), (Error::SeekPastEnd { .. }, Error::SeekPastEnd { .. }))),
                From::File(_) => {
                    assert_eq!(near, Error::UnexpectedEof { offset: i64::MAX as u64 - 9, missing: 9 });
                    assert_eq!(beyond, Error::OffsetOverflow { size: 9 });
                }
            }
        }
        let position = std::io::Seek::stream_position(&mut &file).unwrap();
        assert_eq!(position, region.len() as u64, "where writing left it");
        // And by a handle, as ever.
        let mut restore = Restore::mmio(&region).unwrap();
        restore.seek(offsets[1]).unwrap();
        restore.open(frames[1].0).unwrap();
        for buffer in &frames[1].1 {
            let mut restored = vec![0; buffer.len()];
            restore.data(&mut restored).unwrap();
            assert_eq!(&restored, buffer);
        }
    }
}
