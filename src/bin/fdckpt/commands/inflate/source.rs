//! Compressed data and its format.

use fdckpt::inflate::Format;

use crate::cli::InflateArgs;
use crate::error::CliError;
use crate::foreign::is_zlib_header;
use crate::format::zip::{self, Archive};
use crate::term::escape::escape_for_terminal;
use crate::term::units::size_with_unit;

/// Compressed data.
pub struct Source<'f> {
    pub data: &'f [u8],
    /// `None` if the data is stored without compression.
    pub format: Option<Format>,
    /// The name of the zip entry; empty if it is none.
    pub entry: String,
    /// CRC-32 and size of the output, if a zip archive states them.
    expected: Option<(u32, u64)>,
}

impl<'f> Source<'f> {
    /// Finds the data in a file, and detects its format unless an option gives it.
    pub fn find(file: &'f [u8], archive: Option<&'f Archive<'f>>, args: &InflateArgs) -> Result<Self, CliError> {
        let plain = |format| Self { data: file, format: Some(format), entry: String::new(), expected: None };
        if let Some(format) = args.format {
            return Ok(plain(format.into()));
        }
        if let Some(archive) = archive {
            let entry = archive.find(args.entry.as_deref())?;
            let format = match entry.method {
                zip::STORED => None,
                zip::DEFLATE => Some(Format::Deflate),
                zip::DEFLATE64 => Some(Format::Deflate64),
                _ => return Err(entry.unsupported()),
            };
            return Ok(Self { data: entry.data, format, entry: entry.name, expected: Some((entry.crc, entry.size)) });
        }
        if args.entry.is_some() || file.starts_with(b"PK\x03\x04") {
            return Err(CliError::damaged("not a zip archive, or truncated: the directory at its end is missing"));
        }
        detect(file).map(plain).ok_or_else(not_detected)
    }

    /// Compares the output with the size and CRC-32 in the archive. Streams of zlib and gzip have their own checksums.
    pub fn check_output(&self, crc: u32, size: u64) -> Result<(), CliError> {
        let Some((expected_crc, expected_size)) = self.expected else { return Ok(()) };
        let entry = escape_for_terminal(&self.entry);
        if size != expected_size {
            let (size, expected) = (size_with_unit(size), size_with_unit(expected_size));
            return Err(CliError::damaged(format!("entry {entry}: size mismatch: {size}, the archive states {expected}")));
        }
        if crc != expected_crc {
            let message = format!("entry {entry}: checksum mismatch (stored {expected_crc:08x}, computed {crc:08x})");
            return Err(CliError::damaged(message));
        }
        Ok(())
    }
}

/// Detects gzip and zlib by the first two bytes.
pub fn detect(start: &[u8]) -> Option<Format> {
    let [first, second, ..] = *start else { return None };
    match (first, second) {
        (0x1f, 0x8b) => Some(Format::Gzip),
        _ if is_zlib_header(first, second) => Some(Format::Zlib),
        _ => None,
    }
}

pub fn not_detected() -> CliError {
    CliError::new("not gzip, zlib or zip data").with_hint("for raw data add --format deflate or --format deflate64")
}
