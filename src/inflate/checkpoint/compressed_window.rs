//! Windows that are compressed, by the LZ4 frames of this library.

use super::deflate64_layout::{self, HEAD, Layout, TAIL};
use crate::alloc::try_zeroed;
use crate::frame;
use crate::frame::{Checkpt, FrameStyle, Restore};
use crate::inflate::decoder::Engine;
use crate::inflate::error::Error;
use crate::inflate::window::{HISTORY, WINDOW_MAX};

/// How far matches of Deflate reach.
const DEFLATE_REACH: usize = 32768;

/// A window, compressed.
pub(super) struct Compressed {
    /// An LZ4 frame of one buffer.
    pub(super) frame: Vec<u8>,
    /// What is in it: of Deflate, with zeros where no match reaches any more.
    pub(super) window: Vec<u8>,
}

/// `None` if the frame is not shorter.
pub(super) fn compress(engine: &Engine) -> Result<Option<Compressed>, Error> {
    let whole = deflate64_layout::window(engine, Layout::Unversioned);
    let needed = if engine.deflate64() { whole.len() } else { engine.window().unread().max(DEFLATE_REACH) };
    let unneeded = whole.len().saturating_sub(needed);
    let mut window = try_zeroed(whole.len())?;
    window[unneeded..].copy_from_slice(&whole[unneeded..]);
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
    Ok((size < window.len()).then_some(Compressed { frame, window }))
}

/// The blob of which `compressed` has the window as a frame. The size of the window is known from what comes before it.
pub(super) fn expand(compressed: &[u8]) -> Result<Vec<u8>, Error> {
    if compressed.len() < HEAD + TAIL {
        return Err(Error::InvalidCheckpoint("is too short"));
    }
    let (head, rest) = compressed.split_at(HEAD);
    let (frame, tail) = rest.split_at(rest.len() - TAIL);
    let number = |from: usize, size: usize| head[from..from + size].iter().rev().fold(0, |sum, &byte| sum << 8 | u64::from(byte));
    let size = number(334, 8).min(HISTORY as u64).max(number(342, 4)) as usize;
    if size > WINDOW_MAX {
        return Err(Error::InvalidCheckpoint("has a window of the wrong size"));
    }
    let mut blob = try_zeroed(HEAD + size + TAIL)?;
    blob[..HEAD].copy_from_slice(head);
    blob[HEAD + size..].copy_from_slice(tail);
    let mut restore = Restore::mmio(frame)?;
    restore.open(FrameStyle::Lz4)?;
    let end = restore.data(&mut blob[HEAD..HEAD + size]).and_then(|()| restore.close());
    if end != Ok(frame.len() as u64) {
        return Err(Error::InvalidCheckpoint("is corrupt: its window can't be decompressed"));
    }
    restore.finish()?;
    Ok(blob)
}
