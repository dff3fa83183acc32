//! Recognises formats that are not checkpoints, to say what to do with a file instead.

/// A file of a format that the CLI does not read.
#[derive(Clone, Copy, Debug)]
pub struct ForeignFormat {
    /// A noun phrase.
    pub looks_like: &'static str,
    pub hint: Option<&'static str>,
}

impl ForeignFormat {
    pub fn new(looks_like: &'static str) -> Self {
        Self { looks_like, hint: None }
    }

    fn with_hint(looks_like: &'static str, hint: &'static str) -> Self {
        Self { looks_like, hint: Some(hint) }
    }
}

/// Formats by their first bytes.
const MAGIC: &[(&[u8], &str, Option<&str>)] = &[
    (&[0x1f, 0x8b], "gzip data", Some("`fdckpt inflate` decompresses it")),
    (b"PK\x03\x04", "a zip archive", Some("`fdckpt list` lists its entries, `fdckpt inflate --entry` decompresses one")),
    (b"PK\x05\x06", "an empty zip archive", None),
    (&[0x04, 0x22, 0x4d, 0x18], "an LZ4 frame of the program lz4", Some("`lz4 -d` decompresses it")),
    (&[0x28, 0xb5, 0x2f, 0xfd], "zstd data", Some("`zstd -d` decompresses it")),
    (&[0xfd, b'7', b'z', b'X', b'Z', 0], "xz data", Some("`xz -d` decompresses it")),
    (b"BZh", "bzip2 data", Some("`bzip2 -d` decompresses it")),
    (b"7z\xbc\xaf\x27\x1c", "a 7z archive", None),
    (b"\x7fELF", "an ELF program or library (or a core dump)", None),
    (b"\x89HDF\r\n\x1a\n", "an HDF5 file", None),
    (b"CDF", "a NetCDF file", None),
    (b"SQLite format 3\0", "an SQLite database", None),
    (b"#!", "a script", None),
];

/// Whether two bytes are the header of zlib data.
pub fn is_zlib_header(first: u8, second: u8) -> bool {
    first & 0x8f == 8 && (u16::from(first) << 8 | u16::from(second)).is_multiple_of(31)
}

/// Guesses the format.
pub fn guess(file: &[u8]) -> ForeignFormat {
    if file.is_empty() {
        return ForeignFormat::new("an empty file");
    }
    if let Some((_, looks_like, hint)) = MAGIC.iter().find(|(magic, ..)| file.starts_with(magic)) {
        return ForeignFormat { looks_like, hint: *hint };
    }
    if file.get(257..262) == Some(b"ustar") {
        return ForeignFormat::new("a tar archive");
    }
    if let [first, second, ..] = *file
        && is_zlib_header(first, second)
    {
        return ForeignFormat::with_hint("zlib data", "`fdckpt inflate` decompresses it");
    }
    if let Some(chunks) = lz4_chunks(file) {
        let hint = "only the program that wrote it knows the sizes of its buffers";
        return match chunks {
            Chunks::Complete => ForeignFormat::with_hint("LZ4 frames of fd_checkpt", hint),
            Chunks::Truncated => ForeignFormat::with_hint("truncated LZ4 frames of fd_checkpt", hint),
        };
    }
    if file.iter().all(|byte| *byte == 0) {
        return ForeignFormat::new("zeros only");
    }
    let start = &file[..file.len().min(4096)];
    // The last character may be incomplete.
    let is_utf8 = std::str::from_utf8(start).map_or_else(|error| error.error_len().is_none(), |_| true);
    if is_utf8 && !start.iter().any(|byte| matches!(byte, 0..=8 | 14..=26 | 28..=31)) {
        return ForeignFormat::new("text");
    }
    ForeignFormat::with_hint(
        "binary data",
        "raw frames of fd_checkpt, raw Deflate data and truncated FTI-FF files can't be recognised",
    )
}

enum Chunks {
    Complete,
    Truncated,
}

/// Recognises a file of compressed chunks, each preceded by its size.
fn lz4_chunks(file: &[u8]) -> Option<Chunks> {
    /// LZ4's bound for a chunk of 64 KiB.
    const COMPRESSED_CHUNK_MAX: usize = 65_536 + 65_536 / 255 + 16;
    /// So many chunks of valid sizes are no coincidence, even if the last chunk is incomplete.
    const TRUNCATED_MIN_CHUNKS: usize = 8;
    let (mut rest, mut count) = (file, 0);
    while let Some((size, data)) = rest.split_first_chunk::<3>() {
        let size = u32::from_le_bytes([size[0], size[1], size[2], 0]) as usize;
        if size == 0 || size > COMPRESSED_CHUNK_MAX {
            return None;
        }
        if size > data.len() {
            return (count >= TRUNCATED_MIN_CHUNKS).then_some(Chunks::Truncated);
        }
        rest = &data[size..];
        count += 1;
    }
    (rest.is_empty() && count >= 1 && file.len() >= 8).then_some(Chunks::Complete)
}
