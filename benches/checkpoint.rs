//! What a checkpoint that describes itself costs, beside plain frames by one thread, write(2) and memcpy, and other tools. `make
//! bench-checkpoint`.
//!
//! MIB (256) MiB of files below DATA, in 64 regions. Each pair is measured in turn, ROUNDS times; a ratio is the median of the rounds'
//! ratios, a time the best. ROW takes a part of the names of rows that are wanted.

use std::fs::{self, File};
use std::hint::black_box;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

use fdckpt::checkpoint::{ReadRequest, Reader, ReaderOptions, SyncMode, WriterOptions};
use fdckpt::{Checkpt, FrameStyle, Restore};

const REGIONS: usize = 64;

struct Bench {
    rounds: usize,
    dir: tempfile::TempDir,
    data: Vec<u8>,
    memory: Vec<u8>,
}

/// Appends files below `path`, in the order of their names, to `data` until it is full.
fn gather(path: &Path, data: &mut Vec<u8>, size: usize) {
    let Ok(metadata) = fs::symlink_metadata(path) else { return };
    if metadata.is_dir() {
        let Ok(entries) = fs::read_dir(path) else { return };
        let mut paths: Vec<PathBuf> = entries.filter_map(|entry| Some(entry.ok()?.path())).collect();
        paths.sort();
        paths.iter().for_each(|path| gather(path, data, size));
    } else if metadata.is_file() && data.len() < size {
        data.extend(fs::read(path).unwrap_or_default());
    }
}

/// Time of the clock where several threads or programs are at work; else that of the processor, as machines are shared.
#[derive(Clone, Copy, PartialEq)]
enum Time {
    Clock,
    Processor,
}

impl Time {
    fn now(self, start: Instant) -> f64 {
        if self == Self::Clock {
            return start.elapsed().as_secs_f64();
        }
        let mut now = libc::timespec { tv_sec: 0, tv_nsec: 0 };
        // SAFETY: fills the local.
        unsafe { libc::clock_gettime(libc::CLOCK_PROCESS_CPUTIME_ID, &mut now) };
        now.tv_sec as f64 + now.tv_nsec as f64 / 1e9
    }

    fn of(self, run: &mut dyn FnMut()) -> f64 {
        let start = Instant::now();
        let before = self.now(start);
        run();
        self.now(start) - before
    }
}

impl Bench {
    /// Tells how many times as fast `that` is as `this`.
    fn compare(&self, name: &str, this: &mut dyn FnMut(), that: &mut dyn FnMut()) {
        if !name.contains(&std::env::var("ROW").unwrap_or_default()) {
            return;
        }
        // What is by one thread in this program says nothing of threads or of a program.
        let clock = ["2 threads", "tar", "disk"].iter().any(|word| name.contains(word));
        self.compare_by(if clock { Time::Clock } else { Time::Processor }, name, this, that);
    }

    fn compare_by(&self, time: Time, name: &str, this: &mut dyn FnMut(), that: &mut dyn FnMut()) {
        let (mut ratios, mut best) = (Vec::new(), (f64::MAX, f64::MAX));
        this();
        that();
        for _ in 0..self.rounds {
            let (one, other) = (time.of(this), time.of(that));
            ratios.push(one / other);
            best = (best.0.min(one), best.1.min(other));
        }
        ratios.sort_unstable_by(f64::total_cmp);
        let gib = |seconds: f64| self.data.len() as f64 / seconds / f64::from(1 << 30);
        println!("{name:<66} {:>7.2} {:>7.2} {:>7.3}", gib(best.0), gib(best.1), ratios[ratios.len() / 2]);
    }

    fn regions(&self) -> Vec<(String, &[u8])> {
        let size = self.data.len() / REGIONS;
        self.data.chunks(size).enumerate().map(|(number, data)| (format!("region {number}"), data)).collect()
    }

    fn options<'w>(style: FrameStyle) -> WriterOptions<'w> {
        WriterOptions::new().style(style).sync(SyncMode::None)
    }

    fn save(&self, name: &str, options: WriterOptions<'_>) -> u64 {
        let mut writer = options.create(self.dir.path().join(name)).expect("the directory is writable");
        for (name, data) in self.regions() {
            writer.add(&name, data).expect("enough space");
        }
        writer.commit().expect("enough space").stored
    }

    fn load(&self, name: &str, options: ReaderOptions, memory: &mut [u8]) {
        let reader = options.open(self.dir.path().join(name)).expect("just saved");
        let size = self.data.len() / REGIONS;
        let mut requests: Vec<ReadRequest<'_>> =
            memory.chunks_mut(size).enumerate().map(|(index, data)| ReadRequest { index, data }).collect();
        reader.read_many(&mut requests).expect("intact");
    }

