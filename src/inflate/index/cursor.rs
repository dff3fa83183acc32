//! Reading the output of an indexed stream from any offset.

use std::io::{self, Read, Seek, SeekFrom};

use super::format::Index;
use super::input::{BUFFER_SIZE, InputError, read};
use crate::alloc::try_zeroed;
use crate::inflate::error::Error;
use crate::inflate::stream::Inflate;

impl Index<'_> {
    /// Creates a reader of the output. `input` must be the whole input that the index was built from.
    ///
    /// # Errors
    /// Those of `input`. [`Error::SourceSizeMismatch`] inside, if `input` has another size.
    /// [`io::ErrorKind::OutOfMemory`].
    pub fn reader<R: Read + Seek>(&self, input: R) -> io::Result<IndexReader<'_, R>> {
        Ok(IndexReader { index: self, cursor: IndexCursor::new(self, input)? })
    }
}

/// Reads the output of an indexed stream from any offset; created by [`Index::reader`].
///
/// Sequential reads are as fast as without an index. A seek restores an access point, unless the new offset is a short
/// distance ahead.
///
/// # Errors
/// Those of the input. A corrupt index and a modified input are errors of kind [`io::ErrorKind::InvalidData`], with an
/// [`Error`] inside.
#[derive(Debug)]
pub struct IndexReader<'i, R> {
    index: &'i Index<'i>,
    cursor: IndexCursor<R>,
}

impl<R: Read + Seek> IndexReader<'_, R> {
    /// Reads output from byte `offset` until `output` is full or the output ends. Returns the number of bytes read.
    ///
    /// # Errors
    /// As for [`IndexReader`].
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
        let offset = match to {
            SeekFrom::Start(offset) => Some(offset),
            SeekFrom::End(distance) => self.index.output_size().checked_add_signed(distance),
            SeekFrom::Current(distance) => self.cursor.offset.checked_add_signed(distance),
        };
        self.cursor.offset = offset.ok_or(Error::InvalidArgument("the position is before the first byte"))?;
        Ok(self.cursor.offset)
    }
}

/// State of a reader without the index, which is passed to each call: the C API stores both in one struct.
#[derive(Debug)]
pub(crate) struct IndexCursor<R> {
    input: R,
    inflate: Inflate,
    /// Offset in the output of the next read. The decompressor is moved there when output is needed.
    offset: u64,
    /// Whether `inflate` and `buffer` are usable: false at first, and after an error.
    can_continue: bool,
    /// Offset in the input up to which its checksums were verified.
    verified_end: u64,
    /// Input that was read.
    buffer: Vec<u8>,
    /// Start of the bytes of `buffer` not yet consumed.
    pos: usize,
    /// End of the valid bytes of `buffer`.
    end: usize,
    /// Buffer for output before `offset`, which is discarded.
    discarded: Vec<u8>,
}

impl<R: Read + Seek> IndexCursor<R> {
    pub(crate) fn new(index: &Index<'_>, mut input: R) -> Result<Self, InputError> {
        let (size, expected) = (input.seek(SeekFrom::End(0))?, index.input_size());
        if size != expected {
            return Err(Error::SourceSizeMismatch { size, expected }.into());
        }
        let inflate = Inflate::new(index.format())?;
        let buffer = try_zeroed(BUFFER_SIZE).map_err(Error::from)?;
        let discarded = try_zeroed(BUFFER_SIZE).map_err(Error::from)?;
        Ok(Self { input, inflate, offset: 0, can_continue: false, verified_end: 0, buffer, pos: 0, end: 0, discarded })
    }

    pub(crate) fn input(&self) -> &R {
        &self.input
    }

    /// Reads output from byte `offset` until `output` is full or the output ends. Returns the number of bytes read.
    pub(crate) fn read_at(&mut self, index: &Index<'_>, offset: u64, output: &mut [u8]) -> Result<usize, InputError> {
        self.offset = offset;
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
        let count = index.output_size().saturating_sub(self.offset).min(output.len() as u64) as usize;
        if count == 0 {
            return Ok(0);
        }
        // Set again on success only, so that a call after an error restores an access point.
        let can_continue = std::mem::replace(&mut self.can_continue, false);
        self.seek_to_offset(index, can_continue)?;
        let count = self.decompress(index, &mut output[..count])?;
        self.can_continue = true;
        self.offset += count as u64;
        Ok(count)
    }

