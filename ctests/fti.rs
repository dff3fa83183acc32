//! FTI-FF: the golden files of FTI itself, of all generations, read, checked and written again; what comes of damage; converting,
//! comparing and repairing.

mod support;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use fdckpt::Error;
use fdckpt::fti::{
    Checkpoint, Difference, Durability, Field, Finding, Generation, Options, Protected, ProtectedMut, Rule, Severity, Verdict,
    Writer, convert, diff, repair,
};
use md5::{Digest, Md5};
use proptest::prelude::*;
use serde_json::Value as Json;

fn golden(generation: Generation) -> PathBuf {
    support::root().join(format!("ctests/golden/fti/{generation}"))
}

fn json(path: impl AsRef<Path>) -> Json {
    serde_json::from_slice(&fs::read(path.as_ref()).unwrap_or_else(|error| panic!("{}: {error}", path.as_ref().display())))
        .unwrap()
}

fn hex(bytes: impl AsRef<[u8]>) -> String {
    bytes.as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
}

fn unhex(text: &Json) -> Vec<u8> {
    let text = text.as_str().unwrap();
    (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap()).collect()
}

fn md5(bytes: &[u8]) -> String {
    hex(Md5::digest(bytes))
}

fn number(value: &Json) -> i64 {
    value.as_i64().or_else(|| value.as_bool().map(i64::from)).unwrap_or_else(|| panic!("{value} is a number"))
}

/// The bytes of a variable as the vectors have them.
fn pattern(id: i32, generation: i64, rank: i64, size: usize) -> Vec<u8> {
    let base = (id as u64).wrapping_mul(1_000_003).wrapping_add(generation as u64 * 7919).wrapping_add(rank as u64 * 104_729);
    let byte = |k: u64| {
        let x = base.wrapping_add(k + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        ((x ^ x >> 32) >> 24) as u8
    };
    (0..size as u64).map(byte).collect()
}

/// What a program did.
enum Call {
    Protect(i32, usize),
    Checkpoint,
    Restart,
    Recover,
}

/// The calls of a case, where they are those of ordinary checkpoints.
fn calls(case: &Json) -> Option<Vec<Call>> {
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
fn order(case: &Json, protected: &BTreeMap<i32, usize>, by_protection: &[i32]) -> Vec<i32> {
    let first = case["calls"].as_array().unwrap().iter().find_map(|call| call.as_str().unwrap().strip_prefix("FTI_InitICP("));
    let Some(first) = first else { return by_protection.to_vec() };
    let added = first.split("FTI_AddVarICP(").skip(1).map(|rest| rest.split(')').next().unwrap().parse().unwrap());
    added.inspect(|id| assert!(protected.contains_key(id))).collect()
}

fn options(generation: Generation, case: &Json) -> Options {
    let mut options = Options::new(generation, number(&case["ckpt_id"]) as i32);
    let fb = &case["fb"];
    let size = |name: &str| Some(number(&fb[name])).filter(|size| *size >= 0).map(|size| size as u64);
    options.partner_fs = size("ptFs");
    let more = if matches!(generation, Generation::A | Generation::B) { 0 } else { 8 };
    options.group_fs = size("maxFs").map(|size| size - more);
    options.timestamp = Some(number(&fb["timestamp"]));
    options.durability = Durability::None;
    let padding = unhex(&fb["padding_hex"]);
    options.leftovers.header[..padding.len()].copy_from_slice(&padding);
    for container in containers(case) {
        let mut padding = [0; 3];
        if let Some(leftover) = container.get("padding_hex") {
            padding.copy_from_slice(&unhex(leftover));
        }
        options.leftovers.containers.push((container.get("hasCkpt").map_or(0, number) as u8, padding));
    }
    options
}

fn containers(case: &Json) -> impl Iterator<Item = &Json> {
    case["blocks"].as_array().unwrap().iter().flat_map(|block| block["vars"].as_array().unwrap())
}

/// Makes the checkpoints of a case anew, and returns the last of them; on so many threads.
fn replay(generation: Generation, case: &Json, threads: usize) -> Option<Vec<u8>> {
    let calls = calls(case)?;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(case["file"].as_str().unwrap());
    let mut writer = Writer::new();
    let (mut sizes, mut by_protection) = (BTreeMap::new(), Vec::new());
    let (mut count, last) = (0, calls.iter().filter(|call| matches!(call, Call::Checkpoint)).count());
    let others = json(golden(generation).join("cases.json"));
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
                // What the variables were at an earlier checkpoint, another case tells.
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
                let protected: Vec<Protected> = data.iter().map(|(id, data)| Protected::new(*id, data)).collect();
                let mut options = options(generation, case);
                options.threads = threads;
                if count < last {
                    options.leftovers = Default::default();
                }
                let size = writer.size(generation, &protected).unwrap();
                writer.checkpoint(&path, &options, &protected).unwrap();
                assert_eq!(fs::metadata(&path).unwrap().len(), size);
            }
        }
    }
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "no temporary file");
    Some(fs::read(&path).unwrap())
}

