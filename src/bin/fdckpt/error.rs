//! Why a command fails.

use std::fmt::Display;
use std::io;
use std::path::Path;

use fdckpt::{Error, checkpoint, container, fti, inflate};

use crate::exit;
use crate::path::display_name;
use crate::term::message;

/// An error that ends a command, or the work on one file.
#[derive(Debug)]
pub struct CliError {
    /// The exit status.
    pub status: u8,
    /// Empty if nothing is printed, because the reader of standard output has closed it.
    pub message: String,
    /// What to do about it.
    pub hint: Option<String>,
}

impl CliError {
    pub fn new(message: impl Into<String>) -> Self {
        Self { status: exit::ERROR, message: message.into(), hint: None }
    }

    pub fn damaged(message: impl Into<String>) -> Self {
        Self { status: exit::DAMAGED, ..Self::new(message) }
    }

    pub fn with_hint(self, hint: impl Into<String>) -> Self {
        Self { hint: Some(hint.into()), ..self }
    }

    /// Names the file that the error is about.
    pub fn with_file(self, path: &Path) -> Self {
        self.with_context(display_name(path))
    }

    /// Names what the error is about.
    pub fn with_context(mut self, context: impl Display) -> Self {
        if !self.message.is_empty() {
            self.message = format!("{context}: {}", self.message);
        }
        self
    }

    /// Prints the error and returns the exit status.
    pub fn print(&self) -> u8 {
        if !self.message.is_empty() {
            message::error(&self.message, self.hint.as_deref());
        }
        self.status
    }

    fn broken_pipe() -> Self {
        Self { status: exit::BROKEN_PIPE, ..Self::new("") }
    }
}

/// Adds the file to an error, also to one that is not a [`CliError`] yet.
pub trait WithFile<T> {
    fn with_file(self, path: &Path) -> Result<T, CliError>;
}

impl<T, E: Into<CliError>> WithFile<T> for Result<T, E> {
    fn with_file(self, path: &Path) -> Result<T, CliError> {
        self.map_err(|error| error.into().with_file(path))
    }
}

impl From<Error> for CliError {
    fn from(error: Error) -> Self {
        let (message, is_unknown) = (error.to_string(), is_unknown(&error));
        let kind = io::Error::from(error).kind();
        if kind == io::ErrorKind::BrokenPipe {
            return Self::broken_pipe();
        }
        let is_damaged = matches!(kind, io::ErrorKind::InvalidData | io::ErrorKind::UnexpectedEof);
        Self { status: if is_damaged && !is_unknown { exit::DAMAGED } else { exit::ERROR }, ..Self::new(message) }
    }
}

/// Whether the file has another format than expected, or is another file, rather than damaged.
fn is_unknown(error: &Error) -> bool {
    match error {
        Error::Container(container::Error::UnknownFormat(_))
        | Error::Fti(fti::Error::UnknownFormat(_) | fti::Error::ParityFile)
        | Error::Inflate(
            inflate::Error::UnknownFormat(_)
            | inflate::Error::SourceSizeMismatch { .. }
            | inflate::Error::SourceModified { .. }
            | inflate::Error::Container(container::Error::UnknownFormat(_)),
        ) => true,
        Error::Checkpoint(error) => matches!(
            error.kind(),
            checkpoint::ErrorKind::UnknownFormat(_) | checkpoint::ErrorKind::Container(container::Error::UnknownFormat(_))
        ),
        _ => false,
    }
}

macro_rules! impl_from {
    ($($error:ty,)*) => {$(
        impl From<$error> for CliError {
            fn from(error: $error) -> Self {
                Error::from(error).into()
            }
        }
    )*};
}

impl_from! { checkpoint::Error, container::Error, fti::Error, inflate::Error, fdckpt::frame::Error, fdckpt::FileError, }

impl From<io::Error> for CliError {
    fn from(error: io::Error) -> Self {
        if let Some(error) = Error::from_io(&error) {
            return error.into();
        }
        match error.kind() {
            io::ErrorKind::BrokenPipe => Self::broken_pipe(),
            io::ErrorKind::UnexpectedEof => Self::damaged("unexpected end of data: the file is truncated"),
            _ => Self::new(error.to_string()),
        }
    }
}
