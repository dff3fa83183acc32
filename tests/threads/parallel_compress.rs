//! Compression by several threads gives the bytes, offsets and errors of one.

use std::io::Write;

use crate::alone;
use fdckpt::frame::Error;
use fdckpt::{Checkpt, FrameStyle, ParallelStats, Restore, set_max_threads};

const CHUNK: usize = 65_536;

fn random(seed: u64) -> impl FnMut() -> u64 {
    let mut state = seed | 1;
    move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state
    }
}

/// Words of a small language, which repeat at all distances.
fn text(size: usize) -> Vec<u8> {
    let mut next = random(7);
    let words: Vec<Vec<u8>> = (0..2000).map(|_| (0..2 + next() % 9).map(|_| b'a' + (next() % 26) as u8).collect()).collect();
    let mut text = Vec::with_capacity(size + 16);
    while text.len() < size {
        let word = &words[(next() % 2000 * (next() % 2000) / 2000) as usize];
        text.extend_from_slice(word);
        text.push(b' ');
    }
    text.truncate(size);
    text
}

fn noise(size: usize) -> Vec<u8> {
    let mut next = random(11);
    (0..size.div_ceil(8)).flat_map(|_| next().to_le_bytes()).take(size).collect()
}

/// Four letters in any order: there is a match nearly everywhere, and which one is found depends on all that were found
/// before. The state of a stream that begins 8 chunks early is not the true one.
fn letters(size: usize) -> Vec<u8> {
    noise(size).iter().map(|byte| b"ACGT"[usize::from(byte % 4)]).collect()
}

/// A checkpoint in a file: some buffers, the large one, some more. Returns its bytes.
fn stream(data: &[u8]) -> Vec<u8> {
    let mut file = tempfile::tempfile().unwrap();
    let mut checkpt = Checkpt::stream(&file).unwrap();
    checkpt.open(FrameStyle::Lz4).unwrap();
    checkpt.meta(b"before").unwrap();
    checkpt.data(&data[..1000.min(data.len())]).unwrap();
    checkpt.data(data).unwrap();
    checkpt.meta(&data[..5000]).unwrap();
    checkpt.data(&data[data.len() / 2..]).unwrap();
    let end = checkpt.close().unwrap();
    // What the first frame leaves after shows in the next.
    checkpt.open(FrameStyle::Lz4).unwrap();
    checkpt.data(&data[..200_000]).unwrap();
    checkpt.close().unwrap();
    checkpt.finish().unwrap();
    file.flush().unwrap();
    let bytes = std::fs::read(format!("/proc/self/fd/{}", std::os::fd::AsRawFd::as_raw_fd(&file))).unwrap();
    assert!(bytes.len() as u64 > end);
    bytes
}

/// A frame with one buffer in a region of `size` bytes: its bytes, or the error.
fn region(data: &[u8], size: usize) -> Result<Vec<u8>, Error> {
    let mut region = vec![0; size];
    let mut checkpt = Checkpt::mmio(&mut region)?;
    checkpt.open(FrameStyle::Lz4)?;
    let done = checkpt.data(data).and_then(|()| checkpt.meta(b"after")).and_then(|()| checkpt.close());
    drop(checkpt);
    region.truncate(done? as usize);
    Ok(region)
}

fn with_threads<T>(threads: usize, call: impl FnOnce() -> T) -> (T, ParallelStats) {
    let before = ParallelStats::snapshot();
    set_max_threads(threads);
    let result = call();
    set_max_threads(1);
    let after = ParallelStats::snapshot();
    let counted = ParallelStats {
        speculative_segments: after.speculative_segments - before.speculative_segments,
        mispredicted_segments: after.mispredicted_segments - before.mispredicted_segments,
        warm_up_bytes: after.warm_up_bytes - before.warm_up_bytes,
        recompressed_bytes: after.recompressed_bytes - before.recompressed_bytes,
    };
    assert!(counted.mispredicted_segments <= counted.speculative_segments);
    // Of each no more than the largest segment there is.
    assert!(counted.recompressed_bytes <= counted.mispredicted_segments * 144 * CHUNK as u64, "{counted:?}");
    (result, counted)
}

/// Calls until the statistics are as they have to be: how far helpers get is up to the system, which may have other
/// things to do.
fn eventually(threads: usize, enough: impl Fn(ParallelStats) -> bool, mut call: impl FnMut()) {
    let mut all = Vec::new();
    for _ in 0..50 {
        let ((), counted) = with_threads(threads, &mut call);
        all.push(counted);
        if enough(counted) {
            return;
        }
    }
    panic!("{all:?}");
}

