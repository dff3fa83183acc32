//! Inflate side by side: `make bench-inflate`.
//!
//! Decompresses one corpus by this library and by others, in one thread, taking turns, and prints the best processor time of several rounds
//! as throughput and as ratio to the crate deflate64 0.1.12. Then how long checkpoints take, and what an index takes and gives.
//!
//! Arguments: files and directories that make the corpus. `BENCH_MB` (100) limits it, `ROUNDS` (5) says how often.

#[allow(dead_code)]
#[path = "../../../tests/common/deflate/encode.rs"]
mod encode;

use std::cell::RefCell;
use std::fs;
use std::hint::black_box;
use std::io::{Cursor, Read};
use std::path::PathBuf;
use std::process::Command;

use fdckpt::inflate::{CheckpointEncoding, Format, Index, Inflate, Reader, Status};

const PIECE: usize = 1 << 16;

fn number(name: &str, default: usize) -> usize {
    std::env::var(name).map_or(default, |value| value.parse().expect("a number"))
}

/// The same amount of each argument, as far as it goes.
fn corpus() -> Vec<u8> {
    let roots: Vec<PathBuf> = std::env::args_os().skip(1).map(PathBuf::from).collect();
    assert!(!roots.is_empty(), "name files or directories");
    let each = (number("BENCH_MB", 100) << 20) / roots.len();
    let mut all = Vec::new();
    for root in roots {
        let (mut part, mut paths) = (Vec::new(), vec![root]);
        while let Some(path) = paths.pop().filter(|_| part.len() < each) {
            if let Ok(entries) = fs::read_dir(&path) {
                let mut entries: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
                entries.sort();
                paths.extend(entries);
            } else {
                part.extend(fs::read(&path).unwrap_or_default());
            }
        }
        part.truncate(each);
        all.extend(part);
    }
    all
}

/// By 7-Zip, or where that is not installed by the simple compressor of the tests.
fn deflate64(data: &[u8]) -> (Vec<u8>, &'static str) {
    let dir = std::env::temp_dir().join(format!("bench-inflate-{}", std::process::id()));
    fs::create_dir_all(&dir).expect("a temporary directory");
    fs::write(dir.join("data"), data).expect("enough space");
    let done = Command::new("7z").current_dir(&dir).args(["a", "-tzip", "-mm=Deflate64", "x.zip", "data"]).output();
    let zip = fs::read(dir.join("x.zip"));
    fs::remove_dir_all(dir).expect("it is ours");
    let (Ok(_), Ok(zip)) = (done, zip) else { return (encode::compress(data, true), "the tests' compressor") };
    let field = |at: usize, size: usize| zip[at..at + size].iter().rev().fold(0, |sum, &byte| sum << 8 | usize::from(byte));
    let start = 30 + field(26, 2) + field(28, 2);
    let end = zip.windows(4).rposition(|four| four == b"PK\x05\x06").expect("a zip file");
    let size = field(field(end + 16, 4) + 20, 4);
    (zip[start..start + size].to_vec(), "7-Zip")
}

/// By the C library at its default level.
fn deflate(data: &[u8]) -> Vec<u8> {
    let mut out = vec![0; data.len() + data.len() / 1000 + 1000];
    // SAFETY: the stream is zlib's, with its own allocators; the buffers outlive the calls.
    unsafe {
        let mut z = std::mem::MaybeUninit::<libz_sys::z_stream>::zeroed();
        let z = z.as_mut_ptr();
        let size = size_of::<libz_sys::z_stream>() as i32;
        assert_eq!(libz_sys::deflateInit2_(z, 6, 8, -15, 8, 0, libz_sys::zlibVersion(), size), 0);
        ((*z).next_in, (*z).avail_in) = (data.as_ptr().cast_mut(), data.len() as u32);
        ((*z).next_out, (*z).avail_out) = (out.as_mut_ptr(), out.len() as u32);
        assert_eq!(libz_sys::deflate(z, 4), 1);
        out.truncate((*z).total_out as usize);
        libz_sys::deflateEnd(z);
    }
    out
}

/// The next piece of output: of a buffer that is used again and again, or of one that has space for all.
fn piece(out: &mut [u8], at: usize, whole: bool) -> &mut [u8] {
    if whole { &mut out[at..] } else { &mut out[..PIECE] }
}

