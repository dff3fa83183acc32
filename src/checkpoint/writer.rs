//! Saving.

use std::fmt;
use std::mem;
use std::ops::ControlFlow;
use std::os::fd::AsFd;
use std::path::Path;

use super::error::ErrorKind;
use super::error::file_name;
use super::frame_encoder::{Makers, Stored};
use super::index_format::{Building, FRAMES, INDEX, OfParts};
use super::options::Observer;
use super::output::Output;
use super::{Error, Progress, WriterOptions, check_name, checksum};
use crate::alloc::{try_box, try_with_capacity};
use crate::container;
use crate::frame::FrameStyle;

/// A region of at least this part of a frame has frames of its own.
const LARGE: usize = 4;

/// Saves regions of memory by name.
///
/// What [`add`](Self::add) was given is not needed any more when it returns: it was written, or copied if it is small (less than a quarter of
/// a frame; where several threads compress, less than 8 frames for each of them).
///
/// A writer of which a call failed stays failed: all further calls return [`ErrorKind::Poisoned`], and the file is not made. So it is enough to
/// look at what [`commit`](Self::commit) returns.
///
/// Dropping a writer discards what was written. To a descriptor it may have been written already, without the index.
pub struct Writer<'w> {
    file: Option<Box<str>>,
    style: FrameStyle,
    frame_size: usize,
    checksums: bool,
    observer: Option<Box<dyn Observer + 'w>>,
    /// `None` once a call has failed.
    output: Option<Output<'w>>,
    index: Building,
    makers: Makers,
    /// Small regions that wait, and where the frames end of which it is known.
    waiting: Vec<u8>,
    cuts: Vec<usize>,
    /// Bytes of data that are in frames, and in all.
    done: u64,
    added: u64,
}

/// What was saved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Summary {
    /// How many regions.
    pub regions: u64,
    /// How many frames.
    pub frames: u64,
    /// Bytes of data.
    pub data: u64,
    /// Bytes of the file.
    pub stored: u64,
}

impl<'w> WriterOptions<'w> {
    /// Begins a file that is to have the name `path`. It gets it in [`Writer::commit`]; until then it is a temporary file in the same
    /// folder.
    ///
    /// Temporary files that were left there by processes that have died are removed.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidArgument`]; [`ErrorKind::Io`] where the file can't be made; [`ErrorKind::OutOfMemory`].
    pub fn create(self, path: impl AsRef<Path>) -> Result<Writer<'w>, Error> {
        Writer::begin_file(self, path.as_ref())
    }

    /// Begins a checkpoint that is written to `fd`: a file, pipe or socket, owned or borrowed, from its current position on, and without
    /// going back. The checkpoint must be all that a file has, so write at its begin.
    ///
    /// # Errors
    /// As for [`create`](Self::create).
    pub fn write_to(self, fd: impl AsFd + Send + Sync + 'w) -> Result<Writer<'w>, Error> {
        Writer::begin_fd(self, fd)
    }
}

impl Writer<'static> {
    /// Begins a file with all options as usual: as [`WriterOptions::create`].
    ///
    /// # Errors
    /// As for [`WriterOptions::create`].
    pub fn create(path: impl AsRef<Path>) -> Result<Self, Error> {
        WriterOptions::new().create(path)
    }
}

impl<'w> Writer<'w> {
    pub(super) fn begin_file(options: WriterOptions<'w>, path: &Path) -> Result<Self, Error> {
        let file = file_name(path);
        let output = options.check().and_then(|()| Output::file(path, options.sync));
        Self::begin(options, output, file)
    }

    pub(super) fn begin_fd(options: WriterOptions<'w>, fd: impl AsFd + Send + Sync + 'w) -> Result<Self, Error> {
        let output = options.check().and_then(|()| Ok(Output::fd(try_box(fd)?, options.sync)));
        Self::begin(options, output, None)
    }

    fn begin(options: WriterOptions<'w>, output: Result<Output<'w>, ErrorKind>, file: Option<Box<str>>) -> Result<Self, Error> {
        let output = output.map_err(|error| Error::from(error).in_file(file.as_deref()))?;
        Ok(Self {
            file,
            style: options.style,
            frame_size: options.frame_size,
            checksums: options.checksums,
            observer: options.observer?,
            output: Some(output),
            index: Building::default(),
            makers: Makers::new(options.threads),
            waiting: Vec::new(),
            cuts: Vec::new(),
            done: 0,
            added: 0,
        })
    }

