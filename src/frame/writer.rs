//! The Rust type that makes a checkpoint.

use std::fmt;
use std::fs::File;
use std::os::fd::AsFd;

use super::encoder::Encoder;
use super::error::Error;
use super::sink::{Mmio, Sink, Stream};
use super::state::FrameState;
use super::{BUFFER_MIN, FrameStyle, Kind};
use crate::alloc::try_box;
use crate::error_base::IoOperation;
use crate::sys::lz4::OwnedCompressor;
use crate::sys::mmap::MmapMut;
use crate::sys::shared_bytes::{SharedBytes, SharedBytesMut};

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
/// After an error the checkpoint is *failed*: every further call returns [`Error::Poisoned`]. The frames closed before can be
/// relied on, as far as the system can be relied on to keep what was written: nothing is synced to the medium here.
///
/// # Threads
/// One checkpoint is used by one thread at a time. Several can be made at once; they share nothing.
pub struct Checkpt<'a> {
    phase: FrameState,
    lz4: OwnedCompressor,
    ring_cursor: u64,
    offset: u64,
    to: Target<'a>,
}

enum Target<'a> {
    Stream { fd: Box<dyn super::Descriptor + 'a>, buffer: Vec<u8>, used: u64 },
    Mmio(&'a mut [u8]),
    Map(MmapMut),
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
    /// [`Error::IoBufferTooSmall`] where `size` is less than [`BUFFER_MIN`]; [`Error::OutOfMemory`].
    pub fn stream_with_buffer(fd: impl AsFd + Send + Sync + 'a, size: usize) -> Result<Self, Error> {
        let buffer = super::io_buffer(size)?;
        Self::new(Target::Stream { fd: try_box(fd)?, buffer, used: 0 })
    }

    /// A checkpoint that is written to `region` from its start on. Bytes behind the checkpoint's end may be changed too.
    ///
    /// # Errors
    /// [`Error::OutOfMemory`].
    pub fn mmio(region: &'a mut [u8]) -> Result<Self, Error> {
        Self::new(Target::Mmio(region))
    }

    /// A checkpoint that is written to `file` by a memory map, from the file's start on. The map is as large as the file is now
    /// ([`File::set_len`]), and the checkpoint must fit in; afterwards the file can be cut to what [`close`](Self::close)
    /// returned. The file must be open for reading and writing.
    ///
    /// Nobody may shorten the file as long as this lives: a process that touches a part of a map that its file no longer has is
    /// ended by the system (SIGBUS).
    ///
    /// # Errors
    /// [`Error::Io`] where the system can't map the file (it is a pipe, say); [`Error::OutOfMemory`].
    pub fn map(file: &File) -> Result<Self, Error> {
        let map = MmapMut::map_file(file).map_err(IoOperation::Mmap.failed_at(0))?;
        Self::new(Target::Map(map))
    }

    fn new(to: Target<'a>) -> Result<Self, Error> {
        let lz4 = OwnedCompressor::new().ok_or(Error::OutOfMemory)?;
        Ok(Self { phase: FrameState::BETWEEN_FRAMES, lz4, ring_cursor: 0, offset: 0, to })
    }

    /// Opens a frame. Returns the offset of its first byte in the checkpoint.
    ///
    /// # Errors
    /// [`Error::FrameOpen`]; [`Error::Poisoned`].
    pub fn open(&mut self, style: FrameStyle) -> Result<u64, Error> {
        self.encoder().open(style as i32, || Ok(()))
    }

    /// Adds a buffer of at most [`META_MAX`](crate::META_MAX) bytes to the frame.
    ///
    /// # Errors
    /// [`Error::MetaTooLarge`], and as for [`data`](Self::data).
    pub fn meta(&mut self, buffer: &[u8]) -> Result<(), Error> {
        self.encoder().put(Kind::Meta, SharedBytes::new(buffer))
    }

    /// Adds a buffer of any size to the frame.
    ///
    /// # Errors
    /// [`Error::NoFrame`]; [`Error::Poisoned`]; [`Error::Io`] where writing fails;
    /// [`Error::BufferFull`] where the memory region is too small.
    pub fn data(&mut self, buffer: &[u8]) -> Result<(), Error> {
        self.encoder().put(Kind::Data, SharedBytes::new(buffer))
    }

    /// Closes the frame, and writes out what is left of it in the buffer. Returns the offset one past its last byte.
    ///
    /// # Errors
    /// [`Error::NoFrame`]; [`Error::Poisoned`]; [`Error::Io`] where writing fails.
    pub fn close(&mut self) -> Result<u64, Error> {
        self.encoder().close(|| Ok(()))
    }

    /// Ends the checkpoint. Dropping it is the same, but does not tell of a frame that was left open.
    ///
    /// # Errors
    /// [`Error::FrameOpen`].
    pub fn finish(mut self) -> Result<(), Error> {
        self.encoder().finish()
    }

    /// Whether a frame can be opened: none is open, and no call has failed.
    pub fn can_open(&self) -> bool {
        self.phase.can_open()
    }

    /// Whether a frame is open.
    pub fn in_frame(&self) -> bool {
        self.phase.style().is_some()
    }

    fn encoder(&mut self) -> Encoder<'_> {
        let Self { phase, lz4, ring_cursor, offset, to } = self;
        let sink = match to {
            Target::Stream { fd, buffer, used } => Sink::Stream(Stream { fd: fd.fd(), at_offset: false, offset, buffer, used }),
            Target::Mmio(region) => Sink::Mmio(Mmio { offset, region: SharedBytesMut::new(region) }),
            Target::Map(map) => Sink::Mmio(Mmio { offset, region: map.region() }),
        };
        Encoder { phase, lz4: Some(lz4.borrow()), ring_cursor, end: sink, threads: 0 }
    }
}

