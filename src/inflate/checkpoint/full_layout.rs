//! The self-describing layout: format, state of header and trailer, read-ahead, and the checkpoint of the raw stream in
//! the unversioned layout of crate deflate64. It resumes exactly where the decompressor stopped.
//! docs/format/inflate-checkpoint.md specifies it.

use super::compressed_window::{self, CompressedWindow};
use super::deflate64_layout::{self, CHECKSUM_SIZE, HEADER_SIZE, Layout, RawCheckpoint};
use super::encoding::Position;
use crate::bytes::{u32_at, u64_at};
use crate::inflate::decoder::ResumeAt;
use crate::inflate::error::Error;
use crate::inflate::format::Format;
use crate::inflate::stream::Inflate;
use crate::inflate::wrapper::{FIELD_MAX, Stage, Wrapper};

pub(super) const MAGIC: [u8; 8] = *b"FDCKINFL";
const VERSION: u8 = 1;

/// Size in bytes of the fields before the read-ahead.
const FIXED_SIZE: usize = 72;

/// Size in bytes of the CRC-32 after the read-ahead.
const CRC_SIZE: usize = 4;

/// Size in bytes without the read-ahead and the raw checkpoint.
pub(super) const OVERHEAD: usize = FIXED_SIZE + CRC_SIZE;

/// Encodings of the window.
const WINDOW_PLAIN: u8 = 0;
const WINDOW_LZ4: u8 = 1;

/// Reads the format of a checkpoint that may be corrupt. `None` if it is unknown.
pub(super) fn format(checkpoint: &[u8]) -> Option<Format> {
    let number = *checkpoint.get(9)?;
    Format::ALL.into_iter().find(|format| *format as u8 == number)
}

/// Parts of a valid checkpoint.
pub(super) struct FullCheckpoint<'a> {
    pub(super) has_compressed_window: bool,
    /// The checkpoint of the raw stream, possibly with a compressed window; empty in headers and trailers.
    pub(super) raw: &'a [u8],
}

impl<'a> FullCheckpoint<'a> {
    /// Splits a checkpoint that [`restore`] has accepted.
    pub(super) fn split(checkpoint: &'a [u8]) -> Option<Self> {
        let read_ahead_len = usize::from(u16::from_le_bytes([*checkpoint.get(12)?, *checkpoint.get(13)?]));
        let raw = checkpoint.get(OVERHEAD + read_ahead_len..)?;
        Some(Self { has_compressed_window: checkpoint[11] == WINDOW_LZ4, raw })
    }
}

/// Returns the maximum size in bytes of a checkpoint of the current state.
pub(super) fn bound(inflate: &Inflate) -> usize {
    let raw_size = if inflate.in_body() { deflate64_layout::size(inflate.decoder(), Layout::Unversioned) } else { 0 };
    OVERHEAD + inflate.read_ahead().len() + raw_size
}

/// Writes the checkpoint to `buffer`, and returns its size in bytes.
pub(super) fn write(inflate: &Inflate, compress: bool, buffer: &mut [u8]) -> Result<usize, Error> {
    if inflate.failed.is_some() {
        return Err(Error::Poisoned);
    }
    let decoder = inflate.decoder();
    let read_ahead = inflate.read_ahead();
    let compressed = if compress && inflate.in_body() { compressed_window::compress(decoder)? } else { None };
    let raw_start = OVERHEAD + read_ahead.len();
    let raw_size = match &compressed {
        _ if !inflate.in_body() => 0,
        None => deflate64_layout::size(decoder, Layout::Unversioned),
        Some(compressed) => HEADER_SIZE + compressed.frame.len() + CHECKSUM_SIZE,
    };
    let size = raw_start + raw_size;
    let too_small = Error::BufferTooSmall { size: buffer.len() as u64, needed: size as u64 };
    let buffer = buffer.get_mut(..size).ok_or(too_small)?;

    let (head, raw) = buffer.split_at_mut(raw_start);
    head.fill(0);
    head[..8].copy_from_slice(&MAGIC);
    head[8] = VERSION;
    head[9] = inflate.format as u8;
    head[11] = if compressed.is_some() { WINDOW_LZ4 } else { WINDOW_PLAIN };
    head[12..14].copy_from_slice(&(read_ahead.len() as u16).to_le_bytes());
    if let Some(wrapper) = &inflate.wrapper {
        head[10] = wrapper.stage as u8;
        head[14] = wrapper.field_len;
        head[15] = wrapper.flags;
        head[16..18].copy_from_slice(&wrapper.extra_remaining.to_le_bytes());
        let field_len = usize::from(wrapper.field_len);
        head[20..20 + field_len].copy_from_slice(&wrapper.field[..field_len]);
        head[32..36].copy_from_slice(&wrapper.header_crc.to_le_bytes());
        head[36..40].copy_from_slice(&wrapper.data_checksum.to_le_bytes());
        head[40..44].copy_from_slice(&wrapper.data_len.to_le_bytes());
    }
    head[44..48].copy_from_slice(&(raw_size as u32).to_le_bytes());
    head[48..56].copy_from_slice(&inflate.total_in.to_le_bytes());
    head[56..64].copy_from_slice(&inflate.total_out.to_le_bytes());
    head[64..72].copy_from_slice(&inflate.body_in.to_le_bytes());
    head[FIXED_SIZE..FIXED_SIZE + read_ahead.len()].copy_from_slice(read_ahead);
    let crc = crc32fast::hash(&head[..raw_start - CRC_SIZE]);
    head[raw_start - CRC_SIZE..].copy_from_slice(&crc.to_le_bytes());

    if let Some(CompressedWindow { frame, window }) = &compressed {
        let (header, _) = deflate64_layout::header(decoder, Layout::Unversioned, ResumeAt::Current)?;
        raw[..HEADER_SIZE].copy_from_slice(&header);
        raw[HEADER_SIZE..raw_size - CHECKSUM_SIZE].copy_from_slice(frame);
        let checksum = deflate64_layout::checksum(&[&header, window]);
        raw[raw_size - CHECKSUM_SIZE..].copy_from_slice(&checksum.to_le_bytes());
    } else if raw_size > 0 {
        deflate64_layout::write(decoder, Layout::Unversioned, ResumeAt::Current, raw)?;
    }
    Ok(size)
}

