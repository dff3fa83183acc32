//! The checkpoint that says everything itself: which format, where in its wrapping, and what was read ahead, around a blob. So one who goes
//! on from it begins exactly where the other stopped. docs/format/inflate-checkpoint.md describes it.

use super::compressed_window::{self, Compressed};
use super::deflate64_layout::{self, Blob, HEAD, Layout, TAIL};
use super::encoding::Position;
use crate::inflate::decoder::At;
use crate::inflate::error::Error;
use crate::inflate::format::Format;
use crate::inflate::stream::Inflate;
use crate::inflate::wrapper::{HELD_MAX, Stage, Wrapper};

pub(super) const MAGIC: [u8; 8] = *b"FDCKINFL";
const VERSION: u8 = 1;

/// Bytes before those that were read ahead.
const FIXED: usize = 72;

/// Bytes of the checksum behind those.
const SUM: usize = 4;

/// Bytes of it beside those that were read ahead and the blob.
pub(super) const OVERHEAD: usize = FIXED + SUM;

const PLAIN: u8 = 0;
const LZ4: u8 = 1;

/// The format that a checkpoint names, which was not checked.
pub(super) fn format(from: &[u8]) -> Option<Format> {
    let number = *from.get(9)?;
    Format::ALL.into_iter().find(|format| *format as u8 == number)
}

/// The parts of a checkpoint that [`restore`] has accepted.
pub(super) struct Envelope<'a> {
    pub(super) is_compressed: bool,
    pub(super) body: &'a [u8],
}

impl<'a> Envelope<'a> {
    pub(super) fn of(from: &'a [u8]) -> Option<Self> {
        let ahead = usize::from(u16::from_le_bytes([*from.get(12)?, *from.get(13)?]));
        Some(Self { is_compressed: from[11] == LZ4, body: from.get(FIXED + ahead + SUM..)? })
    }
}

/// How many bytes it takes at most.
pub(super) fn bound(inflate: &Inflate) -> usize {
    let blob = if inflate.in_body() { deflate64_layout::size(inflate.engine(), Layout::Unversioned) } else { 0 };
    FIXED + inflate.ahead().len() + SUM + blob
}

/// Writes the checkpoint, and returns its size.
pub(super) fn write(inflate: &Inflate, compressed: bool, out: &mut [u8]) -> Result<usize, Error> {
    if inflate.failed.is_some() {
        return Err(Error::Poisoned);
    }
    let engine = inflate.engine();
    let ahead = inflate.ahead();
    let compact = if compressed && inflate.in_body() { compressed_window::compress(engine)? } else { None };
    let start = FIXED + ahead.len() + SUM;
    let body = match &compact {
        _ if !inflate.in_body() => 0,
        None => deflate64_layout::size(engine, Layout::Unversioned),
        Some(compressed) => HEAD + compressed.frame.len() + TAIL,
    };
    let size = start + body;
    let too_small = Error::BufferTooSmall { size: out.len() as u64, needed: size as u64 };
    let out = out.get_mut(..size).ok_or(too_small)?;

    let (head, rest) = out.split_at_mut(start);
    head.fill(0);
    head[..8].copy_from_slice(&MAGIC);
    head[8] = VERSION;
    head[9] = inflate.format as u8;
    head[11] = if compact.is_some() { LZ4 } else { PLAIN };
    head[12..14].copy_from_slice(&(ahead.len() as u16).to_le_bytes());
    if let Some(wrapper) = &inflate.wrapper {
        head[10] = wrapper.stage as u8;
        head[14] = wrapper.held_count;
        head[15] = wrapper.flags;
        head[16..18].copy_from_slice(&wrapper.extra.to_le_bytes());
        let held = usize::from(wrapper.held_count);
        head[20..20 + held].copy_from_slice(&wrapper.held[..held]);
        head[32..36].copy_from_slice(&wrapper.header_sum.to_le_bytes());
        head[36..40].copy_from_slice(&wrapper.sum.to_le_bytes());
        head[40..44].copy_from_slice(&wrapper.length.to_le_bytes());
    }
    head[44..48].copy_from_slice(&(body as u32).to_le_bytes());
    head[48..56].copy_from_slice(&inflate.total_in.to_le_bytes());
    head[56..64].copy_from_slice(&inflate.total_out.to_le_bytes());
    head[64..72].copy_from_slice(&inflate.body_in.to_le_bytes());
    head[FIXED..FIXED + ahead.len()].copy_from_slice(ahead);
    let sum = crc32fast::hash(&head[..start - SUM]);
    head[start - SUM..].copy_from_slice(&sum.to_le_bytes());

    if let Some(Compressed { frame, window }) = &compact {
        let (blob, _) = deflate64_layout::head(engine, Layout::Unversioned, At::Here)?;
        rest[..HEAD].copy_from_slice(&blob);
        rest[HEAD..body - TAIL].copy_from_slice(frame);
        let sum = deflate64_layout::checksum(&[&blob, window]);
        rest[body - TAIL..].copy_from_slice(&sum.to_le_bytes());
    } else if body > 0 {
        deflate64_layout::write(engine, Layout::Unversioned, At::Here, rest)?;
    }
    Ok(size)
}

