//! Symbols of compressed blocks: literals and matches.
//!
//! There are two decoders with the same result. [`decode_fast`] runs as long as no check is needed whether the input
//! has a whole symbol and the output has space for a whole match. [`decode_symbol`] decodes one symbol near the ends of
//! the buffers and in special cases.

use super::bit_reader::BitReader;
use super::error::DataError;
use super::huffman::{
    CodeLengths, CodeSetError, DEFLATE_SYMBOLS, DEFLATE64_SYMBOLS, DistTable, END_OF_BLOCK_FLAG, FIXED_CODE_LENGTHS,
    LITERAL_FLAG, LITLEN_SYMBOLS, LitLenTable, SPECIAL_FLAG, SUBTABLE_FLAG,
};

/// Decoding tables of a block.
pub(super) struct CodeTables {
    litlen: LitLenTable,
    dist: DistTable,
    deflate64: bool,
    /// Whether they are the tables of the fixed codes.
    is_fixed: bool,
}

impl CodeTables {
    pub(super) const fn new(deflate64: bool) -> Self {
        Self { litlen: LitLenTable::new(), dist: DistTable::new(), deflate64, is_fixed: false }
    }

    pub(super) fn deflate64(&self) -> bool {
        self.deflate64
    }

    /// Builds the tables of a dynamic block.
    pub(super) fn build(&mut self, code_lengths: &CodeLengths) -> Result<(), DataError> {
        let symbols = if self.deflate64 { &DEFLATE64_SYMBOLS } else { &DEFLATE_SYMBOLS };
        let (litlen, dist) = code_lengths.split_at(LITLEN_SYMBOLS);
        self.is_fixed = false;
        self.litlen.build(litlen, &symbols.litlen, false).map_err(|error| match error {
            CodeSetError::Oversubscribed => DataError::LiteralCodesOversubscribed,
            CodeSetError::Incomplete => DataError::LiteralCodesIncomplete,
        })?;
        self.dist.build(dist, &symbols.dist, true).map_err(|error| match error {
            CodeSetError::Oversubscribed => DataError::DistanceCodesOversubscribed,
            CodeSetError::Incomplete => DataError::DistanceCodesIncomplete,
        })
    }

    /// Builds the tables of the fixed codes, unless they are already present.
    pub(super) fn build_fixed(&mut self) {
        if !self.is_fixed {
            let result = self.build(&FIXED_CODE_LENGTHS);
            debug_assert!(result.is_ok());
            self.is_fixed = true;
        }
    }
}

/// Result of [`decode_symbol`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum DecodeOutcome {
    /// A literal or match was decoded.
    Decoded,
    /// The end-of-block code is next. It has this many bits and was not consumed.
    EndOfBlock(u32),
    /// The input ends inside the symbol. Nothing was consumed.
    NeedsInput,
    /// The output has no space for the literal or the whole match. Nothing was consumed.
    NeedsOutput,
}

/// Free output in bytes that [`decode_fast`] requires: up to three literals, a match of 258 bytes, and what
/// [`copy_match_fast`] writes beyond its end.
pub(super) const OUTPUT_SLACK: usize = 3 + 258 + 32;

/// Input in bytes that [`decode_fast`] requires: two loads of 8 bytes.
pub(super) const INPUT_MARGIN: usize = 16;

