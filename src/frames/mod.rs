//! Work on several threads, with the result of one: many frames at a time, made and restored.
//!
//! - [`pipeline`]: jobs that make bytes, which are taken in order; and jobs in any order.
//! - [`codec`]: one frame, as it would be at its place in a checkpoint that one handle makes.
//! - [`plan`]: how frames become jobs; [`write`], [`read`]: doing these.
//!
//! Threads are started for a call and gone when it returns. One that can't be started, or gets no memory, is done without: what is there is
//! done by the others, in the end by the thread that made the call. So neither bytes nor errors depend on the number of threads.

pub(crate) mod codec;
mod plan;
mod read;
mod write;

use std::fmt;
use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::fd::AsFd;

use crate::bytes::end_of;
use crate::frame::Error;
use crate::frame::FrameStyle;
use crate::mapped_file::map_file;
use crate::sys::pool::Pool;
use crate::sys::threads;

use codec::{From, History};

/// A frame to be made of buffers: by [`Frames`].
#[derive(Debug)]
pub struct Frame<'b> {
    style: FrameStyle,
    buffers: &'b [&'b [u8]],
    range: Range<u64>,
}

impl<'b> Frame<'b> {
    /// A frame of these buffers.
    pub fn new(style: FrameStyle, buffers: &'b [&'b [u8]]) -> Self {
        Self { style, buffers, range: 0..0 }
    }

    /// Where in the checkpoint it is, once it was made: the offset of its first byte, and the one past its last.
    pub fn range(&self) -> Range<u64> {
        self.range.clone()
    }

    fn sizes(&self) -> impl Iterator<Item = u64> {
        self.buffers.iter().map(|buffer| buffer.len() as u64)
    }
}

/// A frame to be restored to buffers: by [`Frames`].
#[derive(Debug)]
pub struct FrameReadRequest<'f, 'b> {
    style: FrameStyle,
    offset: u64,
    buffers: &'f mut [&'b mut [u8]],
    end: u64,
}

impl<'f, 'b> FrameReadRequest<'f, 'b> {
    /// The frame that begins at `offset`. Style and sizes are those with which it was made.
    pub fn new(style: FrameStyle, offset: u64, buffers: &'f mut [&'b mut [u8]]) -> Self {
        Self { style, offset, buffers, end: offset }
    }

    /// The offset one past its last byte, once it was restored.
    pub fn end(&self) -> u64 {
        self.end
    }

    fn size(&self) -> u64 {
        self.buffers.iter().map(|buffer| buffer.len() as u64).fold(0, u64::saturating_add)
    }
}

/// Why frames were not all made or restored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct FrameError {
    /// The first frame for which it failed, counted from 0.
    pub frame: usize,
    /// What went wrong with it. Offsets are those in the checkpoint, file or region.
    pub error: Error,
}

impl fmt::Display for FrameError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "frame {} (counted from 0): {}", self.frame, self.error)
    }
}

impl std::error::Error for FrameError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.error)
    }
}

/// An error before any frame: it is the first one that is not done.
impl<E: Into<Error>> std::convert::From<E> for FrameError {
    fn from(error: E) -> Self {
        Self { frame: 0, error: error.into() }
    }
}

impl std::convert::From<FrameError> for io::Error {
    fn from(failed: FrameError) -> Self {
        failed.error.into()
    }
}

/// Threads that stay, for a program that makes many calls which use some: starting them for each takes some 0.1 ms.
///
/// What such calls do is the same with a pool. It helps in one call at a time: calls that other threads make with it meanwhile are done by
/// these alone, and so are those in a process that was forked. When it is dropped, its threads end.
///
/// ```
/// use fdckpt::{Checkpt, FrameStyle, ThreadPool};
///
/// # fn main() -> Result<(), fdckpt::Error> {
/// let pool = ThreadPool::new(4)?;
/// # let (steps, field) = (3, vec![5; 5 << 20]);
/// # let mut region = vec![0; 6 << 20];
/// for _ in 0..steps {
///     let mut checkpt = Checkpt::mmio(&mut region)?;
///     checkpt.open(FrameStyle::Lz4)?;
///     pool.install(|| checkpt.data(&field))?;
///     checkpt.close()?;
/// }
/// # Ok(())
/// # }
/// ```
pub struct ThreadPool(Pool);

impl ThreadPool {
    /// Starts the threads that calls with the pool have besides their own: so that there are `threads`, or as many as can be; 0 stands for
    /// as many as [`set_threads`](crate::set_threads) allows.
    ///
    /// # Errors
    /// [`Error::OutOfMemory`].
    pub fn new(threads: usize) -> Result<Self, Error> {
        Pool::new(threads::number(threads)).map(Self).ok_or(Error::OutOfMemory)
    }

