//! Out of memory: each allocation fails once, and every call reports it and leaves its object as it was.
//!
//! These tests have a global allocator of their own, and so their own binary.

mod checkpoint;
mod container;
mod failing_alloc;
mod inflate;
