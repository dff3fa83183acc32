//! Reading from an index.

use std::io::{self, Read, Seek, SeekFrom};

use super::format::{Index, Point};
use super::input::{BUFFER, InputError, read};
use crate::alloc::try_zeroed;
use crate::inflate::error::Error;
use crate::inflate::stream::Inflate;

impl Index<'_> {
    /// A reader of the output: `input` is what the index was made of, all of it.
    ///
    /// # Errors
    /// [`Error::SourceSizeMismatch`] inside, if the input's size is another one; those of `input`; [`io::ErrorKind::OutOfMemory`].
    pub fn reader<R: Read + Seek>(&self, input: R) -> io::Result<IndexReader<'_, R>> {
        Ok(IndexReader { index: self, cursor: Cursor::new(self, input)? })
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
