//! LZ4 for the smallest chunks, where a call of LZ4 costs more than the work: the same blocks, bit for bit, and the same state after.
//!
//! What LZ4's fast compressor does is a fact of the frame format (docs/format/frame.md, "Blocks"). Here is its plainest case alone:
//! a chunk that follows on the one before in the ring, with room enough. Everything else is left to LZ4. The two can take
//! turns at any chunk.

use super::{CHUNK_HEADER, chunk_bound};
use crate::sys::copy::copy_prefix;
use crate::sys::lz4::{HASH_BITS, HashTable, PrefixContext};

/// The largest chunk in bytes that is compressed here: two words, at most four positions for a match to begin.
pub(super) const COMPRESS_MAX: usize = 16;

/// The largest chunk in bytes for which decompressing here is the faster way.
pub(crate) const DECOMPRESS_MAX: usize = 32;

/// Room in bytes for a block: as much as LZ4 asks for. Literals are written by eight, so a few bytes behind the block are too.
pub(super) const BLOCK_ROOM: usize = chunk_bound(COMPRESS_MAX) - CHUNK_HEADER;

/// The shortest match.
const MATCH_MIN: usize = 4;

/// At a block's end are at least so many literals.
const LAST_LITERALS: usize = 5;

/// A match begins at least so far before a block's end.
const MATCH_LIMIT: usize = 12;

/// The longest distance of a match.
const DISTANCE_MAX: usize = 65_535;

/// What a field of four bits holds at most; at this value, bytes follow that add to it.
const NIBBLE_MAX: usize = 15;

/// Compresses `chunk`, which `following` ends with, and which has at most [`COMPRESS_MAX`] bytes. Returns the block's size.
#[inline(always)]
pub(super) fn compress(following: PrefixContext<'_>, chunk: &[u8], out: &mut [u8; BLOCK_ROOM]) -> usize {
    if chunk.len() > MATCH_LIMIT {
        return find_matches(following, chunk, out);
    }
    out[0] = (chunk.len() << 4) as u8;
    copy_prefix(&mut out[1..], chunk);
    1 + chunk.len()
}

/// The same, where there can be a match.
fn find_matches(following: PrefixContext<'_>, chunk: &[u8], out: &mut [u8; BLOCK_ROOM]) -> usize {
    let PrefixContext { table, bytes, start, index } = following;
    let mut search = Search { table, bytes, start, index, first: word(chunk, 0), fifth: word(chunk, 4) };
    let mut block = Block { out, len: 0 };
    let mut anchor = 0;
    search.table[hash(search.first)] = index;
    // One at most: it ends behind the last position where one can begin, which is the fourth.
    if let Some((position, distance)) = search.first_match(chunk.len() - MATCH_LIMIT) {
        let back = search.same_before(position, distance);
        let most = chunk.len() - LAST_LITERALS - position;
        let on = same(&chunk[position..][..most], &bytes[start + position - distance..]);
        block.put(search.first, position - back, distance, back + on);
        anchor = position + on;
    }
    block.put_last(chunk, anchor);
    block.len
}

/// Eight bytes as a number. Where there are not so many, it is 0.
#[inline(always)]
fn word(bytes: &[u8], at: usize) -> u64 {
    bytes.get(at..).and_then(|bytes| bytes.first_chunk()).map_or(0, |bytes| u64::from_le_bytes(*bytes))
}

/// How many bytes are the same at the beginning of both.
#[inline(always)]
fn same(bytes: &[u8], others: &[u8]) -> usize {
    let begin = match (bytes.first_chunk(), others.first_chunk()) {
        (Some(bytes), Some(others)) => {
            let differing = u64::from_le_bytes(*bytes) ^ u64::from_le_bytes(*others);
            if differing != 0 {
                return differing.trailing_zeros() as usize / 8;
            }
            8
        }
        _ => 0,
    };
    begin + bytes[begin..].iter().zip(&others[begin..]).take_while(|(a, b)| a == b).count()
}

