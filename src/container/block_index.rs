//! The block index: the contents of a section of type 1, and of legacy files.

use super::Container;
use super::error::Error;
use crate::alloc::{try_copy, try_with_capacity};

/// Type of the section with the block index.
pub(crate) const SECTION: u8 = 1;

/// Size in bytes of a record's header: checksum, type, length.
const HEADER_SIZE: usize = 9;

const INDEX: u8 = 3;
const INDEX_PAYLOAD: usize = 32;
const INDEX_RECORD: usize = HEADER_SIZE + INDEX_PAYLOAD;

const FOOTER: u8 = 4;
const FOOTER_MAGIC: [u8; 4] = [0x46, 0x54, 0x52, 0x01];
const PAYLOAD_V5: usize = 36;
const PAYLOAD_V6: usize = 44;

const TOO_MANY: Error = Error::InvalidArgument("too many blocks for an index");

/// Value of [`BlockFooter::last_add_confirmed`] without entries.
const NO_ENTRY: i64 = -1;

/// A block in a block index.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Block {
    /// The block's number.
    pub number: i32,
    /// Its offset.
    pub start_offset: i64,
    /// Its size in bytes.
    pub size: u32,
    /// Id of its first entry.
    pub first_entry_id: i64,
    /// Id of its last entry.
    pub last_entry_id: i64,
}

/// The footer of a block index.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BlockFooter {
    /// The number of blocks.
    pub total_blocks: i32,
    /// The number of records.
    pub total_records: u32,
    /// The sum of the blocks' sizes.
    pub total_size: u64,
    /// Offset of the index records.
    pub index_offset: u64,
    /// Size of the index records in bytes.
    pub index_length: u32,
    /// 5 or 6. Version 5 has no `last_add_confirmed`.
    pub version: u16,
    /// Bit 0: compacted.
    pub flags: u16,
    /// Id of the last entry that is known to be written, or -1.
    pub last_add_confirmed: i64,
}

impl BlockFooter {
    /// Creates the footer of version 6 for `blocks`.
    pub(crate) fn new(blocks: impl ExactSizeIterator<Item = Block>) -> Result<Self, Error> {
        let count = blocks.len();
        // A count that fits this field fits the others too.
        let length = count.checked_mul(INDEX_RECORD).and_then(|length| u32::try_from(length).ok()).ok_or(TOO_MANY)?;
        let mut footer = Self {
            total_blocks: count as i32,
            total_records: count as u32,
            total_size: 0,
            index_offset: 0,
            index_length: length,
            version: 6,
            flags: 0,
            last_add_confirmed: NO_ENTRY,
        };
        for block in blocks {
            footer.total_size += u64::from(block.size);
            footer.last_add_confirmed = block.last_entry_id;
        }
        Ok(footer)
    }

    fn payload_size(&self) -> Result<usize, Error> {
        match self.version {
            5 => Ok(PAYLOAD_V5),
            6 => Ok(PAYLOAD_V6),
            _ => Err(Error::InvalidArgument("the version of the block footer must be 5 or 6")),
        }
    }
}

/// Where and reason the decoding of a block index stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ParseStop {
    /// Offset in the payload in bytes.
    pub offset: u64,
    /// What is wrong.
    pub reason: &'static str,
}

/// A block index: the payload of a container's section of type 1, or a legacy file, which has only this payload.
///
/// ```
/// use fdckpt::container::{Block, BlockIndex, Container};
///
/// # fn main() -> Result<(), fdckpt::Error> {
/// let blocks = [Block { size: 2_000_000, last_entry_id: 99, ..Block::default() }];
/// let mut container = Container::new();
/// container.set(1, BlockIndex::new(&blocks)?.encode()?)?;
///
/// let index = BlockIndex::read(&container.serialize()?)?;
/// assert_eq!(index.blocks, blocks);
/// assert_eq!(index.stop, None);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct BlockIndex {
    /// The decoded blocks, up to the first invalid one.
    pub blocks: Vec<Block>,
    /// The footer.
    pub footer: BlockFooter,
    /// Set if decoding stopped before the footer, or the footer does not match the blocks.
    pub stop: Option<ParseStop>,
}

impl BlockIndex {
    /// Creates an index of `blocks`, with their footer.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] if there are too many; [`Error::OutOfMemory`].
    pub fn new(blocks: &[Block]) -> Result<Self, Error> {
        let footer = BlockFooter::new(blocks.iter().copied())?;
        let copy = try_copy(blocks)?;
        Ok(Self { blocks: copy, footer, stop: None })
    }

