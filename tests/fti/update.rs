//! Differential FTI checkpoints: golden files, files in which FTI itself goes wrong, what is written, kept hashes,
//! journals.

use std::collections::BTreeMap;
use std::fs;
use std::os::fd::AsRawFd;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use crate::cases::*;
use crate::common;
use fdckpt::fti::Error;
use fdckpt::fti::{
    BlockHash, Checkpoint, FormatVersion, PendingUpdate, ProtectedVariable, Resolution, UpdateMode, UpdateOptions, UpdateStats,
    Writer, complete_update, pending_update, resolve,
};
use proptest::prelude::*;

/// A directory in memory, if there is one: nothing has to be safe there.
fn quick_directory() -> tempfile::TempDir {
    tempfile::tempdir_in("/dev/shm").unwrap_or_else(|_| tempfile::tempdir().unwrap())
}

fn with(block_size: usize, hash: BlockHash, mode: UpdateMode) -> UpdateOptions {
    let mut update = UpdateOptions::default();
    (update.block_size, update.hash, update.mode) = (block_size, hash, mode);
    update
}

const MODES: [UpdateMode; 2] = [UpdateMode::Journaled, UpdateMode::InPlace];
const HASHES: [BlockHash; 2] = [BlockHash::Md5, BlockHash::Crc32];

/// A program's variables, by their ids: all of the memory that they have had, and how much of it is protected.
#[derive(Default)]
struct Program {
    memory: BTreeMap<i32, (Vec<u8>, usize)>,
    order: Vec<i32>,
}

impl Program {
    fn protect(&mut self, id: i32, size: usize) {
        let there = self.memory.entry(id).or_insert_with(|| {
            self.order.push(id);
            (pattern(id, 1, 0, 10_000), 0)
        });
        there.1 = size;
    }

    fn protected(&self) -> Vec<ProtectedVariable<'_>> {
        self.order.iter().map(|id| ProtectedVariable::new(*id, &self.memory[id].0[..self.memory[id].1])).collect()
    }

    /// Does one of a case's calls that is no checkpoint.
    fn call(&mut self, call: &str) {
        if let Some(arguments) = call.strip_prefix("FTI_Protect(") {
            let words: Vec<&str> = arguments.split(", ").collect();
            self.protect(words[0].parse().unwrap(), words[2].parse().unwrap());
            return;
        }
        // "overwrite bytes 1500..1509 of variable 1 with pattern gen=2"
        let words: Vec<&str> = call.split(' ').collect();
        assert_eq!((words[0], words[3]), ("overwrite", "of"), "{call}");
        let (from, to) = words[2].split_once("..").unwrap();
        let (from, to): (usize, usize) = (from.parse().unwrap(), to.parse().unwrap());
        let id = words[5].parse().unwrap();
        let new = pattern(id, words[8].strip_prefix("gen=").unwrap().parse().unwrap(), 0, to + 1);
        self.memory.get_mut(&id).unwrap().0[from..=to].copy_from_slice(&new[from..]);
    }
}

/// Each update of each case, in each mode, with each hash, by one thread and by three.
#[test]
fn updates_reproduce_golden_files() {
    let mut same = 0;
    for version in [FormatVersion::V1_4_1, FormatVersion::Post1_6] {
        for (mode, hash, threads) in MODES.iter().flat_map(|mode| HASHES.map(|hash| [(mode, hash, 1), (mode, hash, 3)])).flatten()
        {
            let dir = quick_directory();
            let path = dir.path().join("dCPFile-Rank0.fti");
            let cases: Vec<_> = cases()
                .iter()
                .filter(|(of, case, _)| *of == version && case["file"].as_str().unwrap().starts_with("dcp_"))
                .collect();
            assert_eq!(cases.len(), 6);
            let last =
                cases.iter().map(|(_, case, _)| case["calls"].as_array().unwrap()).max_by_key(|calls| calls.len()).unwrap();
            let (mut program, mut writer, mut reported) = (Program::default(), Writer::new(), Vec::new());
            for (done, call) in last.iter().enumerate() {
                let call = call.as_str().unwrap();
                if !call.starts_with("FTI_Checkpoint(") {
                    program.call(call);
                    continue;
                }
                let (_, case, golden) =
                    cases.iter().find(|(_, case, _)| case["calls"].as_array().unwrap().len() == done + 1).unwrap();
                let mut options = case_options(version, case);
                options.threads = threads;
                let updated = writer.update(&path, &options, &with(1024, hash, *mode), &program.protected()).unwrap();
                reported.push((updated.is_full, updated.blocks, updated.changed_blocks, updated.changed_bytes));

                let name = format!("{version} {} {mode:?} {hash:?}", case["file"]);
                let mut file = fs::read(&path).unwrap();
                assert_eq!(verify(&Checkpoint::parse(&file).unwrap()).1, [], "{name}");
                set_header_padding(&mut file, case);
                if containers(case).any(|container| container["hascontent"] == false) {
                    // All but the checksum that FTI itself refuses.
                    let begin = Checkpoint::parse(&file).unwrap().header().offset as usize;
                    let wanted = case["checks"]["checksum_reader_rule"].as_str().unwrap();
                    assert_eq!(std::str::from_utf8(&file[begin..begin + 32]).unwrap(), wanted, "{name}");
                    file[begin..begin + 49].copy_from_slice(&golden[begin..begin + 49]);
                }
                let differs = file.iter().zip(golden).position(|(a, b)| a != b);
                assert!(file == *golden, "{name} differs at {differs:?}");
                same += 1;
            }
            // Of which blocks some are neighbours; a block that is shorter than it was counts as changed.
            let wanted = [
                (true, 8, 8, 8000),
                (false, 8, 2, 1024 + 952),
                (false, 7, 2, 1200),
                (false, 10, 4, 1976 + 1000 + 500),
                (false, 9, 0, 0),
                (false, 10, 1, 1000),
            ];
            assert_eq!(reported, wanted, "{version} {mode:?} {hash:?}");
        }
    }
    assert_eq!(same, 6 * 2 * 8);
}

