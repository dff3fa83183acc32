//! Conversions from and to FTI-FF.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;
use std::sync::Mutex;

use fdckpt::fti::{self, FormatVersion};
use fdckpt::{MappedFile, checkpoint};

use super::output::{create_checkpoint, report_lost};
use crate::cli::{ConvertArgs, thread_count};
use crate::error::{CliError, WithFile};
use crate::format::fti::has_short_timestamp;
use crate::input::IO_BUFFER_SIZE;
use crate::output::{Destination, unnamed_temp_file};
use crate::regions::write_region;
use crate::term::escape::escape_for_terminal;
use crate::term::progress::Progress;
use crate::term::units::sum_sizes;

/// Attributes of a checkpoint for what FTI-FF has besides variables.
const VERSION_ATTRIBUTE: &str = "fti.version";
const CKPT_ID_ATTRIBUTE: &str = "fti.ckptId";
const TIMESTAMP_ATTRIBUTE: &str = "fti.timestamp";

/// Progress of the conversion that runs: the library takes a function without state.
static PROGRESS: Mutex<Option<Progress>> = Mutex::new(None);

fn add_progress(bytes: u64) {
    if let Ok(mut progress) = PROGRESS.lock()
        && let Some(progress) = &mut *progress
    {
        progress.add(bytes);
    }
}

/// Runs a job that calls [`add_progress`].
fn with_progress<T>(total: u64, job: impl FnOnce() -> T) -> T {
    let set = |progress| {
        if let Ok(mut current) = PROGRESS.lock() {
            *current = progress;
        }
    };
    set(Some(Progress::new("converting", Some(total), 0)));
    let result = job();
    set(None);
    result
}

/// Writes the checkpoint for another version of FTI.
pub fn to_version(checkpoint: &fti::Checkpoint<'_>, version: FormatVersion, args: &ConvertArgs) -> Result<(), CliError> {
    let header = checkpoint.header();
    let mut options = options(version, header.ckpt_id, args)?;
    if has_short_timestamp(checkpoint.version()) && !has_short_timestamp(version) {
        report_lost("the timestamp, of which the input has only the lowest 32 bits; replaced by the current time");
    } else {
        options.timestamp = Some(header.timestamp);
    }
    if header.ckpt_id.is_some() && !has_ckpt_id(version) {
        report_lost(format_args!("the checkpoint id {}, which FTI {version} does not store", options.ckpt_id));
    }
    if has_other_ranks(header) {
        report_lost("the file sizes of other ranks (maxFs, ptFs), which differ between FTI versions");
    }
    let total = sum_sizes(checkpoint.variables().iter().map(|variable| variable.size));
    write_fti(&args.output, total, |path| fti::convert(checkpoint, path, &options))
}

/// Each variable becomes a region, named by its id.
pub fn to_checkpoint(checkpoint: &fti::Checkpoint<'_>, args: &ConvertArgs) -> Result<(), CliError> {
    let header = checkpoint.header();
    let total = sum_sizes(checkpoint.variables().iter().map(|variable| variable.size));
    let mut progress = Progress::new("converting", Some(total), 0);
    let mut writer = create_checkpoint(&args.output)?;
    for variable in checkpoint.variables() {
        let map = spool(&args.output, |out| {
            checkpoint.copy_variable(variable.id, &mut |data| {
                progress.add(data.len() as u64);
                out.write_all(data)
            })?;
            Ok(())
        })?;
        writer.add(&variable.id.to_string(), &map)?;
    }
    writer.attribute(VERSION_ATTRIBUTE, checkpoint.version().to_string().as_bytes())?;
    writer.attribute(TIMESTAMP_ATTRIBUTE, header.timestamp.to_string().as_bytes())?;
    if let Some(id) = args.ckpt_id.or(header.ckpt_id) {
        writer.attribute(CKPT_ID_ATTRIBUTE, id.to_string().as_bytes())?;
    }
    writer.commit()?;
    if checkpoint.containers().len() > checkpoint.variables().len() {
        report_lost("the division of variables into containers");
    }
    if has_other_ranks(header) {
        report_lost("the file sizes of other ranks (maxFs, ptFs)");
    }
    Ok(())
}

