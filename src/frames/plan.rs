//! How frames become jobs: small ones together, large ones in parts where that is possible.

use std::ops::Range;

use super::codec::{add_frame, bound};
use super::error::FrameError;
use super::request::Frame;
use crate::frame::Error;
use crate::frame::FrameStyle;
use crate::sys::lz4::StreamOffset;

/// What is made in memory is about so much for each job.
const GATHERED: u64 = 512 << 10;

/// LZ4 frames that may take more than this are made one at a time.
pub(super) const ALONE: u64 = 32 << 20;

/// Buffers of RAW frames of at least this size are taken from where they are.
const DIRECT: usize = 64 << 10;

/// In parts of this size.
pub(super) const PART: usize = 4 << 20;

/// What is done at a time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Job {
    /// Whole frames are made in memory.
    Frames(Range<usize>),
    /// Buffers of a RAW frame are copied to memory.
    Buffers(usize, Range<usize>),
    /// Bytes of a buffer of a RAW frame are taken from where they are.
    Part(usize, usize, Range<usize>),
    /// An LZ4 frame is made where it belongs, when it is its turn.
    Alone(usize),
}

impl Job {
    /// The first frame that it is about.
    pub(super) fn frame(&self) -> usize {
        match *self {
            Self::Frames(ref frames) => frames.start,
            Self::Buffers(frame, _) | Self::Part(frame, ..) | Self::Alone(frame) => frame,
        }
    }
}

/// Jobs, and what they are about.
#[derive(Debug)]
pub(super) struct Plan {
    pub(super) jobs: Vec<Job>,
    /// The most bytes that one makes in memory.
    pub(super) room: usize,
    /// Of each frame, whether it is a later one to LZ4.
    pub(super) later: Vec<bool>,
    /// The history after all of them.
    pub(super) history: StreamOffset,
}

impl Plan {
    /// The jobs for these frames, in order. Fails with the number of a frame that can't be; 0, where memory is short.
    pub(super) fn new(frames: &[Frame<'_>], history: StreamOffset) -> Result<Self, FrameError> {
        let mut plan = Self { jobs: Vec::new(), room: 0, later: Vec::new(), history };
        plan.later.try_reserve_exact(frames.len()).map_err(Error::from)?;
        // Frames from here on are to be made together, and take so much.
        let (mut first, mut together) = (0, 0);
        for (number, frame) in frames.iter().enumerate() {
            plan.later.push(add_frame(&mut plan.history, frame.style, frame.sizes()));
            let bound = bound(frame.style, frame.sizes()).map_err(|error| FrameError { frame: number, error })?;
            let apart = bound > GATHERED && (frame.style == FrameStyle::Raw || bound > ALONE);
            if apart || together + bound > GATHERED {
                plan.push_frames(first..number, together)?;
                (first, together) = (number, 0);
            }
            if apart {
                plan.push_apart(number, frame)?;
                first = number + 1;
            } else {
                together += bound;
            }
        }
        plan.push_frames(first..frames.len(), together)?;
        Ok(plan)
    }

    fn push(&mut self, job: Job) -> Result<(), Error> {
        self.jobs.try_reserve(1)?;
        self.jobs.push(job);
        Ok(())
    }

    fn push_frames(&mut self, frames: Range<usize>, bound: u64) -> Result<(), Error> {
        if frames.is_empty() {
            return Ok(());
        }
        self.room = self.room.max(bound as usize);
        self.push(Job::Frames(frames))
    }

    fn push_apart(&mut self, number: usize, frame: &Frame<'_>) -> Result<(), Error> {
        if frame.style == FrameStyle::Lz4 {
            return self.push(Job::Alone(number));
        }
        let (mut first, mut together) = (0, 0);
        for (at, buffer) in frame.buffers.iter().enumerate() {
            let direct = buffer.len() >= DIRECT;
            if direct || together as u64 >= GATHERED {
                self.push_buffers(number, first..at, together)?;
                (first, together) = (at, 0);
            }
            if direct {
                for part in (0..buffer.len()).step_by(PART) {
                    self.push(Job::Part(number, at, part..buffer.len().min(part + PART)))?;
                }
                first = at + 1;
            } else {
                together += buffer.len();
            }
        }
        self.push_buffers(number, first..frame.buffers.len(), together)
    }

    fn push_buffers(&mut self, frame: usize, buffers: Range<usize>, size: usize) -> Result<(), Error> {
        if size == 0 {
            return Ok(());
        }
        self.room = self.room.max(size);
        self.push(Job::Buffers(frame, buffers))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_bytes_of_all_frames_are_in_one_job_each() {
        const LZ4: FrameStyle = FrameStyle::Lz4;
        const RAW: FrameStyle = FrameStyle::Raw;
        let bytes = vec![0; 40 << 20];
        let buffer = |size: usize| &bytes[..size];
        let small: Vec<&[u8]> = (0..100_000).map(|_| buffer(16)).collect();
        let mixed = [buffer(5), buffer(0), buffer(9 << 20), buffer(70_000), buffer(3), buffer(60_000)];
        let one = [buffer(100)];
        let (large, huge) = ([buffer(20 << 20)], [buffer(40 << 20)]);
        let frames = [
            Frame::new(RAW, &one),
            Frame::new(LZ4, &one),
            Frame::new(LZ4, &[]),
            Frame::new(RAW, &small),
            Frame::new(LZ4, &small),
            Frame::new(RAW, &mixed),
            Frame::new(LZ4, &large),
            Frame::new(LZ4, &huge),
            Frame::new(RAW, &[]),
            Frame::new(LZ4, &one),
        ];
        let plan = Plan::new(&frames, StreamOffset::default()).unwrap();
        let part = |from: usize, to: usize| Job::Part(5, 2, from << 20..to << 20);
        let buffers = 32_768;
        let expected = [
            Job::Frames(0..3),
            Job::Buffers(3, 0..buffers),
            Job::Buffers(3, buffers..2 * buffers),
            Job::Buffers(3, 2 * buffers..3 * buffers),
            Job::Buffers(3, 3 * buffers..100_000),
            Job::Frames(4..5),
            Job::Buffers(5, 0..2),
            part(0, 4),
            part(4, 8),
            part(8, 9),
            Job::Part(5, 3, 0..70_000),
            Job::Buffers(5, 4..6),
            Job::Frames(6..7),
            Job::Alone(7),
            Job::Frames(8..10),
        ];
        assert_eq!(plan.jobs, expected);
        assert_eq!(plan.later, [false, false, true, false, true, false, true, true, false, true]);
        assert_eq!(plan.room as u64, bound(LZ4, large.iter().map(|buffer| buffer.len() as u64)).unwrap());
        let none = Plan::new(&[], StreamOffset::default()).unwrap();
        assert!(none.jobs.is_empty() && none.room == 0);
    }
}