/// All cases with a checkpoint of variables, and their files. Of some the file is not kept: what the writer makes has the hash of
/// the one that FTI made.
fn cases() -> &'static [(Generation, Json, Vec<u8>)] {
    static CASES: LazyLock<Vec<(Generation, Json, Vec<u8>)>> = LazyLock::new(read_cases);
    &CASES
}

fn read_cases() -> Vec<(Generation, Json, Vec<u8>)> {
    let mut all = Vec::new();
    for generation in Generation::ALL {
        for case in json(golden(generation).join("cases.json")).as_array().unwrap() {
            if case.get("blocks").is_none() {
                continue;
            }
            let path = golden(generation).join(case["file"].as_str().unwrap());
            let file = fs::read(path).unwrap_or_else(|_| replay(generation, case, 1).unwrap());
            assert_eq!(
                (file.len() as i64, md5(&file).as_str()),
                (number(&case["file_size"]), case["file_md5"].as_str().unwrap())
            );
            all.push((generation, case.clone(), file));
        }
    }
    assert_eq!(all.len(), 166);
    all
}

fn verify(checkpoint: &Checkpoint<'_>) -> (Verdict, Vec<Finding>) {
    let mut findings = Vec::new();
    let verdict = checkpoint.verify(1, &mut |finding| findings.push(*finding)).unwrap();
    let mut again = Vec::new();
    assert_eq!(checkpoint.verify(3, &mut |finding| again.push(*finding)).unwrap(), verdict);
    assert_eq!(again, findings, "whatever the number of threads");
    (verdict, findings)
}

/// Reads all variables at once, and one by one.
fn recover(checkpoint: &Checkpoint<'_>, threads: usize) -> Result<BTreeMap<i32, Vec<u8>>, Error> {
    if checkpoint.variables().iter().any(|variable| variable.size > 1 << 20) {
        // What a damaged file claims.
        let id = checkpoint.variables()[0].id;
        return Err(checkpoint.recover(&mut [ProtectedMut::new(id, &mut [])], threads).unwrap_err());
    }
    let mut all: BTreeMap<i32, Vec<u8>> =
        checkpoint.variables().iter().map(|variable| (variable.id, vec![0xa5; variable.size as usize])).collect();
    let mut protected: Vec<ProtectedMut> = all.iter_mut().map(|(id, data)| ProtectedMut::new(*id, data)).collect();
    checkpoint.recover(&mut protected, threads)?;
    for (id, data) in &all {
        let mut one = vec![0; data.len()];
        checkpoint.recover_variable(*id, &mut one)?;
        assert!(one == *data, "{id}");
    }
    Ok(all)
}

#[test]
fn golden_files_have_the_fields_of_their_descriptions() {
    for &(generation, ref case, ref file) in cases() {
        let name = format!("{generation} {}", case["file"]);
        assert!(Checkpoint::is_format(file), "{name}");
        let checkpoint = Checkpoint::parse(file).unwrap();
        assert_eq!(checkpoint.generation(), generation, "{name}");
        let (fb, header) = (&case["fb"], checkpoint.header());
        assert_eq!(header.offset as i64, number(&fb["offset"]), "{name}");
        assert_eq!(std::str::from_utf8(&header.checksum[..32]).unwrap(), fb["checksum"], "{name}");
        assert_eq!(header.checksum[32], 0, "{name}");
        assert_eq!(hex(header.my_hash), fb["myHash"], "{name}");
        let optional = |field: &str| fb.get(field).map(number);
        assert_eq!(header.ckpt_id.map(i64::from), optional("ckptId"), "{name}");
        assert_eq!(header.meta_size, optional("metaSize"), "{name}");
        assert_eq!(header.data_size, optional("dataSize"), "{name}");
        for (field, value) in [
            ("ckptSize", header.ckpt_size),
            ("fs", header.fs),
            ("maxFs", header.max_fs),
            ("ptFs", header.pt_fs),
            ("timestamp", header.timestamp),
        ] {
            assert_eq!(value, number(&fb[field]), "{name} {field}");
        }
        let blocks = case["blocks"].as_array().unwrap();
        assert_eq!(checkpoint.blocks().len(), blocks.len(), "{name}");
        for (block, described) in checkpoint.blocks().iter().zip(blocks) {
            let wanted = ["bmd_offset", "numvars", "dbsize"].map(|field| number(&described[field]));
            assert_eq!([block.offset as i64, block.num_vars.into(), block.db_size], wanted, "{name}");
            let described = described["vars"].as_array().unwrap();
            assert_eq!(block.containers.len(), described.len(), "{name}");
            for (container, described) in checkpoint.containers()[block.containers.clone()].iter().zip(described) {
                let optional = |field: &str| described.get(field).map(number);
                assert_eq!(container.idx.map(i64::from), optional("idx"), "{name}");
                assert_eq!(container.has_ckpt.map(i64::from), optional("hasCkpt"), "{name}");
                assert_eq!(hex(container.hash), described["hash"], "{name}");
                for (field, value) in [
                    ("vmd_offset", container.offset as i64),
                    ("id", container.id.into()),
                    ("containerid", container.container_id.into()),
                    ("hascontent", container.has_content.into()),
                    ("dptr", container.dptr),
                    ("fptr", container.fptr),
                    ("chunksize", container.chunk_size),
                    ("containersize", container.container_size),
                ] {
                    assert_eq!(value, number(&described[field]), "{name} {field}");
                }
            }
        }
    }
}

