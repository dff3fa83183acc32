//! What a checkpoint tells of itself.

use super::compressed_window;
use super::deflate64_layout::{Blob, Layout};
use super::encoding::{Form, Position};
use super::full_layout::{self, Envelope};
use crate::inflate::block_header::BlockKind;
use crate::inflate::error::Error;
use crate::inflate::format::Format;
use crate::inflate::stream::Inflate;

/// What is in a checkpoint of any form, as [`Description::read`] finds it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Description {
    /// Its form.
    pub form: Form,
    /// The format of the stream. `None` for the blobs of raw streams, which don't say which of the two it is.
    pub format: Option<Format>,
    /// Whether it can be restored as [`Format::Deflate`]. Some that don't say their format can be of Deflate64 alone.
    pub fits_deflate: bool,
    /// Where to go on.
    pub position: Position,
    /// Where in the raw data it stands, in bits from its first byte on (of gzip: of that of the current member).
    pub bit: u64,
    /// The block that it stands in. `None` in headers and trailers of zlib and gzip.
    pub block: Option<BlockKind>,
    /// Whether that is the last block.
    pub is_last_block: bool,
    /// In a stored block, how many of its bytes are still to come.
    pub stored_left: u32,
    /// How many bytes of output it has that were not returned yet.
    pub unread: u64,
    /// How many bytes of output it has in its window, with those.
    pub window: u64,
}

impl Description {
    /// Reads a checkpoint, which is checked in every respect, as [`Inflate::restore`] does it.
    ///
    /// # Errors
    /// [`Error::InvalidCheckpoint`]; [`Error::OutOfMemory`].
    pub fn read(checkpoint: &[u8]) -> Result<Self, Error> {
        if !is_checkpoint(checkpoint) {
            let blob = Blob::read(checkpoint, true)?;
            // The codes are checked when tables are made of them.
            Inflate::new(Format::Deflate64)?.restore(checkpoint)?;
            let fits_deflate = Inflate::new(Format::Deflate)?.restore(checkpoint).is_ok();
            let form = if blob.layout() == Layout::Unversioned { Form::Blob } else { Form::Blob0x1001 };
            let (input, output) = blob.position();
            return Ok(Self::of(&blob, form, None, fits_deflate, Position { input, output }));
        }
        let format = full_layout::format(checkpoint).unwrap_or(Format::Deflate);
        let position = Inflate::new(format)?.restore(checkpoint)?;
        let envelope = Envelope::of(checkpoint).ok_or(Error::Internal)?;
        let form = if envelope.is_compressed { Form::Compact } else { Form::Full };
        let fits_deflate = format == Format::Deflate;
        if envelope.body.is_empty() {
            return Ok(Self {
                form,
                format: Some(format),
                fits_deflate,
                position,
                bit: 0,
                block: None,
                is_last_block: false,
                stored_left: 0,
                unread: 0,
                window: 0,
            });
        }
        let expanded;
        let body = if envelope.is_compressed {
            expanded = compressed_window::expand(envelope.body)?;
            &expanded
        } else {
            envelope.body
        };
        let blob = Blob::read(body, format == Format::Deflate64)?;
        Ok(Self::of(&blob, form, Some(format), fits_deflate, position))
    }

    fn of(blob: &Blob<'_>, form: Form, format: Option<Format>, fits_deflate: bool, position: Position) -> Self {
        let place = blob.place();
        Self {
            form,
            format,
            fits_deflate,
            position,
            bit: place.bit,
            block: Some(place.kind),
            is_last_block: place.last,
            stored_left: place.stored,
            unread: blob.unread() as u64,
            window: blob.window().len() as u64,
        }
    }
}

fn is_checkpoint(bytes: &[u8]) -> bool {
    bytes.starts_with(&full_layout::MAGIC)
}
