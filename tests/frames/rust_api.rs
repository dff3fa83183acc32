//! The Rust API: golden traces, equivalence of the modes, errors.

use std::fs::{self, File};
use std::io::{Read, Seek, SeekFrom, Write};
use std::os::fd::AsFd;

use crate::common;
use fdckpt::frame::Error;
use fdckpt::{
    AtomicFile, BUFFER_MIN, Checkpt, FileError, FrameStyle, IoError, IoOperation, META_MAX, MappedFile, Restore, SyncMode,
};
use proptest::prelude::*;

fn fnv(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, &byte| (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3))
}

/// LZ4 needs space for the worst case while it writes a chunk.
const ROOM: usize = 70_000;

#[derive(Clone, Debug)]
struct Frame {
    style: FrameStyle,
    /// Whether it is metadata, and the bytes.
    buffers: Vec<(bool, Vec<u8>)>,
}

/// Writes the frames; returns where each begins and ends.
fn write(checkpt: &mut Checkpt<'_>, frames: &[Frame]) -> Result<Vec<(u64, u64)>, Error> {
    let mut places = Vec::new();
    for frame in frames {
        let begin = checkpt.open(frame.style)?;
        for (is_meta, buffer) in &frame.buffers {
            if *is_meta { checkpt.meta(buffer)? } else { checkpt.data(buffer)? }
        }
        places.push((begin, checkpt.close()?));
    }
    Ok(places)
}

/// Restores the frames and compares them.
fn read(restore: &mut Restore<'_>, frames: &[Frame], places: &[(u64, u64)]) -> Result<(), Error> {
    for (frame, &(begin, end)) in frames.iter().zip(places) {
        assert_eq!(restore.open(frame.style)?, begin);
        for (is_meta, buffer) in &frame.buffers {
            let mut restored = vec![0xEE; buffer.len()];
            if *is_meta {
                restore.meta(&mut restored)?
            } else {
                restore.data(&mut restored)?
            }
            assert!(restored == *buffer, "a restored buffer of {} bytes differs", buffer.len());
        }
        assert_eq!(restore.close()?, end);
    }
    Ok(())
}

/// The checkpoint of these frames, by way of a file.
fn to_file(frames: &[Frame], buffer_size: usize) -> (File, Vec<(u64, u64)>) {
    let file = tempfile::tempfile().unwrap();
    let mut checkpt = Checkpt::stream_with_buffer(&file, buffer_size).unwrap();
    let places = write(&mut checkpt, frames).unwrap();
    checkpt.finish().unwrap();
    (file, places)
}

fn content(mut file: &File) -> Vec<u8> {
    let mut bytes = Vec::new();
    file.seek(SeekFrom::Start(0)).unwrap();
    file.read_to_end(&mut bytes).unwrap();
    file.seek(SeekFrom::Start(0)).unwrap();
    bytes
}

/// The frames of a golden script that has neither errors nor seeks, with their ends and the hash of the whole, by the
/// trace.
fn golden(name: &str, input: &[u8]) -> Option<(Vec<Frame>, Vec<u64>, u64)> {
    let dir = common::root().join("tests/golden/frames");
    let trace = fs::read_to_string(dir.join(format!("{name}.trace"))).unwrap();
    let (mut frames, mut ends) = (Vec::<Frame>::new(), Vec::new());
    for line in trace.lines() {
        let (call, answer) = line.split_once(" -> ").unwrap_or((line, "0"));
        let value = |key: &str| line.split(' ').find_map(|word| word.strip_prefix(key));
        if !(answer.starts_with('0') || answer.starts_with("ok")) {
            return None;
        }
        let words: Vec<&str> = call.split(' ').collect();
        match words[0] {
            "copen" => {
                frames.push(Frame { style: if words[1] == "2" { FrameStyle::Lz4 } else { FrameStyle::Raw }, buffers: Vec::new() })
            }
            "cmeta" | "cdata" => {
                let (offset, size): (i64, usize) = (words[1].parse().unwrap(), words[2].parse().unwrap());
                let bytes = usize::try_from(offset).map_or(Vec::new(), |offset| input[offset..offset + size].to_vec());
                frames.last_mut().unwrap().buffers.push((words[0] == "cmeta", bytes));
            }
            "cclose" => ends.push(value("off=").unwrap().parse().unwrap()),
            "checkpt" => return Some((frames, ends, u64::from_str_radix(value("fnv=").unwrap(), 16).unwrap())),
            _ => {}
        }
    }
    None
}