/// Decodes one symbol to `out[*pos..]`; `out[..*pos]` is the history. A symbol is only started if `*pos < limit`, but a
/// match may extend beyond `limit`, up to the end of `out`. Nothing changes unless the result is
/// [`DecodeOutcome::Decoded`].
pub(super) fn decode_symbol(
    tables: &CodeTables,
    reader: &mut BitReader<'_>,
    out: &mut [u8],
    pos: &mut usize,
    limit: usize,
) -> Result<DecodeOutcome, DataError> {
    let mut ahead = *reader;
    ahead.refill();
    let mut entry = tables.litlen.lookup_root(ahead.bits);
    if entry & SUBTABLE_FLAG != 0 {
        if ahead.bit_count < LitLenTable::ROOT_BITS as u32 {
            return Ok(DecodeOutcome::NeedsInput);
        }
        ahead.consume(LitLenTable::ROOT_BITS as u32);
        entry = tables.litlen.lookup_subtable(entry, ahead.bits);
    }
    // If fewer bits remain than the entry's code has, the lookup used zeros that are not part of the stream.
    let Some((base, extra)) = read_entry(&mut ahead, entry) else { return Ok(DecodeOutcome::NeedsInput) };
    if entry & SPECIAL_FLAG != 0 {
        if entry & END_OF_BLOCK_FLAG == 0 {
            return Err(DataError::LiteralCode);
        }
        return Ok(DecodeOutcome::EndOfBlock((reader.remaining_bits() - ahead.remaining_bits()) as u32));
    }
    if entry & LITERAL_FLAG != 0 {
        if *pos >= limit {
            return Ok(DecodeOutcome::NeedsOutput);
        }
        let Some(byte) = out.get_mut(*pos) else { return Ok(DecodeOutcome::NeedsOutput) };
        *byte = (entry >> 16) as u8;
        *pos += 1;
        *reader = ahead;
        return Ok(DecodeOutcome::Decoded);
    }
    let length = (base + extra) as usize;

    ahead.refill();
    let mut entry = tables.dist.lookup_root(ahead.bits);
    if entry & SUBTABLE_FLAG != 0 {
        if ahead.bit_count < DistTable::ROOT_BITS as u32 {
            return Ok(DecodeOutcome::NeedsInput);
        }
        ahead.consume(DistTable::ROOT_BITS as u32);
        entry = tables.dist.lookup_subtable(entry, ahead.bits);
    }
    let Some((base, extra)) = read_entry(&mut ahead, entry) else { return Ok(DecodeOutcome::NeedsInput) };
    if entry & SPECIAL_FLAG != 0 {
        return Err(DataError::DistanceCode);
    }
    let distance = (base + extra) as usize;
    if distance > *pos {
        return Err(DataError::DistanceTooFar);
    }
    if *pos >= limit || out.len() - *pos < length {
        return Ok(DecodeOutcome::NeedsOutput);
    }
    copy_match_exact(out, *pos, distance, length);
    *pos += length;
    *reader = ahead;
    Ok(DecodeOutcome::Decoded)
}

/// Reads the code and the extra bits of an entry. Returns its base value and the value of the extra bits, or `None` if
/// fewer bits remain.
fn read_entry(reader: &mut BitReader<'_>, entry: u32) -> Option<(u32, u32)> {
    let (total_bits, code_length) = (entry & 0xff, entry >> 8 & 15);
    if reader.bit_count < total_bits {
        return None;
    }
    let extra = (reader.bits & ((1 << total_bits) - 1)) >> code_length;
    reader.consume(total_bits);
    Some((entry >> 16, extra as u32))
}

/// Copies a match of any length and writes nothing beyond its end.
fn copy_match_exact(out: &mut [u8], pos: usize, distance: usize, length: usize) {
    if distance == 1 {
        let byte = out[pos - 1];
        out[pos..pos + length].fill(byte);
        return;
    }
    // A match that overlaps its own output repeats `distance` bytes. Each copy lengthens the source of the next one.
    let from = pos - distance;
    let mut copied = 0;
    while copied < length {
        let count = (distance + copied).min(length - copied);
        out.copy_within(from..from + count, pos + copied);
        copied += count;
    }
}

