//! convert: from one format to another.

use std::io;
use std::path::Path;
use std::sync::Mutex;

use fdckpt::inflate::{Description, Form, Format as StreamFormat, Inflate};
use fdckpt::{Container, FrameStyle, MappedFile, Section, checkpoint, fti};

use crate::cli::{Convert, Stream, Target};
use crate::files::{self, Destination, Input, Output};
use crate::kind::{self, Kind};
use crate::pack;
use crate::ui::{GOOD, Progress, Trouble, note, total};

pub fn convert(convert: &Convert) -> Result<u8, Trouble> {
    let file = Input::open(&convert.from)?;
    let kind = Kind::of(&file)?;
    let of_file = |trouble: Trouble| trouble.of(files::name(&convert.from));
    if matches!(kind, Kind::Damaged(..) | Kind::Unknown(..)) {
        return Err(kind::refuse(&kind, &convert.from, ""));
    }
    let target = match (convert.target, &kind) {
        (Some(target), _) => target,
        (None, Kind::Container(_) | Kind::Index(_) | Kind::Blocks(_)) => Target::Ckpt,
        (None, Kind::Fti(_)) => {
            return Err(of_file(Trouble::new("this is FTI-FF").advice("say with --to what it is to become, for example --to E")));
        }
        (None, _) => return Err(of_file(Trouble::new("say with --to what it is to become"))),
    };
    match (&kind, target, generation(target), form(target)) {
        (Kind::Checkpoint(_), Target::Ckpt, ..) => {
            Err(of_file(Trouble::new("a self-describing checkpoint is a CKPT container already").advice("`cp` copies it")))
        }
        (Kind::Checkpoint(reader), _, Some(generation), _) => to_fti(reader, generation, convert).map_err(of_file),
        (Kind::Fti(checkpoint), Target::Checkpoint, ..) => from_fti(checkpoint, convert).map_err(of_file),
        (Kind::Container(container), Target::Checkpoint, ..) => from_container(container, convert).map_err(of_file),
        (Kind::Container(container), Target::Ckpt, ..) => canonical(container, &convert.to).map_err(of_file),
        (Kind::Index(_), Target::Ckpt, ..) => canonical(&Container::parse(&file)?, &convert.to).map_err(of_file),
        (Kind::Blocks(index), Target::Ckpt, ..) => {
            refuse_stop(index).map_err(of_file)?;
            let mut container = Container::new();
            container.set(1, &file[..])?;
            write(&container, &convert.to)
        }
        (Kind::Container(container), Target::BlockIndex, ..) => block_index(container, &convert.to).map_err(of_file),
        (Kind::Fti(checkpoint), _, Some(generation), _) => fti_ff(checkpoint, generation, convert).map_err(of_file),
        (Kind::Inflate(description), _, _, Some(form)) => blob(&file, description, form, convert).map_err(of_file),
        _ => {
            let to = clap::ValueEnum::to_possible_value(&target).map_or_else(String::new, |value| value.get_name().to_owned());
            Err(kind::refuse(&kind, &convert.from, &format!("{to} can't be made of it")))
        }
    }
}

fn generation(target: Target) -> Option<fti::FormatVersion> {
    Some(match target {
        Target::A => fti::FormatVersion::V1_1,
        Target::B => fti::FormatVersion::V1_2,
        Target::C => fti::FormatVersion::V1_3,
        Target::D0 => fti::FormatVersion::V1_4_0,
        Target::D => fti::FormatVersion::V1_4_1,
        Target::E => fti::FormatVersion::Post1_6,
        _ => return None,
    })
}

fn form(target: Target) -> Option<Form> {
    Some(match target {
        Target::Full => Form::Full,
        Target::Compact => Form::Compact,
        Target::Blob => Form::Blob,
        Target::Blob0x1001 => Form::Blob0x1001,
        _ => return None,
    })
}

fn write(container: &Container<'_>, to: &Path) -> Result<u8, Trouble> {
    let mut out = Output::create(Some(to))?;
    let mut progress = Progress::new("writing", container.serialized_size().ok(), 0);
    container.copy_to(Watched { out: &mut out, progress: &mut progress })?;
    out.finish()?;
    Ok(GOOD)
}

