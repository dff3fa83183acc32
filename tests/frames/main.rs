//! Frames of fd_checkpt: against a model of the format, corrupt, many at a time, and by the Rust API.

mod against_model;
#[path = "../common/mod.rs"]
mod common;
mod corruption;
mod many_frames;
mod model;
mod rust_api;
