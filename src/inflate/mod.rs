//! Resumable inflate: Deflate and Deflate64, raw or as zlib and gzip streams, that can stop anywhere and go on in another process.
//!
//! An [`Inflate`] takes compressed data and gives output, both in pieces of any size. Between any two calls it can be saved as a
//! checkpoint, and another one restored from that: it goes on to the identical output. So a long decompression survives the process it
//! runs in, and one that jumps about in a large stream begins at the nearest of several checkpoints.
//!
//! ```
//! use fdckpt::inflate::{Form, Format, Inflate, Status};
//!
//! # fn main() -> Result<(), fdckpt::Error> {
//! // "to be, or not to be", as raw Deflate: two bytes of header and code, the letters, and a match.
//! let stream = [0x2b, 0xc9, 0x57, 0x48, 0x4a, 0xd5, 0x51, 0xc8, 0x2f, 0x52, 0xc8, 0xcb, 0x2f, 0x51, 0x28, 0x01, 0xf1, 0x00];
//! let mut output = [0; 100];
//!
//! let mut inflate = Inflate::new(Format::Deflate)?;
//! let first = inflate.decompress(&stream[..9], &mut output);
//! assert_eq!(first.result, Ok(Status::NeedsInput));
//! let (checkpoint, position) = inflate.checkpoint(Form::Full)?;
//!
//! // Perhaps in another process: input from `position.input` on, output from `position.output` on.
//! let mut resumed = Inflate::new(Format::Deflate)?;
//! assert_eq!(resumed.restore(&checkpoint)?, position);
//! let rest = resumed.decompress(&stream[position.input as usize..], &mut output[position.output as usize..]);
//! assert_eq!(rest.result, Ok(Status::Done));
//! assert_eq!(&output[..resumed.total_out() as usize], b"to be, or not to be");
//! # Ok(())
//! # }
//! ```
//!
//! To read a whole file, [`Reader`] is more convenient: it makes of a [`BufRead`](std::io::BufRead) of compressed data one of output. To
//! read parts of a file, an [`Index`] has checkpoints all over it, and a reader that begins at the nearest one.
//!
//! The parts of the room:
//!
//! - `engine`: raw streams; `bits`, `huffman`, `header`, `codes` are what it decodes with, `window` where output goes.
//! - `wrapper`: headers and trailers of zlib and gzip.
//! - `blob`, `envelope`, `compact`: the checkpoint of raw streams, the one of everything around it, compressed windows.
//! - `reader`: the adapter.
//! - `describe`: what a checkpoint tells of itself.
//! - `index`: checkpoints at regular distances, and reading from the nearest one.

use crate::alloc::{try_box, try_zeroed};

mod bit_reader;
mod block_header;
mod checkpoint;
mod checkpoint_info;
mod compressed_window;
mod decode;
mod decoder;
mod deflate64_layout;
mod error;
mod huffman;
mod index;
mod reader;
mod window;
mod wrapper;

pub use checkpoint_info::{BlockKind, Description};
pub use error::{DataError, Error};
pub(crate) use index::{Cursor, InputError};
pub use index::{Index, IndexReader};
pub use reader::Reader;

use std::fmt;

use decoder::{At, Engine};
use deflate64_layout::{Blob, Layout};
use wrapper::{GZIP_FIRST, Stage, Wrapper};

/// What a stream is wrapped in, and which codes it has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
#[repr(u8)]
pub enum Format {
    /// Raw Deflate (RFC 1951): what zip files have as method 8.
    Deflate = 0,
    /// Raw Deflate64: what zip files have as method 9, and Windows writes into those of more than 2 GB. The same but for longer matches
    /// and a window of 64 KiB.
    Deflate64 = 1,
    /// zlib (RFC 1950): Deflate with a header of 2 bytes and an Adler-32. Preset dictionaries are not supported.
    Zlib = 2,
    /// gzip (RFC 1952): one or more members, each Deflate with a header, a CRC-32 and a length.
    Gzip = 3,
}

impl Format {
    /// All there are.
    pub(crate) const ALL: [Self; 4] = [Self::Deflate, Self::Deflate64, Self::Zlib, Self::Gzip];
}

