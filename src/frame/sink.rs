//! Sink: the descriptor or memory to which a checkpoint is written.

use std::os::fd::BorrowedFd;

use super::FrameStyle;
use super::codec::Endpoint;
use super::error::Error;
use crate::bytes::end_of;
use crate::error_base::IoOperation;
use crate::sys::copy::copy_prefix;
use crate::sys::errno::Errno;
use crate::sys::fd;
use crate::sys::shared_bytes::{SharedBytes, SharedBytesMut};

/// Writes of at least this many bytes bypass the buffer: one writev(2) is cheaper than the copy. A write
/// that finds the buffer empty is buffered all the same: a checkpoint that fails before anything else is added leaves the
/// file untouched.
pub(super) const WRITE_THROUGH_MIN: usize = 16_384;

/// A descriptor or a memory region.
pub(crate) enum Sink<'h> {
    Stream(Stream<'h>),
    Mmio(Mmio<'h>),
}

/// A descriptor with a write buffer.
pub(crate) struct Stream<'h> {
    pub(crate) fd: BorrowedFd<'h>,
    /// Whether bytes are written by pwrite(2) at `offset` instead of at the position of the descriptor.
    pub(crate) positioned: bool,
    /// Number of bytes written so far, those in the buffer included.
    pub(crate) offset: &'h mut u64,
    /// At least [`BUFFER_MIN`](super::BUFFER_MIN) bytes.
    pub(crate) buffer: &'h mut [u8],
    /// Number of buffered bytes, at the start of the buffer. In the caller's memory, so any value is handled.
    pub(crate) used: &'h mut u64,
}

/// A memory region.
pub(crate) struct Mmio<'h> {
    /// Number of bytes written so far.
    pub(crate) offset: &'h mut u64,
    pub(crate) region: SharedBytesMut<'h>,
}

impl Endpoint for Sink<'_> {
    fn offset(&self) -> u64 {
        match self {
            Self::Stream(stream) => *stream.offset,
            Self::Mmio(mmio) => *mmio.offset,
        }
    }

    fn flush(&mut self) -> Result<(), Error> {
        match self {
            Self::Stream(stream) => stream.flush_with(&[]),
            Self::Mmio(_) => Ok(()),
        }
    }
}

/// A sink that can take bytes without a system call, while space is available.
pub(super) trait BufferedSink {
    /// Returns the next `size` bytes, if they are available without a system call.
    fn available_mut(&mut self, size: usize) -> Option<&mut [u8]>;

    /// Appends the first `size` of these bytes, which the caller has written.
    fn advance(&mut self, size: usize);

    /// Both at once: returns the next `size` bytes, which the caller must write, and advances past them.
    fn claim(&mut self, size: usize) -> Option<&mut [u8]>;
}

impl BufferedSink for Stream<'_> {
    #[inline(always)]
    fn available_mut(&mut self, size: usize) -> Option<&mut [u8]> {
        // A full buffer is flushed at once, so more space is required than is used. Offsets near the limit take the slow path.
        match self.buffer.get_mut(*self.used as usize..) {
            Some(spare) if size < spare.len() && *self.offset <= i64::MAX as u64 => spare.get_mut(..size),
            _ => None,
        }
    }

    #[inline(always)]
    fn advance(&mut self, size: usize) {
        *self.offset += size as u64;
        *self.used += size as u64;
    }

    #[inline(always)]
    fn claim(&mut self, size: usize) -> Option<&mut [u8]> {
        let used = *self.used as usize;
        self.available_mut(size)?;
        self.advance(size);
        self.buffer.get_mut(used..)?.get_mut(..size)
    }
}

impl BufferedSink for Mmio<'_> {
    #[inline(always)]
    fn available_mut(&mut self, size: usize) -> Option<&mut [u8]> {
        self.region.get(*self.offset, size as u64)
    }

    #[inline(always)]
    fn advance(&mut self, size: usize) {
        *self.offset += size as u64;
    }

    #[inline(always)]
    fn claim(&mut self, size: usize) -> Option<&mut [u8]> {
        let claimed = self.region.get(*self.offset, size as u64)?;
        *self.offset += size as u64;
        Some(claimed)
    }
}

