//! Random access: checkpoints of a stream at regular distances of its output, kept in a container. docs/format/inflate-index.md
//! describes it.

use std::borrow::Cow;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::fd::AsFd;

use super::error::Error;
use super::{Form, Format, Inflate, Position, Status};
use crate::alloc::{try_with_capacity, try_zeroed};
use crate::bytes::{u32_at, u64_at};
use crate::container::Container;

/// The types of the container's sections: the points, and their checkpoints one behind the other.
const POINTS: u8 = 128;
const CHECKPOINTS: u8 = 129;

const MAGIC: [u8; 8] = *b"FDCKINDX";
const VERSION: u8 = 1;

/// Bytes in front of the points.
const HEAD: usize = 48;

/// Bytes of a point.
const POINT: usize = 36;

/// Bytes of the checksum behind the points.
const SUM: usize = 4;

const BUFFER: usize = 1 << 16;

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
    format: Format,
    every: u64,
    input_size: u64,
    output_size: u64,
    /// The points as they are written.
    points: Cow<'a, [u8]>,
    checkpoints: Cow<'a, [u8]>,
}

/// Where decoding can begin.
#[derive(Clone, Copy, Debug)]
struct Point {
    input: u64,
    output: u64,
    /// Where in the checkpoints its own is.
    from: u64,
    size: u32,
    /// CRC-32 of the checkpoint. (Its own checksum of the window is a weak one.)
    checkpoint_sum: u32,
    /// CRC-32 of the input from here to the next point, or to its end.
    sum: u32,
}

impl Point {
    fn write(&self) -> [u8; POINT] {
        let mut bytes = [0; POINT];
        bytes[..8].copy_from_slice(&self.input.to_le_bytes());
        bytes[8..16].copy_from_slice(&self.output.to_le_bytes());
        bytes[16..24].copy_from_slice(&self.from.to_le_bytes());
        bytes[24..28].copy_from_slice(&self.size.to_le_bytes());
        bytes[28..32].copy_from_slice(&self.checkpoint_sum.to_le_bytes());
        bytes[32..].copy_from_slice(&self.sum.to_le_bytes());
        bytes
    }

    fn read(bytes: &[u8; POINT]) -> Self {
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

/// Why something with an input failed: this library's reason, or the input's own. (As an [`io::Error`] the first takes memory.)
#[derive(Debug)]
pub(crate) enum InputError {
    Library(Error),
    Input(io::Error),
}

impl From<Error> for InputError {
    fn from(error: Error) -> Self {
        Self::Library(error)
    }
}

impl From<io::Error> for InputError {
    fn from(error: io::Error) -> Self {
        Self::Input(error)
    }
}

impl From<InputError> for io::Error {
    fn from(failure: InputError) -> Self {
        match failure {
            InputError::Library(error) => error.into(),
            InputError::Input(error) => error,
        }
    }
}

fn read(input: &mut impl Read, buffer: &mut [u8]) -> io::Result<usize> {
    loop {
        match input.read(buffer) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            result => return result,
        }
    }
}

/// What an index is made of, while it is.
#[derive(Default)]
struct Maker {
    points: Vec<u8>,
    checkpoints: Vec<u8>,
    /// Of the input since the last point.
    sum: crc32fast::Hasher,
}

impl Maker {
    /// Adds a point where the decoder is.
    fn point(&mut self, inflate: &Inflate) -> Result<(), Error> {
        self.end_point();
        let (from, bound) = (self.checkpoints.len(), inflate.checkpoint_bound(Form::Compact));
        self.points.try_reserve(POINT).and_then(|()| self.checkpoints.try_reserve(bound))?;
        self.checkpoints.resize(from + bound, 0);
        let (size, Position { input, output }) = inflate.checkpoint_into(Form::Compact, &mut self.checkpoints[from..])?;
        self.checkpoints.truncate(from + size);
        let checkpoint_sum = crc32fast::hash(&self.checkpoints[from..]);
        let point = Point { input, output, from: from as u64, size: size as u32, checkpoint_sum, sum: 0 };
        self.points.extend_from_slice(&point.write());
        Ok(())
    }

