//! Rules of the source tree: which modules may depend on which, that files do not depend on each other in a
//! cycle, where unsafe code is allowed, how long a file may be.

mod common;
#[path = "architecture/imports.rs"]
mod imports;

use std::fs;
use std::path::{Path, PathBuf};

/// Each top-level module (the first part of a path in `src`) and its allowed dependencies. They point one way: from the
/// callers in C and Rust to `sys`.
const ALLOWED: &[(&str, &[&str])] = &[
    (
        "lib",
        &[
            "alloc",
            "atomic_file",
            "bytes",
            "capi",
            "checkpoint",
            "container",
            "error",
            "error_base",
            "file_error",
            "frame",
            "frames",
            "fti",
            "inflate",
            "mapped_file",
            "sync",
            "sys",
        ],
    ),
    (
        "capi",
        &[
            "alloc",
            "atomic_file",
            "checkpoint",
            "container",
            "error",
            "error_base",
            "file_error",
            "frame",
            "frames",
            "fti",
            "inflate",
            "mapped_file",
            "sys",
        ],
    ),
    // The sum of the errors of all modules, which no module but capi uses.
    ("error", &["checkpoint", "container", "file_error", "frame", "frames", "fti", "inflate", "sys"]),
    // What errors have in common knows no format.
    ("error_base", &["sys"]),
    ("file_error", &["error_base"]),
    ("alloc", &["error_base"]),
    ("bytes", &["error_base"]),
    ("atomic_file", &["alloc", "error_base", "file_error", "sys"]),
    ("mapped_file", &["atomic_file", "error_base", "file_error", "sys"]),
    ("frame", &["alloc", "bytes", "error_base", "mapped_file", "sync", "sys"]),
    ("container", &["alloc", "error_base", "sys"]),
    ("frames", &["alloc", "bytes", "error_base", "frame", "mapped_file", "sync", "sys"]),
    ("fti", &["alloc", "atomic_file", "bytes", "container", "error_base", "file_error", "mapped_file", "sync", "sys"]),
    (
        "checkpoint",
        &[
            "alloc",
            "atomic_file",
            "bytes",
            "container",
            "error_base",
            "file_error",
            "frame",
            "frames",
            "mapped_file",
            "sync",
            "sys",
        ],
    ),
    // Its engine alone needs less: see below.
    ("inflate", &["alloc", "bytes", "container", "error_base", "frame"]),
    ("sync", &["error_base", "sys"]),
    ("sys", &[]),
];

/// The command-line tool is a crate of its own, which uses the library like any other user.
const TOOL: &str = "bin";

/// The modules in which unsafe code is allowed.
const UNSAFE_MODULES: &[&str] = &["sys", "capi"];

const MAX_LINES: usize = 800;

