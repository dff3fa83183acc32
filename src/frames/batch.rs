//! How many frames are encoded or decoded: on how many threads, and from which offset on.

use crate::bytes::end_of;
use crate::frame::{Error, FrameStyle};
use crate::sys::lz4::StreamOffset;

use super::codec;
use super::error::FrameError;
use super::request::Frame;

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
/// let end = Frames::new().threads(4).write_to_file(&mut frames, &file)?;
/// assert_eq!(end, file.metadata()?.len());
///
/// let mut restored = vec![0; 3_000_000];
/// let mut buffers = restored.chunks_mut(2_000_000).collect::<Vec<_>>();
/// let mut wanted = [FrameReadRequest::new(FrameStyle::Lz4, frames[2].range().start, &mut buffers)];
/// Frames::new().threads(4).read_from_file(&mut wanted, &file)?;
/// assert!(restored == velocity);
/// # Ok(())
/// # }
/// ```
///
/// Making frames takes memory for what the threads have made and nobody has taken yet: for each thread at most three times as much as the
/// largest LZ4 frame, but that is taken for 0.6 MiB where it is less, as small frames are made together, and for 32 MiB where it is more:
/// larger ones are made one at a time, by all threads together where their buffers are large, and take no more than
/// [`set_max_threads`](crate::set_max_threads) says. Restoring takes half a MiB for each thread.
#[derive(Clone, Copy, Debug, Default)]
pub struct Frames {
    pub(super) threads: usize,
    /// Where the next frame to be made begins.
    pub(super) next: u64,
    pub(super) history: StreamOffset,
}

impl Frames {
    /// For the frames of a checkpoint from its begin on, on as many threads as [`set_max_threads`](crate::set_max_threads) allows.
    pub fn new() -> Self {
        Self::default()
    }

    /// Uses up to `threads` threads, the caller's included; 0 stands for as many as [`set_max_threads`](crate::set_max_threads) allows.
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
        let history = StreamOffset::from_raw(history);
        let error = Error::InvalidArgument("invalid cursor state: not one that a call has returned");
        self.history = history.ok_or(error)?;
        Ok(self)
    }

    /// What of the frames made so far shows in the bytes of those to come, as a number.
    pub(crate) fn history(&self) -> u64 {
        self.history.to_raw()
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
}
