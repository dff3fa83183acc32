//! The CKPT container: sections of data, followed by metadata and a trailer.
//!
//! [`Container`] reads and writes one, [`BlockIndex`] the contents of a section of type 1. docs/format/container.md specifies the format.

pub(crate) mod block_index;
mod error;
mod issue;
mod json;
mod metadata;
mod trailer;
mod verify;
mod write;

pub use block_index::{Block, BlockFooter, BlockIndex, ParseStop};
pub use error::Error;
pub use issue::{Issue, IssueKind};
pub(crate) use write::tail;

use std::borrow::Cow;
use std::fmt;
use std::ops::Range;

use metadata::{Entry, Meta};
use trailer::{MAGIC, TRAILER_SIZE, split};

/// A container: sections of data, each with a type from 0 to 255.
///
/// ```
/// use fdckpt::Container;
///
/// # fn main() -> Result<(), fdckpt::Error> {
/// let mut container = Container::new();
/// container.set(1, b"index".as_slice())?;
/// container.set(200, vec![0; 1000])?;
/// let file = container.serialize()?;
///
/// let parsed = Container::parse(&file)?;
/// assert_eq!(parsed.get(1)?, b"index");
/// for section in &parsed {
///     println!("type {}: {} bytes at {}", section.kind(), section.length(), section.offset());
/// }
/// # Ok(())
/// # }
/// ```
///
/// Neither [`parse`](Self::parse) nor [`set`](Self::set) with a slice copies data. So a container of any size opens in constant time from
/// a memory map, such as that of the crate memmap2:
///
/// ```
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let file = tempfile::tempfile()?;
/// # fdckpt::Container::new().write_to(&file)?;
/// // SAFETY: no other process modifies the file while it is mapped.
/// let map = unsafe { memmap2::Mmap::map(&file)? };
/// let container = fdckpt::Container::parse(&map)?;
/// # assert!(container.is_empty());
/// # Ok(())
/// # }
/// ```
///
/// The reader accepts what the original implementation accepts: types that occur several times, sections that overlap or exceed the
/// data, and more. Such sections fail when they are read, not before. [`verify`](Self::verify) is strict.
///
/// The format has no checksums: corruption of data goes unnoticed.
///
/// A method that fails leaves the container unchanged.
#[derive(Default)]
pub struct Container<'a> {
    version: Version,
    /// The parsed file, or empty.
    file: &'a [u8],
    /// Size of its data in bytes.
    data_size: usize,
    /// The data is written as it is in the file, including bytes between sections.
    is_verbatim: bool,
    /// An empty list of sections was parsed: it is written as `[]`, not as `null`.
    has_empty_list: bool,
    sections: Vec<PlacedSection>,
    /// The state of each type; empty without sections.
    types: Vec<TypeState<'a>>,
}

/// The version in the metadata. It has no meaning and is preserved.
#[derive(Clone, Copy)]
struct Version(i64);

impl Default for Version {
    fn default() -> Self {
        Self(1)
    }
}

/// A section, and the location of its data.
#[derive(Clone, Copy)]
struct PlacedSection {
    /// Its entry when written.
    entry: Entry,
    source: Source,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Source {
    /// At this offset of the parsed file.
    File(i64),
    /// In [`TypeState::set`] of its type, which has no other section.
    Set,
}

/// The state of a section type.
#[derive(Default)]
struct TypeState<'a> {
    /// Index of the first section of this type. 32 bits suffice: a section takes at least 3 bytes of metadata, whose size has 32 bits.
    first: Option<u32>,
    /// The data passed to `set`, if any.
    set: Cow<'a, [u8]>,
}

impl Entry {
    /// Returns its range of the data, if that is within `size` bytes.
    fn range(&self, size: u64) -> Option<Range<usize>> {
        let (offset, length) = (u64::try_from(self.offset).ok()?, u64::try_from(self.length).ok()?);
        let end = offset.checked_add(length).filter(|end| *end <= size)?;
        Some(usize::try_from(offset).ok()?..usize::try_from(end).ok()?)
    }

    fn out_of_range(&self, size: u64) -> Error {
        let &Self { offset, length, kind } = self;
        Error::SectionOutOfRange { kind, offset, length, size }
    }
}

impl<'a> Container<'a> {
    /// Returns whether `file` ends in the magic of a container. This distinguishes containers from other formats; only
    /// [`parse`](Self::parse) shows whether it can be read.
    pub fn is_format(file: &[u8]) -> bool {
        file.len() >= TRAILER_SIZE && file.ends_with(MAGIC)
    }

    /// Creates a container without sections.
    pub fn new() -> Self {
        Self::default()
    }

