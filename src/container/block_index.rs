//! The index of blocks: what the section of type 1 has in it, and legacy files are.

use super::Container;
use super::error::Error;
use crate::alloc::{try_copy, try_with_capacity};

/// The type of the section that has the index of blocks.
pub(crate) const SECTION: u8 = 1;

/// Bytes of a record before its payload: checksum, type, length.
const HEADER: usize = 9;

const INDEX: u8 = 3;
const INDEX_PAYLOAD: usize = 32;
const INDEX_RECORD: usize = HEADER + INDEX_PAYLOAD;

const FOOTER: u8 = 4;
const FOOTER_MAGIC: [u8; 4] = [0x46, 0x54, 0x52, 0x01];
const PAYLOAD_V5: usize = 36;
const PAYLOAD_V6: usize = 44;

const TOO_MANY: Error = Error::InvalidArgument("too many blocks for an index");

/// In [`BlockFooter::last_add_confirmed`]: none.
const NONE: i64 = -1;

/// One block, as an index of blocks has it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Block {
    /// The block's number.
    pub number: i32,
    /// Where it begins.
    pub start_offset: i64,
    /// Its size in bytes.
    pub size: u32,
    /// The first entry in it.
    pub first_entry_id: i64,
    /// The last entry in it.
    pub last_entry_id: i64,
}

/// What stands at the end of an index of blocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BlockFooter {
    /// The number of blocks.
    pub total_blocks: i32,
    /// The number of records.
    pub total_records: u32,
    /// The sum of the blocks' sizes.
    pub total_size: u64,
    /// Where the index records begin.
    pub index_offset: u64,
    /// How many bytes they take.
    pub index_length: u32,
    /// 5 or 6, which differ in that version 5 doesn't have `last_add_confirmed`.
    pub version: u16,
    /// Bit 0: compacted.
    pub flags: u16,
    /// The last entry that is known to be written, or -1.
    pub last_add_confirmed: i64,
}

impl BlockFooter {
    /// The footer of version 6 that belongs to `blocks`.
    pub(crate) fn of(blocks: impl ExactSizeIterator<Item = Block>) -> Result<Self, Error> {
        let count = blocks.len();
        // As many as this fit the other counts too.
        let length = count.checked_mul(INDEX_RECORD).and_then(|length| u32::try_from(length).ok()).ok_or(TOO_MANY)?;
        let mut footer = Self {
            total_blocks: count as i32,
            total_records: count as u32,
            total_size: 0,
            index_offset: 0,
            index_length: length,
            version: 6,
            flags: 0,
            last_add_confirmed: NONE,
        };
        for block in blocks {
            footer.total_size += u64::from(block.size);
            footer.last_add_confirmed = block.last_entry_id;
        }
        Ok(footer)
    }

    fn payload(&self) -> Result<usize, Error> {
        match self.version {
            5 => Ok(PAYLOAD_V5),
            6 => Ok(PAYLOAD_V6),
            _ => Err(Error::InvalidArgument("the version of the block footer must be 5 or 6")),
        }
    }
}

/// Where the reading of an index of blocks stopped before its end, and why.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stop {
    /// Where in the payload, in bytes.
    pub offset: u64,
    /// What is wrong there.
    pub why: &'static str,
}

/// An index of blocks: the payload of a container's section of type 1, or a legacy file, which is nothing but that.
///
/// ```
/// use fdckpt::{Block, BlockIndex, Container};
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
    /// The blocks that could be read, from the first one on.
    pub blocks: Vec<Block>,
    /// The footer.
    pub footer: BlockFooter,
    /// Where the reader stopped, if that was before the footer, or what does not fit the footer.
    pub stop: Option<Stop>,
}

impl BlockIndex {
    /// The index that has `blocks`, and the footer that belongs to them.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] where an index can't have so many; [`Error::OutOfMemory`].
    pub fn new(blocks: &[Block]) -> Result<Self, Error> {
        let footer = BlockFooter::of(blocks.iter().copied())?;
        let copy = try_copy(blocks)?;
        Ok(Self { blocks: copy, footer, stop: None })
    }

