//! What users get: symbols and soname of the shared library, the static library beside another LZ4, installation, demo
//! and examples.

mod common;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Mutex, PoisonError};

/// The contract's functions.
const CONTRACT: [&str; 17] = [
    "fd_checkpt_close_advanced",
    "fd_checkpt_data",
    "fd_checkpt_fini",
    "fd_checkpt_frame_style_is_supported",
    "fd_checkpt_init_mmio",
    "fd_checkpt_init_stream",
    "fd_checkpt_meta",
    "fd_checkpt_open_advanced",
    "fd_checkpt_strerror",
    "fd_restore_close_advanced",
    "fd_restore_data",
    "fd_restore_fini",
    "fd_restore_init_mmio",
    "fd_restore_init_stream",
    "fd_restore_meta",
    "fd_restore_open_advanced",
    "fd_restore_seek",
];

/// The symbols that `nm` lists: its last column.
fn symbols(nm_arguments: &[&str], file: &Path) -> Vec<String> {
    let listing = common::run(Command::new("nm").args(nm_arguments).arg(file));
    let mut symbols: Vec<String> = listing
        .lines()
        .filter(|line| !line.ends_with(':'))
        .filter_map(|line| line.split_whitespace().last())
        .map(str::to_owned)
        .collect();
    symbols.sort();
    symbols
}

/// All of the contract, and else only names of ours.
fn assert_only_ours(symbols: &[String]) {
    let (ours, contract): (Vec<&String>, Vec<&String>) = symbols.iter().partition(|name| name.starts_with("fdckpt_"));
    assert_eq!(contract, CONTRACT);
    assert!(ours.iter().any(|name| *name == "fdckpt_version"), "{ours:?}");
}

/// `make lib` and what stands on it work in one directory: one at a time.
static MAKE: Mutex<()> = Mutex::new(());

fn make(target: &str, variables: &[String]) -> String {
    let _alone = MAKE.lock().unwrap_or_else(PoisonError::into_inner);
    common::run(common::make(target).args(variables))
}

/// Makes the libraries and returns their directory.
fn make_lib() -> PathBuf {
    make("lib", &[]);
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| "target".into(), PathBuf::from);
    common::root().join(target).join("release")
}

#[test]
fn shared_library_exports_api_only() {
    assert_only_ours(&symbols(&["-D", "--defined-only"], &common::SHARED_LIBRARY));
    assert_only_ours(&symbols(&["-D", "--defined-only"], &make_lib().join("libfdckpt.so")));
}

#[test]
fn shared_library_has_soname() {
    let release = make_lib();
    for library in [common::SHARED_LIBRARY.clone(), release.join("libfdckpt.so")] {
        let dynamic = common::run(Command::new("readelf").arg("-d").arg(&library));
        assert!(dynamic.contains("Library soname: [libfdckpt.so.0]"), "{dynamic}");
    }
    let link = fs::canonicalize(release.join("libfdckpt.so.0")).expect("make lib makes the link");
    assert_eq!(link, fs::canonicalize(release.join("libfdckpt.so")).unwrap());
}

#[test]
fn static_library_has_no_other_global_symbols() {
    let archive = make_lib().join("libfdckpt.a");
    assert_only_ours(&symbols(&["--extern-only", "--defined-only"], &archive));
    let undefined = symbols(&["--undefined-only"], &archive);
    assert!(!undefined.iter().any(|name| name.starts_with("LZ4_")), "{undefined:?}");
}

/// As the README says: from the build directory, without an installation.
#[test]
fn shared_library_links_from_build_directory() {
    let release = make_lib();
    let program = common::temp_dir("from-build-directory").join("program");
    let paths = ["-I", "-L", "-Wl,-rpath,"]
        .map(|flag| format!("{flag}{}", if flag == "-I" { common::root().join("include") } else { release.clone() }.display()));
    common::run(common::cc().arg(common::root().join("ctests/c_api/abi.c")).arg("-o").arg(&program).args(paths).arg("-lfdckpt"));
    common::run(&mut Command::new(program));
}

/// Links `ctests/link/own_lz4.c` with the static library and `lz4`, in both orders, and runs it.
fn link_and_run_with(name: &str, lz4: &[String], defines: &[&str]) {
    let dir = common::temp_dir(name);
    let archive = make_lib().join("libfdckpt.a").display().to_string();
    let source = common::root().join("ctests/link/own_lz4.c").display().to_string();
    let include = format!("-I{}", common::root().join("include").display());
    for (order, libraries) in
        [("ours-first", [std::slice::from_ref(&archive), lz4].concat()), ("ours-last", [lz4, &[archive]].concat())]
    {
        let program = dir.join(order);
        common::run(
            common::cc()
                .args(["-std=c11", "-Wall", "-Wextra", "-Werror", &include])
                .args(defines)
                .arg(&source)
                .args(libraries)
                .arg("-o")
                .arg(&program),
        );
        let said = common::run(&mut Command::new(&program));
        assert!(said.contains("1 passed, 0 failed"), "{said}");
    }
}