fn ours(format: Format, stream: &[u8], out: &mut [u8], whole: bool) {
    let mut inflate = Inflate::new(format).expect("memory");
    let (mut from, mut to) = (0, 0);
    loop {
        let progress = inflate.decompress(&stream[from..], piece(out, to, whole));
        (from, to) = (from + progress.consumed, to + progress.produced);
        if progress.result.expect("intact") == Status::Done {
            return;
        }
    }
}

fn crate_deflate64(stream: &[u8], out: &mut [u8], whole: bool) {
    let mut inflater = Box::new(::deflate64::InflaterManaged::new());
    let (mut from, mut to) = (0, 0);
    while !inflater.finished() {
        let result = inflater.inflate(&stream[from..], piece(out, to, whole));
        (from, to) = (from + result.bytes_consumed, to + result.bytes_written);
        assert!(!result.data_error);
    }
}

fn zlib_rs(stream: &[u8], out: &mut [u8], whole: bool) {
    let mut inflate = ::zlib_rs::Inflate::new(false, 15);
    loop {
        let (from, to) = (inflate.total_in() as usize, inflate.total_out() as usize);
        let status = inflate.decompress(&stream[from..], piece(out, to, whole), ::zlib_rs::InflateFlush::NoFlush);
        if status.expect("intact") == ::zlib_rs::Status::StreamEnd {
            return;
        }
    }
}

fn zlib_c(stream: &[u8], out: &mut [u8], whole: bool) {
    // SAFETY: as for `deflate`.
    unsafe {
        let mut z = std::mem::MaybeUninit::<libz_sys::z_stream>::zeroed();
        let z = z.as_mut_ptr();
        let size = size_of::<libz_sys::z_stream>() as i32;
        assert_eq!(libz_sys::inflateInit2_(z, -15, libz_sys::zlibVersion(), size), 0);
        ((*z).next_in, (*z).avail_in) = (stream.as_ptr().cast_mut(), stream.len() as u32);
        loop {
            let output = piece(out, (*z).total_out as usize, whole);
            ((*z).next_out, (*z).avail_out) = (output.as_mut_ptr(), output.len() as u32);
            match libz_sys::inflate(z, 0) {
                1 => break,
                code => assert_eq!(code, 0),
            }
        }
        libz_sys::inflateEnd(z);
    }
}

fn miniz(stream: &[u8], out: &mut [u8]) {
    miniz_oxide::inflate::decompress_slice_iter_to_slice(out, std::iter::once(stream), false, false).expect("intact");
}

/// Processor time of this thread in seconds.
fn now() -> f64 {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: it only writes the time.
    unsafe { libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &mut time) };
    time.tv_sec as f64 + time.tv_nsec as f64 * 1e-9
}

/// Microseconds of one call of many.
fn micros(mut call: impl FnMut()) -> f64 {
    let mut best = f64::MAX;
    for _ in 0..20 {
        let start = now();
        (0..100).for_each(|_| call());
        best = best.min(now() - start);
    }
    best * 1e4
}

