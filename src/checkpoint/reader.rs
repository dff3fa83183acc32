//! Opening a checkpoint, and its regions, frames and attributes.

use std::fmt;
use std::ops::Range;
use std::os::fd::{AsFd, BorrowedFd};
use std::path::Path;
use std::sync::atomic::AtomicU64;

use super::error::ErrorKind;
use super::error::file_name;
use super::frame_decoder::FrameDecoder;
use super::index_format::{self, FRAMES, INDEX, IndexLayout, IndexView, RegionRecord};
use super::source::{Source, SpoolKind};
use super::{Error, ReaderOptions};
use crate::alloc::try_collect;
use crate::container::Container;
use crate::frame::FrameStyle;
use crate::sys::cond_mutex::CondMutex;

/// An open checkpoint file.
///
/// Opening reads and validates the index. A regular file is mapped into memory, and its data is read on demand. The file must not be
/// modified or truncated while the reader exists: access to a truncated part of the mapping raises SIGBUS. *Replacing* the file, as
/// [`Writer`](super::Writer) does, is safe: the reader keeps the old one.
///
/// Data is verified by checksum when it is read, unless the options disable that or the file has no checksums
/// ([`has_checksums`](Self::has_checksums)).
///
/// Several threads may use one reader at the same time.
pub struct Reader<'a> {
    pub(super) file: Option<Box<str>>,
    pub(super) source: Source<'a>,
    pub(super) layout: IndexLayout,
    pub(super) options: ReaderOptions,
    spooled: Option<SpoolKind>,
    /// One bit per frame: it has been verified.
    pub(super) verified: Vec<AtomicU64>,
    /// The decoder of the last call, which has the last frame: the next read may need another part of it.
    pub(super) spare: CondMutex<Option<FrameDecoder>>,
}

/// A region to read, and its destination.
#[derive(Debug)]
pub struct ReadRequest<'m> {
    /// Index of the region.
    pub index: usize,
    /// Destination, of the region's size.
    pub data: &'m mut [u8],
}

impl ReaderOptions {
    /// Opens the file `path`.
    ///
    /// # Errors
    /// [`ErrorKind::Io`]; [`ErrorKind::UnknownFormat`] if it is no checkpoint file, or one of a later version; [`ErrorKind::Corrupt`] if
    /// its index is corrupt ([`salvage`](super::salvage) may help); [`ErrorKind::OutOfMemory`].
    pub fn open(self, path: impl AsRef<Path>) -> Result<Reader<'static>, Error> {
        Reader::open_path(self, path.as_ref())
    }

    /// Opens the file of a descriptor, from its start, whatever the descriptor's position. Input that can't be mapped, such as a pipe,
    /// is first read to its end: see [`spool_memory`](Self::spool_memory). The descriptor may be closed afterwards.
    ///
    /// # Errors
    /// As for [`open`](Self::open).
    pub fn open_fd(self, fd: impl AsFd) -> Result<Reader<'static>, Error> {
        Reader::open_fd(self, fd.as_fd())
    }

    /// Opens a checkpoint in memory, without a copy.
    ///
    /// # Errors
    /// As for [`open`](Self::open).
    pub fn open_bytes(self, bytes: &[u8]) -> Result<Reader<'_>, Error> {
        Reader::open_bytes(self, bytes)
    }
}

impl Reader<'static> {
    /// Opens a file with default options.
    ///
    /// # Errors
    /// As for [`ReaderOptions::open`].
    pub fn open(path: impl AsRef<Path>) -> Result<Self, Error> {
        ReaderOptions::new().open(path)
    }

    pub(super) fn open_path(options: ReaderOptions, path: &Path) -> Result<Self, Error> {
        let name = file_name(path);
        match Source::open(path, &options) {
            Ok((source, spooled)) => Self::open_source(options, source, spooled, name),
            Err(error) => Err(Error::from(error).in_file(name.as_deref())),
        }
    }

    pub(super) fn open_fd(options: ReaderOptions, fd: BorrowedFd<'_>) -> Result<Self, Error> {
        let (source, spooled) = Source::open_fd(fd, &options)?;
        Self::open_source(options, source, spooled, None)
    }
}

