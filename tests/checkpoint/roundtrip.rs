//! Self-describing checkpoints: writing, reading, salvage; the bytes are those of the specification.

use std::fs::{self, File};
use std::io::{Read, Write};
use std::ops::ControlFlow;
use std::os::fd::AsFd;
use std::path::Path;

use crate::common;
use fdckpt::checkpoint::{
    Error, ErrorKind, ReadRequest, Reader, ReaderOptions, SpoolKind, SyncMode, Writer, WriterOptions, salvage,
};
use fdckpt::{Container, FrameStyle, Restore};
use proptest::prelude::*;

/// Noise, runs, and repetitions, by a seed.
fn data(seed: u64, size: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    let mut bytes: Vec<u8> = Vec::with_capacity(size + 100);
    while bytes.len() < size {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        match bytes.len().checked_sub(1000) {
            Some(before) if state >> 62 != 0 => bytes.extend_from_within(before..before + 100),
            _ => bytes.extend((state >> 8).to_le_bytes()),
        }
    }
    bytes.truncate(size);
    bytes
}

fn options<'w>() -> WriterOptions<'w> {
    WriterOptions::new().sync(SyncMode::None)
}

fn write_to(path: &Path, options: WriterOptions<'_>, regions: &[(String, Vec<u8>)]) -> Vec<u8> {
    let mut writer = options.create(path).unwrap();
    for (name, data) in regions {
        writer.add(name, data).unwrap();
    }
    writer.commit().unwrap();
    fs::read(path).unwrap()
}

fn named(sizes: &[usize]) -> Vec<(String, Vec<u8>)> {
    sizes.iter().enumerate().map(|(number, &size)| (format!("region {number}"), data(number as u64, size))).collect()
}

/// Restores each frame in order by the plain API, and returns all data.
fn restore_plainly(reader: &Reader<'_>, file: &[u8]) -> Vec<u8> {
    let mut restore = Restore::mmio(file).unwrap();
    let mut all = Vec::new();
    for number in 0..reader.frame_count() {
        let frame = reader.frame(number).unwrap();
        let mut data = vec![0; frame.data as usize];
        assert_eq!(restore.open(frame.style).unwrap(), frame.offset);
        restore.data(&mut data).unwrap();
        assert_eq!(restore.close().unwrap(), frame.offset + frame.stored);
        all.extend(data);
    }
    all
}

/// All that can be read of a file is what was saved.
fn check(file: &[u8], regions: &[(String, Vec<u8>)], threads: usize) {
    let reader = ReaderOptions::new().threads(threads).open_bytes(file).unwrap();
    assert_eq!(reader.len(), regions.len());
    for ((name, data), entry) in regions.iter().zip(reader.regions()) {
        assert_eq!((entry.name(), entry.size()), (&name[..], data.len() as u64));
        let found = reader.find(name).unwrap();
        assert_eq!(found.index(), entry.index());
        assert_eq!(reader.read_index_to_vec(entry.index()).unwrap(), *data, "{name}");
        if entry.style() == FrameStyle::Raw {
            assert_eq!(reader.map(entry.index()).unwrap(), data);
        } else {
            assert_eq!(reader.map(entry.index()).unwrap_err().kind(), ErrorKind::RegionCompressed);
        }
        for (offset, size) in [(0, 0), (data.len(), 0), (data.len() / 3, data.len() / 2), (data.len() / 2, 1.min(data.len()))] {
            let mut part = vec![0; size];
            reader.read_range(entry.index(), offset as u64, &mut part).unwrap();
            assert_eq!(part, data[offset..offset + size], "{name}: {size} at {offset}");
        }
    }
    let mut all: Vec<Vec<u8>> = regions.iter().map(|(_, data)| vec![0; data.len()]).collect();
    let mut requests: Vec<ReadRequest<'_>> =
        all.iter_mut().enumerate().map(|(index, data)| ReadRequest { index, data }).rev().collect();
    reader.read_many(&mut requests).unwrap();
    assert!(all.iter().zip(regions).all(|(read, (_, data))| read == data));
    let report = reader.verify(&mut |damage| panic!("{damage:?}")).unwrap();
    assert!(report.is_intact() && report.has_checksums == reader.has_checksums(), "{report:?}");
    assert_eq!((report.regions, report.frames), (regions.len() as u64, reader.frame_count() as u64));
    assert!(reader.find("no such region").is_none() && reader.region(regions.len()).is_none());

    let container = Container::parse(file).unwrap();
    assert_eq!(container.verify().unwrap(), []);
    assert_eq!(container.sections().map(|section| section.kind()).collect::<Vec<_>>(), [128, 129]);
    let expected: Vec<u8> = regions.iter().flat_map(|(_, data)| data).copied().collect();
    assert_eq!(restore_plainly(&reader, file), expected);
}

#[test]
fn round_trip() {
    let dir = common::temp_dir("index-round");
    let path = dir.join("a.ckpt");
    let cases: [&[usize]; 8] = [
        &[],
        &[0],
        &[1],
        &[0, 0, 5, 0],
        &[16_383, 16_384, 16_385, 65_535, 65_536, 65_537],
        &[1000; 200],
        &[300_000, 10, 20, 131_072, 7, 65_536, 0],
        &[2_000_000],
    ];
    for sizes in cases {
        let regions = named(sizes);
        for style in [FrameStyle::Raw, FrameStyle::Lz4] {
            for checksums in [true, false] {
                let with = || options().style(style).frame_size(65_536).checksums(checksums);
                let file = write_to(&path, with(), &regions);
                check(&file, &regions, 1);
                check(&file, &regions, 3);
                assert_eq!(write_to(&path, with().threads(3), &regions), file, "{sizes:?}");
            }
        }
    }
    let left: Vec<_> = fs::read_dir(&dir).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(left, ["a.ckpt"]);
}

