//! Random streams in pieces and from checkpoint to checkpoint decode as in one call, and as other decoders do.

use std::io::{BufRead, Read};

use crate::common;
use crate::deflate;
use crate::deflate::encode::{Encoder, Token, codes};
use crate::deflate::run::{Outcome, go_on, in_one_go, in_pieces, other_deflate, other_deflate64};
use crate::deflate::{Random, random_stream};
use fdckpt::inflate::Error;
use fdckpt::inflate::{CheckpointEncoding, Format, Inflate, Reader};

/// How many of each kind (`FDCKPT_TEST_INFLATE_CASES`).
fn count(quick: u64) -> u64 {
    std::env::var("FDCKPT_TEST_INFLATE_CASES").map_or(quick, |count| count.parse().expect("a number"))
}

#[test]
fn generated_streams_in_pieces() {
    for seed in 0..count(12) {
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
            // The end of a buffer is often within a match.
            let mut inflate = Inflate::new(format).expect("enough memory");
            assert!(go_on(&mut inflate, &stream, 4096 + random.below(9000)) == whole, "{seed} {format:?} with small buffers");
            let pieces = in_pieces(format, &stream, &mut random, 3, plain.len());
            assert!(pieces == whole, "{seed} {format:?} in pieces: {:?} {} {}", pieces.result, pieces.taken, pieces.output.len());
        }
    }
}

/// Bytes that compress.
fn plausible(random: &mut Random, size: usize) -> Vec<u8> {
    let mut bytes: Vec<u8> = Vec::new();
    while bytes.len() < size {
        if bytes.len() > 100 && random.once_in(2) {
            let (from, count) = (random.below(bytes.len() - 50), random.below(50));
            bytes.extend_from_within(from..from + count);
        } else {
            bytes.extend((0..random.below(30)).map(|_| b'a' + random.small(26) as u8));
        }
    }
    bytes
}

/// What other encoders make, of raw streams and zlib's: miniz_oxide at several levels, and the simple compressor of the
/// tests.
#[test]
fn streams_of_other_encoders_in_pieces() {
    let mut random = Random(7);
    for level in [0, 1, 6, 9] {
        let plain = plausible(&mut random, 50_000);
        for (format, stream) in [
            (Format::Deflate, miniz_oxide::deflate::compress_to_vec(&plain, level)),
            (Format::Zlib, miniz_oxide::deflate::compress_to_vec_zlib(&plain, level)),
            (Format::Deflate, deflate::compress(&plain, false)),
            (Format::Deflate64, deflate::compress(&plain, true)),
        ] {
            let pieces = in_pieces(format, &stream, &mut random, 4, plain.len());
            let right = Outcome { output: plain.clone(), taken: stream.len() as u64, result: Some(Ok(())) };
            assert!(pieces == right, "{format:?} level {level}: {:?}", pieces.result);
        }
    }
}

#[test]
fn deflate64_of_7zip_in_pieces() {
    if !common::has_program("7z") {
        return;
    }
    let dir = common::temp_dir("inflate-7z");
    let mut random = Random(64);
    let mut plain = plausible(&mut random, 400_000);
    plain.extend([7; 200_000]);
    std::fs::write(dir.join("plain"), &plain).unwrap();
    for level in ["-mx=1", "-mx=5", "-mx=9"] {
        let mut command = std::process::Command::new("7z");
        common::run(command.current_dir(&dir).args(["a", "-tzip", "-mm=Deflate64", level, &format!("x{level}.zip"), "plain"]));
        let zip = std::fs::read(dir.join(format!("x{level}.zip"))).unwrap();
        let number = |at: usize, size: usize| zip[at..at + size].iter().rev().fold(0, |sum, &byte| sum << 8 | usize::from(byte));
        assert_eq!(number(8, 2), 9, "the method is Deflate64");
        let start = 30 + number(26, 2) + number(28, 2);
        let pieces = in_pieces(Format::Deflate64, &zip[start..], &mut random, 10, plain.len());
        assert!(pieces.result == Some(Ok(())) && pieces.output == plain, "{level}: {:?}", pieces.result);
        assert_eq!(pieces.taken as usize, number(18, 4), "what follows is left alone");
    }
}