impl fmt::Debug for Checkpt<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mode = match self.to {
            Target::Stream { .. } => "stream",
            Target::Mmio(_) => "mmio",
            Target::Map(_) => "map",
        };
        let Self { phase, offset, .. } = self;
        f.debug_struct("Checkpt").field("mode", &mode).field("phase", phase).field("offset", offset).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::super::{META_MAX, small_block};
    use super::*;

    /// Which ways take the buffer.
    fn taken(checkpt: &mut Checkpt<'_>, buffer: &[u8]) -> [bool; 3] {
        let (mut encoder, buffer) = (checkpt.encoder(), SharedBytes::new(buffer));
        [encoder.put_raw_at_hand(&buffer), encoder.put_tiny_at_hand(&buffer), encoder.put_lz4_at_hand(&buffer)]
    }

    /// They are there for speed alone, so that no other test would miss them.
    #[test]
    fn the_quick_ways_are_taken_for_their_style_and_size() {
        let file = tempfile::tempfile().expect("room for a file");
        let (mut memory, mut other) = ([0; 200_000], [0; 200_000]);
        for (mut quick, mut slow) in
            [(Checkpt::mmio(&mut memory), Checkpt::mmio(&mut other)), (Checkpt::stream(&file), Checkpt::stream(&file))]
                .map(|(quick, slow)| (quick.expect("memory"), slow.expect("memory")))
        {
            let [tiny, chunk, large] = [vec![7; small_block::COMPRESS_MAX], vec![8; META_MAX], vec![9; META_MAX + 1]];
            assert_eq!(taken(&mut quick, &tiny), [false; 3], "no frame is open");
            quick.open(FrameStyle::Raw).expect("a frame");
            assert_eq!(taken(&mut quick, &tiny), [true, false, false]);
            assert_eq!(taken(&mut quick, &large), [false; 3]);
            quick.close().expect("the frame is whole");
            quick.open(FrameStyle::Lz4).expect("a frame");
            assert_eq!(taken(&mut quick, &tiny), [false, false, true], "the first chunk is for LZ4");
            assert_eq!(taken(&mut quick, &tiny), [false, true, true]);
            assert_eq!(taken(&mut quick, &chunk[..1000]), [false, false, true]);
            assert_eq!(taken(&mut quick, &large), [false; 3]);
            let end = quick.close().expect("the frame is whole");
            assert_eq!(taken(&mut quick, &tiny), [false; 3], "no frame is open any more");

            slow.open(FrameStyle::Raw).expect("a frame");
            slow.data(&tiny).expect("room");
            slow.close().expect("the frame is whole");
            slow.open(FrameStyle::Lz4).expect("a frame");
            for buffer in [&tiny, &tiny, &tiny, &chunk[..1000]] {
                slow.data(buffer).expect("room");
            }
            assert_eq!(slow.close().expect("the frame is whole"), end);
        }
        assert!(memory == other);
    }
}
