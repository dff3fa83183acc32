//! info and list: what a file is, and all that is in it.

use std::io::{self, Write};
use std::path::Path;
use std::time::{Duration, UNIX_EPOCH};

use fdckpt::inflate::{BlockKind, Description, Form, Format as Stream, Index};
use fdckpt::{Block, BlockIndex, Container, Section, fti};

use crate::cli::{List, Look};
use crate::detect::{self, Format, Kind};
use crate::format::zip::Archive;
use crate::json;
use crate::output::{self, Input};
use crate::term::{self, GOOD, Out, Painted, TITLE, Table, Trouble, WARNING, bytes, count, short};

/// So many are told in a summary.
pub const FEW: usize = 20;

pub fn info(look: &Look) -> Result<u8, Trouble> {
    let file = Input::open(&look.file)?;
    let kind = Kind::of(&file)?;
    if let Kind::Damaged(..) = kind {
        return Err(detect::refuse(&kind, &look.file, ""));
    }
    if let Kind::Checkpoint(reader) = &kind {
        return crate::format::checkpoint::info(reader, &file, look);
    }
    // Also of what is unknown: to say what it looks like is what was asked for.
    if look.json {
        return json::info(&kind, &look.file, file.len());
    }
    let mut out = Out::new();
    title(&mut out, &kind, &look.file)?;
    fact(&mut out, "size", bytes(file.len() as u64))?;
    let status = match &kind {
        Kind::Container(container) => info_container(&mut out, container)?,
        Kind::Index(index) => info_index(&mut out, index)?,
        Kind::Blocks(blocks) => info_blocks(&mut out, blocks)?,
        Kind::Fti(checkpoint) => info_fti(&mut out, checkpoint)?,
        Kind::Inflate(description) => info_inflate(&mut out, description)?,
        Kind::Unknown(_, advice) => {
            if let Some(advice) = advice {
                writeln!(out, "  {advice}")?;
            }
            GOOD
        }
        Kind::Checkpoint(_) | Kind::Damaged(..) => GOOD,
    };
    out.finish(status)
}

pub fn list(List { look, frames }: &List) -> Result<u8, Trouble> {
    let file = Input::open(&look.file)?;
    let kind = Kind::of(&file)?;
    let zip = matches!(kind, Kind::Unknown(..)).then(|| Archive::open(&file)).flatten();
    if zip.is_none() && matches!(kind, Kind::Damaged(..) | Kind::Unknown(..)) {
        return Err(detect::refuse(&kind, &look.file, ""));
    }
    if let Kind::Checkpoint(reader) = &kind {
        return crate::format::checkpoint::list(reader, &file, look, *frames);
    }
    if *frames {
        return Err(
            Trouble::new("only self-describing checkpoints have frames that could be listed").of(output::name(&look.file))
        );
    }
    if look.json {
        return json::list(&kind, zip.as_ref(), &look.file, file.len());
    }
    let mut out = Out::new();
    match (&kind, zip) {
        (_, Some(zip)) => zip.list(&mut out)?,
        (Kind::Container(container), _) => list_sections(&mut out, container, usize::MAX)?,
        (Kind::Blocks(blocks), _) => list_blocks(&mut out, blocks.blocks.iter())?,
        (Kind::Fti(checkpoint), _) => list_fti(&mut out, checkpoint)?,
        (Kind::Index(index), _) => {
            info_index(&mut out, index)?;
        }
        (Kind::Inflate(description), _) => {
            info_inflate(&mut out, description)?;
        }
        (Kind::Checkpoint(_) | Kind::Damaged(..) | Kind::Unknown(..), None) => {}
    }
    out.finish(GOOD)
}

fn title(out: &mut Out, kind: &Kind<'_>, path: &Path) -> io::Result<()> {
    let what = match kind {
        Kind::Container(container) => format!("CKPT container, version {}", container.version()),
        Kind::Fti(checkpoint) => {
            format!("FTI-FF, generation {} ({})", checkpoint.generation(), release(checkpoint.generation()))
        }
        Kind::Unknown(looks, _) => format!("not a format of checkpoints that is known here; it looks like {looks}"),
        known => known.format().map_or("", Format::title).to_owned(),
    };
    writeln!(out, "{}: {what}", Painted(TITLE, output::name(path)))
}

pub fn fact(out: &mut Out, name: &str, value: impl std::fmt::Display) -> io::Result<()> {
    writeln!(out, "  {name:<16}{value}")
}

/// Which releases of FTI write a generation.
pub fn release(generation: fti::FormatVersion) -> &'static str {
    match generation {
        fti::FormatVersion::V1_1 => "FTI 1.1",
        fti::FormatVersion::V1_2 => "FTI 1.2",
        fti::FormatVersion::V1_3 => "FTI 1.3",
        fti::FormatVersion::V1_4_0 => "FTI 1.4.0",
        fti::FormatVersion::V1_4_1 => "FTI 1.4.1 to 1.6",
        fti::FormatVersion::Post1_6 => "FTI after 1.6",
    }
}

