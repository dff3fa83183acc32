//! Encodings of a checkpoint.

/// The forms that a checkpoint can have. [`Inflate::restore`] takes any of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
#[repr(u8)]
pub enum Form {
    /// Everything: it knows its format, and goes on exactly where input and output were. Some 66 KB.
    #[default]
    Full = 0,
    /// The same, with the window compressed: smaller, but slower to make and to restore.
    Compact = 1,
    /// The blob of raw streams, as the crate deflate64 had it first. It stands after the last symbol that was decoded, which may be some
    /// bytes before what was taken of the input. It doesn't say whether it is of Deflate or Deflate64.
    Blob = 2,
    /// The same in the layout of the crate deflate64 0.1.12, for programs that use that.
    Blob0x1001 = 3,
}

impl Form {
    /// All there are.
    pub(crate) const ALL: [Self; 4] = [Self::Full, Self::Compact, Self::Blob, Self::Blob0x1001];
}

/// Where to go on from a checkpoint, in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Position {
    /// The compressed data is to be given from this byte on, counted from the start of the stream.
    pub input: u64,
    /// This many bytes of output were returned before; the next that is returned follows them.
    pub output: u64,
}
