//! Random access: checkpoints of a stream at regular distances of its output, kept in a container. docs/format/inflate-index.md
//! describes it.

use std::borrow::Cow;
use std::os::fd::AsFd;

use crate::alloc::try_with_capacity;
use crate::bytes::{u32_at, u64_at};
use crate::container::Container;
use crate::inflate::checkpoint::Position;
use crate::inflate::error::Error;
use crate::inflate::format::Format;
use crate::inflate::stream::Inflate;

/// The types of the container's sections: the points, and their checkpoints one behind the other.
const POINTS: u8 = 128;
const CHECKPOINTS: u8 = 129;

const MAGIC: [u8; 8] = *b"FDCKINDX";
const VERSION: u8 = 1;

/// Bytes in front of the points.
const HEAD: usize = 48;

/// Bytes of a point.
pub(super) const POINT: usize = 36;

/// Bytes of the checksum behind the points.
const SUM: usize = 4;

/// An index of a compressed stream: with it, reading can begin anywhere in the output, at the nearest of its points.
///
/// A point is a compact checkpoint, some 10 to 40 KB, of [`Format::Deflate64`] up to twice that; there is one for each `every` bytes of
/// output. To read from an offset, on average half of that is decompressed before.
///
/// ```
/// use fdckpt::inflate::{Format, Index};
/// use std::io::{Cursor, Read, Seek, SeekFrom};
///
/// # fn main() -> std::io::Result<()> {
/// # let stream = [0x2b, 0xc9, 0x57, 0x48, 0x4a, 0xd5, 0x51, 0xc8, 0x2f, 0x52, 0xc8, 0xcb, 0x2f, 0x51, 0x28, 0x01, 0xf1, 0x00];
/// // Once, while the output goes to wherever it is wanted, if at all:
/// let index = Index::build(&stream[..], std::io::sink(), Format::Deflate, 1 << 20)?;
/// let file = index.to_container()?.serialize()?;
///
/// // As often as parts of the output are needed:
/// let index = Index::parse(&file)?;
/// let mut reader = index.reader(Cursor::new(stream))?;
/// reader.seek(SeekFrom::Start(7))?;
/// let mut some = [0; 6];
/// reader.read_exact(&mut some)?;
/// assert_eq!(&some, b"or not");
/// # Ok(())
/// # }
/// ```
///
/// The index knows the size of its input, and a checksum of the input between any two points. So an input that is another one, or was
/// changed, is refused: when it is opened, or before anything of the changed part is returned.
#[derive(Clone, Debug)]
pub struct Index<'a> {
    pub(super) format: Format,
    pub(super) every: u64,
    pub(super) input_size: u64,
    pub(super) output_size: u64,
    /// The points as they are written.
    pub(super) points: Cow<'a, [u8]>,
    pub(super) checkpoints: Cow<'a, [u8]>,
}

/// Where decoding can begin.
#[derive(Clone, Copy, Debug)]
pub(super) struct Point {
    pub(super) input: u64,
    pub(super) output: u64,
    /// Where in the checkpoints its own is.
    pub(super) from: u64,
    pub(super) size: u32,
    /// CRC-32 of the checkpoint. (Its own checksum of the window is a weak one.)
    pub(super) checkpoint_sum: u32,
    /// CRC-32 of the input from here to the next point, or to its end.
    pub(super) sum: u32,
}

impl Point {
    pub(super) fn write(&self) -> [u8; POINT] {
        let mut bytes = [0; POINT];
        bytes[..8].copy_from_slice(&self.input.to_le_bytes());
        bytes[8..16].copy_from_slice(&self.output.to_le_bytes());
        bytes[16..24].copy_from_slice(&self.from.to_le_bytes());
        bytes[24..28].copy_from_slice(&self.size.to_le_bytes());
        bytes[28..32].copy_from_slice(&self.checkpoint_sum.to_le_bytes());
        bytes[32..].copy_from_slice(&self.sum.to_le_bytes());
        bytes
    }

    pub(super) fn read(bytes: &[u8; POINT]) -> Self {
        Self {
            input: u64_at(bytes, 0),
            output: u64_at(bytes, 8),
            from: u64_at(bytes, 16),
            size: u32_at(bytes, 24),
            checkpoint_sum: u32_at(bytes, 28),
            sum: u32_at(bytes, 32),
        }
    }
}

