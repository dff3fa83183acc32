//! The commands: sessions in the documents, JSON against the descriptions of the golden files, terminals, pipes,
//! signals, memory.

use std::fmt::Write as _;
use std::fs;
use std::io::{Read, Write};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use crate::common;
use serde_json::Value;

const TOOL: &str = env!("CARGO_BIN_EXE_fdckpt");

fn golden(name: &str) -> PathBuf {
    common::root().join("tests/golden").join(name)
}

fn fdckpt(arguments: &[&str]) -> Output {
    common::output(Command::new(TOOL).args(arguments))
}

/// Runs the CLI, checks the exit status and returns standard output.
fn stdout_of(arguments: &[&str], status: i32) -> String {
    let output = fdckpt(arguments);
    let error = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(status), "{arguments:?}: {error}");
    String::from_utf8(output.stdout).expect("UTF-8")
}

fn json(arguments: &[&str], status: i32) -> Value {
    serde_json::from_str(&stdout_of(arguments, status)).expect("JSON")
}

fn text(path: &Path) -> &str {
    path.to_str().expect("UTF-8")
}

/// Runs the sessions of a document in one directory, and returns the document with the actual output.
fn replay(document: &str, dir: &Path) -> String {
    let path =
        format!("{}:{}", Path::new(TOOL).parent().expect("a directory").display(), std::env::var("PATH").unwrap_or_default());
    let mut result = String::new();
    let mut in_session = false;
    for line in document.lines() {
        if line.starts_with("```") {
            in_session = line == "```console";
        }
        let command = line.strip_prefix("$ ").filter(|_| in_session);
        if in_session && command.is_none() && !line.starts_with("```") {
            // Output of an earlier run.
            continue;
        }
        writeln!(result, "{line}").expect("memory");
        let Some(command) = command else { continue };
        let mut shell = Command::new("bash");
        shell.args(["-c", &format!("exec 2>&1; {command}")]).current_dir(dir).env("PATH", &path);
        shell.env("LC_ALL", "C").env("TERM", "dumb").env_remove("NO_COLOR").env("COLUMNS", "100");
        let output = common::output(&mut shell);
        result.push_str(&with_fixed_times(&String::from_utf8(output.stdout).expect("UTF-8")));
    }
    result
}

/// Replaces times, which differ between runs.
fn with_fixed_times(text: &str) -> String {
    let mut result = String::new();
    for line in text.lines() {
        match line.rsplit_once(", ") {
            Some((begin, time)) if time.strip_suffix(" s").is_some_and(|number| number.parse::<f64>().is_ok()) => {
                writeln!(result, "{begin}, 0.01 s").expect("memory");
            }
            _ => writeln!(result, "{line}").expect("memory"),
        }
    }
    result
}

/// The files that the sessions use.
fn sandbox(name: &str) -> PathBuf {
    let dir = common::temp_dir(name);
    for (from, to) in [
        ("fti/post-1.6/order_b.fti", "Ckpt13-Rank0.fti"),
        ("fti/1.1/order_b.fti", "Ckpt13-Rank0.v1.1.fti"),
        ("fti/post-1.6/regrow_a.fti", "Ckpt1-Rank0.fti"),
        ("fti/post-1.6/regrow_b.fti", "Ckpt2-Rank0.fti"),
        ("fti/1.4.1/regrow_c.fti", "refused.fti"),
        ("container/golden/block_index_and_others.ckpt", "checkpoint.blk"),
        ("container/golden/replace_last.ckpt", "other.blk"),
        ("container/cases/r_gap_start.ckpt", "gap.blk"),
        ("container/cases/r_overlap.ckpt", "overlap.blk"),
        ("container/cases/r_other_bad.ckpt", "damaged.blk"),
        ("container/cases/j_unterminated.ckpt", "unreadable.blk"),
        ("container/blockindex/legacy_v6_3.blk", "legacy.blk"),
        ("container/blockindex/legacy_crc_index_bad.blk", "legacy-damaged.blk"),
        ("deflate64/altered/unread_1120_of_2240.ckpt", "inflate.state"),
        ("deflate64/altered/layout_0x1001_dynamic.ckpt", "later.state"),
        ("deflate64/altered/bitflip_at_346.ckpt", "damaged.state"),
        ("deflate64/streams/dynamic_many.d64", "stream.d64"),
    ] {
        fs::copy(golden(from), dir.join(to)).expect(from);
    }
    let write = |name: &str, bytes: &[u8]| fs::write(dir.join(name), bytes).expect("writable");
    let mut damaged = fs::read(golden("fti/post-1.6/order_b.fti")).expect("readable");
    damaged[70] ^= 1;
    write("damaged.fti", &damaged);
    let notes = "to be, or not to be\n".repeat(100);
    write("notes.txt", notes.as_bytes());
    // The output of the program gzip depends on its version.
    write("notes.gz", &gzip(notes.as_bytes()));
    write("blocks.gz", &gzip(&fs::read(golden("container/golden/block_index_10.ckpt")).expect("readable")));
    dir
}

