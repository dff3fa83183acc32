//! The only foreign calls of the library: LZ4, descriptors and files, memory, threads, the environment of the process.
//!
//! One of the two modules with unsafe code. Its functions are safe to call, except for constructors that turn a
//! caller's pointer into a type of this module and the functions that start threads; their `# Safety` sections state
//! all that the rest relies on.

#![allow(unsafe_code)]

pub(crate) mod cancel;
pub(crate) mod cond_mutex;
pub(crate) mod copy;
pub(crate) mod dir;
pub(crate) mod env;
pub(crate) mod errno;
pub(crate) mod fd;
pub(crate) mod lock;
pub(crate) mod lz4;
pub(crate) mod mmap;
pub(crate) mod pool;
pub(crate) mod shared_bytes;
pub(crate) mod stderr;
mod syscall;
pub(crate) mod temp_file;
#[cfg(test)]
mod test_child;
mod thread_group;
pub(crate) mod threads;

// The engine's ABI and its offsets are laid out for LP64 little-endian Unix systems.
#[cfg(not(all(unix, target_pointer_width = "64", target_endian = "little")))]
compile_error!("fdckpt supports 64-bit little-endian Unix systems (LP64) only");
