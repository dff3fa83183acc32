//! Block headers (RFC 1951, 3.2.3 to 3.2.7).

use super::bit_reader::Bits;
use super::error::DataError;
use super::huffman::{END, LITERALS, Lengths, Table};

/// A kind of block. Between blocks it is [`Stored`](Self::Stored), with nothing left of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum BlockKind {
    /// Stored: uncompressed.
    Stored = 0,
    /// Compressed with fixed codes.
    Fixed = 1,
    /// Compressed with codes of its own.
    Dynamic = 2,
}

/// What a header announces.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Block {
    /// So many bytes as they are.
    Stored(u32),
    Fixed,
    Dynamic,
}

/// Reads a block's header, which is at bit `place` of the stream: whether it is the last block, and what it is. Fills `lengths` for a
/// dynamic block. `None` if the input ends before.
pub(super) fn parse(
    bits: &mut Bits<'_>,
    place: u64,
    lengths: &mut Lengths,
    deflate64: bool,
) -> Result<Option<(bool, Block)>, DataError> {
    macro_rules! take {
        ($count:expr) => {
            match bits.take($count) {
                Some(value) => value,
                None => return Ok(None),
            }
        };
    }
    let last = take!(1) != 0;
    match take!(2) {
        0 => {
            // The rest of the byte is not used.
            take!(((8 - (place + 3) % 8) % 8) as u32);
            let size = take!(16);
            if take!(16) != size ^ 0xffff {
                return Err(DataError::StoredLength);
            }
            Ok(Some((last, Block::Stored(size))))
        }
        1 => Ok(Some((last, Block::Fixed))),
        2 => Ok(dynamic(bits, lengths, deflate64)?.then_some((last, Block::Dynamic))),
        _ => Err(DataError::BlockType),
    }
}

/// Reads the code lengths of a dynamic block; true if all of them are there.
fn dynamic(bits: &mut Bits<'_>, lengths: &mut Lengths, deflate64: bool) -> Result<bool, DataError> {
    macro_rules! take {
        ($count:expr) => {
            match bits.take($count) {
                Some(value) => value as usize,
                None => return Ok(false),
            }
        };
    }
    let literals = 257 + take!(5);
    let distances = 1 + take!(5);
    // Deflate's symbols beyond these mean nothing. Deflate64 has all 32 distances, and its encoders may count symbols 286 and 287.
    if !deflate64 && (literals > 286 || distances > 30) {
        return Err(DataError::TooManyCodes);
    }
    let mut code_lengths = [0; 19];
    const ORDER: [usize; 19] = [16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15];
    for symbol in &ORDER[..4 + take!(4)] {
        code_lengths[*symbol] = take!(3) as u8;
    }
    const SYMBOLS: [u32; 19] = {
        let mut symbols = [0; 19];
        let mut symbol = 0;
        while symbol < 19 {
            symbols[symbol] = (symbol as u32) << 16;
            symbol += 1;
        }
        symbols
    };
    let mut table = Table::<7, 128>::new();
    // A single code would be let pass, which only makes sense for distances.
    if code_lengths.iter().filter(|&&length| length != 0).count() < 2 || table.build(&code_lengths, &SYMBOLS, false).is_err() {
        return Err(DataError::LengthCodes);
    }

    let mut both = [0u8; LITERALS + 32];
    let count = literals + distances;
    let mut at = 0;
    while at < count {
        bits.refill();
        let entry = table.first(bits.bits);
        if bits.count < entry & 0xff {
            return Ok(false);
        }
        bits.drop(entry & 0xff);
        let symbol = (entry >> 16) as u8;
        if symbol < 16 {
            both[at] = symbol;
            at += 1;
            continue;
        }
        let (value, times) = match symbol {
            16 if at == 0 => return Err(DataError::NothingToRepeat),
            16 => (both[at - 1], 3 + take!(2)),
            17 => (0, 3 + take!(3)),
            _ => (0, 11 + take!(7)),
        };
        if times > count - at {
            return Err(DataError::TooManyLengths);
        }
        both[at..at + times].fill(value);
        at += times;
    }
    if both[END] == 0 {
        return Err(DataError::NoEndOfBlock);
    }
    lengths.fill(0);
    lengths[..literals].copy_from_slice(&both[..literals]);
    lengths[LITERALS..LITERALS + distances].copy_from_slice(&both[literals..count]);
    Ok(true)
}
