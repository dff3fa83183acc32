//! Block headers (RFC 1951, sections 3.2.3 to 3.2.7).

use super::bit_reader::BitReader;
use super::error::DataError;
use super::huffman::{CodeLengths, DIST_SYMBOLS, END_OF_BLOCK, LITLEN_SYMBOLS, Table};

/// Type of a block (RFC 1951, BTYPE).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum BlockKind {
    /// Stored, without compression. A checkpoint between two blocks has this kind, with no bytes remaining.
    Stored = 0,
    /// Compressed with fixed Huffman codes.
    Fixed = 1,
    /// Compressed with dynamic Huffman codes, which the block header defines.
    Dynamic = 2,
}

/// A parsed block header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct BlockHeader {
    /// Whether it is the last block (BFINAL).
    pub(super) is_last: bool,
    pub(super) kind: BlockKind,
    /// Number of bytes of a stored block (LEN); 0 in other blocks.
    pub(super) stored_len: u32,
}

/// Parses the block header at bit offset `start` of the stream. Fills `code_lengths` if the block is dynamic. Returns
/// `None` if the input ends inside the header.
pub(super) fn parse(
    reader: &mut BitReader<'_>,
    start: u64,
    code_lengths: &mut CodeLengths,
    deflate64: bool,
) -> Result<Option<BlockHeader>, DataError> {
    macro_rules! read {
        ($count:expr) => {
            match reader.read_bits($count) {
                Some(value) => value,
                None => return Ok(None),
            }
        };
    }
    let is_last = read!(1) != 0;
    let (kind, stored_len) = match read!(2) {
        0 => {
            // Skip to the next byte boundary; the bits in between are unused.
            read!(((8 - (start + 3) % 8) % 8) as u32);
            let len = read!(16);
            if read!(16) != len ^ 0xffff {
                return Err(DataError::StoredLength);
            }
            (BlockKind::Stored, len)
        }
        1 => (BlockKind::Fixed, 0),
        2 => {
            if !parse_code_lengths(reader, code_lengths, deflate64)? {
                return Ok(None);
            }
            (BlockKind::Dynamic, 0)
        }
        _ => return Err(DataError::BlockType),
    };
    Ok(Some(BlockHeader { is_last, kind, stored_len }))
}

/// Parses the code lengths of a dynamic block. Returns false if the input ends before the last one.
fn parse_code_lengths(reader: &mut BitReader<'_>, code_lengths: &mut CodeLengths, deflate64: bool) -> Result<bool, DataError> {
    macro_rules! read {
        ($count:expr) => {
            match reader.read_bits($count) {
                Some(value) => value as usize,
                None => return Ok(false),
            }
        };
    }
    let litlen_count = 257 + read!(5);
    let dist_count = 1 + read!(5);
    // Deflate defines no symbols beyond these. Deflate64 uses all 32 distance symbols, and its encoders may count
    // symbols 286 and 287.
    if !deflate64 && (litlen_count > 286 || dist_count > 30) {
        return Err(DataError::TooManyCodes);
    }
    let mut precode_lengths = [0; 19];
    const PRECODE_ORDER: [usize; 19] = [16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15];
    for symbol in &PRECODE_ORDER[..4 + read!(4)] {
        precode_lengths[*symbol] = read!(3) as u8;
    }
    const PRECODE_ENTRIES: [u32; 19] = {
        let mut entries = [0; 19];
        let mut symbol = 0;
        while symbol < 19 {
            entries[symbol] = (symbol as u32) << 16;
            symbol += 1;
        }
        entries
    };
    let mut precode = Table::<7, 128>::new();
    // `build` accepts a single code, which is valid for distances only.
    let used = precode_lengths.iter().filter(|&&length| length != 0).count();
    if used < 2 || precode.build(&precode_lengths, &PRECODE_ENTRIES, false).is_err() {
        return Err(DataError::LengthCodes);
    }

    // Both alphabets are one sequence: a repetition may cross from the first to the second.
    let mut lengths = [0u8; LITLEN_SYMBOLS + DIST_SYMBOLS];
    let count = litlen_count + dist_count;
    let mut filled = 0;
    while filled < count {
        reader.refill();
        let entry = precode.lookup_root(reader.bits);
        if reader.bit_count < entry & 0xff {
            return Ok(false);
        }
        reader.consume(entry & 0xff);
        let symbol = (entry >> 16) as u8;
        if symbol < 16 {
            lengths[filled] = symbol;
            filled += 1;
            continue;
        }
        let (value, times) = match symbol {
            16 if filled == 0 => return Err(DataError::NothingToRepeat),
            16 => (lengths[filled - 1], 3 + read!(2)),
            17 => (0, 3 + read!(3)),
            _ => (0, 11 + read!(7)),
        };
        if times > count - filled {
            return Err(DataError::TooManyLengths);
        }
        lengths[filled..filled + times].fill(value);
        filled += times;
    }
    if lengths[END_OF_BLOCK] == 0 {
        return Err(DataError::NoEndOfBlock);
    }
    code_lengths.fill(0);
    code_lengths[..litlen_count].copy_from_slice(&lengths[..litlen_count]);
    code_lengths[LITLEN_SYMBOLS..LITLEN_SYMBOLS + dist_count].copy_from_slice(&lengths[litlen_count..count]);
    Ok(true)
}
