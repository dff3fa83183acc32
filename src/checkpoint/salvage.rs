//! Recovering the intact parts of a corrupt or truncated file.

use std::fmt::Write;
use std::ops::Range;
use std::path::Path;

use super::error::ErrorKind;
use super::error::file_name;
use super::index_format::{IndexLayout, MAGIC};
use super::reader::{Reader, Region, find_index};
use super::source::Source;
use super::{Error, NAME_MAX, ReaderOptions, Writer, WriterOptions};
use crate::alloc::try_zeroed;
use crate::bytes::get_u24;
use crate::frame::decoder::Decoder;
use crate::frame::source::{self as frame_source, Mmio};
use crate::frame::state::FrameState;
use crate::frame::{BufferKind, CHUNK_HEADER_SIZE, CHUNK_MAX, FrameStyle, chunk_bound};
use crate::sys::lz4::OwnedDecompressor;
use crate::sys::shared_bytes::{SharedBytes, SharedBytesMut};

/// Result of salvaging.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct SalvageStats {
    /// The index was found. Without it, names, sizes and checksums are unknown.
    pub has_index: bool,
    /// Number of regions that are intact by their checksums. They keep their names.
    pub verified: u64,
    /// Number of intact parts of corrupt regions.
    pub partial: u64,
    /// Number of regions or parts that could be decoded, but not verified: their contents may be wrong.
    pub unverified: u64,
    /// Number of regions of which data is lost.
    pub lost: u64,
}

/// Prefixes of the names of parts.
const PARTIAL: &str = "partial/";
const UNVERIFIED: &str = "unverified/";

/// Maximum number of steps per byte of the file that the search for an index or for frames takes. Real data needs few; crafted files could
/// need quadratic time.
const STEPS_PER_BYTE: u64 = 64;

/// Minimum size in bytes of an LZ4 frame: shorter ones occur in random data.
const LZ4_FRAME_MIN: usize = 16;
/// The same at the end of the file.
const LZ4_FRAME_AT_END_MIN: usize = 64;

/// The attribute of salvaged checkpoints, and its values.
const ATTRIBUTE: &str = "fdckpt.salvaged";
const VERIFIED: &[u8] = b"verified";
const NOT_VERIFIED: &[u8] = b"unverified";

/// Reads the intact parts of the file `from` and saves them to a new checkpoint `to`.
///
/// With the index (found even if the end of the file is missing or bytes were appended): each intact region keeps its name; each run of
/// intact frames of a corrupt one becomes `partial/NAME@OFFSET`, with the run's offset in the region. In a file without checksums,
/// regions become `unverified/NAME`.
///
/// Without the index: LZ4 frames are found by the sizes of their chunks and become `unverified/lz4@OFFSET`, with their offset in the file.
/// A frame whose size is a multiple of 64 KiB is joined with the next one; one of fewer than 16 bytes (64 at the end of the file) counts
/// as RAW. RAW frames have no structure: all bytes between LZ4 frames become `unverified/raw@OFFSET`.
///
/// If a name is taken, `'` and the region's index are appended; a NAME that would become too long is truncated.
///
/// Memory: the size of the largest region; without the index, the longest run of full chunks, up to all decompressed data of an LZ4 file.
///
/// Attributes are kept, and `fdckpt.salvaged` is added, with the value `verified` or `unverified`. If `from` was salvaged itself, its
/// unverified regions stay unverified.
///
/// # Errors
/// [`ErrorKind::Io`]; [`ErrorKind::OutOfMemory`]; as for [`Writer::add`].
pub fn salvage(from: impl AsRef<Path>, to: impl AsRef<Path>, options: WriterOptions<'_>) -> Result<SalvageStats, Error> {
    let path = from.as_ref();
    let in_file = |error: ErrorKind| Error::from(error).in_file(file_name(path).as_deref());
    let reader_options = ReaderOptions::new();
    let (source, _) = Source::open(path, &reader_options).map_err(in_file)?;
    let mut writer = options.create(to)?;
    let mut stats = SalvageStats::default();
    match find_layout(source.bytes()) {
        Some(layout) => {
            stats.has_index = true;
            let reader = Reader::with_index(reader_options, source, layout).map_err(in_file)?;
            salvage_regions(&reader, &mut writer, &mut stats)?;
        }
        None => salvage_chunks(source.bytes(), &mut writer, &mut stats)?,
    }
    let value = if stats.has_index && stats.unverified == 0 { VERIFIED } else { NOT_VERIFIED };
    writer.attribute(ATTRIBUTE, value)?;
    writer.commit()?;
    Ok(stats)
}

