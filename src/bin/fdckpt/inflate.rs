//! inflate: decompression that goes on where it was, and that reads anywhere by an index.

use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, Cursor, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;
use std::time::UNIX_EPOCH;

use fdckpt::inflate::{Form, Format, Index, Inflate, Reader, Status};
use fdckpt::{Container, Durability, Error, MappedFile, Replacement};
use serde_json::{Value, json};

use crate::cli::{Inflate as Options, Stream};
use crate::files::{self, ENDING, ENDS_ITSELF, Input, Output, SIGNAL};
use crate::ui::{self, GOOD, Progress, Trouble, bytes};
use crate::zip::{self, Archive};

const EVERY: u64 = 64 << 20;
const EVERY_POINT: u64 = 4 << 20;

/// So much is written at a time.
const PIECE: usize = 1 << 18;

/// Compressed data, and what is known of it.
struct Source<'f> {
    data: &'f [u8],
    /// `None` where it is only stored.
    format: Option<Format>,
    /// Checksum and size that the output is to have.
    expected: Option<(u32, u64)>,
    entry: String,
}

pub fn inflate(options: &Options) -> Result<u8, Trouble> {
    let to_terminal = options.output.is_none() && io::IsTerminal::is_terminal(&io::stdout());
    if to_terminal && options.index.is_none() {
        return Err(Trouble::new("standard output is a terminal")
            .advice("name a file for the output, or - to write it there all the same"));
    }
    if files::is_dash(&options.input) {
        return from_stdin(options);
    }
    let file = Input::open(&options.input)?;
    let archive = if file.starts_with(b"PK") || options.entry.is_some() { Archive::open(&file) } else { None };
    let of_file = |trouble: Trouble| trouble.of(files::name(&options.input));
    let source = source(&file, archive.as_ref(), options).map_err(of_file)?;
    if options.index.is_some() || options.at.is_some() || options.len.is_some() {
        return part(&source, options, to_terminal).map_err(of_file);
    }
    let target = options.output.as_deref().filter(|path| !files::is_dash(path));
    let is_file = |path: &&Path| fs::metadata(path).is_ok_and(|there| there.is_file()) || !path.exists();
    match target.filter(is_file) {
        Some(target) if matches!(file, Input::Mapped(_)) => {
            // A link stays one, and what it leads to is replaced.
            let target = fs::canonicalize(target).unwrap_or_else(|_| target.to_owned());
            Resumable::new(&source, options, &target)?.run().map_err(of_file)
        }
        _ if options.state.is_some() => {
            Err(Trouble::new("--state needs an input and an output that are files: others can't be gone back in"))
        }
        _ => {
            let mut out = Output::create(options.output.as_deref())?;
            let mut run = Run::new(&source)?;
            run.all(&mut out).map_err(of_file)?;
            run.check(&source).map_err(of_file)?;
            out.finish()?;
            Ok(GOOD)
        }
    }
}

fn format(stream: Stream) -> Format {
    match stream {
        Stream::Deflate => Format::Deflate,
        Stream::Deflate64 => Format::Deflate64,
        Stream::Zlib => Format::Zlib,
        Stream::Gzip => Format::Gzip,
    }
}

/// The format by the first two bytes.
fn detect(begin: &[u8]) -> Option<Format> {
    let [first, second, ..] = *begin else { return None };
    match (first, second) {
        (0x1f, 0x8b) => Some(Format::Gzip),
        _ if first & 0x8f == 8 && (u16::from(first) << 8 | u16::from(second)).is_multiple_of(31) => Some(Format::Zlib),
        _ => None,
    }
}

fn undetected() -> Trouble {
    Trouble::new("this is neither gzip nor zlib data nor a zip archive")
        .advice("for raw data, which has no mark, say --format deflate or --format deflate64")
}

