//! Random access: an index of a compressed stream, with checkpoints at regular intervals of its output.
//!
//! - `format`: the index, stored in a container.
//! - `build`: building an index while a stream is decompressed.
//! - `cursor`: reading the output from any offset, starting at the nearest access point.
//! - `input`: errors and buffers of the input.

mod build;
mod cursor;
mod format;
mod input;

pub(crate) use cursor::IndexCursor;
pub use cursor::IndexReader;
pub use format::Index;
pub(crate) use input::InputError;
