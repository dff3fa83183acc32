//! bench: how fast the user's own data is saved and loaded on this machine, in each style, by one thread and more.

use std::fs;
use std::io::Write;
use std::path::Path;
use std::time::{Duration, Instant};

use fdckpt::checkpoint::{ReaderOptions, WriterOptions};
use fdckpt::{FrameStyle, MappedFile, SyncMode};

use crate::cli::Bench;
use crate::commands::restore::{self, each_region};
use crate::output;
use crate::term::{GOOD, Out, Painted, Progress, TITLE, Table, Trouble, bytes, count, short};

/// What one way of saving has taken.
struct Row {
    style: FrameStyle,
    threads: usize,
    save: Duration,
    /// The same with the file synced.
    synced: Duration,
    load: Duration,
    stored: u64,
}

pub fn bench(bench: &Bench) -> Result<u8, Trouble> {
    let mut maps = Vec::new();
    let mut total = 0;
    for path in &bench.paths {
        collect(path, bench.limit, &mut maps, &mut total)?;
    }
    if total == 0 {
        return Err(Trouble::new("there is no data to measure with").advice("name files or folders that are not empty"));
    }
    let folder = tempfile::Builder::new().prefix(".fdckpt-bench-").tempdir_in(&bench.dir);
    let folder = folder.map_err(|error| Trouble::from(error).of(output::name(&bench.dir)))?;
    if let Ok(mut scratch) = output::SCRATCH.lock() {
        *scratch = Some(folder.path().to_owned());
    }
    let most = restore::threads(bench.threads);
    let mut counts: Vec<usize> =
        std::iter::successors(Some(1), |count| Some(2 * count)).take_while(|count| *count < most).collect();
    counts.push(most);
    let styles = [FrameStyle::Raw, FrameStyle::Lz4];
    let steps = (bench.rounds * counts.len() * styles.len()) as u64;
    let mut progress = Progress::new("measuring", Some(3 * total * steps), 0);
    let mut rows: Vec<Row> = Vec::new();
    for style in styles {
        for &threads in &counts {
            rows.push(Row { style, threads, save: Duration::MAX, synced: Duration::MAX, load: Duration::MAX, stored: 0 });
        }
    }
    // All ways in each round, so that what else the machine does hits all of them. The best of the rounds counts.
    for _ in 0..bench.rounds {
        for row in &mut rows {
            measure(row, &maps, &folder.path().join("data"), bench.frame_size, &mut progress)?;
        }
    }
    drop(progress);
    let mut out = Out::new();
    let title = format!(
        "{} in {}, the best of {}, files in {}",
        bytes(total),
        count(maps.len(), "file"),
        count(bench.rounds, "round"),
        output::name(&bench.dir)
    );
    writeln!(out, "{}", Painted(TITLE, title))?;
    const RIGHT: &[bool] = &[false, true, true, true, true, true];
    let mut table = Table::new(RIGHT, &["style", "threads", "ratio", "save MB/s", "save and sync MB/s", "load MB/s"]);
    for row in &rows {
        let rate = |time: Duration| format!("{:.0}", total as f64 / 1e6 / time.as_secs_f64());
        let ratio = format!("{:.2}", total as f64 / row.stored.max(1) as f64);
        let cells =
            [name(row.style).to_owned(), row.threads.to_string(), ratio, rate(row.save), rate(row.synced), rate(row.load)];
        table.row(&mut out, cells.into())?;
    }
    table.finish(&mut out)?;
    writeln!(out, "{}", recommendation(&rows, total))?;
    out.finish(GOOD)
}

fn name(style: FrameStyle) -> &'static str {
    if style == FrameStyle::Lz4 { "lz4" } else { "raw" }
}

/// The files of a path, as far as the limit goes.
fn collect(path: &Path, limit: u64, maps: &mut Vec<(MappedFile, usize)>, total: &mut u64) -> Result<(), Trouble> {
    let of_path = |error: std::io::Error| Trouble::from(error).of(output::name(path));
    let there = fs::metadata(path).map_err(of_path)?;
    if there.is_dir() {
        let mut entries: Vec<_> = fs::read_dir(path).map_err(of_path)?.filter_map(Result::ok).collect();
        entries.sort_by_key(fs::DirEntry::file_name);
        for entry in entries {
            if entry.file_type().is_ok_and(|kind| kind.is_dir() || kind.is_file()) {
                collect(&entry.path(), limit, maps, total)?;
            }
        }
    } else if there.is_file() && there.len() > 0 && *total < limit {
        let map = MappedFile::open(path).map_err(|error| Trouble::from(error).of(output::name(path)))?;
        let size = (map.len() as u64).min(limit - *total);
        *total += size;
        maps.push((map, size as usize));
    }
    Ok(())
}

fn measure(
    row: &mut Row,
    maps: &[(MappedFile, usize)],
    path: &Path,
    frame_size: u64,
    progress: &mut Progress,
) -> Result<(), Trouble> {
    for sync in [SyncMode::None, SyncMode::Data] {
        let options = WriterOptions::new().style(row.style).threads(row.threads).sync(sync);
        let options = options.frame_size(usize::try_from(frame_size).unwrap_or(usize::MAX));
        let began = Instant::now();
        let mut writer = options.create(path)?;
        for (number, (map, size)) in maps.iter().enumerate() {
            writer.add(&number.to_string(), &map[..*size])?;
            progress.add(*size as u64);
        }
        row.stored = writer.commit()?.stored;
        let took = if sync == SyncMode::None { &mut row.save } else { &mut row.synced };
        *took = began.elapsed().min(*took);
    }
    let began = Instant::now();
    let reader = ReaderOptions::new().threads(row.threads).open(path)?;
    let numbers: Vec<usize> = (0..reader.len()).collect();
    each_region(
        &reader,
        &numbers,
        &mut |_, piece, _| {
            progress.add(piece.len() as u64);
            Ok(())
        },
        &mut |_, failure| Err(failure.into()),
    )?;
    row.load = began.elapsed().min(row.load);
    Ok(())
}

/// The quickest way to save safely; where two are about as quick, the one with the smaller file, then that with fewer threads.
fn recommendation(rows: &[Row], total: u64) -> String {
    let quickest = rows.iter().map(|row| row.synced).min().unwrap_or_default();
    let good = rows.iter().filter(|row| row.synced.as_secs_f64() <= 1.1 * quickest.as_secs_f64());
    let Some(best) = good.min_by_key(|row| (row.stored / (total / 20).max(1), row.threads)) else { return String::new() };
    let smaller = match best.style {
        FrameStyle::Lz4 => format!(", and takes {} instead of {}", short(best.stored), short(total)),
        _ => ": compressing takes longer than it saves in writing".to_owned(),
    };
    format!(
        "recommended: --style {} --threads {}; saving safely takes {:.2} s{smaller}",
        name(best.style),
        best.threads,
        best.synced.as_secs_f64()
    )
}
