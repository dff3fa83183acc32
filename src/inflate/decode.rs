//! The inside of compressed blocks: literals and matches.
//!
//! Two decoders do the same. [`run`] is the fast one: it goes on as long as it need not look whether there is enough input for a symbol or
//! enough room for a match. [`step`] decodes one symbol, at the edges and wherever something is special.

use super::bit_reader::Bits;
use super::error::DataError;
use super::huffman::{
    BadCode, DEFLATE, DEFLATE64, DistanceTable, END_OF_BLOCK, FIXED, LITERAL, LITERALS, Lengths, LiteralTable, SECOND, SPECIAL,
};

/// The tables of a block.
pub(super) struct Tables {
    literals: LiteralTable,
    distances: DistanceTable,
    deflate64: bool,
    /// Whether they are those of fixed blocks.
    fixed: bool,
}

impl Tables {
    pub(super) const fn new(deflate64: bool) -> Self {
        Self { literals: LiteralTable::new(), distances: DistanceTable::new(), deflate64, fixed: false }
    }

    pub(super) fn deflate64(&self) -> bool {
        self.deflate64
    }

    /// For the code lengths of a dynamic block.
    pub(super) fn build(&mut self, lengths: &Lengths) -> Result<(), DataError> {
        let symbols = if self.deflate64 { &DEFLATE64 } else { &DEFLATE };
        let (literals, distances) = lengths.split_at(LITERALS);
        self.fixed = false;
        self.literals.build(literals, &symbols.literals, false).map_err(|bad| match bad {
            BadCode::Oversubscribed => DataError::LiteralCodesOversubscribed,
            BadCode::Incomplete => DataError::LiteralCodesIncomplete,
        })?;
        self.distances.build(distances, &symbols.distances, true).map_err(|bad| match bad {
            BadCode::Oversubscribed => DataError::DistanceCodesOversubscribed,
            BadCode::Incomplete => DataError::DistanceCodesIncomplete,
        })
    }

    /// For fixed blocks.
    pub(super) fn build_fixed(&mut self) {
        if !self.fixed {
            let built = self.build(&FIXED);
            debug_assert!(built.is_ok());
            self.fixed = true;
        }
    }
}

/// What [`step`] did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// Decoded a symbol.
    Done,
    /// Found the code of so many bits that ends the block. It is still there.
    EndOfBlock(u32),
    /// Nothing: the input ends inside the symbol.
    NeedsInput,
    /// Nothing: the symbol makes output, and there is no room for all of it.
    NeedsRoom,
}

/// Room behind the position that [`run`] wants: a few literals, a match of 258 bytes, what is written beyond its end.
pub(super) const SLACK: usize = 3 + 258 + 32;

/// Input that [`run`] wants: two loads of 8 bytes.
pub(super) const MARGIN: usize = 16;

/// Decodes one symbol into `out` at `*at`, with `out[..*at]` as history. Of `out` as much may be used as the symbol needs, unless `*at` has
/// reached `limit`. Unless a symbol is decoded, nothing changes; `Err` has what is wrong with it.
pub(super) fn step(
    tables: &Tables,
    bits: &mut Bits<'_>,
    out: &mut [u8],
    at: &mut usize,
    limit: usize,
) -> Result<Step, DataError> {
    let mut ahead = *bits;
    ahead.refill();
    let mut entry = tables.literals.first(ahead.bits);
    if entry & SECOND != 0 {
        if ahead.count < LiteralTable::ROOT as u32 {
            return Ok(Step::NeedsInput);
        }
        ahead.drop(LiteralTable::ROOT as u32);
        entry = tables.literals.second(entry, ahead.bits);
    }
    // With fewer bits than the entry's code has, it was looked up by zeros that are not of the stream.
    let Some((base, taken)) = take_entry(&mut ahead, entry) else { return Ok(Step::NeedsInput) };
    if entry & SPECIAL != 0 {
        if entry & END_OF_BLOCK == 0 {
            return Err(DataError::LiteralCode);
        }
        return Ok(Step::EndOfBlock((bits.left() - ahead.left()) as u32));
    }
    if entry & LITERAL != 0 {
        if *at >= limit {
            return Ok(Step::NeedsRoom);
        }
        let Some(place) = out.get_mut(*at) else { return Ok(Step::NeedsRoom) };
        *place = (entry >> 16) as u8;
        *at += 1;
        *bits = ahead;
        return Ok(Step::Done);
    }
    let length = (base + taken) as usize;

    ahead.refill();
    let mut entry = tables.distances.first(ahead.bits);
    if entry & SECOND != 0 {
        if ahead.count < DistanceTable::ROOT as u32 {
            return Ok(Step::NeedsInput);
        }
        ahead.drop(DistanceTable::ROOT as u32);
        entry = tables.distances.second(entry, ahead.bits);
    }
    let Some((base, taken)) = take_entry(&mut ahead, entry) else { return Ok(Step::NeedsInput) };
    if entry & SPECIAL != 0 {
        return Err(DataError::DistanceCode);
    }
    let distance = (base + taken) as usize;
    if distance > *at {
        return Err(DataError::DistanceTooFar);
    }
    if *at >= limit || out.len() - *at < length {
        return Ok(Step::NeedsRoom);
    }
    copy_careful(out, *at, distance, length);
    *at += length;
    *bits = ahead;
    Ok(Step::Done)
}

