//! The golden FTI files and their descriptions.

#![allow(dead_code, reason = "each test program uses a part of it")]

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use fdckpt::fti::Error;
use fdckpt::fti::{
    Checkpoint, FormatVersion, Issue, ProtectedVariable, ProtectedVariableMut, SyncMode, VerifyReport, WriteOptions, Writer,
};
use serde_json::Value as Json;

use crate::common;

pub fn golden(version: FormatVersion) -> PathBuf {
    common::root().join(format!("tests/golden/fti/{version}"))
}

pub fn json(path: impl AsRef<Path>) -> Json {
    serde_json::from_slice(&fs::read(path.as_ref()).unwrap_or_else(|error| panic!("{}: {error}", path.as_ref().display())))
        .unwrap()
}

pub fn hex(bytes: impl AsRef<[u8]>) -> String {
    bytes.as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
}

pub fn unhex(text: &Json) -> Vec<u8> {
    let text = text.as_str().unwrap();
    (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap()).collect()
}

/// By the code that the library uses: another one is slow in tests. That it is right has a test.
pub fn md5(bytes: &[u8]) -> String {
    hex(fast_md5::digest(bytes))
}

pub fn number(value: &Json) -> i64 {
    value.as_i64().or_else(|| value.as_bool().map(i64::from)).unwrap_or_else(|| panic!("{value} is a number"))
}

