//! Self-describing checkpoints: what is in them, and where two of them differ.

use std::io::Write;

use fdckpt::checkpoint::{Entry, FrameEntry, Reader};
use fdckpt::{Container, FrameStyle};
use serde_json::{Map, Value, json};

use crate::cli::Look;
use crate::diff::{Difference, compare};
use crate::files;
use crate::json::Object;
use crate::kind::Format;
use crate::look::{FEW, fact};
use crate::pack::{is_large, read_batch};
use crate::ui::{GOOD, Out, Painted, Progress, TITLE, Table, Trouble, bytes, printable, short};

pub fn style(style: FrameStyle) -> &'static str {
    match style {
        FrameStyle::Raw => "raw",
        FrameStyle::Lz4 => "lz4",
        _ => "unknown",
    }
}

/// How many bytes a region takes in the file; of frames that it shares, its part.
fn stored(reader: &Reader<'_>, entry: &Entry<'_>) -> u64 {
    let (mut left, mut skip, mut sum) = (entry.size(), entry.frame_offset(), 0.0);
    let mut number = entry.frame().unwrap_or(usize::MAX);
    while left > 0 {
        let Some(frame) = reader.frame(number) else { break };
        let part = left.min(frame.data.saturating_sub(skip));
        sum += frame.stored as f64 * part as f64 / frame.data.max(1) as f64;
        left -= part;
        skip = 0;
        number += 1;
    }
    sum.round() as u64
}

fn all_stored(reader: &Reader<'_>) -> u64 {
    frames(reader).map(|frame| frame.stored).sum()
}

fn frames(reader: &Reader<'_>) -> impl Iterator<Item = FrameEntry> {
    (0..reader.frame_count()).filter_map(|number| reader.frame(number))
}

fn ratio(data: u64, stored: u64) -> String {
    if stored == 0 { "-".to_owned() } else { format!("{:.2}", data as f64 / stored as f64) }
}

/// A value of an attribute, as text if it is some.
fn value_text(value: &[u8]) -> String {
    std::str::from_utf8(value).map_or_else(|_| format!("0x{}", crate::look::hex(value)), str::to_owned)
}

fn printable_value(value: &[u8]) -> String {
    printable(&value_text(value))
}

pub fn info(reader: &Reader<'_>, file: &[u8], look: &Look) -> Result<u8, Trouble> {
    if look.json {
        let attributes: Map<String, Value> =
            reader.attributes().map(|(key, value)| (key.to_owned(), value_text(value).into())).collect();
        let mut object = Object::of_file(&look.file, Format::Checkpoint.id(), file.len())?;
        object.fields(&json!({
            "checksums": reader.has_checksums(),
            "data_size": reader.data_size(),
            "stored": all_stored(reader),
            "frames": reader.frame_count(),
            "attributes": attributes,
        }))?;
        object.list("regions", reader.entries().map(|entry| entry_json(reader, &entry)))?;
        let container = Container::parse(file)?;
        object.fields(&json!({"version": container.version()}))?;
        crate::json::sections(&mut object, &container)?;
        return object.finish();
    }
    let mut out = Out::new();
    writeln!(out, "{}: self-describing checkpoint", Painted(TITLE, files::name(&look.file)))?;
    fact(&mut out, "size", bytes(file.len() as u64))?;
    let (data, stored) = (reader.data_size(), all_stored(reader));
    fact(&mut out, "data", bytes(data))?;
    fact(&mut out, "stored as", format!("{}, ratio {}", bytes(stored), ratio(data, stored)))?;
    let count = |wanted: FrameStyle| frames(reader).filter(|frame| frame.style == wanted).count();
    let (raw, lz4) = (count(FrameStyle::Raw), count(FrameStyle::Lz4));
    fact(&mut out, "frames", format!("{} ({lz4} lz4, {raw} raw)", reader.frame_count()))?;
    fact(&mut out, "checksums", if reader.has_checksums() { "yes" } else { "no" })?;
    for (key, value) in reader.attributes() {
        fact(&mut out, "attribute", format!("{} = {}", printable(key), printable_value(value)))?;
    }
    fact(&mut out, "regions", reader.len())?;
    print_entries(&mut out, reader, FEW)?;
    if reader.len() > FEW {
        writeln!(out, "  and {} more: `fdckpt list` has all", reader.len() - FEW)?;
    }
    out.finish(GOOD)
}

