//! Inflate: decompression, its checkpoints, random access by an index.

#[path = "../common/mod.rs"]
mod common;
#[path = "../common/deflate/mod.rs"]
mod deflate;
mod golden;
mod index;
mod invalid;
mod random;
mod resume;
