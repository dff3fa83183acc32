//! Encoding and decoding the index. docs/format/checkpoint.md specifies it.

use std::ops::{Range, RangeInclusive};

use super::error::ErrorKind;
use super::name_table::{NAMES_MAX, NameTable, probe_sequence, slot_count};
use super::{NAME_MAX, checksum};
use crate::alloc::try_with_capacity;
use crate::bytes::{end_of, u32_at, u64_at};
use crate::frame::FrameStyle;

/// Types of the container's sections.
pub(super) const FRAMES: u8 = 128;
pub(super) const INDEX: u8 = 129;

/// Magic bytes of an index.
pub(super) const MAGIC: [u8; 8] = *b"FDCKIDX\n";
const VERSION: u32 = 1;
/// Flag: frames and regions have checksums.
const HAS_CHECKSUMS: u32 = 1;

// Sizes in bytes.
const HEADER_SIZE: usize = 96;
const FRAME_SIZE: usize = 32;
const REGION_SIZE: usize = 24;
const SLOT_SIZE: usize = 4;
const CHECKSUM_SIZE: usize = 8;

/// Size in bytes of what precedes an attribute's key: the sizes of key and value.
const ATTRIBUTE_HEADER_SIZE: usize = 8;

/// A frame in the index.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct FrameRecord {
    /// Range in the file.
    pub(super) stored: Range<u64>,
    /// Range in the concatenated data of all regions.
    pub(super) data: Range<u64>,
    /// Checksum of the stored bytes.
    pub(super) checksum: u64,
    pub(super) style: FrameStyle,
}

/// A region in the index.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct RegionRecord<'b> {
    pub(super) name: &'b str,
    /// Range in the concatenated data of all regions.
    pub(super) data: Range<u64>,
    pub(super) checksum: u64,
    /// Index of the frame in which it begins; 0 if it is empty.
    pub(super) first_frame: usize,
}

/// Computes a region's checksum from those of its parts in each of its frames.
pub(super) struct RegionChecksum {
    sums: xxhash_rust::xxh3::Xxh3,
    last: u64,
    count: usize,
}

impl RegionChecksum {
    pub(super) fn new() -> Self {
        Self { sums: xxhash_rust::xxh3::Xxh3::new(), last: checksum(&[]), count: 0 }
    }

    pub(super) fn add(&mut self, part: u64) {
        self.sums.update(&part.to_le_bytes());
        (self.last, self.count) = (part, self.count + 1);
    }

    pub(super) fn finish(&self) -> u64 {
        if self.count > 1 { self.sums.digest() } else { self.last }
    }
}

/// Builds an index.
#[derive(Debug, Default)]
pub(super) struct IndexBuilder {
    pub(super) names: NameTable,
    frames: Vec<u8>,
    /// End in the data, checksum and first frame of each region.
    regions: Vec<(u64, u64, u32)>,
    pub(super) keys: NameTable,
    attributes: Vec<u8>,
    /// Size in bytes of the data of all regions.
    data: u64,
    /// Size in bytes of the data of all frames so far.
    framed: u64,
    /// Size in bytes of the stored frames.
    pub(super) stored: u64,
    largest_frame: u64,
}

impl IndexBuilder {
    pub(super) fn frame_count(&self) -> usize {
        self.frames.len() / FRAME_SIZE
    }

    /// Appends a frame.
    pub(super) fn add_frame(&mut self, stored: u64, data: u64, checksum: u64, style: FrameStyle) -> Result<(), ErrorKind> {
        if self.frame_count() >= u32::MAX as usize {
            return Err(ErrorKind::InvalidArgument("too many frames; use a larger frame size"));
        }
        self.frames.try_reserve(FRAME_SIZE)?;
        self.stored = end_of(self.stored, stored)?;
        self.framed += data;
        self.largest_frame = self.largest_frame.max(data);
        for field in [self.stored, self.framed, checksum, style as u64] {
            self.frames.extend_from_slice(&field.to_le_bytes());
        }
        Ok(())
    }

    /// Appends a region, whose name has been added to `names`.
    pub(super) fn add_region(&mut self, size: u64, checksum: u64, first_frame: usize) -> Result<(), ErrorKind> {
        self.regions.try_reserve(1)?;
        self.data = end_of(self.data, size)?;
        self.regions.push((self.data, checksum, if size == 0 { 0 } else { first_frame as u32 }));
        Ok(())
    }

    pub(super) fn add_attribute(&mut self, key: &str, value: &[u8]) -> Result<(), ErrorKind> {
        let size = u32::try_from(value.len());
        let size = size.map_err(|_| ErrorKind::InvalidArgument("the value has 4 GiB or more; add it as a region"))?;
        self.attributes.try_reserve(ATTRIBUTE_HEADER_SIZE + key.len() + 1 + value.len())?;
        self.keys.add(key)?;
        self.attributes.extend_from_slice(&(key.len() as u32).to_le_bytes());
        self.attributes.extend_from_slice(&size.to_le_bytes());
        self.attributes.extend_from_slice(key.as_bytes());
        self.attributes.push(0);
        self.attributes.extend_from_slice(value);
        Ok(())
    }

