//! What a crash leaves of a file that is replaced or updated: the old state or the new one. `make test-crash` does more
//! of it.

#[path = "../common/mod.rs"]
mod common;
mod journal;
mod replace;
