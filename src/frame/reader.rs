//! The Rust type that restores a checkpoint.

use std::fmt;
use std::fs::File;
use std::os::fd::AsFd;

use super::decoder::Decoder;
use super::error::Error;
use super::source::{Mmio, NOT_SEEKABLE, Source, Stream, size_and_position};
use super::state::FrameState;
use super::{BUFFER_MIN, FrameStyle, Kind};
use crate::alloc::try_box;
use crate::mapped_file::map_file;
use crate::sys::lz4::OwnedDecompressor;
use crate::sys::mmap::Mmap;
use crate::sys::shared_bytes::{SharedBytes, SharedBytesMut};

/// Restores a checkpoint from a descriptor or a memory region.
///
/// The frames are opened in the styles they were made in, and buffers of the same sizes asked for in the same order.
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
/// // `file` has a RAW frame with a size, then an LZ4 frame with as many bytes.
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
/// The format has no checksums: damage to compressed chunks is found sometimes, to RAW frames never.
///
/// After an error the restore is *failed*: every further call returns [`Error::Poisoned`]. The content of the buffer that was to be
/// restored is then undefined.
///
/// # Threads
/// One restore is used by one thread at a time. Several can be in progress at once, also from one region, each
/// [`seek`](Self::seek)ing to frames of its own.
pub struct Restore<'a> {
    phase: FrameState,
    lz4: OwnedDecompressor,
    ring_cursor: u64,
    offset: u64,
    from: Origin<'a>,
}