    /// Encodes the index.
    pub(super) fn encode(&self, has_checksums: bool) -> Result<Vec<u8>, ErrorKind> {
        let (names, ends, slots) = self.names.parts();
        let (frames, regions) = (self.frames.len(), self.regions.len() * REGION_SIZE);
        let size = HEADER_SIZE + frames + regions + slots.len() * SLOT_SIZE + names.len() + self.attributes.len() + CHECKSUM_SIZE;
        let mut index = try_with_capacity(size)?;
        index.extend_from_slice(&MAGIC);
        index.extend_from_slice(&VERSION.to_le_bytes());
        index.extend_from_slice(&(if has_checksums { HAS_CHECKSUMS } else { 0 }).to_le_bytes());
        for field in [
            self.regions.len() as u64,
            self.frame_count() as u64,
            self.data,
            self.stored,
            names.len() as u64,
            self.keys.len() as u64,
            self.attributes.len() as u64,
            slots.len() as u64,
            self.largest_frame,
            0,
        ] {
            index.extend_from_slice(&field.to_le_bytes());
        }
        index.extend_from_slice(&self.frames);
        for (&(end, checksum, first_frame), name_end) in self.regions.iter().zip(ends) {
            index.extend_from_slice(&end.to_le_bytes());
            index.extend_from_slice(&checksum.to_le_bytes());
            index.extend_from_slice(&first_frame.to_le_bytes());
            index.extend_from_slice(&name_end.to_le_bytes());
        }
        slots.iter().for_each(|slot| index.extend_from_slice(&slot.to_le_bytes()));
        index.extend_from_slice(names);
        index.extend_from_slice(&self.attributes);
        index.extend_from_slice(&checksum(&index).to_le_bytes());
        Ok(index)
    }
}

/// Sizes of the parts of a validated index.
#[derive(Clone, Debug)]
pub(super) struct IndexLayout {
    /// Offset of the index in the file.
    at: usize,
    size: usize,
    regions: usize,
    frames: usize,
    slots: usize,
    names: usize,
    attributes: usize,
    pub(super) attribute_count: usize,
    pub(super) data: u64,
    pub(super) stored: u64,
    pub(super) has_checksums: bool,
}

/// Decodes the header's numbers.
fn header_fields(index: &[u8]) -> [u64; 10] {
    std::array::from_fn(|field| u64_at(index, 16 + 8 * field))
}

/// Computes the size of an index from its header.
fn stated_size(index: &[u8]) -> Option<u64> {
    let [regions, frames, _, _, names, _, attributes, slots, ..] = header_fields(index);
    let sizes = [
        Some((HEADER_SIZE + CHECKSUM_SIZE) as u64),
        frames.checked_mul(FRAME_SIZE as u64),
        regions.checked_mul(REGION_SIZE as u64),
        slots.checked_mul(SLOT_SIZE as u64),
        Some(names),
        Some(attributes),
    ];
    sizes.into_iter().try_fold(0u64, |total, size| total.checked_add(size?))
}

impl IndexLayout {
    /// Returns the stated size of an index at offset `at`, if its header states this offset and the file contains all of it.
    pub(super) fn size_at(file: &[u8], at: usize) -> Option<usize> {
        let index = file.get(at..).filter(|index| index.starts_with(&MAGIC))?;
        let [_, _, _, stored, ..] = header_fields(index);
        stated_size(index).filter(|size| stored == at as u64 && *size <= index.len() as u64).map(|size| size as usize)
    }

