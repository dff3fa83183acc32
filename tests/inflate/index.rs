//! Random access by an index: any range equals that of decoding from the start; indexes and inputs that are corrupt,
//! changed or do not belong together are rejected.

use std::fs::{self, File};
use std::io::{self, Cursor, Read, Seek, SeekFrom};
use std::process::Command;

use crate::common;
use crate::deflate::{self, Random, compress, random_stream};
use fdckpt::Container;
use fdckpt::inflate::Error;
use fdckpt::inflate::{Format, Index};

/// An output of several windows, and streams of it in each format. What follows the end belongs to the input.
fn streams(seed: u64) -> Vec<(Format, Vec<u8>, Vec<u8>)> {
    let mut streams = Vec::new();
    for format in [Format::Deflate, Format::Deflate64, Format::Zlib, Format::Gzip] {
        let (mut stream, mut plain) = (Vec::new(), Vec::new());
        match format {
            Format::Deflate | Format::Deflate64 => (stream, plain) = random_stream(seed, format == Format::Deflate64, 12),
            Format::Zlib => {
                plain = random_stream(seed, false, 12).1;
                stream = miniz_oxide::deflate::compress_to_vec_zlib(&plain, 6);
            }
            _ => {
                for member in 0..3 {
                    let (body, part) = random_stream(10 * seed + member, false, 5);
                    stream.extend([0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 3]);
                    stream.extend(body);
                    stream.extend(crc32fast::hash(&part).to_le_bytes());
                    stream.extend((part.len() as u32).to_le_bytes());
                    plain.extend(part);
                }
            }
        }
        streams.push((format, stream, plain));
    }
    streams
}

fn build(stream: &[u8], format: Format, every: u64) -> Index<'static> {
    Index::build(stream, io::sink(), format, every).expect("intact")
}

/// The error of this library that is inside.
fn ours(error: io::Error) -> Error {
    *error.get_ref().and_then(|inner| inner.downcast_ref().cloned()).as_ref().unwrap_or_else(|| panic!("{error:?}"))
}

#[test]
fn reads_any_range() {
    for seed in 1..3 {
        for (format, mut stream, plain) in streams(seed) {
            let mut random = Random(seed);
            if seed == 2 {
                stream.extend(b"what follows");
            }
            for every in [1 + plain.len() as u64 / 7, 1 + plain.len() as u64 / 50, 1 << 40] {
                let mut output = Vec::new();
                let index = Index::build(&stream[..], &mut output, format, every).expect("intact");
                assert!(output == plain, "{format:?}");
                let sizes = (index.format(), index.interval(), index.input_size(), index.output_size());
                assert_eq!(sizes, (format, every, stream.len() as u64, plain.len() as u64));
                assert_eq!(index.point_count() as u64, 1 + (plain.len() as u64 - 1) / every, "{format:?} {every}");

                let file = index.to_container().expect("memory").serialize().expect("memory");
                let index = Index::parse(&file).expect("it was just written");
                let mut reader = index.reader(Cursor::new(&stream)).expect("its input");
                let mut part = vec![0; plain.len() / 3];
                for round in 0..25 {
                    let from = random.below(plain.len() + 10);
                    let count = if round % 4 == 0 { random.below(part.len()) } else { random.below(300) };
                    let right = &plain[from.min(plain.len())..(from + count).min(plain.len())];
                    assert_eq!(reader.read_at(from as u64, &mut part[..count]).expect("intact"), right.len());
                    assert!(part[..right.len()] == *right, "{format:?} {every}: {count} bytes at {from}");
                }
                // As a file, from a place on to the end.
                let from = random.below(plain.len());
                assert_eq!(reader.seek(SeekFrom::End(from as i64 - plain.len() as i64)).expect("inside"), from as u64);
                let mut rest = Vec::new();
                reader.read_to_end(&mut rest).expect("intact");
                assert!(rest == plain[from..], "{format:?} {every}: from {from} on");
                assert_eq!(reader.stream_position().expect("the end"), plain.len() as u64);
                assert!(reader.seek(SeekFrom::Current(-1 - plain.len() as i64)).is_err());
            }
        }
    }
}

/// An input that counts the bytes that are read of it, gives at most so many at once, and is interrupted now and then
/// if those are few.
struct Counting<'s> {
    input: Cursor<&'s [u8]>,
    at_once: usize,
    count: usize,
    calls: usize,
}

impl<'s> Counting<'s> {
    fn new(input: &'s [u8], at_once: usize) -> Self {
        Self { input: Cursor::new(input), at_once, count: 0, calls: 0 }
    }
}

