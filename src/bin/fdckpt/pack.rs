//! save, restore and salvage: self-describing checkpoints of files and folders.

use std::fs::{self, File, Metadata};
use std::io::{self, Write};
use std::ops::ControlFlow;
use std::path::{Component, Path, PathBuf};
use std::sync::Mutex;
use std::time::Instant;

use fdckpt::checkpoint::{self, Reader, Request, Summary, Writer, WriterOptions};
use fdckpt::{AtomicFile, FrameStyle, MappedFile, SyncMode};

use crate::cli::{Restore, Salvage, Save, Style, Writing};
use crate::extract;
use crate::files::{self, Destination, Output};
use crate::kind::{self, Kind};
use crate::ui::{self, BAD, GOOD, Progress, Trouble, bytes, count, note, printable};

/// How many threads may work: as many as there are processors, if nothing is said.
pub fn threads(asked: Option<usize>) -> usize {
    asked.or_else(|| std::thread::available_parallelism().ok().map(usize::from)).unwrap_or(1)
}

pub fn style(style: Style) -> FrameStyle {
    match style {
        Style::Raw => FrameStyle::Raw,
        Style::Lz4 => FrameStyle::Lz4,
    }
}

pub fn writer_options<'w>(writing: &Writing, progress: &'w Mutex<Progress>) -> WriterOptions<'w> {
    let options = WriterOptions::new().style(style(writing.style)).threads(threads(writing.threads));
    let options = options.checksums(!writing.no_checksums).frame_size(usize::try_from(writing.frame_size).unwrap_or(usize::MAX));
    options.progress(move |done| {
        if let Ok(mut progress) = progress.lock() {
            progress.set(done.data);
        }
        ControlFlow::Continue(())
    })
}

/// What is to be saved: a region's name, and where its data comes from.
struct Item {
    name: String,
    path: PathBuf,
}

pub fn save(save: &Save) -> Result<u8, Trouble> {
    let began = Instant::now();
    let to_stdout = files::is_stdout(&save.output);
    let target = fs::canonicalize(if to_stdout { Path::new(files::STDOUT) } else { &save.output }).ok();
    let mut items = Items { list: Vec::new(), target: target.filter(|path| path.is_file()) };
    for path in &save.paths {
        items.collect(path)?;
    }
    let items = items.list;
    let sizes = items.iter().filter_map(|item| fs::metadata(&item.path).ok()).map(|there| there.len());
    let progress = Mutex::new(Progress::new("saving", Some(ui::total(sizes)), 0));
    if to_stdout && io::IsTerminal::is_terminal(&io::stdout()) {
        return Err(Trouble::new("standard output is a terminal").advice("name a file with -o"));
    }
    let options = writer_options(&save.writing, &progress);
    let is_special = fs::metadata(&save.output).is_ok_and(|there| !there.is_file() && !there.is_dir());
    let mut target = None;
    let mut writer = if to_stdout {
        options.sync(SyncMode::None).write_to(io::stdout())?
    } else if is_special {
        let file = File::options().write(true).open(&save.output);
        options.write_to(file.map_err(|error| Trouble::from(error).of(files::name(&save.output)))?)?
    } else {
        options.create(target.insert(Destination::of(&save.output)?).path())?
    };
    for attribute in &save.attributes {
        let (key, value) = attribute.split_once('=').unwrap_or((attribute, ""));
        writer.attribute(key, value.as_bytes())?;
    }
    for item in &items {
        add(&mut writer, item, &save.output)?;
    }
    let summary = writer.commit()?;
    target.map_or(Ok(()), Destination::replaced)?;
    drop(progress);
    let text = told(&summary, began);
    if to_stdout {
        note(text);
    } else {
        let mut out = ui::Out::new();
        if !ui::is_quiet() {
            writeln!(out, "{}: {text}", files::name(&save.output))?;
        }
        out.finish(GOOD)?;
    }
    Ok(GOOD)
}