/// Whatever the number of threads, the frames are those of one handle that has made them in order.
#[test]
fn frames_match_single_handle() {
    let dir = common::temp_dir("index-handle");
    // Of few letters: there the first frame of a handle differs from later ones.
    let letters: Vec<u8> = data(5, 1_000_000).iter().map(|byte| b"ACGT"[usize::from(byte & 3)]).collect();
    let regions: Vec<(String, Vec<u8>)> =
        letters.chunks(70_000).enumerate().map(|(number, part)| (format!("{number}"), part.to_vec())).collect();
    for threads in [1, 2, 3, 7] {
        let with = options().style(FrameStyle::Lz4).frame_size(65_536).threads(threads);
        let file = write_to(&dir.join("a"), with, &regions);
        let reader = ReaderOptions::new().open_bytes(&file).unwrap();
        let frames = reader.frame(reader.frame_count() - 1).map(|frame| frame.offset + frame.stored).unwrap() as usize;
        let (mut plain, mut rest) = (vec![0; 2_000_000], &letters[..]);
        let mut checkpt = fdckpt::Checkpt::mmio(&mut plain).unwrap();
        let mut end = 0;
        for number in 0..reader.frame_count() {
            let (data, others) = rest.split_at(reader.frame(number).unwrap().data as usize);
            rest = others;
            checkpt.open(FrameStyle::Lz4).unwrap();
            checkpt.data(data).unwrap();
            end = checkpt.close().unwrap() as usize;
        }
        drop(checkpt);
        assert!(rest.is_empty() && file[..frames] == plain[..end], "{threads} threads");
    }
}

#[test]
fn styles_mix_and_small_regions_share_frames() {
    let dir = common::temp_dir("index-mixed");
    let path = dir.join("a.ckpt");
    let mut writer = options().frame_size(512 << 10).create(&path).unwrap();
    writer.attribute("step", b"17").unwrap();
    writer.add("first", &[1; 1000]).unwrap();
    writer.add("second", &[2; 1000]).unwrap();
    writer.set_style(FrameStyle::Lz4).unwrap();
    writer.add("third", &[3; 1000]).unwrap();
    writer.attribute("empty", b"").unwrap();
    writer.set_style(FrameStyle::Raw).unwrap();
    writer.add("fourth", &[4; 600_000]).unwrap();
    let summary = writer.commit().unwrap();
    assert_eq!((summary.regions, summary.frames, summary.data), (4, 4, 603_000));
    assert_eq!(summary.stored, fs::metadata(&path).unwrap().len());
    let reader = Reader::open(&path).unwrap();
    let places: Vec<_> =
        reader.regions().map(|entry| (entry.style(), entry.frame(), entry.frame_offset(), entry.frame_count())).collect();
    use FrameStyle::{Lz4, Raw};
    assert_eq!(places, [(Raw, Some(0), 0, 1), (Raw, Some(0), 1000, 1), (Lz4, Some(1), 0, 1), (Raw, Some(2), 0, 2)]);
    assert_eq!(reader.attributes().collect::<Vec<_>>(), [("step", &b"17"[..]), ("empty", &b""[..])]);
    assert_eq!(reader.attribute("step"), Some(&b"17"[..]));
    assert_eq!(reader.attribute("none"), None);
    assert_eq!(reader.spooled(), None);
}

#[test]
fn invalid_arguments_poison_writer() {
    let dir = common::temp_dir("index-refused");
    let path = dir.join("a.ckpt");
    let refused = |add: &dyn Fn(&mut Writer<'_>) -> Result<(), Error>, error: ErrorKind, name: Option<&str>| {
        let mut writer = options().create(&path).unwrap();
        writer.add("there", b"data").unwrap();
        let failure = add(&mut writer).unwrap_err();
        assert_eq!((failure.kind(), failure.name()), (error, name));
        assert_eq!(failure.file(), path.to_str());
        assert_eq!(writer.add("further", b"").unwrap_err().kind(), ErrorKind::Poisoned);
        assert_eq!(writer.commit().unwrap_err().kind(), ErrorKind::Poisoned);
        assert_eq!(fs::read_dir(&dir).unwrap().count(), 0);
    };
    refused(&|writer| writer.add("there", b"again"), ErrorKind::DuplicateName, Some("there"));
    refused(&|writer| writer.add("", b""), ErrorKind::InvalidArgument("the name is empty"), Some(""));
    refused(&|writer| writer.add("a\0b", b""), ErrorKind::InvalidArgument("the name contains a NUL byte"), Some("a\0b"));
    let long = "x".repeat(65_536);
    refused(&|writer| writer.add(&long, b""), ErrorKind::InvalidArgument("the name has more than 65535 bytes"), Some(&long));
    let attribute = |writer: &mut Writer<'_>| {
        writer.attribute("key", b"1")?;
        writer.attribute("key", b"2")
    };
    refused(&attribute, ErrorKind::DuplicateName, Some("key"));
    for size in [0, 65_535, (1 << 30) + 1] {
        assert!(matches!(options().frame_size(size).create(&path).unwrap_err().kind(), ErrorKind::InvalidArgument(_)));
    }
    for name in ["", "folder/", "folder/.", "folder/.."] {
        let failure = options().create(dir.join(name)).unwrap_err();
        assert!(
            matches!(failure.kind(), ErrorKind::InvalidArgument(why) if why.contains("does not end in a file name")),
            "{name}: {failure}"
        );
    }
    let file = write_to(&path, options(), &named(&[10, 20]));
    let reader = ReaderOptions::new().open_bytes(&file).unwrap();
    let error = |result: Result<(), Error>| result.unwrap_err().kind();
    assert_eq!(error(reader.read_index(0, &mut [0; 11])), ErrorKind::RegionSizeMismatch { size: 10, given: 11 });
    assert_eq!(error(reader.read_index(2, &mut [0; 11])), ErrorKind::RegionNotFound);
    assert_eq!(error(reader.read_range(1, 15, &mut [0; 6])), ErrorKind::RangeOutOfBounds { offset: 15, length: 6, size: 20 });
    assert_eq!(
        error(reader.read_range(1, u64::MAX, &mut [0; 6])),
        ErrorKind::RangeOutOfBounds { offset: u64::MAX, length: 6, size: 20 }
    );
}

