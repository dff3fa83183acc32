//! Checkpoint files: named regions of memory with checksums, in self-describing files that are replaced atomically.
//!
//! A checkpoint file is at the same time a sequence of frames from offset 0, as [`Checkpt`](crate::Checkpt) writes them, and a
//! [`Container`](crate::Container) of these frames and of an index. docs/format/checkpoint.md specifies it.
//!
//! ```
//! use fdckpt::FrameStyle;
//! use fdckpt::checkpoint::{Reader, WriterOptions};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let directory = tempfile::tempdir()?;
//! # let path = directory.path().join("state.ckpt");
//! let temperatures = vec![21; 100_000];
//! let mut writer = WriterOptions::new().style(FrameStyle::Lz4).threads(2).create(&path)?;
//! writer.attribute("step", b"17")?;
//! writer.add("temperatures", &temperatures)?;
//! writer.add("note", b"all is well")?;
//! writer.commit()?; // the file appears, complete
//!
//! let reader = Reader::open(&path)?;
//! for region in reader.regions() {
//!     println!("{}: {} bytes", region.name(), region.size());
//! }
//! let mut restored = vec![0; temperatures.len()];
//! reader.read("temperatures", &mut restored)?;
//! assert_eq!(restored, temperatures);
//! # Ok(())
//! # }
//! ```
//!
//! - [`Writer`], made by [`WriterOptions`], saves. [`Reader`], made by [`ReaderOptions`], restores and verifies.
//! - [`salvage`] recovers what is intact in a corrupt or truncated file.
//! - [`Error`] names the file, region and frame concerned.

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
pub use reader::{Attributes, FrameInfo, ReadRequest, Reader, Region, Regions};
pub use salvage::{SalvageStats, salvage};
pub use source::SpoolKind;
pub use verify::{Issue, VerifyReport};
pub use writer::{Summary, Writer};

pub(crate) use error::ErrorContext;

/// Maximum size in bytes of a region's name or an attribute's key.
pub const NAME_MAX: usize = 65_535;

/// Minimum frame size in bytes of data.
pub const FRAME_SIZE_MIN: usize = 65_536;
/// Maximum frame size in bytes of data.
pub const FRAME_SIZE_MAX: usize = 1 << 30;

/// Default frame size in bytes of data. Smaller frames compress less, larger ones leave threads idle at the end of a region:
/// docs/performance.md has the measurements.
pub const FRAME_SIZE_DEFAULT: usize = 256 << 10;

/// Computes the checksum of the format: XXH3, 64 bits, seed 0.
fn checksum(bytes: &[u8]) -> u64 {
    xxhash_rust::xxh3::xxh3_64(bytes)
}

/// Validates a name or key.
fn check_name(name: &str) -> Result<(), ErrorKind> {
    use ErrorKind::InvalidArgument;
    match name.len() {
        0 => Err(InvalidArgument("the name is empty")),
        NAME_MAX.. if name.len() > NAME_MAX => Err(InvalidArgument("the name has more than 65535 bytes")),
        _ if name.contains('\0') => Err(InvalidArgument("the name contains a NUL byte")),
        _ => Ok(()),
    }
}
