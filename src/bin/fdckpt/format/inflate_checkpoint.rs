//! Checkpoints of a decompression.

use std::io;

use fdckpt::inflate::{BlockKind, Description, Form, Format as Stream};
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
pub fn layout_name(layout: Form) -> &'static str {
    match layout {
        Form::Full => "inflate-full",
        Form::Compact => "inflate-compact",
        Form::Blob => "deflate64-blob",
        Form::Blob0x1001 => "deflate64-blob-0x1001",
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

pub fn print_info(out: &mut TextOutput, checkpoint: &Description) -> io::Result<()> {
    out.field("layout", layout_name(checkpoint.form))?;
    let format = match checkpoint.format {
        Some(format) => stream_name(format),
        None if checkpoint.fits_deflate => "deflate or deflate64 (not recorded in this layout)",
        None => "deflate64 (not recorded in this layout, but not valid deflate)",
    };
    out.field("stream", format)?;
    out.field("input", format!("resumes at offset {}", checkpoint.position.input))?;
    out.field("output", format!("resumes at offset {}", checkpoint.position.output))?;
    let position = match checkpoint.block {
        None => "in a header or trailer, or after the end".to_owned(),
        Some(kind) => {
            let last = if checkpoint.is_last_block { ", the last one" } else { "" };
            let block = match (kind, checkpoint.stored_left) {
                (BlockKind::Stored, 0) => format!("between blocks{last}"),
                (BlockKind::Stored, left) => format!("stored block{last}, {} left", size_with_unit(left.into())),
                (kind, _) => format!("{} block{last}", block_name(kind)),
            };
            format!("bit {} of the raw data, {block}", checkpoint.bit)
        }
    };
    out.field("position", position)?;
    out.field("window", size_with_unit(checkpoint.window))?;
    out.field("pending", format!("{} of output not returned yet", size_with_unit(checkpoint.unread)))
}

pub fn write_json(object: &mut JsonObjectWriter, checkpoint: &Description) -> io::Result<()> {
    object.fields(&json!({
        "layout": layout_name(checkpoint.form),
        "stream": checkpoint.format.map(stream_name),
        "fits_deflate": checkpoint.fits_deflate,
        "input_offset": checkpoint.position.input,
        "output_offset": checkpoint.position.output,
        "bit": checkpoint.bit,
        "block": checkpoint.block.map(block_name),
        "last_block": checkpoint.is_last_block,
        "stored_left": checkpoint.stored_left,
        "pending": checkpoint.unread,
        "window": checkpoint.window,
    }))
}

/// Detection has verified all there is.
pub fn verify(checkpoint: &Description, size: &str) -> Report {
    Report::new(Format::InflateCheckpoint, &format!("layout {}, {size}", layout_name(checkpoint.form)))
}
