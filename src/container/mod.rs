//! The CKPT container: sections of data in front of a trailer that says where each of them lies.
//!
//! [`Container`] reads and writes one, [`BlockIndex`] the content of a section of type 1; [`Error`] is what both fail with.
//! docs/format/container.md specifies the format.

// - `trailer`: what tells a container from other files, and where its metadata is.
// - `json`, `metadata`: the metadata, and which texts are accepted for it.
// - `write`: writing a container, to memory, to a descriptor, behind what a file has.
// - `verify`: the strict mode; `issue`: what it reports.
// - `block_index`: what the section of type 1 has in it.

pub(crate) mod block_index;
mod error;
mod issue;
mod json;
mod metadata;
mod trailer;
mod verify;
mod write;

pub use block_index::{Block, BlockFooter, BlockIndex, Stop};
pub use error::Error;
pub use issue::{Issue, IssueKind};
pub(crate) use write::tail;

use std::borrow::Cow;
use std::fmt;
use std::ops::Range;

use metadata::{Entry, Meta};
use trailer::{MAGIC, TRAILER, split};

/// A container: sections of any data, each with a type from 0 to 255.
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
/// Data is not copied: neither by [`parse`](Self::parse) nor by [`set`](Self::set) with a slice. So a container in a file of any
/// size opens at once from a memory map, such as that of the crate memmap2:
///
/// ```
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let file = tempfile::tempfile()?;
/// # fdckpt::Container::new().write_to(&file)?;
/// // SAFETY: nobody changes the file while it is mapped.
/// let map = unsafe { memmap2::Mmap::map(&file)? };
/// let container = fdckpt::Container::parse(&map)?;
/// # assert!(container.is_empty());
/// # Ok(())
/// # }
/// ```
///
/// What the format accepts is decided by the implementation that it comes from: metadata that names one type several times,
/// sections that overlap or lie outside of the data, and more. Such sections are an error when they are asked for, not before.
/// [`verify`](Self::verify) is strict instead.
///
/// The format has no checksums: damage to the data goes unnoticed.
///
/// Each method that fails leaves the container as it was.
#[derive(Default)]
pub struct Container<'a> {
    version: Version,
    /// The file that was parsed, or nothing.
    file: &'a [u8],
    /// How much of it is data.
    data: usize,
    /// Whether the data, when it is written, is that of the file as it is, with all that lies between sections.
    verbatim: bool,
    /// Whether an empty list of sections was parsed: it is written as such, none at all as `null`.
    empty_list: bool,
    sections: Vec<Placed>,
    /// What there is to know of each type; empty where there are no sections.
    types: Vec<OfType<'a>>,
}

/// The version that the metadata has. A number without a meaning so far, it is only kept.
#[derive(Clone, Copy)]
struct Version(i64);

impl Default for Version {
    fn default() -> Self {
        Self(1)
    }
}

/// A section, and where its data is.
#[derive(Clone, Copy)]
struct Placed {
    /// As it is written.
    entry: Entry,
    source: Source,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Source {
    /// At this offset of the file.
    File(i64),
    /// In what [`OfType`] has of its type, which has no other section then.
    Set,
}

#[derive(Default)]
struct OfType<'a> {
    /// Which section is the first of this type. There are fewer than 2^32: each takes 3 bytes of metadata, whose size has 32 bits.
    first: Option<u32>,
    /// The data, if it was set.
    set: Cow<'a, [u8]>,
}

impl Entry {
    /// The bytes of data that it has, if there are so many: `size` bytes in all.
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
    /// Whether `file` ends as a container does. This looks at the last 4 bytes alone, so that it can tell a container from files
    /// of other formats; [`parse`](Self::parse) tells whether it can be read.
    pub fn is_format(file: &[u8]) -> bool {
        file.len() >= TRAILER && file.ends_with(MAGIC)
    }

    /// A container without sections.
    pub fn new() -> Self {
        Self::default()
    }