#[test]
fn golden_files_verify_and_give_their_variables() {
    let mut refused = 0;
    for &(generation, ref case, ref file) in cases() {
        let name = format!("{generation} {}", case["file"]);
        let checkpoint = Checkpoint::parse(file).unwrap();
        let (verdict, findings) = verify(&checkpoint);
        if case["file"].as_str().unwrap().starts_with("defect") {
            assert!(!verdict.is_sound() && verdict.damage == findings.len() as u64, "{name}: {findings:?}");
            recover(&checkpoint, 1).expect_err("damaged");
            continue;
        }
        assert!(verdict.is_sound(), "{name}: {findings:?}");
        let checks = &case["checks"];
        let (reader, writer) = (&checks["checksum_matches_reader_rule"], &checks["checksum_matches_writer_rule"]);
        let rule = if reader == true || checks["checksum_matches"] == true { Rule::Reader } else { Rule::Writer };
        assert_eq!(verdict.rule, rule, "{name}");
        // FTI itself refuses just those.
        let fti_refuses = reader == false && writer == true;
        assert_eq!((verdict.refused, verdict.remarks), (fti_refuses.into(), 0), "{name}: {findings:?}");
        assert!(
            case.get("fti").is_none_or(|outcome| (outcome == "recovered correctly") != fti_refuses),
            "{name}: {}",
            case["fti"]
        );
        refused += u64::from(fti_refuses);

        let variables = recover(&checkpoint, 1).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!(recover(&checkpoint, 4), Ok(variables.clone()), "{name}");
        let described = case["variables"].as_array().unwrap();
        let in_order: Vec<i64> = checkpoint.variables().iter().map(|variable| variable.id.into()).collect();
        assert!(
            case["file"].as_str().unwrap().starts_with("icp")
                || in_order == described.iter().map(|it| number(&it["id"])).collect::<Vec<_>>(),
            "{name}"
        );
        assert_eq!(variables.len(), described.len(), "{name}");
        for variable in described {
            let data = &variables[&(number(&variable["id"]) as i32)];
            assert_eq!(
                (data.len() as i64, md5(data).as_str()),
                (number(&variable["size"]), variable["md5"].as_str().unwrap()),
                "{name}"
            );
        }
    }
    assert_eq!(refused, 10);
}

/// All ordinary checkpoints, byte for byte; where a container is empty, all but the checksum that FTI itself refuses, and the hash
/// over it.
#[test]
fn golden_files_are_written_as_they_are() {
    let (mut same, mut by_reader_rule) = (0, 0);
    for &(generation, ref case, ref file) in cases() {
        let name = format!("{generation} {}", case["file"]);
        if case["file"].as_str().unwrap().starts_with("rule") {
            continue;
        }
        let Some(mut written) = replay(generation, case, 1) else { continue };
        assert!(replay(generation, case, 2).unwrap() == written, "{name}: by two threads");
        let has_empty = containers(case).any(|container| container["hascontent"] == false);
        let checkpoint = Checkpoint::parse(&written).unwrap();
        assert_eq!(verify(&checkpoint).1, [], "{name}");
        let begin = checkpoint.header().offset as usize;
        if has_empty && generation == Generation::B {
            continue;
        }
        if has_empty && generation != Generation::A {
            let wanted = case["checks"]["checksum_reader_rule"].as_str().unwrap();
            assert_eq!(std::str::from_utf8(&written[begin..begin + 32]).unwrap(), wanted, "{name}");
            written[begin..begin + 49].copy_from_slice(&file[begin..begin + 49]);
            by_reader_rule += 1;
        }
        let differs = written.iter().zip(file).position(|(a, b)| a != b);
        assert!(written == *file, "{name} differs at {differs:?}, {} and {} bytes", written.len(), file.len());
        same += 1;
    }
    assert!(same >= 120 && by_reader_rule >= 8, "{same} {by_reader_rule}");
}

