//! The state of a checkpoint or restore, and the style that opens a frame.

use super::error::Error;
use super::style::FrameStyle;

impl FrameStyle {
    /// The style that this number asks for: as [`from_number`](Self::from_number), and 0 is the default.
    pub(crate) fn asked_for(number: i32) -> Result<Self, Error> {
        match number {
            0 => Ok(Self::default()),
            style => Self::from_number(style).ok_or(Error::UnknownStyle { style }),
        }
    }
}

/// What a checkpoint or restore can do next, in the form in which the C structs hold it (member `frame_style`): the number of
/// the style of the frame that it is in, 0 between frames, -1 after a failure. Anything else counts as failed.
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

    /// `Ok` where a frame can be opened.
    pub(crate) fn check_can_open(self) -> Result<(), Error> {
        self.check_not_in_frame()?;
        if self.can_open() { Ok(()) } else { Err(Error::Poisoned) }
    }

    /// The style of the frame that is open.
    #[inline]
    pub(crate) fn check_in_frame(self) -> Result<FrameStyle, Error> {
        self.style().ok_or(if self.can_open() { Error::NoFrame } else { Error::Poisoned })
    }

    /// `Ok` where no frame is open.
    pub(crate) fn check_not_in_frame(self) -> Result<(), Error> {
        if self.style().is_some() { Err(Error::FrameOpen) } else { Ok(()) }
    }

    /// The style of the frame that is open, if one is.
    #[inline]
    pub(crate) fn style(self) -> Option<FrameStyle> {
        FrameStyle::from_number(self.0)
    }
}
