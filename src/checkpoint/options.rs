//! Options of writers and readers.

use std::fmt;
use std::ops::ControlFlow;

use super::error::ErrorKind;
use super::{FRAME_SIZE_DEFAULT, FRAME_SIZE_MAX, FRAME_SIZE_MIN, SyncMode};
use crate::alloc::try_box;
use crate::frame::FrameStyle;
use crate::sys::threads;

/// Progress of saving, reading or verifying.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Progress {
    /// Number of bytes of data that are done.
    pub data: u64,
    /// Total number of bytes of data; when saving, those added so far.
    pub total: u64,
    /// Number of bytes of the file written or read for it.
    pub stored: u64,
}

/// Receives progress and may cancel.
pub(super) trait Observer: Send {
    fn observe(&mut self, progress: Progress) -> ControlFlow<()>;
}

// An array of one element, because a vector converts to that without another allocation.
impl<F: FnMut(Progress) -> ControlFlow<()> + Send> Observer for [F; 1] {
    fn observe(&mut self, progress: Progress) -> ControlFlow<()> {
        self[0](progress)
    }
}

/// Options of a checkpoint to save, and constructors of [`Writer`](super::Writer).
pub struct WriterOptions<'w> {
    pub(super) style: FrameStyle,
    pub(super) threads: usize,
    pub(super) frame_size: usize,
    pub(super) checksums: bool,
    pub(super) sync: SyncMode,
    pub(super) observer: Result<Option<Box<dyn Observer + 'w>>, ErrorKind>,
}

impl Default for WriterOptions<'_> {
    fn default() -> Self {
        Self::new()
    }
}

impl<'w> WriterOptions<'w> {
    /// Creates the default options: RAW frames of [`FRAME_SIZE_DEFAULT`], the threads that [`set_max_threads`](crate::set_max_threads) allows
    /// (default: one), checksums, [`SyncMode::Full`].
    pub fn new() -> Self {
        Self {
            style: FrameStyle::default(),
            threads: threads::max_threads(),
            frame_size: FRAME_SIZE_DEFAULT,
            checksums: true,
            sync: SyncMode::default(),
            observer: Ok(None),
        }
    }

    /// Sets the style of frames, until [`Writer::set_style`](super::Writer::set_style) changes it.
    pub fn style(mut self, style: FrameStyle) -> Self {
        self.style = style;
        self
    }

    /// Sets the maximum number of threads that compress, including the caller's. They end before a call returns. The file does not
    /// depend on the number.
    pub fn threads(mut self, threads: usize) -> Self {
        self.threads = threads.clamp(1, threads::THREADS_MAX);
        self
    }

    /// Sets the maximum number of bytes of data in a frame, from [`FRAME_SIZE_MIN`] to [`FRAME_SIZE_MAX`].
    pub fn frame_size(mut self, size: usize) -> Self {
        self.frame_size = size;
        self
    }

    /// Sets whether frames and regions get checksums. Without them, corruption of data goes unnoticed. The index always has one.
    pub fn checksums(mut self, on: bool) -> Self {
        self.checksums = on;
        self
    }

    /// Sets what the file must survive. A descriptor is synced by [`Writer::commit`](super::Writer::commit) from [`SyncMode::Data`] on,
    /// if it supports that.
    pub fn sync(mut self, sync: SyncMode) -> Self {
        self.sync = sync;
        self
    }

    /// Sets a function that the calling thread calls after each frame. [`ControlFlow::Break`] cancels: the call fails with
    /// [`ErrorKind::Cancelled`], and all later calls fail too.
    pub fn progress(mut self, observer: impl FnMut(Progress) -> ControlFlow<()> + Send + 'w) -> Self {
        let observer = try_box(observer).map_err(ErrorKind::from);
        self.observer = observer.map(|observer| Some(observer as Box<dyn Observer + 'w>));
        self
    }

    pub(super) fn check(&self) -> Result<(), ErrorKind> {
        match self.frame_size {
            FRAME_SIZE_MIN..=FRAME_SIZE_MAX => self.observer.as_ref().map(drop).map_err(|error| *error),
            _ => Err(ErrorKind::InvalidArgument("the frame size must be 64 KiB to 1 GiB")),
        }
    }
}

impl fmt::Debug for WriterOptions<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { style, threads, frame_size, checksums, sync, .. } = self;
        f.debug_struct("WriterOptions")
            .field("style", style)
            .field("threads", threads)
            .field("frame_size", frame_size)
            .field("checksums", checksums)
            .field("sync", sync)
            .finish_non_exhaustive()
    }
}

/// Options of a checkpoint to read, and constructors of [`Reader`](super::Reader).
#[derive(Clone, Debug)]
pub struct ReaderOptions {
    pub(super) threads: usize,
    pub(super) checksums: bool,
    pub(super) spool_memory: u64,
    pub(super) spool_limit: u64,
}

impl Default for ReaderOptions {
    fn default() -> Self {
        Self::new()
    }
}

impl ReaderOptions {
    /// Creates the default options: the threads that [`set_max_threads`](crate::set_max_threads) allows (default: one), checksums verified,
    /// input that can't be mapped spooled in memory up to 64 MiB and beyond that in a temporary file of any size.
    pub fn new() -> Self {
        Self { threads: threads::max_threads(), checksums: true, spool_memory: 64 << 20, spool_limit: u64::MAX }
    }

    /// Sets the maximum number of threads that read, including the caller's. They end before a call returns.
    pub fn threads(mut self, threads: usize) -> Self {
        self.threads = threads.clamp(1, threads::THREADS_MAX);
        self
    }

    /// Sets whether checksums are verified when reading. Without that, corruption of data may go unnoticed.
    pub fn checksums(mut self, on: bool) -> Self {
        self.checksums = on;
        self
    }

    /// Sets the maximum size in bytes of input that is spooled in memory if it can't be mapped. Larger input is spooled in an unnamed
    /// temporary file (in the directory named by the environment variable `TMPDIR`, or /tmp).
    pub fn spool_memory(mut self, bytes: u64) -> Self {
        self.spool_memory = bytes;
        self
    }

    /// Sets the maximum size in bytes of input that can't be mapped. Larger input fails with [`ErrorKind::InputTooLarge`].
    pub fn spool_limit(mut self, bytes: u64) -> Self {
        self.spool_limit = bytes;
        self
    }
}