/// Finds the index by the container's directory, or else by its magic bytes.
fn find_layout(bytes: &[u8]) -> Option<IndexLayout> {
    let by_container = find_index(bytes).and_then(|index| IndexLayout::parse(bytes, index.start, index.len()));
    if let Ok(layout) = by_container {
        return Some(layout);
    }
    let offsets = (0..bytes.len()).rev().filter(|&at| bytes[at] == MAGIC[0] && bytes[at..].starts_with(&MAGIC));
    let mut steps_left = STEPS_PER_BYTE * bytes.len() as u64;
    let mut candidates = offsets.filter_map(|at| Some((at, IndexLayout::size_at(bytes, at)?))).take_while(|&(_, size)| {
        let left = steps_left.checked_sub(size as u64);
        steps_left = left.unwrap_or(0);
        left.is_some()
    });
    candidates.find_map(|(at, size)| IndexLayout::parse(bytes, at, size).ok())
}

/// Saves the intact regions, and the intact parts of corrupt ones.
fn salvage_regions(reader: &Reader<'_>, writer: &mut Writer<'_>, stats: &mut SalvageStats) -> Result<(), Error> {
    for (key, value) in reader.attributes().filter(|(key, _)| *key != ATTRIBUTE) {
        // Of several attributes with one key, the first one counts, as for `Reader::attribute`.
        if !writer.index().keys.contains(key) {
            writer.attribute(key, value)?;
        }
    }
    // A frame may hold many regions. Regions behind a lost one in the same frame are lost too.
    let mut corrupt_frame = None;
    for region in reader.regions() {
        if region.frame().is_some_and(|frame| corrupt_frame == Some(frame as u64)) && region.frame_count() == 1 {
            stats.lost += 1;
            continue;
        }
        writer.set_style(region.style())?;
        match reader.read_index_to_vec(region.index()) {
            Ok(data) if reader.has_checksums() => {
                if writer.index().names.contains(region.name()) {
                    writer.add(&unused_name(reader, writer, "", &region, None)?, &data)?;
                } else {
                    writer.add(region.name(), &data)?;
                }
                *(if is_verified(reader, region.name()) { &mut stats.verified } else { &mut stats.unverified }) += 1;
            }
            Ok(data) => {
                writer.add(&unused_name(reader, writer, UNVERIFIED, &region, None)?, &data)?;
                stats.unverified += 1;
            }
            Err(failure) if failure.kind() == ErrorKind::OutOfMemory => return Err(failure),
            Err(failure) => {
                corrupt_frame = failure.frame();
                stats.lost += 1;
                salvage_frames(reader, &region, writer, stats)?;
            }
        }
    }
    Ok(())
}

/// Returns whether the checksums of a readable region prove its contents: those made by salvaging unverified data do not.
fn is_verified(reader: &Reader<'_>, name: &str) -> bool {
    let was_unverified = name.starts_with(UNVERIFIED) && reader.attribute(ATTRIBUTE) == Some(NOT_VERIFIED);
    reader.has_checksums() && !was_unverified
}

