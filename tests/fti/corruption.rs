//! Corrupt FTI files: issues are reported by field and offset, no corrupt data is recovered, and headers are repaired
//! from data.

use std::collections::BTreeMap;
use std::fs;

use crate::cases::*;
use crate::common;
use fdckpt::fti::Error;
use fdckpt::fti::{Checkpoint, Field, FormatVersion, Issue, ProtectedVariable, Severity, SyncMode, Value, Writer, repair};
use proptest::prelude::*;

/// The expected report of each, beside what FTI does: the changed field and its offset.
#[test]
fn reports_field_and_offset_of_corruption() {
    for version in [FormatVersion::V1_1, FormatVersion::Post1_6] {
        let described = json(golden(version).join("corruptions.json"));
        let base = case_file(version, described["base"].as_str().unwrap());
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
            let is_a = version == FormatVersion::V1_1;
            let parsed = Checkpoint::parse(&file);
            let unreadable = matches!(name, "trunc_40" | "empty" | "zero_all") || (!is_a && name.starts_with("trunc"));
            if unreadable {
                assert!(matches!(parsed, Err(Error::UnknownFormat(_))), "{name}: {parsed:?}");
                continue;
            }
            let checkpoint = parsed.unwrap_or_else(|error| panic!("{version} {name}: {error}"));
            assert_eq!(checkpoint.version(), version, "{name}");
            let (report, issues) = verify(&checkpoint);
            let reported: Vec<String> = issues.iter().map(Issue::to_string).collect();
            // The field to be reported, if it is not at the changed offset.
            let field = match name {
                "none" | "fb_pad" | "fb_ckptId" | "vmd_hasckpt" => None,
                "slack_flip" | "vmd_id" if !is_a => None,
                "append_1" | "append_64" if is_a => {
                    assert_eq!((report.corrupt, report.notes), (0, 1), "{name}: {reported:?}");
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
                assert!(report.is_intact() && issues.is_empty(), "{version} {name}: {reported:?}");
                if name == "vmd_id" {
                    let mut one = vec![0; original[&1].len()];
                    assert_eq!(checkpoint.recover_variable(1, &mut one), Err(Error::VariableNotFound { id: 1 }));
                } else {
                    assert_eq!(recover(&checkpoint, 1), Ok(original.clone()), "{name}");
                }
                continue;
            };
            let is_reported = |issue: &&Issue| {
                (issue.field, issue.offset as usize, issue.severity) == (field, at, Severity::Corrupt)
                    && issue.expected != issue.found
            };
            assert!(issues.iter().any(|issue| is_reported(&issue)), "{version} {name} at {place}: {reported:?}");
            assert!(recover(&checkpoint, 1).is_err(), "{version} {name}");
        }
    }
}

/// Files of which each has another order of containers with data and without.
fn with_several_blocks(version: FormatVersion) -> Vec<Vec<u8>> {
    let sizes: [&[[usize; 4]]; 9] = [
        &[[10, 20, 0, 5], [10, 33, 6, 5], [64, 33, 6, 200]],
        &[[0, 9, 3, 0], [4, 9, 9, 7]],
        &[[0, 0, 8, 300]],
        &[[300, 8, 0, 0], [300, 9, 1, 0], [301, 9, 1, 0]],
        &[[0, 0, 0, 0], [0, 0, 1, 2], [0, 1, 1, 2]],
        &[[10, 5, 0, 1], [20, 5, 0, 2], [7, 3, 0, 2]],
        &[[213, 15, 7, 0], [0, 0, 0, 0]],
        &[[0, 13, 1, 0], [0, 13, 2, 0], [179, 0, 2, 0], [212, 4, 2, 0]],
        &[[1, 0, 0, 0], [1, 2, 0, 0], [1, 2, 3, 0], [1, 2, 3, 4]],
    ];
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("file");
    let make = |checkpoints: &[[usize; 4]]| {
        let mut writer = Writer::new();
        for sizes in checkpoints {
            let data = [1, 2, 3, 4].map(|id| (id, pattern(id, 1, 0, sizes[id as usize - 1])));
            let protected: Vec<ProtectedVariable> = data.iter().map(|(id, data)| ProtectedVariable::new(*id, data)).collect();
            writer.checkpoint(&path, &with_time(version), &protected).unwrap();
        }
        fs::read(&path).unwrap()
    };
    sizes.map(make).to_vec()
}

