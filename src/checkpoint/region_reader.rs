//! Reading regions.

use std::ops::{ControlFlow, Range};
use std::sync::atomic::{AtomicU64, Ordering};

use super::error::ErrorKind;
use super::frame_decoder::FrameDecoder;
use super::index_format::FrameRecord;
use super::reader::{ReadRequest, Reader};
use super::{Error, Progress, Region, checksum};
use crate::alloc::{try_with_capacity, try_zeroed};
use crate::frame::FrameStyle;
use crate::sync::parallel_for::parallel_for_with;
use crate::sys::cond_mutex::CondMutex;

/// A part of a frame, and its destination.
struct Part<'m> {
    region: usize,
    frame: usize,
    /// Offset in the frame's data.
    offset: usize,
    /// Destination.
    data: &'m mut [u8],
}

/// Work on the frame or part with this index. A failure has the context for its error.
pub(super) type Job<'j, E> = dyn Fn(usize, &mut FrameDecoder) -> Result<(), (E, ErrorKind)> + Sync + 'j;

/// When to verify the checksum of a frame.
pub(super) enum Verification {
    /// Unless it was verified before.
    Once,
    /// Always, unless the options disable checksums.
    Always,
    /// Even if the options disable checksums.
    Forced,
}

/// Maximum number of bytes of unverified RAW frames that are copied as one part.
const MERGED_PART_MAX: u64 = 8 << 20;

const CHANGED: &str = "the file has changed since it was opened";

