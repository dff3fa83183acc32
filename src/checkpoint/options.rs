//! What a caller can ask for.

use std::fmt;
use std::ops::ControlFlow;

use super::error::ErrorKind;
use super::{FRAME_SIZE_DEFAULT, FRAME_SIZE_MAX, FRAME_SIZE_MIN, SyncMode};
use crate::alloc::try_box;
use crate::frame::FrameStyle;
use crate::sys::threads;

/// How far saving, loading or verifying has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Progress {
    /// Bytes of data that are done.
    pub data: u64,
    /// Bytes that there are in all; when saving, those that were added so far.
    pub total: u64,
    /// Bytes of the file that were written or read for it.
    pub stored: u64,
}

/// What is told of progress, and can cancel.
pub(super) trait Observer: Send {
    fn see(&mut self, progress: Progress) -> ControlFlow<()>;
}

// An array of one, as that is what a vector can become without a further allocation.
impl<F: FnMut(Progress) -> ControlFlow<()> + Send> Observer for [F; 1] {
    fn see(&mut self, progress: Progress) -> ControlFlow<()> {
        self[0](progress)
    }
}

/// How a checkpoint is to be saved. Begins with what is usual, and makes [`Writer`](super::Writer)s.
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
    /// RAW frames of [`FRAME_SIZE_DEFAULT`], as many threads as [`set_threads`](crate::set_threads) allows (one, unless it was
    /// called), checksums, [`SyncMode::Full`].
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

    /// The style of frames, until [`Writer::set_style`](super::Writer::set_style) says another one.
    pub fn style(mut self, style: FrameStyle) -> Self {
        self.style = style;
        self
    }

    /// How many threads may compress, the caller's among them. They are gone when a call returns. The file is the same, byte for byte.
    pub fn threads(mut self, threads: usize) -> Self {
        self.threads = threads.clamp(1, threads::THREADS_MAX);
        self
    }

    /// How many bytes of data a frame has at most: from [`FRAME_SIZE_MIN`] to [`FRAME_SIZE_MAX`].
    pub fn frame_size(mut self, size: usize) -> Self {
        self.frame_size = size;
        self
    }

    /// Whether frames and regions get checksums. Without them damage to data goes unnoticed. The index has one in any case.
    pub fn checksums(mut self, on: bool) -> Self {
        self.checksums = on;
        self
    }

    /// What the file has to survive. Of a descriptor: [`SyncMode::Data`] and more sync it in [`Writer::commit`](super::Writer::commit), if it can be.
    pub fn sync(mut self, sync: SyncMode) -> Self {
        self.sync = sync;
        self
    }

    /// Is told of progress after each frame, by the thread that calls the writer. [`ControlFlow::Break`] cancels: the call fails with
    /// [`ErrorKind::Cancelled`], and so will all others.
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

/// How a checkpoint is to be loaded. Begins with what is usual, and makes [`Reader`](super::Reader)s.
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
    /// As many threads as [`set_threads`](crate::set_threads) allows (one, unless it was called), all checksums verified, and what has
    /// to be spooled in memory up to 64 MiB, in a temporary file up to any size.
    pub fn new() -> Self {
        Self { threads: threads::max_threads(), checksums: true, spool_memory: 64 << 20, spool_limit: u64::MAX }
    }

    /// How many threads may read, the caller's among them. They are gone when a call returns.
    pub fn threads(mut self, threads: usize) -> Self {
        self.threads = threads.clamp(1, threads::THREADS_MAX);
        self
    }

    /// Whether what is read is verified by its checksum. Without that, damage to data can go unnoticed.
    pub fn checksums(mut self, on: bool) -> Self {
        self.checksums = on;
        self
    }

    /// What can't be mapped is spooled: in memory up to so many bytes, what is larger in a temporary file without a name (in the
    /// directory that the environment variable `TMPDIR` names, or /tmp).
    pub fn spool_memory(mut self, bytes: u64) -> Self {
        self.spool_memory = bytes;
        self
    }

    /// What can't be mapped is refused, with [`ErrorKind::InputTooLarge`], if it has more bytes.
    pub fn spool_limit(mut self, bytes: u64) -> Self {
        self.spool_limit = bytes;
        self
    }
}
