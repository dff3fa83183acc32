//! The Rust type that restores a checkpoint.

use std::fmt;
use std::fs::File;
use std::os::fd::AsFd;

use super::decoder::Decoder;
use super::error::Error;
use super::source::{Mmio, NOT_SEEKABLE, Source, Stream, file_size_and_offset};
use super::state::FrameState;
use super::{BUFFER_MIN, BufferKind, FrameStyle};
use crate::alloc::try_box;
use crate::mapped_file::map_file;
use crate::sys::lz4::OwnedDecompressor;
use crate::sys::mmap::Mmap;
use crate::sys::shared_bytes::{SharedBytes, SharedBytesMut};

/// Restores a checkpoint from a descriptor or a memory region.
///
/// A frame stores no metadata: open it in the style in which it was written, and restore buffers of the same sizes in the
/// same order.
///
/// ```
/// use fdckpt::{Checkpt, FrameStyle, Restore};
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
/// // `file` has a RAW frame with a size, then an LZ4 frame with that number of bytes.
/// let mut restore = Restore::map(&file)?;
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
/// The format has no checksums: corruption of compressed chunks is detected sometimes, of RAW frames never.
///
/// After an error the restore is *failed*: every further call returns [`Error::Poisoned`]. The contents of the buffer of the
/// failed call are unspecified.
///
/// # Threads
/// A restore is used by one thread at a time. Different restores are independent, and may [`seek`](Self::seek) to frames of
/// the same region.
pub struct Restore<'a> {
    state: FrameState,
    lz4: OwnedDecompressor,
    ring_cursor: u64,
    offset: u64,
    origin: Origin<'a>,
}

