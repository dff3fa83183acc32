//! State machine of a checkpoint or restore: between frames, in a frame, failed.

use super::error::Error;
use super::style::FrameStyle;

impl FrameStyle {
    /// Converts a style argument of the C API: as [`from_raw`](Self::from_raw), and 0 is the default.
    pub(crate) fn from_c_arg(number: i32) -> Result<Self, Error> {
        match number {
            0 => Ok(Self::default()),
            style => Self::from_raw(style).ok_or(Error::UnknownStyle { style }),
        }
    }
}

/// State of a checkpoint or restore, as stored in member `frame_style` of the C structs: the number of the open frame's
/// style, 0 between frames, -1 after a failure. Any other value is treated as failed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(transparent)]
pub(crate) struct FrameState(i32);

impl FrameState {
    pub(crate) const BETWEEN_FRAMES: Self = Self(0);
    pub(crate) const FAILED: Self = Self(-1);

    #[inline]
    pub(crate) fn in_frame(style: FrameStyle) -> Self {
        Self(style as i32)
    }

    #[inline]
    pub(crate) fn can_open(self) -> bool {
        self == Self::BETWEEN_FRAMES
    }

    /// Checks that a frame can be opened.
    pub(crate) fn check_can_open(self) -> Result<(), Error> {
        self.check_not_in_frame()?;
        if self.can_open() { Ok(()) } else { Err(Error::Poisoned) }
    }

    /// Returns the style of the open frame, or an error if none is open.
    #[inline]
    pub(crate) fn check_in_frame(self) -> Result<FrameStyle, Error> {
        self.style().ok_or(if self.can_open() { Error::NoFrame } else { Error::Poisoned })
    }

    /// Checks that no frame is open.
    pub(crate) fn check_not_in_frame(self) -> Result<(), Error> {
        if self.style().is_some() { Err(Error::FrameOpen) } else { Ok(()) }
    }

    /// Returns the style of the open frame, if any.
    #[inline]
    pub(crate) fn style(self) -> Option<FrameStyle> {
        FrameStyle::from_raw(self.0)
    }
}