enum Origin<'a> {
    Stream { fd: Box<dyn super::Descriptor + 'a>, size: u64, buffer: Vec<u8>, lo: u64, ready: u64 },
    Mmio(&'a [u8]),
    Map(Mmap),
}

impl<'a> Restore<'a> {
    /// A restore from `fd` from its current position on: a file, pipe, socket, owned or borrowed. It is read by a buffer of
    /// [`BUFFER_MIN`] bytes, so the descriptor's position runs ahead of what was restored by up to as much.
    ///
    /// A descriptor in non-blocking mode is waited for.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] where `fd` stands behind the end of its file; [`Error::OutOfMemory`].
    pub fn stream(fd: impl AsFd + Send + Sync + 'a) -> Result<Self, Error> {
        Self::stream_with_buffer(fd, BUFFER_MIN)
    }

    /// As [`stream`](Self::stream), with a buffer of `size` bytes. A larger one means fewer system calls.
    ///
    /// # Errors
    /// [`Error::IoBufferTooSmall`] where `size` is less than [`BUFFER_MIN`], and as for [`stream`](Self::stream).
    pub fn stream_with_buffer(fd: impl AsFd + Send + Sync + 'a, size: usize) -> Result<Self, Error> {
        let buffer = super::io_buffer(size)?;
        let (size, position) = size_and_position(fd.as_fd())?;
        Self::new(Origin::Stream { fd: try_box(fd)?, size, buffer, lo: 0, ready: 0 }, position)
    }

    /// A restore from `region` from its start on.
    ///
    /// # Errors
    /// [`Error::OutOfMemory`].
    pub fn mmio(region: &'a [u8]) -> Result<Self, Error> {
        Self::new(Origin::Mmio(region), 0)
    }

    /// A restore from `file` by a memory map, from the file's start on. Threads that restore frames of one file each make a
    /// restore of their own.
    ///
    /// Nobody may shorten the file as long as this lives: a process that touches a part of a map that its file no longer has is
    /// ended by the system (SIGBUS). What is restored from parts that are written to meanwhile is undefined.
    ///
    /// # Errors
    /// [`Error::Io`] where the system can't map the file (it is a pipe, say); [`Error::OutOfMemory`].
    pub fn map(file: &File) -> Result<Self, Error> {
        Self::new(Origin::Map(map_file(file)?), 0)
    }

    fn new(from: Origin<'a>, offset: u64) -> Result<Self, Error> {
        let lz4 = OwnedDecompressor::new().ok_or(Error::OutOfMemory)?;
        Ok(Self { phase: FrameState::BETWEEN_FRAMES, lz4, ring_cursor: 0, offset, from })
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
        self.decoder().get(Kind::Meta, SharedBytesMut::new(buffer))
    }

    /// Restores a buffer of any size.
    ///
    /// # Errors
    /// [`Error::NoFrame`]; [`Error::Poisoned`]; [`Error::Io`] where reading fails;
    /// [`Error::UnexpectedEof`] where the file or region ends too early; [`Error::Corrupt`] where a
    /// compressed chunk can't be what was written.
    pub fn data(&mut self, buffer: &mut [u8]) -> Result<(), Error> {
        self.decoder().get(Kind::Data, SharedBytesMut::new(buffer))
    }

    /// Closes the frame. Returns the offset one past the last byte restored of it. A frame need not be restored to its end.
    ///
    /// # Errors
    /// [`Error::NoFrame`]; [`Error::Poisoned`].
    pub fn close(&mut self) -> Result<u64, Error> {
        self.decoder().close(|| Ok(()))
    }

    /// Goes to `offset` in the file or region, where the frame begins that is to be opened next.
    ///
    /// # Errors
    /// [`Error::FrameOpen`]; [`Error::Poisoned`]; [`Error::NotSeekable`]; [`Error::SeekPastEnd`].
    pub fn seek(&mut self, offset: u64) -> Result<(), Error> {
        self.decoder().seek(offset)
    }

    /// Ends the restore. Dropping it is the same, but does not tell of a frame that was left open.
    ///
    /// # Errors
    /// [`Error::FrameOpen`].
    pub fn finish(mut self) -> Result<(), Error> {
        self.decoder().finish()
    }

    /// Whether a frame can be opened: none is open, and no call has failed.
    pub fn can_open(&self) -> bool {
        self.phase.can_open()
    }

    /// Whether a frame is open.
    pub fn in_frame(&self) -> bool {
        self.phase.style().is_some()
    }

    /// Size in bytes of the region, or of the file when the restore began; `None` where it has none (a pipe), so that seeking
    /// is not possible.
    pub fn size(&self) -> Option<u64> {
        match self.from {
            Origin::Stream { size: NOT_SEEKABLE, .. } => None,
            Origin::Stream { size, .. } => Some(size),
            Origin::Mmio(region) => Some(region.len() as u64),
            Origin::Map(ref map) => Some(map.region().size()),
        }
    }

    fn decoder(&mut self) -> Decoder<'_> {
        let Self { phase, lz4, ring_cursor, offset, from } = self;
        let source = match from {
            Origin::Stream { fd, size, buffer, lo, ready } => {
                Source::Stream(Stream { fd: fd.fd(), at_offset: false, size: *size, offset, buffer, lo, ready })
            }
            Origin::Mmio(region) => Source::Mmio(Mmio { offset, region: SharedBytes::new(region) }),
            Origin::Map(map) => Source::Mmio(Mmio { offset, region: map.region() }),
        };
        Decoder { phase, lz4: Some(lz4.borrow()), ring_cursor, end: source, threads: 0 }
    }
}

