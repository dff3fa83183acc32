//! Source: the descriptor or memory from which a checkpoint is restored.

use std::os::fd::BorrowedFd;

use super::CHUNK_HEADER_SIZE;
use super::codec::Endpoint;
use super::error::Error;
use crate::bytes::{end_of, get_u24};
use crate::error_base::IoOperation;
use crate::sys::fd;
use crate::sys::shared_bytes::{SharedBytes, SharedBytesMut};

/// Maximum size in bytes of a file or region.
pub(crate) const SIZE_MAX: u64 = i64::MAX as u64;

/// Size of a descriptor that has none and can only be read forward (a pipe, a socket).
pub(crate) const NOT_SEEKABLE: u64 = u64::MAX;

/// Reads of at least this many bytes leave the buffer empty: a system call of their own is cheaper than the
/// copy from the buffer.
const READ_DIRECT_MIN: usize = 16_384;

/// A descriptor or a memory region.
pub(crate) enum Source<'h> {
    Stream(Stream<'h>),
    Mmio(Mmio<'h>),
}

/// A descriptor with a read buffer.
pub(crate) struct Stream<'h> {
    pub(crate) fd: BorrowedFd<'h>,
    /// Whether bytes are read by pread(2) at `offset` instead of at the position of the descriptor.
    pub(crate) positioned: bool,
    /// Size of the file when the restore was created, or [`NOT_SEEKABLE`].
    pub(crate) size: u64,
    /// Offset in the file of the next byte to restore.
    pub(crate) offset: &'h mut u64,
    /// At least [`BUFFER_MIN`](super::BUFFER_MIN) bytes.
    pub(crate) buffer: &'h mut [u8],
    /// Offset of the buffered bytes in the buffer. In the caller's memory, as `available`, so any value is handled.
    pub(crate) pos: &'h mut u64,
    /// Number of buffered bytes.
    pub(crate) available: &'h mut u64,
}

/// A memory region.
pub(crate) struct Mmio<'h> {
    /// Offset in the region of the next byte to restore.
    pub(crate) offset: &'h mut u64,
    pub(crate) region: SharedBytes<'h>,
}

impl Endpoint for Source<'_> {
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

/// A source whose next bytes may be in memory already, so that no system call is needed.
pub(super) trait BufferedSource {
    /// Returns the next bytes, up to `max`, or `None` if less than `min` are available without a system call.
    fn peek(&self, min: usize, max: usize) -> Option<&[u8]>;

    /// Consumes the first `size` of these bytes.
    fn advance(&mut self, size: usize);

    /// Both at once: returns the next `size` bytes and advances past them.
    fn consume(&mut self, size: usize) -> Option<&[u8]>;
}

impl BufferedSource for Stream<'_> {
    #[inline(always)]
    fn peek(&self, min: usize, max: usize) -> Option<&[u8]> {
        let size = usize::try_from(*self.available).ok().filter(|&size| size >= min)?.min(max);
        // Offsets near the limit take the slow path.
        if *self.offset > i64::MAX as u64 {
            return None;
        }
        self.buffer.get(*self.pos as usize..)?.get(..size)
    }

    #[inline(always)]
    fn advance(&mut self, size: usize) {
        *self.offset += size as u64;
        self.consume_buffered(size);
    }

    #[inline(always)]
    fn consume(&mut self, size: usize) -> Option<&[u8]> {
        let pos = *self.pos as usize;
        self.peek(size, size)?;
        self.advance(size);
        self.buffer.get(pos..)?.get(..size)
    }
}

impl BufferedSource for Mmio<'_> {
    #[inline(always)]
    fn peek(&self, min: usize, max: usize) -> Option<&[u8]> {
        let remaining = self.region.size().saturating_sub(*self.offset);
        self.region.get(*self.offset, remaining.min(max as u64)).filter(|available| available.len() >= min)
    }

    #[inline(always)]
    fn advance(&mut self, size: usize) {
        *self.offset += size as u64;
    }

    #[inline(always)]
    fn consume(&mut self, size: usize) -> Option<&[u8]> {
        let consumed = self.region.get(*self.offset, size as u64)?;
        *self.offset += size as u64;
        Some(consumed)
    }
}