fn gzip(plain: &[u8]) -> Vec<u8> {
    let mut file = vec![0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 3];
    file.extend(miniz_oxide::deflate::compress_to_vec(plain, 6));
    file.extend(crc32fast::hash(plain).to_le_bytes());
    file.extend((plain.len() as u32).to_le_bytes());
    file
}

/// Checks the output in a document. `SNAPSHOTS=overwrite` replaces it by the actual one: review that before
/// committing it.
fn check_document(name: &str) {
    let path = common::root().join(name);
    let document = fs::read_to_string(&path).expect("readable");
    let result = replay(&document, &sandbox(&format!("session-{}", name.replace('/', "-"))));
    snapbox::Assert::new().action_env("SNAPSHOTS").eq(result, snapbox::Data::read_from(&path, None).raw());
}

#[test]
fn readme_shows_actual_output() {
    check_document("README.md");
}

#[test]
fn manual_shows_actual_output() {
    check_document("docs/cli.md");
}

#[test]
fn sessions_have_expected_output() {
    check_document("tests/cli/sessions.md");
}

/// The versions of FTI-FF, as directories of golden files, in JSON, and after `fti-` in `--to`.
const FTI_VERSIONS: [&str; 6] = ["1.1", "1.2", "1.3", "1.4.0", "1.4.1", "post-1.6"];

#[test]
fn fti_json_matches_descriptions() {
    let mut files = 0;
    for version in FTI_VERSIONS {
        let dir = golden(&format!("fti/{version}"));
        let cases: Value = serde_json::from_slice(&fs::read(dir.join("cases.json")).expect("readable")).expect("JSON");
        for case in cases.as_array().expect("a list").iter().filter(|case| case["blocks"].is_array()) {
            let name = case["file"].as_str().expect("a name");
            let path = dir.join(name);
            if !path.is_file() {
                continue;
            }
            let output = fdckpt(&["info", "--json", text(&path)]);
            let info: Value = serde_json::from_slice(&output.stdout).expect("JSON");
            assert_eq!(info["format"], "fti-ff", "{name}");
            assert_eq!(info["fti_version"], version, "{name}");
            let header = info["header"].as_object().expect("an object");
            for (field, value) in header {
                assert_eq!(*value, case["fb"][field], "{version}/{name}: {field}");
            }
            assert!(header.len() >= 8, "{version}/{name}");
            let mut described: Vec<&Value> = case["blocks"]
                .as_array()
                .expect("a list")
                .iter()
                .flat_map(|block| block["vars"].as_array().expect("a list"))
                .collect();
            let containers = |variable: &Value| variable["containers"].as_array().expect("a list").clone();
            let mut count = 0;
            for variable in info["variables"].as_array().expect("a list") {
                for container in containers(variable) {
                    let place = described.iter().position(|one| one["id"] == container["id"]).expect("it is described");
                    let one = described.remove(place);
                    for (field, value) in container.as_object().expect("an object") {
                        assert_eq!(*value, one[field], "{version}/{name}: {field}");
                    }
                    count += 1;
                }
            }
            assert!(described.is_empty() && count > 0, "{version}/{name}");
            files += 1;
        }
    }
    assert!(files > 100, "{files}");
}

#[test]
fn container_json_matches_descriptions() {
    let mut files = 0;
    for entry in fs::read_dir(golden("container/golden")).expect("readable") {
        let path = entry.expect("readable").path();
        if path.extension().is_none_or(|ending| ending != "ckpt") {
            continue;
        }
        let described: Value = serde_json::from_slice(&fs::read(path.with_extension("json")).expect("readable")).expect("JSON");
        let info = json(&["info", "--json", text(&path)], 0);
        assert_eq!((&info["format"], &info["version"]), (&"ckpt-container".into(), &1.into()));
        let sections = info["sections"].as_array().expect("a list");
        let expected = described["reference"]["sections"].as_array().cloned().unwrap_or_default();
        assert_eq!(sections.len(), expected.len(), "{}", path.display());
        for (section, expected) in sections.iter().zip(expected) {
            for field in ["type", "offset", "length"] {
                assert_eq!(section[field], expected[field], "{}", path.display());
            }
        }
        assert_eq!(json(&["list", "--json", text(&path)], 0)["sections"], info["sections"]);
        files += 1;
    }
    assert!(files > 20, "{files}");
}