/// FTI leaves the last block unwritten where a chunk shrinks to a multiple of the block size.
#[test]
fn chunk_shrunk_to_whole_blocks_is_written() {
    let (mut program, case) = (Program::default(), json(golden(FormatVersion::Post1_6).join("cases.json")));
    let case = case.as_array().unwrap().iter().find(|case| case["file"] == "defect_dcpshrink_b.fti").unwrap().clone();
    for mode in MODES {
        let dir = quick_directory();
        let path = dir.path().join("dCPFile-Rank0.fti");
        let mut writer = Writer::new();
        program = Program::default();
        for call in case["calls"].as_array().unwrap() {
            let call = call.as_str().unwrap();
            if call.starts_with("FTI_Checkpoint(") {
                let options = case_options(FormatVersion::Post1_6, &case);
                writer.update(&path, &options, &with(1024, BlockHash::Md5, mode), &program.protected()).unwrap();
            } else {
                program.call(call);
            }
        }
        let mut file = fs::read(&path).unwrap();
        set_header_padding(&mut file, &case);
        let checkpoint = Checkpoint::parse(&file).unwrap();
        assert_eq!(verify(&checkpoint).1, [], "FTI's own file has damage here");
        assert_eq!(recover(&checkpoint, 1).unwrap()[&1], program.memory[&1].0[..2048]);
        // But for the data that FTI has not written, it is the same file.
        let theirs = case_file(FormatVersion::Post1_6, "defect_dcpshrink_b.fti");
        assert_eq!(file[2048..], theirs[2048..]);
        assert_ne!(file[1024..2048], theirs[1024..2048]);
    }
    assert_eq!(program.memory[&1].1, 2048);
}

/// FTI, after a differential checkpoint, leaves out of the new file of an ordinary one what it takes for clean.
#[test]
fn full_and_differential_checkpoints_mix() {
    let dir = quick_directory();
    let (path, ordinary) = (dir.path().join("dCPFile-Rank0.fti"), dir.path().join("Ckpt2-Rank0.fti"));
    let case = json(golden(FormatVersion::Post1_6).join("cases.json"));
    let case = case.as_array().unwrap().iter().find(|case| case["file"] == "defect_dcpmix_b.fti").unwrap().clone();
    let (mut program, mut writer) = (Program::default(), Writer::new());
    program.protect(1, 3000);
    let (options, update) = (with_time(FormatVersion::Post1_6), with(1024, BlockHash::Md5, UpdateMode::Journaled));
    assert!(writer.update(&path, &options, &update, &program.protected()).unwrap().is_full);
    writer.checkpoint(&ordinary, &case_options(FormatVersion::Post1_6, &case), &program.protected()).unwrap();
    let mut file = fs::read(&ordinary).unwrap();
    set_header_padding(&mut file, &case);
    let checkpoint = Checkpoint::parse(&file).unwrap();
    assert_eq!(verify(&checkpoint).1, []);
    assert_eq!(recover(&checkpoint, 1).unwrap()[&1], program.memory[&1].0[..3000]);
    // But for the holes and hasCkpt, which such a file needs not have, it is FTI's.
    let theirs = case_file(FormatVersion::Post1_6, "defect_dcpmix_b.fti");
    file[3012 + 9] = 1;
    assert_eq!(file[3000..], theirs[3000..]);
    assert_ne!(file[..3000], theirs[..3000]);

    // A differential one to a file that an ordinary one has made, or anybody else, writes all; then it is known again.
    let updated = writer.update(&ordinary, &options, &update, &program.protected()).unwrap();
    assert_eq!((updated.is_full, updated.changed_blocks), (true, 3));
    program.memory.get_mut(&1).unwrap().0[0] ^= 1;
    let updated = writer.update(&ordinary, &options, &update, &program.protected()).unwrap();
    assert_eq!((updated.is_full, updated.changed_blocks), (false, 1));
    // An ordinary one to another file is no obstacle.
    writer.checkpoint(dir.path().join("Ckpt3-Rank0.fti"), &options, &program.protected()).unwrap();
    program.memory.get_mut(&1).unwrap().0[1500] ^= 1;
    let updated = writer.update(&ordinary, &options, &update, &program.protected()).unwrap();
    assert_eq!((updated.is_full, updated.changed_blocks), (false, 1));
    assert_eq!(recover(&Checkpoint::parse(&fs::read(&ordinary).unwrap()).unwrap(), 1).unwrap()[&1], program.memory[&1].0[..3000]);
}

/// A writer that has made one update of 20 blocks with hashes kept, and then a restart.
fn restarted(path: &Path, program: &Program, update: &UpdateOptions) -> Writer {
    let mut options = with_time(FormatVersion::Post1_6);
    options.ckpt_id = 1;
    let updated = Writer::new().update(path, &options, update, &program.protected()).unwrap();
    assert!(updated.is_full && updated.hashes_saved == update.save_hashes, "{updated:?}");
    resumed(path)
}

fn resumed(path: &Path) -> Writer {
    Writer::resume(&Checkpoint::parse(&fs::read(path).unwrap()).unwrap()).unwrap()
}

fn twenty_blocks() -> Program {
    let mut program = Program::default();
    program.protect(1, 10_000);
    program.protect(2, 240);
    program
}

