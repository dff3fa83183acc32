//! extract and cat: pieces of a file, to files or to standard output.

use std::io::{self, IsTerminal, Write};
use std::path::Path;

use fdckpt::checkpoint::Reader;
use fdckpt::{Container, fti};

use crate::cli::{Cat, Extract};
use crate::files::{self, Input, Output};
use crate::kind::{self, Kind};
use crate::pack;
use crate::ui::{self, GOOD, Progress, Trouble};

/// So much is written at a time.
const PIECE: usize = 1 << 18;

/// A piece of a file that can be taken out of it.
pub enum Piece<'f> {
    /// Number of a region.
    Region(&'f Reader<'f>, usize),
    /// Position of a section.
    Section(&'f Container<'f>, usize),
    /// Id of a variable.
    Variable(&'f fti::Checkpoint<'f>, i32),
}

impl Piece<'_> {
    fn size(&self) -> u64 {
        match self {
            Self::Region(reader, number) => reader.entry(*number).map_or(0, |entry| entry.size()),
            Self::Section(container, position) => {
                container.section(*position).and_then(|section| u64::try_from(section.length()).ok()).unwrap_or_default()
            }
            Self::Variable(checkpoint, id) => checkpoint.variable(*id).map_or(0, |variable| variable.size),
        }
    }

    /// The name of the file that it goes to in a folder.
    fn file_name(&self) -> String {
        match self {
            Self::Region(reader, number) => reader.entry(*number).map_or_else(String::new, |entry| entry.name().to_owned()),
            Self::Section(container, position) => {
                let kind = container.section(*position).map_or(0, |section| section.kind());
                let first = container.sections().position(|section| section.kind() == kind);
                if first == Some(*position) { format!("section-{kind}") } else { format!("section-{kind}-at-{position}") }
            }
            Self::Variable(_, id) => format!("variable-{id}"),
        }
    }

    /// Writes it, piece by piece.
    pub fn write(&self, to: &mut impl Write, progress: &mut Progress) -> Result<(), Trouble> {
        if let Self::Region(reader, number) = self {
            return pack::write_region(reader, *number, to, progress);
        }
        let mut put = |piece: &[u8]| {
            progress.add(piece.len() as u64);
            to.write_all(piece)
        };
        match self {
            Self::Region(..) => {}
            Self::Section(container, position) => {
                let section = container.section(*position);
                let section = section.ok_or(fdckpt::container::Error::IndexNotFound { index: *position as u64 })?;
                section.data()?.chunks(PIECE).try_for_each(put)?;
            }
            Self::Variable(checkpoint, id) => checkpoint.copy_variable(*id, &mut put)?,
        }
        Ok(())
    }
}

/// The pieces that a name stands for.
fn find<'f>(kind: &'f Kind<'f>, path: &Path, name: &str) -> Result<Vec<Piece<'f>>, Trouble> {
    let missing = |what: String| {
        Trouble::new(what).of(files::name(path)).advice(format!("`fdckpt list {}` tells what there is", files::name(path)))
    };
    let position = name.strip_prefix('#').and_then(|number| number.parse::<usize>().ok());
    match kind {
        Kind::Checkpoint(reader) => {
            Ok(regions(reader, path, name)?.into_iter().map(|number| Piece::Region(reader, number)).collect())
        }
        Kind::Container(container) => {
            let found = match position {
                Some(position) => Some(position).filter(|position| *position < container.len()),
                None => match name.parse::<u8>() {
                    Ok(kind) => container.sections().position(|section| section.kind() == kind),
                    Err(_) => {
                        let what = format!(
                            "{} is no type of a section: a number from 0 to 255, or #N for the section at position N",
                            ui::printable(name)
                        );
                        return Err(missing(what));
                    }
                },
            };
            let found = found.ok_or_else(|| match position {
                Some(position) => {
                    missing(format!("there is no section at position {position}, counted from 0: it has {}", container.len()))
                }
                None => missing(format!("there is no section of type {name}")),
            })?;
            Ok(vec![Piece::Section(container, found)])
        }
        Kind::Fti(checkpoint) => {
            let id = match position {
                Some(position) => checkpoint.variables().get(position).map(|variable| variable.id),
                None => match name.parse::<i32>() {
                    Ok(id) => Some(id).filter(|id| checkpoint.variable(*id).is_ok()),
                    Err(_) => return Err(missing(format!("{} is no id of a variable: these are numbers", ui::printable(name)))),
                },
            };
            let id = id.ok_or_else(|| missing(format!("there is no variable {}", ui::printable(name))))?;
            Ok(vec![Piece::Variable(checkpoint, id)])
        }
        other => Err(kind::refuse(other, path, "it has no pieces that could be taken out")),
    }
}

