//! Where a checkpoint is written to.

use std::os::fd::BorrowedFd;

use super::FrameStyle;
use super::codec::End;
use super::error::Error;
use crate::bytes::end_of;
use crate::error_base::IoOperation;
use crate::sys::copy::copy_prefix;
use crate::sys::errno::Errno;
use crate::sys::fd;
use crate::sys::shared_bytes::{SharedBytes, SharedBytesMut};

/// Buffers of at least so many bytes go out at once together with what waits, as the copy to the buffer costs more than the call.
/// The first one waits: what failed before anything else was added or closed is to leave no traces in the file.
pub(super) const WRITE_NOW: usize = 16_384;

/// A descriptor or a memory region, as far as it is written.
pub(crate) enum Sink<'h> {
    Stream(Stream<'h>),
    Mmio(Mmio<'h>),
}

/// A descriptor with a buffer before it.
pub(crate) struct Stream<'h> {
    pub(crate) fd: BorrowedFd<'h>,
    /// Whether `offset` is where in the file it is written to, by pwrite(2). Else that is the descriptor's position.
    pub(crate) at_offset: bool,
    /// Bytes checkpointed so far, with those in the buffer.
    pub(crate) offset: &'h mut u64,
    /// At least [`BUFFER_MIN`](super::BUFFER_MIN) bytes.
    pub(crate) buffer: &'h mut [u8],
    /// How many bytes at the buffer's start wait to be written. In a C host's memory, so it may be anything.
    pub(crate) used: &'h mut u64,
}

/// A memory region.
pub(crate) struct Mmio<'h> {
    /// Bytes checkpointed so far.
    pub(crate) offset: &'h mut u64,
    pub(crate) region: SharedBytesMut<'h>,
}

impl End for Sink<'_> {
    fn offset(&self) -> u64 {
        match self {
            Self::Stream(stream) => *stream.offset,
            Self::Mmio(mmio) => *mmio.offset,
        }
    }

    fn flush(&mut self) -> Result<(), Error> {
        match self {
            Self::Stream(stream) => stream.write_out(&[]),
            Self::Mmio(_) => Ok(()),
        }
    }
}

/// Where there may be room at hand: that is, without a call of the system.
pub(super) trait Room {
    /// `size` bytes for what is added next, if there is room for them at hand.
    fn room(&mut self, size: usize) -> Option<&mut [u8]>;

    /// Says that the first `size` bytes of it were written.
    fn advance(&mut self, size: usize);

    /// Both at once: the bytes are to be written.
    fn take_room(&mut self, size: usize) -> Option<&mut [u8]>;
}

impl Room for Stream<'_> {
    #[inline(always)]
    fn room(&mut self, size: usize) -> Option<&mut [u8]> {
        // A full buffer goes out at once, so there must be more room than is taken. An offset near its limit is not for here.
        match self.buffer.get_mut(*self.used as usize..) {
            Some(room) if size < room.len() && *self.offset <= i64::MAX as u64 => room.get_mut(..size),
            _ => None,
        }
    }

    #[inline(always)]
    fn advance(&mut self, size: usize) {
        *self.offset += size as u64;
        *self.used += size as u64;
    }

    #[inline(always)]
    fn take_room(&mut self, size: usize) -> Option<&mut [u8]> {
        let used = *self.used as usize;
        self.room(size)?;
        self.advance(size);
        self.buffer.get_mut(used..)?.get_mut(..size)
    }
}

impl Room for Mmio<'_> {
    #[inline(always)]
    fn room(&mut self, size: usize) -> Option<&mut [u8]> {
        self.region.get(*self.offset, size as u64)
    }

    #[inline(always)]
    fn advance(&mut self, size: usize) {
        *self.offset += size as u64;
    }

    #[inline(always)]
    fn take_room(&mut self, size: usize) -> Option<&mut [u8]> {
        let room = self.region.get(*self.offset, size as u64)?;
        *self.offset += size as u64;
        Some(room)
    }
}

impl Sink<'_> {
    /// Adds a buffer (not an empty one) as it is.
    #[inline]
    pub(crate) fn write(&mut self, buffer: &SharedBytes<'_>) -> Result<(), Error> {
        match self {
            Self::Stream(stream) => stream.write(buffer),
            Self::Mmio(mmio) => mmio.write(buffer),
        }
    }

    /// Room for a chunk of at most `bound` bytes; less where the region ends before. What of it is then in use,
    /// [`add_chunk`](Self::add_chunk) is told.
    pub(crate) fn make_room(&mut self, bound: usize) -> Result<&mut [u8], Error> {
        match self {
            Self::Stream(stream) => stream.make_room(bound),
            Self::Mmio(mmio) => {
                let size = mmio.left().min(bound as u64);
                Ok(mmio.region.get(*mmio.offset, size).unwrap_or_default())
            }
        }
    }

    /// Adds whole chunks. False, with nothing done, where that would leave less than `bound` bytes of a region.
    pub(crate) fn append(&mut self, chunks: &[u8], bound: usize) -> Result<bool, Error> {
        match self {
            Self::Stream(stream) => {
                let end = end_of(*stream.offset, chunks.len() as u64)?;
                stream.write_out(chunks)?;
                *stream.offset = end;
            }
            Self::Mmio(mmio) if mmio.left() < (chunks.len() + bound) as u64 => return Ok(false),
            Self::Mmio(mmio) => match mmio.take_room(chunks.len()) {
                Some(room) => room.copy_from_slice(chunks),
                None => return Ok(chunks.is_empty()),
            },
        }
        Ok(true)
    }

    /// Adds the chunk of `size` bytes that was written to the room; `None` is one that did not fit.
    pub(crate) fn add_chunk(&mut self, size: Option<usize>) -> Result<(), Error> {
        match (self, size) {
            (Self::Stream(stream), Some(size)) => stream.add_chunk(size),
            // The buffer holds any chunk.
            (Self::Stream(_), None) => Err(Error::Internal),
            (Self::Mmio(mmio), Some(size)) => {
                mmio.advance(size);
                Ok(())
            }
            (Self::Mmio(mmio), None) => Err(mmio.no_room(FrameStyle::Lz4)),
        }
    }
}