enum Origin<'a> {
    Stream { fd: Box<dyn super::DynFd + 'a>, size: u64, buffer: Vec<u8>, pos: u64, available: u64 },
    Mmio(&'a [u8]),
    Map(Mmap),
}

impl<'a> Restore<'a> {
    /// Creates a restore from `fd`, a file, pipe or socket, from its current position. `fd` is owned or borrowed. Uses a
    /// buffer of [`BUFFER_MIN`] bytes, so the descriptor's position may be ahead of the restored bytes by that much.
    ///
    /// A read from a non-blocking descriptor waits until it is possible.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] if the position of `fd` is past the end of its file; [`Error::OutOfMemory`].
    pub fn stream(fd: impl AsFd + Send + Sync + 'a) -> Result<Self, Error> {
        Self::stream_with_buffer(fd, BUFFER_MIN)
    }

    /// As [`stream`](Self::stream), with a buffer of `size` bytes. A larger buffer means fewer system calls.
    ///
    /// # Errors
    /// [`Error::IoBufferTooSmall`] if `size` is less than [`BUFFER_MIN`], and as for [`stream`](Self::stream).
    pub fn stream_with_buffer(fd: impl AsFd + Send + Sync + 'a, size: usize) -> Result<Self, Error> {
        let buffer = super::try_io_buffer(size)?;
        let (size, offset) = file_size_and_offset(fd.as_fd())?;
        Self::new(Origin::Stream { fd: try_box(fd)?, size, buffer, pos: 0, available: 0 }, offset)
    }

    /// Creates a restore from `region`, from its start.
    ///
    /// # Errors
    /// [`Error::OutOfMemory`].
    pub fn mmio(region: &'a [u8]) -> Result<Self, Error> {
        Self::new(Origin::Mmio(region), 0)
    }

    /// Creates a restore from `file` by a memory map, from the start of the file. Threads that restore frames of one file
    /// each create their own restore.
    ///
    /// The file must not be truncated while this exists: accessing truncated pages of a map raises SIGBUS. Parts that are
    /// modified meanwhile are restored with unspecified contents.
    ///
    /// # Errors
    /// [`Error::Io`] if the file cannot be mapped (a pipe, for example); [`Error::OutOfMemory`].
    pub fn map(file: &File) -> Result<Self, Error> {
        Self::new(Origin::Map(map_file(file)?), 0)
    }

    fn new(origin: Origin<'a>, offset: u64) -> Result<Self, Error> {
        let lz4 = OwnedDecompressor::new().ok_or(Error::OutOfMemory)?;
        Ok(Self { state: FrameState::BETWEEN_FRAMES, lz4, ring_cursor: 0, offset, origin })
    }

    /// Opens a frame. Returns the offset of its first byte in the file or region.
    ///
    /// # Errors
    /// [`Error::FrameOpen`]; [`Error::Poisoned`].
    pub fn open(&mut self, style: FrameStyle) -> Result<u64, Error> {
        self.decoder().open(style as i32, || Ok(()))
    }

    /// Restores a buffer of at most [`META_MAX`](crate::META_MAX) bytes.
    ///
    /// # Errors
    /// [`Error::MetaTooLarge`], and as for [`data`](Self::data).
    pub fn meta(&mut self, buffer: &mut [u8]) -> Result<(), Error> {
        self.decoder().read_buffer(BufferKind::Meta, SharedBytesMut::new(buffer))
    }

    /// Restores a buffer of any size.
    ///
    /// # Errors
    /// [`Error::NoFrame`]; [`Error::Poisoned`]; [`Error::Io`] if reading fails; [`Error::UnexpectedEof`] if the file or region
    /// ends before the end of the buffer; [`Error::Corrupt`] if a compressed chunk is corrupt.
    pub fn data(&mut self, buffer: &mut [u8]) -> Result<(), Error> {
        self.decoder().read_buffer(BufferKind::Data, SharedBytesMut::new(buffer))
    }

    /// Closes the frame. Returns the offset one past its last restored byte. A frame need not be restored completely.
    ///
    /// # Errors
    /// [`Error::NoFrame`]; [`Error::Poisoned`].
    pub fn close(&mut self) -> Result<u64, Error> {
        self.decoder().close(|| Ok(()))
    }

    /// Moves to `offset` in the file or region, at which the frame to open next begins.
    ///
    /// # Errors
    /// [`Error::FrameOpen`]; [`Error::Poisoned`]; [`Error::NotSeekable`]; [`Error::SeekPastEnd`].
    pub fn seek(&mut self, offset: u64) -> Result<(), Error> {
        self.decoder().seek(offset)
    }

    /// Ends the restore. Dropping it does the same, but does not report a frame that is still open.
    ///
    /// # Errors
    /// [`Error::FrameOpen`].
    pub fn finish(mut self) -> Result<(), Error> {
        self.decoder().finish()
    }

    /// Returns whether a frame can be opened: none is open, and no call has failed.
    pub fn can_open(&self) -> bool {
        self.state.can_open()
    }

    /// Returns whether a frame is open.
    pub fn in_frame(&self) -> bool {
        self.state.style().is_some()
    }

    /// Returns the size in bytes of the region, or of the file when the restore was created. `None` if it is not seekable (a
    /// pipe, for example).
    pub fn size(&self) -> Option<u64> {
        match self.origin {
            Origin::Stream { size: NOT_SEEKABLE, .. } => None,
            Origin::Stream { size, .. } => Some(size),
            Origin::Mmio(region) => Some(region.len() as u64),
            Origin::Map(ref map) => Some(map.region().size()),
        }
    }

    fn decoder(&mut self) -> Decoder<'_> {
        let Self { state, lz4, ring_cursor, offset, origin } = self;
        let source = match origin {
            Origin::Stream { fd, size, buffer, pos, available } => {
                Source::Stream(Stream { fd: fd.fd(), positioned: false, size: *size, offset, buffer, pos, available })
            }
            Origin::Mmio(region) => Source::Mmio(Mmio { offset, region: SharedBytes::new(region) }),
            Origin::Map(map) => Source::Mmio(Mmio { offset, region: map.region() }),
        };
        Decoder { state, lz4: Some(lz4.borrow()), ring_cursor, endpoint: source, threads: 0 }
    }
}

