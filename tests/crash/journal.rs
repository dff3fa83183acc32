//! A crash during an update in place leaves the old state or the new one.
//!
//! Machine crash: the system calls of several updates are recorded (`write_recorder.c`, by LD_PRELOAD). After each call
//! every state is built that a disk may be in: writes that were not synced are present, absent or partial, in any
//! combination and order. Process crash: processes that update are killed at random.

use std::collections::{BTreeMap, HashSet};
use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, SystemTime};

use crate::common;
use fdckpt::fti::Error;
use fdckpt::fti::{
    BlockHash, Checkpoint, FormatVersion, ProtectedVariable, Resolution, SyncMode, UpdateMode, UpdateOptions, WriteOptions,
    Writer, complete_update, pending_update, resolve,
};

/// In which the program that is recorded or killed finds what to do.
const ARGUMENTS: &str = "FDCKPT_TEST_CRASH_JOURNAL_ARGS";

const NAME: &str = "dCPFile-Rank0.fti";

const BLOCK: usize = 512;

/// This program as one that updates.
fn program(what: &str, dir: &Path) -> Command {
    let mut command = Command::new(std::env::current_exe().expect("the test knows where it is"));
    command.args(["--ignored", "--exact", "journal::child_that_updates", "--nocapture", "--test-threads=1"]);
    command.env(ARGUMENTS, format!("{what} {}", dir.display()));
    command
}

fn options(number: u64, sync: SyncMode) -> WriteOptions {
    let mut options = WriteOptions::new(FormatVersion::Post1_6, number as i32);
    (options.sync, options.timestamp) = (sync, Some(number as i64));
    options
}

fn update(mode: UpdateMode) -> UpdateOptions {
    let mut update = UpdateOptions::default();
    (update.block_size, update.hash, update.mode, update.save_hashes) = (BLOCK, BlockHash::Crc32, mode, true);
    update
}

/// How many blocks the data of a state has, and which of them change in it.
type Shape = fn(u64) -> (usize, Vec<usize>);

/// Small changes, growth (of which the first moves all that is after the data), shrinking, and one that changes most
/// of it.
fn small_shape(number: u64) -> (usize, Vec<usize>) {
    match number {
        0 => (20, (0..20).collect()),
        1 => (20, vec![3, 4, 11]),
        2 => (23, vec![0, 20, 21, 22]),
        3 => (18, vec![17]),
        4 => (23, (4..22).collect()),
        5 => (23, vec![5, 7]),
        _ => (23, vec![]),
    }
}

/// Of this many blocks each one changes within as many states.
const MOST: usize = 130;

fn shape_for_ever(number: u64) -> (usize, Vec<usize>) {
    let blocks = [120, 120, 120, MOST, 110][(number / 7 % 5) as usize];
    (blocks, (0..1 + number % 50).map(|at| (at * 2 + number * 7) as usize % MOST).collect())
}

/// The memory of the blocks, in a state: each has the number of the state in which it changed last.
fn change(shape: Shape, number: u64, memory: &mut [u8]) {
    for block in shape(number).1 {
        memory[block * BLOCK..][..BLOCK].fill(number as u8);
        memory[block * BLOCK] = (number >> 8) as u8;
    }
}

fn data(shape: Shape, number: u64) -> Vec<u8> {
    let mut data = vec![0; MOST * BLOCK];
    (number.saturating_sub(MOST as u64)..=number).for_each(|number| change(shape, number, &mut data));
    data.truncate(shape(number).0 * BLOCK);
    data
}

fn in_state<R>(shape: Shape, number: u64, job: impl FnOnce(&[ProtectedVariable]) -> R) -> R {
    let (data, number) = (data(shape, number), number.to_le_bytes());
    job(&[ProtectedVariable::new(0, &number), ProtectedVariable::new(1, &data)])
}