fn source<'f>(file: &'f [u8], archive: Option<&'f Archive<'f>>, options: &Options) -> Result<Source<'f>, Trouble> {
    if let Some(stream) = options.format {
        return Ok(Source { data: file, format: Some(format(stream)), expected: None, entry: String::new() });
    }
    if let Some(archive) = archive {
        let entry = archive.find(options.entry.as_deref())?;
        let format = match entry.method {
            zip::STORED => None,
            zip::DEFLATE => Some(Format::Deflate),
            zip::DEFLATE64 => Some(Format::Deflate64),
            _ => return Err(entry.unsupported()),
        };
        return Ok(Source { data: entry.data, format, expected: Some((entry.crc, entry.size)), entry: entry.name });
    }
    if options.entry.is_some() || file.starts_with(b"PK\x03\x04") {
        return Err(Trouble::damaged("this is no zip archive, or its end is missing, which has the directory"));
    }
    let format = detect(file).ok_or_else(undetected)?;
    Ok(Source { data: file, format: Some(format), expected: None, entry: String::new() })
}

/// What comes through a pipe is decompressed in one go.
fn from_stdin(options: &Options) -> Result<u8, Trouble> {
    if options.index.is_some() || options.entry.is_some() || options.state.is_some() {
        return Err(Trouble::new("--entry, --index and --state need an input that is a file: a pipe can't be gone back in"));
    }
    let mut input = BufReader::with_capacity(PIECE, io::stdin().lock());
    let format = options.format.map(format).or_else(|| detect(input.fill_buf().unwrap_or_default())).ok_or_else(undetected)?;
    let of_input = |error: io::Error| Trouble::from(error).of("standard input");
    let mut out = Output::create(options.output.as_deref())?;
    let mut progress = Progress::new("decompressing", None, 0);
    let mut reader = Reader::new(input, format)?;
    let from = options.at.unwrap_or(0);
    let mut piece = vec![0; PIECE];
    let mut skip = from;
    let mut left = options.len.unwrap_or(u64::MAX);
    while left > 0 {
        let count = reader.read(&mut piece).map_err(of_input)?;
        if count == 0 {
            break;
        }
        let passed = skip.min(count as u64) as usize;
        skip -= passed as u64;
        let wanted = left.min((count - passed) as u64) as usize;
        out.write_all(&piece[passed..passed + wanted])?;
        left -= wanted as u64;
        progress.add(count as u64);
    }
    out.finish()?;
    Ok(GOOD)
}

/// A decompression, with the checksum of its output.
struct Run<'f> {
    data: &'f [u8],
    /// `None` for data that is only stored.
    inflate: Option<Inflate>,
    input: u64,
    output: u64,
    sum: crc32fast::Hasher,
    progress: Progress,
}

impl<'f> Run<'f> {
    fn new(source: &Source<'f>) -> Result<Self, Trouble> {
        let inflate = source.format.map(Inflate::new).transpose()?;
        let progress = Progress::new("decompressing", Some(source.data.len() as u64), 0);
        Ok(Self { data: source.data, inflate, input: 0, output: 0, sum: crc32fast::Hasher::new(), progress })
    }

