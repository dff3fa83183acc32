//! Checkpoints of raw streams in the two layouts of crate deflate64. docs/format/inflate-checkpoint.md specifies them.

use super::encoding::Position;
use crate::bytes::{u32_at, u64_at};
use crate::inflate::block_header::BlockKind;
use crate::inflate::decoder::{Decoder, ResumeAt, ResumePoint, Snapshot};
use crate::inflate::error::Error;
use crate::inflate::huffman::{CodeLengths, END_OF_BLOCK, LITLEN_SYMBOLS};
use crate::inflate::window::{HISTORY_SIZE, WINDOW_MAX};

/// Size in bytes of the fields before the window, in both layouts.
pub(super) const HEADER_SIZE: usize = 346;

/// Size in bytes of the checksum after the window.
pub(super) const CHECKSUM_SIZE: usize = 4;

/// Padding after the last code length of an alphabet; in the unversioned layout also all code lengths of blocks without
/// any.
const NO_CODE_LENGTH: u8 = 0xff;

/// First two bytes of the versioned layout.
const VERSION_0X1001: u16 = 0x1001;

/// Maximum position in a stream, in bits, and in its output, in bytes. Sums of positions cannot overflow then.
const MAX_POSITION: u64 = 1 << 62;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Layout {
    /// The first layout, which has no version field.
    Unversioned,
    /// The layout of crate deflate64 0.1.11 and 0.1.12. Written as in 0.1.12.
    Version0x1001,
}

impl Layout {
    /// Maximum number of bytes of history that the layout stores.
    fn history_size(self) -> usize {
        match self {
            Self::Unversioned => HISTORY_SIZE,
            Self::Version0x1001 => 65536,
        }
    }
}

/// Returns the size in bytes of a checkpoint of the current state.
pub(super) fn size(decoder: &Decoder, layout: Layout) -> usize {
    HEADER_SIZE + window(decoder, layout).len() + CHECKSUM_SIZE
}

/// Returns the part of the window that a checkpoint stores.
pub(super) fn window(decoder: &Decoder, layout: Layout) -> &[u8] {
    let content = decoder.window().content();
    let history = decoder.bytes_produced().min(layout.history_size() as u64) as usize;
    &content[content.len() - history.max(decoder.window().unread_len()).min(content.len())..]
}

/// Returns the fields before the window, and the offset in bytes at which a restored decoder continues to read.
pub(super) fn header(decoder: &Decoder, layout: Layout, at: ResumeAt) -> Result<([u8; HEADER_SIZE], u64), Error> {
    let (point, code_lengths) = decoder.resume_point(at)?;
    let mut header = [0; HEADER_SIZE];
    let (start, stored_remaining) = match layout {
        Layout::Unversioned => (0, 10..14),
        Layout::Version0x1001 => {
            header[..2].copy_from_slice(&VERSION_0X1001.to_le_bytes());
            (2, 12..14)
        }
    };
    header[start..start + 8].copy_from_slice(&point.bit_offset.to_le_bytes());
    header[start + 8] = point.partial_byte;
    header[start + 9] = u8::from(point.is_last) << 7 | point.kind as u8;
    let size = stored_remaining.len();
    header[stored_remaining].copy_from_slice(&point.stored_remaining.to_le_bytes()[..size]);
    match layout {
        _ if point.kind == BlockKind::Dynamic => header[14..334].copy_from_slice(code_lengths),
        Layout::Unversioned => header[14..334].fill(NO_CODE_LENGTH),
        Layout::Version0x1001 => {}
    }
    header[334..342].copy_from_slice(&decoder.bytes_produced().to_le_bytes());
    header[342..346].copy_from_slice(&(decoder.window().unread_len() as u32).to_le_bytes());
    Ok((header, point.bit_offset.div_ceil(8)))
}

/// Writes a checkpoint to `buffer`. Returns its size, and the offset in bytes at which a restored decoder continues to
/// read.
pub(super) fn write(decoder: &Decoder, layout: Layout, at: ResumeAt, buffer: &mut [u8]) -> Result<(usize, u64), Error> {
    let (header, in_offset) = header(decoder, layout, at)?;
    let window = window(decoder, layout);
    let size = HEADER_SIZE + window.len() + CHECKSUM_SIZE;
    let too_small = Error::BufferTooSmall { size: buffer.len() as u64, needed: size as u64 };
    let buffer = buffer.get_mut(..size).ok_or(too_small)?;
    buffer[..HEADER_SIZE].copy_from_slice(&header);
    buffer[HEADER_SIZE..size - CHECKSUM_SIZE].copy_from_slice(window);
    let checksum = checksum(&[&header, window]);
    buffer[size - CHECKSUM_SIZE..].copy_from_slice(&checksum.to_le_bytes());
    Ok((size, in_offset))
}

