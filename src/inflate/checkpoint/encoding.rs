//! Encodings of a checkpoint, and positions in a stream.

/// Encoding of a checkpoint. [`Inflate::restore`](crate::inflate::Inflate::restore) recognises all of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
#[repr(u8)]
pub enum CheckpointEncoding {
    /// Self-describing: has the format and the exact positions of input and output. About 66 KB.
    #[default]
    Full = 0,
    /// As [`Full`](Self::Full), with the window compressed by LZ4: smaller, but slower to write and to restore.
    Compact = 1,
    /// The unversioned layout of crate deflate64, for raw streams. Its position is after the last decoded symbol, which
    /// may be some bytes before the end of the consumed input. Does not have the format: the caller must know whether
    /// it is Deflate or Deflate64.
    Deflate64V0 = 2,
    /// As [`Deflate64V0`](Self::Deflate64V0), in layout version 0x1001 as written by crate deflate64 0.1.12.
    Deflate64V0x1001 = 3,
}

impl CheckpointEncoding {
    /// All encodings, in the order of their numbers.
    pub(crate) const ALL: [Self; 4] = [Self::Full, Self::Compact, Self::Deflate64V0, Self::Deflate64V0x1001];
}

/// Position in a stream at which a checkpoint resumes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Position {
    /// Offset in bytes in the compressed stream of the next input.
    pub in_offset: u64,
    /// Offset in bytes in the output of the next byte returned.
    pub out_offset: u64,
}
