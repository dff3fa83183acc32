//! Runs a decompressor over a stream, in one call and in pieces with checkpoints between them.

use std::io;

use fdckpt::Container;
use fdckpt::inflate::Error;
use fdckpt::inflate::{CheckpointEncoding, Format, Index, Inflate, Progress, Status};

use super::Random;

/// What became of a stream: the output, how much input was taken, and the end or the error; `None` if the input ended
/// before.
#[derive(Clone, Debug, PartialEq)]
pub struct Outcome {
    pub output: Vec<u8>,
    pub taken: u64,
    pub result: Option<Result<(), Error>>,
}

/// With more output than this (a few bytes can become a thousand times as many) a test is not gone on with.
pub const OUTPUT_MAX: usize = 1 << 23;

/// Without more input there is no more output.
fn needs_input(inflate: &mut Inflate) {
    assert_eq!(inflate.decompress(&[], &mut [0]), Progress { consumed: 0, produced: 0, result: Ok(Status::NeedsInput) });
}

/// Goes on with `inflate` to the end of `input`, with buffers of `size` bytes.
pub fn go_on(inflate: &mut Inflate, mut input: &[u8], size: usize) -> Outcome {
    let mut output = Vec::new();
    let mut buffer = vec![0; size];
    loop {
        if output.len() > OUTPUT_MAX {
            return Outcome { output, taken: inflate.total_in(), result: None };
        }
        let progress = inflate.decompress(input, &mut buffer);
        output.extend(&buffer[..progress.produced]);
        input = &input[progress.consumed..];
        let result = match progress.result {
            Ok(Status::NeedsOutput) => {
                assert_eq!(progress.produced, size, "the buffer is full");
                continue;
            }
            Ok(Status::NeedsInput) => {
                assert!(input.is_empty(), "all of it is taken");
                needs_input(inflate);
                None
            }
            Ok(Status::Done) => Some(Ok(())),
            Err(error) => Some(Err(error)),
        };
        return Outcome { output, taken: inflate.total_in(), result };
    }
}

pub fn in_one_go(format: Format, stream: &[u8]) -> Outcome {
    let size = 4 * stream.len() + (1 << 17);
    go_on(&mut Inflate::new(format).expect("enough memory"), stream, size)
}

/// Decompresses in random pieces of input and output, and after some of them resumes from a checkpoint in a new
/// decompressor: all encodings of the format. `size` is about how much output there is; large streams don't
/// go in small pieces only.
pub fn in_pieces(format: Format, stream: &[u8], random: &mut Random, checkpoint_once_in: usize, size: usize) -> Outcome {
    let mut inflate = Inflate::new(format).expect("enough memory");
    let mut output: Vec<u8> = Vec::new();
    let (mut at, mut furthest) = (0, 0);
    let most_in = (1 << random.below(15)).max(stream.len() / 60);
    let most_out = (1 << random.below(19)).max(size / 60);
    let mut buffer = vec![0; most_out + 4];
    loop {
        let small = random.once_in(4);
        // A checkpoint may be at an earlier offset than the input was: avoid an endless loop.
        let again = if at < furthest { furthest + 1 - at } else { 0 };
        let end = stream.len().min(at + random.below(if small { 4 } else { most_in + 2 }).max(again));
        furthest = furthest.max(end);
        let capacity = random.below(if small { 4 } else { most_out + 1 });
        let progress = inflate.decompress(&stream[at..end], &mut buffer[..capacity]);
        output.extend(&buffer[..progress.produced]);
        at += progress.consumed;
        assert_eq!((inflate.total_in(), inflate.total_out()), (at as u64, output.len() as u64));
        match progress.result {
            Ok(Status::NeedsInput) => needs_input(&mut inflate),
            Ok(Status::NeedsOutput) => assert_eq!(progress.produced, capacity, "the buffer is full"),
            _ => {}
        }
        let result = match progress.result {
            Ok(Status::Done) if at == stream.len() || at < end => Some(Ok(())),
            Ok(Status::NeedsInput) if at == stream.len() => None,
            Ok(_) => {
                if random.once_in(checkpoint_once_in) {
                    let wrapped = matches!(format, Format::Zlib | Format::Gzip);
                    let encodings = [
                        CheckpointEncoding::Full,
                        CheckpointEncoding::Compact,
                        CheckpointEncoding::Deflate64V0,
                        CheckpointEncoding::Deflate64V0x1001,
                    ];
                    let encoding = encodings[random.below(if wrapped { 2 } else { 4 })];
                    let (checkpoint, position) = inflate.checkpoint(encoding).expect("there has been no error");
                    assert!(checkpoint.len() <= inflate.checkpoint_bound(encoding));
                    assert_eq!(position.out_offset, output.len() as u64);
                    inflate = Inflate::new(format).expect("enough memory");
                    assert_eq!(inflate.restore(&checkpoint), Ok(position), "{encoding:?}");
                    if matches!(encoding, CheckpointEncoding::Full) {
                        assert_eq!(inflate.checkpoint(encoding), Ok((checkpoint, position)), "the same again");
                    }
                    assert!(
                        matches!(encoding, CheckpointEncoding::Deflate64V0 | CheckpointEncoding::Deflate64V0x1001)
                            || position.in_offset == at as u64
                    );
                    at = position.in_offset as usize;
                }
                continue;
            }
            Err(error) => {
                assert_eq!(inflate.checkpoint(CheckpointEncoding::Full), Err(Error::Poisoned));
                Some(Err(error))
            }
        };
        return Outcome { output, taken: inflate.total_in(), result };
    }
}

