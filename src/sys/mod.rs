//! The only foreign calls of the library: LZ4, descriptors, files, memory that the caller shares, threads, the process.
//!
//! One of the two places where unsafe code is allowed. What it exports is safe to call, but for constructors that turn
//! a caller's pointer into a type of this module; the invariants that those ask for are all that the rest relies on.

#![allow(unsafe_code)]

pub(crate) mod errno;
pub(crate) mod fd;
pub(crate) mod file;
pub(crate) mod lz4;
pub(crate) mod map;
pub(crate) mod memory;
pub(crate) mod monitor;
pub(crate) mod pool;
pub(crate) mod process;
pub(crate) mod threads;

// The engine's ABI and its offsets are laid out for LP64 little-endian Unix systems.
#[cfg(not(all(unix, target_pointer_width = "64", target_endian = "little")))]
compile_error!("fdckpt supports 64-bit little-endian Unix systems (LP64) only");
