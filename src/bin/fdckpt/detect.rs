//! Detects the format of a file by its content.

use fdckpt::checkpoint::{Reader, ReaderOptions};
use fdckpt::inflate::{CheckpointInfo, Index};
use fdckpt::{BlockIndex, Container, Error, checkpoint, fti, inflate};

use crate::error::CliError;
use crate::foreign::{self, ForeignFormat};

/// The content of a file.
#[derive(Debug)]
pub enum Content<'f> {
    Checkpoint(Reader<'f>),
    Container(Container<'f>),
    InflateIndex(Index<'f>),
    BlockIndex(BlockIndex),
    Fti(fti::Checkpoint<'f>),
    InflateCheckpoint(CheckpointInfo),
    /// Too damaged to read anything of it; says why.
    Damaged(Format, String),
    Foreign(ForeignFormat),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// Self-describing checkpoint.
    Checkpoint,
    Container,
    /// Container that holds the index of a compressed stream.
    InflateIndex,
    /// Block index without a container.
    BlockIndex,
    Fti,
    InflateCheckpoint,
}

impl Format {
    /// The name in JSON.
    pub fn id(self) -> &'static str {
        match self {
            Self::Checkpoint => "checkpoint",
            Self::Container => "ckpt-container",
            Self::InflateIndex => "inflate-index",
            Self::BlockIndex => "block-index",
            Self::Fti => "fti-ff",
            Self::InflateCheckpoint => "inflate-checkpoint",
        }
    }

    pub fn title(self) -> &'static str {
        match self {
            Self::Checkpoint => "self-describing checkpoint",
            Self::Container => "CKPT container",
            Self::InflateIndex => "inflate index",
            Self::BlockIndex => "block index without a container (legacy file)",
            Self::Fti => "FTI-FF checkpoint",
            Self::InflateCheckpoint => "inflate checkpoint",
        }
    }
}

/// Section types of the containers that libfdckpt writes: the frames and the region index of a checkpoint, or the
/// access points and the decoder states of an inflate index.
const OWN_SECTIONS: [u8; 2] = [128, 129];
const POINTS_MAGIC: &[u8] = b"FDCKINDX";
const REGION_INDEX_MAGIC: &[u8] = b"FDCKIDX\n";

impl<'f> Content<'f> {
    pub fn detect(file: &'f [u8]) -> Result<Self, CliError> {
        let content = match Self::detect_by_magic(file)? {
            Some(content) => Some(content),
            None => detect_damaged(file)?,
        };
        Ok(content.unwrap_or_else(|| Self::Foreign(foreign::guess(file))))
    }

    /// Detects formats by a magic number or checksum that no other format has.
    fn detect_by_magic(file: &'f [u8]) -> Result<Option<Self>, CliError> {
        if Container::is_format(file) {
            return Self::in_container(file).map(Some);
        }
        if file.starts_with(b"FDCKINFL") {
            return or_damaged(Format::InflateCheckpoint, CheckpointInfo::read(file).map(Self::InflateCheckpoint)).map(Some);
        }
        if fti::Checkpoint::is_format(file) {
            return match fti::Checkpoint::parse(file) {
                Err(fti::Error::ParityFile) => Ok(Some(Self::Foreign(ForeignFormat::new(FTI_PARITY_FILE)))),
                result => or_damaged(Format::Fti, result.map(Self::Fti)).map(Some),
            };
        }
        if let Ok(index) = BlockIndex::decode(file) {
            return Ok(Some(Self::BlockIndex(index)));
        }
        let may_be_checkpoint = file.len() <= fdckpt::inflate::CHECKPOINT_MAX;
        Ok(if may_be_checkpoint { CheckpointInfo::read(file).ok().map(Self::InflateCheckpoint) } else { None })
    }

    /// Detects the format of a file that ends like a container.
    fn in_container(file: &'f [u8]) -> Result<Self, CliError> {
        let container = match (Container::parse(file), BlockIndex::decode(file)) {
            (Ok(container), _) => container,
            // The last number of a block index can look like a container's trailer.
            (Err(_), Ok(index)) => return Ok(Self::BlockIndex(index)),
            (Err(error), _) => {
                let format = if has_region_index(file) { Format::Checkpoint } else { Format::Container };
                return or_damaged(format, Err(error));
            }
        };
        let threads = std::thread::available_parallelism().map_or(1, usize::from);
        let not_checkpoint = match ReaderOptions::new().threads(threads).open_bytes(file) {
            Ok(reader) => return Ok(Self::Checkpoint(reader)),
            Err(error) => error,
        };
        let not_index = match Index::parse(file) {
            Ok(index) => return Ok(Self::InflateIndex(index)),
            Err(error) => error,
        };
        // At least one of the magic numbers is intact, or the section types say enough.
        let kinds: Vec<u8> = container.sections().map(|section| section.kind()).take(3).collect();
        let data = |kind| container.get(kind).unwrap_or_default();
        if data(OWN_SECTIONS[0]).starts_with(POINTS_MAGIC) && not_index != inflate::Error::OutOfMemory {
            return or_damaged(Format::InflateIndex, Err(not_index));
        }
        if data(OWN_SECTIONS[1]).starts_with(REGION_INDEX_MAGIC)
            || kinds == OWN_SECTIONS
            || not_checkpoint.kind() == checkpoint::ErrorKind::OutOfMemory
        {
            return or_damaged(Format::Checkpoint, Err(not_checkpoint));
        }
        Ok(Self::Container(container))
    }

    /// The format, if the CLI reads it.
    pub fn format(&self) -> Option<Format> {
        Some(match self {
            Self::Checkpoint(_) => Format::Checkpoint,
            Self::Container(_) => Format::Container,
            Self::InflateIndex(_) => Format::InflateIndex,
            Self::BlockIndex(_) => Format::BlockIndex,
            Self::Fti(_) => Format::Fti,
            Self::InflateCheckpoint(_) => Format::InflateCheckpoint,
            Self::Damaged(format, _) => *format,
            Self::Foreign(_) => return None,
        })
    }

    /// The name of the format in JSON.
    pub fn format_id(&self) -> &'static str {
        self.format().map_or("unknown", Format::id)
    }

    /// The error for a command that can't work on this file. `reason` says why, if the file is intact.
    pub fn unsupported(&self, reason: &str) -> CliError {
        match self {
            Self::Damaged(format, why) => {
                let error = CliError::damaged(format!("damaged {}: {why}", format.title()));
                match format {
                    Format::Checkpoint => error.with_hint("`fdckpt salvage` recovers what can still be read"),
                    _ => error,
                }
            }
            Self::Foreign(format) => {
                let error = CliError::new(format!("unknown format, looks like {}", format.looks_like));
                match format.hint {
                    Some(hint) => error.with_hint(hint),
                    None => error,
                }
            }
            readable => {
                let title = readable.format().map_or("", Format::title);
                CliError::new(if reason.is_empty() { title.to_owned() } else { format!("{title}: {reason}") })
            }
        }
    }
}