/// The forms that a checkpoint can have. [`Inflate::restore`] takes any of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
#[repr(u8)]
pub enum Form {
    /// Everything: it knows its format, and goes on exactly where input and output were. Some 66 KB.
    #[default]
    Full = 0,
    /// The same, with the window compressed: smaller, but slower to make and to restore.
    Compact = 1,
    /// The blob of raw streams, as the crate deflate64 had it first. It stands after the last symbol that was decoded, which may be some
    /// bytes before what was taken of the input. It doesn't say whether it is of Deflate or Deflate64.
    Blob = 2,
    /// The same in the layout of the crate deflate64 0.1.12, for programs that use that.
    Blob0x1001 = 3,
}

impl Form {
    /// All there are.
    pub(crate) const ALL: [Self; 4] = [Self::Full, Self::Compact, Self::Blob, Self::Blob0x1001];
}

/// No checkpoint has more bytes than this.
pub const CHECKPOINT_MAX: usize = 262_900;

const _: () = assert!(
    checkpoint::OVERHEAD + decoder::CARRY_MAX + deflate64_layout::HEAD + window::WINDOW_MAX + deflate64_layout::TAIL
        <= CHECKPOINT_MAX
);

/// Where to go on from a checkpoint, in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Position {
    /// The compressed data is to be given from this byte on, counted from the start of the stream.
    pub input: u64,
    /// This many bytes of output were returned before; the next that is returned follows them.
    pub output: u64,
}

/// Why a call of [`Inflate::decompress`] came to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// All input was taken, and more is needed. If there is no more, the stream is truncated.
    NeedsInput,
    /// There is no room left in the output.
    NeedsOutput,
    /// The stream has ended, and all output was returned. Input behind the end is not taken.
    ///
    /// Of gzip: a member has ended. If more input is given and begins with the byte 0x1f, it is taken for another member; anything else
    /// is left alone, and the call returns `Done` again.
    Done,
}

/// What a call of [`Inflate::decompress`] did. Also a call that fails can have taken input and returned output before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub struct Progress {
    /// How many bytes of input were taken.
    pub consumed: usize,
    /// How many bytes of output were returned.
    pub produced: usize,
    /// Why it came to its end. After an [`Error::Corrupt`] each call fails in the same way; after an [`Error::OutOfMemory`] the call can be
    /// repeated.
    pub result: Result<Status, Error>,
}

/// A decompressor that can be saved and restored at any time.
pub struct Inflate {
    format: Format,
    /// An array of one, as that can be had without ending the process where memory is short.
    engine: Box<[Engine; 1]>,
    /// Of zlib and gzip.
    wrapper: Option<Wrapper>,
    failed: Option<Error>,
    total_in: u64,
    total_out: u64,
    /// Where in the input the raw stream begins, or that of gzip's current member.
    body_in: u64,
}

impl Inflate {
    /// A decompressor at the start of a stream. It takes some 24 KB of memory, and up to 256 KiB as output comes. Fails if memory is
    /// short.
    pub fn new(format: Format) -> Result<Self, Error> {
        let engine = try_box(Engine::new(format == Format::Deflate64))?;
        let mut inflate = Self { format, engine, wrapper: None, failed: None, total_in: 0, total_out: 0, body_in: 0 };
        inflate.reset();
        Ok(inflate)
    }

    /// Back to the start of a stream of the same format, whatever happened before. Memory is kept.
    pub fn reset(&mut self) {
        self.engine_mut().reset();
        self.wrapper = match self.format {
            Format::Zlib => Some(Wrapper::new(wrapper::Kind::Zlib)),
            Format::Gzip => Some(Wrapper::new(wrapper::Kind::Gzip)),
            Format::Deflate | Format::Deflate64 => None,
        };
        (self.failed, self.total_in, self.total_out, self.body_in) = (None, 0, 0, 0);
    }

    /// The format it was made for.
    pub fn format(&self) -> Format {
        self.format
    }