/// A program that defines functions of LZ4's names itself: it gets its own, the library gets the library's.
#[test]
fn static_library_coexists_with_lz4_of_program() {
    link_and_run_with("static-own", &[], &["-DOWN_LZ4"]);
}

/// The system's LZ4, of whatever version it is.
#[test]
fn static_library_coexists_with_lz4_of_system() {
    let find = |file: &str| {
        let path = common::run(common::cc().arg(format!("-print-file-name={file}")));
        Some(path.trim().to_owned()).filter(|path| path.starts_with('/'))
    };
    let found: Vec<String> = ["liblz4.a", "liblz4.so", "liblz4.so.1"].iter().filter_map(|file| find(file)).collect();
    if found.is_empty() {
        common::skip("static_library_coexists_with_lz4_of_system: liblz4 is not installed (make install-deps)");
    }
    for (index, lz4) in found.into_iter().enumerate() {
        link_and_run_with(&format!("static-system-{index}"), &[lz4], &[]);
    }
}

/// Both archives contain Rust's standard library. Each must use its own copy, also to catch a panic.
#[test]
fn static_library_coexists_with_another_rust_library() {
    let dir = common::temp_dir("static-rust");
    let archive = make_lib().join("libfdckpt.a").display().to_string();
    let [other_source, other, source] = ["other.rs", "libother.a", "program.c"].map(|name| dir.join(name).display().to_string());
    fs::write(
        &other_source,
        "#[unsafe(no_mangle)] pub extern \"C\" fn catches(number: i32) -> i32 {
            std::panic::catch_unwind(|| assert!(number < 5, \"on purpose\")).is_err().into()
        }",
    )
    .expect("writable");
    fs::write(
        &source,
        "#include <fdckpt.h>\n#include <stdio.h>\nint catches( int );\n\
         int main( void ) { printf( \"%s %d %d\\n\", fdckpt_version(), catches( 1 ), catches( 9 ) ); return 0; }\n",
    )
    .expect("writable");
    common::run(Command::new("rustc").args(["--edition", "2024", "--crate-type", "staticlib", "-o", &other, &other_source]));
    let include = format!("-I{}", common::root().join("include").display());
    for (order, libraries) in [("ours-first", [&archive, &other]), ("ours-last", [&other, &archive])] {
        for pie in ["-pie", "-no-pie"] {
            let program = dir.join(format!("{order}{pie}"));
            let mut cc = common::cc();
            common::run(cc.args([pie, &include, &source]).args(libraries).args(["-lpthread", "-ldl", "-o"]).arg(&program));
            let output = common::run(&mut Command::new(&program));
            assert_eq!(output, format!("{} 0 1\n", env!("CARGO_PKG_VERSION")), "{order} {pie}");
        }
    }
}

/// `ctests/link/memory.c` has the process's malloc under its control.
#[test]
fn allocations_are_freed_and_may_fail() {
    let program = common::LIBRARY_DIR.join("memory");
    let source = common::root().join("ctests/link/memory.c");
    let include = format!("-I{}", common::root().join("include").display());
    let mut cc = common::cc();
    cc.args(["-std=c11", "-Wall", "-Wextra", "-Werror", "-fno-builtin", &include]).arg(source).arg("-o").arg(&program);
    common::run(cc.args(common::link_flags()));
    common::run(&mut Command::new(program));
}

#[test]
fn installs_and_uninstalls() {
    let stage = common::temp_dir("stage");
    let variables = [format!("DESTDIR={}", stage.display()), "PREFIX=/opt/fdckpt".to_owned()];
    // With a tool that is there already, as building it for release takes a minute.
    let tool = option_env!("CARGO_BIN_EXE_fdckpt");
    match tool {
        Some(tool) => make("install", &[&variables[..], &[format!("TOOL={tool}")]].concat()),
        None => make("install-lib", &variables),
    };
    let prefix = stage.join("opt/fdckpt");
    let pc = fs::read_to_string(prefix.join("lib/pkgconfig/fdckpt.pc")).expect("the pkg-config file is installed");
    // Relative to the prefix, so that an installation can be moved (pkg-config --define-prefix).
    assert!(pc.contains("prefix=/opt/fdckpt\nlibdir=${prefix}/lib\n") && !pc.contains('@'), "{pc}");
    assert!(pc.contains(&format!("Version: {}\n", env!("CARGO_PKG_VERSION"))), "{pc}");
    for file in [
        "include/fd_checkpt.h",
        "include/fdckpt.h",
        "include/fdckpt/common.h",
        "lib/libfdckpt.so",
        "lib/libfdckpt.so.0",
        "lib/libfdckpt.a",
    ] {
        assert!(fs::metadata(prefix.join(file)).is_ok_and(|file| file.is_file()), "{file}");
    }
    for notice in ["LICENSE", "BSD-2-Clause-lz4.txt"] {
        assert!(prefix.join("share/doc/fdckpt").join(notice).is_file(), "{notice}");
    }

    if tool.is_some() {
        let said = common::run(Command::new(prefix.join("bin/fdckpt")).arg("--version"));
        assert_eq!(said, format!("fdckpt {}\n", env!("CARGO_PKG_VERSION")));
        for (file, text) in [
            ("man/man1/fdckpt.1", ".TH fdckpt 1"),
            ("man/man1/fdckpt-inflate.1", ".TH fdckpt-inflate 1"),
            ("bash-completion/completions/fdckpt", "_fdckpt()"),
            ("zsh/site-functions/_fdckpt", "#compdef fdckpt"),
            ("fish/vendor_completions.d/fdckpt.fish", "complete -c fdckpt"),
        ] {
            let file = fs::read_to_string(prefix.join("share").join(file)).expect(file);
            assert!(file.contains(text), "{file}");
        }
    }

    if common::has_program("pkg-config") {
        let program = stage.join("program");
        // The flags are quoted for a shell, as paths can have spaces.
        let script = r#"eval "${CC:-cc} \"\$1\" -o \"\$2\" \"\$3\" $(pkg-config --cflags --libs fdckpt)""#;
        let mut shell = Command::new("sh");
        shell.env("PKG_CONFIG_PATH", prefix.join("lib/pkgconfig")).env("PKG_CONFIG_SYSROOT_DIR", &stage);
        shell.args(["-c", script, "sh"]).arg(common::root().join("ctests/c_api/abi.c")).arg(&program);
        common::run(shell.arg(format!("-Wl,-rpath,{}", prefix.join("lib").display())));
        common::run(&mut Command::new(program));
    }

    make("uninstall", &variables);
    let mut left = Vec::new();
    let mut directories = vec![prefix];
    while let Some(dir) = directories.pop() {
        for entry in fs::read_dir(dir).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() { directories.push(path) } else { left.push(path) }
        }
    }
    assert!(left.is_empty(), "{left:?}");
}