    /// Reads the index of blocks of `file`: of its section of type 1 if it is a container, else the file is taken for a legacy
    /// one.
    ///
    /// # Errors
    /// Where a container, or its section of type 1, can't be read: as [`Container::parse`] and [`Container::get`]. Otherwise
    /// as for [`decode`](Self::decode).
    pub fn read(file: &[u8]) -> Result<Self, Error> {
        if Container::is_format(file) { Self::decode(Container::parse(file)?.get(SECTION)?) } else { Self::decode(file) }
    }

    /// Reads the payload of a section of type 1.
    ///
    /// # Errors
    /// [`Error::UnknownFormat`] where it has no footer that is whole; [`Error::OutOfMemory`]. A bad index record is no error: see
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

    /// The payload of a section of type 1: an index record for each of the blocks, then the footer as it is, in the form of its
    /// version.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] where the footer's version is neither 5 nor 6; [`Error::OutOfMemory`].
    pub fn encode(&self) -> Result<Vec<u8>, Error> {
        let size = encoded_size(self.blocks.len(), &self.footer)?;
        let mut payload = try_with_capacity(size)?;
        encode(self.blocks.iter().copied(), &self.footer, |record| payload.extend_from_slice(record));
        Ok(payload)
    }
}

/// Size in bytes of the payload with so many blocks.
pub(crate) fn encoded_size(blocks: usize, footer: &BlockFooter) -> Result<usize, Error> {
    let footer = HEADER + footer.payload()?;
    let size = blocks.checked_mul(INDEX_RECORD).and_then(|records| records.checked_add(footer));
    size.ok_or(TOO_MANY)
}

/// Calls `put` with each record. The footer's version is one of those that there are.
pub(crate) fn encode(blocks: impl Iterator<Item = Block>, footer: &BlockFooter, mut put: impl FnMut(&[u8])) {
    for block in blocks {
        let mut record = Record::new(INDEX);
        record.put(block.number.to_le_bytes());
        record.put(block.start_offset.to_le_bytes());
        record.put(block.size.to_le_bytes());
        record.put(block.first_entry_id.to_le_bytes());
        record.put(block.last_entry_id.to_le_bytes());
        put(record.finish());
    }
    let mut record = Record::new(FOOTER);
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
    put(record.finish());
}

/// A record in the making, field by field.
struct Record {
    bytes: [u8; HEADER + PAYLOAD_V6],
    used: usize,
}

impl Record {
    fn new(kind: u8) -> Self {
        let mut bytes = [0; _];
        bytes[4] = kind;
        Self { bytes, used: HEADER }
    }

    fn put<const N: usize>(&mut self, field: [u8; N]) {
        self.bytes[self.used..][..N].copy_from_slice(&field);
        self.used += N;
    }

    fn finish(&mut self) -> &[u8] {
        let record = &mut self.bytes[..self.used];
        let length = (record.len() - HEADER) as u32;
        record[5..HEADER].copy_from_slice(&length.to_le_bytes());
        let crc = crc32fast::hash(&record[4..]);
        record[..4].copy_from_slice(&crc.to_le_bytes());
        record
    }
}

/// Type and payload of the record that `bytes` begin with, or what is wrong with it.
fn record(bytes: &[u8]) -> Result<(u8, &[u8]), &'static str> {
    let Some((&[a, b, c, d, kind, e, f, g, h], rest)) = bytes.split_first_chunk::<HEADER>() else {
        return Err("the header of a record is truncated");
    };
    let length = u32::from_le_bytes([e, f, g, h]) as usize;
    let payload = rest.get(..length).ok_or("a record is truncated")?;
    if crc32fast::hash(&bytes[4..HEADER + length]) != u32::from_le_bytes([a, b, c, d]) {
        return Err("a record's checksum is wrong");
    }
    Ok((kind, payload))
}

