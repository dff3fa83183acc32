//! Writing, restoring and verifying checkpoints: program state saved to a file, a pipe or memory.
//!
//! This crate is the Rust API of libfdckpt, a C library that replaces Firedancer's `fd_checkpt`. The C API and the Rust API share one
//! implementation and produce identical bytes.
//!
//! - [`mod@checkpoint`]: checkpoint files with named regions, checksums and atomic replacement. Start here.
//! - [`Checkpt`] and [`Restore`]: frames, the format of Firedancer. A *frame* is a sequence of *buffers* encoded in one [`FrameStyle`].
//!   Nothing else is stored: to restore a frame, request the same buffers, in the same order and of the same sizes.
//! - [`Frames`]: many frames at a time, on several threads.
//! - [`Container`] and [`BlockIndex`]: the CKPT container, typed sections of data in one file.
//! - [`fti`]: the checkpoint files of the Fault Tolerance Interface.
//! - [`inflate`]: resumable decompression of Deflate and Deflate64, with an index for random access.
//! - [`MappedFile`] and [`AtomicFile`]: reading files of any size, and replacing files atomically.
//! - Each module has an error type of its own; [`Error`] is the sum of them.
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
pub use container::{BlockIndex, Container};
pub use error::Error;
pub use error_base::{IoError, IoOperation};
pub use file_error::FileError;
pub use frame::{BUFFER_MIN, Checkpt, FrameStyle, META_MAX, ParallelStats, Restore, set_max_threads};
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