    /// As the functions of fd_checkpt.h do it: a frame for each region.
    fn save_plainly(&self, style: FrameStyle) {
        let file = File::create(self.dir.path().join("plain")).expect("the directory is writable");
        let mut checkpt = Checkpt::stream(&file).expect("memory");
        for (_, data) in self.regions() {
            checkpt.open(style).expect("none is open");
            checkpt.data(data).expect("enough space");
            checkpt.close().expect("one is open");
        }
    }

    fn load_plainly(&self, style: FrameStyle, memory: &mut [u8]) {
        let file = File::open(self.dir.path().join("plain")).expect("just saved");
        let mut restore = Restore::stream(&file).expect("memory");
        for data in memory.chunks_mut(self.data.len() / REGIONS) {
            restore.open(style).expect("none is open");
            restore.data(data).expect("intact");
            restore.close().expect("one is open");
        }
    }

    fn write(&self) {
        let mut file = File::create(self.dir.path().join("written")).expect("the directory is writable");
        for (_, data) in self.regions() {
            file.write_all(data).expect("enough space");
        }
    }

    /// A tool, if it is there, that reads standard input or writes standard output.
    fn tool(&self, program: &str, arguments: &[&str], from: &str, to: &str) {
        let path = |name: &str| self.dir.path().join(name);
        let (from, to) = (File::open(path(from)).expect("it exists"), File::create(path(to)).expect("the directory is writable"));
        let status = Command::new(program).args(arguments).stdin(from).stdout(to).stderr(Stdio::null()).status();
        assert!(status.as_ref().is_ok_and(|status| status.success()), "{program} {arguments:?} gave {status:?}");
    }
}

fn number(name: &str, otherwise: usize) -> usize {
    std::env::var(name).ok().and_then(|number| number.parse().ok()).unwrap_or(otherwise)
}

