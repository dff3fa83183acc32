//! Restoring from a file while another thread reads ahead: data, offsets, errors, and how far the descriptor advances.

use std::io::{Read, Seek, SeekFrom, Write};
use std::os::fd::{AsRawFd, OwnedFd};

use crate::alone;
use fdckpt::frame::Error;
use fdckpt::{BUFFER_MIN, Checkpt, FrameStyle, Restore, ThreadPool, set_max_threads};

fn random(seed: u64) -> impl FnMut(usize) -> usize {
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    move |below| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 11) as usize % below.max(1)
    }
}

/// Half noise, half runs, in stretches, so that chunks are of all sizes.
fn data(size: usize) -> Vec<u8> {
    let mut next = random(4);
    let mut data = Vec::with_capacity(size);
    while data.len() < size {
        let (len, what) = (next(100_000).min(size - data.len()), next(3));
        data.extend((0..len).map(|at| if what == 0 { next(256) as u8 } else { (at >> what) as u8 }));
    }
    data
}

/// Frames of these buffers in a file, each followed by something else. Returns the file and where frames begin.
fn file(data: &[u8], frames: &[Vec<usize>]) -> (std::fs::File, Vec<u64>) {
    let file = tempfile::tempfile().unwrap();
    let mut checkpt = Checkpt::stream(&file).unwrap();
    let mut begins = Vec::new();
    for sizes in frames {
        begins.push(checkpt.open(FrameStyle::Lz4).unwrap());
        sizes.iter().for_each(|&size| checkpt.data(&data[..size]).unwrap());
        checkpt.close().unwrap();
        checkpt.open(FrameStyle::Raw).unwrap();
        checkpt.meta(b"between").unwrap();
        checkpt.close().unwrap();
    }
    drop(checkpt);
    (file, begins)
}

/// What comes of each call; the content of buffers is compared here. Never runs ahead by more than the I/O buffer.
fn restore(mut file: &std::fs::File, data: &[u8], frames: &[Vec<usize>], buffer: usize) -> Vec<Result<u64, Error>> {
    file.seek(SeekFrom::Start(0)).unwrap();
    let mut restore = Restore::stream_with_buffer(file, buffer).unwrap();
    let mut results = Vec::new();
    let mut restored = vec![0; data.len()];
    'all: for sizes in frames {
        results.push(restore.open(FrameStyle::Lz4));
        for &size in sizes {
            restored[..size].fill(0xEE);
            let result = restore.data(&mut restored[..size]);
            results.push(result.map(|()| 0));
            if result.is_err() {
                break 'all;
            }
            assert!(restored[..size] == data[..size]);
        }
        let end = restore.close();
        results.push(end);
        let ahead = file.stream_position().unwrap() - end.unwrap();
        assert!(ahead <= buffer as u64, "{ahead} bytes ahead, with a buffer of {buffer}");
        restore.open(FrameStyle::Raw).unwrap();
        let mut between = [0; 7];
        let result = restore.meta(&mut between);
        results.push(result.map(|()| 1));
        if result.is_err() {
            break;
        }
        assert_eq!(&between, b"between");
        results.push(restore.close());
    }
    results
}

const BUFFERS: [usize; 6] = [BUFFER_MIN, 4 * 65_811 - 1, 4 * 65_811, 4 * 65_811 + 1, 1 << 20, 30 << 20];

