//! Getting out of a damaged or truncated file what is left of it.

use std::fmt::Write;
use std::path::Path;

use super::error::ErrorKind;
use super::error::file_name;
use super::index_format::{MAGIC, Table};
use super::reader::{Entry, Reader, find_index};
use super::source::Source;
use super::{Error, NAME_MAX, ReaderOptions, Writer, WriterOptions};
use crate::alloc::try_zeroed;
use crate::bytes::get_u24;
use crate::frame::decoder::Decoder;
use crate::frame::source::{Mmio, Source as From};
use crate::frame::state::FrameState;
use crate::frame::{CHUNK_HEADER, CHUNK_MAX, FrameStyle, Kind, chunk_bound};
use crate::sys::lz4::OwnedDecompressor;
use crate::sys::shared_bytes::{SharedBytes, SharedBytesMut};

/// What was salvaged.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Salvaged {
    /// Whether the index was there. If not, nothing is known of names, sizes and checksums.
    pub index: bool,
    /// Regions that are sound, as their checksums say. They keep their names.
    pub verified: u64,
    /// Pieces that are sound of regions that are not.
    pub partial: u64,
    /// Regions or pieces that could be restored, but not verified: they can have any content.
    pub unverified: u64,
    /// Regions of which something is lost.
    pub lost: u64,
}

/// What the names of pieces begin with.
const PARTIAL: &str = "partial/";
const UNVERIFIED: &str = "unverified/";

/// So many steps for each byte are spent on looking for an index, and for frames. Real data takes few; what was made to take many is given
/// up then.
const PATIENCE: u64 = 64;

/// Fewer bytes than these of an LZ4 frame, and of one where the file ends, are not told from chance.
const LEAST: usize = 16;
const LEAST_AT_END: usize = 64;

/// The attribute that tells of it, and its values.
const ATTRIBUTE: &str = "fdckpt.salvaged";
const VERIFIED: &[u8] = b"verified";
const NOT_VERIFIED: &[u8] = b"unverified";

/// Reads what can be read of the file `from`, and writes it to a new checkpoint `to`, as `options` say.
///
/// With the index, which is found also where the end of the file is missing or something was added to it: each region that is sound comes
/// under its name; of one that is damaged each run of frames that are sound, as `partial/NAME@OFFSET`, OFFSET being where in the region it
/// begins. If there are no checksums, regions come as `unverified/NAME`.
///
/// Without the index: LZ4 frames are found by the sizes of their chunks, and come as `unverified/lz4@OFFSET`, OFFSET being where in the
/// file they begin; one whose size is a multiple of 64 KiB comes together with what follows it, and one of fewer than 16 bytes (64 where the
/// file ends) is taken as RAW. RAW frames can't be told from anything else: all stretches between them come as `unverified/raw@OFFSET`.
///
/// Where a name would be that of another region, `'` and the region's number are added; where one would be too long, the begin of NAME stands for it.
///
/// It takes memory of the size of the largest region; without the index, of the longest run of full chunks, and that can be all of an LZ4
/// file, decompressed.
///
/// The attributes are kept, and there is one more: `fdckpt.salvaged`, `verified` or `unverified`. Where `from` was salvaged itself, what is
/// unverified in it stays so.
///
/// # Errors
/// [`ErrorKind::Io`]; [`ErrorKind::OutOfMemory`]; as for [`Writer::add`].
pub fn salvage(from: impl AsRef<Path>, to: impl AsRef<Path>, options: WriterOptions<'_>) -> Result<Salvaged, Error> {
    let path = from.as_ref();
    let in_file = |error: ErrorKind| Error::from(error).in_file(file_name(path).as_deref());
    let reading = ReaderOptions::new();
    let (source, _) = Source::of_path(path, &reading).map_err(in_file)?;
    let mut writer = options.create(to)?;
    let mut salvaged = Salvaged::default();
    match find_table(source.bytes()) {
        Some(table) => {
            salvaged.index = true;
            let reader = Reader::with_table(reading, source, table).map_err(in_file)?;
            by_index(&reader, &mut writer, &mut salvaged)?;
        }
        None => by_chunks(source.bytes(), &mut writer, &mut salvaged)?,
    }
    let marked = if salvaged.index && salvaged.unverified == 0 { VERIFIED } else { NOT_VERIFIED };
    writer.attribute(ATTRIBUTE, marked)?;
    writer.commit()?;
    Ok(salvaged)
}

