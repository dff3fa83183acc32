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

mod bit_reader;
mod block_header;
mod checkpoint;
mod decode;
mod decoder;
mod error;
mod format;
mod huffman;
mod index;
mod progress;
mod reader;
mod stream;
mod window;
mod wrapper;

pub use block_header::BlockKind;
pub use checkpoint::{CHECKPOINT_MAX, Description, Form, Position};
pub use error::{DataError, Error};
pub use format::Format;
pub(crate) use index::{Cursor, InputError};
pub use index::{Index, IndexReader};
pub use progress::{Progress, Status};
pub use reader::Reader;
pub use stream::Inflate;