/// Takes the code and the extra bits of an entry: its base, and the value of the extra bits.
fn take_entry(bits: &mut Bits<'_>, entry: u32) -> Option<(u32, u32)> {
    let (all, code) = (entry & 0xff, entry >> 8 & 15);
    if bits.count < all {
        return None;
    }
    let taken = (bits.bits & ((1 << all) - 1)) >> code;
    bits.drop(all);
    Some((entry >> 16, taken as u32))
}

/// Copies a match of any length, and nothing beyond it.
fn copy_careful(out: &mut [u8], at: usize, distance: usize, length: usize) {
    if distance == 1 {
        let byte = out[at - 1];
        out[at..at + length].fill(byte);
        return;
    }
    // What was copied is a longer piece to copy from: the same bytes over and over.
    let from = at - distance;
    let mut done = 0;
    while done < length {
        let piece = (distance + done).min(length - done);
        out.copy_within(from..from + piece, at + done);
        done += piece;
    }
}

/// Decodes symbols into `out` from `at` on, with `out[..at]` as history, until something is special or an edge is near: less than
/// [`MARGIN`] bytes of input, `limit` reached, or less than [`SLACK`] bytes of `out`. Returns the new position.
///
/// May change bytes of `out` behind that position.
#[inline(never)]
pub(super) fn run(tables: &Tables, input: &mut Bits<'_>, out: &mut [u8], mut at: usize, limit: usize) -> usize {
    let limit = limit.min(out.len().saturating_sub(SLACK));
    let Bits { mut rest, mut bits, mut count } = *input;
    if count > 63 || at >= limit || rest.len() < MARGIN {
        return at;
    }

    // Of `count` only the lowest 6 bits mean something in here, as entries are subtracted whole. `bits` has bits beyond it that are right:
    // loading the same ones again changes nothing.
    macro_rules! refill {
        (else $otherwise:block) => {
            let Some(next) = rest.first_chunk::<8>() else $otherwise;
            bits |= u64::from_le_bytes(*next) << (count & 63);
            rest = &rest[((63 ^ (count & 63)) >> 3) as usize..];
            count = count & 63 | 56;
        };
    }
    macro_rules! drop_entry {
        ($entry:ident) => {
            bits >>= $entry & 63;
            count = count.wrapping_sub($entry);
        };
    }
    macro_rules! literal {
        ($entry:ident) => {
            out[at] = ($entry >> 16) as u8;
            at += 1;
            drop_entry!($entry);
        };
    }

    refill!(else { return at });
    let mut entry = tables.literals.first(bits);
    loop {
        // Here are at least 56 bits, and the entry for the next of them.
        macro_rules! next {
            () => {
                if at >= limit || rest.len() < MARGIN {
                    break;
                }
                refill!(else { break });
                entry = tables.literals.first(bits);
            };
        }
        if entry & LITERAL != 0 {
            literal!(entry);
            entry = tables.literals.first(bits);
            if entry & LITERAL != 0 {
                literal!(entry);
                entry = tables.literals.first(bits);
                if entry & LITERAL != 0 {
                    literal!(entry);
                    next!();
                    continue;
                }
            }
        }
        // Here are at least 56 - 22 bits: enough for a code with extra bits (of Deflate64's symbol 285: 15 + 16). But the state at this
        // point must be kept: a symbol that can't be finished here is begun again by `step`.
        let (kept_rest, kept_bits, kept_count) = (rest, bits, count);
        macro_rules! leave {
            () => {{
                (rest, bits, count) = (kept_rest, kept_bits, kept_count);
                break;
            }};
        }
        if entry & SPECIAL != 0 {
            if entry & SECOND == 0 {
                break;
            }
            bits >>= LiteralTable::ROOT;
            count = count.wrapping_sub(LiteralTable::ROOT as u32);
            entry = tables.literals.second(entry, bits);
            if entry & LITERAL != 0 {
                literal!(entry);
                next!();
                continue;
            }
            if entry & SPECIAL != 0 {
                leave!();
            }
        }
        let extra = (bits & ((1u64 << (entry & 63)) - 1)) >> (entry >> 8 & 15);
        let length = (entry >> 16) as usize + extra as usize;
        drop_entry!(entry);

        // A distance takes at most 15 + 14 bits.
        if count & 63 < 29 {
            refill!(else { leave!() });
        }
        let mut far = tables.distances.first(bits);
        if far & SPECIAL != 0 {
            if far & SECOND == 0 {
                leave!();
            }
            bits >>= DistanceTable::ROOT;
            count = count.wrapping_sub(DistanceTable::ROOT as u32);
            far = tables.distances.second(far, bits);
            if far & SPECIAL != 0 {
                leave!();
            }
        }
        let extra = (bits & ((1u64 << (far & 63)) - 1)) >> (far >> 8 & 15);
        let distance = (far >> 16) as usize + extra as usize;
        drop_entry!(far);
        if distance > at || length > 258 && length > out.len() - at {
            leave!();
        }

        // The entry that comes next is looked up before the match is copied, which takes a while.
        let more = at + length < limit && rest.len() >= MARGIN;
        if more {
            refill!(else { leave!() });
            entry = tables.literals.first(bits);
        }
        if length > 258 {
            copy_careful(out, at, distance, length);
        } else {
            copy(out, at, distance, length);
        }
        at += length;
        if !more {
            break;
        }
    }
    count &= 63;
    *input = Bits { rest, bits: bits & ((1 << count) - 1), count };
    at
}

