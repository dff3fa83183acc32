//! What is encoded and decoded: frames of buffers.

use std::ops::Range;

use crate::frame::FrameStyle;

/// A frame to be made of buffers: by [`Frames`](super::Frames).
#[derive(Debug)]
pub struct Frame<'b> {
    pub(super) style: FrameStyle,
    pub(super) buffers: &'b [&'b [u8]],
    pub(super) range: Range<u64>,
}

impl<'b> Frame<'b> {
    /// A frame of these buffers.
    pub fn new(style: FrameStyle, buffers: &'b [&'b [u8]]) -> Self {
        Self { style, buffers, range: 0..0 }
    }

    /// Where in the checkpoint it is, once it was made: the offset of its first byte, and the one past its last.
    pub fn range(&self) -> Range<u64> {
        self.range.clone()
    }

    pub(super) fn sizes(&self) -> impl Iterator<Item = u64> {
        self.buffers.iter().map(|buffer| buffer.len() as u64)
    }
}

/// A frame to be restored to buffers: by [`Frames`](super::Frames).
#[derive(Debug)]
pub struct FrameReadRequest<'f, 'b> {
    pub(super) style: FrameStyle,
    pub(super) offset: u64,
    pub(super) buffers: &'f mut [&'b mut [u8]],
    pub(super) end: u64,
}

impl<'f, 'b> FrameReadRequest<'f, 'b> {
    /// The frame that begins at `offset`. Style and sizes are those with which it was made.
    pub fn new(style: FrameStyle, offset: u64, buffers: &'f mut [&'b mut [u8]]) -> Self {
        Self { style, offset, buffers, end: offset }
    }

    /// The offset one past its last byte, once it was restored.
    pub fn end(&self) -> u64 {
        self.end
    }

    pub(super) fn size(&self) -> u64 {
        self.buffers.iter().map(|buffer| buffer.len() as u64).fold(0, u64::saturating_add)
    }
}
