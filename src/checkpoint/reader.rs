//! Loading: opening, and what there is.

use std::fmt;
use std::ops::Range;
use std::os::fd::{AsFd, BorrowedFd};
use std::path::Path;
use std::sync::atomic::AtomicU64;

use super::error::ErrorKind;
use super::error::file_name;
use super::frame_decoder::Loader;
use super::index_format::{self, FRAMES, INDEX, Region, Table, View};
use super::source::{Source, Spooled};
use super::{Error, ReaderOptions};
use crate::alloc::try_collect;
use crate::container::Container;
use crate::frame::FrameStyle;
use crate::sys::cond_mutex::CondMutex;

/// A checkpoint that describes itself, opened for reading.
///
/// Opening reads the index, and checks all of it; of a file that is mapped, data is read only where it is asked for. Nobody may change or
/// shorten the file as long as this lives: a process that touches a part of a map that its file no longer has is ended by the system
/// (SIGBUS). A file that is *replaced*, as [`Writer`](super::Writer) does it, stays what it was for who has it open.
///
/// What is read was verified by its checksum before, unless the options say otherwise or the file has none
/// ([`has_checksums`](Self::has_checksums)).
///
/// Can be used by several threads at once.
pub struct Reader<'a> {
    pub(super) file: Option<Box<str>>,
    pub(super) source: Source<'a>,
    pub(super) table: Table,
    pub(super) options: ReaderOptions,
    spooled: Option<Spooled>,
    /// Which frames were verified already.
    pub(super) verified: Vec<AtomicU64>,
    /// For reads that want a part of a frame: the next one most likely wants another part of it.
    pub(super) spare: CondMutex<Option<Loader>>,
}

/// A region that is to be read, and where to.
#[derive(Debug)]
pub struct Request<'m> {
    /// Its number.
    pub number: usize,
    /// Memory of the region's size.
    pub to: &'m mut [u8],
}

impl ReaderOptions {
    /// Opens the file `path`.
    ///
    /// # Errors
    /// [`ErrorKind::Io`]; [`ErrorKind::UnknownFormat`] where it is no such checkpoint, or one of a later version; [`ErrorKind::Corrupt`] where its
    /// index is damaged ([`salvage`](super::salvage) may help); [`ErrorKind::OutOfMemory`].
    pub fn open(self, path: impl AsRef<Path>) -> Result<Reader<'static>, Error> {
        Reader::of_path(self, path.as_ref())
    }

    /// Opens the file of a descriptor, all of it, wherever its position is. What can't be mapped (a pipe, say) is read from there to
    /// its end first: see [`spool_memory`](Self::spool_memory). The descriptor is not needed any more then.
    ///
    /// # Errors
    /// As for [`open`](Self::open).
    pub fn open_fd(self, fd: impl AsFd) -> Result<Reader<'static>, Error> {
        Reader::of_fd(self, fd.as_fd())
    }

    /// Opens a checkpoint in memory, which is not copied.
    ///
    /// # Errors
    /// As for [`open`](Self::open).
    pub fn open_bytes(self, bytes: &[u8]) -> Result<Reader<'_>, Error> {
        Reader::of_bytes(self, bytes)
    }
}

impl Reader<'static> {
    /// Opens a file with all options as usual: as [`ReaderOptions::open`].
    ///
    /// # Errors
    /// As for [`ReaderOptions::open`].
    pub fn open(path: impl AsRef<Path>) -> Result<Self, Error> {
        ReaderOptions::new().open(path)
    }

    pub(super) fn of_path(options: ReaderOptions, path: &Path) -> Result<Self, Error> {
        let name = file_name(path);
        match Source::of_path(path, &options) {
            Ok((source, spooled)) => Self::of_source(options, source, spooled, name),
            Err(error) => Err(Error::from(error).in_file(name.as_deref())),
        }
    }

    pub(super) fn of_fd(options: ReaderOptions, fd: BorrowedFd<'_>) -> Result<Self, Error> {
        let (source, spooled) = Source::of_fd(fd, &options)?;
        Self::of_source(options, source, spooled, None)
    }
}