#[test]
fn progress_is_reported_and_can_cancel() {
    let dir = common::temp_dir("index-progress");
    let path = dir.join("a.ckpt");
    fs::write(&path, "old").unwrap();
    let mut seen = Vec::new();
    let mut writer = options()
        .frame_size(65_536)
        .progress(|progress| {
            seen.push((progress.data, progress.total));
            if seen.len() == 3 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        })
        .create(&path)
        .unwrap();
    writer.add("first", &[0; 100_000]).unwrap();
    assert_eq!(writer.add("second", &[0; 100_000]).unwrap_err().kind(), ErrorKind::Cancelled);
    drop(writer);
    assert_eq!(seen, [(65_536, 100_000), (100_000, 100_000), (165_536, 200_000)]);
    assert_eq!(fs::read(&path).unwrap(), b"old");
    assert_eq!(fs::read_dir(&dir).unwrap().count(), 1);

    let file = write_to(&path, options().frame_size(65_536), &named(&[400_000]));
    let reader = ReaderOptions::new().open_bytes(&file).unwrap();
    let (mut to, mut calls) = (vec![0; 400_000], 0);
    let mut observe = |progress: fdckpt::checkpoint::Progress| {
        calls += 1;
        assert_eq!((progress.data, progress.total), (65_536 * calls, 400_000));
        if calls == 2 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    };
    let failure = reader.read_many_with(&mut [ReadRequest { index: 0, data: &mut to }], Some(&mut observe)).unwrap_err();
    assert_eq!((failure.kind(), calls), (ErrorKind::Cancelled, 2));
    // Whichever thread has done what: the end is reported.
    let reader = ReaderOptions::new().threads(4).open_bytes(&file).unwrap();
    for _ in 0..50 {
        let mut told = 0;
        let mut observe = |progress: fdckpt::checkpoint::Progress| {
            told = progress.data;
            ControlFlow::Continue(())
        };
        reader.read_many_with(&mut [ReadRequest { index: 0, data: &mut to }], Some(&mut observe)).unwrap();
        assert_eq!(told, 400_000);
        let mut told = (0, 0);
        let mut observe = |progress: fdckpt::checkpoint::Progress| {
            told = (progress.data, progress.stored);
            ControlFlow::Continue(())
        };
        reader.verify_with(&mut |damage| panic!("{damage:?}"), Some(&mut observe)).unwrap();
        assert_eq!(told, (400_000, 400_000));
    }
}

#[test]
fn reader_properties() {
    let dir = common::temp_dir("index-tells");
    let path = dir.join("a");
    let empty = write_to(&path, options(), &[]);
    assert!(ReaderOptions::new().open_bytes(&empty).unwrap().is_empty());
    let file = write_to(&path, options(), &named(&[10, 0, 30]));
    let reader = ReaderOptions::new().threads(2).checksums(false).spool_limit(5).open_bytes(&file).unwrap();
    assert_eq!((reader.len(), reader.is_empty(), reader.file_size()), (3, false, file.len() as u64));
    let numbers = |from: usize, to: usize| (from..to).collect::<Vec<_>>();
    let mut entries = reader.regions();
    assert_eq!((entries.len(), entries.next_back().unwrap().index(), entries.len()), (3, 2, 2));
    assert_eq!(entries.map(|entry| entry.index()).collect::<Vec<_>>(), numbers(0, 2));
    assert!(reader.regions().rev().map(|entry| entry.index()).eq(numbers(0, 3).into_iter().rev()));
    let told = format!("{:?}", reader.options());
    assert!(told.contains("threads: 2, checksums: false") && told.contains("spool_limit: 5"), "{told}");
    assert_eq!(format!("{reader:?}"), "Reader { file: None, regions: 3, frames: 1, data: 40, .. }");
    assert_eq!(format!("{:?}", reader.region(2).unwrap()), "Region { index: 2, name: \"region 2\", size: 30 }");
    assert_eq!(format!("{:?}", reader.regions()), "Regions { reader: Reader, indices: 0..3 }");
    let told = format!("{:?}", options().threads(3));
    assert!(told.starts_with("WriterOptions { style: Raw, threads: 3, frame_size: 262144, checksums: true"), "{told}");
    let mut writer = options().write_to(File::create(&path).unwrap()).unwrap();
    writer.add("a", b"12345").unwrap();
    assert_eq!(format!("{writer:?}"), "Writer { file: None, regions: 1, data: 5, failed: false, .. }");
}