fn case_file(generation: Generation, name: &str) -> Vec<u8> {
    cases().iter().find(|(of, case, _)| *of == generation && case["file"] == name).unwrap_or_else(|| panic!("{name}")).2.clone()
}

/// What a sound checker says of each, beside what FTI does: the field that was changed, where it is.
#[test]
fn damage_is_told_by_field_and_place() {
    for generation in [Generation::A, Generation::E] {
        let described = json(golden(generation).join("corruptions.json"));
        let base = case_file(generation, described["base"].as_str().unwrap());
        let original = recover(&Checkpoint::parse(&base).unwrap(), 1).unwrap();
        for case in described["cases"].as_array().unwrap() {
            let name = case["name"].as_str().unwrap();
            let mut file = base.clone();
            let mut place = 0;
            match case["op"].as_str().unwrap() {
                "none" => {}
                "xor" => {
                    place = number(&case["offset"]) as usize;
                    file[place] ^= number(&case["value"]) as u8;
                }
                "truncate" => file.truncate(number(&case["new_size"]) as usize),
                "append_zeros" => file.resize(file.len() + number(&case["count"]) as usize, 0),
                "zero_all" => file.fill(0),
                other => panic!("{other}"),
            }
            let is_a = generation == Generation::A;
            let parsed = Checkpoint::parse(&file);
            let unreadable = matches!(name, "trunc_40" | "empty" | "zero_all") || (!is_a && name.starts_with("trunc"));
            if unreadable {
                assert!(matches!(parsed, Err(Error::Unrecognized(_))), "{name}: {parsed:?}");
                continue;
            }
            let checkpoint = parsed.unwrap_or_else(|error| panic!("{generation} {name}: {error}"));
            assert_eq!(checkpoint.generation(), generation, "{name}");
            let (verdict, findings) = verify(&checkpoint);
            let told: Vec<String> = findings.iter().map(Finding::to_string).collect();
            // Which field is to be told, where it is not the place that was changed.
            let field = match name {
                "none" | "fb_pad" | "fb_ckptId" | "vmd_hasckpt" => None,
                "slack_flip" | "vmd_id" if !is_a => None,
                "append_1" | "append_64" if is_a => {
                    assert_eq!((verdict.damage, verdict.remarks), (0, 1), "{name}: {told:?}");
                    continue;
                }
                "data_flip" => Some((Field::Data, checkpoint.containers()[0].fptr as usize)),
                "fb_checksum" => Some((Field::Checksum, place)),
                "fb_checksum_nul" => Some((Field::Checksum, place)),
                "fb_ckptSize" => Some((Field::CkptSize, place)),
                "fb_fs" => Some((Field::Fs, place)),
                "fb_metaSize" => Some((Field::MetaSize, place)),
                "fb_dataSize" => Some((Field::DataSize, place)),
                "fb_myhash" => Some((Field::MyHash, place)),
                "fb_maxFs" | "fb_ptFs" | "fb_timestamp" => Some((Field::MyHash, checkpoint.header().offset as usize + 33)),
                "slack_flip" | "vmd_id" | "vmd_pad" => Some((Field::Checksum, checkpoint.header().offset as usize)),
                "bmd_numvars" => Some((Field::NumVars, place)),
                "bmd_numvars_big" => Some((Field::NumVars, place - 1)),
                "bmd_dbsize" => Some((Field::DbSize, place)),
                // The other variable of this idx comes later.
                "vmd_idx" => Some((Field::Checksum, checkpoint.header().offset as usize)),
                "vmd_containerid" => Some((Field::ContainerId, place)),
                "vmd_hascontent" => Some((Field::HasContent, place)),
                "vmd_dptr" => Some((Field::Dptr, place)),
                "vmd_fptr" => Some((Field::Fptr, place)),
                "vmd_chunksize" => Some((Field::ChunkSize, place)),
                "vmd_containersize" => Some((Field::ContainerSize, place)),
                "vmd_hash" => Some((Field::Hash, place)),
                "trunc_1" | "trunc_half" | "append_1" | "append_64" => Some((Field::FileSize, base.len().min(file.len()))),
                other => panic!("{other}"),
            };
            let Some((field, at)) = field else {
                assert!(verdict.is_sound() && findings.is_empty(), "{generation} {name}: {told:?}");
                if name == "vmd_id" {
                    let mut one = vec![0; original[&1].len()];
                    assert_eq!(checkpoint.recover_variable(1, &mut one), Err(Error::NoSuchVariable { id: 1 }));
                } else {
                    assert_eq!(recover(&checkpoint, 1), Ok(original.clone()), "{name}");
                }
                continue;
            };
            let is_told = |finding: &&Finding| {
                (finding.field, finding.offset as usize, finding.severity) == (field, at, Severity::Damage)
                    && finding.expected != finding.found
            };
            assert!(findings.iter().any(|finding| is_told(&finding)), "{generation} {name} at {place}: {told:?}");
            assert!(recover(&checkpoint, 1).is_err(), "{generation} {name}");
        }
    }
}

