//! Fault injection: scenarios run while a shim (`ctests/fault_injection/preload_shim.c`, by LD_PRELOAD) makes the n-th
//! call of a kind fail, for every n. `make test-faults` runs all of them, `cargo test` a part.
//!
//! The scenarios are programs (`ctests/fault_injection/` for the C API, `scenario.rs` for the Rust API) that print each
//! run before they start it. A program that dies or hangs is restarted after the run that killed it.

#[path = "../common/mod.rs"]
mod common;

mod scenario;

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::LazyLock;

/// Where a scenario starts: the number of a group of runs, and of a run in it.
type Place = (u64, u64);

/// Maximum number of failures that are described.
const TOLD: u64 = 20;

/// Maximum number of deaths of a scenario: one that hangs takes 10 seconds to die.
const DEATHS: u64 = 10;

/// Environment variable with the arguments of the Rust scenario.
const ARGUMENTS: &str = "FDCKPT_TEST_FAULTS_ARGS";

/// "all" or "some".
static EXTENT: LazyLock<String> = LazyLock::new(|| std::env::var("FDCKPT_TEST_FAULTS").unwrap_or_else(|_| "some".to_owned()));

static SHIM: LazyLock<PathBuf> = LazyLock::new(|| {
    let shim = common::LIBRARY_DIR.join("shim.so");
    compile("preload_shim.c", &shim, &["-fPIC", "-shared"]);
    shim
});

fn compile(source: &str, to: &Path, more: &[impl AsRef<std::ffi::OsStr>]) {
    let here = common::root().join("ctests");
    let mut cc = common::cc();
    cc.args(["-std=c11", "-Wall", "-Wextra", "-Werror", "-O1", "-g"]);
    cc.arg("-I").arg(common::root().join("include")).arg("-I").arg(here.join("c_api"));
    cc.arg(here.join("fault_injection").join(source)).arg("-o").arg(to).args(more).arg("-ldl");
    common::run(&mut cc);
}

/// The outcome of a scenario.
#[derive(Default)]
struct Outcome {
    injected: u64,
    runs: u64,
    failed: u64,
    /// Descriptions of the first failures.
    reported: Vec<String>,
}

impl Outcome {
    fn fail(&mut self, what: String) {
        self.failed += 1;
        if self.failed <= TOLD {
            self.reported.push(what);
        }
    }

    fn conclude(&self, who: &str, least: u64) {
        println!("faults: {} injected in {} runs, {} failed ({who})", self.injected, self.runs, self.failed);
        assert!(self.failed == 0, "{}", self.reported.join("\n"));
        assert!(self.runs > 500 && self.injected > least, "these are too few");
    }
}

/// Runs the scenario that `command` starts at a given run, to its end.
fn supervise(command: impl Fn(Place) -> Command) -> Outcome {
    let mut outcome = Outcome::default();
    let (mut place, mut deaths) = ((0, 1), 0);
    loop {
        let mut child = command(place).env("LD_PRELOAD", &*SHIM).stdout(Stdio::piped()).spawn().expect("the scenario starts");
        // The current run and its output.
        let mut under_way: Option<(Place, String)> = None;
        for line in BufReader::new(child.stdout.take().expect("a pipe")).lines() {
            let line = line.expect("lines of text");
            let words: Vec<&str> = line.splitn(4, ' ').collect();
            match (words.as_slice(), &mut under_way) {
                (["run", group, n, what], _) => {
                    outcome.runs += 1;
                    under_way = Some(((number(group), number(n)), format!("{what}, call {n}:")));
                }
                (["done", injected, failed], run) => {
                    outcome.injected += number(injected);
                    if let Some((_, said)) = run.take().filter(|_| number(failed) > 0) {
                        outcome.fail(said);
                    }
                }
                (_, Some((_, said))) => *said += &format!("\n  {line}"),
                _ => {}
            }
        }
        let status = child.wait().expect("the scenario ends");
        let Some(((group, n), said)) = under_way else {
            assert!(status.success() || outcome.failed > 0, "the scenario failed outside of any run: {status}");
            return outcome;
        };
        outcome.fail(format!("{said}\n  died: {status}"));
        deaths += 1;
        if deaths == DEATHS {
            return outcome;
        }
        place = (group, n + 1);
    }
}

fn number(word: &str) -> u64 {
    word.parse().unwrap_or_else(|_| panic!("{word} is a number"))
}

