//! Issues that reading and verifying a file find.

use std::fmt;

/// A deviation of a file from the format.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Issue {
    /// How serious it is.
    pub severity: Severity,
    /// The field that is wrong.
    pub field: Field,
    /// Id of the variable concerned, if any.
    pub variable: Option<i32>,
    /// Index of the container within the variable, if any.
    pub container: Option<i32>,
    /// Offset of the field in the file.
    pub offset: u64,
    /// The value that the field should have.
    pub expected: Value,
    /// The value that it has.
    pub found: Value,
}

/// How serious an issue is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// Unusual, but harmless.
    Note,
    /// The data is intact, but FTI refuses the file. [`repair`](super::repair) corrects it.
    Rejected,
    /// The file is corrupt: data may be wrong or missing.
    Corrupt,
}

/// Fields of a file, by FTI's names, which `Display` prints.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Field {
    /// Header: checksum of the data.
    Checksum,
    /// Header: its hash of itself.
    MyHash,
    /// Header: size of the file.
    CkptSize,
    /// Header: size of the file.
    Fs,
    /// Header: size of the metadata.
    MetaSize,
    /// Header: size of the data.
    DataSize,
    /// Block: number of its containers.
    NumVars,
    /// Block: its size.
    DbSize,
    /// Container: index of its variable in the order of protection.
    Idx,
    /// Container: its index within the variable.
    ContainerId,
    /// Container: 1 if it has a chunk, else 0.
    HasContent,
    /// Container: offset of its chunk in the variable.
    Dptr,
    /// Container: its offset in the file.
    Fptr,
    /// Container: size of its chunk.
    ChunkSize,
    /// Container: its size.
    ContainerSize,
    /// Container: hash of its chunk, if the checksum shows that the data is right.
    Hash,
    /// Container: the data of its chunk; or its hash or size, if it can't be determined which of them is wrong.
    Data,
    /// The size of the file itself.
    FileSize,
}

impl fmt::Display for Field {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Checksum => "checksum",
            Self::MyHash => "myHash",
            Self::CkptSize => "ckptSize",
            Self::Fs => "fs",
            Self::MetaSize => "metaSize",
            Self::DataSize => "dataSize",
            Self::NumVars => "numvars",
            Self::DbSize => "dbsize",
            Self::Idx => "idx",
            Self::ContainerId => "containerid",
            Self::HasContent => "hascontent",
            Self::Dptr => "dptr",
            Self::Fptr => "fptr",
            Self::ChunkSize => "chunksize",
            Self::ContainerSize => "containersize",
            Self::Hash => "hash",
            Self::Data => "data",
            Self::FileSize => "size of the file",
        })
    }
}

/// A value in an [`Issue`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Value {
    /// No number or hash: the value is not determined.
    Unknown,
    /// A number.
    Number(i64),
    /// At most this number.
    AtMost(i64),
    /// A hash.
    Hash([u8; 16]),
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unknown => f.write_str("unknown"),
            Self::Number(number) => number.fmt(f),
            Self::AtMost(number) => write!(f, "at most {number}"),
            Self::Hash(hash) => hash.iter().try_for_each(|byte| write!(f, "{byte:02x}")),
        }
    }
}

impl fmt::Display for Issue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(id) = self.variable {
            write!(f, "variable {id}, ")?;
        }
        if let Some(container) = self.container {
            write!(f, "container {container}, ")?;
        }
        write!(f, "offset {}: ", self.offset)?;
        let Self { field, expected, found, .. } = self;
        match (self.severity, field) {
            (_, Field::Data) => write!(f, "the data is corrupt: its hash is {found}, expected {expected}"),
            (Severity::Rejected, Field::Checksum) => write!(
                f,
                "the checksum {found} counts containers without content: FTI refuses the file, though its data is intact (expected \
                 {expected}; repair corrects it)"
            ),
            (Severity::Note, Field::FileSize) => {
                write!(f, "the file has {found} bytes, expected {expected}: bytes follow its end")
            }
            _ => match (found, expected) {
                (Value::Unknown, Value::Unknown) => write!(f, "{field} is invalid"),
                (found, Value::Unknown) => write!(f, "{field} is {found}, expected another value"),
                (found, expected) => write!(f, "{field} is {found}, expected {expected}"),
            },
        }
    }
}