/// Each bit of a small file of each generation: what is not told to be damage, leaves the data what it is.
#[test]
fn no_flipped_bit_gives_wrong_data() {
    let (mut bits, mut unnoticed, mut unreadable) = (0, 0, 0);
    for generation in Generation::ALL {
        let file = small(generation);
        let original = recover(&Checkpoint::parse(&file).unwrap(), 1).unwrap();
        for bit in 0..8 * file.len() {
            let mut damaged = file.clone();
            damaged[bit / 8] ^= 1 << (bit % 8);
            bits += 1;
            let Ok(checkpoint) = Checkpoint::parse(&damaged) else {
                unreadable += 1;
                continue;
            };
            let verdict = checkpoint.verify(1, &mut |_| {}).unwrap();
            let recovered = recover(&checkpoint, 1);
            assert_eq!(verdict.is_sound(), recovered.is_ok(), "bit {bit} of {generation}: {verdict:?} {recovered:?}");
            let Ok(recovered) = recovered else { continue };
            unnoticed += 1;
            // From B on nothing covers the id: a variable can be another one, its data is not.
            let values = |all: &BTreeMap<i32, Vec<u8>>| {
                let mut values: Vec<Vec<u8>> = all.values().cloned().collect();
                values.sort();
                values
            };
            assert_eq!(values(&recovered), values(&original), "bit {bit} of {generation}");
            assert!(recovered == original || generation != Generation::A, "bit {bit} of {generation}");
        }
        for size in 0..file.len() {
            if let Ok(checkpoint) = Checkpoint::parse(&file[..size]) {
                // FTI leaves out a container at the end that is empty, in B.
                if generation == Generation::B && recover(&checkpoint, 1) == Ok(original.clone()) {
                    continue;
                }
                assert!(!verify(&checkpoint).0.is_sound() && recover(&checkpoint, 1).is_err(), "{size} bytes of {generation}");
            }
        }
    }
    println!("{bits} bits: {unnoticed} not noticed, {unreadable} make the file unreadable");
}

/// A small file with slack, a container without content, and a variable that has grown.
fn small(generation: Generation) -> Vec<u8> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("file");
    let mut writer = Writer::new();
    let options = with_time(generation);
    for sizes in [[10, 20, 5], [10, 25, 12], [7, 25, 5]] {
        let data = [1, 2, 3].map(|id| (id, pattern(id, 1, 0, sizes[id as usize - 1])));
        let protected: Vec<Protected> = data.iter().map(|(id, data)| Protected::new(*id, data)).collect();
        writer.checkpoint(&path, &options, &protected).unwrap();
    }
    fs::read(&path).unwrap()
}

fn with_time(generation: Generation) -> Options {
    let mut options = Options::new(generation, 7);
    options.timestamp = Some(1_700_000_000_123_456_789);
    options.durability = Durability::None;
    options
}

