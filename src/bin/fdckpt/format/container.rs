//! CKPT containers.

use std::io;

use fdckpt::container::{IssueKind, Section};
use fdckpt::{BlockIndex, Container};
use serde_json::{Value, json};

use super::difference::{Difference, Side, Subject, compare_bytes};
use super::report::{Report, Severity};
use super::{SUMMARY_LIMIT, block_index, inflate_state};
use crate::detect::{Format, starts_with_block_record};
use crate::error::CliError;
use crate::json::{JsonObjectWriter, merge};
use crate::term::progress::Progress;
use crate::term::stdout::TextOutput;
use crate::term::table::Table;
use crate::term::units::{human_size, pluralize, sum_sizes};

/// The type of the section that holds a block index.
pub const BLOCK_INDEX_SECTION: u8 = 1;

pub fn print_info(out: &mut TextOutput, container: &Container<'_>) -> Result<(), CliError> {
    let issues = container.verify()?.len();
    let canonical = match issues {
        0 => "yes".to_owned(),
        _ => format!("no: {} (run `fdckpt verify` for details)", pluralize(issues, "issue")),
    };
    out.field("canonical", canonical)?;
    out.field("sections", container.len())?;
    print_list(out, container, SUMMARY_LIMIT)?;
    Ok(out.omitted(container.len(), SUMMARY_LIMIT)?)
}

pub fn print_list(out: &mut TextOutput, container: &Container<'_>, limit: usize) -> io::Result<()> {
    let mut table = Table::new(&[true, true, true, true, true, false], &["#", "type", "offset", "bytes", "size", ""]);
    let mut seen = [false; 256];
    for (position, section) in container.sections().enumerate().take(limit) {
        let is_first = !std::mem::replace(&mut seen[usize::from(section.kind())], true);
        let length = section.length();
        let size = u64::try_from(length).map_or_else(|_| "-".to_owned(), human_size);
        let numbers = [position.to_string(), section.kind().to_string(), section.offset().to_string(), length.to_string()];
        table.row(out, numbers.into_iter().chain([size, describe_section(&section, is_first)]).collect())?;
    }
    table.finish(out)
}

/// Describes a section by its type and data. Only the first section of a type is looked up by type.
fn describe_section(section: &Section<'_>, is_first: bool) -> String {
    match section.data() {
        Err(error) => error.to_string(),
        Ok(data) if section.kind() == BLOCK_INDEX_SECTION && is_first => match BlockIndex::decode(data) {
            Ok(index) => block_index::describe(&index),
            Err(_) => "not a block index, unlike its type says".to_owned(),
        },
        Ok(data) if is_first => inflate_state::describe(section.kind(), data).unwrap_or_default(),
        Ok(_) => String::new(),
    }
}

pub fn write_info_json(object: &mut JsonObjectWriter, container: &Container<'_>) -> Result<(), CliError> {
    let is_canonical = container.verify()?.is_empty();
    object.fields(&json!({"version": container.version(), "canonical": is_canonical}))?;
    write_list_json(object, container)?;
    if let Some(index) = container.get(BLOCK_INDEX_SECTION).ok().and_then(|data| BlockIndex::decode(data).ok()) {
        object.fields(&json!({"block_index": block_index::to_json(&index)}))?;
    }
    Ok(())
}

pub fn write_list_json(object: &mut JsonObjectWriter, container: &Container<'_>) -> io::Result<()> {
    object.list("sections", container.sections().map(|section| section_json(&section)))
}

fn section_json(section: &Section<'_>) -> Value {
    let mut value = json!({"type": section.kind(), "offset": section.offset(), "length": section.length()});
    if let Err(error) = section.data() {
        merge(&mut value, json!({"error": error.to_string()}));
    }
    value
}

pub fn verify(container: &Container<'_>, size: &str) -> Result<Report, CliError> {
    let mut report = Report::new(Format::Container, &format!("{}, {size}", pluralize(container.len(), "section")));
    for issue in container.verify()? {
        let severity = match issue.kind {
            IssueKind::OutOfRange { .. } => Severity::Damage,
            _ => Severity::Note,
        };
        report.add_issue(severity, issue.to_string(), json!({"offset": issue.offset, "section": issue.section}));
    }
    verify_block_index(container, &mut report);
    if report.issues.iter().any(|issue| issue.severity == Severity::Damage) {
        let readable = container.sections().enumerate().filter(|(_, section)| section.data().is_ok());
        report.readable = Some(readable.map(|(position, section)| format!("#{position} (type {})", section.kind())).collect());
    }
    Ok(report)
}

fn verify_block_index(container: &Container<'_>, report: &mut Report) {
    let first = container.sections().enumerate().find(|(_, section)| section.kind() == BLOCK_INDEX_SECTION);
    let Some((position, section)) = first else { return };
    let Ok(data) = section.data() else { return };
    match BlockIndex::decode(data) {
        Ok(index) => {
            if let Some(stop) = &index.stop {
                let text = format!("section {position}: {}", block_index::describe(&index));
                let offset = section.offset() as u64 + stop.offset;
                report.add_issue(Severity::Damage, text, json!({"section": position, "offset": offset}));
            }
        }
        // The type alone does not make the data a block index.
        Err(error) if starts_with_block_record(data) => {
            report.add_issue(Severity::Damage, format!("section {position}: {error}"), json!({"section": position}));
        }
        Err(_) => {}
    }
}

/// Compares the sections of each type in their order.
pub fn diff(a: &Container<'_>, b: &Container<'_>) -> Vec<Difference> {
    let mut found = Vec::new();
    if a.version() != b.version() {
        let fields = json!({"version_a": a.version(), "version_b": b.version()});
        found.push(Subject::new("version", json!({})).difference(format_args!("{} and {}", a.version(), b.version()), fields));
    }
    let total = sum_sizes(a.sections().map(|section| u64::try_from(section.length()).unwrap_or(0)));
    let mut progress = Progress::new("comparing", Some(total), 0);
    for kind in 0..=u8::MAX {
        let [of_a, of_b] =
            [a, b].map(|container| container.sections().filter(|section| section.kind() == kind).collect::<Vec<_>>());
        for number in 0..of_a.len().max(of_b.len()) {
            let ordinal = if number > 0 { format!(" (number {} of this type)", number + 1) } else { String::new() };
            let subject = Subject::new(format!("section type {kind}{ordinal}"), json!({"type": kind, "number": number}));
            match (of_a.get(number), of_b.get(number)) {
                (Some(a), Some(b)) => match (a.data(), b.data()) {
                    (Ok(a), Ok(b)) => found.extend(compare_bytes(&subject, a, b, &mut progress)),
                    (a, b) => {
                        let error = a.and(b).err().map_or_else(String::new, |error| error.to_string());
                        found.push(subject.unreadable(&error, &error));
                    }
                },
                (Some(_), None) => found.push(subject.only_in(Side::First)),
                (None, _) => found.push(subject.only_in(Side::Second)),
            }
        }
    }
    found
}
