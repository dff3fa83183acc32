//! Replacing a file so that its name always stands for a whole one: the old one or the new one.
//!
//! The new one is made under another name beside it, written, synced, and renamed; at last the directory is synced, which holds the
//! name. A failure before the rename leaves the old file, and removes the new one.
//!
//! A process that is killed leaves the new one under its other name. It holds a lock on it as long as it lives, so that the next one that
//! replaces a file in that directory finds those without a lock, and removes them.

use std::ffi::{CStr, CString};
use std::fmt;
use std::io::{self, Write};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::sync::atomic::{AtomicI32, AtomicU32, AtomicU64, Ordering};

use crate::alloc::try_c_string;
use crate::error_base::{IoError, IoOperation};
use crate::file_error::FileError;
use crate::sys::errno::Errno;
use crate::sys::fd;
use crate::sys::temp_file::{self, TEMP_NAME_SIZE, temp_name};
use crate::sys::{dir, lock};

/// What a file that is saved has to survive.
///
/// However much that is, the file under its name is a whole one at any time that a process can see: the old one or the new one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum SyncMode {
    /// The end of the process alone. A crash of the machine can leave the name with a file that lacks data.
    None,
    /// A crash of the machine too: the data is synced before the file gets its name. Which of the files has the name after a
    /// crash right behind the save is for the file system to say.
    Data,
    /// As before, and once the save has succeeded, the new file has the name for good: the directory is synced as well.
    #[default]
    Full,
}

/// A file that is to take the place of another one, or of none: of the name that it was made for once it is complete and
/// [`commit`](Self::commit) says so, and until then it has a name of its own in the same directory. Dropped before that, it is gone, and the old
/// file is what it was.
///
/// It is written with [`Write`], one piece after the other, or with [`write_at`](Self::write_at).
///
/// ```
/// use fdckpt::{SyncMode, AtomicFile};
/// use std::io::Write;
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let directory = tempfile::tempdir()?;
/// # let path = directory.path().join("settings");
/// let mut file = AtomicFile::begin(&path, SyncMode::Full)?;
/// file.write_all(b"all of it")?;
/// file.commit()?;
/// assert_eq!(std::fs::read(&path)?, b"all of it");
/// # Ok(())
/// # }
/// ```
pub struct AtomicFile {
    directory: OwnedFd,
    /// `None` once it was closed.
    file: Option<OwnedFd>,
    /// Its name until it has its own; `None` as soon as it has that.
    temporary: Option<[u8; TEMP_NAME_SIZE]>,
    /// Where it is noted for [`remove_temp_files`], if there was room.
    noted: Option<&'static Underway>,
    name: CString,
    sync: SyncMode,
    /// Where [`Write`] goes on.
    position: u64,
}

/// So many names are tried.
const TRIES: usize = 100;

