//! What a file is, by its content.

use std::path::Path;

use fdckpt::checkpoint;
use fdckpt::checkpoint::{Reader, ReaderOptions};
use fdckpt::inflate;
use fdckpt::inflate::{Description, Index};
use fdckpt::{BlockIndex, Container, Error, fti};

use crate::ui::Trouble;

/// A file that was recognised.
#[derive(Debug)]
pub enum Kind<'f> {
    /// A self-describing checkpoint.
    Checkpoint(Reader<'f>),
    Container(Container<'f>),
    /// A container that is the index of a compressed stream.
    Index(Index<'f>),
    /// An index of blocks without a container.
    Blocks(BlockIndex),
    Fti(fti::Checkpoint<'f>),
    /// A checkpoint of a decompression.
    Inflate(Description),
    /// It is of this format, but so damaged that nothing can be read: why.
    Damaged(Format, String),
    /// None of ours: what it looks like, and what to do with it.
    Unknown(&'static str, Option<&'static str>),
}

/// The formats by name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    Checkpoint,
    Container,
    Index,
    Blocks,
    Fti,
    Inflate,
}

impl Format {
    /// As JSON has it.
    pub fn id(self) -> &'static str {
        match self {
            Self::Checkpoint => "checkpoint",
            Self::Container => "ckpt-container",
            Self::Index => "inflate-index",
            Self::Blocks => "block-index",
            Self::Fti => "fti-ff",
            Self::Inflate => "inflate-blob",
        }
    }

    pub fn title(self) -> &'static str {
        match self {
            Self::Checkpoint => "self-describing checkpoint",
            Self::Container => "CKPT container",
            Self::Index => "index of a compressed stream, in a CKPT container",
            Self::Blocks => "index of blocks, without a container (legacy file)",
            Self::Fti => "FTI-FF",
            Self::Inflate => "checkpoint of a decompression",
        }
    }
}

impl<'f> Kind<'f> {
    pub fn of(file: &'f [u8]) -> Result<Self, Trouble> {
        let found = match Self::sure(file)? {
            Some(kind) => Some(kind),
            None => damaged(file)?,
        };
        Ok(found.unwrap_or_else(|| {
            let (looks, advice) = looks_like(file);
            Self::Unknown(looks, advice)
        }))
    }

    /// What has a mark or a checksum that nothing else has.
    fn sure(file: &'f [u8]) -> Result<Option<Self>, Trouble> {
        if Container::is_format(file) {
            return Self::with_trailer(file).map(Some);
        }
        if file.starts_with(b"FDCKINFL") {
            return or_damaged(Format::Inflate, Description::read(file).map(Self::Inflate)).map(Some);
        }
        if fti::Checkpoint::is_format(file) {
            return match fti::Checkpoint::parse(file) {
                // Files that other files can be made from, and no checkpoints themselves.
                Err(fti::Error::UnknownFormat(what)) => Ok(Some(Self::Unknown(what.trim_start_matches("this is "), None))),
                result => or_damaged(Format::Fti, result.map(Self::Fti)).map(Some),
            };
        }
        if let Ok(blocks) = BlockIndex::decode(file) {
            return Ok(Some(Self::Blocks(blocks)));
        }
        // More than any blob has need not be looked at.
        let may_be_blob = file.len() <= fdckpt::inflate::CHECKPOINT_MAX;
        Ok(if may_be_blob { Description::read(file).ok().map(Self::Inflate) } else { None })
    }

    /// What ends as a container does.
    fn with_trailer(file: &'f [u8]) -> Result<Self, Trouble> {
        let container = match (Container::parse(file), BlockIndex::decode(file)) {
            (Ok(container), _) => container,
            // The last number of an index of blocks can look like a container's end.
            (Err(_), Ok(blocks)) => return Ok(Self::Blocks(blocks)),
            (Err(error), _) => {
                let format = if has_index(file) { Format::Checkpoint } else { Format::Container };
                return or_damaged(format, Err(error));
            }
        };
        let threads = std::thread::available_parallelism().map_or(1, usize::from);
        let not_checkpoint = match ReaderOptions::new().threads(threads).open_bytes(file) {
            Ok(reader) => return Ok(Self::Checkpoint(reader)),
            Err(failure) => failure,
        };
        let not_index = match Index::parse(file) {
            Ok(index) => return Ok(Self::Index(index)),
            Err(error) => error,
        };
        // Containers of these two sections are ours; which of the two, the marks say, of which one at least is sound.
        let kinds: Vec<u8> = container.sections().map(|section| section.kind()).take(3).collect();
        let data = |kind| container.get(kind).unwrap_or_default();
        if data(128).starts_with(b"FDCKINDX") && not_index != inflate::Error::OutOfMemory {
            return or_damaged(Format::Index, Err(not_index));
        }
        if data(129).starts_with(INDEX_MARK) || kinds == [128, 129] || not_checkpoint.kind() == checkpoint::ErrorKind::OutOfMemory
        {
            return or_damaged(Format::Checkpoint, Err(not_checkpoint));
        }
        Ok(Self::Container(container))
    }