#[test]
fn converted_files_have_same_variables() {
    let dir = common::temp_dir("tool-convert");
    for name in ["order_b", "regrow_b", "many50_b", "onebyte_a"] {
        let first = golden(&format!("fti/post-1.6/{name}.fti"));
        let mut from = first.clone();
        for version in FTI_VERSIONS {
            let to = dir.join(format!("{name}-{version}.fti"));
            let target = format!("fti-{version}");
            stdout_of(&["-q", "convert", text(&from), text(&to), "--to", &target, "--ckpt-id", "7"], 0);
            assert_eq!(json(&["info", "--json", text(&to)], 0)["fti_version"], version);
            assert_eq!(stdout_of(&["diff", text(&first), text(&to)], 0), "variables are identical\n");
            stdout_of(&["verify", "--strict", text(&to)], 0);
            from = to;
        }
    }
}

/// Compares with the bytes at the offsets that `info` prints.
#[test]
fn extract_writes_exact_pieces() {
    let path = golden("fti/post-1.6/many50_b.fti");
    let file = fs::read(&path).expect("readable");
    for variable in json(&["info", "--json", text(&path)], 0)["variables"].as_array().expect("a list") {
        let id = variable["id"].to_string();
        let mut expected = Vec::<u8>::new();
        for container in variable["containers"].as_array().expect("a list") {
            let [at, size] = ["fptr", "chunksize"].map(|field| container[field].as_u64().expect("a number") as usize);
            expected.extend(&file[at..at + size]);
        }
        assert!(fdckpt(&["cat", text(&path), &id]).stdout == expected, "variable {id}");
        let out = common::temp_dir("tool-extract").join("out");
        stdout_of(&["extract", text(&path), &id, "-o", text(&out)], 0);
        assert!(fs::read(&out).expect("readable") == expected, "variable {id}");
    }
}

/// An incomplete update can look like damage.
#[test]
fn pending_updates_are_reported() {
    use fdckpt::fti::{FormatVersion, ProtectedVariable, Resolution, UpdateOptions, WriteOptions, Writer, resolve};
    let path = common::temp_dir("tool-waiting").join("Ckpt1-Rank0.fti");
    let (update, mut writer) = (UpdateOptions::default(), Writer::new());
    let mut data = vec![7; 50_000];
    for ckpt_id in 1..3 {
        let options = WriteOptions::new(FormatVersion::Post1_6, ckpt_id);
        data[1000] = ckpt_id as u8;
        writer.prepare(&path, &options, &update, &[ProtectedVariable::new(1, &data)]).expect("enough space");
        if ckpt_id == 1 {
            assert!(resolve(&path, Resolution::Commit).expect("enough space"));
            assert!(!stdout_of(&["verify", text(&path)], 0).contains("update"));
        }
    }
    let note = format!("  note: update to checkpoint 2 prepared in {}.journal; ", text(&path));
    assert!(stdout_of(&["verify", text(&path)], 0).contains(&note));
    assert!(resolve(&path, Resolution::Rollback).expect("enough space"));
    assert!(!stdout_of(&["verify", text(&path)], 0).contains("update"));
}

/// Other write errors are reported.
#[test]
fn broken_pipe_is_silent() {
    let dir = common::temp_dir("tool-pipe");
    let big = dir.join("big");
    fs::write(&big, vec![7; 4 << 20]).expect("writable");
    let container = dir.join("container");
    let mut made = fdckpt::Container::new();
    let data = fs::read(&big).expect("readable");
    made.set(9, &data).expect("memory");
    fs::write(&container, made.serialize().expect("memory")).expect("writable");
    for arguments in [
        &["cat", text(&container), "9"][..],
        &["extract", text(&container), "9"],
        &["save", "-o", "-", "--style", "raw", text(&big)],
    ] {
        let mut child =
            Command::new(TOOL).args(arguments).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("it runs");
        let mut stdout = child.stdout.take().expect("piped");
        stdout.read_exact(&mut [0; 10]).expect("it writes");
        drop(stdout);
        let output = child.wait_with_output().expect("it ends");
        assert_eq!(output.status.code(), Some(141));
        assert_eq!(String::from_utf8_lossy(&output.stderr), "");
    }
    // Text too.
    let container = text(&container);
    for arguments in [
        &["list", container][..],
        &["list", "--json", container],
        &["verify", "--json", container],
        &["cat", container],
        &["man"],
    ] {
        let full = fs::OpenOptions::new().write(true).open("/dev/full").expect("it exists");
        let output = common::output(Command::new(TOOL).args(arguments).stdout(full).stderr(Stdio::piped()));
        assert_eq!(output.status.code(), Some(2), "write errors are reported");
        assert!(String::from_utf8_lossy(&output.stderr).contains("standard output: No space left"), "{output:?}");
    }
}

