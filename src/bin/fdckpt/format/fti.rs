//! FTI-FF checkpoints.

use std::collections::HashMap;
use std::io::{self, Write};
use std::path::Path;
use std::sync::Mutex;
use std::time::{Duration, UNIX_EPOCH};

use fdckpt::fti::{self, FormatVersion};
use serde_json::{Value, json};

use super::SUMMARY_LIMIT;
use super::difference::{Difference, Side, Subject};
use super::report::{Report, Severity};
use crate::detect::Format;
use crate::error::CliError;
use crate::json::{JsonObjectWriter, merge};
use crate::path::display_name;
use crate::term::escape::{ascii, hex};
use crate::term::progress::Progress;
use crate::term::stdout::TextOutput;
use crate::term::style::{Styled, WARNING};
use crate::term::table::Table;
use crate::term::units::{human_size, pluralize, size_with_unit, sum_sizes};

/// The FTI releases that write a version of the format.
pub fn releases(version: FormatVersion) -> &'static str {
    match version {
        FormatVersion::V1_1 => "FTI 1.1",
        FormatVersion::V1_2 => "FTI 1.2",
        FormatVersion::V1_3 => "FTI 1.3",
        FormatVersion::V1_4_0 => "FTI 1.4.0",
        FormatVersion::V1_4_1 => "FTI 1.4.1 to 1.6",
        FormatVersion::Post1_6 => "FTI after 1.6",
    }
}

/// Whether the header has only the lowest 32 bits of the timestamp.
pub fn has_short_timestamp(version: FormatVersion) -> bool {
    matches!(version, FormatVersion::V1_4_1 | FormatVersion::Post1_6)
}

/// Whether any metadata is damaged.
pub fn is_damaged(checkpoint: &fti::Checkpoint<'_>) -> bool {
    damage_count(checkpoint) > 0
}

fn damage_count(checkpoint: &fti::Checkpoint<'_>) -> usize {
    checkpoint.issues().iter().filter(|issue| issue.severity == fti::Severity::Corrupt).count()
}

pub fn print_info(out: &mut TextOutput, checkpoint: &fti::Checkpoint<'_>) -> io::Result<()> {
    let header = checkpoint.header();
    if let Some(id) = header.ckpt_id {
        out.field("checkpoint id", id)?;
    }
    let level = match (header.pt_fs, header.max_fs) {
        (-1, -1) => "1 or 4",
        (_, -1) => "2",
        _ => "3",
    };
    out.field("level", level)?;
    out.field("timestamp", timestamp_text(checkpoint.version(), header.timestamp))?;
    out.field("checksum", ascii(&header.checksum))?;
    out.field("blocks", checkpoint.blocks().len())?;
    out.field("containers", checkpoint.containers().len())?;
    let variables = checkpoint.variables();
    let total = sum_sizes(variables.iter().map(|variable| variable.size));
    out.field("variables", format!("{}, {}", variables.len(), size_with_unit(total)))?;
    let mut table = Table::new(&[true, true, true, true], &["id", "bytes", "size", "containers"]);
    for variable in variables.iter().take(SUMMARY_LIMIT) {
        let [id, bytes, containers] = [variable.id.to_string(), variable.size.to_string(), variable.containers.to_string()];
        table.row(out, vec![id, bytes, human_size(variable.size), containers])?;
    }
    table.finish(out)?;
    out.omitted(variables.len(), SUMMARY_LIMIT)?;
    if is_damaged(checkpoint) {
        let issues = pluralize(damage_count(checkpoint), "issue");
        let text = format!("damaged metadata: {issues} (run `fdckpt verify` for details)");
        writeln!(out, "  {}", Styled(WARNING, text))?;
    }
    Ok(())
}

fn timestamp_text(version: FormatVersion, nanoseconds: i64) -> String {
    if has_short_timestamp(version) {
        return format!("{nanoseconds} (lowest 32 bits of nanoseconds since 1970)");
    }
    let time = u64::try_from(nanoseconds).map(|since| UNIX_EPOCH + Duration::from_nanos(since));
    let date = time.map_or_else(|_| "before 1970".to_owned(), |time| humantime::format_rfc3339_seconds(time).to_string());
    format!("{nanoseconds} (nanoseconds since 1970: {date})")
}