/// The number of the state in a file; nothing where it is not one of those that were saved.
fn number_in(shape: Shape, bytes: &[u8]) -> Option<u64> {
    let checkpoint = Checkpoint::parse(bytes).ok()?;
    let mut number = [0; 8];
    let mut found = vec![0; checkpoint.variable(1).ok()?.size as usize];
    checkpoint.recover_variable(0, &mut number).ok()?;
    checkpoint.recover_variable(1, &mut found).ok()?;
    let number = u64::from_le_bytes(number);
    let report = checkpoint.verify(1, &mut |_| {}).ok()?;
    (report.is_intact() && found == data(shape, number)).then_some(number)
}

/// Not a test: what the tests record and kill.
#[test]
#[ignore = "started by the tests"]
fn child_that_updates() {
    let Ok(arguments) = std::env::var(ARGUMENTS) else { return };
    let words: Vec<&str> = arguments.splitn(3, ' ').collect();
    let (what, number, dir) = (words[0], words[1].parse::<u64>().unwrap(), words[2]);
    let path = Path::new(dir).join(NAME);
    println!();
    if what == "commit" {
        assert!(resolve(&path, Resolution::Commit).unwrap());
        return;
    }
    complete_update(&path).unwrap();
    let bytes = fs::read(&path).unwrap();
    let mut writer = Writer::resume(&Checkpoint::parse(&bytes).unwrap()).unwrap();
    let (mode, sync) = match what {
        "safe" | "prepare" => (UpdateMode::Journaled, SyncMode::Full),
        "in-place" => (UpdateMode::InPlace, SyncMode::Full),
        "unsynced" => (UpdateMode::Journaled, SyncMode::None),
        "anew" => {
            writer = Writer::new();
            (UpdateMode::Journaled, SyncMode::Full)
        }
        _ => {
            let mut number = number_in(shape_for_ever, &bytes).unwrap();
            let mut memory = vec![0; MOST * BLOCK];
            (number.saturating_sub(MOST as u64)..=number).for_each(|number| change(shape_for_ever, number, &mut memory));
            loop {
                number += 1;
                change(shape_for_ever, number, &mut memory);
                let (options, update) = (options(number, SyncMode::None), update(UpdateMode::Journaled));
                let bytes = number.to_le_bytes();
                let data = &memory[..shape_for_ever(number).0 * BLOCK];
                let updated = writer
                    .update(&path, &options, &update, &[ProtectedVariable::new(0, &bytes), ProtectedVariable::new(1, data)])
                    .unwrap();
                println!("saved {number} {}", u8::from(updated.is_full));
            }
        }
    };
    let (options, update) = (options(number, sync), update(mode));
    let updated = in_state(small_shape, number, |it| match what {
        "prepare" => writer.prepare(&path, &options, &update, it),
        _ => writer.update(&path, &options, &update, it),
    });
    assert_eq!(updated.unwrap().is_full, what == "anew");
}

/// A call that was recorded. Files are counted in the order in which they were made.
#[derive(Debug)]
enum Call {
    /// The file has this name from now on, and no other.
    Name(usize, String),
    Write(usize, usize, Vec<u8>),
    Truncate(usize, usize),
    Sync(usize),
    SyncDirectory,
}

/// Has `what` done, and adds the calls that it made to `calls`. `names` are those that files have.
fn record(what: &str, dir: &Path, names: &mut BTreeMap<String, usize>, calls: &mut Vec<Call>, files: &mut usize) {
    let log = dir.with_extension("log");
    _ = fs::remove_file(&log);
    common::run(program(what, dir).env("LD_PRELOAD", &*common::RECORDER).env("FDCKPT_TEST_RECORD", &log));
    let log = fs::read(log).unwrap();
    let mut rest = &log[..];
    let mut open: BTreeMap<i32, usize> = BTreeMap::new();
    while let Some(end) = rest.iter().position(|&byte| byte == b'\n') {
        let line = std::str::from_utf8(&rest[..end]).unwrap();
        rest = &rest[end + 1..];
        let words: Vec<&str> = line.split(' ').collect();
        let number = |at: usize| words[at].parse::<i32>().unwrap();
        match words[0] {
            "create" => {
                open.insert(number(1), *files);
                names.insert(words[2].to_owned(), *files);
                calls.push(Call::Name(*files, words[2].to_owned()));
                *files += 1;
            }
            "open" => {
                // One that was there before is taken for safe and empty: those are hashes, which are not looked at.
                let file = *names.entry(words[2].to_owned()).or_insert_with(|| {
                    *files += 1;
                    *files - 1
                });
                open.insert(number(1), file);
            }
            "close" => drop(open.remove(&number(1))),
            "pwrite" => {
                let (bytes, others) = rest.split_at(number(3) as usize);
                rest = others;
                calls.push(Call::Write(open[&number(1)], number(2) as usize, bytes.to_vec()));
            }
            "ftruncate" => calls.push(Call::Truncate(open[&number(1)], number(2) as usize)),
            "fsync" => calls.push(open.get(&number(1)).map_or(Call::SyncDirectory, |file| Call::Sync(*file))),
            "rename" => {
                let file = names.remove(words[1]).unwrap();
                names.insert(words[2].to_owned(), file);
                calls.push(Call::Name(file, words[2].to_owned()));
            }
            other => panic!("{other}"),
        }
    }
}

