//! Loading: the data.

use std::ops::{ControlFlow, Range};
use std::sync::atomic::{AtomicU64, Ordering};

use super::error::ErrorKind;
use super::frame_decoder::Loader;
use super::index_format::Frame;
use super::reader::{Reader, Request};
use super::{Entry, Error, Progress, checksum};
use crate::alloc::{try_with_capacity, try_zeroed};
use crate::frame::FrameStyle;
use crate::sync::parallel_for::parallel_for_with;
use crate::sys::cond_mutex::CondMutex;

/// A part of a frame, and where it is to go.
struct Part<'m> {
    region: usize,
    frame: usize,
    /// Where in the frame's data.
    from: usize,
    to: &'m mut [u8],
}

/// What is to be done with each number. A failure tells what it is about.
pub(super) type Job<'j, E> = dyn Fn(usize, &mut Loader) -> Result<(), (E, ErrorKind)> + Sync + 'j;

/// When the bytes of a frame are to be compared with their checksum.
pub(super) enum Verified {
    /// Unless they were before.
    Before,
    /// Also if they were before.
    Now,
    /// Also if the options say that checksums are not looked at.
    ForSure,
}

/// So much of RAW frames that are not verified is copied at once.
const TOGETHER: u64 = 8 << 20;

const CHANGED: &str = "the file has changed since it was opened";

