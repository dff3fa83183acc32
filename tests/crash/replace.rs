//! A crash while a file is being replaced leaves the old file or the new one.
//!
//! Machine crash: the system calls of a save are recorded (`write_recorder.c`, by LD_PRELOAD), and every state is built
//! that a disk may be in after each of them. Process crash: processes that save are killed at random.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, SystemTime};

use crate::common;
use fdckpt::FrameStyle;
use fdckpt::checkpoint::{ReaderOptions, WriterOptions};
use fdckpt::fti::{Checkpoint, FormatVersion, ProtectedVariable, SyncMode, WriteOptions, Writer, repair};

/// In which the program that is recorded or killed finds what to do.
const ARGUMENTS: &str = "FDCKPT_TEST_CRASH_REPLACE_ARGS";

const NAME: &str = "Ckpt1-Rank0.fti";

/// This program as one that saves.
fn program(what: &str, dir: &Path) -> Command {
    let mut command = Command::new(std::env::current_exe().expect("the test knows where it is"));
    command.args(["--ignored", "--exact", "replace::child_that_saves", "--nocapture", "--test-threads=1"]);
    command.env(ARGUMENTS, format!("{what} {}", dir.display()));
    command
}

fn options(sync: SyncMode) -> WriteOptions {
    let mut options = WriteOptions::new(FormatVersion::Post1_6, 1);
    (options.sync, options.timestamp) = (sync, Some(1));
    options
}

/// What saves: a file of FTI with the containers of the one before, or a self-describing checkpoint.
enum Saver {
    Fti(Box<Writer>),
    Index,
}

impl Saver {
    fn of(what: &str) -> Self {
        if what.starts_with("index") { Self::Index } else { Self::Fti(Box::default()) }
    }
}

/// Saves the variables that go with a number.
fn save(saver: &mut Saver, path: &Path, number: u64, size: usize, sync: SyncMode) {
    let data = vec![number as u8; size];
    let number = number.to_le_bytes();
    match saver {
        Saver::Fti(writer) => {
            let variables = [ProtectedVariable::new(0, &number), ProtectedVariable::new(1, &data)];
            writer.checkpoint(path, &options(sync), &variables).unwrap();
        }
        Saver::Index => {
            let options = WriterOptions::new().style(FrameStyle::Lz4).frame_size(65_536).threads(2).sync(sync);
            let mut writer = options.create(path).unwrap();
            writer.add("number", &number).unwrap();
            writer.add("data", &data).unwrap();
            writer.commit().unwrap();
        }
    }
}

/// The number in a file; nothing where it is not one that was saved.
fn number_in(bytes: &[u8]) -> Option<u64> {
    if let Ok(reader) = ReaderOptions::new().open_bytes(bytes) {
        let number = reader.read_to_vec("number").ok()?;
        let data = reader.read_to_vec("data").ok()?;
        let number = u64::from_le_bytes(number.try_into().ok()?);
        let report = reader.verify(&mut |_| {}).ok()?;
        return (report.is_intact() && data.iter().all(|&byte| byte == number as u8)).then_some(number);
    }
    let checkpoint = Checkpoint::parse(bytes).ok()?;
    let mut number = [0; 8];
    let mut data = vec![0; checkpoint.variable(1).ok()?.size as usize];
    checkpoint.recover_variable(0, &mut number).ok()?;
    checkpoint.recover_variable(1, &mut data).ok()?;
    let number = u64::from_le_bytes(number);
    let report = checkpoint.verify(1, &mut |_| {}).ok()?;
    (report.is_intact() && data.iter().all(|&byte| byte == number as u8)).then_some(number)
}

/// Not a test: what the tests record and kill.
#[test]
#[ignore = "started by the tests"]
fn child_that_saves() {
    let Ok(arguments) = std::env::var(ARGUMENTS) else { return };
    let (what, dir) = arguments.split_once(' ').unwrap();
    let path = Path::new(dir).join(NAME);
    let mut saver = Saver::of(what);
    let mut number = 0;
    if let Ok(bytes) = fs::read(&path)
        && what != "repair"
    {
        number = number_in(&bytes).unwrap();
        if let Saver::Fti(writer) = &mut saver {
            **writer = Writer::resume(&Checkpoint::parse(&bytes).unwrap()).unwrap();
        }
    }
    println!();
    match what {
        "file-and-directory" | "index-file-and-directory" => save(&mut saver, &path, 2, 5000, SyncMode::Full),
        "file" | "index-file" => save(&mut saver, &path, 2, 5000, SyncMode::Data),
        "none" | "index-none" => save(&mut saver, &path, 2, 5000, SyncMode::None),
        "repair" => _ = repair(&path, SyncMode::Full).unwrap(),
        _ => loop {
            number += 1;
            // Growing and shrinking, and always at it.
            save(&mut saver, &path, number, (number * 7919 % 300_000) as usize, SyncMode::None);
            println!("saved {number}");
        },
    }
}

