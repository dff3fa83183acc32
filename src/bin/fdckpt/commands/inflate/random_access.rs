//! Reading a part of the output, with an index or from the start.

use std::io::{self, Cursor, Read, Seek, SeekFrom, Write};
use std::path::Path;

use fdckpt::inflate::{self, Format, Index, Reader};
use fdckpt::{Error, MappedFile};

use super::source::Source;
use crate::cli::InflateArgs;
use crate::error::{CliError, WithFile};
use crate::exit;
use crate::input::IO_BUFFER_SIZE;
use crate::output::Output;
use crate::term::progress::{Progress, ProgressReader};

/// Bytes of output between two access points.
const DEFAULT_INDEX_INTERVAL: u64 = 4 << 20;

/// Writes a part of the output, builds an index, or both.
pub fn read(source: &Source<'_>, args: &InflateArgs, to_terminal: bool) -> Result<u8, CliError> {
    let offset = args.offset.unwrap_or(0);
    let output = args.output.as_deref();
    let Some(format) = source.format else {
        if args.index.is_some() {
            return Err(CliError::new("entry is stored uncompressed: it needs no index"));
        }
        let part = source.data.get(usize::try_from(offset).unwrap_or(usize::MAX)..).unwrap_or_default();
        let length = args.length.map_or(usize::MAX, |length| usize::try_from(length).unwrap_or(usize::MAX));
        return copy(&part[..part.len().min(length)], 0, None, output, &CliError::from);
    };
    match &args.index {
        Some(path) => read_by_index(source, format, path, args, to_terminal),
        None => copy(Reader::new(source.data, format)?, offset, args.length, output, &CliError::from),
    }
}

fn read_by_index(
    source: &Source<'_>,
    format: Format,
    path: &Path,
    args: &InflateArgs,
    to_terminal: bool,
) -> Result<u8, CliError> {
    let wants_all = args.offset.is_none() && args.length.is_none();
    if !path.exists() {
        build_index(source, format, path, args, wants_all && !to_terminal)?;
        if wants_all {
            return Ok(exit::OK);
        }
    }
    let unusable =
        |error: CliError| CliError { status: exit::ERROR, ..error }.with_file(path).with_hint("remove it to rebuild it");
    let file = MappedFile::open(path).with_file(path)?;
    let index = Index::parse(&file).map_err(|error| unusable(error.into()))?;
    if index.format() != format {
        return Err(unusable(CliError::new("index of a stream of another format")));
    }
    if wants_all && to_terminal {
        return Ok(exit::OK);
    }
    use inflate::Error::{InvalidCheckpoint, SourceModified, SourceSizeMismatch};
    let on_error = |error: io::Error| match Error::from_io(&error) {
        Some(Error::Inflate(SourceSizeMismatch { .. } | SourceModified { .. } | InvalidCheckpoint(_))) => unusable(error.into()),
        _ => error.into(),
    };
    let mut reader = index.reader(Cursor::new(source.data)).map_err(on_error)?;
    let offset = args.offset.unwrap_or(0);
    reader.seek(SeekFrom::Start(offset))?;
    let length = index.output_size().saturating_sub(offset).min(args.length.unwrap_or(u64::MAX));
    copy(reader, 0, Some(length), args.output.as_deref(), &on_error)
}

/// Builds an index. The output, which is produced anyway, is written if it is wanted.
fn build_index(source: &Source<'_>, format: Format, path: &Path, args: &InflateArgs, write_output: bool) -> Result<(), CliError> {
    let output = if write_output { Some(Output::create(args.output.as_deref())?) } else { None };
    let mut checker = CrcChecker { output, crc: crc32fast::Hasher::new(), size: 0 };
    let progress = Progress::new("building the index", Some(source.data.len() as u64), 0);
    let interval = args.index_interval().unwrap_or(DEFAULT_INDEX_INTERVAL).max(1);
    let index = Index::build(ProgressReader { input: source.data, progress }, &mut checker, format, interval)?;
    source.check_output(checker.crc.finalize(), checker.size)?;
    let mut file = Output::create(Some(path))?;
    index.to_container()?.copy_to(&mut file)?;
    file.finish()?;
    checker.output.map_or(Ok(()), Output::finish)
}

/// Writes what `from` returns after `skip` bytes, at most `length` bytes. `on_error` converts an error of reading.
pub fn copy(
    mut from: impl Read,
    mut skip: u64,
    length: Option<u64>,
    output: Option<&Path>,
    on_error: &dyn Fn(io::Error) -> CliError,
) -> Result<u8, CliError> {
    let mut out = Output::create(output)?;
    let mut progress = Progress::new("decompressing", length.map(|length| length.saturating_add(skip)), 0);
    let (mut buffer, mut left) = (vec![0; IO_BUFFER_SIZE], length.unwrap_or(u64::MAX));
    while left > 0 {
        let wanted = skip.saturating_add(left).min(IO_BUFFER_SIZE as u64) as usize;
        let count = from.read(&mut buffer[..wanted]).map_err(on_error)?;
        if count == 0 {
            break;
        }
        let skipped = skip.min(count as u64) as usize;
        let data = &buffer[skipped..count];
        out.write_all(data)?;
        skip -= skipped as u64;
        left -= data.len() as u64;
        progress.add(count as u64);
    }
    out.finish()?;
    Ok(exit::OK)
}

/// Computes size and CRC-32 of the output, and writes it if it is wanted.
struct CrcChecker {
    output: Option<Output>,
    crc: crc32fast::Hasher,
    size: u64,
}

impl Write for CrcChecker {
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        self.crc.update(data);
        self.size += data.len() as u64;
        if let Some(output) = &mut self.output {
            output.write_all(data)?;
        }
        Ok(data.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.output.as_mut().map_or(Ok(()), Output::flush)
    }
}