    /// Decodes the block index of `file`: the section of type 1 of a container, otherwise a legacy file.
    ///
    /// # Errors
    /// For a container, as for [`Container::parse`] and [`Container::get`]; then as for [`decode`](Self::decode).
    pub fn read(file: &[u8]) -> Result<Self, Error> {
        if Container::is_format(file) { Self::decode(Container::parse(file)?.get(SECTION)?) } else { Self::decode(file) }
    }

    /// Decodes the payload of a section of type 1.
    ///
    /// # Errors
    /// [`Error::UnknownFormat`] if it does not end in a valid footer; [`Error::OutOfMemory`]. An invalid index record is no error: see
    /// [`stop`](Self::stop).
    pub fn decode(payload: &[u8]) -> Result<Self, Error> {
        let mut blocks = Vec::new();
        let (footer, stop) = decode(payload, &mut |block| {
            blocks.try_reserve(1)?;
            blocks.push(block);
            Ok(())
        })?;
        Ok(Self { blocks, footer, stop })
    }

    /// Encodes the payload of a section of type 1: an index record per block, then the footer in the form of its version.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] if the footer's version is neither 5 nor 6; [`Error::OutOfMemory`].
    pub fn encode(&self) -> Result<Vec<u8>, Error> {
        let size = encoded_size(self.blocks.len(), &self.footer)?;
        let mut payload = try_with_capacity(size)?;
        encode(self.blocks.iter().copied(), &self.footer, |record| payload.extend_from_slice(record));
        Ok(payload)
    }
}

/// Returns the size in bytes of a payload with `blocks` blocks.
pub(crate) fn encoded_size(blocks: usize, footer: &BlockFooter) -> Result<usize, Error> {
    let footer = HEADER_SIZE + footer.payload_size()?;
    let size = blocks.checked_mul(INDEX_RECORD).and_then(|records| records.checked_add(footer));
    size.ok_or(TOO_MANY)
}

/// Calls `on_record` with each encoded record. The footer's version must be valid.
pub(crate) fn encode(blocks: impl Iterator<Item = Block>, footer: &BlockFooter, mut on_record: impl FnMut(&[u8])) {
    for block in blocks {
        let mut record = RecordBuilder::new(INDEX);
        record.put(block.number.to_le_bytes());
        record.put(block.start_offset.to_le_bytes());
        record.put(block.size.to_le_bytes());
        record.put(block.first_entry_id.to_le_bytes());
        record.put(block.last_entry_id.to_le_bytes());
        on_record(record.finish());
    }
    let mut record = RecordBuilder::new(FOOTER);
    record.put(footer.total_blocks.to_le_bytes());
    record.put(footer.total_records.to_le_bytes());
    record.put(footer.total_size.to_le_bytes());
    record.put(footer.index_offset.to_le_bytes());
    record.put(footer.index_length.to_le_bytes());
    record.put(footer.version.to_le_bytes());
    record.put(footer.flags.to_le_bytes());
    record.put(FOOTER_MAGIC);
    if footer.version != 5 {
        record.put(footer.last_add_confirmed.to_le_bytes());
    }
    on_record(record.finish());
}

/// Encodes a record field by field.
struct RecordBuilder {
    bytes: [u8; HEADER_SIZE + PAYLOAD_V6],
    used: usize,
}

impl RecordBuilder {
    fn new(kind: u8) -> Self {
        let mut bytes = [0; _];
        bytes[4] = kind;
        Self { bytes, used: HEADER_SIZE }
    }

    fn put<const N: usize>(&mut self, field: [u8; N]) {
        self.bytes[self.used..][..N].copy_from_slice(&field);
        self.used += N;
    }

    fn finish(&mut self) -> &[u8] {
        let record = &mut self.bytes[..self.used];
        let length = (record.len() - HEADER_SIZE) as u32;
        record[5..HEADER_SIZE].copy_from_slice(&length.to_le_bytes());
        let crc = crc32fast::hash(&record[4..]);
        record[..4].copy_from_slice(&crc.to_le_bytes());
        record
    }
}

/// Decodes the record at the start of `bytes`: its type and payload. Fails with the reason.
fn decode_record(bytes: &[u8]) -> Result<(u8, &[u8]), &'static str> {
    let Some((&[a, b, c, d, kind, e, f, g, h], rest)) = bytes.split_first_chunk::<HEADER_SIZE>() else {
        return Err("the header of a record is truncated");
    };
    let length = u32::from_le_bytes([e, f, g, h]) as usize;
    let payload = rest.get(..length).ok_or("a record is truncated")?;
    if crc32fast::hash(&bytes[4..HEADER_SIZE + length]) != u32::from_le_bytes([a, b, c, d]) {
        return Err("a record's checksum is wrong");
    }
    Ok((kind, payload))
}

