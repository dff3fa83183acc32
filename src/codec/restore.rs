//! The Rust type that restores a checkpoint.

use std::os::fd::AsFd;

use super::decoder::Decoder;
use super::source::{Mmio, NOT_SEEKABLE, Source, Stream, size_and_position};
use super::style::Phase;
use super::{BUFFER_MIN, FrameStyle, Kind};
use crate::error::Error;
use crate::sys::lz4::OwnedDecompressor;
use crate::sys::memory::Region;

/// Restores a checkpoint from a descriptor or a memory region.
///
/// The frames are opened in the styles they were made in, and buffers of the same sizes asked for in the same order.
///
/// ```
/// use fdckpt::{Checkpt, FrameStyle, Map, Restore};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let file = tempfile::tempfile()?;
/// # let mut checkpt = Checkpt::stream(&file)?;
/// # checkpt.open(FrameStyle::Raw)?;
/// # checkpt.meta(&80_000u64.to_le_bytes())?;
/// # checkpt.close()?;
/// # checkpt.open(FrameStyle::Lz4)?;
/// # checkpt.data(&[7; 80_000])?;
/// # checkpt.close()?;
/// // `file` has a RAW frame with a size, then an LZ4 frame with as many bytes.
/// let map = Map::of(&file)?;
/// let mut restore = Restore::mmio(&map)?;
/// let mut size = [0; 8];
/// restore.open(FrameStyle::Raw)?;
/// restore.meta(&mut size)?;
/// restore.close()?;
/// let mut temperatures = vec![0; u64::from_le_bytes(size) as usize];
/// restore.open(FrameStyle::Lz4)?;
/// restore.data(&mut temperatures)?;
/// restore.close()?;
/// # assert_eq!(temperatures, [7; 80_000]);
/// # Ok(())
/// # }
/// ```
///
/// The format has no checksums: damage to compressed chunks is found sometimes, to RAW frames never.
///
/// After an error the restore is *failed*: every further call returns [`Error::State`]. The content of the buffer that was to be
/// restored is then undefined.
///
/// # Threads
/// One restore is used by one thread at a time. Several can be in progress at once, also from one region, each
/// [`seek`](Self::seek)ing to frames of its own.
pub struct Restore<'a> {
    phase: Phase,
    lz4: OwnedDecompressor,
    ring_cursor: u64,
    offset: u64,
    from: From<'a>,
}