fn sources(dir: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in fs::read_dir(dir).expect("src is readable") {
        let path = entry.expect("src is readable").path();
        if path.is_dir() {
            files.extend(sources(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
    files
}

/// Calls `check` with the top-level module, path and text of each source file.
fn each_source(mut check: impl FnMut(&str, &str, &str)) {
    let src = common::root().join("src");
    let files = sources(&src);
    assert!(files.len() > 10, "no sources found");
    for file in files {
        let path = file.strip_prefix(&src).expect("below src").to_str().expect("plain names").to_owned();
        let module = path.split('/').next().expect("not empty").trim_end_matches(".rs").to_owned();
        check(&module, &path, &fs::read_to_string(&file).expect("readable"));
    }
}

/// The code of a file, without comments and without the tests at its end.
fn code(text: &str) -> impl Iterator<Item = &str> {
    let without_tests = text.split("\n#[cfg(test)]\nmod tests").next().expect("at least one part");
    without_tests.lines().map(|line| line.split("//").next().expect("at least one part"))
}

#[test]
fn module_dependencies() {
    each_source(|module, path, text| {
        if module == TOOL {
            return;
        }
        let Some((_, may_use)) = ALLOWED.iter().find(|(name, _)| *name == module) else {
            panic!("{path}: add a row for {module} to ALLOWED");
        };
        for line in code(text) {
            assert!(!line.contains("super::super"), "{path}: use crate:: instead of super::super: {line}");
            assert!(!line.contains("crate::{"), "{path}: one `use` for each module: {line}");
            for used in line.split("crate::").skip(1) {
                let used = used.split(|c: char| !(c.is_alphanumeric() || c == '_')).next().expect("at least one part");
                // By the module that defines an item, not by its public name in lib.rs.
                assert!(ALLOWED.iter().any(|(name, _)| *name == used), "{path}: crate::{used} is not a top-level module: {line}");
                assert!(used == module || may_use.contains(&used), "{path}: {module} must not use {used}: {line}");
            }
        }
    });
}

/// Files that use each other can be understood, tested and changed only together.
#[test]
fn no_cycles_between_files() {
    let mut cycles = Vec::new();
    for (root, files) in [("src/lib.rs", 90), ("src/bin/fdckpt/main.rs", 15)] {
        let all = imports::Crate::read(&common::root().join(root));
        assert!(all.files() > files && all.edges() > files, "{root}: {} files, {} edges", all.files(), all.edges());
        cycles.extend(all.cycles());
    }
    assert!(cycles.is_empty(), "{}", cycles.join("\n").replace(&format!("{}/", common::root().display()), ""));
}

#[test]
fn cycle_check_finds_cycles_only() {
    let dir = common::temp_dir("architecture");
    let cycles = |files: &[(&str, &str)]| {
        for (name, text) in files {
            fs::create_dir_all(dir.join(name).parent().expect("a file")).expect("the directory is writable");
            fs::write(dir.join(name), text).expect("the directory is writable");
        }
        imports::Crate::read(&dir.join("lib.rs")).cycles()
    };
    let root = ("lib.rs", "mod a; pub mod b;");
    let re_exports = ("b/mod.rs", "mod c; pub use c::C;");
    let uses_a = ("b/c.rs", "pub struct C; fn c() { crate::a::f(); }");
    assert_eq!(cycles(&[root, re_exports, uses_a, ("a.rs", "pub fn f() {}")]), Vec::<String>::new());
    // In code, in a macro, and under another name, by the re-export.
    for a in [
        "pub fn f() { crate::b::C; }",
        "pub fn f() { vec![crate::b::C]; }",
        "use super::b::{self as other}; pub fn f() -> other::C { todo!() }",
    ] {
        let found = cycles(&[("a.rs", a)]);
        assert!(found.len() == 1 && found[0].starts_with("a cycle of 2 files") && !found[0].contains("mod.rs"), "{a}: {found:?}");
    }
    for a in ["pub fn f() {} #[cfg(test)] mod tests { use crate::b::C; }", "pub fn f() { \"crate::b::C\"; } // crate::b::C"] {
        assert_eq!(cycles(&[("a.rs", a)]), Vec::<String>::new());
    }
    // A re-export that the module uses itself is a dependency, here on a file that depends on it.
    assert_eq!(
        cycles(&[("b/mod.rs", "mod c; pub use c::C; pub fn make() -> C { C }"), ("b/c.rs", "use super::make; pub struct C;")])
            .len(),
        1
    );
}

/// The tool must be possible to write for any user: it uses nothing but the public API.
#[test]
fn cli_uses_public_api_only() {
    let mut files = 0;
    each_source(|module, path, text| {
        if module != TOOL {
            return;
        }
        files += 1;
        for line in code(text) {
            for way in ["#[path", "include!", "unsafe", "extern \"C\"", "libc::"] {
                let forbids = line.contains("forbid(unsafe_code)");
                assert!(!line.contains(way) || forbids, "{path}: the tool must not use {way}: {line}");
            }
        }
        assert!(text.contains("#![forbid(unsafe_code)]") || !path.ends_with("main.rs"), "{path}");
    });
    assert!(files > 10, "no sources of the tool found");
}

/// Compressed windows and indexes are additions: the decoder depends on no other format.
#[test]
fn inflate_decoder_is_independent() {
    each_source(|module, path, text| {
        let uses = |other: &str| module == "inflate" && code(text).any(|line| line.contains(&format!("crate::{other}")));
        // `inflate::Error` converts from the errors of both.
        let is_error = path.ends_with("/error.rs");
        let may_use_frame = is_error || path.ends_with("/compressed_window.rs");
        assert!(!uses("frame") || may_use_frame, "{path}: only compressed_window.rs uses frame");
        assert!(
            !uses("container") || is_error || path.ends_with("index/format.rs"),
            "{path}: only index/format.rs uses container"
        );
    });
}

#[test]
fn unsafe_confined() {
    each_source(|module, path, text| {
        let has_unsafe = code(text).any(|line| line.contains("unsafe ") || line.contains("allow(unsafe_code)"));
        assert!(!has_unsafe || UNSAFE_MODULES.contains(&module), "{path}: unsafe code outside of {UNSAFE_MODULES:?}");
    });
}

#[test]
fn foreign_functions_confined_to_sys() {
    each_source(|module, path, text| {
        let foreign = code(text).any(|line| line.contains("unsafe extern \"C\" {") || line.contains("libc::"));
        assert!(!foreign || module == "sys", "{path}: foreign functions are declared in sys only");
    });
}

#[test]
fn max_file_length() {
    each_source(|_, path, text| {
        let lines = text.lines().count();
        assert!(lines <= MAX_LINES, "{path} has {lines} lines: split it");
    });
}