/// Decodes symbols to `out[pos..]`; `out[..pos]` is the history. Stops before a special symbol, when `limit` is
/// reached, or when fewer than [`INPUT_MARGIN`] bytes of input or [`OUTPUT_SLACK`] bytes of `out` remain. Returns the
/// new position.
///
/// May overwrite bytes of `out` beyond the returned position.
#[inline(never)]
pub(super) fn decode_fast(
    tables: &CodeTables,
    reader: &mut BitReader<'_>,
    out: &mut [u8],
    mut pos: usize,
    limit: usize,
) -> usize {
    let limit = limit.min(out.len().saturating_sub(OUTPUT_SLACK));
    let BitReader { mut input, mut bits, mut bit_count } = *reader;
    if bit_count > 63 || pos >= limit || input.len() < INPUT_MARGIN {
        return pos;
    }

    // The loop keeps weaker invariants than `BitReader`, which the last lines of this function restore:
    // - Only the low 6 bits of `bit_count` are valid. An entry is subtracted as a whole: its low 6 bits are the number
    //   of bits to consume, the others are not masked off.
    // - `bits` may contain bits above `bit_count`. They are the bits of `input` that follow, so the next refill ORs
    //   equal bits.
    macro_rules! refill {
        (else $otherwise:block) => {
            let Some(next) = input.first_chunk::<8>() else $otherwise;
            bits |= u64::from_le_bytes(*next) << (bit_count & 63);
            input = &input[((63 ^ (bit_count & 63)) >> 3) as usize..];
            bit_count = bit_count & 63 | 56;
        };
    }
    macro_rules! consume_entry {
        ($entry:ident) => {
            bits >>= $entry & 63;
            bit_count = bit_count.wrapping_sub($entry);
        };
    }
    macro_rules! write_literal {
        ($entry:ident) => {
            out[pos] = ($entry >> 16) as u8;
            pos += 1;
            consume_entry!($entry);
        };
    }

    refill!(else { return pos });
    let mut entry = tables.litlen.lookup_root(bits);
    loop {
        // At this point at least 56 bits are loaded, and `entry` is the entry of the next code.
        macro_rules! prepare_next {
            () => {
                if pos >= limit || input.len() < INPUT_MARGIN {
                    break;
                }
                refill!(else { break });
                entry = tables.litlen.lookup_root(bits);
            };
        }
        if entry & LITERAL_FLAG != 0 {
            write_literal!(entry);
            entry = tables.litlen.lookup_root(bits);
            if entry & LITERAL_FLAG != 0 {
                write_literal!(entry);
                entry = tables.litlen.lookup_root(bits);
                if entry & LITERAL_FLAG != 0 {
                    write_literal!(entry);
                    prepare_next!();
                    continue;
                }
            }
        }
        // At least 56 - 22 bits are loaded: enough for a code with extra bits (15 + 16 for symbol 285 of Deflate64). A
        // symbol that cannot be finished here is left to `decode_symbol`, so the state before it is saved.
        let (saved_input, saved_bits, saved_bit_count) = (input, bits, bit_count);
        macro_rules! stop_before_symbol {
            () => {{
                (input, bits, bit_count) = (saved_input, saved_bits, saved_bit_count);
                break;
            }};
        }
        if entry & SPECIAL_FLAG != 0 {
            if entry & SUBTABLE_FLAG == 0 {
                break;
            }
            bits >>= LitLenTable::ROOT_BITS;
            bit_count = bit_count.wrapping_sub(LitLenTable::ROOT_BITS as u32);
            entry = tables.litlen.lookup_subtable(entry, bits);
            if entry & LITERAL_FLAG != 0 {
                write_literal!(entry);
                prepare_next!();
                continue;
            }
            if entry & SPECIAL_FLAG != 0 {
                stop_before_symbol!();
            }
        }
        let extra = (bits & ((1u64 << (entry & 63)) - 1)) >> (entry >> 8 & 15);
        let length = (entry >> 16) as usize + extra as usize;
        consume_entry!(entry);

        // A distance code and its extra bits have at most 15 + 14 bits.
        if bit_count & 63 < 29 {
            refill!(else { stop_before_symbol!() });
        }
        let mut dist_entry = tables.dist.lookup_root(bits);
        if dist_entry & SPECIAL_FLAG != 0 {
            if dist_entry & SUBTABLE_FLAG == 0 {
                stop_before_symbol!();
            }
            bits >>= DistTable::ROOT_BITS;
            bit_count = bit_count.wrapping_sub(DistTable::ROOT_BITS as u32);
            dist_entry = tables.dist.lookup_subtable(dist_entry, bits);
            if dist_entry & SPECIAL_FLAG != 0 {
                stop_before_symbol!();
            }
        }
        let extra = (bits & ((1u64 << (dist_entry & 63)) - 1)) >> (dist_entry >> 8 & 15);
        let distance = (dist_entry >> 16) as usize + extra as usize;
        consume_entry!(dist_entry);
        if distance > pos || length > 258 && length > out.len() - pos {
            stop_before_symbol!();
        }

        // The next entry is looked up before the match is copied, so that its load overlaps with the copy.
        let more = pos + length < limit && input.len() >= INPUT_MARGIN;
        if more {
            refill!(else { stop_before_symbol!() });
            entry = tables.litlen.lookup_root(bits);
        }
        if length > 258 {
            copy_match_exact(out, pos, distance, length);
        } else {
            copy_match_fast(out, pos, distance, length);
        }
        pos += length;
        if !more {
            break;
        }
    }
    bit_count &= 63;
    *reader = BitReader { input, bits: bits & ((1 << bit_count) - 1), bit_count };
    pos
}

