//! What the test harnesses share.

#![allow(dead_code, reason = "each harness uses a part of it")]

#[cfg(feature = "c-tests")]
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::LazyLock;
#[cfg(feature = "c-tests")]
use std::sync::{Mutex, PoisonError};

pub fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// A folder for `name` that is empty, below the build folder, or elsewhere for who runs a test several times at once.
pub fn fresh_folder(name: &str) -> PathBuf {
    let elsewhere = std::env::var_os("CARGO_TARGET_TMPDIR").map(PathBuf::from);
    let folder = elsewhere.unwrap_or_else(|| env!("CARGO_TARGET_TMPDIR").into()).join(name);
    _ = std::fs::remove_dir_all(&folder);
    std::fs::create_dir_all(&folder).expect("the build folder is writable");
    folder
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

/// Whether there is a program of this name. Where a test does without one, it says so.
pub fn have(program: &str) -> bool {
    let found = std::env::split_paths(&std::env::var_os("PATH").unwrap_or_default()).any(|dir| dir.join(program).is_file());
    if !found {
        eprintln!("{program} is not installed: what needs it is skipped");
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

/// A folder in which programs find that library under its link name and its soname.
pub static LIBRARY_FOLDER: LazyLock<PathBuf> = LazyLock::new(|| {
    let this = std::env::current_exe().expect("the test knows where it is");
    let folder = fresh_folder(&format!("library-{}", this.file_stem().expect("a name").to_string_lossy()));
    for name in ["libfdckpt.so", "libfdckpt.so.0"] {
        std::os::unix::fs::symlink(&*SHARED_LIBRARY, folder.join(name)).expect("the folder is writable");
    }
    folder
});

/// Flags that link a program with that library, and make it find that one and no other: not a run path, which would come after the
/// folders with older builds that cargo puts into the environment.
pub fn link_flags() -> [String; 4] {
    link_with(&LIBRARY_FOLDER, "-lfdckpt")
}

fn link_with(folder: &Path, library: &str) -> [String; 4] {
    let folder = folder.display();
    ["-pthread".to_owned(), format!("-L{folder}"), library.to_owned(), format!("-Wl,--disable-new-dtags,-rpath,{folder}")]
}

/// Compiles an example, as its first lines say.
pub fn example(name: &str) -> PathBuf {
    let program = LIBRARY_FOLDER.join(format!("{name}-example"));
    let mut cc = cc();
    cc.args(["-std=gnu11", "-Wall", "-Wextra", "-Wpedantic", "-Werror", "-O1", "-I"]).arg(root().join("include"));
    cc.arg(root().join(format!("examples/{name}.c"))).arg("-o").arg(&program).args(link_flags());
    run(&mut cc);
    program
}

/// What notes the calls of a program that change files (`write_recorder.c`), for LD_PRELOAD.
pub static RECORDER: LazyLock<PathBuf> = LazyLock::new(|| {
    let recorder = LIBRARY_FOLDER.join("record.so");
    let mut cc = cc();
    cc.args(["-std=c11", "-Wall", "-Wextra", "-Werror", "-O1", "-fPIC", "-shared"]);
    run(cc.arg(root().join("ctests/fault_injection/write_recorder.c")).arg("-o").arg(&recorder).arg("-ldl"));
    recorder
});

/// The yardstick of the benchmarks, another implementation of the API: `benches/reference.c` as a shared library.
pub static TWIN: LazyLock<PathBuf> = LazyLock::new(|| bench_target("libtwin.so"));

/// Makes a file of the Makefile's `bench` folder, in one of the tests' own.
pub fn bench_target(name: &str) -> PathBuf {
    let target = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let file = target.join("bench").join(name);
    run(make(&file.display().to_string()).arg(format!("TARGET={}", target.display())));
    file
}

/// Links the object of a program of the C suite with the shared library, and returns the program.
#[cfg(feature = "c-tests")]
pub fn c_program(name: &str) -> PathBuf {
    link_c_program(name, &LIBRARY_FOLDER, "-lfdckpt")
}

/// The same with the twin, for a program that uses nothing but the API.
#[cfg(feature = "c-tests")]
pub fn c_program_of_twin(name: &str) -> PathBuf {
    link_c_program(name, TWIN.parent().expect("a folder"), "-ltwin")
}

#[cfg(feature = "c-tests")]
fn link_c_program(name: &str, folder: &Path, library: &str) -> PathBuf {
    // Once: a program that runs in another test can't be written.
    static LINKED: Mutex<BTreeSet<PathBuf>> = Mutex::new(BTreeSet::new());
    let mut linked = LINKED.lock().unwrap_or_else(PoisonError::into_inner);
    let program = folder.join(name);
    if linked.contains(&program) {
        return program;
    }
    let object = Path::new(env!("FDCKPT_C_OBJECTS")).join(format!("{name}.o"));
    run(cc().arg(object).arg("-o").arg(&program).args(link_with(folder, library)));
    linked.insert(program.clone());
    program
}

pub fn golden() -> String {
    root().join("tests/golden/frames").display().to_string()
}

/// Each golden trace as it is, then those that can be replayed in other modes in each of them.
pub fn trace_arguments() -> Vec<Vec<String>> {
    let mut all = vec![vec![golden()]];
    for checkpt in ["stream", "mmio", "pipe"] {
        for restore in ["stream", "mmio", "pipe"] {
            all.push([&golden(), "--checkpt", checkpt, "--restore", restore].map(str::to_owned).to_vec());
        }
    }
    all
}
