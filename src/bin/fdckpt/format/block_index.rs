//! Block indexes.

use std::io;

use fdckpt::BlockIndex;
use fdckpt::container::{Block, BlockFooter};
use serde_json::{Value, json};

use super::SUMMARY_LIMIT;
use super::report::{Report, Severity};
use crate::detect::Format;
use crate::json::JsonObjectWriter;
use crate::term::stdout::TextOutput;
use crate::term::style::{Styled, WARNING};
use crate::term::table::Table;
use crate::term::units::{human_size, pluralize, size_with_unit};

pub fn print_info(out: &mut TextOutput, index: &BlockIndex) -> io::Result<()> {
    let footer = &index.footer;
    out.field("version", footer.version)?;
    out.field("blocks", index.blocks.len())?;
    out.field("data", size_with_unit(footer.total_size))?;
    out.field("last confirmed", footer.last_add_confirmed)?;
    if footer.flags & 1 != 0 {
        out.field("compacted", "yes")?;
    }
    if let Some(stop) = &index.stop {
        out.field("damaged", Styled(WARNING, format_args!("at offset {}: {}", stop.offset, stop.reason)))?;
    }
    print_list(out, index, SUMMARY_LIMIT)?;
    out.omitted(index.blocks.len(), SUMMARY_LIMIT)
}

pub fn print_list(out: &mut TextOutput, index: &BlockIndex, limit: usize) -> io::Result<()> {
    let titles = ["block", "offset", "bytes", "size", "first entry", "last entry"];
    let mut table = Table::new(&[true, true, true, true, true, true], &titles);
    for block in index.blocks.iter().take(limit) {
        let numbers = [block.number.to_string(), block.start_offset.to_string(), block.size.to_string()];
        let entries = [block.first_entry_id.to_string(), block.last_entry_id.to_string()];
        table.row(out, numbers.into_iter().chain([human_size(block.size.into())]).chain(entries).collect())?;
    }
    table.finish(out)
}

pub fn write_json(object: &mut JsonObjectWriter, index: &BlockIndex) -> io::Result<()> {
    object.list("blocks", index.blocks.iter().map(block_json))?;
    object.fields(&json!({"footer": footer_json(&index.footer)}))?;
    match &index.stop {
        Some(stop) => object.fields(&json!({"stop": {"offset": stop.offset, "reason": stop.reason}})),
        None => Ok(()),
    }
}

/// The index as a field of the container that it is a section of.
pub fn to_json(index: &BlockIndex) -> Value {
    let blocks: Vec<Value> = index.blocks.iter().map(block_json).collect();
    json!({"blocks": blocks, "footer": footer_json(&index.footer)})
}

fn block_json(block: &Block) -> Value {
    json!({
        "block_number": block.number,
        "start_offset": block.start_offset,
        "block_size": block.size,
        "first_entry_id": block.first_entry_id,
        "last_entry_id": block.last_entry_id,
    })
}

fn footer_json(footer: &BlockFooter) -> Value {
    json!({
        "total_blocks": footer.total_blocks,
        "total_records": footer.total_records,
        "total_size": footer.total_size,
        "index_offset": footer.index_offset,
        "index_length": footer.index_length,
        "version": footer.version,
        "flags": footer.flags,
        "last_add_confirmed": (footer.version != 5).then_some(footer.last_add_confirmed),
    })
}

/// One line about an index inside a container.
pub fn describe(index: &BlockIndex) -> String {
    match &index.stop {
        None => format!("block index of {}", pluralize(index.blocks.len(), "block")),
        Some(stop) => {
            format!(
                "block index, {} readable; at offset {}: {}",
                pluralize(index.blocks.len(), "block"),
                stop.offset,
                stop.reason
            )
        }
    }
}

pub fn verify(index: &BlockIndex, size: &str) -> Report {
    let mut report = Report::new(Format::BlockIndex, &format!("{}, {size}", pluralize(index.blocks.len(), "block")));
    if let Some(stop) = &index.stop {
        report.add_issue(Severity::Damage, format!("at offset {}: {}", stop.offset, stop.reason), json!({"offset": stop.offset}));
        report.readable = Some(index.blocks.iter().map(|block| format!("block {}", block.number)).collect());
    }
    report
}
