//! The index as it lies in the file. docs/format/checkpoint.md specifies it.

use std::ops::{Range, RangeInclusive};

use super::error::ErrorKind;
use super::name_table::{NAMES_MAX, Names, places, slots_for};
use super::{NAME_MAX, checksum};
use crate::alloc::try_with_capacity;
use crate::bytes::{end_of, u32_at, u64_at};
use crate::frame::FrameStyle;

/// Types of the sections of the container.
pub(super) const FRAMES: u8 = 128;
pub(super) const INDEX: u8 = 129;

/// The first bytes of an index.
pub(super) const MAGIC: [u8; 8] = *b"FDCKIDX\n";
const VERSION: u32 = 1;
/// The flag that frames and regions have checksums.
const WITH_CHECKSUMS: u32 = 1;

const HEADER: usize = 96;
const FRAME: usize = 32;
const REGION: usize = 24;
const SLOT: usize = 4;
const SUM: usize = 8;

/// Of an attribute: the sizes of key and value.
const ATTRIBUTE: usize = 8;

/// A frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Frame {
    /// Where it is in the file.
    pub(super) stored: Range<u64>,
    /// Which bytes of all data it has.
    pub(super) data: Range<u64>,
    /// Of the bytes in the file.
    pub(super) checksum: u64,
    pub(super) style: FrameStyle,
}

/// A region.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Region<'b> {
    pub(super) name: &'b str,
    /// Which bytes of all data it is.
    pub(super) data: Range<u64>,
    pub(super) checksum: u64,
    /// Where it begins; 0 if it is empty.
    pub(super) first_frame: usize,
}

/// The checksum of a region, from those of its parts in each of its frames.
pub(super) struct OfParts {
    sums: xxhash_rust::xxh3::Xxh3,
    last: u64,
    count: usize,
}

impl OfParts {
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

/// The index in the making.
#[derive(Debug, Default)]
pub(super) struct Building {
    pub(super) names: Names,
    frames: Vec<u8>,
    /// All but the ends of names.
    regions: Vec<(u64, u64, u32)>,
    pub(super) keys: Names,
    attributes: Vec<u8>,
    /// Bytes of data of all regions, and of all frames so far.
    data: u64,
    framed: u64,
    /// Bytes of frames in the file.
    pub(super) stored: u64,
    largest_frame: u64,
}

impl Building {
    pub(super) fn frame_count(&self) -> usize {
        self.frames.len() / FRAME
    }

    /// Adds a frame behind all others.
    pub(super) fn add_frame(&mut self, stored: u64, data: u64, checksum: u64, style: FrameStyle) -> Result<(), ErrorKind> {
        if self.frame_count() >= u32::MAX as usize {
            return Err(ErrorKind::InvalidArgument("too many frames; use a larger frame size"));
        }
        self.frames.try_reserve(FRAME)?;
        self.stored = end_of(self.stored, stored)?;
        self.framed += data;
        self.largest_frame = self.largest_frame.max(data);
        for field in [self.stored, self.framed, checksum, style as u64] {
            self.frames.extend_from_slice(&field.to_le_bytes());
        }
        Ok(())
    }

    /// Adds a region of a name that was added to `names`, behind all others.
    pub(super) fn add_region(&mut self, size: u64, checksum: u64, first_frame: usize) -> Result<(), ErrorKind> {
        self.regions.try_reserve(1)?;
        self.data = end_of(self.data, size)?;
        self.regions.push((self.data, checksum, if size == 0 { 0 } else { first_frame as u32 }));
        Ok(())
    }

    pub(super) fn add_attribute(&mut self, key: &str, value: &[u8]) -> Result<(), ErrorKind> {
        let size = u32::try_from(value.len());
        let size = size.map_err(|_| ErrorKind::InvalidArgument("the value has 4 GiB or more; add it as a region"))?;
        self.attributes.try_reserve(ATTRIBUTE + key.len() + 1 + value.len())?;
        self.keys.add(key)?;
        self.attributes.extend_from_slice(&(key.len() as u32).to_le_bytes());
        self.attributes.extend_from_slice(&size.to_le_bytes());
        self.attributes.extend_from_slice(key.as_bytes());
        self.attributes.push(0);
        self.attributes.extend_from_slice(value);
        Ok(())
    }