fn main() {
    use FrameStyle::{Lz4, Raw};
    let dir = std::env::var("BENCH_DIR").unwrap_or_else(|_| "/dev/shm".to_owned());
    let size = number("MIB", 256) << 20;
    let mut data = Vec::new();
    for path in std::env::var("DATA").unwrap_or_else(|_| "/usr/lib".to_owned()).split_whitespace() {
        gather(Path::new(path), &mut data, size);
    }
    assert!(!data.is_empty(), "DATA names no files");
    data = data.iter().copied().cycle().take(size).collect();
    let dir = tempfile::tempdir_in(dir).expect("the directory is writable");
    let bench = Bench { rounds: number("ROUNDS", 9), dir, memory: vec![1; data.len()], data };
    let mut memory = bench.memory.clone();
    let options = || Bench::options(Lz4);
    let reading = ReaderOptions::new;

    println!("{:<66} {:>7} {:>7} {:>7}", "this, and that: GiB/s of data", "this", "that", "times");
    let stored = bench.save("lz4", options());
    bench.save("raw", Bench::options(Raw));
    bench.save_plainly(Lz4);
    let plain = fs::metadata(bench.dir.path().join("plain")).map_or(0, |plain| plain.len());
    println!("LZ4: {:.3} of the data, plain frames {:.3}", stored as f64 / size as f64, plain as f64 / size as f64);
    for frame_size in std::env::var("FRAMES").unwrap_or_default().split_whitespace() {
        let frame_size: usize = frame_size.parse().expect("FRAMES is sizes in KiB");
        let with = |threads| options().frame_size(frame_size << 10).threads(threads);
        let stored = bench.save("frames", with(2)) as f64 / size as f64;
        bench.compare(
            &format!("save LZ4: plain 1 thread, {frame_size} KiB frames 2 threads ({stored:.4})"),
            &mut || bench.save_plainly(Lz4),
            &mut || _ = bench.save("frames", with(2)),
        );
        bench.compare(
            &format!("load LZ4: plain 1 thread, {frame_size} KiB frames 2 threads"),
            &mut || bench.load_plainly(Lz4, &mut memory.clone()),
            &mut || bench.load("frames", reading().threads(2), &mut memory.clone()),
        );
    }
    let mut other = memory.clone();
    bench.compare("save LZ4: plain frames 1 thread, this 2 threads", &mut || bench.save_plainly(Lz4), &mut || {
        bench.save("lz4", options().threads(2));
    });
    bench.compare("load LZ4: plain frames 1 thread, this 2 threads", &mut || bench.load_plainly(Lz4, &mut memory), &mut || {
        bench.load("lz4", reading().threads(2), &mut other)
    });
    bench.compare("save LZ4, 1 thread: plain frames, this", &mut || bench.save_plainly(Lz4), &mut || {
        bench.save("lz4", options());
    });
    bench.compare("load LZ4, 1 thread: plain frames, this", &mut || bench.load_plainly(Lz4, &mut memory), &mut || {
        bench.load("lz4", reading(), &mut other)
    });
    bench.compare(
        "save LZ4, 1 thread: without checksums, with",
        &mut || _ = bench.save("without", options().checksums(false)),
        &mut || _ = bench.save("lz4", options()),
    );
    bench.compare(
        "load LZ4, 1 thread: without checksums, with",
        &mut || bench.load("lz4", reading().checksums(false), &mut memory),
        &mut || bench.load("lz4", reading(), &mut other),
    );
    let raw = || Bench::options(Raw);
    bench.compare("save RAW: write(2), without checksums", &mut || bench.write(), &mut || {
        bench.save("raw", raw().checksums(false));
    });
    bench.compare("save RAW: write(2), with checksums", &mut || bench.write(), &mut || _ = bench.save("raw", raw()));
    let copy = |memory: &mut [u8]| {
        let file = File::open(bench.dir.path().join("raw")).expect("just saved");
        // SAFETY: no process modifies the file.
        let map = unsafe { memmap2::Mmap::map(&file) }.expect("it can be mapped");
        let region = size / REGIONS;
        memory.chunks_mut(region).zip(map.chunks(region)).for_each(|(to, from)| to.copy_from_slice(&from[..to.len()]));
    };
    bench.compare("load RAW: memcpy from a map, without checksums", &mut || copy(&mut memory), &mut || {
        bench.load("raw", reading().checksums(false), &mut other)
    });
    bench.compare("load RAW: memcpy from a map, with checksums", &mut || copy(&mut memory), &mut || {
        bench.load("raw", reading(), &mut other);
    });
    bench.compare("map RAW: memcpy from a map, checksums of all", &mut || copy(&mut memory), &mut || {
        let reader = Reader::open(bench.dir.path().join("raw")).expect("just saved");
        (0..REGIONS).for_each(|number| _ = black_box(reader.map(number).expect("intact")));
    });
    drop((memory, other));
    bench.write();
    // Whether a program takes these arguments, if it is there.
    let can = |program: &str, arguments: &[&str]| {
        let mut command = Command::new(program);
        let quiet = command.args(arguments).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        quiet.status().is_ok_and(|status| status.success())
    };
    let both = |program: &str, pack: &[&str], unpack: &[&str], from: &str, to: &str| {
        if !can(program, pack) {
            println!("there is no {program} {}", pack.join(" "));
            return;
        }
        let name = format!("{program} {}", pack.join(" "));
        let mut memory = bench.memory.clone();
        bench.compare(&format!("save LZ4: {name}, this 2 threads"), &mut || bench.tool(program, pack, from, to), &mut || {
            _ = bench.save("lz4", options().threads(2))
        });
        let packed = fs::metadata(bench.dir.path().join(to)).map_or(0, |packed| packed.len());
        println!("  its file: {:.3} of the data", packed as f64 / size as f64);
        bench.compare(
            &format!("load LZ4: {program} {}, this 2 threads", unpack.join(" ")),
            &mut || bench.tool(program, unpack, to, "unpacked"),
            &mut || bench.load("lz4", reading().threads(2), &mut memory),
        );
    };
    both("lz4", &["-c"], &["-dc"], "written", "out.lz4");
    // Since 1.10.
    both("lz4", &["-T2", "-c"], &["-dc"], "written", "out.lz4");
    both("zstd", &["-1", "-T2", "-c"], &["-dc"], "written", "out.zst");
    let place = bench.dir.path().to_str().expect("a plain name").to_owned();
    if can("tar", &["--version"]) {
        bench.compare(
            "save RAW: tar, this with checksums",
            &mut || bench.tool("tar", &["-cf", "-", "-C", &place, "written"], "written", "out.tar"),
            &mut || _ = bench.save("raw", raw()),
        );
    }
    let disk = std::env::var("BENCH_DISK").unwrap_or_else(|_| ".".to_owned());
    let bench =
        Bench { dir: tempfile::tempdir_in(disk).expect("the directory is writable"), rounds: bench.rounds.min(3), ..bench };
    for (name, style) in [("RAW", Raw), ("LZ4", Lz4)] {
        for sync in [SyncMode::Data, SyncMode::Full] {
            bench.compare(
                &format!("save {name} to disk, 2 threads: sync none, {sync:?}"),
                &mut || _ = bench.save("disk", Bench::options(style).threads(2)),
                &mut || _ = bench.save("disk", WriterOptions::new().style(style).threads(2).sync(sync)),
            );
        }
    }
}
