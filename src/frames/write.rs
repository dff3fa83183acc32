//! Making many frames on several threads.

use std::ops::Range;
use std::os::fd::AsFd;
use std::os::fd::BorrowedFd;
use std::sync::atomic::{AtomicU64, Ordering};

use super::batch::Frames;
use super::codec::FrameEncoder;
use super::error::FrameError;
use super::plan::{Job, Plan};
use super::request::Frame;
use crate::alloc::{try_collect, try_zeroed};
use crate::bytes::end_of;
use crate::error_base::IoOperation;
use crate::frame::Error;
use crate::frame::sink::{Mmio, Sink, Stream};
use crate::frame::{BUFFER_MIN, CHUNK_MAX, FrameStyle, chunk_bound};
use crate::sync::pipeline::{JobError, JobOutput, Pipeline};
use crate::sys::fd;
use crate::sys::shared_bytes::SharedBytesMut;

impl Frames {
    /// Makes frames in memory. Returns the offset one past the last; [`Frame::range`] tells where each is. A further call goes on with the
    /// checkpoint: it begins at that offset, and its frames are to LZ4 such that follow those of the calls before.
    ///
    /// Memory of the size that [`bound`](Self::bound) says is always enough. With less, the same frame fails as if they were made
    /// one after the other. Bytes behind the last frame may be changed too.
    ///
    /// # Errors
    /// [`Error::BufferFull`] where the memory is too small; [`Error::SeekPastEnd`] where it ends before the first offset;
    /// [`Error::OutOfMemory`]. The frames before the one named are made then, and a further call begins as this one did.
    pub fn write_to_slice(&mut self, frames: &mut [Frame<'_>], region: &mut [u8]) -> Result<u64, FrameError> {
        to_memory(self, frames, region)
    }

    /// Makes frames and writes them to `fd` in order: a file, from its position on, a pipe, a socket. Otherwise as
    /// [`write_to_slice`](Self::write_to_slice).
    ///
    /// # Errors
    /// [`Error::Io`] where writing fails; [`Error::OutOfMemory`]. The frames before the one named are written then, perhaps also a part
    /// of what follows.
    pub fn write_to_stream(&mut self, frames: &mut [Frame<'_>], fd: impl AsFd) -> Result<u64, FrameError> {
        to_stream(self, frames, fd.as_fd())
    }

    /// Makes frames and writes them to `file`, several at a time and each at its offset: where the file stands does not matter, and does
    /// not change. Otherwise as [`write_to_slice`](Self::write_to_slice).
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] where the file is open for appending, so that there is no writing at offsets; [`Error::Io`] where writing
    /// fails; [`Error::OutOfMemory`]. The frames before the one named are written then, perhaps also parts of others.
    pub fn write_to_file(&mut self, frames: &mut [Frame<'_>], file: impl AsFd) -> Result<u64, FrameError> {
        to_file(self, frames, file.as_fd())
    }
}

/// What is to be made, and how.
struct Work<'w, 'b> {
    frames: &'w [Frame<'b>],
    plan: &'w Plan,
    threads: usize,
    /// What frames that are made in memory take.
    sizes: &'w [AtomicU64],
}

/// Where frames lie, as it turns out in order.
struct Ranges<'w> {
    of: &'w mut [Range<u64>],
    /// Where what comes next begins.
    next: u64,
    /// So many frames have their place, the last of them perhaps in part.
    placed: usize,
}

impl Ranges<'_> {
    /// Gives the next `size` bytes to a frame.
    fn add(&mut self, frame: usize, size: u64) -> Result<(), Error> {
        let end = end_of(self.next, size)?;
        if frame >= self.placed {
            self.of[frame].start = self.next;
            self.placed = frame + 1;
        }
        self.of[frame].end = end;
        self.next = end;
        Ok(())
    }
}

