//! Errors, and what they are about.

use std::fmt;
use std::path::Path;

use crate::error::Error;

/// Why a call failed: an [`Error`], and what it was about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    error: Error,
    file: Option<Box<str>>,
    name: Option<Box<str>>,
    frame: Option<u64>,
}

/// What a failure is about, borrowed.
#[derive(Clone, Copy, Default)]
pub(crate) struct About<'f> {
    pub(crate) file: Option<&'f str>,
    pub(crate) name: Option<&'f str>,
    pub(crate) frame: Option<u64>,
}

impl Failure {
    /// What went wrong.
    pub fn error(&self) -> Error {
        self.error
    }

    /// The file, as it was named by the caller. `None` if it was not named.
    pub fn file(&self) -> Option<&str> {
        self.file.as_deref()
    }

    /// The region, or the attribute.
    pub fn name(&self) -> Option<&str> {
        self.name.as_deref()
    }

    /// The number of the frame, counted from 0.
    pub fn frame(&self) -> Option<u64> {
        self.frame
    }

    /// Where in the file.
    pub fn offset(&self) -> Option<u64> {
        self.error.offset()
    }

    pub(crate) fn about(&self) -> About<'_> {
        About { file: self.file(), name: self.name(), frame: self.frame }
    }

    /// The same, about a name that the caller has given.
    pub(crate) fn named(self, name: &str) -> Self {
        self.in_region(name)
    }

    pub(super) fn in_file(mut self, file: Option<&str>) -> Self {
        if self.file.is_none() {
            self.file = file.and_then(copy);
        }
        self
    }

    pub(super) fn in_region(mut self, name: &str) -> Self {
        if self.name.is_none() {
            self.name = copy(name);
        }
        self
    }

    pub(super) fn in_frame(mut self, frame: usize) -> Self {
        self.frame = self.frame.or(Some(frame as u64));
        self
    }
}

/// A copy; nothing where memory is short: the error itself is what matters.
pub(super) fn copy(text: &str) -> Option<Box<str>> {
    let mut copy = String::new();
    copy.try_reserve_exact(text.len()).ok()?;
    copy.push_str(text);
    Some(copy.into_boxed_str())
}

/// How a file is called in messages. Bytes that are no UTF-8 are replaced.
pub(super) fn file_name(path: &Path) -> Option<Box<str>> {
    copy(path.to_str().unwrap_or("(a file whose path is not UTF-8)"))
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self { error, file: None, name: None, frame: None }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(file) = &self.file {
            write!(f, "{file}: ")?;
        }
        if let Some(name) = &self.name {
            write!(f, "\"{}\": ", name.escape_debug())?;
        }
        if let Some(frame) = self.frame {
            write!(f, "frame {frame}: ")?;
        }
        write!(f, "{}", self.error)
    }
}

impl std::error::Error for Failure {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.error)
    }
}

impl From<Failure> for std::io::Error {
    fn from(failure: Failure) -> Self {
        match failure.error {
            // Memory is short: this is the one that needs none.
            Error::OutOfMemory => Self::from(failure.error),
            error => Self::new(Self::from(error).kind(), failure),
        }
    }
}
