//! Corrupt frames: only documented codes, the same as those of the model; and how much corruption goes unnoticed.
//!
//! By default 20,000 changes to large checkpoints; `make test-corruption COUNT=n` makes n.

use crate::model;
use crate::model::library_driver::{Bench, silence};
use crate::model::{Answer, COMP, Checkpt, From, IO, OK, Op, Restore};
use fdckpt as _; // has the functions that the model's driver calls

struct Random(u64);

impl Random {
    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) as usize % limit
    }
}

/// A frame of this style: text, noise and records in buffers of these sizes. And the offset of each chunk's header.
fn frame(style: i32, sizes: &[usize]) -> (Vec<Op>, Vec<u8>) {
    let mut random = Random(7 + sizes.len() as u64);
    let mut ops = vec![Op::Open(style)];
    for (index, &size) in sizes.iter().enumerate() {
        let data = (0..size).map(|i| match index % 3 {
            0 => b"a checkpoint can be damaged, "[(i + i / 300) % 29],
            1 => random.below(256) as u8,
            _ => ((i / 8) >> (8 * (i % 8))) as u8,
        });
        ops.push(Op::Data(data.collect()));
    }
    ops.push(Op::Close);
    let mut model = Checkpt::new(None);
    assert!(ops.iter().all(|op| model.call(op).code == OK));
    (ops, std::mem::take(&mut model.bytes))
}

/// What became of damage.
#[derive(Default, Debug, Clone, Copy)]
struct Tally {
    noticed: usize,
    harmless: usize,
    silent: usize,
}

impl Tally {
    /// Restores the corrupt bytes from `from`, compares with the model, and counts.
    fn add(&mut self, bench: &mut Bench, ops: &[Op], damaged: &[u8], from: From) {
        let answers = bench.restore(ops, damaged, from, model::library_driver::BUFFER_MIN);
        let mut model = Restore::new(damaged, from);
        let expected: Vec<Answer> = ops.iter().map(|op| model.call(op)).collect();
        assert!(answers == expected, "the model says otherwise");
        match answers.iter().find(|answer| answer.code != OK) {
            Some(failure) => {
                assert!(failure.code == IO || failure.code == COMP, "{}", failure.code);
                self.noticed += 1;
            }
            None => {
                let same = |(op, answer): (&Op, &Answer)| match op {
                    Op::Data(data) => answer.data.as_ref() == Some(data),
                    _ => true,
                };
                if ops.iter().zip(&answers).all(same) { self.harmless += 1 } else { self.silent += 1 }
            }
        }
    }
}

const MODES: [From; 2] = [From::Region, From::File];

#[test]
fn every_flipped_bit_and_truncation_of_small_checkpoints() {
    silence();
    let mut bench = Bench::new();
    for style in [1, 2] {
        for sizes in [&[1][..], &[13, 200, 64], &[300, 0, 1, 150, 400], &[70_000]] {
            let (ops, bytes) = frame(style, sizes);
            if bytes.len() > 2_000 {
                continue; // RAW of the last one
            }
            let (mut flips, mut cuts) = (Tally::default(), Tally::default());
            for from in MODES {
                for bit in 0..bytes.len() * 8 {
                    let mut damaged = bytes.clone();
                    damaged[bit / 8] ^= 1 << (bit % 8);
                    flips.add(&mut bench, &ops, &damaged, from);
                }
                for len in 0..bytes.len() {
                    cuts.add(&mut bench, &ops, &bytes[..len], from);
                }
            }
            println!("style {style}, {} bytes: bits {flips:?}, cuts {cuts:?}", bytes.len());
            assert_eq!((cuts.harmless, cuts.silent), (0, 0), "a cut is noticed");
        }
    }
}

#[test]
fn random_corruption_of_large_checkpoints() {
    silence();
    let count: usize = std::env::var("FDCKPT_TEST_CORRUPTION_CASES").map_or(20_000, |count| count.parse().expect("a number"));
    let mut bench = Bench::new();
    let mut random = Random(0x5EED);
    for style in [1, 2] {
        let (ops, bytes) = frame(style, &[30_000, 5_000, 70_000, 10, 20_000]);
        let mut headers = Vec::new();
        let mut at = 0;
        while style == 2 && at < bytes.len() {
            headers.push(at);
            at += 3 + (usize::from(bytes[at]) | usize::from(bytes[at + 1]) << 8 | usize::from(bytes[at + 2]) << 16);
        }
        let kinds = ["one bit", "a few bytes", "a splice", "a header", "a cut"];
        let mut tallies = [Tally::default(); 5];
        for index in 0..count / 2 {
            let mut damaged = bytes.clone();
            let kind = index % kinds.len();
            match kind {
                0 => damaged[random.below(bytes.len())] ^= 1 << random.below(8),
                1 => (0..1 + random.below(8)).for_each(|_| damaged[random.below(bytes.len())] = random.below(256) as u8),
                2 => {
                    let len = 1 + random.below(2_000);
                    let (from, to) = (random.below(bytes.len() - len), random.below(bytes.len() - len));
                    damaged.copy_within(from..from + len, to);
                }
                3 if style == 1 => continue, // It has none
                3 => damaged[headers[random.below(headers.len())] + random.below(3)] = random.below(256) as u8,
                _ => damaged.truncate(random.below(bytes.len())),
            }
            tallies[kind].add(&mut bench, &ops, &damaged, MODES[index / kinds.len() % 2]);
        }
        for (kind, tally) in kinds.iter().zip(tallies) {
            println!("style {style}, {kind}: {tally:?}");
        }
        assert_eq!(tallies[4].silent, 0, "a cut is noticed");
    }
}