/// Whatever `case` is (its first bytes choose format and cuts, the others are the stream): it comes out in pieces as in
/// one go, and if it is intact, other decoders have the same output.
pub fn anything(case: &[u8]) {
    let Some((&[choice, cuts], stream)) = case.split_first_chunk() else { return };
    let format = [Format::Deflate, Format::Deflate64, Format::Zlib, Format::Gzip][usize::from(choice % 4)];
    let whole = in_one_go(format, stream);
    // Small pieces of much output take long.
    if whole.output.len() > 1 << 19 {
        return;
    }
    let mut pieces = in_pieces(format, stream, &mut Random(cuts.into()), 1 + usize::from(choice >> 4), whole.output.len());
    if matches!(whole.result, Some(Err(_))) {
        // How far ahead input was taken when the error showed depends on the pieces.
        pieces.taken = whole.taken;
    }
    assert!(
        pieces == whole,
        "{format:?}: {:?} {:?}",
        (pieces.result, pieces.taken, pieces.output.len()),
        (whole.result, whole.taken)
    );
    let other = match format {
        Format::Deflate => other_deflate(stream),
        Format::Deflate64 => other_deflate64(stream),
        _ => return,
    };
    if whole.result == Some(Ok(())) {
        assert!(other == Some(whole.output), "the other decoder");
    }
}

/// Decodes by miniz_oxide; `None` where it refuses.
pub fn other_deflate(stream: &[u8]) -> Option<Vec<u8>> {
    miniz_oxide::inflate::decompress_to_vec_with_limit(stream, 2 * OUTPUT_MAX).ok()
}

/// Decodes by the crate deflate64; `None` where it refuses.
pub fn other_deflate64(stream: &[u8]) -> Option<Vec<u8>> {
    let mut inflater = Box::new(deflate64::InflaterManaged::new());
    let (mut output, mut at, mut buffer) = (Vec::new(), 0, vec![0; 1 << 16]);
    loop {
        let result = inflater.inflate(&stream[at..], &mut buffer);
        at += result.bytes_consumed;
        output.extend(&buffer[..result.bytes_written]);
        if result.data_error || output.len() > 2 * OUTPUT_MAX {
            return None;
        }
        if inflater.finished() {
            return Some(output);
        }
        if result.bytes_consumed == 0 && result.bytes_written == 0 {
            return None;
        }
    }
}

/// The two sums of the blob, as its description has them.
pub fn blob_sum(bytes: &[u8]) -> u32 {
    let (a, b) = bytes.iter().fold((0u32, 0u32), |(a, b), &byte| {
        let a = (a + u32::from(byte)) & 0xffff;
        (a, (b + a) & 0xffff)
    });
    b << 16 | a
}

/// Makes the checksums of a checkpoint right again, as far as it is one.
pub fn sum_up(checkpoint: &mut [u8]) {
    let mut blob = 0;
    if checkpoint.starts_with(b"FDCKINFL") && checkpoint.len() >= 76 {
        let end = 72 + usize::from(u16::from_le_bytes([checkpoint[12], checkpoint[13]]));
        if end + 4 <= checkpoint.len() {
            let sum = crc32fast::hash(&checkpoint[..end]);
            checkpoint[end..end + 4].copy_from_slice(&sum.to_le_bytes());
            blob = end + 4;
        }
        // Of a compressed window the sum is over the window itself: not to be had here.
        if checkpoint[11] != 0 {
            return;
        }
    }
    if checkpoint.len() >= blob + 350 {
        let end = checkpoint.len() - 4;
        let sum = blob_sum(&checkpoint[blob..end]);
        checkpoint[end..].copy_from_slice(&sum.to_le_bytes());
    }
}

