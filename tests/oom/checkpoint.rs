//! Self-describing checkpoints: each failed allocation is reported or done without; memory for saving, opening and
//! reading is bounded.

use std::path::Path;

use crate::failing_alloc::{MOST, NOW, fail_in, never};
use fdckpt::FrameStyle;
use fdckpt::checkpoint::{Error, ErrorKind, Reader, ReaderOptions, SyncMode, WriterOptions, salvage};

/// As `at_each_allocation`, but that what is only kept for later may be done without.
fn at_each_allocation(mut call: impl FnMut() -> Result<(), Error>) -> u64 {
    for n in 1.. {
        fail_in(n);
        let result = call();
        let not_reached = never();
        match result {
            Ok(()) if not_reached => return n - 1,
            Ok(()) => {}
            Err(failure) => assert!(failure.kind() == ErrorKind::OutOfMemory && !not_reached, "allocation {n}: {failure}"),
        }
    }
    unreachable!()
}

fn options<'w>() -> WriterOptions<'w> {
    WriterOptions::new().sync(SyncMode::None).style(FrameStyle::Lz4).frame_size(65_536)
}

fn save(path: &Path, large: &[u8]) -> Result<(), Error> {
    let mut writer = options().create(path)?;
    writer.attribute("t", b"")?;
    writer.attribute("step", b"17")?;
    for number in 0..20 {
        writer.add(
            ["a", "b", "c", "d", "e", "f", "g", "h", "i", "j", "k", "l", "m", "n", "o", "p", "q", "r", "s", "t"][number],
            &large[..number],
        )?;
    }
    writer.add("large", large)?;
    writer.commit().map(drop)
}

/// What was saved, in all ways.
fn load(path: &Path, large: &[u8]) -> Result<(), Error> {
    let reader = Reader::open(path)?;
    let found = reader.find("large").expect("it exists").index();
    assert!(reader.read_index_to_vec(found)? == large);
    let mut few = [0; 7];
    reader.read_range(7, 0, &mut few)?;
    assert_eq!(few, large[..7]);
    let report = reader.verify(&mut |damage| panic!("{damage:?}"))?;
    assert!(report.is_intact());
    Ok(())
}

#[test]
fn every_failed_allocation_is_reported() {
    let dir = tempfile::tempdir().unwrap();
    let (path, other) = (dir.path().join("a"), dir.path().join("b"));
    let large: Vec<u8> = (0..300_000usize).map(|at| (at * at / 1000) as u8).collect();
    assert!(at_each_allocation(|| save(&path, &large)) > 20);
    load(&path, &large).unwrap();
    let nothing = || options().create(&other)?.commit().map(drop);
    assert!(at_each_allocation(nothing) > 5);
    let no_attributes = || {
        let mut writer = options().create(&other)?;
        writer.add("a region", &large)?;
        writer.commit().map(drop)
    };
    assert!(at_each_allocation(no_attributes) > 10);
    assert!(at_each_allocation(|| load(&path, &large)) > 10);
    // Want of memory does not count as damage.
    assert!(at_each_allocation(|| salvage(&path, &other, options()).map(|what| assert_eq!(what.lost, 0))) > 20);
    load(&other, &large).unwrap();
    // Without an index.
    let bytes = std::fs::read(&path).unwrap();
    std::fs::write(&path, &bytes[..bytes.len() / 2]).unwrap();
    assert!(at_each_allocation(|| salvage(&path, &other, options()).map(drop)) > 10);
    assert!(dir.path().read_dir().unwrap().count() == 2, "nothing else is left");
}

/// Neither saving nor loading takes memory in proportion to the data.
#[test]
fn memory_is_bounded() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a");
    let large: Vec<u8> = (0..5_000_000usize).map(|at| (at * at / 1000) as u8).collect();
    let most = |call: &mut dyn FnMut()| {
        let before = NOW.get();
        MOST.set(before);
        call();
        (MOST.get() - before) as usize
    };
    let saving = most(&mut || save(&path, &large).unwrap());
    // A compressor, the buffer of a frame, small regions that are gathered, the index.
    assert!(saving < 1_000_000, "{saving} bytes to save");
    let opening = most(&mut || drop(Reader::open(&path).unwrap()));
    assert!(opening < 20_000, "{opening} bytes to open");
    let mut to = vec![0; large.len()];
    let reading = most(&mut || {
        let reader = Reader::open(&path).unwrap();
        reader.read("large", &mut to).unwrap();
        assert!(reader.verify(&mut |_| {}).unwrap().is_intact());
    });
    assert!(to == large && reading < 1_000_000, "{reading} bytes to read");
    println!("{saving} bytes to save, {opening} to open, {reading} to read and verify");
    // Invalid files take no more.
    let mut bytes = std::fs::read(&path).unwrap();
    for at in 0..300 {
        let place = bytes.len() - 1 - at;
        bytes[place] ^= 0xff;
        let opening = most(&mut || drop(ReaderOptions::new().open_bytes(&bytes)));
        assert!(opening < 30_000, "{opening} bytes");
    }
}
