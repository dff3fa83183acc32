//! LZ4 codec for small blocks, for which a call of LZ4 costs more than the work. Blocks and stream state are those of LZ4.
//!
//! The behaviour of LZ4's fast compressor is part of the frame format (docs/format/frame.md, "Blocks"). This module covers
//! one case: a chunk that directly follows the last one in the ring, with enough output space. All others are left to LZ4;
//! both can alternate at any chunk.

use super::{CHUNK_HEADER_SIZE, chunk_bound};
use crate::sys::copy::copy_prefix;
use crate::sys::lz4::{HASH_BITS, HashTable, PrefixContext};

/// Maximum size in bytes of a chunk compressed here: two words of 8 bytes, so a match starts at one of four positions.
pub(super) const COMPRESS_MAX: usize = 16;

/// Maximum size in bytes of a chunk decompressed here; larger ones are faster with LZ4.
pub(crate) const DECOMPRESS_MAX: usize = 32;

/// Output space in bytes for a block, as LZ4 requires it. Words of 8 bytes are written, so bytes after the block change, too.
pub(super) const BLOCK_BOUND: usize = chunk_bound(COMPRESS_MAX) - CHUNK_HEADER_SIZE;

// The following have the names of lz4.c.

/// Minimum length of a match.
const MINMATCH: usize = 4;

/// Minimum number of literals at the end of a block.
const LASTLITERALS: usize = 5;

/// Minimum distance of the start of a match from the end of the block.
const MFLIMIT: usize = 12;

/// Maximum distance of a match.
const LZ4_DISTANCE_MAX: usize = 65_535;

/// Maximum of a 4-bit length in a token; if reached, further bytes are added to the length.
const RUN_MASK: usize = 15;

/// Compresses `chunk`, the last bytes of `context`, of at most [`COMPRESS_MAX`] bytes. Returns the size of the block.
#[inline(always)]
pub(super) fn compress(context: PrefixContext<'_>, chunk: &[u8], out: &mut [u8; BLOCK_BOUND]) -> usize {
    if chunk.len() > MFLIMIT {
        return compress_with_matches(context, chunk, out);
    }
    out[0] = (chunk.len() << 4) as u8;
    copy_prefix(&mut out[1..], chunk);
    1 + chunk.len()
}

/// Compresses a chunk of more than [`MFLIMIT`] bytes, which may contain a match.
fn compress_with_matches(context: PrefixContext<'_>, chunk: &[u8], out: &mut [u8; BLOCK_BOUND]) -> usize {
    let PrefixContext { table, bytes, start, index } = context;
    let mut finder = MatchFinder { table, bytes, start, index, first_word: load_u64(chunk, 0), fifth_word: load_u64(chunk, 4) };
    let mut block = Block { out, len: 0 };
    let mut anchor = 0;
    finder.table[hash(finder.first_word)] = index;
    // At most one match: it ends after the last position at which another could start, the fourth.
    if let Some((position, distance)) = finder.first_match(chunk.len() - MFLIMIT) {
        let backward = finder.common_suffix_len(position, distance);
        let max = chunk.len() - LASTLITERALS - position;
        let forward = common_prefix_len(&chunk[position..][..max], &bytes[start + position - distance..]);
        block.emit_sequence(finder.first_word, position - backward, distance, backward + forward);
        anchor = position + forward;
    }
    block.emit_last_literals(chunk, anchor);
    block.len
}

/// Loads eight bytes at `offset` as a little-endian number; 0 if there are fewer.
#[inline(always)]
fn load_u64(bytes: &[u8], offset: usize) -> u64 {
    bytes.get(offset..).and_then(|bytes| bytes.first_chunk()).map_or(0, |bytes| u64::from_le_bytes(*bytes))
}

/// Returns the length of the common prefix, as `LZ4_count`. `others` is at least as long as `bytes`.
#[inline(always)]
fn common_prefix_len(bytes: &[u8], others: &[u8]) -> usize {
    let common = match (bytes.first_chunk(), others.first_chunk()) {
        (Some(bytes), Some(others)) => {
            let difference = u64::from_le_bytes(*bytes) ^ u64::from_le_bytes(*others);
            if difference != 0 {
                return difference.trailing_zeros() as usize / 8;
            }
            8
        }
        _ => 0,
    };
    common + bytes[common..].iter().zip(&others[common..]).take_while(|(a, b)| a == b).count()
}

