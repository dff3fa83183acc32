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
mod checkpoint;
mod error;
mod format;
mod hash_file;
mod issue;
mod journal;
mod layout;
mod parse;
mod read;
mod state;
mod update;
mod version;
mod write;

pub use crate::atomic_file::SyncMode;
pub use block_hash::BlockHash;
pub use change::{Difference, diff, repair};
pub(crate) use change::{c_path, open, open_known};
pub use checkpoint::{Block, Checkpoint, Container, Header, Variable};
pub use error::Error;
pub use issue::{Field, Finding, Severity, Value};
#[doc(hidden)]
pub use journal::fuzz_journal;
pub use read::{ProtectedMut, Rule, Verdict};
pub use update::{Decision, Pending, UpdateMode, UpdateOptions, Updated, finish_update, pending, settle};
pub use version::FormatVersion;
pub use write::{Leftovers, Options, Protected, Writer, convert};