/// In whatever order they are asked for.
#[test]
fn shared_frames_are_decoded_once() {
    let dir = common::temp_dir("index-once");
    let regions = named(&[10_000, 100_000, 10_000, 15_000]);
    let mut writer = options().style(FrameStyle::Lz4).frame_size(65_536).create(dir.join("a")).unwrap();
    // In frame 0: regions 0, 1 and 2; those of the largest region are frames 1 and 2.
    for number in [0, 2, 3, 1] {
        writer.add(&regions[number].0, &regions[number].1).unwrap();
    }
    writer.commit().unwrap();
    let reader = Reader::open(dir.join("a")).unwrap();
    let mut to: Vec<Vec<u8>> = reader.regions().map(|entry| vec![0; entry.size() as usize]).collect();
    let mut requests: Vec<ReadRequest<'_>> = to.iter_mut().enumerate().map(|(index, data)| ReadRequest { index, data }).collect();
    requests.swap(1, 3);
    let mut told = Vec::new();
    let mut observe = |progress: fdckpt::checkpoint::Progress| {
        told.push((progress.data, progress.stored));
        ControlFlow::Continue(())
    };
    reader.read_many_with(&mut requests, Some(&mut observe)).unwrap();
    let ends = [35_000, 100_536, 135_000].iter().zip(0..3).map(|(&data, number)| {
        let frame = reader.frame(number).unwrap();
        (data, frame.offset + frame.stored)
    });
    assert_eq!(told, ends.collect::<Vec<_>>());
    assert!([0, 2, 3, 1].iter().zip(&to).all(|(&number, to)| regions[number].1 == *to));
}

#[test]
fn pipes_descriptors_and_memory() {
    let regions = named(&[100, 200_000, 0, 70_000]);
    let dir = common::temp_dir("index-pipes");
    let file = write_to(&dir.join("a"), options().style(FrameStyle::Lz4), &regions);
    let (mut from, to) = std::io::pipe().unwrap();
    let reading = std::thread::spawn(move || {
        let mut all = Vec::new();
        from.read_to_end(&mut all).unwrap();
        all
    });
    let mut writer = WriterOptions::new().style(FrameStyle::Lz4).write_to(to).unwrap();
    for (name, data) in &regions {
        writer.add(name, data).unwrap();
    }
    writer.commit().unwrap();
    assert_eq!(reading.join().unwrap(), file);

    for (memory, limit, spooled) in [
        (1 << 20, 1 << 20, Ok(SpoolKind::InMemory)),
        (1 << 10, 1 << 20, Ok(SpoolKind::InFile)),
        (0, 1000, Err(ErrorKind::InputTooLarge { limit: 1000 })),
        (file.len() as u64, file.len() as u64, Ok(SpoolKind::InMemory)),
        (file.len() as u64 - 1, u64::MAX, Ok(SpoolKind::InFile)),
    ] {
        let (from, mut to) = std::io::pipe().unwrap();
        let copy = file.clone();
        let writing = std::thread::spawn(move || _ = to.write_all(&copy));
        let reader = ReaderOptions::new().spool_memory(memory).spool_limit(limit).open_fd(&from);
        match (reader, spooled) {
            (Ok(reader), Ok(spooled)) => {
                assert_eq!(reader.spooled(), Some(spooled));
                assert_eq!(reader.read_index_to_vec(1).unwrap(), regions[1].1);
            }
            (Err(failure), Err(error)) => assert_eq!(failure.kind(), error),
            (reader, _) => panic!("{reader:?}"),
        }
        drop(from);
        writing.join().unwrap();
    }
    let opened = File::open(dir.join("a")).unwrap();
    let reader = ReaderOptions::new().open_fd(opened.as_fd()).unwrap();
    drop(opened);
    assert_eq!(reader.read_index_to_vec(3).unwrap(), regions[3].1);
}

#[test]
fn rejects_other_files() {
    for bytes in [&b""[..], b"x", b"not a checkpoint", &[0; 4096]] {
        assert!(matches!(ReaderOptions::new().open_bytes(bytes).unwrap_err().kind(), ErrorKind::UnknownFormat(_)));
    }
    let mut container = Container::new();
    container.set(1, b"something else".as_slice()).unwrap();
    let failure = ReaderOptions::new().open_bytes(&container.serialize().unwrap()).unwrap_err().kind();
    assert!(matches!(failure, ErrorKind::UnknownFormat(why) if why.contains("no index")), "{failure}");
    let failure = Reader::open("/no/such/file").unwrap_err();
    assert_eq!((failure.file(), failure.name(), failure.frame()), (Some("/no/such/file"), None, None));
    assert!(failure.to_string().contains("No such file"), "{failure}");
    let source = std::error::Error::source(&failure).and_then(|source| source.downcast_ref::<ErrorKind>());
    assert_eq!(source, Some(&failure.kind()));
}