    /// Parses and validates the index in the `size` bytes at offset `at` of the file.
    ///
    /// Afterwards all ranges of frames and regions are within the file and in order.
    pub(super) fn parse(file: &[u8], at: usize, size: usize) -> Result<Self, ErrorKind> {
        let corrupt = |offset: usize, reason| Err(ErrorKind::Corrupt { offset: (at + offset) as u64, reason });
        let index = file.get(at..).and_then(|rest| rest.get(..size)).unwrap_or_default();
        if !index.starts_with(&MAGIC) {
            return Err(ErrorKind::UnknownFormat("not a checkpoint file: its index section has no index"));
        }
        if index.len() < HEADER_SIZE + CHECKSUM_SIZE {
            return corrupt(0, "the index is truncated");
        }
        if u32_at(index, 8) != VERSION {
            return Err(ErrorKind::UnknownFormat("unknown version of the checkpoint format"));
        }
        if stated_size(index) != Some(index.len() as u64) {
            return corrupt(16, "the size of the index differs from the size it states");
        }
        let flags = u32_at(index, 12);
        let [regions, frames, data, stored, names, attribute_count, attributes, slots, largest, reserved] = header_fields(index);
        let (content, sum) = index.split_at(index.len() - CHECKSUM_SIZE);
        if checksum(content) != u64_at(sum, 0) {
            return corrupt(content.len(), "the checksum of the index is wrong");
        }
        // The checksum matches, so this is what was written; but not necessarily by this library.
        if flags & !HAS_CHECKSUMS != 0 || reserved != 0 {
            return Err(ErrorKind::UnknownFormat("the checkpoint uses an unknown feature"));
        }
        if stored != at as u64 || regions > NAMES_MAX as u64 || slots != slot_count(regions as usize) as u64 {
            return corrupt(16, "the index has impossible numbers");
        }
        let [regions, frames, slots, names] = [regions, frames, slots, names].map(|count| count as usize);
        let table = Self {
            at,
            size: index.len(),
            regions,
            frames,
            slots,
            names,
            attributes: attributes as usize,
            attribute_count: attribute_count as usize,
            data,
            stored,
            has_checksums: flags & HAS_CHECKSUMS != 0,
        };
        table
            .view(file)
            .check(largest)
            .map_err(|(offset, reason)| ErrorKind::Corrupt { offset: (at + offset) as u64, reason })?;
        Ok(table)
    }

    pub(super) fn region_count(&self) -> usize {
        self.regions
    }

    pub(super) fn frame_count(&self) -> usize {
        self.frames
    }

    /// Returns the offset of the end of the index in the file.
    pub(super) fn end(&self) -> usize {
        self.at + self.size
    }

    pub(super) fn view<'b>(&self, file: &'b [u8]) -> IndexView<'b> {
        let index = file.get(self.at..self.end()).unwrap_or_default();
        let mut rest = index.get(HEADER_SIZE..).unwrap_or_default();
        let mut take = |size: usize| {
            let (part, later) = rest.split_at_checked(size).unwrap_or_default();
            rest = later;
            part
        };
        IndexView {
            frames: take(self.frames * FRAME_SIZE).as_chunks().0,
            regions: take(self.regions * REGION_SIZE).as_chunks().0,
            slots: take(self.slots * SLOT_SIZE).as_chunks().0,
            names: take(self.names),
            attributes: take(self.attributes),
            attribute_count: self.attribute_count,
            data: self.data,
            stored: self.stored,
        }
    }
}

/// The parts of a validated index.
///
/// If the mapped file changes after validation, which the caller must not do, invalid ranges become `None` or empty.
#[derive(Clone, Copy, Debug)]
pub(super) struct IndexView<'b> {
    frames: &'b [[u8; FRAME_SIZE]],
    regions: &'b [[u8; REGION_SIZE]],
    slots: &'b [[u8; SLOT_SIZE]],
    names: &'b [u8],
    attributes: &'b [u8],
    attribute_count: usize,
    data: u64,
    stored: u64,
}

impl<'b> IndexView<'b> {
    pub(super) fn frame(&self, index: usize) -> Option<FrameRecord> {
        let entry = self.frames.get(index)?;
        let before = index.checked_sub(1).map(|before| &self.frames[before]);
        let begin = |at| before.map_or(0, |before| self::u64_at(before, at));
        let style = FrameStyle::from_raw(i32::try_from(self::u64_at(entry, 24)).ok()?)?;
        Some(FrameRecord {
            stored: begin(0)..self::u64_at(entry, 0),
            data: begin(8)..self::u64_at(entry, 8),
            checksum: self::u64_at(entry, 16),
            style,
        })
    }