    /// Decompresses a piece; `None` at the end.
    fn step<'p>(&mut self, piece: &'p mut [u8]) -> Result<Option<&'p [u8]>, Trouble> {
        let rest = &self.data[self.input as usize..];
        let (consumed, produced, ended) = match &mut self.inflate {
            None => {
                let count = rest.len().min(piece.len());
                piece[..count].copy_from_slice(&rest[..count]);
                (count, count, rest.is_empty())
            }
            Some(inflate) => {
                let progress = inflate.decompress(rest, piece);
                let ended = match progress.result {
                    Ok(Status::NeedsInput) if progress.produced == 0 => {
                        return Err(Error::Truncated { offset: self.data.len() as u64 }.into());
                    }
                    Ok(status) => status == Status::Done && progress.produced == 0,
                    // What came before the error is right, and is told first.
                    Err(_) if progress.produced > 0 => false,
                    Err(error) => return Err(error.into()),
                };
                (progress.consumed, progress.produced, ended)
            }
        };
        self.input += consumed as u64;
        self.output += produced as u64;
        self.progress.add(consumed as u64);
        let piece = &piece[..produced];
        self.sum.update(piece);
        Ok((!ended).then_some(piece))
    }

    fn all(&mut self, out: &mut impl Write) -> Result<(), Trouble> {
        let mut piece = vec![0; PIECE];
        while let Some(piece) = self.step(&mut piece)? {
            out.write_all(piece)?;
        }
        Ok(())
    }

    /// Compares checksum and size with what they should be; zlib and gzip streams have checked their own.
    fn check(&self, source: &Source<'_>) -> Result<(), Trouble> {
        if let Some((sum, size)) = source.expected {
            let (found, entry) = (self.sum.clone().finalize(), ui::printable(&source.entry));
            if self.output != size {
                let what = format!("entry {entry}: it has {}, the archive says {}", bytes(self.output), bytes(size));
                return Err(Trouble::damaged(what));
            }
            if found != sum {
                let what = format!("entry {entry}: the checksum of the data is {found:08x}, expected {sum:08x}: it is damaged");
                return Err(Trouble::damaged(what));
            }
        }
        let behind = self.data.len() as u64 - self.input;
        if behind > 0 {
            self.progress.note(format_args!("{} follow the end of the compressed data, and were left alone", bytes(behind)));
        }
        Ok(())
    }
}

/// A decompression to a file, of which the state is saved now and then.
///
/// The output is written to a file of its own until it is complete. It is synced before a state is saved that relies on it, and a state
/// takes the place of the one before in one step: so there is at each moment a state that fits what there is of the output.
struct Resumable<'f> {
    source: &'f Source<'f>,
    run: Run<'f>,
    every: u64,
    target: PathBuf,
    part: PathBuf,
    state: PathBuf,
    out: File,
    /// What tells the input from others.
    identity: Value,
    /// How much output there was at the last state; `None` without one.
    saved: Option<u64>,
}

/// The types of the state's sections: what it is of, the checkpoint, and their checksum.
const STATE: u8 = 140;
const CHECKPOINT: u8 = 141;
const SUM: u8 = 142;

/// So much in front of the position is compared, of input and output.
const COMPARED: u64 = 1 << 16;

fn beside(path: &Path, ending: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(ending);
    name.into()
}

fn sum_of(pieces: &[&[u8]]) -> u32 {
    let mut sum = crc32fast::Hasher::new();
    pieces.iter().for_each(|piece| sum.update(piece));
    sum.finalize()
}

