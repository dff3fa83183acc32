//! What the verification of a container reports.

use std::fmt;

/// Something in a container that neither this library nor the original writes, though both read it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Issue {
    /// Where in the file, in bytes.
    pub offset: Option<u64>,
    /// Which section it is about, counted from 0 in the order of the metadata.
    pub section: Option<usize>,
    /// What it is.
    pub kind: IssueKind,
}

/// What a [`Issue`] is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum IssueKind {
    /// The version is not 1.
    Version {
        /// It is this.
        found: i64,
    },
    /// White space in the metadata.
    Space {
        /// So many bytes in a row.
        bytes: u64,
    },
    /// A key that the format doesn't have. It is ignored, and lost when the container is written.
    UnknownKey,
    /// A key in other letters, or with escapes.
    KeySpelling {
        /// As it should be.
        name: &'static str,
    },
    /// A key for the second time in its object.
    RepeatedKey {
        /// The key.
        name: &'static str,
    },
    /// A key behind one that it should stand before.
    KeyOrder {
        /// The key.
        name: &'static str,
    },
    /// A key that is not there. Its value is taken to be 0 or null.
    MissingKey {
        /// The key.
        name: &'static str,
    },
    /// null, where a value should be.
    Null {
        /// Whose value.
        what: &'static str,
    },
    /// -0, where 0 should be.
    NegativeZero,
    /// A second section of one type: only the first one is found by its type.
    RepeatedType {
        /// The type.
        kind: u8,
        /// Which section is the first one.
        first: usize,
    },
    /// A section that lies, in whole or in part, outside of the data.
    OutOfRange {
        /// Its offset.
        offset: i64,
        /// Its length in bytes.
        length: i64,
        /// How many bytes of data there are.
        size: u64,
    },
    /// A section that doesn't begin where the one before it ends: there is a gap, or they overlap. An update by appending leaves
    /// such a gap.
    Place {
        /// Where it should begin.
        expected: i64,
        /// Where it begins.
        found: i64,
    },
    /// Data behind the end of the last section.
    DataBehind {
        /// So many bytes.
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
            Self::UnknownKey => f.write_str("a key that the format does not have"),
            Self::KeySpelling { name } => write!(f, "a key that stands for \"{name}\" is not spelled so"),
            Self::RepeatedKey { name } => write!(f, "\"{name}\" is repeated"),
            Self::KeyOrder { name } => write!(f, "\"{name}\" stands behind a key that it should stand before"),
            Self::MissingKey { name } => write!(f, "\"{name}\" is missing"),
            Self::Null { what } => write!(f, "{what} is null"),
            Self::NegativeZero => f.write_str("-0, expected 0"),
            Self::RepeatedType { kind, first } => write!(f, "type {kind} is repeated, section {first} has it already"),
            Self::OutOfRange { offset, length, size } => {
                write!(f, "{length} bytes at offset {offset} are out of range, there are {size} bytes of data")
            }
            Self::Place { expected, found } => {
                write!(f, "begins at offset {found}, expected {expected}, where the one before ends")
            }
            Self::DataBehind { bytes } => write!(f, "{bytes} bytes of data behind the last section"),
        }
    }
}