#[test]
fn restores_like_one_thread() {
    let _alone = alone();
    let data = data(9 << 20);
    let frames = [
        vec![9 << 20],
        vec![5, 6 << 20, 3, 5 << 20, 70_000],
        vec![4 << 20, 65_536, 65_537],
        vec![],
        vec![(4 << 20) + 65_536 + 1],
    ];
    let (file, begins) = file(&data, &frames);
    for buffer in BUFFERS {
        set_max_threads(1);
        let one = restore(&file, &data, &frames, buffer);
        assert!(one.iter().all(Result::is_ok));
        set_max_threads(2);
        assert_eq!(restore(&file, &data, &frames, buffer), one, "{buffer}");
        let pool = ThreadPool::new(2).unwrap();
        assert_eq!(pool.install(|| restore(&file, &data, &frames, buffer)), one, "{buffer}");
        // From frame to frame, where what was read ahead is of no use.
        let mut restore = Restore::stream_with_buffer(&file, buffer).unwrap();
        let mut restored = vec![0; data.len()];
        for frame in [2, 0, 1, 0] {
            restore.seek(begins[frame]).unwrap();
            restore.open(FrameStyle::Lz4).unwrap();
            for &size in &frames[frame][..2.min(frames[frame].len())] {
                restore.data(&mut restored[..size]).unwrap();
                assert!(restored[..size] == data[..size]);
            }
            restore.close().unwrap();
        }
    }
    set_max_threads(1);
}

#[test]
fn corruption_and_truncation_are_found_at_same_offset() {
    let _alone = alone();
    let data = data(6 << 20);
    let frames = [vec![100, 6 << 20, 1000], vec![5 << 20]];
    let (mut file, _) = file(&data, &frames);
    let mut bytes = Vec::new();
    file.seek(SeekFrom::Start(0)).unwrap();
    file.read_to_end(&mut bytes).unwrap();
    let mut next = random(1);
    for index in 0..24 {
        let mut damaged = bytes.clone();
        if index % 2 == 0 {
            damaged.truncate(next(bytes.len()));
        } else {
            // A chunk's size, of a chunk somewhere in the first large buffer.
            let mut at = 0;
            for _ in 0..2 + next(80) {
                at += 3 + (usize::from(bytes[at]) | usize::from(bytes[at + 1]) << 8 | usize::from(bytes[at + 2]) << 16);
            }
            damaged[at + 2] = 0xff;
        }
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(&damaged).unwrap();
        for buffer in [BUFFERS[2], 1 << 20] {
            set_max_threads(1);
            let one = restore(&file, &data, &frames, buffer);
            set_max_threads(2);
            assert_eq!(restore(&file, &data, &frames, buffer), one, "case {index}, buffer {buffer}");
            set_max_threads(1);
            assert!(one.last().unwrap().is_err(), "case {index}");
        }
    }
}

/// An I/O error after the frame is ignored: that data was not requested.
#[test]
fn error_after_restored_data_is_ignored() {
    let _alone = alone();
    let data = data(6 << 20);
    let (mut file, _) = file(&data, &[vec![6 << 20]]);
    let mut bytes = Vec::new();
    file.seek(SeekFrom::Start(0)).unwrap();
    file.read_to_end(&mut bytes).unwrap();
    // The memory of this process as a file: it has the checkpoint, and directly after it what cannot be read.
    let size = bytes.len().next_multiple_of(65_536);
    // SAFETY: fresh memory, from which the last part is taken back; what is left is as large as what is written, and
    // stays.
    let begin = unsafe {
        let memory = libc::mmap(
            std::ptr::null_mut(),
            2 * size,
            libc::PROT_READ | libc::PROT_WRITE,
            libc::MAP_PRIVATE | libc::MAP_ANONYMOUS,
            -1,
            0,
        );
        assert!(memory != libc::MAP_FAILED && libc::munmap(memory.add(size), size) == 0);
        let begin = memory.cast::<u8>().add(size - bytes.len());
        begin.copy_from_nonoverlapping(bytes.as_ptr(), bytes.len());
        begin as u64
    };
    for threads in [1, 2] {
        set_max_threads(threads);
        for buffer in [BUFFERS[2], 1 << 20, 30 << 20] {
            let mut memory = std::fs::File::open("/proc/self/mem").unwrap();
            let mut restore = Restore::stream_with_buffer(memory.try_clone().unwrap(), buffer).unwrap();
            memory.seek(SeekFrom::Start(begin)).unwrap();
            let (mut restored, mut between) = (vec![0; data.len()], [0; 8]);
            restore.open(FrameStyle::Lz4).unwrap();
            assert_eq!(restore.data(&mut restored), Ok(()), "{threads} threads, buffer {buffer}");
            assert!(restored == data);
            let end = restore.close().unwrap();
            restore.open(FrameStyle::Raw).unwrap();
            restore.data(&mut between[..7]).unwrap();
            assert_eq!(&between, b"between\0");
            let error = restore.data(&mut between).unwrap_err();
            assert!(matches!(error, Error::Io(error) if error.offset == Some(end + 7)), "{error}");
        }
    }
    set_max_threads(1);
}

