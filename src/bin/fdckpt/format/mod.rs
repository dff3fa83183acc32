//! What commands print of a format, as text and JSON, and how they verify and compare it: one file per format.

pub mod block_index;
pub mod checkpoint;
pub mod container;
pub mod difference;
pub mod fti;
pub mod inflate_checkpoint;
pub mod inflate_index;
pub mod inflate_state;
pub mod report;
pub mod zip;

/// Maximum number of rows in the output of `fdckpt info`.
pub const SUMMARY_LIMIT: usize = 20;