impl AtomicFile {
    /// Makes an empty file in the directory of `path`, for which it is to become the file of that name.
    ///
    /// # Errors
    /// [`FileError::Io`]; [`FileError::InvalidArgument`] where the path has no file name, or a NUL in it; [`FileError::OutOfMemory`].
    pub fn begin(path: impl AsRef<Path>, sync: SyncMode) -> Result<Self, FileError> {
        let path = path.as_ref();
        // To `Path` the name in "directory/" and "directory/." is that of the directory; who writes so, means no file.
        let name = path.file_name().filter(|name| path.as_os_str().as_bytes().ends_with(name.as_bytes()));
        let name = name.ok_or(FileError::InvalidArgument("the path does not end in a file name"))?;
        let name = c_path(name.as_bytes())?;
        let parent = path.parent().map(|parent| parent.as_os_str().as_bytes()).unwrap_or_default();
        let parent = c_path(if parent.is_empty() { b"." } else { parent })?;
        let directory = dir::open_dir(&parent, sync == SyncMode::Full).map_err(IoOperation::OpenDirectory.failed())?;
        temp_file::remove_stale_temp_files(directory.as_fd());
        // The new file is private until it has the owner and the permissions of the old one. Without an old one, it is like any new file.
        let access = dir::access_of(directory.as_fd(), &name).map_err(IoOperation::CreateTempFile.failed())?;
        let create = if access.is_some() { dir::create_new_private } else { dir::create_new };
        for _ in 0..TRIES {
            let number = temp_file::unique_suffix();
            let temporary = temp_name(number);
            match create(directory.as_fd(), as_c_str(&temporary)) {
                // Somebody else looks whether it is abandoned, and has found that it was, before it was locked.
                Ok(file) if lock::try_lock(file.as_fd()) == Ok(false) || !fd::is_linked(file.as_fd()) => {
                    _ = dir::unlink(directory.as_fd(), as_c_str(&temporary));
                }
                Ok(file) => {
                    let noted = Underway::note(directory.as_fd(), number);
                    let new = Self { directory, file: Some(file), temporary: Some(temporary), noted, name, sync, position: 0 };
                    if let Some(access) = access {
                        access.apply(new.file()).map_err(IoOperation::CreateTempFile.failed())?;
                    }
                    return Ok(new);
                }
                Err(errno) if errno.is_already_exists() => {}
                Err(errno) => return Err(IoOperation::CreateTempFile.failed()(errno).into()),
            }
        }
        Err(IoOperation::CreateTempFile.failed()(Errno::ALREADY_EXISTS).into())
    }

    /// The file to write to, for reading and writing.
    fn file(&self) -> BorrowedFd<'_> {
        self.file.as_ref().expect("it is closed by commit, which takes all").as_fd()
    }

    /// Writes `data` at `offset`. Can be called by several threads at once.
    ///
    /// # Errors
    /// [`FileError::Io`]; [`FileError::OffsetOverflow`] where it would end beyond the largest offset there is.
    pub fn write_at(&self, data: &[u8], offset: u64) -> Result<(), FileError> {
        let end = offset.checked_add(data.len() as u64).filter(|end| i64::try_from(*end).is_ok());
        end.ok_or(FileError::OffsetOverflow { size: data.len() as u64 })?;
        Ok(fd::write_all_at(self.file(), data, offset).map_err(IoOperation::Write.failed_at(offset))?)
    }

    /// Gives it this size: what was not written is zeros.
    ///
    /// # Errors
    /// [`FileError::Io`]; [`FileError::OffsetOverflow`].
    pub fn set_size(&self, size: u64) -> Result<(), FileError> {
        let size = i64::try_from(size).map_err(|_| FileError::OffsetOverflow { size })?;
        Ok(fd::ftruncate(self.file(), size).map_err(IoOperation::Write.failed_at(size as u64))?)
    }

    /// Puts the file in its place.
    ///
    /// Where the directory can't be synced, the new file is in its place already: either one may be there after a crash.
    ///
    /// # Errors
    /// [`FileError::Io`], which says what was not possible.
    pub fn commit(mut self) -> Result<(), FileError> {
        if self.sync >= SyncMode::Data {
            fd::fsync(self.file()).map_err(IoOperation::Fsync.failed())?;
        }
        // Closing may tell of a failure, but the lock is to stay until the file has its name: a duplicate holds it.
        let locked = self.file().try_clone_to_owned();
        let _locked = locked.map_err(|error| IoOperation::Close.failed()(Errno::from_io_error(&error)))?;
        if let Some(file) = self.file.take() {
            fd::close(file).map_err(IoOperation::Close.failed())?;
        }
        if let Some(temporary) = &self.temporary {
            dir::rename(self.directory.as_fd(), as_c_str(temporary), &self.name).map_err(IoOperation::Rename.failed())?;
        }
        self.temporary = None;
        self.forget();
        if self.sync >= SyncMode::Full {
            // Some file systems have no sync for directories: they keep names safe in their own way, or not at all.
            sync_if_possible(self.directory.as_fd(), IoOperation::FsyncDirectory)?;
        }
        Ok(())
    }

    fn forget(&mut self) {
        if let Some(noted) = self.noted.take() {
            noted.directory.store(FREE, Ordering::SeqCst);
        }
    }
}

