//! The format of a journal: the bytes that an update will write to a file, stored beside it before the file changes.
//!
//! docs/format/fti-journal.md specifies it.

use super::block_hash::{BLOCK_SIZES, BlockHash};
use super::state::FileState;
use crate::alloc::try_with_capacity;
use crate::bytes::u64_at;
use crate::fti::error::Error;

const MAGIC: [u8; 8] = *b"FDCKREDO";
const VERSION: u8 = 1;

/// Size of the header in bytes. It ends in the checksum of header, records and hashes.
pub(super) const HEADER_SIZE: usize = 112;
const CHECKSUM_OFFSET: usize = 96;

/// Size of a record in bytes.
const RECORD_SIZE: usize = 16;

/// Header of a journal, without the numbers that follow from its records.
#[derive(Clone, Copy, Debug)]
pub(super) struct JournalHeader {
    pub(super) hash: BlockHash,
    pub(super) block_size: usize,
    /// Only [`resolve`](super::resolve) completes the update or rolls it back.
    pub(super) is_prepared: bool,
    pub(super) ckpt_id: i32,
    pub(super) before: FileState,
    pub(super) after: FileState,
}

/// Encodes a journal up to its data. `records` are offsets in the file and lengths; `hashes` are those of their blocks.
pub(super) fn encode_description(header: &JournalHeader, records: &[(u64, u64)], hashes: &[u8]) -> Result<Vec<u8>, Error> {
    let mut bytes = try_with_capacity(description_size(records.len(), hashes.len()))?;
    bytes.extend_from_slice(&MAGIC);
    bytes.extend_from_slice(&[VERSION, header.hash as u8, header.is_prepared.into(), 0]);
    bytes.extend_from_slice(&header.ckpt_id.to_le_bytes());
    for FileState { size, hash } in [header.before, header.after] {
        bytes.extend_from_slice(&size.to_le_bytes());
        bytes.extend_from_slice(&hash);
    }
    bytes.extend_from_slice(&(header.block_size as u64).to_le_bytes());
    bytes.extend_from_slice(&(records.len() as u64).to_le_bytes());
    bytes.extend_from_slice(&((hashes.len() / header.hash.hash_size()) as u64).to_le_bytes());
    bytes.extend_from_slice(&records.iter().map(|(_, length)| length).sum::<u64>().to_le_bytes());
    bytes.extend_from_slice(&[0; HEADER_SIZE - CHECKSUM_OFFSET]);
    for (offset, length) in records {
        bytes.extend_from_slice(&offset.to_le_bytes());
        bytes.extend_from_slice(&length.to_le_bytes());
    }
    bytes.extend_from_slice(hashes);
    let checksum = checksum(&bytes);
    bytes[CHECKSUM_OFFSET..HEADER_SIZE].copy_from_slice(&checksum);
    Ok(bytes)
}

/// Returns the number of bytes that precede the data.
fn description_size(record_count: usize, hashes_size: usize) -> usize {
    HEADER_SIZE + RECORD_SIZE * record_count + hashes_size
}

/// Computes the checksum of all bytes before the data, except of the checksum itself.
fn checksum(description: &[u8]) -> [u8; 16] {
    let mut md5 = fast_md5::Md5::new();
    md5.update(&description[..CHECKSUM_OFFSET]);
    md5.update(&description[HEADER_SIZE..]);
    md5.finalize()
}

/// A complete journal.
pub(super) struct Journal<'j> {
    pub(super) is_prepared: bool,
    pub(super) ckpt_id: i32,
    pub(super) before: FileState,
    pub(super) after: FileState,
    records: &'j [u8],
    data: &'j [u8],
}

impl<'j> Journal<'j> {
    /// Parses a journal. Returns `None` if it is incomplete or corrupt: the file was not changed then.
    pub(super) fn parse(bytes: &'j [u8]) -> Option<Self> {
        let (header, rest) = bytes.split_at_checked(HEADER_SIZE)?;
        let state = |at: usize| Some(FileState { size: u64_at(header, at), hash: *header[at + 8..].first_chunk()? });
        if header[..8] != MAGIC || header[8] != VERSION || header[10] > 1 || header[11] != 0 {
            return None;
        }
        let hash = BlockHash::from_u8(header[9])?;
        let block_size = usize::try_from(u64_at(header, 64)).ok().filter(|size| BLOCK_SIZES.contains(size))?;
        let size = |at: usize, element: usize| usize::try_from(u64_at(header, at)).ok()?.checked_mul(element);
        let (records, rest) = rest.split_at_checked(size(72, RECORD_SIZE)?)?;
        let (mut hashes, rest) = rest.split_at_checked(size(80, hash.hash_size())?)?;
        let (data, _) = rest.split_at_checked(size(88, 1)?)?;
        let description = &bytes[..description_size(records.len() / RECORD_SIZE, hashes.len())];
        if checksum(description) != header[CHECKSUM_OFFSET..] {
            return None;
        }
        let journal = Self {
            is_prepared: header[10] == 1,
            ckpt_id: i32::from_le_bytes(*header[12..].first_chunk()?),
            before: state(16)?,
            after: state(40)?,
            records,
            data,
        };
        let mut rest = data;
        for (offset, length) in journal.records() {
            offset.checked_add(length).filter(|end| *end <= journal.after.size && i64::try_from(*end).is_ok())?;
            let (bytes, later) = rest.split_at_checked(usize::try_from(length).ok()?)?;
            let (of_record, more) = hashes.split_at_checked(bytes.len().div_ceil(block_size) * hash.hash_size())?;
            if !hash.matches(bytes, block_size, of_record) {
                return None;
            }
            (rest, hashes) = (later, more);
        }
        (rest.is_empty() && hashes.is_empty()).then_some(journal)
    }

    /// Iterates over the records: offset in the file, and length.
    fn records(&self) -> impl Iterator<Item = (u64, u64)> + use<'j> {
        self.records.chunks_exact(RECORD_SIZE).map(move |record| (u64_at(record, 0), u64_at(record, 8)))
    }

    /// Iterates over the writes to the file: offset and bytes.
    pub(super) fn writes(&self) -> impl Iterator<Item = (u64, &'j [u8])> {
        let mut rest = self.data;
        self.records().map(move |(offset, length)| {
            let (bytes, later) = rest.split_at(length as usize);
            rest = later;
            (offset, bytes)
        })
    }
}

/// Parses a journal and returns the number of bytes that it would write.
#[cfg(fuzzing)]
pub fn fuzz_journal(bytes: &[u8]) -> Option<u64> {
    Journal::parse(bytes).map(|journal| journal.writes().map(|(_, bytes)| bytes.len() as u64).sum())
}
