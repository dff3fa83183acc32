//! A file as one slice of bytes.

use std::fmt;
use std::ops::Deref;
use std::os::fd::AsFd;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use crate::atomic_file;
use crate::error::{Doing, Error};
use crate::sys::errno::Errno;
use crate::sys::file;
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
    /// [`Error::Io`], also where it is a folder or a pipe; [`Error::Argument`] where the path has a NUL in it; [`Error::OutOfMemory`].
    pub fn open(path: impl AsRef<Path>) -> Result<Self, Error> {
        let path = atomic_file::c_string(path.as_ref().as_os_str().as_bytes())?;
        let file = file::open(&path).map_err(|errno| Error::Io { doing: Doing::Opening, offset: 0, errno })?;
        Self::of(file)
    }

    /// Maps an open file, as large as it is now. The descriptor is not needed any more then.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn of(file: impl AsFd) -> Result<Self, Error> {
        let failed = |error| Error::Io { doing: Doing::Mapping, offset: 0, errno: Errno::of(&error) };
        Mmap::of(file).map(Self).map_err(failed)
    }
}

impl Deref for MappedFile {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        let region = self.0.region();
        region.get(0, region.size()).unwrap_or_default()
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
