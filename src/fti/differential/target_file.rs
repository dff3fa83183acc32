//! The file that an update changes, and its sidecar files: opening and locking them, and resolving an interrupted or prepared update.
//!
//! The order of locks and syncs is in docs/format/fti-journal.md.

use std::ffi::CString;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use super::journal::Journal;
use super::state::{FileState, TAIL_MAX};
use crate::alloc::try_with_capacity;
use crate::atomic_file;
use crate::error_base::IoOperation;
use crate::fti::checkpoint::Checkpoint;
use crate::fti::error::Error;
use crate::fti::parse;
use crate::mapped_file::map_file;
use crate::sys::fd::{Access, FileId};
use crate::sys::lock::FileLock;
use crate::sys::mmap::Mmap;
use crate::sys::{dir, fd};

/// Files in the same directory, named as the updated one with a suffix.
#[derive(Clone, Copy)]
pub(super) enum Sidecar {
    Journal,
    Hashes,
}

/// The locked file and its state.
pub(super) type LockedFile = (FileLock, FileState);

/// A file that is updated: its open directory, its name, and the names of the sidecar files. The file itself may not exist.
pub(super) struct TargetFile {
    directory: OwnedFd,
    name: CString,
    journal: CString,
    hashes: CString,
}

impl TargetFile {
    /// Opens the directory of `path`. `can_sync`: [`sync_directory`](Self::sync_directory) will be called.
    pub(super) fn new(path: &Path, can_sync: bool) -> Result<Self, Error> {
        let name = path.file_name().ok_or(Error::InvalidArgument("the path does not end in a file name"))?.as_bytes();
        let parent = path.parent().map(|parent| parent.as_os_str().as_bytes()).unwrap_or_default();
        let parent = atomic_file::c_path(if parent.is_empty() { b"." } else { parent })?;
        let with_suffix = |suffix: &[u8]| {
            let mut path = try_with_capacity(name.len() + suffix.len())?;
            path.extend_from_slice(name);
            path.extend_from_slice(suffix);
            Ok::<_, Error>(atomic_file::c_path(&path)?)
        };
        let (name, journal, hashes) = (atomic_file::c_path(name)?, with_suffix(b".journal")?, with_suffix(b".hashes")?);
        let directory = dir::open_dir(&parent, can_sync).map_err(IoOperation::OpenDirectory.failed())?;
        Ok(Self { directory, name, journal, hashes })
    }

    /// Opens the file, if it exists, locks it against updates by other processes, and determines its state.
    pub(super) fn open(&self, is_writable: bool) -> Result<Option<LockedFile>, Error> {
        let open = if is_writable { dir::open_rw_nofollow } else { dir::open_read };
        loop {
            let file = match open(self.directory.as_fd(), &self.name) {
                Err(errno) if errno.is_not_found() => return Ok(None),
                result => result.map_err(IoOperation::Open.failed())?,
            };
            let file = FileLock::try_new(file).ok_or(Error::FileBusy)?;
            // Another file may have replaced it before it was locked.
            if self.is_current(file.as_fd())? {
                let state = state_of(file.as_fd())?;
                return Ok(Some((file, state)));
            }
        }
    }

    /// Returns whether the name still refers to the open file.
    fn is_current(&self, file: BorrowedFd<'_>) -> Result<bool, Error> {
        Ok(self.id()? == Some(file_id(file)?))
    }

    /// Returns the identity of the file to which the name refers.
    fn id(&self) -> Result<Option<FileId>, Error> {
        Ok(dir::file_id_at(self.directory.as_fd(), &self.name).map_err(IoOperation::Open.failed())?)
    }

    /// Creates the file, which must not exist.
    fn create(&self) -> Result<OwnedFd, Error> {
        Ok(dir::create_new(self.directory.as_fd(), &self.name).map_err(IoOperation::CreateTempFile.failed())?)
    }

    fn name_of(&self, sidecar: Sidecar) -> &CString {
        match sidecar {
            Sidecar::Journal => &self.journal,
            Sidecar::Hashes => &self.hashes,
        }
    }