/// What a call has become of: nothing, all of it, or, of a write, its first or its last half.
const FATES: usize = 4;

fn apply(file: &mut Vec<u8>, call: &Call, fate: usize) {
    match call {
        _ if fate == 0 => {}
        Call::Write(_, at, bytes) => {
            let half = bytes.len() / 2;
            let (at, bytes) = match fate {
                1 => (*at, &bytes[..]),
                2 => (*at, &bytes[..half]),
                _ => (at + half, &bytes[half..]),
            };
            file.resize(file.len().max(at + bytes.len()), 0);
            file[at..][..bytes.len()].copy_from_slice(bytes);
        }
        Call::Truncate(_, size) => file.resize(*size, 0),
        _ => {}
    }
}

/// What a disk may have after a crash: the bytes of the file and of its journal.
type Disk = (Option<Vec<u8>>, Option<Vec<u8>>);

/// So many combinations are tried after each call, all of them where there are no more; with `make test-crash`, ten
/// times as many.
const COMBINATIONS: u64 = 250;

/// Calls `check` with all that a crash after `calls` may leave. File 0 is there before them, with these bytes.
fn states(calls: &[Call], first: &[u8], check: &mut dyn FnMut(&Disk)) {
    // What is safe of each file, and what is not.
    let mut safe: BTreeMap<usize, Vec<u8>> = BTreeMap::from([(0, first.to_vec())]);
    let mut pending: Vec<&Call> = Vec::new();
    let (mut names, mut pending_names) = (BTreeMap::from([(NAME.to_owned(), 0)]), Vec::new());
    let give = |names: &mut BTreeMap<String, usize>, file: usize, name: &String| {
        names.retain(|_, other| *other != file);
        names.insert(name.clone(), file);
    };
    for call in calls {
        match call {
            Call::Name(file, name) => {
                safe.entry(*file).or_default();
                pending_names.push((*file, name));
            }
            Call::Write(..) | Call::Truncate(..) => pending.push(call),
            Call::Sync(file) => {
                let of_file = |call: &&Call| matches!(call, Call::Write(it, ..) | Call::Truncate(it, _) if it == file);
                let bytes = safe.entry(*file).or_default();
                pending.iter().copied().filter(of_file).for_each(|call| apply(bytes, call, 1));
                pending.retain(|call| !of_file(call));
            }
            Call::SyncDirectory => pending_names.drain(..).for_each(|(file, name)| give(&mut names, file, name)),
        }
    }
    assert!(pending_names.len() < 16);
    let most = COMBINATIONS * if std::env::var_os("FDCKPT_TEST_CRASH_ROUNDS").is_some() { 10 } else { 1 };
    let mut seen = HashSet::new();
    let mut random = 88_172_645_463_325_252_u64;
    for subset in 0..1u32 << pending_names.len() {
        let mut names = names.clone();
        let there = pending_names.iter().enumerate().filter(|(at, _)| subset >> at & 1 == 1);
        there.for_each(|(_, (file, name))| give(&mut names, *file, name));
        let journal = format!("{NAME}.journal");
        let shown = [names.get(NAME), names.get(&journal)];
        let pending: Vec<&&Call> = pending
            .iter()
            .filter(|call| matches!(call, Call::Write(file, ..) | Call::Truncate(file, _) if shown.contains(&Some(file))))
            .collect();
        let all = u32::try_from(pending.len()).ok().and_then(|count| (FATES as u64).checked_pow(count));
        let exhaustive = all.is_some_and(|all| all <= most);
        for combination in 0..all.unwrap_or(u64::MAX).min(most) {
            let mut fates = combination;
            if !exhaustive {
                // All or nothing of it, and then by chance.
                random ^= random << 13;
                random ^= random >> 7;
                random ^= random << 17;
                fates = random;
            }
            let mut files = safe.clone();
            for call in &pending {
                let (Call::Write(file, ..) | Call::Truncate(file, _)) = call else { continue };
                let fate = match combination {
                    0 => 0,
                    1 if !exhaustive => 1,
                    _ => (fates % FATES as u64) as usize,
                };
                fates /= FATES as u64;
                if fates == 0 && !exhaustive {
                    fates = random.rotate_left(17);
                }
                apply(files.entry(*file).or_default(), call, fate);
            }
            let disk = shown.map(|file| file.map(|file| files[file].clone()));
            let disk: Disk = disk.into();
            if seen.insert(disk.clone()) {
                check(&disk);
            }
        }
    }
}