/// A checkpoint that is arbitrary, or a real one that was tampered with, is refused, and then nothing has changed; or
/// it is gone on from, to whatever end, and can itself be saved and restored.
pub fn restore(case: &[u8]) {
    let Some((&[choice, seed, cut, tampering], rest)) = case.split_first_chunk() else { return };
    let deflate64 = choice & 1 != 0;
    let format = if deflate64 { Format::Deflate64 } else { Format::Deflate };
    let (stream, _) = super::random_stream(seed.into(), deflate64, 3);
    let mut inflate = Inflate::new(format).expect("enough memory");
    let mut buffer = vec![0; 1 << 17];
    let at = stream.len() * usize::from(cut) / 256;
    _ = inflate.decompress(&stream[..at], &mut buffer[..usize::from(seed) * 64]);
    let before = inflate.checkpoint(CheckpointEncoding::Full).expect("there has been no error");
    let checkpoint = if choice & 2 != 0 {
        rest.to_vec()
    } else {
        let encoding = [
            CheckpointEncoding::Full,
            CheckpointEncoding::Compact,
            CheckpointEncoding::Deflate64V0,
            CheckpointEncoding::Deflate64V0x1001,
        ][usize::from(choice >> 2 & 3)];
        let (mut checkpoint, _) = inflate.checkpoint(encoding).expect("there has been no error");
        for change in rest.chunks_exact(3).take(usize::from(tampering)) {
            let size = checkpoint.len();
            checkpoint[usize::from(u16::from_le_bytes([change[0], change[1]])) % size] ^= change[2];
        }
        checkpoint
    };
    let mut summed = checkpoint.clone();
    sum_up(&mut summed);
    for checkpoint in [checkpoint, summed] {
        let mut inflate = Inflate::new(format).expect("enough memory");
        inflate.restore(&before.0).expect("it was just made");
        match inflate.restore(&checkpoint) {
            Err(error) => {
                assert!(matches!(error, Error::InvalidCheckpoint(_)), "{error:?}");
                assert!(inflate.checkpoint(CheckpointEncoding::Full).as_ref() == Ok(&before), "nothing has changed");
            }
            Ok(position) => {
                assert_eq!((inflate.total_in(), inflate.total_out()), (position.in_offset, position.out_offset));
                for encoding in [CheckpointEncoding::Full, CheckpointEncoding::Deflate64V0] {
                    let (again, _) = inflate.checkpoint(encoding).expect("there has been no error");
                    Inflate::new(format).expect("enough memory").restore(&again).expect("intact");
                }
                // Pieces make no difference to the output; the order of errors and end of input may depend on them.
                let input = if rest.is_empty() { &stream } else { rest };
                _ = go_on(&mut inflate, input, 1000);
            }
        }
    }
}

/// An index that is arbitrary, or a real one that was tampered with, of an input that may have been: refused, then or
/// when it is used, or what is read is right unless the index's own checksums say otherwise.
pub fn index(case: &[u8]) {
    let Some((&[choice, seed, every, place], rest)) = case.split_first_chunk() else { return };
    let format = if choice & 1 != 0 { Format::Deflate64 } else { Format::Deflate };
    let (mut stream, plain) = super::random_stream(seed.into(), format == Format::Deflate64, 3);
    let every = 1 + plain.len() as u64 * u64::from(every) / 1000;
    let index = Index::build(&stream[..], io::sink(), format, every.max(5000)).expect("intact");
    let container = index.to_container().expect("enough memory");
    let (mut table, mut checkpoints) =
        (container.get(128).expect("it exists").to_vec(), container.get(129).expect("there").to_vec());
    let changes = |bytes: &mut [u8]| {
        for change in rest.chunks_exact(3) {
            let size = bytes.len();
            bytes[usize::from(u16::from_le_bytes([change[0], change[1]])) % size] ^= change[2];
        }
    };
    match choice >> 1 & 3 {
        0 => changes(&mut table),
        1 => changes(&mut checkpoints),
        2 => changes(&mut stream),
        _ => table.splice(8.., rest.iter().copied()).for_each(drop),
    }
    let sealed = choice & 8 != 0 && table.len() >= 4;
    if sealed {
        let end = table.len() - 4;
        let sum = crc32fast::hash(&table[..end]);
        table[end..].copy_from_slice(&sum.to_le_bytes());
    }
    let mut container = Container::new();
    container.set(128, table).and_then(|()| container.set(129, checkpoints)).expect("enough memory");
    let file = container.serialize().expect("enough memory");
    let Ok(index) = Index::parse(&file) else { return };
    let Ok(mut reader) = index.reader(io::Cursor::new(&stream)) else { return };
    let mut part = [0; 3000];
    for round in 0..5 {
        let from = plain.len() * usize::from(place.wrapping_mul(round + 1)) / 256;
        if let Ok(count) = reader.read_at(from as u64, &mut part)
            && !sealed
        {
            assert!(plain[from..].starts_with(&part[..count]), "{count} bytes at {from}");
        }
    }
}