/// Computes the checksum of the concatenated slices: for each byte, `a` is increased by the byte, then `b` by `a`,
/// modulo 2^16. The result is `b << 16 | a`.
pub(super) fn checksum(slices: &[&[u8]]) -> u32 {
    let (mut a, mut b) = (0u16, 0u16);
    for slice in slices {
        // Each lane has sums of its own over every 64th byte, which the compiler keeps in vector registers. A byte is
        // added to `b` once for itself and once for each byte after it: lane i has LANES - i of these in its own round,
        // and LANES in each later one.
        const LANES: usize = 64;
        let (rounds, rest) = slice.as_chunks::<LANES>();
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

/// A parsed checkpoint of a raw stream. It is validated, except that the code lengths may not be a prefix code: that is
/// found when the decoding tables are built.
#[derive(Debug)]
pub(super) struct RawCheckpoint<'a> {
    layout: Layout,
    point: ResumePoint,
    code_lengths: CodeLengths,
    bytes_produced: u64,
    unread_len: usize,
    window: &'a [u8],
}

impl<'a> RawCheckpoint<'a> {
    /// Parses a checkpoint of either layout.
    pub(super) fn parse(checkpoint: &'a [u8], deflate64: bool) -> Result<Self, Error> {
        if checkpoint.len() < HEADER_SIZE + CHECKSUM_SIZE {
            return Err(Error::InvalidCheckpoint("is too short"));
        }
        let (content, stored_checksum) = checkpoint.split_at(checkpoint.len() - CHECKSUM_SIZE);
        if checksum(&[content]).to_le_bytes() != *stored_checksum {
            return Err(Error::InvalidCheckpoint("is corrupt: its checksum is wrong"));
        }
        let (header, window) = content.split_first_chunk::<HEADER_SIZE>().ok_or(Error::Internal)?;
        // No checkpoint is valid in both layouts. If the lowest bits of an unversioned position equal the version, then
        // read as the versioned layout, the highest byte of the position is the unversioned block type. It is 0 only
        // for stored blocks, whose code lengths are all NO_CODE_LENGTH.
        let has_version = header[..2] == VERSION_0X1001.to_le_bytes();
        if has_version && let Ok(raw) = Self::parse_as(Layout::Version0x1001, header, window, deflate64) {
            return Ok(raw);
        }
        let unversioned = Self::parse_as(Layout::Unversioned, header, window, deflate64);
        // If both are refused, report the error of the layout that the version names.
        if has_version && unversioned.is_err() {
            Self::parse_as(Layout::Version0x1001, header, window, deflate64)
        } else {
            unversioned
        }
    }

    fn parse_as(layout: Layout, header: &[u8; HEADER_SIZE], window: &'a [u8], deflate64: bool) -> Result<Self, Error> {
        let (start, stored_remaining) = match layout {
            Layout::Unversioned => (0, u32_at(header, 10)),
            Layout::Version0x1001 => (2, u32::from(u16::from_le_bytes([header[12], header[13]]))),
        };
        let (bit_offset, partial_byte, block) = (u64_at(header, start), header[start + 8], header[start + 9]);
        let (bytes_produced, unread_len) = (u64_at(header, 334), u64::from(u32_at(header, 342)));
        let refuse = |what| Err(Error::InvalidCheckpoint(what));

        let is_last = block & 0x80 != 0;
        let kind = match block & 0x7f {
            0 => BlockKind::Stored,
            1 => BlockKind::Fixed,
            2 => BlockKind::Dynamic,
            _ => return refuse("has an unknown block type"),
        };
        if bit_offset > MAX_POSITION || bytes_produced > MAX_POSITION {
            return refuse("has a position out of range");
        }
        if stored_remaining > 0xffff || stored_remaining != 0 && kind != BlockKind::Stored {
            return refuse("has an impossible number of stored bytes");
        }
        if stored_remaining > 0 && !bit_offset.is_multiple_of(8) {
            return refuse("has a position in stored bytes that is not byte-aligned");
        }
        if unread_len > bytes_produced {
            return refuse("has more pending output than total output");
        }
        // Version 0.1.11 of the crate wrote as much history as the unversioned layout has.
        let sizes = [layout.history_size(), HISTORY_SIZE].map(|history| bytes_produced.min(history as u64).max(unread_len));
        if !sizes.contains(&(window.len() as u64)) || window.len() > WINDOW_MAX {
            return refuse("has a window of the wrong size");
        }

        let stored_lengths: CodeLengths = header[14..334].try_into().unwrap_or([0; _]);
        let code_lengths = match (kind, layout) {
            (BlockKind::Dynamic, _) => parse_code_lengths(stored_lengths, deflate64)?,
            (_, Layout::Unversioned) if stored_lengths.iter().any(|&length| length != NO_CODE_LENGTH) => {
                return refuse("has code lengths in a block without any");
            }
            (_, Layout::Version0x1001) if stored_lengths.iter().any(|&length| length != 0) => {
                return refuse("has code lengths in a block without any");
            }
            _ => [0; _],
        };
        let partial_byte = if bit_offset.is_multiple_of(8) { 0 } else { partial_byte & (0xff >> (bit_offset % 8)) };
        let point = ResumePoint { bit_offset, partial_byte, kind, is_last, stored_remaining };
        Ok(Self { layout, point, code_lengths, bytes_produced, unread_len: unread_len as usize, window })
    }

    /// Returns the position at which a restored decoder continues to read, and to return output.
    pub(super) fn position(&self) -> Position {
        Position { in_offset: self.point.bit_offset.div_ceil(8), out_offset: self.bytes_produced - self.unread_len as u64 }
    }

    pub(super) fn layout(&self) -> Layout {
        self.layout
    }

    pub(super) fn point(&self) -> ResumePoint {
        self.point
    }

    pub(super) fn unread_len(&self) -> usize {
        self.unread_len
    }

    pub(super) fn window(&self) -> &'a [u8] {
        self.window
    }

    /// Returns the state for [`Decoder::restore`], with `read_ahead` consumed after the resume point.
    pub(super) fn snapshot<'s>(&'s self, read_ahead: &'s [u8]) -> Snapshot<'s> {
        Snapshot {
            point: self.point,
            code_lengths: &self.code_lengths,
            bytes_produced: self.bytes_produced,
            window: self.window,
            unread_len: self.unread_len,
            read_ahead,
        }
    }
}

