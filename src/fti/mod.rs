//! FTI-FF, the checkpoint files of the Fault Tolerance Interface (FTI): one file per rank, in six versions of the format that no
//! field of the file names.
//!
//! A file holds *variables*: an id that the program chooses, and bytes. A variable is stored in one or more *containers*. Each has a
//! fixed size and offset in the file, and holds a *chunk* of the variable, which may be shorter; so a variable can grow, shrink and
//! grow again from one checkpoint to the next. The containers added by the same checkpoint form a *block*. Fields have FTI's names.
//!
//! - [`Checkpoint`] reads a file: its fields, its variables, and its [`Issue`]s.
//! - [`Writer`] writes files, and keeps the containers from one checkpoint to the next, also across a restart.
//! - [`Writer::update`] makes differential checkpoints: it writes only the blocks that changed, and a crash leaves the old state or the
//!   new one. [`Writer::prepare`] and [`resolve`] do so for several files together. docs/format/fti-journal.md specifies it. Call
//!   [`complete_update`] before reading a file that may have been updated.
//! - [`diff`] compares two files, [`convert`] writes a file in another version of the format, [`repair`] makes a file that FTI refuses,
//!   although its data is intact, acceptable to FTI.
//!
//! ```
//! use fdckpt::fti::{Checkpoint, FormatVersion, ProtectedVariable, WriteOptions, Writer};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let directory = tempfile::tempdir()?;
//! # let path = directory.path().join("Ckpt1-Rank0.fti");
//! let mut writer = Writer::new();
//! let (step, mut grid) = ([1, 0, 0, 0], vec![7; 1000]);
//! let options = WriteOptions::new(FormatVersion::Post1_6, 1);
//! writer.checkpoint(&path, &options, &[ProtectedVariable::new(0, &step), ProtectedVariable::new(1, &grid)])?;
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

mod block_scan;
mod checkpoint;
mod diff;
mod differential;
mod error;
mod format;
mod issue;
mod layout;
mod open;
mod parse;
mod read;
mod repair;
mod version;
mod write;

pub use crate::atomic_file::SyncMode;
pub use checkpoint::{Block, Checkpoint, Container, Header, Variable};
pub use diff::{Difference, diff};
#[cfg(fuzzing)]
pub use differential::fuzz_journal;
pub use differential::{
    BlockHash, PendingUpdate, Resolution, UpdateMode, UpdateOptions, UpdateStats, complete_update, pending_update, resolve,
};
pub use error::Error;
pub use issue::{Field, Issue, Severity, Value};
pub(crate) use open::{c_path, open, open_with_id};
pub use read::{ChecksumRule, ProtectedVariableMut, VerifyReport};
pub use repair::repair;
pub use version::FormatVersion;
pub use write::{ProtectedVariable, WriteOptions, Writer, convert};