/// The bytes that matches are looked for in, and the table that finds them.
struct Search<'s> {
    table: &'s mut HashTable,
    bytes: &'s [u8],
    /// Where in `bytes` the chunk begins.
    start: usize,
    /// The index of its first byte.
    index: u32,
    /// The chunk's first eight bytes, and those from the fifth on.
    first: u64,
    fifth: u64,
}

impl Search<'_> {
    /// The first match that begins behind the chunk's first byte and at `end` (at most 4) at the latest, and its distance. LZ4 takes
    /// steps longer than one only after more positions than there are here.
    #[inline(always)]
    fn first_match(&mut self, end: usize) -> Option<(usize, usize)> {
        for position in 1..4 {
            if position > end {
                return None;
            }
            if let Some(distance) = self.match_at(position, self.first >> (8 * position)) {
                return Some((position, distance));
            }
        }
        if end < 4 { None } else { self.match_at(4, self.fifth).map(|distance| (4, distance)) }
    }

    /// The distance of the match that the table has for what stands at `position` of the chunk, which begins with `here` and takes its
    /// place in the table.
    #[inline(always)]
    fn match_at(&mut self, position: usize, here: u64) -> Option<usize> {
        let index = self.index.wrapping_add(position as u32);
        let candidate = std::mem::replace(&mut self.table[hash(here)], index);
        let distance = index.wrapping_sub(candidate) as usize;
        if distance > DISTANCE_MAX {
            return None;
        }
        let earlier = (self.start + position).wrapping_sub(distance);
        let earlier = self.bytes.get(earlier..)?.first_chunk()?;
        (u32::from_le_bytes(*earlier) == here as u32).then_some(distance)
    }

    /// How many bytes before `position`, which is at most 4, are the same at this distance.
    #[inline(always)]
    fn same_before(&self, position: usize, distance: usize) -> usize {
        let Some(earlier) = self.start.checked_sub(distance) else {
            // There are not as many bytes before the match as before the position.
            let earlier = self.bytes[..self.start + position - distance].iter().rev();
            let here = (0..position).rev().map(|position| (self.first >> (8 * position)) as u8);
            return earlier.zip(here).take_while(|(a, b)| **a == *b).count();
        };
        // Four bytes there are: the match itself has as many.
        let earlier = self.bytes[earlier..].first_chunk().map_or(0, |bytes| u32::from_le_bytes(*bytes));
        let differing = u64::from(self.first as u32 ^ earlier);
        // Also where none differs, as many are counted as there are before the position.
        ((differing << (8 * (8 - position))).leading_zeros() as usize / 8).min(position)
    }
}

/// The hash of five bytes.
#[inline(always)]
fn hash(bytes: u64) -> usize {
    const PRIME: u64 = 889_523_592_379;
    ((bytes << 24).wrapping_mul(PRIME) >> (u64::BITS - HASH_BITS)) as usize
}

/// A block as far as it is written.
struct Block<'o> {
    out: &'o mut [u8; BLOCK_ROOM],
    len: usize,
}

impl Block<'_> {
    /// Adds the first `count` bytes of `literals`, and the match that follows them. The chunk is so small that either length fits into
    /// the token.
    #[inline(always)]
    fn put(&mut self, literals: u64, count: usize, distance: usize, len: usize) {
        self.write([(count << 4 | (len - MATCH_MIN)) as u8], 1);
        self.write(literals.to_le_bytes(), count);
        self.write((distance as u16).to_le_bytes(), 2);
    }

    /// Adds what follows `anchor` in the chunk as the literals at the block's end.
    #[inline(always)]
    fn put_last(&mut self, chunk: &[u8], anchor: usize) {
        let count = chunk.len() - anchor;
        match count.checked_sub(NIBBLE_MAX) {
            None => self.write([(count << 4) as u8], 1),
            Some(more) => self.write([(NIBBLE_MAX << 4) as u8, more as u8], 2),
        }
        // The first eight, and the last eight of so many; of fewer, all of them twice. Without a branch that nobody can foretell.
        let at = anchor.min(chunk.len() - 8);
        let first = word(chunk, at) >> (8 * (anchor - at));
        let last = if count > 8 { word(chunk, chunk.len() - 8) } else { first };
        let last_at = self.len + count.saturating_sub(8);
        self.write(first.to_le_bytes(), count);
        self.out[last_at..][..8].copy_from_slice(&last.to_le_bytes());
    }

    /// Adds the first `count` of these bytes. It is faster to write them all, of which the others will be overwritten.
    #[inline(always)]
    fn write<const N: usize>(&mut self, bytes: [u8; N], count: usize) {
        self.out[self.len..][..N].copy_from_slice(&bytes);
        self.len += count;
    }
}