/// The index, where the container says or anywhere else.
fn find_table(bytes: &[u8]) -> Option<Table> {
    let said = find_index(bytes).and_then(|index| Table::parse(bytes, index.start, index.len()));
    if let Ok(table) = said {
        return Some(table);
    }
    let places = (0..bytes.len()).rev().filter(|&at| bytes[at] == MAGIC[0] && bytes[at..].starts_with(&MAGIC));
    let mut patience = PATIENCE * bytes.len() as u64;
    let mut candidates = places.filter_map(|at| Some((at, Table::size_at(bytes, at)?))).take_while(|&(_, size)| {
        let left = patience.checked_sub(size as u64);
        patience = left.unwrap_or(0);
        left.is_some()
    });
    candidates.find_map(|(at, size)| Table::parse(bytes, at, size).ok())
}

fn by_index(reader: &Reader<'_>, writer: &mut Writer<'_>, salvaged: &mut Salvaged) -> Result<(), Error> {
    for (key, value) in reader.attributes().filter(|(key, _)| *key != ATTRIBUTE) {
        // As when it is asked for, the first one counts.
        if !writer.index().keys.has(key) {
            writer.attribute(key, value)?;
        }
    }
    // Many regions can lie in one frame. What comes behind one that is lost there is lost too: it is not tried again and again.
    let mut damaged = None;
    for entry in reader.entries() {
        if entry.frame().is_some_and(|frame| damaged == Some(frame as u64)) && entry.frame_count() == 1 {
            salvaged.lost += 1;
            continue;
        }
        writer.set_style(entry.style())?;
        match reader.read_to_vec(entry.number()) {
            Ok(data) if reader.has_checksums() => {
                if writer.index().names.has(entry.name()) {
                    writer.add(&free_name(reader, writer, "", &entry, None)?, &data)?;
                } else {
                    writer.add(entry.name(), &data)?;
                }
                *(if is_verified(reader, entry.name()) { &mut salvaged.verified } else { &mut salvaged.unverified }) += 1;
            }
            Ok(data) => {
                writer.add(&free_name(reader, writer, UNVERIFIED, &entry, None)?, &data)?;
                salvaged.unverified += 1;
            }
            Err(failure) if failure.kind() == ErrorKind::OutOfMemory => return Err(failure),
            Err(failure) => {
                damaged = failure.frame();
                salvaged.lost += 1;
                by_frames(reader, &entry, writer, salvaged)?;
            }
        }
    }
    Ok(())
}

/// Whether it is known that a region that can be read is what was saved: checksums that salvaging made do not tell.
fn is_verified(reader: &Reader<'_>, region: &str) -> bool {
    let was_not = region.starts_with(UNVERIFIED) && reader.attribute(ATTRIBUTE) == Some(NOT_VERIFIED);
    reader.has_checksums() && !was_not
}

