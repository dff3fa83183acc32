//! `fdckpt inflate`: all formats, zip archives and indexes; it survives kills, and its memory is bounded.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use crate::common;
use crate::deflate::{Random, compress, random_stream};

const TOOL: &str = env!("CARGO_BIN_EXE_fdckpt");

fn text(path: &Path) -> &str {
    path.to_str().expect("UTF-8")
}

fn run(arguments: &[&str]) -> Output {
    common::output(Command::new(TOOL).arg("inflate").args(arguments))
}

fn good(arguments: &[&str]) -> Output {
    let output = run(arguments);
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    output
}

/// Exit status and standard error of a run that fails.
fn bad(arguments: &[&str]) -> (i32, String) {
    let output = run(arguments);
    (output.status.code().expect("no signal"), String::from_utf8_lossy(&output.stderr).into_owned())
}

fn gzip(stream: &[u8], plain: &[u8]) -> Vec<u8> {
    let mut file = vec![0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 3];
    file.extend(stream);
    file.extend(crc32fast::hash(plain).to_le_bytes());
    file.extend((plain.len() as u32).to_le_bytes());
    file
}

/// Builds a zip archive of entries: name, method, compressed data, data.
fn zip(entries: &[(&str, u16, &[u8], &[u8])]) -> Vec<u8> {
    let (mut file, mut directory) = (Vec::new(), Vec::new());
    for (name, method, compressed, plain) in entries {
        let mut common = vec![20, 0, 0, 0];
        common.extend(method.to_le_bytes());
        common.extend([0; 4]);
        common.extend(crc32fast::hash(plain).to_le_bytes());
        common.extend((compressed.len() as u32).to_le_bytes());
        common.extend((plain.len() as u32).to_le_bytes());
        common.extend((name.len() as u16).to_le_bytes());
        common.extend([0; 2]);
        directory.extend(b"PK\x01\x02\x14\x00");
        directory.extend(&common);
        directory.extend([0; 10]);
        directory.extend((file.len() as u32).to_le_bytes());
        directory.extend(name.as_bytes());
        file.extend(b"PK\x03\x04");
        file.extend(&common);
        file.extend(name.as_bytes());
        file.extend(*compressed);
    }
    let (at, size, count) = (file.len() as u32, directory.len() as u32, entries.len() as u16);
    file.extend(directory);
    file.extend(b"PK\x05\x06\0\0\0\0");
    file.extend([count.to_le_bytes(), count.to_le_bytes()].concat());
    file.extend([size.to_le_bytes(), at.to_le_bytes()].concat());
    file.extend([0; 2]);
    file
}

/// A file of each format, the arguments that it needs, and its uncompressed data.
fn inputs(dir: &Path) -> Vec<(PathBuf, Vec<&'static str>, Vec<u8>)> {
    let (stream64, plain64) = random_stream(1, true, 60);
    let (stream, plain) = random_stream(2, false, 60);
    let mut zlib = vec![0x78, 0x9c];
    zlib.extend(&stream);
    let adler = plain.iter().fold((1u32, 0u32), |(a, b), &byte| {
        let a = (a + u32::from(byte)) % 65521;
        (a, (b + a) % 65521)
    });
    zlib.extend((adler.1 << 16 | adler.0).to_be_bytes());
    let members = [gzip(&stream, &plain), gzip(&stream, &plain)].concat();
    let archive = zip(&[("a/stored", 0, &plain, &plain), ("deflated", 8, &stream, &plain), ("64", 9, &stream64, &plain64)]);
    let file = |name: &str, bytes: &[u8]| {
        let path = dir.join(name);
        fs::write(&path, bytes).expect("writable");
        path
    };
    let twice = [&plain[..], &plain[..]].concat();
    vec![
        (file("raw", &stream), vec!["--format", "deflate"], plain.clone()),
        (file("raw64", &stream64), vec!["--format", "deflate64"], plain64.clone()),
        (file("zlib", &zlib), vec![], plain.clone()),
        (file("gzip", &members), vec![], twice),
        (file("zip", &archive), vec!["--entry", "a/stored"], plain.clone()),
        (file("zip", &archive), vec!["--entry", "deflated"], plain),
        (file("zip", &archive), vec!["--entry", "64"], plain64),
    ]
}

