//! What a checkpoint contains.

use super::compressed_window;
use super::deflate64_layout::{Layout, RawCheckpoint};
use super::encoding::{CheckpointEncoding, Position};
use super::full_layout::{self, FullCheckpoint};
use crate::inflate::block_header::BlockKind;
use crate::inflate::error::Error;
use crate::inflate::format::Format;
use crate::inflate::stream::Inflate;

/// Content of a checkpoint of any encoding, as [`CheckpointInfo::read`] finds it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct CheckpointInfo {
    /// The encoding.
    pub encoding: CheckpointEncoding,
    /// Format of the stream. `None` in the layouts of crate deflate64, which do not store it.
    pub format: Option<Format>,
    /// Whether it can be restored as [`Format::Deflate`]. Checkpoints without a format may be valid for Deflate64 only.
    pub fits_deflate: bool,
    /// Position in bytes at which it resumes.
    pub position: Position,
    /// Position in bits from the start of the raw stream; in gzip, of the raw stream of the current member.
    pub bit_offset: u64,
    /// Block at that position. `None` in headers and trailers of zlib and gzip.
    pub block: Option<BlockKind>,
    /// Whether `block` is the last one.
    pub is_last_block: bool,
    /// Number of bytes of a stored block still to come; 0 in other blocks.
    pub stored_remaining: u32,
    /// Number of bytes of output in the window that the caller has not read yet.
    pub unread_size: u64,
    /// Number of bytes of output in the window, including the unread ones.
    pub window_size: u64,
}

impl CheckpointInfo {
    /// Reads a checkpoint, with the same checks as [`Inflate::restore`].
    ///
    /// # Errors
    /// [`Error::InvalidCheckpoint`]; [`Error::OutOfMemory`].
    ///
    /// # Examples
    /// ```
    /// use fdckpt::inflate::{CheckpointEncoding, CheckpointInfo, Format, Inflate};
    ///
    /// # fn main() -> Result<(), fdckpt::inflate::Error> {
    /// let (checkpoint, position) = Inflate::new(Format::Gzip)?.checkpoint(CheckpointEncoding::Full)?;
    /// let info = CheckpointInfo::read(&checkpoint)?;
    /// assert_eq!((info.format, info.position), (Some(Format::Gzip), position));
    /// # Ok(())
    /// # }
    /// ```
    pub fn read(checkpoint: &[u8]) -> Result<Self, Error> {
        if !checkpoint.starts_with(&full_layout::MAGIC) {
            let raw = RawCheckpoint::parse(checkpoint, true)?;
            // Parsing does not check that the code lengths are a prefix code; restoring does.
            Inflate::new(Format::Deflate64)?.restore(checkpoint)?;
            let fits_deflate = Inflate::new(Format::Deflate)?.restore(checkpoint).is_ok();
            let encoding = match raw.layout() {
                Layout::Unversioned => CheckpointEncoding::Deflate64V0,
                Layout::Version0x1001 => CheckpointEncoding::Deflate64V0x1001,
            };
            return Ok(Self::new(&raw, encoding, None, fits_deflate, raw.position()));
        }
        let format = full_layout::format(checkpoint).unwrap_or(Format::Deflate);
        let position = Inflate::new(format)?.restore(checkpoint)?;
        let full = FullCheckpoint::split(checkpoint).ok_or(Error::Internal)?;
        let encoding = if full.has_compressed_window { CheckpointEncoding::Compact } else { CheckpointEncoding::Full };
        let fits_deflate = format == Format::Deflate;
        if full.raw.is_empty() {
            return Ok(Self {
                encoding,
                format: Some(format),
                fits_deflate,
                position,
                bit_offset: 0,
                block: None,
                is_last_block: false,
                stored_remaining: 0,
                unread_size: 0,
                window_size: 0,
            });
        }
        let expanded;
        let raw = if full.has_compressed_window {
            expanded = compressed_window::expand(full.raw)?;
            &expanded
        } else {
            full.raw
        };
        let raw = RawCheckpoint::parse(raw, format == Format::Deflate64)?;
        Ok(Self::new(&raw, encoding, Some(format), fits_deflate, position))
    }

    fn new(
        raw: &RawCheckpoint<'_>,
        encoding: CheckpointEncoding,
        format: Option<Format>,
        fits_deflate: bool,
        position: Position,
    ) -> Self {
        let point = raw.point();
        Self {
            encoding,
            format,
            fits_deflate,
            position,
            bit_offset: point.bit_offset,
            block: Some(point.kind),
            is_last_block: point.is_last,
            stored_remaining: point.stored_remaining,
            unread_size: raw.unread_len() as u64,
            window_size: raw.window().len() as u64,
        }
    }
}