/// The sound pieces of a region.
fn by_frames(reader: &Reader<'_>, entry: &Entry<'_>, writer: &mut Writer<'_>, salvaged: &mut Salvaged) -> Result<(), Error> {
    let view = reader.view();
    let Some(region) = view.region(entry.number()) else { return Ok(()) };
    let mut run: Option<(u64, Vec<u8>)> = None;
    let frames = (region.first_frame..).map_while(|frame| view.frame(frame));
    for frame in frames.take_while(|frame| frame.data.start < region.data.end) {
        let (begin, end) = (frame.data.start.max(region.data.start), frame.data.end.min(region.data.end));
        let offset = begin - region.data.start;
        let (at, mut data) = run.take().unwrap_or_else(|| (offset, Vec::new()));
        let (before, size) = (data.len(), (end - begin) as usize);
        data.try_reserve(size)?;
        data.resize(before + size, 0);
        match reader.read_at(entry.number(), offset, &mut data[before..]) {
            Ok(()) => run = Some((at, data)),
            Err(_) => {
                data.truncate(before);
                put_run(reader, entry, Some((at, data)), writer, salvaged)?;
            }
        }
    }
    put_run(reader, entry, run, writer, salvaged)
}

fn put_run(
    reader: &Reader<'_>,
    entry: &Entry<'_>,
    run: Option<(u64, Vec<u8>)>,
    writer: &mut Writer<'_>,
    salvaged: &mut Salvaged,
) -> Result<(), Error> {
    let Some((at, data)) = run.filter(|(_, data)| !data.is_empty()) else { return Ok(()) };
    let verified = is_verified(reader, entry.name());
    let prefix = if verified { PARTIAL } else { UNVERIFIED };
    writer.add(&free_name(reader, writer, prefix, entry, Some(at))?, &data)?;
    *(if verified { &mut salvaged.partial } else { &mut salvaged.unverified }) += 1;
    Ok(())
}

/// A name for what is left of a region, which no region has or is yet to get: where it is taken, the region's number is added. Of the region's
/// name that leaves no room for the rest, the begin.
fn free_name(
    reader: &Reader<'_>,
    writer: &Writer<'_>,
    prefix: &str,
    entry: &Entry<'_>,
    at: Option<u64>,
) -> Result<String, ErrorKind> {
    let mut end = entry.name().len().min(NAME_MAX - 64);
    while !entry.name().is_char_boundary(end) {
        end -= 1;
    }
    let mut text = name(prefix, &entry.name()[..end], at)?;
    while reader.find(&text).is_some() || writer.index().names.has(&text) {
        text.try_reserve(24)?;
        write!(text, "'{}", entry.number()).map_err(|_| ErrorKind::Internal)?;
    }
    Ok(text)
}

/// A name for a piece.
fn name(prefix: &str, name: &str, at: Option<u64>) -> Result<String, ErrorKind> {
    let mut text = String::new();
    text.try_reserve(prefix.len() + name.len() + 24)?;
    text.push_str(prefix);
    text.push_str(name);
    if let Some(at) = at {
        write!(text, "@{at}").map_err(|_| ErrorKind::Internal)?;
    }
    Ok(text)
}

/// All that can be told without the index.
fn by_chunks(bytes: &[u8], writer: &mut Writer<'_>, salvaged: &mut Salvaged) -> Result<(), Error> {
    let mut lz4 = OwnedDecompressor::new().ok_or(ErrorKind::OutOfMemory)?;
    let mut chunk = try_zeroed(CHUNK_MAX)?;
    // Where the stretch begins that is no LZ4 so far.
    let (mut at, mut raw) = (0, 0);
    let mut patience = PATIENCE * bytes.len() as u64;
    while at < bytes.len() {
        if patience == 0 {
            at = bytes.len();
            break;
        }
        let mut data = Vec::new();
        let end = frame(bytes, at, &mut lz4, &mut chunk, &mut data, &mut patience)?;
        // One chunk that decompresses can be chance, if it is a small one.
        if data.len() < if end == bytes.len() { LEAST_AT_END } else { LEAST } {
            at += 1;
            continue;
        }
        put_raw(bytes, raw..at, writer, salvaged)?;
        writer.set_style(FrameStyle::Lz4)?;
        writer.add(&name(UNVERIFIED, "lz4", Some(at as u64))?, &data)?;
        salvaged.unverified += 1;
        (at, raw) = (end, end);
    }
    put_raw(bytes, raw..at, writer, salvaged)
}