    /// Reads the container that `file` is.
    ///
    /// This takes time in proportion to the metadata, whatever the size of the data, and memory of at most 30 times the
    /// metadata's length and 16 KiB.
    ///
    /// # Errors
    /// [`Error::UnknownFormat`] where it is none; [`Error::Corrupt`] where its metadata can't be read; [`Error::OutOfMemory`].
    pub fn parse(file: &'a [u8]) -> Result<Self, Error> {
        let (data, text) = split(file)?;
        let meta = Meta::read(text, data.len() as u64, &mut |_| {})?;
        let mut container = Self {
            version: Version(meta.version),
            file,
            data: data.len(),
            verbatim: true,
            empty_list: meta.entries.is_some(),
            sections: Vec::new(),
            types: Vec::new(),
        };
        let entries = meta.entries.unwrap_or_default();
        container.reserve(entries.len())?;
        for entry in entries {
            container.push(Placed { entry, source: Source::File(entry.offset) });
        }
        Ok(container)
    }

    /// The version that the metadata has: 1, unless a file with another one was parsed. Nothing depends on it.
    pub fn version(&self) -> i64 {
        self.version.0
    }

    /// How many sections there are. A container that was parsed can have more than 256.
    pub fn len(&self) -> usize {
        self.sections.len()
    }

    /// Whether there are no sections.
    pub fn is_empty(&self) -> bool {
        self.sections.is_empty()
    }