fn told(summary: &Summary, began: Instant) -> String {
    let ratio = summary.data as f64 / (summary.stored as f64).max(1.0);
    format!(
        "{}, {} in a file of {}, ratio {ratio:.2}, {:.2} s",
        count(summary.regions as usize, "region"),
        bytes(summary.data),
        bytes(summary.stored),
        began.elapsed().as_secs_f64()
    )
}

/// All that is to be saved.
struct Items {
    list: Vec<Item>,
    /// The file that will be replaced, if there is one.
    target: Option<PathBuf>,
}

impl Items {
    fn is_target(&self, path: &Path) -> bool {
        self.target.is_some() && fs::canonicalize(path).ok() == self.target
    }

    /// `[NAME=]PATH`: what is there by this name is a path as it is.
    fn collect(&mut self, argument: &str) -> Result<(), Trouble> {
        let (name, path) = match argument.split_once('=') {
            Some((name, path)) if !Path::new(argument).exists() => (Some(name), path),
            _ => (None, argument),
        };
        let path = Path::new(path);
        if files::is_dash(path) {
            self.list.push(Item { name: name.unwrap_or("stdin").to_owned(), path: path.to_owned() });
            return Ok(());
        }
        let there = fs::metadata(path).map_err(|error| Trouble::from(error).of(files::name(path)))?;
        let name = match name {
            Some(name) => name.to_owned(),
            None => plain_name(path)?,
        };
        if there.is_dir() {
            return self.collect_folder(path, &name);
        }
        if name.is_empty() {
            return Err(Trouble::new("the name of a region is missing")
                .of(files::name(path))
                .advice("put it before the path: NAME=PATH"));
        }
        if self.is_target(path) {
            return Err(Trouble::new("the checkpoint would take the place of this file, which is to be saved")
                .of(files::name(path))
                .advice("name another file with -o"));
        }
        self.list.push(Item { name, path: path.to_owned() });
        Ok(())
    }

    /// All files below a folder, in the order of their names.
    fn collect_folder(&mut self, folder: &Path, name: &str) -> Result<(), Trouble> {
        let of_folder = |error: io::Error| Trouble::from(error).of(files::name(folder));
        let mut entries: Vec<_> = fs::read_dir(folder).map_err(of_folder)?.collect::<Result<_, _>>().map_err(of_folder)?;
        entries.sort_by_key(fs::DirEntry::file_name);
        for entry in entries {
            let path = entry.path();
            let part = utf8(Path::new(&entry.file_name()), &path)?;
            let name = if name.is_empty() { part } else { format!("{name}/{part}") };
            let kind = entry.file_type().map_err(of_folder)?;
            if kind.is_dir() {
                self.collect_folder(&path, &name)?;
                continue;
            }
            let what = if self.is_target(&path) {
                // As a rule the checkpoint of the last time.
                "which the checkpoint replaces"
            } else if kind.is_file() {
                self.list.push(Item { name, path });
                continue;
            } else if kind.is_symlink() {
                "which is a link"
            } else {
                "which is no regular file"
            };
            note(format_args!("not saved: {}, {what}", files::name(&path)));
        }
        Ok(())
    }
}

/// A path as the name of a region: below the folder that it will be restored to.
fn plain_name(path: &Path) -> Result<String, Trouble> {
    let mut parts = Vec::new();
    for part in path.components() {
        match part {
            Component::Normal(part) => parts.push(utf8(Path::new(part), path)?),
            Component::CurDir | Component::RootDir | Component::Prefix(_) => {}
            Component::ParentDir => {
                let trouble = Trouble::new("a path with .. in it is no name of a region").of(files::name(path));
                return Err(trouble.advice(format!("give it one: NAME={}", files::name(path))));
            }
        }
    }
    Ok(parts.join("/"))
}

fn utf8(part: &Path, path: &Path) -> Result<String, Trouble> {
    let what = || Trouble::new("this path is not UTF-8, as names of regions are").of(files::name(path));
    part.to_str().map(str::to_owned).ok_or_else(what)
}