/// Numbers by docs/format/fti-ff.md: where they are in the file, and how many bytes they have.
fn numbers(version: FormatVersion, file: &[u8]) -> Vec<(Field, usize, usize)> {
    let long = if version == FormatVersion::V1_4_1 { 4 } else { 8 };
    let header: &[_] = match version {
        FormatVersion::V1_1 => &[(Field::CkptSize, 56), (Field::Fs, 64)],
        FormatVersion::V1_2 => &[(Field::CkptSize, 49), (Field::Fs, 57)],
        FormatVersion::V1_4_1 => &[(Field::CkptSize, 53), (Field::MetaSize, 57), (Field::DataSize, 61), (Field::Fs, 65)],
        _ => &[(Field::CkptSize, 53), (Field::MetaSize, 61), (Field::DataSize, 69), (Field::Fs, 77)],
    };
    let block = [(Field::NumVars, 0, 4), (Field::DbSize, 4, long)];
    let [container_id, dptr, fptr, size] = match version {
        FormatVersion::V1_1 => [8, 16, 24, 40],
        FormatVersion::V1_2 | FormatVersion::V1_3 => [8, 14, 22, 38],
        FormatVersion::V1_4_1 => [4, 10, 18, 30],
        _ => [4, 10, 18, 34],
    };
    let container = [
        (Field::ContainerId, container_id, 4),
        (Field::Dptr, dptr, 8),
        (Field::Fptr, fptr, 8),
        (Field::ContainerSize, size, long),
    ];
    let checkpoint = Checkpoint::parse(file).unwrap();
    let at = |begin: u64| move |&(field, at, width): &(Field, usize, usize)| (field, begin as usize + at, width);
    let mut all: Vec<_> = header.iter().map(|&(field, at)| (field, checkpoint.header().offset as usize + at, long)).collect();
    all.extend(checkpoint.blocks().iter().flat_map(|it| block.iter().map(at(it.offset))));
    all.extend(checkpoint.containers().iter().flat_map(|it| container.iter().map(at(it.offset))));
    all
}

fn get(file: &[u8], at: usize, width: usize) -> i64 {
    if width == 4 {
        i32::from_le_bytes(file[at..][..4].try_into().unwrap()).into()
    } else {
        i64::from_le_bytes(file[at..][..8].try_into().unwrap())
    }
}

fn put(file: &mut [u8], at: usize, width: usize, value: i64) {
    file[at..][..width].copy_from_slice(&value.to_le_bytes()[..width]);
}

/// The layout is stored redundantly: a single wrong number is found by the others, with its correct value, and no other is blamed.
#[test]
fn reports_expected_value_of_one_wrong_field() {
    let mut tried = 0;
    for version in FormatVersion::ALL {
        for (which, file) in with_several_blocks(version).into_iter().enumerate() {
            let intact = Checkpoint::parse(&file).unwrap();
            assert_eq!(verify(&intact).1, []);
            for (field, place, width) in numbers(version, &file) {
                let right = get(&file, place, width);
                // Some of them multiples of what describes a block or a container.
                let more = [1, 2, -1, -8, -12, 50, 58, 62, 64, -62, -64, 1000 * 62 * 64, right].map(|more| right + more);
                let wrong = more.into_iter().chain([0, 1, -1, 1 << 30, i32::MIN.into()]);
                for wrong in wrong.filter(|wrong| *wrong != right) {
                    let mut damaged = file.clone();
                    put(&mut damaged, place, width, wrong);
                    let name = format!("{version} {which}: {field} at {place} is {wrong} instead of {right}");
                    let checkpoint = Checkpoint::parse(&damaged).unwrap();
                    assert_eq!(checkpoint.version(), version, "{name}");
                    let mut reported = Vec::new();
                    checkpoint.verify(1, &mut |issue| reported.push(*issue)).unwrap();
                    // Hashes that cover the number, and data that is not where the number says.
                    reported.retain(|it| !matches!(it.field, Field::MyHash | Field::Checksum));
                    reported.retain(|it| field != Field::Fptr || !matches!(it.field, Field::Data | Field::FileSize));
                    let facts: Vec<_> =
                        reported.iter().map(|it| (it.severity, it.field, it.offset as usize, it.expected, it.found)).collect();
                    let wanted = (Severity::Corrupt, field, place, Value::Number(right), Value::Number(wrong));
                    assert_eq!(facts, [wanted], "{name}: {reported:?}");
                    tried += 1;
                }
            }
        }
    }
    println!("{tried} wrong numbers are reported");
}