    /// The whole index.
    pub(super) fn encode(&self, with_checksums: bool) -> Result<Vec<u8>, ErrorKind> {
        let (names, ends, slots) = self.names.parts();
        let (frames, regions) = (self.frames.len(), self.regions.len() * REGION);
        let size = HEADER + frames + regions + slots.len() * SLOT + names.len() + self.attributes.len() + SUM;
        let mut index = try_with_capacity(size)?;
        index.extend_from_slice(&MAGIC);
        index.extend_from_slice(&VERSION.to_le_bytes());
        index.extend_from_slice(&(if with_checksums { WITH_CHECKSUMS } else { 0 }).to_le_bytes());
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

/// Where the parts of an index are, all of which was checked.
#[derive(Clone, Debug)]
pub(super) struct Table {
    /// In the file.
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
    pub(super) with_checksums: bool,
}

/// The numbers that an index begins with.
fn fields(index: &[u8]) -> [u64; 10] {
    std::array::from_fn(|place| u64_at(index, 16 + 8 * place))
}

/// How many bytes an index has, as it says itself.
fn size_said(index: &[u8]) -> Option<u64> {
    let [regions, frames, _, _, names, _, attributes, slots, ..] = fields(index);
    let sizes = [
        Some((HEADER + SUM) as u64),
        frames.checked_mul(FRAME as u64),
        regions.checked_mul(REGION as u64),
        slots.checked_mul(SLOT as u64),
        Some(names),
        Some(attributes),
    ];
    sizes.into_iter().try_fold(0u64, |total, size| total.checked_add(size?))
}

impl Table {
    /// How many bytes the index that `file[at..]` begins with has, as it says itself; if it says that it lies there, and the file has so many.
    pub(super) fn size_at(file: &[u8], at: usize) -> Option<usize> {
        let index = file.get(at..).filter(|index| index.starts_with(&MAGIC))?;
        let [_, _, _, stored, ..] = fields(index);
        size_said(index).filter(|size| stored == at as u64 && *size <= index.len() as u64).map(|size| size as usize)
    }

    /// Reads the index that is the `size` bytes at `at` of the file. It comes right behind the frames.
    ///
    /// All that others rely on is checked: whoever asks for regions and frames afterwards gets what is inside of the file, and in order.
    pub(super) fn parse(file: &[u8], at: usize, size: usize) -> Result<Self, ErrorKind> {
        let refuse = |offset: usize, what| Err(ErrorKind::Corrupt { offset: (at + offset) as u64, reason: what });
        let index = file.get(at..).and_then(|rest| rest.get(..size)).unwrap_or_default();
        if !index.starts_with(&MAGIC) {
            return Err(ErrorKind::UnknownFormat("not a checkpoint file: its index section has no index"));
        }
        if index.len() < HEADER + SUM {
            return refuse(0, "the index is truncated");
        }
        if u32_at(index, 8) != VERSION {
            return Err(ErrorKind::UnknownFormat("unknown version of the checkpoint format"));
        }
        if size_said(index) != Some(index.len() as u64) {
            return refuse(16, "the size of the index differs from the size it states");
        }
        let flags = u32_at(index, 12);
        let [regions, frames, data, stored, names, attribute_count, attributes, slots, largest, reserved] = fields(index);
        let (content, sum) = index.split_at(index.len() - SUM);
        if checksum(content) != u64_at(sum, 0) {
            return refuse(content.len(), "the checksum of the index is wrong");
        }
        // From here on it is what somebody meant to write; but not necessarily this library.
        if flags & !WITH_CHECKSUMS != 0 || reserved != 0 {
            return Err(ErrorKind::UnknownFormat("the checkpoint uses an unknown feature"));
        }
        if stored != at as u64 || regions > NAMES_MAX as u64 || slots != slots_for(regions as usize) as u64 {
            return refuse(16, "the index has impossible numbers");
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
            with_checksums: flags & WITH_CHECKSUMS != 0,
        };
        table
            .view(file)
            .check(largest)
            .map_err(|(part, what)| ErrorKind::Corrupt { offset: (at + part) as u64, reason: what })?;
        Ok(table)
    }

    pub(super) fn region_count(&self) -> usize {
        self.regions
    }

    pub(super) fn frame_count(&self) -> usize {
        self.frames
    }

    /// Where the index ends in the file.
    pub(super) fn end(&self) -> usize {
        self.at + self.size
    }

    pub(super) fn view<'b>(&self, file: &'b [u8]) -> View<'b> {
        let index = file.get(self.at..self.end()).unwrap_or_default();
        let mut rest = index.get(HEADER..).unwrap_or_default();
        let mut take = |size: usize| {
            let (part, others) = rest.split_at_checked(size).unwrap_or_default();
            rest = others;
            part
        };
        View {
            frames: take(self.frames * FRAME).as_chunks().0,
            regions: take(self.regions * REGION).as_chunks().0,
            slots: take(self.slots * SLOT).as_chunks().0,
            names: take(self.names),
            attributes: take(self.attributes),
            attribute_count: self.attribute_count,
            data: self.data,
            stored: self.stored,
        }
    }
}

/// The parts of an index.
///
/// What was checked stays so unless the file is changed under a memory map, which nobody may do, but which is to do no harm either: so
/// what is not inside is `None` or empty.
#[derive(Clone, Copy, Debug)]
pub(super) struct View<'b> {
    frames: &'b [[u8; FRAME]],
    regions: &'b [[u8; REGION]],
    slots: &'b [[u8; SLOT]],
    names: &'b [u8],
    attributes: &'b [u8],
    attribute_count: usize,
    data: u64,
    stored: u64,
}