impl Sink<'_> {
    /// Appends a non-empty buffer unchanged.
    #[inline]
    pub(crate) fn write(&mut self, buffer: &SharedBytes<'_>) -> Result<(), Error> {
        match self {
            Self::Stream(stream) => stream.write(buffer),
            Self::Mmio(mmio) => mmio.write(buffer),
        }
    }

    /// Returns space for a chunk of at most `bound` bytes, or less at the end of a region; flushes the buffer if necessary.
    /// [`commit_chunk`](Self::commit_chunk) appends the chunk.
    pub(crate) fn reserve(&mut self, bound: usize) -> Result<&mut [u8], Error> {
        match self {
            Self::Stream(stream) => stream.reserve(bound),
            Self::Mmio(mmio) => {
                let size = mmio.remaining().min(bound as u64);
                Ok(mmio.region.get(*mmio.offset, size).unwrap_or_default())
            }
        }
    }

    /// Appends complete chunks. Returns false, and does nothing, if less than `bound` bytes of a region would remain.
    pub(crate) fn append(&mut self, chunks: &[u8], bound: usize) -> Result<bool, Error> {
        match self {
            Self::Stream(stream) => {
                let end = end_of(*stream.offset, chunks.len() as u64)?;
                stream.flush_with(chunks)?;
                *stream.offset = end;
            }
            Self::Mmio(mmio) if mmio.remaining() < (chunks.len() + bound) as u64 => return Ok(false),
            Self::Mmio(mmio) => match mmio.claim(chunks.len()) {
                Some(claimed) => claimed.copy_from_slice(chunks),
                None => return Ok(chunks.is_empty()),
            },
        }
        Ok(true)
    }

    /// Appends the chunk of `size` bytes that was written to the reserved space; `None`: the chunk did not fit.
    pub(crate) fn commit_chunk(&mut self, size: Option<usize>) -> Result<(), Error> {
        match (self, size) {
            (Self::Stream(stream), Some(size)) => stream.commit_chunk(size),
            // The minimum size of the buffer is that of the largest chunk.
            (Self::Stream(_), None) => Err(Error::Internal),
            (Self::Mmio(mmio), Some(size)) => {
                mmio.advance(size);
                Ok(())
            }
            (Self::Mmio(mmio), None) => Err(mmio.out_of_space(FrameStyle::Lz4)),
        }
    }
}

impl Stream<'_> {
    fn write(&mut self, buffer: &SharedBytes<'_>) -> Result<(), Error> {
        let end = end_of(*self.offset, buffer.size())?;
        let bytes = buffer.get(0, buffer.size()).ok_or(Error::OffsetOverflow { size: buffer.size() })?;
        let flush_now = bytes.len() >= WRITE_THROUGH_MIN && *self.used > 0;
        match self.spare_capacity() {
            // A full buffer is flushed at once, so more space is required than is used.
            Some(spare) if bytes.len() < spare.len() && !flush_now => {
                copy_prefix(spare, bytes);
                *self.used += bytes.len() as u64;
            }
            // From the caller's memory, in one call with the buffered bytes.
            _ => self.flush_with(bytes)?,
        }
        *self.offset = end;
        Ok(())
    }

    fn reserve(&mut self, bound: usize) -> Result<&mut [u8], Error> {
        if self.spare_capacity().is_none_or(|spare| spare.len() < bound) {
            self.flush_with(&[])?;
        }
        self.spare_capacity().and_then(|spare| spare.get_mut(..bound)).ok_or(Error::Internal)
    }

    fn commit_chunk(&mut self, size: usize) -> Result<(), Error> {
        *self.offset = end_of(*self.offset, size as u64)?;
        *self.used += size as u64;
        Ok(())
    }

    /// Returns the unused part of the buffer.
    fn spare_capacity(&mut self) -> Option<&mut [u8]> {
        self.buffer.get_mut(*self.used as usize..)
    }

    /// Writes the buffered bytes, then `more`.
    fn flush_with(&mut self, more: &[u8]) -> Result<(), Error> {
        let buffered = self.buffer.get(..*self.used as usize).ok_or(Error::Internal)?;
        let offset = self.offset.saturating_sub(*self.used);
        let written =
            if self.positioned { write_all_at(self.fd, offset, buffered, more)? } else { fd::write_all(self.fd, buffered, more) };
        written.map_err(IoOperation::Write.failed_at(offset))?;
        *self.used = 0;
        Ok(())
    }
}