/// Finds matches by the hash table of LZ4.
struct MatchFinder<'s> {
    table: &'s mut HashTable,
    /// The data before the chunk, and the chunk.
    bytes: &'s [u8],
    /// Offset of the chunk in `bytes`.
    start: usize,
    /// Index of the chunk's first byte in the stream, as in the table.
    index: u32,
    /// The chunk's first eight bytes.
    first_word: u64,
    /// Eight bytes from the chunk's fifth.
    fifth_word: u64,
}

impl MatchFinder<'_> {
    /// Returns position and distance of the first match that starts in 1..=`end` of the chunk (`end` is at most 4). LZ4
    /// skips positions only after more unsuccessful ones.
    #[inline(always)]
    fn first_match(&mut self, end: usize) -> Option<(usize, usize)> {
        for position in 1..4 {
            if position > end {
                return None;
            }
            if let Some(distance) = self.match_at(position, self.first_word >> (8 * position)) {
                return Some((position, distance));
            }
        }
        if end < 4 { None } else { self.match_at(4, self.fifth_word).map(|distance| (4, distance)) }
    }

    /// Returns the distance of the match for the bytes `here` at `position` of the chunk, if the table has one, and enters
    /// the position into the table.
    #[inline(always)]
    fn match_at(&mut self, position: usize, here: u64) -> Option<usize> {
        let index = self.index.wrapping_add(position as u32);
        let candidate = std::mem::replace(&mut self.table[hash(here)], index);
        let distance = index.wrapping_sub(candidate) as usize;
        if distance > LZ4_DISTANCE_MAX {
            return None;
        }
        let earlier = (self.start + position).wrapping_sub(distance);
        let earlier = self.bytes.get(earlier..)?.first_chunk()?;
        (u32::from_le_bytes(*earlier) == here as u32).then_some(distance)
    }

    /// Returns the number of equal bytes before `position` (at most 4) and before its match.
    #[inline(always)]
    fn common_suffix_len(&self, position: usize, distance: usize) -> usize {
        let Some(earlier) = self.start.checked_sub(distance) else {
            // Fewer bytes precede the match than the position.
            let earlier = self.bytes[..self.start + position - distance].iter().rev();
            let here = (0..position).rev().map(|position| (self.first_word >> (8 * position)) as u8);
            return earlier.zip(here).take_while(|(a, b)| **a == *b).count();
        };
        // Four bytes exist, since the match is as long.
        let earlier = self.bytes[earlier..].first_chunk().map_or(0, |bytes| u32::from_le_bytes(*bytes));
        let difference = u64::from(self.first_word as u32 ^ earlier);
        // If none differs, all bytes before the position are counted.
        ((difference << (8 * (8 - position))).leading_zeros() as usize / 8).min(position)
    }
}

/// Returns the hash of the low five bytes, as `LZ4_hash5`.
#[inline(always)]
fn hash(bytes: u64) -> usize {
    const PRIME: u64 = 889_523_592_379;
    ((bytes << 24).wrapping_mul(PRIME) >> (u64::BITS - HASH_BITS)) as usize
}

/// The block written so far.
struct Block<'o> {
    out: &'o mut [u8; BLOCK_BOUND],
    len: usize,
}

impl Block<'_> {
    /// Appends a sequence: the first `count` bytes of `literals`, and the match that follows them. Both lengths fit into the
    /// token, since the chunk is small.
    #[inline(always)]
    fn emit_sequence(&mut self, literals: u64, count: usize, distance: usize, len: usize) {
        self.write([(count << 4 | (len - MINMATCH)) as u8], 1);
        self.write(literals.to_le_bytes(), count);
        self.write((distance as u16).to_le_bytes(), 2);
    }

    /// Appends the bytes of the chunk from `anchor` as the last literals.
    #[inline(always)]
    fn emit_last_literals(&mut self, chunk: &[u8], anchor: usize) {
        let count = chunk.len() - anchor;
        match count.checked_sub(RUN_MASK) {
            None => self.write([(count << 4) as u8], 1),
            Some(more) => self.write([(RUN_MASK << 4) as u8, more as u8], 2),
        }
        // Copies the first and the last eight literals, or up to eight of them twice: without an unpredictable branch.
        let offset = anchor.min(chunk.len() - 8);
        let first = load_u64(chunk, offset) >> (8 * (anchor - offset));
        let last = if count > 8 { load_u64(chunk, chunk.len() - 8) } else { first };
        let last_at = self.len + count.saturating_sub(8);
        self.write(first.to_le_bytes(), count);
        self.out[last_at..][..8].copy_from_slice(&last.to_le_bytes());
    }

    /// Appends the first `count` of these bytes. Writes all of them, which is faster; later writes overwrite the rest.
    #[inline(always)]
    fn write<const N: usize>(&mut self, bytes: [u8; N], count: usize) {
        self.out[self.len..][..N].copy_from_slice(&bytes);
        self.len += count;
    }
}