/// Puts a disk's state into a directory.
fn put(path: &Path, disk: &Disk) {
    for (path, bytes) in [(path.to_owned(), &disk.0), (path.with_extension("fti.journal"), &disk.1)] {
        match bytes {
            Some(bytes) => fs::write(path, bytes).unwrap(),
            None => _ = fs::remove_file(path),
        }
    }
}

/// A directory in memory, if there is one: nothing has to be safe there.
fn quick_directory() -> tempfile::TempDir {
    tempfile::tempdir_in("/dev/shm").unwrap_or_else(|_| tempfile::tempdir().unwrap())
}

/// A file in its first state, in a directory of this name.
fn begin(name: &str) -> (PathBuf, PathBuf, Vec<u8>) {
    let dir = common::temp_dir(name);
    let path = dir.join(NAME);
    let update = update(UpdateMode::Journaled);
    let options = options(0, SyncMode::None);
    in_state(small_shape, 0, |it| Writer::new().update(&path, &options, &update, it)).unwrap();
    let first = fs::read(&path).unwrap();
    (dir, path, first)
}

#[test]
fn machine_crash_leaves_old_or_new_state() {
    let (dir, path, first) = begin("crash-update-states");
    let (mut calls, mut names, mut files) = (Vec::new(), BTreeMap::from([(NAME.to_owned(), 0)]), 1);
    let elsewhere = quick_directory();
    let place = elsewhere.path().join(NAME);
    let mut wanted = vec![first.clone()];
    let (mut count, mut finished, mut olds, mut news) = (0, 0, 0, 0);
    for number in 1..=5 {
        let before = calls.len();
        record(&format!("safe {number}"), &dir, &mut names, &mut calls, &mut files);
        wanted.push(fs::read(&path).unwrap());
        assert_eq!(number_in(small_shape, &wanted[number]), Some(number as u64));
        for crash in before + 1..=calls.len() {
            states(&calls[..crash], &first, &mut |disk| {
                put(&place, disk);
                finished += u64::from(complete_update(&place).unwrap());
                let found = fs::read(&place).unwrap();
                let is = wanted.iter().position(|wanted| *wanted == found);
                let is_old = is == Some(number - 1) && crash < calls.len();
                assert!(
                    is_old || is == Some(number),
                    "state {is:?} after {crash} calls of update {number}: {:?}",
                    &calls[before..crash]
                );
                *(if is_old { &mut olds } else { &mut news }) += 1;
                count += 1;
            });
        }
    }
    println!("{count} states: {olds} old ones, {news} new ones, {finished} of which the journal had");
    assert!(count > 1500 && olds > 500 && news > 300 && finished > 300);
}