#[test]
fn c_api() {
    let program = common::LIBRARY_DIR.join("scenario");
    compile("scenarios.c", &program, &common::link_flags());
    let outcome = supervise(|(group, n)| {
        let mut command = Command::new(&program);
        command.args([&*EXTENT, &group.to_string(), &n.to_string()]);
        command
    });
    outcome.conclude("C API", 5_000);
}

/// Replacing, recovering and repairing files.
#[test]
fn fti_api() {
    let program = common::LIBRARY_DIR.join("fti-scenario");
    compile("fti.c", &program, &common::link_flags());
    let place = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).expect("a directory");
    let outcome = supervise(|(group, n)| {
        let mut command = Command::new(&program);
        command.arg(place.path()).args([group.to_string(), n.to_string()]);
        command
    });
    outcome.conclude("FTI", 1_500);
}

/// Many frames at a time, and large buffers, on several threads.
#[test]
fn frames_api() {
    let program = common::LIBRARY_DIR.join("frames-scenario");
    let dir = common::LIBRARY_DIR.display();
    compile("frames.c", &program, &["-pthread", &format!("-L{dir}"), "-lfdckpt", &format!("-Wl,-rpath,{dir}")]);
    let outcome = supervise(|(group, n)| {
        let mut command = Command::new(&program);
        command.args([group.to_string(), n.to_string()]);
        command
    });
    outcome.conclude("many frames", 500);
}

/// Saving, loading and salvaging self-describing checkpoints.
#[test]
fn checkpoint_api() {
    let program = common::LIBRARY_DIR.join("checkpoint-scenario");
    let dir = common::LIBRARY_DIR.display();
    compile("checkpoint.c", &program, &["-pthread", &format!("-L{dir}"), "-lfdckpt", &format!("-Wl,-rpath,{dir}")]);
    let place = common::temp_dir("checkpoint-faults");
    let outcome = supervise(|(group, n)| {
        let mut command = Command::new(&program);
        command.arg(&place).args([group.to_string(), n.to_string()]);
        command
    });
    outcome.conclude("checkpoints that describe themselves", 1_500);
}

#[test]
fn rust_api() {
    let outcome = supervise(|(group, n)| {
        let mut command = Command::new(std::env::current_exe().expect("the test knows where it is"));
        command.args(["--ignored", "--exact", "rust_scenario", "--nocapture", "--test-threads=1"]);
        command.env(ARGUMENTS, format!("{} {group} {n}", *EXTENT));
        command
    });
    outcome.conclude("Rust API", 5_000);
}

/// Not a test: what `rust_api` starts.
#[test]
#[ignore = "started by rust_api"]
fn rust_scenario() {
    let Ok(arguments) = std::env::var(ARGUMENTS) else { return };
    let words: Vec<&str> = arguments.split(' ').collect();
    // The test harness has begun a line.
    println!();
    scenario::main(words[0] == "all", number(words[1]), number(words[2]));
}

/// A call that the library starts to use and that can fail must be added to the shim.
#[test]
fn shim_covers_all_calls_of_the_library() {
    const CAN_FAIL: &str = "read read64 readv pread pread64 preadv preadv64 preadv2 write writev pwrite pwrite64 pwritev pwritev64 \
        pwritev2 lseek lseek64 fstat fstat64 fstatat fstatat64 __fxstat __fxstat64 statx poll ppoll __poll_chk __read_chk select \
        mmap mmap64 munmap mremap msync ftruncate ftruncate64 fallocate fallocate64 fsync fdatasync rename copy_file_range sendfile splice open openat openat64 renameat renameat2 flock close pthread_create \
        malloc calloc realloc reallocarray posix_memalign aligned_alloc memalign valloc";
    let symbols = |file: &Path, which: &str| -> Vec<String> {
        let listing = common::run(Command::new("nm").args(["-D", which]).arg(file));
        let names = listing.lines().filter_map(|line| line.split_whitespace().last());
        names.map(|name| name.split('@').next().unwrap_or(name).to_owned()).collect()
    };
    let has = symbols(&SHIM, "--defined-only");
    let calls = symbols(&common::SHARED_LIBRARY, "--undefined-only");
    let can_fail: Vec<&str> = CAN_FAIL.split_whitespace().collect();
    let lacks: Vec<&String> = calls.iter().filter(|name| can_fail.contains(&name.as_str()) && !has.contains(name)).collect();
    assert!(lacks.is_empty(), "{lacks:?}");
    assert!(calls.iter().any(|name| name == "writev"), "nm lists what the library calls");
}