impl<'f> Resumable<'f> {
    fn new(source: &'f Source<'f>, options: &Options, target: &Path) -> Result<Self, Trouble> {
        let part = beside(target, ".fdckpt-part");
        let state = options.state.clone().unwrap_or_else(|| beside(target, ".fdckpt-state"));
        let there = fs::metadata(&options.input)?;
        let modified = there.modified()?.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_nanos() as u64);
        let identity = json!({
            "size": there.len(),
            "modified": modified,
            "entry": source.entry,
            "stream": source.format.map(crate::look::stream),
        });
        let of_part = |error: io::Error| Trouble::from(error).of(files::name(&part));
        let out = File::options().read(true).write(true).create(true).truncate(false).open(&part).map_err(of_part)?;
        let every = options.every.unwrap_or(EVERY).max(1);
        let target = target.to_owned();
        let mut this = Self { source, run: Run::new(source)?, every, target, part, state, out, identity, saved: None };
        this.resume()?;
        Ok(this)
    }

    /// Goes on from the state, if there is one.
    fn resume(&mut self) -> Result<(), Trouble> {
        let file = match fs::read(&self.state) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return self.begin_anew(),
            Err(error) => return Err(Trouble::from(error).of(files::name(&self.state))),
        };
        let refuse = |what: &str| {
            let advice = "remove it to begin anew, or name another one with --state";
            Err(Trouble::new(what).of(files::name(&self.state)).advice(advice))
        };
        let Some((facts, checkpoint)) = read_state(&file) else {
            return refuse("this is no state of a decompression, or it is damaged");
        };
        if facts["input"] != self.identity {
            return refuse("this is the state of another input, or the input was changed since");
        }
        let number = |name: &str| facts[name].as_u64().unwrap_or(u64::MAX);
        let (input, output) = (number("position"), number("output"));
        let before = usize::try_from(input).ok().and_then(|input| self.source.data.get(..input));
        let Some(before) = before else { return refuse("this state does not fit the input") };
        let last = &before[before.len().saturating_sub(COMPARED as usize)..];
        if number("input_sum") != u64::from(crc32fast::hash(last)) {
            return refuse("this is the state of another input, or the input was changed since");
        }
        let there = self.out.metadata()?.len();
        if there < output || number("output_sum") != u64::from(self.sum_of_last_output(output)?) {
            let what =
                format!("{}: the output that the state is of is not there any more: it begins anew", files::name(&self.part));
            ui::note(what);
            return self.begin_anew();
        }
        if let Some(inflate) = &mut self.run.inflate {
            let position = inflate.restore(checkpoint).map_err(|error| Trouble::from(error).of(files::name(&self.state)))?;
            if (position.input, position.output) != (input, output) {
                return refuse("this state does not fit itself");
            }
        }
        self.out.set_len(output)?;
        self.out.seek(SeekFrom::Start(output))?;
        self.run.sum = crc32fast::Hasher::new_with_initial_len(number("sum") as u32, output);
        (self.run.input, self.run.output, self.saved) = (input, output, Some(output));
        self.run.progress = Progress::new("decompressing", Some(self.source.data.len() as u64), input);
        ui::note(format_args!("{}: goes on at {} of output", files::name(&self.target), bytes(output)));
        Ok(())
    }

    fn begin_anew(&mut self) -> Result<(), Trouble> {
        self.out.set_len(0)?;
        Ok(())
    }

    fn sum_of_last_output(&self, output: u64) -> io::Result<u32> {
        let count = output.min(COMPARED);
        let mut last = vec![0; count as usize];
        std::os::unix::fs::FileExt::read_exact_at(&self.out, &mut last, output - count)?;
        Ok(crc32fast::hash(&last))
    }

    fn run(mut self) -> Result<u8, Trouble> {
        ENDS_ITSELF.store(true, Ordering::SeqCst);
        let mut piece = vec![0; PIECE];
        let of_part = |part: &Path| {
            let part = files::name(part);
            move |error: io::Error| Trouble::from(error).of(part)
        };
        loop {
            if ENDING.load(Ordering::SeqCst) {
                return self.interrupted();
            }
            let step = match self.run.step(&mut piece) {
                Ok(step) => step,
                Err(trouble) => {
                    // There is no use in going on from here.
                    self.discard();
                    return Err(trouble);
                }
            };
            let Some(piece) = step else { break };
            self.out.write_all(piece).map_err(of_part(&self.part))?;
            if self.run.output - self.saved.unwrap_or(0) >= self.every {
                self.save()?;
            }
        }
        if let Err(trouble) = self.run.check(self.source) {
            self.discard();
            return Err(trouble);
        }
        self.out.sync_all().map_err(of_part(&self.part))?;
        fs::rename(&self.part, &self.target).map_err(of_part(&self.target))?;
        let folder = self.target.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        // Some file systems have no sync for folders.
        _ = File::open(folder).and_then(|folder| folder.sync_all());
        match fs::remove_file(&self.state) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(Trouble::from(error).of(files::name(&self.state))),
            _ => Ok(GOOD),
        }
    }

    fn save(&mut self) -> Result<(), Trouble> {
        let of_part = |error: io::Error| Trouble::from(error).of(files::name(&self.part));
        self.out.sync_data().map_err(of_part)?;
        let (input, output) = (self.run.input, self.run.output);
        let before = &self.source.data[..input as usize];
        let facts = json!({
            "input": self.identity,
            "position": input,
            "output": output,
            "sum": self.run.sum.clone().finalize(),
            "input_sum": crc32fast::hash(&before[before.len().saturating_sub(COMPARED as usize)..]),
            "output_sum": self.sum_of_last_output(output).map_err(of_part)?,
        });
        let facts = facts.to_string().into_bytes();
        let checkpoint = match &self.run.inflate {
            Some(inflate) => inflate.checkpoint(Form::Full)?.0,
            None => Vec::new(),
        };
        let sum = sum_of(&[&facts, &checkpoint]).to_le_bytes().to_vec();
        let mut container = Container::new();
        container.set(STATE, facts)?;
        container.set(CHECKPOINT, checkpoint)?;
        container.set(SUM, sum)?;
        let of_state = |trouble: Trouble| trouble.of(files::name(&self.state));
        let mut file = Replacement::begin(&self.state, Durability::FileAndFolder).map_err(|error| of_state(error.into()))?;
        container.copy_to(&mut file).map_err(|error| of_state(error.into()))?;
        file.commit().map_err(|error| of_state(error.into()))?;
        self.saved = Some(output);
        Ok(())
    }

    /// Ends because of a signal, so that the same command goes on.
    fn interrupted(mut self) -> Result<u8, Trouble> {
        let status = files::status_of(SIGNAL.load(Ordering::SeqCst));
        if self.run.output == 0 {
            self.discard();
            return Ok(status);
        }
        self.save()?;
        self.run.progress.note(format_args!(
            "interrupted after {} of output: the same command goes on from there ({} and {} keep it)",
            bytes(self.run.output),
            files::name(&self.part),
            files::name(&self.state)
        ));
        Ok(status)
    }

    /// Removes what there is of the output.
    fn discard(&self) {
        _ = fs::remove_file(&self.part);
        _ = fs::remove_file(&self.state);
    }
}

