//! Restoring many frames on several threads.

use std::fs::File;
use std::os::fd::AsFd;

use crate::mapped_file::map_file;
use std::cmp::Reverse;
use std::sync::{Mutex, PoisonError};

use super::batch::Frames;
use super::codec::{FrameDecoder, From};
use super::error::FrameError;
use super::plan::PART;
use super::request::FrameReadRequest;
use crate::bytes::end_of;
use crate::frame::Error;
use crate::frame::FrameStyle;
use crate::sync::parallel_for::parallel_for_with;
use crate::sys::threads;

impl Frames {
    /// Restores frames from memory, in any order and on several threads.
    ///
    /// # Errors
    /// That of the first frame for which restoring fails: [`Error::UnexpectedEof`]; [`Error::Corrupt`]; [`Error::SeekPastEnd`];
    /// [`Error::OutOfMemory`]. What is in the buffers of any frame then, is undefined.
    pub fn read_from_slice(&self, frames: &mut [FrameReadRequest<'_, '_>], region: &[u8]) -> Result<(), FrameError> {
        restore(self.threads, frames, From::Memory(region))
    }

    /// Restores frames from a file, by reading at their offsets: where the file stands does not matter, and does not change.
    ///
    /// # Errors
    /// As for [`read_from_slice`](Self::read_from_slice), and [`Error::Io`] where reading fails.
    pub fn read_from_file(&self, frames: &mut [FrameReadRequest<'_, '_>], file: impl AsFd) -> Result<(), FrameError> {
        restore(self.threads, frames, From::File(file.as_fd()))
    }

    /// Restores frames from a file by a memory map. Nobody may shorten the file meanwhile: a process that touches a part of a map that
    /// its file no longer has is ended by the system (SIGBUS).
    ///
    /// # Errors
    /// As for [`read_from_slice`](Self::read_from_slice), and [`Error::Io`] where the file can't be mapped.
    pub fn read_from_mmap(&self, frames: &mut [FrameReadRequest<'_, '_>], file: &File) -> Result<(), FrameError> {
        let map = map_file(file).map_err(Error::from)?;
        self.read_from_slice(frames, map.bytes())
    }
}

/// Small frames, and small buffers of a RAW frame, are restored together up to about this size.
const TOGETHER: u64 = 256 << 10;

/// What is done at a time.
enum Job<'j, 'f, 'b> {
    Frames(&'j mut [FrameReadRequest<'f, 'b>]),
    /// Buffers of a RAW frame, from this offset on.
    Buffers(u64, &'j mut [&'b mut [u8]]),
    /// A part of such a buffer.
    Part(u64, &'j mut [u8]),
}

/// A job, with the place that it has in order, its frame, and its size.
struct Numbered<'j, 'f, 'b> {
    rank: usize,
    frame: usize,
    size: u64,
    job: Mutex<Option<Job<'j, 'f, 'b>>>,
}

/// Restores frames on up to `threads` threads, 0: as many as are allowed.
pub(super) fn restore(threads: usize, frames: &mut [FrameReadRequest<'_, '_>], from: From<'_>) -> Result<(), FrameError> {
    let mut jobs = Jobs(Vec::new());
    jobs.plan(frames)?;
    let mut jobs = jobs.0;
    // The large ones first, so that no thread is left with one when the others are through; else in order.
    jobs.sort_unstable_by_key(|job| (Reverse(job.size.checked_ilog2()), job.rank));
    if jobs.is_empty() {
        return Ok(());
    }
    let mut decoder = FrameDecoder::new(from).map_err(|error| FrameError { frame: 0, error })?;
    parallel_for_with(
        threads::resolve_thread_count(threads),
        jobs.len(),
        |number| jobs[number].rank,
        &mut decoder,
        || FrameDecoder::new(from).ok(),
        |decoder, number| {
            let Numbered { frame: first, job, .. } = &jobs[number];
            let job = job.lock().unwrap_or_else(PoisonError::into_inner).take();
            let job = job.ok_or(FrameError { frame: *first, error: Error::Internal })?;
            job.run(decoder).map_err(|FrameError { frame, error }| FrameError { frame: first + frame, error })
        },
        || Ok(()),
    )
}

impl Job<'_, '_, '_> {
    fn run(self, decoder: &mut FrameDecoder<'_>) -> Result<(), FrameError> {
        match self {
            Self::Frames(frames) => {
                for (number, frame) in frames.iter_mut().enumerate() {
                    let FrameReadRequest { style, offset, buffers, end } = frame;
                    let buffers = buffers.iter_mut().map(|buffer| &mut **buffer);
                    *end = decoder.restore(*style, *offset, buffers).map_err(|error| FrameError { frame: number, error })?;
                }
            }
            Self::Buffers(offset, buffers) => {
                let buffers = buffers.iter_mut().map(|buffer| &mut **buffer);
                decoder.restore(FrameStyle::Raw, offset, buffers)?;
            }
            Self::Part(offset, part) => {
                decoder.restore(FrameStyle::Raw, offset, [part].into_iter())?;
            }
        }
        Ok(())
    }
}

struct Jobs<'j, 'f, 'b>(Vec<Numbered<'j, 'f, 'b>>);