#[test]
fn golden_traces_in_every_mode() {
    let dir = common::root().join("tests/golden/frames");
    let input = fs::read(dir.join("input.bin")).unwrap();
    let mut count = 0;
    for entry in fs::read_dir(&dir).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_stem().unwrap().to_str().unwrap();
        if path.extension().is_none_or(|extension| extension != "trace")
            || !(name.starts_with("seq") || name.starts_with("history"))
        {
            continue;
        }
        let Some((frames, ends, hash)) = golden(name, &input) else { continue };
        count += 1;
        let (file, places) = to_file(&frames, BUFFER_MIN);
        assert_eq!(places.iter().map(|&(_, end)| end).collect::<Vec<_>>(), ends, "{name}");
        let bytes = content(&file);
        assert_eq!(fnv(&bytes), hash, "{name}");
        let mut memory = vec![0; bytes.len() + ROOM];
        assert_eq!(write(&mut Checkpt::mmio(&mut memory).unwrap(), &frames).as_ref(), Ok(&places), "{name}");
        assert!(memory.starts_with(&bytes), "{name}");
        read(&mut Restore::stream(&file).unwrap(), &frames, &places).unwrap();
        read(&mut Restore::map(&file).unwrap(), &frames, &places).unwrap();
    }
    assert!(count >= 40, "only {count} traces were replayed");
}

fn frames() -> impl Strategy<Value = Vec<Frame>> {
    let size = prop_oneof![
        4 => 0..40usize,
        3 => 0..5_000usize,
        2 => 65_500..65_600usize,
        1 => BUFFER_MIN - 4..BUFFER_MIN + 4,
        1 => 100_000..300_000usize,
    ];
    let buffer = (any::<bool>(), size, 1..=255u8, any::<u64>()).prop_map(|(is_meta, size, variety, seed)| {
        // From runs of one byte to noise.
        let mut state = seed | 1;
        let bytes = (0..size).map(|_| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            (state % u64::from(variety)) as u8
        });
        (is_meta && size <= META_MAX, bytes.collect())
    });
    let style = prop_oneof![Just(FrameStyle::Raw), Just(FrameStyle::Lz4)];
    let frame = (style, prop::collection::vec(buffer, 0..12)).prop_map(|(style, buffers)| Frame { style, buffers });
    prop::collection::vec(frame, 0..5)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn all_modes_are_equivalent(frames in frames(), buffer_size in BUFFER_MIN..BUFFER_MIN * 4) {
        let (file, places) = to_file(&frames, buffer_size);
        let bytes = content(&file);
        prop_assert_eq!(bytes.len() as u64, places.last().map_or(0, |&(_, end)| end));

        let mapped = tempfile::tempfile().unwrap();
        mapped.set_len((bytes.len() + ROOM) as u64).unwrap();
        prop_assert_eq!(&write(&mut Checkpt::map(&mapped).unwrap(), &frames).unwrap(), &places);
        prop_assert!(content(&mapped).starts_with(&bytes));

        read(&mut Restore::stream_with_buffer(&file, buffer_size).unwrap(), &frames, &places).unwrap();
        read(&mut Restore::mmio(&bytes).unwrap(), &frames, &places).unwrap();

        let (from, mut to) = std::io::pipe().unwrap();
        std::thread::scope(|scope| {
            scope.spawn(move || bytes.chunks(7_777).for_each(|piece| to.write_all(piece).unwrap()));
            let mut restore = Restore::stream(from).unwrap();
            assert_eq!(restore.size(), None);
            read(&mut restore, &frames, &places).unwrap();
        });
    }

    #[test]
    fn frames_can_be_restored_in_any_order(frames in frames()) {
        let (file, places) = to_file(&frames, BUFFER_MIN);
        let from_file = &mut Restore::stream(&file).unwrap();
        let from_map = &mut Restore::map(&file).unwrap();
        for restore in [from_file, from_map] {
            for (frame, place) in frames.iter().zip(&places).rev() {
                restore.seek(place.0).unwrap();
                read(restore, std::slice::from_ref(frame), std::slice::from_ref(place)).unwrap();
            }
        }
    }
}