/// Decompresses `block` to all of `chunk`. `before` is the data decompressed last, contiguous in memory. Returns `None` if
/// LZ4 never encodes such a small chunk like this, or if a match starts before `before`. Then LZ4 decides whether the block
/// is corrupt.
#[inline(always)]
pub(super) fn decompress(before: &[u8], block: &[u8], chunk: &mut [u8]) -> Option<()> {
    match block {
        // Literals only.
        [token, literals @ ..] if literals.len() == chunk.len() && usize::from(*token) == chunk.len() << 4 => {
            copy_prefix(chunk, literals);
            Some(())
        }
        _ => decompress_matches(before, block, chunk),
    }
}

#[inline(never)]
fn decompress_matches(before: &[u8], mut block: &[u8], chunk: &mut [u8]) -> Option<()> {
    // The bound lets the compiler omit the code for longer copies.
    if chunk.len() > DECOMPRESS_MAX {
        return None;
    }
    let mut done = 0;
    loop {
        let token = *block.split_off_first()?;
        let count = read_length(&mut block, token >> 4)?;
        let literals = block.split_off(..count)?;
        copy_prefix(chunk.get_mut(done..)?.get_mut(..literals.len())?, literals);
        done += literals.len();
        if block.is_empty() {
            return (done == chunk.len()).then_some(());
        }
        let distance = u16::from_le_bytes(*block.split_off(..2)?.first_chunk()?) as usize;
        let len = MINMATCH + read_length(&mut block, token & 15)?;
        let end = done + MFLIMIT.max(len + LASTLITERALS);
        if distance == 0 || end > chunk.len() {
            return None;
        }
        done = copy_match(before, chunk, done, distance, len)?;
    }
}

/// Copies a match to `offset` of `chunk`. Returns the offset of its end.
#[inline(always)]
fn copy_match(before: &[u8], chunk: &mut [u8], mut offset: usize, distance: usize, len: usize) -> Option<usize> {
    let end = offset + len;
    if distance > offset {
        let first = before.len().checked_sub(distance - offset)?;
        let from = &before[first..];
        let from = &from[..from.len().min(len)];
        copy_prefix(&mut chunk[offset..], from);
        offset += from.len();
    }
    // A match may overlap itself; then each turn copies what exists so far.
    while offset < end {
        let (done, to) = chunk.split_at_mut(offset);
        let from = &done[offset - distance..];
        let count = from.len().min(end - offset);
        copy_prefix(to, &from[..count]);
        offset += count;
    }
    Some(end)
}