/// Validates and restores a checkpoint. On failure the state of `inflate` is unchanged.
pub(super) fn restore(inflate: &mut Inflate, checkpoint: &[u8]) -> Result<Position, Error> {
    let refuse = |what| Err(Error::InvalidCheckpoint(what));
    let (Some(fixed), true) = (checkpoint.first_chunk::<FIXED_SIZE>(), checkpoint.starts_with(&MAGIC)) else {
        return refuse("is too short");
    };
    if fixed[8] != VERSION {
        return refuse("has an unknown version");
    }
    let read_ahead_len = usize::from(u16::from_le_bytes([fixed[12], fixed[13]]));
    let raw_start = OVERHEAD + read_ahead_len;
    let Some((content, crc)) = checkpoint.get(..raw_start).and_then(|head| head.split_last_chunk::<CRC_SIZE>()) else {
        return refuse("is too short");
    };
    if crc32fast::hash(content) != u32::from_le_bytes(*crc) {
        return refuse("is corrupt: its checksum is wrong");
    }
    if fixed[9] != inflate.format as u8 {
        let reason = format(checkpoint).map(|format| match format {
            Format::Deflate => "is of a raw Deflate stream, not of this decompressor's format",
            Format::Deflate64 => "is of a raw Deflate64 stream, not of this decompressor's format",
            Format::Zlib => "is of a zlib stream, not of this decompressor's format",
            Format::Gzip => "is of a gzip stream, not of this decompressor's format",
        });
        return refuse(reason.unwrap_or("has an unknown format"));
    }
    let (read_ahead, raw) = (&content[FIXED_SIZE..], &checkpoint[raw_start..]);
    if raw.len() as u64 != u64::from(u32_at(fixed, 44)) {
        return refuse("has the wrong size: truncated, or followed by other data");
    }
    let [total_in, total_out, body_in] = [48, 56, 64].map(|at| u64_at(fixed, at));
    let wrapper = match &inflate.wrapper {
        None if fixed[10] == 0 => None,
        None => return refuse("has a header position, but the format has no header"),
        Some(old) => {
            let Some(stage) = Stage::from_u8(fixed[10]) else { return refuse("has an unknown position") };
            let mut wrapper = Wrapper::new(old.kind);
            (wrapper.stage, wrapper.field_len, wrapper.flags) = (stage, fixed[14], fixed[15]);
            wrapper.extra_remaining = u16::from_le_bytes([fixed[16], fixed[17]]);
            wrapper.field.copy_from_slice(&fixed[20..20 + FIELD_MAX]);
            wrapper.header_crc = u32_at(fixed, 32);
            wrapper.data_checksum = u32_at(fixed, 36);
            wrapper.data_len = u32_at(fixed, 40);
            if !wrapper.is_valid() {
                return refuse("has an impossible header position");
            }
            Some(wrapper)
        }
    };
    let in_body = wrapper.as_ref().is_none_or(|wrapper| wrapper.stage == Stage::Body);
    if !in_body {
        if !raw.is_empty() || !read_ahead.is_empty() || fixed[11] != WINDOW_PLAIN {
            return refuse("has more fields than its position needs");
        }
        inflate.decoder_mut().reset();
    } else {
        let expanded;
        let raw = match fixed[11] {
            WINDOW_PLAIN => raw,
            WINDOW_LZ4 => {
                expanded = compressed_window::expand(raw)?;
                &expanded
            }
            _ => return refuse("has a window in an unknown form"),
        };
        let raw = RawCheckpoint::parse(raw, inflate.decoder().deflate64())?;
        let Position { in_offset, out_offset } = raw.position();
        let data_len = wrapper.as_ref().map_or(out_offset as u32, |wrapper| wrapper.data_len);
        let has_total_in = body_in.checked_add(in_offset + read_ahead.len() as u64) == Some(total_in);
        if !has_total_in || total_out < out_offset || data_len != out_offset as u32 {
            return refuse("has inconsistent positions");
        }
        inflate.decoder_mut().restore(&raw.snapshot(read_ahead))?;
    }
    inflate.wrapper = wrapper;
    (inflate.total_in, inflate.total_out, inflate.body_in, inflate.failed) = (total_in, total_out, body_in, None);
    Ok(Position { in_offset: total_in, out_offset: total_out })
}