pub fn print_list(out: &mut TextOutput, checkpoint: &fti::Checkpoint<'_>) -> io::Result<()> {
    const RIGHT: &[bool] = &[true, true, true, true, true, true, true, false, false];
    let titles = ["id", "container", "dptr", "fptr", "chunksize", "containersize", "full", "size", "hash"];
    let mut table = Table::new(RIGHT, &titles);
    for container in checkpoint.containers() {
        let filled = match (container.has_content, container.container_size) {
            (0, _) => "empty".to_owned(),
            (_, 0) => "-".to_owned(),
            (_, size) => format!("{:.0} %", 100.0 * container.chunk_size as f64 / size as f64),
        };
        let numbers = [i64::from(container.id), i64::from(container.container_id), container.dptr, container.fptr];
        let sizes = [container.chunk_size, container.container_size];
        let mut row: Vec<String> = numbers.into_iter().chain(sizes).map(|number| number.to_string()).collect();
        row.push(filled);
        row.push(u64::try_from(container.chunk_size).map_or_else(|_| "-".to_owned(), human_size));
        row.push(hex(&container.hash));
        table.row(out, row)?;
    }
    table.finish(out)
}

pub fn write_info_json(object: &mut JsonObjectWriter, checkpoint: &fti::Checkpoint<'_>) -> io::Result<()> {
    let header = header_json(checkpoint.header());
    object.fields(&json!({"fti_version": checkpoint.version().to_string(), "header": header}))?;
    let block_json = |block: &fti::Block| json!({"offset": block.offset, "numvars": block.num_vars, "dbsize": block.db_size});
    object.list("blocks", checkpoint.blocks().iter().map(block_json))?;
    write_list_json(object, checkpoint)?;
    object.list("issues", checkpoint.issues().iter().map(issue_json))
}

pub fn write_list_json(object: &mut JsonObjectWriter, checkpoint: &fti::Checkpoint<'_>) -> io::Result<()> {
    // Grouped once: a search per variable would be quadratic.
    let mut containers = HashMap::<i32, Vec<&fti::Container>>::new();
    for container in checkpoint.containers() {
        containers.entry(container.id).or_default().push(container);
    }
    let variable_json = |variable: &fti::Variable| {
        let own = containers.get(&variable.id).into_iter().flatten();
        let own: Vec<Value> = own.map(|container| container_json(container)).collect();
        json!({"id": variable.id, "size": variable.size, "containers": own})
    };
    object.list("variables", checkpoint.variables().iter().map(variable_json))
}

/// The fields of the header that this version of the format has.
fn header_json(header: &fti::Header) -> Value {
    let mut fields = json!({"offset": header.offset, "checksum": ascii(&header.checksum), "myHash": hex(&header.my_hash)});
    for (name, number) in [
        ("ckptId", header.ckpt_id.map(i64::from)),
        ("ckptSize", Some(header.ckpt_size)),
        ("metaSize", header.meta_size),
        ("dataSize", header.data_size),
        ("fs", Some(header.fs)),
        ("maxFs", Some(header.max_fs)),
        ("ptFs", Some(header.pt_fs)),
        ("timestamp", Some(header.timestamp)),
    ] {
        if let Some(number) = number {
            merge(&mut fields, json!({name: number}));
        }
    }
    fields
}

/// The fields of a container that this version of the format has.
fn container_json(container: &fti::Container) -> Value {
    let mut value = json!({"id": container.id});
    if let Some(idx) = container.idx {
        merge(&mut value, json!({"idx": idx}));
    }
    merge(&mut value, json!({"containerid": container.container_id, "hascontent": container.has_content != 0}));
    if let Some(has_ckpt) = container.has_ckpt {
        merge(&mut value, json!({"hasCkpt": has_ckpt != 0}));
    }
    let rest = json!({
        "dptr": container.dptr,
        "fptr": container.fptr,
        "chunksize": container.chunk_size,
        "containersize": container.container_size,
        "hash": hex(&container.hash),
    });
    merge(&mut value, rest);
    value
}

fn issue_json(issue: &fti::Issue) -> Value {
    json!({
        "field": issue.field.to_string(),
        "variable": issue.variable,
        "container": issue.container,
        "offset": issue.offset,
        "expected": value_json(issue.expected),
        "found": value_json(issue.found),
    })
}