/// Returns the content, or why it can't be read. Without memory nothing is known about the file.
fn or_damaged<E: Into<Error>>(format: Format, result: Result<Content<'_>, E>) -> Result<Content<'_>, CliError> {
    match result.map_err(E::into) {
        Err(error) if error.is_out_of_memory() => Err(error.into()),
        Err(error) => Ok(Content::Damaged(format, error.to_string())),
        Ok(content) => Ok(content),
    }
}

/// Whether the last part of the file has the region index of a checkpoint, of a known version and at the offset that
/// the index itself states. The magic number alone is also in programs that know it, and in archives of checkpoints.
fn has_region_index(file: &[u8]) -> bool {
    const SEARCHED: usize = 256 << 20;
    const VERSION: [u8; 4] = [1, 0, 0, 0];
    /// Offset in the index of its own offset in the file.
    const OWN_OFFSET: usize = 40;
    let start = file.len().saturating_sub(SEARCHED);
    memchr::memmem::find_iter(&file[start..], REGION_INDEX_MAGIC).map(|at| start + at).any(|at| {
        let own_offset = file.get(at + OWN_OFFSET..).and_then(|bytes| bytes.first_chunk());
        file[at + REGION_INDEX_MAGIC.len()..].starts_with(&VERSION)
            && own_offset.is_some_and(|bytes| u64::from_le_bytes(*bytes) == at as u64)
    })
}

const FTI_PARITY_FILE: &str = "a parity file of FTI level 3, which is not a checkpoint";

/// Detects formats whose magic number is damaged by other properties.
fn detect_damaged(file: &[u8]) -> Result<Option<Content<'_>>, CliError> {
    if starts_with_block_record(file)
        && let Err(error) = BlockIndex::decode(file)
    {
        return or_damaged(Format::BlockIndex, Err(error)).map(Some);
    }
    if looks_like_blob(file)
        && let Err(error) = CheckpointInfo::read(file)
    {
        return or_damaged(Format::InflateCheckpoint, Err(error)).map(Some);
    }
    match fti::Checkpoint::parse(file) {
        Ok(checkpoint) => return Ok(Some(Content::Fti(checkpoint))),
        Err(error @ fti::Error::OutOfMemory) => return Err(error.into()),
        Err(fti::Error::ParityFile) => {
            return Ok(Some(Content::Foreign(ForeignFormat::new(FTI_PARITY_FILE))));
        }
        Err(_) => {}
    }
    let why = || "truncated, or followed by other data".to_owned();
    Ok(has_region_index(file).then(|| Content::Damaged(Format::Checkpoint, why())))
}

/// Whether the data starts with a record of a block index that has a valid checksum.
pub fn starts_with_block_record(file: &[u8]) -> bool {
    let Some((checksum, rest)) = file.split_first_chunk::<4>() else { return false };
    let Some(record) = rest.get(..37) else { return false };
    record[..5] == [3, 32, 0, 0, 0] && crc32fast::hash(record) == u32::from_le_bytes(*checksum)
}

/// Whether the file size agrees with the counts in a blob of the crate deflate64, which has no magic number, and the
/// counts are plausible.
fn looks_like_blob(file: &[u8]) -> bool {
    let number = |at: usize, size: usize| {
        let bytes = file.get(at..at + size)?;
        Some(bytes.iter().rev().fold(0, |sum, &byte| sum << 8 | u64::from(byte)))
    };
    let start = if file.starts_with(&[1, 0x10]) { 2 } else { 0 };
    let (Some(bits), Some(written), Some(unread)) = (number(start, 8), number(334, 8), number(342, 4)) else { return false };
    let windows = [65538, 65536].map(|history| written.min(history).max(unread));
    let is_plausible = bits < 1 << 50 && written < 1 << 50;
    is_plausible && (file.len() as u64).checked_sub(350).is_some_and(|window| windows.contains(&window))
}
