//! A file as one slice of bytes.

use std::fmt;
use std::ops::Deref;
use std::os::fd::AsFd;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use crate::atomic_file;
use crate::error_base::{IoError, IoOperation};
use crate::file_error::FileError;
use crate::sys::dir;
use crate::sys::mmap::Mmap;

/// A file mapped into memory for reading: nothing is read before it is looked at, and what was read takes no memory that the system can't
/// take back. So a file of any size can be looked at, also one that is larger than the memory.
///
/// Nobody may write to the file meanwhile: its bytes would change under the reader, and where it is made shorter, looking at what is
/// gone ends the process (SIGBUS). Files that are replaced ([`AtomicFile`](crate::AtomicFile)) are not written to.
///
/// ```no_run
/// use fdckpt::{Container, MappedFile};
///
/// # fn main() -> Result<(), fdckpt::Error> {
/// let file = MappedFile::open("checkpoint.blk")?;
/// println!("{} sections", Container::parse(&file)?.len());
/// # Ok(())
/// # }
/// ```
pub struct MappedFile(Mmap);

impl MappedFile {
    /// Maps the file of this name, as large as it is now.
    ///
    /// # Errors
    /// [`FileError::Io`], also where it is a folder or a pipe; [`FileError::InvalidArgument`] where the path has a NUL in it; [`FileError::OutOfMemory`].
    pub fn open(path: impl AsRef<Path>) -> Result<Self, FileError> {
        let path = atomic_file::c_path(path.as_ref().as_os_str().as_bytes())?;
        let file = dir::open(&path).map_err(IoOperation::Open.failed())?;
        Self::of(file)
    }

    /// Maps an open file, as large as it is now. The descriptor is not needed any more then.
    ///
    /// # Errors
    /// [`FileError::Io`].
    pub fn of(file: impl AsFd) -> Result<Self, FileError> {
        Ok(Self(map_file(file)?))
    }
}

/// Maps an open file, as large as it is now.
pub(crate) fn map_file(file: impl AsFd) -> Result<Mmap, IoError> {
    Mmap::map_file(file).map_err(IoOperation::Mmap.failed_at(0))
}

impl Deref for MappedFile {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        self.0.bytes()
    }
}

impl AsRef<[u8]> for MappedFile {
    fn as_ref(&self) -> &[u8] {
        self
    }
}

impl fmt::Debug for MappedFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MappedFile").field("size", &self.len()).finish()
    }
}
