//! Selects parts of a file by name: regions, sections or variables.

use std::io::Write;
use std::path::Path;

use fdckpt::checkpoint::Reader;
use fdckpt::{Container, fti};

use crate::detect::Content;
use crate::error::CliError;
use crate::input::IO_BUFFER_SIZE;
use crate::path::display_name;
use crate::regions::write_region;
use crate::term::escape::escape_for_terminal;
use crate::term::progress::Progress;

/// A part of a file.
pub enum Part<'f> {
    /// A region by its number.
    Region(&'f Reader<'f>, usize),
    /// A section by its position.
    Section(&'f Container<'f>, usize),
    /// A variable by its id.
    Variable(&'f fti::Checkpoint<'f>, i32),
}

impl Part<'_> {
    pub fn size(&self) -> u64 {
        match self {
            Self::Region(reader, number) => reader.region(*number).map_or(0, |entry| entry.size()),
            Self::Section(container, position) => {
                container.section(*position).and_then(|section| u64::try_from(section.length()).ok()).unwrap_or_default()
            }
            Self::Variable(checkpoint, id) => checkpoint.variable(*id).map_or(0, |variable| variable.size),
        }
    }

    /// The name of the part as a file in a directory.
    pub fn file_name(&self) -> String {
        match self {
            Self::Region(reader, number) => reader.region(*number).map_or_else(String::new, |entry| entry.name().to_owned()),
            Self::Section(container, position) => {
                let kind = container.section(*position).map_or(0, |section| section.kind());
                let first = container.sections().position(|section| section.kind() == kind);
                if first == Some(*position) { format!("section-{kind}") } else { format!("section-{kind}-at-{position}") }
            }
            Self::Variable(_, id) => format!("variable-{id}"),
        }
    }

    pub fn write(&self, to: &mut impl Write, progress: &mut Progress) -> Result<(), CliError> {
        let mut write = |data: &[u8], progress: &mut Progress| {
            progress.add(data.len() as u64);
            to.write_all(data)
        };
        match self {
            Self::Region(reader, number) => write_region(reader, *number, to, progress),
            Self::Section(container, position) => {
                let section = container.section(*position);
                let section = section.ok_or(fdckpt::container::Error::IndexNotFound { index: *position as u64 })?;
                section.data()?.chunks(IO_BUFFER_SIZE).try_for_each(|data| write(data, progress))?;
                Ok(())
            }
            Self::Variable(checkpoint, id) => Ok(checkpoint.copy_variable(*id, &mut |data| write(data, progress))?),
        }
    }
}

const NO_PARTS: &str = "has no parts that can be extracted";

/// The error for a name that selects nothing.
fn not_found(path: &Path, message: String) -> CliError {
    let name = display_name(path);
    CliError::new(message).with_file(path).with_hint(format!("`fdckpt list {name}` lists what the file has"))
}

/// The number in `#N`.
fn parse_position(name: &str) -> Option<usize> {
    name.strip_prefix('#')?.parse().ok()
}

/// Finds the parts that a name selects.
pub fn find_parts<'f>(content: &'f Content<'f>, path: &Path, name: &str) -> Result<Vec<Part<'f>>, CliError> {
    match content {
        Content::Checkpoint(reader) => {
            Ok(find_regions(reader, path, name)?.into_iter().map(|number| Part::Region(reader, number)).collect())
        }
        Content::Container(container) => Ok(vec![Part::Section(container, find_section(container, path, name)?)]),
        Content::Fti(checkpoint) => Ok(vec![Part::Variable(checkpoint, find_variable(checkpoint, path, name)?)]),
        other => Err(other.unsupported(NO_PARTS).with_file(path)),
    }
}

/// All parts, in the order of the file.
pub fn all_parts<'f>(content: &'f Content<'f>, path: &Path) -> Result<Vec<Part<'f>>, CliError> {
    match content {
        Content::Checkpoint(reader) => Ok((0..reader.len()).map(|number| Part::Region(reader, number)).collect()),
        Content::Container(container) => Ok((0..container.len()).map(|position| Part::Section(container, position)).collect()),
        Content::Fti(checkpoint) => {
            Ok(checkpoint.variables().iter().map(|variable| Part::Variable(checkpoint, variable.id)).collect())
        }
        other => Err(other.unsupported(NO_PARTS).with_file(path)),
    }
}

/// Finds regions by exact name, by `#N`, or by pattern.
pub fn find_regions(reader: &Reader<'_>, path: &Path, name: &str) -> Result<Vec<usize>, CliError> {
    if let Some(entry) = reader.find(name) {
        return Ok(vec![entry.index()]);
    }
    if let Some(number) = parse_position(name) {
        return match reader.region(number) {
            Some(_) => Ok(vec![number]),
            None => Err(not_found(path, format!("no region #{number}: the file has {}, counted from #0", reader.len()))),
        };
    }
    let pattern = glob::Pattern::new(name);
    let pattern = pattern.map_err(|error| not_found(path, format!("invalid pattern: {error}")))?;
    let found: Vec<usize> = reader.regions().filter(|entry| pattern.matches(entry.name())).map(|entry| entry.index()).collect();
    if found.is_empty() {
        return Err(not_found(path, format!("no region {}", escape_for_terminal(name))));
    }
    Ok(found)
}

/// Finds a section by type, or by `#N`.
fn find_section(container: &Container<'_>, path: &Path, name: &str) -> Result<usize, CliError> {
    if let Some(position) = parse_position(name) {
        let message = || format!("no section #{position}: the file has {}, counted from #0", container.len());
        return container.section(position).map(|_| position).ok_or_else(|| not_found(path, message()));
    }
    let kind: u8 = name.parse().map_err(|_| {
        let message = "is not a section type (0 to 255) or position (#N)";
        not_found(path, format!("{} {message}", escape_for_terminal(name)))
    })?;
    let found = container.sections().position(|section| section.kind() == kind);
    found.ok_or_else(|| not_found(path, format!("no section of type {name}")))
}

/// Finds a variable by id, or by `#N`.
fn find_variable(checkpoint: &fti::Checkpoint<'_>, path: &Path, name: &str) -> Result<i32, CliError> {
    let no_variable = || not_found(path, format!("no variable {}", escape_for_terminal(name)));
    if let Some(position) = parse_position(name) {
        return checkpoint.variables().get(position).map(|variable| variable.id).ok_or_else(no_variable);
    }
    let id = name.parse::<i32>().map_err(|_| {
        not_found(path, format!("{} is not the id of a variable (a number) or position (#N)", escape_for_terminal(name)))
    })?;
    checkpoint.variable(id).map(|variable| variable.id).map_err(|_| no_variable())
}