#[test]
fn full_region_fails_with_error_of_style() {
    let noise: Vec<u8> = (0..100u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
    for style in [FrameStyle::Raw, FrameStyle::Lz4] {
        let mut memory = [0; 100];
        let mut checkpt = Checkpt::mmio(&mut memory).unwrap();
        checkpt.open(style).unwrap();
        checkpt.data(&noise[..1]).unwrap();
        let error = checkpt.data(&noise).unwrap_err();
        let offset = if style == FrameStyle::Raw { 1 } else { 5 };
        assert_eq!(error, Error::BufferFull { offset, available: 100 - offset, style });
        assert_eq!(checkpt.open(style), Err(Error::Poisoned));
        assert_eq!(checkpt.close(), Err(Error::Poisoned));
        assert!(!checkpt.can_open());
        assert_eq!(checkpt.finish(), Ok(()), "a failed one can be ended");
    }
}

#[test]
fn misuse_is_reported() {
    let mut memory = [0; 100];
    let mut checkpt = Checkpt::mmio(&mut memory).unwrap();
    assert!(checkpt.can_open() && !checkpt.in_frame());
    checkpt.open(FrameStyle::Raw).unwrap();
    assert!(!checkpt.can_open() && checkpt.in_frame());
    assert_eq!(checkpt.finish(), Err(Error::FrameOpen));
    let mut checkpt = Checkpt::mmio(&mut memory).unwrap();
    checkpt.open(FrameStyle::Raw).unwrap();
    assert_eq!(checkpt.meta(&vec![0; META_MAX + 1]), Err(Error::MetaTooLarge { size: META_MAX as u64 + 1 }));
    let mut restore = Restore::mmio(&[1, 2, 3]).unwrap();
    assert_eq!(restore.size(), Some(3));
    assert!(restore.can_open() && !restore.in_frame());
    assert_eq!(restore.seek(4), Err(Error::SeekPastEnd { offset: 4, size: 3 }));
    assert_eq!(restore.open(FrameStyle::Raw), Err(Error::Poisoned));
    assert!(!restore.can_open() && !restore.in_frame());
    assert_eq!(restore.finish(), Ok(()), "a failed one can be ended");
    assert_eq!(Restore::mmio(&[]).unwrap().data(&mut [0]), Err(Error::NoFrame));
    let mut restore = Restore::mmio(&[1, 2, 3]).unwrap();
    restore.open(FrameStyle::Raw).unwrap();
    assert!(!restore.can_open() && restore.in_frame());
    assert_eq!(restore.finish(), Err(Error::FrameOpen));
    let file = tempfile::tempfile().unwrap();
    file.set_len(9).unwrap();
    assert_eq!(Restore::stream(&file).unwrap().size(), Some(9));
    assert_eq!(Restore::map(&file).unwrap().size(), Some(9));
    let (from, _to) = std::io::pipe().unwrap();
    assert_eq!(Restore::stream(from.as_fd()).unwrap().seek(0), Err(Error::NotSeekable));
    assert!(matches!(Restore::stream_with_buffer(from, 1), Err(Error::IoBufferTooSmall { size: 1 })));
}

#[test]
fn end_of_file_is_reported_with_offset() {
    let (file, _) = to_file(&[Frame { style: FrameStyle::Raw, buffers: vec![(false, vec![1; 1_000])] }], BUFFER_MIN);
    let mut file = &file;
    file.seek(SeekFrom::Start(0)).unwrap();
    let mut restore = Restore::stream(file).unwrap();
    restore.open(FrameStyle::Raw).unwrap();
    restore.data(&mut [0; 900]).unwrap();
    let error = restore.data(&mut [0; 150]).unwrap_err();
    assert_eq!(error, Error::UnexpectedEof { offset: 1_000, missing: 50 });
    let bytes = content(file);
    let mut restore = Restore::mmio(&bytes).unwrap();
    restore.open(FrameStyle::Raw).unwrap();
    restore.data(&mut [0; 900]).unwrap();
    assert_eq!(restore.data(&mut [0; 150]), Err(error), "in memory as in a file");
    assert_eq!(error.offset(), Some(1_000));
    assert_eq!(std::io::Error::from(error).kind(), std::io::ErrorKind::UnexpectedEof);
}

/// A match in the first chunk of a frame may not reach into the frame that was restored before.
#[test]
fn frames_are_independent() {
    // 'a', then 4 bytes from 5 before, then 20 literals
    let block = [&[0x10, b'a', 5, 0, 0xF0, 5][..], &[b'b'; 20]].concat();
    let (file, places) = to_file(&[Frame { style: FrameStyle::Lz4, buffers: vec![(false, vec![7; 200_000])] }], BUFFER_MIN);
    let mut bytes = content(&file);
    bytes.extend([&[block.len() as u8, 0, 0][..], &block].concat());
    let mut restore = Restore::mmio(&bytes).unwrap();
    restore.open(FrameStyle::Lz4).unwrap();
    restore.data(&mut vec![0; 200_000]).unwrap();
    assert_eq!(restore.close(), Ok(places[0].1));
    restore.open(FrameStyle::Lz4).unwrap();
    assert!(matches!(restore.data(&mut [0; 25]), Err(Error::Corrupt { offset, .. }) if offset == places[0].1));
}

#[test]
fn io_error_has_errno() {
    let full = File::options().write(true).open("/dev/full").unwrap();
    let mut checkpt = Checkpt::stream(full).unwrap();
    checkpt.open(FrameStyle::Raw).unwrap();
    checkpt.data(&[1; 10]).unwrap();
    let error = checkpt.close().unwrap_err();
    assert_eq!(error.errno().map(|errno| std::io::Error::from(errno).kind()), Some(std::io::ErrorKind::StorageFull));
    assert_eq!(std::error::Error::source(&error).unwrap().to_string(), "No space left on device");
    assert_eq!(error.to_string(), "write at offset 0 failed: No space left on device (errno 28)");
}

/// Each thread restores frames of its own from one file, and others write at the same time.
#[test]
fn handles_of_threads_are_independent() {
    let frames: Vec<Frame> = (0..24u32)
        .map(|n| {
            let bytes = (0..50_000 + n * 9_001).map(|i| (i.wrapping_mul(i) / (n + 3)) as u8).collect();
            Frame { style: if n % 3 == 0 { FrameStyle::Raw } else { FrameStyle::Lz4 }, buffers: vec![(false, bytes)] }
        })
        .collect();
    let (file, places) = to_file(&frames, BUFFER_MIN);
    let bytes = content(&file);
    std::thread::scope(|scope| {
        for thread in 0..4 {
            let (file, bytes, frames, places) = (&file, &bytes, &frames, &places);
            scope.spawn(move || {
                let mut restore = Restore::map(file).unwrap();
                for index in (thread..frames.len()).step_by(4) {
                    restore.seek(places[index].0).unwrap();
                    read(&mut restore, &frames[index..=index], &places[index..=index]).unwrap();
                }
            });
            scope.spawn(move || assert!(content(&to_file(frames, BUFFER_MIN).0) == *bytes));
        }
    });
}

#[test]
fn files_of_any_size_are_mapped() {
    let dir = common::temp_dir("mapped");
    for size in [0, 1, 4095, 4096, 4097, 1_000_000] {
        let path = dir.join(size.to_string());
        let bytes: Vec<u8> = (0..size).map(|at: u32| (at.wrapping_mul(at) >> 7) as u8).collect();
        fs::write(&path, &bytes).unwrap();
        assert!(*MappedFile::open(&path).unwrap() == bytes);
        assert_eq!(format!("{:?}", MappedFile::open(&path).unwrap()), format!("MappedFile {{ size: {} }}", bytes.len()));
        assert!(MappedFile::of(File::open(&path).unwrap()).unwrap().as_ref() == bytes);
    }
    let error = MappedFile::open(dir.join("none")).unwrap_err();
    assert_eq!(error.to_string(), "opening the file failed: No such file or directory (errno 2)");
    assert!(matches!(MappedFile::open(&dir), Err(FileError::Io(IoError { op: IoOperation::Mmap, .. }))));
    assert!(matches!(MappedFile::open("a\0b"), Err(FileError::InvalidArgument(_))));
}

/// Until it is committed, the name has the old file; dropped or discarded, the new one is gone.
#[test]
fn atomic_file_is_all_or_nothing() {
    let dir = common::temp_dir("replacement");
    let path = dir.join("file");
    let is = |content: &[u8], others: usize| {
        assert_eq!(fs::read(&path).unwrap(), content);
        assert_eq!(fs::read_dir(&dir).unwrap().count(), 1 + others);
    };
    fs::write(&path, "old").unwrap();
    for sync in [SyncMode::None, SyncMode::Data, SyncMode::Full] {
        let mut new = AtomicFile::begin(&path, sync).unwrap();
        new.write_all(b"one piece, ").unwrap();
        new.write_all(b"and another").unwrap();
        new.write_at(b"ONE", 0).unwrap();
        is(b"old", 1);
        drop(new);
        is(b"old", 0);
    }
    let mut new = AtomicFile::begin(&path, SyncMode::Full).unwrap();
    let name = path.file_name().unwrap();
    assert_eq!(format!("{new:?}"), format!("AtomicFile {{ name: {name:?}, sync: Full, .. }}"));
    new.write_all(b"one piece, ").unwrap();
    new.write_all(b"and another").unwrap();
    new.write_at(b"ONE", 0).unwrap();
    new.set_size(14).unwrap();
    new.commit().unwrap();
    is(b"ONE piece, and", 0);
    assert!(matches!(AtomicFile::begin("/", SyncMode::None), Err(FileError::InvalidArgument(_))));
    let error = AtomicFile::begin(dir.join("none/file"), SyncMode::None).unwrap_err();
    assert!(matches!(error, FileError::Io(IoError { op: IoOperation::OpenDirectory, .. })));
}

/// In a process of its own, as it is for all replacements of a process: see `tests/cli/commands.rs`, where a signal
/// calls it. Here, that it leaves nothing which could be committed, however many there are.
#[test]
fn discarded_atomic_files_cannot_be_committed() {
    if std::env::var_os("FDCKPT_TEST_DISCARD").is_none() {
        let name = "rust_api::discarded_atomic_files_cannot_be_committed";
        let this = std::env::current_exe().unwrap();
        let output = common::run(std::process::Command::new(this).args([name, "--exact"]).env("FDCKPT_TEST_DISCARD", "1"));
        assert!(output.contains("1 passed"), "{output}");
        return;
    }
    let dir = common::temp_dir("discarded");
    let begin = |number: u32| AtomicFile::begin(dir.join(number.to_string()), SyncMode::None).unwrap();
    // Each entry of the table is used again.
    (0..200).for_each(|number| begin(number).commit().unwrap());
    let underway: Vec<AtomicFile> = (200..264).map(begin).collect();
    assert_eq!(fs::read_dir(&dir).unwrap().count(), 264);
    fdckpt::remove_temp_files();
    assert_eq!(fs::read_dir(&dir).unwrap().count(), 200);
    for replacement in underway {
        assert!(matches!(replacement.commit(), Err(FileError::Io(IoError { op: IoOperation::Rename, .. }))));
    }
    begin(999).commit().unwrap();
    assert_eq!(fs::read_dir(&dir).unwrap().count(), 201);
}

#[test]
fn container_is_written_to_any_writer() {
    let mut container = fdckpt::Container::new();
    container.set(1, vec![7; 100_000]).unwrap();
    container.set(2, b"small".as_slice()).unwrap();
    let mut written = Vec::new();
    assert_eq!(container.copy_to(&mut written).unwrap(), container.serialized_size().unwrap());
    assert!(written == container.serialize().unwrap());
    let mut short = [0; 1000];
    assert_eq!(container.copy_to(&mut short[..]).unwrap_err().kind(), std::io::ErrorKind::WriteZero);
}

#[test]
fn handles_are_send_sync_and_debug() {
    fn check<T: Send + Sync + std::fmt::Debug>(it: T, contains: &str) {
        let printed = format!("{it:?}");
        assert!(printed.contains(contains), "{printed}");
    }
    check(Checkpt::mmio(&mut [0; 10]).unwrap(), "mmio");
    check(Restore::mmio(&[0; 10]).unwrap(), "mmio");
    check(Restore::stream(File::open("/dev/zero").unwrap()).unwrap(), "stream");
    check(Restore::stream_with_buffer(File::open("/dev/zero").unwrap(), 1).unwrap_err(), "BufferTooSmall");
}

/// A large buffer behind small ones, wherever these end in LZ4's ring, and whatever it refers to in them.
#[test]
fn large_buffers_refer_to_preceding_data() {
    let mut state = 1u64;
    let mut next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (state >> 56) as u8
    };
    let noise: Vec<u8> = (0..60_000).map(|_| next()).collect();
    let data: Vec<u8> = noise.iter().copied().cycle().take(1_000_000).collect();
    for small in 0..18 {
        let sizes = std::iter::repeat_n(33_000, small).chain([200_000]);
        let mut rest = &data[..];
        let buffers: Vec<&[u8]> = sizes.map(|size| rest.split_off(..size).unwrap()).collect();
        let mut region = vec![0; 1_100_000];
        let mut checkpt = Checkpt::mmio(&mut region).unwrap();
        checkpt.open(FrameStyle::Lz4).unwrap();
        buffers.iter().for_each(|buffer| checkpt.data(buffer).unwrap());
        let end = checkpt.close().unwrap() as usize;
        drop(checkpt);
        assert!(end < buffers.iter().map(|buffer| buffer.len()).sum::<usize>() / 4 * 3, "there are matches 60,000 bytes back");
        let mut restore = Restore::mmio(&region[..end]).unwrap();
        restore.open(FrameStyle::Lz4).unwrap();
        for buffer in &buffers {
            let mut restored = vec![0; buffer.len()];
            restore.data(&mut restored).unwrap();
            assert!(restored == *buffer, "behind {small} small ones");
        }
        restore.close().unwrap();
    }
}
