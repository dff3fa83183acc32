//! Output as something that can be read from.

use std::io::{self, BufRead, Read};

use super::checkpoint::{Form, Position};
use super::error::Error;
use super::format::Format;
use super::progress::Status;
use super::stream::Inflate;
use crate::alloc::try_grow;

/// Decompresses while it is read: of a [`BufRead`] with compressed data it makes a [`Read`] and [`BufRead`] of the output.
///
/// Of gzip streams it reads all members. Input behind the end of the stream is not consumed. If the input ends before the stream does,
/// reading fails with [`io::ErrorKind::UnexpectedEof`]; if it is not sound, with [`io::ErrorKind::InvalidData`] and an
/// [`Error`](crate::Error) inside, which has the position. Input is asked for only if there is no output without it, so that one can read
/// from a connection that stays open.
///
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
    /// Output for [`BufRead`], made when first needed, and the part of it that was not consumed yet.
    buffer: Vec<u8>,
    from: usize,
    to: usize,
}

/// The size of the buffer for [`BufRead`].
const BUFFER: usize = 1 << 16;

impl<R: BufRead> Reader<R> {
    /// Decompresses `inner`, which stands at the start of a stream. Fails if memory is short.
    pub fn new(inner: R, format: Format) -> Result<Self, Error> {
        Ok(Self::with_inflate(inner, Inflate::new(format)?))
    }

    /// Goes on with `inflate`: `inner` stands at its [`Inflate::total_in`].
    pub fn with_inflate(inner: R, inflate: Inflate) -> Self {
        Self { inner, inflate, buffer: Vec::new(), from: 0, to: 0 }
    }

    /// Saves the state as [`Inflate::checkpoint`] does. It goes on after what was read; what [`BufRead::fill_buf`] gave and was not
    /// consumed must not be there.
    ///
    /// Fails with [`Error::InvalidArgument`] if it is.
    pub fn checkpoint(&self, form: Form) -> Result<(Vec<u8>, Position), Error> {
        if self.from < self.to {
            return Err(Error::InvalidArgument("output has not been consumed yet; consume it first"));
        }
        self.inflate.checkpoint(form)
    }

    /// The decompressor.
    pub fn inflate(&self) -> &Inflate {
        &self.inflate
    }

    /// What compressed data is read from.
    pub fn get_ref(&self) -> &R {
        &self.inner
    }

    /// What compressed data is read from, and the decompressor.
    pub fn into_parts(self) -> (R, Inflate) {
        (self.inner, self.inflate)
    }
}

/// Reads into `output`, which is not empty.
fn read_on<R: BufRead>(inner: &mut R, inflate: &mut Inflate, output: &mut [u8]) -> io::Result<usize> {
    loop {
        // First without more input, for which one could wait for ever: what is there already, and whether the end was reached.
        let progress = inflate.decompress(&[], output);
        if progress.produced > 0 {
            return Ok(progress.produced);
        }
        if progress.result? == Status::Done && inflate.format() != Format::Gzip {
            return Ok(0);
        }
        let input = inner.fill_buf()?;
        let ended = input.is_empty();
        let progress = inflate.decompress(input, output);
        let more = input.len() > progress.consumed;
        inner.consume(progress.consumed);
        if progress.produced > 0 {
            // What else there is to say, the next call says.
            return Ok(progress.produced);
        }
        match progress.result? {
            // Of gzip, what follows may be a further member.
            Status::Done if ended || more => return Ok(0),
            Status::NeedsInput if ended => return Err(io::ErrorKind::UnexpectedEof.into()),
            _ => {}
        }
    }
}

impl<R: BufRead> Read for Reader<R> {
    fn read(&mut self, output: &mut [u8]) -> io::Result<usize> {
        if output.is_empty() {
            return Ok(0);
        }
        if self.from < self.to {
            let count = output.len().min(self.to - self.from);
            output[..count].copy_from_slice(&self.buffer[self.from..][..count]);
            self.from += count;
            return Ok(count);
        }
        read_on(&mut self.inner, &mut self.inflate, output)
    }
}

impl<R: BufRead> BufRead for Reader<R> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        if self.from == self.to {
            try_grow(&mut self.buffer, BUFFER).map_err(Error::from)?;
            (self.from, self.to) = (0, read_on(&mut self.inner, &mut self.inflate, &mut self.buffer)?);
        }
        Ok(&self.buffer[self.from..self.to])
    }

    fn consume(&mut self, count: usize) {
        self.from = (self.from + count).min(self.to);
    }
}
