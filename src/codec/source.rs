//! Where a checkpoint is restored from.

use std::os::fd::BorrowedFd;

use super::engine::End;
use super::{CHUNK_HEADER, FrameStyle};
use crate::bytes::{end_of, get_u24};
use crate::error::{Doing, Error};
use crate::sys::fd::{self, Read};
use crate::sys::memory::Region;

/// The largest size that a file or region can have.
pub(crate) const SIZE_MAX: u64 = i64::MAX as u64;

/// The size of what has none, and where only reading on is possible.
pub(crate) const NOT_SEEKABLE: u64 = u64::MAX;

/// A descriptor or a memory region, as far as it is read.
pub(crate) enum Source<'h> {
    Stream(Stream<'h>),
    Mmio(Mmio<'h>),
}

/// A descriptor with a buffer behind it.
pub(crate) struct Stream<'h> {
    pub(crate) fd: BorrowedFd<'h>,
    /// Size of the file when the restore began, or [`NOT_SEEKABLE`].
    pub(crate) size: u64,
    /// Position in the file of the next byte to restore.
    pub(crate) offset: &'h mut u64,
    /// At least [`BUFFER_MIN`](super::BUFFER_MIN) bytes.
    pub(crate) buffer: &'h mut [u8],
    /// Where in the buffer the bytes read ahead begin.
    pub(crate) lo: &'h mut u64,
    /// How many these are.
    pub(crate) ready: &'h mut u64,
}

/// A memory region.
pub(crate) struct Mmio<'h> {
    /// Position in the region of the next byte to restore.
    pub(crate) offset: &'h mut u64,
    pub(crate) region: Region<'h>,
}

impl End for Source<'_> {
    fn offset(&self) -> u64 {
        match self {
            Self::Stream(stream) => *stream.offset,
            Self::Mmio(mmio) => *mmio.offset,
        }
    }

    fn flush(&mut self) -> Result<(), Error> {
        Ok(())
    }
}

impl Source<'_> {
    /// Size of the region, or of the file when the restore began; [`NOT_SEEKABLE`] if it has none.
    pub(crate) fn size(&self) -> u64 {
        match self {
            Self::Stream(stream) => stream.size,
            Self::Mmio(mmio) => mmio.region.size(),
        }
    }

    /// Fills `bytes` (not none).
    #[inline]
    pub(crate) fn read(&mut self, bytes: &mut [u8]) -> Result<(), Error> {
        match self {
            Self::Stream(stream) => stream.read(bytes),
            Self::Mmio(mmio) => mmio.read(bytes),
        }
    }

    /// Reads a chunk of at most `bound` bytes and hands what follows its header to `decode`.
    #[inline]
    pub(crate) fn read_chunk(
        &mut self,
        bound: usize,
        decode: impl FnOnce(&[u8]) -> Result<(), &'static str>,
    ) -> Result<(), Error> {
        match self {
            Self::Stream(stream) => stream.read_chunk(bound, decode),
            Self::Mmio(mmio) => mmio.read_chunk(bound, decode),
        }
    }

    /// Goes to `offset`, which lies within the file or region.
    pub(crate) fn seek(&mut self, offset: u64) -> Result<(), Error> {
        match self {
            Self::Stream(stream) => stream.seek(offset),
            Self::Mmio(mmio) => {
                *mmio.offset = offset;
                Ok(())
            }
        }
    }
}