/// Calls `on_block` with each block of a payload. Returns the footer, and where decoding stopped.
pub(crate) fn decode(
    payload: &[u8],
    on_block: &mut dyn FnMut(Block) -> Result<(), Error>,
) -> Result<(BlockFooter, Option<ParseStop>), Error> {
    let found = [PAYLOAD_V6, PAYLOAD_V5].into_iter().find_map(|size| {
        let at = payload.len().checked_sub(HEADER_SIZE + size)?;
        Some((at, size, decode_footer(&payload[at..], size)?))
    });
    let Some((records_end, size, footer)) = found else {
        return Err(Error::UnknownFormat("not a block index: it does not end in a valid footer"));
    };
    let (mut at, mut count) = (0, 0u64);
    let mut reason = None;
    while at < records_end && reason.is_none() {
        match decode_record(&payload[at..records_end]) {
            Ok((INDEX, fields)) if fields.len() >= INDEX_PAYLOAD => {
                on_block(decode_block(fields).ok_or(Error::Internal)?)?;
                count += 1;
                at += INDEX_RECORD;
                if fields.len() > INDEX_PAYLOAD {
                    reason = Some("the preceding index record has more than 32 bytes");
                }
            }
            Ok((INDEX, _)) => reason = Some("an index record has fewer than 32 bytes"),
            Ok(_) => reason = Some("a record is not an index record"),
            Err(found) => reason = Some(found),
        }
    }
    if reason.is_none() && u64::try_from(footer.total_blocks) != Ok(count) {
        reason = Some("the footer has another number of blocks");
    }
    if reason.is_none() && footer.payload_size() != Ok(size) {
        reason = Some("the version of the footer does not match its size");
    }
    Ok((footer, reason.map(|reason| ParseStop { offset: at as u64, reason })))
}

/// Decodes a footer with a payload of `size` bytes, if `bytes` are one.
fn decode_footer(bytes: &[u8], size: usize) -> Option<BlockFooter> {
    let (kind, payload) = decode_record(bytes).ok()?;
    if kind != FOOTER || payload.len() != size {
        return None;
    }
    let mut fields = FieldReader(payload);
    let mut footer = BlockFooter {
        total_blocks: i32::from_le_bytes(fields.take()?),
        total_records: u32::from_le_bytes(fields.take()?),
        total_size: u64::from_le_bytes(fields.take()?),
        index_offset: u64::from_le_bytes(fields.take()?),
        index_length: u32::from_le_bytes(fields.take()?),
        version: u16::from_le_bytes(fields.take()?),
        flags: u16::from_le_bytes(fields.take()?),
        last_add_confirmed: NO_ENTRY,
    };
    let magic = fields.take()? == FOOTER_MAGIC;
    if footer.version == 6 && size == PAYLOAD_V6 {
        footer.last_add_confirmed = i64::from_le_bytes(fields.take()?);
    }
    (magic && footer.payload_size().is_ok()).then_some(footer)
}

fn decode_block(payload: &[u8]) -> Option<Block> {
    let mut fields = FieldReader(payload);
    Some(Block {
        number: i32::from_le_bytes(fields.take()?),
        start_offset: i64::from_le_bytes(fields.take()?),
        size: u32::from_le_bytes(fields.take()?),
        first_entry_id: i64::from_le_bytes(fields.take()?),
        last_entry_id: i64::from_le_bytes(fields.take()?),
    })
}

/// Reads consecutive fields.
struct FieldReader<'p>(&'p [u8]);

impl FieldReader<'_> {
    fn take<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (field, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(*field)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_footer_is_of_its_kind_and_size() {
        let bytes = |kind, size| {
            let mut record = RecordBuilder::new(kind);
            record.put([0; 28]);
            record.put(if size == PAYLOAD_V6 { 6u16 } else { 5 }.to_le_bytes());
            record.put([0; 2]);
            record.put(FOOTER_MAGIC);
            record.used = HEADER_SIZE + size;
            record.finish().to_vec()
        };
        assert!(decode_footer(&bytes(FOOTER, PAYLOAD_V6), PAYLOAD_V6).is_some());
        assert!(decode_footer(&bytes(FOOTER, PAYLOAD_V5), PAYLOAD_V5).is_some());
        assert!(decode_footer(&bytes(INDEX, PAYLOAD_V6), PAYLOAD_V6).is_none());
        assert!(decode_footer(&bytes(FOOTER, PAYLOAD_V6), PAYLOAD_V5).is_none());
    }
}