/// What is corrupt in one variable, or in what nothing depends on, does not keep the others from being recovered; where
/// it is not sure what belongs to whom, none is.
#[test]
fn recover_fails_only_for_damaged_variables() {
    for version in FormatVersion::ALL {
        let file = &with_several_blocks(version)[0];
        let intact = Checkpoint::parse(file).unwrap();
        let original = recover(&intact, 1).unwrap();
        let header = intact.header().offset as usize;
        let (chunk_size, width) = match version {
            FormatVersion::V1_1 => (32, 8),
            FormatVersion::V1_2 | FormatVersion::V1_3 => (30, 8),
            FormatVersion::V1_4_1 => (26, 4),
            _ => (26, 8),
        };
        let has_content = if matches!(version, FormatVersion::V1_1 | FormatVersion::V1_2 | FormatVersion::V1_3) { 12 } else { 8 };
        // Who can still be recovered, if any: all, or all but one.
        let check = |damaged: &[u8], field: Field, but: Option<i32>, recovered: bool| {
            let checkpoint = Checkpoint::parse(damaged).unwrap();
            let of_field =
                |it: &&Issue| (it.severity, it.field) == (Severity::Corrupt, field) && (but.is_none() || it.variable == but);
            let issue = checkpoint.issues().iter().find(of_field).expect("it is reported before any data is read");
            for (id, data) in &original {
                let (mut whole, mut pieces) = (vec![0; checkpoint.variable(*id).unwrap().size as usize], Vec::new());
                let result = checkpoint.recover_variable(*id, &mut whole);
                let copied = checkpoint.copy_variable(*id, &mut |piece| {
                    pieces.extend_from_slice(piece);
                    Ok(())
                });
                if recovered && but != Some(*id) {
                    assert!(result == Ok(()) && whole == *data, "{version}: variable {id} in spite of {issue}: {result:?}");
                    assert!(copied.is_ok() && pieces == *data, "{version}: variable {id} in spite of {issue}: {copied:?}");
                } else {
                    let Err(Error::Corrupt { field: reported, offset, .. }) = result else { panic!("{result:?}") };
                    assert_eq!((reported, offset), (issue.field, issue.offset), "{version}: variable {id}");
                    assert!(copied.is_err() && pieces.is_empty(), "{version}: variable {id}");
                }
            }
            assert!(recover(&checkpoint, 1).is_err(), "{version}: {issue}");
        };
        let with = |place: usize, byte: u8| {
            let mut damaged = file.clone();
            damaged[place] = byte;
            damaged
        };
        check(&with(header, b'x'), Field::Checksum, None, true);
        check(&with(header + 32, 1), Field::Checksum, None, true);
        check(&with(header + 33, !file[header + 33]), Field::MyHash, None, true);
        for (field, place, width) in numbers(version, file) {
            let mut damaged = file.clone();
            put(&mut damaged, place, width, get(file, place, width) + 1);
            check(&damaged, field, None, matches!(field, Field::CkptSize | Field::Fs));
        }
        for container in intact.containers() {
            let offset = container.offset as usize;
            let mut damaged = file.clone();
            put(&mut damaged, offset + chunk_size, width, container.container_size + 1);
            check(&damaged, Field::ChunkSize, Some(container.id), true);
            check(&with(offset + has_content, 2), Field::HasContent, Some(container.id), true);
            // A chunk that is not the last one of its variable fills its container.
            let is_followed =
                |it: &fdckpt::fti::Container| it.id == container.id && it.dptr > container.dptr && it.chunk_size > 0;
            if container.chunk_size > 0 && intact.containers().iter().any(is_followed) {
                let mut damaged = file.clone();
                put(&mut damaged, offset + chunk_size, width, container.chunk_size - 1);
                check(&damaged, Field::ChunkSize, Some(container.id), true);
                let checkpoint = Checkpoint::parse(&damaged).unwrap();
                let [issue] = checkpoint.issues() else { panic!("{:?}", checkpoint.issues()) };
                assert_eq!(
                    (issue.offset as usize, issue.expected),
                    (offset + chunk_size, Value::Number(container.container_size))
                );
            }
        }
        // A chunk of size 0 is none that others would have to be full for.
        let mut shrunk = with_several_blocks(version).swap_remove(5);
        let empty = *Checkpoint::parse(&shrunk).unwrap().containers().iter().find(|it| it.has_content == 0).unwrap();
        shrunk[empty.offset as usize + has_content] = 1;
        assert_eq!(Checkpoint::parse(&shrunk).unwrap().issues(), [], "{version}");
        if matches!(version, FormatVersion::V1_1 | FormatVersion::V1_2) {
            // The last byte is of the last container.
            let last = intact.containers().iter().max_by_key(|it| it.fptr).unwrap();
            check(&file[..file.len() - 1], Field::FileSize, Some(last.id), true);
        } else {
            check(&[&file[..], &[0; 9]].concat(), Field::FileSize, None, true);
        }
    }
}

