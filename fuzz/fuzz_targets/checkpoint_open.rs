//! Arbitrary bytes as a checkpoint that describes itself: what is opened is within bounds, in memory of the size that is promised; what
//! verifies can be read, in whole and in part; and whatever it is can be salvaged.
//!
//! The first byte says how much is set right, so that what lies after the checks is reached: bit 0, the rest has two bytes with the size
//! of the frames, the frames, and an index to which its size, checksum and the container's metadata are added; bit 1, the checksums of
//! frames are set too; bit 2, it is salvaged.
#![no_main]

#[path = "../counted.rs"]
mod counted;

use std::sync::atomic::Ordering::Relaxed;

use counted::{MOST, NOW};
use fdckpt::checkpoint::{SyncMode, Reader, ReaderOptions, ReadRequest, WriterOptions, salvage};
use libfuzzer_sys::fuzz_target;
use xxhash_rust::xxh3::xxh3_64;

/// The file that a case stands for.
fn file(how: u8, rest: &[u8]) -> Vec<u8> {
    let Some((size, rest)) = rest.split_first_chunk::<2>().filter(|_| how & 1 != 0) else { return rest.to_vec() };
    let frames = usize::from(u16::from_le_bytes(*size)).min(rest.len());
    let mut file = rest.to_vec();
    let index = &mut file[frames..];
    if index.len() >= 96 {
        index[..12].copy_from_slice(b"FDCKIDX\n\x01\0\0\0");
        index[40..48].copy_from_slice(&(frames as u64).to_le_bytes());
    }
    if how & 2 != 0 {
        let mut begin = 0;
        for at in (frames + 96..rest.len().saturating_sub(31)).step_by(32) {
            let end = u64::from_le_bytes(file[at..at + 8].try_into().expect("8 bytes")) as usize;
            if begin >= end || end > frames {
                break;
            }
            let sum = xxh3_64(&file[begin..end]);
            file[at + 16..at + 24].copy_from_slice(&sum.to_le_bytes());
            begin = end;
        }
    }
    let sum = xxh3_64(&file[frames..]);
    file.extend(sum.to_le_bytes());
    let length = file.len() - frames;
    let meta = format!(
        "{{\"version\":1,\"sections\":[{{\"type\":128,\"offset\":0,\"length\":{frames}}},{{\"type\":129,\"offset\":{frames},\"length\":{length}}}]}}"
    );
    file.extend(meta.as_bytes());
    file.extend((meta.len() as u32).to_le_bytes());
    file.extend(b"CKPT");
    file
}

fn look(reader: &Reader<'_>, file: &[u8]) {
    assert!(reader.data_size() <= 255 * file.len() as u64 + 255);
    let report = reader.verify(&mut |_| {}).expect("memory");
    let mut all: Vec<Vec<u8>> = reader.regions().map(|entry| vec![0; entry.size() as usize]).collect();
    for (number, data) in all.iter_mut().enumerate() {
        let entry = reader.region(number).expect("it exists");
        // What is hashed by chance as another can't be found, but never is another found.
        assert!(reader.find(entry.name()).is_none_or(|found| found.name() == entry.name()));
        let read = reader.read_index(number, data).is_ok();
        assert!(read || report.corrupt_frames > 0);
        let mut part = vec![0; data.len() / 2];
        let at = data.len() / 3;
        if reader.read_range(number, at as u64, &mut part).is_ok() && read {
            assert_eq!(part, data[at..at + part.len()]);
        }
        if let Ok(mapped) = reader.map(number)
            && read
        {
            assert_eq!(mapped, data);
        }
    }
    if report.corrupt_frames == 0 {
        let mut again: Vec<Vec<u8>> = all.iter().map(|data| vec![1; data.len()]).collect();
        let mut requests: Vec<ReadRequest<'_>> = again.iter_mut().enumerate().map(|(index, data)| ReadRequest { index, data }).collect();
        reader.read_many(&mut requests).expect("intact");
        assert_eq!(again, all);
    }
}

fuzz_target!(|case: &[u8]| {
    let Some((&how, rest)) = case.split_first() else { return };
    let file = file(how, rest);
    let before = NOW.load(Relaxed);
    MOST.store(before, Relaxed);
    let reader = ReaderOptions::new().open_bytes(&file);
    let most = MOST.load(Relaxed) - before;
    assert!(most <= 30 * file.len() + 20_000, "{most} bytes allocated for {}", file.len());
    if let Ok(reader) = reader {
        look(&reader, &file);
    }
    if how & 4 != 0 {
        let dir = std::env::temp_dir();
        let (from, to) =
            (dir.join(format!("fuzz-{}-from", std::process::id())), dir.join(format!("fuzz-{}-to", std::process::id())));
        std::fs::write(&from, &file).expect("the directory is writable");
        let options = WriterOptions::new().sync(SyncMode::None).frame_size(65_536);
        if salvage(&from, &to, options).is_ok() {
            let reader = Reader::open(&to).expect("what was salvaged is a checkpoint");
            assert!(reader.verify(&mut |_| {}).expect("memory").is_sound());
        }
    }
});
