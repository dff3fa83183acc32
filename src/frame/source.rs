//! Where a checkpoint is restored from.

use std::os::fd::BorrowedFd;

use super::CHUNK_HEADER;
use super::codec::End;
use super::error::Error;
use crate::bytes::{end_of, get_u24};
use crate::error_base::IoOperation;
use crate::sys::fd;
use crate::sys::shared_bytes::{SharedBytes, SharedBytesMut};

/// The largest size that a file or region can have.
pub(crate) const SIZE_MAX: u64 = i64::MAX as u64;

/// The size of what has none, and where only reading on is possible.
pub(crate) const NOT_SEEKABLE: u64 = u64::MAX;

/// Reads of at least so many bytes go to the caller's memory alone, as the copy out of the buffer costs more than the call.
const READ_ALONE: usize = 16_384;

/// A descriptor or a memory region, as far as it is read.
pub(crate) enum Source<'h> {
    Stream(Stream<'h>),
    Mmio(Mmio<'h>),
}

/// A descriptor with a buffer behind it.
pub(crate) struct Stream<'h> {
    pub(crate) fd: BorrowedFd<'h>,
    /// Whether it is read from where `offset` says, by pread(2). Else that is the descriptor's position.
    pub(crate) at_offset: bool,
    /// Size of the file when the restore began, or [`NOT_SEEKABLE`].
    pub(crate) size: u64,
    /// Position in the file of the next byte to restore.
    pub(crate) offset: &'h mut u64,
    /// At least [`BUFFER_MIN`](super::BUFFER_MIN) bytes.
    pub(crate) buffer: &'h mut [u8],
    /// Where in the buffer the bytes read ahead begin. In a C host's memory, like the next, so it may be anything.
    pub(crate) lo: &'h mut u64,
    /// How many these are.
    pub(crate) ready: &'h mut u64,
}

/// A memory region.
pub(crate) struct Mmio<'h> {
    /// Position in the region of the next byte to restore.
    pub(crate) offset: &'h mut u64,
    pub(crate) region: SharedBytes<'h>,
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

/// Where bytes may be at hand: that is, without a call of the system.
pub(super) trait Ready {
    /// The next bytes, as many as are at hand up to `most`, if that is at least `least`.
    fn ready(&self, least: usize, most: usize) -> Option<&[u8]>;

    /// Says that the first `size` of them were used.
    fn advance(&mut self, size: usize);

    /// Both at once: `size` bytes are used.
    fn take_ready(&mut self, size: usize) -> Option<&[u8]>;
}

impl Ready for Stream<'_> {
    #[inline(always)]
    fn ready(&self, least: usize, most: usize) -> Option<&[u8]> {
        let size = usize::try_from(*self.ready).ok().filter(|&size| size >= least)?.min(most);
        // An offset near its limit is not for here.
        if *self.offset > i64::MAX as u64 {
            return None;
        }
        self.buffer.get(*self.lo as usize..)?.get(..size)
    }

    #[inline(always)]
    fn advance(&mut self, size: usize) {
        *self.offset += size as u64;
        self.drop_read_ahead(size);
    }

    #[inline(always)]
    fn take_ready(&mut self, size: usize) -> Option<&[u8]> {
        let lo = *self.lo as usize;
        self.ready(size, size)?;
        self.advance(size);
        self.buffer.get(lo..)?.get(..size)
    }
}