    /// Moves the decompressor to `self.offset`, from its position or from the nearest access point.
    fn seek_to_offset(&mut self, index: &Index<'_>, can_continue: bool) -> Result<(), InputError> {
        let target = self.offset;
        let point = index.point(index.last_point(|position| position.out_offset <= target)).ok_or(Error::Internal)?;
        let current = self.inflate.total_out();
        if !can_continue || current > target || current < point.position.out_offset {
            index.restore(&mut self.inflate, &point)?;
            (self.verified_end, self.pos, self.end) = (point.position.in_offset, 0, 0);
        }
        while self.inflate.total_out() < target {
            let count = (target - self.inflate.total_out()).min(BUFFER_SIZE as u64) as usize;
            let mut discarded = std::mem::take(&mut self.discarded);
            let result = self.decompress(index, &mut discarded[..count]);
            self.discarded = discarded;
            result?;
        }
        Ok(())
    }

    /// Decompresses at least one byte. `output` must not be empty, and the output must not have ended.
    fn decompress(&mut self, index: &Index<'_>, output: &mut [u8]) -> Result<usize, InputError> {
        loop {
            if self.pos == self.end {
                self.fill_buffer(index)?;
            }
            let progress = self.inflate.decompress(&self.buffer[self.pos..self.end], output);
            self.pos += progress.consumed;
            if progress.produced > 0 {
                return Ok(progress.produced);
            }
            progress.result?;
            // Without output, input remains only after the end of the stream.
            if self.pos < self.end || self.inflate.total_in() == index.input_size() {
                return Err(
                    Error::InvalidCheckpoint("is for another stream: this one has less output than the index says").into()
                );
            }
        }
    }

    /// Reads the next input to the buffer, and verifies it before if it is not yet verified.
    fn fill_buffer(&mut self, index: &Index<'_>) -> Result<(), InputError> {
        let from = self.inflate.total_in();
        (self.pos, self.end) = (0, 0);
        if from == index.input_size() {
            return Ok(());
        }
        if from >= self.verified_end && self.verify_interval(index, from)? {
            return Ok(());
        }
        let count = (self.verified_end - from).min(BUFFER_SIZE as u64) as usize;
        self.input.seek(SeekFrom::Start(from))?;
        self.end = read(&mut self.input, &mut self.buffer[..count])?;
        // The input was truncated after it was verified.
        if self.end == 0 { Err(Error::SourceModified { from, to: self.verified_end }.into()) } else { Ok(()) }
    }

    /// Verifies the checksum of the input from the access point at `from` to the next one. Returns whether that input
    /// is now in the buffer as a whole.
    fn verify_interval(&mut self, index: &Index<'_>, from: u64) -> Result<bool, InputError> {
        let number = index.last_point(|position| position.in_offset <= from);
        let point = index.point(number).ok_or(Error::Internal)?;
        let to = index.point(number + 1).map_or(index.input_size(), |next| next.position.in_offset);
        let (mut crc, mut at) = (crc32fast::Hasher::new(), from);
        self.input.seek(SeekFrom::Start(from))?;
        let fits = to - from <= BUFFER_SIZE as u64;
        let mut filled = 0;
        while at < to {
            let space = if fits { &mut self.buffer[filled..] } else { &mut self.buffer[..] };
            let count = space.len().min(usize::try_from(to - at).unwrap_or(usize::MAX));
            let count = read(&mut self.input, &mut space[..count])?;
            if count == 0 {
                break;
            }
            crc.update(&space[..count]);
            (at, filled) = (at + count as u64, filled + count);
        }
        if at < to || from != point.position.in_offset || crc.finalize() != point.input_crc {
            return Err(Error::SourceModified { from, to }.into());
        }
        self.verified_end = to;
        self.end = if fits { filled } else { 0 };
        Ok(fits)
    }
}
