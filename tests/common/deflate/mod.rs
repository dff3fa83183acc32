//! Streams for tests of inflate: an encoder of single symbols, random streams that reach everything the formats have, a simple compressor.
//! Nothing here shares code with the library.

#![allow(dead_code, reason = "each harness uses a part of it")]

pub mod encode;
pub mod run;

#[allow(unused_imports, reason = "each harness uses a part of it")]
pub use encode::{Encoder, Random, compress, random_stream};
