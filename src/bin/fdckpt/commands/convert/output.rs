//! What all conversions write.

use std::fmt::Display;
use std::io::Write;
use std::path::Path;

use fdckpt::{FrameStyle, checkpoint};

use crate::cli::thread_count;
use crate::error::CliError;
use crate::output::{Destination, Output};
use crate::term::message;

/// Reports something that the new file does not have.
pub fn report_lost(what: impl Display) {
    message::info(format_args!("lost: {what}"));
}

pub fn write_file(output: &Path, data: &[u8]) -> Result<(), CliError> {
    let mut out = Output::create(Some(output))?;
    out.write_all(data)?;
    out.finish()
}

/// Creates a checkpoint.
pub fn create_checkpoint(output: &Path) -> Result<checkpoint::Writer<'static>, CliError> {
    let options = checkpoint::WriterOptions::new().style(FrameStyle::Lz4).threads(thread_count(None));
    Ok(options.create(Destination::new(output)?.path())?)
}
