//! The checkpoint blob of raw streams: its two layouts, written and read. docs/format/inflate-checkpoint.md describes them.

use crate::inflate::block_header::BlockKind;
use crate::inflate::decoder::{At, Engine, Place, Snapshot};
use crate::inflate::error::Error;
use crate::inflate::huffman::{END, LITERALS, Lengths};
use crate::inflate::window::{HISTORY, WINDOW_MAX};

/// Bytes before the window, in both layouts.
pub(super) const HEAD: usize = 346;

/// Bytes behind the window: the checksum.
pub(super) const TAIL: usize = 4;

/// What stands for "no code length" in blocks that have none, and after the last one.
const NONE: u8 = 0xff;

/// The number that begins the later layout.
const VERSION_0X1001: u16 = 0x1001;

/// Streams and outputs longer than this there are not. It keeps sums of positions from overflowing.
const LONGEST_STREAM: u64 = 1 << 62;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Layout {
    /// The first one, without a version.
    Unversioned,
    /// The later one, of the crate deflate64 0.1.11 and 0.1.12. Written as 0.1.12 does.
    Version0x1001,
}

impl Layout {
    fn history(self) -> usize {
        match self {
            Self::Unversioned => HISTORY,
            Self::Version0x1001 => 65536,
        }
    }
}

/// How long the blob is.
pub(super) fn size(engine: &Engine, layout: Layout) -> usize {
    HEAD + window(engine, layout).len() + TAIL
}

/// The part of the window that goes into a blob.
pub(super) fn window(engine: &Engine, layout: Layout) -> &[u8] {
    let kept = engine.window().kept();
    let count = engine.written().min(layout.history() as u64) as usize;
    &kept[kept.len() - count.max(engine.window().unread()).min(kept.len())..]
}

/// What comes before the window, and how many bytes of the stream one who restores is to skip.
pub(super) fn head(engine: &Engine, layout: Layout, at: At) -> Result<([u8; HEAD], u64), Error> {
    let (place, lengths) = engine.place(at)?;
    let mut head = [0; HEAD];
    let (start, stored) = match layout {
        Layout::Unversioned => (0, 10..14),
        Layout::Version0x1001 => {
            head[..2].copy_from_slice(&VERSION_0X1001.to_le_bytes());
            (2, 12..14)
        }
    };
    head[start..start + 8].copy_from_slice(&place.bit.to_le_bytes());
    head[start + 8] = place.rest;
    head[start + 9] = u8::from(place.last) << 7 | place.kind as u8;
    let size = stored.len();
    head[stored].copy_from_slice(&place.stored.to_le_bytes()[..size]);
    match layout {
        _ if place.kind == BlockKind::Dynamic => head[14..334].copy_from_slice(lengths),
        Layout::Unversioned => head[14..334].fill(NONE),
        Layout::Version0x1001 => {}
    }
    head[334..342].copy_from_slice(&engine.written().to_le_bytes());
    head[342..346].copy_from_slice(&(engine.window().unread() as u32).to_le_bytes());
    Ok((head, place.bit.div_ceil(8)))
}

/// Writes the blob, and returns its size and how many bytes of the stream one who restores it is to skip.
pub(super) fn write(engine: &Engine, layout: Layout, at: At, blob: &mut [u8]) -> Result<(usize, u64), Error> {
    let (head, skip) = head(engine, layout, at)?;
    let window = window(engine, layout);
    let size = HEAD + window.len() + TAIL;
    let too_small = Error::BufferTooSmall { size: blob.len() as u64, needed: size as u64 };
    let blob = blob.get_mut(..size).ok_or(too_small)?;
    blob[..HEAD].copy_from_slice(&head);
    blob[HEAD..size - TAIL].copy_from_slice(window);
    let sum = checksum(&[&head, window]);
    blob[size - TAIL..].copy_from_slice(&sum.to_le_bytes());
    Ok((size, skip))
}