/// What there is to say of a section of a state.
pub fn state_text(kind: u8, data: &[u8]) -> Option<String> {
    let facts: Value = serde_json::from_slice(data).ok().filter(|_| kind == STATE)?;
    let [input, output] = ["position", "output"].map(|name| facts[name].as_u64());
    Some(format!("state of `fdckpt inflate`: goes on at byte {} of the input, {} of the output", input?, output?))
}

/// What the state says, and the checkpoint.
fn read_state(file: &[u8]) -> Option<(Value, &[u8])> {
    let container = Container::parse(file).ok()?;
    let place = |kind| {
        let section = container.sections().find(|section| section.kind() == kind)?;
        file.get(usize::try_from(section.offset()).ok()?..)?.get(..usize::try_from(section.length()).ok()?)
    };
    let (facts, checkpoint) = (place(STATE)?, place(CHECKPOINT)?);
    if place(SUM)? != sum_of(&[facts, checkpoint]).to_le_bytes() {
        return None;
    }
    Some((serde_json::from_slice(facts).ok()?, checkpoint))
}

/// A part of the output, or an index, or both.
fn part(source: &Source<'_>, options: &Options, to_terminal: bool) -> Result<u8, Trouble> {
    let (from, len) = (options.at.unwrap_or(0), options.len.unwrap_or(u64::MAX));
    let whole = options.at.is_none() && options.len.is_none();
    let Some(format) = source.format else {
        if options.index.is_some() {
            return Err(Trouble::new("this entry is only stored: it can be read anywhere without an index"));
        }
        let part = source.data.get(usize::try_from(from).unwrap_or(usize::MAX)..).unwrap_or_default();
        let part = &part[..part.len().min(usize::try_from(len).unwrap_or(usize::MAX))];
        return copy(part, u64::MAX, options.output.as_deref());
    };
    let Some(path) = &options.index else {
        // Without an index there is only the way from the begin.
        let mut reader = Reader::new(source.data, format)?;
        let mut progress = Progress::new("decompressing up to there", Some(from), 0);
        let (mut piece, mut passed) = (vec![0; PIECE], 0);
        while passed < from {
            let count = reader.read(&mut piece[..(from - passed).min(PIECE as u64) as usize])?;
            if count == 0 {
                break;
            }
            passed += count as u64;
            progress.add(count as u64);
        }
        drop(progress);
        return copy(reader, len, options.output.as_deref());
    };
    if !path.exists() {
        // While the index is made, all of the output can be had at no cost.
        let out = if whole && !to_terminal { Some(Output::create(options.output.as_deref())?) } else { None };
        let mut sink = Checked { out, sum: crc32fast::Hasher::new(), size: 0 };
        let input =
            Watched { input: source.data, progress: Progress::new("making the index", Some(source.data.len() as u64), 0) };
        let index = Index::build(input, &mut sink, format, options.every.unwrap_or(EVERY_POINT).max(1))?;
        sink.check(source)?;
        let mut file = Output::create(Some(path))?;
        index.to_container()?.copy_to(&mut file)?;
        file.finish()?;
        if let Some(out) = sink.out {
            out.finish()?;
        }
        if whole {
            return Ok(GOOD);
        }
    }
    let file = MappedFile::open(path).map_err(|error| Trouble::from(error).of(files::name(path)))?;
    let advice = |trouble: Trouble| {
        Trouble { status: ui::TROUBLE, ..trouble }.of(files::name(path)).advice("remove it to have it made anew")
    };
    let index = Index::parse(&file).map_err(|error| advice(error.into()))?;
    if index.format() != format {
        return Err(advice(Trouble::new("this is the index of a stream of another format")));
    }
    if whole && to_terminal {
        return Ok(GOOD);
    }
    let changed = |error: io::Error| {
        let of_index = error.get_ref().and_then(|inner| inner.downcast_ref::<Error>());
        match of_index {
            Some(Error::InputSize { .. } | Error::InputChanged { .. } | Error::Checkpoint(_)) => advice(error.into()),
            _ => error.into(),
        }
    };
    let mut reader = index.reader(Cursor::new(source.data)).map_err(changed)?;
    reader.seek(SeekFrom::Start(from))?;
    let left = index.output_size().saturating_sub(from).min(len);
    let mut out = Output::create(options.output.as_deref())?;
    let mut progress = Progress::new("reading", Some(left), 0);
    let mut piece = vec![0; PIECE];
    let mut rest = left;
    while rest > 0 {
        let count = reader.read(&mut piece[..rest.min(PIECE as u64) as usize]).map_err(changed)?;
        if count == 0 {
            break;
        }
        out.write_all(&piece[..count])?;
        progress.add(count as u64);
        rest -= count as u64;
    }
    out.finish()?;
    Ok(GOOD)
}

