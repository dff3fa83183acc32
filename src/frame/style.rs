//! Frame styles, and the state of a checkpoint or restore.

use super::error::Error;

/// How the buffers of a frame are encoded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
#[repr(i32)]
pub enum FrameStyle {
    /// The buffers' bytes, nothing else.
    #[default]
    Raw = 1,
    /// Chunks of up to 64 KiB, compressed by LZ4 with the chunks before as dictionary.
    Lz4 = 2,
}

impl FrameStyle {
    /// The style of this number: 1 is RAW, 2 is LZ4.
    pub fn from_number(number: i32) -> Option<Self> {
        match number {
            1 => Some(Self::Raw),
            2 => Some(Self::Lz4),
            _ => None,
        }
    }

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