/// Saves the runs of intact frames of a region.
fn salvage_frames(
    reader: &Reader<'_>,
    region: &Region<'_>,
    writer: &mut Writer<'_>,
    stats: &mut SalvageStats,
) -> Result<(), Error> {
    let view = reader.view();
    let Some(record) = view.region(region.index()) else { return Ok(()) };
    let mut run: Option<(u64, Vec<u8>)> = None;
    let frames = (record.first_frame..).map_while(|frame| view.frame(frame));
    for frame in frames.take_while(|frame| frame.data.start < record.data.end) {
        let (begin, end) = (frame.data.start.max(record.data.start), frame.data.end.min(record.data.end));
        let offset = begin - record.data.start;
        let (at, mut data) = run.take().unwrap_or_else(|| (offset, Vec::new()));
        let (before, size) = (data.len(), (end - begin) as usize);
        data.try_reserve(size)?;
        data.resize(before + size, 0);
        match reader.read_range(region.index(), offset, &mut data[before..]) {
            Ok(()) => run = Some((at, data)),
            Err(_) => {
                data.truncate(before);
                save_run(reader, region, Some((at, data)), writer, stats)?;
            }
        }
    }
    save_run(reader, region, run, writer, stats)
}

fn save_run(
    reader: &Reader<'_>,
    region: &Region<'_>,
    run: Option<(u64, Vec<u8>)>,
    writer: &mut Writer<'_>,
    stats: &mut SalvageStats,
) -> Result<(), Error> {
    let Some((at, data)) = run.filter(|(_, data)| !data.is_empty()) else { return Ok(()) };
    let is_verified = is_verified(reader, region.name());
    let prefix = if is_verified { PARTIAL } else { UNVERIFIED };
    writer.add(&unused_name(reader, writer, prefix, region, Some(at))?, &data)?;
    *(if is_verified { &mut stats.partial } else { &mut stats.unverified }) += 1;
    Ok(())
}

/// Returns an unused name for a part of a region. Appends the region's index if the name is taken, and truncates the region's name if
/// it is too long.
fn unused_name(
    reader: &Reader<'_>,
    writer: &Writer<'_>,
    prefix: &str,
    region: &Region<'_>,
    at: Option<u64>,
) -> Result<String, ErrorKind> {
    let mut end = region.name().len().min(NAME_MAX - 64);
    while !region.name().is_char_boundary(end) {
        end -= 1;
    }
    let mut text = part_name(prefix, &region.name()[..end], at)?;
    while reader.find(&text).is_some() || writer.index().names.contains(&text) {
        text.try_reserve(24)?;
        write!(text, "'{}", region.index()).map_err(|_| ErrorKind::Internal)?;
    }
    Ok(text)
}

/// Returns the name of a part.
fn part_name(prefix: &str, name: &str, at: Option<u64>) -> Result<String, ErrorKind> {
    let mut text = String::new();
    text.try_reserve(prefix.len() + name.len() + 24)?;
    text.push_str(prefix);
    text.push_str(name);
    if let Some(at) = at {
        write!(text, "@{at}").map_err(|_| ErrorKind::Internal)?;
    }
    Ok(text)
}

/// Saves what can be recognised without the index.
fn salvage_chunks(bytes: &[u8], writer: &mut Writer<'_>, stats: &mut SalvageStats) -> Result<(), Error> {
    let mut lz4 = OwnedDecompressor::new().ok_or(ErrorKind::OutOfMemory)?;
    let mut chunk = try_zeroed(CHUNK_MAX)?;
    // `raw_start..at` is not LZ4 so far.
    let (mut at, mut raw_start) = (0, 0);
    let mut steps_left = STEPS_PER_BYTE * bytes.len() as u64;
    while at < bytes.len() {
        if steps_left == 0 {
            at = bytes.len();
            break;
        }
        let mut data = Vec::new();
        let end = decode_frame(bytes, at, &mut lz4, &mut chunk, &mut data, &mut steps_left)?;
        // A small chunk that decodes may be chance.
        if data.len() < if end == bytes.len() { LZ4_FRAME_AT_END_MIN } else { LZ4_FRAME_MIN } {
            at += 1;
            continue;
        }
        save_raw(bytes, raw_start..at, writer, stats)?;
        writer.set_style(FrameStyle::Lz4)?;
        writer.add(&part_name(UNVERIFIED, "lz4", Some(at as u64))?, &data)?;
        stats.unverified += 1;
        (at, raw_start) = (end, end);
    }
    save_raw(bytes, raw_start..at, writer, stats)
}

