//! The index and its encoding as a container. docs/format/inflate-index.md specifies it.

use std::borrow::Cow;
use std::os::fd::AsFd;

use crate::alloc::try_with_capacity;
use crate::bytes::{u32_at, u64_at};
use crate::container::Container;
use crate::inflate::checkpoint::Position;
use crate::inflate::error::Error;
use crate::inflate::format::Format;
use crate::inflate::stream::Inflate;

/// Type of the container section with the table of access points.
const POINTS_SECTION: u8 = 128;
/// Type of the container section with the checkpoints of the access points.
const CHECKPOINTS_SECTION: u8 = 129;

const MAGIC: [u8; 8] = *b"FDCKINDX";
const VERSION: u8 = 1;

/// Size in bytes of the fields before the access points.
const HEADER_SIZE: usize = 48;

/// Size in bytes of an encoded access point.
pub(super) const POINT_SIZE: usize = 36;

/// Size in bytes of the CRC-32 after the access points.
const CRC_SIZE: usize = 4;

/// Index of a compressed stream, for reading its output from any offset.
///
/// It has an access point every `interval` bytes of output, at which decompression can start. An access point takes 10
/// to 40 KB, up to twice that in [`Format::Deflate64`]. Reading from an offset first decompresses half an interval on
/// average.
///
/// The index stores the size of its input and a checksum of the input between two access points. Another or modified
/// input is detected: when it is opened, or before output of the modified part is returned.
///
/// # Examples
/// ```
/// use fdckpt::inflate::{Format, Index};
/// use std::io::{Cursor, Read, Seek, SeekFrom};
///
/// # fn main() -> std::io::Result<()> {
/// # let stream = [0x2b, 0xc9, 0x57, 0x48, 0x4a, 0xd5, 0x51, 0xc8, 0x2f, 0x52, 0xc8, 0xcb, 0x2f, 0x51, 0x28, 0x01, 0xf1, 0x00];
/// // Once. The output can also go to a file.
/// let index = Index::build(&stream[..], std::io::sink(), Format::Deflate, 1 << 20)?;
/// let file = index.to_container()?.serialize()?;
///
/// // Whenever a part of the output is needed.
/// let index = Index::parse(&file)?;
/// let mut reader = index.reader(Cursor::new(stream))?;
/// reader.seek(SeekFrom::Start(7))?;
/// let mut part = [0; 6];
/// reader.read_exact(&mut part)?;
/// assert_eq!(&part, b"or not");
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct Index<'a> {
    pub(super) format: Format,
    pub(super) interval: u64,
    pub(super) input_size: u64,
    pub(super) output_size: u64,
    /// Encoded access points.
    pub(super) points: Cow<'a, [u8]>,
    /// Checkpoints of the access points, one after the other.
    pub(super) checkpoints: Cow<'a, [u8]>,
}

/// Position at which decompression can start.
#[derive(Clone, Copy, Debug)]
pub(super) struct AccessPoint {
    pub(super) position: Position,
    /// Offset in bytes of its checkpoint in [`Index::checkpoints`].
    pub(super) checkpoint_offset: u64,
    /// Size in bytes of its checkpoint.
    pub(super) checkpoint_size: u32,
    /// CRC-32 of its checkpoint, whose own checksum of the window is weak.
    pub(super) checkpoint_crc: u32,
    /// CRC-32 of the input from here to the next access point, or to the end.
    pub(super) input_crc: u32,
}

impl AccessPoint {
    pub(super) fn encode(&self) -> [u8; POINT_SIZE] {
        let mut bytes = [0; POINT_SIZE];
        bytes[..8].copy_from_slice(&self.position.in_offset.to_le_bytes());
        bytes[8..16].copy_from_slice(&self.position.out_offset.to_le_bytes());
        bytes[16..24].copy_from_slice(&self.checkpoint_offset.to_le_bytes());
        bytes[24..28].copy_from_slice(&self.checkpoint_size.to_le_bytes());
        bytes[28..32].copy_from_slice(&self.checkpoint_crc.to_le_bytes());
        bytes[32..].copy_from_slice(&self.input_crc.to_le_bytes());
        bytes
    }

