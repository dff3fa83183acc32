//! FTI files of all versions, as FTI wrote them: read, written again, converted, compared.

use std::collections::BTreeMap;
use std::fs;

use crate::cases::*;
use crate::common;
use fdckpt::fti::Error;
use fdckpt::fti::{
    Checkpoint, ChecksumRule, Difference, Field, FormatVersion, ProtectedVariable, ProtectedVariableMut, Writer, convert, diff,
};
use md5::{Digest, Md5};
use proptest::prelude::*;

#[test]
fn golden_files_match_their_descriptions() {
    for &(version, ref case, ref file) in cases() {
        let name = format!("{version} {}", case["file"]);
        assert!(Checkpoint::is_format(file), "{name}");
        let checkpoint = Checkpoint::parse(file).unwrap();
        assert_eq!(checkpoint.version(), version, "{name}");
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
fn golden_files_verify_and_recover() {
    let mut refused = 0;
    for &(version, ref case, ref file) in cases() {
        let name = format!("{version} {}", case["file"]);
        let checkpoint = Checkpoint::parse(file).unwrap();
        let (report, issues) = verify(&checkpoint);
        if case["file"].as_str().unwrap().starts_with("defect") {
            assert!(!report.is_intact() && report.corrupt == issues.len() as u64, "{name}: {issues:?}");
            recover(&checkpoint, 1).expect_err("damaged");
            continue;
        }
        assert!(report.is_intact(), "{name}: {issues:?}");
        let checks = &case["checks"];
        let (reader, writer) = (&checks["checksum_matches_reader_rule"], &checks["checksum_matches_writer_rule"]);
        let rule = if reader == true || checks["checksum_matches"] == true {
            ChecksumRule::ReadByFti
        } else {
            ChecksumRule::WrittenByFti
        };
        assert_eq!(report.checksum_rule, rule, "{name}");
        // FTI itself refuses just those.
        let fti_refuses = reader == false && writer == true;
        assert_eq!((report.rejected, report.notes), (fti_refuses.into(), 0), "{name}: {issues:?}");
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

/// All ordinary checkpoints, byte for byte; where a container is empty, all but the checksum that FTI itself refuses,
/// and the hash over it.
#[test]
fn writes_golden_files() {
    let (mut same, mut by_reader_rule) = (0, 0);
    for &(version, ref case, ref file) in cases() {
        let name = format!("{version} {}", case["file"]);
        if case["file"].as_str().unwrap().starts_with("rule") {
            continue;
        }
        let Some(mut written) = replay(version, case, 1) else { continue };
        assert!(replay(version, case, 2).unwrap() == written, "{name}: by two threads");
        let has_empty = containers(case).any(|container| container["hascontent"] == false);
        let checkpoint = Checkpoint::parse(&written).unwrap();
        assert_eq!(verify(&checkpoint).1, [], "{name}");
        let begin = checkpoint.header().offset as usize;
        if has_empty && version == FormatVersion::V1_2 {
            continue;
        }
        if has_empty && version != FormatVersion::V1_1 {
            let wanted = case["checks"]["checksum_reader_rule"].as_str().unwrap();
            assert_eq!(std::str::from_utf8(&written[begin..begin + 32]).unwrap(), wanted, "{name}");
            written[begin..begin + 49].copy_from_slice(&file[begin..begin + 49]);
            by_reader_rule += 1;
        }
        let differs = written.iter().zip(file).position(|(a, b)| a != b);
        assert!(written == *file, "{name} differs at {differs:?}, {} and {} bytes", written.len(), file.len());
        same += 1;
    }
    println!("{same} files are written to the same bytes, {by_reader_rule} of them but for the checksum that FTI refuses");
    assert!(same >= 120 && by_reader_rule >= 8);
}

/// The example of FTI's own document at full size: each number of it.
#[test]
fn documented_example_at_full_size() {
    let document = json(common::root().join("tests/golden/fti/doc7_numbers.json"));
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("file");
    let memory = vec![7; 36 << 20];
    let (mut writer, mut sizes) = (Writer::new(), Vec::<(i32, usize)>::new());
    let mut numbers = 0;
    for checkpoint in document["checkpoints"].as_array().unwrap() {
        for protect in checkpoint["protect"].as_array().unwrap() {
            let id = number(&protect["id"]) as i32;
            let size = 4 * number(&checkpoint["sizes_in_elements"][protect["size"].as_str().unwrap()]) as usize;
            match sizes.iter_mut().find(|(other, _)| *other == id) {
                Some(there) => there.1 = size,
                None => sizes.push((id, size)),
            }
        }
        let protected: Vec<ProtectedVariable> =
            sizes.iter().map(|&(id, size)| ProtectedVariable::new(id, &memory[..size])).collect();
        let mut options = with_time(FormatVersion::V1_1);
        options.threads = 2;
        writer.checkpoint(&path, &options, &protected).unwrap();
        // SAFETY: no other process or thread changes the file.
        let map = unsafe { memmap2::Mmap::map(&fs::File::open(&path).unwrap()).unwrap() };
        let parsed = Checkpoint::parse(&map).unwrap();
        assert_eq!(parsed.issues(), []);
        let blocks = checkpoint["blocks"].as_array().unwrap();
        assert_eq!(parsed.blocks().len(), blocks.len());
        for (block, described) in parsed.blocks().iter().zip(blocks) {
            let containers = &parsed.containers()[block.containers.clone()];
            let meta = containers[0].fptr - block.offset as i64;
            let wanted = ["numvars", "dbsize", "size_metadata"].map(|field| number(&described[field]));
            assert_eq!([block.num_vars.into(), block.db_size, meta], wanted);
            numbers += 3;
            for (container, described) in containers.iter().zip(described["vars"].as_array().unwrap()) {
                let fields = ["id", "idx", "containerid", "dptr", "fptr", "chunksize", "containersize", "hascontent"];
                let found = [
                    container.id.into(),
                    container.idx.unwrap().into(),
                    container.container_id.into(),
                    container.dptr,
                    container.fptr,
                    container.chunk_size,
                    container.container_size,
                    container.has_content.into(),
                ];
                assert_eq!(found, fields.map(|field| number(&described[field])));
                numbers += 8;
            }
        }
    }
    assert_eq!(numbers, 432);
}

#[test]
fn converts_between_all_format_versions() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("converted");
    for from in FormatVersion::ALL {
        for name in ["doc7_ckpt7.fti", "onevar_a.fti"] {
            let file = case_file(from, name);
            let checkpoint = Checkpoint::parse(&file).unwrap();
            for to in FormatVersion::ALL {
                let mut options = with_time(to);
                options.threads = 2;
                convert(&checkpoint, &path, &options).unwrap();
                let converted = fs::read(&path).unwrap();
                let converted = Checkpoint::parse(&converted).unwrap();
                assert_eq!(converted.version(), to);
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
    let file = small(FormatVersion::Post1_6);
    convert(&Checkpoint::parse(&file).unwrap(), &path, &with_time(FormatVersion::V1_1)).unwrap();
    let a = fs::read(&path).unwrap();
    convert(&Checkpoint::parse(&a).unwrap(), &path, &with_time(FormatVersion::Post1_6)).unwrap();
    let (back, file) = (fs::read(&path).unwrap(), &file);
    assert_eq!(Checkpoint::parse(&back).unwrap().containers().len(), Checkpoint::parse(file).unwrap().containers().len());
    // A corrupt one is not converted.
    let mut damaged = file.clone();
    damaged[3] ^= 1;
    let checkpoint = Checkpoint::parse(&damaged).unwrap();
    let result = convert(&checkpoint, dir.path().join("not"), &with_time(FormatVersion::V1_2));
    assert!(
        matches!(result, Err(Error::Corrupt { field: Field::Hash, variable: Some(1), container: Some(0), .. })),
        "{result:?}"
    );
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
}

#[test]
fn diff_reports_variables() {
    let make = |variables: &[(i32, &[u8])], version| {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("file");
        let protected: Vec<ProtectedVariable> = variables.iter().map(|(id, data)| ProtectedVariable::new(*id, data)).collect();
        Writer::new().checkpoint(&path, &with_time(version), &protected).unwrap();
        fs::read(&path).unwrap()
    };
    let one = make(&[(1, b"same"), (2, b"abcdef"), (3, b"longer"), (4, b"gone")], FormatVersion::V1_2);
    let other = make(&[(5, b"new"), (3, b"long"), (2, b"aXcdeX"), (1, b"same")], FormatVersion::Post1_6);
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
fn recovers_protected_variables_only() {
    let file = small(FormatVersion::Post1_6);
    let checkpoint = Checkpoint::parse(&file).unwrap();
    let mut memory = [[9; 7].to_vec(), vec![9; 25], vec![9; 5], vec![9; 6]];
    let [one, two, three, four] = &mut memory;
    let recover = |variables: &mut [ProtectedVariableMut]| checkpoint.recover(variables, 1);
    assert_eq!(
        recover(&mut [ProtectedVariableMut::new(1, one), ProtectedVariableMut::new(2, two)]),
        Err(Error::VariableNotProtected { id: 3 })
    );
    let mut all = [ProtectedVariableMut::new(2, two), ProtectedVariableMut::new(1, one), ProtectedVariableMut::new(3, four)];
    assert_eq!(recover(&mut all), Err(Error::VariableSizeMismatch { id: 3, stored: 5, protected: 6 }));
    let mut all = [ProtectedVariableMut::new(2, two), ProtectedVariableMut::new(4, one), ProtectedVariableMut::new(3, three)];
    assert_eq!(recover(&mut all), Err(Error::VariableNotFound { id: 4 }));
    assert!(matches!(
        recover(&mut [ProtectedVariableMut::new(3, three), ProtectedVariableMut::new(3, four)]),
        Err(Error::InvalidArgument(_))
    ));
    assert!(memory.iter().flatten().all(|&byte| byte == 9), "nothing was changed");
}

/// Sizes that the fields of D don't hold, without data of that size: the layout alone is asked.
#[test]
fn rejects_sizes_that_overflow_fields() {
    let file = tempfile::NamedTempFile::new().unwrap();
    file.as_file().set_len(3 << 30).unwrap();
    // SAFETY: no other process or thread has the file.
    let map = unsafe { memmap2::Mmap::map(file.as_file()).unwrap() };
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("file");
    let protected = [ProtectedVariable::new(1, &map)];
    let result = Writer::new().checkpoint(&path, &with_time(FormatVersion::V1_4_1), &protected);
    assert!(matches!(result, Err(Error::OffsetOverflow { .. })), "{result:?}");
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
    assert_eq!(Writer::new().size(FormatVersion::Post1_6, &protected), Ok((3 << 30) + 12 + 58 + 106));
}

/// What is hashed by assembly code, another implementation hashes to the same.
#[test]
fn md5_matches_reference() {
    let slowly = |bytes: &[u8]| hex(Md5::digest(bytes));
    let data = pattern(1, 1, 1, 5000);
    for size in (0..300).chain([1023, 4096, 5000]) {
        assert_eq!(hex(fast_md5::digest(&data[..size])), slowly(&data[..size]), "{size}");
        let mut pieces = fast_md5::Md5::new();
        for piece in data[..size].chunks(1 + size % 67) {
            pieces.update(piece);
        }
        assert_eq!(hex(pieces.finalize()), slowly(&data[..size]), "{size}");
    }
}

/// What a program does between two checkpoints: sizes of its variables (`None`: not protected), in which version it
/// saves, and whether it is restarted.
type Step = (Vec<Option<usize>>, usize, bool);

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let size = prop_oneof![1 => Just(None), 2 => Just(Some(0)), 8 => (0usize..300).prop_map(Some)];
    prop::collection::vec((prop::collection::vec(size, 1..6), 0usize..6, any::<bool>()), 1..8)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, failure_persistence: None, ..Default::default() })]

    /// For any sequence of protecting, saving and restarting, each file is intact, holds the data, and has the fewest
    /// possible containers.
    #[test]
    fn round_trip(steps in steps(), threads in 1usize..4) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("file");
        let mut writer = Writer::new();
        // Sizes of the containers of each variable, as they must be.
        let mut places: BTreeMap<i32, Vec<usize>> = BTreeMap::new();
        for (number, (sizes, version, restarts)) in steps.iter().enumerate() {
            let version = FormatVersion::ALL[*version];
            let data: Vec<(i32, Vec<u8>)> = (0..)
                .zip(sizes)
                .filter_map(|(id, size)| size.map(|size| (7 * id - 3, pattern(id, number as i64, 0, size))))
                .collect();
            let protected: Vec<ProtectedVariable> = data.iter().map(|(id, data)| ProtectedVariable::new(*id, data)).collect();
            let mut options = with_time(version);
            options.threads = threads;
            writer.checkpoint(&path, &options, &protected).unwrap();

            if places.keys().any(|id| !data.iter().any(|(other, _)| other == id)) {
                places.clear();
            }
            for (id, data) in &data {
                let of = places.entry(*id).or_default();
                let capacity: usize = of.iter().sum();
                if of.is_empty() || data.len() > capacity {
                    of.push(data.len() - capacity);
                }
            }
            let file = fs::read(&path).unwrap();
            let checkpoint = Checkpoint::parse(&file).unwrap();
            // Without containers, C and D0 are the same.
            prop_assert!(checkpoint.version() == version || checkpoint.containers().is_empty());
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
}
