//! Formats of compressed streams.

/// Format of a compressed stream: the encoding of the data and the header and trailer around it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
#[repr(u8)]
pub enum Format {
    /// Raw Deflate (RFC 1951): method 8 of zip files.
    Deflate = 0,
    /// Raw Deflate64: method 9 of zip files, which Windows uses for files over 2 GB. Like Deflate, with longer matches
    /// and a window of 64 KiB.
    Deflate64 = 1,
    /// zlib (RFC 1950): Deflate with a header of 2 bytes and an Adler-32 checksum. Preset dictionaries are not
    /// supported.
    Zlib = 2,
    /// gzip (RFC 1952): one or more members, each of which is Deflate with a header, a CRC-32 checksum and the length
    /// of the data.
    Gzip = 3,
}

impl Format {
    /// All formats, in the order of their numbers.
    pub(crate) const ALL: [Self; 4] = [Self::Deflate, Self::Deflate64, Self::Zlib, Self::Gzip];
}
