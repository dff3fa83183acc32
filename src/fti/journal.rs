//! The journal of an update in place: what is to be written to the file, beside it, before a byte of the file changes.
//!
//! docs/format/fti-journal.md describes it, and in which order all is written and synced.

use std::ffi::CString;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use super::block_hash::{BlockHash, SIZES};
use super::error::Error;
use super::format::HASH;
use super::{Checkpoint, parse};
use crate::alloc::try_with_capacity;
use crate::atomic_file;
use crate::bytes::u64_at;
use crate::error_base::IoOperation;
use crate::mapped_file::map_file;
use crate::sys::fd::FileId;
use crate::sys::lock::FileLock;
use crate::sys::mmap::Mmap;
use crate::sys::{dir, fd};

const MAGIC: [u8; 8] = *b"FDCKREDO";
const VERSION: u8 = 1;

/// Bytes in front of the records, the last of them the checksum of what describes the data.
pub(super) const HEAD: usize = 112;
const SUM: usize = 96;

/// Bytes of a record.
const RECORD: usize = 16;

/// So many bytes at a file's end are looked at: at least a header, of any generation.
const TAIL: usize = 128;

/// Which state a file is in: its size, and its header's hash of itself; the MD5 of its last bytes, where it ends in no header.
///
/// That of a header of which a part was written has neither the old hash nor the new one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Identity {
    pub(super) size: u64,
    pub(super) mark: [u8; HASH],
}

impl Identity {
    /// That of a file of `size` bytes which ends in `tail`.
    pub(super) fn new(size: u64, tail: &[u8]) -> Self {
        let tail = &tail[tail.len().saturating_sub(TAIL)..];
        Self { size, mark: parse::hash_at_end(tail).unwrap_or_else(|| fast_md5::digest(tail)) }
    }

    /// That of a file in memory.
    pub(super) fn of(bytes: &[u8]) -> Self {
        Self::new(bytes.len() as u64, bytes)
    }

    /// That of no file, and of an empty one.
    pub(super) fn none() -> Self {
        Self::of(&[])
    }

    fn of_file(file: BorrowedFd<'_>) -> Result<Self, Error> {
        let size = fd::size(file).map_err(IoOperation::Mmap.failed())?;
        let mut tail = [0; TAIL];
        let tail = &mut tail[..size.min(TAIL as u64) as usize];
        let at = size - tail.len() as u64;
        let mut got = 0;
        while got < tail.len() {
            let read = fd::read_at(file, (at + got as u64) as i64, &mut tail[got..]);
            match read.map_err(IoOperation::Read.failed_at(at + got as u64))? {
                0 => return Err(Error::FileChanged),
                read => got += read,
            }
        }
        Ok(Self::new(size, tail))
    }
}

/// Files beside the one that is updated, with its name and something behind it.
#[derive(Clone, Copy)]
pub(super) enum Beside {
    Journal,
    Hashes,
}

/// A file that is updated in place: its folder, and the names.
pub(super) struct Place {
    folder: OwnedFd,
    name: CString,
    journal: CString,
    hashes: CString,
}

impl Place {
    /// With a folder that can be synced, if so asked for.
    pub(super) fn of(path: &Path, to_sync: bool) -> Result<Self, Error> {
        let name = path.file_name().ok_or(Error::InvalidArgument("the path does not end in a file name"))?.as_bytes();
        let parent = path.parent().map(|parent| parent.as_os_str().as_bytes()).unwrap_or_default();
        let parent = atomic_file::c_path(if parent.is_empty() { b"." } else { parent })?;
        let beside = |behind: &[u8]| {
            let mut beside = try_with_capacity(name.len() + behind.len())?;
            beside.extend_from_slice(name);
            beside.extend_from_slice(behind);
            Ok::<_, Error>(atomic_file::c_path(&beside)?)
        };
        let (name, journal, hashes) = (atomic_file::c_path(name)?, beside(b".journal")?, beside(b".hashes")?);
        let folder = dir::open_dir(&parent, to_sync).map_err(IoOperation::OpenDirectory.failed())?;
        Ok(Self { folder, name, journal, hashes })
    }