    /// Adds a region: `name` is what it is found by, not empty, without NUL, at most [`NAME_MAX`](super::NAME_MAX) bytes, and of no other
    /// region. `data` can be empty. Regions keep the order in which they are added.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidArgument`]; [`ErrorKind::DuplicateName`]; [`ErrorKind::Io`]; [`ErrorKind::Cancelled`]; [`ErrorKind::OutOfMemory`]; [`ErrorKind::Poisoned`].
    pub fn add(&mut self, name: &str, data: &[u8]) -> Result<(), Error> {
        self.or_fail(|writer, output| writer.add_region(output, name, data)).map_err(|failure| failure.in_region(name))
    }

    /// Adds an attribute: a key of the same kind as names of regions are, and any value of less than 4 GiB, for whatever the caller wants to tell
    /// of the checkpoint. Attributes are part of the index, so they are read when a checkpoint is opened.
    ///
    /// # Errors
    /// As for [`add`](Self::add).
    pub fn attribute(&mut self, key: &str, value: &[u8]) -> Result<(), Error> {
        let result = self.or_fail(|writer, _| {
            check_name(key)?;
            writer.index.add_attribute(key, value)?;
            Ok(())
        });
        result.map_err(|failure| failure.in_region(key))
    }

    /// The style of the regions that are added from now on.
    ///
    /// # Errors
    /// As for [`add`](Self::add).
    pub fn set_style(&mut self, style: FrameStyle) -> Result<(), Error> {
        self.or_fail(|writer, output| {
            if style != writer.style {
                writer.make_frames(output, &[])?;
                writer.style = style;
            }
            Ok(())
        })
    }

    /// Writes what is left, the index and the container's trailer, and gives the file its name: see
    /// [`SyncMode`](super::SyncMode) for what it survives from then on.
    ///
    /// # Errors
    /// As for [`add`](Self::add). Then the file of that name is what it was, and there is nothing left of the new one. But for
    /// [`ErrorKind::Io`] while syncing the folder: the new file is in its place already, and after a crash the old one may be back.
    pub fn commit(mut self) -> Result<Summary, Error> {
        self.or_fail(|writer, output| writer.finish(output))?;
        let output = self.output.take();
        let frames = self.index.frame_count() as u64;
        let summary = Summary { regions: self.index.names.len() as u64, frames, data: self.done, stored: self.index.stored };
        let result = output.map_or(Err(ErrorKind::Poisoned), Output::commit);
        result.map_err(|error| Error::from(error).in_file(self.file.as_deref()))?;
        Ok(summary)
    }

    /// The same error, as one of this file.
    pub(crate) fn in_this_file(&self, error: Error) -> Error {
        error.in_file(self.file.as_deref())
    }

    /// The index so far.
    pub(super) fn index(&self) -> &Building {
        &self.index
    }