/// Two sums modulo 2^16 over all bytes: `a` adds up the bytes, `b` the values that `a` takes. The result is `b << 16 | a`.
pub(super) fn checksum(pieces: &[&[u8]]) -> u32 {
    let (mut a, mut b) = (0u16, 0u16);
    for piece in pieces {
        // Each lane has sums of its own, over every 64th byte, which the compiler keeps in vector registers. The bytes of lane i are
        // followed by LANES - i of their round, and by LANES of each later one.
        const LANES: usize = 64;
        let (rounds, rest) = piece.as_chunks::<LANES>();
        let (mut sums, mut sums_of_sums) = ([0u16; LANES], [0u16; LANES]);
        for round in rounds {
            for lane in 0..LANES {
                sums_of_sums[lane] = sums_of_sums[lane].wrapping_add(sums[lane]);
                sums[lane] = sums[lane].wrapping_add(u16::from(round[lane]));
            }
        }
        b = b.wrapping_add(a.wrapping_mul((rounds.len() * LANES) as u16));
        for lane in 0..LANES {
            a = a.wrapping_add(sums[lane]);
            b = b.wrapping_add(sums_of_sums[lane].wrapping_mul(LANES as u16));
            b = b.wrapping_add(sums[lane].wrapping_mul((LANES - lane) as u16));
        }
        for &byte in rest {
            a = a.wrapping_add(u16::from(byte));
            b = b.wrapping_add(a);
        }
    }
    u32::from(b) << 16 | u32::from(a)
}

/// A blob that was read and found sound, but for the code lengths fitting together, which shows when tables are built from them.
#[derive(Debug)]
pub(super) struct Blob<'a> {
    layout: Layout,
    place: Place,
    lengths: Lengths,
    written: u64,
    unread: usize,
    window: &'a [u8],
}

impl<'a> Blob<'a> {
    /// Reads a blob of either layout.
    pub(super) fn read(blob: &'a [u8], deflate64: bool) -> Result<Self, Error> {
        if blob.len() < HEAD + TAIL {
            return Err(Error::InvalidCheckpoint("is too short"));
        }
        let (content, sum) = blob.split_at(blob.len() - TAIL);
        if checksum(&[content]).to_le_bytes() != *sum {
            return Err(Error::InvalidCheckpoint("is corrupt: its checksum is wrong"));
        }
        let (head, window) = content.split_first_chunk::<HEAD>().ok_or(Error::Internal)?;
        // What is sound in one layout is not in the other. In the later one the lowest bits of the position could be the version: then
        // what comes out as the position's highest byte is the type, which is 0 only where all code lengths are NONE.
        let later = head[..2] == VERSION_0X1001.to_le_bytes();
        if later && let Ok(blob) = Self::fields(head, window, Layout::Version0x1001, deflate64) {
            return Ok(blob);
        }
        let unversioned = Self::fields(head, window, Layout::Unversioned, deflate64);
        // Of two refusals, that of the layout that it names.
        if later && unversioned.is_err() { Self::fields(head, window, Layout::Version0x1001, deflate64) } else { unversioned }
    }