#[test]
fn kept_hashes_are_used_after_restart() {
    for hash in HASHES {
        let dir = quick_directory();
        let (path, side) = (dir.path().join("dCPFile-Rank0.fti"), dir.path().join("dCPFile-Rank0.fti.hashes"));
        let mut program = twenty_blocks();
        let mut update = with(512, hash, UpdateMode::Journaled);
        let next = |writer: &mut Writer, update: &UpdateOptions, program: &Program| {
            let updated = writer.update(&path, &with_time(FormatVersion::Post1_6), update, &program.protected()).unwrap();
            let file = fs::read(&path).unwrap();
            let checkpoint = Checkpoint::parse(&file).unwrap();
            assert_eq!(verify(&checkpoint).1, []);
            let wanted = program.protected().iter().map(|it| (it.id, it.data.to_vec())).collect();
            assert_eq!(recover(&checkpoint, 1).unwrap(), wanted);
            (updated.is_full, updated.changed_blocks)
        };

        // Without them, all is written.
        let mut writer = restarted(&path, &program, &update);
        assert!(!side.exists());
        assert_eq!(next(&mut writer, &update, &program), (true, 21));
        assert_eq!(next(&mut writer, &update, &program), (false, 0));
        // With them, what has changed.
        update.save_hashes = true;
        let mut writer = restarted(&path, &program, &update);
        program.memory.get_mut(&1).unwrap().0[5000] ^= 1;
        assert_eq!(next(&mut writer, &update, &program), (false, 1));
        let mut writer = resumed(&path);
        assert_eq!(next(&mut writer, &update, &program), (false, 0));

        // Those of other blocks, or by another hash, are none.
        let mut other = update;
        other.block_size = 513;
        assert!(next(&mut resumed(&path), &other, &program).0);
        other = update;
        other.hash = HASHES[usize::from(hash == BlockHash::Md5)];
        assert!(next(&mut resumed(&path), &other, &program).0);
        // Those of an earlier state of the file, or of another file.
        next(&mut resumed(&path), &update, &program);
        let old = fs::read(&side).unwrap();
        program.memory.get_mut(&1).unwrap().0[1] ^= 1;
        next(&mut resumed(&path), &update, &program);
        fs::write(&side, &old).unwrap();
        assert!(next(&mut resumed(&path), &update, &program).0);
        // Another writer has replaced the file since.
        let mut options = with_time(FormatVersion::Post1_6);
        options.timestamp = Some(1);
        Writer::new().checkpoint(&path, &options, &program.protected()).unwrap();
        assert!(next(&mut resumed(&path), &update, &program).0);
        // Each byte that is changed, and each that is missing, is noticed.
        next(&mut resumed(&path), &update, &program);
        let (file, intact) = (fs::read(&path).unwrap(), fs::read(&side).unwrap());
        let mut noticed = 0;
        let mut full = |bytes: &[u8]| {
            fs::write(&path, &file).unwrap();
            fs::write(&side, bytes).unwrap();
            noticed += 1;
            next(&mut resumed(&path), &update, &program).0
        };
        assert!(!full(&intact));
        for at in (0..intact.len()).filter(|at| at % 3 == 0 || *at < 80) {
            let mut damaged = intact.clone();
            damaged[at] ^= 1;
            let is_text = at >= 80 + 21 * if hash == BlockHash::Md5 { 16 } else { 4 };
            // Metadata of a container can change without another meaning, as in a digit of an unused section.
            assert!(full(&damaged) || is_text, "{at}");
        }
        for size in (0..intact.len()).step_by(7) {
            assert!(full(&intact[..size]), "{size}");
        }
        assert!(full(b"") && noticed > 100);
    }
}

#[test]
fn reports_why_a_file_cannot_be_updated() {
    let dir = quick_directory();
    let path = dir.path().join("file");
    let program = twenty_blocks();
    let mut writer = Writer::new();
    let mut update = UpdateOptions::default();
    assert_eq!(
        (update.block_size, update.hash, update.mode, update.save_hashes),
        (16_384, BlockHash::Md5, UpdateMode::Journaled, false)
    );
    for version in [FormatVersion::V1_1, FormatVersion::V1_2] {
        let result = writer.update(&path, &with_time(version), &update, &program.protected());
        assert!(matches!(result, Err(Error::InvalidArgument(why)) if why.contains("need FTI 1.3 or later")), "{result:?}");
    }
    let options = with_time(FormatVersion::Post1_6);
    for size in [0, 1, 511, 65_536, usize::MAX] {
        update.block_size = size;
        let result = writer.update(&path, &options, &update, &program.protected());
        assert!(matches!(result, Err(Error::InvalidArgument(why)) if why.contains("65535")), "{result:?}");
    }
    update = with(65_535, BlockHash::Crc32, UpdateMode::InPlace);
    assert!(matches!(writer.prepare(&path, &options, &update, &program.protected()), Err(Error::InvalidArgument(_))));
    let twice = [ProtectedVariable::new(1, b"a"), ProtectedVariable::new(1, b"b")];
    assert!(matches!(writer.update(&path, &options, &update, &twice), Err(Error::InvalidArgument(_))));
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
    std::os::unix::fs::symlink("elsewhere", &path).unwrap();
    let result = writer.update(&path, &options, &update, &program.protected());
    assert!(matches!(result, Err(Error::Io(_))), "{result:?}");
    fs::remove_file(&path).unwrap();
    let result = writer.update(dir.path().join("not there/file"), &options, &update, &program.protected());
    assert!(matches!(result, Err(Error::Io(_))), "{result:?}");
    assert_eq!(writer.update(&path, &options, &update, &[]).unwrap().blocks, 0);
    assert!(!writer.update(&path, &options, &update, &program.protected()).unwrap().is_full);
    let other = fs::File::open(&path).unwrap();
    // SAFETY: takes no memory.
    assert_eq!(unsafe { libc::flock(other.as_raw_fd(), libc::LOCK_EX) }, 0);
    assert_eq!(writer.update(&path, &options, &update, &program.protected()), Err(Error::FileBusy));
    drop(other);
    assert!(!writer.update(&path, &options, &update, &program.protected()).unwrap().is_full);
    assert_eq!(complete_update(&path), Ok(false));
    assert_eq!(pending_update(&path), Ok(None));
    assert_eq!(resolve(&path, Resolution::Commit), Ok(false));
    assert_eq!(resolve(&path, Resolution::Rollback), Ok(false));
}

