//! Random call sequences: all modes of the library give the same bytes, codes and offsets as each other, as a model of
//! the format (`model`), and as a second implementation of the C API (`benches/reference.c`).
//!
//! By default 10,000 of them, with another seed for each version; `make test-model COUNT=n` draws n.

use std::ffi::CString;
use std::os::unix::ffi::OsStrExt;
use std::sync::LazyLock;
use std::time::Instant;

use crate::common;
use crate::model;
use crate::model::compare::{all_modes, restore_anything, round_trip};
use crate::model::library_driver::{Api, Bench, silence};
use fdckpt as _; // has the functions that the model's driver calls

/// The reference's functions. It stays loaded.
static REFERENCE: LazyLock<Api> = LazyLock::new(|| {
    let path = CString::new(common::REFERENCE.as_os_str().as_bytes()).expect("a path has no 0");
    // SAFETY: the reference has the functions of the C API, and runs nothing when it is loaded. RTLD_LOCAL keeps its
    // names apart.
    unsafe {
        let library = libc::dlopen(path.as_ptr(), libc::RTLD_NOW | libc::RTLD_LOCAL);
        assert!(!library.is_null(), "{path:?} can't be loaded");
        Api::found(|name| libc::dlsym(library, name.as_ptr()))
    }
});

fn count() -> u64 {
    std::env::var("FDCKPT_TEST_MODEL_CASES").map_or(10_000, |count| count.parse().expect("FDCKPT_TEST_MODEL_CASES is a number"))
}

/// The bytes of case number `index`: mostly short, sometimes long.
fn case(index: u64, salt: u64) -> Vec<u8> {
    let mut state = (index + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15) ^ salt;
    let mut next = move || {
        // splitmix64
        state = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (state ^ (state >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    };
    let size = match next() % 20 {
        0 => 2_000,
        1..=4 => 300,
        _ => 60,
    };
    (0..next() % size).map(|_| next() as u8).collect()
}

fn run(name: &str, salt: u64, check: fn(&mut Bench, &[u8], bool)) {
    silence();
    let (count, start) = (count(), Instant::now());
    let threads = std::thread::available_parallelism().map_or(1, usize::from) as u64;
    std::thread::scope(|scope| {
        for thread in 0..threads {
            scope.spawn(move || {
                let mut libraries = [("library", Bench::new()), ("reference", Bench::of(*REFERENCE))];
                for index in (thread..count).step_by(threads as usize) {
                    let case = case(index, salt);
                    // A quarter of the cases is enough for the reference, which does not change.
                    let tried = if index % 4 == 0 { 2 } else { 1 };
                    for (library, bench) in &mut libraries[..tried] {
                        let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
                            check(bench, &case, index % 16 == 0);
                        }));
                        assert!(result.is_ok(), "{name}, {library}: case {index} of salt {salt} differs, see above");
                    }
                }
            });
        }
    });
    println!("{name}: {count} sequences in {:.1} s", start.elapsed().as_secs_f64());
}

#[test]
fn round_trips_match_model() {
    run("round trips", 1, round_trip);
}

#[test]
fn restoring_arbitrary_bytes_matches_model() {
    run("restoring anything", 2, restore_anything);
}

