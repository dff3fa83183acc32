//! `fdckpt save`: files and directories as regions of a checkpoint.

use std::fs::{self, File};
use std::io::{self, IsTerminal, Read, Write};
use std::ops::ControlFlow;
use std::path::{Component, Path, PathBuf};
use std::sync::Mutex;
use std::time::Instant;

use fdckpt::checkpoint::{Summary, Writer, WriterOptions};
use fdckpt::{MappedFile, SyncMode};

use crate::cli::{SaveArgs, WriteArgs, thread_count};
use crate::error::{CliError, WithFile};
use crate::exit;
use crate::output::{Destination, unnamed_temp_file};
use crate::path::{STDOUT, display_name, is_dash, is_stdout};
use crate::term::message;
use crate::term::progress::Progress;
use crate::term::stdout::TextOutput;
use crate::term::units::{pluralize, ratio, size_with_unit, sum_sizes};

/// The options of a writer that reports to a progress bar.
pub fn writer_options<'w>(args: &WriteArgs, progress: &'w Mutex<Progress>) -> WriterOptions<'w> {
    let options = WriterOptions::new().style(args.style.into()).threads(thread_count(args.threads));
    let options = options.checksums(!args.no_checksums).frame_size(usize::try_from(args.frame_size).unwrap_or(usize::MAX));
    options.progress(move |done| {
        if let Ok(mut progress) = progress.lock() {
            progress.set(done.data);
        }
        ControlFlow::Continue(())
    })
}

pub fn save(args: &SaveArgs) -> Result<u8, CliError> {
    let started = Instant::now();
    let to_stdout = is_stdout(&args.output);
    let sources = Sources::collect(&args.paths, if to_stdout { Path::new(STDOUT) } else { &args.output })?;
    if to_stdout && io::stdout().is_terminal() {
        return Err(CliError::new("standard output is a terminal").with_hint("name a file with -o"));
    }
    let sizes = sources.list.iter().filter_map(|source| fs::metadata(&source.path).ok()).map(|metadata| metadata.len());
    let progress = Mutex::new(Progress::new("saving", Some(sum_sizes(sizes)), 0));
    let options = writer_options(&args.write, &progress);
    let is_special = fs::metadata(&args.output).is_ok_and(|metadata| !metadata.is_file() && !metadata.is_dir());
    let mut destination = None;
    let mut writer = if to_stdout {
        options.sync(SyncMode::None).write_to(io::stdout())?
    } else if is_special {
        options.write_to(File::options().write(true).open(&args.output).with_file(&args.output)?)?
    } else {
        options.create(destination.insert(Destination::new(&args.output)?).path())?
    };
    for attribute in &args.attributes {
        let (key, value) = attribute.split_once('=').unwrap_or((attribute, ""));
        writer.attribute(key, value.as_bytes())?;
    }
    for source in &sources.list {
        add_region(&mut writer, source, &args.output)?;
    }
    let summary = writer.commit()?;
    drop(progress);
    let text = format_summary(&summary, started);
    if to_stdout {
        message::info(text);
    } else if !message::is_quiet() {
        let mut out = TextOutput::new();
        writeln!(out, "{}: {text}", display_name(&args.output))?;
        out.finish()?;
    }
    Ok(exit::OK)
}

fn format_summary(summary: &Summary, started: Instant) -> String {
    format!(
        "{}, {} stored as {}, ratio {}, {:.2} s",
        pluralize(summary.regions as usize, "region"),
        size_with_unit(summary.data),
        size_with_unit(summary.stored),
        ratio(summary.data, summary.stored),
        started.elapsed().as_secs_f64()
    )
}

/// A file that becomes a region.
struct Source {
    name: String,
    path: PathBuf,
}

struct Sources {
    list: Vec<Source>,
    /// The existing file that the checkpoint replaces.
    replaced: Option<PathBuf>,
}

impl Sources {
    fn collect(arguments: &[String], output: &Path) -> Result<Self, CliError> {
        let replaced = fs::canonicalize(output).ok().filter(|path| path.is_file());
        let mut sources = Self { list: Vec::new(), replaced };
        for argument in arguments {
            sources.add_argument(argument)?;
        }
        Ok(sources)
    }