/// Copies a match of at most 258 bytes in chunks. Up to 31 bytes beyond its end may be overwritten.
#[inline(always)]
fn copy_match_fast(out: &mut [u8], pos: usize, distance: usize, length: usize) {
    let from = pos - distance;
    if distance >= MATCH_CHUNK {
        // One chunk is enough for most matches.
        let mut copied = 0;
        loop {
            copy_match_chunk::<MATCH_CHUNK>(out, from + copied, pos + copied);
            copied += MATCH_CHUNK;
            if copied >= length {
                break;
            }
        }
    } else if distance == 1 {
        let byte = out[from];
        out[pos..][..MATCH_CHUNK].fill(byte);
        let mut copied = MATCH_CHUNK;
        while copied < length {
            out[pos + copied..][..MATCH_CHUNK].fill(byte);
            copied += MATCH_CHUNK;
        }
    } else {
        for index in pos..pos + 16 {
            out[index] = out[index - distance];
        }
        if length > 16 {
            // The output repeats every `distance` bytes. A source several periods back does not overlap with its
            // destination.
            let period = distance * 8usize.div_ceil(distance);
            let mut copied = 16;
            while copied < length {
                copy_match_chunk::<8>(out, pos + copied - period, pos + copied);
                copied += 8;
            }
        }
    }
}

/// Number of bytes that [`copy_match_fast`] copies at once.
const MATCH_CHUNK: usize = 32;

/// Copies `SIZE` bytes from `from` to `to`. The destination must not begin before the source ends.
#[inline(always)]
fn copy_match_chunk<const SIZE: usize>(out: &mut [u8], from: usize, to: usize) {
    let (history, free) = out.split_at_mut(to);
    if let (Some(source), Some(target)) = (history[from..].first_chunk::<SIZE>(), free.first_chunk_mut::<SIZE>()) {
        *target = *source;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fast_and_exact_copies_match_bytewise_copy() {
        for distance in 1..70 {
            for length in 3..=258 {
                let mut fast: Vec<u8> = (0..100 + 258 + 32).map(|i| (i * 7) as u8).collect();
                let (mut exact, mut naive) = (fast.clone(), fast.clone());
                for index in 100..100 + length {
                    naive[index] = naive[index - distance];
                }
                copy_match_fast(&mut fast, 100, distance, length);
                copy_match_exact(&mut exact, 100, distance, length);
                assert_eq!(fast[..100 + length], naive[..100 + length], "{distance} {length}");
                assert_eq!(exact, naive, "{distance} {length}");
            }
        }
    }
}