    /// The input of the last point has ended.
    fn end_point(&mut self) {
        let sum = std::mem::take(&mut self.sum).finalize();
        if let Some(field) = self.points.last_chunk_mut() {
            *field = sum.to_le_bytes();
        }
    }
}

impl Index<'static> {
    /// Decompresses `input` and makes an index of it, with a point for each `every` bytes of output. The output goes to `output`, which is
    /// [`io::sink`] if it is not wanted.
    ///
    /// `input` is read to its end, and belongs to the index as a whole, also what follows the stream: if that is only a part of a file, give
    /// that part ([`Read::take`]).
    ///
    /// # Errors
    /// Those of `input` and `output`. [`io::ErrorKind::UnexpectedEof`] if the input ends before the stream. Others have an [`Error`] inside:
    /// [`Error::Corrupt`] if the stream is not sound, [`Error::InvalidArgument`] if `every` is 0; [`io::ErrorKind::OutOfMemory`].
    pub fn build(input: impl Read, output: impl Write, format: Format, every: u64) -> io::Result<Self> {
        Ok(Self::make(input, output, format, every)?)
    }

    pub(crate) fn make(mut input: impl Read, mut output: impl Write, format: Format, every: u64) -> Result<Self, InputError> {
        if every == 0 {
            return Err(Error::InvalidArgument("the interval of access points is 0").into());
        }
        let mut inflate = Inflate::new(format)?;
        let (mut from, mut to) = (try_zeroed(BUFFER).map_err(Error::from)?, try_zeroed(BUFFER).map_err(Error::from)?);
        let mut maker = Maker::default();
        maker.point(&inflate)?;
        let (mut input_size, mut next) = (0, every);
        let (mut at, mut end, mut ended) = (0, 0, false);
        loop {
            if at == end && !ended {
                (at, end) = (0, read(&mut input, &mut from)?);
                ended = end == 0;
                input_size += end as u64;
            }
            let room = (next - inflate.total_out()).min(BUFFER as u64) as usize;
            let progress = inflate.decompress(&from[at..end], &mut to[..room]);
            maker.sum.update(&from[at..at + progress.consumed]);
            at += progress.consumed;
            output.write_all(&to[..progress.produced])?;
            match progress.result? {
                Status::Done if at < end || ended => break,
                // Of gzip, another member can follow.
                Status::Done => continue,
                Status::NeedsInput if ended => return Err(Error::UnexpectedEof { offset: input_size }.into()),
                Status::NeedsInput | Status::NeedsOutput => {}
            }
            if inflate.total_out() == next {
                maker.point(&inflate)?;
                next = next.saturating_add(every);
            }
        }
        while !ended {
            maker.sum.update(&from[at..end]);
            (at, end) = (0, read(&mut input, &mut from)?);
            ended = end == 0;
            input_size += end as u64;
        }
        maker.end_point();
        let (points, checkpoints) = (Cow::Owned(maker.points), Cow::Owned(maker.checkpoints));
        Ok(Self { format, every, input_size, output_size: inflate.total_out(), points, checkpoints })
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

    /// A reader of the output: `input` is what the index was made of, all of it.
    ///
    /// # Errors
    /// [`Error::SourceSizeMismatch`] inside, if the input's size is another one; those of `input`; [`io::ErrorKind::OutOfMemory`].
    pub fn reader<R: Read + Seek>(&self, input: R) -> io::Result<IndexReader<'_, R>> {
        Ok(IndexReader { index: self, cursor: Cursor::new(self, input)? })
    }

    /// Checks each point's checkpoint, which [`parse`](Self::parse) leaves for when it is needed. The input is not needed for this.
    ///
    /// # Errors
    /// [`Error::InvalidCheckpoint`] for the first that is damaged; [`Error::OutOfMemory`].
    pub fn verify(&self) -> Result<(), Error> {
        let mut inflate = Inflate::new(self.format)?;
        self.points().try_for_each(|point| self.restore(&mut inflate, &point))
    }