/// LZ4 starts afresh when a stream has passed 1 GiB, which decides the bytes of the frame after that
/// (docs/format/frame.md, "History").
#[test]
#[ignore = "half a minute: make test-model"]
fn frame_past_1_gib() {
    use model::{Checkpt, OK, Op};
    silence();
    let text: Vec<u8> = (0..64 << 20).map(|i: usize| b"past one gigabyte, "[(i + i / 9_999) % 19]).collect();
    let mut state = 88_172_645_463_325_252u64;
    let mut letter = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        b"ACGT"[(state >> 20) as usize % 4]
    };
    let letters: Vec<u8> = (0..5_000).map(|_| letter()).collect();
    let mut ops = Vec::new();
    for (buffer, times) in [(&letters, 1), (&letters, 1), (&text, 17), (&letters, 1), (&letters, 1), (&letters, 1)] {
        ops.push(Op::Open(2));
        ops.extend((0..times).map(|_| Op::Data(buffer.clone())));
        ops.push(Op::Close);
    }
    let mut model = Checkpt::new(None);
    let answers: Vec<_> = ops.iter().map(|op| model.call(op)).collect();
    assert!(answers.iter().all(|answer| answer.code == OK));
    let ends: Vec<u64> =
        ops.iter().zip(&answers).filter(|(op, _)| matches!(op, Op::Close)).map(|(_, answer)| answer.off).collect();
    let sizes: Vec<u64> = ends.windows(2).map(|ends| ends[1] - ends[0]).collect();
    println!(
        "the frame of letters takes {} bytes at first, later {}, after 1 GiB {}, then {}",
        ends[0], sizes[0], sizes[2], sizes[3]
    );
    let mut bench = Bench::new();
    assert!(bench.write_to_file(&ops, 69_632) == (answers.clone(), model.bytes.clone()), "file");
    assert!(bench.checkpt_region(&ops, model.bytes.len() + 70_000) == (answers.clone(), model.bytes.clone()), "region");
    let reference = Bench::of(*REFERENCE).checkpt_region(&ops, model.bytes.len() + 70_000);
    assert!(reference == (answers, model.bytes.clone()), "reference");
}

/// Offsets that 32 bits don't hold, in a file of which most is a hole.
#[test]
#[ignore = "half a minute: make test-model"]
fn offsets_past_4_gib() {
    use fdckpt::{Checkpt, FrameStyle, Restore};
    use std::fs::File;
    const GIB: u64 = 1 << 30;
    let gigabyte = vec![0; GIB as usize];
    let null = File::options().write(true).open("/dev/null").unwrap();
    let mut checkpt = Checkpt::stream(null).unwrap();
    for n in 0..5 {
        assert_eq!(checkpt.open(FrameStyle::Raw), Ok(n * (GIB + 1)));
        checkpt.data(&gigabyte).unwrap();
        checkpt.meta(&[1]).unwrap();
        assert_eq!(checkpt.close(), Ok((n + 1) * (GIB + 1)));
    }
    drop(gigabyte);

    let file = tempfile::tempfile().unwrap();
    file.set_len(5 * GIB).unwrap();
    std::os::unix::fs::FileExt::write_all_at(&file, b"far away", 5 * GIB - 8).unwrap();
    for mut restore in [Restore::stream(&file).unwrap(), Restore::map(&file).unwrap()] {
        assert_eq!(restore.size(), Some(5 * GIB));
        restore.seek(5 * GIB - 8).unwrap();
        assert_eq!(restore.open(FrameStyle::Raw), Ok(5 * GIB - 8));
        let mut end = [0; 8];
        restore.data(&mut end).unwrap();
        assert_eq!((&end, restore.close()), (b"far away", Ok(5 * GIB)));
    }
}

/// What the fuzzers found worth keeping: each file is a case that once reached something new.
#[test]
fn fuzz_corpus_matches_model() {
    silence();
    let (mut libraries, mut replayed) = ([Bench::new(), Bench::of(*REFERENCE)], 0);
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus");
    for target in ["round_trip", "restore_anything", "all_modes"] {
        for file in std::fs::read_dir(folder.join(target)).expect("the corpus is there") {
            let case = std::fs::read(file.expect("readable").path()).expect("readable");
            for bench in &mut libraries {
                match target {
                    "round_trip" => round_trip(bench, &case, false),
                    "restore_anything" => restore_anything(bench, &case, false),
                    _ => all_modes(bench, &case),
                }
            }
            replayed += 1;
        }
    }
    println!("{replayed} cases replayed");
    assert!(replayed > 100, "only {replayed} cases were found");
}
