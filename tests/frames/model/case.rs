//! Call sequences from arbitrary bytes: those of a fuzzer, or random ones.

use super::Op;

/// Bytes that decisions are taken from; zeros when they are used up.
pub struct Choices<'b> {
    bytes: &'b [u8],
}

impl<'b> Choices<'b> {
    pub fn new(bytes: &'b [u8]) -> Self {
        Self { bytes }
    }

    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    pub fn byte(&mut self) -> u8 {
        let Some((&first, rest)) = self.bytes.split_first() else { return 0 };
        self.bytes = rest;
        first
    }

    pub fn number(&mut self) -> usize {
        usize::from(self.byte()) | usize::from(self.byte()) << 8
    }

    pub fn rest(self) -> &'b [u8] {
        self.bytes
    }
}

/// No case has more bytes in its buffers.
const MOST: usize = 1 << 20;

/// A sequence of calls that make a checkpoint. Most of it makes sense.
pub fn checkpt_ops(choices: &mut Choices<'_>) -> Vec<Op> {
    let (mut ops, mut in_frame, mut total) = (Vec::new(), false, 0);
    let mut last: Vec<u8> = Vec::new();
    while !choices.is_empty() && ops.len() < 200 {
        let choice = choices.byte();
        let op = match (in_frame, choice) {
            (_, 253) => Op::OpenNull(1),
            (_, 254) => Op::Null(choices.byte().into()),
            (_, 255) => [Op::Open(99), Op::Open(-1), Op::Open(1), Op::Close, Op::Meta(vec![1; 65_537])]
                [usize::from(choices.byte()) % 5]
                .clone(),
            (false, _) => Op::Open(i32::from(choice % 5).clamp(0, 2)),
            (true, 200..) => Op::Close,
            (true, _) => {
                let size = size(choices).min(MOST - total);
                total += size;
                let data = content(choices, size, &last);
                if choices.byte().is_multiple_of(4) {
                    last = data.clone();
                }
                if choice.is_multiple_of(2) && size <= 65_536 { Op::Meta(data) } else { Op::Data(data) }
            }
        };
        match op {
            Op::Open(0..=2) => in_frame = true,
            Op::Close => in_frame = false,
            _ => {}
        }
        ops.push(op);
    }
    // Most often the last frame is closed.
    if in_frame && ops.len() % 8 != 0 {
        ops.push(Op::Close);
    }
    ops
}

fn size(choices: &mut Choices<'_>) -> usize {
    let class = choices.byte();
    match class {
        0..=149 => usize::from(choices.byte()) % 64,
        150..=229 => choices.number() % 3_000,
        230..=239 => 65_530 + usize::from(choices.byte()) % 12,
        240..=245 => 69_620 + usize::from(choices.byte()) % 24,
        246..=250 => choices.number(),
        _ => choices.number() * 5,
    }
}

/// Runs, text, letters of a small alphabet, noise, or what was there before.
fn content(choices: &mut Choices<'_>, size: usize, last: &[u8]) -> Vec<u8> {
    let (kind, seed) = (choices.byte(), choices.number());
    let mut state = seed as u64 + 1;
    let mut noise = move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 5) as u8
    };
    match kind % 6 {
        0 => vec![seed as u8; size],
        1 => (0..size).map(|i| b"checkpoint and restore, "[(i + i / 100 * seed) % 24]).collect(),
        2 => (0..size).map(|_| b"ACGT"[usize::from(noise()) % 4]).collect(),
        3 => (0..size).map(|_| noise()).collect(),
        4 => (0..size).map(|_| noise() % 2).collect(),
        _ if last.is_empty() => vec![0; size],
        _ => last.iter().copied().cycle().skip(seed % last.len()).take(size).collect(),
    }
}

/// A sequence of calls that restore something, with as much sense as one finds.
pub fn arbitrary_restore_ops(choices: &mut Choices<'_>) -> Vec<Op> {
    let mut ops = Vec::new();
    for _ in 0..1 + choices.byte() % 40 {
        let choice = choices.byte();
        ops.push(match choice % 16 {
            0 | 1 => Op::Open(2),
            2 => Op::Open(1),
            3..=7 => Op::Data(vec![0; size(choices)]),
            8..=10 => Op::Meta(vec![0; size(choices)]),
            11 | 12 => Op::Close,
            13 => Op::Seek(choices.number() as u64 % 1_000),
            14 => Op::Open(i32::from(choice) / 16),
            _ => Op::Null(usize::from(choice / 128)),
        });
    }
    ops
}