#[test]
fn decompresses_every_format() {
    let dir = common::temp_dir("tool-inflate");
    for (input, arguments, plain) in inputs(&dir) {
        let out = dir.join("out");
        good(&[&[text(&input), text(&out)], &arguments[..]].concat());
        assert!(fs::read(&out).expect("readable") == plain, "{arguments:?}");
        assert!(good(&[&[text(&input), "-"], &arguments[..]].concat()).stdout == plain, "to a pipe");
        assert!(good(&[&[text(&input)], &arguments[..]].concat()).stdout == plain, "to a pipe");
        let (at, len) = (plain.len() / 3, plain.len() / 2);
        let (from, count) = (at.to_string(), len.to_string());
        let some = [&[text(&input), "--offset", &from, "--length", &count], &arguments[..]].concat();
        assert!(good(&some).stdout == plain[at..at + len], "a part");
        let index = dir.join("index");
        if arguments != ["--entry", "a/stored"] {
            for _ in 0..2 {
                let by_index = [&some[..], &["--index", text(&index), "--index-interval", "10K"]].concat();
                assert!(good(&by_index).stdout == plain[at..at + len], "a part by index");
            }
            fs::remove_file(&index).expect("it was made");
            good(&[&[text(&input), text(&out), "--index", text(&index)], &arguments[..]].concat());
            assert!(fs::read(&out).expect("readable") == plain, "all of it, and an index");
            fs::remove_file(&index).expect("it was made");
        }
        if !arguments.contains(&"--entry") {
            let mut shell = Command::new("bash");
            shell.args(["-c", "cat \"$1\" | \"$2\" inflate - \"${@:3}\"", "bash", text(&input), TOOL]).args(&arguments);
            assert!(common::output(&mut shell).stdout == plain, "from a pipe");
        }
        let left: Vec<_> = fs::read_dir(&dir).expect("readable").map(|entry| entry.expect("readable").file_name()).collect();
        assert!(!left.iter().any(|name| name.to_string_lossy().contains("fdckpt")), "{left:?}");
    }
}

/// Killed by SIGKILL at random, the same command resumes, and the output is right.
#[test]
fn resumes_after_random_kills() {
    let dir = common::temp_dir("tool-killed");
    let mut random = Random(11);
    // A gzip file of two members, and an entry of Deflate64.
    for (input, arguments, plain) in inputs(&dir).into_iter().skip(3).step_by(3) {
        let out = dir.join("out");
        let state = dir.join("out.fdckpt-state");
        // Some longer file was there before.
        let old = vec![0xee; plain.len() + 1000];
        fs::write(&out, &old).expect("writable");
        let every = (plain.len() / 12).to_string();
        let (mut kills, mut resumed, mut unhurt) = (0, 0, 0);
        loop {
            let mut command = Command::new(TOOL);
            command.args(["inflate", text(&input), text(&out), "--save-interval", &every]).args(&arguments);
            let inode = || fs::metadata(&state).map(|state| state.ino()).ok();
            let before = inode();
            let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("it runs");
            // Mostly it gets at least one state further, so that there is an end.
            while !random.once_in(1000) && inode() == before && child.try_wait().expect("a child").is_none() {
                std::thread::sleep(Duration::from_micros(50));
            }
            std::thread::sleep(Duration::from_micros(random.next() % 3000));
            child.kill().expect("a child");
            let output = child.wait_with_output().expect("a child");
            let said = String::from_utf8_lossy(&output.stderr);
            resumed += u32::from(said.contains("resuming after"));
            let size = fs::metadata(&out).expect("it exists").len() as usize;
            assert!(size == plain.len() || size == plain.len() + 1000 && !output.status.success(), "all of it or the old one");
            if output.status.success() {
                assert!(fs::read(&out).expect("readable") == plain, "{arguments:?} after {kills} kills");
                if resumed > 0 {
                    break;
                }
                // Where others keep the processors busy, it can be through before this process sees a state.
                unhurt += 1;
                assert!(unhurt < 100, "it is killed sooner or later");
                fs::write(&out, &old).expect("writable");
                continue;
            }
            assert_eq!(output.status.code(), None, "it was killed, and did not fail: {said}");
            kills += 1;
            assert!(kills < 500, "it gets ahead");
        }
        assert!(kills > 0, "it resumes after a kill");
        let left = fs::read_dir(&dir).expect("readable").map(|entry| entry.expect("readable").file_name());
        let left: Vec<_> = left.filter(|name| name.to_string_lossy().starts_with("out.")).collect();
        assert!(left.is_empty(), "{left:?}");
    }
}

