//! Checkpoints of a decompression.

use std::io;

use fdckpt::inflate::{BlockKind, CheckpointEncoding, CheckpointInfo, Format as Stream};
use serde_json::json;

use super::report::Report;
use crate::detect::Format;
use crate::json::JsonObjectWriter;
use crate::term::stdout::TextOutput;
use crate::term::units::size_with_unit;

pub fn stream_name(format: Stream) -> &'static str {
    match format {
        Stream::Deflate => "deflate",
        Stream::Deflate64 => "deflate64",
        Stream::Zlib => "zlib",
        Stream::Gzip => "gzip",
        _ => "unknown",
    }
}

/// The name of a layout, as `fdckpt convert --to` takes it.
pub fn layout_name(layout: CheckpointEncoding) -> &'static str {
    match layout {
        CheckpointEncoding::Full => "inflate-full",
        CheckpointEncoding::Compact => "inflate-compact",
        CheckpointEncoding::Deflate64V0 => "deflate64-blob",
        CheckpointEncoding::Deflate64V0x1001 => "deflate64-blob-0x1001",
        _ => "unknown",
    }
}

fn block_name(kind: BlockKind) -> &'static str {
    match kind {
        BlockKind::Stored => "stored",
        BlockKind::Fixed => "fixed",
        BlockKind::Dynamic => "dynamic",
    }
}

pub fn print_info(out: &mut TextOutput, checkpoint: &CheckpointInfo) -> io::Result<()> {
    out.field("layout", layout_name(checkpoint.encoding))?;
    let format = match checkpoint.format {
        Some(format) => stream_name(format),
        None if checkpoint.fits_deflate => "deflate or deflate64 (not recorded in this layout)",
        None => "deflate64 (not recorded in this layout, but not valid deflate)",
    };
    out.field("stream", format)?;
    out.field("input", format!("resumes at offset {}", checkpoint.position.in_offset))?;
    out.field("output", format!("resumes at offset {}", checkpoint.position.out_offset))?;
    let position = match checkpoint.block {
        None => "in a header or trailer, or after the end".to_owned(),
        Some(kind) => {
            let last = if checkpoint.is_last_block { ", the last one" } else { "" };
            let block = match (kind, checkpoint.stored_remaining) {
                (BlockKind::Stored, 0) => format!("between blocks{last}"),
                (BlockKind::Stored, left) => format!("stored block{last}, {} left", size_with_unit(left.into())),
                (kind, _) => format!("{} block{last}", block_name(kind)),
            };
            format!("bit {} of the raw data, {block}", checkpoint.bit_offset)
        }
    };
    out.field("position", position)?;
    out.field("window", size_with_unit(checkpoint.window_size))?;
    out.field("pending", format!("{} of output not returned yet", size_with_unit(checkpoint.unread_size)))
}

pub fn write_json(object: &mut JsonObjectWriter, checkpoint: &CheckpointInfo) -> io::Result<()> {
    object.fields(&json!({
        "layout": layout_name(checkpoint.encoding),
        "stream": checkpoint.format.map(stream_name),
        "fits_deflate": checkpoint.fits_deflate,
        "input_offset": checkpoint.position.in_offset,
        "output_offset": checkpoint.position.out_offset,
        "bit": checkpoint.bit_offset,
        "block": checkpoint.block.map(block_name),
        "last_block": checkpoint.is_last_block,
        "stored_left": checkpoint.stored_remaining,
        "pending": checkpoint.unread_size,
        "window": checkpoint.window_size,
    }))
}

/// Detection has verified all there is.
pub fn verify(checkpoint: &CheckpointInfo, size: &str) -> Report {
    Report::new(Format::InflateCheckpoint, &format!("layout {}, {size}", layout_name(checkpoint.encoding)))
}