impl Read for Counting<'_> {
    fn read(&mut self, to: &mut [u8]) -> io::Result<usize> {
        self.calls += 1;
        if self.at_once < 100 && self.calls.is_multiple_of(3) {
            return Err(io::ErrorKind::Interrupted.into());
        }
        let most = self.at_once.min(to.len());
        let count = self.input.read(&mut to[..most])?;
        self.count += count;
        Ok(count)
    }
}

impl Seek for Counting<'_> {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        self.input.seek(to)
    }
}

/// Decoding starts at the nearest access point: input before it is not read. Sequential reads continue where the last
/// one ended.
#[test]
fn reading_starts_at_nearest_access_point() {
    let mut random = Random(5);
    let plain: Vec<u8> = (0..2_000_000).map(|_| random.small(256) as u8 & 15).collect();
    let stream = compress(&plain, true);
    let index = build(&stream, Format::Deflate64, 20_000);
    let mut input = Counting::new(&stream, usize::MAX);
    let mut reader = index.reader(&mut input).expect("its input");
    let mut part = [0; 100];
    reader.read_at(1_234_567, &mut part).expect("intact");
    assert_eq!(part, plain[1_234_567..][..100]);
    drop(reader);
    assert!(input.count < 3 * stream.len() / 100, "{} of {}", input.count, stream.len());

    let mut input = Counting::new(&stream, usize::MAX);
    let mut reader = index.reader(&mut input).expect("its input");
    reader.seek(SeekFrom::Start(1_000_000)).expect("inside");
    let mut part = [0; 1000];
    for from in (1_000_000..1_200_000).step_by(1000) {
        reader.read_exact(&mut part).expect("intact");
        assert!(part == plain[from..][..1000]);
    }
    drop(reader);
    // 200,000 bytes of 2,000,000, each read to check it and perhaps once more.
    assert!(input.count < 3 * stream.len() / 10, "{} of {}", input.count, stream.len());
}

/// Pieces of input of which some give no output at all, and interruptions.
#[test]
fn input_in_small_reads() {
    let mut random = Random(6);
    let plain: Vec<u8> = (0..150_000).map(|_| random.next() as u8 & 63).collect();
    let stream = compress(&plain, false);
    assert!(stream.len() > 1 << 16, "more than is read at once");
    let index = Index::build(Counting::new(&stream, 5), io::sink(), Format::Deflate, 1 << 40).expect("intact");
    let mut reader = index.reader(Counting::new(&stream, 5)).expect("its input");
    let mut output = Vec::new();
    reader.read_to_end(&mut output).expect("intact");
    assert!(output == plain);
}

/// The input is read to its end: further members of gzip may come after any piece, and of anything else a lot can
/// follow.
#[test]
fn trailing_data_is_part_of_input() {
    let (format, stream, plain) = streams(4).swap_remove(3);
    let two = [&stream[..], &stream].concat();
    let index = Index::build(stream.chain(&stream[..]), io::sink(), format, 20_000).expect("intact");
    assert_eq!((index.input_size(), index.output_size()), (two.len() as u64, 2 * plain.len() as u64));
    let mut output = Vec::new();
    index.reader(Cursor::new(&two)).expect("its input").read_to_end(&mut output).expect("intact");
    assert!(output == [&plain[..], &plain].concat());

    for (format, mut stream, plain) in streams(4) {
        stream.extend([0; 200_000]);
        let index = build(&stream, format, 20_000);
        assert_eq!((index.input_size(), index.output_size()), (stream.len() as u64, plain.len() as u64));
        let mut reader = index.reader(Cursor::new(&stream)).expect("its input");
        let mut last = [0; 10];
        reader.read_at(plain.len() as u64 - 10, &mut last).expect("intact");
        assert_eq!(last, plain[plain.len() - 10..]);
    }
}

#[test]
fn reports_what_cannot_be_indexed() {
    let (format, stream, plain) = streams(1).swap_remove(2);
    let error = Index::build(&stream[..], io::sink(), format, 0).expect_err("no distance");
    assert!(matches!(ours(error), Error::InvalidArgument(_)));
    let error = Index::build(&stream[..stream.len() - 1], io::sink(), format, 1000).expect_err("truncated");
    assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof);
    assert_eq!(ours(error), Error::UnexpectedEof { offset: stream.len() as u64 - 1 });
    let mut damaged = stream.clone();
    *damaged.last_mut().expect("a checksum") ^= 1;
    let mut output = Vec::new();
    let error = Index::build(&damaged[..], &mut output, format, 1000).expect_err("damaged");
    assert!(matches!(ours(error), Error::Corrupt { .. }) && output == plain);
    let mut full = [0; 1000];
    let error = Index::build(&stream[..], &mut full[..], format, 1000).expect_err("no space");
    assert_eq!(error.kind(), io::ErrorKind::WriteZero);
}