fn main() {
    let data = corpus();
    let size = data.len();
    let plain = deflate(&data);
    let (plain64, by) = deflate64(&data);
    println!("corpus {size} bytes; Deflate by zlib: {}; Deflate64 by {by}: {}", plain.len(), plain64.len());
    let out = RefCell::new(vec![0; size.max(PIECE)]);
    for (format, stream) in [(Format::Deflate, &plain), (Format::Deflate64, &plain64)] {
        ours(format, stream, &mut out.borrow_mut(), true);
        assert!(out.borrow()[..size] == data, "{format:?}");
    }

    let (plain, plain64) = (&plain[..], &plain64[..]);
    let mut cases: Vec<(&str, Box<dyn FnMut() + '_>)> = Vec::new();
    macro_rules! case {
        ($name:literal, |$out:ident| $body:expr) => {
            cases.push((
                $name,
                Box::new(|| {
                    let $out = &mut out.borrow_mut()[..];
                    $body;
                }),
            ))
        };
    }
    case!("Deflate64, 64 KiB pieces  crate deflate64 0.1.12", |out| crate_deflate64(plain64, out, false));
    case!("                          this library", |out| ours(Format::Deflate64, plain64, out, false));
    case!("Deflate64, whole          crate deflate64 0.1.12", |out| crate_deflate64(plain64, out, true));
    case!("                          this library", |out| ours(Format::Deflate64, plain64, out, true));
    case!("Deflate, 64 KiB pieces    zlib (C)", |out| zlib_c(plain, out, false));
    case!("                          zlib-rs", |out| zlib_rs(plain, out, false));
    case!("                          this library", |out| ours(Format::Deflate, plain, out, false));
    case!("Deflate, whole            zlib (C)", |out| zlib_c(plain, out, true));
    case!("                          miniz_oxide", |out| miniz(plain, out));
    case!("                          zlib-rs", |out| zlib_rs(plain, out, true));
    case!("                          this library", |out| ours(Format::Deflate, plain, out, true));
    let mut best = vec![f64::MAX; cases.len()];
    for _ in 0..number("ROUNDS", 5) {
        for (best, (_, case)) in best.iter_mut().zip(&mut cases) {
            let start = now();
            case();
            *best = best.min(now() - start);
        }
    }
    for (time, (name, _)) in best.iter().zip(&cases) {
        println!("{name:52} {:7.1} MB/s {:5.2}", size as f64 / 1e6 / time, best[0] / time);
    }

    let mut inflate = Inflate::new(Format::Deflate64).expect("memory");
    _ = inflate.decompress(&plain64[..plain64.len() / 2], &mut out.borrow_mut());
    println!("\ncheckpoint                bytes   take us  restore us");
    let mut memory = vec![0; fdckpt::inflate::CHECKPOINT_MAX];
    for encoding in [CheckpointEncoding::Deflate64V0, CheckpointEncoding::Full, CheckpointEncoding::Compact] {
        let (size, _) = inflate.checkpoint_into(encoding, &mut memory).expect("intact");
        let take = micros(|| {
            _ = black_box(inflate.checkpoint_into(encoding, &mut memory));
        });
        let mut other = Inflate::new(Format::Deflate64).expect("memory");
        let restore = micros(|| {
            other.restore(black_box(&memory[..size])).expect("intact");
        });
        println!("{:22} {size:8} {take:9.1} {restore:11.1}", format!("{encoding:?}"));
    }
    let mut inflater = Box::new(::deflate64::InflaterManaged::new());
    let (mut from, mut buffer) = (0, vec![0; PIECE]);
    while from < plain64.len() / 2 {
        from += inflater.inflate(&plain64[from..], &mut buffer).bytes_consumed;
    }
    let (blob, _) = inflater.checkpoint().expect("it exists");
    let take = micros(|| {
        _ = black_box(inflater.checkpoint());
    });
    let restore = micros(|| {
        inflater.restore_from_checkpoint(black_box(&blob)).expect("intact");
    });
    println!("{:22} {:8} {take:9.1} {restore:11.1}", "crate deflate64", blob.len());

    println!("\nindex, a point every        size    a point     build  part of output  access ms  from the start");
    for (format, stream) in [(Format::Deflate, plain), (Format::Deflate64, plain64)] {
        for every in [1 << 20, 4 << 20, 16 << 20] {
            index(format, stream, &data, every);
        }
    }
}

/// What an index takes, and how long it takes to read 1000 bytes at random places, with it and without.
fn index(format: Format, stream: &[u8], data: &[u8], every: u64) {
    let start = now();
    let index = Index::build(stream, std::io::sink(), format, every).expect("intact");
    let build = data.len() as f64 / 1e6 / (now() - start);
    let size = index.to_container().expect("memory").serialized_size().expect("memory");
    let mut reader = index.reader(Cursor::new(stream)).expect("its input");
    let (mut part, mut place) = ([0; 1000], 0);
    let mut next = || {
        place = (place + data.len() * 618 / 1000) % (data.len() - 1000);
        place
    };
    const TIMES: usize = 200;
    let start = now();
    for _ in 0..TIMES {
        let place = next();
        reader.read_at(place as u64, &mut part).expect("intact");
        assert!(part == data[place..][..1000]);
    }
    let with = (now() - start) / TIMES as f64;
    let start = now();
    for _ in 0..3 {
        let mut all = Reader::new(stream, format).expect("memory");
        let to = next() as u64;
        std::io::copy(&mut all.by_ref().take(to), &mut std::io::sink()).expect("intact");
        all.read_exact(&mut part).expect("intact");
    }
    let without = (now() - start) / 3.0;
    println!(
        "{:10} {:4} MiB  {size:13} {:10} {build:4.0} MB/s {:13.2} % {:10.3} {:15.1}",
        format!("{format:?}"),
        every >> 20,
        size / index.point_count() as u64,
        size as f64 / data.len() as f64 * 100.0,
        with * 1e3,
        without * 1e3
    );
}