#[test]
fn a_million_regions() {
    // As many in the long run; here it is to be quick.
    let count = std::env::var("FDCKPT_TEST_REGIONS").map_or(20_000, |count| count.parse::<u64>().expect("a number"));
    let dir = common::temp_dir("index-million");
    let path = dir.join("a");
    let mut writer = options().create(&path).unwrap();
    for number in 0..count {
        writer.add(&format!("particles/{number}/position"), &number.to_le_bytes()).unwrap();
    }
    writer.commit().unwrap();
    let start = std::time::Instant::now();
    let reader = Reader::open(&path).unwrap();
    let opened = start.elapsed();
    let start = std::time::Instant::now();
    for number in (0..count).step_by(7) {
        assert_eq!(reader.find(&format!("particles/{number}/position")).unwrap().index() as u64, number);
    }
    let found = start.elapsed() / (count / 7) as u32;
    let start = std::time::Instant::now();
    for number in (0..count).step_by(11) {
        let mut data = [0; 8];
        reader.read_index(number as usize, &mut data).unwrap();
        assert_eq!(u64::from_le_bytes(data), number);
    }
    let read = start.elapsed() / (count / 11) as u32;
    let start = std::time::Instant::now();
    assert!(reader.verify(&mut |damage| panic!("{damage:?}")).unwrap().is_intact());
    let verified = start.elapsed();
    println!("{count} regions: opened in {opened:?}, one found in {found:?}, one read in {read:?}, all verified in {verified:?}");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn random_checkpoints(
        sizes in prop::collection::vec(prop_oneof![0..100usize, 0..30_000usize, 0..300_000usize], 0..12),
        lz4 in any::<bool>(), checksums in any::<bool>(), threads in 1..4usize, frame_size in 65_536..200_000usize,
    ) {
        let dir = common::temp_dir("index-random");
        let regions = named(&sizes);
        let style = if lz4 { FrameStyle::Lz4 } else { FrameStyle::Raw };
        let with = || options().style(style).checksums(checksums).frame_size(frame_size);
        let file = write_to(&dir.join("a"), with(), &regions);
        prop_assert_eq!(&write_to(&dir.join("b"), with().threads(threads), &regions), &file);
        check(&file, &regions, threads);
    }
}

#[test]
fn salvage_recovers_remaining_regions() {
    let dir = common::temp_dir("index-salvage");
    let (path, to) = (dir.join("a"), dir.join("b"));
    let regions = named(&[1000, 300_000, 20]);
    let with = || options().style(FrameStyle::Lz4).frame_size(65_536);
    let file = write_to(&path, with(), &regions);
    let salvaged = |bytes: &[u8]| {
        fs::write(&path, bytes).unwrap();
        let salvaged = salvage(&path, &to, with()).unwrap();
        (salvaged, Reader::open(&to).unwrap())
    };
    // The trailer is missing, or something was added.
    for bytes in [&file[..file.len() - 50], &[&file[..], b"more"].concat()] {
        assert!(
            Reader::open({
                fs::write(&path, bytes).unwrap();
                &path
            })
            .is_err()
        );
        let (what, reader) = salvaged(bytes);
        assert!(what.has_index && what.verified == 3 && what.unverified + what.lost + what.partial == 0, "{what:?}");
        assert_eq!(reader.attribute("fdckpt.salvaged"), Some(&b"verified"[..]));
        for (name, data) in &regions {
            assert_eq!(reader.read_to_vec(name).unwrap(), *data);
        }
    }
    // A frame in the middle of a region is corrupt.
    let frame = ReaderOptions::new().open_bytes(&file).unwrap().frame(3).unwrap();
    let mut damaged = file.clone();
    damaged[frame.offset as usize + 10] ^= 1;
    let (what, reader) = salvaged(&damaged);
    assert_eq!((what.verified, what.lost, what.partial), (2, 1, 2), "{what:?}");
    let names: Vec<&str> = reader.regions().map(|entry| entry.name()).collect();
    assert_eq!(names, ["region 0", "partial/region 1@0", "partial/region 1@196608", "region 2"]);
    assert_eq!(reader.read_index_to_vec(2).unwrap(), regions[1].1[196_608..]);
    // One that several regions share.
    let shared = write_to(&path, options().frame_size(65_536), &named(&[16_000, 16_000, 16_000, 16_000, 5000, 5000, 0, 5000]));
    let mut damaged = shared.clone();
    damaged[40_000] ^= 1;
    let (what, reader) = salvaged(&damaged);
    assert_eq!((what.verified, what.lost, what.partial), (4, 4, 0), "{what:?}");
    let names: Vec<&str> = reader.regions().map(|entry| entry.name()).collect();
    assert_eq!(names, ["region 4", "region 5", "region 6", "region 7"]);
    // All from the middle of the frames on is missing.
    let (what, reader) = salvaged(&file[..frame.offset as usize + 1000]);
    assert!(!what.has_index && what.verified == 0 && what.unverified > 0, "{what:?}");
    assert_eq!(reader.attribute("fdckpt.salvaged"), Some(&b"unverified"[..]));
    assert_eq!(reader.read_to_vec("unverified/lz4@0").unwrap(), regions[0].1);
    assert!(reader.regions().all(|entry| entry.name().starts_with("unverified/")));
    // What is salvaged from that has checksums now, and is no better known.
    let (again, twice) = (dir.join("c"), fs::read(&to).unwrap());
    for damaged in [false, true] {
        let mut bytes = twice.clone();
        bytes[10] ^= u8::from(damaged);
        fs::write(&path, bytes).unwrap();
        let what = salvage(&path, &again, with()).unwrap();
        assert!(what.has_index && what.verified + what.partial == 0 && what.unverified > 0, "{what:?}");
        let reader = Reader::open(&again).unwrap();
        assert_eq!(reader.attribute("fdckpt.salvaged"), Some(&b"unverified"[..]));
        assert!(reader.regions().all(|entry| entry.name().starts_with("unverified/")));
    }
    let second = reader.region(1).unwrap();
    assert!(second.name().starts_with("unverified/lz4@") && second.size() == 2 * 65_536, "{second:?}");
    assert_eq!(reader.read_index_to_vec(1).unwrap(), regions[1].1[..2 * 65_536]);
    // Nothing is nothing that was verified.
    let (what, reader) = salvaged(b"");
    assert_eq!((what, reader.len()), (Default::default(), 0));
    assert_eq!(reader.attribute("fdckpt.salvaged"), Some(&b"unverified"[..]));
    // RAW frames cannot be recognized.
    let file = write_to(&path, options(), &regions);
    let (what, reader) = salvaged(&file[..1500]);
    assert_eq!((what.has_index, what.unverified), (false, 1));
    assert_eq!(reader.read_to_vec("unverified/raw@0").unwrap(), file[..1500]);
}

