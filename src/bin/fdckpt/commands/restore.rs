//! `fdckpt restore`: the regions of a checkpoint to files.

use std::io::Write;
use std::path::PathBuf;

use fdckpt::AtomicFile;
use fdckpt::checkpoint::Reader;

use crate::cli::RestoreArgs;
use crate::detect::Content;
use crate::error::{CliError, WithFile};
use crate::exit;
use crate::input::Input;
use crate::output::create_below;
use crate::path::{display_name, safe_relative_path};
use crate::regions::for_each_region;
use crate::select::find_regions;
use crate::term::escape::escape_for_terminal;
use crate::term::message;
use crate::term::progress::Progress;
use crate::term::units::sum_sizes;

pub fn restore(args: &RestoreArgs) -> Result<u8, CliError> {
    let file = Input::open(&args.file)?;
    let content = Content::detect(&file).with_file(&args.file)?;
    let Content::Checkpoint(reader) = &content else {
        let error = content.unsupported("not a self-describing checkpoint").with_file(&args.file);
        let has_parts = matches!(content, Content::Container(_) | Content::Fti(_));
        return Err(if has_parts { error.with_hint("`fdckpt extract` extracts its parts") } else { error });
    };
    let numbers = select_regions(args, reader)?;
    let total = sum_sizes(numbers.iter().filter_map(|number| reader.region(*number)).map(|entry| entry.size()));
    let mut restoration = Restoration { args, reader, worst: exit::OK, open: None };
    // Names that lead out of the directory are reported before anything is written.
    let (inside, outside): (Vec<usize>, Vec<usize>) =
        numbers.into_iter().partition(|number| safe_relative_path(restoration.name(*number)).is_some());
    for number in outside {
        let reason = "name is not a relative path below the directory (`fdckpt extract` can write it elsewhere)";
        restoration.report(number, reason, exit::DAMAGED);
    }
    let mut progress = Progress::new("restoring", Some(total), 0);
    let restoration = std::cell::RefCell::new(restoration);
    for_each_region(
        reader,
        &inside,
        &mut |number, data, is_last| {
            progress.add(data.len() as u64);
            restoration.borrow_mut().write(number, data, is_last)
        },
        &mut |number, error| {
            restoration.borrow_mut().report(number, &error.kind().to_string(), exit::DAMAGED);
            Ok(())
        },
    )?;
    Ok(restoration.into_inner().worst)
}

/// The numbers of the regions to restore, in the order of the file.
fn select_regions(args: &RestoreArgs, reader: &Reader<'_>) -> Result<Vec<usize>, CliError> {
    if args.names.is_empty() {
        return Ok((0..reader.len()).collect());
    }
    let mut numbers = Vec::new();
    for name in &args.names {
        numbers.extend(find_regions(reader, &args.file, name)?);
    }
    numbers.sort_unstable();
    numbers.dedup();
    Ok(numbers)
}

struct Restoration<'r> {
    args: &'r RestoreArgs,
    reader: &'r Reader<'r>,
    /// The worst exit status so far.
    worst: u8,
    /// The region being written, and its file; `None` if that could not be created, which is reported once per region.
    open: Option<(usize, Option<AtomicFile>)>,
}

impl<'r> Restoration<'r> {
    fn name(&self, number: usize) -> &'r str {
        self.reader.region(number).map_or("", |entry| entry.name())
    }

    fn path(&self, number: usize) -> PathBuf {
        self.args.directory.join(self.name(number))
    }

    fn report(&mut self, number: usize, reason: &str, status: u8) {
        self.worst = self.worst.max(status);
        let (file, name) = (display_name(&self.args.file), escape_for_terminal(self.name(number)));
        message::error(format_args!("{file}: not restored: {name}: {reason}"), None);
    }

    fn write(&mut self, number: usize, data: &[u8], is_last: bool) -> Result<(), CliError> {
        if self.open.as_ref().is_none_or(|(open, _)| *open != number) {
            let path = safe_relative_path(self.name(number)).unwrap_or_default();
            let file = create_below(&self.args.directory, &path);
            let file = file.map_err(|error| self.report(number, &error.message, error.status));
            self.open = Some((number, file.ok()));
        }
        if let Some((_, Some(file))) = &mut self.open {
            let result = file.write_all(data);
            result.with_file(&self.path(number))?;
        }
        if let Some((_, Some(file))) = self.open.take_if(|_| is_last) {
            file.commit().with_file(&self.path(number))?;
        }
        Ok(())
    }
}
