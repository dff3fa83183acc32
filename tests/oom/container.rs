//! Containers: each failed allocation is reported and changes nothing; memory for reading is bounded.

use std::io::Write;

use crate::failing_alloc::{MOST, NOW, at_each_allocation};
use fdckpt::container::Block;
use fdckpt::{BlockIndex, Container};

fn file(text: &str) -> Vec<u8> {
    [b"data", text.as_bytes(), &(text.len() as u32).to_le_bytes(), b"CKPT"].concat()
}

#[test]
fn every_failed_allocation_is_reported() {
    let data = vec![7; 100_000];
    let mut container = Container::new();
    assert!(at_each_allocation(|| container.set(1, &data)) > 0);
    for kind in 2..10 {
        at_each_allocation(|| container.set(kind, &data));
    }
    assert_eq!(container.len(), 9);
    assert_eq!(at_each_allocation(|| container.remove(9)), 0);
    assert_eq!(at_each_allocation(|| container.serialized_size()), 0);
    assert!(at_each_allocation(|| container.serialize()) >= 2);
    let written = container.serialize().unwrap();
    assert!(at_each_allocation(|| Container::parse(&written).map(drop)) > 0);
    let file = file(r#"{"sections":[{},{},{},{},{},{},{}]}"#);
    let parsed = Container::parse(&file).unwrap();
    assert!(at_each_allocation(|| parsed.verify()) > 2);
    let target = tempfile::tempfile().unwrap();
    assert!(at_each_allocation(|| parsed.write_to(&target)) > 0);
    let target = tempfile::tempfile().unwrap();
    (&target).write_all(&file).unwrap();
    assert!(at_each_allocation(|| parsed.append_to(&target)) > 0);

    let blocks = [Block::default(); 50];
    assert_eq!(at_each_allocation(|| BlockIndex::new(&blocks)), 1);
    let index = BlockIndex::new(&blocks).unwrap();
    assert_eq!(at_each_allocation(|| index.encode()), 1);
    let encoded = index.encode().unwrap();
    assert!(at_each_allocation(|| BlockIndex::decode(&encoded)) > 1);
    assert!(at_each_allocation(|| BlockIndex::read(&encoded)) > 1);
}

/// The texts that make the most of a byte.
#[test]
fn memory_for_reading_is_bounded() {
    let mut worst = 0.0f64;
    for element in ["{}", "null", r#"{"type":1}"#] {
        for count in [0, 1, 4, 5, 8, 9, 100, 1000, 65_536, 65_537, 100_000, 131_073, 196_608] {
            let file = file(&format!("{{\"sections\":[{}]}}", vec![element; count].join(",")));
            let (before, metadata) = (NOW.get(), file.len() - 12);
            MOST.set(before);
            drop(Container::parse(&file));
            let most = (MOST.get() - before) as usize;
            assert!(most <= 30 * metadata + (16 << 10), "{most} bytes for {metadata} of metadata");
            worst = worst.max((most as f64 - 16_384.0) / metadata as f64);
        }
    }
    println!("reading takes {worst:.1} times the metadata at most");
    assert!(worst > 15.0, "the bound that is reported could be lower");
}