/// What a section is, as far as its type and its data tell. `first` is whether it is the first of its type: others are not found by it.
fn meaning(section: &Section<'_>, first: bool) -> String {
    match section.data() {
        Err(error) => error.to_string(),
        Ok(data) if section.kind() == 1 && first => match BlockIndex::decode(data) {
            Ok(BlockIndex { blocks, stop: None, .. }) => format!("index of {}", count(blocks.len(), "block")),
            Ok(BlockIndex { blocks, stop: Some(stop), .. }) => {
                format!("index of blocks, of which {} can be read: at byte {}, {}", blocks.len(), stop.offset, stop.why)
            }
            Err(_) => "no index of blocks, though its type says so".to_owned(),
        },
        Ok(data) if first => crate::commands::resume::state_text(section.kind(), data).unwrap_or_default(),
        Ok(_) => String::new(),
    }
}

fn info_container(out: &mut Out, container: &Container<'_>) -> Result<u8, Trouble> {
    let findings = container.verify()?;
    let canonical = match findings.len() {
        0 => "yes".to_owned(),
        several => format!("no: {} (`fdckpt verify` tells them)", count(several, "finding")),
    };
    fact(out, "canonical", canonical)?;
    fact(out, "sections", container.len())?;
    list_sections(out, container, FEW)?;
    if container.len() > FEW {
        writeln!(out, "  and {} more: `fdckpt list` has all", container.len() - FEW)?;
    }
    Ok(GOOD)
}

fn list_sections(out: &mut Out, container: &Container<'_>, most: usize) -> io::Result<()> {
    let mut table = Table::new(&[true, true, true, true, true, false], &["#", "type", "offset", "bytes", "size", ""]);
    let mut seen = [false; 256];
    for (position, section) in container.sections().enumerate().take(most) {
        let first = !std::mem::replace(&mut seen[usize::from(section.kind())], true);
        let length = section.length();
        let short = u64::try_from(length).map_or_else(|_| "-".to_owned(), short);
        let cells = [position.to_string(), section.kind().to_string(), section.offset().to_string(), length.to_string(), short];
        table.row(out, cells.into_iter().chain([meaning(&section, first)]).collect())?;
    }
    table.finish(out)
}

fn info_blocks(out: &mut Out, index: &BlockIndex) -> Result<u8, Trouble> {
    let footer = &index.footer;
    fact(out, "version", footer.version)?;
    fact(out, "blocks", index.blocks.len())?;
    fact(out, "data", bytes(footer.total_size))?;
    fact(out, "last confirmed", footer.last_add_confirmed)?;
    if footer.flags & 1 != 0 {
        fact(out, "compacted", "yes")?;
    }
    if let Some(stop) = &index.stop {
        fact(out, "damaged", Painted(WARNING, format_args!("at byte {}: {}", stop.offset, stop.why)))?;
    }
    list_blocks(out, index.blocks.iter().take(FEW))?;
    if index.blocks.len() > FEW {
        writeln!(out, "  and {} more: `fdckpt list` has all", index.blocks.len() - FEW)?;
    }
    Ok(GOOD)
}

fn list_blocks<'b>(out: &mut Out, blocks: impl Iterator<Item = &'b Block>) -> io::Result<()> {
    let mut table =
        Table::new(&[true, true, true, true, true, true], &["block", "offset", "bytes", "size", "first entry", "last entry"]);
    for block in blocks {
        let numbers =
            [block.number.to_string(), block.start_offset.to_string(), block.size.to_string(), short(block.size.into())];
        let entries = [block.first_entry_id.to_string(), block.last_entry_id.to_string()];
        table.row(out, numbers.into_iter().chain(entries).collect())?;
    }
    table.finish(out)
}

fn info_index(out: &mut Out, index: &Index<'_>) -> Result<u8, Trouble> {
    fact(out, "stream", stream(index.format()))?;
    fact(out, "input", bytes(index.input_size()))?;
    fact(out, "output", bytes(index.output_size()))?;
    fact(out, "points", format!("{}, one for each {} of output", index.point_count(), bytes(index.every())))?;
    Ok(GOOD)
}

fn info_fti(out: &mut Out, checkpoint: &fti::Checkpoint<'_>) -> Result<u8, Trouble> {
    let header = checkpoint.header();
    if let Some(id) = header.ckpt_id {
        fact(out, "checkpoint", id)?;
    }
    let kind = match (header.pt_fs, header.max_fs) {
        (-1, -1) => "1 or 4",
        (_, -1) => "2",
        _ => "3",
    };
    fact(out, "level", kind)?;
    fact(out, "timestamp", timestamp(checkpoint.generation(), header.timestamp))?;
    fact(out, "checksum", ascii(&header.checksum))?;
    fact(out, "blocks", checkpoint.blocks().len())?;
    fact(out, "containers", checkpoint.containers().len())?;
    let variables = checkpoint.variables();
    let total = term::total(variables.iter().map(|variable| variable.size));
    fact(out, "variables", format!("{}, {}", variables.len(), bytes(total)))?;
    let mut table = Table::new(&[true, true, true, true], &["id", "bytes", "size", "containers"]);
    for variable in variables.iter().take(FEW) {
        let cells = [variable.id.to_string(), variable.size.to_string(), short(variable.size), variable.containers.to_string()];
        table.row(out, cells.into())?;
    }
    table.finish(out)?;
    if variables.len() > FEW {
        writeln!(out, "  and {} more: `fdckpt list` has all", variables.len() - FEW)?;
    }
    let flaws = checkpoint.flaws();
    let damage = flaws.iter().filter(|flaw| flaw.severity == fti::Severity::Damage).count();
    if damage > 0 {
        let text = format!("damaged: {} in what describes the data (`fdckpt verify` tells all)", count(damage, "finding"));
        writeln!(out, "  {}", Painted(WARNING, text))?;
        return Ok(term::BAD);
    }
    Ok(GOOD)
}