/// Two processes that decompress to one file would corrupt it: it would seem complete and have a hole.
#[test]
fn output_is_locked() {
    let dir = common::temp_dir("tool-locked");
    let (input, _, plain) = inputs(&dir).swap_remove(3);
    let (out, part) = (dir.join("out"), dir.join("out.fdckpt-part"));
    let begun = &plain[..plain.len() / 2];
    fs::write(&part, begun).expect("writable");
    let other = fs::File::open(&part).expect("readable");
    rustix::fs::flock(&other, rustix::fs::FlockOperation::LockExclusive).expect("a lock");
    let (status, said) = bad(&[text(&input), text(&out)]);
    assert!(status == 2 && said.contains("another process"), "{said}");
    assert!(fs::read(&part).expect("readable") == begun, "what the other one has written");
    drop(other);
    // Nor is what a link leads to written.
    let victim = dir.join("victim");
    fs::rename(&part, &victim).expect("writable");
    std::os::unix::fs::symlink(&victim, &part).expect("writable");
    let (status, said) = bad(&[text(&input), text(&out)]);
    assert!(status == 2 && said.contains("out.fdckpt-part") && fs::read(&victim).expect("readable") == begun, "{said}");
    fs::remove_file(&part).expect("it exists");
    good(&[text(&input), text(&out)]);
    assert!(fs::read(&out).expect("readable") == plain);
}

/// On a full disk, output that no state describes is removed.
#[test]
fn full_disk_leaves_resumable_state() {
    let dir = common::temp_dir("tool-full");
    let (input, _, plain) = inputs(&dir).swap_remove(3);
    let (out, state, part) = (dir.join("out"), dir.join("out.fdckpt-state"), dir.join("out.fdckpt-part"));
    let limited = |every: usize| {
        // In units of 1024 bytes; a piece that is written is larger than what is allowed after the first of them.
        let script = format!("trap '' XFSZ; ulimit -f $(( {} / 1024 )); exec \"$@\"", plain.len() - plain.len() / 8);
        let every = every.to_string();
        let command = [TOOL, "inflate", text(&input), text(&out), "--save-interval", &every];
        common::output(Command::new("bash").args(["-c", &script, "bash"]).args(command))
    };
    let output = limited(usize::MAX);
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.code() == Some(2) && said.contains("too large"), "{output:?}");
    assert!(!part.exists() && !state.exists());

    let output = limited(1);
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.code() == Some(2) && said.contains("run the same command again to resume"), "{output:?}");
    let said = String::from_utf8_lossy(&good(&[text(&input), text(&out)]).stderr).into_owned();
    assert!(said.contains("resuming after"), "{said}");
    assert!(fs::read(&out).expect("readable") == plain);
}