fn add(writer: &mut Writer<'_>, item: &Item, target: &Path) -> Result<(), Trouble> {
    let of_item = |error: io::Error| Trouble::from(error).of(files::name(&item.path));
    let file = if files::is_dash(&item.path) {
        spool(io::stdin().lock(), target)
            .map_err(|error| Trouble::from(error).of("standard input, which is written to a file without a name first"))?
    } else {
        let file = File::open(&item.path).map_err(of_item)?;
        if file.metadata().map_err(of_item)?.is_file() { file } else { spool(file, target).map_err(of_item)? }
    };
    let map = MappedFile::of(file).map_err(|error| Trouble::from(error).of(files::name(&item.path)))?;
    Ok(writer.add(&item.name, &map)?)
}

/// A file without a name, in the folder of another one, for what does not fit into memory.
pub fn scratch(beside: &Path) -> io::Result<File> {
    // Beside a device or pipe there is no room, or no folder at all (/dev/fd/3).
    let is_special = files::is_stdout(beside) || fs::metadata(beside).is_ok_and(|there| !there.is_file());
    let folder = beside.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    if is_special { tempfile::tempfile() } else { tempfile::tempfile_in(folder) }
}

fn spool(mut from: impl io::Read, beside: &Path) -> io::Result<File> {
    let mut file = scratch(beside)?;
    io::copy(&mut from, &mut file)?;
    Ok(file)
}

/// Memory for pieces of regions; a frame that is larger is read as a whole.
const BATCH: u64 = 16 << 20;

/// Is given the number of a region, a piece of it, and whether that is its last one.
pub type Put<'p> = dyn FnMut(usize, &[u8], bool) -> Result<(), Trouble> + 'p;

/// Is told the number of a region, and why it can't be read.
pub type Fail<'p> = dyn FnMut(usize, checkpoint::Error) -> Result<(), Trouble> + 'p;

/// Calls `put` with all the bytes of regions. Where one can't be read, `fail` is told, and it goes on with the next.
pub fn each_region(reader: &Reader<'_>, numbers: &[usize], put: &mut Put<'_>, fail: &mut Fail<'_>) -> Result<(), Trouble> {
    let size = |number: usize| reader.entry(number).map_or(0, |entry| entry.size());
    let mut rest = numbers;
    while let Some((&first, others)) = rest.split_first() {
        if size(first) > BATCH {
            large_region(reader, first, put, fail)?;
            rest = others;
            continue;
        }
        // Small regions share frames, which are restored once for all of them.
        let (mut together, mut total) = (0, 0);
        while together < rest.len().min(4096) && total + size(rest[together]) <= BATCH {
            total += size(rest[together]);
            together += 1;
        }
        let (batch, behind) = rest.split_at(together);
        rest = behind;
        for (number, data) in batch.iter().zip(read_batch(reader, batch)?) {
            match data {
                Ok(data) => put(*number, &data, true)?,
                Err(failure) => fail(*number, failure)?,
            }
        }
    }
    Ok(())
}

/// Memory of a size that a file says.
pub fn zeros(size: u64) -> Result<Vec<u8>, Trouble> {
    let mut memory = Vec::new();
    let out_of_memory = || io::Error::from(io::ErrorKind::OutOfMemory);
    let size = usize::try_from(size).map_err(|_| out_of_memory())?;
    memory.try_reserve_exact(size).map_err(|_| out_of_memory())?;
    memory.resize(size, 0);
    Ok(memory)
}

/// Whether a region is read with others, or in pieces.
pub fn is_large(size: u64) -> bool {
    size > BATCH
}

/// Several regions at once, which together are not large. One that is damaged keeps none of the others back.
pub fn read_batch(reader: &Reader<'_>, numbers: &[usize]) -> Result<Vec<Result<Vec<u8>, checkpoint::Error>>, Trouble> {
    let size = |number: &usize| reader.entry(*number).map_or(0, |entry| entry.size());
    let memory: Result<Vec<Vec<u8>>, Trouble> = numbers.iter().map(|number| zeros(size(number))).collect();
    let mut memory = memory?;
    let mut requests: Vec<Request<'_>> = numbers.iter().zip(&mut memory).map(|(&number, to)| Request { number, to }).collect();
    if reader.read_many(&mut requests).is_ok() {
        return Ok(memory.into_iter().map(Ok).collect());
    }
    Ok(numbers.iter().map(|number| reader.read_to_vec(*number)).collect())
}