/// A call that was recorded.
#[derive(Debug)]
enum Call {
    Create(i32),
    Write(i32, usize, Vec<u8>),
    Truncate(i32, usize),
    Sync(i32),
    Rename,
}

/// Has `what` done, and returns the calls that it made.
fn record(what: &str, dir: &Path) -> Vec<Call> {
    let log = dir.with_extension("log");
    _ = fs::remove_file(&log);
    common::run(program(what, dir).env("LD_PRELOAD", &*common::RECORDER).env("FDCKPT_TEST_RECORD", &log));
    let log = fs::read(log).unwrap();
    let (mut rest, mut calls) = (&log[..], Vec::new());
    while let Some(end) = rest.iter().position(|&byte| byte == b'\n') {
        let line = std::str::from_utf8(&rest[..end]).unwrap();
        rest = &rest[end + 1..];
        let words: Vec<&str> = line.split(' ').collect();
        let number = |at: usize| words[at].parse::<i32>().unwrap();
        if matches!(words[0], "open" | "close") {
            continue;
        }
        calls.push(match words[0] {
            "create" => Call::Create(number(1)),
            "pwrite" => {
                let (bytes, others) = rest.split_at(number(3) as usize);
                rest = others;
                Call::Write(number(1), number(2) as usize, bytes.to_vec())
            }
            "ftruncate" => Call::Truncate(number(1), number(2) as usize),
            "fsync" => Call::Sync(number(1)),
            "rename" => Call::Rename,
            other => panic!("{other}"),
        });
    }
    calls
}

fn apply(file: &mut Vec<u8>, call: &Call, torn: bool) {
    match call {
        Call::Write(_, at, bytes) => {
            let bytes = if torn { &bytes[..bytes.len() / 2] } else { bytes };
            file.resize(file.len().max(at + bytes.len()), 0);
            file[*at..][..bytes.len()].copy_from_slice(bytes);
        }
        Call::Truncate(_, size) => file.resize(*size, 0),
        _ => {}
    }
}

/// All that a crash of the machine may leave under the file's name: what was not synced is there, is not, or in part,
/// in any combination. Calls `check` with each; nothing stands for the old file. Returns how many there are.
fn states(calls: &[Call], mut check: impl FnMut(usize, Option<&[u8]>)) -> u64 {
    let created = calls.iter().find_map(|call| if let Call::Create(fd) = call { Some(*fd) } else { None }).unwrap();
    let mut count = 0;
    for crash in 0..=calls.len() {
        let before = &calls[..crash];
        let renamed = before.iter().position(|call| matches!(call, Call::Rename));
        // A sync after the rename is the directory's: the file is closed.
        let directory_synced = renamed.is_some_and(|at| before[at..].iter().any(|call| matches!(call, Call::Sync(_))));
        if !directory_synced {
            check(crash, None);
            count += 1;
        }
        if renamed.is_none() {
            continue;
        }
        let of_file = |call: &&Call| matches!(call, Call::Write(fd, ..) | Call::Truncate(fd, _) if *fd == created);
        let synced = before[..renamed.unwrap()].iter().rposition(|call| matches!(call, Call::Sync(fd) if *fd == created));
        let (durable, pending) = before.split_at(synced.unwrap_or(0));
        let mut base = Vec::new();
        durable.iter().filter(of_file).for_each(|call| apply(&mut base, call, false));
        let pending: Vec<&Call> = pending.iter().filter(of_file).collect();
        assert!(pending.len() < 10, "{}", pending.len());
        for mut combination in 0..3u32.pow(pending.len() as u32) {
            let mut file = base.clone();
            for call in &pending {
                match combination % 3 {
                    0 => {}
                    one_or_two => apply(&mut file, call, one_or_two == 2),
                }
                combination /= 3;
            }
            check(crash, Some(&file));
            count += 1;
        }
    }
    count
}

