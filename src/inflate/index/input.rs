//! Reading an input of the caller.

use std::io::{self, Read};

use crate::inflate::error::Error;

pub(super) const BUFFER: usize = 1 << 16;

/// Why something with an input failed: this library's reason, or the input's own. (As an [`io::Error`] the first takes memory.)
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
    fn from(failure: InputError) -> Self {
        match failure {
            InputError::Library(error) => error.into(),
            InputError::Input(error) => error,
        }
    }
}

pub(super) fn read(input: &mut impl Read, buffer: &mut [u8]) -> io::Result<usize> {
    loop {
        match input.read(buffer) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            result => return result,
        }
    }
}