fn large_region(reader: &Reader<'_>, number: usize, put: &mut Put<'_>, fail: &mut Fail<'_>) -> Result<(), Trouble> {
    let Some(entry) = reader.entry(number) else { return Ok(()) };
    // Whole frames, so that none is restored twice.
    let frame = entry.frame().and_then(|frame| reader.frame(frame)).map_or(1, |frame| frame.data.max(1));
    let step = (BATCH / frame).max(1) * frame;
    let mut piece = zeros(step.min(entry.size()))?;
    let mut at = 0;
    while at < entry.size() {
        // The first step ends where a frame does.
        let skip = if at == 0 { entry.frame_offset() % frame } else { 0 };
        let count = (step - skip).min(entry.size() - at) as usize;
        if let Err(failure) = reader.read_at(number, at, &mut piece[..count]) {
            return fail(number, failure);
        }
        at += count as u64;
        put(number, &piece[..count], at == entry.size())?;
    }
    Ok(())
}

pub fn restore(restore: &Restore) -> Result<u8, Trouble> {
    let file = files::Input::open(&restore.file)?;
    let kind = Kind::of(&file)?;
    let Kind::Checkpoint(reader) = &kind else {
        return Err(kind::refuse(&kind, &restore.file, "`fdckpt extract` takes pieces out of it"));
    };
    let numbers = if restore.names.is_empty() {
        (0..reader.len()).collect()
    } else {
        let mut numbers = Vec::new();
        for name in &restore.names {
            numbers.extend(extract::regions(reader, &restore.file, name)?);
        }
        numbers.sort_unstable();
        numbers.dedup();
        numbers
    };
    let name = |number: usize| reader.entry(number).map_or("", |entry| entry.name());
    let total = ui::total(numbers.iter().filter_map(|number| reader.entry(*number)).map(|entry| entry.size()));
    let mut progress = Progress::new("restoring", Some(total), 0);
    let worst = std::cell::Cell::new(GOOD);
    let tell = |number: usize, why: &str, status: u8| {
        worst.set(worst.get().max(status));
        ui::complain(format_args!("{}: not restored: {}: {why}", files::name(&restore.file), printable(name(number))));
    };
    // Names that lead out of the folder are found before anything is written.
    let (inside, outside): (Vec<usize>, Vec<usize>) = numbers.into_iter().partition(|number| place(name(*number)).is_some());
    for number in outside {
        tell(number, "its name is no plain path below the folder (`fdckpt extract` writes it anywhere)", BAD);
    }
    let place_of = |number: usize| files::name(&restore.directory.join(name(number)));
    // The region that is being written, without a file where none can be made: that is told once, not for each piece.
    let mut open: Option<(usize, Option<AtomicFile>)> = None;
    each_region(
        reader,
        &inside,
        &mut |number, piece, last| {
            progress.add(piece.len() as u64);
            if open.as_ref().is_none_or(|(of, _)| *of != number) {
                let path = place(name(number)).unwrap_or_default();
                let file = create_below(&restore.directory, &path).map_err(|trouble| tell(number, &trouble.what, trouble.status));
                open = Some((number, file.ok()));
            }
            if let Some((_, Some(file))) = &mut open {
                file.write_all(piece).map_err(|error| Trouble::from(error).of(place_of(number)))?;
            }
            if let Some((_, Some(file))) = open.take_if(|_| last) {
                file.commit().map_err(|error| Trouble::from(error).of(place_of(number)))?;
            }
            Ok(())
        },
        &mut |number, failure| {
            tell(number, &failure.kind().to_string(), BAD);
            Ok(())
        },
    )?;
    Ok(worst.get())
}