/// A gzip member with any of the optional fields.
fn member(random: &mut Random, stream: &[u8], plain: &[u8]) -> Vec<u8> {
    let flags = random.below(32);
    let mut member = vec![0x1f, 0x8b, 8, flags as u8, 1, 2, 3, 4, 0, 3];
    let mut text = |member: &mut Vec<u8>| {
        member.extend((0..random.below(300)).map(|i| 1 + (i % 255) as u8));
        member.push(0);
    };
    if flags & 4 != 0 {
        let mut extra = Vec::new();
        text(&mut extra);
        let size = if flags & 1 != 0 { 0 } else { extra.len() };
        member.extend((size as u16).to_le_bytes());
        member.extend(&extra[..size]);
    }
    for _ in 0..usize::from(flags & 8 != 0) + usize::from(flags & 16 != 0) {
        text(&mut member);
    }
    if flags & 2 != 0 {
        let sum = crc32fast::hash(&member);
        member.extend(&sum.to_le_bytes()[..2]);
    }
    member.extend(stream);
    member.extend(crc32fast::hash(plain).to_le_bytes());
    member.extend((plain.len() as u32).to_le_bytes());
    member
}

#[test]
fn multi_member_gzip_in_pieces() {
    for seed in 0..count(8) {
        let mut random = Random(seed);
        let (mut file, mut plain) = (Vec::new(), Vec::new());
        for index in 0..1 + random.below(4) as u64 {
            let (stream, part) = random_stream(1000 * index + seed, false, 3);
            file.extend(member(&mut random, &stream, &part));
            plain.extend(part);
        }
        let end = file.len();
        let right = Outcome { output: plain, taken: end as u64, result: Some(Ok(())) };
        assert!(in_one_go(Format::Gzip, &file) == right, "{seed}");
        let pieces = in_pieces(Format::Gzip, &file, &mut random, 5, right.output.len());
        assert!(pieces == right, "{seed} in pieces: {:?} {}", pieces.result, pieces.taken);
        // What follows is left alone.
        file.extend(b"\0garbage");
        assert!(in_one_go(Format::Gzip, &file) == right, "{seed} with garbage");
        let mut reader = Reader::new(&file[..], Format::Gzip).expect("enough memory");
        let mut output = Vec::new();
        reader.read_to_end(&mut output).expect("intact");
        assert!(output == right.output && *reader.get_ref() == b"\0garbage");
    }
}

/// A truncated stream gives the output that it holds and asks for more; a checkpoint taken there resumes to the end.
#[test]
fn truncated_anywhere() {
    for deflate64 in [false, true] {
        let format = if deflate64 { Format::Deflate64 } else { Format::Deflate };
        for seed in [2, 5] {
            let (stream, plain) = random_stream(seed, deflate64, 4);
            for cut in (0..stream.len()).filter(|cut| *cut < 100 || cut.is_multiple_of(397)) {
                let mut inflate = Inflate::new(format).expect("enough memory");
                let first = go_on(&mut inflate, &stream[..cut], 1 << 16);
                assert_eq!((first.result, first.taken), (None, cut as u64));
                assert!(plain.starts_with(&first.output));
                for encoding in [
                    [CheckpointEncoding::Full, CheckpointEncoding::Deflate64V0],
                    [CheckpointEncoding::Compact, CheckpointEncoding::Deflate64V0x1001],
                ][cut % 2]
                {
                    let (checkpoint, position) = inflate.checkpoint(encoding).expect("a checkpoint");
                    let mut inflate = Inflate::new(format).expect("enough memory");
                    inflate.restore(&checkpoint).expect("intact");
                    let rest = go_on(&mut inflate, &stream[position.in_offset as usize..], 1 << 16);
                    assert_eq!(rest.result, Some(Ok(())), "{seed} cut at {cut}");
                    assert!(rest.output == plain[first.output.len()..], "{seed} cut at {cut}");
                }
                let mut reader = Reader::new(&stream[..cut], format).expect("enough memory");
                let error = std::io::copy(&mut reader, &mut std::io::sink()).expect_err("it is truncated");
                assert_eq!(error.kind(), std::io::ErrorKind::UnexpectedEof);
            }
        }
    }
}