    fn restore(&self, inflate: &mut Inflate, point: &Point) -> Result<(), Error> {
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

    fn table(&self) -> &[[u8; POINT]] {
        self.points.as_chunks().0
    }

    fn points(&self) -> impl Iterator<Item = Point> {
        self.table().iter().map(Point::read)
    }

    /// The last point that is not beyond a position.
    fn last_point(&self, not_beyond: impl Fn(&Point) -> bool) -> usize {
        self.table().partition_point(|point| not_beyond(&Point::read(point))).saturating_sub(1)
    }

    fn checkpoint(&self, point: &Point) -> Option<&[u8]> {
        let from = usize::try_from(point.from).ok()?;
        self.checkpoints.get(from..from.checked_add(point.size as usize)?)
    }
}

/// Reads the output of a compressed stream from any position on: see [`Index::reader`].
///
/// Reading on is as fast as without an index; going elsewhere means to begin at a point, unless it is a little ahead.
/// Damage and changes of the input are errors of kind [`io::ErrorKind::InvalidData`], with an [`Error`] inside.
#[derive(Debug)]
pub struct IndexReader<'i, R> {
    index: &'i Index<'i>,
    cursor: Cursor<R>,
}

impl<R: Read + Seek> IndexReader<'_, R> {
    /// Reads from the position `offset` of the output on, until `output` is full or there is no more. Returns how many bytes were read.
    pub fn read_at(&mut self, offset: u64, output: &mut [u8]) -> io::Result<usize> {
        Ok(self.cursor.read_at(self.index, offset, output)?)
    }
}

impl<R: Read + Seek> Read for IndexReader<'_, R> {
    fn read(&mut self, output: &mut [u8]) -> io::Result<usize> {
        Ok(self.cursor.read(self.index, output)?)
    }
}

impl<R> Seek for IndexReader<'_, R> {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let position = match to {
            SeekFrom::Start(position) => Some(position),
            SeekFrom::End(distance) => self.index.output_size.checked_add_signed(distance),
            SeekFrom::Current(distance) => self.cursor.position.checked_add_signed(distance),
        };
        self.cursor.position = position.ok_or(Error::InvalidArgument("the position is before the first byte"))?;
        Ok(self.cursor.position)
    }
}

/// What an [`IndexReader`] has beside the index.
#[derive(Debug)]
pub(crate) struct Cursor<R> {
    input: R,
    inflate: Inflate,
    /// Where in the output reading goes on. The decoder follows when it is needed.
    position: u64,
    /// Whether the decoder can go on from where it is.
    placed: bool,
    /// The input is known to be right from where the decoder is to here.
    checked: u64,
    /// Input, of which a part was taken.
    buffer: Vec<u8>,
    at: usize,
    end: usize,
    /// For output that is passed over.
    scratch: Vec<u8>,
}

impl<R: Read + Seek> Cursor<R> {
    pub(crate) fn new(index: &Index<'_>, mut input: R) -> Result<Self, InputError> {
        let (size, expected) = (input.seek(SeekFrom::End(0))?, index.input_size);
        if size != expected {
            return Err(Error::SourceSizeMismatch { size, expected }.into());
        }
        let inflate = Inflate::new(index.format)?;
        let (buffer, scratch) = (try_zeroed(BUFFER).map_err(Error::from)?, try_zeroed(BUFFER).map_err(Error::from)?);
        Ok(Self { input, inflate, position: 0, placed: false, checked: 0, buffer, at: 0, end: 0, scratch })
    }

    pub(crate) fn input(&self) -> &R {
        &self.input
    }

    pub(crate) fn read_at(&mut self, index: &Index<'_>, offset: u64, output: &mut [u8]) -> Result<usize, InputError> {
        self.position = offset;
        let mut done = 0;
        while done < output.len() {
            match self.read(index, &mut output[done..])? {
                0 => break,
                count => done += count,
            }
        }
        Ok(done)
    }