/// Validates the code lengths of a dynamic block, and replaces the padding of each alphabet by zeros.
fn parse_code_lengths(mut code_lengths: CodeLengths, deflate64: bool) -> Result<CodeLengths, Error> {
    let (litlen, dist) = code_lengths.split_at_mut(LITLEN_SYMBOLS);
    for alphabet in [&mut *litlen, &mut *dist] {
        let end = alphabet.iter().position(|&length| length == NO_CODE_LENGTH).unwrap_or(alphabet.len());
        let (lengths, padding) = alphabet.split_at_mut(end);
        let has_other_padding = padding.iter().any(|&length| length != NO_CODE_LENGTH);
        if lengths.is_empty() || lengths.iter().any(|&length| length > 15) || has_other_padding {
            return Err(Error::InvalidCheckpoint("has impossible code lengths"));
        }
        padding.fill(0);
    }
    if litlen[END_OF_BLOCK] == 0 {
        return Err(Error::InvalidCheckpoint("has no end-of-block code"));
    }
    if !deflate64 && (litlen[286..] != [0; 2] || dist[30..] != [0; 2]) {
        return Err(Error::InvalidCheckpoint("has codes that Deflate does not have"));
    }
    Ok(code_lengths)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn checksum_equals_bytewise_loop() {
        let bytes: Vec<u8> = (0..70000u32).map(|i| (i.wrapping_mul(2654435761) >> 13) as u8).collect();
        for count in [0, 1, 63, 64, 65, 127, 128, 1000, 65888, 70000] {
            for split in [0, 1, 346] {
                let (mut a, mut b) = (0u32, 0u32);
                for &byte in &bytes[..count] {
                    a = (a + u32::from(byte)) & 0xffff;
                    b = (b + a) & 0xffff;
                }
                let (first, second) = bytes[..count].split_at(split.min(count));
                assert_eq!(checksum(&[first, second]), b << 16 | a, "{count} bytes");
            }
        }
    }
}