impl fmt::Debug for Restore<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mode = match self.origin {
            Origin::Stream { .. } => "stream",
            Origin::Mmio(_) => "mmio",
            Origin::Map(_) => "map",
        };
        let Self { state, offset, .. } = self;
        f.debug_struct("Restore").field("mode", &mode).field("state", state).field("offset", offset).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Seek, Write};

    use super::super::{Checkpt, META_MAX, small_block};
    use super::*;

    /// Offers the buffer to one of the fast paths. Returns whether it was restored.
    fn offer(restore: &mut Restore<'_>, path: usize, buffer: &mut [u8]) -> bool {
        let (mut decoder, mut buffer) = (restore.decoder(), SharedBytesMut::new(buffer));
        match path {
            0 => decoder.try_read_raw_fast(&mut buffer),
            1 => decoder.try_read_small_lz4_fast(&mut buffer),
            _ => decoder.try_read_lz4_fast(&mut buffer),
        }
    }

    /// If the dictionary is in two parts of the ring, the first chunk of a large buffer is copied through the ring.
    #[test]
    fn large_buffer_is_restored_at_any_ring_position() {
        let data: Vec<u8> = (0..300_001u32).map(|i| ((i / 7).wrapping_mul(i) % 251) as u8).collect();
        for before in 0..9 {
            let sizes = [[50_000].repeat(before), vec![data.len(), 77, data.len() - 2]].concat();
            let mut memory = vec![0; sizes.iter().sum::<usize>() * 2];
            let mut checkpt = Checkpt::mmio(&mut memory).expect("allocation");
            checkpt.open(FrameStyle::Lz4).expect("no frame is open");
            sizes.iter().for_each(|&size| checkpt.data(&data[..size]).expect("space"));
            let end = checkpt.close().expect("frame is open");
            drop(checkpt);
            let mut restore = Restore::mmio(&memory).expect("allocation");
            restore.open(FrameStyle::Lz4).expect("no frame is open");
            for size in sizes {
                let mut restored = vec![0; size];
                restore.data(&mut restored).expect("intact frame");
                assert!(restored == data[..size], "{before} chunks before, {size} bytes");
            }
            assert_eq!(restore.close(), Ok(end));
        }
    }

    #[test]
    fn position_past_the_end_of_the_file_is_rejected() {
        let mut file = tempfile::tempfile().expect("temporary file");
        file.write_all(&[7; 10]).expect("disk space");
        assert!(Restore::stream(&file).is_ok());
        file.seek(std::io::SeekFrom::Start(11)).expect("seekable file");
        assert!(matches!(Restore::stream(&file).map(drop), Err(Error::InvalidArgument(_))));
    }

    /// The result is the same without the fast paths, so no other test notices if they are not taken.
    #[test]
    fn fast_paths_are_taken_by_style_and_size() {
        let mut file = tempfile::tempfile().expect("temporary file");
        let mut memory = vec![0; 400_000];
        let random: Vec<u8> = (0..META_MAX as u32 + 1).map(|i| (i.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
        let sizes = [small_block::DECOMPRESS_MAX, small_block::DECOMPRESS_MAX + 1, 1000];
        let mut checkpt = Checkpt::mmio(&mut memory).expect("allocation");
        for style in [FrameStyle::Raw, FrameStyle::Lz4, FrameStyle::Lz4] {
            checkpt.open(style).expect("no frame is open");
            for size in [1].into_iter().chain(sizes) {
                checkpt.data(&random[..size]).expect("space");
            }
            checkpt.data(&random).expect("space");
            checkpt.close().expect("frame is open");
        }
        checkpt.finish().expect("no frame is open");
        file.write_all(&memory).expect("disk space");
        file.rewind().expect("seekable file");

        for restore in [Restore::mmio(&memory), Restore::stream(&file)] {
            let mut restore = restore.expect("allocation");
            let mut buffer = vec![0; random.len()];
            for style in [FrameStyle::Raw, FrameStyle::Lz4, FrameStyle::Lz4] {
                assert!((0..3).all(|path| !offer(&mut restore, path, &mut buffer[..1])), "no frame is open");
                let offset = restore.open(style).expect("no frame is open");
                // This fills the buffer of the stream, so that the fast paths find bytes in it.
                restore.data(&mut buffer[..1]).expect("intact frame");
                for (size, takes) in sizes.into_iter().zip([[true, true, true], [true, false, true], [true, false, true]]) {
                    let takes = if style == FrameStyle::Raw { [true, false, false] } else { [false, takes[1], takes[2]] };
                    for path in (0..3).filter(|path| !takes[*path]) {
                        assert!(!offer(&mut restore, path, &mut buffer[..size]), "{style:?} {size} {path}");
                    }
                    let path = (0..3).find(|path| takes[*path]).expect("one of them");
                    assert!(offer(&mut restore, path, &mut buffer[..size]), "{style:?} {size} {path}");
                    assert_eq!(buffer[..size], random[..size]);
                }
                assert!((0..3).all(|path| !offer(&mut restore, path, &mut buffer)), "{style:?}: too large");
                restore.data(&mut buffer).expect("intact frame");
                assert!(buffer == random && restore.close().expect("frame is open") > offset);
            }
        }
    }
}
