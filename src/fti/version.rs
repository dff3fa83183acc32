//! Versions of the format.

use std::fmt;

/// Version of the format, named after the FTI releases that write it. No field names it: the layout for which the header's hash
/// matches determines it.
///
/// An FTI reads files of its own version only.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum FormatVersion {
    /// FTI 1.1.
    V1_1 = 1,
    /// FTI 1.2.
    V1_2 = 2,
    /// FTI 1.3.
    V1_3 = 3,
    /// FTI 1.4.0.
    V1_4_0 = 4,
    /// FTI 1.4.1 to 1.6. Sizes have 31 bits.
    V1_4_1 = 5,
    /// FTI after 1.6 (since July 2021).
    Post1_6 = 6,
}

impl FormatVersion {
    /// All versions, oldest first.
    pub const ALL: [Self; 6] = [Self::V1_1, Self::V1_2, Self::V1_3, Self::V1_4_0, Self::V1_4_1, Self::Post1_6];
}

impl fmt::Display for FormatVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::V1_1 => "1.1",
            Self::V1_2 => "1.2",
            Self::V1_3 => "1.3",
            Self::V1_4_0 => "1.4.0",
            Self::V1_4_1 => "1.4.1",
            Self::Post1_6 => "post-1.6",
        })
    }
}