fn copy(mut from: impl Read, len: u64, to: Option<&Path>) -> Result<u8, Trouble> {
    let mut out = Output::create(to)?;
    let mut progress = Progress::new("reading", None, 0);
    let (mut piece, mut left) = (vec![0; PIECE], len);
    while left > 0 {
        let count = from.read(&mut piece[..left.min(PIECE as u64) as usize])?;
        if count == 0 {
            break;
        }
        out.write_all(&piece[..count])?;
        progress.add(count as u64);
        left -= count as u64;
    }
    out.finish()?;
    Ok(GOOD)
}

/// Input that the progress is told of.
struct Watched<'f> {
    input: &'f [u8],
    progress: Progress,
}

impl Read for Watched<'_> {
    fn read(&mut self, piece: &mut [u8]) -> io::Result<usize> {
        let count = self.input.read(piece)?;
        self.progress.add(count as u64);
        Ok(count)
    }
}

/// Output, if it is wanted, whose checksum is made.
struct Checked {
    out: Option<Output>,
    sum: crc32fast::Hasher,
    size: u64,
}

impl Checked {
    fn check(&self, source: &Source<'_>) -> Result<(), Trouble> {
        match source.expected {
            Some(expected) if expected != (self.sum.clone().finalize(), self.size) => {
                let what =
                    format!("entry {}: size or checksum of the data are not those of the archive", ui::printable(&source.entry));
                Err(Trouble::damaged(what))
            }
            _ => Ok(()),
        }
    }
}

impl Write for Checked {
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        self.sum.update(data);
        self.size += data.len() as u64;
        if let Some(out) = &mut self.out {
            out.write_all(data)?;
        }
        Ok(data.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.as_mut().map_or(Ok(()), Output::flush)
    }
}