impl fmt::Debug for Restore<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mode = match self.from {
            Origin::Stream { .. } => "stream",
            Origin::Mmio(_) => "mmio",
            Origin::Map(_) => "map",
        };
        let Self { phase, offset, .. } = self;
        f.debug_struct("Restore").field("mode", &mode).field("phase", phase).field("offset", offset).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Seek, Write};

    use super::super::{Checkpt, META_MAX, small_block};
    use super::*;

    /// Which ways take the buffer, if they are offered it alone.
    fn taken(restore: &mut Restore<'_>, way: usize, buffer: &mut [u8]) -> bool {
        let (mut decoder, mut buffer) = (restore.decoder(), SharedBytesMut::new(buffer));
        match way {
            0 => decoder.get_raw_at_hand(&mut buffer),
            1 => decoder.get_tiny_at_hand(&mut buffer),
            _ => decoder.get_lz4_at_hand(&mut buffer),
        }
    }

    /// Where what chunks refer to lies in two pieces, the first chunk of a large buffer takes the way through the ring, and the others don't.
    #[test]
    fn a_large_buffer_is_restored_wherever_the_ring_begins_anew() {
        let data: Vec<u8> = (0..300_001u32).map(|i| ((i / 7).wrapping_mul(i) % 251) as u8).collect();
        for before in 0..9 {
            let sizes = [[50_000].repeat(before), vec![data.len(), 77, data.len() - 2]].concat();
            let mut memory = vec![0; sizes.iter().sum::<usize>() * 2];
            let mut checkpt = Checkpt::mmio(&mut memory).expect("memory");
            checkpt.open(FrameStyle::Lz4).expect("a frame");
            sizes.iter().for_each(|&size| checkpt.data(&data[..size]).expect("room"));
            let end = checkpt.close().expect("the frame is whole");
            drop(checkpt);
            let mut restore = Restore::mmio(&memory).expect("memory");
            restore.open(FrameStyle::Lz4).expect("a frame");
            for size in sizes {
                let mut restored = vec![0; size];
                restore.data(&mut restored).expect("the frame");
                assert!(restored == data[..size], "{before} before, {size}");
            }
            assert_eq!(restore.close(), Ok(end));
        }
    }

    #[test]
    fn a_descriptor_stands_at_the_end_of_its_file_at_the_latest() {
        let mut file = tempfile::tempfile().expect("room for a file");
        file.write_all(&[7; 10]).expect("room on the disk");
        assert!(Restore::stream(&file).is_ok());
        file.seek(std::io::SeekFrom::Start(11)).expect("a file");
        assert!(matches!(Restore::stream(&file).map(drop), Err(Error::InvalidArgument(_))));
    }

    /// They are there for speed alone, so that no other test would miss them.
    #[test]
    fn the_quick_ways_are_taken_for_their_style_and_size() {
        let mut file = tempfile::tempfile().expect("room for a file");
        let mut memory = vec![0; 400_000];
        let random: Vec<u8> = (0..META_MAX as u32 + 1).map(|i| (i.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
        let sizes = [small_block::DECOMPRESS_MAX, small_block::DECOMPRESS_MAX + 1, 1000];
        let mut checkpt = Checkpt::mmio(&mut memory).expect("memory");
        for style in [FrameStyle::Raw, FrameStyle::Lz4, FrameStyle::Lz4] {
            checkpt.open(style).expect("a frame");
            for size in [1].into_iter().chain(sizes) {
                checkpt.data(&random[..size]).expect("room");
            }
            checkpt.data(&random).expect("room");
            checkpt.close().expect("the frame is whole");
        }
        checkpt.finish().expect("no frame is open");
        file.write_all(&memory).expect("room on the disk");
        file.rewind().expect("a file");

        for restore in [Restore::mmio(&memory), Restore::stream(&file)] {
            let mut restore = restore.expect("memory");
            let mut buffer = vec![0; random.len()];
            for style in [FrameStyle::Raw, FrameStyle::Lz4, FrameStyle::Lz4] {
                assert!((0..3).all(|way| !taken(&mut restore, way, &mut buffer[..1])), "no frame is open");
                let offset = restore.open(style).expect("a frame");
                // From here on a part of the file is at hand.
                restore.data(&mut buffer[..1]).expect("the frame");
                for (size, takes) in sizes.into_iter().zip([[true, true, true], [true, false, true], [true, false, true]]) {
                    let takes = if style == FrameStyle::Raw { [true, false, false] } else { [false, takes[1], takes[2]] };
                    for way in (0..3).filter(|way| !takes[*way]) {
                        assert!(!taken(&mut restore, way, &mut buffer[..size]), "{style:?} {size} {way}");
                    }
                    let way = (0..3).find(|way| takes[*way]).expect("one does");
                    assert!(taken(&mut restore, way, &mut buffer[..size]), "{style:?} {size} {way}");
                    assert_eq!(buffer[..size], random[..size]);
                }
                assert!((0..3).all(|way| !taken(&mut restore, way, &mut buffer)), "{style:?}: too large");
                restore.data(&mut buffer).expect("the frame");
                assert!(buffer == random && restore.close().expect("the frame is whole") > offset);
            }
        }
    }
}