impl Stream<'_> {
    fn write(&mut self, buffer: &SharedBytes<'_>) -> Result<(), Error> {
        let end = end_of(*self.offset, buffer.size())?;
        let bytes = buffer.get(0, buffer.size()).ok_or(Error::OffsetOverflow { size: buffer.size() })?;
        let goes_out = bytes.len() >= WRITE_NOW && *self.used > 0;
        match self.free() {
            // A full buffer goes out at once, so there must be more room than is taken.
            Some(room) if bytes.len() < room.len() && !goes_out => {
                copy_prefix(room, bytes);
                *self.used += bytes.len() as u64;
            }
            // Straight from the caller's memory, together with what waits.
            _ => self.write_out(bytes)?,
        }
        *self.offset = end;
        Ok(())
    }

    fn make_room(&mut self, bound: usize) -> Result<&mut [u8], Error> {
        if self.free().is_none_or(|room| room.len() < bound) {
            self.write_out(&[])?;
        }
        self.free().and_then(|room| room.get_mut(..bound)).ok_or(Error::Internal)
    }

    fn add_chunk(&mut self, size: usize) -> Result<(), Error> {
        *self.offset = end_of(*self.offset, size as u64)?;
        *self.used += size as u64;
        Ok(())
    }

    /// What of the buffer is free.
    fn free(&mut self) -> Option<&mut [u8]> {
        self.buffer.get_mut(*self.used as usize..)
    }

    /// Writes what waits in the buffer, then `more`.
    fn write_out(&mut self, more: &[u8]) -> Result<(), Error> {
        let waiting = self.buffer.get(..*self.used as usize).ok_or(Error::Internal)?;
        let offset = self.offset.saturating_sub(*self.used);
        let written =
            if self.at_offset { write_all_at(self.fd, offset, waiting, more)? } else { fd::write_all(self.fd, waiting, more) };
        written.map_err(IoOperation::Write.failed_at(offset))?;
        *self.used = 0;
        Ok(())
    }
}

/// Writes all of `first` and `second` to the file from `offset` on.
fn write_all_at(fd: BorrowedFd<'_>, offset: u64, first: &[u8], second: &[u8]) -> Result<Result<(), Errno>, Error> {
    let size = (first.len() + second.len()) as u64;
    if end_of(offset, size)? > i64::MAX as u64 {
        return Err(Error::OffsetOverflow { size });
    }
    let behind = offset + first.len() as u64;
    Ok(fd::write_all_at(fd, first, offset).and_then(|()| fd::write_all_at(fd, second, behind)))
}

impl Mmio<'_> {
    fn write(&mut self, buffer: &SharedBytes<'_>) -> Result<(), Error> {
        let size = buffer.size();
        match (self.region.get(*self.offset, size), buffer.get(0, size)) {
            (Some(room), Some(bytes)) => room.copy_from_slice(bytes),
            _ => return Err(self.no_room(FrameStyle::Raw)),
        }
        *self.offset += size;
        Ok(())
    }

    fn left(&self) -> u64 {
        self.region.size().saturating_sub(*self.offset)
    }

    #[cold]
    fn no_room(&self, style: FrameStyle) -> Error {
        Error::BufferFull { offset: *self.offset, available: self.left(), style }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frame::{BUFFER_MIN, Checkpt};

    #[test]
    fn chunks_are_appended_where_there_is_room_for_another_one_behind() {
        for (size, fits) in [(130, true), (1000, true), (129, false), (128, false), (30, false), (0, false)] {
            let (mut memory, mut offset) = (vec![0; size], 0);
            let mut sink = Sink::Mmio(Mmio { offset: &mut offset, region: SharedBytesMut::new(&mut memory) });
            assert_eq!(sink.append(&[7; 30], 100), Ok(fits), "{size}");
            assert_eq!(offset, if fits { 30 } else { 0 });
            assert_eq!(memory.iter().filter(|&&byte| byte == 7).count() as u64, offset);
        }
    }

    #[test]
    fn the_first_buffer_waits_and_a_large_one_takes_it_along() {
        let file = tempfile::tempfile().expect("room for a file");
        let written = || file.metadata().expect("a file").len() as usize;
        let mut checkpt = Checkpt::stream_with_buffer(&file, 2 * BUFFER_MIN).expect("memory");
        checkpt.open(FrameStyle::Raw).expect("a frame");
        let mut data = |size| checkpt.data(&vec![5; size]).map(|()| written()).expect("room");
        assert_eq!(data(WRITE_NOW), 0, "so that it leaves no traces if nothing follows");
        assert_eq!(data(WRITE_NOW - 1), 0);
        assert_eq!(data(5), 0);
        let all = 3 * WRITE_NOW - 1 + 5;
        assert_eq!(data(WRITE_NOW), all);
        // A full buffer does not wait.
        assert_eq!(data(2 * BUFFER_MIN - 1), all);
        assert_eq!(data(1), all + 2 * BUFFER_MIN);
        assert_eq!(data(2 * BUFFER_MIN), all + 4 * BUFFER_MIN);
        checkpt.close().expect("the frame is whole");
    }
}
