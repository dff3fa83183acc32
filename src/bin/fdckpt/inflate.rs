//! inflate: decompression, of all or of a part, from the begin or by an index; what goes on where it was is in `resume`.

use std::fs;
use std::io::{self, BufReader, Cursor, Read, Seek, SeekFrom, Write};
use std::path::Path;

use fdckpt::MappedFile;
use fdckpt::inflate::Error;
use fdckpt::inflate::{Format, Index, Inflate, Reader, Status};

use crate::cli::{Inflate as Options, Stream};
use crate::files::{self, Input, Output};
use crate::resume::Resumable;
use crate::ui::{self, GOOD, Progress, Trouble, bytes};
use crate::zip::{self, Archive};

const EVERY_POINT: u64 = 4 << 20;

/// So much is written at a time.
pub const PIECE: usize = 1 << 18;

/// Compressed data, and what is known of it.
pub struct Source<'f> {
    pub data: &'f [u8],
    /// `None` where it is only stored.
    pub format: Option<Format>,
    /// Checksum and size that the output is to have.
    expected: Option<(u32, u64)>,
    pub entry: String,
}

pub fn inflate(options: &Options) -> Result<u8, Trouble> {
    let to_terminal = options.output.is_none() && io::IsTerminal::is_terminal(&io::stdout());
    if to_terminal && options.index.is_none() {
        return Err(Trouble::new("standard output is a terminal")
            .advice("name a file for the output, or - to write it there all the same"));
    }
    if [&options.index, &options.state].into_iter().flatten().any(|path| files::is_stdout(path)) {
        return Err(Trouble::new("an index or a state needs a file: it is read again"));
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
    let target = options.output.as_deref().filter(|path| !files::is_stdout(path));
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
    let of_input = |error: io::Error| Trouble::from(error).of("standard input");
    // A pipe can have one byte at first.
    let mut begin = Vec::new();
    io::stdin().lock().take(2).read_to_end(&mut begin).map_err(of_input)?;
    if options.format.is_none() && begin == b"PK" {
        return Err(Trouble::new("standard input: this looks like a zip archive, whose directory is at its end")
            .advice("name it as a file: standard input is read from its begin to its end"));
    }
    let format = options.format.map(format).or_else(|| detect(&begin));
    let format = format.ok_or_else(|| undetected().of("standard input"))?;
    let input = BufReader::with_capacity(PIECE, Cursor::new(begin).chain(io::stdin().lock()));
    let reader = Reader::new(input, format)?;
    copy(reader, options.at.unwrap_or(0), options.len, options.output.as_deref(), &of_input)
}

/// A decompression, with the checksum of its output.
pub struct Run<'f> {
    data: &'f [u8],
    /// `None` for data that is only stored.
    pub inflate: Option<Inflate>,
    pub input: u64,
    pub output: u64,
    pub sum: crc32fast::Hasher,
    pub progress: Progress,
}

impl<'f> Run<'f> {
    pub fn new(source: &Source<'f>) -> Result<Self, Trouble> {
        let inflate = source.format.map(Inflate::new).transpose()?;
        let progress = Progress::new("decompressing", Some(source.data.len() as u64), 0);
        Ok(Self { data: source.data, inflate, input: 0, output: 0, sum: crc32fast::Hasher::new(), progress })
    }

    /// Decompresses a piece; `None` at the end.
    pub fn step<'p>(&mut self, piece: &'p mut [u8]) -> Result<Option<&'p [u8]>, Trouble> {
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
                        return Err(Error::UnexpectedEof { offset: self.data.len() as u64 }.into());
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
    pub fn check(&self, source: &Source<'_>) -> Result<(), Trouble> {
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
        return copy(part, 0, None, options.output.as_deref(), &Trouble::from);
    };
    let Some(path) = &options.index else {
        // Without an index there is only the way from the begin.
        return copy(Reader::new(source.data, format)?, from, options.len, options.output.as_deref(), &Trouble::from);
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
            Some(Error::SourceSizeMismatch { .. } | Error::SourceModified { .. } | Error::InvalidCheckpoint(_)) => {
                advice(error.into())
            }
            _ => error.into(),
        }
    };
    let mut reader = index.reader(Cursor::new(source.data)).map_err(changed)?;
    reader.seek(SeekFrom::Start(from))?;
    let left = index.output_size().saturating_sub(from).min(len);
    copy(reader, 0, Some(left), options.output.as_deref(), &changed)
}

/// Writes what is read, from an offset on, as far as there is some. `fail` says what a failure to read means.
fn copy(
    mut from: impl Read,
    mut skip: u64,
    len: Option<u64>,
    to: Option<&Path>,
    fail: &dyn Fn(io::Error) -> Trouble,
) -> Result<u8, Trouble> {
    let mut out = Output::create(to)?;
    let mut progress = Progress::new("decompressing", len.map(|len| len.saturating_add(skip)), 0);
    let (mut piece, mut left) = (vec![0; PIECE], len.unwrap_or(u64::MAX));
    while left > 0 {
        let wanted = skip.saturating_add(left).min(PIECE as u64) as usize;
        let count = from.read(&mut piece[..wanted]).map_err(fail)?;
        if count == 0 {
            break;
        }
        let passed = skip.min(count as u64) as usize;
        let part = &piece[passed..count];
        out.write_all(part)?;
        skip -= passed as u64;
        left -= part.len() as u64;
        progress.add(count as u64);
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
