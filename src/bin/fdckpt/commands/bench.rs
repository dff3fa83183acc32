//! `fdckpt bench`: how fast data is saved and loaded, per style and number of threads.

use std::fs;
use std::io::Write;
use std::path::Path;
use std::time::{Duration, Instant};

use fdckpt::checkpoint::{ReaderOptions, WriterOptions};
use fdckpt::{FrameStyle, MappedFile, SyncMode};

use crate::cli::{BenchArgs, thread_count};
use crate::error::{CliError, WithFile};
use crate::exit;
use crate::format::checkpoint::style_name;
use crate::path::display_name;
use crate::regions::for_each_region;
use crate::signals;
use crate::term::progress::Progress;
use crate::term::stdout::TextOutput;
use crate::term::style::{Styled, TITLE};
use crate::term::table::Table;
use crate::term::units::{human_size, pluralize, ratio, size_with_unit};

/// The best times of one configuration.
struct Measurement {
    style: FrameStyle,
    threads: usize,
    save: Duration,
    save_and_sync: Duration,
    load: Duration,
    /// Size of the checkpoint in bytes.
    stored: u64,
}

/// The data to measure with.
struct Data {
    /// Each file and how much of it to use.
    files: Vec<(MappedFile, usize)>,
    total: u64,
    max_bytes: u64,
}

impl Data {
    /// Adds a file, or the files below a directory, up to the limit.
    fn add(&mut self, path: &Path) -> Result<(), CliError> {
        let metadata = fs::metadata(path).with_file(path)?;
        if metadata.is_dir() {
            let mut entries: Vec<_> = fs::read_dir(path).with_file(path)?.filter_map(Result::ok).collect();
            entries.sort_by_key(fs::DirEntry::file_name);
            for entry in entries {
                if entry.file_type().is_ok_and(|kind| kind.is_dir() || kind.is_file()) {
                    self.add(&entry.path())?;
                }
            }
        } else if metadata.is_file() && metadata.len() > 0 && self.total < self.max_bytes {
            let map = MappedFile::open(path).with_file(path)?;
            let size = (map.len() as u64).min(self.max_bytes - self.total);
            self.total += size;
            self.files.push((map, size as usize));
        }
        Ok(())
    }
}

pub fn bench(args: &BenchArgs) -> Result<u8, CliError> {
    let mut data = Data { files: Vec::new(), total: 0, max_bytes: args.max_bytes };
    for path in &args.paths {
        data.add(path)?;
    }
    if data.total == 0 {
        return Err(CliError::new("no data to measure with").with_hint("name files or directories that are not empty"));
    }
    let directory = tempfile::Builder::new().prefix(".fdckpt-bench-").tempdir_in(&args.directory);
    let directory = directory.with_file(&args.directory)?;
    signals::remove_on_signal(directory.path().to_owned());
    let mut measurements = configurations(thread_count(args.threads));
    let steps = (args.iterations * measurements.len()) as u64;
    let mut progress = Progress::new("measuring", Some(3 * data.total * steps), 0);
    // Interleaved, so that other load on the machine affects all configurations.
    for _ in 0..args.iterations {
        for measurement in &mut measurements {
            measure(measurement, &data, &directory.path().join("data"), args.frame_size, &mut progress)?;
        }
    }
    drop(progress);
    print(args, &data, &measurements)?;
    Ok(exit::OK)
}

/// Both styles, with powers of 2 of threads up to the maximum.
fn configurations(max_threads: usize) -> Vec<Measurement> {
    let powers = std::iter::successors(Some(1), |count| Some(2 * count));
    let counts: Vec<usize> = powers.take_while(|count| *count < max_threads).chain([max_threads]).collect();
    let new = |style, threads| Measurement {
        style,
        threads,
        save: Duration::MAX,
        save_and_sync: Duration::MAX,
        load: Duration::MAX,
        stored: 0,
    };
    let styles = [FrameStyle::Raw, FrameStyle::Lz4];
    styles.into_iter().flat_map(|style| counts.iter().map(move |&threads| new(style, threads))).collect()
}