impl<'j, 'f, 'b> Jobs<'j, 'f, 'b> {
    /// The jobs for these frames. Fails where memory is short, with the number of a frame.
    fn plan(&mut self, frames: &'j mut [FrameReadRequest<'f, 'b>]) -> Result<(), FrameError> {
        let (mut rest, mut number) = (frames, 0);
        while !rest.is_empty() {
            // As many as are small enough to be restored together.
            let (mut count, mut size) = (0, 0);
            for frame in rest.iter() {
                let this = frame.size();
                if count > 0 && u64::saturating_add(size, this) > TOGETHER {
                    break;
                }
                (count, size) = (count + 1, size.saturating_add(this));
            }
            let (these, behind) = rest.split_at_mut(count);
            rest = behind;
            let result = match end_of(these[0].offset, size) {
                // It is the only one.
                Ok(end) if size > TOGETHER && these[0].style == FrameStyle::Raw => self.plan_raw(number, &mut these[0], end),
                // Also one that ends beyond all offsets, which fails when it is its turn.
                _ => self.push(number, size, Job::Frames(these)),
            };
            result.map_err(|error| FrameError { frame: number, error })?;
            number += count;
        }
        Ok(())
    }

    fn push(&mut self, frame: usize, size: u64, job: Job<'j, 'f, 'b>) -> Result<(), Error> {
        self.0.try_reserve(1)?;
        self.0.push(Numbered { rank: self.0.len(), frame, size, job: Mutex::new(Some(job)) });
        Ok(())
    }

    fn plan_raw(&mut self, number: usize, frame: &'j mut FrameReadRequest<'f, 'b>, end: u64) -> Result<(), Error> {
        let mut offset = frame.offset;
        frame.end = end;
        let mut rest = &mut *frame.buffers;
        while !rest.is_empty() {
            let (mut count, mut size) = (0, 0);
            for buffer in rest.iter() {
                let this = buffer.len() as u64;
                if count > 0 && u64::saturating_add(size, this) > TOGETHER {
                    break;
                }
                (count, size) = (count + 1, size.saturating_add(this));
            }
            let (these, behind) = rest.split_at_mut(count);
            rest = behind;
            if size <= TOGETHER {
                self.push(number, size, Job::Buffers(offset, these))?;
                offset += size;
                continue;
            }
            // One large buffer.
            for part in these.iter_mut().flat_map(|buffer| buffer.chunks_mut(PART)) {
                let size = part.len() as u64;
                self.push(number, size, Job::Part(offset, part))?;
                offset += size;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Frame and size of each job.
    fn plan(frames: &[(FrameStyle, &[u64])]) -> Vec<(usize, u64, &'static str)> {
        let mut memory = vec![0; frames.iter().flat_map(|(_, sizes)| *sizes).sum::<u64>() as usize];
        let mut rest = &mut memory[..];
        let mut cut = |size: &u64| rest.split_off_mut(..*size as usize).unwrap();
        let mut buffers: Vec<Vec<&mut [u8]>> = frames.iter().map(|(_, sizes)| sizes.iter().map(&mut cut).collect()).collect();
        let wanted = frames.iter().zip(&mut buffers).map(|((style, _), buffers)| FrameReadRequest::new(*style, 5, buffers));
        let mut wanted: Vec<_> = wanted.collect();
        let mut jobs = Jobs(Vec::new());
        jobs.plan(&mut wanted).unwrap();
        let kind = |job: Job<'_, '_, '_>| match job {
            Job::Frames(_) => "frames",
            Job::Buffers(..) => "buffers",
            Job::Part(..) => "part",
        };
        let jobs = jobs.0.into_iter();
        jobs.map(|job| (job.frame, job.size, kind(job.job.into_inner().unwrap().unwrap()))).collect()
    }

    #[test]
    fn small_ones_together_and_large_raw_frames_in_parts() {
        const RAW: FrameStyle = FrameStyle::Raw;
        const LZ4: FrameStyle = FrameStyle::Lz4;
        const PART: u64 = super::PART as u64;
        assert_eq!(plan(&[]), []);
        assert_eq!(plan(&[(RAW, &[]), (LZ4, &[5]), (RAW, &[1, 2])]), [(0, 8, "frames")]);
        let half = TOGETHER / 2;
        assert_eq!(plan(&[(RAW, &[half]), (LZ4, &[half]), (RAW, &[1])]), [(0, TOGETHER, "frames"), (2, 1, "frames")]);
        assert_eq!(plan(&[(RAW, &[TOGETHER]), (LZ4, &[TOGETHER + 1])]), [(0, TOGETHER, "frames"), (1, TOGETHER + 1, "frames")]);
        let large = [(LZ4, &[1][..]), (RAW, &[half, half, 1, 2 * PART + 3, 7])];
        let expected = [
            (0, 1, "frames"),
            (1, TOGETHER, "buffers"),
            (1, 1, "buffers"),
            (1, PART, "part"),
            (1, PART, "part"),
            (1, 3, "part"),
            (1, 7, "buffers"),
        ];
        assert_eq!(plan(&large), expected);
        assert_eq!(plan(&[(RAW, &[TOGETHER, 1])]), [(0, TOGETHER, "buffers"), (0, 1, "buffers")]);
    }
}
