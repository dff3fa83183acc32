//! Self-describing checkpoint files.

mod access;
#[path = "../common/mod.rs"]
mod common;
mod corruption;
mod roundtrip;