    /// The format, if it is one of ours.
    pub fn format(&self) -> Option<Format> {
        Some(match self {
            Self::Checkpoint(_) => Format::Checkpoint,
            Self::Container(_) => Format::Container,
            Self::Index(_) => Format::Index,
            Self::Blocks(_) => Format::Blocks,
            Self::Fti(_) => Format::Fti,
            Self::Inflate(_) => Format::Inflate,
            Self::Damaged(format, _) => *format,
            Self::Unknown(..) => return None,
        })
    }
}

/// That something can't be read is what there is to tell of it; but where memory is short nothing is known.
fn or_damaged<'f>(format: Format, result: Result<Kind<'f>, impl Into<Error>>) -> Result<Kind<'f>, Trouble> {
    match result.map_err(Into::into) {
        Err(error) if error.is_out_of_memory() => Err(error.into()),
        Err(error) => Ok(Kind::Damaged(format, error.to_string())),
        Ok(kind) => Ok(kind),
    }
}

/// What the index of a self-describing checkpoint begins with.
const INDEX_MARK: &[u8] = b"FDCKIDX\n";

/// Whether there is such an index somewhere in the last part of the file, of a known version, and where it says itself that it is: the mark alone
/// is also in programs that know it, and whole checkpoints are in archives.
fn has_index(file: &[u8]) -> bool {
    const LAST: usize = 256 << 20;
    let from = file.len().saturating_sub(LAST);
    memchr::memmem::find_iter(&file[from..], INDEX_MARK).map(|at| from + at).any(|at| {
        let number = |offset: usize| Some(u64::from_le_bytes(*file.get(at + offset..)?.first_chunk()?));
        file[at + INDEX_MARK.len()..].starts_with(&[1, 0, 0, 0]) && number(40) == Some(at as u64)
    })
}

/// What is of one of our formats beyond doubt, though its own mark is damaged.
fn damaged(file: &[u8]) -> Result<Option<Kind<'_>>, Trouble> {
    if begins_with_block(file)
        && let Err(error) = BlockIndex::decode(file)
    {
        return or_damaged(Format::Blocks, Err(error)).map(Some);
    }
    if has_shape_of_blob(file)
        && let Err(error) = Description::read(file)
    {
        return or_damaged(Format::Inflate, Err(error)).map(Some);
    }
    match fti::Checkpoint::parse(file) {
        Ok(checkpoint) => return Ok(Some(Kind::Fti(checkpoint))),
        Err(error @ fti::Error::OutOfMemory) => return Err(error.into()),
        Err(fti::Error::UnknownFormat(what)) if what.contains("level 3") => {
            return Ok(Some(Kind::Unknown(what.trim_start_matches("this is "), None)));
        }
        Err(_) => {}
    }
    let cut = has_index(file).then(|| "its end is missing or damaged, or something was added to it".to_owned());
    Ok(cut.map(|why| Kind::Damaged(Format::Checkpoint, why)))
}

/// An index record with the right checksum.
pub fn begins_with_block(file: &[u8]) -> bool {
    let Some((sum, rest)) = file.split_first_chunk::<4>() else { return false };
    let Some(record) = rest.get(..37) else { return false };
    record[..5] == [3, 32, 0, 0, 0] && crc32fast::hash(record) == u32::from_le_bytes(*sum)
}

/// A size that fits the numbers in it, which are of a size that numbers of bytes have: that is no chance.
fn has_shape_of_blob(file: &[u8]) -> bool {
    let number = |at: usize, size: usize| {
        let bytes = file.get(at..at + size)?;
        Some(bytes.iter().rev().fold(0, |sum, &byte| sum << 8 | u64::from(byte)))
    };
    let begins = if file.starts_with(&[1, 0x10]) { 2 } else { 0 };
    let (Some(bits), Some(written), Some(unread)) = (number(begins, 8), number(334, 8), number(342, 4)) else { return false };
    let windows = [65538, 65536].map(|history| written.min(history).max(unread));
    let likely = bits < 1 << 50 && written < 1 << 50;
    likely && (file.len() as u64).checked_sub(350).is_some_and(|window| windows.contains(&window))
}