impl<'a> Index<'a> {
    /// Reads the index in the container that `file` is. Checkpoints are not copied, and looked at when they are needed.
    ///
    /// # Errors
    /// [`Error::UnknownFormat`] if there is none in it, or one of a later version; [`Error::CorruptIndex`] if it is damaged; and as for
    /// [`Container::parse`].
    pub fn parse(file: &'a [u8]) -> Result<Self, Error> {
        let container = Container::parse(file)?;
        let find = |kind| {
            let section = container.sections().find(|section| section.kind() == kind);
            let section = section.ok_or(Error::UnknownFormat("not an inflate index: the container has no sections of one"))?;
            section.data()?;
            // It lies in the file.
            let (offset, length) = (section.offset() as usize, section.length() as usize);
            Ok::<_, Error>((offset as u64, file.get(offset..offset + length).ok_or(Error::Internal)?))
        };
        let ((offset, table), (_, checkpoints)) = (find(POINTS)?, find(CHECKPOINTS)?);
        let refuse = |at: usize, what| Err(Error::CorruptIndex { offset: offset + at as u64, reason: what });
        if !table.starts_with(&MAGIC) {
            return Err(Error::UnknownFormat("not an inflate index: the container has no sections of one"));
        }
        let (Some((content, sum)), true) = (table.split_last_chunk::<SUM>(), table.len() >= HEAD + SUM) else {
            return refuse(0, "the index is too short");
        };
        if table[8] != VERSION {
            return Err(Error::UnknownFormat("unknown version of the inflate index"));
        }
        if crc32fast::hash(content) != u32::from_le_bytes(*sum) {
            return refuse(content.len(), "the checksum of the index is wrong");
        }
        let (head, points) = content.split_at(HEAD);
        let Some(&format) = Format::ALL.iter().find(|format| **format as u8 == head[9]) else {
            return refuse(9, "the format of the stream is unknown");
        };
        let [every, input_size, output_size, count] = [16, 24, 32, 40].map(|at| u64_at(head, at));
        if head[10..16] != [0; 6] || every == 0 || count == 0 || count.checked_mul(POINT as u64) != Some(points.len() as u64) {
            return refuse(9, "the index has impossible numbers");
        }
        let index = Self {
            format,
            every,
            input_size,
            output_size,
            points: Cow::Borrowed(points),
            checkpoints: Cow::Borrowed(checkpoints),
        };
        let mut before = None;
        for (number, point) in index.points().enumerate() {
            let in_order = match before {
                None => point.input == 0 && point.output == 0,
                Some(Point { input, output, .. }) => input <= point.input && output < point.output,
            };
            let inside = point.input <= input_size && point.output <= output_size;
            if !in_order || !inside || index.checkpoint(&point).is_none() {
                return refuse(HEAD + number * POINT, "the index has an impossible access point");
            }
            before = Some(point);
        }
        Ok(index)
    }

    /// The index as a container, to which sections of other types can be added. To write it to memory or a file is what that has methods
    /// for.
    ///
    /// # Errors
    /// [`Error::OutOfMemory`].
    pub fn to_container(&self) -> Result<Container<'_>, Error> {
        let size = HEAD + self.points.len() + SUM;
        let mut table = try_with_capacity(size)?;
        table.extend(MAGIC);
        table.extend([VERSION, self.format as u8, 0, 0, 0, 0, 0, 0]);
        for field in [self.every, self.input_size, self.output_size, (self.points.len() / POINT) as u64] {
            table.extend(field.to_le_bytes());
        }
        table.extend_from_slice(&self.points);
        table.extend(crc32fast::hash(&table).to_le_bytes());
        let mut container = Container::new();
        container.set(POINTS, table)?;
        container.set(CHECKPOINTS, &self.checkpoints[..])?;
        Ok(container)
    }

    /// Writes the index as a container to `fd`, an empty file. As [`Container::write_to`].
    ///
    /// # Errors
    /// [`Error::OutOfMemory`]; [`Error::Io`], and then the file has a part of it.
    pub fn write_to(&self, fd: impl AsFd) -> Result<u64, Error> {
        Ok(self.to_container()?.write_to(fd)?)
    }

    /// Checks each point's checkpoint, which [`parse`](Self::parse) leaves for when it is needed. The input is not needed for this.
    ///
    /// # Errors
    /// [`Error::InvalidCheckpoint`] for the first that is damaged; [`Error::OutOfMemory`].
    pub fn verify(&self) -> Result<(), Error> {
        let mut inflate = Inflate::new(self.format)?;
        self.points().try_for_each(|point| self.restore(&mut inflate, &point))
    }

    pub(super) fn restore(&self, inflate: &mut Inflate, point: &Point) -> Result<(), Error> {
        let checkpoint = self.checkpoint(point).ok_or(Error::Internal)?;
        if crc32fast::hash(checkpoint) != point.checkpoint_sum {
            return Err(Error::InvalidCheckpoint("is corrupt: its checksum differs from that in the index"));
        }
        if inflate.restore(checkpoint)? != (Position { input: point.input, output: point.output }) {
            return Err(Error::InvalidCheckpoint("is for another position than the index says"));
        }
        Ok(())
    }

    /// The format of the stream.
    pub fn format(&self) -> Format {
        self.format
    }

    /// How many bytes of output there are between two points.
    pub fn every(&self) -> u64 {
        self.every
    }

    /// How many bytes the input has.
    pub fn input_size(&self) -> u64 {
        self.input_size
    }

    /// How many bytes the output has.
    pub fn output_size(&self) -> u64 {
        self.output_size
    }

    /// How many points there are. The first is at the start.
    pub fn point_count(&self) -> usize {
        self.table().len()
    }

    pub(super) fn table(&self) -> &[[u8; POINT]] {
        self.points.as_chunks().0
    }

    fn points(&self) -> impl Iterator<Item = Point> {
        self.table().iter().map(Point::read)
    }

    /// The last point that is not beyond a position.
    pub(super) fn last_point(&self, not_beyond: impl Fn(&Point) -> bool) -> usize {
        self.table().partition_point(|point| not_beyond(&Point::read(point))).saturating_sub(1)
    }

    fn checkpoint(&self, point: &Point) -> Option<&[u8]> {
        let from = usize::try_from(point.from).ok()?;
        self.checkpoints.get(from..from.checked_add(point.size as usize)?)
    }
}
