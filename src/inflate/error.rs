//! What can be wrong with a stream.

use std::fmt;

/// What is wrong with compressed data. The numbers are those that C gets (`FDCKPT_INFLATE_ERR_*`); they don't change.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
#[repr(u8)]
pub enum Fault {
    /// A block of type 3, which there is not.
    BlockType = 1,
    /// The length of a stored block and its complement don't fit together.
    StoredLength = 2,
    /// A dynamic block of Deflate with more than 286 literal/length codes or more than 30 distance codes.
    TooManyCodes = 3,
    /// The codes for code lengths are over-subscribed or incomplete.
    LengthCodes = 4,
    /// A code length is to be repeated where there is none before.
    NothingToRepeat = 5,
    /// More code lengths than there are codes.
    TooManyLengths = 6,
    /// A dynamic block without a code for the end of the block.
    NoEndOfBlock = 7,
    /// There are more literal/length codes than bits can tell apart.
    LiteralCodesOversubscribed = 8,
    /// There are bits that are no literal/length code.
    LiteralCodesIncomplete = 9,
    /// There are more distance codes than bits can tell apart.
    DistanceCodesOversubscribed = 10,
    /// There are bits that are no distance code.
    DistanceCodesIncomplete = 11,
    /// Bits that are no literal or length.
    LiteralCode = 12,
    /// Bits that are no distance.
    DistanceCode = 13,
    /// A distance that reaches before the first byte of output.
    DistanceTooFar = 14,
    /// Not a zlib header.
    ZlibHeader = 15,
    /// A zlib stream that needs a preset dictionary.
    ZlibDictionary = 16,
    /// A zlib stream with a window of more than 32 KiB.
    ZlibWindow = 17,
    /// Not a gzip header.
    GzipHeader = 18,
    /// A gzip member with a compression method other than 8, Deflate.
    GzipMethod = 19,
    /// A gzip header with flags that are reserved.
    GzipFlags = 20,
    /// The checksum of a gzip header is wrong.
    GzipHeaderChecksum = 21,
    /// The checksum of the data is wrong.
    Checksum = 22,
    /// The length of the data, as a gzip member states it, is wrong.
    Length = 23,
}

impl Fault {
    /// What is wrong, in words.
    pub(crate) const fn text(self) -> &'static str {
        match self {
            Self::BlockType => "block type 3, which there is not",
            Self::StoredLength => "the length of a stored block and its complement don't fit together",
            Self::TooManyCodes => "more than 286 literal/length codes or 30 distance codes",
            Self::LengthCodes => "the codes for code lengths are over-subscribed or incomplete",
            Self::NothingToRepeat => "a code length is to be repeated where there is none before",
            Self::TooManyLengths => "more code lengths than codes",
            Self::NoEndOfBlock => "no code for the end of the block",
            Self::LiteralCodesOversubscribed => "the literal/length codes are over-subscribed",
            Self::LiteralCodesIncomplete => "the literal/length codes are incomplete",
            Self::DistanceCodesOversubscribed => "the distance codes are over-subscribed",
            Self::DistanceCodesIncomplete => "the distance codes are incomplete",
            Self::LiteralCode => "bits that are no literal or length",
            Self::DistanceCode => "bits that are no distance",
            Self::DistanceTooFar => "a distance that reaches before the first byte of output",
            Self::ZlibHeader => "not a zlib header",
            Self::ZlibDictionary => "a preset dictionary is needed, which is not supported",
            Self::ZlibWindow => "a zlib window of more than 32 KiB",
            Self::GzipHeader => "not a gzip header",
            Self::GzipMethod => "a gzip compression method other than Deflate",
            Self::GzipFlags => "reserved gzip flags are set",
            Self::GzipHeaderChecksum => "the checksum of the gzip header is wrong",
            Self::Checksum => "the checksum of the data is wrong",
            Self::Length => "the gzip member's length of the data is wrong",
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.text())
    }
}