/// How many bytes wait in a pipe.
fn waiting(pipe: &OwnedFd) -> usize {
    let mut count = 0;
    // SAFETY: writes to the local.
    assert_eq!(unsafe { libc::ioctl(pipe.as_raw_fd(), libc::FIONREAD, &mut count) }, 0);
    count as usize
}

#[test]
fn pipe_is_not_read_beyond_the_buffer() {
    let _alone = alone();
    let data = data(5 << 20);
    let frames = [vec![5 << 20], vec![5 << 20]];
    let (mut file, _) = file(&data, &frames);
    let mut bytes = Vec::new();
    file.seek(SeekFrom::Start(0)).unwrap();
    file.read_to_end(&mut bytes).unwrap();
    for threads in [1, 2, 8] {
        set_max_threads(threads);
        let (from, mut to) = std::io::pipe().unwrap();
        let from = OwnedFd::from(from);
        // Writes only as much as is taken, and holds back the end until the first frame is restored.
        let written = std::sync::atomic::AtomicUsize::new(0);
        let until = std::sync::atomic::AtomicUsize::new(0);
        std::thread::scope(|scope| {
            use std::sync::atomic::Ordering::SeqCst;
            let first_end = frames_end(&bytes, data.len());
            until.store(first_end, SeqCst);
            let (written, until, bytes) = (&written, &until, &bytes);
            scope.spawn(move || {
                let mut at = 0;
                while at < bytes.len() {
                    if at == until.load(SeqCst) {
                        std::thread::yield_now();
                        continue;
                    }
                    let end = until.load(SeqCst).min(at + 4096);
                    to.write_all(&bytes[at..end]).unwrap();
                    at = end;
                    written.store(at, SeqCst);
                }
            });
            let mut restore = Restore::stream_with_buffer(&from, 1 << 20).unwrap();
            let mut restored = vec![0; data.len()];
            restore.open(FrameStyle::Lz4).unwrap();
            // There is nothing after the frame, and the call does not wait for it.
            restore.data(&mut restored).unwrap();
            assert!(restored == data);
            let end = restore.close().unwrap() as usize;
            assert_eq!(end, first_end);
            until.store(bytes.len(), SeqCst);
            restore.open(FrameStyle::Raw).unwrap();
            restore.meta(&mut [0; 7]).unwrap();
            let end = restore.close().unwrap() as usize;
            restore.open(FrameStyle::Lz4).unwrap();
            restore.data(&mut restored[..100_000]).unwrap_or_default();
            let taken = written.load(SeqCst) - waiting(&from).min(written.load(SeqCst));
            assert!(taken <= end + (1 << 20) + 100_000 + 4096, "{taken} taken, {end} restored");
            // So that the writer comes to its end.
            let mut rest = Vec::new();
            std::fs::File::from(from.try_clone().unwrap()).read_to_end(&mut rest).unwrap();
        });
    }
    set_max_threads(1);
}

/// Where the frame ends whose buffer has so many bytes.
fn frames_end(bytes: &[u8], size: usize) -> usize {
    let mut at = 0;
    for _ in 0..size.div_ceil(65_536) {
        at += 3 + (usize::from(bytes[at]) | usize::from(bytes[at + 1]) << 8 | usize::from(bytes[at + 2]) << 16);
    }
    at
}