fn put_raw(bytes: &[u8], stretch: std::ops::Range<usize>, writer: &mut Writer<'_>, salvaged: &mut Salvaged) -> Result<(), Error> {
    if !stretch.is_empty() {
        writer.set_style(FrameStyle::Raw)?;
        writer.add(&name(UNVERIFIED, "raw", Some(stretch.start as u64))?, &bytes[stretch])?;
        salvaged.unverified += 1;
    }
    Ok(())
}

/// Adds to `data` what decompresses from `at` on, to the first chunk that is not a full one, or to one that does not decompress. Returns where
/// it ends.
fn frame(
    bytes: &[u8],
    mut at: usize,
    lz4: &mut OwnedDecompressor,
    chunk: &mut [u8],
    data: &mut Vec<u8>,
    patience: &mut u64,
) -> Result<usize, Error> {
    let Some(mut size) = chunk_at(bytes, at, patience) else { return Ok(at) };
    let (mut phase, mut ring_cursor, mut offset) = (FrameState::BETWEEN_FRAMES, 0, at as u64);
    let end = From::Mmio(Mmio { offset: &mut offset, region: SharedBytes::new(bytes) });
    let mut decoder = Decoder { phase: &mut phase, lz4: Some(lz4.borrow()), ring_cursor: &mut ring_cursor, end, threads: 1 };
    decoder.open(FrameStyle::Lz4 as i32, || Ok(()))?;
    while decoder.get(Kind::Data, SharedBytesMut::new(&mut chunk[..size.1])).is_ok() {
        data.try_reserve(size.1)?;
        data.extend_from_slice(&chunk[..size.1]);
        at += size.0;
        match chunk_at(bytes, at, patience) {
            Some(next) if size.1 == CHUNK_MAX => size = next,
            _ => break,
        }
    }
    Ok(at)
}

/// Of what may be a chunk at `at`: how many bytes it takes, and how many it has when it is decompressed.
fn chunk_at(bytes: &[u8], at: usize, patience: &mut u64) -> Option<(usize, usize)> {
    let (header, rest) = bytes.get(at..)?.split_first_chunk::<CHUNK_HEADER>()?;
    let compressed = get_u24(*header) as usize;
    let block = rest.get(..compressed).filter(|_| compressed <= chunk_bound(CHUNK_MAX))?;
    let size = decompressed_size(block, patience)?;
    (CHUNK_HEADER + compressed <= chunk_bound(size)).then_some((CHUNK_HEADER + compressed, size))
}

/// How many bytes, from 1 to a full chunk, an LZ4 block has when it is decompressed.
fn decompressed_size(mut block: &[u8], patience: &mut u64) -> Option<usize> {
    const LEAST_MATCH: usize = 4;
    let mut size = 0;
    loop {
        *patience = patience.checked_sub(1)?;
        let (token, rest) = block.split_first()?;
        block = rest;
        let literals = length(token >> 4, &mut block)?;
        size += literals;
        block = block.get(literals..)?;
        if block.is_empty() {
            return (1..=CHUNK_MAX).contains(&size).then_some(size);
        }
        let (offset, rest) = block.split_first_chunk::<2>()?;
        block = rest;
        // Invalid, says the specification of LZ4: without looking at it, small numbers take long to be told from chunks.
        if *offset == [0, 0] {
            return None;
        }
        size += length(token & 15, &mut block)? + LEAST_MATCH;
        if size > CHUNK_MAX {
            return None;
        }
    }
}

/// A length of which these 4 bits are in the token, the rest in the next bytes.
fn length(field: u8, block: &mut &[u8]) -> Option<usize> {
    let mut length = usize::from(field);
    let mut goes_on = field == 15;
    while goes_on {
        let (more, rest) = block.split_first()?;
        *block = rest;
        length += usize::from(*more);
        goes_on = *more == 255;
    }
    Some(length)
}