/// A state that does not fit is rejected with a reason, and nothing is written.
#[test]
fn rejects_unusable_state() {
    let dir = common::temp_dir("tool-state");
    let (input, arguments, plain) = inputs(&dir).swap_remove(3);
    assert_eq!(arguments, Vec::<&str>::new());
    let (out, state, part) = (dir.join("out"), dir.join("st"), dir.join("out.fdckpt-part"));
    let every = (plain.len() / 10).to_string();
    let command = [text(&input), text(&out), "--state", text(&state), "--save-interval", &every];
    let interrupt = || {
        while !state.exists() {
            let mut child = Command::new(TOOL).arg("inflate").args(command).stderr(Stdio::piped()).spawn().expect("it runs");
            while !state.exists() && child.try_wait().expect("a child").is_none() {
                std::thread::sleep(Duration::from_micros(50));
            }
            child.kill().expect("a child");
            child.wait().expect("a child");
            _ = fs::remove_file(&out);
        }
    };
    interrupt();
    let (good_state, whole) = (fs::read(&state).expect("readable"), fs::read(&input).expect("readable"));

    let mut changed = good_state.clone();
    changed[100] ^= 1;
    fs::write(&state, &changed).expect("writable");
    let (status, said) = bad(&command);
    assert!(status == 2 && said.contains("damaged") && said.contains("remove it"), "{said}");

    let (status, said) = bad(&[text(&input), text(&dir.join("new")), "--state", text(&state)]);
    assert!(status == 2 && said.contains("damaged") && !dir.join("new.fdckpt-part").exists(), "{said}");

    fs::write(&state, &good_state).expect("writable");
    fs::write(&input, &whole).expect("writable");
    let (status, said) = bad(&command);
    assert!(status == 2 && said.contains("state of another input, or the input was modified since"), "{said}");
    assert!(!out.exists());

    fs::remove_file(&state).expect("it exists");
    interrupt();
    fs::write(&part, b"less than there was").expect("writable");
    let said = String::from_utf8_lossy(&good(&command).stderr).into_owned();
    assert!(said.contains("restarting"), "{said}");
    assert!(fs::read(&out).expect("readable") == plain);
    assert!(!state.exists() && !part.exists());

    // Ctrl-C keeps what there is.
    let mut child = Command::new(TOOL).arg("inflate").args(command).stderr(Stdio::piped()).spawn().expect("it runs");
    while !part.exists() && child.try_wait().expect("a child").is_none() {
        std::thread::sleep(Duration::from_micros(50));
    }
    common::run(Command::new("kill").arg("-INT").arg(child.id().to_string()));
    let output = child.wait_with_output().expect("a child");
    assert!(matches!(output.status.code(), Some(0 | 130)), "{output:?}");
    good(&command);
    assert!(fs::read(&out).expect("readable") == plain);
}

#[test]
fn corruption_is_reported_and_keeps_old_output() {
    let dir = common::temp_dir("tool-inflate-damage");
    let out = dir.join("out");
    fs::write(&out, "the old one").expect("writable");
    for (input, arguments, _) in inputs(&dir) {
        let whole = fs::read(&input).expect("readable");
        let command = [&[text(&input), text(&out)], &arguments[..]].concat();
        let is_zip = arguments.contains(&"--entry");
        if !is_zip {
            fs::write(&input, &whole[..whole.len() / 3]).expect("writable");
            let (status, said) = bad(&command);
            assert!(status == 1 && said.contains("truncated"), "{said}");
        }
        // A wrong checksum: of gzip and zlib in the stream, of an archive in its directory.
        let mut damaged = whole.clone();
        let place = if is_zip {
            // In the directory it stands so far in front of the name.
            let name = arguments[1].as_bytes();
            whole.windows(name.len()).rposition(|place| place == name).expect("it exists") - 30
        } else {
            whole.len() - if input.ends_with("zlib") { 1 } else { 5 }
        };
        damaged[place] ^= 1;
        fs::write(&input, &damaged).expect("writable");
        let raw = arguments.contains(&"--format");
        if !raw {
            let (status, said) = bad(&command);
            assert!(status == 1 && said.contains("checksum"), "{said}");
            let to_pipe = [&[text(&input), "-"], &arguments[..]].concat();
            assert_eq!(bad(&to_pipe).0, 1, "to a pipe too");
        }
        assert_eq!(fs::read(&out).expect("readable"), b"the old one");
        fs::write(&input, &whole).expect("writable");
    }
    let (status, said) = bad(&[text(&dir.join("raw")), text(&out)]);
    assert!(status == 2 && said.contains("--format deflate"), "{said}");
    let (status, said) = bad(&[text(&dir.join("zip")), text(&out)]);
    assert!(status == 2 && said.contains("3 entries") && said.contains("--entry"), "{said}");
    let (status, said) = bad(&[text(&dir.join("zip")), text(&out), "--entry", "none"]);
    assert!(status == 2 && said.contains("no entry none"), "{said}");
}