/// The bytes of a variable as the vectors have them.
pub fn pattern(id: i32, version: i64, rank: i64, size: usize) -> Vec<u8> {
    let base = (id as u64).wrapping_mul(1_000_003).wrapping_add(version as u64 * 7919).wrapping_add(rank as u64 * 104_729);
    let byte = |k: u64| {
        let x = base.wrapping_add(k + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        ((x ^ x >> 32) >> 24) as u8
    };
    (0..size as u64).map(byte).collect()
}

/// What a program did.
pub enum Call {
    Protect(i32, usize),
    Checkpoint,
    Restart,
    Recover,
}

/// The calls of a case, where they are those of ordinary checkpoints.
pub fn calls(case: &Json) -> Option<Vec<Call>> {
    let mut calls = Vec::new();
    for call in case["calls"].as_array()? {
        let call = call.as_str().unwrap();
        if call.contains("DCP") || call.contains("not protected any more") {
            return None;
        } else if let Some(arguments) = call.strip_prefix("FTI_Protect(") {
            let words: Vec<&str> = arguments.trim_end_matches(')').split(", ").collect();
            let element = match words[3] {
                "FTI_CHAR" => 1,
                "FTI_INTG" => 4,
                "FTI_DBLE" => 8,
                complex => complex.split(' ').nth(3).unwrap().parse().unwrap(),
            };
            calls.push(Call::Protect(words[0].parse().unwrap(), words[2].parse::<usize>().unwrap() * element));
        } else if call.starts_with("FTI_Checkpoint(") || call.starts_with("FTI_InitICP(") {
            calls.push(Call::Checkpoint);
        } else if call.contains("restart") {
            calls.push(Call::Restart);
        } else {
            assert_eq!(call, "FTI_Recover()");
            calls.push(Call::Recover);
        }
    }
    Some(calls)
}

/// The order in which the first incremental checkpoint adds variables, else that of protection.
pub fn order(case: &Json, protected: &BTreeMap<i32, usize>, by_protection: &[i32]) -> Vec<i32> {
    let first = case["calls"].as_array().unwrap().iter().find_map(|call| call.as_str().unwrap().strip_prefix("FTI_InitICP("));
    let Some(first) = first else { return by_protection.to_vec() };
    let added = first.split("FTI_AddVarICP(").skip(1).map(|rest| rest.split(')').next().unwrap().parse().unwrap());
    added.inspect(|id| assert!(protected.contains_key(id))).collect()
}

pub fn case_options(version: FormatVersion, case: &Json) -> WriteOptions {
    let mut options = WriteOptions::new(version, number(&case["ckpt_id"]) as i32);
    let fb = &case["fb"];
    let size = |name: &str| Some(number(&fb[name])).filter(|size| *size >= 0).map(|size| size as u64);
    options.partner_file_size = size("ptFs");
    let more = if matches!(version, FormatVersion::V1_1 | FormatVersion::V1_2) { 0 } else { 8 };
    options.group_max_file_size = size("maxFs").map(|size| size - more);
    options.timestamp = Some(number(&fb["timestamp"]));
    options.sync = SyncMode::None;
    options
}

/// Sets the padding of the header to that of FTI's file: FTI leaves it uninitialised, this library sets it to 0.
pub fn set_header_padding(file: &mut [u8], case: &Json) {
    let checkpoint = Checkpoint::parse(file).unwrap();
    let begin = checkpoint.header().offset as usize;
    let offset = match checkpoint.version() {
        FormatVersion::V1_1 => begin + 49,
        FormatVersion::V1_2 => begin + 89,
        _ => file.len() - 1,
    };
    let padding = unhex(&case["fb"]["padding_hex"]);
    assert!(file[offset..][..padding.len()].iter().all(|&byte| byte == 0));
    file[offset..][..padding.len()].copy_from_slice(&padding);
}

/// Sets all bytes that a checkpoint of this library has not in common with FTI's: padding, and `hasCkpt`, which FTI sets after a
/// differential checkpoint or a restart.
pub fn set_bytes_of_fti(file: &mut [u8], version: FormatVersion, case: &Json) {
    set_header_padding(file, case);
    let checkpoint = Checkpoint::parse(file).unwrap();
    let offsets: Vec<usize> = checkpoint.containers().iter().map(|container| container.offset as usize).collect();
    for (container, offset) in containers(case).zip(offsets) {
        let has_ckpt = match version {
            FormatVersion::V1_1 => {
                file[offset + 13..offset + 16].copy_from_slice(&unhex(&container["padding_hex"]));
                continue;
            }
            FormatVersion::V1_2 | FormatVersion::V1_3 => 13,
            _ => 9,
        };
        file[offset + has_ckpt] = number(&container["hasCkpt"]) as u8;
    }
    if version == FormatVersion::V1_1 {
        // The checksum covers the padding of containers, and the header's hash covers the checksum.
        let checksum = md5(&file[96..]);
        file[..32].copy_from_slice(checksum.as_bytes());
        let hashed = [0..33, 88..96, 56..64, 64..72, 80..88, 72..80].map(|field| &file[field]).concat();
        file[33..49].copy_from_slice(&fast_md5::digest(&hashed));
    }
}

pub fn containers(case: &Json) -> impl Iterator<Item = &Json> {
    case["blocks"].as_array().unwrap().iter().flat_map(|block| block["vars"].as_array().unwrap())
}

/// Writes the checkpoints of a case again with `threads` threads, and returns the last of them.
pub fn replay(version: FormatVersion, case: &Json, threads: usize) -> Option<Vec<u8>> {
    let calls = calls(case)?;
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join(case["file"].as_str().unwrap());
    let mut writer = Writer::new();
    let (mut sizes, mut by_protection) = (BTreeMap::new(), Vec::new());
    let (mut count, last) = (0, calls.iter().filter(|call| matches!(call, Call::Checkpoint)).count());
    let others = json(golden(version).join("cases.json"));
    for (made, call) in calls.iter().enumerate() {
        match call {
            Call::Protect(id, size) => {
                if sizes.insert(*id, *size).is_none() {
                    by_protection.push(*id);
                }
            }
            Call::Restart => {
                let file = fs::read(&path).unwrap();
                writer = Writer::resume(&Checkpoint::parse(&file).unwrap()).unwrap();
                (sizes, by_protection) = Default::default();
            }
            Call::Recover => {}
            Call::Checkpoint => {
                count += 1;
                // The variables of an earlier checkpoint are in another case.
                let so_far = &case["calls"].as_array().unwrap()[..=made];
                let other = others
                    .as_array()
                    .unwrap()
                    .iter()
                    .find(|other| other["calls"].as_array().is_some_and(|calls| calls == so_far));
                let described = if count == last { Some(case) } else { other };
                let data: Vec<(i32, Vec<u8>)> = order(case, &sizes, &by_protection)
                    .into_iter()
                    .map(|id| {
                        let mut variables = described.iter().flat_map(|case| case["variables"].as_array().unwrap());
                        let variable = variables.find(|variable| number(&variable["id"]) == i64::from(id));
                        let of =
                            variable.and_then(|variable| variable.get("pattern")).map_or(count as i64, |it| number(&it["gen"]));
                        (id, pattern(id, of, number(&case["rank"]), sizes[&id]))
                    })
                    .collect();
                let protected: Vec<ProtectedVariable> = data.iter().map(|(id, data)| ProtectedVariable::new(*id, data)).collect();
                let mut options = case_options(version, case);
                options.threads = threads;
                let size = writer.size(version, &protected).unwrap();
                writer.checkpoint(&path, &options, &protected).unwrap();
                assert_eq!(fs::metadata(&path).unwrap().len(), size);
            }
        }
    }
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1, "no temporary file");
    let mut file = fs::read(&path).unwrap();
    set_bytes_of_fti(&mut file, version, case);
    Some(file)
}

