//! What encoding and decoding share: which calls are allowed when, and what a failure does.

use super::error::Error;
use super::state::FrameState;
use super::style::FrameStyle;
use super::{BufferKind, META_MAX};

/// A checkpoint being written or restored, borrowed for one call.
///
/// Any error leaves it failed: no frame is open and none can be opened. The functions check in the order of the original,
/// since the first error found is the one reported. Checks that the C API needs in between are passed as a closure.
pub(crate) struct FrameCodec<'h, C, E> {
    pub(crate) state: &'h mut FrameState,
    /// LZ4 stream; `None` once it was freed.
    pub(crate) lz4: Option<C>,
    /// Offset in LZ4's ring at which the next chunk is stored if it fits.
    pub(crate) ring_cursor: &'h mut u64,
    /// Sink of an encoder, source of a decoder.
    pub(crate) endpoint: E,
    /// Maximum number of threads of a call; 0: the limit of [`set_max_threads`](crate::set_max_threads).
    pub(crate) threads: usize,
}

/// An LZ4 stream of one direction.
pub(crate) trait Lz4Stream {
    /// Starts a new stream.
    fn reset(&mut self);
}

/// A sink or source.
pub(crate) trait Endpoint {
    /// Returns the offset of the next byte.
    fn offset(&self) -> u64;

    /// Writes the buffered bytes, if any.
    fn flush(&mut self) -> Result<(), Error>;
}

impl<C: Lz4Stream, E: Endpoint> FrameCodec<'_, C, E> {
    /// Opens a frame in the style of this number (0: the default). Returns the offset of its first byte.
    pub(crate) fn open(&mut self, style: i32, extra_checks: impl FnOnce() -> Result<(), Error>) -> Result<u64, Error> {
        self.poison_on_err(|codec| {
            codec.state.check_can_open()?;
            extra_checks()?;
            let style = FrameStyle::from_c_arg(style)?;
            if style == FrameStyle::Lz4 {
                codec.lz4.as_mut().ok_or(Error::Internal)?.reset();
                *codec.ring_cursor = 0;
            }
            *codec.state = FrameState::in_frame(style);
            Ok(codec.endpoint.offset())
        })
    }

    /// Closes the frame. Returns the offset one past its last byte.
    pub(crate) fn close(&mut self, extra_checks: impl FnOnce() -> Result<(), Error>) -> Result<u64, Error> {
        self.poison_on_err(|codec| {
            codec.state.check_in_frame()?;
            extra_checks()?;
            codec.endpoint.flush()?;
            *codec.state = FrameState::BETWEEN_FRAMES;
            Ok(codec.endpoint.offset())
        })
    }

    /// Checks that no frame is open, so that the checkpoint or restore can end.
    pub(crate) fn finish(&mut self) -> Result<(), Error> {
        self.poison_on_err(|codec| codec.state.check_not_in_frame())
    }

    /// Checks that a buffer of `size` bytes is allowed now. Returns the style of the frame, or `None` for an empty buffer,
    /// which needs no coding.
    #[inline]
    pub(super) fn validate_buffer(&self, kind: BufferKind, size: u64, is_null: bool) -> Result<Option<FrameStyle>, Error> {
        let style = self.state.check_in_frame()?;
        if size == 0 {
            return Ok(None);
        }
        if kind == BufferKind::Meta && size > META_MAX as u64 {
            return Err(Error::MetaTooLarge { size });
        }
        if is_null {
            return Err(Error::InvalidArgument("the buffer is NULL"));
        }
        Ok(Some(style))
    }

    /// Calls `call`, and sets the failed state if it returns an error.
    #[inline]
    pub(super) fn poison_on_err<T>(&mut self, call: impl FnOnce(&mut Self) -> Result<T, Error>) -> Result<T, Error> {
        let result = call(self);
        if result.is_err() {
            *self.state = FrameState::FAILED;
        }
        result
    }
}