#[test]
fn prepared_update_waits_for_decision() {
    let dir = quick_directory();
    let path = dir.path().join("dCPFile-Rank0.fti");
    let (mut program, mut writer) = (twenty_blocks(), Writer::new());
    let update = with(512, BlockHash::Md5, UpdateMode::Journaled);
    let mut options = with_time(FormatVersion::V1_4_1);
    let content = |path: &Path| recover(&Checkpoint::parse(&fs::read(path).unwrap()).unwrap(), 1).unwrap();
    let of = |program: &Program| program.protected().iter().map(|it| (it.id, it.data.to_vec())).collect::<BTreeMap<_, _>>();

    // The first one, of a file that is not there.
    options.ckpt_id = 1;
    writer.prepare(&path, &options, &update, &program.protected()).unwrap();
    assert!(!path.exists());
    assert_eq!(pending_update(&path), Ok(Some(pending_of(1))));
    assert_eq!(complete_update(&path), Err(Error::TransactionInDoubt));
    assert_eq!(resolve(&path, Resolution::Rollback), Ok(true));
    assert!(!path.exists() && pending_update(&path) == Ok(None));
    writer.prepare(&path, &options, &update, &program.protected()).unwrap();
    assert_eq!(resolve(&path, Resolution::Commit), Ok(true));
    assert_eq!(content(&path), of(&program));

    // What the memory becomes meanwhile does not matter.
    let first = fs::read(&path).unwrap();
    program.memory.get_mut(&1).unwrap().0[600] ^= 1;
    options.ckpt_id = 2;
    assert_eq!(writer.prepare(&path, &options, &update, &program.protected()).unwrap().changed_blocks, 1);
    let second = of(&program);
    assert_eq!(fs::read(&path).unwrap(), first);
    program.memory.get_mut(&1).unwrap().0[600] ^= 3;
    assert_eq!(writer.update(&path, &options, &update, &program.protected()), Err(Error::TransactionInDoubt));
    assert_eq!(resolve(&path, Resolution::Commit), Ok(true));
    assert_eq!(content(&path), second);
    // The writer knows which of its states the file has.
    options.ckpt_id = 3;
    let third = writer.prepare(&path, &options, &update, &program.protected()).unwrap();
    assert_eq!((third.is_full, third.changed_blocks), (false, 1));
    assert_eq!(resolve(&path, Resolution::Rollback), Ok(true));
    assert_eq!(content(&path), second);
    program.protect(2, 700);
    let fourth = writer.prepare(&path, &options, &update, &program.protected()).unwrap();
    assert_eq!((fourth.is_full, fourth.changed_blocks), (false, 2));
    // Another process decides.
    assert_eq!(resolve(&path, Resolution::Commit), Ok(true));
    assert_eq!(content(&path), of(&program));
    assert_eq!(writer.update(&path, &options, &update, &program.protected()).unwrap().changed_blocks, 0);

    // One that was committed in part is not to be abandoned.
    let old = fs::read(&path).unwrap();
    program.memory.get_mut(&1).unwrap().0.fill(7);
    writer.prepare(&path, &options, &update, &program.protected()).unwrap();
    let journal = fs::read(journal_of(&path)).unwrap();
    let mut torn = old.clone();
    torn[..100].fill(7);
    fs::write(&path, &torn).unwrap();
    assert_eq!(resolve(&path, Resolution::Rollback), Err(Error::CorruptTarget));
    assert_eq!(resolve(&path, Resolution::Commit), Ok(true));
    assert_eq!(content(&path), of(&program));
    // Nor one of a file that was corrupt before, until that is removed.
    fs::write(&path, &torn).unwrap();
    resumed(&path).prepare(&path, &options, &update, &program.protected()).unwrap();
    let said = resolve(&path, Resolution::Rollback).unwrap_err();
    assert!(said == Error::CorruptTarget && said.to_string().contains("remove"), "{said}");
    fs::remove_file(&path).unwrap();
    assert_eq!((pending_update(&path), resolve(&path, Resolution::Rollback)), (Ok(None), Ok(false)));
    fs::write(&path, &torn).unwrap();
    // Nor is a journal applied to a file that another writer has replaced since.
    fs::write(journal_of(&path), &journal).unwrap();
    let mut other = Vec::new();
    for time in [1, 2] {
        options.timestamp = Some(time);
        Writer::new().checkpoint(&path, &options, &[ProtectedVariable::new(1, &[time as u8; 11_000])]).unwrap();
        other = fs::read(&path).unwrap();
        assert_eq!(pending_update(&path), Ok(None));
        assert_eq!(resolve(&path, Resolution::Commit), Ok(false));
    }
    assert_eq!(fs::read(&path).unwrap(), other);
    // Not even where it has the same size.
    fs::write(&path, &old).unwrap();
    assert_eq!(pending_update(&path), Ok(Some(pending_of(options.ckpt_id))));
    program.memory.get_mut(&1).unwrap().0.fill(9);
    resumed(&path).checkpoint(&path, &options, &program.protected()).unwrap();
    let other = fs::read(&path).unwrap();
    assert_eq!((other.len(), pending_update(&path)), (old.len(), Ok(None)));
    assert_eq!(resolve(&path, Resolution::Commit), Ok(false));
    assert_eq!(fs::read(&path).unwrap(), other);
}

/// From version C on all data lies in front, so that only what describes it changes with the version; the file
/// can get shorter.
#[test]
fn update_can_change_format_version() {
    for (mode, prepares) in [(UpdateMode::InPlace, false), (UpdateMode::Journaled, false), (UpdateMode::Journaled, true)] {
        let dir = quick_directory();
        let path = dir.path().join("file");
        let (mut program, mut writer) = (twenty_blocks(), Writer::new());
        let update = with(512, BlockHash::Md5, mode);
        for (number, version) in
            [FormatVersion::Post1_6, FormatVersion::V1_4_1, FormatVersion::V1_3, FormatVersion::V1_4_0, FormatVersion::V1_4_1]
                .into_iter()
                .enumerate()
        {
            program.memory.get_mut(&1).unwrap().0[number * 600] ^= 1;
            let options = with_time(version);
            let updated = if prepares {
                let updated = writer.prepare(&path, &options, &update, &program.protected()).unwrap();
                assert_eq!(resolve(&path, Resolution::Commit), Ok(true));
                updated
            } else {
                writer.update(&path, &options, &update, &program.protected()).unwrap()
            };
            assert!(number == 0 || (updated.is_full, updated.changed_blocks) == (false, 1), "{updated:?}");
            let file = fs::read(&path).unwrap();
            let checkpoint = Checkpoint::parse(&file).unwrap();
            assert_eq!((checkpoint.version(), verify(&checkpoint).1), (version, vec![]));
            assert_eq!(recover(&checkpoint, 1).unwrap()[&1], program.memory[&1].0);
        }
    }
}

