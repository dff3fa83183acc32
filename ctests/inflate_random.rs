//! Random streams through inflate, in pieces and from checkpoint to checkpoint: as in one go, and as other decoders have it.

#[path = "deflate/mod.rs"]
mod deflate;

use deflate::run::{Outcome, in_one_go, in_pieces, other_deflate, other_deflate64};
use deflate::{Random, random_stream};
use fdckpt::inflate::Format;

/// How many of each kind (`FDCKPT_INFLATE`).
fn count(quick: u64) -> u64 {
    std::env::var("FDCKPT_INFLATE").map_or(quick, |count| count.parse().expect("a number"))
}

#[test]
fn made_streams_in_pieces() {
    for seed in 0..count(40) {
        for deflate64 in [false, true] {
            let mut random = Random(seed);
            let blocks = 1 + random.below(12);
            let (stream, plain) = random_stream(seed, deflate64, blocks);
            let format = if deflate64 { Format::Deflate64 } else { Format::Deflate };
            let whole = in_one_go(format, &stream);
            assert!(
                whole == Outcome { output: plain.clone(), taken: stream.len() as u64, result: Some(Ok(())) },
                "{seed} {format:?}"
            );
            let other = if deflate64 { other_deflate64(&stream) } else { other_deflate(&stream) };
            assert!(other.as_ref() == Some(&plain), "{seed} {format:?}: the other decoder");
            let pieces = in_pieces(format, &stream, &mut random, 3, plain.len());
            assert!(pieces == whole, "{seed} {format:?} in pieces: {:?} {} {}", pieces.result, pieces.taken, pieces.output.len());
        }
    }
}