/// Resets signals that the tests themselves were started to ignore, for example by `nohup`.
fn with_default_signals(command: &mut Command) -> &mut Command {
    let defaults = || {
        for signal in [libc::SIGHUP, libc::SIGINT, libc::SIGTERM] {
            // SAFETY: may be called between fork and exec, and sets no handler.
            unsafe { libc::signal(signal, libc::SIG_DFL) };
        }
        Ok(())
    };
    // SAFETY: see there.
    unsafe { command.pre_exec(defaults) }
}

/// The old file stays, and no temporary one.
#[test]
fn signal_leaves_no_partial_file() {
    let dir = common::temp_dir("tool-signal");
    let out = dir.join("out");
    fs::write(&out, "the old one").expect("writable");
    for (signal, number) in [("INT", 2), ("TERM", 15), ("HUP", 1)] {
        let mut command = Command::new(TOOL);
        command.args(["inflate", "-", "--format", "deflate", text(&out)]).stdin(Stdio::piped()).stderr(Stdio::piped());
        let mut child = with_default_signals(&mut command).spawn().expect("it runs");
        let mut stdin = child.stdin.take().expect("piped");
        // Stored blocks without an end.
        for _ in 0..3 {
            stdin.write_all(&[0, 0xff, 0xff, 0, 0]).expect("it reads");
            stdin.write_all(&[b'x'; 0xffff]).expect("it reads");
        }
        let files = || fs::read_dir(&dir).expect("readable").count();
        while files() < 2 {
            std::thread::sleep(Duration::from_millis(1));
        }
        common::run(Command::new("kill").arg(format!("-{signal}")).arg(child.id().to_string()));
        let output = child.wait_with_output().expect("it ends");
        assert_eq!(output.status.code().or(output.status.signal()), Some(128 + number), "{output:?}");
        assert_eq!(files(), 1, "the temporary file is gone");
        assert_eq!(fs::read(&out).expect("readable"), b"the old one");
    }
}

