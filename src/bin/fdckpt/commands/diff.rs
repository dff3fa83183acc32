//! diff: where two files differ.

use std::io::Write;

use fdckpt::{Container, fti};
use serde_json::{Value, json};

use crate::cli::Diff;
use crate::detect::{self, Format, Kind};
use crate::json::merge;
use crate::output::{self, Input};
use crate::term::{self, BAD, GOOD, Out, Progress, Trouble, bytes, count};

/// A difference, for people and for machines.
pub struct Difference {
    pub text: String,
    pub json: Value,
}

pub fn diff(diff: &Diff) -> Result<u8, Trouble> {
    let files = [Input::open(&diff.a)?, Input::open(&diff.b)?];
    let [a, b] = [Kind::of(&files[0])?, Kind::of(&files[1])?];
    for (kind, path) in [(&a, &diff.a), (&b, &diff.b)] {
        if matches!(kind, Kind::Damaged(..)) {
            // A comparison with what can't be read is none.
            return Err(Trouble { status: term::TROUBLE, ..detect::refuse(kind, path, "") });
        }
    }
    let mut found = Vec::new();
    let (format, what) = match (&a, &b) {
        (Kind::Checkpoint(a), Kind::Checkpoint(b)) => {
            crate::format::checkpoint::diff(a, b, &mut found)?;
            (Format::Checkpoint.id(), "regions")
        }
        (Kind::Container(a), Kind::Container(b)) => {
            containers(a, b, &mut found);
            (Format::Container.id(), "sections")
        }
        (Kind::Fti(a), Kind::Fti(b)) => {
            variables(a, b, &mut found)?;
            (Format::Fti.id(), "variables")
        }
        _ if a.format() == b.format() => {
            plain(&files[0], &files[1], &mut found);
            (a.format().map_or("unknown", Format::id), "bytes")
        }
        _ => {
            let [a, b] = [&a, &b].map(|kind| kind.format().map_or("of no known format", Format::title));
            let what = format!("{} and {} can't be compared", output::name(&diff.a), output::name(&diff.b));
            return Err(Trouble::new(format!("{what}: the one is {a}, the other {b}")).advice("`cmp` compares them byte by byte"));
        }
    };
    let status = if found.is_empty() { GOOD } else { BAD };
    if diff.json {
        let differences: Vec<Value> = found.into_iter().map(|difference| difference.json).collect();
        return term::print_json(&json!({"format": format, "same": status == GOOD, "differences": differences}), status);
    }
    let mut out = Out::new();
    for difference in &found {
        writeln!(out, "{}", difference.text)?;
    }
    if status == GOOD {
        writeln!(out, "the same {what}")?;
    }
    out.finish(status)
}

/// The first place where two slices differ, as far as both go, and how many bytes differ.
pub fn first_difference(a: &[u8], b: &[u8], progress: &mut Progress) -> Option<(u64, u64)> {
    const PIECE: usize = 1 << 18;
    let mut found = None;
    let mut at = 0;
    for (one, other) in a.chunks(PIECE).zip(b.chunks(PIECE)) {
        progress.add(one.len() as u64);
        if one != other {
            let mut differing = one.iter().zip(other).enumerate().filter(|(_, (one, other))| one != other);
            let place = differing.next().map(|(place, _)| at + place as u64);
            if let Some(place) = place {
                let (first, bytes) = found.unwrap_or((place, 0));
                found = Some((first, bytes + 1 + differing.count() as u64));
            }
        }
        at += one.len() as u64;
    }
    found
}

/// What there is to say of two runs of bytes that should be the same.
pub fn compare(name: &str, keys: &Value, a: &[u8], b: &[u8], progress: &mut Progress) -> Option<Difference> {
    let differing = first_difference(a, b, progress);
    let first = differing.map(|(first, _)| (first, a[first as usize], b[first as usize]));
    told(name, keys, (a.len() as u64, b.len() as u64), first, differing.map_or(0, |(_, bytes)| bytes))
}

