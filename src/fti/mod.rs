//! FTI-FF, the checkpoint files of the Fault Tolerance Interface (FTI): one file per rank, of six generations that have no magic
//! and no version.
//!
//! A file holds *variables*, each with a number of the program's choice (its id) and any bytes. A variable lies in one or more
//! *containers*, of which each has a place of fixed size in the file and is filled by a *chunk* of the variable, in whole or in
//! part; so a variable can grow, shrink and grow again from one checkpoint to the next. Containers that came to be in the same
//! checkpoint are one *block*. Fields have the names that FTI gives them.
//!
//! - [`Checkpoint`] is a file that is read: its fields, its variables, what is wrong with it ([`Finding`]).
//! - [`Writer`] makes files, and carries the containers from one checkpoint to the next, also across a restart.
//! - [`Writer::update`] makes differential checkpoints: a file is brought to its next state, and only the blocks are written that have
//!   changed; a crash leaves the old state or the new one. [`Writer::prepare`] and [`settle`] do so for several files together.
//!   docs/format/fti-journal.md specifies it. Who reads a file that may have been updated calls [`finish_update`] first.
//! - [`diff`] compares two files, [`convert`] makes a file of another generation of one, [`repair`] makes a file that FTI
//!   refuses, though its data is sound, one that FTI accepts.
//!
//! ```
//! use fdckpt::fti::{Checkpoint, FormatVersion, Options, Protected, Writer};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let folder = tempfile::tempdir()?;
//! # let path = folder.path().join("Ckpt1-Rank0.fti");
//! let mut writer = Writer::new();
//! let (step, mut grid) = ([1, 0, 0, 0], vec![7; 1000]);
//! let options = Options::new(FormatVersion::Post1_6, 1);
//! writer.checkpoint(&path, &options, &[Protected::new(0, &step), Protected::new(1, &grid)])?;
//!
//! let file = std::fs::read(&path)?;
//! let checkpoint = Checkpoint::parse(&file)?;
//! grid.fill(0);
//! checkpoint.recover_variable(1, &mut grid)?;
//! assert_eq!(grid, [7; 1000]);
//! # Ok(())
//! # }
//! ```
//!
//! The format is specified in docs/format/fti-ff.md.

mod block_hash;
mod block_scan;
mod change;
mod error;
mod format;
mod hash_file;
mod issue;
mod journal;
mod layout;
mod parse;
mod read;
mod update;
mod write;

pub use crate::atomic_file::SyncMode;
pub use block_hash::BlockHash;
pub use change::{Difference, diff, repair};
pub(crate) use change::{c_path, open, open_known};
pub use error::Error;
pub use issue::{Field, Finding, Severity, Value};
#[doc(hidden)]
pub use journal::fuzz_journal;
pub use read::{ProtectedMut, Rule, Verdict};
pub use update::{Decision, Pending, UpdateMode, UpdateOptions, Updated, finish_update, pending, settle};
pub use write::{Leftovers, Options, Protected, Writer, convert};

use std::fmt;
use std::ops::Range;

/// A generation of the format. Files have no version: which one it is, is told by the header's hash.
///
/// No FTI reads a file of another generation than its own.
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
    /// All of them.
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
    file: &'a [u8],
    generation: FormatVersion,
    header: Header,
    /// The size of the file, by whichever of the two numbers in the header fits.
    fs: i64,
    blocks: Vec<Block>,
    containers: Vec<Container>,
    /// Which containers each variable has: those of one id are together, in the order of the file.
    by_id: Vec<usize>,
    /// In order of first protection, that is of the first container in the file.
    variables: Vec<Variable>,
    flaws: Vec<Finding>,
}

impl<'a> Checkpoint<'a> {
    /// Whether `file` has the header of a generation, with the right hash, in its place.
    pub fn is_format(file: &[u8]) -> bool {
        parse::sound_header(file).is_some()
    }

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
    fn containers_of(&self, id: i32) -> &[usize] {
        let begin = self.by_id.partition_point(|&at| self.containers[at].id < id);
        let end = self.by_id.partition_point(|&at| self.containers[at].id <= id);
        &self.by_id[begin..end]
    }

    /// The bytes of a container's chunk, if the file has them.
    fn chunk(&self, container: &Container) -> Option<&'a [u8]> {
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
    fn has_chunk(&self) -> bool {
        self.has_content != 0
    }
}