fn print(args: &BenchArgs, data: &Data, measurements: &[Measurement]) -> Result<(), CliError> {
    let mut out = TextOutput::new();
    let title = format!(
        "{} in {}, best of {}, written to {}",
        size_with_unit(data.total),
        pluralize(data.files.len(), "file"),
        pluralize(args.iterations, "run"),
        display_name(&args.directory)
    );
    writeln!(out, "{}", Styled(TITLE, title))?;
    const RIGHT: &[bool] = &[false, true, true, true, true, true];
    let mut table = Table::new(RIGHT, &["style", "threads", "ratio", "save MB/s", "save and sync MB/s", "load MB/s"]);
    for measurement in measurements {
        let rate = |time: Duration| format!("{:.0}", data.total as f64 / 1e6 / time.as_secs_f64());
        let row = [
            style_name(measurement.style).to_owned(),
            measurement.threads.to_string(),
            ratio(data.total, measurement.stored),
            rate(measurement.save),
            rate(measurement.save_and_sync),
            rate(measurement.load),
        ];
        table.row(&mut out, row.into())?;
    }
    table.finish(&mut out)?;
    writeln!(out, "{}", recommendation(measurements, data.total))?;
    Ok(out.finish()?)
}

fn measure(
    measurement: &mut Measurement,
    data: &Data,
    path: &Path,
    frame_size: u64,
    progress: &mut Progress,
) -> Result<(), CliError> {
    for sync in [SyncMode::None, SyncMode::Data] {
        let options = WriterOptions::new().style(measurement.style).threads(measurement.threads).sync(sync);
        let options = options.frame_size(usize::try_from(frame_size).unwrap_or(usize::MAX));
        let started = Instant::now();
        let mut writer = options.create(path)?;
        for (number, (map, size)) in data.files.iter().enumerate() {
            writer.add(&number.to_string(), &map[..*size])?;
            progress.add(*size as u64);
        }
        measurement.stored = writer.commit()?.stored;
        let best = if sync == SyncMode::None { &mut measurement.save } else { &mut measurement.save_and_sync };
        *best = started.elapsed().min(*best);
    }
    let started = Instant::now();
    let reader = ReaderOptions::new().threads(measurement.threads).open(path)?;
    let numbers: Vec<usize> = (0..reader.len()).collect();
    for_each_region(
        &reader,
        &numbers,
        &mut |_, data, _| {
            progress.add(data.len() as u64);
            Ok(())
        },
        &mut |_, error| Err(error.into()),
    )?;
    measurement.load = started.elapsed().min(measurement.load);
    Ok(())
}

/// Recommends the fastest configuration for saving with sync; among those within 10 %, the one with the smallest
/// checkpoint (in steps of 5 % of the data), then the fewest threads.
fn recommendation(measurements: &[Measurement], total: u64) -> String {
    let fastest = measurements.iter().map(|measurement| measurement.save_and_sync).min().unwrap_or_default();
    let is_fast = |measurement: &&Measurement| measurement.save_and_sync.as_secs_f64() <= 1.1 * fastest.as_secs_f64();
    let fast = measurements.iter().filter(is_fast);
    let best = fast.min_by_key(|measurement| (measurement.stored / (total / 20).max(1), measurement.threads));
    let Some(best) = best else { return String::new() };
    let effect = match best.style {
        FrameStyle::Lz4 => format!("and stores {} as {}", human_size(total), human_size(best.stored)),
        _ => "and is faster than compressing".to_owned(),
    };
    format!(
        "recommended: --style {} --threads {}; saving with sync takes {:.2} s {effect}",
        style_name(best.style),
        best.threads,
        best.save_and_sync.as_secs_f64()
    )
}