    /// Parses a container.
    ///
    /// Time is proportional to the metadata, whatever the size of the data; memory is at most 30 times the metadata's size plus 16 KiB.
    ///
    /// # Errors
    /// [`Error::UnknownFormat`] if `file` is no container; [`Error::Corrupt`] if its metadata is invalid; [`Error::OutOfMemory`].
    pub fn parse(file: &'a [u8]) -> Result<Self, Error> {
        let (data, text) = split(file)?;
        let meta = Meta::read(text, data.len() as u64, &mut |_| {})?;
        let mut container = Self {
            version: Version(meta.version),
            file,
            data_size: data.len(),
            is_verbatim: true,
            has_empty_list: meta.entries.is_some(),
            sections: Vec::new(),
            types: Vec::new(),
        };
        let entries = meta.entries.unwrap_or_default();
        container.reserve(entries.len())?;
        for entry in entries {
            container.push(PlacedSection { entry, source: Source::File(entry.offset) });
        }
        Ok(container)
    }

    /// Returns the version in the metadata: 1, unless a file with another one was parsed. It has no effect.
    pub fn version(&self) -> i64 {
        self.version.0
    }

    /// Returns the number of sections. A parsed container may have more than 256.
    pub fn len(&self) -> usize {
        self.sections.len()
    }

    /// Returns whether there are no sections.
    pub fn is_empty(&self) -> bool {
        self.sections.is_empty()
    }

    /// Returns the section with this index, from 0.
    pub fn section(&self, index: usize) -> Option<Section<'_>> {
        self.sections.get(index).map(|&placed| Section { placed, container: self })
    }

    /// Iterates over the sections in the order of the metadata.
    pub fn sections(&self) -> Sections<'_> {
        Sections { container: self, range: 0..self.len() }
    }

    /// Returns the data of the first section of type `kind`.
    ///
    /// # Errors
    /// [`Error::SectionNotFound`]; [`Error::SectionOutOfRange`].
    pub fn get(&self, kind: u8) -> Result<&[u8], Error> {
        let first = self.first(kind).ok_or(Error::SectionNotFound { kind })?;
        self.data_of(&self.sections[first])
    }

    /// Sets the section of type `kind`: removes all sections of this type, and appends the new one.
    ///
    /// A borrowed slice is not copied. A parsed container loses the bytes between its sections and unknown keys of the metadata;
    /// overlapping sections are separated.
    ///
    /// # Errors
    /// [`Error::SectionOutOfRange`] if a remaining section can't be read; [`Error::OffsetOverflow`] if the total size exceeds the largest
    /// offset; [`Error::OutOfMemory`].
    pub fn set(&mut self, kind: u8, data: impl Into<Cow<'a, [u8]>>) -> Result<(), Error> {
        let data = data.into();
        let end = self.end_without(kind)?;
        let length = data.len() as i64;
        end.checked_add(length).ok_or(Error::OffsetOverflow { size: data.len() as u64 })?;
        self.reserve(1)?;
        self.discard(kind);
        let entry = Entry { offset: end, length, kind };
        self.types[usize::from(kind)].set = data;
        self.push(PlacedSection { entry, source: Source::Set });
        Ok(())
    }

    /// Removes all sections of type `kind`, with the same effects as [`set`](Self::set).
    ///
    /// # Errors
    /// [`Error::SectionNotFound`], and as for [`set`](Self::set).
    pub fn remove(&mut self, kind: u8) -> Result<(), Error> {
        self.first(kind).ok_or(Error::SectionNotFound { kind })?;
        self.end_without(kind)?;
        self.discard(kind);
        Ok(())
    }

    /// Compares the parsed file with the canonical form: version 1, unique types, adjacent sections without gaps, metadata exactly as this
    /// library writes it. Returns all differences.
    ///
    /// Later calls of `set` and `remove` have no effect on the result; a container that was not parsed has no issues.
    ///
    /// # Errors
    /// [`Error::OutOfMemory`].
    pub fn verify(&self) -> Result<Vec<Issue>, Error> {
        let (mut issues, mut is_out_of_memory) = (Vec::new(), false);
        self.verify_with(&mut |issue| match issues.try_reserve(1) {
            Ok(()) => issues.push(issue),
            Err(_) => is_out_of_memory = true,
        })?;
        if is_out_of_memory { Err(Error::OutOfMemory) } else { Ok(issues) }
    }

    /// Verifies as [`verify`](Self::verify) does, and calls `on_issue` for each issue.
    pub(crate) fn verify_with(&self, on_issue: &mut dyn FnMut(Issue)) -> Result<(), Error> {
        if self.file.is_empty() { Ok(()) } else { verify::verify(self.file, on_issue) }
    }

    fn first(&self, kind: u8) -> Option<usize> {
        self.types.get(usize::from(kind))?.first.map(|first| first as usize)
    }

    fn data_of(&self, placed: &PlacedSection) -> Result<&[u8], Error> {
        match placed.source {
            Source::Set => Ok(&self.types[usize::from(placed.entry.kind)].set),
            Source::File(offset) => {
                let entry = Entry { offset, ..placed.entry };
                let range = entry.range(self.data_size as u64).ok_or_else(|| entry.out_of_range(self.data_size as u64))?;
                Ok(&self.file[range])
            }
        }
    }

    /// Returns the end of the last section, if sections are adjacent, that is, not verbatim.
    fn end(&self) -> i64 {
        self.sections.last().map_or(0, |last| last.entry.offset + last.entry.length)
    }

    /// Returns the end of the last section after removal of type `kind`, with the others adjacent.
    fn end_without(&self, kind: u8) -> Result<i64, Error> {
        if !self.is_verbatim && self.first(kind).is_none() {
            return Ok(self.end());
        }
        let mut end = 0i64;
        for placed in self.sections.iter().filter(|placed| placed.entry.kind != kind) {
            let length = self.data_of(placed)?.len();
            end = end.checked_add(length as i64).ok_or(Error::OffsetOverflow { size: length as u64 })?;
        }
        Ok(end)
    }

    /// Reserves memory for `additional` sections.
    fn reserve(&mut self, additional: usize) -> Result<(), Error> {
        let types = 256 - self.types.len();
        let reserved = self.sections.try_reserve(additional).and_then(|()| self.types.try_reserve_exact(types));
        reserved?;
        self.types.resize_with(256, TypeState::default);
        Ok(())
    }

    /// Appends a section, for which memory was reserved.
    fn push(&mut self, placed: PlacedSection) {
        let index = self.sections.len() as u32;
        self.types[usize::from(placed.entry.kind)].first.get_or_insert(index);
        self.sections.push(placed);
    }

    /// Removes all sections of type `kind`, and makes the others adjacent. [`end_without`](Self::end_without) must have succeeded.
    fn discard(&mut self, kind: u8) {
        if !self.is_verbatim && self.first(kind).is_none() {
            return;
        }
        (self.is_verbatim, self.has_empty_list) = (false, false);
        self.sections.retain(|placed| placed.entry.kind != kind);
        self.types[usize::from(kind)].set = Cow::default();
        self.types.iter_mut().for_each(|state| state.first = None);
        let mut end = 0;
        for (index, placed) in self.sections.iter_mut().enumerate() {
            placed.entry.offset = end;
            end += placed.entry.length;
            self.types[usize::from(placed.entry.kind)].first.get_or_insert(index as u32);
        }
    }
}

