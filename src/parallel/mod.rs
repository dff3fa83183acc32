//! Work on several threads, with the result of one: many frames at a time, made and restored.
//!
//! - [`pipeline`]: jobs that make bytes, which are taken in order; and jobs in any order.
//! - [`frame`]: one frame, as it would be at its place in a checkpoint that one handle makes.
//!
//! Threads are started for a call and gone when it returns. One that can't be started, or gets no memory, is done without: what is there is
//! done by the others, in the end by the thread that made the call. So neither bytes nor errors depend on the number of threads.

pub(crate) mod frame;
pub(crate) mod pipeline;
