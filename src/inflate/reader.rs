//! Adapter that decompresses while it is read.

use std::io::{self, BufRead, Read};

use super::checkpoint::{CheckpointEncoding, Position};
use super::error::Error;
use super::format::Format;
use super::progress::Status;
use super::stream::Inflate;
use crate::alloc::try_grow;

/// Reads the output of a compressed stream: an adapter from a [`BufRead`] of compressed data to a [`Read`] and
/// [`BufRead`] of output.
///
/// Input after the end of the stream is not consumed. In gzip, all members are read. The inner reader is only called if
/// no output can be produced without it, so a connection that stays open does not block available output.
///
/// # Errors
/// Those of the inner reader. [`io::ErrorKind::UnexpectedEof`] if the input ends before the stream does. If the stream
/// is corrupt, [`io::ErrorKind::InvalidData`] with an [`Error`](crate::Error) inside, which has the position.
///
/// # Examples
/// ```no_run
/// use fdckpt::inflate::{Format, Reader};
/// use std::{fs::File, io};
///
/// # fn main() -> io::Result<()> {
/// let file = io::BufReader::with_capacity(1 << 16, File::open("data.gz")?);
/// io::copy(&mut Reader::new(file, Format::Gzip)?, &mut File::create("data")?)?;
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Reader<R> {
    inner: R,
    inflate: Inflate,
    /// Output for [`BufRead`], allocated when it is first needed.
    buffer: Vec<u8>,
    /// Start of the bytes of `buffer` that were not consumed yet.
    pos: usize,
    /// End of the valid bytes of `buffer`.
    end: usize,
}

/// Size in bytes of the buffer for [`BufRead`].
const BUFFER_SIZE: usize = 1 << 16;

impl<R: BufRead> Reader<R> {
    /// Creates a reader of the stream that begins at the position of `inner`.
    ///
    /// # Errors
    /// [`Error::OutOfMemory`].
    pub fn new(inner: R, format: Format) -> Result<Self, Error> {
        Ok(Self::with_inflate(inner, Inflate::new(format)?))
    }

    /// Creates a reader that continues with `inflate`, for example one that was restored. `inner` must be at its
    /// [`Inflate::total_in`].
    pub fn with_inflate(inner: R, inflate: Inflate) -> Self {
        Self { inner, inflate, buffer: Vec::new(), pos: 0, end: 0 }
    }

    /// Saves the state as [`Inflate::checkpoint`] does. The checkpoint resumes after the output that was read.
    ///
    /// # Errors
    /// Those of [`Inflate::checkpoint`], and [`Error::InvalidArgument`] if [`BufRead::fill_buf`] returned output that
    /// is not consumed yet.
    pub fn checkpoint(&self, encoding: CheckpointEncoding) -> Result<(Vec<u8>, Position), Error> {
        if self.pos < self.end {
            return Err(Error::InvalidArgument("output has not been consumed yet; consume it first"));
        }
        self.inflate.checkpoint(encoding)
    }

    /// Returns the decompressor.
    pub fn inflate(&self) -> &Inflate {
        &self.inflate
    }

    /// Returns the reader of compressed data.
    pub fn get_ref(&self) -> &R {
        &self.inner
    }
}

/// Reads at least one byte to `output`, which must not be empty. Returns 0 at the end of the stream.
fn read_output<R: BufRead>(inner: &mut R, inflate: &mut Inflate, output: &mut [u8]) -> io::Result<usize> {
    loop {
        // First without input, because asking for more can block.
        let progress = inflate.decompress(&[], output);
        if progress.produced > 0 {
            return Ok(progress.produced);
        }
        if progress.result? == Status::Done && inflate.format() != Format::Gzip {
            return Ok(0);
        }
        let input = inner.fill_buf()?;
        let at_eof = input.is_empty();
        let progress = inflate.decompress(input, output);
        let has_more = input.len() > progress.consumed;
        inner.consume(progress.consumed);
        if progress.produced > 0 {
            // An error is returned by the next call.
            return Ok(progress.produced);
        }
        match progress.result? {
            // In gzip, more input may be another member, which `decompress` would have consumed.
            Status::Done if at_eof || has_more => return Ok(0),
            Status::NeedsInput if at_eof => return Err(io::ErrorKind::UnexpectedEof.into()),
            _ => {}
        }
    }
}

impl<R: BufRead> Read for Reader<R> {
    fn read(&mut self, output: &mut [u8]) -> io::Result<usize> {
        if output.is_empty() {
            return Ok(0);
        }
        if self.pos < self.end {
            let count = output.len().min(self.end - self.pos);
            output[..count].copy_from_slice(&self.buffer[self.pos..][..count]);
            self.pos += count;
            return Ok(count);
        }
        read_output(&mut self.inner, &mut self.inflate, output)
    }
}

impl<R: BufRead> BufRead for Reader<R> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        if self.pos == self.end {
            try_grow(&mut self.buffer, BUFFER_SIZE).map_err(Error::from)?;
            (self.pos, self.end) = (0, read_output(&mut self.inner, &mut self.inflate, &mut self.buffer)?);
        }
        Ok(&self.buffer[self.pos..self.end])
    }

    fn consume(&mut self, count: usize) {
        self.pos = (self.pos + count).min(self.end);
    }
}
