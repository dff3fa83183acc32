//! The walls between the rooms of the house: who may use whom, where unsafe code may be, how large a file may grow.

mod common;

use std::fs;
use std::path::{Path, PathBuf};

/// Each room (the first part of a path in `src`), and those that it may use. Data flows one way: C or Rust caller, room, sys.
const MAY_USE: &[(&str, &[&str])] = &[
    (
        "lib",
        &[
            "atomic_file",
            "bytes",
            "capi",
            "checkpoint",
            "container",
            "error",
            "frame",
            "frames",
            "fti",
            "inflate",
            "mapped_file",
            "sync",
            "sys",
        ],
    ),
    ("capi", &["atomic_file", "checkpoint", "container", "error", "frame", "frames", "fti", "inflate", "sys"]),
    ("frame", &["bytes", "error", "sys"]),
    ("container", &["error", "sys"]),
    ("atomic_file", &["error", "sys"]),
    ("frames", &["bytes", "error", "frame", "sync", "sys"]),
    ("fti", &["atomic_file", "container", "error", "sys"]),
    ("checkpoint", &["atomic_file", "bytes", "container", "error", "frame", "frames", "sync", "sys"]),
    ("bytes", &["error"]),
    ("mapped_file", &["atomic_file", "error", "sys"]),
    // Its engine alone needs less: see below.
    ("inflate", &["container", "error", "frame"]),
    // Errors name what they are about: styles, limits, fields and the system's reasons.
    ("error", &["frame", "fti", "inflate", "sys"]),
    ("sync", &["error", "sys"]),
    ("sys", &[]),
];

/// The tool is a crate of its own, to which the library is what it is to any user.
const TOOL: &str = "bin";

/// Where `unsafe` may be written.
const ISLANDS: &[&str] = &["sys", "capi"];

const LONGEST_FILE: usize = 800;

fn sources(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).expect("src is readable") {
        let path = entry.expect("src is readable").path();
        if path.is_dir() {
            files.extend(sources(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
    files
}

/// Calls `check` with the room, path and text of each source file.
fn each_source(mut check: impl FnMut(&str, &str, &str)) {
    let src = common::root().join("src");
    let files = sources(&src);
    assert!(files.len() > 10, "the sources are found");
    for file in files {
        let path = file.strip_prefix(&src).expect("below src").to_str().expect("plain names").to_owned();
        let room = path.split('/').next().expect("not empty").trim_end_matches(".rs").to_owned();
        check(&room, &path, &fs::read_to_string(&file).expect("readable"));
    }
}

/// The code of a file, without comments and without the tests at its end.
fn code(text: &str) -> impl Iterator<Item = &str> {
    let without_tests = text.split("\n#[cfg(test)]\nmod tests").next().expect("at least one part");
    without_tests.lines().map(|line| line.split("//").next().expect("at least one part"))
}

#[test]
fn module_dependencies() {
    each_source(|room, path, text| {
        if room == TOOL {
            return;
        }
        let Some((_, may_use)) = MAY_USE.iter().find(|(name, _)| *name == room) else {
            panic!("{path}: give the room {room} a row in MAY_USE");
        };
        for line in code(text) {
            assert!(!line.contains("super::super"), "{path}: name the room instead of super::super: {line}");
            assert!(!line.contains("crate::{"), "{path}: one line for each room: {line}");
            for used in line.split("crate::").skip(1) {
                let used = used.split(|c: char| !(c.is_alphanumeric() || c == '_')).next().expect("at least one part");
                // Not by the names under which lib.rs makes items public, but from where they come.
                assert!(MAY_USE.iter().any(|(name, _)| *name == used), "{path}: crate::{used} is not a room: {line}");
                assert!(used == room || may_use.contains(&used), "{path}: {room} may not use {used}: {line}");
            }
        }
    });
}

/// Whatever the tool cannot do, a user cannot do either: it reaches around the public API nowhere.
#[test]
fn cli_uses_public_api_only() {
    let mut files = 0;
    each_source(|room, path, text| {
        if room != TOOL {
            return;
        }
        files += 1;
        let hidden = fs::read_to_string(common::root().join("src/fti/write.rs")).expect("readable").contains("pub leftovers");
        assert!(hidden, "this test knows what is public, but not for users");
        for line in code(text) {
            for way in ["#[path", "include!", "unsafe", "extern \"C\"", "libc::", "leftovers", "Leftovers"] {
                let forbids = line.contains("forbid(unsafe_code)");
                assert!(!line.contains(way) || forbids, "{path}: the tool does without {way}: {line}");
            }
        }
        assert!(text.contains("#![forbid(unsafe_code)]") || !path.ends_with("main.rs"), "{path}");
    });
    assert!(files > 10, "its sources are found");
}

/// Compressed windows and indexes are additions; what decompresses has no other room below it.
#[test]
fn inflate_decoder_is_independent() {
    each_source(|room, path, text| {
        let uses = |other: &str| room == "inflate" && code(text).any(|line| line.contains(&format!("crate::{other}")));
        assert!(!uses("frame") || path.ends_with("/compressed_window.rs"), "{path}: only compressed_window.rs uses frame");
        assert!(!uses("container") || path.ends_with("/index.rs"), "{path}: only index.rs uses container");
    });
}

#[test]
fn unsafe_confined() {
    each_source(|room, path, text| {
        let has_unsafe = code(text).any(|line| line.contains("unsafe ") || line.contains("allow(unsafe_code)"));
        let is_fast = path.ends_with("/fast.rs");
        assert!(!has_unsafe || ISLANDS.contains(&room) || is_fast, "{path}: unsafe code outside of {ISLANDS:?}");
    });
}

#[test]
fn foreign_functions_confined_to_sys() {
    each_source(|room, path, text| {
        let foreign = code(text).any(|line| line.contains("unsafe extern \"C\" {") || line.contains("libc::"));
        assert!(!foreign || room == "sys", "{path}: foreign functions belong to sys");
    });
}

#[test]
fn max_file_length() {
    each_source(|_, path, text| {
        let lines = text.lines().count();
        assert!(lines <= LONGEST_FILE, "{path} has {lines} lines: split it");
    });
}