/// When a variable is removed, all others move: their blocks are the same, at other offsets.
#[test]
fn moved_data_is_written() {
    for mode in MODES {
        let dir = quick_directory();
        let path = dir.path().join("file");
        let (mut writer, update) = (Writer::new(), with(512, BlockHash::Md5, mode));
        let (one, two, three) = ([1; 1024], [2; 2048], [3; 512]);
        let first = [ProtectedVariable::new(1, &one), ProtectedVariable::new(2, &two)];
        writer.update(&path, &with_time(FormatVersion::Post1_6), &update, &first).unwrap();
        let second = [ProtectedVariable::new(3, &three), ProtectedVariable::new(2, &two)];
        assert!(writer.update(&path, &with_time(FormatVersion::Post1_6), &update, &second).unwrap().is_full);
        let file = fs::read(&path).unwrap();
        let checkpoint = Checkpoint::parse(&file).unwrap();
        assert_eq!(verify(&checkpoint).1, []);
        assert_eq!(recover(&checkpoint, 1).unwrap(), BTreeMap::from([(2, two.to_vec()), (3, three.to_vec())]));
    }
}

fn pending_of(ckpt_id: i32) -> PendingUpdate {
    let dir = quick_directory();
    let path = dir.path().join("file");
    let mut options = with_time(FormatVersion::Post1_6);
    options.ckpt_id = ckpt_id;
    Writer::new().prepare(&path, &options, &UpdateOptions::default(), &[]).unwrap();
    let pending = pending_update(&path).unwrap().unwrap();
    assert!(pending.ckpt_id == ckpt_id && pending.is_prepared);
    pending
}

fn journal_of(path: &Path) -> std::path::PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".journal");
    name.into()
}

