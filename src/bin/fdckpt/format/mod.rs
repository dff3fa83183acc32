//! The formats.

pub mod checkpoint;
pub mod zip;