/// Limits the data segment to less than the size of the files: these are mapped, and processed in parts of bounded
/// size.
#[test]
fn memory_is_bounded() {
    let dir = common::temp_dir("tool-memory");
    let plain = vec![0; 32 << 20];
    let [raw, container, out, other] = ["raw", "container", "out", "other"].map(|name| dir.join(name));
    fs::write(&raw, compress(&plain, true)).expect("writable");
    let mut made = fdckpt::Container::new();
    made.set(9, &plain).expect("memory");
    made.copy_to(fs::File::create(&container).expect("writable")).expect("writable");
    drop(plain);
    let with_limit = |kib: u32, arguments: &[&str]| {
        let mut shell = Command::new("bash");
        shell.args(["-c", &format!("ulimit -d {kib}; exec \"$@\""), "bash", TOOL]).args(arguments);
        let output = common::output(&mut shell);
        assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        output.stdout
    };
    let limited = |arguments: &[&str]| with_limit(16 << 10, arguments);
    limited(&["inflate", text(&raw), text(&out), "--format", "deflate64", "--save-interval", "10M"]);
    assert_eq!(fs::metadata(&out).expect("it exists").len(), 32 << 20);
    let index = dir.join("index");
    limited(&["inflate", text(&raw), "--format", "deflate64", "--offset", "30M", "--length", "1K", "--index", text(&index)]);
    limited(&["extract", text(&container), "9", "-o", text(&other)]);
    limited(&["diff", text(&container), text(&container)]);
    limited(&["diff", text(&out), text(&other)]);
    limited(&["convert", text(&container), text(&other)]);
    limited(&["verify", text(&container)]);
    // Regions are read in pieces of 16 MiB. Data of some entropy, in pieces that are not those of frames.
    let limited = |arguments: &[&str]| with_limit(36 << 10, arguments);
    let mut random = Random(3);
    let mixed: Vec<u8> = (0..3 << 20).map(|_| random.next() as u8 & 0x3f).collect::<Vec<_>>().repeat(13);
    let [source, saved, back] = ["source", "saved", "back"].map(|name| dir.join(name));
    fs::write(&source, &mixed).expect("writable");
    for style in ["raw", "lz4"] {
        let name = format!("all={}", text(&source));
        limited(&["-q", "save", "-o", text(&saved), "--style", style, "-j", "2", "small=Cargo.toml", &name]);
        limited(&["verify", text(&saved)]);
        limited(&["restore", text(&saved), "-C", text(&back)]);
        assert!(fs::read(back.join("all")).expect("readable") == mixed, "{style}");
        assert!(limited(&["cat", text(&saved), "all"]) == mixed, "{style}");
        limited(&["diff", text(&saved), text(&saved)]);
    }
    limited(&["-q", "convert", text(&saved), text(&dir.join("f.fti")), "--to", "fti-post-1.6", "--ckpt-id", "1"]);
    limited(&["verify", text(&dir.join("f.fti"))]);
    limited(&["-q", "convert", text(&dir.join("f.fti")), text(&saved), "--to", "checkpoint"]);
    limited(&["extract", text(&dir.join("f.fti")), "1", "-o", text(&out)]);
    assert!(fs::read(&out).expect("readable") == mixed);
    let mut shell = Command::new("bash");
    // The limit is one: what comes through a pipe has to fit.
    shell.args(["-c", "ulimit -d 16384; cat \"$1\" | \"$2\" info -", "bash", text(&container), TOOL]);
    assert_eq!(common::output(&mut shell).status.code(), Some(2));
}
