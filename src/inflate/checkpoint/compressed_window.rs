//! Compressed windows: the window of a checkpoint as an LZ4 frame of this library.

use super::deflate64_layout::{self, CHECKSUM_SIZE, HEADER_SIZE, Layout};
use crate::alloc::try_zeroed;
use crate::bytes::{u32_at, u64_at};
use crate::frame;
use crate::frame::{Checkpt, FrameStyle, Restore};
use crate::inflate::decoder::Decoder;
use crate::inflate::error::Error;
use crate::inflate::window::{HISTORY_SIZE, WINDOW_MAX};

/// Maximum distance of a match of Deflate.
const DEFLATE_MAX_DISTANCE: usize = 32768;

/// A window and its compressed form.
pub(super) struct CompressedWindow {
    /// LZ4 frame of one buffer.
    pub(super) frame: Vec<u8>,
    /// The content of the frame. In Deflate, bytes that no match can reach are zeros.
    pub(super) window: Vec<u8>,
}

/// Compresses the window. Returns `None` if that does not make it smaller.
pub(super) fn compress(decoder: &Decoder) -> Result<Option<CompressedWindow>, Error> {
    let full = deflate64_layout::window(decoder, Layout::Unversioned);
    let needed = if decoder.deflate64() { full.len() } else { decoder.window().unread_len().max(DEFLATE_MAX_DISTANCE) };
    let unneeded = full.len().saturating_sub(needed);
    let mut window = try_zeroed(full.len())?;
    window[unneeded..].copy_from_slice(&full[unneeded..]);
    let mut frame = try_zeroed(window.len())?;
    let mut checkpt = Checkpt::mmio(&mut frame)?;
    checkpt.open(FrameStyle::Lz4)?;
    let size = match checkpt.data(&window).and_then(|()| checkpt.close()) {
        Ok(size) => size as usize,
        Err(frame::Error::BufferFull { .. }) => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    checkpt.finish()?;
    frame.truncate(size);
    Ok((size < window.len()).then_some(CompressedWindow { frame, window }))
}

/// Decompresses the window of a raw checkpoint in the unversioned layout. Its size follows from the fields before it.
pub(super) fn expand(compressed: &[u8]) -> Result<Vec<u8>, Error> {
    if compressed.len() < HEADER_SIZE + CHECKSUM_SIZE {
        return Err(Error::InvalidCheckpoint("is too short"));
    }
    let (header, rest) = compressed.split_at(HEADER_SIZE);
    let (frame, checksum) = rest.split_at(rest.len() - CHECKSUM_SIZE);
    let (bytes_produced, unread_len) = (u64_at(header, 334), u64::from(u32_at(header, 342)));
    let window_size = bytes_produced.min(HISTORY_SIZE as u64).max(unread_len) as usize;
    if window_size > WINDOW_MAX {
        return Err(Error::InvalidCheckpoint("has a window of the wrong size"));
    }
    let mut expanded = try_zeroed(HEADER_SIZE + window_size + CHECKSUM_SIZE)?;
    expanded[..HEADER_SIZE].copy_from_slice(header);
    expanded[HEADER_SIZE + window_size..].copy_from_slice(checksum);
    let mut restore = Restore::mmio(frame)?;
    restore.open(FrameStyle::Lz4)?;
    let window = &mut expanded[HEADER_SIZE..HEADER_SIZE + window_size];
    let end = restore.data(window).and_then(|()| restore.close());
    if end != Ok(frame.len() as u64) {
        return Err(Error::InvalidCheckpoint("is corrupt: its window can't be decompressed"));
    }
    restore.finish()?;
    Ok(expanded)
}
