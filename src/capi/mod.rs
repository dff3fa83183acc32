//! The C API: `include/fd_checkpt.h`, `include/fdckpt.h` and `include/fdckpt/*.h` are generated from here.
//!
//! One of the two modules with unsafe code. A call goes from the exported function through [`ffi`], which turns
//! pointers into references and catches panics, to the safe modules, and its result through [`error_code`] and [`log`]
//! back.
//!
//! - [`fd_checkpt`], [`fd_checkpt_types`]: the functions and structs of fd_checkpt.h.
//! - [`error_code`], [`last_error`], [`log`], [`options`], [`common`]: `fdckpt/common.h`. [`threads`]: `fdckpt/threads.h`.
//! - [`checkpoint_writer`], [`checkpoint_reader`], [`checkpoint_verify`]: `fdckpt/checkpoint.h`.
//! - `fdckpt/frames.h`: [`frames`].
//! - [`container`], [`block_index`]: `fdckpt/container.h`. [`fti`], [`fti_file`]: `fdckpt/fti.h`.
//! - [`inflate`], [`inflate_index`]: `fdckpt/inflate.h`.
//! - [`struct_size`]: how structs of the API grow.
//! - `header/`: the parts of the headers that cbindgen cannot generate.
//!
//! # Terms of the `# Safety` sections
//! What an exported function requires of its caller beyond what it checks:
//! - *live handle*: a pointer that the constructor of its type returned and that was not freed. (NULL and misaligned
//!   pointers are errors.)
//! - *C string*: NULL (an error), or NUL-terminated and unmodified during the call.
//! - *readable*, *writable* for a number of bytes or elements: valid for reads, or for reads and writes, and not
//!   modified, or not used at all, by others during the call. NULL is allowed if the number is 0, else an error.
//! - *out parameter*: NULL (an error), or valid for a write, at any alignment.
//! - *input struct*, *output struct*: NULL (an error), or readable, or writable, for the number of bytes in its
//!   `struct_size`, at any alignment.
//!
//! `SAFETY` comments say which of these an operation relies on; "(caller)" marks what the `# Safety` section of the
//! exported function requires, "(required)" what that of an internal one does.

#![allow(unsafe_code)]

/// Integer constants for the values of a C enum: functions take `int`, so that every value from C is valid input.
macro_rules! constants {
    ($type:ident: $($name:ident)*) => { $(pub(super) const $name: c_int = $type::$name as c_int;)* };
}

mod block_index;
mod call_error;
mod checkpoint_reader;
mod checkpoint_verify;
mod checkpoint_writer;
mod common;
mod container;
mod error_code;
mod fd_checkpt;
mod fd_checkpt_types;
mod ffi;
mod fixed_string;
mod frames;
mod fti;
mod fti_file;
mod inflate;
mod inflate_index;
mod last_error;
mod log;
mod options;
mod struct_size;
mod threads;

#[cfg(all(test, feature = "abi-tests"))]
mod abi_tests;