impl Reader<'_> {
    /// Reads the region `name` into `data`, which must have the region's size, and verifies its checksums.
    ///
    /// # Errors
    /// [`ErrorKind::RegionNotFound`]; [`ErrorKind::RegionSizeMismatch`]; [`ErrorKind::Corrupt`] if the region is corrupt (others may be
    /// intact); [`ErrorKind::OutOfMemory`]. After a failure the contents of `data` are unspecified.
    pub fn read(&self, name: &str, data: &mut [u8]) -> Result<(), Error> {
        self.read_index(self.index_of(name)?, data)
    }

    /// Reads the region `name` into a new vector.
    ///
    /// # Errors
    /// As for [`read`](Self::read).
    pub fn read_to_vec(&self, name: &str) -> Result<Vec<u8>, Error> {
        self.read_index_to_vec(self.index_of(name)?)
    }

    /// Reads the region with this index, as [`read`](Self::read) does.
    ///
    /// # Errors
    /// As for [`read`](Self::read).
    pub fn read_index(&self, index: usize, data: &mut [u8]) -> Result<(), Error> {
        self.read_many(&mut [ReadRequest { index, data }])
    }

    /// Reads the region with this index into a new vector.
    ///
    /// # Errors
    /// As for [`read`](Self::read).
    pub fn read_index_to_vec(&self, index: usize) -> Result<Vec<u8>, Error> {
        let region = self.existing(index)?;
        let size = usize::try_from(region.size()).map_err(|_| ErrorKind::OutOfMemory)?;
        let mut data = try_zeroed(size).map_err(|error| self.in_region(error, &region))?;
        self.read_index(index, &mut data)?;
        Ok(data)
    }

    /// Reads `data.len()` bytes from `offset` of a region on. Only the frames that hold them are read and verified.
    ///
    /// # Errors
    /// [`ErrorKind::RangeOutOfBounds`], and as for [`read`](Self::read).
    pub fn read_range(&self, index: usize, offset: u64, data: &mut [u8]) -> Result<(), Error> {
        let region = self.existing(index)?;
        let (size, length) = (region.size(), data.len() as u64);
        if offset.checked_add(length).is_none_or(|end| end > size) {
            return Err(self.in_region(ErrorKind::RangeOutOfBounds { offset, length, size }, &region));
        }
        let mut parts = Vec::new();
        let start = self.data_start(index)? + offset;
        self.split(&region, start, data, &mut parts).map_err(|error| self.in_region(error, &region))?;
        self.read_parts(&mut parts, None)
    }

    /// Reads several regions, in any order, on the threads of the options. Frames that hold several of them are decoded once.
    ///
    /// # Errors
    /// As for [`read`](Self::read). Then the contents of all destinations are unspecified; read one by one, intact regions succeed.
    pub fn read_many(&self, requests: &mut [ReadRequest<'_>]) -> Result<(), Error> {
        self.read_many_with(requests, None)
    }

    /// Reads several regions as [`read_many`](Self::read_many) does. The calling thread calls `observer` after each frame that it has
    /// read itself and, if there are other threads, at the end. [`ControlFlow::Break`] cancels.
    ///
    /// # Errors
    /// [`ErrorKind::Cancelled`], and as for [`read`](Self::read).
    pub fn read_many_with(
        &self,
        requests: &mut [ReadRequest<'_>],
        observer: Option<&mut dyn FnMut(Progress) -> ControlFlow<()>>,
    ) -> Result<(), Error> {
        let mut parts = Vec::new();
        for ReadRequest { index, data } in requests {
            let region = self.existing(*index)?;
            let given = data.len() as u64;
            if region.size() != given {
                return Err(self.in_region(ErrorKind::RegionSizeMismatch { size: region.size(), given }, &region));
            }
            let start = self.data_start(*index)?;
            self.split(&region, start, data, &mut parts).map_err(|error| self.in_region(error, &region))?;
        }
        if !parts.is_sorted_by_key(|part| part.frame) {
            parts.sort_unstable_by_key(|part| part.frame);
        }
        self.read_parts(&mut parts, observer)
    }

    /// Returns a region of RAW frames in the mapped file, without a copy. Its frames are verified first.
    ///
    /// # Errors
    /// [`ErrorKind::RegionCompressed`]; as for [`read`](Self::read).
    pub fn map(&self, index: usize) -> Result<&[u8], Error> {
        let region = self.existing(index)?;
        let in_region = |error| self.in_region(error, &region);
        if region.size() == 0 {
            return Ok(&[]);
        }
        let data = self.data_start(index)?..self.data_start(index)? + region.size();
        let (mut first, mut next) = (None, region.frame().unwrap_or(0));
        let mut position = data.start;
        while position < data.end {
            let frame = self.view().frame(next).filter(|frame| frame.data.contains(&position));
            let frame = frame.ok_or(ErrorKind::Corrupt { offset: 0, reason: CHANGED }).map_err(in_region)?;
            if frame.style != FrameStyle::Raw {
                return Err(in_region(ErrorKind::RegionCompressed));
            }
            self.stored(next, &frame, Verification::Once).map_err(|error| in_region(error).in_frame(next))?;
            // The region may start within the first frame; later frames start with it.
            first.get_or_insert(frame.stored.start + (position - frame.data.start));
            (next, position) = (next + 1, frame.data.end);
        }
        let start = first.unwrap_or(0) as usize;
        let bytes = self.source.bytes().get(start..start + region.size() as usize);
        bytes.ok_or_else(|| in_region(ErrorKind::Corrupt { offset: start as u64, reason: CHANGED }))
    }

    fn existing(&self, index: usize) -> Result<Region<'_>, Error> {
        self.region(index).ok_or_else(|| self.error(ErrorKind::RegionNotFound))
    }

    fn index_of(&self, name: &str) -> Result<usize, Error> {
        let found = self.view().find(name);
        found.ok_or_else(|| self.error(ErrorKind::RegionNotFound).in_region(name))
    }

    /// Returns the offset of a region in the concatenated data.
    fn data_start(&self, index: usize) -> Result<u64, Error> {
        Ok(self.view().region(index).ok_or(ErrorKind::RegionNotFound)?.data.start)
    }

    /// Adds the context of a region to an error.
    pub(super) fn in_region(&self, error: impl Into<Error>, region: &Region<'_>) -> Error {
        error.into().in_file(self.file.as_deref()).in_region(region.name())
    }

    /// Splits the destination of a region's data from `start` of the concatenated data on into parts by frame.
    fn split<'m>(
        &self,
        region: &Region<'_>,
        start: u64,
        mut to: &'m mut [u8],
        parts: &mut Vec<Part<'m>>,
    ) -> Result<(), ErrorKind> {
        let view = self.view();
        let Some(mut index) = region.frame().filter(|_| !to.is_empty()) else { return Ok(()) };
        let mut at = start;
        let is_unverified = !(self.options.checksums && self.layout.has_checksums);
        let ends_before = |index| view.frame(index).is_some_and(|frame: FrameRecord| frame.data.end <= at);
        if ends_before(index) {
            index = view.frame_of(at);
        }
        while !to.is_empty() {
            let frame = view.frame(index).filter(|frame| frame.data.contains(&at));
            let frame = frame.ok_or(ErrorKind::Corrupt { offset: 0, reason: CHANGED })?;
            let (mut end, mut next) = (frame.data.end, index + 1);
            // Adjacent RAW frames are adjacent in the file too: unless they are verified, they are one part.
            while is_unverified && frame.style == FrameStyle::Raw && end - at < MERGED_PART_MAX.min(to.len() as u64) {
                let following = view.frame(next).filter(|frame| frame.style == FrameStyle::Raw);
                let Some(following) = following else { break };
                (end, next) = (following.data.end, next + 1);
            }
            let size = (end - at).min(to.len() as u64) as usize;
            let (part, rest) = to.split_at_mut(size);
            parts.try_reserve(1)?;
            parts.push(Part { region: region.index(), frame: index, offset: (at - frame.data.start) as usize, data: part });
            (index, at, to) = (next, at + size as u64, rest);
        }
        Ok(())
    }

    /// Returns the stored bytes of a frame after verification.
    fn stored(&self, index: usize, frame: &FrameRecord, verification: Verification) -> Result<&[u8], ErrorKind> {
        let Range { start, end } = frame.stored;
        let bytes = self.source.bytes().get(start as usize..end as usize);
        let bytes = bytes.ok_or(ErrorKind::Corrupt { offset: start, reason: CHANGED })?;
        let (word, bit) = (&self.verified[index / 64], 1 << (index % 64));
        let is_due = match verification {
            Verification::Once => self.options.checksums && word.load(Ordering::Relaxed) & bit == 0,
            Verification::Always => self.options.checksums,
            Verification::Forced => true,
        };
        if is_due && self.layout.has_checksums {
            if checksum(bytes) != frame.checksum {
                return Err(ErrorKind::Corrupt { offset: start, reason: "the checksum of the frame is wrong" });
            }
            word.fetch_or(bit, Ordering::Relaxed);
        }
        Ok(bytes)
    }

    /// Reads all parts, which must be sorted by frame.
    fn read_parts(
        &self,
        parts: &mut [Part<'_>],
        mut observer: Option<&mut dyn FnMut(Progress) -> ControlFlow<()>>,
    ) -> Result<(), Error> {
        let total = parts.iter().map(|part| part.data.len() as u64).sum();
        let count = parts.chunk_by(|a, b| a.frame == b.frame).count();
        let mut jobs = try_with_capacity(count)?;
        jobs.extend(parts.chunk_by_mut(|a, b| a.frame == b.frame).map(CondMutex::new));
        let (data, stored) = (AtomicU64::new(0), AtomicU64::new(0));
        let result = self.for_each_job(
            jobs.len(),
            &|index, decoder| {
                let mut parts = jobs[index].lock();
                let (context, size) = ((parts[0].frame, parts[0].region), parts.iter().map(|part| part.data.len() as u64).sum());
                stored.fetch_add(self.read_frame(decoder, &mut parts).map_err(|error| (context, error))?, Ordering::Relaxed);
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
        result.map_err(|(context, error)| {
            let error = self.error(error);
            let Some((frame, region)) = context else { return error };
            let error = error.in_frame(frame);
            match self.region(region) {
                Some(region) => error.in_region(region.name()),
                None => error,
            }
        })
    }

    /// Reads parts of one frame. Returns the number of stored bytes read.
    fn read_frame(&self, decoder: &mut FrameDecoder, parts: &mut [Part<'_>]) -> Result<u64, ErrorKind> {
        let index = parts.first().ok_or(ErrorKind::Internal)?.frame;
        let frame = self.view().frame(index).ok_or(ErrorKind::Corrupt { offset: 0, reason: CHANGED })?;
        let size = (frame.data.end - frame.data.start) as usize;
        let needed = parts.iter().map(|part| part.offset + part.data.len()).max().unwrap_or(0);
        let verification = if needed == size { Verification::Always } else { Verification::Once };
        let stored = self.stored(index, &frame, verification)?;
        match (frame.style, &mut *parts) {
            (FrameStyle::Raw, parts) => {
                // Unverified parts may continue in the next frames.
                let bytes = self.source.bytes().get(frame.stored.start as usize..).unwrap_or_default();
                copy(parts, bytes)?;
                return Ok(parts.iter().map(|part| part.data.len() as u64).sum());
            }
            (FrameStyle::Lz4, [Part { offset: 0, data, .. }]) if data.len() == size => decoder.decode(stored, &frame, data)?,
            (FrameStyle::Lz4, parts) => {
                let data = decoder.decode_to_scratch(index, stored, &frame, needed)?;
                copy(parts, data)?;
            }
        }
        Ok(stored.len() as u64)
    }

    /// Runs `job` for each index below `jobs` on the threads of the options. The calling thread calls `between` after each job of its own
    /// and, if there are other threads, at the end; [`ControlFlow::Break`] cancels. Returns the failure of the lowest job.
    pub(super) fn for_each_job<E: Send>(
        &self,
        jobs: usize,
        job: &Job<'_, E>,
        between: &mut dyn FnMut() -> ControlFlow<()>,
    ) -> Result<(), (Option<E>, ErrorKind)> {
        let mut decoder = self.spare.lock().take().unwrap_or_default();
        let result = parallel_for_with(
            self.options.threads,
            jobs,
            |index| index,
            &mut decoder,
            || Some(FrameDecoder::default()),
            |decoder, index| job(index, decoder).map_err(|(context, error)| (Some(context), error)),
            || if between().is_break() { Err((None, ErrorKind::Cancelled)) } else { Ok(()) },
        );
        *self.spare.lock() = Some(decoder);
        result
    }

    /// Returns all data of a frame.
    pub(super) fn frame_data<'s>(
        &'s self,
        index: usize,
        frame: &FrameRecord,
        verification: Verification,
        decoder: &'s mut FrameDecoder,
    ) -> Result<&'s [u8], ErrorKind> {
        let stored = self.stored(index, frame, verification)?;
        match frame.style {
            FrameStyle::Raw => Ok(stored),
            FrameStyle::Lz4 => decoder.decode_to_scratch(index, stored, frame, (frame.data.end - frame.data.start) as usize),
        }
    }
}

/// Copies the parts from the data of their frame.
fn copy(parts: &mut [Part<'_>], data: &[u8]) -> Result<(), ErrorKind> {
    parts.iter_mut().try_for_each(|part| {
        let from = data.get(part.offset..part.offset + part.data.len()).ok_or(ErrorKind::Internal)?;
        part.data.copy_from_slice(from);
        Ok(())
    })
}