/// Symbols with the longest codes and the most extra bits, 60 of them, from each bit of a byte on.
#[test]
fn longest_symbols_byte_by_byte() {
    let mut random = Random(60);
    let mut encoder = Encoder::new(true);
    let bytes: Vec<u8> = (0..60_000).map(|_| random.next() as u8).collect();
    encoder.stored(&bytes, false, 0);
    let before = encoder.stream.len();
    // Codes of 1, 2, 3 ... 14, 15 and 15 bits.
    let (mut literals, mut distances) = (vec![0; 286], vec![0; 32]);
    let symbols = [97, 256].into_iter().chain(98..111).chain([285]);
    symbols.zip(1..).for_each(|(symbol, length)| literals[symbol] = length.min(15));
    (0..15).chain([31]).zip(1..).for_each(|(symbol, length)| distances[symbol] = length.min(15));
    encoder.dynamic_header(&literals, &distances, true);
    let matches =
        (0..8).flat_map(|i| [Token::Literal(b'a'), Token::Match { symbol: 285, length: 500 + i, distance: 60_000 - 99 * i }]);
    encoder.symbols(&matches.collect::<Vec<_>>(), &codes(&literals), &codes(&distances));
    let (stream, plain) = encoder.finish();
    assert!(other_deflate64(&stream) == Some(plain.clone()), "the other decoder");

    let mut inflate = Inflate::new(Format::Deflate64).expect("enough memory");
    let mut output = go_on(&mut inflate, &stream[..before], 1 << 16).output;
    for (at, byte) in stream.iter().enumerate().skip(before) {
        let next = go_on(&mut inflate, &[*byte], 1 << 16);
        output.extend(next.output);
        assert_eq!((next.result, next.taken), ((at + 1 == stream.len()).then_some(Ok(())), at as u64 + 1));
        let (checkpoint, _) = inflate.checkpoint(CheckpointEncoding::Full).expect("a checkpoint");
        inflate = Inflate::new(Format::Deflate64).expect("enough memory");
        inflate.restore(&checkpoint).expect("intact");
    }
    assert!(output == plain);
}

/// Matches of nothing but zero bits, so that more bits than there are of a symbol look the same as none.
#[test]
fn zero_extra_bits() {
    for deflate64 in [false, true] {
        let format = if deflate64 { Format::Deflate64 } else { Format::Deflate };
        for (symbol, length) in [(265, 11), (277, 67), (284, 227), (285, 3)] {
            if symbol == 285 && !deflate64 {
                continue;
            }
            let (mut literals, mut distances) = (vec![0; 286], vec![0; 30]);
            (literals[97], literals[256], literals[symbol]) = (2, 2, 1);
            (distances[7], distances[8]) = (1, 1);
            let mut encoder = Encoder::new(deflate64);
            encoder.stored(b"a few letters", false, 0);
            encoder.dynamic_header(&literals, &distances, true);
            let tokens = vec![Token::Match { symbol, length, distance: 13 }; 100];
            encoder.symbols(&tokens, &codes(&literals), &codes(&distances));
            let (stream, plain) = encoder.finish();
            assert!(in_one_go(format, &stream).output == plain, "{format:?} {symbol}");
        }
    }
}

/// Checkpoints have all that a match can reach: the farthest one, right after them.
#[test]
fn farthest_match_after_checkpoint() {
    for (deflate64, farthest) in [(false, 32768), (true, 65536)] {
        let format = if deflate64 { Format::Deflate64 } else { Format::Deflate };
        let mut random = Random(12);
        let bytes: Vec<u8> = (0..40_000).map(|_| random.next() as u8).collect();
        let mut encoder = Encoder::new(deflate64);
        encoder.stored(&bytes, false, 0);
        encoder.stored(&bytes[..200], false, 0);
        // Something that compresses.
        encoder.stored(&vec![7; farthest - 200], false, 0);
        let before = encoder.stream.len();
        encoder.fixed(&[Token::Match { symbol: 279, length: 100, distance: farthest }], true);
        let (stream, plain) = encoder.finish();
        for encoding in [CheckpointEncoding::Full, CheckpointEncoding::Compact, CheckpointEncoding::Deflate64V0] {
            let mut inflate = Inflate::new(format).expect("enough memory");
            let first = go_on(&mut inflate, &stream[..before], 1000);
            let (checkpoint, position) = inflate.checkpoint(encoding).expect("a checkpoint");
            let mut inflate = Inflate::new(format).expect("enough memory");
            inflate.restore(&checkpoint).expect("intact");
            let rest = go_on(&mut inflate, &stream[position.in_offset as usize..], 1000);
            assert!([first.output, rest.output].concat() == plain, "{format:?} {encoding:?}");
        }
    }
}

/// Reading by lines and by pieces, from checkpoint to checkpoint.
#[test]
fn readers_resume_from_checkpoints() {
    let mut random = Random(3);
    let plain: Vec<u8> =
        (0..20_000).flat_map(|line: u32| format!("line {line}: {}\n", line.wrapping_mul(2654435761)).into_bytes()).collect();
    let stream = miniz_oxide::deflate::compress_to_vec_zlib(&plain, 6);
    let mut output = Vec::new();
    let mut checkpoint =
        Reader::new(&stream[..], Format::Zlib).expect("enough memory").checkpoint(CheckpointEncoding::Full).expect("the start");
    loop {
        let mut inflate = Inflate::new(Format::Zlib).expect("enough memory");
        let position = inflate.restore(&checkpoint.0).expect("intact");
        let source = std::io::BufReader::with_capacity(1 + random.below(5000), &stream[position.in_offset as usize..]);
        let mut reader = Reader::with_inflate(source, inflate);
        for _ in 0..random.below(20) {
            reader.read_until(b'\n', &mut output).expect("intact");
        }
        let held = reader.fill_buf().expect("intact").len();
        if held > 0 {
            assert!(
                matches!(reader.checkpoint(CheckpointEncoding::Full), Err(Error::InvalidArgument(_))),
                "what was not consumed would be lost"
            );
        }
        let mut rest = vec![0; held];
        reader.read_exact(&mut rest).expect("it exists");
        output.extend(rest);
        if held == 0 {
            break;
        }
        checkpoint = reader.checkpoint(CheckpointEncoding::Full).expect("nothing is held");
    }
    assert!(output == plain);
}

