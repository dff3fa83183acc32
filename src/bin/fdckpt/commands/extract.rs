//! `fdckpt extract` and `fdckpt cat`: parts of a file, to files or to standard output.

use std::io::{self, IsTerminal};
use std::path::Path;

use crate::cli::{CatArgs, ExtractArgs};
use crate::detect::Content;
use crate::error::{CliError, WithFile};
use crate::exit;
use crate::input::Input;
use crate::output::Output;
use crate::path::{has_trailing_slash, is_stdout};
use crate::select::{Part, all_parts, find_parts};
use crate::term::escape::escape_for_terminal;
use crate::term::progress::Progress;
use crate::term::units::sum_sizes;

pub fn extract(args: &ExtractArgs) -> Result<u8, CliError> {
    if args.output.is_none() && io::stdout().is_terminal() {
        return Err(CliError::new("standard output is a terminal")
            .with_hint("name a file with -o, or use `fdckpt cat` to write to the terminal"));
    }
    let file = Input::open(&args.file)?;
    let content = Content::detect(&file).with_file(&args.file)?;
    let parts = find_parts(&content, &args.file, &args.name)?;
    let mut progress = progress("extracting", &parts);
    if let Some(directory) = args.output.as_deref().filter(|path| is_directory(path)) {
        for part in &parts {
            let mut out = Output::create_below(directory, &part.file_name())?;
            part.write(&mut out, &mut progress).with_file(&args.file)?;
            out.finish()?;
        }
        return Ok(exit::OK);
    }
    if let ([_, _, ..], Some(output)) = (&parts[..], args.output.as_deref().filter(|path| !is_stdout(path))) {
        let message = format!("{} selects {} parts, which need a directory", escape_for_terminal(&args.name), parts.len());
        return Err(CliError::new(message).with_file(output).with_hint("end the name of a new directory with a slash"));
    }
    write_all(&parts, &args.file, args.output.as_deref(), &mut progress)
}

fn is_directory(path: &Path) -> bool {
    path.is_dir() || has_trailing_slash(path)
}

pub fn cat(args: &CatArgs) -> Result<u8, CliError> {
    let file = Input::open(&args.file)?;
    let content = Content::detect(&file).with_file(&args.file)?;
    // All names are looked up before anything is written.
    let parts = if args.names.is_empty() {
        all_parts(&content, &args.file)?
    } else {
        let found: Result<Vec<_>, _> = args.names.iter().map(|name| find_parts(&content, &args.file, name)).collect();
        found?.into_iter().flatten().collect()
    };
    write_all(&parts, &args.file, None, &mut progress("reading", &parts))
}

fn progress(verb: &'static str, parts: &[Part<'_>]) -> Progress {
    Progress::new(verb, Some(sum_sizes(parts.iter().map(Part::size))), 0)
}

/// Writes parts to one output, concatenated.
fn write_all(parts: &[Part<'_>], file: &Path, output: Option<&Path>, progress: &mut Progress) -> Result<u8, CliError> {
    let mut out = Output::create(output)?;
    for part in parts {
        part.write(&mut out, progress).with_file(file)?;
    }
    out.finish()?;
    Ok(exit::OK)
}