/// Output that the progress is told of.
struct Watched<'o> {
    out: &'o mut Output,
    progress: &'o mut Progress,
}

impl io::Write for Watched<'_> {
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        let count = self.out.write(&data[..data.len().min(1 << 20)])?;
        self.progress.add(count as u64);
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

/// The sections that are found by their types. Tells of the others.
fn first_of_types<'c>(container: &'c Container<'_>) -> impl Iterator<Item = Section<'c>> {
    let mut seen = [false; 256];
    container.sections().enumerate().filter_map(move |(position, section)| {
        let kind = section.kind();
        let is_first = !std::mem::replace(&mut seen[usize::from(kind)], true);
        if !is_first {
            note(format_args!("lost: section {position}, a further one of type {kind}, which is not found by its type"));
        }
        is_first.then_some(section)
    })
}

/// Sections one behind the other, of each type the first: what setting them one by one would give.
fn canonical(container: &Container<'_>, to: &Path) -> Result<u8, Trouble> {
    let mut tidy = Container::new();
    for section in first_of_types(container) {
        let advice = |error| Trouble::from(error).advice("`fdckpt extract` can save the sections that are whole");
        tidy.set(section.kind(), section.data().map_err(advice)?)?;
    }
    if container.version() != 1 {
        note(format_args!("lost: the version {}, which becomes 1", container.version()));
    }
    let findings = container.verify()?;
    for finding in findings {
        match finding.kind {
            fdckpt::IssueKind::UnknownKey => note(format_args!("lost: {finding}")),
            fdckpt::IssueKind::DataBehind { .. } => note(format_args!("lost: {finding}")),
            fdckpt::IssueKind::Place { expected, found } if found > expected => {
                note(format_args!("lost: {} bytes at offset {expected}, which belong to no section", found - expected));
            }
            _ => {}
        }
    }
    write(&tidy, to)
}

fn refuse_stop(index: &fdckpt::BlockIndex) -> Result<(), Trouble> {
    index.stop.map_or(Ok(()), |stop| {
        Err(Trouble::damaged(format!("the index of blocks is damaged: at byte {}, {}", stop.offset, stop.why)))
    })
}

fn block_index(container: &Container<'_>, to: &Path) -> Result<u8, Trouble> {
    let data = container.get(1)?;
    refuse_stop(&fdckpt::BlockIndex::decode(data)?)?;
    for (position, section) in container.sections().enumerate() {
        if section.kind() != 1 {
            note(format_args!(
                "lost: section {position} of type {}: the legacy file has the index of blocks alone",
                section.kind()
            ));
        }
    }
    let mut out = Output::create(Some(to))?;
    io::Write::write_all(&mut out, data)?;
    out.finish()?;
    Ok(GOOD)
}

fn fti_ff(checkpoint: &fti::Checkpoint<'_>, generation: fti::FormatVersion, convert: &Convert) -> Result<u8, Trouble> {
    let header = checkpoint.header();
    let mut options = fti_options(generation, header.ckpt_id, convert)?;
    let is_short = |generation| matches!(generation, fti::FormatVersion::V1_4_1 | fti::FormatVersion::Post1_6);
    if is_short(checkpoint.generation()) && !is_short(generation) {
        note("lost: the time, of which this generation has only the lowest 32 bits; the new file has that of now");
    } else {
        options.timestamp = Some(header.timestamp);
    }
    if header.ckpt_id.is_some() && !has_id(generation) {
        note(format_args!(
            "lost: the number of the checkpoint, {}, which generation {generation} does not have",
            options.ckpt_id
        ));
    }
    if header.pt_fs != -1 || header.max_fs != -1 {
        note("lost: the sizes of files of other ranks (maxFs, ptFs): these files have other sizes in another generation");
    }
    let total = total(checkpoint.variables().iter().map(|variable| variable.size));
    write_fti(&convert.to, total, |path| fti::convert(checkpoint, path, &options))?;
    Ok(GOOD)
}

/// What [`tell`] tells.
static PROGRESS: Mutex<Option<Progress>> = Mutex::new(None);

fn tell(bytes: u64) {
    if let Ok(mut progress) = PROGRESS.lock()
        && let Some(progress) = &mut *progress
    {
        progress.add(bytes);
    }
}