/// Finds the index by the container's directory. Returns its range in the file.
pub(super) fn find_index(bytes: &[u8]) -> Result<Range<usize>, ErrorKind> {
    let container = Container::parse(bytes)?;
    let find = |kind| {
        let section = container.sections().find(|section| section.kind() == kind);
        section.ok_or(ErrorKind::UnknownFormat("not a checkpoint file: the container has no index"))
    };
    let (frames, index) = (find(FRAMES)?, find(INDEX)?);
    frames.data()?;
    index.data()?;
    if frames.offset() != 0 || frames.length() != index.offset() {
        return Err(ErrorKind::Corrupt {
            offset: index.offset() as u64,
            reason: "the frames and the index do not follow each other from offset 0",
        });
    }
    Ok(index.offset() as usize..(index.offset() + index.length()) as usize)
}

impl<'a> Reader<'a> {
    pub(super) fn open_bytes(options: ReaderOptions, bytes: &'a [u8]) -> Result<Self, Error> {
        Self::open_source(options, Source::Memory(bytes), None, None)
    }

    fn open_source(
        options: ReaderOptions,
        source: Source<'a>,
        spooled: Option<SpoolKind>,
        file: Option<Box<str>>,
    ) -> Result<Self, Error> {
        let layout = find_index(source.bytes()).and_then(|index| IndexLayout::parse(source.bytes(), index.start, index.len()));
        let reader = layout.and_then(|layout| Self::with_index(options, source, layout));
        match reader {
            Ok(reader) => Ok(Self { spooled, file, ..reader }),
            Err(error) => Err(Error::from(error).in_file(file.as_deref())),
        }
    }

    /// Creates a reader of a file whose index has been parsed.
    pub(super) fn with_index(options: ReaderOptions, source: Source<'a>, layout: IndexLayout) -> Result<Self, ErrorKind> {
        let words = layout.frame_count().div_ceil(64);
        let verified = try_collect((0..words).map(|_| AtomicU64::default()))?;
        Ok(Self { file: None, source, layout, options, spooled: None, verified, spare: CondMutex::new(None) })
    }

    /// Returns the number of regions.
    pub fn len(&self) -> usize {
        self.layout.region_count()
    }

    /// Returns whether there are no regions.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Returns the region with this index, from 0, in the order of saving.
    pub fn region(&self, index: usize) -> Option<Region<'_>> {
        Some(Region { index, record: self.view().region(index)?, reader: self })
    }

    /// Iterates over the regions.
    pub fn regions(&self) -> Regions<'_> {
        Regions { reader: Handle(self), indices: 0..self.len() }
    }

    /// Finds a region by name, in constant time.
    pub fn find(&self, name: &str) -> Option<Region<'_>> {
        self.region(self.view().find(name)?)
    }

    /// Returns the value of the attribute with this key.
    pub fn attribute(&self, key: &str) -> Option<&[u8]> {
        self.attributes().find(|(other, _)| *other == key).map(|(_, value)| value)
    }

    /// Iterates over the attributes, keys and values, in the order of saving.
    pub fn attributes(&self) -> Attributes<'_> {
        Attributes { reader: Handle(self), next: 0 }
    }

    /// Returns whether frames and regions have checksums. Without them, corruption of data goes unnoticed.
    pub fn has_checksums(&self) -> bool {
        self.layout.has_checksums
    }

    /// Returns the total size of all regions in bytes.
    pub fn data_size(&self) -> u64 {
        self.layout.data
    }

    /// Returns the size of the file in bytes.
    pub fn file_size(&self) -> u64 {
        self.source.bytes().len() as u64
    }

    /// Returns the number of frames.
    pub fn frame_count(&self) -> usize {
        self.layout.frame_count()
    }

    /// Describes the frame with this index, from 0. [`Restore`](crate::Restore) can restore it as one buffer of
    /// [`data`](FrameInfo::data) bytes.
    pub fn frame(&self, index: usize) -> Option<FrameInfo> {
        let index_format::FrameRecord { stored, data, checksum, style } = self.view().frame(index)?;
        let checksum = self.has_checksums().then_some(checksum);
        Some(FrameInfo { style, offset: stored.start, stored: stored.end - stored.start, data: data.end - data.start, checksum })
    }

    /// Returns how the input was spooled; `None` if it was mapped.
    pub fn spooled(&self) -> Option<SpoolKind> {
        self.spooled
    }

    /// Returns the options.
    pub fn options(&self) -> &ReaderOptions {
        &self.options
    }

    /// Creates an error of this file.
    pub(crate) fn error(&self, kind: ErrorKind) -> Error {
        self.in_this_file(kind.into())
    }

    /// Adds the path of this file to an error.
    pub(crate) fn in_this_file(&self, error: Error) -> Error {
        error.in_file(self.file.as_deref())
    }

    pub(super) fn view(&self) -> IndexView<'_> {
        self.layout.view(self.source.bytes())
    }
}