    fn fields(head: &[u8; HEAD], window: &'a [u8], layout: Layout, deflate64: bool) -> Result<Self, Error> {
        let number =
            |from: usize, size: usize| head[from..from + size].iter().rev().fold(0, |sum, &byte| sum << 8 | u64::from(byte));
        let (start, stored) = match layout {
            Layout::Unversioned => (0, number(10, 4)),
            Layout::Version0x1001 => (2, number(12, 2)),
        };
        let (bit, rest, kind) = (number(start, 8), head[start + 8], head[start + 9]);
        let (written, unread) = (number(334, 8), number(342, 4));
        let refuse = |what| Err(Error::InvalidCheckpoint(what));

        let last = kind & 0x80 != 0;
        let kind = match kind & 0x7f {
            0 => BlockKind::Stored,
            1 => BlockKind::Fixed,
            2 => BlockKind::Dynamic,
            _ => return refuse("has an unknown block type"),
        };
        if bit > LONGEST_STREAM || written > LONGEST_STREAM {
            return refuse("has a position out of range");
        }
        if stored > 0xffff || stored != 0 && kind != BlockKind::Stored {
            return refuse("has an impossible number of stored bytes");
        }
        if stored > 0 && !bit.is_multiple_of(8) {
            return refuse("has a position in stored bytes that is not byte-aligned");
        }
        if unread > written {
            return refuse("has more pending output than total output");
        }
        // 0.1.11 kept as much as the unversioned layout does.
        let sizes = [layout.history(), HISTORY].map(|history| written.min(history as u64).max(unread));
        if !sizes.contains(&(window.len() as u64)) || window.len() > WINDOW_MAX {
            return refuse("has a window of the wrong size");
        }

        let lengths: Lengths = head[14..334].try_into().unwrap_or([0; _]);
        let lengths = match (kind, layout) {
            (BlockKind::Dynamic, _) => code_lengths(lengths, deflate64)?,
            (_, Layout::Unversioned) if lengths.iter().any(|&length| length != NONE) => {
                return refuse("has code lengths in a block without any");
            }
            (_, Layout::Version0x1001) if lengths.iter().any(|&length| length != 0) => {
                return refuse("has code lengths in a block without any");
            }
            _ => [0; _],
        };
        let rest = if bit.is_multiple_of(8) { 0 } else { rest & (0xff >> (bit % 8)) };
        let place = Place { bit, rest, kind, last, stored: stored as u32 };
        Ok(Self { layout, place, lengths, written, unread: unread as usize, window })
    }

    /// How many bytes of the stream are to be skipped, and how many of the output were returned.
    pub(super) fn position(&self) -> (u64, u64) {
        (self.place.bit.div_ceil(8), self.written - self.unread as u64)
    }

    pub(super) fn layout(&self) -> Layout {
        self.layout
    }

    pub(super) fn place(&self) -> Place {
        self.place
    }

    pub(super) fn unread(&self) -> usize {
        self.unread
    }

    pub(super) fn window(&self) -> &'a [u8] {
        self.window
    }

    /// What an engine goes on from, where `ahead` was read of the stream beyond what is to be skipped.
    pub(super) fn snapshot<'s>(&'s self, ahead: &'s [u8]) -> Snapshot<'s> {
        Snapshot {
            place: self.place,
            lengths: &self.lengths,
            written: self.written,
            kept: self.window,
            unread: self.unread,
            ahead,
        }
    }
}

/// The code lengths of a dynamic block: those of each alphabet are followed by any number of `NONE`.
fn code_lengths(mut lengths: Lengths, deflate64: bool) -> Result<Lengths, Error> {
    let (literals, distances) = lengths.split_at_mut(LITERALS);
    for alphabet in [&mut *literals, &mut *distances] {
        let end = alphabet.iter().position(|&length| length == NONE).unwrap_or(alphabet.len());
        let (lengths, rest) = alphabet.split_at_mut(end);
        if lengths.is_empty() || lengths.iter().any(|&length| length > 15) || rest.iter().any(|&length| length != NONE) {
            return Err(Error::InvalidCheckpoint("has impossible code lengths"));
        }
        rest.fill(0);
    }
    if literals[END] == 0 {
        return Err(Error::InvalidCheckpoint("has no end-of-block code"));
    }
    if !deflate64 && (literals[286..] != [0; 2] || distances[30..] != [0; 2]) {
        return Err(Error::InvalidCheckpoint("has codes that Deflate does not have"));
    }
    Ok(lengths)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_checksum_is_that_of_the_plain_loop() {
        let bytes: Vec<u8> = (0..70000u32).map(|i| (i.wrapping_mul(2654435761) >> 13) as u8).collect();
        for count in [0, 1, 63, 64, 65, 127, 128, 1000, 65888, 70000] {
            for cut in [0, 1, 346] {
                let (mut a, mut b) = (0u32, 0u32);
                for &byte in &bytes[..count] {
                    a = (a + u32::from(byte)) & 0xffff;
                    b = (b + a) & 0xffff;
                }
                let (first, second) = bytes[..count].split_at(cut.min(count));
                assert_eq!(checksum(&[first, second]), b << 16 | a, "{count} bytes");
            }
        }
    }
}