/// Each bit of a journal that is another, and each end that is missing: not a byte of the file changes.
#[test]
fn corrupt_journal_is_ignored() {
    for hash in HASHES {
        let dir = quick_directory();
        let path = dir.path().join("file");
        let (mut program, mut writer) = (Program::default(), Writer::new());
        program.protect(1, 3000);
        let update = with(512, hash, UpdateMode::Journaled);
        writer.update(&path, &with_time(FormatVersion::Post1_6), &update, &program.protected()).unwrap();
        let old = fs::read(&path).unwrap();
        program.memory.get_mut(&1).unwrap().0[700] ^= 1;
        writer.prepare(&path, &with_time(FormatVersion::Post1_6), &update, &program.protected()).unwrap();
        let journal = fs::read(journal_of(&path)).unwrap();
        let try_it = |bytes: &[u8]| {
            fs::write(journal_of(&path), bytes).unwrap();
            resolve(&path, Resolution::Commit)
        };
        for bit in 0..8 * journal.len() {
            let mut damaged = journal.clone();
            damaged[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(try_it(&damaged), Ok(false), "{bit}");
        }
        for size in 0..journal.len() {
            assert_eq!(try_it(&journal[..size]), Ok(false), "{size}");
        }
        assert_eq!(fs::read(&path).unwrap(), old);
        // What was left of a longer one is no harm.
        let longer = [&journal[..], &[7; 100]].concat();
        assert_eq!(try_it(&longer), Ok(true));
        assert_ne!(fs::read(&path).unwrap(), old);
    }
}

/// A journal that says what the format does not know, or what it must not, counts as none, though its checksum is
/// right.
#[test]
fn invalid_journal_is_ignored() {
    let dir = quick_directory();
    let path = dir.path().join("file");
    let (mut program, mut writer) = (Program::default(), Writer::new());
    program.protect(1, 3000);
    let update = with(512, BlockHash::Crc32, UpdateMode::Journaled);
    writer.update(&path, &with_time(FormatVersion::Post1_6), &update, &program.protected()).unwrap();
    let old = fs::read(&path).unwrap();
    program.memory.get_mut(&1).unwrap().0[700] ^= 1;
    writer.prepare(&path, &with_time(FormatVersion::Post1_6), &update, &program.protected()).unwrap();
    let journal = fs::read(journal_of(&path)).unwrap();
    let number = |at: usize| u64::from_le_bytes(journal[at..][..8].try_into().unwrap());
    let described = 112 + 16 * number(72) as usize + 4 * number(80) as usize;
    let commit_it = |mut journal: Vec<u8>, described: usize| {
        let sum = fast_md5::digest(&[&journal[..96], &journal[112..described]].concat());
        journal[96..112].copy_from_slice(&sum);
        fs::write(journal_of(&path), journal).unwrap();
        (pending_update(&path).map(|pending| pending.is_some()), resolve(&path, Resolution::Commit))
    };
    // With other bytes at some place.
    let with = |at: usize, bytes: &[u8]| {
        let mut other = journal.clone();
        other[at..][..bytes.len()].copy_from_slice(bytes);
        other
    };
    let commit = |at: usize, bytes: &[u8]| commit_it(with(at, bytes), described);
    let size = old.len() as u64;
    let numbers: [(usize, u64); 10] = [
        (40, size - 1),
        (64, 511),
        (64, 65_536),
        (72, number(72) + 1),
        (72, u64::MAX),
        (80, number(80) - 1),
        (88, number(88) - 1),
        (88, u64::MAX),
        (112, number(112) + size),
        (112, u64::MAX - 100),
    ];
    for (at, bytes) in [(0, b'f'), (8, 2), (9, 0), (9, 1), (9, 3), (10, 2), (11, 1)] {
        assert_eq!(commit(at, &[bytes]), (Ok(false), Ok(false)), "{bytes} at {at}");
    }
    for (at, number) in numbers {
        assert_eq!(commit(at, &number.to_le_bytes()), (Ok(false), Ok(false)), "{number} at {at}");
    }
    // Data that no record has, and a hash of no block.
    let mut longer = with(88, &(number(88) + 1).to_le_bytes());
    longer.push(0);
    assert_eq!(commit_it(longer, described), (Ok(false), Ok(false)));
    let mut longer = with(80, &(number(80) + 1).to_le_bytes());
    longer.splice(described..described, [0; 4]);
    assert_eq!(commit_it(longer, described + 4), (Ok(false), Ok(false)));
    assert_eq!(fs::read(&path).unwrap(), old);
    assert_eq!(commit(0, b"F"), (Ok(true), Ok(true)));
    assert_eq!(recover(&Checkpoint::parse(&fs::read(&path).unwrap()).unwrap(), 1).unwrap()[&1], program.memory[&1].0[..3000]);
}

/// A journal belongs to a file without a valid header, of a size between the old and the new one. A committed one
/// cannot be rolled back.
#[test]
fn journal_of_another_file_is_ignored() {
    let dir = quick_directory();
    let path = dir.path().join("file");
    let (options, update) = (with_time(FormatVersion::Post1_6), with(512, BlockHash::Md5, UpdateMode::Journaled));
    let of =
        |writer: &mut Writer, size: usize| writer.prepare(&path, &options, &update, &[ProtectedVariable::new(1, &vec![7; size])]);
    let mut writer = Writer::new();
    of(&mut writer, 3000).unwrap();
    assert_eq!(resolve(&path, Resolution::Commit), Ok(true));
    let before = fs::read(&path).unwrap();
    of(&mut writer, 5000).unwrap();
    let journal = fs::read(journal_of(&path)).unwrap();
    assert_eq!(resolve(&path, Resolution::Commit), Ok(true));
    let after = fs::read(&path).unwrap();
    assert!(after.len() > before.len() + 2000);

    fs::write(journal_of(&path), &journal).unwrap();
    assert_eq!(resolve(&path, Resolution::Rollback), Err(Error::PartiallyApplied));
    for (size, is_for) in [
        (1, false),
        (before.len() - 1, false),
        (before.len(), true),
        (before.len() + 1, true),
        (after.len() - 1, true),
        (after.len(), true),
        (after.len() + 1, false),
    ] {
        fs::write(journal_of(&path), &journal).unwrap();
        fs::write(&path, vec![1; size]).unwrap();
        assert_eq!(
            (pending_update(&path).map(|it| it.is_some()), resolve(&path, Resolution::Commit)),
            (Ok(is_for), Ok(is_for)),
            "{size}"
        );
    }
}

/// A file that cannot be opened is an error, not a missing file. A missing directory is a missing file.
#[test]
fn open_errors_are_reported() {
    let dir = quick_directory();
    let path = dir.path().join("file");
    let program = twenty_blocks();
    Writer::new().checkpoint(&path, &with_time(FormatVersion::Post1_6), &program.protected()).unwrap();
    let beyond = path.join("file");
    assert!(matches!(pending_update(&beyond), Err(Error::Io(_))) && matches!(complete_update(&beyond), Err(Error::Io(_))));
    let nowhere = dir.path().join("directory/file");
    assert_eq!(
        (pending_update(&nowhere), complete_update(&nowhere), resolve(&nowhere, Resolution::Commit)),
        (Ok(None), Ok(false), Ok(false))
    );
    let journal = journal_of(&path);
    std::os::unix::fs::symlink(&journal, &journal).unwrap();
    assert!(matches!(pending_update(&path), Err(Error::Io(_))) && matches!(complete_update(&path), Err(Error::Io(_))));
}

/// If more than half of the data is dirty, the file is replaced; at half of it, it is updated in place.
#[test]
fn mostly_changed_file_is_written_once() {
    let dir = quick_directory();
    let path = dir.path().join("file");
    let (mut program, mut writer) = (Program::default(), Writer::new());
    program.protect(1, 8 * 512);
    let update = with(512, BlockHash::Md5, UpdateMode::Journaled);
    let mut inode_after = |blocks: usize| {
        (0..blocks).for_each(|block| program.memory.get_mut(&1).unwrap().0[block * 512] ^= 1);
        let updated = writer.update(&path, &with_time(FormatVersion::Post1_6), &update, &program.protected()).unwrap();
        assert_eq!(updated.changed_blocks, if updated.is_full { 8 } else { blocks as u64 });
        fs::metadata(&path).unwrap().ino()
    };
    let first = inode_after(0);
    assert_eq!([inode_after(3), inode_after(4)], [first; 2]);
    assert_ne!(inode_after(5), first);
}

/// Data of several MiB, which is written piece by piece; and the containers that an update has made are those of the
/// next checkpoint.
#[test]
fn full_checkpoint_continues_after_updates() {
    let dir = quick_directory();
    let [path, ordinary] = ["file", "ordinary"].map(|name| dir.path().join(name));
    let (options, update, data) = (with_time(FormatVersion::Post1_6), UpdateOptions::default(), pattern(1, 1, 0, 5 << 20));
    let mut writer = Writer::new();
    for size in [3 << 20, 5 << 20] {
        let protected = [ProtectedVariable::new(1, &data[..size])];
        writer.update(&path, &options, &update, &protected).unwrap();
        writer.checkpoint(&ordinary, &options, &protected).unwrap();
        for path in [&path, &ordinary] {
            let file = fs::read(path).unwrap();
            let mut whole = vec![0; size];
            Checkpoint::parse(&file).unwrap().recover_variable(1, &mut whole).unwrap();
            assert!(whole == data[..size]);
        }
    }
    let file = fs::read(&ordinary).unwrap();
    let sizes: Vec<_> = Checkpoint::parse(&file).unwrap().containers().iter().map(|it| it.container_size).collect();
    assert_eq!(sizes, [3 << 20, 2 << 20]);
}

/// Two writers update the same file at once, whether it exists or not: an update reported as prepared stays so until it
/// is settled.
#[test]
fn concurrent_updates_are_isolated() {
    for (is_there, decision) in [(false, Resolution::Rollback), (true, Resolution::Commit)] {
        let dir = quick_directory();
        let path = &dir.path().join("file");
        let update = &with(512, BlockHash::Md5, UpdateMode::Journaled);
        if is_there {
            Writer::new().update(path, &with_time(FormatVersion::Post1_6), update, &[]).unwrap();
        }
        let end = Instant::now() + Duration::from_millis(500);
        let prepares = |me: i32| {
            let (mut options, mut count) = (with_time(FormatVersion::Post1_6), 0);
            while count < 2 || Instant::now() < end {
                options.ckpt_id = 2 * count + me;
                let data = vec![options.ckpt_id as u8; 20_000 + count as usize % 3 * 500];
                match Writer::new().prepare(path, &options, update, &[ProtectedVariable::new(1, &data)]) {
                    Err(Error::FileBusy | Error::TransactionInDoubt) => continue,
                    prepared => prepared.unwrap(),
                };
                let reported = in_peace(|| pending_update(path)).unwrap().map(|it| (it.is_prepared, it.ckpt_id));
                assert_eq!(reported, Some((true, options.ckpt_id)));
                assert_eq!(in_peace(|| resolve(path, decision)), Ok(true));
                count += 1;
            }
        };
        std::thread::scope(|scope| {
            scope.spawn(|| prepares(1));
            prepares(0);
        });
        assert!(path.exists() == is_there && pending_update(path) == Ok(None));
    }
}

/// Repeats a call until no other writer has the file.
fn in_peace<R>(mut job: impl FnMut() -> Result<R, Error>) -> Result<R, Error> {
    loop {
        match job() {
            Err(Error::FileBusy) => std::thread::yield_now(),
            result => return result,
        }
    }
}

/// A checkpoint that replaces the file while its update is being completed: not a byte of it changes.
#[test]
fn replaced_file_is_not_updated() {
    let dir = quick_directory();
    let [path, other] = ["file", "other"].map(|name| dir.path().join(name));
    let (options, update) = (with_time(FormatVersion::Post1_6), with(65_535, BlockHash::Md5, UpdateMode::Journaled));
    let mut writer = Writer::new();
    let of = |byte: u8| vec![byte; 16 << 20];
    writer.update(&path, &options, &update, &[ProtectedVariable::new(1, &of(1))]).unwrap();
    writer.prepare(&path, &options, &update, &[ProtectedVariable::new(1, &of(2))]).unwrap();
    Writer::new().checkpoint(&other, &options, &[ProtectedVariable::new(1, &of(3))]).unwrap();
    let wanted = fs::read(&other).unwrap();
    let file = fs::File::open(&path).unwrap();
    let settled = std::thread::scope(|scope| {
        let settling = scope.spawn(|| in_peace(|| resolve(&path, Resolution::Commit)));
        // It is locked as long as the journal is read.
        // SAFETY: takes no memory.
        while unsafe { libc::flock(file.as_raw_fd(), libc::LOCK_EX | libc::LOCK_NB) } == 0 {
            // SAFETY: as before.
            unsafe { libc::flock(file.as_raw_fd(), libc::LOCK_UN) };
            std::thread::yield_now();
        }
        fs::rename(&other, &path).unwrap();
        settling.join().unwrap()
    });
    assert!(fs::read(&path).unwrap() == wanted, "{settled:?}");
}

/// Journal, hashes and the replacement of a file have the permissions of that file.
#[test]
fn permissions_are_kept() {
    let dir = quick_directory();
    let path = dir.path().join("file");
    let (mut program, mut writer) = (twenty_blocks(), Writer::new());
    let (options, mut update) = (with_time(FormatVersion::Post1_6), with(512, BlockHash::Md5, UpdateMode::Journaled));
    writer.update(&path, &options, &update, &program.protected()).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
    let modes = || fs::read_dir(&dir).unwrap().map(|it| it.unwrap().metadata().unwrap().mode() & 0o7777).collect::<Vec<_>>();
    update.save_hashes = true;
    program.memory.get_mut(&1).unwrap().0[0] ^= 1;
    assert_eq!(writer.update(&path, &options, &update, &program.protected()).unwrap().changed_blocks, 1);
    assert_eq!(modes(), [0o640; 3]);
    assert!(Writer::new().update(&path, &options, &update, &program.protected()).unwrap().is_full);
    assert_eq!(modes(), [0o640; 3]);
}

/// What is prepared can be committed on a device that is full by then.
#[test]
fn space_for_growth_is_preallocated() {
    let Ok(dir) = tempfile::tempdir_in("/dev/shm") else { return };
    let path = dir.path().join("file");
    let (options, update, data) = (with_time(FormatVersion::Post1_6), UpdateOptions::default(), vec![1; 3 << 20]);
    let mut writer = Writer::new();
    writer.update(&path, &options, &update, &[ProtectedVariable::new(1, &data[..1 << 20])]).unwrap();
    let size = fs::metadata(&path).unwrap().len();
    writer.prepare(&path, &options, &update, &[ProtectedVariable::new(1, &data)]).unwrap();
    let grown = fs::metadata(&path).unwrap();
    assert!(grown.len() == size && grown.blocks() * 512 >= 3 << 20, "{grown:?}");
    assert_eq!(resolve(&path, Resolution::Commit), Ok(true));
}

/// A name may be so long that the journal's is too long: then there is none.
#[test]
fn long_file_name() {
    let dir = quick_directory();
    let program = twenty_blocks();
    for length in [247, 248, 255] {
        let path = dir.path().join("n".repeat(length));
        Writer::new().checkpoint(&path, &with_time(FormatVersion::Post1_6), &program.protected()).unwrap();
        assert_eq!((complete_update(&path), pending_update(&path)), (Ok(false), Ok(None)));
    }
}

/// The short form of `make demo-mpi`: an MPI program is killed and resumes, with full and differential checkpoints,
/// also repartitioned.
#[test]
fn mpi_ranks_resume_together() {
    if !(common::has_program("mpicc") && common::has_program("mpirun")) {
        return;
    }
    let (build, dir) = (common::temp_dir("mpi"), quick_directory());
    for (name, mut compiler) in [("mpi_heat", Command::new("mpicc")), ("fti_repartition", common::cc())] {
        compiler.args(["-std=gnu11", "-Wall", "-Wextra", "-Werror", "-O2", "-I"]).arg(common::root().join("include"));
        compiler.arg(common::root().join(format!("examples/{name}.c"))).arg("-o").arg(build.join(name));
        common::run(compiler.args(common::link_flags()));
    }
    let said = common::run(
        Command::new(common::root().join("examples/mpi_demo.sh"))
            .arg(&build)
            .args(["30", "1"])
            .env("RANKS", "2")
            .env("TMPDIR", dir.path()),
    );
    assert!(said.ends_with("all results are the same\n") && said.matches("killed after").count() == 2, "{said}");

    // A file of which no update could be abandoned is gone before one is prepared.
    let start = |steps: &str| {
        let mut mpirun = Command::new("mpirun");
        mpirun.env("OMPI_ALLOW_RUN_AS_ROOT", "1").env("OMPI_ALLOW_RUN_AS_ROOT_CONFIRM", "1");
        mpirun.args(["--oversubscribe", "-n", "2"]).arg(build.join("mpi_heat")).arg(dir.path());
        common::run(mpirun.args(["damaged", steps, "differential"]))
    };
    start("5");
    let files = [0, 1].map(|rank| dir.path().join(format!("global/damaged/dCP/dCPFile-Rank{rank}.fti")));
    let mut damaged = fs::read(&files[1]).unwrap();
    damaged[1000] ^= 1;
    fs::write(&files[1], damaged).unwrap();
    assert!(start("0").contains("checkpoint: none") && files[0].exists() && !files[1].exists());

    // Names, directories and rank metadata are those of FTI (golden `ranks3_*`): the second and third checkpoint
    // remain.
    let mut mpirun = Command::new("mpirun");
    mpirun.env("OMPI_ALLOW_RUN_AS_ROOT", "1").env("OMPI_ALLOW_RUN_AS_ROOT_CONFIRM", "1");
    mpirun.args(["--oversubscribe", "-n", "3"]).arg(build.join("mpi_heat")).arg(dir.path()).args(["heat", "15", "ordinary"]);
    common::run(&mut mpirun);
    let place = |level: i32, name: String| dir.path().join(format!("node0/heat/l{level}")).join(name);
    let of = |level: i32| [0, 1, 2].map(|rank| fs::read(place(level, format!("Ckpt{level}-Rank{rank}.fti"))).unwrap());
    let (second, third) = (of(2), of(3));
    assert_ne!(second[0].len(), second[1].len());
    let largest = third.iter().map(Vec::len).max().unwrap() as i64;
    for rank in 0..3 {
        let left = &second[(rank + 2) % 3];
        let facts = [&second[rank], &third[rank]].map(|file| {
            let checkpoint = Checkpoint::parse(file).unwrap();
            assert_eq!(verify(&checkpoint).1, []);
            let header = checkpoint.header();
            (header.ckpt_id, header.pt_fs, header.max_fs)
        });
        assert_eq!(facts, [(Some(2), left.len() as i64, -1), (Some(3), -1, largest + 8)]);
        assert_eq!(fs::read(place(2, format!("Ckpt2-Pcof{rank}.fti"))).unwrap(), *left);
    }
}

/// Bytes that an ordinary checkpoint has otherwise: slack and hasCkpt.
fn mask(file: &mut [u8]) {
    let checkpoint = Checkpoint::parse(file).unwrap();
    let has_ckpt = match checkpoint.version() {
        FormatVersion::V1_3 => 13,
        _ => 9,
    };
    let containers = checkpoint.containers().to_vec();
    for container in containers {
        let slack = container.fptr + container.chunk_size..container.fptr + container.container_size;
        file[slack.start as usize..slack.end as usize].fill(0);
        file[container.offset as usize + has_ckpt] = 0;
    }
}

/// What a program does between two checkpoints: sizes of its variables, bytes that it changes, whether it is restarted.
type Step = (Vec<usize>, Vec<(usize, usize)>, bool);

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let size = prop_oneof![1 => Just(0usize), 2 => (1usize..5).prop_map(|it| it * 512), 6 => 0usize..4000];
    let changes = prop::collection::vec((0usize..4, 0usize..4000), 0..4);
    prop::collection::vec((prop::collection::vec(size, 1..5), changes, any::<bool>()), 1..8)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, failure_persistence: None, ..Default::default() })]

    /// Whatever changes, grows, shrinks and is restarted: the file is, but for slack and hasCkpt, the one that an
    /// ordinary checkpoint writes.
    #[test]
    fn updated_file_equals_rewritten_file(
        steps in steps(), version in 2usize..6, safe in any::<bool>(), md5 in any::<bool>(), threads in 1usize..4, keep in any::<bool>(),
    ) {
        let dir = quick_directory();
        let [path, ordinary, other] = ["file", "ordinary", "other"].map(|name| dir.path().join(name));
        let mut update = with(512, HASHES[usize::from(!md5)], MODES[usize::from(!safe)]);
        update.save_hashes = keep;
        let mut options = with_time(FormatVersion::ALL[version]);
        options.threads = threads;
        let (mut writer, mut model, mut twin) = (Writer::new(), Writer::new(), Writer::new());
        let mut program = Program::default();
        for (number, (sizes, changes, restarts)) in steps.iter().enumerate() {
            options.ckpt_id = number as i32;
            // Variables stay.
            for (id, size) in (0..).zip(sizes) {
                program.protect(id, *size);
            }
            for &(id, at) in changes {
                if let Some((memory, _)) = program.memory.get_mut(&(id as i32)) {
                    memory[at] ^= 1 + number as u8;
                }
            }
            let updated: UpdateStats = writer.update(&path, &options, &update, &program.protected()).unwrap();
            // In the other mode it is the same, slack included.
            let twins = with(512, update.hash, MODES[usize::from(safe)]);
            twin.update(&other, &options, &twins, &program.protected()).unwrap();
            prop_assert!(fs::read(&path).unwrap() == fs::read(&other).unwrap());
            prop_assert!(number == 0 || *restarts || steps[number - 1].2 || !updated.is_full);
            prop_assert!(updated.changed_blocks <= updated.blocks && updated.hashes_saved == keep);
            model.checkpoint(&ordinary, &options, &program.protected()).unwrap();
            let (mut file, mut wanted) = (fs::read(&path).unwrap(), fs::read(&ordinary).unwrap());
            prop_assert_eq!(verify(&Checkpoint::parse(&file).unwrap()).1, []);
            if !Checkpoint::parse(&file).unwrap().containers().is_empty() {
                mask(&mut file);
                mask(&mut wanted);
                prop_assert!(file == wanted);
            }
            if *restarts {
                writer = resumed(&path);
                twin = resumed(&other);
            }
        }
        let left = fs::read_dir(dir.path()).unwrap().map(|it| it.unwrap().file_name().into_string().unwrap());
        prop_assert!(left.into_iter().all(|name| !name.starts_with(".fdckpt")));
    }
}
