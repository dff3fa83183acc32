//! What a check finds.

use std::fmt;

/// Something about a file that is not as it should be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Finding {
    /// How bad it is.
    pub severity: Severity,
    /// What it is about.
    pub field: Field,
    /// The id of the variable it is about.
    pub variable: Option<i32>,
    /// Which container of the variable.
    pub container: Option<i32>,
    /// Where in the file.
    pub offset: u64,
    /// What should be there.
    pub expected: Value,
    /// What is there.
    pub found: Value,
}

/// How bad a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// Unusual, but harmless.
    Remark,
    /// The data is sound, but FTI refuses the file. [`repair`](super::repair) sets it right.
    Refused,
    /// The file is damaged: some of its data may be wrong or missing.
    Damage,
}

/// What a [`Finding`] is about, by FTI's name for it. Displayed as that.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Field {
    /// Of the header: the checksum.
    Checksum,
    /// Of the header: its hash of itself.
    MyHash,
    /// Of the header: the size of the file.
    CkptSize,
    /// Of the header: the size of the file.
    Fs,
    /// Of the header: bytes that describe the data.
    MetaSize,
    /// Of the header: bytes of data.
    DataSize,
    /// Of a block: the number of its containers.
    NumVars,
    /// Of a block: its size.
    DbSize,
    /// Of a container: the place of its variable in the order of protection.
    Idx,
    /// Of a container: which one of its variable it is.
    ContainerId,
    /// Of a container: whether it has a chunk.
    HasContent,
    /// Of a container: where its chunk begins in the variable.
    Dptr,
    /// Of a container: where it begins in the file.
    Fptr,
    /// Of a container: the size of its chunk.
    ChunkSize,
    /// Of a container: its size.
    ContainerSize,
    /// Of a container: the hash of its chunk, where the checksum shows that the data is right.
    Hash,
    /// A container's chunk: the data itself, or, where that can't be told, its hash or its size.
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

/// A value in a [`Finding`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Value {
    /// Something that can't be said in a number.
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
            Self::Unknown => f.write_str("something else"),
            Self::Number(number) => number.fmt(f),
            Self::AtMost(number) => write!(f, "at most {number}"),
            Self::Hash(hash) => hash.iter().try_for_each(|byte| write!(f, "{byte:02x}")),
        }
    }
}

impl fmt::Display for Finding {
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
            (_, Field::Data) => write!(f, "the data is damaged: its hash is {found}, expected {expected}"),
            (Severity::Refused, Field::Checksum) => write!(
                f,
                "the checksum {found} counts containers without content: FTI refuses the file, though its data is sound (expected \
                 {expected}, repair sets it right)"
            ),
            (Severity::Remark, Field::FileSize) => write!(f, "the file has {found} bytes, {expected} are its own"),
            _ => write!(f, "{field} is {found}, expected {expected}"),
        }
    }
}