/// Does something that calls [`tell`].
fn with_progress<T>(total: u64, job: impl FnOnce() -> T) -> T {
    let set = |progress| {
        if let Ok(mut place) = PROGRESS.lock() {
            *place = progress;
        }
    };
    set(Some(Progress::new("converting", Some(total), 0)));
    let result = job();
    set(None);
    result
}

fn has_id(generation: fti::FormatVersion) -> bool {
    !matches!(generation, fti::FormatVersion::V1_1 | fti::FormatVersion::V1_2)
}

fn fti_options(generation: fti::FormatVersion, stored: Option<i32>, convert: &Convert) -> Result<fti::Options, Trouble> {
    let id = convert.ckpt_id.or(stored).or_else(|| id_in_name(&convert.from)).or_else(|| id_in_name(&convert.to));
    if id.is_none() && has_id(generation) {
        let what = format!("generation {generation} needs the number of the checkpoint, which this file does not have");
        return Err(Trouble::new(what).advice("give it with --ckpt-id"));
    }
    let mut options = fti::Options::new(generation, id.unwrap_or(1));
    options.threads = pack::threads(None);
    options.progress = Some(tell);
    Ok(options)
}

/// Writes a file of FTI. What the system refuses is of that file; what is damaged is of the one that is read.
fn write_fti(to: &Path, total: u64, job: impl FnOnce(&Path) -> Result<(), fti::Error>) -> Result<(), Trouble> {
    let target = Destination::of(to)?;
    with_progress(total, || job(target.path())).map_err(|error| match error {
        fti::Error::Io(_) => Trouble::from(error).of(files::name(to)),
        _ => error.into(),
    })?;
    target.replaced()
}

/// Attributes that keep what FTI-FF has beside its variables.
const GENERATION: &str = "fti.generation";
const CKPT_ID: &str = "fti.ckptId";
const TIMESTAMP: &str = "fti.timestamp";

/// Each variable becomes a region, with its id for a name.
fn from_fti(checkpoint: &fti::Checkpoint<'_>, convert: &Convert) -> Result<u8, Trouble> {
    let header = checkpoint.header();
    let total = total(checkpoint.variables().iter().map(|variable| variable.size));
    let mut progress = Progress::new("converting", Some(total), 0);
    let (mut writer, target) = writer(convert)?;
    for variable in checkpoint.variables() {
        // It may lie in several pieces, and be larger than the memory.
        let file = pack::scratch(&convert.to)?;
        let mut out = std::io::BufWriter::with_capacity(1 << 18, &file);
        checkpoint.copy_variable(variable.id, &mut |piece| {
            progress.add(piece.len() as u64);
            std::io::Write::write_all(&mut out, piece)
        })?;
        std::io::Write::flush(&mut out)?;
        drop(out);
        writer.add(&variable.id.to_string(), &MappedFile::of(file)?)?;
    }
    writer.attribute(GENERATION, checkpoint.generation().to_string().as_bytes())?;
    writer.attribute(TIMESTAMP, header.timestamp.to_string().as_bytes())?;
    if let Some(id) = convert.ckpt_id.or(header.ckpt_id) {
        writer.attribute(CKPT_ID, id.to_string().as_bytes())?;
    }
    writer.commit()?;
    target.replaced()?;
    if checkpoint.containers().len() > checkpoint.variables().len() {
        note("lost: the division of variables into containers");
    }
    if header.pt_fs != -1 || header.max_fs != -1 {
        note("lost: the sizes of files of other ranks (maxFs, ptFs)");
    }
    Ok(GOOD)
}

fn writer(convert: &Convert) -> Result<(checkpoint::Writer<'static>, Destination), Trouble> {
    let options = checkpoint::WriterOptions::new().style(FrameStyle::Lz4).threads(pack::threads(None));
    let target = Destination::of(&convert.to)?;
    Ok((options.create(target.path())?, target))
}