    /// How many threads a call can use with it, its own included.
    pub fn threads(&self) -> usize {
        self.0.threads()
    }

    /// Calls `call`. The calls of this library that it makes in this thread use the pool: as many of its threads as they are told to, all of
    /// them where it is left to [`set_threads`](crate::set_threads).
    pub fn install<R>(&self, call: impl FnOnce() -> R) -> R {
        self.0.used_in(call)
    }
}

impl fmt::Debug for ThreadPool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ThreadPool").field("threads", &self.threads()).finish_non_exhaustive()
    }
}

/// Makes and restores many frames at a time, on several threads.
///
/// The bytes are those that one [`Checkpt`](crate::Checkpt) makes of the same frames in the same order, whatever the number of
/// threads; and frames can be restored that one has made, or restored by a [`Restore`](crate::Restore) that were made here.
///
/// ```
/// use fdckpt::{Frame, FrameReadRequest, Frames, FrameStyle};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let (pressure, velocity) = (vec![1; 1_000_000], vec![2; 3_000_000]);
/// let (all, halves) = ([&pressure[..]], [&velocity[..2_000_000], &velocity[2_000_000..]]);
/// let file = tempfile::tempfile()?;
/// let mut frames = [
///     Frame::new(FrameStyle::Raw, &[b"step 17"]),
///     Frame::new(FrameStyle::Lz4, &all),
///     Frame::new(FrameStyle::Lz4, &halves),
/// ];
/// let end = Frames::new().threads(4).checkpt_file(&mut frames, &file)?;
/// assert_eq!(end, file.metadata()?.len());
///
/// let mut restored = vec![0; 3_000_000];
/// let mut buffers = restored.chunks_mut(2_000_000).collect::<Vec<_>>();
/// let mut wanted = [FrameReadRequest::new(FrameStyle::Lz4, frames[2].range().start, &mut buffers)];
/// Frames::new().threads(4).restore_file(&mut wanted, &file)?;
/// assert!(restored == velocity);
/// # Ok(())
/// # }
/// ```
///
/// Making frames takes memory for what the threads have made and nobody has taken yet: for each thread at most three times as much as the
/// largest LZ4 frame, but that is taken for 0.6 MiB where it is less, as small frames are made together, and for 32 MiB where it is more:
/// larger ones are made one at a time, by all threads together where their buffers are large, and take no more than
/// [`set_threads`](crate::set_threads) says. Restoring takes half a MiB for each thread.
#[derive(Clone, Copy, Debug, Default)]
pub struct Frames {
    threads: usize,
    /// Where the next frame to be made begins.
    next: u64,
    history: History,
}

impl Frames {
    /// For the frames of a checkpoint from its begin on, on as many threads as [`set_threads`](crate::set_threads) allows.
    pub fn new() -> Self {
        Self::default()
    }

    /// Uses up to `threads` threads, the caller's included; 0 stands for as many as [`set_threads`](crate::set_threads) allows.
    #[must_use]
    pub fn threads(mut self, threads: usize) -> Self {
        self.threads = threads;
        self
    }

    /// Makes the first frame at `offset` instead of 0: in the memory or file that is written to. Of a stream, the first byte counts as
    /// that one.
    #[must_use]
    pub fn at(mut self, offset: u64) -> Self {
        self.next = offset;
        self
    }

    /// The offset one past the last frame that was made, where the next one is to begin.
    pub fn offset(&self) -> u64 {
        self.next
    }

    /// With the number that [`history`](Self::history) gave: to go on with that checkpoint.
    pub(crate) fn with_history(mut self, history: u64) -> Result<Self, Error> {
        self.history = History::from_number(history)?;
        Ok(self)
    }

    /// What of the frames made so far shows in the bytes of those to come, as a number.
    pub(crate) fn history(&self) -> u64 {
        self.history.to_number()
    }