/// Where the index is in a file, of how many bytes, as the container says.
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
    pub(super) fn of_bytes(options: ReaderOptions, bytes: &'a [u8]) -> Result<Self, Error> {
        Self::of_source(options, Source::Memory(bytes), None, None)
    }

    fn of_source(
        options: ReaderOptions,
        source: Source<'a>,
        spooled: Option<Spooled>,
        file: Option<Box<str>>,
    ) -> Result<Self, Error> {
        let table = find_index(source.bytes()).and_then(|index| Table::parse(source.bytes(), index.start, index.len()));
        let reader = table.and_then(|table| Self::with_table(options, source, table));
        match reader {
            Ok(reader) => Ok(Self { spooled, file, ..reader }),
            Err(error) => Err(Error::from(error).in_file(file.as_deref())),
        }
    }

    /// Of a file whose index was found in another way than by its end.
    pub(super) fn with_table(options: ReaderOptions, source: Source<'a>, table: Table) -> Result<Self, ErrorKind> {
        let words = table.frame_count().div_ceil(64);
        let verified = try_collect((0..words).map(|_| AtomicU64::default()))?;
        Ok(Self { file: None, source, table, options, spooled: None, verified, spare: CondMutex::new(None) })
    }

    /// How many regions there are.
    pub fn len(&self) -> usize {
        self.table.region_count()
    }

    /// Whether there are no regions.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The region of this number, counted from 0, in the order in which they were added.
    pub fn entry(&self, number: usize) -> Option<Entry<'_>> {
        Some(Entry { number, region: self.view().region(number)?, reader: self })
    }

    /// All regions.
    pub fn entries(&self) -> Entries<'_> {
        Entries { reader: Handle(self), numbers: 0..self.len() }
    }

    /// The region with this name. One or two places are looked at, however many regions there are.
    pub fn find(&self, name: &str) -> Option<Entry<'_>> {
        self.entry(self.view().find(name)?)
    }

    /// The value of the attribute with this key.
    pub fn attribute(&self, key: &str) -> Option<&[u8]> {
        self.attributes().find(|(other, _)| *other == key).map(|(_, value)| value)
    }

    /// All attributes, with keys and values, in the order in which they were added.
    pub fn attributes(&self) -> Attributes<'_> {
        Attributes { reader: Handle(self), next: 0 }
    }

    /// Whether frames and regions have checksums. If not, damage to data goes unnoticed.
    pub fn has_checksums(&self) -> bool {
        self.table.with_checksums
    }

    /// Bytes of data in all regions together.
    pub fn data_size(&self) -> u64 {
        self.table.data
    }

    /// Size of the file in bytes.
    pub fn file_size(&self) -> u64 {
        self.source.bytes().len() as u64
    }

    /// How many frames there are.
    pub fn frame_count(&self) -> usize {
        self.table.frame_count()
    }

    /// The frame of this number, counted from 0: what is needed to restore it with [`Restore`](crate::Restore), as one buffer of
    /// [`data`](FrameEntry::data) bytes.
    pub fn frame(&self, number: usize) -> Option<FrameEntry> {
        let index_format::Frame { stored, data, checksum, style } = self.view().frame(number)?;
        let checksum = self.has_checksums().then_some(checksum);
        Some(FrameEntry { style, offset: stored.start, stored: stored.end - stored.start, data: data.end - data.start, checksum })
    }

    /// Whether, and where, it had to be spooled because it could not be mapped.
    pub fn spooled(&self) -> Option<Spooled> {
        self.spooled
    }

    /// Whether checksums are verified, and how many threads read.
    pub fn options(&self) -> &ReaderOptions {
        &self.options
    }

    /// An error that is about the whole file.
    pub(crate) fn error(&self, kind: ErrorKind) -> Error {
        self.in_this_file(kind.into())
    }

    /// The same error, as one of this file.
    pub(crate) fn in_this_file(&self, error: Error) -> Error {
        error.in_file(self.file.as_deref())
    }

    pub(super) fn view(&self) -> View<'_> {
        self.table.view(self.source.bytes())
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
pub struct FrameEntry {
    /// Its style.
    pub style: FrameStyle,
    /// Where it begins in the file.
    pub offset: u64,
    /// How many bytes it has in the file.
    pub stored: u64,
    /// How many bytes of data.
    pub data: u64,
    /// XXH3 (64 bits) of its bytes in the file, if there are checksums.
    pub checksum: Option<u64>,
}

/// A region of a checkpoint.
#[derive(Clone)]
pub struct Entry<'r> {
    number: usize,
    region: Region<'r>,
    reader: &'r Reader<'r>,
}

impl<'r> Entry<'r> {
    /// Its number, counted from 0.
    pub fn number(&self) -> usize {
        self.number
    }

    /// Its name.
    pub fn name(&self) -> &'r str {
        self.region.name
    }

    /// How many bytes it has.
    pub fn size(&self) -> u64 {
        self.region.data.end - self.region.data.start
    }

    /// The style of its frames; of an empty region, which has none, RAW.
    pub fn style(&self) -> FrameStyle {
        let frame = self.frame().and_then(|frame| self.reader.view().frame(frame));
        frame.map_or(FrameStyle::Raw, |frame| frame.style)
    }

    /// The frame in which it begins. `None` if it is empty.
    pub fn frame(&self) -> Option<usize> {
        (self.size() > 0).then_some(self.region.first_frame)
    }

    /// Where in the data of that frame it begins.
    pub fn frame_offset(&self) -> u64 {
        let frame = self.frame().and_then(|frame| self.reader.view().frame(frame));
        frame.map_or(0, |frame| self.region.data.start.saturating_sub(frame.data.start))
    }

    /// In how many frames it lies.
    pub fn frame_count(&self) -> usize {
        let view = self.reader.view();
        let first = self.region.first_frame;
        let frames = (first..).map_while(|number| view.frame(number));
        if self.size() == 0 { 0 } else { frames.take_while(|frame| frame.data.start < self.region.data.end).count() }
    }

    /// Its checksum, if there are any: XXH3 (64 bits) of its bytes; of a region in several frames, XXH3 of the checksums of its parts, of 8
    /// bytes each.
    pub fn checksum(&self) -> Option<u64> {
        self.reader.has_checksums().then_some(self.region.checksum)
    }
}

impl fmt::Debug for Entry<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Entry").field("number", &self.number).field("name", &self.name()).field("size", &self.size()).finish()
    }
}

/// A reader that a derived Debug does not show.
#[derive(Clone, Copy)]
struct Handle<'r>(&'r Reader<'r>);

impl fmt::Debug for Handle<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Reader")
    }
}

/// The regions of a [`Reader`], in order.
#[derive(Clone, Debug)]
pub struct Entries<'r> {
    reader: Handle<'r>,
    numbers: Range<usize>,
}

impl<'r> Iterator for Entries<'r> {
    type Item = Entry<'r>;

    fn next(&mut self) -> Option<Entry<'r>> {
        self.numbers.next().and_then(|number| self.reader.0.entry(number))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.numbers.size_hint()
    }
}

impl DoubleEndedIterator for Entries<'_> {
    fn next_back(&mut self) -> Option<Self::Item> {
        self.numbers.next_back().and_then(|number| self.reader.0.entry(number))
    }
}

impl ExactSizeIterator for Entries<'_> {}

/// The attributes of a [`Reader`], in order.
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