    fn read(&mut self, index: &Index<'_>, output: &mut [u8]) -> Result<usize, InputError> {
        let left = index.output_size.saturating_sub(self.position).min(output.len() as u64) as usize;
        if left == 0 {
            return Ok(0);
        }
        // After a failure it begins anew.
        let placed = std::mem::replace(&mut self.placed, false);
        self.approach(index, placed)?;
        let count = self.decode(index, &mut output[..left])?;
        self.placed = true;
        self.position += count as u64;
        Ok(count)
    }

    /// Takes the decoder to where reading goes on.
    fn approach(&mut self, index: &Index<'_>, placed: bool) -> Result<(), InputError> {
        let target = self.position;
        let point = Point::read(&index.table()[index.last_point(|point| point.output <= target)]);
        let here = self.inflate.total_out();
        if !placed || here > target || here < point.output {
            index.restore(&mut self.inflate, &point)?;
            (self.checked, self.at, self.end) = (point.input, 0, 0);
        }
        while self.inflate.total_out() < target {
            let count = (target - self.inflate.total_out()).min(BUFFER as u64) as usize;
            let mut scratch = std::mem::take(&mut self.scratch);
            let result = self.decode(index, &mut scratch[..count]);
            self.scratch = scratch;
            result?;
        }
        Ok(())
    }

    /// Decodes at least one byte to `output`, which is not empty. There is more output.
    fn decode(&mut self, index: &Index<'_>, output: &mut [u8]) -> Result<usize, InputError> {
        loop {
            if self.at == self.end {
                self.fill(index)?;
            }
            let progress = self.inflate.decompress(&self.buffer[self.at..self.end], output);
            self.at += progress.consumed;
            if progress.produced > 0 {
                return Ok(progress.produced);
            }
            progress.result?;
            // Input is left over only behind the end of the stream.
            if self.at < self.end || self.inflate.total_in() == index.input_size {
                return Err(
                    Error::InvalidCheckpoint("is for another stream: this one has less output than the index says").into()
                );
            }
        }
    }

    /// Gets the next input, of what is known to be right.
    fn fill(&mut self, index: &Index<'_>) -> Result<(), InputError> {
        let from = self.inflate.total_in();
        (self.at, self.end) = (0, 0);
        if from == index.input_size {
            return Ok(());
        }
        if from >= self.checked && self.check(index, from)? {
            return Ok(());
        }
        let count = (self.checked - from).min(BUFFER as u64) as usize;
        self.input.seek(SeekFrom::Start(from))?;
        self.end = read(&mut self.input, &mut self.buffer[..count])?;
        // It was longer a moment ago.
        if self.end == 0 { Err(Error::SourceModified { from, to: self.checked }.into()) } else { Ok(()) }
    }

    /// Compares the input from `from`, where a point is, to the next one with the checksum that the index has of it. True if all of it is
    /// in the buffer now.
    fn check(&mut self, index: &Index<'_>, from: u64) -> Result<bool, InputError> {
        let number = index.last_point(|point| point.input <= from);
        let point = Point::read(&index.table()[number]);
        let to = index.table().get(number + 1).map_or(index.input_size, |next| Point::read(next).input);
        let (mut sum, mut at) = (crc32fast::Hasher::new(), from);
        self.input.seek(SeekFrom::Start(from))?;
        let whole = to - from <= BUFFER as u64;
        let mut filled = 0;
        while at < to {
            let place = if whole { &mut self.buffer[filled..] } else { &mut self.buffer[..] };
            let room = place.len().min(usize::try_from(to - at).unwrap_or(usize::MAX));
            let count = read(&mut self.input, &mut place[..room])?;
            if count == 0 {
                break;
            }
            sum.update(&place[..count]);
            (at, filled) = (at + count as u64, filled + count);
        }
        if at < to || from != point.input || sum.finalize() != point.sum {
            return Err(Error::SourceModified { from, to }.into());
        }
        self.checked = to;
        self.end = if whole { filled } else { 0 };
        Ok(whole)
    }
}
