//! What checkpoint files of FTI cost, beside what they are made of: MD5 and writing. `make bench-fti`.
//!
//! All is measured in turn, ROUNDS times, and the best of each is reported: 4 variables of 64 MiB, files in BENCH_DIR. The limit is that of
//! doing one after the other, once (from version C on) or with two passes of MD5 (A and B).
//!
//! Then differential checkpoints of the same variables, of which some of the blocks change, spread evenly: so no two that change are
//! neighbours. Data is synced, as by default: what that costs, a directory in memory does not tell.

use std::fs::{self, File};
use std::hint::black_box;
use std::io::Write;
use std::path::Path;
use std::time::Instant;

use fdckpt::fti::{
    BlockHash, Checkpoint, FormatVersion, ProtectedVariable, ProtectedVariableMut, SyncMode, UpdateMode, UpdateOptions,
    WriteOptions, Writer,
};

const VARIABLE: usize = 64 << 20;
const VARIABLES: usize = 4;
const PIECE: usize = 256 << 10;

/// What is measured, and the least seconds it took.
struct Row {
    name: String,
    best: f64,
}

fn measure(row: &mut Row, run: impl FnOnce()) {
    let start = Instant::now();
    run();
    row.best = row.best.min(start.elapsed().as_secs_f64());
}

fn mib_per_second(seconds: f64) -> f64 {
    (VARIABLES * VARIABLE) as f64 / seconds / f64::from(1 << 20)
}

fn write_plainly(path: &Path, data: &[Vec<u8>]) {
    let mut file = File::create(path).expect("the directory is writable");
    data.iter().flat_map(|variable| variable.chunks(PIECE)).for_each(|piece| file.write_all(piece).expect("enough space"));
    drop(file);
    fs::remove_file(path).expect("just made");
}

/// Of a hundred blocks so many change, and the seconds that FTI's master takes for it (MD5, blocks of 16384 bytes, without a safe order).
const CHANGES: [(usize, f64); 4] = [(0, 0.90), (1, 0.91), (10, 0.96), (100, 1.38)];

const BLOCK: usize = 16_384;

/// Seconds that the processors have worked for this process.
fn processor_time() -> f64 {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: writes to the local.
    unsafe { libc::clock_gettime(libc::CLOCK_PROCESS_CPUTIME_ID, &mut time) };
    time.tv_sec as f64 + time.tv_nsec as f64 * 1e-9
}

/// Both modes in turn, on the same changes.
fn updates(rounds: usize, dir: &Path, data: &mut [Vec<u8>]) {
    const MODES: [UpdateMode; 2] = [UpdateMode::InPlace, UpdateMode::Journaled];
    println!("\n{:<38} {:>8} {:>8} {:>8} {:>8}", "seconds; blocks that change:", "0 %", "1 %", "10 %", "100 %");
    let print = |name: &str, seconds: &dyn Fn(usize) -> f64| {
        print!("{name:<38}");
        (0..CHANGES.len()).for_each(|at| print!(" {:>8.3}", seconds(at)));
        println!();
    };
    for (hash, threads) in [(BlockHash::Md5, 1), (BlockHash::Md5, 2), (BlockHash::Crc32, 1), (BlockHash::Crc32, 2)] {
        let mut options = WriteOptions::new(FormatVersion::Post1_6, 1);
        options.threads = threads;
        let mut writers = MODES.map(|mode| {
            let mut update = UpdateOptions::default();
            (update.block_size, update.mode, update.hash) = (BLOCK, mode, hash);
            (Writer::new(), update, dir.join(format!("{mode:?}")))
        });
        // By the clock, and of the processor: what others do on the machine gets into the first.
        let mut best = [[[f64::MAX; 2]; CHANGES.len()]; MODES.len()];
        for round in 0..=rounds {
            for (at, &(percent, _)) in CHANGES.iter().enumerate() {
                let blocks = data.iter_mut().flat_map(|variable| variable.chunks_mut(BLOCK));
                let changed = blocks.enumerate().filter(|(number, _)| number * percent / 100 != (number + 1) * percent / 100);
                let changed = changed.map(|(_, block)| block[7] = block[7].wrapping_add(1)).count() as u64;
                for (mode, (writer, update, path)) in writers.iter_mut().enumerate() {
                    let protected: Vec<ProtectedVariable> =
                        (0..).zip(&*data).map(|(id, data)| ProtectedVariable::new(id, data)).collect();
                    let (start, processor) = (Instant::now(), processor_time());
                    let updated = writer.update(path, &options, update, &protected).expect("enough space");
                    let took = [start.elapsed().as_secs_f64(), processor_time() - processor];
                    assert!(updated.is_full || updated.changed_blocks == changed);
                    // The first ones write all.
                    if round > 0 {
                        best[mode][at] = [0, 1].map(|clock| took[clock].min(best[mode][at][clock]));
                    }
                }
            }
        }
        for (clock, name) in ["", ", processor"].iter().enumerate() {
            for (mode, best) in MODES.iter().zip(&best) {
                print(&format!("{mode:?}, {hash:?}, {threads} threads{name}"), &|at| best[at][clock]);
            }
            print("  times as much when safe", &|at| best[1][at][clock] / best[0][at][clock]);
        }
        writers.iter().for_each(|(_, _, path)| fs::remove_file(path).expect("just made"));
    }
    print("FTI itself, elsewhere", &|at| CHANGES[at].1);
}