/// In generations D and E only the lowest 32 bits of it are kept, which are no time.
fn timestamp(generation: fti::FormatVersion, nanoseconds: i64) -> String {
    match generation {
        fti::FormatVersion::V1_4_1 | fti::FormatVersion::Post1_6 => {
            format!("{nanoseconds} (the lowest 32 bits of nanoseconds since 1970)")
        }
        _ => {
            let time = u64::try_from(nanoseconds).map(|since| UNIX_EPOCH + Duration::from_nanos(since));
            let date = time.map_or_else(|_| "before 1970".to_owned(), |time| humantime::format_rfc3339_seconds(time).to_string());
            format!("{nanoseconds} (nanoseconds since 1970: {date})")
        }
    }
}

fn list_fti(out: &mut Out, checkpoint: &fti::Checkpoint<'_>) -> io::Result<()> {
    const RIGHT: &[bool] = &[true, true, true, true, true, true, true, false, false];
    let titles = ["id", "container", "dptr", "fptr", "chunksize", "containersize", "full", "size", "hash"];
    let mut table = Table::new(RIGHT, &titles);
    for container in checkpoint.containers() {
        let has = container.has_content != 0;
        let filled = match (has, container.container_size) {
            (false, _) => "empty".to_owned(),
            (_, 0) => "-".to_owned(),
            (_, size) => format!("{:.0} %", 100.0 * container.chunk_size as f64 / size as f64),
        };
        let numbers = [i64::from(container.id), i64::from(container.container_id), container.dptr, container.fptr];
        let sizes = [container.chunk_size, container.container_size];
        let mut row: Vec<String> = numbers.into_iter().chain(sizes).map(|number| number.to_string()).collect();
        row.push(filled);
        row.push(u64::try_from(container.chunk_size).map_or_else(|_| "-".to_owned(), short));
        row.push(hex(&container.hash));
        table.row(out, row)?;
    }
    table.finish(out)
}

pub fn stream(format: Stream) -> &'static str {
    match format {
        Stream::Deflate => "deflate",
        Stream::Deflate64 => "deflate64",
        Stream::Zlib => "zlib",
        Stream::Gzip => "gzip",
        _ => "unknown",
    }
}

/// The name of a layout.
pub fn layout(form: Form) -> &'static str {
    match form {
        Form::Full => "full",
        Form::Compact => "compact",
        Form::Blob => "blob",
        Form::Blob0x1001 => "blob-0x1001",
        _ => "unknown",
    }
}

pub fn block(kind: Option<BlockKind>) -> &'static str {
    match kind {
        Some(BlockKind::Stored) => "stored",
        Some(BlockKind::Fixed) => "fixed",
        Some(BlockKind::Dynamic) => "dynamic",
        None => "none",
    }
}

fn info_inflate(out: &mut Out, checkpoint: &Description) -> Result<u8, Trouble> {
    fact(out, "layout", layout(checkpoint.form))?;
    let format = match checkpoint.format {
        Some(format) => stream(format),
        None if checkpoint.fits_deflate => "deflate or deflate64: the layout does not say which",
        None => "deflate64: the layout does not say it, but it can't be deflate",
    };
    fact(out, "stream", format)?;
    fact(out, "input", format!("goes on at {}", bytes(checkpoint.position.input)))?;
    fact(out, "output", format!("goes on at {}", bytes(checkpoint.position.output)))?;
    let place = match checkpoint.block {
        None => "in a header or trailer, or behind the end".to_owned(),
        Some(kind) => {
            let last = if checkpoint.is_last_block { ", the last one" } else { "" };
            match (kind, checkpoint.stored_left) {
                (BlockKind::Stored, 0) => format!("bit {} of the raw data, between blocks{last}", checkpoint.bit),
                (BlockKind::Stored, left) => {
                    format!("bit {} of the raw data, stored block{last}, {left} bytes left", checkpoint.bit)
                }
                (kind, _) => format!("bit {} of the raw data, {} block{last}", checkpoint.bit, block(Some(kind))),
            }
        }
    };
    fact(out, "position", place)?;
    fact(out, "window", bytes(checkpoint.window))?;
    fact(out, "pending", format!("{} of output not returned yet", bytes(checkpoint.unread)))?;
    Ok(GOOD)
}

pub fn ascii(text: &[u8]) -> String {
    let end = text.iter().position(|byte| *byte == 0).unwrap_or(text.len());
    text[..end].escape_ascii().to_string()
}

pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
