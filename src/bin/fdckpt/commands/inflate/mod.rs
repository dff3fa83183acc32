//! `fdckpt inflate`: decompression of everything or of a part, from the start or by an index.

mod decompression;
mod random_access;
mod resume;
mod source;

use std::fs;
use std::io::{self, BufReader, Cursor, IsTerminal, Read};
use std::path::Path;

use fdckpt::inflate::Reader;

use crate::cli::InflateArgs;
use crate::error::{CliError, WithFile};
use crate::exit;
use crate::format::zip::Archive;
use crate::input::{IO_BUFFER_SIZE, Input};
use crate::output::Output;
use crate::path::{is_dash, is_stdout};
use decompression::Decompression;
use resume::Resumable;
use source::Source;

pub fn inflate(args: &InflateArgs) -> Result<u8, CliError> {
    let to_terminal = args.output.is_none() && io::stdout().is_terminal();
    if to_terminal && args.index.is_none() {
        return Err(CliError::new("standard output is a terminal").with_hint("name an output file, or - for the terminal"));
    }
    if [&args.index, &args.state].into_iter().flatten().any(|path| is_stdout(path)) {
        return Err(CliError::new("--index and --state need a file, which is read again"));
    }
    if is_dash(&args.input) {
        return from_stdin(args);
    }
    let file = Input::open(&args.input)?;
    let archive = if file.starts_with(b"PK") || args.entry.is_some() { Archive::open(&file) } else { None };
    let source = Source::find(&file, archive.as_ref(), args).with_file(&args.input)?;
    if args.index.is_some() || args.offset.is_some() || args.length.is_some() {
        return random_access::read(&source, args, to_terminal).with_file(&args.input);
    }
    whole(&source, &file, args)
}

/// Decompresses everything; resumable if input and output are files.
fn whole(source: &Source<'_>, file: &Input, args: &InflateArgs) -> Result<u8, CliError> {
    let can_be_file = |path: &&Path| fs::metadata(path).is_ok_and(|metadata| metadata.is_file()) || !path.exists();
    let output = args.output.as_deref().filter(|path| !is_stdout(path)).filter(can_be_file);
    match output {
        Some(output) if matches!(file, Input::Mapped(_)) => {
            // A link stays, and the file that it leads to is replaced.
            let output = fs::canonicalize(output).unwrap_or_else(|_| output.to_owned());
            Resumable::new(source, args, &output)?.run().with_file(&args.input)
        }
        _ if args.state.is_some() => Err(CliError::new("--state needs an input and an output that are regular files")),
        _ => {
            let mut out = Output::create(args.output.as_deref())?;
            let mut decompression = Decompression::new(source)?;
            decompression.write_all(&mut out).with_file(&args.input)?;
            decompression.check(source).with_file(&args.input)?;
            out.finish()?;
            Ok(exit::OK)
        }
    }
}

/// Decompresses a pipe, which can't be resumed.
fn from_stdin(args: &InflateArgs) -> Result<u8, CliError> {
    if args.index.is_some() || args.entry.is_some() || args.state.is_some() {
        return Err(CliError::new("--entry, --index and --state need an input file, not a pipe"));
    }
    const STDIN: &str = "standard input";
    // The first read from a pipe can return a single byte.
    let mut start = Vec::new();
    let read = io::stdin().lock().take(2).read_to_end(&mut start);
    read.map_err(|error| CliError::from(error).with_context(STDIN))?;
    if args.format.is_none() && start == b"PK" {
        return Err(CliError::new("looks like a zip archive, which must be a file").with_context(STDIN));
    }
    let format = args.format.map(Into::into).or_else(|| source::detect(&start));
    let format = format.ok_or_else(|| source::not_detected().with_context(STDIN))?;
    let input = BufReader::with_capacity(IO_BUFFER_SIZE, Cursor::new(start).chain(io::stdin().lock()));
    let reader = Reader::new(input, format)?;
    let on_error = |error| CliError::from(error).with_context(STDIN);
    random_access::copy(reader, args.offset.unwrap_or(0), args.length, args.output.as_deref(), &on_error)
}
