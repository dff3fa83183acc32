//! Formats of compressed streams.

/// What a stream is wrapped in, and which codes it has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
#[repr(u8)]
pub enum Format {
    /// Raw Deflate (RFC 1951): what zip files have as method 8.
    Deflate = 0,
    /// Raw Deflate64: what zip files have as method 9, and Windows writes into those of more than 2 GB. The same but for longer matches
    /// and a window of 64 KiB.
    Deflate64 = 1,
    /// zlib (RFC 1950): Deflate with a header of 2 bytes and an Adler-32. Preset dictionaries are not supported.
    Zlib = 2,
    /// gzip (RFC 1952): one or more members, each Deflate with a header, a CRC-32 and a length.
    Gzip = 3,
}

impl Format {
    /// All there are.
    pub(crate) const ALL: [Self; 4] = [Self::Deflate, Self::Deflate64, Self::Zlib, Self::Gzip];
}
