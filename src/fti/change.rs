//! Comparing two files, and making one acceptable to FTI.

use std::ffi::CString;
use std::os::fd::AsFd;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use super::error::Error;
use super::format::{self, HASH, HEADER_HASH};
use super::issue::{Field, Severity};
use super::{Checkpoint, SyncMode};
use crate::atomic_file::{self, AtomicFile};
use crate::error_base::IoOperation;
use crate::mapped_file::map_file;
use crate::sys::dir;
use crate::sys::fd::{self, FileId};
use crate::sys::mmap::Mmap;

/// Where two checkpoints differ.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Difference {
    /// A variable that only the first one has.
    OnlyInFirst {
        /// Its id.
        id: i32,
    },
    /// A variable that only the second one has.
    OnlyInSecond {
        /// Its id.
        id: i32,
    },
    /// A variable has another size.
    Size {
        /// Its id.
        id: i32,
        /// Its size in the first one.
        first: u64,
        /// Its size in the second one.
        second: u64,
    },
    /// A variable has other bytes, as far as both have some.
    Data {
        /// Its id.
        id: i32,
        /// Where in the variable the first byte is that differs.
        offset: u64,
        /// How many bytes differ.
        bytes: u64,
    },
    /// The data of a variable can't be compared, as one of the files lacks some of it.
    Unreadable {
        /// Its id.
        id: i32,
    },
}

/// Compares the variables of two checkpoints, whatever their generations and containers, and calls `note` with each difference.
/// Returns how many there are. Hashes are not checked: [`Checkpoint::verify`] does that.
pub fn diff(first: &Checkpoint<'_>, second: &Checkpoint<'_>, note: &mut dyn FnMut(&Difference)) -> u64 {
    let mut count = 0;
    let mut tell = |difference: Difference| {
        count += 1;
        note(&difference);
    };
    for variable in &first.variables {
        let id = variable.id;
        let Ok(other) = second.variable(id) else {
            tell(Difference::OnlyInFirst { id });
            continue;
        };
        if other.size != variable.size {
            tell(Difference::Size { id, first: variable.size, second: other.size });
        }
        match differing(first, second, id) {
            Some(None) => {}
            Some(Some((offset, bytes))) => tell(Difference::Data { id, offset, bytes }),
            None => tell(Difference::Unreadable { id }),
        }
    }
    for variable in &second.variables {
        if first.variable(variable.id).is_err() {
            tell(Difference::OnlyInSecond { id: variable.id });
        }
    }
    count
}

/// The first byte that differs, and how many do; `None` where some are not there.
fn differing(first: &Checkpoint<'_>, second: &Checkpoint<'_>, id: i32) -> Option<Option<(u64, u64)>> {
    let (mut first, mut second) = (Bytes::of(first, id), Bytes::of(second, id));
    let (mut at, mut found) = (0u64, None::<(u64, u64)>);
    loop {
        let (one, other) = (first.next()?, second.next()?);
        let size = one.len().min(other.len());
        if size == 0 {
            return Some(found);
        }
        let (one, other) = (first.take(size), second.take(size));
        if one != other {
            let mut differing = one.iter().zip(other).enumerate().filter(|(_, (one, other))| one != other);
            let place = differing.next().map_or(0, |(place, _)| place as u64);
            let (first, bytes) = found.unwrap_or((at + place, 0));
            found = Some((first, bytes + 1 + differing.count() as u64));
        }
        at += size as u64;
    }
}

/// The bytes of a variable, chunk by chunk.
struct Bytes<'c> {
    checkpoint: &'c Checkpoint<'c>,
    containers: &'c [usize],
    chunk: &'c [u8],
}

impl<'c> Bytes<'c> {
    fn of(checkpoint: &'c Checkpoint<'c>, id: i32) -> Self {
        Self { checkpoint, containers: checkpoint.containers_of(id), chunk: &[] }
    }

    /// The bytes that come next, none at the end; `None` where the file lacks them.
    fn next(&mut self) -> Option<&'c [u8]> {
        while let Some((&at, rest)) = self.containers.split_first().filter(|_| self.chunk.is_empty()) {
            self.containers = rest;
            let container = &self.checkpoint.containers[at];
            if container.has_chunk() {
                self.chunk = self.checkpoint.chunk(container)?;
            }
        }
        Some(self.chunk)
    }

    /// Passes over bytes that [`next`](Self::next) has returned.
    fn take(&mut self, size: usize) -> &'c [u8] {
        let (taken, rest) = self.chunk.split_at(size);
        self.chunk = rest;
        taken
    }
}

