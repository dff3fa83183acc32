//! The Rust type that writes a checkpoint.

use std::fmt;
use std::fs::File;
use std::os::fd::AsFd;

use super::encoder::Encoder;
use super::error::Error;
use super::sink::{Mmio, Sink, Stream};
use super::state::FrameState;
use super::{BUFFER_MIN, BufferKind, FrameStyle};
use crate::alloc::try_box;
use crate::error_base::IoOperation;
use crate::sys::lz4::OwnedCompressor;
use crate::sys::mmap::MmapMut;
use crate::sys::shared_bytes::{SharedBytes, SharedBytesMut};

/// Writes a checkpoint, a sequence of frames of buffers, to a descriptor or a memory region.
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
/// A frame that was not closed is not part of the checkpoint, even if bytes of it were written.
///
/// After an error the checkpoint is *failed*: every further call returns [`Error::Poisoned`]. The frames closed before are
/// complete. Nothing is synced: a crash of the system may lose them.
///
/// # Threads
/// A checkpoint is used by one thread at a time. Different checkpoints are independent.
pub struct Checkpt<'a> {
    state: FrameState,
    lz4: OwnedCompressor,
    ring_cursor: u64,
    offset: u64,
    target: Target<'a>,
}

enum Target<'a> {
    Stream { fd: Box<dyn super::DynFd + 'a>, buffer: Vec<u8>, used: u64 },
    Mmio(&'a mut [u8]),
    Map(MmapMut),
}

impl<'a> Checkpt<'a> {
    /// Creates a checkpoint that is written to `fd`, a file, pipe or socket, from its current position. `fd` is owned or
    /// borrowed. Uses a buffer of [`BUFFER_MIN`] bytes, which is empty whenever no frame is open.
    ///
    /// A write to a non-blocking descriptor waits until it is possible.
    ///
    /// # Errors
    /// [`Error::OutOfMemory`].
    pub fn stream(fd: impl AsFd + Send + Sync + 'a) -> Result<Self, Error> {
        Self::stream_with_buffer(fd, BUFFER_MIN)
    }

    /// As [`stream`](Self::stream), with a buffer of `size` bytes. A larger buffer means fewer system calls; the bytes of
    /// the checkpoint do not depend on it.
    ///
    /// # Errors
    /// [`Error::IoBufferTooSmall`] if `size` is less than [`BUFFER_MIN`]; [`Error::OutOfMemory`].
    pub fn stream_with_buffer(fd: impl AsFd + Send + Sync + 'a, size: usize) -> Result<Self, Error> {
        let buffer = super::try_io_buffer(size)?;
        Self::new(Target::Stream { fd: try_box(fd)?, buffer, used: 0 })
    }

    /// Creates a checkpoint that is written to `region` from its start. Bytes after the end of the checkpoint may be
    /// overwritten, too.
    ///
    /// # Errors
    /// [`Error::OutOfMemory`].
    pub fn mmio(region: &'a mut [u8]) -> Result<Self, Error> {
        Self::new(Target::Mmio(region))
    }

    /// Creates a checkpoint that is written to `file` by a memory map, from the start of the file. The map has the current
    /// size of the file ([`File::set_len`]), and the checkpoint must fit into it. Afterwards the file can be truncated to the
    /// offset that [`close`](Self::close) returned. The file must be open for reading and writing.
    ///
    /// The file must not be truncated while this exists: accessing truncated pages of a map raises SIGBUS.
    ///
    /// # Errors
    /// [`Error::Io`] if the file cannot be mapped (a pipe, for example); [`Error::OutOfMemory`].
    pub fn map(file: &File) -> Result<Self, Error> {
        let map = MmapMut::map_file(file).map_err(IoOperation::Mmap.failed_at(0))?;
        Self::new(Target::Map(map))
    }

    fn new(target: Target<'a>) -> Result<Self, Error> {
        let lz4 = OwnedCompressor::new().ok_or(Error::OutOfMemory)?;
        Ok(Self { state: FrameState::BETWEEN_FRAMES, lz4, ring_cursor: 0, offset: 0, target })
    }

    /// Opens a frame. Returns the offset of its first byte in the checkpoint.
    ///
    /// # Errors
    /// [`Error::FrameOpen`]; [`Error::Poisoned`].
    pub fn open(&mut self, style: FrameStyle) -> Result<u64, Error> {
        self.encoder().open(style as i32, || Ok(()))
    }

    /// Appends a buffer of at most [`META_MAX`](crate::META_MAX) bytes to the frame.
    ///
    /// # Errors
    /// [`Error::MetaTooLarge`], and as for [`data`](Self::data).
    pub fn meta(&mut self, buffer: &[u8]) -> Result<(), Error> {
        self.encoder().write_buffer(BufferKind::Meta, SharedBytes::new(buffer))
    }

    /// Appends a buffer of any size to the frame.
    ///
    /// # Errors
    /// [`Error::NoFrame`]; [`Error::Poisoned`]; [`Error::Io`] if writing fails; [`Error::BufferFull`] if the memory region
    /// is too small.
    pub fn data(&mut self, buffer: &[u8]) -> Result<(), Error> {
        self.encoder().write_buffer(BufferKind::Data, SharedBytes::new(buffer))
    }

    /// Closes the frame, and writes the buffered rest of it. Returns the offset one past its last byte.
    ///
    /// # Errors
    /// [`Error::NoFrame`]; [`Error::Poisoned`]; [`Error::Io`] if writing fails.
    pub fn close(&mut self) -> Result<u64, Error> {
        self.encoder().close(|| Ok(()))
    }

    /// Ends the checkpoint. Dropping it does the same, but does not report a frame that is still open.
    ///
    /// # Errors
    /// [`Error::FrameOpen`].
    pub fn finish(mut self) -> Result<(), Error> {
        self.encoder().finish()
    }

    /// Returns whether a frame can be opened: none is open, and no call has failed.
    pub fn can_open(&self) -> bool {
        self.state.can_open()
    }

    /// Returns whether a frame is open.
    pub fn in_frame(&self) -> bool {
        self.state.style().is_some()
    }

    fn encoder(&mut self) -> Encoder<'_> {
        let Self { state, lz4, ring_cursor, offset, target } = self;
        let sink = match target {
            Target::Stream { fd, buffer, used } => Sink::Stream(Stream { fd: fd.fd(), positioned: false, offset, buffer, used }),
            Target::Mmio(region) => Sink::Mmio(Mmio { offset, region: SharedBytesMut::new(region) }),
            Target::Map(map) => Sink::Mmio(Mmio { offset, region: map.region() }),
        };
        Encoder { state, lz4: Some(lz4.borrow()), ring_cursor, endpoint: sink, threads: 0 }
    }
}