/// Several inconsistent fields, or none.
#[test]
fn reports_offset_of_inconsistent_fields() {
    for version in FormatVersion::ALL {
        let file = &with_several_blocks(version)[0];
        let intact = Checkpoint::parse(file).unwrap();
        let (header, size) = (intact.header().offset as usize, file.len() as i64);
        let all = numbers(version, file);
        let place_of = |field: Field| all.iter().find(|it| it.0 == field).map(|&(_, place, width)| (place, width));
        let reported = |file: &[u8]| -> Vec<_> {
            let issues = verify(&Checkpoint::parse(file).unwrap()).1;
            issues.iter().map(|it| (it.severity, it.field, it.offset as usize, it.expected, it.found)).collect()
        };
        let damage = |field, place: usize, expected: i64, found: i64| {
            (Severity::Corrupt, field, place, Value::Number(expected), Value::Number(found))
        };
        // The checksum's NUL.
        let mut damaged = file.clone();
        damaged[header + 32] = 7;
        assert_eq!(reported(&damaged)[0], damage(Field::Checksum, header + 32, 0, 7), "{version}");
        // The header's text is gone, and a number elsewhere.
        let mut damaged = file.clone();
        damaged[header..header + 49].fill(0);
        let (place, _) = place_of(Field::NumVars).unwrap();
        damaged[place + 1] = 1;
        assert_eq!(Checkpoint::parse(&damaged).unwrap().version(), version);
        assert!(reported(&damaged).contains(&damage(Field::NumVars, place, 4, 260)), "{version}");
        // Neither of the two sizes of the file is right.
        let (fs, width) = place_of(Field::Fs).unwrap();
        let mut damaged = file.clone();
        for (place, width) in [place_of(Field::CkptSize).unwrap(), (fs, width)] {
            put(&mut damaged, place, width, size - 1);
        }
        if matches!(version, FormatVersion::V1_1 | FormatVersion::V1_2) {
            assert!(reported(&damaged).iter().any(|it| it.1 == Field::FileSize && it.3 == Value::Number(size - 1)), "{version}");
        } else {
            assert!(reported(&damaged).contains(&damage(Field::Fs, fs, size, size - 1)), "{version}");
        }
        if let (Some((data_size, width)), Some((meta_size, _))) = (place_of(Field::DataSize), place_of(Field::MetaSize)) {
            // Neither says where the descriptions begin.
            let mut damaged = file.clone();
            put(&mut damaged, data_size, width, -1);
            put(&mut damaged, meta_size, width, -1);
            assert!(reported(&damaged).contains(&damage(Field::DataSize, data_size, 0, -1)), "{version}");
            // A block and its last container agree that there is more data.
            let (block, container) = (intact.blocks().last().unwrap(), intact.containers().last().unwrap());
            let right = get(file, data_size, width);
            let mut damaged = file.clone();
            put(&mut damaged, block.offset as usize + 4, width, block.db_size + 1);
            let (_, container_size, _) = *all.iter().rfind(|it| it.0 == Field::ContainerSize).unwrap();
            put(&mut damaged, container_size, width, container.container_size + 1);
            assert_eq!(reported(&damaged), [damage(Field::DataSize, data_size, right + 1, right)], "{version}");
        } else {
            // Cut off in the description of a block, and in the last byte of data.
            let begin = intact.blocks()[1].offset as i64;
            let cut = reported(&file[..begin as usize + 5]);
            assert!(cut.contains(&damage(Field::FileSize, begin as usize, begin + 12, begin + 5)), "{version}: {cut:?}");
            let container = intact.containers().iter().max_by_key(|it| it.fptr).unwrap();
            let end = container.fptr + container.chunk_size;
            assert_eq!(end, size);
            let cut = reported(&file[..file.len() - 1]);
            assert!(cut.contains(&damage(Field::FileSize, file.len() - 1, end, size - 1)), "{version}: {cut:?}");
            let mut damaged = file[..file.len() - 1].to_vec();
            damaged[header + 32] = 7;
            assert_eq!(Checkpoint::parse(&damaged).unwrap().version(), version, "also with a damaged header");
            // What is after the end is no harm.
            let longer = [&file[..], b"more"].concat();
            let issues = verify(&Checkpoint::parse(&longer).unwrap()).1;
            let said = format!("offset {size}: the file has {} bytes, expected {size}: bytes follow its end", size + 4);
            assert_eq!(issues.iter().map(Issue::to_string).collect::<Vec<_>>(), [said], "{version}");
        }
        // Two numbers of the first block: the others are not blamed.
        let place_in_block = |field: Field, number: usize| {
            let places = all.iter().filter(|it| it.0 == field);
            places.map(|&(_, place, width)| (place, width)).nth(number).unwrap()
        };
        for (first, second) in [(0, 1), (0, 3), (1, 2)] {
            let mut damaged = file.clone();
            for (place, width) in [place_in_block(Field::Fptr, first), place_in_block(Field::ContainerSize, second)] {
                put(&mut damaged, place, width, get(file, place, width) + 1);
            }
            let places = reported(&damaged);
            let places = places.iter().filter(|it| matches!(it.1, Field::Fptr | Field::ContainerSize | Field::NumVars));
            let places: Vec<_> = places.map(|it| it.2).collect();
            let described = intact.blocks()[0].offset as usize..intact.containers()[3].offset as usize + 64;
            assert!(places.contains(&place_in_block(Field::Fptr, first).0), "{version}: {places:?}");
            assert!(places.iter().all(|place| described.contains(place)), "{version}: {places:?}, not {described:?}");
        }
        // A later container of the variable contradicts its order of protection.
        for (index, container) in intact.containers().iter().enumerate().filter(|(_, it)| it.idx.is_some() && it.container_id > 0)
        {
            let (place, idx) = (container.offset as usize + 4, i64::from(container.idx.unwrap()));
            let mut damaged = file.clone();
            put(&mut damaged, place, 4, 9);
            let wanted = (Severity::Note, Field::Idx, place, Value::Number(idx), Value::Number(9));
            assert_eq!(reported(&damaged)[0], wanted, "{version}, container {index}");
        }
    }
}

