//! Frame styles.

/// Encoding of the buffers of a frame.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
#[repr(i32)]
pub enum FrameStyle {
    /// The bytes of the buffers, unchanged.
    #[default]
    Raw = 1,
    /// Chunks of up to 64 KiB, each compressed by LZ4 with the preceding chunks as dictionary.
    Lz4 = 2,
}

impl FrameStyle {
    /// Returns the style of this number, as in `FD_CHECKPT_FRAME_STYLE_*`: 1 is RAW, 2 is LZ4.
    pub fn from_raw(number: i32) -> Option<Self> {
        match number {
            1 => Some(Self::Raw),
            2 => Some(Self::Lz4),
            _ => None,
        }
    }
}