    /// Opens a sidecar file for writing. A new one gets owner, group and permissions of `file`.
    pub(super) fn open_or_create(&self, sidecar: Sidecar, file: Option<&FileLock>) -> Result<OwnedFd, Error> {
        let name = self.name_of(sidecar);
        // Private until it has the owner and permissions of the file.
        let create = if file.is_some() { dir::create_new_private } else { dir::create_new };
        let opened = match create(self.directory.as_fd(), name) {
            Err(errno) if errno.is_already_exists() => dir::open_rw_nofollow(self.directory.as_fd(), name),
            Ok(created) => match file {
                Some(file) => Access::of(file.as_fd()).and_then(|access| access.apply(created.as_fd())).map(|()| created),
                None => Ok(created),
            },
            result => result,
        };
        Ok(opened.map_err(IoOperation::CreateTempFile.failed())?)
    }

    /// Returns an empty, locked journal for an update of `file`, or of a file that does not exist.
    pub(super) fn begin_journal(&self, file: Option<&LockedFile>) -> Result<FileLock, Error> {
        let journal = self.open_or_create(Sidecar::Journal, file.map(|(file, _)| file))?;
        let journal = self.lock_journal(journal, file.is_some())?;
        self.ensure_not_pending_in(&journal, file)?;
        empty(journal.as_fd())?;
        Ok(journal)
    }

    /// Locks the journal. The caller holds the lock of the file, if that exists; if not, this lock prevents others from creating it.
    fn lock_journal(&self, journal: OwnedFd, file_exists: bool) -> Result<FileLock, Error> {
        let journal = FileLock::try_new(journal).ok_or(Error::FileBusy)?;
        if self.id()?.is_some() == file_exists { Ok(journal) } else { Err(Error::FileBusy) }
    }

    /// Fails if another process has begun an update since [`complete_update`](Self::complete_update). `file` is locked.
    pub(super) fn ensure_not_pending(&self, file: Option<&LockedFile>) -> Result<(), Error> {
        match self.open_nonempty(Sidecar::Journal)? {
            None => Ok(()),
            Some(journal) => self.ensure_not_pending_in(&self.lock_journal(journal, file.is_some())?, file),
        }
    }

    fn ensure_not_pending_in(&self, journal: &FileLock, file: Option<&LockedFile>) -> Result<(), Error> {
        let error = |journal: &Journal<'_>| if journal.is_prepared { Error::TransactionInDoubt } else { Error::FileBusy };
        self.with_locked_journal(journal, file, |journal, _| Err(error(journal))).map(|_: Option<()>| ())
    }

    /// Syncs the directory.
    pub(super) fn sync_directory(&self) -> Result<(), Error> {
        Ok(atomic_file::sync_if_possible(self.directory.as_fd(), IoOperation::FsyncDirectory)?)
    }

    /// Syncs the emptied journal before the file is replaced: a crash that undoes the truncation could make it apply to the new file.
    pub(super) fn sync_journal(&self) -> Result<(), Error> {
        self.open_sidecar(Sidecar::Journal)?.map_or(Ok(()), |journal| sync(journal.as_fd()))
    }

    /// Opens a sidecar file for reading, if it exists.
    fn open_sidecar(&self, sidecar: Sidecar) -> Result<Option<OwnedFd>, Error> {
        match dir::open_read(self.directory.as_fd(), self.name_of(sidecar)) {
            // A file with a name that is too long cannot exist.
            Err(errno) if errno.is_not_found() || errno.is_name_too_long() => Ok(None),
            result => Ok(Some(result.map_err(IoOperation::Open.failed())?)),
        }
    }

    /// Opens a sidecar file for reading, if it exists and is not empty.
    fn open_nonempty(&self, sidecar: Sidecar) -> Result<Option<OwnedFd>, Error> {
        let Some(file) = self.open_sidecar(sidecar)? else { return Ok(None) };
        let size = fd::size(file.as_fd()).map_err(IoOperation::Mmap.failed())?;
        Ok(Some(file).filter(|_| size > 0))
    }

