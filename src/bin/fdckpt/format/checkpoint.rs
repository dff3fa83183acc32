//! Self-describing checkpoints.

use std::io;
use std::ops::ControlFlow;

use fdckpt::checkpoint::{self, FrameInfo, Reader, Region};
use fdckpt::{Container, FrameStyle};
use serde_json::{Map, Value, json};

use super::difference::{ByteDifference, Difference, Side, Subject, compare_bytes};
use super::report::{Report, Severity};
use super::{SUMMARY_LIMIT, container};
use crate::detect::Format;
use crate::error::CliError;
use crate::json::JsonObjectWriter;
use crate::regions::{BATCH_REGIONS, BATCH_SIZE, read_batch};
use crate::term::escape::{escape_for_terminal, hex};
use crate::term::progress::Progress;
use crate::term::stdout::TextOutput;
use crate::term::table::Table;
use crate::term::units::{human_size, pluralize, ratio, size_with_unit};

pub fn style_name(style: FrameStyle) -> &'static str {
    match style {
        FrameStyle::Raw => "raw",
        FrameStyle::Lz4 => "lz4",
        _ => "unknown",
    }
}

/// The size in bytes that a region takes in the file, with its share of the frames that it shares with others.
fn stored_size(reader: &Reader<'_>, entry: &Region<'_>) -> u64 {
    let (mut left, mut skipped, mut sum) = (entry.size(), entry.frame_offset(), 0.0);
    let mut number = entry.frame().unwrap_or(usize::MAX);
    while left > 0 {
        let Some(frame) = reader.frame(number) else { break };
        let part = left.min(frame.data.saturating_sub(skipped));
        sum += frame.stored as f64 * part as f64 / frame.data.max(1) as f64;
        left -= part;
        skipped = 0;
        number += 1;
    }
    sum.round() as u64
}

fn total_stored_size(reader: &Reader<'_>) -> u64 {
    frames(reader).map(|frame| frame.stored).sum()
}

fn frames(reader: &Reader<'_>) -> impl Iterator<Item = FrameInfo> {
    (0..reader.frame_count()).filter_map(|number| reader.frame(number))
}

/// The offset of a region in the file. In compressed frames only that of the frame is known.
fn file_offset(frame: &FrameInfo, entry: &Region<'_>) -> u64 {
    frame.offset + if frame.style == FrameStyle::Raw { entry.frame_offset() } else { 0 }
}

fn checksum_text(checksum: Option<u64>) -> Option<String> {
    checksum.map(|checksum| format!("{checksum:016x}"))
}

/// The value of an attribute: UTF-8 as it is, other bytes in hexadecimal.
fn attribute_text(value: &[u8]) -> String {
    std::str::from_utf8(value).map_or_else(|_| format!("0x{}", hex(value)), str::to_owned)
}

pub fn print_info(out: &mut TextOutput, reader: &Reader<'_>) -> io::Result<()> {
    let (data, stored) = (reader.data_size(), total_stored_size(reader));
    out.field("data", size_with_unit(data))?;
    out.field("stored as", format!("{}, ratio {}", size_with_unit(stored), ratio(data, stored)))?;
    let count = |wanted: FrameStyle| frames(reader).filter(|frame| frame.style == wanted).count();
    let (raw, lz4) = (count(FrameStyle::Raw), count(FrameStyle::Lz4));
    out.field("frames", format!("{} ({lz4} lz4, {raw} raw)", reader.frame_count()))?;
    out.field("checksums", if reader.has_checksums() { "yes" } else { "no" })?;
    for (key, value) in reader.attributes() {
        let value = escape_for_terminal(&attribute_text(value));
        out.field("attribute", format!("{} = {value}", escape_for_terminal(key)))?;
    }
    out.field("regions", reader.len())?;
    print_list(out, reader, SUMMARY_LIMIT)?;
    out.omitted(reader.len(), SUMMARY_LIMIT)
}

pub fn print_list(out: &mut TextOutput, reader: &Reader<'_>, limit: usize) -> io::Result<()> {
    const RIGHT: &[bool] = &[true, true, true, true, true, false, true, false, false];
    let mut table = Table::new(RIGHT, &["#", "bytes", "size", "frame", "offset", "style", "ratio", "checksum", "name"]);
    for entry in reader.regions().take(limit) {
        let frame = entry.frame().and_then(|number| Some((number, reader.frame(number)?)));
        let (frame, offset) = frame.map_or_else(
            || ("-".to_owned(), "-".to_owned()),
            |(number, frame)| (number.to_string(), file_offset(&frame, &entry).to_string()),
        );
        let row = [
            entry.index().to_string(),
            entry.size().to_string(),
            human_size(entry.size()),
            frame,
            offset,
            style_name(entry.style()).to_owned(),
            ratio(entry.size(), stored_size(reader, &entry)),
            checksum_text(entry.checksum()).unwrap_or_else(|| "-".to_owned()),
            escape_for_terminal(entry.name()),
        ];
        table.row(out, row.into())?;
    }
    table.finish(out)
}

