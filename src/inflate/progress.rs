//! Result of a call of the decompressor.

use super::error::Error;

/// Why a call of [`Inflate::decompress`](super::Inflate::decompress) returned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// All input was consumed, and more is needed. If there is no more, the stream is truncated.
    NeedsInput,
    /// The output buffer is full.
    NeedsOutput,
    /// The stream has ended, and all output was returned. Input after the end is not consumed.
    ///
    /// In gzip, a member has ended. If the next input begins with the byte 0x1f, it is decompressed as another member.
    /// Any other input is not consumed, and the call returns `Done` again.
    Done,
}

/// What a call of [`Inflate::decompress`](super::Inflate::decompress) did. A call that fails may have consumed input
/// and produced output before the error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub struct Progress {
    /// Number of bytes of input consumed.
    pub consumed: usize,
    /// Number of bytes written to the output buffer.
    pub produced: usize,
    /// Why the call returned. After [`Error::Corrupt`] every further call fails with the same error; after
    /// [`Error::OutOfMemory`] the call may be repeated.
    pub result: Result<Status, Error>,
}