/// The journal of an update that was ended comes back where emptying it was not synced. So it is, before another file
/// is written that may be in the state before that update again: of the same data and time.
#[test]
fn completed_update_is_not_repeated() {
    let (dir, path, first) = begin("crash-update-again");
    let (mut calls, mut names, mut files) = (Vec::new(), BTreeMap::from([(NAME.to_owned(), 0)]), 1);
    record("safe 1", &dir, &mut names, &mut calls, &mut files);
    record("anew 0", &dir, &mut names, &mut calls, &mut files);
    assert!(fs::read(&path).unwrap() == first);
    let elsewhere = quick_directory();
    let place = elsewhere.path().join(NAME);
    states(&calls, &first, &mut |disk| {
        put(&place, disk);
        assert_eq!(complete_update(&place), Ok(false));
        assert!(fs::read(&place).unwrap() == first);
    });
}

/// A file of version A that becomes one of E: its header is in front, and may be there still when other parts are
/// new.
#[test]
fn file_with_new_header_is_completed() {
    let dir = quick_directory();
    let path = dir.path().join(NAME);
    let [first, second] = [[[1; 3000], [2; 3000]], [[3; 3000], [4; 3000]]];
    for version in [FormatVersion::V1_1, FormatVersion::V1_2] {
        let (mut writer, old) = (Writer::new(), WriteOptions::new(version, 0));
        writer.checkpoint(&path, &old, &[ProtectedVariable::new(1, &first[0]), ProtectedVariable::new(2, &first[1])]).unwrap();
        let old = fs::read(&path).unwrap();
        let of_second = [ProtectedVariable::new(1, &second[0]), ProtectedVariable::new(2, &second[1])];
        writer.prepare(&path, &options(1, SyncMode::None), &update(UpdateMode::Journaled), &of_second).unwrap();
        let journal = fs::read(path.with_extension("fti.journal")).unwrap();
        assert_eq!(resolve(&path, Resolution::Commit), Ok(true));
        let new = fs::read(&path).unwrap();
        let (mut torn, end) = (old.clone(), old.len().min(new.len()));
        torn[5000..end].copy_from_slice(&new[5000..end]);
        put(&path, &(Some(torn), Some(journal)));
        assert_eq!(resolve(&path, Resolution::Commit), Ok(true), "{version}");
        assert!(fs::read(&path).unwrap() == new);
    }
}

/// The test of the test: without a journal, or without syncs, a crash leaves other things too, which the checks of the
/// format notice.
#[test]
fn machine_crash_without_journal_or_sync_leaves_other_states() {
    for what in ["in-place", "unsynced"] {
        let (dir, path, first) = begin(&format!("crash-update-{what}"));
        let (mut calls, mut names, mut files) = (Vec::new(), BTreeMap::from([(NAME.to_owned(), 0)]), 1);
        record(&format!("{what} 1"), &dir, &mut names, &mut calls, &mut files);
        let new = fs::read(&path).unwrap();
        let elsewhere = quick_directory();
        let place = elsewhere.path().join(NAME);
        let (mut other, mut unnoticed) = (0, 0);
        for crash in 1..=calls.len() {
            states(&calls[..crash], &first, &mut |disk| {
                put(&place, disk);
                complete_update(&place).unwrap();
                let found = fs::read(&place).unwrap();
                if found != first && found != new {
                    other += 1;
                    unnoticed += u64::from(number_in(small_shape, &found).is_some());
                }
            });
        }
        assert!(other > 10, "{what}: {other}");
        assert_eq!(unnoticed, 0, "{what}");
    }
}