/// Decompresses `block` to all of `chunk`. `before` is what was decompressed last, in one piece. `None` where the block is none that
/// LZ4 makes of so small a chunk, or where it refers to what is before `before`: then it is for LZ4 to say whether it is corrupt.
#[inline(always)]
pub(super) fn decompress(before: &[u8], block: &[u8], chunk: &mut [u8]) -> Option<()> {
    match block {
        // Nothing but literals.
        [token, literals @ ..] if literals.len() == chunk.len() && usize::from(*token) == chunk.len() << 4 => {
            copy_prefix(chunk, literals);
            Some(())
        }
        _ => decompress_matches(before, block, chunk),
    }
}

#[inline(never)]
fn decompress_matches(before: &[u8], mut block: &[u8], chunk: &mut [u8]) -> Option<()> {
    // The bound lets the compiler drop the code for longer copies.
    if chunk.len() > DECOMPRESS_MAX {
        return None;
    }
    let mut done = 0;
    loop {
        let token = *block.split_off_first()?;
        let count = length(&mut block, token >> 4)?;
        let literals = block.split_off(..count)?;
        copy_prefix(chunk.get_mut(done..)?.get_mut(..literals.len())?, literals);
        done += literals.len();
        if block.is_empty() {
            return (done == chunk.len()).then_some(());
        }
        let distance = u16::from_le_bytes(*block.split_off(..2)?.first_chunk()?) as usize;
        let len = MATCH_MIN + length(&mut block, token & 15)?;
        let end = done + MATCH_LIMIT.max(len + LAST_LITERALS);
        if distance == 0 || end > chunk.len() {
            return None;
        }
        done = copy_match(before, chunk, done, distance, len)?;
    }
}

/// Copies a match to `chunk` at `at`. Returns where it ends.
#[inline(always)]
fn copy_match(before: &[u8], chunk: &mut [u8], mut at: usize, distance: usize, len: usize) -> Option<usize> {
    let end = at + len;
    if distance > at {
        let first = before.len().checked_sub(distance - at)?;
        let there = &before[first..];
        let there = &there[..there.len().min(len)];
        copy_prefix(&mut chunk[at..], there);
        at += there.len();
    }
    // What is copied may be what was just copied.
    while at < end {
        let (there, here) = chunk.split_at_mut(at);
        let there = &there[at - distance..];
        let some = there.len().min(end - at);
        copy_prefix(here, &there[..some]);
        at += some;
    }
    Some(end)
}

