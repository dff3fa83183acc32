//! Issues that the verification of a container reports.

use std::fmt;

/// A deviation from the canonical form, which this library and the original accept, but do not write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Issue {
    /// Offset in the file in bytes.
    pub offset: Option<u64>,
    /// Index of the section concerned, from 0 in the order of the metadata.
    pub section: Option<usize>,
    /// The kind of deviation.
    pub kind: IssueKind,
}

/// Kinds of [`Issue`]s.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum IssueKind {
    /// The version is not 1.
    Version {
        /// The version.
        found: i64,
    },
    /// White space in the metadata.
    Space {
        /// Number of consecutive bytes.
        bytes: u64,
    },
    /// An unknown key. It is ignored, and lost when the container is written.
    UnknownKey,
    /// A key in another case, or with escapes.
    KeySpelling {
        /// The canonical spelling.
        name: &'static str,
    },
    /// A key that occurs again in its object.
    RepeatedKey {
        /// The key.
        name: &'static str,
    },
    /// A key out of order.
    KeyOrder {
        /// The key.
        name: &'static str,
    },
    /// A missing key. Its value is 0 or null.
    MissingKey {
        /// The key.
        name: &'static str,
    },
    /// null instead of a value.
    Null {
        /// The name of the value.
        what: &'static str,
    },
    /// -0 instead of 0.
    NegativeZero,
    /// Another section of the same type: only the first one is found by type.
    RepeatedType {
        /// The type.
        kind: u8,
        /// Index of the first section of the type.
        first: usize,
    },
    /// A section that exceeds the data.
    OutOfRange {
        /// Its offset.
        offset: i64,
        /// Its length in bytes.
        length: i64,
        /// Size of the data in bytes.
        size: u64,
    },
    /// A section that does not start at the end of the previous one: there is a gap, or they overlap. Appending leaves such a gap.
    NotAdjacent {
        /// End of the previous section.
        expected: i64,
        /// Offset of the section.
        found: i64,
    },
    /// Data after the end of the last section.
    TrailingData {
        /// Number of bytes.
        bytes: u64,
    },
}

impl fmt::Display for Issue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(offset) = self.offset {
            write!(f, "offset {offset}")?;
        }
        if let Some(section) = self.section {
            write!(f, "{}section {section}", if self.offset.is_some() { ", " } else { "" })?;
        }
        if self.offset.is_some() || self.section.is_some() {
            f.write_str(": ")?;
        }
        self.kind.fmt(f)
    }
}

impl fmt::Display for IssueKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Version { found } => write!(f, "the version is {found}, expected 1"),
            Self::Space { bytes } => write!(f, "{bytes} bytes of white space, expected none"),
            Self::UnknownKey => f.write_str("unknown key"),
            Self::KeySpelling { name } => write!(f, "a key is not spelled \"{name}\""),
            Self::RepeatedKey { name } => write!(f, "\"{name}\" is repeated"),
            Self::KeyOrder { name } => write!(f, "\"{name}\" is out of order"),
            Self::MissingKey { name } => write!(f, "\"{name}\" is missing"),
            Self::Null { what } => write!(f, "{what} is null"),
            Self::NegativeZero => f.write_str("-0, expected 0"),
            Self::RepeatedType { kind, first } => write!(f, "type {kind} is repeated: section {first} has it too"),
            Self::OutOfRange { offset, length, size } => {
                write!(f, "out of range: {length} bytes at offset {offset}, the container has {size} bytes of data")
            }
            Self::NotAdjacent { expected, found } => {
                write!(f, "starts at offset {found}, expected {expected}, the end of the previous section")
            }
            Self::TrailingData { bytes } => write!(f, "{bytes} bytes of data follow the last section"),
        }
    }
}