    fn decode(bytes: &[u8; POINT_SIZE]) -> Self {
        Self {
            position: Position { in_offset: u64_at(bytes, 0), out_offset: u64_at(bytes, 8) },
            checkpoint_offset: u64_at(bytes, 16),
            checkpoint_size: u32_at(bytes, 24),
            checkpoint_crc: u32_at(bytes, 28),
            input_crc: u32_at(bytes, 32),
        }
    }
}

impl<'a> Index<'a> {
    /// Parses the index in the container `file`. Checkpoints are not copied, and not verified before they are used.
    ///
    /// # Errors
    /// [`Error::UnknownFormat`] if the container has no index or one of a later version; [`Error::CorruptIndex`]; those
    /// of [`Container::parse`].
    pub fn parse(file: &'a [u8]) -> Result<Self, Error> {
        let container = Container::parse(file)?;
        let find = |kind| {
            let section = container.sections().find(|section| section.kind() == kind);
            let section = section.ok_or(Error::UnknownFormat("not an inflate index: the container has no sections of one"))?;
            section.data()?;
            // The offset of the section is needed for errors, and its data with the lifetime of `file`.
            let (offset, length) = (section.offset() as usize, section.length() as usize);
            Ok::<_, Error>((offset as u64, file.get(offset..offset + length).ok_or(Error::Internal)?))
        };
        let ((offset, table), (_, checkpoints)) = (find(POINTS_SECTION)?, find(CHECKPOINTS_SECTION)?);
        let refuse = |at: usize, reason| Err(Error::CorruptIndex { offset: offset + at as u64, reason });
        if !table.starts_with(&MAGIC) {
            return Err(Error::UnknownFormat("not an inflate index: the container has no sections of one"));
        }
        let (Some((content, crc)), true) = (table.split_last_chunk::<CRC_SIZE>(), table.len() >= HEADER_SIZE + CRC_SIZE) else {
            return refuse(0, "the index is too short");
        };
        if table[8] != VERSION {
            return Err(Error::UnknownFormat("unknown version of the inflate index"));
        }
        if crc32fast::hash(content) != u32::from_le_bytes(*crc) {
            return refuse(content.len(), "the checksum of the index is wrong");
        }
        let (header, points) = content.split_at(HEADER_SIZE);
        let Some(&format) = Format::ALL.iter().find(|format| **format as u8 == header[9]) else {
            return refuse(9, "the format of the stream is unknown");
        };
        let [interval, input_size, output_size, count] = [16, 24, 32, 40].map(|at| u64_at(header, at));
        let has_count = count > 0 && count.checked_mul(POINT_SIZE as u64) == Some(points.len() as u64);
        if header[10..16] != [0; 6] || interval == 0 || !has_count {
            return refuse(9, "the index has impossible numbers");
        }
        let index = Self {
            format,
            interval,
            input_size,
            output_size,
            points: Cow::Borrowed(points),
            checkpoints: Cow::Borrowed(checkpoints),
        };
        let mut previous = None;
        for (number, point) in index.points().enumerate() {
            let Position { in_offset, out_offset } = point.position;
            let is_in_order = match previous {
                None => in_offset == 0 && out_offset == 0,
                Some(previous) => {
                    let Position { in_offset: previous_in, out_offset: previous_out } = previous;
                    previous_in <= in_offset && previous_out < out_offset
                }
            };
            let is_inside = in_offset <= input_size && out_offset <= output_size;
            if !is_in_order || !is_inside || index.checkpoint(&point).is_none() {
                return refuse(HEADER_SIZE + number * POINT_SIZE, "the index has an impossible access point");
            }
            previous = Some(point.position);
        }
        Ok(index)
    }