/// Goes on from a checkpoint; if it is refused, nothing has changed.
pub(super) fn restore(inflate: &mut Inflate, from: &[u8]) -> Result<Position, Error> {
    let refuse = |what| Err(Error::InvalidCheckpoint(what));
    let (Some(fixed), true) = (from.first_chunk::<FIXED>(), from.starts_with(&MAGIC)) else {
        return refuse("is too short");
    };
    let number = |at: usize, size: usize| fixed[at..at + size].iter().rev().fold(0, |sum, &byte| sum << 8 | u64::from(byte));
    if fixed[8] != VERSION {
        return refuse("has an unknown version");
    }
    let ahead = number(12, 2) as usize;
    let (Some(ahead), Some(sum)) =
        (from.get(FIXED..FIXED + ahead), from.get(FIXED + ahead..).and_then(|rest| rest.first_chunk::<SUM>()))
    else {
        return refuse("is too short");
    };
    let start = FIXED + ahead.len() + SUM;
    if crc32fast::hash(&from[..start - SUM]) != u32::from_le_bytes(*sum) {
        return refuse("is corrupt: its checksum is wrong");
    }
    if fixed[9] != inflate.format as u8 {
        let name = format(from).map(|format| match format {
            Format::Deflate => "is of a raw Deflate stream, not of this decompressor's format",
            Format::Deflate64 => "is of a raw Deflate64 stream, not of this decompressor's format",
            Format::Zlib => "is of a zlib stream, not of this decompressor's format",
            Format::Gzip => "is of a gzip stream, not of this decompressor's format",
        });
        return refuse(name.unwrap_or("has an unknown format"));
    }
    let body = &from[start..];
    if body.len() as u64 != number(44, 4) {
        return refuse("has the wrong size: truncated, or followed by other data");
    }
    let (total_in, total_out, body_in) = (number(48, 8), number(56, 8), number(64, 8));
    let wrapper = match &inflate.wrapper {
        None if fixed[10] == 0 => None,
        None => return refuse("has a header position, but the format has no header"),
        Some(old) => {
            let Some(stage) = Stage::from_number(fixed[10]) else { return refuse("has an unknown position") };
            let mut wrapper = Wrapper::new(old.kind);
            (wrapper.stage, wrapper.held_count, wrapper.flags) = (stage, fixed[14], fixed[15]);
            wrapper.extra = number(16, 2) as u16;
            wrapper.held.copy_from_slice(&fixed[20..20 + HELD_MAX]);
            wrapper.header_sum = number(32, 4) as u32;
            wrapper.sum = number(36, 4) as u32;
            wrapper.length = number(40, 4) as u32;
            if !wrapper.is_sound() {
                return refuse("has an impossible header position");
            }
            Some(wrapper)
        }
    };
    let in_body = wrapper.as_ref().is_none_or(|wrapper| wrapper.stage == Stage::Body);
    if !in_body {
        if !body.is_empty() || !ahead.is_empty() || fixed[11] != PLAIN {
            return refuse("has more fields than its position needs");
        }
        inflate.engine_mut().reset();
    } else {
        let inflated;
        let blob = match fixed[11] {
            PLAIN => body,
            LZ4 => {
                inflated = compressed_window::expand(body)?;
                &inflated
            }
            _ => return refuse("has a window in an unknown form"),
        };
        let blob = Blob::read(blob, inflate.engine().deflate64())?;
        let (skip, returned) = blob.position();
        let length = wrapper.as_ref().map_or(returned as u32, |wrapper| wrapper.length);
        if body_in.checked_add(skip + ahead.len() as u64) != Some(total_in) || total_out < returned || length != returned as u32 {
            return refuse("has inconsistent positions");
        }
        inflate.engine_mut().restore(&blob.snapshot(ahead))?;
    }
    inflate.wrapper = wrapper;
    (inflate.total_in, inflate.total_out, inflate.body_in, inflate.failed) = (total_in, total_out, body_in, None);
    Ok(Position { input: total_in, output: total_out })
}