impl fmt::Debug for Checkpt<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mode = match self.target {
            Target::Stream { .. } => "stream",
            Target::Mmio(_) => "mmio",
            Target::Map(_) => "map",
        };
        let Self { state, offset, .. } = self;
        f.debug_struct("Checkpt").field("mode", &mode).field("state", state).field("offset", offset).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::super::{META_MAX, small_block};
    use super::*;

    /// Offers the buffer to each fast path in turn. Returns which of them took it: RAW, small LZ4, LZ4.
    fn offer(checkpt: &mut Checkpt<'_>, buffer: &[u8]) -> [bool; 3] {
        let (mut encoder, buffer) = (checkpt.encoder(), SharedBytes::new(buffer));
        [encoder.try_write_raw_fast(&buffer), encoder.try_write_small_lz4_fast(&buffer), encoder.try_write_lz4_fast(&buffer)]
    }

    /// The output is the same without the fast paths, so no other test notices if they are not taken.
    #[test]
    fn fast_paths_are_taken_by_style_and_size() {
        let file = tempfile::tempfile().expect("temporary file");
        let (mut memory, mut other) = ([0; 200_000], [0; 200_000]);
        for (mut fast, mut slow) in
            [(Checkpt::mmio(&mut memory), Checkpt::mmio(&mut other)), (Checkpt::stream(&file), Checkpt::stream(&file))]
                .map(|(fast, slow)| (fast.expect("allocation"), slow.expect("allocation")))
        {
            let [small, chunk, large] = [vec![7; small_block::COMPRESS_MAX], vec![8; META_MAX], vec![9; META_MAX + 1]];
            assert_eq!(offer(&mut fast, &small), [false; 3], "no frame is open");
            fast.open(FrameStyle::Raw).expect("no frame is open");
            assert_eq!(offer(&mut fast, &small), [true, false, false]);
            assert_eq!(offer(&mut fast, &large), [false; 3]);
            fast.close().expect("frame is open");
            fast.open(FrameStyle::Lz4).expect("no frame is open");
            assert_eq!(offer(&mut fast, &small), [false, false, true], "the first chunk needs LZ4");
            assert_eq!(offer(&mut fast, &small), [false, true, true]);
            assert_eq!(offer(&mut fast, &chunk[..1000]), [false, false, true]);
            assert_eq!(offer(&mut fast, &large), [false; 3]);
            let end = fast.close().expect("frame is open");
            assert_eq!(offer(&mut fast, &small), [false; 3], "the frame is closed");

            slow.open(FrameStyle::Raw).expect("no frame is open");
            slow.data(&small).expect("space");
            slow.close().expect("frame is open");
            slow.open(FrameStyle::Lz4).expect("no frame is open");
            for buffer in [&small, &small, &small, &chunk[..1000]] {
                slow.data(buffer).expect("space");
            }
            assert_eq!(slow.close().expect("frame is open"), end);
        }
        assert!(memory == other);
    }
}