/// FTI writes none, but a block without containers is valid if it is empty; data that belongs to no container is
/// reported.
#[test]
fn block_without_containers_is_found_by_size() {
    let with_block = |data: &[u8]| {
        let mut file = small(FormatVersion::Post1_6);
        let data_size = Checkpoint::parse(&file).unwrap().header().data_size.unwrap() as usize;
        let header = file.len() - 106;
        file.splice(header..header, [&[0; 4][..], &(data.len() as i64).to_le_bytes()].concat());
        file.splice(data_size..data_size, data.iter().copied());
        let header = file.len() - 106;
        for (at, more) in [(53, 12 + data.len()), (61, 12), (69, data.len()), (77, 12 + data.len())] {
            let value = get(&file, header + at, 8);
            put(&mut file, header + at, 8, value + more as i64);
        }
        let hashed: Vec<u8> = [(0, 33), (101, 4), (53, 32), (93, 8), (85, 8)]
            .into_iter()
            .flat_map(|(at, count)| file[header + at..][..count].to_vec())
            .collect();
        file[header + 33..][..16].copy_from_slice(&fast_md5::digest(&hashed));
        file
    };
    let reported = |file: &[u8]| verify(&Checkpoint::parse(file).unwrap()).1;
    let file = with_block(&[]);
    let checkpoint = Checkpoint::parse(&file).unwrap();
    assert_eq!((verify(&checkpoint).1, checkpoint.blocks().last().unwrap().containers.len()), (vec![], 0));
    let issues = reported(&with_block(b"nobody's"));
    let facts: Vec<_> = issues.iter().map(|it| (it.field, it.expected, it.found)).collect();
    assert_eq!(facts, [(Field::DbSize, Value::Number(0), Value::Number(8))], "{issues:?}");
}

