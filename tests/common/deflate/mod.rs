//! Streams for tests of inflate: an encoder of single symbols, random streams that cover both formats, a simple
//! compressor. Shares no code with the library.

#![allow(dead_code, reason = "each test program uses a part of it")]

pub mod encode;
pub mod run;

#[allow(unused_imports, reason = "each test program uses a part of it")]
pub use encode::{Encoder, Random, compress, random_stream};