/// Reads a length: `nibble`, and the byte that is added to it, if any. Small chunks have no longer encoding.
#[inline(always)]
fn read_length(block: &mut &[u8], nibble: u8) -> Option<usize> {
    match usize::from(nibble) {
        RUN_MASK => match *block.split_off_first()? {
            255 => None,
            more => Some(RUN_MASK + usize::from(more)),
        },
        length => Some(length),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frame::advance_ring_cursor;
    use crate::sys::lz4::{OwnedCompressor, OwnedDecompressor};
    use proptest::prelude::*;
    use std::cell::Cell;

    /// Generates sequences of chunks of any size: random bytes, two symbols, runs, mostly repeated and repeated earlier data.
    fn chunks() -> impl Strategy<Value = Vec<Vec<u8>>> {
        let size = prop_oneof![20 => 1..=COMPRESS_MAX, 4 => 1..=80usize, 1 => 1..=70_000usize];
        let chunk = (size, any::<u64>(), 0..6u8);
        prop::collection::vec(chunk, 1..400).prop_map(|chunks| {
            let mut seen: Vec<u8> = vec![0];
            let chunks = chunks.into_iter().map(|(size, seed, kind)| {
                let mut random = seed | 1;
                let chunk: Vec<u8> = (0..size.min(65_536))
                    .map(|at| {
                        random ^= random << 13;
                        random ^= random >> 7;
                        random ^= random << 17;
                        match kind {
                            0 => random as u8,
                            1 => b'a' + (random % 2) as u8,
                            2 => seed as u8,
                            3 if random % 11 == 0 => random as u8,
                            3 | 4 => seen[(seed as usize + at) % seen.len()],
                            _ => (at / 4) as u8,
                        }
                    })
                    .collect();
                seen.extend_from_slice(&chunk);
                chunk
            });
            chunks.collect()
        })
    }

    /// Compresses the chunks by this module if possible, otherwise by LZ4. Returns the number of the former.
    fn compress_mixed(chunks: &[Vec<u8>], compressor: &mut OwnedCompressor, blocks: &mut Vec<Vec<u8>>) -> usize {
        let (mut cursor, mut small_count) = (0, 0);
        let mut lz4 = compressor.borrow();
        lz4.reset();
        for chunk in chunks {
            let at = advance_ring_cursor(&mut cursor, chunk.len());
            let mut out = vec![0; chunk.len() + chunk.len() / 255 + BLOCK_BOUND];
            let context = (chunk.len() <= COMPRESS_MAX).then(|| lz4.continue_prefix(at, chunk)).flatten();
            let size = match context {
                Some(context) => {
                    small_count += 1;
                    compress(context, chunk, out.first_chunk_mut().unwrap())
                }
                None => lz4.compress(at, chunk, &mut out).unwrap(),
            };
            out.truncate(size);
            blocks.push(out);
        }
        small_count
    }

    fn compress_with_lz4(chunks: &[Vec<u8>], compressor: &mut OwnedCompressor, blocks: &mut Vec<Vec<u8>>) {
        let mut cursor = 0;
        let mut lz4 = compressor.borrow();
        lz4.reset();
        for chunk in chunks {
            let at = advance_ring_cursor(&mut cursor, chunk.len());
            let mut out = vec![0; chunk.len() + chunk.len() / 255 + BLOCK_BOUND];
            let size = lz4.compress(at, chunk, &mut out).unwrap();
            out.truncate(size);
            blocks.push(out);
        }
    }

    #[test]
    fn blocks_match_lz4_in_random_sequences() {
        let small_count = Cell::new(0);
        let cases = ProptestConfig::with_cases(if cfg!(debug_assertions) { 60 } else { 1000 });
        proptest!(cases, |(chunks in chunks(), later in chunks())| {
            let (mut ours, mut lz4) = (OwnedCompressor::new().unwrap(), OwnedCompressor::new().unwrap());
            // Two frames: the second starts with the table that the first left.
            for chunks in [chunks, later] {
                let (mut our_blocks, mut lz4_blocks) = (Vec::new(), Vec::new());
                small_count.set(small_count.get() + compress_mixed(&chunks, &mut ours, &mut our_blocks));
                compress_with_lz4(&chunks, &mut lz4, &mut lz4_blocks);
                prop_assert_eq!(our_blocks, lz4_blocks);
            }
        });
        assert!(small_count.get() > 1000, "{} chunks were compressed by this module", small_count.get());
    }

    /// Compresses frames in both ways, and compares the blocks.
    fn check_blocks(frames: impl Iterator<Item = Vec<Vec<u8>>>) {
        let (mut ours, mut lz4) = (OwnedCompressor::new().unwrap(), OwnedCompressor::new().unwrap());
        for chunks in frames {
            let (mut our_blocks, mut lz4_blocks) = (Vec::new(), Vec::new());
            compress_mixed(&chunks, &mut ours, &mut our_blocks);
            compress_with_lz4(&chunks, &mut lz4, &mut lz4_blocks);
            assert!(our_blocks == lz4_blocks, "{chunks:?}");
        }
    }

    #[test]
    fn blocks_match_lz4_at_the_start_of_a_frame() {
        let mut random = 1u64;
        let mut next = |below: u64| {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (random >> 33) % below
        };
        // Matches within a chunk and with the few bytes before it, at each position and of each length.
        check_blocks((0..5000).map(|_| {
            let letters = 1 + next(4);
            let mut chunk = |size| (0..size).map(|_| next(letters) as u8).collect::<Vec<u8>>();
            let begin = chunk(1 + letters * 2);
            vec![begin, chunk(13), chunk(14), chunk(15), chunk(16), chunk(12), chunk(16)]
        }));
    }

    #[test]
    fn maximum_match_distance_is_that_of_lz4() {
        let far = |distance: usize, at: usize| {
            let begin = b"abcdefghijklmnop".to_vec();
            let mut again = begin.clone();
            again[..at].fill(b'-');
            vec![begin, vec![0; distance - 16 - 1000], vec![0; 1000], again]
        };
        check_blocks((LZ4_DISTANCE_MAX - 2..LZ4_DISTANCE_MAX + 3).flat_map(|distance| (0..6).map(move |at| far(distance, at))));
    }

    #[test]
    fn decompression_matches_lz4() {
        let small_count = Cell::new(0);
        let cases = ProptestConfig::with_cases(if cfg!(debug_assertions) { 60 } else { 1000 });
        proptest!(cases, |(chunks in chunks(), corruption in any::<u64>())| {
            let mut blocks = Vec::new();
            compress_with_lz4(&chunks, &mut OwnedCompressor::new().unwrap(), &mut blocks);
            let (mut ours, mut lz4) = (OwnedDecompressor::new().unwrap(), OwnedDecompressor::new().unwrap());
            let (mut ours, mut lz4) = (ours.borrow(), lz4.borrow());
            ours.reset();
            lz4.reset();
            let mut cursor = 0;
            for (index, (chunk, block)) in chunks.iter().zip(&mut blocks).enumerate() {
                let is_corrupt = corruption % 2 == 0 && index + 1 == chunks.len();
                if is_corrupt {
                    let at = corruption as usize / 16 % block.len();
                    block[at] ^= 1 << (corruption / 2 % 8);
                }
                let at = advance_ring_cursor(&mut cursor, chunk.len());
                let mut decompressed = vec![0; chunk.len()];
                let is_small = chunk.len() <= DECOMPRESS_MAX;
                let expected = lz4.decompress(at, chunk.len(), block).map(<[u8]>::to_vec);
                let next = is_small.then(|| ours.continue_prefix(at, chunk.len())).flatten();
                if let Some(next) = next.filter(|next| decompress(next.before(), block, &mut decompressed).is_some()) {
                    next.append(&decompressed);
                    small_count.set(small_count.get() + 1);
                    prop_assert_eq!(Some(decompressed), expected);
                } else if !is_corrupt {
                    prop_assert_eq!(ours.decompress(at, chunk.len(), block).map(<[u8]>::to_vec), expected);
                }
            }
        });
        assert!(small_count.get() > 1000, "{} chunks were decompressed by this module", small_count.get());
    }

    #[test]
    fn unusual_blocks_are_left_to_lz4() {
        let before = [7; 100];
        let decompress = |block: &[u8], len: usize| {
            let mut chunk = vec![0; len];
            decompress(&before, block, &mut chunk).map(|()| chunk)
        };
        let match_of_4 = [0x00, 1, 0];
        let last = [0xa0, b'a', b'b', b'c', b'd', b'e', b'f', b'g', b'h', b'i', b'j'];
        assert_eq!(decompress(&[&match_of_4[..], &last].concat(), 14).unwrap(), b"\x07\x07\x07\x07abcdefghij");
        assert_eq!(decompress(&last, 10).unwrap(), b"abcdefghij");
        for (what, block, len) in [
            ("empty", vec![], 10),
            ("literals missing", last[..5].to_vec(), 10),
            ("chunk larger than the block", last.to_vec(), 11),
            ("chunk smaller than the block", last.to_vec(), 9),
            ("no literals after the match", match_of_4.to_vec(), 4),
            ("distance 0", [&[0x00, 0, 0][..], &last].concat(), 14),
            ("distance beyond the data before", [&[0x00, 101, 0][..], &last].concat(), 14),
            ("distance truncated", vec![0x00, 1], 14),
            ("match starts too near to the end", [&match_of_4[..], &[0x50, 1, 2, 3, 4, 5]].concat(), 9),
            ("match ends too near to the end", [&[0x07, 1, 0][..], &[0x40, 1, 2, 3, 4]].concat(), 15),
            ("length of more than one byte", [&[0xf0, 255, 0][..], &[9; 270]].concat(), 270),
        ] {
            assert_eq!(decompress(&block, len), None, "{what}");
        }
    }
}
