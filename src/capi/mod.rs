//! The C faces: `include/fd_checkpt.h` and `include/fdckpt.h` are generated from here.
//!
//! One of the two places where unsafe code is allowed. A call goes from the exported function through [`guard`], which turns
//! pointers into references and stops panics, into the engine, and its result through [`status`] and [`log`] back.
//!
//! - [`fd_checkpt`]: the functions of fd_checkpt.h, nothing but shims.
//! - [`fdckpt`], [`fdckpt_container`], [`fdckpt_blockindex`], [`fdckpt_frames`], [`fdckpt_fti`], [`fdckpt_ftifile`], [`fdckpt_inflate`], [`fdckpt_inflate_index`],
//!   [`fdckpt_writer`], [`fdckpt_reader`]: those of fdckpt.h.
//! - [`types`]: the C structs.
//! - `header/`: what the headers have beside prototypes, and which cbindgen can't make: macros, structs, inline functions.

#![allow(unsafe_code)]

mod fd_checkpt;
mod fdckpt;
mod fdckpt_blockindex;
mod fdckpt_container;
mod fdckpt_frames;
mod fdckpt_fti;
mod fdckpt_ftifile;
mod fdckpt_inflate;
mod fdckpt_inflate_index;
mod fdckpt_reader;
mod fdckpt_writer;
mod guard;
mod log;
mod status;
mod types;

#[cfg(all(test, feature = "bindgen"))]
mod bindgen_view;