/// Writes `first` and `second`, one after the other, to the file at `offset`.
fn write_all_at(fd: BorrowedFd<'_>, offset: u64, first: &[u8], second: &[u8]) -> Result<Result<(), Errno>, Error> {
    let size = (first.len() + second.len()) as u64;
    if end_of(offset, size)? > i64::MAX as u64 {
        return Err(Error::OffsetOverflow { size });
    }
    let second_offset = offset + first.len() as u64;
    Ok(fd::write_all_at(fd, first, offset).and_then(|()| fd::write_all_at(fd, second, second_offset)))
}

impl Mmio<'_> {
    fn write(&mut self, buffer: &SharedBytes<'_>) -> Result<(), Error> {
        let size = buffer.size();
        match (self.region.get(*self.offset, size), buffer.get(0, size)) {
            (Some(claimed), Some(bytes)) => claimed.copy_from_slice(bytes),
            _ => return Err(self.out_of_space(FrameStyle::Raw)),
        }
        *self.offset += size;
        Ok(())
    }

    fn remaining(&self) -> u64 {
        self.region.size().saturating_sub(*self.offset)
    }

    #[cold]
    fn out_of_space(&self, style: FrameStyle) -> Error {
        Error::BufferFull { offset: *self.offset, available: self.remaining(), style }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frame::{BUFFER_MIN, Checkpt};

    #[test]
    fn chunks_are_appended_if_space_for_another_one_remains() {
        for (size, fits) in [(130, true), (1000, true), (129, false), (128, false), (30, false), (0, false)] {
            let (mut memory, mut offset) = (vec![0; size], 0);
            let mut sink = Sink::Mmio(Mmio { offset: &mut offset, region: SharedBytesMut::new(&mut memory) });
            assert_eq!(sink.append(&[7; 30], 100), Ok(fits), "{size}");
            assert_eq!(offset, if fits { 30 } else { 0 });
            assert_eq!(memory.iter().filter(|&&byte| byte == 7).count() as u64, offset);
        }
    }

    #[test]
    fn first_buffer_is_held_back_until_a_large_one_follows() {
        let file = tempfile::tempfile().expect("temporary file");
        let written = || file.metadata().expect("file status").len() as usize;
        let mut checkpt = Checkpt::stream_with_buffer(&file, 2 * BUFFER_MIN).expect("allocation");
        checkpt.open(FrameStyle::Raw).expect("no frame is open");
        let mut data = |size| checkpt.data(&vec![5; size]).map(|()| written()).expect("disk space");
        assert_eq!(data(WRITE_THROUGH_MIN), 0, "the file is untouched until more follows");
        assert_eq!(data(WRITE_THROUGH_MIN - 1), 0);
        assert_eq!(data(5), 0);
        let all = 3 * WRITE_THROUGH_MIN - 1 + 5;
        assert_eq!(data(WRITE_THROUGH_MIN), all);
        // A full buffer is flushed at once.
        assert_eq!(data(2 * BUFFER_MIN - 1), all);
        assert_eq!(data(1), all + 2 * BUFFER_MIN);
        assert_eq!(data(2 * BUFFER_MIN), all + 4 * BUFFER_MIN);
        checkpt.close().expect("frame is open");
    }
}