    /// Opens the file, if it is there, keeps others from changing it in place at the same time, and tells which state it is in.
    pub(super) fn open(&self, to_change: bool) -> Result<Option<(FileLock, Identity)>, Error> {
        let open = if to_change { dir::open_rw_nofollow } else { dir::open_read };
        loop {
            let file = match open(self.folder.as_fd(), &self.name) {
                Err(errno) if errno.is_not_found() => return Ok(None),
                result => result.map_err(IoOperation::Open.failed())?,
            };
            let file = FileLock::try_new(file).ok_or(Error::FileBusy)?;
            // Another one can have taken its place before it was locked.
            if self.is_current(file.as_fd())? {
                let identity = Identity::of_file(file.as_fd())?;
                return Ok(Some((file, identity)));
            }
        }
    }

    /// Whether this is the file that has the name.
    fn is_current(&self, file: BorrowedFd<'_>) -> Result<bool, Error> {
        Ok(self.id()? == Some(id(file)?))
    }

    /// Which file has the name.
    fn id(&self) -> Result<Option<FileId>, Error> {
        Ok(dir::file_id_at(self.folder.as_fd(), &self.name).map_err(IoOperation::Open.failed())?)
    }

    /// Makes the file that is not there.
    fn create(&self) -> Result<OwnedFd, Error> {
        Ok(dir::create_new(self.folder.as_fd(), &self.name).map_err(IoOperation::CreateTempFile.failed())?)
    }

    fn name_of(&self, which: Beside) -> &CString {
        match which {
            Beside::Journal => &self.journal,
            Beside::Hashes => &self.hashes,
        }
    }

    /// A file beside it, to be written; a new one is for those that `file` is for, if that is there.
    pub(super) fn open_or_create(&self, which: Beside, file: Option<&FileLock>) -> Result<OwnedFd, Error> {
        let name = self.name_of(which);
        let made = match dir::create_new(self.folder.as_fd(), name) {
            Err(errno) if errno.is_already_exists() => dir::open_rw_nofollow(self.folder.as_fd(), name),
            Ok(made) => match file {
                Some(file) => fd::copy_permissions(file.as_fd(), made.as_fd()).map(|()| made),
                None => Ok(made),
            },
            result => result,
        };
        Ok(made.map_err(IoOperation::CreateTempFile.failed())?)
    }

    /// An empty journal, which others leave alone, for an update of this file (which is locked), or of none.
    pub(super) fn begin_journal(&self, file: Option<&(FileLock, Identity)>) -> Result<FileLock, Error> {
        let journal = self.open_or_create(Beside::Journal, file.map(|(file, _)| file))?;
        let journal = self.lock_journal(journal, file.is_some())?;
        self.check_unbegun_in(&journal, file)?;
        discard(journal.as_fd())?;
        Ok(journal)
    }

    /// Keeps others from the journal. A file that is there is locked before; where it is not there, this lock alone keeps others from
    /// making it.
    fn lock_journal(&self, journal: OwnedFd, file_is_there: bool) -> Result<FileLock, Error> {
        let journal = FileLock::try_new(journal).ok_or(Error::FileBusy)?;
        if self.id()?.is_some() == file_is_there { Ok(journal) } else { Err(Error::FileBusy) }
    }

    /// Fails if somebody has begun an update of this file, which is locked now, after [`finish`](Self::finish) has looked.
    pub(super) fn check_unbegun(&self, file: Option<&(FileLock, Identity)>) -> Result<(), Error> {
        match self.open_filled(Beside::Journal)? {
            None => Ok(()),
            Some(journal) => self.check_unbegun_in(&self.lock_journal(journal, file.is_some())?, file),
        }
    }

    fn check_unbegun_in(&self, journal: &FileLock, file: Option<&(FileLock, Identity)>) -> Result<(), Error> {
        let begun = |journal: &Journal<'_>| if journal.prepared { Error::TransactionInDoubt } else { Error::FileBusy };
        self.unfinished_in(journal, file, |journal, _| Err(begun(journal))).map(|_: Option<()>| ())
    }

    /// Has the names in the folder written to the device.
    pub(super) fn sync_folder(&self) -> Result<(), Error> {
        Ok(atomic_file::sync_if_possible(self.folder.as_fd(), IoOperation::FsyncDirectory)?)
    }