#[test]
fn any_generation_becomes_any_other() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("converted");
    for from in Generation::ALL {
        for name in ["doc7_ckpt7.fti", "onevar_a.fti"] {
            let file = case_file(from, name);
            let checkpoint = Checkpoint::parse(&file).unwrap();
            for to in Generation::ALL {
                let mut options = with_time(to);
                options.threads = 2;
                convert(&checkpoint, &path, &options).unwrap();
                let converted = fs::read(&path).unwrap();
                let converted = Checkpoint::parse(&converted).unwrap();
                assert_eq!(converted.generation(), to);
                assert_eq!(verify(&converted).1, [], "{from} to {to}");
                assert_eq!(recover(&converted, 1), recover(&checkpoint, 1), "{from} to {to}");
                assert_eq!(diff(&checkpoint, &converted, &mut |it| panic!("{it:?}")), 0);
                let layout = |checkpoint: &Checkpoint| -> Vec<_> {
                    let of = checkpoint.containers().iter();
                    of.map(|it| (it.id, it.container_id, it.has_content, it.dptr, it.chunk_size, it.container_size)).collect()
                };
                assert_eq!(layout(&converted), layout(&checkpoint), "{from} to {to}");
            }
        }
    }
    // There and back: the same file.
    let file = small(Generation::E);
    convert(&Checkpoint::parse(&file).unwrap(), &path, &with_time(Generation::A)).unwrap();
    let a = fs::read(&path).unwrap();
    convert(&Checkpoint::parse(&a).unwrap(), &path, &with_time(Generation::E)).unwrap();
    let (back, file) = (fs::read(&path).unwrap(), &file);
    assert_eq!(Checkpoint::parse(&back).unwrap().containers().len(), Checkpoint::parse(file).unwrap().containers().len());
    // A damaged one is not converted.
    let mut damaged = file.clone();
    damaged[3] ^= 1;
    let checkpoint = Checkpoint::parse(&damaged).unwrap();
    let result = convert(&checkpoint, folder.path().join("not"), &with_time(Generation::B));
    assert!(
        matches!(result, Err(Error::FtiDamaged { field: Field::Hash, variable: Some(1), container: Some(0), .. })),
        "{result:?}"
    );
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
}

#[test]
fn differences_are_told_by_variable() {
    let make = |variables: &[(i32, &[u8])], generation| {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        let protected: Vec<Protected> = variables.iter().map(|(id, data)| Protected::new(*id, data)).collect();
        Writer::new().checkpoint(&path, &with_time(generation), &protected).unwrap();
        fs::read(&path).unwrap()
    };
    let one = make(&[(1, b"same"), (2, b"abcdef"), (3, b"longer"), (4, b"gone")], Generation::B);
    let other = make(&[(5, b"new"), (3, b"long"), (2, b"aXcdeX"), (1, b"same")], Generation::E);
    let mut differences = Vec::new();
    let (one, other) = (Checkpoint::parse(&one).unwrap(), Checkpoint::parse(&other).unwrap());
    assert_eq!(diff(&one, &other, &mut |difference| differences.push(*difference)), 4);
    let expected = [
        Difference::Data { id: 2, offset: 1, bytes: 2 },
        Difference::Size { id: 3, first: 6, second: 4 },
        Difference::OnlyInFirst { id: 4 },
        Difference::OnlyInSecond { id: 5 },
    ];
    assert_eq!(differences, expected);
}