pub fn print_frames(out: &mut TextOutput, reader: &Reader<'_>) -> io::Result<()> {
    const RIGHT: &[bool] = &[true, false, true, true, true, true, false];
    let mut table = Table::new(RIGHT, &["frame", "style", "offset", "stored", "data", "ratio", "checksum"]);
    for (number, frame) in frames(reader).enumerate() {
        let row = [
            number.to_string(),
            style_name(frame.style).to_owned(),
            frame.offset.to_string(),
            frame.stored.to_string(),
            frame.data.to_string(),
            ratio(frame.data, frame.stored),
            checksum_text(frame.checksum).unwrap_or_else(|| "-".to_owned()),
        ];
        table.row(out, row.into())?;
    }
    table.finish(out)
}

pub fn write_info_json(object: &mut JsonObjectWriter, reader: &Reader<'_>, file: &[u8]) -> Result<(), CliError> {
    let attributes: Map<String, Value> =
        reader.attributes().map(|(key, value)| (key.to_owned(), attribute_text(value).into())).collect();
    object.fields(&json!({
        "has_checksums": reader.has_checksums(),
        "data_size": reader.data_size(),
        "stored_size": total_stored_size(reader),
        "frame_count": reader.frame_count(),
        "attributes": attributes,
    }))?;
    write_list_json(object, reader)?;
    let sections = Container::parse(file)?;
    object.fields(&json!({"version": sections.version()}))?;
    Ok(container::write_list_json(object, &sections)?)
}

pub fn write_list_json(object: &mut JsonObjectWriter, reader: &Reader<'_>) -> io::Result<()> {
    object.list("regions", reader.regions().map(|entry| region_json(reader, &entry)))
}

pub fn write_frames_json(object: &mut JsonObjectWriter, reader: &Reader<'_>) -> io::Result<()> {
    let frame_json = |frame: FrameInfo| {
        json!({
            "style": style_name(frame.style),
            "offset": frame.offset,
            "stored_size": frame.stored,
            "data_size": frame.data,
            "checksum": checksum_text(frame.checksum),
        })
    };
    object.list("frames", frames(reader).map(frame_json))
}

fn region_json(reader: &Reader<'_>, entry: &Region<'_>) -> Value {
    let frame = entry.frame().and_then(|frame| reader.frame(frame));
    json!({
        "name": entry.name(),
        "size": entry.size(),
        "style": style_name(entry.style()),
        "offset": frame.map(|frame| file_offset(&frame, entry)),
        "frame": entry.frame(),
        "frame_offset": entry.frame_offset(),
        "frame_count": entry.frame_count(),
        "stored_size": stored_size(reader, entry),
        "checksum": checksum_text(entry.checksum()),
    })
}

pub fn verify(reader: &Reader<'_>, size: &str) -> Result<Report, CliError> {
    let mut report = Report::new(Format::Checkpoint, &format!("{}, {size}", pluralize(reader.len(), "region")));
    let mut lost = Vec::new();
    let mut progress = Progress::new("verifying", Some(reader.data_size()), 0);
    let result = reader.verify_with(
        &mut |damage| {
            let (number, name) = damage.region.unzip();
            let frame = damage.frame.map_or_else(String::new, |frame| format!(", frame {frame}"));
            let text = match name {
                Some(name) => format!("region {}{frame}: {}", escape_for_terminal(name), damage.error),
                None => damage.error.to_string(),
            };
            lost.extend(number);
            let offset = damage.error.offset();
            let fields = json!({"region": name, "number": number, "frame": damage.frame, "offset": offset});
            report.add_issue(Severity::Damage, text, fields);
        },
        Some(&mut |done| {
            progress.set(done.data);
            ControlFlow::Continue(())
        }),
    )?;
    if !result.has_checksums {
        report.add_issue(Severity::Note, "no checksums: corruption of the data is not detected", json!({}));
    }
    if !result.is_intact() {
        report.status = crate::exit::DAMAGED;
        lost.sort_unstable();
        let readable = reader.regions().filter(|entry| lost.binary_search(&entry.index()).is_err());
        report.readable = Some(readable.map(|entry| entry.name().to_owned()).collect());
    }
    Ok(report)
}

fn region(name: &str) -> Subject {
    Subject::new(format!("region {}", escape_for_terminal(name)), json!({"region": name}))
}