pub fn list(reader: &Reader<'_>, file: &[u8], look: &Look, with_frames: bool) -> Result<u8, Trouble> {
    if look.json {
        let mut object = Object::of_file(&look.file, Format::Checkpoint.id(), file.len())?;
        if with_frames {
            object.list("frames", frames(reader).map(frame_json))?;
        } else {
            object.list("regions", reader.entries().map(|entry| entry_json(reader, &entry)))?;
        }
        return object.finish();
    }
    let mut out = Out::new();
    match with_frames {
        false => print_entries(&mut out, reader, usize::MAX)?,
        true => {
            const RIGHT: &[bool] = &[true, false, true, true, true, true, false];
            let mut table = Table::new(RIGHT, &["frame", "style", "offset", "stored", "data", "ratio", "checksum"]);
            for (number, frame) in frames(reader).enumerate() {
                let numbers = [frame.offset, frame.stored, frame.data].map(|number| number.to_string());
                let mut row = vec![number.to_string(), style(frame.style).to_owned()];
                row.extend(numbers);
                row.push(ratio(frame.data, frame.stored));
                row.push(frame.checksum.map_or_else(|| "-".to_owned(), |sum| format!("{sum:016x}")));
                table.row(&mut out, row)?;
            }
            table.finish(&mut out)?;
        }
    }
    out.finish(GOOD)
}

fn frame_json(frame: FrameEntry) -> Value {
    json!({
        "style": style(frame.style),
        "offset": frame.offset,
        "stored": frame.stored,
        "data": frame.data,
        "checksum": frame.checksum.map(|sum| format!("{sum:016x}")),
    })
}

fn print_entries(out: &mut Out, reader: &Reader<'_>, most: usize) -> Result<(), Trouble> {
    const RIGHT: &[bool] = &[true, true, true, true, true, false, true, false, false];
    let mut table = Table::new(RIGHT, &["#", "bytes", "size", "frame", "offset", "style", "ratio", "checksum", "name"]);
    for entry in reader.entries().take(most) {
        let place = entry.frame().and_then(|frame| Some((frame, reader.frame(frame)?)));
        let (frame, offset) = place.map_or_else(
            || ("-".to_owned(), "-".to_owned()),
            |(number, frame)| (number.to_string(), offset(&frame, &entry).to_string()),
        );
        table.row(
            out,
            vec![
                entry.number().to_string(),
                entry.size().to_string(),
                short(entry.size()),
                frame,
                offset,
                style(entry.style()).to_owned(),
                ratio(entry.size(), stored(reader, &entry)),
                entry.checksum().map_or_else(|| "-".to_owned(), |sum| format!("{sum:016x}")),
                printable(entry.name()),
            ],
        )?;
    }
    Ok(table.finish(out)?)
}

/// Where in the file a region begins: of RAW frames exactly, of others it is where the frame does.
fn offset(frame: &FrameEntry, entry: &Entry<'_>) -> u64 {
    frame.offset + if frame.style == FrameStyle::Raw { entry.frame_offset() } else { 0 }
}

fn entry_json(reader: &Reader<'_>, entry: &Entry<'_>) -> Value {
    let frame = entry.frame().and_then(|frame| reader.frame(frame));
    json!({
        "name": entry.name(),
        "size": entry.size(),
        "style": style(entry.style()),
        "offset": frame.map(|frame| offset(&frame, entry)),
        "frame": entry.frame(),
        "frame_offset": entry.frame_offset(),
        "frames": entry.frame_count(),
        "stored": stored(reader, entry),
        "checksum": entry.checksum().map(|sum| format!("{sum:016x}")),
    })
}

