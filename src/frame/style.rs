//! Frame styles.

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
}