impl Stream<'_> {
    #[inline]
    fn read(&mut self, bytes: &mut [u8]) -> Result<(), Error> {
        let end = end_of(*self.offset, bytes.len())?;
        let ready = self.ready();
        match ready.get(..bytes.len()) {
            Some(ready) => {
                bytes.copy_from_slice(ready);
                self.advance(bytes.len());
            }
            None => self.read_on(bytes)?,
        }
        *self.offset = end;
        Ok(())
    }

    /// Fills `bytes` with what is ready and, straight into the caller's memory, with what is read now.
    fn read_on(&mut self, bytes: &mut [u8]) -> Result<(), Error> {
        let ready = self.ready();
        let (from_buffer, from_file) = bytes.split_at_mut(ready.len());
        from_buffer.copy_from_slice(ready);
        // What is read of the file and not wanted yet starts the buffer anew.
        (*self.lo, *self.ready) = (0, 0);
        *self.ready = read_full(self.fd, self.offset.saturating_add(from_buffer.len() as u64), from_file, self.buffer)?;
        Ok(())
    }

    fn read_chunk(&mut self, bound: usize, decode: impl FnOnce(&[u8]) -> Result<(), &'static str>) -> Result<(), Error> {
        let offset = *self.offset;
        self.make_ready(CHUNK_HEADER)?;
        let size = chunk_size(self.ready(), bound).map_err(|what| Error::Corrupt { offset, what })?;
        self.make_ready(size)?;
        decode(&self.ready()[CHUNK_HEADER..size]).map_err(|what| Error::Corrupt { offset, what })?;
        *self.offset = end_of(offset, size)?;
        self.advance(size);
        Ok(())
    }

    /// Sees to it that at least `size` bytes (no more than the buffer's minimum) are ready.
    #[inline]
    fn make_ready(&mut self, size: usize) -> Result<(), Error> {
        if *self.ready >= size as u64 { Ok(()) } else { self.read_ahead(size) }
    }

    fn read_ahead(&mut self, size: usize) -> Result<(), Error> {
        let (lo, ready) = (*self.lo as usize, *self.ready as usize);
        self.buffer.copy_within(lo..lo + ready, 0);
        *self.lo = 0;
        let (wanted, ahead) = self.buffer[ready..].split_at_mut(size - ready);
        let more = read_full(self.fd, self.offset.saturating_add(ready as u64), wanted, ahead)?;
        *self.ready = size as u64 + more;
        Ok(())
    }

    fn seek(&mut self, offset: u64) -> Result<(), Error> {
        let failed = |errno| Error::Io { doing: Doing::Seeking, offset, errno };
        let position = i64::try_from(offset).map_err(|_| Error::NotSeekable)?;
        fd::seek(self.fd, position).map_err(failed)?;
        (*self.lo, *self.ready, *self.offset) = (0, 0, offset);
        Ok(())
    }

    #[inline]
    fn ready(&self) -> &[u8] {
        &self.buffer[*self.lo as usize..][..*self.ready as usize]
    }

    #[inline]
    fn advance(&mut self, size: usize) {
        *self.lo += size as u64;
        *self.ready -= size as u64;
    }
}

impl Mmio<'_> {
    #[inline]
    fn read(&mut self, bytes: &mut [u8]) -> Result<(), Error> {
        match self.region.get(*self.offset, bytes.len()) {
            Some(from) => bytes.copy_from_slice(from),
            None => return Err(self.no_more(FrameStyle::Raw)),
        }
        *self.offset += bytes.len() as u64;
        Ok(())
    }

    fn read_chunk(&mut self, bound: usize, decode: impl FnOnce(&[u8]) -> Result<(), &'static str>) -> Result<(), Error> {
        let offset = *self.offset;
        let no_more = || self.no_more(FrameStyle::Lz4);
        let header = self.region.get(offset, CHUNK_HEADER).ok_or_else(no_more)?;
        let size = chunk_size(header, bound).map_err(|what| Error::Corrupt { offset, what })?;
        let chunk = self.region.get(offset, size).ok_or_else(no_more)?;
        decode(&chunk[CHUNK_HEADER..]).map_err(|what| Error::Corrupt { offset, what })?;
        *self.offset += size as u64;
        Ok(())
    }

    #[cold]
    fn no_more(&self, style: FrameStyle) -> Error {
        let offset = *self.offset;
        Error::NoRoom { offset, left: self.region.size().saturating_sub(offset), style }
    }
}

/// The size of a chunk with its header, which `bytes` begins with.
#[inline]
fn chunk_size(bytes: &[u8], bound: usize) -> Result<usize, &'static str> {
    let header = bytes.first_chunk::<CHUNK_HEADER>().ok_or("has no header")?;
    match CHUNK_HEADER + get_u24(*header) as usize {
        CHUNK_HEADER => Err("has size 0"),
        size if size > bound => Err("is larger than any chunk of its content can be"),
        size => Ok(size),
    }
}

/// Fills `wanted`, which the file has at `offset`, and returns how many bytes that follow went to `ahead`.
fn read_full(fd: BorrowedFd<'_>, offset: u64, wanted: &mut [u8], ahead: &mut [u8]) -> Result<u64, Error> {
    let missing = wanted.len() as u64;
    match fd::read_full(fd, wanted, ahead) {
        Ok(Read::Full { ahead }) => Ok(ahead as u64),
        Ok(Read::End { got }) => {
            Err(Error::UnexpectedEnd { offset: offset.saturating_add(got as u64), missing: missing - got as u64 })
        }
        Err(errno) => Err(Error::Io { doing: Doing::Reading, offset, errno }),
    }
}

/// Where a restore from `fd` begins: its size ([`NOT_SEEKABLE`] if it has none) and its position.
pub(crate) fn size_and_position(fd: BorrowedFd<'_>) -> Result<(u64, u64), Error> {
    let Some((size, position)) = fd::size_and_position(fd) else {
        return Ok((NOT_SEEKABLE, 0));
    };
    match (u64::try_from(size), u64::try_from(position)) {
        (Ok(size), Ok(position)) if position <= size => Ok((size, position)),
        _ => Err(Error::Argument("the descriptor stands behind the end of its file")),
    }
}