/// All cases with a checkpoint of variables, and their files. Of some the file is not kept: what the writer makes has
/// the hash of the one that FTI made.
pub fn cases() -> &'static [(FormatVersion, Json, Vec<u8>)] {
    static CASES: LazyLock<Vec<(FormatVersion, Json, Vec<u8>)>> = LazyLock::new(read_cases);
    &CASES
}

pub fn read_cases() -> Vec<(FormatVersion, Json, Vec<u8>)> {
    let mut all = Vec::new();
    for version in FormatVersion::ALL {
        for case in json(golden(version).join("cases.json")).as_array().unwrap() {
            if case.get("blocks").is_none() {
                continue;
            }
            let path = golden(version).join(case["file"].as_str().unwrap());
            let file = fs::read(path).unwrap_or_else(|_| replay(version, case, 1).unwrap());
            assert_eq!(
                (file.len() as i64, md5(&file).as_str()),
                (number(&case["file_size"]), case["file_md5"].as_str().unwrap())
            );
            all.push((version, case.clone(), file));
        }
    }
    assert_eq!(all.len(), 166);
    all
}

pub fn verify(checkpoint: &Checkpoint<'_>) -> (VerifyReport, Vec<Issue>) {
    let mut issues = Vec::new();
    let report = checkpoint.verify(1, &mut |issue| issues.push(*issue)).unwrap();
    let mut again = Vec::new();
    assert_eq!(checkpoint.verify(3, &mut |issue| again.push(*issue)).unwrap(), report);
    assert_eq!(again, issues, "whatever the number of threads");
    (report, issues)
}

/// Reads all variables at once, and one by one.
pub fn recover(checkpoint: &Checkpoint<'_>, threads: usize) -> Result<BTreeMap<i32, Vec<u8>>, Error> {
    if checkpoint.variables().iter().any(|variable| variable.size > 1 << 20) {
        // What a corrupt file claims.
        let id = checkpoint.variables()[0].id;
        return Err(checkpoint.recover(&mut [ProtectedVariableMut::new(id, &mut [])], threads).unwrap_err());
    }
    let mut all: BTreeMap<i32, Vec<u8>> =
        checkpoint.variables().iter().map(|variable| (variable.id, vec![0xa5; variable.size as usize])).collect();
    let mut protected: Vec<ProtectedVariableMut> =
        all.iter_mut().map(|(id, data)| ProtectedVariableMut::new(*id, data)).collect();
    checkpoint.recover(&mut protected, threads)?;
    for (id, data) in &all {
        let mut one = vec![0; data.len()];
        checkpoint.recover_variable(*id, &mut one)?;
        let mut pieces = Vec::new();
        let copied = checkpoint.copy_variable(*id, &mut |piece| {
            pieces.extend_from_slice(piece);
            Ok(())
        });
        assert!(copied.is_ok() && pieces == one, "variable {id} in pieces");
        assert!(one == *data, "{id}");
    }
    Ok(all)
}

pub fn case_file(version: FormatVersion, name: &str) -> Vec<u8> {
    cases().iter().find(|(of, case, _)| *of == version && case["file"] == name).unwrap_or_else(|| panic!("{name}")).2.clone()
}

/// A small file with slack, a container without content, and a variable that has grown.
pub fn small(version: FormatVersion) -> Vec<u8> {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("file");
    let mut writer = Writer::new();
    let options = with_time(version);
    for sizes in [[10, 20, 5], [10, 25, 12], [7, 25, 5]] {
        let data = [1, 2, 3].map(|id| (id, pattern(id, 1, 0, sizes[id as usize - 1])));
        let protected: Vec<ProtectedVariable> = data.iter().map(|(id, data)| ProtectedVariable::new(*id, data)).collect();
        writer.checkpoint(&path, &options, &protected).unwrap();
    }
    fs::read(&path).unwrap()
}

pub fn with_time(version: FormatVersion) -> WriteOptions {
    let mut options = WriteOptions::new(version, 7);
    options.timestamp = Some(1_700_000_000_123_456_789);
    options.sync = SyncMode::None;
    options
}
