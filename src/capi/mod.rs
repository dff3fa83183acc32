//! The C faces: `include/fd_checkpt.h` and `include/fdckpt.h` are generated from here.
//!
//! One of the two places where unsafe code is allowed. A call goes from the exported function through [`ffi`], which turns
//! pointers into references and stops panics, into the engine, and its result through [`error_code`] and [`log`] back.
//!
//! - [`fd_checkpt`]: the functions of fd_checkpt.h, nothing but shims.
//! - [`common`], [`container`], [`block_index`], [`frames`], [`fti`], [`fti_file`], [`inflate`], [`inflate_index`],
//!   [`checkpoint_writer`], [`checkpoint_reader`]: those of fdckpt.h.
//! - [`fd_checkpt_types`]: the C structs.
//! - `header/`: what the headers have beside prototypes, and which cbindgen can't make: macros, structs, inline functions.

#![allow(unsafe_code)]

mod block_index;
mod call_error;
mod checkpoint_reader;
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

#[cfg(all(test, feature = "abi-tests"))]
mod abi_tests;