    /// Maps the saved block hashes, if any.
    pub(super) fn map_hashes(&self) -> Result<Option<Mmap>, Error> {
        Ok(self.open_nonempty(Sidecar::Hashes)?.map(map_file).transpose()?)
    }

    /// Empties the journal and syncs it.
    fn discard_journal(&self) -> Result<(), Error> {
        let journal = dir::open_rw_nofollow(self.directory.as_fd(), &self.journal).map_err(IoOperation::Open.failed())?;
        empty(journal.as_fd())?;
        sync(journal.as_fd())
    }

    /// Calls `job` with the journal and the file if an update is pending. A journal for another state of the file does not count. Both
    /// are locked during the call.
    fn with_pending_journal<R>(
        &self,
        job: impl FnOnce(&Journal<'_>, Option<&LockedFile>) -> Result<R, Error>,
    ) -> Result<Option<R>, Error> {
        // Usually no journal exists. It is read when file and journal are locked: until then other processes may empty it.
        let Some(journal) = self.open_nonempty(Sidecar::Journal)? else { return Ok(None) };
        let file = self.open(false)?;
        let journal = self.lock_journal(journal, file.is_some())?;
        self.with_locked_journal(&journal, file.as_ref(), job)
    }

    fn with_locked_journal<R>(
        &self,
        journal: &FileLock,
        file: Option<&LockedFile>,
        job: impl FnOnce(&Journal<'_>, Option<&LockedFile>) -> Result<R, Error>,
    ) -> Result<Option<R>, Error> {
        if fd::size(journal.as_fd()).map_err(IoOperation::Mmap.failed())? == 0 {
            return Ok(None);
        }
        let map = map_file(journal)?;
        let Some(journal) = Journal::parse(map.bytes()) else { return Ok(None) };
        if !applies_to(&journal, file)? {
            return Ok(None);
        }
        job(&journal, file).map(Some)
    }

    /// Completes a pending update: the file gets its new state. Fails for a prepared one unless `even_prepared`. Returns whether an
    /// update was pending.
    pub(super) fn complete_update(&self, even_prepared: bool) -> Result<bool, Error> {
        let completed = self.with_pending_journal(|journal, file| {
            if journal.is_prepared && !even_prepared {
                return Err(Error::TransactionInDoubt);
            }
            let size = file.map_or(0, |(_, state)| state.size);
            let writable = match file {
                None => self.create()?,
                Some(_) => dir::open_rw_nofollow(self.directory.as_fd(), &self.name).map_err(IoOperation::Open.failed())?,
            };
            let writable = writable.as_fd();
            // A checkpoint that has replaced the file since it was locked must not be changed.
            if let Some((file, _)) = file
                && file_id(file.as_fd())? != file_id(writable)?
            {
                return Err(Error::FileBusy);
            }
            journal.writes().try_for_each(|(offset, bytes)| write_at(writable, bytes, offset))?;
            if size > journal.after.size {
                set_size(writable, journal.after.size)?;
            }
            sync(writable)?;
            if file.is_none() {
                self.sync_directory()?;
            }
            self.discard_journal()
        })?;
        Ok(completed.is_some())
    }

    /// Rolls back a prepared update: the file must still have its old state. Returns whether an update was pending.
    pub(super) fn roll_back(&self) -> Result<bool, Error> {
        let rolled_back = self.with_pending_journal(|journal, file| {
            if let Some((file, state)) = file {
                if *state != journal.before {
                    return Err(Error::PartiallyApplied);
                }
                // Parts that do not change the state may have been written already.
                if !is_intact(map_file(file)?.bytes())? {
                    return Err(Error::CorruptTarget);
                }
            }
            self.discard_journal()
        })?;
        Ok(rolled_back.is_some())
    }

    /// Returns the pending update: the checkpoint's number, and whether it was prepared.
    pub(super) fn pending_update(&self) -> Result<Option<(i32, bool)>, Error> {
        self.with_pending_journal(|journal, _| Ok((journal.ckpt_id, journal.is_prepared)))
    }
}

/// Determines the state of an open file.
fn state_of(file: BorrowedFd<'_>) -> Result<FileState, Error> {
    let size = fd::size(file).map_err(IoOperation::Mmap.failed())?;
    let mut tail = [0; TAIL_MAX];
    let tail = &mut tail[..size.min(TAIL_MAX as u64) as usize];
    let start = size - tail.len() as u64;
    let mut done = 0;
    while done < tail.len() {
        let offset = start + done as u64;
        match fd::read_at(file, offset as i64, &mut tail[done..]).map_err(IoOperation::Read.failed_at(offset))? {
            0 => return Err(Error::FileChanged),
            read => done += read,
        }
    }
    Ok(FileState::new(size, tail))
}

/// Returns whether the file is in the state before or after the journal's update, or between them. In any other state that is intact,
/// another checkpoint has been written since.
fn applies_to(journal: &Journal<'_>, file: Option<&LockedFile>) -> Result<bool, Error> {
    let Some((file, state)) = file else { return Ok(journal.before == FileState::absent()) };
    let (before, after) = (journal.before, journal.after);
    if [before, after].contains(state) {
        return Ok(true);
    }
    if state.size < before.size.min(after.size) || state.size > before.size.max(after.size) {
        return Ok(false);
    }
    if state.size == 0 {
        return Ok(true);
    }
    let map = map_file(file)?;
    let bytes = map.bytes();
    // A variable may contain a checkpoint: the header of the whole file has the file's size. A header at the start says nothing about
    // the data that follows, so that is verified.
    Ok(match parse::size_by_header(bytes) {
        Some((size, is_first)) if size == state.size => is_first && !is_intact(bytes)?,
        _ => true,
    })
}

/// Returns whether a file is an intact checkpoint.
fn is_intact(file: &[u8]) -> Result<bool, Error> {
    match Checkpoint::parse(file) {
        Err(Error::OutOfMemory) => Err(Error::OutOfMemory),
        Err(_) => Ok(false),
        Ok(checkpoint) => Ok(checkpoint.verify(1, &mut |_| {})?.is_intact()),
    }
}

/// Returns the identity of an open file.
pub(super) fn file_id(file: BorrowedFd<'_>) -> Result<FileId, Error> {
    Ok(fd::file_id(file).map_err(IoOperation::Open.failed())?)
}

/// Empties a journal.
pub(super) fn empty(journal: BorrowedFd<'_>) -> Result<(), Error> {
    set_size(journal, 0)
}

pub(super) fn write_at(file: BorrowedFd<'_>, bytes: &[u8], offset: u64) -> Result<(), Error> {
    let end = offset.checked_add(bytes.len() as u64).filter(|end| i64::try_from(*end).is_ok());
    end.ok_or(Error::OffsetOverflow { size: bytes.len() as u64 })?;
    Ok(fd::write_all_at(file, bytes, offset).map_err(IoOperation::Write.failed_at(offset))?)
}

pub(super) fn set_size(file: BorrowedFd<'_>, size: u64) -> Result<(), Error> {
    Ok(fd::ftruncate(file, size as i64).map_err(IoOperation::Write.failed_at(size))?)
}

/// Preallocates the space by which a file will grow, so that the device cannot be full in the middle of the update.
pub(super) fn preallocate_growth(file: BorrowedFd<'_>, from: u64, to: u64) -> Result<(), Error> {
    let allocated = if to > from { fd::fallocate(file, from, to - from) } else { Ok(()) };
    Ok(allocated.map_err(IoOperation::Write.failed_at(from))?)
}

pub(super) fn sync(file: BorrowedFd<'_>) -> Result<(), Error> {
    Ok(fd::fsync(file).map_err(IoOperation::Fsync.failed())?)
}