/// Formats that are not ours, by their marks.
const MARKS: &[(&[u8], &str, Option<&str>)] = &[
    (&[0x1f, 0x8b], "gzip data", Some("`fdckpt inflate` decompresses it")),
    (b"PK\x03\x04", "a zip archive", Some("`fdckpt list` lists its entries, `fdckpt inflate --entry` decompresses one")),
    (b"PK\x05\x06", "an empty zip archive", None),
    (&[0x04, 0x22, 0x4d, 0x18], "an LZ4 frame as the program lz4 makes it", Some("`lz4 -d` decompresses it")),
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

/// What else it could be, and what could be done with it.
fn looks_like(file: &[u8]) -> (&'static str, Option<&'static str>) {
    if file.is_empty() {
        return ("nothing: it is empty", None);
    }
    if let Some((_, name, advice)) = MARKS.iter().find(|(mark, ..)| file.starts_with(mark)) {
        return (name, *advice);
    }
    if file.get(257..262) == Some(b"ustar") {
        return ("a tar archive", None);
    }
    if let [method, flags, ..] = *file
        && method & 0x0f == 8
        && method >> 4 <= 7
        && (u16::from(method) << 8 | u16::from(flags)).is_multiple_of(31)
    {
        return ("zlib data", Some("`fdckpt inflate` decompresses it"));
    }
    if let Some(end) = lz4_chunks(file) {
        let advice = "the program that wrote it knows its buffers: nothing in it says which they are";
        let name = if end {
            "LZ4 frames of a plain fd_checkpt checkpoint"
        } else {
            "LZ4 frames of a plain fd_checkpt checkpoint, cut off"
        };
        return (name, Some(advice));
    }
    if file.iter().all(|byte| *byte == 0) {
        return ("zeros, and nothing else", None);
    }
    let begin = &file[..file.len().min(4096)];
    // A character may be cut at the end of the piece.
    let is_text = std::str::from_utf8(begin).map_or_else(|error| error.error_len().is_none(), |_| true);
    if is_text && !begin.iter().any(|byte| matches!(byte, 0..=8 | 14..=26 | 28..=31)) {
        return ("text", None);
    }
    (
        "binary data",
        Some("raw frames of fd_checkpt, raw Deflate data, and FTI-FF without its end have no mark by which they could be told"),
    )
}

/// Whether the file is a run of compressed chunks, each with its size in front, to its end; `Some(false)` if only the last one is cut off.
fn lz4_chunks(file: &[u8]) -> Option<bool> {
    let (mut rest, mut count) = (file, 0);
    while let Some((size, behind)) = rest.split_first_chunk::<3>() {
        let size = u32::from_le_bytes([size[0], size[1], size[2], 0]) as usize;
        // The bound of a chunk of 64 KiB.
        if size == 0 || size > 65_536 + 65_536 / 255 + 16 {
            return None;
        }
        if size > behind.len() {
            return (count >= 8).then_some(false);
        }
        rest = &behind[size..];
        count += 1;
    }
    (rest.is_empty() && count >= 1 && file.len() >= 8).then_some(true)
}

/// The trouble with a file that a command can do nothing with.
pub fn refuse(kind: &Kind<'_>, path: &Path, wanted: &str) -> Trouble {
    refusal(kind, wanted).of(crate::files::name(path))
}

/// The same without the file's name.
pub fn refusal(kind: &Kind<'_>, wanted: &str) -> Trouble {
    match kind {
        Kind::Damaged(format, why) => {
            let trouble = Trouble::damaged(format!("this {} is damaged: {why}", format.title()));
            match format {
                Format::Checkpoint => trouble.advice("`fdckpt salvage` gets out of it what is left"),
                _ => trouble,
            }
        }
        Kind::Unknown(looks, advice) => {
            let trouble = Trouble::new(format!("not a format of checkpoints that is known here; it looks like {looks}"));
            match advice {
                Some(advice) => trouble.advice(*advice),
                None => trouble,
            }
        }
        known => Trouble::new(format!("this is: {}; {wanted}", known.format().map_or("", Format::title))),
    }
}
