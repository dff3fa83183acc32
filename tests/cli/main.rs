//! The command-line tool.

mod commands;
#[path = "../common/mod.rs"]
mod common;
#[path = "../common/deflate/mod.rs"]
mod deflate;
mod inflate;
