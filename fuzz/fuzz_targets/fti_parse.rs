//! Arbitrary bytes as a checkpoint file of FTI, of any version: what comes is within bounds, in memory of the size that is
//! promised, and what verifies can be recovered, converted and read again.
//!
//! The first byte says of which version the file is to look: it gets the header's hash and checksum that its other fields ask
//! for, so that the parser is reached. Above 11 the file stays as it is.
#![no_main]

#[path = "../counted.rs"]
mod counted;

use std::sync::atomic::Ordering::Relaxed;

use counted::{MOST, NOW};
use fdckpt::fti::{Checkpoint, SyncMode, FormatVersion, WriteOptions, ProtectedVariableMut, convert, diff};
use libfuzzer_sys::fuzz_target;

/// Header size, and the fields that its hash is fed with.
fn hashed(version: FormatVersion) -> (usize, &'static [(usize, usize)]) {
    match version {
        FormatVersion::V1_1 => (96, &[(0, 33), (88, 8), (56, 8), (64, 8), (80, 8), (72, 8)]),
        FormatVersion::V1_2 => (90, &[(0, 33), (81, 8), (49, 8), (57, 8), (73, 8), (65, 8)]),
        FormatVersion::V1_3 | FormatVersion::V1_4_0 => (110, &[(0, 33), (101, 8), (53, 8), (61, 8), (69, 8), (77, 8), (93, 8), (85, 8)]),
        FormatVersion::V1_4_1 => (82, &[(0, 33), (77, 4), (53, 4), (57, 4), (61, 4), (65, 4), (73, 4), (69, 4)]),
        FormatVersion::Post1_6 => (106, &[(0, 33), (101, 4), (53, 8), (61, 8), (69, 8), (77, 8), (93, 8), (85, 8)]),
    }
}

fn file(case: &[u8]) -> Vec<u8> {
    let Some((&first, rest)) = case.split_first() else { return Vec::new() };
    let mut file = rest.to_vec();
    let Some(&version) = FormatVersion::ALL.get(usize::from(first % 6)).filter(|_| first < 12) else { return file };
    let (size, fields) = hashed(version);
    let Some(last) = file.len().checked_sub(size) else { return file };
    let at = if matches!(version, FormatVersion::V1_1 | FormatVersion::V1_2) { 0 } else { last };
    let hash = {
        let bytes: Vec<u8> = fields.iter().flat_map(|&(from, size)| file[at + from..][..size].to_vec()).collect();
        fast_md5::digest(&bytes)
    };
    file[at + 33..][..16].copy_from_slice(&hash);
    file
}

fuzz_target!(|case: &[u8]| {
    let file = file(case);
    let before = NOW.load(Relaxed);
    MOST.store(before, Relaxed);
    let parsed = Checkpoint::parse(&file);
    let most = MOST.load(Relaxed) - before;
    assert!(most <= 30 * file.len() + (16 << 10), "{most} bytes for {}", file.len());
    let Ok(checkpoint) = parsed else { return };
    let mut reported = 0;
    let report = checkpoint.verify(1, &mut |issue| {
        reported += 1;
        _ = issue.to_string();
    });
    let report = report.unwrap();
    assert_eq!(reported, report.corrupt + report.rejected + report.notes);
    assert_eq!(diff(&checkpoint, &checkpoint, &mut |_| {}) > 0, {
        let mut unreadable = false;
        diff(&checkpoint, &checkpoint, &mut |difference| {
            unreadable |= matches!(difference, fdckpt::fti::Difference::Unreadable { .. })
        });
        unreadable
    });
    let total: u64 = checkpoint.variables().iter().fold(0, |sum, variable| sum.saturating_add(variable.size));
    if total > 1 << 20 {
        assert!(!report.is_intact());
        return;
    }
    let mut memory: Vec<(i32, Vec<u8>)> =
        checkpoint.variables().iter().map(|variable| (variable.id, vec![0; variable.size as usize])).collect();
    for (id, memory) in &mut memory {
        let one = checkpoint.recover_variable(*id, memory);
        assert!(one.is_ok() || !report.is_intact(), "{one:?}");
    }
    let mut into: Vec<ProtectedVariableMut> = memory.iter_mut().map(|(id, memory)| ProtectedVariableMut::new(*id, memory)).collect();
    let recovered = checkpoint.recover(&mut into, 1);
    assert_eq!(recovered.is_ok(), report.is_intact(), "{recovered:?}");
    if recovered.is_err() || case.len() % 16 != 0 {
        return;
    }
    let path = std::env::temp_dir().join(format!("fti_parse.{}", std::process::id()));
    let mut options = WriteOptions::new(FormatVersion::ALL[case.len() / 16 % 6], 1);
    options.sync = SyncMode::None;
    if convert(&checkpoint, &path, &options).is_ok() {
        let converted = std::fs::read(&path).unwrap();
        let converted = Checkpoint::parse(&converted).unwrap();
        assert!(converted.verify(1, &mut |issue| panic!("{issue}")).unwrap().is_intact());
        assert_eq!(diff(&checkpoint, &converted, &mut |_| {}), 0);
    }
    _ = std::fs::remove_file(&path);
});