/// Of two phases the first leaves the old state, and a choice when it has ended; the second the new one, once it is
/// asked for again.
#[test]
fn prepared_update_can_be_committed_after_crash() {
    let (dir, path, first) = begin("crash-update-prepared");
    let (mut calls, mut names, mut files) = (Vec::new(), BTreeMap::from([(NAME.to_owned(), 0)]), 1);
    record("prepare 1", &dir, &mut names, &mut calls, &mut files);
    let prepared = calls.len();
    assert_eq!(fs::read(&path).unwrap(), first);
    record("commit 1", &dir, &mut names, &mut calls, &mut files);
    let new = fs::read(&path).unwrap();
    let elsewhere = quick_directory();
    let place = elsewhere.path().join(NAME);
    let (mut choices, mut commits) = (0, 0);
    for crash in 1..=calls.len() {
        states(&calls[..crash], &first, &mut |disk| {
            put(&place, disk);
            let is_prepared = pending_update(&place).unwrap().is_some_and(|pending| pending.is_prepared && pending.ckpt_id == 1);
            assert_eq!(complete_update(&place), if is_prepared { Err(Error::TransactionInDoubt) } else { Ok(false) });
            if crash < prepared {
                assert_eq!(fs::read(&place).unwrap(), first);
            } else {
                assert!(is_prepared || disk.0.as_ref() == Some(&new));
            }
            if is_prepared && crash <= prepared {
                assert!(resolve(&place, Resolution::Rollback).unwrap());
                assert_eq!((fs::read(&place).unwrap(), pending_update(&place).unwrap()), (first.clone(), None));
                put(&place, disk);
                choices += 1;
            }
            if is_prepared {
                assert!(resolve(&place, Resolution::Commit).unwrap());
                assert_eq!((fs::read(&place).unwrap(), pending_update(&place).unwrap()), (new.clone(), None));
                commits += 1;
            }
        });
    }
    assert!(choices > 1 && commits > 100, "{choices} {commits}");
}

#[test]
fn killed_process_leaves_old_or_new_state() {
    let rounds = std::env::var("FDCKPT_TEST_CRASH_ROUNDS").map_or(100, |rounds| rounds.parse::<u64>().expect("a number"));
    let dir = common::temp_dir("crash-update-kill");
    let path = dir.join(NAME);
    let (options, update) = (options(0, SyncMode::None), update(UpdateMode::Journaled));
    in_state(shape_for_ever, 0, |it| Writer::new().update(&path, &options, &update, it)).unwrap();
    let (mut last, mut finished, mut fulls, mut killed) = (0, 0, 0, 0);
    for round in 0..rounds {
        let mut child = program("for-ever 0", &dir).stdout(Stdio::piped()).spawn().unwrap();
        let saved = |line: &str| {
            let (number, full) = line.strip_prefix("saved ")?.split_once(' ')?;
            Some((number.parse::<u64>().unwrap(), full == "1"))
        };
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        // It has begun to save.
        let first = lines.find_map(|line| saved(&line.unwrap())).unwrap_or_else(|| panic!("round {round}: it ends"));
        let nanos = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().subsec_nanos();
        std::thread::sleep(Duration::from_micros(u64::from(nanos / 7 % 5000)));
        child.kill().unwrap();
        killed += u64::from(child.wait().unwrap().code().is_none());
        let reported = lines.map_while(Result::ok).filter_map(|line| saved(&line)).last().unwrap_or(first).0;
        fulls += u64::from(first.1);

        finished += u64::from(complete_update(&path).unwrap());
        let found = number_in(shape_for_ever, &fs::read(&path).unwrap());
        let found = found.unwrap_or_else(|| panic!("round {round}: the file is damaged"));
        assert!(
            found >= reported && found <= reported + 1 && found > last,
            "round {round}: {found} is in the file, {reported} was reported"
        );
        last = found;
        for entry in fs::read_dir(&dir).unwrap() {
            let name = entry.unwrap().file_name().into_string().unwrap();
            if name.starts_with(".fdckpt-") {
                fs::remove_file(dir.join(name)).unwrap();
            } else {
                assert!(name.starts_with(NAME), "{name}");
            }
        }
    }
    println!(
        "{killed} killed in {rounds} rounds, {last} updates, {finished} were ended from the journal, {fulls} first ones wrote all"
    );
    assert!(killed == rounds);
    assert!(finished > 0, "it is killed in the middle of an update often enough");
    assert!(fulls < rounds, "hashes that were kept are of use");
}