enum From<'a> {
    Stream { fd: Box<dyn AsFd + Send + Sync + 'a>, size: u64, buffer: Vec<u8>, lo: u64, ready: u64 },
    Mmio(&'a [u8]),
}

impl<'a> Restore<'a> {
    /// A restore from `fd` from its current position on: a file, pipe, socket, owned or borrowed. It is read by a buffer of
    /// [`BUFFER_MIN`] bytes, so the descriptor's position runs ahead of what was restored by up to as much.
    ///
    /// A descriptor in non-blocking mode is waited for.
    ///
    /// # Errors
    /// [`Error::Argument`] where `fd` stands behind the end of its file; [`Error::OutOfMemory`].
    pub fn stream(fd: impl AsFd + Send + Sync + 'a) -> Result<Self, Error> {
        Self::stream_with_buffer(fd, BUFFER_MIN)
    }

    /// As [`stream`](Self::stream), with a buffer of `size` bytes. A larger one means fewer system calls.
    ///
    /// # Errors
    /// [`Error::BufferTooSmall`] where `size` is less than [`BUFFER_MIN`], and as for [`stream`](Self::stream).
    pub fn stream_with_buffer(fd: impl AsFd + Send + Sync + 'a, size: usize) -> Result<Self, Error> {
        let buffer = super::io_buffer(size)?;
        let (size, position) = size_and_position(fd.as_fd())?;
        Self::new(From::Stream { fd: Box::new(fd), size, buffer, lo: 0, ready: 0 }, position)
    }

    /// A restore from `region` from its start on, for example from a [`Map`](crate::Map).
    ///
    /// # Errors
    /// [`Error::OutOfMemory`].
    pub fn mmio(region: &'a [u8]) -> Result<Self, Error> {
        Self::new(From::Mmio(region), 0)
    }

    fn new(from: From<'a>, offset: u64) -> Result<Self, Error> {
        let lz4 = OwnedDecompressor::new().ok_or(Error::OutOfMemory)?;
        Ok(Self { phase: Phase::BETWEEN_FRAMES, lz4, ring_cursor: 0, offset, from })
    }

    /// Opens a frame. Returns the offset of its first byte in the file or region.
    ///
    /// # Errors
    /// [`Error::State`] where a frame is open, or an earlier call failed.
    pub fn open(&mut self, style: FrameStyle) -> Result<u64, Error> {
        self.decoder().open(style as i32, || Ok(()))
    }

    /// Restores a buffer of at most [`META_MAX`](crate::META_MAX) bytes.
    ///
    /// # Errors
    /// [`Error::MetaTooLarge`], and as for [`data`](Self::data).
    pub fn meta(&mut self, buffer: &mut [u8]) -> Result<(), Error> {
        self.decoder().get(Kind::Meta, buffer.len() as u64, || Ok(buffer))
    }

    /// Restores a buffer of any size.
    ///
    /// # Errors
    /// [`Error::State`] where no frame is open, or an earlier call failed; [`Error::Io`] where reading fails;
    /// [`Error::UnexpectedEnd`] or [`Error::NoRoom`] where the file or region ends too early; [`Error::Corrupt`] where a
    /// compressed chunk can't be what was written.
    pub fn data(&mut self, buffer: &mut [u8]) -> Result<(), Error> {
        self.decoder().get(Kind::Data, buffer.len() as u64, || Ok(buffer))
    }

    /// Closes the frame. Returns the offset one past the last byte restored of it. A frame need not be restored to its end.
    ///
    /// # Errors
    /// [`Error::State`] where no frame is open, or an earlier call failed.
    pub fn close(&mut self) -> Result<u64, Error> {
        self.decoder().close(|| Ok(()))
    }

    /// Goes to `offset` in the file or region, where the frame begins that is to be opened next.
    ///
    /// # Errors
    /// [`Error::State`] where a frame is open, or an earlier call failed; [`Error::NotSeekable`]; [`Error::SeekPastEnd`].
    pub fn seek(&mut self, offset: u64) -> Result<(), Error> {
        self.decoder().seek(offset)
    }

    /// Ends the restore. Dropping it is the same, but does not tell of a frame that was left open.
    ///
    /// # Errors
    /// [`Error::State`] where a frame is open.
    pub fn finish(mut self) -> Result<(), Error> {
        self.decoder().finish()
    }

    /// Whether a frame can be opened: none is open, and no call has failed.
    pub fn can_open(&self) -> bool {
        self.phase.can_open()
    }

    /// Size in bytes of the region, or of the file when the restore began; `None` where it has none (a pipe), so that seeking
    /// is not possible.
    pub fn size(&self) -> Option<u64> {
        match self.from {
            From::Stream { size: NOT_SEEKABLE, .. } => None,
            From::Stream { size, .. } => Some(size),
            From::Mmio(region) => Some(region.len() as u64),
        }
    }

    fn decoder(&mut self) -> Decoder<'_> {
        let Self { phase, lz4, ring_cursor, offset, from } = self;
        let source = match from {
            From::Stream { fd, size, buffer, lo, ready } => {
                Source::Stream(Stream { fd: (**fd).as_fd(), size: *size, offset, buffer, lo, ready })
            }
            From::Mmio(region) => Source::Mmio(Mmio { offset, region: Region::new(region) }),
        };
        Decoder { phase, lz4: Some(lz4.borrow()), ring_cursor, end: source }
    }
}