/// Copies a match of at most 258 bytes, by pieces: up to 31 bytes more may be written.
#[inline(always)]
fn copy(out: &mut [u8], at: usize, distance: usize, length: usize) {
    let from = at - distance;
    if distance >= PIECE {
        // One piece is enough for most.
        let mut done = 0;
        loop {
            copy_piece::<PIECE>(out, from + done, at + done);
            done += PIECE;
            if done >= length {
                break;
            }
        }
    } else if distance == 1 {
        let byte = out[from];
        out[at..][..PIECE].fill(byte);
        let mut done = PIECE;
        while done < length {
            out[at + done..][..PIECE].fill(byte);
            done += PIECE;
        }
    } else {
        for place in at..at + 16 {
            out[place] = out[place - distance];
        }
        if length > 16 {
            // The same bytes over and over: as well from some repetitions before, so that pieces don't overlap.
            let before = distance * 8usize.div_ceil(distance);
            let mut done = 16;
            while done < length {
                copy_piece::<8>(out, at + done - before, at + done);
                done += 8;
            }
        }
    }
}

const PIECE: usize = 32;

#[inline(always)]
fn copy_piece<const SIZE: usize>(out: &mut [u8], from: usize, to: usize) {
    let (history, room) = out.split_at_mut(to);
    if let (Some(piece), Some(place)) = (history[from..].first_chunk::<SIZE>(), room.first_chunk_mut::<SIZE>()) {
        *place = *piece;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_ways_of_copying_do_the_same() {
        for distance in 1..70 {
            for length in 3..=258 {
                let mut out: Vec<u8> = (0..100 + 258 + 32).map(|i| (i * 7) as u8).collect();
                let (mut careful, mut naive) = (out.clone(), out.clone());
                for place in 100..100 + length {
                    naive[place] = naive[place - distance];
                }
                copy(&mut out, 100, distance, length);
                copy_careful(&mut careful, 100, distance, length);
                assert_eq!(out[..100 + length], naive[..100 + length], "{distance} {length}");
                assert_eq!(careful, naive, "{distance} {length}");
            }
        }
    }
}
