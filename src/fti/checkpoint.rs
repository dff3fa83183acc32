//! The parts of a file: header, blocks, containers and variables.

use std::ops::Range;

use super::error::Error;
use super::issue::Issue;
use super::version::FormatVersion;

/// The header of a file (FTI's file block), as stored and unchecked. Fields that its version does not have are `None`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Header {
    /// Offset of the header in the file.
    pub offset: u64,
    /// The checksum: 32 lower-case hexadecimal digits, and NUL.
    pub checksum: [u8; 33],
    /// MD5 of the header (FTI's `myHash`).
    pub my_hash: [u8; 16],
    /// Number of the checkpoint.
    pub ckpt_id: Option<i32>,
    /// Size of the file in bytes.
    pub ckpt_size: i64,
    /// Size of the metadata in bytes, including the header.
    pub meta_size: Option<i64>,
    /// Sum of the sizes of the containers in bytes.
    pub data_size: Option<i64>,
    /// Size of the file in bytes.
    pub fs: i64,
    /// At level 3 the largest file size in the group (from FTI 1.3 on, plus 8), else -1.
    pub max_fs: i64,
    /// At level 2 the file size of the left neighbour in the group, else -1.
    pub pt_fs: i64,
    /// Nanoseconds since 1970; from FTI 1.4.1 on, the lowest 32 bits of that.
    pub timestamp: i64,
}

/// A block of a file: the containers added by one checkpoint. Fields as stored.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Block {
    /// Offset of the block's description in the file.
    pub offset: u64,
    /// Stored number of containers.
    pub num_vars: i32,
    /// Size in bytes: in FTI 1.1 and 1.2 of the block and its description, later of its containers.
    pub db_size: i64,
    /// Range of its containers in [`Checkpoint::containers`].
    pub containers: Range<usize>,
}

/// A container of a file, with its chunk (FTI's variable chunk metadata). Fields as stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Container {
    /// Offset of the container's description in the file.
    pub offset: u64,
    /// Id of the variable.
    pub id: i32,
    /// Up to FTI 1.3: index of the variable in the order of protection, from 0.
    pub idx: Option<i32>,
    /// Index of the container within its variable, from 0.
    pub container_id: i32,
    /// 1 if it has a chunk, else 0.
    pub has_content: u8,
    /// 1 if a differential checkpoint wrote it before, or FTI read it at a restart. `None` in FTI 1.1.
    pub has_ckpt: Option<u8>,
    /// Offset of its chunk in the variable, in bytes.
    pub dptr: i64,
    /// Offset of the container in the file.
    pub fptr: i64,
    /// Size of the chunk in bytes.
    pub chunk_size: i64,
    /// Size of the container in bytes.
    pub container_size: i64,
    /// MD5 of the chunk.
    pub hash: [u8; 16],
}

/// A variable of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Variable {
    /// Id, chosen by the program.
    pub id: i32,
    /// Size in bytes: the sum of the sizes of the chunks.
    pub size: u64,
    /// Number of containers.
    pub containers: usize,
}

/// A parsed checkpoint file.
///
/// Parsing checks the consistency of the metadata and collects [`issues`](Self::issues). Only [`verify`](Self::verify),
/// [`recover`](Self::recover), [`recover_variable`](Self::recover_variable) and [`copy_variable`](Self::copy_variable) read the data.
#[derive(Debug)]
pub struct Checkpoint<'a> {
    pub(super) file: &'a [u8],
    pub(super) version: FormatVersion,
    pub(super) header: Header,
    /// Size of the file in bytes: of the two stored sizes, the one that agrees with the file.
    pub(super) fs: i64,
    pub(super) blocks: Vec<Block>,
    pub(super) containers: Vec<Container>,
    /// Indices of the containers, sorted by id, then by offset in the file.
    pub(super) by_id: Vec<usize>,
    /// Sorted by protection, that is by the first container in the file.
    pub(super) variables: Vec<Variable>,
    pub(super) issues: Vec<Issue>,
}

impl<'a> Checkpoint<'a> {
    /// Returns the format version of the file.
    pub fn version(&self) -> FormatVersion {
        self.version
    }

    /// Returns the header.
    pub fn header(&self) -> &Header {
        &self.header
    }

    /// Returns the blocks in file order.
    pub fn blocks(&self) -> &[Block] {
        &self.blocks
    }

    /// Returns the containers of all blocks in file order.
    pub fn containers(&self) -> &[Container] {
        &self.containers
    }

    /// Returns the variables in the order of protection.
    pub fn variables(&self) -> &[Variable] {
        &self.variables
    }

    /// Returns the variable with this id.
    ///
    /// # Errors
    /// [`Error::VariableNotFound`].
    pub fn variable(&self, id: i32) -> Result<Variable, Error> {
        self.variables.iter().find(|variable| variable.id == id).copied().ok_or(Error::VariableNotFound { id })
    }

    /// Returns the issues of the metadata. Parsing does not read the data.
    pub fn issues(&self) -> &[Issue] {
        &self.issues
    }

    /// Returns the indices of the variable's containers, in order.
    pub(super) fn containers_of(&self, id: i32) -> &[usize] {
        let begin = self.by_id.partition_point(|&index| self.containers[index].id < id);
        let end = self.by_id.partition_point(|&index| self.containers[index].id <= id);
        &self.by_id[begin..end]
    }

    /// Returns the bytes of a container's chunk, if the file contains them.
    pub(super) fn chunk(&self, container: &Container) -> Option<&'a [u8]> {
        let begin = usize::try_from(container.fptr).ok()?;
        let size = usize::try_from(container.chunk_size).ok()?;
        if size == 0 {
            return Some(&[]);
        }
        self.file.get(begin..begin.checked_add(size)?)
    }
}

impl Container {
    /// Returns whether it has a chunk, which FTI reads and hashes.
    pub(super) fn has_chunk(&self) -> bool {
        self.has_content != 0
    }
}