/// Where a region goes to below a folder; `None` where its name leads out of it.
pub fn place(name: &str) -> Option<PathBuf> {
    let plain = |part: &str| !matches!(part, "" | "." | "..") && !part.contains('\0');
    name.split('/').all(plain).then(|| name.into())
}

/// Makes a file below a folder. A link on the way could lead elsewhere, so there must be none; one in the place of the file is replaced.
pub fn create_below(folder: &Path, path: &Path) -> Result<AtomicFile, Trouble> {
    let mut way = folder.to_owned();
    fs::create_dir_all(&way).map_err(|error| Trouble::from(error).of(files::name(&way)))?;
    for part in path.parent().into_iter().flat_map(Path::components) {
        way.push(part);
        match fs::symlink_metadata(&way) {
            Ok(there) if there.is_dir() => {}
            Ok(there) if there.is_symlink() => {
                return Err(Trouble::new("this is a link, which could lead out of the folder").of(files::name(&way)));
            }
            Ok(_) => return Err(Trouble::new("a folder is needed here, and there is a file").of(files::name(&way))),
            Err(_) => fs::create_dir(&way).map_err(|error| Trouble::from(error).of(files::name(&way)))?,
        }
    }
    let path = folder.join(path);
    let there = fs::symlink_metadata(&path).ok();
    if there.as_ref().is_some_and(Metadata::is_dir) {
        return Err(Trouble::new("this is a folder").of(files::name(&path)));
    }
    let new = AtomicFile::begin(&path, SyncMode::None).map_err(|error| Trouble::from(error).of(files::name(&path)))?;
    if let Some(there) = there.filter(Metadata::is_file) {
        files::keep_permissions(&new, &there).map_err(|error| Trouble::from(error).of(files::name(&path)))?;
    }
    Ok(new)
}

pub fn salvage(salvage: &Salvage) -> Result<u8, Trouble> {
    if files::is_dash(&salvage.from) {
        return Err(Trouble::new("standard input: only what is in a file can be salvaged").advice("write it to a file first"));
    }
    let size = fs::metadata(&salvage.from).map_err(|error| Trouble::from(error).of(files::name(&salvage.from)))?.len();
    let progress = Mutex::new(Progress::new("salvaging", Some(size), 0));
    let options = writer_options(&salvage.writing, &progress);
    let target = Destination::of(&salvage.to)?;
    let found = checkpoint::salvage(&salvage.from, target.path(), options)?;
    target.replaced()?;
    drop(progress);
    let mut out = ui::Out::new();
    let to = files::name(&salvage.to);
    if !found.index {
        writeln!(
            out,
            "{to}: the index is lost, and with it names, sizes and checksums: what could be restored is named by where it was"
        )?;
    }
    writeln!(
        out,
        "{to}: {} verified, {} partial, {} unverified, {} lost",
        found.verified, found.partial, found.unverified, found.lost
    )?;
    let whole = found.index && found.partial == 0 && found.unverified == 0 && found.lost == 0;
    if found.unverified > 0 {
        writeln!(out, "  unverified pieces can have any content; `fdckpt list {to}` lists what there is")?;
    }
    out.finish(if whole { GOOD } else { BAD })
}

/// Writes a region to something, piece by piece.
pub fn write_region(reader: &Reader<'_>, number: usize, to: &mut impl Write, progress: &mut Progress) -> Result<(), Trouble> {
    each_region(
        reader,
        &[number],
        &mut |_, piece, _| {
            progress.add(piece.len() as u64);
            Ok(to.write_all(piece)?)
        },
        &mut |_, failure| Err(failure.into()),
    )
}

/// Where several pieces go, each to its own file.
pub fn output_below(folder: &Path, name: &str) -> Result<Output, Trouble> {
    let path =
        place(name).ok_or_else(|| Trouble::new(format!("the name {} is no plain path below the folder", printable(name))))?;
    let file = create_below(folder, &path)?;
    Ok(Output::File(file, folder.join(path)))
}