    fn is_replaced(&self, path: &Path) -> bool {
        self.replaced.is_some() && fs::canonicalize(path).ok() == self.replaced
    }

    /// Adds `[NAME=]PATH`. An argument that exists as a path is one.
    fn add_argument(&mut self, argument: &str) -> Result<(), CliError> {
        let (name, path) = match argument.split_once('=') {
            Some((name, path)) if !Path::new(argument).exists() => (Some(name), path),
            _ => (None, argument),
        };
        let path = Path::new(path);
        if is_dash(path) {
            self.list.push(Source { name: name.unwrap_or("stdin").to_owned(), path: path.to_owned() });
            return Ok(());
        }
        let metadata = fs::metadata(path).with_file(path)?;
        let name = match name {
            Some(name) => name.to_owned(),
            None => region_name(path)?,
        };
        if metadata.is_dir() {
            return self.add_directory(path, &name);
        }
        if name.is_empty() {
            return Err(CliError::new("region name is empty").with_file(path).with_hint("give one as NAME=PATH"));
        }
        if self.is_replaced(path) {
            return Err(CliError::new("file to save is also the output")
                .with_file(path)
                .with_hint("name another output with -o"));
        }
        self.list.push(Source { name, path: path.to_owned() });
        Ok(())
    }

    /// Adds all files below a directory, ordered by name.
    fn add_directory(&mut self, directory: &Path, name: &str) -> Result<(), CliError> {
        let entries: io::Result<Vec<_>> = fs::read_dir(directory).with_file(directory)?.collect();
        let mut entries = entries.with_file(directory)?;
        entries.sort_by_key(fs::DirEntry::file_name);
        for entry in entries {
            let path = entry.path();
            let part = utf8(Path::new(&entry.file_name()), &path)?;
            let name = if name.is_empty() { part } else { format!("{name}/{part}") };
            let kind = entry.file_type().with_file(directory)?;
            if kind.is_dir() {
                self.add_directory(&path, &name)?;
                continue;
            }
            let reason = if self.is_replaced(&path) {
                // Usually the checkpoint of an earlier run.
                "this is the output"
            } else if kind.is_file() {
                self.list.push(Source { name, path });
                continue;
            } else if kind.is_symlink() {
                "symbolic link"
            } else {
                "not a regular file"
            };
            message::info(format_args!("not saved: {}: {reason}", display_name(&path)));
        }
        Ok(())
    }
}

/// The region name for a path: relative, as `fdckpt restore` needs it.
fn region_name(path: &Path) -> Result<String, CliError> {
    let mut parts = Vec::new();
    for part in path.components() {
        match part {
            Component::Normal(part) => parts.push(utf8(Path::new(part), path)?),
            Component::CurDir | Component::RootDir | Component::Prefix(_) => {}
            Component::ParentDir => {
                let error = CliError::new("path with .. can't be a region name").with_file(path);
                return Err(error.with_hint(format!("name the region: NAME={}", display_name(path))));
            }
        }
    }
    Ok(parts.join("/"))
}

fn utf8(part: &Path, path: &Path) -> Result<String, CliError> {
    part.to_str().map(str::to_owned).ok_or_else(|| CliError::new("path is not valid UTF-8").with_file(path))
}

fn add_region(writer: &mut Writer<'_>, source: &Source, output: &Path) -> Result<(), CliError> {
    let path = &source.path;
    let file = if is_dash(path) {
        spool(io::stdin().lock(), output)
            .map_err(|error| CliError::from(error).with_context("standard input: copy to a temporary file"))?
    } else {
        let file = File::open(path).with_file(path)?;
        if file.metadata().with_file(path)?.is_file() { file } else { spool(file, output).with_file(path)? }
    };
    let map = MappedFile::of(file).with_file(path)?;
    Ok(writer.add(&source.name, &map)?)
}

/// Copies input that can't be mapped to a temporary file.
fn spool(mut from: impl Read, output: &Path) -> io::Result<File> {
    let mut file = unnamed_temp_file(output)?;
    io::copy(&mut from, &mut file)?;
    Ok(file)
}