    /// How many bytes of input were taken, from the start of the stream on.
    pub fn total_in(&self) -> u64 {
        self.total_in
    }

    /// How many bytes of output were returned, from the start of the stream on.
    pub fn total_out(&self) -> u64 {
        self.total_out
    }

    /// Decompresses as far as input and room go. Bytes of `output` behind those that are returned may be changed.
    ///
    /// How input and output are cut into pieces makes no difference to what comes out. As with zlib, all input can have been taken
    /// although there is more output to come: go on until [`Status::Done`], giving more input at [`Status::NeedsInput`] and room at
    /// [`Status::NeedsOutput`].
    pub fn decompress(&mut self, input: &[u8], output: &mut [u8]) -> Progress {
        let (mut consumed, mut produced) = (0, 0);
        let result = loop {
            if let Some(error) = self.failed {
                break Err(error);
            }
            let input = &input[consumed..];
            let Some(wrapper) = self.wrapper.as_mut().filter(|wrapper| wrapper.stage != Stage::Body) else {
                let more = self.engine_mut().inflate(input, &mut output[produced..]);
                consumed += more.consumed;
                self.total_in += more.consumed as u64;
                self.total_out += more.produced as u64;
                if let Some(wrapper) = &mut self.wrapper {
                    wrapper.add(&output[produced..produced + more.produced]);
                }
                produced += more.produced;
                match (more.result, &mut self.wrapper) {
                    (Ok(Status::Done), Some(wrapper)) => wrapper.end_body(),
                    (Err(Error::Corrupt { error: fault, bit }), _) => self.fail(fault, 8 * self.body_in + bit),
                    (result, _) => {
                        if result == Err(Error::Internal) {
                            self.failed = Some(Error::Internal);
                        }
                        break result;
                    }
                }
                continue;
            };
            if wrapper.stage == Stage::End {
                if wrapper.kind != wrapper::Kind::Gzip || input.first() != Some(&GZIP_FIRST) {
                    break Ok(Status::Done);
                }
                *wrapper = Wrapper::new(wrapper::Kind::Gzip);
            }
            match wrapper.take(input) {
                Ok(taken) => {
                    let stage = wrapper.stage;
                    consumed += taken;
                    self.total_in += taken as u64;
                    match stage {
                        Stage::Body => {
                            self.body_in = self.total_in;
                            self.engine_mut().reset();
                        }
                        Stage::End => {}
                        _ => break Ok(Status::NeedsInput),
                    }
                }
                Err((taken, fault, into)) => {
                    consumed += taken;
                    self.total_in += taken as u64;
                    self.fail(fault, 8 * (self.total_in - into as u64));
                }
            }
        };
        Progress { consumed, produced, result }
    }

    fn fail(&mut self, fault: DataError, bit: u64) {
        self.failed = Some(Error::Corrupt { error: fault, bit });
    }

    /// How many bytes [`Self::checkpoint`] takes at most, as things are now. Never more than [`CHECKPOINT_MAX`], and usually less than 66,300.
    pub fn checkpoint_bound(&self, form: Form) -> usize {
        match form {
            Form::Full | Form::Compact => checkpoint::bound(self),
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
                let size = checkpoint::write(self, form == Form::Compact, checkpoint)?;
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
        if checkpoint.starts_with(&checkpoint::MAGIC) {
            return checkpoint::restore(self, checkpoint);
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

    fn engine(&self) -> &Engine {
        &self.engine[0]
    }

    fn engine_mut(&mut self) -> &mut Engine {
        &mut self.engine[0]
    }

    fn in_body(&self) -> bool {
        self.wrapper.as_ref().is_none_or(|wrapper| wrapper.stage == Stage::Body)
    }

    /// What was taken of the raw stream beyond the byte in which it stands.
    fn ahead(&self) -> &[u8] {
        if self.in_body() { self.engine().ahead() } else { &[] }
    }
}

impl fmt::Debug for Inflate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Inflate")
            .field("format", &self.format)
            .field("total_in", &self.total_in)
            .field("total_out", &self.total_out)
            .field("failed", &self.failed)
            .finish_non_exhaustive()
    }
}