    pub(super) fn region(&self, index: usize) -> Option<RegionRecord<'b>> {
        let entry = self.regions.get(index)?;
        let before = index.checked_sub(1).map(|before| &self.regions[before]);
        let name = before.map_or(0, |before| u32_at(before, 20)) as usize..(u32_at(entry, 20) as usize).checked_sub(1)?;
        Some(RegionRecord {
            name: std::str::from_utf8(self.names.get(name)?).ok()?,
            data: before.map_or(0, |before| self::u64_at(before, 0))..self::u64_at(entry, 0),
            checksum: self::u64_at(entry, 8),
            first_frame: u32_at(entry, 16) as usize,
        })
    }

    /// Returns the index of the region with this name.
    pub(super) fn find(&self, name: &str) -> Option<usize> {
        for slot in probe_sequence(name, self.slots.len()) {
            let index = (u32_at(self.slots.get(slot)?, 0) as usize).checked_sub(1)?;
            if self.region(index)?.name == name {
                return Some(index);
            }
        }
        None
    }

    /// Returns the indices of the regions that overlap this range of the data.
    pub(super) fn regions_in(&self, data: &Range<u64>) -> RangeInclusive<usize> {
        let first = self.regions.partition_point(|entry| u64_at(entry, 0) <= data.start);
        first..=self.regions.partition_point(|entry| u64_at(entry, 0) < data.end)
    }

    /// Returns the index of the frame that contains this offset of the data.
    pub(super) fn frame_of(&self, data: u64) -> usize {
        self.frames.partition_point(|entry| u64_at(entry, 8) <= data)
    }

    /// Decodes the attribute at offset `at` of the attributes. Returns the offset of the next one, the key and the value.
    pub(super) fn attribute_at(&self, at: usize) -> Option<(usize, &'b str, &'b [u8])> {
        attribute_at(self.attributes, at)
    }

    /// Validates the index. On failure returns the offset in the index and the reason.
    fn check(&self, largest: u64) -> Result<(), (usize, &'static str)> {
        let (mut before, mut max_size) = ((0, 0), 0);
        for (index, entry) in self.frames.iter().enumerate() {
            let at = HEADER_SIZE + index * FRAME_SIZE;
            let (stored, data) = (u64_at(entry, 0), u64_at(entry, 8));
            if stored <= before.0 || data <= before.1 {
                return Err((at, "a frame has an invalid range"));
            }
            match FrameStyle::from_raw(u64_at(entry, 24).try_into().unwrap_or(-1)) {
                None => return Err((at + 24, "a frame has an unknown style")),
                Some(FrameStyle::Raw) if stored - before.0 != data - before.1 => {
                    return Err((at, "a RAW frame differs in size from its data"));
                }
                // LZ4 expands by a factor of 255 at most.
                Some(_) if (data - before.1).div_ceil(255) > stored - before.0 => {
                    return Err((at, "a frame has more data than its stored size allows"));
                }
                Some(_) => {}
            }
            max_size = max_size.max(data - before.1);
            before = (stored, data);
        }
        if before != (self.stored, self.data) || max_size != largest {
            return Err((16, "the frames differ from the totals in the index"));
        }
        self.check_regions(HEADER_SIZE + self.frames.len() * FRAME_SIZE)?;
        let (mut count, mut at) = (0, 0);
        while let Some((end, ..)) = self.attribute_at(at).filter(|(_, key, _)| is_name(key)) {
            (count, at) = (count + 1, end);
        }
        if count != self.attribute_count || at != self.attributes.len() {
            return Err((HEADER_SIZE, "the attributes are malformed"));
        }
        Ok(())
    }

    fn check_regions(&self, at: usize) -> Result<(), (usize, &'static str)> {
        let (mut data, mut name_end, mut frame) = (0, 0, 0);
        for (index, entry) in self.regions.iter().enumerate() {
            let corrupt = |reason| Err((at + index * REGION_SIZE, reason));
            let (end, first_frame, name) = (u64_at(entry, 0), u32_at(entry, 16) as usize, u32_at(entry, 20) as usize);
            if end < data || end > self.data {
                return corrupt("a region has an invalid range");
            }
            while self.frames.get(frame).is_some_and(|entry| u64_at(entry, 8) <= data) {
                frame += 1;
            }
            if first_frame != if end > data { frame } else { 0 } {
                return corrupt("a region has the wrong first frame");
            }
            let text = self.names.get(name_end..name).and_then(|bytes| bytes.strip_suffix(b"\0"));
            if !text.and_then(|bytes| std::str::from_utf8(bytes).ok()).is_some_and(is_name) {
                return corrupt("a region has an invalid name");
            }
            (data, name_end) = (end, name);
        }
        if data != self.data || name_end != self.names.len() {
            return Err((at, "regions or names do not cover their tables"));
        }
        let used = self.slots.iter().filter(|slot| **slot != [0; SLOT_SIZE]).count();
        if used != self.regions.len() {
            return Err((at, "the hash table of names is inconsistent"));
        }
        Ok(())
    }
}

fn is_name(name: &str) -> bool {
    !name.is_empty() && name.len() <= NAME_MAX && !name.contains('\0')
}

/// Implements [`IndexView::attribute_at`].
fn attribute_at(attributes: &[u8], at: usize) -> Option<(usize, &str, &[u8])> {
    let bytes = attributes.get(at..)?;
    let (key, value) = (u32_at(bytes, 0) as usize, u32_at(bytes, 4) as usize);
    let (_, rest) = bytes.split_at_checked(ATTRIBUTE_HEADER_SIZE)?;
    let (key, rest) = rest.split_at_checked(key)?;
    let (nul, rest) = rest.split_first()?;
    let (value, rest) = rest.split_at_checked(value)?;
    let key = std::str::from_utf8(key).ok().filter(|_| *nul == 0)?;
    Some((attributes.len() - rest.len(), key, value))
}
