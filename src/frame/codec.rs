//! The engine: what may be called when, for making and restoring alike.

use super::error::Error;
use super::state::FrameState;
use super::style::FrameStyle;
use super::{Kind, META_MAX};

/// A checkpoint in the making or a restore in progress, borrowed for one call.
///
/// Every function that fails leaves it failed: it is neither in a frame nor can one be opened. The functions check in the
/// order in which the original does, since the first error found is the one reported. Where the caller has checks of its own
/// in the midst of that order, it passes them as a closure.
pub(crate) struct Engine<'h, C, E> {
    pub(crate) phase: &'h mut FrameState,
    /// LZ4's state; `None` once it was given back.
    pub(crate) lz4: Option<C>,
    /// Where in LZ4's ring the next chunk goes.
    pub(crate) ring_cursor: &'h mut u64,
    /// What is written to or read from.
    pub(crate) end: E,
    /// How many threads a call may use; 0 stands for as many as the host has allowed.
    pub(crate) threads: usize,
}

/// LZ4's state for one direction.
pub(crate) trait Codec {
    /// Starts a new stream.
    fn reset(&mut self);
}

/// What is written to or read from.
pub(crate) trait End {
    /// The offset of the next byte.
    fn offset(&self) -> u64;

    /// Writes out what waits to be written, if anything can.
    fn flush(&mut self) -> Result<(), Error>;
}

impl<C: Codec, E: End> Engine<'_, C, E> {
    /// Opens a frame of the style of this number, 0 being the default. Returns the offset of its first byte.
    pub(crate) fn open(&mut self, style: i32, check: impl FnOnce() -> Result<(), Error>) -> Result<u64, Error> {
        self.or_fail(|engine| {
            engine.phase.check_can_open()?;
            check()?;
            let style = FrameStyle::asked_for(style)?;
            if style == FrameStyle::Lz4 {
                engine.lz4.as_mut().ok_or(Error::Internal)?.reset();
                *engine.ring_cursor = 0;
            }
            *engine.phase = FrameState::in_frame(style);
            Ok(engine.end.offset())
        })
    }

    /// Closes the frame. Returns the offset one past its last byte.
    pub(crate) fn close(&mut self, check: impl FnOnce() -> Result<(), Error>) -> Result<u64, Error> {
        self.or_fail(|engine| {
            engine.phase.check_in_frame()?;
            check()?;
            engine.end.flush()?;
            *engine.phase = FrameState::BETWEEN_FRAMES;
            Ok(engine.end.offset())
        })
    }

    /// Ends the whole, if no frame is open.
    pub(crate) fn finish(&mut self) -> Result<(), Error> {
        self.or_fail(|engine| engine.phase.check_not_in_frame())
    }

    /// Whether a buffer of `size` bytes is acceptable now; the style to code it in, or `None` if there is nothing to do for it.
    #[inline]
    pub(super) fn admit(&self, kind: Kind, size: u64, is_null: bool) -> Result<Option<FrameStyle>, Error> {
        let style = self.phase.check_in_frame()?;
        if size == 0 {
            return Ok(None);
        }
        if kind == Kind::Meta && size > META_MAX as u64 {
            return Err(Error::MetaTooLarge { size });
        }
        if is_null {
            return Err(Error::InvalidArgument("the buffer is NULL"));
        }
        Ok(Some(style))
    }

    #[inline]
    pub(super) fn or_fail<T>(&mut self, call: impl FnOnce(&mut Self) -> Result<T, Error>) -> Result<T, Error> {
        let result = call(self);
        if result.is_err() {
            *self.phase = FrameState::FAILED;
        }
        result
    }
}
