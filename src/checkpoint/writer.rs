//! Saving regions.

use std::fmt;
use std::mem;
use std::ops::ControlFlow;
use std::os::fd::AsFd;
use std::path::Path;

use super::error::ErrorKind;
use super::error::file_name;
use super::frame_encoder::{EncodedFrame, FrameEncoder};
use super::index_format::{FRAMES, INDEX, IndexBuilder, RegionChecksum};
use super::options::Observer;
use super::output::Output;
use super::{Error, Progress, WriterOptions, check_name, checksum};
use crate::alloc::{try_box, try_with_capacity};
use crate::container;
use crate::frame::FrameStyle;

/// A region of at least 1/4 of the frame size has frames of its own; smaller ones share frames.
const SHARED_FRAME_DIVISOR: usize = 4;

/// Saves named regions of memory.
///
/// [`add`](Self::add) writes or copies the data before it returns. It copies small regions: less than a quarter of a frame, with several
/// threads less than 8 frames per thread.
///
/// After a call has failed, all further calls return [`ErrorKind::Poisoned`], and no file is created; so checking the result of
/// [`commit`](Self::commit) is enough.
///
/// Dropping a writer discards the file. A descriptor may have received data already, without the index.
pub struct Writer<'w> {
    file: Option<Box<str>>,
    style: FrameStyle,
    frame_size: usize,
    checksums: bool,
    observer: Option<Box<dyn Observer + 'w>>,
    /// `None` once a call has failed.
    output: Option<Output<'w>>,
    index: IndexBuilder,
    encoder: FrameEncoder,
    /// Copied data that is not yet written, and the ends of its complete frames.
    buffer: Vec<u8>,
    frame_ends: Vec<usize>,
    /// Number of bytes of data written to frames.
    written: u64,
    /// Number of bytes of data added.
    added: u64,
}

/// Sizes of a saved checkpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Summary {
    /// Number of regions.
    pub regions: u64,
    /// Number of frames.
    pub frames: u64,
    /// Size of the data in bytes.
    pub data: u64,
    /// Size of the file in bytes.
    pub stored: u64,
}

impl<'w> WriterOptions<'w> {
    /// Begins a checkpoint that [`Writer::commit`] makes visible as the file `path`. Until then it is a temporary file in the same
    /// directory.
    ///
    /// Removes temporary files that dead processes have left in the directory.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidArgument`]; [`ErrorKind::Io`] if the file can't be created; [`ErrorKind::OutOfMemory`].
    pub fn create(self, path: impl AsRef<Path>) -> Result<Writer<'w>, Error> {
        Writer::begin_file(self, path.as_ref())
    }

    /// Begins a checkpoint that is written to `fd`: a file, pipe or socket, owned or borrowed, sequentially from its current position. A
    /// file must contain nothing but the checkpoint, so write from its start.
    ///
    /// # Errors
    /// As for [`create`](Self::create).
    pub fn write_to(self, fd: impl AsFd + Send + Sync + 'w) -> Result<Writer<'w>, Error> {
        Writer::begin_fd(self, fd)
    }
}

