//! The CKPT container.

#[path = "../common/mod.rs"]
mod common;
mod model;
mod read_write;