impl Source<'_> {
    /// Returns the size of the region, or of the file when the restore was created; [`NOT_SEEKABLE`] if it has none.
    pub(crate) fn size(&self) -> u64 {
        match self {
            Self::Stream(stream) => stream.size,
            Self::Mmio(mmio) => mmio.region.size(),
        }
    }

    /// Fills a non-empty buffer.
    #[inline]
    pub(crate) fn read(&mut self, buffer: &mut SharedBytesMut<'_>) -> Result<(), Error> {
        match self {
            Self::Stream(stream) => stream.read(buffer),
            Self::Mmio(mmio) => mmio.read(buffer),
        }
    }

    /// Reads a chunk of at most `bound` bytes and passes its block to `decode`.
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

    /// Moves to `offset`, which is at most the size of the file or region.
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
        let buffered = self.buffered()?;
        let (from_buffer, from_file) = bytes.split_at_mut(buffered.len().min(bytes.len()));
        from_buffer.copy_from_slice(&buffered[..from_buffer.len()]);
        self.consume_buffered(from_buffer.len());
        if !from_file.is_empty() {
            self.read_from_fd(end - from_file.len() as u64, from_file)?;
        }
        *self.offset = end;
        Ok(())
    }

    /// Fills `bytes` from the file at `offset`, with nothing left in the buffer, and refills it if `bytes` is short.
    fn read_from_fd(&mut self, offset: u64, bytes: &mut [u8]) -> Result<(), Error> {
        (*self.pos, *self.available) = (0, 0);
        let buffer = if bytes.len() < READ_DIRECT_MIN { &mut *self.buffer } else { &mut [] };
        *self.available = read_at_least(self.fd, self.positioned, offset, bytes, buffer, bytes.len())? - bytes.len() as u64;
        Ok(())
    }

    fn read_chunk(&mut self, bound: usize, decode: impl FnOnce(&[u8]) -> Result<(), &'static str>) -> Result<(), Error> {
        let offset = *self.offset;
        let corrupt = |reason| Error::Corrupt { offset, reason };
        let size = chunk_size(self.fill_buf(CHUNK_HEADER_SIZE)?, bound).map_err(corrupt)?;
        decode(&self.fill_buf(size)?[CHUNK_HEADER_SIZE..]).map_err(corrupt)?;
        *self.offset = end_of(offset, size as u64)?;
        self.consume_buffered(size);
        Ok(())
    }

    /// Returns the next `min` bytes, at most the minimum size of the buffer; reads from the file if they are not buffered.
    #[inline]
    fn fill_buf(&mut self, min: usize) -> Result<&[u8], Error> {
        let available = self.buffered()?.len();
        if available < min {
            let pos = *self.pos as usize;
            self.buffer.copy_within(pos..pos + available, 0);
            *self.pos = 0;
            let (offset, spare) = (self.offset.saturating_add(available as u64), &mut self.buffer[available..]);
            *self.available += read_at_least(self.fd, self.positioned, offset, spare, &mut [], min - available)?;
        }
        self.buffered()?.get(..min).ok_or(Error::Internal)
    }

    fn seek(&mut self, offset: u64) -> Result<(), Error> {
        let failed = IoOperation::Seek.failed_at(offset);
        let position = i64::try_from(offset).map_err(|_| Error::NotSeekable)?;
        fd::seek(self.fd, position).map_err(failed)?;
        (*self.pos, *self.available, *self.offset) = (0, 0, offset);
        Ok(())
    }

    /// Returns the buffered bytes.
    #[inline]
    fn buffered(&self) -> Result<&[u8], Error> {
        let buffered = self.buffer.get(*self.pos as usize..);
        buffered.and_then(|buffered| buffered.get(..*self.available as usize)).ok_or(Error::Internal)
    }

    #[inline]
    fn consume_buffered(&mut self, size: usize) {
        *self.pos += size as u64;
        *self.available -= size as u64;
    }
}

impl Mmio<'_> {
    fn read(&mut self, buffer: &mut SharedBytesMut<'_>) -> Result<(), Error> {
        let size = buffer.size();
        match (self.region.get(*self.offset, size), buffer.get(0, size)) {
            (Some(available), Some(bytes)) => bytes.copy_from_slice(available),
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
        const TRUNCATED: &str = "an LZ4 chunk extends past the end of the memory";
        let offset = *self.offset;
        let corrupt = |reason| Error::Corrupt { offset, reason };
        let header = self.region.get(offset, CHUNK_HEADER_SIZE as u64).ok_or(corrupt(TRUNCATED))?;
        let size = chunk_size(header, bound).map_err(corrupt)?;
        let chunk = self.region.get(offset, size as u64).ok_or(corrupt(TRUNCATED))?;
        decode(&chunk[CHUNK_HEADER_SIZE..]).map_err(corrupt)?;
        *self.offset += size as u64;
        Ok(())
    }
}

/// Returns the size, header included, of the chunk at the start of `bytes`.
#[inline]
pub(super) fn chunk_size(bytes: &[u8], bound: usize) -> Result<usize, &'static str> {
    let header = bytes.first_chunk::<CHUNK_HEADER_SIZE>().ok_or("has no header")?;
    match CHUNK_HEADER_SIZE + get_u24(*header) as usize {
        CHUNK_HEADER_SIZE => Err("an LZ4 chunk has size 0"),
        size if size > bound => Err("an LZ4 chunk is larger than any of its content can be"),
        size => Ok(size),
    }
}

/// Reads at least `min` bytes of the file at `offset`, to `first` and then `second`. Returns the number of bytes read.
fn read_at_least(
    fd: BorrowedFd<'_>,
    positioned: bool,
    offset: u64,
    first: &mut [u8],
    second: &mut [u8],
    min: usize,
) -> Result<u64, Error> {
    // The system rejects a read that ends beyond the maximum offset, even if fewer bytes are needed.
    let max = if positioned { SIZE_MAX.saturating_sub(offset) } else { SIZE_MAX };
    let max = usize::try_from(max).unwrap_or(usize::MAX);
    if max < min {
        return Err(Error::OffsetOverflow { size: min as u64 });
    }
    let len = first.len().min(max);
    let (first, second_len) = (&mut first[..len], second.len().min(max - len));
    match fd::pread_at_least(fd, Some(offset).filter(|_| positioned), first, &mut second[..second_len], min) {
        Ok(count) if count < min => {
            Err(Error::UnexpectedEof { offset: offset.saturating_add(count as u64), missing: (min - count) as u64 })
        }
        Ok(count) => Ok(count as u64),
        Err(errno) => Err(IoOperation::Read.failed_at(offset)(errno).into()),
    }
}

/// Returns the size of the file of `fd` ([`NOT_SEEKABLE`] if it has none) and the position at which a restore starts.
pub(crate) fn file_size_and_offset(fd: BorrowedFd<'_>) -> Result<(u64, u64), Error> {
    let Some((size, position)) = fd::size_and_position(fd) else {
        return Ok((NOT_SEEKABLE, 0));
    };
    match (u64::try_from(size), u64::try_from(position)) {
        (Ok(size), Ok(position)) if position <= size => Ok((size, position)),
        _ => Err(Error::InvalidArgument("the descriptor's position is past the end of its file")),
    }
}