/// Sizes whose sum exceeds 64 bits.
#[test]
fn overflowing_sizes_are_reported_as_corruption() {
    let dir = common::temp_dir("tool-overflow");
    let [container, fti, out] = ["container", "fti", "out"].map(|name| dir.join(name));
    let section = |kind| format!(r#"{{"type":{kind},"offset":0,"length":{}}}"#, i64::MAX);
    let metadata = format!(r#"{{"version":1,"sections":[{},{},{}]}}"#, section(1), section(2), section(3));
    let size = (metadata.len() as u32).to_le_bytes();
    fs::write(&container, [b"abc", metadata.as_bytes(), &size, b"CKPT"].concat()).expect("writable");
    // Generation A has no checksum of what describes the data alone.
    let mut file = fs::read(golden("fti/1.1/order_b.fti")).expect("readable");
    let sizes = [24, 5, 28, 11, 40, 4].map(u64::to_le_bytes);
    for at in 0..file.len() - 8 {
        if sizes.iter().any(|size| file[at..].starts_with(size)) {
            file[at..at + 8].copy_from_slice(&i64::MAX.to_le_bytes());
        }
    }
    fs::write(&fti, &file).expect("writable");
    for file in [&container, &fti].map(|path| text(path)) {
        for command in [&["verify", file][..], &["cat", file], &["convert", file, text(&out), "--to", "checkpoint"]] {
            stdout_of(command, 1);
        }
    }
    stdout_of(&["convert", text(&fti), text(&out), "--to", "fti-post-1.6", "--ckpt-id", "1"], 1);
    assert!(!out.exists());
}

/// A command started by nohup survives its terminal.
#[test]
fn ignored_signal_stays_ignored() {
    let dir = common::temp_dir("tool-nohup");
    let out = dir.join("out");
    let mut command = Command::new("bash");
    command.args(["-c", "trap '' HUP INT; exec \"$@\"", "bash", TOOL, "inflate", "-", "--format", "deflate", text(&out)]);
    let mut child = command.stdin(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("it runs");
    let mut stdin = child.stdin.take().expect("piped");
    stdin.write_all(&[0, 1, 0, 0xfe, 0xff, b'a']).expect("it reads");
    while fs::read_dir(&dir).expect("readable").count() == 0 {
        std::thread::sleep(Duration::from_millis(1));
    }
    for signal in ["-HUP", "-INT"] {
        common::run(Command::new("kill").arg(signal).arg(child.id().to_string()));
    }
    std::thread::sleep(Duration::from_millis(100));
    stdin.write_all(&[1, 1, 0, 0xfe, 0xff, b'b']).expect("it reads");
    drop(stdin);
    let output = child.wait_with_output().expect("it ends");
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    assert_eq!(fs::read(&out).expect("readable"), b"ab");
}

#[test]
fn signal_leaves_no_scratch_directory() {
    let dir = common::temp_dir("tool-signal-bench");
    fs::write(dir.join("data"), vec![1; 1 << 20]).expect("writable");
    let mut command = Command::new(TOOL);
    command.args(["bench", "data", "--iterations", "1000"]).current_dir(&dir).stdout(Stdio::piped()).stderr(Stdio::piped());
    let child = with_default_signals(&mut command).spawn().expect("it runs");
    let files = || fs::read_dir(&dir).expect("readable").count();
    while files() < 2 {
        std::thread::sleep(Duration::from_millis(1));
    }
    std::thread::sleep(Duration::from_millis(100));
    common::run(Command::new("kill").arg("-INT").arg(child.id().to_string()));
    let output = child.wait_with_output().expect("it ends");
    assert_eq!((output.status.code(), output.stderr.len()), (Some(130), 0), "{output:?}");
    assert_eq!(files(), 1);
}

/// Runs a command in a terminal, by the program `script`.
fn in_terminal(dir: &Path, command: &str, no_color: bool) -> Option<String> {
    if !common::has_program("script") {
        return None;
    }
    let mut script = Command::new("script");
    script.args(["-qec", command, "/dev/null"]).current_dir(dir).env("TERM", "xterm-256color").stdin(Stdio::null());
    script.env("PATH", format!("{}:{}", Path::new(TOOL).parent()?.display(), std::env::var("PATH").ok()?));
    for name in ["NO_COLOR", "CLICOLOR", "CLICOLOR_FORCE"] {
        script.env_remove(name);
    }
    if no_color {
        script.env("NO_COLOR", "1");
    }
    Some(String::from_utf8_lossy(&common::output(&mut script).stdout).into_owned())
}

#[test]
fn colors_only_on_terminals_or_on_request() {
    let dir = sandbox("tool-terminal");
    let verify = "fdckpt verify checkpoint.blk damaged.fti";
    let Some(coloured) = in_terminal(&dir, verify, false) else { return };
    assert!(coloured.contains("\x1b[32mok\x1b[0m") && coloured.contains("damaged\x1b[0m"), "{coloured:?}");
    let plain = in_terminal(&dir, verify, true).expect("script is there");
    assert!(!plain.contains('\x1b') && plain.contains("checkpoint.blk: ok: "), "{plain:?}");
    let piped = common::output(Command::new(TOOL).arg("verify").arg(dir.join("damaged.fti")).env("TERM", "xterm-256color"));
    assert!(!piped.stdout.contains(&0x1b) && !piped.stdout.is_empty());
    // Binary data does not go to a terminal by mistake.
    let refused = in_terminal(&dir, "fdckpt inflate stream.d64 --format deflate64", false).expect("script is there");
    assert!(refused.contains("standard output is a terminal"), "{refused:?}");
    let refused = in_terminal(&dir, "fdckpt extract Ckpt13-Rank0.fti 0", false).expect("script is there");
    assert!(refused.contains("standard output is a terminal"), "{refused:?}");
    let shown =
        in_terminal(&dir, "fdckpt save -o s.ckpt notes.txt; fdckpt cat s.ckpt notes.txt", false).expect("script is there");
    assert!(shown.contains("1 region, 2000 bytes (2.0 KiB)") && shown.contains("to be, or not to be\r\n"), "{shown:?}");
}

/// The bar appears after a second, on a terminal only, and is removed.
#[test]
fn progress_is_shown_for_long_operations() {
    let dir = sandbox("tool-progress");
    let slow =
        "(printf '\\0\\377\\377\\0\\0'; head -c 65535 /dev/zero; sleep 1.2; printf '\\1\\10\\0\\367\\377'; head -c 8 /dev/zero)";
    let command = format!("{slow} | fdckpt inflate - --format deflate out");
    let Some(shown) = in_terminal(&dir, &command, false) else { return };
    assert!(shown.contains("decompressing") && shown.contains("/s"), "{shown:?}");
    assert_eq!(fs::metadata(dir.join("out")).expect("it exists").len(), 65543);
    let quick = in_terminal(&dir, "fdckpt inflate stream.d64 --format deflate64 out2", false).expect("script is there");
    assert_eq!(quick, "");
    let quiet = in_terminal(&dir, &command.replace("fdckpt", "fdckpt --quiet"), false).expect("script is there");
    assert_eq!(quiet, "");
    let mut shell = Command::new("bash");
    shell.args(["-c", &command.replace("fdckpt", TOOL)]).current_dir(&dir);
    assert!(common::output(&mut shell).stderr.is_empty(), "no terminal, no bar");
}

/// A user could leave a set-user-ID file where root writes, and choose the data.
#[test]
fn outputs_do_not_inherit_set_id_bits_but_owner_and_permissions() {
    use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
    let dir = common::temp_dir("tool-set-id");
    let path = |name: &str| dir.join(name);
    fs::write(path("data"), b"data").expect("writable");
    let run = |arguments: &[&str]| {
        let status = Command::new(TOOL).args(arguments).current_dir(&dir).output().expect("it runs").status;
        assert!(status.success(), "{arguments:?}");
    };
    run(&["save", "-q", "-o", "c.ckpt", "data"]);
    let gzip = Command::new("gzip").arg("-kf").arg(path("data")).status().expect("gzip runs");
    assert!(gzip.success());
    let prepare = |output: &Path| {
        fs::write(output, "").expect("writable");
        // Fails unless the test runs as root; then the file has another owner, which must be kept.
        _ = chown(output, Some(65_534), Some(65_534));
        fs::set_permissions(output, fs::Permissions::from_mode(0o6777)).expect("own file");
        let metadata = output.metadata().expect("exists");
        (metadata.uid(), metadata.gid(), 0o777)
    };
    for (name, arguments) in [
        ("saved", &["save", "-q", "-o", "saved", "data"][..]),
        ("extracted", &["extract", "c.ckpt", "data", "-o", "extracted"]),
        ("inflated", &["inflate", "data.gz", "inflated"]),
        ("restored/data", &["restore", "-q", "c.ckpt", "-C", "restored"]),
    ] {
        let output = path(name);
        fs::create_dir_all(output.parent().expect("a directory")).expect("writable");
        let expected = prepare(&output);
        run(arguments);
        let metadata = output.metadata().expect("exists");
        assert!(metadata.len() > 0, "{arguments:?}");
        assert_eq!((metadata.uid(), metadata.gid(), metadata.mode() & 0o7777), expected, "{arguments:?}");
    }
}

#[test]
fn help_to_full_device_is_an_error() {
    let full = fs::File::options().write(true).open("/dev/full").expect("exists");
    for arguments in [&["--help"][..], &["--version"], &["save", "--help"]] {
        let mut command = Command::new(TOOL);
        let output = command.args(arguments).stdout(full.try_clone().expect("open")).stderr(Stdio::piped());
        let output = output.spawn().expect("it runs").wait_with_output().expect("it ends");
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
        let message = String::from_utf8_lossy(&output.stderr);
        assert!(message.contains("standard output") && message.contains("No space left"), "{message}");
    }
}

/// Batch systems set such limits. SIGXFSZ would end the program without a message, and leave the temporary file.
#[test]
fn file_size_limit_is_an_error_and_leaves_no_temporary_file() {
    let dir = common::temp_dir("tool-file-size-limit");
    fs::write(dir.join("data"), vec![7; 3 << 20]).expect("writable");
    let script = r#"ulimit -f 100; exec "$0" -q save --style raw -o saved data"#;
    let output = Command::new("bash").args(["-c", script, TOOL]).current_dir(&dir).output().expect("bash runs");
    assert_eq!(output.status.code(), Some(2), "{output:?}");
    assert!(String::from_utf8_lossy(&output.stderr).contains("File too large"), "{output:?}");
    let names: Vec<_> = fs::read_dir(&dir).expect("readable").map(|entry| entry.expect("readable").file_name()).collect();
    assert_eq!(names, ["data"]);
}
