//! The only foreign calls of the library: LZ4, descriptors, files, memory that the caller shares, threads, the process.
//!
//! One of the two places where unsafe code is allowed. What it exports is safe to call, but for constructors that turn
//! a caller's pointer into a type of this module; the invariants that those ask for are all that the rest relies on.

#![allow(unsafe_code)]

pub(crate) mod cancel;
pub(crate) mod cond_mutex;
pub(crate) mod dir;
pub(crate) mod errno;
pub(crate) mod fd;
pub(crate) mod lz4;
pub(crate) mod mmap;
pub(crate) mod pool;
pub(crate) mod shared_bytes;
pub(crate) mod thread_group;

/// Runs a test of this program in a process of its own, where the environment has a variable, or not. Whether it passed.
#[cfg(test)]
fn passes_with(test: &str, name: &str, value: Option<&str>) -> bool {
    let mut program = std::process::Command::new(std::env::current_exe().unwrap());
    program.args(["--exact", test]).env(IN_CHILD, "1").env_remove(name).envs(value.map(|value| (name, value)));
    let output = program.output().unwrap();
    output.status.success() && String::from_utf8_lossy(&output.stdout).contains("1 passed")
}

#[cfg(test)]
const IN_CHILD: &str = "FDCKPT_TEST_IN_CHILD";

// The engine's ABI and its offsets are laid out for LP64 little-endian Unix systems.
#[cfg(not(all(unix, target_pointer_width = "64", target_endian = "little")))]
compile_error!("fdckpt supports 64-bit little-endian Unix systems (LP64) only");