fn save_raw(bytes: &[u8], range: Range<usize>, writer: &mut Writer<'_>, stats: &mut SalvageStats) -> Result<(), Error> {
    if !range.is_empty() {
        writer.set_style(FrameStyle::Raw)?;
        writer.add(&part_name(UNVERIFIED, "raw", Some(range.start as u64))?, &bytes[range])?;
        stats.unverified += 1;
    }
    Ok(())
}

/// Decodes chunks from `at` on, up to the first one that is not full or does not decode, and appends them to `data`. Returns their end.
fn decode_frame(
    bytes: &[u8],
    mut at: usize,
    lz4: &mut OwnedDecompressor,
    chunk: &mut [u8],
    data: &mut Vec<u8>,
    steps_left: &mut u64,
) -> Result<usize, Error> {
    let Some(mut sizes) = chunk_at(bytes, at, steps_left) else { return Ok(at) };
    let (mut state, mut ring_cursor, mut offset) = (FrameState::BETWEEN_FRAMES, 0, at as u64);
    let endpoint = frame_source::Source::Mmio(Mmio { offset: &mut offset, region: SharedBytes::new(bytes) });
    let mut decoder = Decoder { state: &mut state, lz4: Some(lz4.borrow()), ring_cursor: &mut ring_cursor, endpoint, threads: 1 };
    decoder.open(FrameStyle::Lz4 as i32, || Ok(()))?;
    while decoder.read_buffer(BufferKind::Data, SharedBytesMut::new(&mut chunk[..sizes.1])).is_ok() {
        data.try_reserve(sizes.1)?;
        data.extend_from_slice(&chunk[..sizes.1]);
        at += sizes.0;
        match chunk_at(bytes, at, steps_left) {
            Some(next) if sizes.1 == CHUNK_MAX => sizes = next,
            _ => break,
        }
    }
    Ok(at)
}

/// Returns the stored and the decompressed size of a chunk at `at`, if its header and block are plausible.
fn chunk_at(bytes: &[u8], at: usize, steps_left: &mut u64) -> Option<(usize, usize)> {
    let (header, rest) = bytes.get(at..)?.split_first_chunk::<CHUNK_HEADER_SIZE>()?;
    let compressed = get_u24(*header) as usize;
    let block = rest.get(..compressed).filter(|_| compressed <= chunk_bound(CHUNK_MAX))?;
    let size = decompressed_size(block, steps_left)?;
    (CHUNK_HEADER_SIZE + compressed <= chunk_bound(size)).then_some((CHUNK_HEADER_SIZE + compressed, size))
}

/// Returns the decompressed size of an LZ4 block, 1 to [`CHUNK_MAX`], if it is well-formed.
fn decompressed_size(mut block: &[u8], steps_left: &mut u64) -> Option<usize> {
    const MATCH_MIN: usize = 4;
    let mut size = 0;
    loop {
        *steps_left = steps_left.checked_sub(1)?;
        let (token, rest) = block.split_first()?;
        block = rest;
        let literals = decode_length(token >> 4, &mut block)?;
        size += literals;
        block = block.get(literals..)?;
        if block.is_empty() {
            return (1..=CHUNK_MAX).contains(&size).then_some(size);
        }
        let (offset, rest) = block.split_first_chunk::<2>()?;
        block = rest;
        // Offset 0 is invalid in LZ4. Without this check, arrays of small integers look like chunks for long.
        if *offset == [0, 0] {
            return None;
        }
        size += decode_length(token & 15, &mut block)? + MATCH_MIN;
        if size > CHUNK_MAX {
            return None;
        }
    }
}

/// Decodes a length: 4 bits of the token, and further bytes.
fn decode_length(field: u8, block: &mut &[u8]) -> Option<usize> {
    let mut length = usize::from(field);
    let mut has_more = field == 15;
    while has_more {
        let (more, rest) = block.split_first()?;
        *block = rest;
        length += usize::from(*more);
        has_more = *more == 255;
    }
    Some(length)
}