/// Regions become variables, whose ids are their names.
fn to_fti(reader: &checkpoint::Reader<'_>, generation: fti::FormatVersion, convert: &Convert) -> Result<u8, Trouble> {
    let number =
        |key: &str| reader.attribute(key).and_then(|value| std::str::from_utf8(value).ok()).and_then(|text| text.parse().ok());
    let mut options = fti_options(generation, number(CKPT_ID).and_then(|id: i64| i32::try_from(id).ok()), convert)?;
    let is_short = |generation| matches!(generation, "D" | "E");
    let was = reader.attribute(GENERATION).and_then(|value| std::str::from_utf8(value).ok()).unwrap_or_default();
    let now = generation.to_string();
    if !was.is_empty() && (is_short(&now) || !is_short(was)) {
        options.timestamp = number(TIMESTAMP);
    }
    // A name that is not written as its number (007) would not come back.
    let id = |name: &str| name.parse().ok().filter(|id: &i32| id.to_string() == name);
    let ids: Option<Vec<i32>> = reader.entries().map(|entry| id(entry.name())).collect();
    let named = ids.is_some();
    let ids = ids.unwrap_or_else(|| (0..reader.len()).map(|number| number as i32).collect());
    // All variables are needed at once: in a file, as they may be larger than the memory.
    let file = pack::scratch(&convert.to)?;
    let mut out = std::io::BufWriter::with_capacity(1 << 18, &file);
    let mut progress = Progress::new("converting", Some(reader.data_size()), 0);
    for number in 0..reader.len() {
        pack::write_region(reader, number, &mut out, &mut progress)?;
    }
    std::io::Write::flush(&mut out)?;
    drop(out);
    let map = MappedFile::of(file)?;
    let (mut variables, mut rest) = (Vec::new(), &map[..]);
    for (entry, id) in reader.entries().zip(&ids) {
        let (data, behind) = rest.split_at(entry.size() as usize);
        rest = behind;
        variables.push(fti::Protected::new(*id, data));
    }
    drop(progress);
    write_fti(&convert.to, reader.data_size(), |path| fti::Writer::new().checkpoint(path, &options, &variables))?;
    if !named {
        note("lost: the names of the regions; the variables have their numbers, counted from 0, for ids");
    }
    for (key, _) in reader.attributes() {
        if !matches!(key, GENERATION | CKPT_ID | TIMESTAMP) {
            note(format_args!("lost: the attribute {}", crate::ui::printable(key)));
        }
    }
    Ok(GOOD)
}

/// Each section becomes a region, named by its type.
fn from_container(container: &Container<'_>, convert: &Convert) -> Result<u8, Trouble> {
    let (mut writer, target) = writer(convert)?;
    for section in first_of_types(container) {
        writer.add(&format!("section-{}", section.kind()), section.data()?)?;
    }
    writer.commit()?;
    target.replaced()?;
    Ok(GOOD)
}

/// The number in the name that FTI gives its files.
fn id_in_name(path: &Path) -> Option<i32> {
    let name = path.file_name()?.to_str()?.strip_prefix("Ckpt")?;
    name[..name.find(|c: char| !c.is_ascii_digit())?].parse().ok()
}

fn blob(file: &[u8], description: &Description, form: Form, convert: &Convert) -> Result<u8, Trouble> {
    let given = convert.stream.map(|stream| match stream {
        Stream::Deflate => StreamFormat::Deflate,
        Stream::Deflate64 => StreamFormat::Deflate64,
        Stream::Zlib => StreamFormat::Zlib,
        Stream::Gzip => StreamFormat::Gzip,
    });
    let needs = || {
        Trouble::new("this layout does not say of which format its stream is")
            .advice("say it with --stream deflate or --stream deflate64")
    };
    let format = description.format.or(given).ok_or_else(needs)?;
    if given.is_some_and(|given| given != format) {
        return Err(Trouble::new(format!("this is of a {} stream", crate::look::stream(format))));
    }
    let mut inflate = Inflate::new(format)?;
    inflate.restore(file)?;
    let (checkpoint, position) = inflate.checkpoint(form)?;
    if matches!(form, Form::Blob | Form::Blob0x1001) {
        if description.format.is_some() {
            note("lost: the format of the stream, which this layout does not have");
        }
        if position != description.position {
            note(format_args!("the new one goes on at other places: input {}, output {}", position.input, position.output));
        }
    }
    let mut out = Output::create(Some(&convert.to))?;
    io::Write::write_all(&mut out, &checkpoint)?;
    out.finish()?;
    Ok(GOOD)
}
