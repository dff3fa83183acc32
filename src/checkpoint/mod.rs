//! Checkpoints that describe themselves: regions of memory, saved by name and found by name, with checksums, in files that a crash can't
//! leave half-written.
//!
//! Such a file is three things at once: the frames of one [`Checkpt`](crate::Checkpt), from byte 0 on; a
//! [`Container`](crate::Container); and an index of what lies where. docs/format/checkpoint.md specifies it.
//!
//! ```
//! use fdckpt::FrameStyle;
//! use fdckpt::checkpoint::{Reader, WriterOptions};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let folder = tempfile::tempdir()?;
//! # let path = folder.path().join("state.ckpt");
//! let temperatures = vec![21; 100_000];
//! let mut writer = WriterOptions::new().style(FrameStyle::Lz4).threads(2).create(&path)?;
//! writer.attribute("step", b"17")?;
//! writer.add("temperatures", &temperatures)?;
//! writer.add("note", b"all is well")?;
//! writer.commit()?; // from here on the file is there, whole
//!
//! let reader = Reader::open(&path)?;
//! for entry in reader.entries() {
//!     println!("{}: {} bytes", entry.name(), entry.size());
//! }
//! let note = reader.find("note").ok_or("no note")?;
//! assert_eq!(reader.read_to_vec(note.number())?, b"all is well");
//! # Ok(())
//! # }
//! ```
//!
//! - [`WriterOptions`], [`Writer`]: saving. [`ReaderOptions`], [`Reader`]: loading, and [`Reader::verify`].
//! - [`salvage`]: getting out of a damaged or truncated file what is left of it.
//! - [`Error`]: what went wrong, and with which file, frame and region.

mod error;
mod frame_decoder;
mod frame_encoder;
mod index_format;
mod name_table;
mod options;
mod output;
mod reader;
mod region_reader;
mod salvage;
mod source;
mod verify;
mod writer;

pub use crate::atomic_file::SyncMode;
pub use error::{Error, ErrorKind};
pub use options::{Progress, ReaderOptions, WriterOptions};
pub use reader::{Attributes, Entries, Entry, FrameEntry, Reader, Request};
pub use salvage::{Salvaged, salvage};
pub use source::Spooled;
pub use verify::{Damage, Verdict};
pub use writer::{Summary, Writer};

pub(crate) use error::ErrorContext;

/// The most bytes that the name of a region, or the key of an attribute, can have.
pub const NAME_MAX: usize = 65_535;

/// The least and the most that can be asked for as the size of frames, in bytes of data.
pub const FRAME_SIZE_MIN: usize = 65_536;
/// See [`FRAME_SIZE_MIN`].
pub const FRAME_SIZE_MAX: usize = 1 << 30;

/// The size of frames where none is asked for. Smaller ones compress less well, larger ones leave threads without work at the end of a
/// region: docs/performance.md has the measurements.
pub const FRAME_SIZE_DEFAULT: usize = 256 << 10;

/// The one checksum: XXH3 with 64 bits and seed 0.
fn checksum(bytes: &[u8]) -> u64 {
    xxhash_rust::xxh3::xxh3_64(bytes)
}

/// Checks a name or key.
fn check_name(name: &str) -> Result<(), ErrorKind> {
    use ErrorKind::InvalidArgument;
    match name.len() {
        0 => Err(InvalidArgument("the name is empty")),
        NAME_MAX.. if name.len() > NAME_MAX => Err(InvalidArgument("the name has more than 65535 bytes")),
        _ if name.contains('\0') => Err(InvalidArgument("the name contains a NUL byte")),
        _ => Ok(()),
    }
}