/// Without the index, what decompresses to few bytes can be chance. It is among the RAW stretches then: nothing is
/// lost.
#[test]
fn salvage_ignores_short_random_matches() {
    let dir = common::temp_dir("index-salvage-short");
    let (path, to) = (dir.join("a"), dir.join("b"));
    for (sizes, found) in
        [([16, 15, 64], &["lz4", "raw", "lz4"][..]), ([16, 15, 63], &["lz4", "raw"]), ([15, 16, 63], &["raw", "lz4", "raw"])]
    {
        let mut frames = vec![0; 1000];
        let mut checkpt = fdckpt::Checkpt::mmio(&mut frames).unwrap();
        let mut ends = vec![0];
        for size in sizes {
            checkpt.open(FrameStyle::Lz4).unwrap();
            checkpt.data(&data(size as u64, size)).unwrap();
            ends.push(checkpt.close().unwrap());
        }
        drop(checkpt);
        frames.truncate(ends[3] as usize);
        fs::write(&path, &frames).unwrap();
        let what = salvage(&path, &to, options()).unwrap();
        assert_eq!((what.has_index, what.unverified), (false, found.len() as u64));
        let reader = Reader::open(&to).unwrap();
        for (number, (entry, kind)) in reader.regions().zip(found).enumerate() {
            assert_eq!(entry.name(), format!("unverified/{kind}@{}", ends[number]), "{sizes:?}");
            let read = reader.read_index_to_vec(number).unwrap();
            if *kind == "lz4" {
                assert_eq!(read, data(sizes[number] as u64, sizes[number]));
            } else {
                let end = if number + 1 == found.len() { 3 } else { number + 1 };
                assert_eq!(read, frames[ends[number] as usize..ends[end] as usize]);
            }
        }
    }
}

/// Numbers look like chunks of LZ4 in many places, each of which would take long to follow.
#[test]
fn salvage_finds_frames_after_binary_numbers() {
    let dir = common::temp_dir("index-salvage-numbers");
    let (path, to) = (dir.join("a"), dir.join("b"));
    let numbers: Vec<u8> = (0..50_000u32).flat_map(|number| (number % 251).to_le_bytes()).collect();
    let text = data(1, 100_000);
    let mut writer = options().create(&path).unwrap();
    writer.add("numbers", &numbers).unwrap();
    writer.set_style(FrameStyle::Lz4).unwrap();
    writer.add("text", &text).unwrap();
    writer.commit().unwrap();
    let mut file = fs::read(&path).unwrap();
    let frames = ReaderOptions::new().open_bytes(&file).unwrap().frame(1).map(|frame| frame.offset + frame.stored).unwrap();
    file.truncate(frames as usize);
    fs::write(&path, &file).unwrap();
    assert_eq!(salvage(&path, &to, options()).unwrap().unverified, 2);
    let reader = Reader::open(&to).unwrap();
    assert_eq!(reader.regions().map(|entry| entry.name()).collect::<Vec<_>>(), ["unverified/raw@0", "unverified/lz4@200000"]);
    assert!(reader.read_index_to_vec(0).unwrap() == numbers && reader.read_index_to_vec(1).unwrap() == text);
}

/// A region of a foreign writer that starts in a shared frame: corruption there costs only that part of it.
#[test]
fn salvage_of_region_that_starts_in_shared_frame() {
    let dir = common::temp_dir("index-salvage-begins");
    let (path, to) = (dir.join("a"), dir.join("b"));
    let regions = named(&[100, 1000]);
    let mut file = by_the_specification(&regions, &[150, 600, 1100]);
    file[120] ^= 1;
    fs::write(&path, &file).unwrap();
    let what = salvage(&path, &to, options()).unwrap();
    assert_eq!((what.verified, what.lost, what.partial), (0, 2, 1));
    let reader = Reader::open(&to).unwrap();
    assert_eq!(reader.region(0).unwrap().name(), "partial/region 1@50");
    assert_eq!(reader.read_index_to_vec(0).unwrap(), regions[1].1[50..]);
}