fn value_json(value: fti::Value) -> Value {
    match value {
        fti::Value::Number(number) => json!(number),
        fti::Value::Unknown => Value::Null,
        other => json!(other.to_string()),
    }
}

pub fn verify(checkpoint: &fti::Checkpoint<'_>, path: &Path, threads: usize, size: &str) -> Result<Report, CliError> {
    let (version, variables) = (checkpoint.version(), checkpoint.variables());
    let details = format!("{}, {}, {size}", releases(version), pluralize(variables.len(), "variable"));
    let mut report = Report::new(Format::Fti, &details);
    let data = sum_sizes(variables.iter().map(|variable| variable.size));
    // These versions have a checksum of the whole file besides the hashes of the containers.
    let passes = if matches!(version, FormatVersion::V1_1 | FormatVersion::V1_2) { 2 } else { 1 };
    let progress = Mutex::new(Progress::new("verifying", Some(data.saturating_mul(passes)), 0));
    let mut on_issue = |issue: &fti::Issue| {
        let severity = match issue.severity {
            fti::Severity::Corrupt => Severity::Damage,
            fti::Severity::Rejected => Severity::Rejected,
            fti::Severity::Note => Severity::Note,
        };
        report.add_issue(severity, issue.to_string(), issue_json(issue));
    };
    let result = checkpoint.verify_with_progress(threads, &mut on_issue, &|bytes| {
        if let Ok(mut progress) = progress.lock() {
            progress.add(bytes);
        }
    })?;
    drop(progress);
    if !result.is_intact() {
        report.readable = Some(readable_variables(checkpoint));
    }
    report_pending_update(&mut report, path);
    Ok(report)
}

fn readable_variables(checkpoint: &fti::Checkpoint<'_>) -> Vec<String> {
    let variables = checkpoint.variables();
    let mut progress = Progress::new("reading", Some(sum_sizes(variables.iter().map(|variable| variable.size))), 0);
    let mut is_readable = |id| {
        let count = &mut |data: &[u8]| {
            progress.add(data.len() as u64);
            Ok(())
        };
        checkpoint.copy_variable(id, count).is_ok()
    };
    variables.iter().filter(|variable| is_readable(variable.id)).map(|variable| format!("variable {}", variable.id)).collect()
}

/// Notes an update that has not been completed: what looks like damage may be one.
pub fn report_pending_update(report: &mut Report, path: &Path) {
    let Ok(Some(update)) = fti::pending_update(path) else { return };
    let (id, journal) = (update.ckpt_id, format!("{}.journal", display_name(path)));
    let text = if update.is_prepared {
        format!("update to checkpoint {id} prepared in {journal}; the program that prepared it must commit or roll it back")
    } else {
        format!("update to checkpoint {id} interrupted; the program completes it from {journal} when it opens the file")
    };
    report.add_issue(Severity::Note, text, json!({}));
}

pub fn diff(a: &fti::Checkpoint<'_>, b: &fti::Checkpoint<'_>) -> Vec<Difference> {
    let mut found = Vec::new();
    let variable = |id: i32| Subject::new(format!("variable {id}"), json!({"variable": id}));
    fti::diff(a, b, &mut |difference| {
        found.push(match *difference {
            fti::Difference::OnlyInFirst { id } => variable(id).only_in(Side::First),
            fti::Difference::OnlyInSecond { id } => variable(id).only_in(Side::Second),
            fti::Difference::Size { id, first, second } => {
                let text = format!("{} and {}", size_with_unit(first), size_with_unit(second));
                variable(id).difference(text, json!({"size_a": first, "size_b": second}))
            }
            fti::Difference::Data { id, offset, bytes } => {
                let text = format!("first differing byte at offset {offset}, {} in total", pluralize(bytes as usize, "byte"));
                variable(id).difference(text, json!({"first_offset": offset, "differing_bytes": bytes}))
            }
            fti::Difference::Unreadable { id } => {
                let error = "data missing in one of the files";
                variable(id).unreadable(error, error)
            }
            _ => Subject::new("file", json!({})).difference("unknown difference", json!({})),
        });
    });
    found
}