/// Where frames go to.
trait Destination {
    /// Makes these jobs, of which none is alone.
    fn make(&mut self, work: &Work<'_, '_>, jobs: &[Job], ranges: &mut Ranges<'_>) -> Result<(), JobError<Error>>;

    /// Makes a frame alone.
    fn make_alone(&mut self, maker: &mut FrameEncoder, work: &Work<'_, '_>, frame: usize, offset: u64) -> Result<u64, Error>;
}

fn checkpt(settings: &mut Frames, frames: &mut [Frame<'_>], to: &mut impl Destination) -> Result<u64, FrameError> {
    let offset = settings.next;
    let plan = Plan::new(frames, settings.history)?;
    let sizes = try_collect((0..frames.len()).map(|_| AtomicU64::new(0))).map_err(Error::from)?;
    let mut ranges = try_collect(std::iter::repeat_n(offset..offset, frames.len())).map_err(Error::from)?;
    let work = Work { frames, plan: &plan, threads: settings.threads, sizes: &sizes };
    let mut so_far = Ranges { of: &mut ranges, next: offset, placed: 0 };
    let result = work.run(&mut so_far, to);
    let end = so_far.next;
    let made = result.map_or_else(|failed| failed.frame, |()| frames.len());
    for (frame, range) in frames[..made].iter_mut().zip(ranges) {
        frame.range = range;
    }
    result?;
    (settings.next, settings.history) = (end, plan.history);
    Ok(end)
}

impl Work<'_, '_> {
    fn run(&self, ranges: &mut Ranges<'_>, to: &mut impl Destination) -> Result<(), FrameError> {
        let mut jobs = &self.plan.jobs[..];
        let mut maker = None;
        while !jobs.is_empty() {
            let together = jobs.iter().position(|job| matches!(job, Job::Alone(_))).unwrap_or(jobs.len());
            let (now, rest) = jobs.split_at(together);
            to.make(self, now, ranges)
                .map_err(|JobError { job, error }| FrameError { frame: Self::culprit(&now[job], &error, ranges), error })?;
            jobs = rest;
            if let Some((&Job::Alone(frame), rest)) = jobs.split_first() {
                let begin = ranges.next;
                let maker = match &mut maker {
                    Some(maker) => Ok(maker),
                    None => FrameEncoder::new().map(|new| maker.insert(new)),
                };
                let end = maker.and_then(|maker| to.make_alone(maker, self, frame, begin));
                end.and_then(|end| ranges.add(frame, end - begin)).map_err(|error| FrameError { frame, error })?;
                jobs = rest;
            }
        }
        Ok(())
    }

    /// Which frame of a job failed.
    fn culprit(job: &Job, error: &Error, ranges: &Ranges<'_>) -> usize {
        match (job, error) {
            // The first one without a place.
            (Job::Frames(frames), Error::BufferFull { .. }) => ranges.placed.clamp(frames.start, frames.end - 1),
            _ => job.frame(),
        }
    }

    /// Does what of a job can be done before it is known where it goes.
    fn make(&self, maker: &mut FrameEncoder, job: &Job, room: &mut [u8]) -> Result<JobOutput<()>, Error> {
        let mut len = 0;
        match job {
            Job::Frames(frames) => {
                for frame in frames.clone() {
                    let Frame { style, buffers, .. } = self.frames[frame];
                    let made = maker.make(style, self.plan.later[frame], buffers.iter().copied(), &mut room[len..])?;
                    self.sizes[frame].store(made as u64, Ordering::Relaxed);
                    len += made;
                }
            }
            Job::Buffers(frame, buffers) => {
                for buffer in &self.frames[*frame].buffers[buffers.clone()] {
                    room[len..len + buffer.len()].copy_from_slice(buffer);
                    len += buffer.len();
                }
            }
            Job::Part(..) | Job::Alone(_) => {}
        }
        Ok(JobOutput { len, result: () })
    }

    /// Says where a job goes that is made and takes `len` bytes in memory. Returns where it begins.
    fn settle(&self, job: &Job, len: usize, ranges: &mut Ranges<'_>) -> Result<u64, Error> {
        let begin = ranges.next;
        match job {
            Job::Frames(frames) => {
                for frame in frames.clone() {
                    ranges.add(frame, self.sizes[frame].load(Ordering::Relaxed))?;
                }
            }
            Job::Buffers(frame, _) => ranges.add(*frame, len as u64)?,
            Job::Part(frame, _, bytes) => ranges.add(*frame, bytes.len() as u64)?,
            Job::Alone(_) => return Err(Error::Internal),
        }
        Ok(begin)
    }

    /// The bytes of a job: those made in memory, or those that are taken from where they are.
    fn bytes<'m>(&'m self, job: &Job, made: &'m [u8]) -> &'m [u8] {
        match job {
            Job::Part(frame, buffer, bytes) => &self.frames[*frame].buffers[*buffer][bytes.clone()],
            _ => made,
        }
    }

    fn pipeline(&self, jobs: &[Job]) -> Pipeline {
        Pipeline { threads: self.threads, jobs: jobs.len(), buffer_size: self.plan.room }
    }
}

/// Makes frames in memory.
pub(super) fn to_memory(settings: &mut Frames, frames: &mut [Frame<'_>], region: &mut [u8]) -> Result<u64, FrameError> {
    let (offset, size) = (settings.next, region.len() as u64);
    let rest = usize::try_from(offset).ok().and_then(|offset| region.get_mut(offset..));
    let rest = rest.ok_or(Error::SeekPastEnd { offset, size })?;
    checkpt(settings, frames, &mut Memory { rest })
}

/// What is left of the memory, which begins where the next frame does.
struct Memory<'m> {
    rest: &'m mut [u8],
}

impl<'m> Memory<'m> {
    fn take(&mut self, len: usize) -> &'m mut [u8] {
        let (taken, rest) = std::mem::take(&mut self.rest).split_at_mut(len);
        self.rest = rest;
        taken
    }

    /// Makes a frame, which may not fit, in what is left. Returns how many bytes it took.
    fn make_here(
        &mut self,
        maker: &mut FrameEncoder,
        work: &Work<'_, '_>,
        frame: usize,
        offset: u64,
        threads: usize,
    ) -> Result<u64, Error> {
        let mut len = 0;
        let endpoint = Sink::Mmio(Mmio { offset: &mut len, region: SharedBytesMut::new(self.rest) });
        let Frame { style, buffers, .. } = work.frames[frame];
        let made = maker.make_at(style, work.plan.later[frame], buffers.iter().copied(), endpoint, threads);
        let len = made.map_err(|error| match error {
            Error::BufferFull { offset: here, available: left, style } => {
                Error::BufferFull { offset: offset + here, available: left, style }
            }
            error => error,
        })?;
        self.take(len as usize);
        Ok(len)
    }

    /// Says where a job goes.
    fn settle(
        &mut self,
        maker: &mut Option<FrameEncoder>,
        work: &Work<'_, '_>,
        job: &Job,
        len: usize,
        ranges: &mut Ranges<'_>,
    ) -> Result<&'m mut [u8], Error> {
        let left = self.rest.len();
        let no_room = |offset| Error::BufferFull { offset, available: left as u64, style: FrameStyle::Raw };
        match job {
            // So near to the end of the memory, LZ4 is to judge what fits, one frame after the other.
            Job::Frames(frames) if left < len || left - len < chunk_bound(CHUNK_MAX) => {
                let maker = match maker {
                    Some(maker) => maker,
                    None => maker.insert(FrameEncoder::new()?),
                };
                for frame in frames.clone() {
                    let len = self.make_here(maker, work, frame, ranges.next, 1)?;
                    ranges.add(frame, len)?;
                }
                return Ok(&mut []);
            }
            Job::Buffers(frame, buffers) if left < len => {
                let mut end = 0;
                for buffer in &work.frames[*frame].buffers[buffers.clone()] {
                    if end + buffer.len() > left {
                        return Err(Error::BufferFull {
                            offset: ranges.next + end as u64,
                            available: (left - end) as u64,
                            style: FrameStyle::Raw,
                        });
                    }
                    end += buffer.len();
                }
                return Err(Error::Internal);
            }
            // All of the buffer or nothing.
            Job::Part(frame, buffer, bytes) if left < work.frames[*frame].buffers[*buffer].len() - bytes.start => {
                return Err(no_room(ranges.next));
            }
            _ => {}
        }
        work.settle(job, len, ranges)?;
        Ok(self.take(match job {
            Job::Part(_, _, bytes) => bytes.len(),
            _ => len,
        }))
    }
}