impl fmt::Debug for Reader<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reader")
            .field("file", &self.file)
            .field("regions", &self.len())
            .field("frames", &self.frame_count())
            .field("data", &self.data_size())
            .finish_non_exhaustive()
    }
}

/// A frame of a checkpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct FrameInfo {
    /// Its style.
    pub style: FrameStyle,
    /// Offset in the file.
    pub offset: u64,
    /// Size in the file in bytes.
    pub stored: u64,
    /// Size of its data in bytes.
    pub data: u64,
    /// XXH3 (64 bits) of its bytes in the file, if the file has checksums.
    pub checksum: Option<u64>,
}

/// A region of a checkpoint.
#[derive(Clone)]
pub struct Region<'r> {
    index: usize,
    record: RegionRecord<'r>,
    reader: &'r Reader<'r>,
}

impl<'r> Region<'r> {
    /// The index, from 0.
    pub fn index(&self) -> usize {
        self.index
    }

    /// The name.
    pub fn name(&self) -> &'r str {
        self.record.name
    }

    /// The size in bytes.
    pub fn size(&self) -> u64 {
        self.record.data.end - self.record.data.start
    }

    /// The style of its frames. RAW if it is empty.
    pub fn style(&self) -> FrameStyle {
        let frame = self.frame().and_then(|frame| self.reader.view().frame(frame));
        frame.map_or(FrameStyle::Raw, |frame| frame.style)
    }

    /// Index of the frame in which it begins. `None` if it is empty.
    pub fn frame(&self) -> Option<usize> {
        (self.size() > 0).then_some(self.record.first_frame)
    }

    /// Offset of its start in the data of that frame.
    pub fn frame_offset(&self) -> u64 {
        let frame = self.frame().and_then(|frame| self.reader.view().frame(frame));
        frame.map_or(0, |frame| self.record.data.start.saturating_sub(frame.data.start))
    }

    /// Number of frames that hold it.
    pub fn frame_count(&self) -> usize {
        let view = self.reader.view();
        let first = self.record.first_frame;
        let frames = (first..).map_while(|index| view.frame(index));
        if self.size() == 0 { 0 } else { frames.take_while(|frame| frame.data.start < self.record.data.end).count() }
    }

    /// The checksum, if the file has checksums: XXH3 (64 bits) of its bytes; for a region in several frames, XXH3 of the checksums of
    /// its parts, 8 bytes each.
    pub fn checksum(&self) -> Option<u64> {
        self.reader.has_checksums().then_some(self.record.checksum)
    }
}

impl fmt::Debug for Region<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Region").field("index", &self.index).field("name", &self.name()).field("size", &self.size()).finish()
    }
}

/// A reader whose contents a derived `Debug` does not print.
#[derive(Clone, Copy)]
struct Handle<'r>(&'r Reader<'r>);

impl fmt::Debug for Handle<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Reader")
    }
}

/// Iterator over the regions of a [`Reader`].
#[derive(Clone, Debug)]
pub struct Regions<'r> {
    reader: Handle<'r>,
    indices: Range<usize>,
}

impl<'r> Iterator for Regions<'r> {
    type Item = Region<'r>;

    fn next(&mut self) -> Option<Region<'r>> {
        self.indices.next().and_then(|index| self.reader.0.region(index))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.indices.size_hint()
    }
}

impl DoubleEndedIterator for Regions<'_> {
    fn next_back(&mut self) -> Option<Self::Item> {
        self.indices.next_back().and_then(|index| self.reader.0.region(index))
    }
}

impl ExactSizeIterator for Regions<'_> {}

/// Iterator over the attributes of a [`Reader`].
#[derive(Clone, Debug)]
pub struct Attributes<'r> {
    reader: Handle<'r>,
    next: usize,
}

impl<'r> Iterator for Attributes<'r> {
    type Item = (&'r str, &'r [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        let next = self.reader.0.view().attribute_at(self.next);
        next.map(|(end, key, value)| {
            self.next = end;
            (key, value)
        })
    }
}