    /// Sees to it that a crash does not bring back what was in the journal, before the file is replaced: the new one may be in the state
    /// in which the journal would be done once more.
    pub(super) fn sync_journal(&self) -> Result<(), Error> {
        self.open_beside(Beside::Journal)?.map_or(Ok(()), |journal| sync(journal.as_fd()))
    }

    /// A file beside it, if it is there.
    fn open_beside(&self, which: Beside) -> Result<Option<OwnedFd>, Error> {
        match dir::open_read(self.folder.as_fd(), self.name_of(which)) {
            // Nobody can have made one whose name would be too long.
            Err(errno) if errno.is_not_found() || errno.is_name_too_long() => Ok(None),
            result => Ok(Some(result.map_err(IoOperation::Open.failed())?)),
        }
    }

    /// A file beside it, if it is there and has something in it.
    fn open_filled(&self, which: Beside) -> Result<Option<OwnedFd>, Error> {
        let Some(file) = self.open_beside(which)? else { return Ok(None) };
        let size = fd::size(file.as_fd()).map_err(IoOperation::Mmap.failed())?;
        Ok(Some(file).filter(|_| size > 0))
    }

    /// The hashes that were kept, if there are any.
    pub(super) fn map_hashes(&self) -> Result<Option<Mmap>, Error> {
        Ok(self.open_filled(Beside::Hashes)?.map(map_file).transpose()?)
    }

    /// Empties the journal.
    fn discard_journal(&self) -> Result<(), Error> {
        let journal = dir::open_rw_nofollow(self.folder.as_fd(), &self.journal).map_err(IoOperation::Open.failed())?;
        discard(journal.as_fd())?;
        sync(journal.as_fd())
    }