/// The regions that a name stands for: that of the name, or `#N`, or those that it fits as a pattern.
pub fn regions(reader: &Reader<'_>, path: &Path, name: &str) -> Result<Vec<usize>, Trouble> {
    let missing = |what: String| {
        let advice = format!("`fdckpt list {}` tells what there is", files::name(path));
        Trouble::new(what).of(files::name(path)).advice(advice)
    };
    if let Some(entry) = reader.find(name) {
        return Ok(vec![entry.number()]);
    }
    if let Some(number) = name.strip_prefix('#').and_then(|number| number.parse::<usize>().ok()) {
        return match reader.entry(number) {
            Some(_) => Ok(vec![number]),
            None => Err(missing(format!("there is no region {number}, counted from 0: it has {}", reader.len()))),
        };
    }
    let pattern = glob::Pattern::new(name).map_err(|error| missing(format!("this is no pattern: {error}")))?;
    let found: Vec<usize> = reader.entries().filter(|entry| pattern.matches(entry.name())).map(|entry| entry.number()).collect();
    if found.is_empty() {
        return Err(missing(format!("there is no region {}", ui::printable(name))));
    }
    Ok(found)
}

/// All pieces, in the order of the file.
fn all<'f>(kind: &'f Kind<'f>, path: &Path) -> Result<Vec<Piece<'f>>, Trouble> {
    match kind {
        Kind::Checkpoint(reader) => Ok((0..reader.len()).map(|number| Piece::Region(reader, number)).collect()),
        Kind::Container(container) => Ok((0..container.len()).map(|position| Piece::Section(container, position)).collect()),
        Kind::Fti(checkpoint) => {
            Ok(checkpoint.variables().iter().map(|variable| Piece::Variable(checkpoint, variable.id)).collect())
        }
        other => Err(kind::refuse(other, path, "it has no pieces that could be taken out")),
    }
}

pub fn extract(extract: &Extract) -> Result<u8, Trouble> {
    if extract.output.is_none() && io::stdout().is_terminal() {
        return Err(
            Trouble::new("standard output is a terminal").advice("name a file with -o; `fdckpt cat` writes to a terminal")
        );
    }
    let file = Input::open(&extract.file)?;
    let kind = Kind::of(&file)?;
    let pieces = find(&kind, &extract.file, &extract.name)?;
    let mut progress = Progress::new("extracting", Some(ui::total(pieces.iter().map(Piece::size))), 0);
    let of_file = |trouble: Trouble| trouble.of(files::name(&extract.file));
    let folder = extract.output.as_deref().filter(|path| is_folder(path));
    if let Some(folder) = folder {
        for piece in &pieces {
            let mut out = pack::output_below(folder, &piece.file_name())?;
            piece.write(&mut out, &mut progress).map_err(of_file)?;
            out.finish()?;
        }
        return Ok(GOOD);
    }
    if let ([_, _, ..], Some(out)) = (&pieces[..], extract.output.as_deref().filter(|path| !files::is_stdout(path))) {
        let what = format!("{} fits {} pieces, which do not go into one file", ui::printable(&extract.name), pieces.len());
        return Err(Trouble::new(what).of(files::name(out)).advice("name a folder, with a / at its end"));
    }
    let mut out = Output::create(extract.output.as_deref())?;
    for piece in &pieces {
        piece.write(&mut out, &mut progress).map_err(of_file)?;
    }
    out.finish()?;
    Ok(GOOD)
}

fn is_folder(path: &Path) -> bool {
    path.is_dir() || files::ends_as_folder(path)
}

pub fn cat(cat: &Cat) -> Result<u8, Trouble> {
    let file = Input::open(&cat.file)?;
    let kind = Kind::of(&file)?;
    // All are looked for before anything is written.
    let pieces = if cat.names.is_empty() {
        all(&kind, &cat.file)?
    } else {
        let found: Result<Vec<_>, _> = cat.names.iter().map(|name| find(&kind, &cat.file, name)).collect();
        found?.into_iter().flatten().collect()
    };
    let mut progress = Progress::new("reading", Some(ui::total(pieces.iter().map(Piece::size))), 0);
    let mut out = Output::create(None)?;
    for piece in &pieces {
        piece.write(&mut out, &mut progress).map_err(|trouble| trouble.of(files::name(&cat.file)))?;
    }
    out.finish()?;
    Ok(GOOD)
}