    /// The most bytes that these frames take.
    ///
    /// # Errors
    /// [`Error::OffsetOverflow`] where that is more than there can be.
    pub fn bound(frames: &[Frame<'_>]) -> Result<u64, FrameError> {
        let mut sum = 0;
        for (number, frame) in frames.iter().enumerate() {
            let end = Self::bound_of(frame.style, frame.sizes(), sum);
            sum = end.map_err(|error| FrameError { frame: number, error })?;
        }
        Ok(sum)
    }

    /// Where a frame ends at most that begins at `offset`.
    pub(crate) fn bound_of(style: FrameStyle, sizes: impl Iterator<Item = u64>, offset: u64) -> Result<u64, Error> {
        Ok(end_of(offset, codec::bound(style, sizes)?)?)
    }

    /// Makes frames in memory. Returns the offset one past the last; [`Frame::range`] tells where each is. A further call goes on with the
    /// checkpoint: it begins at that offset, and its frames are to LZ4 such that follow those of the calls before.
    ///
    /// Memory of the size that [`bound`](Self::bound) says is always enough. With less, the same frame fails as if they were made
    /// one after the other. Bytes behind the last frame may be changed too.
    ///
    /// # Errors
    /// [`Error::BufferFull`] where the memory is too small; [`Error::SeekPastEnd`] where it ends before the first offset;
    /// [`Error::OutOfMemory`]. The frames before the one named are made then, and a further call begins as this one did.
    pub fn checkpt_mmio(&mut self, frames: &mut [Frame<'_>], region: &mut [u8]) -> Result<u64, FrameError> {
        write::to_memory(self, frames, region)
    }

    /// Makes frames and writes them to `fd` in order: a file, from its position on, a pipe, a socket. Otherwise as
    /// [`checkpt_mmio`](Self::checkpt_mmio).
    ///
    /// # Errors
    /// [`Error::Io`] where writing fails; [`Error::OutOfMemory`]. The frames before the one named are written then, perhaps also a part
    /// of what follows.
    pub fn checkpt_stream(&mut self, frames: &mut [Frame<'_>], fd: impl AsFd) -> Result<u64, FrameError> {
        write::to_stream(self, frames, fd.as_fd())
    }

    /// Makes frames and writes them to `file`, several at a time and each at its offset: where the file stands does not matter, and does
    /// not change. Otherwise as [`checkpt_mmio`](Self::checkpt_mmio).
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] where the file is open for appending, so that there is no writing at offsets; [`Error::Io`] where writing
    /// fails; [`Error::OutOfMemory`]. The frames before the one named are written then, perhaps also parts of others.
    pub fn checkpt_file(&mut self, frames: &mut [Frame<'_>], file: impl AsFd) -> Result<u64, FrameError> {
        write::to_file(self, frames, file.as_fd())
    }

    /// Restores frames from memory, in any order and on several threads.
    ///
    /// # Errors
    /// That of the first frame for which restoring fails: [`Error::UnexpectedEof`]; [`Error::Corrupt`]; [`Error::SeekPastEnd`];
    /// [`Error::OutOfMemory`]. What is in the buffers of any frame then, is undefined.
    pub fn restore_mmio(&self, frames: &mut [FrameReadRequest<'_, '_>], region: &[u8]) -> Result<(), FrameError> {
        read::restore(self.threads, frames, From::Memory(region))
    }

    /// Restores frames from a file, by reading at their offsets: where the file stands does not matter, and does not change.
    ///
    /// # Errors
    /// As for [`restore_mmio`](Self::restore_mmio), and [`Error::Io`] where reading fails.
    pub fn restore_file(&self, frames: &mut [FrameReadRequest<'_, '_>], file: impl AsFd) -> Result<(), FrameError> {
        read::restore(self.threads, frames, From::File(file.as_fd()))
    }

    /// Restores frames from a file by a memory map. Nobody may shorten the file meanwhile: a process that touches a part of a map that
    /// its file no longer has is ended by the system (SIGBUS).
    ///
    /// # Errors
    /// As for [`restore_mmio`](Self::restore_mmio), and [`Error::Io`] where the file can't be mapped.
    pub fn restore_map(&self, frames: &mut [FrameReadRequest<'_, '_>], file: &File) -> Result<(), FrameError> {
        let map = map_file(file).map_err(Error::from)?;
        self.restore_mmio(frames, map.bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_checkpoint_is_gone_on_with_by_offset_and_history() {
        // Four letters in any order, where history shows.
        let letters: Vec<u8> = (1..100_000u64).map(|n| b"ACGT"[(n.wrapping_mul(n * 2_654_435_761) >> 33) as usize % 4]).collect();
        let later = [FrameStyle::Raw, FrameStyle::Lz4].map(|style| {
            let (mut one, mut memory, mut other_memory) = (Frames::new(), vec![0; 400_000], vec![0; 400_000]);
            let buffers = [&letters[..]];
            let make = |frames: &mut Frames, style, memory: &mut [u8]| {
                let begin = frames.offset() as usize;
                let end = frames.checkpt_mmio(&mut [Frame::new(style, &buffers)], memory).unwrap() as usize;
                memory[begin..end].to_vec()
            };
            let first = make(&mut one, style, &mut memory);
            let mut other = Frames::new().threads(2).at(one.offset()).with_history(one.history()).unwrap();
            let second = make(&mut one, FrameStyle::Lz4, &mut memory);
            assert!(make(&mut other, FrameStyle::Lz4, &mut other_memory) == second && !first.is_empty());
            assert_eq!((other.offset(), other.history()), (one.offset(), one.history()));
            second
        });
        assert!(later[0] != later[1], "what was made before shows");
    }
}
