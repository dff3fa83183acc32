//! Checkpoints of a decompressor: saving, restoring and inspecting its state. docs/format/inflate-checkpoint.md
//! specifies the layouts.
//!
//! - `full_layout`: the self-describing layout, around a checkpoint of the raw stream.
//! - `deflate64_layout`: the two layouts of crate deflate64, for raw streams.
//! - `compressed_window`: the window as an LZ4 frame.
//! - `info`: what a checkpoint contains.

mod compressed_window;
mod deflate64_layout;
mod encoding;
mod full_layout;
mod info;

pub use encoding::{CheckpointEncoding, Position};
pub use info::CheckpointInfo;

use deflate64_layout::{Layout, RawCheckpoint};

use crate::alloc::try_zeroed;
use crate::inflate::decoder::{CARRY_MAX, ResumeAt};
use crate::inflate::error::Error;
use crate::inflate::stream::Inflate;
use crate::inflate::window::WINDOW_MAX;

/// Maximum size of a checkpoint in bytes.
pub const CHECKPOINT_MAX: usize = 262_900;

const _: () = assert!(
    full_layout::OVERHEAD + CARRY_MAX + deflate64_layout::HEADER_SIZE + WINDOW_MAX + deflate64_layout::CHECKSUM_SIZE
        <= CHECKPOINT_MAX
);

impl Inflate {
    /// Returns the maximum size in bytes of a checkpoint of the current state: never more than [`CHECKPOINT_MAX`],
    /// usually less than 66,300.
    pub fn checkpoint_bound(&self, encoding: CheckpointEncoding) -> usize {
        match encoding {
            CheckpointEncoding::Full | CheckpointEncoding::Compact => full_layout::bound(self),
            CheckpointEncoding::Deflate64V0 => deflate64_layout::size(self.decoder(), Layout::Unversioned),
            CheckpointEncoding::Deflate64V0x1001 => deflate64_layout::size(self.decoder(), Layout::Version0x1001),
        }
    }

    /// Saves the state as a checkpoint. Returns it, and the position at which [`Self::restore`] resumes.
    ///
    /// [`CheckpointEncoding::Full`] and [`CheckpointEncoding::Compact`] resume at [`Self::total_in`] and
    /// [`Self::total_out`]. The other encodings are for raw streams only.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] if the encoding does not support the format; [`Error::Poisoned`] after an earlier
    /// error; [`Error::OutOfMemory`].
    pub fn checkpoint(&self, encoding: CheckpointEncoding) -> Result<(Vec<u8>, Position), Error> {
        let size = self.checkpoint_bound(encoding);
        let mut checkpoint = try_zeroed(size)?;
        let (size, position) = self.checkpoint_into(encoding, &mut checkpoint)?;
        checkpoint.truncate(size);
        Ok((checkpoint, position))
    }

    /// Saves the state to `buffer`, for which [`Self::checkpoint_bound`] bytes are always enough. Returns the size of
    /// the checkpoint in bytes, and the position at which [`Self::restore`] resumes.
    ///
    /// # Errors
    /// Those of [`Self::checkpoint`], and [`Error::BufferTooSmall`].
    pub fn checkpoint_into(&self, encoding: CheckpointEncoding, buffer: &mut [u8]) -> Result<(usize, Position), Error> {
        if let Some(error) = self.failed {
            return Err(if error == Error::Internal { error } else { Error::Poisoned });
        }
        let (layout, at) = match encoding {
            CheckpointEncoding::Full | CheckpointEncoding::Compact => {
                let size = full_layout::write(self, encoding == CheckpointEncoding::Compact, buffer)?;
                return Ok((size, Position { in_offset: self.total_in, out_offset: self.total_out }));
            }
            CheckpointEncoding::Deflate64V0 => (Layout::Unversioned, ResumeAt::LastEvent),
            CheckpointEncoding::Deflate64V0x1001 => (Layout::Version0x1001, ResumeAt::LastEventOrBlockEnd),
        };
        if self.wrapper.is_some() {
            return Err(Error::InvalidArgument(
                "this encoding can't hold the state of a zlib or gzip stream; use FULL or COMPACT",
            ));
        }
        let (size, in_offset) = deflate64_layout::write(self.decoder(), layout, at, buffer)?;
        Ok((size, Position { in_offset, out_offset: self.total_out }))
    }

    /// Restores a checkpoint of any encoding, whatever the state before. Returns the position at which input and output
    /// continue, which is also [`Self::total_in`] and [`Self::total_out`] from now on.
    ///
    /// The checkpoint must have the format of this decompressor. The layouts of crate deflate64 do not store it: the
    /// caller must know whether the stream is Deflate or Deflate64.
    ///
    /// # Errors
    /// [`Error::InvalidCheckpoint`] if the checkpoint is corrupt or has another format; [`Error::OutOfMemory`]. The
    /// state is then unchanged.
    pub fn restore(&mut self, checkpoint: &[u8]) -> Result<Position, Error> {
        if checkpoint.starts_with(&full_layout::MAGIC) {
            return full_layout::restore(self, checkpoint);
        }
        if self.wrapper.is_some() {
            return Err(Error::InvalidCheckpoint("is not one of a zlib or gzip stream"));
        }
        let raw = RawCheckpoint::parse(checkpoint, self.decoder().deflate64())?;
        self.decoder_mut().restore(&raw.snapshot(&[]))?;
        let position = raw.position();
        (self.failed, self.total_in, self.total_out, self.body_in) = (None, position.in_offset, position.out_offset, 0);
        Ok(position)
    }
}