impl AsFd for AtomicFile {
    /// The new file, for reading and writing. It has owner, group and permissions of the file that it will replace, as far as the process
    /// may set them (without set-ID bits), otherwise those of any new file.
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.file()
    }
}

impl Write for AtomicFile {
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        self.write_at(data, self.position)?;
        self.position += data.len() as u64;
        Ok(data.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl fmt::Debug for AtomicFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AtomicFile").field("name", &self.name).field("sync", &self.sync).finish_non_exhaustive()
    }
}

impl Drop for AtomicFile {
    fn drop(&mut self) {
        if let Some(temporary) = &self.temporary {
            // There is nobody to tell, and an error to tell already.
            _ = dir::unlink(self.directory.as_fd(), as_c_str(temporary));
        }
        self.forget();
    }
}

/// A replacement that is not complete: a place in a table, since it is to be found from a signal handler.
struct Underway {
    /// Its directory's descriptor, or [`FREE`] or [`TAKEN`].
    directory: AtomicI32,
    /// What its name is made of.
    number: AtomicU64,
    /// The process that makes it: what is forked from it has a copy of the table.
    process: AtomicU32,
}

const FREE: i32 = -1;
const TAKEN: i32 = -2;

/// More than these at a time are not noted.
static UNDERWAY: [Underway; 64] =
    [const { Underway { directory: AtomicI32::new(FREE), number: AtomicU64::new(0), process: AtomicU32::new(0) } }; 64];

impl Underway {
    fn note(directory: BorrowedFd<'_>, number: u64) -> Option<&'static Self> {
        let is_free = |place: &&Self| place.directory.compare_exchange(FREE, TAKEN, Ordering::SeqCst, Ordering::SeqCst).is_ok();
        let place = UNDERWAY.iter().find(is_free)?;
        place.number.store(number, Ordering::SeqCst);
        place.process.store(std::process::id(), Ordering::SeqCst);
        place.directory.store(directory.as_raw_fd(), Ordering::SeqCst);
        Some(place)
    }
}

/// Removes the files of all [`AtomicFile`]s, and of all other saves of this library, that are underway in this process: for a program that
/// is about to end because of a signal. They can't be completed then: `commit` fails.
///
/// It takes no lock and no memory, so that it can be called in a signal handler. Of more than 64 at a time it knows 64.
pub fn remove_temp_files() {
    for place in &UNDERWAY {
        let directory = place.directory.load(Ordering::SeqCst);
        if directory >= 0 && place.process.load(Ordering::SeqCst) == std::process::id() {
            let temporary = temp_name(place.number.load(Ordering::SeqCst));
            // A directory that was closed a moment ago has no such file any more, and no other one has a file of this name.
            _ = dir::unlink_at(directory, as_c_str(&temporary));
        }
    }
}

/// Syncs what can be synced: pipes, for example, can't.
pub(crate) fn sync_if_possible(fd: BorrowedFd<'_>, op: IoOperation) -> Result<(), IoError> {
    match fd::fsync(fd) {
        Err(errno) if errno.is_invalid_input() => Ok(()),
        result => result.map_err(op.failed()),
    }
}

fn as_c_str(name: &[u8; TEMP_NAME_SIZE]) -> &CStr {
    CStr::from_bytes_until_nul(name).unwrap_or_default()
}

/// A path, or a part of one, as system calls take it.
pub(crate) fn c_path(path: &[u8]) -> Result<CString, FileError> {
    try_c_string(path)?.ok_or(FileError::InvalidArgument("the path contains a NUL byte"))
}
