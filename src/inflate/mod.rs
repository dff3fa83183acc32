//! Resumable inflate.
mod bits;
mod codes;
mod engine;
mod fault;
mod header;
mod huffman;
mod window;

pub use fault::Fault;

use crate::error::Error;

/// How far a call came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// All input was taken.
    NeedsInput,
    /// All room for output was used.
    NeedsOutput,
    /// End.
    Done,
}

/// What a call did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub struct Progress {
    /// in
    pub consumed: usize,
    /// out
    pub produced: usize,
    /// how
    pub result: Result<Status, Error>,
}

/// temporary
#[allow(missing_debug_implementations)]
pub struct Raw(Box<engine::Engine>);
impl Raw {
    /// new
    pub fn new(d64: bool) -> Self { Self(Box::new(engine::Engine::new(d64))) }
    /// go
    pub fn inflate(&mut self, input: &[u8], output: &mut [u8]) -> Progress { self.0.inflate(input, output) }
    /// reset
    pub fn reset(&mut self) { self.0.reset() }
}