    /// Returns the index as a container, to which sections of other types can be added.
    ///
    /// # Errors
    /// [`Error::OutOfMemory`].
    pub fn to_container(&self) -> Result<Container<'_>, Error> {
        let size = HEADER_SIZE + self.points.len() + CRC_SIZE;
        let mut table = try_with_capacity(size)?;
        table.extend(MAGIC);
        table.extend([VERSION, self.format as u8, 0, 0, 0, 0, 0, 0]);
        for field in [self.interval, self.input_size, self.output_size, (self.points.len() / POINT_SIZE) as u64] {
            table.extend(field.to_le_bytes());
        }
        table.extend_from_slice(&self.points);
        table.extend(crc32fast::hash(&table).to_le_bytes());
        let mut container = Container::new();
        container.set(POINTS_SECTION, table)?;
        container.set(CHECKPOINTS_SECTION, &self.checkpoints[..])?;
        Ok(container)
    }

    /// Writes the index as a container to `fd`, which must be an empty file. Returns its size in bytes, as
    /// [`Container::write_to`].
    ///
    /// # Errors
    /// [`Error::OutOfMemory`]; [`Error::Io`], after which the file may have a part of the index.
    pub fn write_to(&self, fd: impl AsFd) -> Result<u64, Error> {
        Ok(self.to_container()?.write_to(fd)?)
    }

    /// Verifies the checkpoints of all access points, which [`parse`](Self::parse) does not do. The input is not
    /// needed.
    ///
    /// # Errors
    /// [`Error::InvalidCheckpoint`] for the first corrupt checkpoint; [`Error::OutOfMemory`].
    pub fn verify(&self) -> Result<(), Error> {
        let mut inflate = Inflate::new(self.format)?;
        self.points().try_for_each(|point| self.restore(&mut inflate, &point))
    }

    /// Restores the checkpoint of an access point.
    pub(super) fn restore(&self, inflate: &mut Inflate, point: &AccessPoint) -> Result<(), Error> {
        let checkpoint = self.checkpoint(point).ok_or(Error::Internal)?;
        if crc32fast::hash(checkpoint) != point.checkpoint_crc {
            return Err(Error::InvalidCheckpoint("is corrupt: its checksum differs from that in the index"));
        }
        if inflate.restore(checkpoint)? != point.position {
            return Err(Error::InvalidCheckpoint("is for another position than the index says"));
        }
        Ok(())
    }

    /// Format of the stream.
    pub fn format(&self) -> Format {
        self.format
    }

    /// Number of bytes of output between two access points.
    pub fn interval(&self) -> u64 {
        self.interval
    }

    /// Size of the input in bytes.
    pub fn input_size(&self) -> u64 {
        self.input_size
    }

    /// Size of the output in bytes.
    pub fn output_size(&self) -> u64 {
        self.output_size
    }

    /// Number of access points, including the one at the start of the stream.
    pub fn point_count(&self) -> usize {
        self.encoded_points().len()
    }

    fn encoded_points(&self) -> &[[u8; POINT_SIZE]] {
        self.points.as_chunks().0
    }

    fn points(&self) -> impl Iterator<Item = AccessPoint> {
        self.encoded_points().iter().map(AccessPoint::decode)
    }

    /// Returns access point `number`, if there is one.
    pub(super) fn point(&self, number: usize) -> Option<AccessPoint> {
        self.encoded_points().get(number).map(AccessPoint::decode)
    }

    /// Returns the number of the last access point for which `is_before` holds, or 0. It must not hold again after it
    /// failed.
    pub(super) fn last_point(&self, is_before: impl Fn(&Position) -> bool) -> usize {
        self.encoded_points().partition_point(|point| is_before(&AccessPoint::decode(point).position)).saturating_sub(1)
    }

    fn checkpoint(&self, point: &AccessPoint) -> Option<&[u8]> {
        let start = usize::try_from(point.checkpoint_offset).ok()?;
        self.checkpoints.get(start..start.checked_add(point.checkpoint_size as usize)?)
    }
}