/// Makes a file whose data is sound one that is as it should be: sets the checksum to the one that FTI demands, the header's sizes
/// and hash to those that belong to the file, hashes that the checksum shows to be wrong to what they should be, and cuts what is
/// behind the end, from generation C on. No byte of data is changed.
///
/// Returns how much was set right; where it is nothing, the file stays. Else a new file takes its place, as
/// [`SyncMode`] says.
///
/// # Errors
/// [`Error::Corrupt`] where something else is damaged; then the file stays. [`Error::UnknownFormat`]; [`Error::Io`];
/// [`Error::OutOfMemory`].
pub fn repair(path: impl AsRef<Path>, sync: SyncMode) -> Result<u64, Error> {
    let path = path.as_ref();
    let map = open(path)?;
    let bytes = map.bytes();
    let checkpoint = Checkpoint::parse(bytes)?;
    let (format, at) = (checkpoint.generation.format(), checkpoint.header.offset);
    let mut header = [0; format::HEADER_MAX];
    let header = &mut header[..format.header];
    header.copy_from_slice(checkpoint.header_bytes());

    // At most one hash is known to be wrong in A, and few in other files.
    let mut hashes: Vec<(u64, [u8; HASH])> = Vec::new();
    let (mut refusal, mut right) = (None, 0);
    let (_, hashed) = checkpoint.verify_with(1, &mut |finding| {
        let expected = match finding.expected {
            super::Value::Number(number) => number,
            _ => 0,
        };
        match finding.field {
            _ if finding.severity == Severity::Remark => return,
            Field::CkptSize => format::put(format.ckpt_size, header, expected),
            Field::Fs => format::put(format.fs, header, expected),
            Field::MetaSize => format::put(format.meta_size, header, expected),
            Field::DataSize => format::put(format.data_size, header, expected),
            Field::Checksum | Field::MyHash => {}
            Field::FileSize if finding.variable.is_none() && expected < bytes.len() as i64 => {}
            Field::Hash if hashes.try_reserve(1).is_ok() => {
                let super::Value::Hash(hash) = finding.expected else { return };
                hashes.push((finding.offset, hash));
            }
            _ => {
                refusal.get_or_insert(finding.error());
            }
        }
        right += 1;
    })?;
    if let Some(error) = refusal {
        return Err(error);
    }
    if right == 0 {
        return Ok(0);
    }
    let checksum = match hashes.first() {
        Some(&(place, hash)) if checkpoint.generation == super::FormatVersion::V1_1 => checkpoint.checksum_with(place, hash),
        _ => checkpoint.checksum_by_reader(&hashed),
    };
    let checksum = checksum.ok_or(Error::Corrupt { field: Field::Checksum, variable: None, container: None, offset: at })?;
    header[..2 * HASH].copy_from_slice(&format::hex(checksum));
    header[2 * HASH] = 0;
    let hash = format.header_hash(header);
    header[HEADER_HASH].copy_from_slice(&hash);

    let end = if checkpoint.generation.is_header_first() { bytes.len() } else { at as usize + format.header };
    let file = AtomicFile::begin(path, sync)?;
    file.write_at(&bytes[..end], 0)?;
    hashes.iter().try_for_each(|(place, hash)| file.write_at(hash, *place))?;
    file.write_at(header, at)?;
    file.commit()?;
    Ok(right)
}

/// Maps a file for reading, when an update of it that a crash has interrupted has been ended.
pub(crate) fn open(path: &Path) -> Result<Mmap, Error> {
    open_known(path).map(|(map, _)| map)
}

/// The same, and which file it is.
pub(crate) fn open_known(path: &Path) -> Result<(Mmap, FileId), Error> {
    super::finish_update(path)?;
    let file = dir::open(&c_path(path)?).map_err(IoOperation::Open.failed())?;
    let id = fd::file_id(file.as_fd()).map_err(IoOperation::Open.failed())?;
    Ok((map_file(file)?, id))
}

/// The path as C has it.
pub(crate) fn c_path(path: &Path) -> Result<CString, Error> {
    Ok(atomic_file::c_path(path.as_os_str().as_bytes())?)
}