impl Reader<'_> {
    /// Reads a region into memory of its size.
    ///
    /// # Errors
    /// [`ErrorKind::RegionNotFound`]; [`ErrorKind::RegionSizeMismatch`]; [`ErrorKind::Corrupt`] where it is damaged (others may be sound);
    /// [`ErrorKind::OutOfMemory`]. What the memory has after a failure is not to be relied on.
    pub fn read(&self, number: usize, to: &mut [u8]) -> Result<(), Error> {
        self.read_many(&mut [Request { number, to }])
    }

    /// Reads a region into a new vector.
    ///
    /// # Errors
    /// As for [`region_reader`](Self::read).
    pub fn read_to_vec(&self, number: usize) -> Result<Vec<u8>, Error> {
        let entry = self.existing(number)?;
        let size = usize::try_from(entry.size()).map_err(|_| ErrorKind::OutOfMemory)?;
        let mut data = try_zeroed(size).map_err(|error| self.about(error, &entry))?;
        self.read(number, &mut data)?;
        Ok(data)
    }

    /// Reads a part of a region: as many bytes as `to` has, from `offset` of it on. The frames that they lie in are verified.
    ///
    /// # Errors
    /// [`ErrorKind::RangeOutOfBounds`], and as for [`region_reader`](Self::read).
    pub fn read_at(&self, number: usize, offset: u64, to: &mut [u8]) -> Result<(), Error> {
        let entry = self.existing(number)?;
        let (size, length) = (entry.size(), to.len() as u64);
        if offset.checked_add(length).is_none_or(|end| end > size) {
            return Err(self.about(ErrorKind::RangeOutOfBounds { offset, length, size }, &entry));
        }
        let mut parts = Vec::new();
        let begin = self.begin(number)? + offset;
        self.split(&entry, begin, to, &mut parts).map_err(|error| self.about(error, &entry))?;
        self.restore(&mut parts, None)
    }

    /// Reads several regions, in any order, each into memory of its size; by the threads of the options, a frame at a time. Frames that
    /// several of them share are restored once.
    ///
    /// # Errors
    /// As for [`region_reader`](Self::read), and then none of them is to be relied on: read one by one, those that are sound succeed.
    pub fn read_many(&self, requests: &mut [Request<'_>]) -> Result<(), Error> {
        self.read_many_with(requests, None)
    }

    /// As [`read_many`](Self::read_many). `observer` is told of progress, by the thread that calls: after each frame that this one has done
    /// and, of several threads, when all is done. [`ControlFlow::Break`] cancels.
    ///
    /// # Errors
    /// [`ErrorKind::Cancelled`], and as for [`region_reader`](Self::read).
    pub fn read_many_with(
        &self,
        requests: &mut [Request<'_>],
        observer: Option<&mut dyn FnMut(Progress) -> ControlFlow<()>>,
    ) -> Result<(), Error> {
        let mut parts = Vec::new();
        for Request { number, to } in requests {
            let entry = self.existing(*number)?;
            let given = to.len() as u64;
            if entry.size() != given {
                return Err(self.about(ErrorKind::RegionSizeMismatch { size: entry.size(), given }, &entry));
            }
            let begin = self.begin(*number)?;
            self.split(&entry, begin, to, &mut parts).map_err(|error| self.about(error, &entry))?;
        }
        if !parts.is_sorted_by_key(|part| part.frame) {
            parts.sort_unstable_by_key(|part| part.frame);
        }
        self.restore(&mut parts, observer)
    }

    /// A region where it lies in the file, without a copy. It must be of RAW frames. Its frames are verified.
    ///
    /// # Errors
    /// [`ErrorKind::RegionCompressed`]; as for [`region_reader`](Self::read).
    pub fn map(&self, number: usize) -> Result<&[u8], Error> {
        let entry = self.existing(number)?;
        let about = |error| self.about(error, &entry);
        if entry.size() == 0 {
            return Ok(&[]);
        }
        let data = self.begin(number)?..self.begin(number)? + entry.size();
        let (mut first, mut next) = (None, entry.frame().unwrap_or(0));
        let mut reached = data.start;
        while reached < data.end {
            let frame = self.view().frame(next).filter(|frame| frame.data.contains(&reached));
            let frame = frame.ok_or(ErrorKind::Corrupt { offset: 0, reason: CHANGED }).map_err(about)?;
            if frame.style != FrameStyle::Raw {
                return Err(about(ErrorKind::RegionCompressed));
            }
            self.stored(next, &frame, Verified::Before).map_err(|error| about(error).in_frame(next))?;
            // Its own part of the first frame; all of the others.
            first.get_or_insert(frame.stored.start + (reached - frame.data.start));
            (next, reached) = (next + 1, frame.data.end);
        }
        let begin = first.unwrap_or(0) as usize;
        let bytes = self.source.bytes().get(begin..begin + entry.size() as usize);
        bytes.ok_or_else(|| about(ErrorKind::Corrupt { offset: begin as u64, reason: CHANGED }))
    }

    fn existing(&self, number: usize) -> Result<Entry<'_>, Error> {
        self.entry(number).ok_or_else(|| self.error(ErrorKind::RegionNotFound))
    }

    fn begin(&self, number: usize) -> Result<u64, Error> {
        Ok(self.view().region(number).ok_or(ErrorKind::RegionNotFound)?.data.start)
    }

    pub(super) fn about(&self, error: impl Into<Error>, entry: &Entry<'_>) -> Error {
        error.into().in_file(self.file.as_deref()).in_region(entry.name())
    }

    /// Says of memory for the data from `begin` on, a part of `entry`, which frame each part of it comes from.
    fn split<'m>(&self, entry: &Entry<'_>, begin: u64, mut to: &'m mut [u8], parts: &mut Vec<Part<'m>>) -> Result<(), ErrorKind> {
        let view = self.view();
        let Some(mut number) = entry.frame().filter(|_| !to.is_empty()) else { return Ok(()) };
        let mut at = begin;
        let unverified = !(self.options.checksums && self.table.with_checksums);
        let skipped = |number| view.frame(number).is_some_and(|frame: Frame| frame.data.end <= at);
        if skipped(number) {
            // The region's frames follow each other, so it is among the next ones.
            number = view.frame_of(at);
        }
        while !to.is_empty() {
            let frame = view.frame(number).filter(|frame| frame.data.contains(&at));
            let frame = frame.ok_or(ErrorKind::Corrupt { offset: 0, reason: CHANGED })?;
            let (mut end, mut next) = (frame.data.end, number + 1);
            // RAW frames follow each other in the file as their data does: what is not verified needs no cut.
            while unverified && frame.style == FrameStyle::Raw && end - at < TOGETHER.min(to.len() as u64) {
                let following = view.frame(next).filter(|frame| frame.style == FrameStyle::Raw);
                let Some(following) = following else { break };
                (end, next) = (following.data.end, next + 1);
            }
            let size = (end - at).min(to.len() as u64) as usize;
            let (part, rest) = to.split_at_mut(size);
            parts.try_reserve(1)?;
            parts.push(Part { region: entry.number(), frame: number, from: (at - frame.data.start) as usize, to: part });
            (number, at, to) = (next, at + size as u64, rest);
        }
        Ok(())
    }

    /// The bytes of a frame in the file, verified.
    fn stored(&self, number: usize, frame: &Frame, verified: Verified) -> Result<&[u8], ErrorKind> {
        let Range { start, end } = frame.stored;
        let bytes = self.source.bytes().get(start as usize..end as usize);
        let bytes = bytes.ok_or(ErrorKind::Corrupt { offset: start, reason: CHANGED })?;
        let (word, bit) = (&self.verified[number / 64], 1 << (number % 64));
        let is_due = match verified {
            Verified::Before => self.options.checksums && word.load(Ordering::Relaxed) & bit == 0,
            Verified::Now => self.options.checksums,
            Verified::ForSure => true,
        };
        if is_due && self.table.with_checksums {
            if checksum(bytes) != frame.checksum {
                return Err(ErrorKind::Corrupt { offset: start, reason: "the checksum of the frame is wrong" });
            }
            word.fetch_or(bit, Ordering::Relaxed);
        }
        Ok(bytes)
    }

    /// Reads all parts, which are in the order of their frames.
    fn restore(
        &self,
        parts: &mut [Part<'_>],
        mut observer: Option<&mut dyn FnMut(Progress) -> ControlFlow<()>>,
    ) -> Result<(), Error> {
        let total = parts.iter().map(|part| part.to.len() as u64).sum();
        let count = parts.chunk_by(|a, b| a.frame == b.frame).count();
        let mut jobs = try_with_capacity(count)?;
        jobs.extend(parts.chunk_by_mut(|a, b| a.frame == b.frame).map(CondMutex::new));
        let (data, stored) = (AtomicU64::new(0), AtomicU64::new(0));
        let outcome = self.for_each_job(
            jobs.len(),
            &|number, loader| {
                let mut parts = jobs[number].lock();
                let (at, size) = ((parts[0].frame, parts[0].region), parts.iter().map(|part| part.to.len() as u64).sum());
                stored.fetch_add(self.restore_frame(loader, &mut parts).map_err(|error| (at, error))?, Ordering::Relaxed);
                data.fetch_add(size, Ordering::Relaxed);
                Ok(())
            },
            &mut || match &mut observer {
                None => ControlFlow::Continue(()),
                Some(observer) => {
                    observer(Progress { data: data.load(Ordering::Relaxed), total, stored: stored.load(Ordering::Relaxed) })
                }
            },
        );
        outcome.map_err(|(at, error)| {
            let failure = self.error(error);
            let Some((frame, region)) = at else { return failure };
            let failure = failure.in_frame(frame);
            match self.entry(region) {
                Some(entry) => failure.in_region(entry.name()),
                None => failure,
            }
        })
    }

    /// Reads parts of one frame. Returns how many bytes of the file that took.
    fn restore_frame(&self, loader: &mut Loader, parts: &mut [Part<'_>]) -> Result<u64, ErrorKind> {
        let number = parts.first().ok_or(ErrorKind::Internal)?.frame;
        let frame = self.view().frame(number).ok_or(ErrorKind::Corrupt { offset: 0, reason: CHANGED })?;
        let size = (frame.data.end - frame.data.start) as usize;
        let needed = parts.iter().map(|part| part.from + part.to.len()).max().unwrap_or(0);
        let verified = if needed == size { Verified::Now } else { Verified::Before };
        let stored = self.stored(number, &frame, verified)?;
        match (frame.style, &mut *parts) {
            (FrameStyle::Raw, parts) => {
                // Some may go on in the next frames.
                let bytes = self.source.bytes().get(frame.stored.start as usize..).unwrap_or_default();
                copy(parts, bytes)?;
                return Ok(parts.iter().map(|part| part.to.len() as u64).sum());
            }
            (FrameStyle::Lz4, [Part { from: 0, to, .. }]) if to.len() == size => loader.decode(stored, &frame, to)?,
            (FrameStyle::Lz4, parts) => {
                let data = loader.decode_apart(number, stored, &frame, needed)?;
                copy(parts, data)?;
            }
        }
        Ok(stored.len() as u64)
    }

    /// Runs `job` with each number below `jobs` on the threads of the options. The caller's thread calls `between` after each job of its own
    /// and, if there are helpers, at the end; [`ControlFlow::Break`] cancels. Of several failures, returns that of the lowest job.
    pub(super) fn for_each_job<E: Send>(
        &self,
        jobs: usize,
        job: &Job<'_, E>,
        between: &mut dyn FnMut() -> ControlFlow<()>,
    ) -> Result<(), (Option<E>, ErrorKind)> {
        let mut loader = self.spare.lock().take().unwrap_or_default();
        let result = parallel_for_with(
            self.options.threads,
            jobs,
            |number| number,
            &mut loader,
            || Some(Loader::default()),
            |loader, number| job(number, loader).map_err(|(what, error)| (Some(what), error)),
            || if between().is_break() { Err((None, ErrorKind::Cancelled)) } else { Ok(()) },
        );
        *self.spare.lock() = Some(loader);
        result
    }

    /// All data of a frame.
    pub(super) fn frame_data<'s>(
        &'s self,
        number: usize,
        frame: &Frame,
        verified: Verified,
        loader: &'s mut Loader,
    ) -> Result<&'s [u8], ErrorKind> {
        let stored = self.stored(number, frame, verified)?;
        match frame.style {
            FrameStyle::Raw => Ok(stored),
            FrameStyle::Lz4 => loader.decode_apart(number, stored, frame, (frame.data.end - frame.data.start) as usize),
        }
    }
}

/// Fills the parts from the data of their frame.
fn copy(parts: &mut [Part<'_>], data: &[u8]) -> Result<(), ErrorKind> {
    parts.iter_mut().try_for_each(|part| {
        let from = data.get(part.from..part.from + part.to.len()).ok_or(ErrorKind::Internal)?;
        part.to.copy_from_slice(from);
        Ok(())
    })
}