impl Destination for Memory<'_> {
    fn make(&mut self, work: &Work<'_, '_>, jobs: &[Job], ranges: &mut Ranges<'_>) -> Result<(), JobError<Error>> {
        let mut near_the_end = None;
        work.pipeline(jobs).run_placed(
            FrameEncoder::new,
            |maker, job, room| work.make(maker, &jobs[job], room),
            |job, made| self.settle(&mut near_the_end, work, &jobs[job], made.len, ranges),
            |job, place, made| {
                // Frames near the end of the memory are there already.
                if !place.is_empty() {
                    place.copy_from_slice(work.bytes(&jobs[job], made));
                }
                Ok(())
            },
        )
    }

    fn make_alone(&mut self, maker: &mut FrameEncoder, work: &Work<'_, '_>, frame: usize, offset: u64) -> Result<u64, Error> {
        self.make_here(maker, work, frame, offset, work.threads).map(|len| offset + len)
    }
}

/// Makes frames and writes them one after the other.
pub(super) fn to_stream(settings: &mut Frames, frames: &mut [Frame<'_>], fd: BorrowedFd<'_>) -> Result<u64, FrameError> {
    checkpt(settings, frames, &mut Written { fd, positioned: false })
}

/// Makes frames and writes them where they belong, several at a time.
pub(super) fn to_file(settings: &mut Frames, frames: &mut [Frame<'_>], fd: BorrowedFd<'_>) -> Result<u64, FrameError> {
    if fd::is_append_only(fd) {
        // Frames would come in the order in which they are done.
        return Err(Error::InvalidArgument("the file is open with O_APPEND; writing at offsets needs it without").into());
    }
    checkpt(settings, frames, &mut Written { fd, positioned: true })
}

/// A descriptor: written to at offsets, or else at its position.
struct Written<'f> {
    fd: BorrowedFd<'f>,
    positioned: bool,
}

impl Destination for Written<'_> {
    fn make(&mut self, work: &Work<'_, '_>, jobs: &[Job], ranges: &mut Ranges<'_>) -> Result<(), JobError<Error>> {
        let (pipeline, fd) = (work.pipeline(jobs), self.fd);
        let make = |maker: &mut FrameEncoder, job: usize, room: &mut [u8]| work.make(maker, &jobs[job], room);
        let writing = |offset| IoOperation::Write.failed_at(offset);
        if !self.positioned {
            return pipeline.run_ordered(FrameEncoder::new, make, |job, made, ()| {
                let offset = work.settle(&jobs[job], made.len(), ranges)?;
                Ok(fd::write_all(fd, work.bytes(&jobs[job], made), &[]).map_err(writing(offset))?)
            });
        }
        pipeline.run_placed(
            FrameEncoder::new,
            make,
            |job, made| {
                let offset = work.settle(&jobs[job], made.len, ranges)?;
                if ranges.next > i64::MAX as u64 {
                    return Err(Error::OffsetOverflow { size: ranges.next - offset });
                }
                Ok(offset)
            },
            |job, offset, made| Ok(fd::write_all_at(fd, work.bytes(&jobs[job], made), offset).map_err(writing(offset))?),
        )
    }

    fn make_alone(&mut self, maker: &mut FrameEncoder, work: &Work<'_, '_>, frame: usize, mut offset: u64) -> Result<u64, Error> {
        let mut buffer = try_zeroed(8 * BUFFER_MIN)?;
        let mut used = 0;
        let Self { fd, positioned } = *self;
        let endpoint = Sink::Stream(Stream { fd, positioned, offset: &mut offset, buffer: &mut buffer, used: &mut used });
        let Frame { style, buffers, .. } = work.frames[frame];
        maker.make_at(style, work.plan.later[frame], buffers.iter().copied(), endpoint, work.threads)
    }
}