#[test]
fn rejects_other_inputs() {
    for (format, stream, plain) in streams(3) {
        let index = build(&stream, format, plain.len() as u64 / 12);
        for other in [&stream[1..], &[&stream[..], &[0]].concat(), &[]] {
            let error = index.reader(Cursor::new(other)).expect_err("another size");
            assert_eq!(ours(error), Error::SourceSizeMismatch { size: other.len() as u64, expected: stream.len() as u64 });
        }
        let mut random = Random(8);
        for _ in 0..20 {
            let mut changed = stream.clone();
            let place = random.below(stream.len());
            changed[place] ^= 1 << random.below(8);
            let mut reader = index.reader(Cursor::new(&changed)).expect("the size is right");
            let mut output = Vec::new();
            let error = ours(reader.read_to_end(&mut output).expect_err("it was changed"));
            let Error::SourceModified { from, to } = error else { panic!("{error:?}") };
            assert!((from..to).contains(&(place as u64)), "{place}: {from} to {to}");
            assert!(plain.starts_with(&output), "nothing wrong is returned");
            // What lies after the next point can be read nevertheless.
            let mut last = [0];
            let result = reader.read_at(plain.len() as u64 - 1, &mut last);
            assert_eq!(result.is_ok(), to < stream.len() as u64, "{from} to {to}");
        }
    }
}

/// Makes the checksum of the points right.
fn seal(mut table: Vec<u8>) -> Vec<u8> {
    let end = table.len() - 4;
    let sum = crc32fast::hash(&table[..end]);
    table[end..].copy_from_slice(&sum.to_le_bytes());
    table
}

/// Nobody waits for output that does not come.
#[test]
fn index_with_too_much_output_is_rejected() {
    for (format, mut stream, plain) in streams(2) {
        for what_follows in ["", "what follows"] {
            stream.extend(what_follows.bytes());
            let index = build(&stream, format, plain.len() as u64 / 3);
            let mut container = index.to_container().expect("memory");
            let mut table = container.get(128).expect("points").to_vec();
            table[32..40].copy_from_slice(&(plain.len() as u64 + 1).to_le_bytes());
            container.set(128, seal(table)).expect("memory");
            let file = container.serialize().expect("memory");
            let index = Index::parse(&file).expect("nothing contradicts itself");
            let mut reader = index.reader(Cursor::new(&stream)).expect("its input");
            let mut output = Vec::new();
            let error = ours(reader.read_to_end(&mut output).expect_err("there is less"));
            assert!(matches!(error, Error::InvalidCheckpoint(_)) && output == plain, "{format:?}: {error:?}");
        }
    }
}