/// The length that begins with `nibble`, with the byte that follows if there is one. More bytes no tiny chunk has.
#[inline(always)]
fn length(block: &mut &[u8], nibble: u8) -> Option<usize> {
    match usize::from(nibble) {
        NIBBLE_MAX => match *block.split_off_first()? {
            255 => None,
            more => Some(NIBBLE_MAX + usize::from(more)),
        },
        length => Some(length),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frame::next_in_ring;
    use crate::sys::lz4::{OwnedCompressor, OwnedDecompressor};
    use proptest::prelude::*;
    use std::cell::Cell;

    /// Chunks of all kinds that can meet, and what they are made of: few symbols or many, runs, what was there before.
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

    /// Compresses the chunks here where possible, else with LZ4. Returns how many were done here.
    fn compress_in_turns(chunks: &[Vec<u8>], compressor: &mut OwnedCompressor, blocks: &mut Vec<Vec<u8>>) -> usize {
        let (mut cursor, mut here) = (0, 0);
        let mut lz4 = compressor.borrow();
        lz4.reset();
        for chunk in chunks {
            let at = next_in_ring(&mut cursor, chunk.len());
            let mut out = vec![0; chunk.len() + chunk.len() / 255 + BLOCK_ROOM];
            let following = (chunk.len() <= COMPRESS_MAX).then(|| lz4.continue_prefix(at, chunk)).flatten();
            let size = match following {
                Some(following) => {
                    here += 1;
                    compress(following, chunk, out.first_chunk_mut().unwrap())
                }
                None => lz4.compress(at, chunk, &mut out).unwrap(),
            };
            out.truncate(size);
            blocks.push(out);
        }
        here
    }

    fn compress_with_lz4(chunks: &[Vec<u8>], compressor: &mut OwnedCompressor, blocks: &mut Vec<Vec<u8>>) {
        let mut cursor = 0;
        let mut lz4 = compressor.borrow();
        lz4.reset();
        for chunk in chunks {
            let at = next_in_ring(&mut cursor, chunk.len());
            let mut out = vec![0; chunk.len() + chunk.len() / 255 + BLOCK_ROOM];
            let size = lz4.compress(at, chunk, &mut out).unwrap();
            out.truncate(size);
            blocks.push(out);
        }
    }

    #[test]
    fn blocks_are_those_of_lz4_in_any_mixture() {
        let here = Cell::new(0);
        let cases = ProptestConfig::with_cases(if cfg!(debug_assertions) { 60 } else { 1000 });
        proptest!(cases, |(chunks in chunks(), later in chunks())| {
            let (mut ours, mut lz4) = (OwnedCompressor::new().unwrap(), OwnedCompressor::new().unwrap());
            // Two frames, as the second begins with what the first left in the table.
            for chunks in [chunks, later] {
                let (mut our_blocks, mut lz4_blocks) = (Vec::new(), Vec::new());
                here.set(here.get() + compress_in_turns(&chunks, &mut ours, &mut our_blocks));
                compress_with_lz4(&chunks, &mut lz4, &mut lz4_blocks);
                prop_assert_eq!(our_blocks, lz4_blocks);
            }
        });
        assert!(here.get() > 1000, "{} chunks were compressed here", here.get());
    }

    /// Compresses some frames both ways, one after the other.
    fn check_blocks(frames: impl Iterator<Item = Vec<Vec<u8>>>) {
        let (mut ours, mut lz4) = (OwnedCompressor::new().unwrap(), OwnedCompressor::new().unwrap());
        for chunks in frames {
            let (mut our_blocks, mut lz4_blocks) = (Vec::new(), Vec::new());
            compress_in_turns(&chunks, &mut ours, &mut our_blocks);
            compress_with_lz4(&chunks, &mut lz4, &mut lz4_blocks);
            assert!(our_blocks == lz4_blocks, "{chunks:?}");
        }
    }

    #[test]
    fn blocks_are_those_of_lz4_where_a_frame_begins() {
        let mut random = 1u64;
        let mut next = |below: u64| {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (random >> 33) % below
        };
        // Matches in a chunk and to the few bytes before it, from each place and to each end.
        check_blocks((0..5000).map(|_| {
            let letters = 1 + next(4);
            let mut chunk = |size| (0..size).map(|_| next(letters) as u8).collect::<Vec<u8>>();
            let begin = chunk(1 + letters * 2);
            vec![begin, chunk(13), chunk(14), chunk(15), chunk(16), chunk(12), chunk(16)]
        }));
    }

    #[test]
    fn matches_are_found_as_far_back_as_by_lz4() {
        let far = |distance: usize, at: usize| {
            let begin = b"abcdefghijklmnop".to_vec();
            let mut again = begin.clone();
            again[..at].fill(b'-');
            vec![begin, vec![0; distance - 16 - 1000], vec![0; 1000], again]
        };
        check_blocks((DISTANCE_MAX - 2..DISTANCE_MAX + 3).flat_map(|distance| (0..6).map(move |at| far(distance, at))));
    }

    #[test]
    fn what_is_decompressed_here_is_what_lz4_makes_of_it() {
        let here = Cell::new(0);
        let cases = ProptestConfig::with_cases(if cfg!(debug_assertions) { 60 } else { 1000 });
        proptest!(cases, |(chunks in chunks(), damage in any::<u64>())| {
            let mut blocks = Vec::new();
            compress_with_lz4(&chunks, &mut OwnedCompressor::new().unwrap(), &mut blocks);
            let (mut ours, mut lz4) = (OwnedDecompressor::new().unwrap(), OwnedDecompressor::new().unwrap());
            let (mut ours, mut lz4) = (ours.borrow(), lz4.borrow());
            ours.reset();
            lz4.reset();
            let mut cursor = 0;
            for (index, (chunk, block)) in chunks.iter().zip(&mut blocks).enumerate() {
                let damaged = damage % 2 == 0 && index + 1 == chunks.len();
                if damaged {
                    let at = damage as usize / 16 % block.len();
                    block[at] ^= 1 << (damage / 2 % 8);
                }
                let at = next_in_ring(&mut cursor, chunk.len());
                let mut got = vec![0; chunk.len()];
                let tiny = chunk.len() <= DECOMPRESS_MAX;
                let expected = lz4.decompress(at, chunk.len(), block).map(<[u8]>::to_vec);
                let next = tiny.then(|| ours.continue_prefix(at, chunk.len())).flatten();
                if let Some(next) = next.filter(|next| decompress(next.before(), block, &mut got).is_some()) {
                    next.append(&got);
                    here.set(here.get() + 1);
                    prop_assert_eq!(Some(got), expected);
                } else if !damaged {
                    prop_assert_eq!(ours.decompress(at, chunk.len(), block).map(<[u8]>::to_vec), expected);
                }
            }
        });
        assert!(here.get() > 1000, "{} were decompressed here", here.get());
    }

    #[test]
    fn what_lz4_does_not_make_is_left_to_it() {
        let history = [7; 100];
        let decompress = |block: &[u8], len: usize| {
            let mut chunk = vec![0; len];
            decompress(&history, block, &mut chunk).map(|()| chunk)
        };
        let match_of_4 = [0x00, 1, 0];
        let last = [0xa0, b'a', b'b', b'c', b'd', b'e', b'f', b'g', b'h', b'i', b'j'];
        assert_eq!(decompress(&[&match_of_4[..], &last].concat(), 14).unwrap(), b"\x07\x07\x07\x07abcdefghij");
        assert_eq!(decompress(&last, 10).unwrap(), b"abcdefghij");
        for (what, block, len) in [
            ("nothing", vec![], 10),
            ("fewer literals than said", last[..5].to_vec(), 10),
            ("fewer bytes than asked for", last.to_vec(), 11),
            ("more bytes than asked for", last.to_vec(), 9),
            ("no literals behind the match", match_of_4.to_vec(), 4),
            ("a distance of 0", [&[0x00, 0, 0][..], &last].concat(), 14),
            ("a distance to before the history", [&[0x00, 101, 0][..], &last].concat(), 14),
            ("half a distance", vec![0x00, 1], 14),
            ("a match that begins too near to the end", [&match_of_4[..], &[0x50, 1, 2, 3, 4, 5]].concat(), 9),
            ("a match that ends too near to the end", [&[0x07, 1, 0][..], &[0x40, 1, 2, 3, 4]].concat(), 15),
            ("a length of more than one byte", [&[0xf0, 255, 0][..], &[9; 270]].concat(), 270),
        ] {
            assert_eq!(decompress(&block, len), None, "{what}");
        }
    }
}