#[test]
fn repair_sets_right_what_the_data_proves() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("file");
    let repaired = |file: &[u8]| {
        fs::write(&path, file).unwrap();
        let result = repair(&path, Durability::FileAndFolder);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
        (result, fs::read(&path).unwrap())
    };
    // What FTI refuses, becomes the file that it accepts.
    for generation in [Generation::C, Generation::D0, Generation::D, Generation::E] {
        let (result, file) = repaired(&case_file(generation, "doc7_ckpt7.fti"));
        assert_eq!(result, Ok(1), "{generation}");
        assert_eq!(verify(&Checkpoint::parse(&file).unwrap()).1, [], "{generation}");
        if generation == Generation::E {
            let begin = file.len() - 106;
            let wanted = json(golden(generation).join("cases.json"));
            let wanted = wanted.as_array().unwrap().iter().find(|case| case["file"] == "doc7_ckpt7.fti").unwrap();
            assert_eq!(std::str::from_utf8(&file[begin..begin + 32]).unwrap(), wanted["checks"]["checksum_reader_rule"]);
        }
    }
    for generation in Generation::ALL {
        let file = small(generation);
        let sound = Checkpoint::parse(&file).unwrap();
        assert_eq!(repaired(&file), (Ok(0), file.clone()), "nothing to do");
        // Each byte of the header. What is told elsewhere in the file is again what it was.
        let begin = sound.header().offset as usize;
        let size = if matches!(generation, Generation::A | Generation::B) {
            sound.containers()[0].offset as usize - 12
        } else {
            file.len() - begin
        };
        let mut as_it_was = 0;
        for at in 0..size {
            let mut damaged = file.clone();
            damaged[begin + at] ^= 0x11;
            let (result, after) = repaired(&damaged);
            let nothing_to_do = damaged == after;
            assert!(result.is_ok_and(|count| (count > 0) != nothing_to_do), "byte {at} of {generation}: {result:?}");
            assert_eq!(verify(&Checkpoint::parse(&after).unwrap()).1, [], "byte {at} of {generation}");
            assert!(at >= 49 || after == file, "byte {at} of {generation}");
            as_it_was += u32::from(after == file);
        }
        let sizes = match generation {
            Generation::A | Generation::B => 16,
            Generation::D => 16,
            _ => 32,
        };
        assert_eq!(as_it_was, 49 + sizes, "{generation}");
        // A hash, which the checksum proves wrong.
        let mut damaged = file.clone();
        let hash =
            sound.containers()[0].offset as usize + if generation == Generation::D { 34 } else { generation_hash(generation) };
        damaged[hash] ^= 1;
        let (result, after) = repaired(&damaged);
        assert!(result.is_ok() && after == file, "{generation}: {result:?}");
        // Data is never touched.
        let mut damaged = file.clone();
        damaged[sound.containers()[0].fptr as usize] ^= 1;
        let (result, after) = repaired(&damaged);
        assert!(
            matches!(result, Err(Error::FtiDamaged { field: Field::Data, .. })) && after == damaged,
            "{generation}: {result:?}"
        );
        // Bytes behind the end.
        let mut longer = file.clone();
        longer.extend([0; 70]);
        let (result, after) = repaired(&longer);
        if matches!(generation, Generation::A | Generation::B) {
            assert_eq!((result, after), (Ok(0), longer));
        } else {
            assert_eq!((result, after), (Ok(1), file));
        }
    }
}

fn generation_hash(generation: Generation) -> usize {
    match generation {
        Generation::A => 48,
        Generation::B | Generation::C => 46,
        _ => 42,
    }
}

#[test]
fn what_is_no_checkpoint_is_told_so() {
    for generation in [Generation::A, Generation::E] {
        let file = fs::read(golden(generation).join("ranks3_L3_RSed0.fti")).unwrap();
        let error = Checkpoint::parse(&file).unwrap_err();
        assert!(error.to_string().contains("level 3"), "{error}");
    }
    for file in [&b""[..], &[0; 5000], &[b'0'; 5000], &[0xff; 200], b"CKPT"] {
        assert!(matches!(Checkpoint::parse(file), Err(Error::Unrecognized(_))));
        assert!(!Checkpoint::is_format(file));
    }
}

#[test]
fn only_what_is_protected_is_recovered() {
    let file = small(Generation::E);
    let checkpoint = Checkpoint::parse(&file).unwrap();
    let mut memory = [[9; 7].to_vec(), vec![9; 25], vec![9; 5], vec![9; 6]];
    let [one, two, three, four] = &mut memory;
    let recover = |variables: &mut [ProtectedMut]| checkpoint.recover(variables, 1);
    assert_eq!(recover(&mut [ProtectedMut::new(1, one), ProtectedMut::new(2, two)]), Err(Error::VariableNotProtected { id: 3 }));
    let mut all = [ProtectedMut::new(2, two), ProtectedMut::new(1, one), ProtectedMut::new(3, four)];
    assert_eq!(recover(&mut all), Err(Error::VariableSize { id: 3, stored: 5, protected: 6 }));
    let mut all = [ProtectedMut::new(2, two), ProtectedMut::new(4, one), ProtectedMut::new(3, three)];
    assert_eq!(recover(&mut all), Err(Error::NoSuchVariable { id: 4 }));
    assert!(matches!(recover(&mut [ProtectedMut::new(3, three), ProtectedMut::new(3, four)]), Err(Error::Argument(_))));
    assert!(memory.iter().flatten().all(|&byte| byte == 9), "nothing was changed");
}

/// Sizes that the fields of D don't hold, without data of that size: the layout alone is asked.
#[test]
fn sizes_have_room_in_their_fields() {
    let file = tempfile::NamedTempFile::new().unwrap();
    file.as_file().set_len(3 << 30).unwrap();
    // SAFETY: nobody else has the file.
    let map = unsafe { memmap2::Mmap::map(file.as_file()).unwrap() };
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("file");
    let protected = [Protected::new(1, &map)];
    let result = Writer::new().checkpoint(&path, &with_time(Generation::D), &protected);
    assert!(matches!(result, Err(Error::TooLarge { .. })), "{result:?}");
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
    assert_eq!(Writer::new().size(Generation::E, &protected), Ok((3 << 30) + 12 + 58 + 106));
}

