//! Checkpoints of a decompressor.

mod compressed_window;
mod deflate64_layout;
mod encoding;
mod full_layout;
mod info;

pub use encoding::{Form, Position};
pub use info::Description;

use deflate64_layout::{Blob, Layout};

use crate::alloc::try_zeroed;
use crate::inflate::decoder::{self, At};
use crate::inflate::error::Error;
use crate::inflate::stream::Inflate;
use crate::inflate::window;

/// No checkpoint has more bytes than this.
pub const CHECKPOINT_MAX: usize = 262_900;

const _: () = assert!(
    full_layout::OVERHEAD + decoder::CARRY_MAX + deflate64_layout::HEAD + window::WINDOW_MAX + deflate64_layout::TAIL
        <= CHECKPOINT_MAX
);

impl Inflate {
    /// How many bytes [`Self::checkpoint`] takes at most, as things are now. Never more than [`CHECKPOINT_MAX`], and usually less than 66,300.
    pub fn checkpoint_bound(&self, form: Form) -> usize {
        match form {
            Form::Full | Form::Compact => full_layout::bound(self),
            Form::Blob => deflate64_layout::size(self.engine(), Layout::Unversioned),
            Form::Blob0x1001 => deflate64_layout::size(self.engine(), Layout::Version0x1001),
        }
    }

    /// Saves the state, from which [`Self::restore`] goes on. Returns the checkpoint, and where that is.
    ///
    /// [`Form::Full`] and [`Form::Compact`] are possible at any time, and stand at [`Self::total_in`] and [`Self::total_out`]. The other
    /// forms are for raw streams.
    ///
    /// Fails with [`Error::Poisoned`] after an error, with [`Error::InvalidArgument`] if the form is not for this format, and with
    /// [`Error::OutOfMemory`].
    pub fn checkpoint(&self, form: Form) -> Result<(Vec<u8>, Position), Error> {
        let size = self.checkpoint_bound(form);
        let mut checkpoint = try_zeroed(size)?;
        let (size, position) = self.checkpoint_into(form, &mut checkpoint)?;
        checkpoint.truncate(size);
        Ok((checkpoint, position))
    }

    /// As [`Self::checkpoint`], into memory of the caller: of [`Self::checkpoint_bound`] bytes, then it is always enough. Returns how many
    /// bytes the checkpoint has. Fails with [`Error::BufferTooSmall`] if it is not enough.
    pub fn checkpoint_into(&self, form: Form, checkpoint: &mut [u8]) -> Result<(usize, Position), Error> {
        if let Some(error) = self.failed {
            return Err(if error == Error::Internal { error } else { Error::Poisoned });
        }
        let (layout, at) = match form {
            Form::Full | Form::Compact => {
                let size = full_layout::write(self, form == Form::Compact, checkpoint)?;
                return Ok((size, Position { input: self.total_in, output: self.total_out }));
            }
            Form::Blob => (Layout::Unversioned, At::Event),
            Form::Blob0x1001 => (Layout::Version0x1001, At::EventOrEnd),
        };
        if self.wrapper.is_some() {
            return Err(Error::InvalidArgument("this form can't hold the state of a zlib or gzip stream; use FULL or COMPACT"));
        }
        let (size, input) = deflate64_layout::write(self.engine(), layout, at, checkpoint)?;
        Ok((size, Position { input, output: self.total_out }))
    }

    /// Goes on from a checkpoint of any form, whatever this decompressor did before. Returns where: input and output go on from these
    /// positions, which are now also [`Self::total_in`] and [`Self::total_out`].
    ///
    /// The checkpoint must be of the format that this decompressor is for; of the blobs, which don't say, it is the caller who must know
    /// whether it is Deflate or Deflate64. A checkpoint that is not sound in every respect fails with [`Error::InvalidCheckpoint`], and then
    /// nothing has changed.
    pub fn restore(&mut self, checkpoint: &[u8]) -> Result<Position, Error> {
        if checkpoint.starts_with(&full_layout::MAGIC) {
            return full_layout::restore(self, checkpoint);
        }
        if self.wrapper.is_some() {
            return Err(Error::InvalidCheckpoint("is not one of a zlib or gzip stream"));
        }
        let blob = Blob::read(checkpoint, self.engine().deflate64())?;
        self.engine_mut().restore(&blob.snapshot(&[]))?;
        let (input, output) = blob.position();
        (self.failed, self.total_in, self.total_out, self.body_in) = (None, input, output, 0);
        Ok(Position { input, output })
    }
}