impl<'b> View<'b> {
    pub(super) fn frame(&self, number: usize) -> Option<Frame> {
        let entry = self.frames.get(number)?;
        let before = number.checked_sub(1).map(|before| &self.frames[before]);
        let begin = |at| before.map_or(0, |before| self::u64_at(before, at));
        let style = FrameStyle::from_number(i32::try_from(self::u64_at(entry, 24)).ok()?)?;
        Some(Frame {
            stored: begin(0)..self::u64_at(entry, 0),
            data: begin(8)..self::u64_at(entry, 8),
            checksum: self::u64_at(entry, 16),
            style,
        })
    }

    pub(super) fn region(&self, number: usize) -> Option<Region<'b>> {
        let entry = self.regions.get(number)?;
        let before = number.checked_sub(1).map(|before| &self.regions[before]);
        let name = before.map_or(0, |before| u32_at(before, 20)) as usize..(u32_at(entry, 20) as usize).checked_sub(1)?;
        Some(Region {
            name: std::str::from_utf8(self.names.get(name)?).ok()?,
            data: before.map_or(0, |before| self::u64_at(before, 0))..self::u64_at(entry, 0),
            checksum: self::u64_at(entry, 8),
            first_frame: u32_at(entry, 16) as usize,
        })
    }

    /// The number of the region with this name.
    pub(super) fn find(&self, name: &str) -> Option<usize> {
        for place in places(name, self.slots.len()) {
            let number = (u32_at(self.slots.get(place)?, 0) as usize).checked_sub(1)?;
            if self.region(number)?.name == name {
                return Some(number);
            }
        }
        None
    }

    /// The regions of which bytes lie in this range of all data, from the first to the last.
    pub(super) fn regions_in(&self, data: &Range<u64>) -> RangeInclusive<usize> {
        let first = self.regions.partition_point(|entry| u64_at(entry, 0) <= data.start);
        first..=self.regions.partition_point(|entry| u64_at(entry, 0) < data.end)
    }

    /// The number of the frame that the byte at `data` of all data is in.
    pub(super) fn frame_of(&self, data: u64) -> usize {
        self.frames.partition_point(|entry| u64_at(entry, 8) <= data)
    }

    /// Key and value of the attribute whose entry begins at `at`, and where the next one begins.
    pub(super) fn attribute_at(&self, at: usize) -> Option<(usize, &'b str, &'b [u8])> {
        attribute_at(self.attributes, at)
    }

    /// Checks all of it. Otherwise says at which offset of the index what is wrong.
    fn check(&self, largest: u64) -> Result<(), (usize, &'static str)> {
        let (mut before, mut most) = ((0, 0), 0);
        for (index, entry) in self.frames.iter().enumerate() {
            let at = HEADER + index * FRAME;
            let (stored, data) = (u64_at(entry, 0), u64_at(entry, 8));
            if stored <= before.0 || data <= before.1 {
                return Err((at, "a frame has an invalid range"));
            }
            match FrameStyle::from_number(u64_at(entry, 24).try_into().unwrap_or(-1)) {
                None => return Err((at + 24, "a frame has an unknown style")),
                Some(FrameStyle::Raw) if stored - before.0 != data - before.1 => {
                    return Err((at, "a RAW frame differs in size from its data"));
                }
                // A chunk of LZ4 with so many bytes has at most 255 times as many when it is decompressed.
                Some(_) if (data - before.1).div_ceil(255) > stored - before.0 => {
                    return Err((at, "a frame has more data than its stored size allows"));
                }
                Some(_) => {}
            }
            most = most.max(data - before.1);
            before = (stored, data);
        }
        if before != (self.stored, self.data) || most != largest {
            return Err((16, "the frames differ from the totals in the index"));
        }
        self.check_regions(HEADER + self.frames.len() * FRAME)?;
        let (mut count, mut at) = (0, 0);
        while let Some((end, ..)) = self.attribute_at(at).filter(|(_, key, _)| is_name(key)) {
            (count, at) = (count + 1, end);
        }
        if count != self.attribute_count || at != self.attributes.len() {
            return Err((HEADER, "the attributes are malformed"));
        }
        Ok(())
    }

    fn check_regions(&self, at: usize) -> Result<(), (usize, &'static str)> {
        let (mut data, mut name_end, mut frame) = (0, 0, 0);
        for (index, entry) in self.regions.iter().enumerate() {
            let refuse = |what| Err((at + index * REGION, what));
            let (end, first_frame, name) = (u64_at(entry, 0), u32_at(entry, 16) as usize, u32_at(entry, 20) as usize);
            if end < data || end > self.data {
                return refuse("a region has an invalid range");
            }
            while self.frames.get(frame).is_some_and(|entry| u64_at(entry, 8) <= data) {
                frame += 1;
            }
            if first_frame != if end > data { frame } else { 0 } {
                return refuse("a region has the wrong first frame");
            }
            let text = self.names.get(name_end..name).and_then(|bytes| bytes.strip_suffix(b"\0"));
            if !text.and_then(|bytes| std::str::from_utf8(bytes).ok()).is_some_and(is_name) {
                return refuse("a region has an invalid name");
            }
            (data, name_end) = (end, name);
        }
        if data != self.data || name_end != self.names.len() {
            return Err((at, "regions or names do not cover their tables"));
        }
        let taken = self.slots.iter().filter(|slot| **slot != [0; SLOT]).count();
        if taken != self.regions.len() {
            return Err((at, "the hash table of names is inconsistent"));
        }
        Ok(())
    }
}

fn is_name(name: &str) -> bool {
    !name.is_empty() && name.len() <= NAME_MAX && !name.contains('\0')
}

/// See [`View::attribute_at`].
fn attribute_at(attributes: &[u8], at: usize) -> Option<(usize, &str, &[u8])> {
    let bytes = attributes.get(at..)?;
    let (key, value) = (u32_at(bytes, 0) as usize, u32_at(bytes, 4) as usize);
    let (_, rest) = bytes.split_at_checked(ATTRIBUTE)?;
    let (key, rest) = rest.split_at_checked(key)?;
    let (zero, rest) = rest.split_first()?;
    let (value, rest) = rest.split_at_checked(value)?;
    let key = std::str::from_utf8(key).ok().filter(|_| *zero == 0)?;
    Some((attributes.len() - rest.len(), key, value))
}
