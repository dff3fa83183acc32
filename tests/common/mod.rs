//! Helpers that the test programs share.

#![allow(dead_code, reason = "each test program uses a part of it")]

#[cfg(feature = "c-tests")]
use std::collections::BTreeSet;
use std::fs::File;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::LazyLock;
#[cfg(feature = "c-tests")]
use std::sync::{Mutex, PoisonError};

pub fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Makes an empty directory `name` below the build directory, or below `CARGO_TARGET_TMPDIR` at run time (for several
/// runs at once).
pub fn temp_dir(name: &str) -> PathBuf {
    let elsewhere = std::env::var_os("CARGO_TARGET_TMPDIR").map(PathBuf::from);
    let dir = elsewhere.unwrap_or_else(|| env!("CARGO_TARGET_TMPDIR").into()).join(name);
    _ = std::fs::remove_dir_all(&dir);
    std::fs::create_dir_all(&dir).expect("the build directory is writable");
    dir
}

/// A C compiler of this machine.
pub fn cc() -> Command {
    Command::new(std::env::var_os("CC").unwrap_or_else(|| "cc".into()))
}

/// Runs a command to its end and returns what it printed. Panics with all that it printed if it fails.
pub fn run(command: &mut Command) -> String {
    let output = output(command);
    assert!(
        output.status.success(),
        "{command:?}: {}\n{}{}",
        output.status,
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8_lossy(&output.stdout).into_owned()
}

pub fn output(command: &mut Command) -> Output {
    command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"))
}

/// Notes what a test leaves out, and why: for `make test`, which lists it.
pub fn skip(what: &str) {
    eprintln!("{what}");
    if let Some(list) = std::env::var_os("FDCKPT_TEST_SKIPPED") {
        let mut list = File::options().create(true).append(true).open(list).expect("the list can be written");
        list.write_all(format!("{what}\n").as_bytes()).expect("the list can be written");
    }
}

/// Whether a program is installed. If not, notes that the test leaves out what needs it.
pub fn has_program(program: &str) -> bool {
    let found = std::env::split_paths(&std::env::var_os("PATH").unwrap_or_default()).any(|dir| dir.join(program).is_file());
    if !found {
        let test = std::thread::current();
        skip(&format!("{}: {program} is not installed", test.name().unwrap_or("a test")));
    }
    found
}

/// `make` in the repository, free of what an outer make or cargo left in the environment.
pub fn make(target: &str) -> Command {
    let mut make = Command::new("make");
    make.current_dir(root()).arg("--no-print-directory").arg(target);
    for name in ["MAKEFLAGS", "MAKELEVEL", "MFLAGS", "RUSTFLAGS", "CARGO_ENCODED_RUSTFLAGS"] {
        make.env_remove(name);
    }
    make
}

/// The shared library that cargo built together with this test (that in `target/debug` can be older).
pub static SHARED_LIBRARY: LazyLock<PathBuf> = LazyLock::new(|| {
    let this = std::env::current_exe().expect("the test knows where it is");
    let library = this.with_file_name("libfdckpt.so");
    assert!(library.is_file(), "{} is missing", library.display());
    library
});

/// A directory in which programs find that library under its link name and its soname.
pub static LIBRARY_DIR: LazyLock<PathBuf> = LazyLock::new(|| {
    let this = std::env::current_exe().expect("the test knows where it is");
    let dir = temp_dir(&format!("library-{}", this.file_stem().expect("a name").to_string_lossy()));
    for name in ["libfdckpt.so", "libfdckpt.so.0"] {
        std::os::unix::fs::symlink(&*SHARED_LIBRARY, dir.join(name)).expect("the directory is writable");
    }
    dir
});

/// Flags that link a program with that library and no other: with RPATH, as RUNPATH would come after the directories
/// with older builds that cargo puts into the environment.
pub fn link_flags() -> [String; 4] {
    link_with(&LIBRARY_DIR, "-lfdckpt")
}

fn link_with(dir: &Path, library: &str) -> [String; 4] {
    let dir = dir.display();
    ["-pthread".to_owned(), format!("-L{dir}"), library.to_owned(), format!("-Wl,--disable-new-dtags,-rpath,{dir}")]
}

/// Compiles an example with the options that its first lines give.
pub fn example(name: &str) -> PathBuf {
    let program = LIBRARY_DIR.join(format!("{name}-example"));
    let mut cc = cc();
    cc.args(["-std=gnu11", "-Wall", "-Wextra", "-Wpedantic", "-Werror", "-O1", "-I"]).arg(root().join("include"));
    cc.arg(root().join(format!("examples/{name}.c"))).arg("-o").arg(&program).args(link_flags());
    run(&mut cc);
    program
}

/// Records the calls of a program that change files (`write_recorder.c`), by LD_PRELOAD.
pub static RECORDER: LazyLock<PathBuf> = LazyLock::new(|| {
    let recorder = LIBRARY_DIR.join("record.so");
    let mut cc = cc();
    cc.args(["-std=c11", "-Wall", "-Wextra", "-Werror", "-O1", "-fPIC", "-shared"]);
    run(cc.arg(root().join("ctests/fault_injection/write_recorder.c")).arg("-o").arg(&recorder).arg("-ldl"));
    recorder
});

/// The reference implementation of the API, `benches/reference.c`, as a shared library.
pub static REFERENCE: LazyLock<PathBuf> = LazyLock::new(|| bench_target("libreference.so"));

/// Builds a file of the Makefile's `bench` directory, below the build directory of the tests.
pub fn bench_target(name: &str) -> PathBuf {
    let target = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let file = target.join("bench").join(name);
    run(make(&file.display().to_string()).arg(format!("TARGET={}", target.display())));
    file
}

/// Links the object of a program of the C suite with the shared library, and returns the program.
#[cfg(feature = "c-tests")]
pub fn c_program(name: &str) -> PathBuf {
    link_c_program(name, &LIBRARY_DIR, "-lfdckpt")
}

/// The same with the reference, for a program that uses only the API of fd_checkpt.h.
#[cfg(feature = "c-tests")]
pub fn c_program_with_reference(name: &str) -> PathBuf {
    link_c_program(name, REFERENCE.parent().expect("a directory"), "-lreference")
}

#[cfg(feature = "c-tests")]
fn link_c_program(name: &str, dir: &Path, library: &str) -> PathBuf {
    // Once: a program that is running cannot be overwritten.
    static LINKED: Mutex<BTreeSet<PathBuf>> = Mutex::new(BTreeSet::new());
    let mut linked = LINKED.lock().unwrap_or_else(PoisonError::into_inner);
    let program = dir.join(name);
    if linked.contains(&program) {
        return program;
    }
    let object = Path::new(env!("FDCKPT_C_OBJECTS")).join(format!("{name}.o"));
    run(cc().arg(object).arg("-o").arg(&program).args(link_with(dir, library)));
    linked.insert(program.clone());
    program
}

pub fn golden() -> String {
    root().join("tests/golden/frames").display().to_string()
}

/// Arguments of golden_trace: each trace as it was recorded, then all combinations of modes.
pub fn trace_arguments() -> Vec<Vec<String>> {
    let mut all = vec![vec![golden()]];
    for checkpt in ["stream", "mmio", "pipe"] {
        for restore in ["stream", "mmio", "pipe"] {
            all.push([&golden(), "--checkpt", checkpt, "--restore", restore].map(str::to_owned).to_vec());
        }
    }
    all
}