    /// The section at position `index`, counted from 0.
    pub fn section(&self, index: usize) -> Option<Section<'_>> {
        self.sections.get(index).map(|&placed| Section { placed, container: self })
    }

    /// All sections, in the order in which the metadata names them.
    pub fn sections(&self) -> Sections<'_> {
        Sections { container: self, range: 0..self.len() }
    }

    /// The data of the first section of type `kind`.
    ///
    /// # Errors
    /// [`Error::SectionNotFound`]; [`Error::SectionOutOfRange`].
    pub fn get(&self, kind: u8) -> Result<&[u8], Error> {
        let first = self.first(kind).ok_or(Error::SectionNotFound { kind })?;
        self.data_of(&self.sections[first])
    }

    /// Sets the section of type `kind`: all that are there of this type go, the new one comes last.
    ///
    /// A borrowed slice is not copied. If the container was parsed, what lies between its sections is gone from then on, sections
    /// that overlap have their bytes each, and keys of the metadata that the format doesn't have are lost.
    ///
    /// # Errors
    /// [`Error::SectionOutOfRange`] where a section that stays can't be read; [`Error::OffsetOverflow`] where all of them together are
    /// larger than an offset can be; [`Error::OutOfMemory`].
    pub fn set(&mut self, kind: u8, data: impl Into<Cow<'a, [u8]>>) -> Result<(), Error> {
        let data = data.into();
        let end = self.end_without(kind)?;
        let length = data.len() as i64;
        end.checked_add(length).ok_or(Error::OffsetOverflow { size: data.len() as u64 })?;
        self.reserve(1)?;
        self.discard(kind);
        let entry = Entry { offset: end, length, kind };
        self.types[usize::from(kind)].set = data;
        self.push(Placed { entry, source: Source::Set });
        Ok(())
    }

    /// Removes all sections of type `kind`. Otherwise as [`set`](Self::set).
    ///
    /// # Errors
    /// [`Error::SectionNotFound`], and as for [`set`](Self::set).
    pub fn remove(&mut self, kind: u8) -> Result<(), Error> {
        self.first(kind).ok_or(Error::SectionNotFound { kind })?;
        self.end_without(kind)?;
        self.discard(kind);
        Ok(())
    }

    /// Compares the file that was parsed with what would be written for it: version 1, no type twice, sections one behind the
    /// other without gaps, metadata in the one form in which it is written. Nothing is found exactly where this is so.
    ///
    /// What was set or removed since is not regarded; a container that was not parsed has no findings.
    ///
    /// # Errors
    /// [`Error::OutOfMemory`].
    pub fn verify(&self) -> Result<Vec<Issue>, Error> {
        let (mut findings, mut short) = (Vec::new(), false);
        self.verify_with(&mut |finding| match findings.try_reserve(1) {
            Ok(()) => findings.push(finding),
            Err(_) => short = true,
        })?;
        if short { Err(Error::OutOfMemory) } else { Ok(findings) }
    }

    /// As [`verify`](Self::verify), one by one.
    pub(crate) fn verify_with(&self, note: &mut dyn FnMut(Issue)) -> Result<(), Error> {
        if self.file.is_empty() { Ok(()) } else { verify::verify(self.file, note) }
    }

    fn first(&self, kind: u8) -> Option<usize> {
        self.types.get(usize::from(kind))?.first.map(|first| first as usize)
    }

    fn data_of(&self, placed: &Placed) -> Result<&[u8], Error> {
        match placed.source {
            Source::Set => Ok(&self.types[usize::from(placed.entry.kind)].set),
            Source::File(offset) => {
                let entry = Entry { offset, ..placed.entry };
                let range = entry.range(self.data as u64).ok_or_else(|| entry.out_of_range(self.data as u64))?;
                Ok(&self.file[range])
            }
        }
    }

    /// Where the last section ends, of those that lie one behind the other: not verbatim.
    fn end(&self) -> i64 {
        self.sections.last().map_or(0, |last| last.entry.offset + last.entry.length)
    }

    /// Where the last section ends if all of type `kind` go, and all others lie one behind the other.
    fn end_without(&self, kind: u8) -> Result<i64, Error> {
        if !self.verbatim && self.first(kind).is_none() {
            return Ok(self.end());
        }
        let mut end = 0i64;
        for placed in self.sections.iter().filter(|placed| placed.entry.kind != kind) {
            let length = self.data_of(placed)?.len();
            end = end.checked_add(length as i64).ok_or(Error::OffsetOverflow { size: length as u64 })?;
        }
        Ok(end)
    }

    /// Memory for so many sections more.
    fn reserve(&mut self, more: usize) -> Result<(), Error> {
        let types = 256 - self.types.len();
        let reserved = self.sections.try_reserve(more).and_then(|()| self.types.try_reserve_exact(types));
        reserved?;
        self.types.resize_with(256, OfType::default);
        Ok(())
    }

    /// Adds a section, for which memory was reserved.
    fn push(&mut self, placed: Placed) {
        let index = self.sections.len() as u32;
        self.types[usize::from(placed.entry.kind)].first.get_or_insert(index);
        self.sections.push(placed);
    }

    /// Drops all sections of type `kind`, and lays the others one behind the other, which [`end_without`](Self::end_without) has
    /// found to be possible.
    fn discard(&mut self, kind: u8) {
        if !self.verbatim && self.first(kind).is_none() {
            return;
        }
        (self.verbatim, self.empty_list) = (false, false);
        self.sections.retain(|placed| placed.entry.kind != kind);
        self.types[usize::from(kind)].set = Cow::default();
        self.types.iter_mut().for_each(|of_type| of_type.first = None);
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
    placed: Placed,
    container: &'c Container<'c>,
}

impl<'c> Section<'c> {
    /// Its type.
    pub fn kind(&self) -> u8 {
        self.placed.entry.kind
    }

    /// Where its data begins in the file: as the file has it that was parsed, which can be anything; after a change of the
    /// container, as it will be written.
    pub fn offset(&self) -> i64 {
        self.placed.entry.offset
    }

    /// How many bytes of data it has: as the file has it that was parsed, which can be anything.
    pub fn length(&self) -> i64 {
        self.placed.entry.length
    }

    /// Its data.
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

/// The sections of a [`Container`], in order.
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
