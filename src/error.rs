//! The sum of the errors of all modules.

use std::fmt;

use crate::checkpoint;
use crate::container;
use crate::file_error::FileError;
use crate::frame;
use crate::frames::FrameError;
use crate::fti;
use crate::inflate;
use crate::sys::errno::Errno;

/// The error of any module, for programs that use several: each converts into it by `?`.
///
/// ```
/// use fdckpt::{Checkpt, Container};
///
/// fn nested(memory: &mut [u8]) -> Result<Vec<u8>, fdckpt::Error> {
///     let mut checkpt = Checkpt::mmio(memory)?; // fdckpt::frame::Error
///     checkpt.open(fdckpt::FrameStyle::Raw)?;
///     checkpt.data(b"state")?;
///     let size = checkpt.close()? as usize;
///     checkpt.finish()?;
///     let mut container = Container::new();
///     container.set(7, &memory[..size])?; // fdckpt::container::Error
///     Ok(container.serialize()?)
/// }
/// # assert!(nested(&mut [0; 16]).is_ok() && nested(&mut []).is_err());
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Error {
    /// Of [`Checkpt`](crate::Checkpt) and [`Restore`](crate::Restore).
    Frame(frame::Error),
    /// Of [`Frames`](crate::Frames).
    Frames(FrameError),
    /// Of [`mod@container`].
    Container(container::Error),
    /// Of [`mod@checkpoint`].
    Checkpoint(checkpoint::Error),
    /// Of [`fti`].
    Fti(fti::Error),
    /// Of [`inflate`].
    Inflate(inflate::Error),
    /// Of [`AtomicFile`](crate::AtomicFile) and [`MappedFile`](crate::MappedFile).
    File(FileError),
}

impl Error {
    /// The offset in bytes at which it went wrong, if the error has one.
    pub fn offset(&self) -> Option<u64> {
        match self {
            Self::Frame(error) | Self::Frames(FrameError { error, .. }) => error.offset(),
            Self::Container(error) => error.offset(),
            Self::Checkpoint(error) => error.offset(),
            Self::Fti(error) => error.offset(),
            Self::Inflate(error) => error.offset(),
            Self::File(error) => error.offset(),
        }
    }

    /// The reason that the system gave, if a system call or an allocation failed.
    pub fn errno(&self) -> Option<Errno> {
        match self {
            Self::Frame(error) | Self::Frames(FrameError { error, .. }) => error.errno(),
            Self::Container(error) => error.errno(),
            Self::Checkpoint(error) => error.errno(),
            Self::Fti(error) => error.errno(),
            Self::Inflate(error) => error.errno(),
            Self::File(error) => error.errno(),
        }
    }
}

impl Error {
    /// Whether an allocation failed.
    pub fn is_out_of_memory(&self) -> bool {
        match self {
            Self::Frame(error) | Self::Frames(FrameError { error, .. }) => *error == frame::Error::OutOfMemory,
            Self::Container(error) => *error == container::Error::OutOfMemory,
            Self::Checkpoint(error) => error.kind() == checkpoint::ErrorKind::OutOfMemory,
            Self::Fti(error) => *error == fti::Error::OutOfMemory,
            Self::Inflate(error) => *error == inflate::Error::OutOfMemory,
            Self::File(error) => *error == FileError::OutOfMemory,
        }
    }

    /// The error of this library in an error of [`Read`](std::io::Read) or [`Write`](std::io::Write), if it has one.
    pub fn from_io(error: &std::io::Error) -> Option<Self> {
        fn inner<E: std::error::Error + Clone + Into<Error> + 'static>(error: &std::io::Error) -> Option<Error> {
            error.get_ref()?.downcast_ref::<E>().cloned().map(Into::into)
        }
        inner::<frame::Error>(error)
            .or_else(|| inner::<FrameError>(error))
            .or_else(|| inner::<container::Error>(error))
            .or_else(|| inner::<checkpoint::Error>(error))
            .or_else(|| inner::<fti::Error>(error))
            .or_else(|| inner::<inflate::Error>(error))
            .or_else(|| inner::<FileError>(error))
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Frame(error) => error.fmt(f),
            Self::Frames(error) => error.fmt(f),
            Self::Container(error) => error.fmt(f),
            Self::Checkpoint(error) => error.fmt(f),
            Self::Fti(error) => error.fmt(f),
            Self::Inflate(error) => error.fmt(f),
            Self::File(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        // The message is that of the error inside, so the source is the one below it.
        match self {
            Self::Frame(error) => error.source(),
            Self::Frames(error) => error.source(),
            Self::Container(error) => error.source(),
            Self::Checkpoint(error) => error.source(),
            Self::Fti(error) => error.source(),
            Self::Inflate(error) => error.source(),
            Self::File(error) => error.source(),
        }
    }
}

/// The [`std::io::Error`] has the error of the module inside, not the sum.
impl From<Error> for std::io::Error {
    fn from(error: Error) -> Self {
        match error {
            Error::Frame(error) => error.into(),
            Error::Frames(error) => error.into(),
            Error::Container(error) => error.into(),
            Error::Checkpoint(error) => error.into(),
            Error::Fti(error) => error.into(),
            Error::Inflate(error) => error.into(),
            Error::File(error) => error.into(),
        }
    }
}

macro_rules! impl_from {
    ($($variant:ident($error:ty),)*) => {$(
        impl From<$error> for Error {
            fn from(error: $error) -> Self {
                Self::$variant(error)
            }
        }
    )*};
}

impl_from! {
    Frame(frame::Error),
    Frames(FrameError),
    Container(container::Error),
    Checkpoint(checkpoint::Error),
    Fti(fti::Error),
    Inflate(inflate::Error),
    File(FileError),
}
