//! The Rust type that makes a checkpoint.

use std::os::fd::AsFd;

use super::encoder::Encoder;
use super::sink::{Mmio, Sink, Stream};
use super::style::Phase;
use super::{BUFFER_MIN, FrameStyle, Kind};
use crate::error::Error;
use crate::sys::lz4::OwnedCompressor;
use crate::sys::memory::RegionMut;

/// Makes a checkpoint: frames of buffers, written to a descriptor or a memory region.
///
/// ```
/// use fdckpt::{Checkpt, FrameStyle, Restore};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let temperatures = vec![21.5f64.to_le_bytes(); 10_000].concat();
/// let count = (temperatures.len() as u64).to_le_bytes();
///
/// let file = tempfile::tempfile()?;
/// let mut checkpt = Checkpt::stream(&file)?;
/// checkpt.open(FrameStyle::Raw)?;
/// checkpt.meta(&count)?;
/// let raw_end = checkpt.close()?;
/// let lz4_begin = checkpt.open(FrameStyle::Lz4)?;
/// checkpt.data(&temperatures)?;
/// let end = checkpt.close()?;
/// checkpt.finish()?;
///
/// assert_eq!((raw_end, lz4_begin), (8, 8));
/// assert_eq!(file.metadata()?.len(), end);
/// # Ok(())
/// # }
/// ```
///
/// A frame that was not closed is not part of the checkpoint, even where bytes of it were written.
///
/// After an error the checkpoint is *failed*: every further call returns [`Error::State`]. The frames closed before can be
/// relied on, as far as the system can be relied on to keep what was written: nothing is synced to the medium here.
///
/// # Threads
/// One checkpoint is used by one thread at a time. Several can be made at once; they share nothing.
pub struct Checkpt<'a> {
    phase: Phase,
    lz4: OwnedCompressor,
    ring_cursor: u64,
    offset: u64,
    to: To<'a>,
}

enum To<'a> {
    Stream { fd: Box<dyn AsFd + Send + Sync + 'a>, buffer: Vec<u8>, used: u64 },
    Mmio(&'a mut [u8]),
}

impl<'a> Checkpt<'a> {
    /// A checkpoint that is written to `fd` from its current position on: a file, pipe, socket, owned or borrowed. It is
    /// written to by a buffer of [`BUFFER_MIN`] bytes, and nothing waits in the buffer when no frame is open.
    ///
    /// A descriptor in non-blocking mode is waited for.
    ///
    /// # Errors
    /// [`Error::OutOfMemory`].
    pub fn stream(fd: impl AsFd + Send + Sync + 'a) -> Result<Self, Error> {
        Self::stream_with_buffer(fd, BUFFER_MIN)
    }

    /// As [`stream`](Self::stream), with a buffer of `size` bytes. A larger one means fewer system calls; it never changes the
    /// checkpoint's bytes.
    ///
    /// # Errors
    /// [`Error::BufferTooSmall`] where `size` is less than [`BUFFER_MIN`]; [`Error::OutOfMemory`].
    pub fn stream_with_buffer(fd: impl AsFd + Send + Sync + 'a, size: usize) -> Result<Self, Error> {
        let buffer = super::io_buffer(size)?;
        Self::new(To::Stream { fd: Box::new(fd), buffer, used: 0 })
    }

    /// A checkpoint that is written to `region` from its start on, for example to a [`MapMut`](crate::MapMut).
    ///
    /// # Errors
    /// [`Error::OutOfMemory`].
    pub fn mmio(region: &'a mut [u8]) -> Result<Self, Error> {
        Self::new(To::Mmio(region))
    }

    fn new(to: To<'a>) -> Result<Self, Error> {
        let lz4 = OwnedCompressor::new().ok_or(Error::OutOfMemory)?;
        Ok(Self { phase: Phase::BETWEEN_FRAMES, lz4, ring_cursor: 0, offset: 0, to })
    }

    /// Opens a frame. Returns the offset of its first byte in the checkpoint.
    ///
    /// # Errors
    /// [`Error::State`] where a frame is open, or an earlier call failed.
    pub fn open(&mut self, style: FrameStyle) -> Result<u64, Error> {
        self.encoder().open(style as i32, || Ok(()))
    }

    /// Adds a buffer of at most [`META_MAX`](crate::META_MAX) bytes to the frame.
    ///
    /// # Errors
    /// [`Error::MetaTooLarge`], and as for [`data`](Self::data).
    pub fn meta(&mut self, buffer: &[u8]) -> Result<(), Error> {
        self.encoder().put(Kind::Meta, buffer.len() as u64, || Ok(buffer))
    }

    /// Adds a buffer of any size to the frame.
    ///
    /// # Errors
    /// [`Error::State`] where no frame is open, or an earlier call failed; [`Error::Io`] where writing fails;
    /// [`Error::NoRoom`] where the memory region is too small.
    pub fn data(&mut self, buffer: &[u8]) -> Result<(), Error> {
        self.encoder().put(Kind::Data, buffer.len() as u64, || Ok(buffer))
    }

    /// Closes the frame, and writes out what is left of it in the buffer. Returns the offset one past its last byte.
    ///
    /// # Errors
    /// [`Error::State`] where no frame is open, or an earlier call failed; [`Error::Io`] where writing fails.
    pub fn close(&mut self) -> Result<u64, Error> {
        self.encoder().close(|| Ok(()))
    }

    /// Ends the checkpoint. Dropping it is the same, but does not tell of a frame that was left open.
    ///
    /// # Errors
    /// [`Error::State`] where a frame is open.
    pub fn finish(mut self) -> Result<(), Error> {
        self.encoder().finish()
    }

    /// Whether a frame can be opened: none is open, and no call has failed.
    pub fn can_open(&self) -> bool {
        self.phase.can_open()
    }

    fn encoder(&mut self) -> Encoder<'_> {
        let Self { phase, lz4, ring_cursor, offset, to } = self;
        let sink = match to {
            To::Stream { fd, buffer, used } => Sink::Stream(Stream { fd: (**fd).as_fd(), offset, buffer, used }),
            To::Mmio(region) => Sink::Mmio(Mmio { offset, region: RegionMut::new(region) }),
        };
        Encoder { phase, lz4: Some(lz4.borrow()), ring_cursor, end: sink }
    }
}