    /// Calls `found` with the journal of an update that was begun and not ended, if there is one for this state of the file, and with
    /// the file, which is locked meanwhile.
    fn unfinished<R>(
        &self,
        found: impl FnOnce(&Journal<'_>, Option<&(FileLock, Identity)>) -> Result<R, Error>,
    ) -> Result<Option<R>, Error> {
        // Most often there is none. Should there be one, only who has locked file and journal reads it: others could empty it meanwhile.
        let Some(journal) = self.open_filled(Beside::Journal)? else { return Ok(None) };
        let file = self.open(false)?;
        let journal = self.lock_journal(journal, file.is_some())?;
        self.unfinished_in(&journal, file.as_ref(), found)
    }

    /// The same for a file and a journal that are locked.
    fn unfinished_in<R>(
        &self,
        journal: &FileLock,
        file: Option<&(FileLock, Identity)>,
        found: impl FnOnce(&Journal<'_>, Option<&(FileLock, Identity)>) -> Result<R, Error>,
    ) -> Result<Option<R>, Error> {
        if fd::size(journal.as_fd()).map_err(IoOperation::Mmap.failed())? == 0 {
            return Ok(None);
        }
        let map = map_file(journal)?;
        let Some(journal) = Journal::parse(map.bytes()) else { return Ok(None) };
        if !journal.is_for(file)? {
            return Ok(None);
        }
        found(&journal, file).map(Some)
    }

    /// Ends the update that the journal has, if it has one, so that the file is as it was to be. One that was prepared is not for
    /// this function to decide on, unless `also_prepared`. Returns whether there was one.
    pub(super) fn finish(&self, also_prepared: bool) -> Result<bool, Error> {
        let finished = self.unfinished(|journal, file| {
            if journal.prepared && !also_prepared {
                return Err(Error::TransactionInDoubt);
            }
            let size = file.map_or(0, |(_, identity)| identity.size);
            let to_change = match file {
                None => self.create()?,
                Some(_) => dir::open_rw_nofollow(self.folder.as_fd(), &self.name).map_err(IoOperation::Open.failed())?,
            };
            let to_change = to_change.as_fd();
            // A checkpoint that has taken the place of the file since it was locked is not to be touched.
            if let Some((file, _)) = file
                && id(file.as_fd())? != id(to_change)?
            {
                return Err(Error::FileBusy);
            }
            journal.records().try_for_each(|(offset, bytes)| write_at(to_change, bytes, offset))?;
            if size > journal.after.size {
                set_size(to_change, journal.after.size)?;
            }
            sync(to_change)?;
            if file.is_none() {
                self.sync_folder()?;
            }
            self.discard_journal()
        })?;
        Ok(finished.is_some())
    }

    /// Gives up an update that was prepared: the file must be as it was.
    pub(super) fn abandon(&self) -> Result<bool, Error> {
        let abandoned = self.unfinished(|journal, file| {
            if let Some((file, identity)) = file {
                if *identity != journal.before {
                    return Err(Error::PartiallyApplied);
                }
                // Part of it may have been written already.
                if !is_sound(map_file(file)?.bytes())? {
                    return Err(Error::CorruptTarget);
                }
            }
            self.discard_journal()
        })?;
        Ok(abandoned.is_some())
    }

    /// Number of the checkpoint in the journal, and whether it was prepared.
    pub(super) fn pending(&self) -> Result<Option<(i32, bool)>, Error> {
        self.unfinished(|journal, _| Ok((journal.ckpt_id, journal.prepared)))
    }
}

/// What the head of a journal has.
#[derive(Clone, Copy, Debug)]
pub(super) struct Head {
    pub(super) kind: BlockHash,
    pub(super) block_size: usize,
    /// Nobody but [`settle`](super::settle) ends it.
    pub(super) prepared: bool,
    pub(super) ckpt_id: i32,
    pub(super) before: Identity,
    pub(super) after: Identity,
}

/// What is in front of a journal's data, as it is written: `records` are offsets in the file and lengths, `hashes` those of their blocks.
pub(super) fn describe(head: &Head, records: &[(u64, u64)], hashes: &[u8]) -> Result<Vec<u8>, Error> {
    let mut bytes = try_with_capacity(description_size(records.len(), hashes.len()))?;
    bytes.extend_from_slice(&MAGIC);
    bytes.extend_from_slice(&[VERSION, head.kind as u8, head.prepared.into(), 0]);
    bytes.extend_from_slice(&head.ckpt_id.to_le_bytes());
    for Identity { size, mark } in [head.before, head.after] {
        bytes.extend_from_slice(&size.to_le_bytes());
        bytes.extend_from_slice(&mark);
    }
    bytes.extend_from_slice(&(head.block_size as u64).to_le_bytes());
    bytes.extend_from_slice(&(records.len() as u64).to_le_bytes());
    bytes.extend_from_slice(&((hashes.len() / head.kind.width()) as u64).to_le_bytes());
    bytes.extend_from_slice(&records.iter().map(|(_, length)| length).sum::<u64>().to_le_bytes());
    bytes.extend_from_slice(&[0; HEAD - SUM]);
    for (offset, length) in records {
        bytes.extend_from_slice(&offset.to_le_bytes());
        bytes.extend_from_slice(&length.to_le_bytes());
    }
    bytes.extend_from_slice(hashes);
    let sum = checksum(&bytes);
    bytes[SUM..HEAD].copy_from_slice(&sum);
    Ok(bytes)
}

/// Bytes in front of the data.
pub(super) fn description_size(records: usize, hashes: usize) -> usize {
    HEAD + RECORD * records + hashes
}

/// Of all that is in front of the data, but itself.
fn checksum(description: &[u8]) -> [u8; 16] {
    let mut md5 = fast_md5::Md5::new();
    md5.update(&description[..SUM]);
    md5.update(&description[HEAD..]);
    md5.finalize()
}

/// A journal that is whole.
struct Journal<'j> {
    prepared: bool,
    ckpt_id: i32,
    before: Identity,
    after: Identity,
    records: &'j [u8],
    data: &'j [u8],
}

impl<'j> Journal<'j> {
    /// Nothing where it is no journal, or one of which a part is missing or not what it was to be: then not a byte of the file was changed.
    fn parse(bytes: &'j [u8]) -> Option<Self> {
        let (head, rest) = bytes.split_at_checked(HEAD)?;
        let identity = |at: usize| Some(Identity { size: u64_at(head, at), mark: *head[at + 8..].first_chunk()? });
        if head[..8] != MAGIC || head[8] != VERSION || head[10] > 1 || head[11] != 0 {
            return None;
        }
        let kind = BlockHash::of_number(head[9])?;
        let block_size = usize::try_from(u64_at(head, 64)).ok().filter(|size| SIZES.contains(size))?;
        let count = |at: usize, each: usize| usize::try_from(u64_at(head, at)).ok()?.checked_mul(each);
        let (records, rest) = rest.split_at_checked(count(72, RECORD)?)?;
        let (mut hashes, rest) = rest.split_at_checked(count(80, kind.width())?)?;
        let (data, _) = rest.split_at_checked(count(88, 1)?)?;
        let description = &bytes[..description_size(records.len() / RECORD, hashes.len())];
        if checksum(description) != head[SUM..] {
            return None;
        }
        let journal = Self {
            prepared: head[10] == 1,
            ckpt_id: i32::from_le_bytes(*head[12..].first_chunk()?),
            before: identity(16)?,
            after: identity(40)?,
            records,
            data,
        };
        let mut left = data;
        for (offset, length) in journal.places() {
            offset.checked_add(length).filter(|end| *end <= journal.after.size && i64::try_from(*end).is_ok())?;
            let (bytes, others) = left.split_at_checked(usize::try_from(length).ok()?)?;
            let (of_record, more) = hashes.split_at_checked(bytes.len().div_ceil(block_size) * kind.width())?;
            if !kind.fits(bytes, block_size, of_record) {
                return None;
            }
            (left, hashes) = (others, more);
        }
        (left.is_empty() && hashes.is_empty()).then_some(journal)
    }

