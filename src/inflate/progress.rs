//! Results of a call of the decompressor.

use super::error::Error;

/// Why a call of [`Inflate::decompress`] came to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// All input was taken, and more is needed. If there is no more, the stream is truncated.
    NeedsInput,
    /// There is no room left in the output.
    NeedsOutput,
    /// The stream has ended, and all output was returned. Input behind the end is not taken.
    ///
    /// Of gzip: a member has ended. If more input is given and begins with the byte 0x1f, it is taken for another member; anything else
    /// is left alone, and the call returns `Done` again.
    Done,
}

/// What a call of [`Inflate::decompress`] did. Also a call that fails can have taken input and returned output before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub struct Progress {
    /// How many bytes of input were taken.
    pub consumed: usize,
    /// How many bytes of output were returned.
    pub produced: usize,
    /// Why it came to its end. After an [`Error::Corrupt`] each call fails in the same way; after an [`Error::OutOfMemory`] the call can be
    /// repeated.
    pub result: Result<Status, Error>,
}
