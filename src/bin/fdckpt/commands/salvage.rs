//! `fdckpt salvage`: what can be read of a damaged checkpoint, to a new one.

use std::fs;
use std::io::Write;
use std::sync::Mutex;

use fdckpt::checkpoint;

use super::save::writer_options;
use crate::cli::SalvageArgs;
use crate::error::{CliError, WithFile};
use crate::exit;
use crate::output::Destination;
use crate::path::{display_name, is_dash};
use crate::term::progress::Progress;
use crate::term::stdout::TextOutput;

pub fn salvage(args: &SalvageArgs) -> Result<u8, CliError> {
    if is_dash(&args.input) {
        return Err(CliError::new("standard input: input must be a file").with_hint("write it to a file first"));
    }
    let size = fs::metadata(&args.input).with_file(&args.input)?.len();
    let progress = Mutex::new(Progress::new("salvaging", Some(size), 0));
    let options = writer_options(&args.write, &progress);
    let destination = Destination::new(&args.output)?;
    let found = checkpoint::salvage(&args.input, destination.path(), options)?;
    drop(progress);
    let mut out = TextOutput::new();
    let output = display_name(&args.output);
    if !found.has_index {
        writeln!(out, "{output}: the index is lost, and with it names, sizes and checksums; data is named by its offset")?;
    }
    writeln!(
        out,
        "{output}: {} verified, {} partial, {} unverified, {} lost",
        found.verified, found.partial, found.unverified, found.lost
    )?;
    if found.unverified > 0 {
        writeln!(out, "  unverified data may have any content; `fdckpt list {output}` lists it")?;
    }
    out.finish()?;
    let is_complete = found.has_index && found.partial == 0 && found.unverified == 0 && found.lost == 0;
    Ok(if is_complete { exit::OK } else { exit::DAMAGED })
}