#[test]
fn demo_runs() {
    let data = common::root().join("tests/golden");
    let said = make("demo", &[format!("DATA={}", data.display())]);
    assert!(said.contains("compared equal"), "{said}");
}

#[test]
fn container_example_runs() {
    let program = common::example("container");
    let said = common::run(Command::new(program).arg(common::temp_dir("container-example").join("file")));
    assert!(said.contains("settings: steps=2000\n") && said.contains("grid: as it was\n"), "{said}");
}

#[test]
fn frames_example_runs() {
    let program = common::example("frames");
    let file = common::temp_dir("frames-example").join("file");
    let said = common::run(Command::new(&program).arg(&file).arg("2"));
    assert!(said.contains("saved step 17:") && said.contains("restored step 17\n"), "{said}");
    let of_two = fs::read(&file).unwrap();
    common::run(Command::new(program).arg(&file).env("FDCKPT_THREADS", "3"));
    assert!(of_two == fs::read(&file).unwrap());
}

/// It is killed, its newest file corrupt, and it comes to the same result.
#[test]
fn fti_example_restarts_from_newest_intact_file() {
    let program = common::example("fti_heat");
    let (whole, killed) = (common::temp_dir("heat-whole"), common::temp_dir("heat-killed"));
    let run = |dir: &Path, arguments: &[&str]| common::output(Command::new(&program).arg(dir).args(arguments));
    let said = |output: std::process::Output| {
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).expect("UTF-8").lines().map(str::to_owned).collect::<Vec<_>>()
    };
    let result = said(run(&whole, &["1000"])).pop();
    assert!(!run(&killed, &["1000", "777"]).status.success());
    let files = |dir: &Path| {
        let mut names: Vec<_> = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        names.sort();
        names
    };
    assert_eq!(files(&killed), ["Ckpt6-Rank0.fti", "Ckpt7-Rank0.fti"]);
    let newest = killed.join("Ckpt7-Rank0.fti");
    let mut bytes = fs::read(&newest).unwrap();
    bytes[40_000] ^= 1;
    fs::write(&newest, bytes).unwrap();
    let lines = said(run(&killed, &["1000"]));
    assert!(lines[0].contains("Ckpt7-Rank0.fti: corrupt checkpoint: variable 1, container 0, data"), "{lines:?}");
    assert_eq!(lines[1], "from step 600");
    assert_eq!(lines.last(), result.as_ref());
}