/// The data of a checkpoint can be a checkpoint itself: the size of the file decides which of the two headers counts.
#[test]
fn parses_checkpoint_embedded_in_data() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("file");
    for (inner, outer) in FormatVersion::ALL.into_iter().flat_map(|inner| FormatVersion::ALL.map(|outer| (inner, outer))) {
        let data = small(inner);
        Writer::new().checkpoint(&path, &with_time(outer), &[ProtectedVariable::new(5, &data)]).unwrap();
        let file = fs::read(&path).unwrap();
        let checkpoint = Checkpoint::parse(&file).unwrap();
        assert_eq!((checkpoint.version(), verify(&checkpoint).1), (outer, vec![]), "{inner} in {outer}");
        assert!(recover(&checkpoint, 1).unwrap()[&5] == data);
    }
}

/// Each bit of a small file of each version: a flip that is not reported leaves the data as it is.
#[test]
fn flipped_bits_never_recover_wrong_data() {
    let (mut bits, mut unnoticed, mut unreadable) = (0, 0, 0);
    for version in FormatVersion::ALL {
        let file = small(version);
        let original = recover(&Checkpoint::parse(&file).unwrap(), 1).unwrap();
        for bit in 0..8 * file.len() {
            let mut damaged = file.clone();
            damaged[bit / 8] ^= 1 << (bit % 8);
            bits += 1;
            let Ok(checkpoint) = Checkpoint::parse(&damaged) else {
                unreadable += 1;
                continue;
            };
            let report = checkpoint.verify(1, &mut |_| {}).unwrap();
            let recovered = recover(&checkpoint, 1);
            assert_eq!(report.is_intact(), recovered.is_ok(), "bit {bit} of {version}: {report:?} {recovered:?}");
            let Ok(recovered) = recovered else { continue };
            unnoticed += 1;
            // From B on nothing covers the id: a variable can be another one, its data is not.
            let values = |all: &BTreeMap<i32, Vec<u8>>| {
                let mut values: Vec<Vec<u8>> = all.values().cloned().collect();
                values.sort();
                values
            };
            assert_eq!(values(&recovered), values(&original), "bit {bit} of {version}");
            assert!(recovered == original || version != FormatVersion::V1_1, "bit {bit} of {version}");
        }
        for size in 0..file.len() {
            if let Ok(checkpoint) = Checkpoint::parse(&file[..size]) {
                // FTI leaves out a container at the end that is empty, in B.
                if version == FormatVersion::V1_2 && recover(&checkpoint, 1) == Ok(original.clone()) {
                    continue;
                }
                assert!(!verify(&checkpoint).0.is_intact() && recover(&checkpoint, 1).is_err(), "{size} bytes of {version}");
            }
        }
    }
    println!("{bits} bits: {unnoticed} not noticed, {unreadable} make the file unreadable");
}

