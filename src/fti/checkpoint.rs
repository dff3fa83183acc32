//! What a file has: its header, blocks, containers and variables.

use std::ops::Range;

use super::error::Error;
use super::issue::Finding;
use super::version::FormatVersion;

/// The header of a file (FTI's file block), as the file has it. Nothing in it has been checked; fields that its generation does
/// not have are `None`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Header {
    /// Where it begins in the file.
    pub offset: u64,
    /// The checksum: 32 lower-case hexadecimal digits, and NUL.
    pub checksum: [u8; 33],
    /// The header's hash of itself.
    pub my_hash: [u8; 16],
    /// Number of the checkpoint.
    pub ckpt_id: Option<i32>,
    /// Size of the file in bytes.
    pub ckpt_size: i64,
    /// Bytes of all that describes the data, with the header.
    pub meta_size: Option<i64>,
    /// Sum of the sizes of the containers.
    pub data_size: Option<i64>,
    /// Size of the file in bytes.
    pub fs: i64,
    /// At level 3 the largest size of a file in the group (from generation C on, 8 more), else -1.
    pub max_fs: i64,
    /// At level 2 the size of the file of the left neighbour in the group, else -1.
    pub pt_fs: i64,
    /// Nanoseconds since 1970; in generations D and E the lowest 32 bits of that.
    pub timestamp: i64,
}

/// A block of a file: containers that came to be in the same checkpoint. As the file has it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Block {
    /// Where its description begins in the file.
    pub offset: u64,
    /// How many containers it is said to have.
    pub num_vars: i32,
    /// Its size: in generations A and B with its description, from C on of the containers alone.
    pub db_size: i64,
    /// Which of [`Checkpoint::containers`] are its own.
    pub containers: Range<usize>,
}

/// A container of a file, with its chunk (FTI's variable chunk meta data). As the file has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Container {
    /// Where its description begins in the file.
    pub offset: u64,
    /// The variable's id.
    pub id: i32,
    /// In generations A to C, which variable it is in the order of protection, counted from 0.
    pub idx: Option<i32>,
    /// Which container of its variable it is, counted from 0.
    pub container_id: i32,
    /// 1 if it has a chunk, else 0.
    pub has_content: u8,
    /// 1 if a differential checkpoint has written it before, or FTI has read it back at a restart. Not in generation A.
    pub has_ckpt: Option<u8>,
    /// Where its chunk begins in the variable, in bytes.
    pub dptr: i64,
    /// Where it begins in the file.
    pub fptr: i64,
    /// Bytes of the chunk.
    pub chunk_size: i64,
    /// Bytes of the container.
    pub container_size: i64,
    /// MD5 of the chunk.
    pub hash: [u8; 16],
}

/// A variable of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Variable {
    /// Its id.
    pub id: i32,
    /// Its size in bytes: the sum of its chunks.
    pub size: u64,
    /// How many containers it has.
    pub containers: usize,
}

/// A file that is read.
///
/// Reading takes apart what describes the data, and compares all that is there twice: the result is in [`flaws`](Self::flaws).
/// The data itself is read by [`verify`](Self::verify), [`recover`](Self::recover) and [`recover_variable`](Self::recover_variable).
#[derive(Debug)]
pub struct Checkpoint<'a> {
    pub(super) file: &'a [u8],
    pub(super) generation: FormatVersion,
    pub(super) header: Header,
    /// The size of the file, by whichever of the two numbers in the header fits.
    pub(super) fs: i64,
    pub(super) blocks: Vec<Block>,
    pub(super) containers: Vec<Container>,
    /// Which containers each variable has: those of one id are together, in the order of the file.
    pub(super) by_id: Vec<usize>,
    /// In order of first protection, that is of the first container in the file.
    pub(super) variables: Vec<Variable>,
    pub(super) flaws: Vec<Finding>,
}

impl<'a> Checkpoint<'a> {
    /// Which generation it is.
    pub fn generation(&self) -> FormatVersion {
        self.generation
    }

    /// The header.
    pub fn header(&self) -> &Header {
        &self.header
    }

    /// The blocks, in the order of the file.
    pub fn blocks(&self) -> &[Block] {
        &self.blocks
    }

    /// The containers of all blocks, in the order of the file.
    pub fn containers(&self) -> &[Container] {
        &self.containers
    }

    /// The variables, in the order in which they were first protected.
    pub fn variables(&self) -> &[Variable] {
        &self.variables
    }

    /// The variable with this id.
    ///
    /// # Errors
    /// [`Error::VariableNotFound`].
    pub fn variable(&self, id: i32) -> Result<Variable, Error> {
        self.variables.iter().find(|variable| variable.id == id).copied().ok_or(Error::VariableNotFound { id })
    }

    /// What is wrong in all that describes the data. The data itself was not looked at.
    pub fn flaws(&self) -> &[Finding] {
        &self.flaws
    }

    /// Positions of the containers of a variable, in order.
    pub(super) fn containers_of(&self, id: i32) -> &[usize] {
        let begin = self.by_id.partition_point(|&at| self.containers[at].id < id);
        let end = self.by_id.partition_point(|&at| self.containers[at].id <= id);
        &self.by_id[begin..end]
    }

    /// The bytes of a container's chunk, if the file has them.
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
    /// Whether it has a chunk that counts: what FTI reads back and hashes.
    pub(super) fn has_chunk(&self) -> bool {
        self.has_content != 0
    }
}
