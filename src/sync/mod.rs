//! Work on several threads. Knows no file formats.

pub(crate) mod on_drop;
pub(crate) mod parallel_for;
pub(crate) mod pipeline;