#[test]
fn repair_fixes_header_from_data() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("file");
    let repaired = |file: &[u8]| {
        fs::write(&path, file).unwrap();
        let result = repair(&path, SyncMode::Full);
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
        (result, fs::read(&path).unwrap())
    };
    // What FTI refuses, becomes the file that it accepts.
    for version in [FormatVersion::V1_3, FormatVersion::V1_4_0, FormatVersion::V1_4_1, FormatVersion::Post1_6] {
        let (result, file) = repaired(&case_file(version, "doc7_ckpt7.fti"));
        assert_eq!(result, Ok(1), "{version}");
        assert_eq!(verify(&Checkpoint::parse(&file).unwrap()).1, [], "{version}");
        if version == FormatVersion::Post1_6 {
            let begin = file.len() - 106;
            let wanted = json(golden(version).join("cases.json"));
            let wanted = wanted.as_array().unwrap().iter().find(|case| case["file"] == "doc7_ckpt7.fti").unwrap();
            assert_eq!(std::str::from_utf8(&file[begin..begin + 32]).unwrap(), wanted["checks"]["checksum_reader_rule"]);
        }
    }
    for version in FormatVersion::ALL {
        let file = small(version);
        let intact = Checkpoint::parse(&file).unwrap();
        assert_eq!(repaired(&file), (Ok(0), file.clone()), "nothing to do");
        // Each byte of the header. What the rest of the file implies is repaired.
        let begin = intact.header().offset as usize;
        let size = if matches!(version, FormatVersion::V1_1 | FormatVersion::V1_2) {
            intact.containers()[0].offset as usize - 12
        } else {
            file.len() - begin
        };
        let mut as_it_was = 0;
        for at in 0..size {
            let mut damaged = file.clone();
            damaged[begin + at] ^= 0x11;
            let (result, after) = repaired(&damaged);
            let nothing_to_do = damaged == after;
            assert!(result.is_ok_and(|count| (count > 0) != nothing_to_do), "byte {at} of {version}: {result:?}");
            assert_eq!(verify(&Checkpoint::parse(&after).unwrap()).1, [], "byte {at} of {version}");
            assert!(at >= 49 || after == file, "byte {at} of {version}");
            as_it_was += u32::from(after == file);
        }
        let sizes = match version {
            FormatVersion::V1_1 | FormatVersion::V1_2 => 16,
            FormatVersion::V1_4_1 => 16,
            _ => 32,
        };
        assert_eq!(as_it_was, 49 + sizes, "{version}");
        // A hash, which the checksum proves wrong.
        let mut damaged = file.clone();
        let hash =
            intact.containers()[0].offset as usize + if version == FormatVersion::V1_4_1 { 34 } else { generation_hash(version) };
        damaged[hash] ^= 1;
        let (result, after) = repaired(&damaged);
        assert!(result.is_ok() && after == file, "{version}: {result:?}");
        // Data is never touched.
        let mut damaged = file.clone();
        damaged[intact.containers()[0].fptr as usize] ^= 1;
        let (result, after) = repaired(&damaged);
        assert!(matches!(result, Err(Error::Corrupt { field: Field::Data, .. })) && after == damaged, "{version}: {result:?}");
        // What is missing, nothing proves: some data, or slack, which the checksum of A covers.
        let end = intact.containers().iter().map(|it| (it.fptr + it.chunk_size) as usize).max().unwrap();
        let sizes: &[usize] = match version {
            FormatVersion::V1_1 => &[end - 1, end, file.len() - 1],
            FormatVersion::V1_2 => &[end - 1],
            _ => &[],
        };
        for &size in sizes {
            let (result, after) = repaired(&file[..size]);
            let missing = |error| matches!(error, Error::Corrupt { field: Field::FileSize, offset, .. } if offset == size as u64);
            assert!(result.is_err_and(missing) && after == file[..size], "{size} bytes of {version}");
        }
        // Bytes after the end.
        let mut longer = file.clone();
        longer.extend([0; 70]);
        let (result, after) = repaired(&longer);
        if matches!(version, FormatVersion::V1_1 | FormatVersion::V1_2) {
            assert_eq!((result, after), (Ok(0), longer));
        } else {
            assert_eq!((result, after), (Ok(1), file));
        }
    }
}