#[test]
fn rejects_corrupt_and_foreign_indexes() {
    let (format, stream, plain) = streams(1).swap_remove(3);
    let index = build(&stream, format, plain.len() as u64 / 5);
    let file = index.to_container().expect("memory").serialize().expect("memory");
    let container = Container::parse(&file).expect("a container");
    let (table, checkpoints) = (container.get(128).expect("points"), container.get(129).expect("checkpoints"));
    let with = |table: &[u8], checkpoints: &[u8]| {
        let mut container = Container::new();
        container.set(129, checkpoints).expect("memory");
        container.set(7, &b"something else"[..]).expect("memory");
        container.set(128, table).expect("memory");
        container.serialize().expect("memory")
    };
    let unchanged = with(table, checkpoints);
    Index::parse(&unchanged).expect("it is").verify().expect("intact");
    assert_eq!(Index::parse(&unchanged).expect("in any order").point_count(), index.point_count());

    // Each byte of the table.
    for place in 0..table.len() {
        let mut table = table.to_vec();
        table[place] ^= 0x10;
        let error = Index::parse(&with(&table, checkpoints)).expect_err("damaged");
        let unknown = place < 9;
        assert!(
            matches!(error, Error::UnknownFormat(_) if unknown) || matches!(error, Error::CorruptIndex { .. } if !unknown),
            "{place}"
        );
    }
    // The same with a right checksum: refused, then or when it is used, unless what comes out is right nevertheless.
    let (mut refused, mut failed) = (0, 0);
    for place in 9..table.len() - 4 {
        let mut table = table.to_vec();
        table[place] ^= 0x10;
        let file = with(&seal(table), checkpoints);
        let Ok(index) = Index::parse(&file) else {
            refused += 1;
            continue;
        };
        // From the last point to the first, so that each is gone on from.
        let read = index.reader(Cursor::new(&stream)).and_then(|mut reader| {
            let mut part = [0; 10];
            for from in (0..5).rev().map(|point| point * (plain.len() / 5) + 7) {
                let count = reader.read_at(from as u64, &mut part)?;
                assert!(plain[from..].starts_with(&part[..count]), "byte {place} of the table");
            }
            Ok(())
        });
        failed += usize::from(read.is_err());
    }
    assert!(refused > 100 && failed > 20, "{refused} {failed}");
    // The offsets of an access point are the actual ones.
    let mut other = table.to_vec();
    other[48 + 2 * 36 + 8..][..8].fill(0xff);
    let file = with(&seal(other), checkpoints);
    let section =
        Container::parse(&file).expect("a container").sections().find(|section| section.kind() == 128).expect("points").offset();
    let what = "the index has an impossible access point";
    assert_eq!(Index::parse(&file).err(), Some(Error::CorruptIndex { offset: section as u64 + 48 + 2 * 36, reason: what }));
    for cut in [0, 8, 47, 51, table.len() - 36, table.len() - 1] {
        assert!(Index::parse(&with(&table[..cut], checkpoints)).is_err(), "cut to {cut}");
    }
    assert!(Index::parse(&with(table, &checkpoints[..checkpoints.len() - 1])).is_err());

    // Each checkpoint, when it is used.
    for place in (0..checkpoints.len()).step_by(1 + checkpoints.len() / 50) {
        let mut checkpoints = checkpoints.to_vec();
        checkpoints[place] ^= 4;
        let file = with(table, &checkpoints);
        let index = Index::parse(&file).expect("the table is right");
        assert!(matches!(index.verify(), Err(Error::InvalidCheckpoint(_))), "byte {place} of the checkpoints");
        let mut reader = index.reader(Cursor::new(&stream)).expect("its input");
        let errors = (0..index.point_count() as u64)
            .filter_map(|point| reader.read_at(point * index.interval(), &mut [0]).err())
            .filter(|error| matches!(error.get_ref().and_then(|inner| inner.downcast_ref()), Some(Error::InvalidCheckpoint(_))));
        assert_eq!(errors.count(), 1, "byte {place} of the checkpoints");
    }

    assert!(matches!(Index::parse(b"no container"), Err(Error::UnknownFormat(_))));
    let empty = Container::new().serialize().expect("memory");
    assert!(matches!(Index::parse(&empty), Err(Error::UnknownFormat(_))));
    // Of another stream of this size.
    let other: Vec<u8> = stream.iter().map(|byte| byte ^ 1).collect();
    let mut reader = index.reader(Cursor::new(&other)).expect("the size is right");
    assert!(matches!(ours(reader.read_at(0, &mut [0]).expect_err("another stream")), Error::SourceModified { from: 0, .. }));
}

/// As the fuzz target does it.
#[test]
fn fuzz_cases_of_tampered_indexes() {
    let mut random = Random(11);
    for _ in 0..40 {
        let mut case: Vec<u8> = (0..4 + 3 * random.below(3)).map(|_| random.small(256) as u8).collect();
        if random.once_in(4) {
            case.extend((0..random.below(200)).map(|_| random.small(256) as u8));
        }
        deflate::run::index(&case);
    }
}

/// In a new process, of the C example.
#[test]
fn index_outlives_process() {
    let dir = common::temp_dir("inflate-index");
    let program = common::example("inflate_index");
    for (format, stream, plain) in streams(6) {
        let name = format!("{format:?}").to_lowercase();
        let [input, output, index] = ["in", "out", "index"].map(|part| dir.join(format!("{name}.{part}")));
        fs::write(&input, &stream).expect("enough space");
        common::run(Command::new(&program).args(["build", &name]).args([&input, &index, &output]).arg("20000"));
        assert!(fs::read(&output).expect("it was written") == plain);
        let (from, count) = (plain.len() / 2, plain.len() / 3);
        let mut read = Command::new(&program);
        read.arg("read").args([&input, &index]).args([from.to_string(), count.to_string()]);
        let output = common::output(&mut read);
        assert!(output.status.success() && output.stdout == plain[from..from + count], "{name}");
        // What C wrote Rust reads.
        let file = fs::read(&index).expect("it was written");
        let index = Index::parse(&file).expect("intact");
        let mut part = vec![0; count];
        index.reader(File::open(&input).expect("it exists")).expect("its input").read_at(from as u64, &mut part).expect("intact");
        assert!(part == plain[from..from + count]);
        // Truncated, it is refused with a reason.
        fs::write(&input, &stream[..stream.len() - 1]).expect("enough space");
        let output = common::output(&mut read);
        assert!(
            !output.status.success() && String::from_utf8_lossy(&output.stderr).contains("but the index was built from"),
            "{name}"
        );
    }
}