#[test]
fn bytes_match_one_thread_for_all_data() {
    let _alone = alone();
    let size = 200 * CHUNK + 12_345;
    for (name, data) in [("text", text(size)), ("noise", noise(size)), ("zeros", vec![0; size]), ("letters", letters(size))] {
        let (one, none) = with_threads(1, || stream(&data));
        assert_eq!(
            none,
            ParallelStats { speculative_segments: 0, mispredicted_segments: 0, warm_up_bytes: 0, recompressed_bytes: 0 }
        );
        for threads in [2, 3, 8] {
            let helped = |counted: ParallelStats| counted.speculative_segments > 0 && counted.warm_up_bytes > 0;
            // Noise is given up before any helper is through.
            eventually(
                threads,
                |counted| name == "noise" || helped(counted),
                || {
                    assert!(one == stream(&data), "{name} on {threads} threads");
                },
            );
        }
    }
}

#[test]
fn bytes_match_one_thread_around_segment_sizes() {
    let _alone = alone();
    let data = text(160 * CHUNK);
    for chunks in [48, 49, 50, 72, 73, 97, 145] {
        for size in [chunks * CHUNK - 1, chunks * CHUNK, chunks * CHUNK + 1, chunks * CHUNK + CHUNK / 2] {
            let (one, _) = with_threads(1, || region(&data[..size], 2 * size));
            let (two, _) = with_threads(2, || region(&data[..size], 2 * size));
            assert!(one == two, "{size} bytes");
        }
    }
}

#[test]
fn mispredicted_segments_are_recompressed() {
    let _alone = alone();
    let data = letters(300 * CHUNK);
    let (one, _) = with_threads(1, || stream(&data));
    let mut two = Vec::new();
    eventually(
        2,
        |counted| counted.mispredicted_segments > 0 && counted.recompressed_bytes > 0,
        || {
            two = stream(&data);
            assert!(one == two);
        },
    );
    // And the result can be restored.
    let mut restore = Restore::mmio(&two).unwrap();
    let (mut meta, mut some, mut all) = ([0; 6], vec![0; 1000], vec![0; data.len()]);
    restore.open(FrameStyle::Lz4).unwrap();
    restore.meta(&mut meta).unwrap();
    restore.data(&mut some).unwrap();
    restore.data(&mut all).unwrap();
    assert!(all == data);
}

#[test]
fn region_is_full_at_same_chunk() {
    let _alone = alone();
    for data in [text(100 * CHUNK), noise(100 * CHUNK)] {
        let needed = region(&data, 2 * data.len()).unwrap().len();
        // Where the last chunk just fits, or all but fits.
        let tight = (0..24).map(|less| needed - less);
        for size in tight.chain([needed - 70_000, needed - 1_000_000, needed / 2, needed / 3 + 17, 100, 0]) {
            let (one, _) = with_threads(1, || region(&data, size));
            let (several, _) = with_threads(3, || region(&data, size));
            assert!(one == several, "{size} of {needed} bytes: {:?} or {:?}", one.err(), several.err());
        }
    }
}

/// At the end of a region with compressible data, many chunks fit into the worst-case size of one: no threads are
/// started for them.
#[test]
fn no_thread_is_started_at_end_of_region() {
    let _alone = alone();
    let data = vec![1; 600 * CHUNK];
    let (one, _) = with_threads(1, || region(&data, 2 * data.len()).unwrap());
    let (several, counted) = with_threads(4, || region(&data, one.len()).unwrap());
    assert!(one == several);
    assert!(counted.warm_up_bytes < data.len() as u64, "{counted:?}");
}

#[test]
fn full_disk_is_reported_and_leaves_no_threads() {
    let _alone = alone();
    let full = std::fs::File::options().write(true).open("/dev/full").unwrap();
    let data = text(150 * CHUNK);
    let (result, _) = with_threads(4, || {
        let mut checkpt = Checkpt::stream(&full).unwrap();
        checkpt.open(FrameStyle::Lz4).unwrap();
        let result = checkpt.data(&data);
        assert_eq!(checkpt.data(b"more"), Err(Error::Poisoned));
        result
    });
    assert!(matches!(result, Err(Error::Io(_))), "{result:?}");
    let threads = std::fs::read_dir("/proc/self/task").unwrap().filter_map(Result::ok);
    let names = threads.filter_map(|task| std::fs::read_to_string(task.path().join("comm")).ok());
    // The test runner's own, each named after its test.
    assert!(names.count() <= 2 + std::thread::available_parallelism().unwrap().get().max(5));
}