/// Calls `each` with the blocks of a payload, and returns its footer, and what is not as it should be.
pub(crate) fn decode(
    payload: &[u8],
    each: &mut dyn FnMut(Block) -> Result<(), Error>,
) -> Result<(BlockFooter, Option<Stop>), Error> {
    let found = [PAYLOAD_V6, PAYLOAD_V5].into_iter().find_map(|size| {
        let at = payload.len().checked_sub(HEADER + size)?;
        Some((at, size, footer(&payload[at..], size)?))
    });
    let Some((area, size, footer)) = found else {
        return Err(Error::UnknownFormat("not a block index: it does not end in a valid footer"));
    };
    let (mut at, mut count) = (0, 0u64);
    let mut why = None;
    while at < area && why.is_none() {
        match record(&payload[at..area]) {
            Ok((INDEX, fields)) if fields.len() >= INDEX_PAYLOAD => {
                each(block(fields).ok_or(Error::Internal)?)?;
                count += 1;
                at += INDEX_RECORD;
                if fields.len() > INDEX_PAYLOAD {
                    why = Some("the preceding index record has more than 32 bytes");
                }
            }
            Ok((INDEX, _)) => why = Some("an index record has fewer than 32 bytes"),
            Ok(_) => why = Some("a record is not an index record"),
            Err(wrong) => why = Some(wrong),
        }
    }
    if why.is_none() && u64::try_from(footer.total_blocks) != Ok(count) {
        why = Some("the footer has another number of blocks");
    }
    if why.is_none() && footer.payload() != Ok(size) {
        why = Some("the version of the footer does not match its size");
    }
    Ok((footer, why.map(|why| Stop { offset: at as u64, why })))
}

/// The footer that `bytes` are, if they are one with a payload of `size` bytes.
fn footer(bytes: &[u8], size: usize) -> Option<BlockFooter> {
    let (kind, payload) = record(bytes).ok()?;
    if kind != FOOTER || payload.len() != size {
        return None;
    }
    let mut fields = Fields(payload);
    let mut footer = BlockFooter {
        total_blocks: i32::from_le_bytes(fields.take()?),
        total_records: u32::from_le_bytes(fields.take()?),
        total_size: u64::from_le_bytes(fields.take()?),
        index_offset: u64::from_le_bytes(fields.take()?),
        index_length: u32::from_le_bytes(fields.take()?),
        version: u16::from_le_bytes(fields.take()?),
        flags: u16::from_le_bytes(fields.take()?),
        last_add_confirmed: NONE,
    };
    let magic = fields.take()? == FOOTER_MAGIC;
    if footer.version == 6 && size == PAYLOAD_V6 {
        footer.last_add_confirmed = i64::from_le_bytes(fields.take()?);
    }
    (magic && footer.payload().is_ok()).then_some(footer)
}

fn block(payload: &[u8]) -> Option<Block> {
    let mut fields = Fields(payload);
    Some(Block {
        number: i32::from_le_bytes(fields.take()?),
        start_offset: i64::from_le_bytes(fields.take()?),
        size: u32::from_le_bytes(fields.take()?),
        first_entry_id: i64::from_le_bytes(fields.take()?),
        last_entry_id: i64::from_le_bytes(fields.take()?),
    })
}

/// Fields one behind the other.
struct Fields<'p>(&'p [u8]);

impl Fields<'_> {
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
            let mut record = Record::new(kind);
            record.put([0; 28]);
            record.put(if size == PAYLOAD_V6 { 6u16 } else { 5 }.to_le_bytes());
            record.put([0; 2]);
            record.put(FOOTER_MAGIC);
            record.used = HEADER + size;
            record.finish().to_vec()
        };
        assert!(footer(&bytes(FOOTER, PAYLOAD_V6), PAYLOAD_V6).is_some());
        assert!(footer(&bytes(FOOTER, PAYLOAD_V5), PAYLOAD_V5).is_some());
        assert!(footer(&bytes(INDEX, PAYLOAD_V6), PAYLOAD_V6).is_none());
        assert!(footer(&bytes(FOOTER, PAYLOAD_V6), PAYLOAD_V5).is_none());
    }
}