    /// Does something with the output, which is gone if that fails.
    fn or_fail(&mut self, body: impl FnOnce(&mut Self, &mut Output<'w>) -> Result<(), Error>) -> Result<(), Error> {
        let result = match self.output.take() {
            None => Err(ErrorKind::Poisoned.into()),
            Some(mut output) => body(self, &mut output).map(|()| self.output = Some(output)),
        };
        result.map_err(|error| self.in_this_file(error))
    }

    fn add_region(&mut self, output: &mut Output<'w>, name: &str, data: &[u8]) -> Result<(), Error> {
        check_name(name)?;
        self.index.names.add(name)?;
        self.added += data.len() as u64;
        if data.len() >= self.frame_size / LARGE {
            self.end_frame()?;
            let first_frame = self.index.frame_count() + self.cuts.len();
            let sum = if data.len() < self.makers.enough(self.style) * self.frame_size {
                self.keep(output, data)?
            } else {
                self.make_frames(output, data)?
            };
            return Ok(self.index.add_region(data.len() as u64, sum, first_frame)?);
        }
        if data.len() > self.frame_size - self.open_frame() {
            self.end_frame()?;
            self.flush_if_enough(output)?;
        }
        self.waiting.try_reserve(data.len())?;
        self.waiting.extend_from_slice(data);
        let sum = if self.checksums { checksum(data) } else { 0 };
        Ok(self.index.add_region(data.len() as u64, sum, self.index.frame_count() + self.cuts.len())?)
    }

    /// How many bytes wait for a frame that can take more.
    fn open_frame(&self) -> usize {
        self.waiting.len() - self.cuts.last().copied().unwrap_or(0)
    }

    /// Ends the frame that waits.
    fn end_frame(&mut self) -> Result<(), ErrorKind> {
        if self.open_frame() > 0 {
            self.cuts.try_reserve(1)?;
            self.cuts.push(self.waiting.len());
        }
        Ok(())
    }

    /// Makes the frames that wait if there are enough for all threads.
    fn flush_if_enough(&mut self, output: &mut Output<'w>) -> Result<(), Error> {
        if self.cuts.len() < self.makers.enough(self.style) { Ok(()) } else { self.make_frames(output, &[]).map(drop) }
    }

    /// Copies a region that has frames of its own, but too few for all threads to have something to do. Returns its checksum.
    fn keep(&mut self, output: &mut Output<'w>, data: &[u8]) -> Result<u64, Error> {
        let mut sums = OfParts::new();
        self.waiting.try_reserve(data.len())?;
        for part in data.chunks(self.frame_size) {
            self.waiting.extend_from_slice(part);
            self.end_frame()?;
            sums.add(if self.checksums { checksum(part) } else { 0 });
        }
        // The numbers of the frames don't change by that.
        self.flush_if_enough(output)?;
        Ok(if self.checksums { sums.finish() } else { 0 })
    }

    /// Makes frames of all that waits, and of a region behind it. Returns the checksum of the latter.
    fn make_frames(&mut self, output: &mut Output<'w>, region: &[u8]) -> Result<u64, Error> {
        self.end_frame()?;
        let (waiting, cuts) = (mem::take(&mut self.waiting), mem::take(&mut self.cuts));
        let (kept, new) = (cuts.len(), region.len().div_ceil(self.frame_size));
        let mut parts = try_with_capacity(kept + new)?;
        let mut begin = 0;
        parts.extend(cuts.iter().map(|&end| &waiting[mem::replace(&mut begin, end)..end]));
        parts.extend(region.chunks(self.frame_size));
        let result = self.make_parts(output, &parts, kept);
        // They are used again.
        (self.waiting, self.cuts) = (waiting, cuts);
        self.waiting.clear();
        self.cuts.clear();
        result
    }

    /// Makes a frame of each part. Returns the checksum of a region that is those from number `region` on.
    fn make_parts(&mut self, output: &mut Output<'w>, parts: &[&[u8]], region: usize) -> Result<u64, Error> {
        let (first, style, checksums) = (self.index.frame_count(), self.style, self.checksums);
        let mut sums = OfParts::new();
        // Taken apart, as what is written below belongs to this too.
        let mut makers = mem::replace(&mut self.makers, Makers::new(1));
        let result = makers.make(style, checksums, parts, region, &mut |number, stored| {
            let data = parts[number];
            let (size, stored_sum, data_sum) = match stored {
                Stored::AsItIs => {
                    let sum = if checksums { output.write_and_sum(data)? } else { output.write(data).map(|()| 0)? };
                    (data.len(), sum, sum)
                }
                Stored::Compressed { bytes, stored_sum, data_sum } => {
                    output.write(bytes)?;
                    (bytes.len(), stored_sum, data_sum)
                }
            };
            self.index.add_frame(size as u64, data.len() as u64, stored_sum, style)?;
            self.done += data.len() as u64;
            if number >= region {
                sums.add(data_sum);
            }
            self.tell()
        });
        self.makers = makers;
        result.map_err(|(number, error)| Error::from(error).in_frame(first + number))?;
        Ok(if checksums { sums.finish() } else { 0 })
    }

    fn tell(&mut self) -> Result<(), ErrorKind> {
        let progress = Progress { data: self.done, total: self.added, stored: self.index.stored };
        match self.observer.as_mut().map(|observer| observer.see(progress)) {
            Some(ControlFlow::Break(())) => Err(ErrorKind::Cancelled),
            _ => Ok(()),
        }
    }

    fn finish(&mut self, output: &mut Output<'w>) -> Result<(), Error> {
        self.make_frames(output, &[])?;
        let frames = self.index.stored;
        let index = self.index.encode(self.checksums)?;
        output.write(&index)?;
        let tail = container::tail(&[(FRAMES, 0, frames), (INDEX, frames, index.len() as u64)])?;
        output.write(&tail)?;
        self.index.stored += (index.len() + tail.len()) as u64;
        Ok(())
    }
}

impl fmt::Debug for Writer<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Writer")
            .field("file", &self.file)
            .field("regions", &self.index.names.len())
            .field("data", &self.added)
            .field("failed", &self.output.is_none())
            .finish_non_exhaustive()
    }
}