/// Data in which stretches alternate that lend themselves to foresight and that don't, or where what is found lies as
/// far back as can be.
fn drawn(next: &mut impl FnMut() -> u64, pool: &[Vec<u8>], size: usize) -> Vec<u8> {
    let mut data = Vec::with_capacity(size);
    let kind = next() % 6;
    // Repeated at the largest distance that LZ4 knows, or just beyond.
    let period = 65_530 + (next() % 12) as usize;
    while data.len() < size {
        let left = size - data.len();
        let from = &pool[if kind < 4 { kind as usize } else { (next() % 4) as usize }];
        let len = match kind {
            0..4 => left,
            4 => left.min(1 + (next() % 700_000) as usize),
            _ if data.len() < period => left.min(period),
            _ => {
                data.extend_from_within(data.len() - period..data.len() - period + left.min(period));
                let at = data.len() - 1 - (next() % 1000) as usize;
                data[at] ^= next() as u8;
                continue;
            }
        };
        let at = (next() % (from.len() - len.min(from.len() - 1)) as u64) as usize;
        data.extend_from_slice(&from[at..at + len.min(from.len() - at)]);
    }
    data
}

/// What becomes of a sequence of frames: bytes as far as frames were closed, each end, and the error.
fn checkpoint(frames: &[Vec<&[u8]>], capacity: Option<usize>) -> (Vec<u8>, Vec<u64>, Option<Error>) {
    let mut region = vec![0; capacity.unwrap_or(0)];
    let file = tempfile::tempfile().unwrap();
    let mut checkpt = if capacity.is_some() { Checkpt::mmio(&mut region) } else { Checkpt::stream(&file) }.unwrap();
    let (mut ends, mut failed) = (Vec::new(), None);
    for frame in frames {
        let opened = checkpt.open(FrameStyle::Lz4).map(drop);
        let put = frame.iter().fold(opened, |so_far, buffer| so_far.and_then(|()| checkpt.data(buffer)));
        match put.and_then(|()| checkpt.close()) {
            Ok(end) => ends.push(end),
            Err(error) => failed = failed.or(Some(error)),
        }
    }
    drop(checkpt);
    if capacity.is_none() {
        region = std::fs::read(format!("/proc/self/fd/{}", std::os::fd::AsRawFd::as_raw_fd(&file))).unwrap();
    }
    region.truncate(ends.last().map_or(0, |&end| end as usize));
    (region, ends, failed)
}

/// `make test-model COUNT=n` draws a hundredth as many, 10,000 if that is a million.
#[test]
fn random_sequences_match_one_thread() {
    let _alone = alone();
    let count = std::env::var("FDCKPT_TEST_MODEL_CASES").map_or(12, |count| count.parse::<u64>().unwrap() / 100);
    let size = 8 << 20;
    let pool = [text(size), letters(size), vec![7; size], noise(size)];
    let mut all = ParallelStats::default();
    for index in 0..count {
        let mut next = random((index + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15));
        let buffers: Vec<Vec<Vec<u8>>> = (0..1 + next() % 2)
            .map(|_| {
                (0..1 + next() % 4)
                    .map(|_| {
                        let size = match next() % 4 {
                            0 => next() % 300,
                            1 => next() % 200_000,
                            // Around what is worth a second thread, and around segments.
                            _ => (48 + next() % 12) * 65_536 + [0, 1, 65_535, next() % 65_536][(next() % 4) as usize],
                        };
                        drawn(&mut next, &pool, size as usize)
                    })
                    .collect()
            })
            .collect();
        let frames: Vec<Vec<&[u8]>> = buffers.iter().map(|frame| frame.iter().map(Vec::as_slice).collect()).collect();
        let total: usize = buffers.iter().flatten().map(Vec::len).sum();
        let capacity =
            [None, Some(total + total / 200 + 1000), Some((next() % (total as u64 + 1)) as usize)][(next() % 3) as usize];
        let threads = 2 + (next() % 4) as usize;
        let (one, _) = with_threads(1, || checkpoint(&frames, capacity));
        let (several, counted) = with_threads(threads, || checkpoint(&frames, capacity));
        assert!(one == several, "sequence {index} on {threads} threads, capacity {capacity:?}: {:?} or {:?}", one.2, several.2);
        all.speculative_segments += counted.speculative_segments;
        all.mispredicted_segments += counted.mispredicted_segments;
        all.recompressed_bytes += counted.recompressed_bytes;
    }
    println!("{count} sequences: {all:?}");
    assert!(
        count < 1000 || (all.speculative_segments > count / 4 && all.mispredicted_segments > 0 && all.recompressed_bytes > 0)
    );
}