/// What is hashed by assembly code, another implementation hashes to the same.
#[test]
fn md5_is_md5() {
    let data = pattern(1, 1, 1, 5000);
    for size in (0..300).chain([1023, 4096, 5000]) {
        assert_eq!(hex(fast_md5::digest(&data[..size])), md5(&data[..size]), "{size}");
        let mut pieces = fast_md5::Md5::new();
        for piece in data[..size].chunks(1 + size % 67) {
            pieces.update(piece);
        }
        assert_eq!(hex(pieces.finalize()), md5(&data[..size]), "{size}");
    }
}

/// What a program does between two checkpoints: sizes of its variables (`None`: not protected), in which generation it saves, and
/// whether it is restarted.
type Step = (Vec<Option<usize>>, usize, bool);

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let size = prop_oneof![1 => Just(None), 2 => Just(Some(0)), 8 => (0usize..300).prop_map(Some)];
    prop::collection::vec((prop::collection::vec(size, 1..6), 0usize..6, any::<bool>()), 1..8)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, failure_persistence: None, ..Default::default() })]

    /// Whatever a program protects, saves and restarts: each file is sound, holds it, and has the least containers that it can.
    #[test]
    fn what_is_saved_is_recovered(steps in steps(), threads in 1usize..4) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        let mut writer = Writer::new();
        // Sizes of the containers of each variable, as they must be.
        let mut places: BTreeMap<i32, Vec<usize>> = BTreeMap::new();
        for (number, (sizes, generation, restarts)) in steps.iter().enumerate() {
            let generation = Generation::ALL[*generation];
            let data: Vec<(i32, Vec<u8>)> = (0..)
                .zip(sizes)
                .filter_map(|(id, size)| size.map(|size| (7 * id - 3, pattern(id, number as i64, 0, size))))
                .collect();
            let protected: Vec<Protected> = data.iter().map(|(id, data)| Protected::new(*id, data)).collect();
            let mut options = with_time(generation);
            options.threads = threads;
            writer.checkpoint(&path, &options, &protected).unwrap();

            if places.keys().any(|id| !data.iter().any(|(other, _)| other == id)) {
                places.clear();
            }
            for (id, data) in &data {
                let of = places.entry(*id).or_default();
                let room: usize = of.iter().sum();
                if of.is_empty() || data.len() > room {
                    of.push(data.len() - room);
                }
            }
            let file = fs::read(&path).unwrap();
            let checkpoint = Checkpoint::parse(&file).unwrap();
            // Without containers, C and D0 are the same.
            prop_assert!(checkpoint.generation() == generation || checkpoint.containers().is_empty());
            prop_assert_eq!(verify(&checkpoint).1, []);
            let recovered = recover(&checkpoint, threads).unwrap();
            prop_assert_eq!(&recovered, &data.into_iter().collect::<BTreeMap<_, _>>());
            let mut there: BTreeMap<i32, Vec<usize>> = BTreeMap::new();
            for container in checkpoint.containers() {
                there.entry(container.id).or_default().push(container.container_size as usize);
            }
            prop_assert_eq!(&there, &places);
            if *restarts {
                writer = Writer::resume(&checkpoint).unwrap();
            }
        }
    }

    /// Damage of any kind to a file with some of everything: it is told, or the data is what it was.
    #[test]
    fn damage_is_told_or_harmless(
        generation in 0usize..6,
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
        cut in prop::option::of(any::<prop::sample::Index>()),
    ) {
        let generation = Generation::ALL[generation];
        let mut file = small(generation);
        let original = recover(&Checkpoint::parse(&file).unwrap(), 1).unwrap();
        for (at, value) in changes {
            let at = at.index(file.len());
            file[at] = value;
        }
        if let Some(cut) = cut {
            file.truncate(cut.index(file.len()));
        }
        let Ok(checkpoint) = Checkpoint::parse(&file) else { return Ok(()) };
        let verdict = checkpoint.verify(1, &mut |finding| drop(finding.to_string())).unwrap();
        let recovered = recover(&checkpoint, 1);
        prop_assert_eq!(verdict.is_sound(), recovered.is_ok());
        if let Ok(recovered) = recovered {
            // But for the ids, which nothing covers from B on.
            let mut data = [recovered, original].map(|all| all.into_values().collect::<Vec<_>>());
            data.iter_mut().for_each(|data| data.sort());
            prop_assert_eq!(&data[0], &data[1]);
        }
    }
}
