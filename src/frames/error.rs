//! Errors of many frames: which one failed, and why.

use std::fmt;
use std::io;

use crate::frame::Error;

/// Why frames were not all made or restored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct FrameError {
    /// The first frame for which it failed, counted from 0.
    pub frame: usize,
    /// What went wrong with it. Offsets are those in the checkpoint, file or region.
    pub error: Error,
}

impl fmt::Display for FrameError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "frame {} (counted from 0): {}", self.frame, self.error)
    }
}

impl std::error::Error for FrameError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.error)
    }
}

/// An error before any frame: it is the first one that is not done.
impl<E: Into<Error>> std::convert::From<E> for FrameError {
    fn from(error: E) -> Self {
        Self { frame: 0, error: error.into() }
    }
}

impl std::convert::From<FrameError> for io::Error {
    fn from(failed: FrameError) -> Self {
        failed.error.into()
    }
}