/// Two checkpoints that are compared.
struct Comparison<'r> {
    a: &'r Reader<'r>,
    b: &'r Reader<'r>,
    found: Vec<Difference>,
    progress: Progress,
}

/// Compares attributes, and regions of the same name.
pub fn diff(a: &Reader<'_>, b: &Reader<'_>) -> Result<Vec<Difference>, CliError> {
    let progress = Progress::new("comparing", Some(a.data_size()), 0);
    let mut comparison = Comparison { a, b, found: Vec::new(), progress };
    comparison.attributes();
    comparison.regions()?;
    Ok(comparison.found)
}

impl Comparison<'_> {
    fn attributes(&mut self) {
        let (a, b) = (self.a, self.b);
        let text = |value: &[u8]| escape_for_terminal(&attribute_text(value));
        let only_in_b = b.attributes().filter(|(key, _)| a.attribute(key).is_none());
        for (key, _) in a.attributes().chain(only_in_b) {
            let subject = Subject::new(format!("attribute {}", escape_for_terminal(key)), json!({"attribute": key}));
            self.found.extend(match (a.attribute(key), b.attribute(key)) {
                (Some(a), Some(b)) if a != b => Some(subject.difference(format_args!("{} and {}", text(a), text(b)), json!({}))),
                (Some(_), None) => Some(subject.only_in(Side::First)),
                (None, Some(_)) => Some(subject.only_in(Side::Second)),
                _ => None,
            });
        }
    }

    fn regions(&mut self) -> Result<(), CliError> {
        let (a, b) = (self.a, self.b);
        // Small regions are read in batches: see `read_batch`.
        let (mut batch, mut total) = (Vec::new(), 0);
        for entry in a.regions() {
            let Some(other) = b.find(entry.name()) else {
                self.found.push(region(entry.name()).only_in(Side::First));
                continue;
            };
            let size = entry.size().max(other.size());
            if size > BATCH_SIZE {
                self.large_region(&entry, &other)?;
                continue;
            }
            if total + size > BATCH_SIZE || batch.len() == BATCH_REGIONS {
                self.small_regions(&std::mem::take(&mut batch))?;
                total = 0;
            }
            total += size;
            batch.push((entry.index(), other.index()));
        }
        self.small_regions(&batch)?;
        let only_in_b = b.regions().filter(|entry| a.find(entry.name()).is_none());
        self.found.extend(only_in_b.map(|entry| region(entry.name()).only_in(Side::Second)));
        Ok(())
    }

    fn small_regions(&mut self, pairs: &[(usize, usize)]) -> Result<(), CliError> {
        let (of_a, of_b): (Vec<usize>, Vec<usize>) = pairs.iter().copied().unzip();
        let data = read_batch(self.a, &of_a)?.into_iter().zip(read_batch(self.b, &of_b)?);
        for (number, data) in of_a.iter().zip(data) {
            let subject = region(self.a.region(*number).map_or("", |entry| entry.name()));
            match data {
                (Ok(a), Ok(b)) => self.found.extend(compare_bytes(&subject, &a, &b, &mut self.progress)),
                (Err(error), _) => self.found.push(unreadable(&subject, Side::First, &error)),
                (_, Err(error)) => self.found.push(unreadable(&subject, Side::Second, &error)),
            }
        }
        Ok(())
    }

    fn large_region(&mut self, of_a: &Region<'_>, of_b: &Region<'_>) -> Result<(), CliError> {
        const PART_SIZE: u64 = BATCH_SIZE / 2;
        let subject = region(of_a.name());
        let common = of_a.size().min(of_b.size());
        let [mut a, mut b] = [vec![0; PART_SIZE as usize], vec![0; PART_SIZE as usize]];
        let mut difference = ByteDifference::default();
        let mut offset = 0;
        while offset < common {
            let count = (common - offset).min(PART_SIZE) as usize;
            let sides = [(Side::First, self.a, of_a, &mut a), (Side::Second, self.b, of_b, &mut b)];
            for (side, reader, entry, buffer) in sides {
                if let Err(error) = reader.read_range(entry.index(), offset, &mut buffer[..count]) {
                    self.found.push(unreadable(&subject, side, &error));
                    return Ok(());
                }
            }
            difference.compare(offset, &a[..count], &b[..count], &mut self.progress);
            offset += count as u64;
        }
        self.found.extend(difference.describe(&subject, of_a.size(), of_b.size()));
        Ok(())
    }
}

fn unreadable(subject: &Subject, side: Side, error: &checkpoint::Error) -> Difference {
    let error = error.kind().to_string();
    subject.unreadable(format_args!("in the {} file: {error}", side.name()), &error)
}
