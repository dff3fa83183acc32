//! Work on several threads: no file formats here.

pub(crate) mod pipeline;
