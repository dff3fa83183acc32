//! Resumable inflate: decompression of Deflate and Deflate64, raw or as zlib and gzip streams, whose state can be saved
//! at any time.
//!
//! An [`Inflate`] decompresses with input and output in pieces of any size. Between any two calls its state can be
//! saved as a checkpoint. Another [`Inflate`] restored from it, also in another process, produces identical output. So
//! a long decompression survives the process it runs in, and reading from the middle of a large stream starts at the
//! nearest of several checkpoints.
//!
//! ```
//! use fdckpt::inflate::{CheckpointEncoding, Format, Inflate, Status};
//!
//! # fn main() -> Result<(), fdckpt::Error> {
//! // "to be, or not to be" as raw Deflate.
//! let stream = [0x2b, 0xc9, 0x57, 0x48, 0x4a, 0xd5, 0x51, 0xc8, 0x2f, 0x52, 0xc8, 0xcb, 0x2f, 0x51, 0x28, 0x01, 0xf1, 0x00];
//! let mut output = [0; 100];
//!
//! let mut inflate = Inflate::new(Format::Deflate)?;
//! let progress = inflate.decompress(&stream[..9], &mut output);
//! assert_eq!(progress.result, Ok(Status::NeedsInput));
//! let (checkpoint, position) = inflate.checkpoint(CheckpointEncoding::Full)?;
//!
//! // Perhaps in another process: input and output continue at the offsets of the position.
//! let mut resumed = Inflate::new(Format::Deflate)?;
//! assert_eq!(resumed.restore(&checkpoint)?, position);
//! let (input, output_rest) = (&stream[position.in_offset as usize..], &mut output[position.out_offset as usize..]);
//! assert_eq!(resumed.decompress(input, output_rest).result, Ok(Status::Done));
//! assert_eq!(&output[..resumed.total_out() as usize], b"to be, or not to be");
//! # Ok(())
//! # }
//! ```
//!
//! [`Reader`] decompresses a whole file: it is an adapter from a [`BufRead`](std::io::BufRead) of compressed data to
//! one of output. An [`Index`] has checkpoints at regular intervals of the output, for reading parts of a file.
//!
//! Modules, in the order of their dependencies:
//!
//! - `bit_reader`, `huffman`, `block_header`, `decode`, `window`: parts of the decoder.
//! - `decoder`: raw streams.
//! - `wrapper`: headers and trailers of zlib and gzip.
//! - `stream`: [`Inflate`], the decompressor of all formats.
//! - `checkpoint`: saving, restoring and inspecting its state.
//! - `reader`: the adapter for `std::io`.
//! - `index`: random access.

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
pub use checkpoint::{CHECKPOINT_MAX, CheckpointEncoding, CheckpointInfo, Position};
pub use error::{DataError, Error};
pub use format::Format;
pub use index::{Index, IndexReader};
pub(crate) use index::{IndexCursor, InputError};
pub use progress::{Progress, Status};
pub use reader::Reader;
pub use stream::Inflate;
