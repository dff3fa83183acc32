//! Inflate indexes.

use std::io;

use fdckpt::inflate::Index;
use serde_json::json;

use super::inflate_checkpoint::stream_name;
use super::report::{Report, Severity};
use crate::detect::Format;
use crate::json::JsonObjectWriter;
use crate::term::stdout::TextOutput;
use crate::term::units::{pluralize, size_with_unit};

pub fn print_info(out: &mut TextOutput, index: &Index<'_>) -> io::Result<()> {
    out.field("stream", stream_name(index.format()))?;
    out.field("input", size_with_unit(index.input_size()))?;
    out.field("output", size_with_unit(index.output_size()))?;
    out.field("access points", format!("{}, one every {} of output", index.point_count(), size_with_unit(index.interval())))
}

pub fn write_json(object: &mut JsonObjectWriter, index: &Index<'_>) -> io::Result<()> {
    object.fields(&json!({
        "stream": stream_name(index.format()),
        "input_size": index.input_size(),
        "output_size": index.output_size(),
        "interval": index.interval(),
        "point_count": index.point_count(),
    }))
}

pub fn verify(index: &Index<'_>, size: &str) -> Report {
    let mut report = Report::new(Format::InflateIndex, &format!("{}, {size}", pluralize(index.point_count(), "access point")));
    if let Err(error) = index.verify() {
        report.add_issue(Severity::Damage, error.to_string(), json!({}));
    }
    report
}