/// Each region becomes a variable. If all names are numbers they are the ids.
pub fn from_checkpoint(reader: &checkpoint::Reader<'_>, version: FormatVersion, args: &ConvertArgs) -> Result<(), CliError> {
    let text = |key: &str| reader.attribute(key).and_then(|value| std::str::from_utf8(value).ok());
    let number = |key: &str| text(key).and_then(|text| text.parse::<i64>().ok());
    let mut options = options(version, number(CKPT_ID_ATTRIBUTE).and_then(|id| i32::try_from(id).ok()), args)?;
    let from = FormatVersion::ALL.into_iter().find(|version| text(VERSION_ATTRIBUTE) == Some(&version.to_string()));
    if from.is_some_and(|from| has_short_timestamp(version) || !has_short_timestamp(from)) {
        options.timestamp = number(TIMESTAMP_ATTRIBUTE);
    }
    // A name that is not the canonical spelling of its number (007) could not be restored.
    let id = |name: &str| name.parse().ok().filter(|id: &i32| id.to_string() == name);
    let named: Option<Vec<i32>> = reader.regions().map(|entry| id(entry.name())).collect();
    let has_ids = named.is_some();
    let ids = named.unwrap_or_else(|| (0..reader.len()).map(|number| number as i32).collect());
    // All variables are needed at once, and may not fit into memory.
    let map = spool(&args.output, |out| {
        let mut progress = Progress::new("converting", Some(reader.data_size()), 0);
        (0..reader.len()).try_for_each(|number| write_region(reader, number, out, &mut progress))
    })?;
    let (mut variables, mut rest) = (Vec::new(), &map[..]);
    for (entry, id) in reader.regions().zip(&ids) {
        let (data, others) = rest.split_at(entry.size() as usize);
        rest = others;
        variables.push(fti::ProtectedVariable::new(*id, data));
    }
    write_fti(&args.output, reader.data_size(), |path| fti::Writer::new().checkpoint(path, &options, &variables))?;
    if !has_ids {
        report_lost("the names of the regions; the variables are numbered from 0");
    }
    for (key, _) in reader.attributes() {
        if !matches!(key, VERSION_ATTRIBUTE | CKPT_ID_ATTRIBUTE | TIMESTAMP_ATTRIBUTE) {
            report_lost(format_args!("attribute {}", escape_for_terminal(key)));
        }
    }
    Ok(())
}

/// Whether the header stores the checkpoint id.
fn has_ckpt_id(version: FormatVersion) -> bool {
    !matches!(version, FormatVersion::V1_1 | FormatVersion::V1_2)
}

/// Whether the header stores the file sizes of other ranks (levels 2 and 3).
fn has_other_ranks(header: &fti::Header) -> bool {
    header.pt_fs != -1 || header.max_fs != -1
}

fn options(version: FormatVersion, stored_id: Option<i32>, args: &ConvertArgs) -> Result<fti::WriteOptions, CliError> {
    let in_names = || id_in_name(&args.input).or_else(|| id_in_name(&args.output));
    let id = args.ckpt_id.or(stored_id).or_else(in_names);
    if id.is_none() && has_ckpt_id(version) {
        let message = format!("FTI {version} stores a checkpoint id, which the input does not have");
        return Err(CliError::new(message).with_hint("add --ckpt-id"));
    }
    let mut options = fti::WriteOptions::new(version, id.unwrap_or(1));
    options.threads = thread_count(None);
    options.progress = Some(add_progress);
    Ok(options)
}

/// The checkpoint id in a file name of FTI, such as `Ckpt3-Rank0.fti`.
fn id_in_name(path: &Path) -> Option<i32> {
    let name = path.file_name()?.to_str()?.strip_prefix("Ckpt")?;
    name[..name.find(|c: char| !c.is_ascii_digit())?].parse().ok()
}

/// Writes an FTI file. I/O errors are about this file, all others about the input.
fn write_fti(output: &Path, total: u64, job: impl FnOnce(&Path) -> Result<(), fti::Error>) -> Result<(), CliError> {
    let destination = Destination::new(output)?;
    match with_progress(total, || job(destination.path())) {
        Err(error @ fti::Error::Io(_)) => Err(error).with_file(output)?,
        result => result?,
    }
    Ok(())
}

/// Maps a temporary file that `write` fills.
fn spool(output: &Path, write: impl FnOnce(&mut BufWriter<&File>) -> Result<(), CliError>) -> Result<MappedFile, CliError> {
    let file = unnamed_temp_file(output)?;
    let mut out = BufWriter::with_capacity(IO_BUFFER_SIZE, &file);
    write(&mut out)?;
    out.flush()?;
    drop(out);
    Ok(MappedFile::of(file)?)
}
