//! Self-describing checkpoint files.

#[path = "../common/mod.rs"]
mod common;
mod corruption;
mod roundtrip;
