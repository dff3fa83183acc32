//! Making a file acceptable to FTI.

use std::path::Path;

use super::error::Error;
use super::format::{self, HASH_SIZE, HEADER_HASH_RANGE};
use super::issue::{Field, Severity, Value};
use super::open::open;
use super::{Checkpoint, FormatVersion, SyncMode};
use crate::atomic_file::AtomicFile;

/// Repairs the metadata of a file whose data is intact. Never changes data.
///
/// Sets the checksum to the one that FTI requires, and corrects the header's sizes and hash. Corrects a container's hash if the
/// checksum proves it wrong. From FTI 1.3 on, removes bytes after the end.
///
/// Returns the number of corrections. If there are any, a new file replaces the old one, durably as `sync` says.
///
/// # Errors
/// [`Error::Corrupt`] if anything else is corrupt: the file is not changed. [`Error::UnknownFormat`]; [`Error::Io`];
/// [`Error::OutOfMemory`].
pub fn repair(path: impl AsRef<Path>, sync: SyncMode) -> Result<u64, Error> {
    let path = path.as_ref();
    let map = open(path)?;
    let bytes = map.bytes();
    let checkpoint = Checkpoint::parse(bytes)?;
    let (format, header_offset) = (checkpoint.version.format(), checkpoint.header.offset);
    let mut header = [0; format::HEADER_SIZE_MAX];
    let header = &mut header[..format.header_size];
    header.copy_from_slice(checkpoint.header_bytes());

    // At most one hash is known to be wrong in FTI 1.1, and few in later versions.
    let mut hashes: Vec<(u64, [u8; HASH_SIZE])> = Vec::new();
    let (mut failure, mut corrections) = (None, 0);
    let (_, hashed) = checkpoint.verify_with(1, &mut |issue| {
        let expected = match issue.expected {
            Value::Number(number) => number,
            _ => 0,
        };
        match issue.field {
            _ if issue.severity == Severity::Note => return,
            Field::CkptSize => format::put(format.ckpt_size, header, expected),
            Field::Fs => format::put(format.fs, header, expected),
            Field::MetaSize => format::put(format.meta_size, header, expected),
            Field::DataSize => format::put(format.data_size, header, expected),
            Field::Checksum | Field::MyHash => {}
            Field::FileSize if issue.variable.is_none() && expected < bytes.len() as i64 => {}
            Field::Hash if hashes.try_reserve(1).is_ok() => {
                let Value::Hash(hash) = issue.expected else { return };
                hashes.push((issue.offset, hash));
            }
            _ => {
                failure.get_or_insert(issue.error());
            }
        }
        corrections += 1;
    })?;
    if let Some(error) = failure {
        return Err(error);
    }
    if corrections == 0 {
        return Ok(0);
    }
    let checksum = match hashes.first() {
        Some(&(offset, hash)) if checkpoint.version == FormatVersion::V1_1 => checkpoint.checksum_with(offset, hash),
        _ => checkpoint.checksum_as_read_by_fti(&hashed),
    };
    let checksum =
        checksum.ok_or(Error::Corrupt { field: Field::Checksum, variable: None, container: None, offset: header_offset })?;
    header[..2 * HASH_SIZE].copy_from_slice(&format::hex(checksum));
    header[2 * HASH_SIZE] = 0;
    let hash = format.header_hash(header);
    header[HEADER_HASH_RANGE].copy_from_slice(&hash);

    let end = if checkpoint.version.is_header_first() { bytes.len() } else { header_offset as usize + format.header_size };
    let file = AtomicFile::begin(path, sync)?;
    file.write_at(&bytes[..end], 0)?;
    hashes.iter().try_for_each(|(offset, hash)| file.write_at(hash, *offset))?;
    file.write_at(header, header_offset)?;
    file.commit()?;
    Ok(corrections)
}
