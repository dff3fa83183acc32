//! Arbitrary bytes as a journal and as hashes beside a checkpoint file of FTI, and as what a program changes between updates.
//!
//! The first byte says which. A journal gets the checksums that its other fields ask for, so that what is after them is reached: then
//! no record is beyond the data or the file's size. Hashes that are arbitrary leave a file that is as it is to be; and so does any
//! sequence of changes, sizes, restarts and damaged side files.
#![no_main]

use fdckpt::fti::{
    BlockHash, Checkpoint, Resolution, SyncMode, FormatVersion, WriteOptions, ProtectedVariable, UpdateMode, UpdateOptions, Writer, fuzz_journal,
    pending_update, resolve,
};
use libfuzzer_sys::fuzz_target;

fn number(bytes: &[u8], at: usize) -> usize {
    bytes.get(at..at + 8).map_or(0, |bytes| u64::from_le_bytes(bytes.try_into().unwrap()) as usize)
}

/// Sets the checksums, where the fields leave space for them.
fn seal(journal: &mut [u8]) {
    if journal.len() < 112 {
        return;
    }
    journal[..9].copy_from_slice(b"FDCKREDO\x01");
    journal[9] = 2;
    journal[10] &= 1;
    journal[11] = 0;
    let (block, records, blocks) = (number(journal, 64), number(journal, 72), number(journal, 80));
    let Some(end) = records.checked_mul(16).and_then(|size| size.checked_add(112)) else { return };
    let Some(data) = blocks.checked_mul(4).and_then(|size| size.checked_add(end)).filter(|end| *end <= journal.len()) else {
        return;
    };
    if block == 0 {
        return;
    }
    let (mut at, mut hash_at) = (data, end);
    for record in 0..records {
        let Some(bytes) = at.checked_add(number(journal, 112 + 16 * record + 8)).and_then(|end| journal.get(at..end)) else {
            break;
        };
        let hashes: Vec<u8> = bytes.chunks(block).flat_map(|block| crc32fast::hash(block).to_le_bytes()).collect();
        at += bytes.len();
        let Some(place) = journal[..data].get_mut(hash_at..hash_at + hashes.len()) else { break };
        place.copy_from_slice(&hashes);
        hash_at += hashes.len();
    }
    let described: Vec<u8> = [&journal[..96], &journal[112..data]].concat();
    let sum = fast_md5::digest(&described);
    journal[96..112].copy_from_slice(&sum);
}

fuzz_target!(|case: &[u8]| {
    let Some((&first, rest)) = case.split_first() else { return };
    if first < 128 {
        let mut journal = rest.to_vec();
        if first % 2 == 0 {
            seal(&mut journal);
        }
        if let Some(bytes) = fuzz_journal(&journal) {
            assert!(bytes as usize <= journal.len() - 112);
        }
        return;
    }

    let dir = std::path::Path::new("/dev/shm").join(format!("fti_update.{}", std::process::id()));
    _ = std::fs::create_dir_all(&dir);
    let (path, side, ordinary) = (dir.join("file"), dir.join("file.hashes"), dir.join("ordinary"));
    for name in ["file", "file.hashes", "file.journal", "ordinary"] {
        _ = std::fs::remove_file(dir.join(name));
    }
    let mut update = UpdateOptions::default();
    update.block_size = 512;
    update.save_hashes = true;
    update.mode = if first & 1 == 0 { UpdateMode::Journaled } else { UpdateMode::InPlace };
    update.hash = if first & 2 == 0 { BlockHash::Md5 } else { BlockHash::Crc32 };
    let version = [FormatVersion::V1_3, FormatVersion::V1_4_0, FormatVersion::V1_4_1, FormatVersion::Post1_6][usize::from(first >> 2 & 3)];
    let mut options = WriteOptions::new(version, 1);
    (options.sync, options.timestamp) = (SyncMode::None, Some(1));
    let mut memory = [vec![0u8; 3000], vec![1u8; 3000]];
    let mut sizes = [1500, 700];
    let (mut writer, mut model) = (Writer::new(), Writer::new());
    for (count, step) in rest.chunks(4).take(12).enumerate() {
        let &[what, one, two, three] = step else { break };
        let id = usize::from(what & 1);
        match what >> 1 & 7 {
            0..3 => sizes[id] = usize::from(u16::from_le_bytes([one, two])) % 3000,
            3..6 => memory[id][usize::from(u16::from_le_bytes([one, two])) % 3000] ^= three,
            6 => {
                let bytes = std::fs::read(&path).unwrap_or_default();
                if let Ok(checkpoint) = Checkpoint::parse(&bytes) {
                    writer = Writer::resume(&checkpoint).unwrap();
                }
            }
            _ => {
                let mut bytes = std::fs::read(&side).unwrap_or_default();
                let at = usize::from(u16::from_le_bytes([one, two]));
                if three == 0 {
                    bytes = rest.to_vec();
                } else if let Some(byte) = bytes.get_mut(at) {
                    *byte ^= three;
                }
                std::fs::write(&side, bytes).unwrap();
            }
        }
        options.ckpt_id = count as i32;
        let variables: Vec<ProtectedVariable> =
            (0..).zip(&memory).zip(sizes).map(|((id, memory), size)| ProtectedVariable::new(id, &memory[..size])).collect();
        if what >= 240 && update.mode == UpdateMode::Journaled {
            writer.prepare(&path, &options, &update, &variables).unwrap();
            assert_eq!(pending_update(&path).unwrap().map(|it| (it.ckpt_id, it.is_prepared)), Some((count as i32, true)));
            assert_eq!(resolve(&path, if what & 1 == 0 && count > 0 { Resolution::Rollback } else { Resolution::Commit }), Ok(true));
        }
        writer.update(&path, &options, &update, &variables).unwrap();
        model.checkpoint(&ordinary, &options, &variables).unwrap();
        let [file, wanted] = [&path, &ordinary].map(|path| std::fs::read(path).unwrap());
        let checkpoint = Checkpoint::parse(&file).unwrap();
        assert!(checkpoint.verify(1, &mut |issue| panic!("{issue}")).unwrap().is_intact());
        assert_eq!(fdckpt::fti::diff(&checkpoint, &Checkpoint::parse(&wanted).unwrap(), &mut |_| {}), 0);
    }
});