impl Ready for Mmio<'_> {
    #[inline(always)]
    fn ready(&self, least: usize, most: usize) -> Option<&[u8]> {
        let left = self.region.size().saturating_sub(*self.offset);
        self.region.get(*self.offset, left.min(most as u64)).filter(|ready| ready.len() >= least)
    }

    #[inline(always)]
    fn advance(&mut self, size: usize) {
        *self.offset += size as u64;
    }

    #[inline(always)]
    fn take_ready(&mut self, size: usize) -> Option<&[u8]> {
        let ready = self.region.get(*self.offset, size as u64)?;
        *self.offset += size as u64;
        Some(ready)
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

    /// Fills a buffer (not an empty one).
    #[inline]
    pub(crate) fn read(&mut self, buffer: &mut SharedBytesMut<'_>) -> Result<(), Error> {
        match self {
            Self::Stream(stream) => stream.read(buffer),
            Self::Mmio(mmio) => mmio.read(buffer),
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
    fn read(&mut self, buffer: &mut SharedBytesMut<'_>) -> Result<(), Error> {
        let size = buffer.size();
        let end = end_of(*self.offset, size)?;
        let bytes = buffer.get(0, size).ok_or(Error::OffsetOverflow { size })?;
        let ready = self.read_ahead()?;
        let (from_buffer, from_file) = bytes.split_at_mut(ready.len().min(bytes.len()));
        from_buffer.copy_from_slice(&ready[..from_buffer.len()]);
        self.drop_read_ahead(from_buffer.len());
        if !from_file.is_empty() {
            self.read_on(end - from_file.len() as u64, from_file)?;
        }
        *self.offset = end;
        Ok(())
    }

    /// Fills `bytes` from the file, where they are at `offset`. Nothing is left of what was read ahead.
    fn read_on(&mut self, offset: u64, bytes: &mut [u8]) -> Result<(), Error> {
        (*self.lo, *self.ready) = (0, 0);
        // A long read is worth a call for itself; to a short one belongs one ahead.
        let ahead = if bytes.len() < READ_ALONE { &mut *self.buffer } else { &mut [] };
        *self.ready = read_at_least(self.fd, self.at_offset, offset, bytes, ahead, bytes.len())? - bytes.len() as u64;
        Ok(())
    }

    fn read_chunk(&mut self, bound: usize, decode: impl FnOnce(&[u8]) -> Result<(), &'static str>) -> Result<(), Error> {
        let offset = *self.offset;
        let corrupt = |what| Error::Corrupt { offset, reason: what };
        let size = chunk_size(self.make_ready(CHUNK_HEADER)?, bound).map_err(corrupt)?;
        decode(&self.make_ready(size)?[CHUNK_HEADER..]).map_err(corrupt)?;
        *self.offset = end_of(offset, size as u64)?;
        self.drop_read_ahead(size);
        Ok(())
    }

    /// Sees to it that `size` bytes (no more than the buffer's minimum) are read ahead, and returns them.
    #[inline]
    fn make_ready(&mut self, size: usize) -> Result<&[u8], Error> {
        let ready = self.read_ahead()?.len();
        if ready < size {
            let lo = *self.lo as usize;
            self.buffer.copy_within(lo..lo + ready, 0);
            *self.lo = 0;
            let (offset, room) = (self.offset.saturating_add(ready as u64), &mut self.buffer[ready..]);
            *self.ready += read_at_least(self.fd, self.at_offset, offset, room, &mut [], size - ready)?;
        }
        self.read_ahead()?.get(..size).ok_or(Error::Internal)
    }

    fn seek(&mut self, offset: u64) -> Result<(), Error> {
        let failed = IoOperation::Seek.failed_at(offset);
        let position = i64::try_from(offset).map_err(|_| Error::NotSeekable)?;
        fd::seek(self.fd, position).map_err(failed)?;
        (*self.lo, *self.ready, *self.offset) = (0, 0, offset);
        Ok(())
    }

    /// What was read ahead.
    #[inline]
    fn read_ahead(&self) -> Result<&[u8], Error> {
        let read = self.buffer.get(*self.lo as usize..);
        read.and_then(|read| read.get(..*self.ready as usize)).ok_or(Error::Internal)
    }

    #[inline]
    fn drop_read_ahead(&mut self, size: usize) {
        *self.lo += size as u64;
        *self.ready -= size as u64;
    }
}

impl Mmio<'_> {
    fn read(&mut self, buffer: &mut SharedBytesMut<'_>) -> Result<(), Error> {
        let size = buffer.size();
        match (self.region.get(*self.offset, size), buffer.get(0, size)) {
            (Some(from), Some(bytes)) => bytes.copy_from_slice(from),
            _ => {
                let end = self.region.size();
                let missing = size.saturating_sub(end.saturating_sub(*self.offset));
                return Err(Error::UnexpectedEof { offset: end, missing });
            }
        }
        *self.offset += size;
        Ok(())
    }

    fn read_chunk(&mut self, bound: usize, decode: impl FnOnce(&[u8]) -> Result<(), &'static str>) -> Result<(), Error> {
        const CUT: &str = "an LZ4 chunk extends past the end of the memory";
        let offset = *self.offset;
        let corrupt = |what| Error::Corrupt { offset, reason: what };
        let header = self.region.get(offset, CHUNK_HEADER as u64).ok_or(corrupt(CUT))?;
        let size = chunk_size(header, bound).map_err(corrupt)?;
        let chunk = self.region.get(offset, size as u64).ok_or(corrupt(CUT))?;
        decode(&chunk[CHUNK_HEADER..]).map_err(corrupt)?;
        *self.offset += size as u64;
        Ok(())
    }
}

/// The size of a chunk with its header, which `bytes` begins with.
#[inline]
pub(super) fn chunk_size(bytes: &[u8], bound: usize) -> Result<usize, &'static str> {
    let header = bytes.first_chunk::<CHUNK_HEADER>().ok_or("has no header")?;
    match CHUNK_HEADER + get_u24(*header) as usize {
        CHUNK_HEADER => Err("an LZ4 chunk has size 0"),
        size if size > bound => Err("an LZ4 chunk is larger than any of its content can be"),
        size => Ok(size),
    }
}

/// Reads at least `least` bytes, which the file has at `offset`, to `first` and then `second`. Returns how many it read.
fn read_at_least(
    fd: BorrowedFd<'_>,
    at_offset: bool,
    offset: u64,
    first: &mut [u8],
    second: &mut [u8],
    least: usize,
) -> Result<u64, Error> {
    // The system refuses what goes beyond the last offset, also where that is only for reading ahead.
    let most = if at_offset { SIZE_MAX.saturating_sub(offset) } else { SIZE_MAX };
    let most = usize::try_from(most).unwrap_or(usize::MAX);
    if most < least {
        return Err(Error::OffsetOverflow { size: least as u64 });
    }
    let len = first.len().min(most);
    let (first, ahead) = (&mut first[..len], second.len().min(most - len));
    match fd::pread_at_least(fd, Some(offset).filter(|_| at_offset), first, &mut second[..ahead], least) {
        Ok(got) if got < least => {
            Err(Error::UnexpectedEof { offset: offset.saturating_add(got as u64), missing: (least - got) as u64 })
        }
        Ok(got) => Ok(got as u64),
        Err(errno) => Err(IoOperation::Read.failed_at(offset)(errno).into()),
    }
}

/// Where a restore from `fd` begins: its size ([`NOT_SEEKABLE`] if it has none) and its position.
pub(crate) fn size_and_position(fd: BorrowedFd<'_>) -> Result<(u64, u64), Error> {
    let Some((size, position)) = fd::size_and_position(fd) else {
        return Ok((NOT_SEEKABLE, 0));
    };
    match (u64::try_from(size), u64::try_from(position)) {
        (Ok(size), Ok(position)) if position <= size => Ok((size, position)),
        _ => Err(Error::InvalidArgument("the descriptor's position is past the end of its file")),
    }
}
