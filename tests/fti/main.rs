//! FTI-FF files: read, written, converted, corrupt, updated.

mod cases;
#[path = "../common/mod.rs"]
mod common;
mod corruption;
mod read_write;
mod update;
