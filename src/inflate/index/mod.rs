//! Random access.

mod build;
mod cursor;
mod format;
mod input;

pub(crate) use cursor::Cursor;
pub use cursor::IndexReader;
pub use format::Index;
pub(crate) use input::InputError;
