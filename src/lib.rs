//! Checkpoints: memory saved to a file, a pipe or a memory region, and restored from it.
//!
//! This crate is the Rust face of libfdckpt, a C library that takes the place of Firedancer's `fd_checkpt`. Both faces share
//! one engine, so what one writes the other reads, to the byte.
//!
//! A *checkpoint* is a run of *frames* laid end to end, a frame a run of *buffers* encoded in one [`FrameStyle`]. Nothing else
//! is stored: who restores a frame asks for the same buffers, in the same order and of the same sizes, as when it was made.
//!
//! - [`Checkpt`] makes a checkpoint, [`Restore`] restores one: a descriptor, a file mapped into memory, or memory.
//! - [`Container`] is another format: sections of any data in one file, found by a trailer at its end. [`BlockIndex`] is what
//!   its section of type 1 has in it.
//! - [`fti`] has the checkpoint files of the Fault Tolerance Interface: reading, checking, writing and converting them.
//! - [`Frames`] makes and restores many frames at a time, on several threads.
//! - [`mod@checkpoint`] has checkpoints that describe themselves: regions by name, checksums, files that a crash can't spoil.
//! - Each module has an error type of its own, which says what went wrong, and where; [`Error`] is the sum of them.
//! - [`MappedFile`] and [`AtomicFile`] read and write whole files: of any size, and so that a crash leaves the old one or the new one.
//! - [`inflate`] decompresses Deflate and Deflate64, can be saved and restored at any point, and reads from any offset
//!   by an index.
//!
//! ```
//! use fdckpt::{Checkpt, FrameStyle, Restore};
//!
//! # fn main() -> Result<(), fdckpt::Error> {
//! let mut memory = [0; 1000];
//! let mut checkpt = Checkpt::mmio(&mut memory)?;
//! checkpt.open(FrameStyle::Lz4)?;
//! checkpt.data(b"to be, or not to be, or to be again")?;
//! let size = checkpt.close()? as usize;
//! checkpt.finish()?;
//!
//! let mut restored = [0; 35];
//! let mut restore = Restore::mmio(&memory[..size])?;
//! restore.open(FrameStyle::Lz4)?;
//! restore.data(&mut restored)?;
//! restore.close()?;
//! assert_eq!(&restored, b"to be, or not to be, or to be again");
//! # Ok(())
//! # }
//! ```

#![deny(unsafe_code, missing_docs, missing_debug_implementations)]

mod alloc;
mod atomic_file;
mod bytes;
mod capi;
pub mod checkpoint;
pub mod container;
mod error;
mod error_base;
mod file_error;
pub mod frame;
mod frames;
pub mod fti;
pub mod inflate;
mod mapped_file;
mod sync;
mod sys;

pub use atomic_file::{AtomicFile, SyncMode, remove_temp_files};
pub use container::{Block, BlockFooter, BlockIndex, Container, Issue, IssueKind, Section, Sections, Stop};
pub use error::Error;
pub use error_base::{IoError, IoOperation};
pub use file_error::FileError;
pub use frame::{BUFFER_MIN, Checkpt, FrameStyle, META_MAX, ParallelStats, Restore, set_threads};
pub use frames::{Frame, FrameError, FrameReadRequest, Frames, ThreadPool};
pub use mapped_file::MappedFile;
pub use sys::errno::Errno;

/// The Rust snippets of the documentation, as tests.
#[cfg(doctest)]
mod documentation {
    #[doc = include_str!("../README.md")]
    struct Readme;
    #[doc = include_str!("../docs/guide/drop-in.md")]
    struct DropIn;
    #[doc = include_str!("../docs/guide/checkpoint-files.md")]
    struct CheckpointFiles;
    #[doc = include_str!("../docs/guide/containers.md")]
    struct Containers;
    #[doc = include_str!("../docs/guide/inflate.md")]
    struct Inflate;
    #[doc = include_str!("../docs/guide/threads.md")]
    struct Threads;
}