fn generation_hash(version: FormatVersion) -> usize {
    match version {
        FormatVersion::V1_1 => 48,
        FormatVersion::V1_2 | FormatVersion::V1_3 => 46,
        _ => 42,
    }
}

#[test]
fn rejects_other_files() {
    for version in [FormatVersion::V1_1, FormatVersion::Post1_6] {
        let file = fs::read(golden(version).join("ranks3_L3_RSed0.fti")).unwrap();
        let error = Checkpoint::parse(&file).unwrap_err();
        assert!(error.to_string().contains("level 3"), "{error}");
    }
    for file in [&b""[..], &[0; 5000], &[b'0'; 5000], &[0xff; 200], b"CKPT"] {
        assert!(matches!(Checkpoint::parse(file), Err(Error::UnknownFormat(_))));
        assert!(!Checkpoint::is_format(file));
    }
}

/// What fuzzing has found worth keeping. The first byte of each is for the fuzz target.
#[test]
fn fuzz_corpus_is_parsed() {
    let (mut seeds, mut intact) = (0, 0);
    for entry in fs::read_dir(common::root().join("fuzz/corpus/fti_parse")).unwrap() {
        seeds += 1;
        let file = fs::read(entry.unwrap().path()).unwrap();
        let Ok(checkpoint) = Checkpoint::parse(&file[1..]) else { continue };
        let (report, issues) = verify(&checkpoint);
        assert_eq!(report.is_intact(), recover(&checkpoint, 1).is_ok(), "{issues:?}");
        intact += u32::from(report.is_intact());
    }
    assert!(seeds > 30 && intact > 0, "{seeds} {intact}");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 100, failure_persistence: None, ..Default::default() })]

    /// Any corruption of a file with all features is reported, or the data is as it was.
    #[test]
    fn corruption_is_reported_or_harmless(
        version in 0usize..6,
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
        cut in prop::option::of(any::<prop::sample::Index>()),
    ) {
        let version = FormatVersion::ALL[version];
        let mut file = small(version);
        let original = recover(&Checkpoint::parse(&file).unwrap(), 1).unwrap();
        for (at, value) in changes {
            let at = at.index(file.len());
            file[at] = value;
        }
        if let Some(cut) = cut {
            file.truncate(cut.index(file.len()));
        }
        let Ok(checkpoint) = Checkpoint::parse(&file) else { return Ok(()) };
        let report = checkpoint.verify(1, &mut |issue| drop(issue.to_string())).unwrap();
        let recovered = recover(&checkpoint, 1);
        prop_assert_eq!(report.is_intact(), recovered.is_ok());
        if let Ok(recovered) = recovered {
            // But for the ids, which nothing covers from B on.
            let mut data = [recovered, original].map(|all| all.into_values().collect::<Vec<_>>());
            data.iter_mut().for_each(|data| data.sort());
            prop_assert_eq!(&data[0], &data[1]);
        }
    }
}