/// Whatever regions are called, what is left of them is not lost for want of a name.
#[test]
fn salvage_recovers_names() {
    let dir = common::temp_dir("index-salvage-names");
    let (path, to) = (dir.join("a"), dir.join("b"));
    let long = ["\u{e9}".repeat(32_767), "x".to_owned()].concat();
    let regions = [(long, data(1, 200_000)), ("x".to_owned(), data(2, 200_000)), ("partial/x@65536".to_owned(), data(3, 100))];
    let mut file = write_to(&path, options().frame_size(65_536), &regions);
    file[5] ^= 1;
    file[200_005] ^= 1;
    fs::write(&path, &file).unwrap();
    let what = salvage(&path, &to, options()).unwrap();
    assert_eq!((what.verified, what.partial, what.lost), (1, 2, 2), "{what:?}");
    let reader = Reader::open(&to).unwrap();
    let names: Vec<&str> = reader.regions().map(|entry| entry.name()).collect();
    assert!(names[0].starts_with("partial/\u{e9}") && names[0].ends_with("\u{e9}@65536") && names[0].len() > 65_450);
    assert_eq!(names[1..], ["partial/x@65536'1", "partial/x@65536"]);
    assert_eq!(reader.read_index_to_vec(1).unwrap(), regions[1].1[65_536..]);
    assert_eq!(reader.read_index_to_vec(2).unwrap(), regions[2].1);
    // From other hands a name can be there twice.
    let twice = [("x".to_owned(), data(4, 100)), ("x".to_owned(), data(5, 100))];
    fs::write(&path, by_the_specification(&twice, &[200])).unwrap();
    assert_eq!(salvage(&path, &to, options()).unwrap().verified, 2);
    let reader = Reader::open(&to).unwrap();
    assert_eq!(reader.regions().map(|entry| entry.name()).collect::<Vec<_>>(), ["x", "x'1"]);
    assert_eq!(reader.read_index_to_vec(1).unwrap(), twice[1].1);
}

/// What looks like an index without being one is hashed; but not so often that it takes time in proportion to the
/// square.
#[test]
fn salvage_bounds_index_search() {
    let dir = common::temp_dir("index-patience");
    let (path, to) = (dir.join("a"), dir.join("b"));
    let file = write_to(&path, options(), &named(&[10]));
    for (count, found) in [(20, true), (1000, false)] {
        let (mut bytes, end) = (file.clone(), file.len() + 96 * count);
        for at in (file.len()..end).step_by(96) {
            bytes.extend(b"FDCKIDX\n\x01\0\0\0\x01\0\0\0");
            // Of regions, frames and names none, and attributes to the end.
            let attributes = (end - at).saturating_sub(96 + 8);
            [0, 0, 0, at, 0, 0, attributes, 0, 0, 0].iter().for_each(|&field| bytes.extend((field as u64).to_le_bytes()));
        }
        fs::write(&path, bytes).unwrap();
        assert_eq!(salvage(&path, &to, options()).unwrap().has_index, found, "{count}");
    }
}

/// Temporary files of dead processes go, those of living ones stay.
#[test]
fn abandoned_files_are_removed() {
    let dir = common::temp_dir("index-abandoned");
    let stale = dir.join(".fdckpt-0123456789abcdef.tmp");
    let others = [".fdckpt-0123456789abcdeF.tmp", ".fdckpt-123.tmp", "fdckpt-0123456789abcdef.tmp"];
    fs::write(&stale, "half").unwrap();
    others.iter().for_each(|name| fs::write(dir.join(name), "other").unwrap());
    let first = options().create(dir.join("a")).unwrap();
    assert!(!stale.exists() && others.iter().all(|name| dir.join(name).exists()));
    let second = options().create(dir.join("a")).unwrap();
    assert_eq!(fs::read_dir(&dir).unwrap().count(), 5);
    first.commit().unwrap();
    drop(second);
    assert_eq!(fs::read_dir(&dir).unwrap().count(), 4);
}

/// Files of version 1 of the format, which are kept for ever: they can be read, and are what is written today.
#[test]
fn golden_files() {
    let letters: Vec<u8> = (0..150_000usize).map(|at| b"ACGT"[at * at / 97 % 4]).collect();
    type Case<'c> = (&'c str, FrameStyle, bool, &'c [(&'c str, &'c [u8])]);
    let cases: [Case<'_>; 3] = [
        (
            "raw",
            FrameStyle::Raw,
            true,
            &[("step", &17u64.to_le_bytes()), ("nothing", b""), ("na\u{ef}ve \u{1f600}", b"\xff\0\x01")],
        ),
        (
            "lz4",
            FrameStyle::Lz4,
            true,
            &[("first", b"shared by two"), ("second", b"shared by two"), ("letters", &letters), ("last", b"!")],
        ),
        ("no-checksums", FrameStyle::Lz4, false, &[("zeros", &[0; 5000])]),
    ];
    let dir = common::temp_dir("index-golden");
    for (name, style, checksums, regions) in cases {
        let path = dir.join(name);
        let mut writer = options().style(style).checksums(checksums).frame_size(65_536).create(&path).unwrap();
        // A former path of this file: the golden files keep it.
        writer.attribute("made by", b"ctests/index.rs").unwrap();
        writer.attribute("binary", &[0, 255]).unwrap();
        regions.iter().for_each(|(name, data)| writer.add(name, data).unwrap());
        writer.commit().unwrap();
        let written = fs::read(&path).unwrap();
        let golden = common::root().join("tests/golden/checkpoint").join(format!("{name}.ckpt"));
        if std::env::var_os("FDCKPT_TEST_WRITE_GOLDEN").is_some() {
            fs::create_dir_all(golden.parent().unwrap()).unwrap();
            fs::write(&golden, &written).unwrap();
        }
        let file = fs::read(&golden).unwrap();
        let regions: Vec<(String, Vec<u8>)> = regions.iter().map(|(name, data)| ((*name).to_owned(), data.to_vec())).collect();
        check(&file, &regions, 1);
        let reader = ReaderOptions::new().open_bytes(&file).unwrap();
        assert_eq!(reader.has_checksums(), checksums);
        assert_eq!(reader.attributes().collect::<Vec<_>>(), [("made by", &b"ctests/index.rs"[..]), ("binary", &[0, 255])]);
        assert!(written == file, "{name}");
    }
}