/// What came of a connection that stays open is read to the end, without asking for more than came.
#[test]
fn readers_do_not_block_for_more_input() {
    /// Pieces, and then nothing yet.
    struct Connection<'p>(std::collections::VecDeque<&'p [u8]>);
    impl Read for Connection<'_> {
        fn read(&mut self, _: &mut [u8]) -> std::io::Result<usize> {
            unreachable!("it is read by fill_buf")
        }
    }
    impl BufRead for Connection<'_> {
        fn fill_buf(&mut self) -> std::io::Result<&[u8]> {
            while self.0.front().is_some_and(|piece| piece.is_empty()) {
                self.0.pop_front();
            }
            self.0.front().copied().ok_or(std::io::ErrorKind::WouldBlock.into())
        }
        fn consume(&mut self, count: usize) {
            self.0[0] = &self.0[0][count..];
        }
    }

    let plain = [b"what is said, ".repeat(500), b"and said again".to_vec()].concat();
    let raw = miniz_oxide::deflate::compress_to_vec(&plain, 6);
    let zlib = miniz_oxide::deflate::compress_to_vec_zlib(&plain, 6);
    let mut gzip = member(&mut Random(1), &raw, &plain);
    let members = gzip.len();
    gzip.extend(member(&mut Random(2), &raw, &plain));
    for (format, stream, ends) in [
        (Format::Deflate, &raw, vec![raw.len()]),
        (Format::Deflate, &raw, vec![1; raw.len()]),
        (Format::Zlib, &zlib, vec![zlib.len()]),
        (Format::Zlib, &zlib, vec![zlib.len() - 4, 4]),
        // Whether another member follows cannot be known; but those that came are read.
        (Format::Gzip, &gzip, vec![gzip.len()]),
        (Format::Gzip, &gzip, vec![members, gzip.len() - members]),
        (Format::Gzip, &gzip, vec![members - 8, 8, gzip.len() - members]),
    ] {
        for size in [10, 100_000] {
            let mut rest = &stream[..];
            let pieces = ends.iter().map(|&size| rest.split_off(..size).expect("they are its pieces")).collect();
            let mut reader = Reader::new(Connection(pieces), format).expect("enough memory");
            let (mut output, mut buffer) = (Vec::<u8>::new(), vec![0; size]);
            let end = loop {
                match reader.read(&mut buffer) {
                    Ok(0) => break None,
                    Ok(count) => output.extend(&buffer[..count]),
                    Err(error) => break Some(error.kind()),
                }
            };
            assert_eq!(end, (format == Format::Gzip).then_some(std::io::ErrorKind::WouldBlock), "{format:?} {ends:?} {size}");
            assert!(output == plain.repeat(if format == Format::Gzip { 2 } else { 1 }), "{format:?} {ends:?} {size}");
        }
    }

    // By the reader's buffer and without it.
    let mut reader = Reader::new(&zlib[..], Format::Zlib).expect("enough memory");
    assert!(plain.starts_with(reader.fill_buf().expect("intact")));
    reader.consume(1000);
    let mut output = plain[..1000].to_vec();
    reader.read_to_end(&mut output).expect("intact");
    assert!(output == plain);
    let text = format!("{reader:?}");
    assert!(text.contains(&format!("format: Zlib, total_in: {}, total_out: {}", zlib.len(), plain.len())), "{text}");
}

/// What fuzzing found worth keeping.
#[test]
fn fuzz_corpus_cases() {
    for (target, check) in [("inflate_anything", deflate::run::anything as fn(&[u8])), ("inflate_restore", deflate::run::restore)]
    {
        let dir = common::root().join("fuzz/corpus").join(target);
        let mut cases: Vec<_> = std::fs::read_dir(dir).expect("the corpus").map(|case| case.expect("a case").path()).collect();
        cases.sort();
        for case in &cases {
            check(&std::fs::read(case).expect("a case"));
        }
        assert!(cases.len() >= 15, "{target}: {}", cases.len());
    }
}