impl fmt::Debug for Container<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Container")
            .field("version", &self.version.0)
            .field("sections", &self.sections.len())
            .field("file", &self.file.len())
            .finish_non_exhaustive()
    }
}

/// A section of a [`Container`].
#[derive(Clone, Copy)]
pub struct Section<'c> {
    placed: PlacedSection,
    container: &'c Container<'c>,
}

impl<'c> Section<'c> {
    /// The type.
    pub fn kind(&self) -> u8 {
        self.placed.entry.kind
    }

    /// The offset of its data in the file: unchecked, as stored in the parsed file; after a change of the container, as it will be
    /// written.
    pub fn offset(&self) -> i64 {
        self.placed.entry.offset
    }

    /// The size of its data in bytes: unchecked, as stored in the parsed file.
    pub fn length(&self) -> i64 {
        self.placed.entry.length
    }

    /// Returns its data.
    ///
    /// # Errors
    /// [`Error::SectionOutOfRange`].
    pub fn data(&self) -> Result<&'c [u8], Error> {
        self.container.data_of(&self.placed)
    }
}

impl fmt::Debug for Section<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Entry { offset, length, kind } = self.placed.entry;
        f.debug_struct("Section").field("kind", &kind).field("offset", &offset).field("length", &length).finish()
    }
}

/// Iterator over the sections of a [`Container`].
#[derive(Clone, Debug)]
pub struct Sections<'c> {
    container: &'c Container<'c>,
    range: Range<usize>,
}

impl<'c> Iterator for Sections<'c> {
    type Item = Section<'c>;

    fn next(&mut self) -> Option<Section<'c>> {
        self.range.next().and_then(|index| self.container.section(index))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.range.size_hint()
    }
}

impl ExactSizeIterator for Sections<'_> {}

impl<'c> IntoIterator for &'c Container<'_> {
    type Item = Section<'c>;
    type IntoIter = Sections<'c>;

    fn into_iter(self) -> Sections<'c> {
        self.sections()
    }
}