/// Regions of one name are compared; so much of them at a time.
pub fn diff(a: &Reader<'_>, b: &Reader<'_>, found: &mut Vec<Difference>) -> Result<(), Trouble> {
    for (key, value) in a.attributes() {
        if b.attribute(key) != Some(value) {
            let other = b.attribute(key).map_or_else(|| "nothing".to_owned(), printable_value);
            let text = format!("attribute {}: {} and {other}", printable(key), printable_value(value));
            found.push(Difference { text, json: json!({"attribute": key}) });
        }
    }
    for (key, value) in b.attributes().filter(|(key, _)| a.attribute(key).is_none()) {
        let text = format!("attribute {}: nothing and {}", printable(key), printable_value(value));
        found.push(Difference { text, json: json!({"attribute": key}) });
    }
    let mut progress = Progress::new("comparing", Some(a.data_size()), 0);
    let (mut pairs, mut total) = (Vec::new(), 0);
    for entry in a.entries() {
        let name = entry.name();
        let Some(other) = b.find(name) else {
            let text = format!("region {}: only in the first file", printable(name));
            found.push(Difference { text, json: json!({"region": name, "only_in": "a"}) });
            continue;
        };
        if is_large(entry.size()) || is_large(other.size()) {
            large(a, b, &entry, &other, found, &mut progress)?;
            continue;
        }
        if is_large(total + entry.size().max(other.size())) || pairs.len() == 4096 {
            small(a, b, &std::mem::take(&mut pairs), found, &mut progress)?;
            total = 0;
        }
        total += entry.size().max(other.size());
        pairs.push((entry.number(), other.number()));
    }
    small(a, b, &pairs, found, &mut progress)?;
    for entry in b.entries().filter(|entry| a.find(entry.name()).is_none()) {
        let text = format!("region {}: only in the second file", printable(entry.name()));
        found.push(Difference { text, json: json!({"region": entry.name(), "only_in": "b"}) });
    }
    Ok(())
}

fn small(
    a: &Reader<'_>,
    b: &Reader<'_>,
    pairs: &[(usize, usize)],
    found: &mut Vec<Difference>,
    progress: &mut Progress,
) -> Result<(), Trouble> {
    let (ones, others): (Vec<usize>, Vec<usize>) = pairs.iter().copied().unzip();
    for ((number, one), other) in ones.iter().zip(read_batch(a, &ones)?).zip(read_batch(b, &others)?) {
        let name = a.entry(*number).map_or("", |entry| entry.name());
        match (one, other) {
            (Ok(one), Ok(other)) => {
                found.extend(compare(&format!("region {}", printable(name)), &json!({"region": name}), &one, &other, progress));
            }
            (Err(failure), _) => found.push(unreadable(name, "first", &failure)),
            (_, Err(failure)) => found.push(unreadable(name, "second", &failure)),
        }
    }
    Ok(())
}

fn unreadable(name: &str, which: &str, failure: &fdckpt::checkpoint::Error) -> Difference {
    let error = failure.kind().to_string();
    let text = format!("region {}: can't be compared: in the {which} file, {error}", printable(name));
    Difference { text, json: json!({"region": name, "error": error}) }
}

fn large(
    a: &Reader<'_>,
    b: &Reader<'_>,
    one: &Entry<'_>,
    other: &Entry<'_>,
    found: &mut Vec<Difference>,
    progress: &mut Progress,
) -> Result<(), Trouble> {
    const PIECE: u64 = 8 << 20;
    let name = one.name();
    let common = one.size().min(other.size());
    let [mut left, mut right] = [vec![0; PIECE as usize], vec![0; PIECE as usize]];
    let (mut at, mut first, mut differ) = (0, None, 0);
    while at < common {
        let count = (common - at).min(PIECE) as usize;
        for (which, reader, number, memory) in [("first", a, one.number(), &mut left), ("second", b, other.number(), &mut right)]
        {
            if let Err(failure) = reader.read_at(number, at, &mut memory[..count]) {
                found.push(unreadable(name, which, &failure));
                return Ok(());
            }
        }
        if let Some((place, bytes)) = crate::diff::first_difference(&left[..count], &right[..count], progress) {
            first.get_or_insert((at + place, left[place as usize], right[place as usize]));
            differ += bytes;
        }
        at += count as u64;
    }
    found.extend(crate::diff::told(
        &format!("region {}", printable(name)),
        &json!({"region": name}),
        (one.size(), other.size()),
        first,
        differ,
    ));
    Ok(())
}