    /// Offsets and lengths.
    fn places(&self) -> impl Iterator<Item = (u64, u64)> + use<'j> {
        self.records.chunks_exact(RECORD).map(move |record| (u64_at(record, 0), u64_at(record, 8)))
    }

    /// What belongs where in the file.
    fn records(&self) -> impl Iterator<Item = (u64, &'j [u8])> {
        let mut left = self.data;
        self.places().map(move |(offset, length)| {
            let (bytes, others) = left.split_at(length as usize);
            left = others;
            (offset, bytes)
        })
    }

    /// Whether the file is in the state before or after the update, or between them: not in another one that is sound, which somebody
    /// else has made since.
    fn is_for(&self, file: Option<&(FileLock, Identity)>) -> Result<bool, Error> {
        let Some((file, identity)) = file else { return Ok(self.before == Identity::none()) };
        if [self.before, self.after].contains(identity) {
            return Ok(true);
        }
        if identity.size < self.before.size.min(self.after.size) || identity.size > self.before.size.max(self.after.size) {
            return Ok(false);
        }
        if identity.size == 0 {
            return Ok(true);
        }
        let map = map_file(file)?;
        let bytes = map.bytes();
        // Data can have a checkpoint in it: one that is all of the file tells its size. A header in front says nothing of what is behind it.
        Ok(match parse::size_by_header(bytes) {
            Some((size, is_in_front)) if size == identity.size => is_in_front && !is_sound(bytes)?,
            _ => true,
        })
    }
}

/// What the fuzzer calls.
#[doc(hidden)]
pub fn fuzz_journal(bytes: &[u8]) -> Option<u64> {
    Journal::parse(bytes).map(|journal| journal.records().map(|(_, bytes)| bytes.len() as u64).sum())
}

/// Whether a file is a checkpoint without damage.
fn is_sound(file: &[u8]) -> Result<bool, Error> {
    match Checkpoint::parse(file) {
        Err(Error::OutOfMemory) => Err(Error::OutOfMemory),
        Err(_) => Ok(false),
        Ok(checkpoint) => Ok(checkpoint.verify(1, &mut |_| {})?.is_sound()),
    }
}

/// Which file is open.
pub(super) fn id(file: BorrowedFd<'_>) -> Result<FileId, Error> {
    Ok(fd::file_id(file).map_err(IoOperation::Open.failed())?)
}

/// Empties a journal.
pub(super) fn discard(journal: BorrowedFd<'_>) -> Result<(), Error> {
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

/// Sees to it that a file which is to grow from one size to another one finds room on the device.
pub(super) fn reserve(file: BorrowedFd<'_>, from: u64, to: u64) -> Result<(), Error> {
    let room = if to > from { fd::fallocate(file, from, to - from) } else { Ok(()) };
    Ok(room.map_err(IoOperation::Write.failed_at(from))?)
}

pub(super) fn sync(file: BorrowedFd<'_>) -> Result<(), Error> {
    Ok(fd::fsync(file).map_err(IoOperation::Fsync.failed())?)
}
