//! Input of the caller: the compressed data that an index is built from, or read with.

use std::io::{self, Read};

use crate::inflate::error::Error;

/// Size in bytes of buffers for input and output.
pub(super) const BUFFER_SIZE: usize = 1 << 16;

/// Error of this library, or of the input. A type of its own, because converting the first to an [`io::Error`]
/// allocates.
#[derive(Debug)]
pub(crate) enum InputError {
    Library(Error),
    Input(io::Error),
}

impl From<Error> for InputError {
    fn from(error: Error) -> Self {
        Self::Library(error)
    }
}

impl From<io::Error> for InputError {
    fn from(error: io::Error) -> Self {
        Self::Input(error)
    }
}

impl From<InputError> for io::Error {
    fn from(error: InputError) -> Self {
        match error {
            InputError::Library(error) => error.into(),
            InputError::Input(error) => error,
        }
    }
}

/// Reads once, and again if interrupted by a signal.
pub(super) fn read(input: &mut impl Read, buffer: &mut [u8]) -> io::Result<usize> {
    loop {
        match input.read(buffer) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            result => return result,
        }
    }
}