impl Writer<'static> {
    /// Begins a file with default options, as [`WriterOptions::create`] does.
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
            index: IndexBuilder::default(),
            encoder: FrameEncoder::new(options.threads),
            buffer: Vec::new(),
            frame_ends: Vec::new(),
            written: 0,
            added: 0,
        })
    }

    /// Adds a region. `name` must be unique, not empty, without NUL and at most [`NAME_MAX`](super::NAME_MAX) bytes; `data` may be empty.
    /// The file keeps the order of regions.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidArgument`]; [`ErrorKind::DuplicateName`]; [`ErrorKind::Io`]; [`ErrorKind::Cancelled`];
    /// [`ErrorKind::OutOfMemory`]; [`ErrorKind::Poisoned`].
    pub fn add(&mut self, name: &str, data: &[u8]) -> Result<(), Error> {
        self.with_output(|writer, output| writer.add_region(output, name, data)).map_err(|error| error.in_region(name))
    }

    /// Adds an attribute: a key, with the rules for names of regions, and any value smaller than 4 GiB. Attributes are part of the index,
    /// so opening a checkpoint reads them.
    ///
    /// # Errors
    /// As for [`add`](Self::add).
    pub fn attribute(&mut self, key: &str, value: &[u8]) -> Result<(), Error> {
        let result = self.with_output(|writer, _| {
            check_name(key)?;
            writer.index.add_attribute(key, value)?;
            Ok(())
        });
        result.map_err(|error| error.in_region(key))
    }

    /// Sets the style of the regions added from now on.
    ///
    /// # Errors
    /// As for [`add`](Self::add).
    pub fn set_style(&mut self, style: FrameStyle) -> Result<(), Error> {
        self.with_output(|writer, output| {
            if style != writer.style {
                writer.write_frames(output, &[])?;
                writer.style = style;
            }
            Ok(())
        })
    }

    /// Writes buffered data, the index and the container's trailer, and replaces the file. [`SyncMode`](super::SyncMode) says what it
    /// survives then.
    ///
    /// # Errors
    /// As for [`add`](Self::add). After an error the old file is unchanged and the new one is removed; except if the fsync of the
    /// directory failed: then the new file is in place, and a system crash may bring back the old one.
    pub fn commit(mut self) -> Result<Summary, Error> {
        self.with_output(|writer, output| writer.finish(output))?;
        let output = self.output.take();
        let frames = self.index.frame_count() as u64;
        let summary = Summary { regions: self.index.names.len() as u64, frames, data: self.written, stored: self.index.stored };
        let result = output.map_or(Err(ErrorKind::Poisoned), Output::commit);
        result.map_err(|error| Error::from(error).in_file(self.file.as_deref()))?;
        Ok(summary)
    }

    /// Adds the path of this file to an error.
    pub(crate) fn in_this_file(&self, error: Error) -> Error {
        error.in_file(self.file.as_deref())
    }

    /// Returns the index so far.
    pub(super) fn index(&self) -> &IndexBuilder {
        &self.index
    }

    /// Calls `body` with the output, and drops the output if that fails.
    fn with_output(&mut self, body: impl FnOnce(&mut Self, &mut Output<'w>) -> Result<(), Error>) -> Result<(), Error> {
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
        if data.len() >= self.frame_size / SHARED_FRAME_DIVISOR {
            self.end_frame()?;
            let first_frame = self.index.frame_count() + self.frame_ends.len();
            let checksum = if data.len() < self.encoder.batch_size(self.style) * self.frame_size {
                self.buffer_region(output, data)?
            } else {
                self.write_frames(output, data)?
            };
            return Ok(self.index.add_region(data.len() as u64, checksum, first_frame)?);
        }
        if data.len() > self.frame_size - self.open_frame_size() {
            self.end_frame()?;
            self.flush_full_batch(output)?;
        }
        self.buffer.try_reserve(data.len())?;
        self.buffer.extend_from_slice(data);
        let checksum = if self.checksums { checksum(data) } else { 0 };
        Ok(self.index.add_region(data.len() as u64, checksum, self.index.frame_count() + self.frame_ends.len())?)
    }

    /// Returns the number of buffered bytes of the incomplete frame.
    fn open_frame_size(&self) -> usize {
        self.buffer.len() - self.frame_ends.last().copied().unwrap_or(0)
    }

    /// Completes the buffered frame.
    fn end_frame(&mut self) -> Result<(), ErrorKind> {
        if self.open_frame_size() > 0 {
            self.frame_ends.try_reserve(1)?;
            self.frame_ends.push(self.buffer.len());
        }
        Ok(())
    }

    /// Writes the buffered frames if there are enough for all threads.
    fn flush_full_batch(&mut self, output: &mut Output<'w>) -> Result<(), Error> {
        if self.frame_ends.len() < self.encoder.batch_size(self.style) {
            Ok(())
        } else {
            self.write_frames(output, &[]).map(drop)
        }
    }

    /// Buffers a region that has frames of its own, but too few to occupy all threads. Returns its checksum.
    fn buffer_region(&mut self, output: &mut Output<'w>, data: &[u8]) -> Result<u64, Error> {
        let mut region_checksum = RegionChecksum::new();
        self.buffer.try_reserve(data.len())?;
        for part in data.chunks(self.frame_size) {
            self.buffer.extend_from_slice(part);
            self.end_frame()?;
            region_checksum.add(if self.checksums { checksum(part) } else { 0 });
        }
        self.flush_full_batch(output)?;
        Ok(if self.checksums { region_checksum.finish() } else { 0 })
    }

    /// Writes the buffered frames, then those of a region. Returns the region's checksum.
    fn write_frames(&mut self, output: &mut Output<'w>, region: &[u8]) -> Result<u64, Error> {
        self.end_frame()?;
        let (buffer, frame_ends) = (mem::take(&mut self.buffer), mem::take(&mut self.frame_ends));
        let (buffered, new) = (frame_ends.len(), region.len().div_ceil(self.frame_size));
        let mut parts = try_with_capacity(buffered + new)?;
        let mut start = 0;
        parts.extend(frame_ends.iter().map(|&end| &buffer[mem::replace(&mut start, end)..end]));
        parts.extend(region.chunks(self.frame_size));
        let result = self.write_parts(output, &parts, buffered);
        // Keeps the allocations.
        (self.buffer, self.frame_ends) = (buffer, frame_ends);
        self.buffer.clear();
        self.frame_ends.clear();
        result
    }

    /// Writes each part as a frame. Returns the checksum of the region that the parts from `region` on form.
    fn write_parts(&mut self, output: &mut Output<'w>, parts: &[&[u8]], region: usize) -> Result<u64, Error> {
        let (first, style, checksums) = (self.index.frame_count(), self.style, self.checksums);
        let mut region_checksum = RegionChecksum::new();
        // Moved out, because the closure borrows `self`.
        let mut encoder = mem::replace(&mut self.encoder, FrameEncoder::new(1));
        let result = encoder.encode(style, checksums, parts, region, &mut |index, frame| {
            let data = parts[index];
            let (size, stored_checksum, data_checksum) = match frame {
                EncodedFrame::Raw => {
                    let checksum = if checksums { output.write_with_checksum(data)? } else { output.write(data).map(|()| 0)? };
                    (data.len(), checksum, checksum)
                }
                EncodedFrame::Compressed { bytes, stored_checksum, data_checksum } => {
                    output.write(bytes)?;
                    (bytes.len(), stored_checksum, data_checksum)
                }
            };
            self.index.add_frame(size as u64, data.len() as u64, stored_checksum, style)?;
            self.written += data.len() as u64;
            if index >= region {
                region_checksum.add(data_checksum);
            }
            self.report_progress()
        });
        self.encoder = encoder;
        result.map_err(|(index, error)| Error::from(error).in_frame(first + index))?;
        Ok(if checksums { region_checksum.finish() } else { 0 })
    }

    fn report_progress(&mut self) -> Result<(), ErrorKind> {
        let progress = Progress { data: self.written, total: self.added, stored: self.index.stored };
        match self.observer.as_mut().map(|observer| observer.observe(progress)) {
            Some(ControlFlow::Break(())) => Err(ErrorKind::Cancelled),
            _ => Ok(()),
        }
    }

    fn finish(&mut self, output: &mut Output<'w>) -> Result<(), Error> {
        self.write_frames(output, &[])?;
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