/// The same where it is known: the sizes, where they differ first and with which bytes, and how many differ.
pub fn told(name: &str, keys: &Value, sizes: (u64, u64), first: Option<(u64, u8, u8)>, differ: u64) -> Option<Difference> {
    let mut json = keys.clone();
    let mut parts = Vec::new();
    if sizes.0 != sizes.1 {
        parts.push(format!("{} and {}", bytes(sizes.0), bytes(sizes.1)));
        merge(&mut json, json!({"size_a": sizes.0, "size_b": sizes.1}));
    }
    match first {
        Some((first, one, other)) => {
            let all = count(differ as usize, "byte");
            parts.push(format!("first at byte {first} (0x{one:02x}, 0x{other:02x}), {all} in all"));
            merge(&mut json, json!({"first": first, "bytes": differ}));
        }
        None if parts.is_empty() => return None,
        None => parts.push("the same as far as both go".to_owned()),
    }
    Some(Difference { text: format!("{name}: {}", parts.join("; ")), json })
}

fn containers(a: &Container<'_>, b: &Container<'_>, found: &mut Vec<Difference>) {
    if a.version() != b.version() {
        let text = format!("version: {} and {}", a.version(), b.version());
        found.push(Difference { text, json: json!({"version_a": a.version(), "version_b": b.version()}) });
    }
    let total = term::total(a.sections().map(|section| u64::try_from(section.length()).unwrap_or(0)));
    let mut progress = Progress::new("comparing", Some(total), 0);
    for kind in 0..=u8::MAX {
        // The first of a type with the first, the second with the second.
        let [one, other] =
            [a, b].map(|container| container.sections().filter(|section| section.kind() == kind).collect::<Vec<_>>());
        for number in 0..one.len().max(other.len()) {
            let more = if number > 0 { format!(" (number {} of this type)", number + 1) } else { String::new() };
            let name = format!("section type {kind}{more}");
            let keys = json!({"type": kind, "number": number});
            let only = |side: &str| {
                let mut json = keys.clone();
                merge(&mut json, json!({"only_in": side}));
                Difference { text: format!("{name}: only in the {} file", if side == "a" { "first" } else { "second" }), json }
            };
            match (one.get(number), other.get(number)) {
                (Some(one), Some(other)) => match (one.data(), other.data()) {
                    (Ok(one), Ok(other)) => found.extend(compare(&name, &keys, one, other, &mut progress)),
                    (one, other) => {
                        let error = one.and(other).err().map_or_else(String::new, |error| error.to_string());
                        let mut json = keys.clone();
                        merge(&mut json, json!({"error": error}));
                        found.push(Difference { text: format!("{name}: can't be compared: {error}"), json });
                    }
                },
                (Some(_), None) => found.push(only("a")),
                (None, _) => found.push(only("b")),
            }
        }
    }
}

fn variables(a: &fti::Checkpoint<'_>, b: &fti::Checkpoint<'_>, found: &mut Vec<Difference>) -> Result<(), Trouble> {
    fti::diff(a, b, &mut |difference| {
        let (text, json) = match *difference {
            fti::Difference::OnlyInFirst { id } => {
                (format!("variable {id}: only in the first file"), json!({"variable": id, "only_in": "a"}))
            }
            fti::Difference::OnlyInSecond { id } => {
                (format!("variable {id}: only in the second file"), json!({"variable": id, "only_in": "b"}))
            }
            fti::Difference::Size { id, first, second } => (
                format!("variable {id}: {} and {}", bytes(first), bytes(second)),
                json!({"variable": id, "size_a": first, "size_b": second}),
            ),
            fti::Difference::Data { id, offset, bytes: differ } => (
                format!("variable {id}: first at byte {offset}, {} in all", count(differ as usize, "byte")),
                json!({"variable": id, "first": offset, "bytes": differ}),
            ),
            fti::Difference::Unreadable { id } => (
                format!("variable {id}: can't be compared: a file lacks some of its data"),
                json!({"variable": id, "error": "a file lacks some of its data"}),
            ),
            _ => ("an unknown difference".to_owned(), json!({})),
        };
        found.push(Difference { text, json });
    });
    Ok(())
}

fn plain(a: &[u8], b: &[u8], found: &mut Vec<Difference>) {
    let mut progress = Progress::new("comparing", Some(a.len().min(b.len()) as u64), 0);
    found.extend(compare("the files", &json!({}), a, b, &mut progress));
}