#[test]
fn machine_crash_leaves_old_or_new_file() {
    let dir = common::temp_dir("crash-states");
    let path = dir.join(NAME);
    for what in ["file-and-directory", "file", "repair", "index-file-and-directory", "index-file"] {
        let mut saver = Saver::of(what);
        save(&mut saver, &path, 1, 6000, SyncMode::None);
        if what == "repair" {
            let mut bytes = fs::read(&path).unwrap();
            let checksum = bytes.len() - 106;
            bytes[checksum] ^= 1;
            fs::write(&path, bytes).unwrap();
        }
        let old = fs::read(&path).unwrap();
        let calls = record(what, &dir);
        let new = fs::read(&path).unwrap();
        assert!(old != new && number_in(&new).is_some());
        assert!(calls.iter().filter(|call| matches!(call, Call::Write(..))).count() >= 2, "{calls:?}");
        let (mut olds, mut news, mut at_the_end) = (0, 0, Vec::new());
        let count = states(&calls, |crash, file| {
            assert!(file.is_none_or(|file| file == new), "{what}: after {crash} calls");
            *(if file.is_none() { &mut olds } else { &mut news }) += 1;
            if crash == calls.len() {
                at_the_end.push(file.is_some());
            }
        });
        assert!(olds > 3 && news > 0, "{what}: {count} states");
        // When all is synced, the new one is there for good.
        assert_eq!(at_the_end == [true], !what.ends_with("file"), "{what}");
    }
}

/// The test of the test: without syncs there are states in which the file is neither.
#[test]
fn machine_crash_without_sync_leaves_other_states() {
    let dir = common::temp_dir("crash-unsynced");
    let path = dir.join(NAME);
    for what in ["none", "index-none"] {
        other_things(what, &dir, &path);
    }
}

fn other_things(what: &str, dir: &Path, path: &Path) {
    save(&mut Saver::of(what), path, 1, 6000, SyncMode::None);
    let calls = record(what, dir);
    assert!(!calls.iter().any(|call| matches!(call, Call::Sync(_))), "{calls:?}");
    let new = fs::read(path).unwrap();
    let (mut other, mut intact) = (0, 0);
    states(&calls, |_, file| {
        let Some(file) = file.filter(|file| *file != new) else { return };
        other += 1;
        intact += u64::from(number_in(file).is_some());
    });
    assert!(other > 20, "{other}");
    assert_eq!(intact, 0, "the checks of the format notice each of them");
}

#[test]
fn killed_process_leaves_intact_fti_file() {
    kill_again_and_again("for-ever");
}

#[test]
fn killed_process_leaves_intact_checkpoint_file() {
    kill_again_and_again("index-for-ever");
}

fn kill_again_and_again(what: &str) {
    let rounds = std::env::var("FDCKPT_TEST_CRASH_ROUNDS").map_or(100, |rounds| rounds.parse::<u64>().expect("a number"));
    let dir = common::temp_dir(&format!("crash-kill-{what}"));
    let path = dir.join(NAME);
    let (mut last, mut leftovers, mut killed) = (0, 0, 0);
    // Where chance or busy processors leave too few of those that count, some more.
    for round in 0..4 * rounds {
        if round >= rounds && leftovers > rounds / 20 {
            break;
        }
        let mut child = program(what, &dir).stdout(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        // It has begun to save.
        let reported = lines.find_map(|line| line.unwrap().strip_prefix("saved ").map(|number| number.parse::<u64>().unwrap()));
        let nanos = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().subsec_nanos();
        std::thread::sleep(Duration::from_micros(u64::from(nanos / 7 % 8000)));
        child.kill().unwrap();
        killed += 1;
        assert!(child.wait().unwrap().code().is_none(), "round {round}: it was killed");
        let reported =
            lines.map_while(Result::ok).filter_map(|line| line.strip_prefix("saved ")?.parse().ok()).last().or(reported).unwrap();

        let found = number_in(&fs::read(&path).unwrap()).unwrap_or_else(|| panic!("round {round}: the file is damaged"));
        assert!(
            found >= reported && found <= reported + 1 && found > last,
            "round {round}: {found} is in the file, {reported} was reported"
        );
        last = found;
        // What was left the time before, the next one has removed.
        let others = fs::read_dir(&dir).unwrap().map(|entry| entry.unwrap().file_name()).filter(|name| name != NAME);
        let others: Vec<_> = others.collect();
        assert!(others.len() <= 1 && others.iter().all(|name| name.to_str().unwrap().starts_with(".fdckpt-")), "{others:?}");
        leftovers += others.len() as u64;
    }
    println!("{killed} killed in as many rounds, {last} files saved, {leftovers} temporary files were left");
    assert!(killed >= rounds);
    assert!(leftovers > rounds / 20, "it is killed in the middle of a save often enough");
}