/// A file as docs/format/checkpoint.md describes it, from other hands: RAW frames that end at `cuts`, wherever regions
/// do.
fn by_the_specification(regions: &[(String, Vec<u8>)], cuts: &[usize]) -> Vec<u8> {
    let sum = xxhash_rust::xxh3::xxh3_64;
    let data: Vec<u8> = regions.iter().flat_map(|(_, data)| data).copied().collect();
    let names: Vec<u8> = regions.iter().flat_map(|(name, _)| [name.as_bytes(), b"\0"].concat()).collect();
    let slots = if regions.is_empty() { 0 } else { (2 * regions.len()).next_power_of_two() };
    let frames: Vec<(usize, usize)> = [0].iter().chain(cuts).copied().zip(cuts.iter().copied()).collect();
    let largest = frames.iter().map(|(begin, end)| end - begin).max().unwrap_or(0);
    let mut index = b"FDCKIDX\n\x01\0\0\0\x01\0\0\0".to_vec();
    for field in [regions.len(), frames.len(), data.len(), data.len(), names.len(), 0, 0, slots, largest, 0] {
        index.extend((field as u64).to_le_bytes());
    }
    for &(begin, end) in &frames {
        [end as u64, end as u64, sum(&data[begin..end]), 1].iter().for_each(|field| index.extend(field.to_le_bytes()));
    }
    let (mut end, mut name_end, mut table) = (0, 0, vec![0u32; slots]);
    for (number, (name, region)) in regions.iter().enumerate() {
        let begin = end;
        end += region.len();
        name_end += name.len() + 1;
        let parts: Vec<u64> = frames
            .iter()
            .filter_map(|frame| {
                let part = frame.0.max(begin)..frame.1.min(end);
                (part.start < part.end).then(|| sum(&data[part]))
            })
            .collect();
        let checksum = match parts[..] {
            [] => sum(b""),
            [one] => one,
            _ => sum(&parts.iter().flat_map(|part| part.to_le_bytes()).collect::<Vec<_>>()),
        };
        let frame = if region.is_empty() { 0 } else { frames.iter().position(|frame| begin < frame.1).unwrap() };
        index.extend((end as u64).to_le_bytes());
        index.extend(checksum.to_le_bytes());
        index.extend((frame as u32).to_le_bytes());
        index.extend((name_end as u32).to_le_bytes());
        let mut place = sum(name.as_bytes()) as usize % slots;
        while table[place] != 0 {
            place = (place + 1) % slots;
        }
        table[place] = number as u32 + 1;
    }
    table.iter().for_each(|place| index.extend(place.to_le_bytes()));
    index.extend(names);
    index.extend(sum(&index).to_le_bytes());
    let mut container = Container::new();
    container.set(128, data).unwrap();
    container.set(129, index).unwrap();
    container.serialize().unwrap()
}

#[test]
fn foreign_container_rejected() {
    let regions = named(&[100, 0, 300, 50, 1000]);
    for cuts in [&[1450][..], &[150, 450, 460, 1400, 1450], &[1, 2, 3, 1449, 1450]] {
        let file = by_the_specification(&regions, cuts);
        check(&file, &regions, 2);
        // A region that has another checksum than its data is corrupt, though each frame is intact.
        let place = file.windows(8).rposition(|bytes| bytes == 1450u64.to_le_bytes()).unwrap();
        let mut other = file.clone();
        other[place + 8] ^= 1;
        let (index, end) = (1450, file.windows(12).rposition(|bytes| bytes == b"{\"version\":1").unwrap());
        let sum = xxhash_rust::xxh3::xxh3_64(&other[index..end - 8]);
        other[end - 8..end].copy_from_slice(&sum.to_le_bytes());
        let reader = ReaderOptions::new().open_bytes(&other).unwrap();
        let mut lost = Vec::new();
        let report = reader.verify(&mut |damage| lost.push((damage.region.map(|(number, _)| number), damage.frame))).unwrap();
        assert_eq!((lost, report.corrupt_frames), (vec![(Some(4), None)], 0));
        assert!(!report.is_intact());
    }
    // All of those in one frame.
    let mut file = by_the_specification(&regions, &[1450]);
    let table = 1450 + 96 + 32;
    (0..regions.len()).for_each(|number| file[table + 24 * number + 8] ^= 1);
    let end = file.windows(12).rposition(|bytes| bytes == b"{\"version\":1").unwrap();
    let sum = xxhash_rust::xxh3::xxh3_64(&file[1450..end - 8]);
    file[end - 8..end].copy_from_slice(&sum.to_le_bytes());
    let mut lost = Vec::new();
    ReaderOptions::new().open_bytes(&file).unwrap().verify(&mut |damage| lost.push(damage.region.unwrap().0)).unwrap();
    assert_eq!(lost, [0, 1, 2, 3, 4]);
    // The same cut as this library's: the same file, but for the size of frames, which is nowhere.
    let dir = common::temp_dir("index-other");
    let small = named(&[100, 0, 300, 50]);
    assert!(write_to(&dir.join("a"), options(), &small) == by_the_specification(&small, &[450]));
    assert!(write_to(&dir.join("a"), options(), &[]) == by_the_specification(&[], &[]));
}