fn main() {
    let rounds = std::env::var("ROUNDS").ok().and_then(|rounds| rounds.parse().ok()).unwrap_or(7);
    let dir = std::env::var("BENCH_DIR").unwrap_or_else(|_| "/dev/shm".to_owned());
    let dir = tempfile::tempdir_in(dir).expect("the directory is writable");
    let path = dir.path().join("Ckpt1-Rank0.fti");
    let byte = |variable: usize| move |i: usize| (i.wrapping_add(variable).wrapping_mul(2_654_435_761) >> 13) as u8;
    let mut data: Vec<Vec<u8>> = (0..VARIABLES).map(|variable| (0..VARIABLE).map(byte(variable)).collect()).collect();
    let mut memory: Vec<Vec<u8>> = vec![vec![1; VARIABLE]; VARIABLES];
    let protected: Vec<ProtectedVariable> = (0..).zip(&data).map(|(id, data)| ProtectedVariable::new(id, data)).collect();

    let kinds: Vec<(FormatVersion, usize)> =
        [FormatVersion::V1_1, FormatVersion::V1_2, FormatVersion::V1_3, FormatVersion::V1_4_1, FormatVersion::Post1_6]
            .map(|it| [(it, 1), (it, 2)])
            .concat();
    let row = |name: String| Row { name, best: f64::MAX };
    let (mut md5, mut write, mut read) = (row("MD5".into()), row("write".into()), row("read (copy of a map)".into()));
    let mut saves: Vec<Row> = kinds.iter().map(|(of, threads)| row(format!("write {of}, {threads} threads"))).collect();
    let mut loads: Vec<Row> = kinds.iter().map(|(of, threads)| row(format!("recover {of}, {threads} threads"))).collect();
    for _ in 0..rounds {
        for (at, &(version, threads)) in kinds.iter().enumerate() {
            measure(&mut md5, || data.iter().for_each(|variable| _ = black_box(fast_md5::digest(variable))));
            measure(&mut write, || write_plainly(&dir.path().join("plain"), &data));
            let mut options = WriteOptions::new(version, 1);
            (options.threads, options.sync) = (threads, SyncMode::None);
            measure(&mut saves[at], || Writer::new().checkpoint(&path, &options, &protected).expect("enough space"));
            let file = File::open(&path).expect("just made");
            measure(&mut read, || {
                // SAFETY: no process modifies the file.
                let map = unsafe { memmap2::Mmap::map(&file) }.expect("it can be mapped");
                memory.iter_mut().zip(map.chunks(VARIABLE)).for_each(|(to, from)| to.copy_from_slice(from));
            });
            measure(&mut loads[at], || {
                // SAFETY: no process modifies the file.
                let map = unsafe { memmap2::Mmap::map(&file) }.expect("it can be mapped");
                let checkpoint = Checkpoint::parse(&map).expect("intact");
                let mut into: Vec<ProtectedVariableMut> =
                    (0..).zip(&mut memory).map(|(id, data)| ProtectedVariableMut::new(id, data)).collect();
                checkpoint.recover(&mut into, threads).expect("intact");
            });
            fs::remove_file(&path).expect("just made");
        }
    }

    println!("{:<26} {:>8} {:>8} {:>9} {:>12}", "", "MiB/s", "limit", "of limit", "of 1 thread");
    for row in [&md5, &write, &read] {
        println!("{:<26} {:>8.0}", row.name, mib_per_second(row.best));
    }
    for (rows, other) in [(&saves, &write), (&loads, &read)] {
        for (at, row) in rows.iter().enumerate() {
            let (version, threads) = kinds[at];
            let passes = if matches!(version, FormatVersion::V1_1 | FormatVersion::V1_2) { 2.0 } else { 1.0 };
            let limit = passes * md5.best + other.best;
            print!("{:<26} {:>8.0} {:>8.0}", row.name, mib_per_second(row.best), mib_per_second(limit));
            if threads == 1 {
                println!(" {:>9.2}", limit / row.best);
            } else {
                println!(" {:>9} {:>12.2}", "", rows[at - 1].best / row.best);
            }
        }
    }
    updates(rounds, dir.path(), &mut data);
}
