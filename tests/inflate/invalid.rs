//! Invalid streams are rejected with fault and offset, in pieces of any size, and by another decoder too. Invalid
//! checkpoints with valid checksums are rejected without any change.

use crate::deflate::encode::{Encoder, Token, codes};
use crate::deflate::run::{blob_sum, go_on, in_one_go, in_pieces, other_deflate, other_deflate64, sum_up};
use crate::deflate::{Random, random_stream};
use fdckpt::inflate::{CheckpointEncoding, DataError, Error, Format, Inflate};
use fdckpt::{Checkpt, FrameStyle};

const LETTERS: [Token; 3] = [Token::Literal(b'a'), Token::Literal(b'b'), Token::Literal(b'c')];

/// What comes before: something to decode, up to a bit that is not the first of a byte.
fn start(deflate64: bool) -> Encoder {
    let mut encoder = Encoder::new(deflate64);
    encoder.stored(b"hello", false, 0x55);
    encoder.fixed(&LETTERS, false);
    encoder
}

/// Ends a stream that is refused at bit `at` for `fault`, and checks that it is.
fn refused(mut encoder: Encoder, at: u64, fault: DataError) {
    let plain = encoder.plain.clone();
    let deflate64 = encoder.deflate64;
    // What would follow makes no difference.
    for _ in 0..40 {
        encoder.put(0, 8);
    }
    encoder.align(0);
    let format = if deflate64 { Format::Deflate64 } else { Format::Deflate };
    let whole = in_one_go(format, &encoder.stream);
    assert_eq!(whole.result, Some(Err(Error::Corrupt { error: fault, bit: at })), "{format:?}");
    assert_eq!(whole.output, plain, "what came before is returned");
    for seed in 0..20 {
        let pieces = in_pieces(format, &encoder.stream, &mut Random(seed), 2, plain.len());
        assert_eq!((pieces.result, pieces.output), (whole.result, plain.clone()), "in pieces");
    }
    let pieces = go_on(&mut Inflate::new(format).expect("enough memory"), &encoder.stream, 3);
    assert_eq!((pieces.result, pieces.output), (whole.result, plain), "all input at once, and output in pieces");
    let other = if deflate64 { other_deflate64(&encoder.stream) } else { other_deflate(&encoder.stream) };
    // deflate64 0.1.12 takes codes that are incomplete, and is not asked about them.
    let incomplete =
        matches!(fault, DataError::LiteralCodesIncomplete | DataError::DistanceCodesIncomplete | DataError::LengthCodes);
    assert!(other.is_none() || deflate64 && incomplete, "{fault:?}: another decoder takes it");
}

#[test]
fn invalid_blocks() {
    for deflate64 in [false, true] {
        let mut encoder = start(deflate64);
        let at = encoder.at();
        encoder.put(0b111, 3);
        refused(encoder, at, DataError::BlockType);

        let mut encoder = start(deflate64);
        let at = encoder.at();
        encoder.put(0, 3);
        encoder.align(0);
        encoder.put(5, 16);
        encoder.put(0xfffb, 16);
        refused(encoder, at, DataError::StoredLength);
    }
}

/// Those of literals and lengths, and of distances.
fn fixed_codes() -> [Vec<(usize, u32)>; 2] {
    let lengths = [[8; 144].as_slice(), &[9; 112], &[7; 24], &[8; 8]].concat();
    [codes(&lengths), codes(&[5; 32])]
}

#[test]
fn invalid_symbols() {
    for deflate64 in [false, true] {
        // Fixed blocks: literal/length symbols 286 and 287, and in Deflate distance symbols 30 and 31, mean nothing.
        let [literals, distances] = fixed_codes();
        for symbol in [286, 287] {
            let mut encoder = start(deflate64);
            encoder.put(0b010, 3);
            let at = encoder.at();
            encoder.put(literals[symbol].0, literals[symbol].1);
            refused(encoder, at, DataError::LiteralCode);
        }
        if !deflate64 {
            for symbol in [30, 31] {
                let mut encoder = start(false);
                encoder.put(0b010, 3);
                let at = encoder.at();
                encoder.put(literals[257].0, literals[257].1);
                encoder.put(distances[symbol].0, distances[symbol].1);
                refused(encoder, at, DataError::DistanceCode);
            }
        }
        // The output so far has 8 bytes: 9 is too far.
        let mut encoder = start(deflate64);
        encoder.put(0b010, 3);
        let at = encoder.at();
        encoder.put(literals[257].0, literals[257].1);
        encoder.put(distances[6].0, distances[6].1);
        encoder.put(0, 2);
        refused(encoder, at, DataError::DistanceTooFar);
    }
}

/// A match can be decoded before the output buffer has space for it: its output is returned before an error after it is
/// reported.
#[test]
fn error_after_match() {
    for deflate64 in [false, true] {
        let mut encoder = start(deflate64);
        let [literals, distances] = fixed_codes();
        encoder.put(0b010, 3);
        // 227 and 23 bytes, from 7 and 1 before.
        encoder.put(literals[284].0, literals[284].1);
        encoder.put(23, 5);
        encoder.put(distances[5].0, distances[5].1);
        encoder.put(1, 1);
        for _ in 0..250 {
            encoder.plain.push(encoder.plain[encoder.plain.len() - 8]);
        }
        let at = encoder.at();
        encoder.put(literals[286].0, literals[286].1);
        refused(encoder, at, DataError::LiteralCode);
    }
}

/// A dynamic block's header with these code lengths.
fn header(deflate64: bool, literals: &[(usize, u8)], distances: &[(usize, u8)], fault: DataError) {
    let (mut all, mut far) = ([0; 288], [0; 32]);
    literals.iter().for_each(|&(symbol, length)| all[symbol] = length);
    distances.iter().for_each(|&(symbol, length)| far[symbol] = length);
    let mut encoder = start(deflate64);
    let at = encoder.at();
    encoder.dynamic_header(&all[..286], &far, false);
    refused(encoder, at, fault);
}

#[test]
fn invalid_code_lengths() {
    let good = [(b'a'.into(), 1), (256, 1)];
    for deflate64 in [false, true] {
        let header = |literals: &[(usize, u8)], distances: &[(usize, u8)], fault| header(deflate64, literals, distances, fault);
        header(&[(97, 1), (98, 1), (256, 1)], &[(0, 1), (1, 1)], DataError::LiteralCodesOversubscribed);
        header(&[(97, 2), (256, 1)], &[(0, 1), (1, 1)], DataError::LiteralCodesIncomplete);
        header(&[(256, 2)], &[(0, 1), (1, 1)], DataError::LiteralCodesIncomplete);
        header(&[(97, 1), (98, 1)], &[(0, 1), (1, 1)], DataError::NoEndOfBlock);
        header(&good, &[(0, 1), (1, 1), (2, 1)], DataError::DistanceCodesOversubscribed);
        header(&good, &[(0, 1), (1, 2)], DataError::DistanceCodesIncomplete);
        header(&good, &[(3, 2)], DataError::DistanceCodesIncomplete);

        // A single distance code of one bit is let pass; its other bit is no code. So is none at all.
        for (distances, length) in [(&[(0, 1)][..], 1), (&[][..], 0)] {
            let (mut all, mut far) = ([0; 288], [0; 32]);
            (all[97], all[256], all[257]) = (1, 2, 2);
            distances.iter().for_each(|&(symbol, length)| far[symbol] = length);
            let mut encoder = start(deflate64);
            encoder.dynamic_header(&all[..286], &far, false);
            let codes = codes(&all);
            let at = encoder.at();
            encoder.put(codes[257].0, codes[257].1);
            encoder.put(1, 1);
            _ = length;
            refused(encoder, at, DataError::DistanceCode);
        }
    }
    // More codes than Deflate has.
    for (literals, distances) in [(30, 0), (31, 0), (0, 30), (0, 31)] {
        let mut encoder = start(false);
        let at = encoder.at();
        encoder.put(0b100, 3);
        encoder.put(literals, 5);
        encoder.put(distances, 5);
        encoder.put(0, 4);
        encoder.put(0o0011, 12);
        refused(encoder, at, DataError::TooManyCodes);
    }
}

#[test]
fn invalid_code_length_codes() {
    // Lengths of the codes for 16, 17, 18, 0; then symbols.
    for (lengths, symbols, fault) in [
        ([0, 0, 0, 0], &[][..], DataError::LengthCodes),
        ([0, 0, 0, 1], &[][..], DataError::LengthCodes),
        ([1, 1, 1, 0], &[][..], DataError::LengthCodes),
        ([2, 2, 2, 0], &[][..], DataError::LengthCodes),
        // 0 has the code 0, 16 the code 1.
        ([1, 0, 0, 1], &[(1, 1)][..], DataError::NothingToRepeat),
        // 18 has the code 1: 138 zeros, twice, are more than 258.
        ([0, 0, 1, 1], &[(1, 1), (127, 7), (1, 1), (127, 7)][..], DataError::TooManyLengths),
    ] {
        for deflate64 in [false, true] {
            let mut encoder = start(deflate64);
            let at = encoder.at();
            encoder.put(0b100, 3);
            encoder.put(0, 14);
            lengths.iter().for_each(|&length| encoder.put(length, 3));
            symbols.iter().for_each(|&(bits, count)| encoder.put(bits, count));
            refused(encoder, at, fault);
        }
    }
}

#[test]
fn invalid_headers_and_trailers() {
    let (stream, plain) = random_stream(4, false, 2);
    let sum = crc32fast::hash(&plain);
    let mut gzip = vec![0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 3];
    gzip.extend(&stream);
    gzip.extend(sum.to_le_bytes());
    gzip.extend((plain.len() as u32).to_le_bytes());
    let mut zlib = vec![0x78, 0x9c];
    zlib.extend(&stream);
    let sum = plain
        .iter()
        .fold((1u32, 0u32), |(a, b), &byte| ((a + u32::from(byte)) % 65521, (b + (a + u32::from(byte)) % 65521) % 65521));
    zlib.extend((sum.1 << 16 | sum.0).to_be_bytes());
    let check = |format, file: &[u8], at: usize, byte: u8, expected: Option<(DataError, usize)>| {
        let mut file = file.to_vec();
        file[at] = byte;
        let expected =
            expected.map_or(Some(Ok(())), |(fault, byte)| Some(Err(Error::Corrupt { error: fault, bit: 8 * byte as u64 })));
        assert_eq!(in_one_go(format, &file).result, expected, "{format:?} {at}");
        for seed in 0..10 {
            assert_eq!(in_pieces(format, &file, &mut Random(seed), 3, plain.len()).result, expected, "{format:?} {at}");
        }
    };
    let end = gzip.len();
    check(Format::Gzip, &gzip, 4, 99, None);
    check(Format::Gzip, &gzip, 0, 0x1e, Some((DataError::GzipHeader, 0)));
    check(Format::Gzip, &gzip, 1, 0x8a, Some((DataError::GzipHeader, 0)));
    check(Format::Gzip, &gzip, 2, 7, Some((DataError::GzipMethod, 0)));
    check(Format::Gzip, &gzip, 3, 0x20, Some((DataError::GzipFlags, 0)));
    check(Format::Gzip, &gzip, end - 8, gzip[end - 8] ^ 1, Some((DataError::Checksum, end - 8)));
    check(Format::Gzip, &gzip, end - 1, gzip[end - 1] ^ 1, Some((DataError::Length, end - 8)));
    let end = zlib.len();
    check(Format::Zlib, &zlib, 1, 0x9c, None);
    check(Format::Zlib, &zlib, 1, 0x9d, Some((DataError::ZlibHeader, 0)));
    check(Format::Zlib, &zlib, 0, 0x79, Some((DataError::ZlibHeader, 0)));
    check(Format::Zlib, &zlib, 1, 0x20 | 0x1b, Some((DataError::ZlibHeader, 0)));
    check(Format::Zlib, &zlib, 1, 0xbb, Some((DataError::ZlibDictionary, 0)));
    check(Format::Zlib, &zlib, end - 1, zlib[end - 1] ^ 1, Some((DataError::Checksum, end - 4)));
    // A member's header that is damaged is found where it is.
    let mut two = gzip.clone();
    two.extend(&gzip);
    check(Format::Gzip, &two, gzip.len() + 2, 9, Some((DataError::GzipMethod, gzip.len())));
    // An error in the data is found at its place in the file.
    let mut broken = gzip[..10].to_vec();
    broken.extend([0x07, 0, 0, 0]);
    check(Format::Gzip, &broken, 9, 3, Some((DataError::BlockType, 10)));
}

/// A full checkpoint: of a raw Deflate64 stream between blocks, with these numbers; `window` as it is or as a frame.
fn checkpoint(written: u64, unread: u32, window: &[u8], frame: Option<&[u8]>) -> Vec<u8> {
    let (mut checkpoint, _) =
        Inflate::new(Format::Deflate64).and_then(|inflate| inflate.checkpoint(CheckpointEncoding::Full)).expect("the start");
    checkpoint[11] = frame.is_some().into();
    checkpoint[56..64].copy_from_slice(&(written - u64::from(unread)).to_le_bytes());
    let (blob, end) = (76, 76 + 346);
    checkpoint.truncate(end);
    checkpoint[blob + 334..blob + 342].copy_from_slice(&written.to_le_bytes());
    checkpoint[blob + 342..].copy_from_slice(&unread.to_le_bytes());
    let sum = blob_sum(&[&checkpoint[blob..], window].concat());
    checkpoint.extend(frame.unwrap_or(window));
    checkpoint.extend(sum.to_le_bytes());
    resized(&mut checkpoint);
    checkpoint
}

/// Makes right again what depends on the size of what follows the head.
fn resized(checkpoint: &mut [u8]) {
    let ahead = usize::from(u16::from_le_bytes([checkpoint[12], checkpoint[13]]));
    let body = checkpoint.len() - 76 - ahead;
    checkpoint[44..48].copy_from_slice(&(body as u32).to_le_bytes());
    sum_up(checkpoint);
}

/// With `count` bytes more that were read ahead.
fn read_ahead(mut checkpoint: Vec<u8>, count: u16) -> Vec<u8> {
    checkpoint[12..14].copy_from_slice(&count.to_le_bytes());
    let total_in = u64::from_le_bytes(checkpoint[48..56].try_into().expect("8 bytes")) + u64::from(count);
    checkpoint[48..56].copy_from_slice(&total_in.to_le_bytes());
    checkpoint.splice(72..72, std::iter::repeat_n(0, count.into()));
    resized(&mut checkpoint);
    checkpoint
}

fn lz4_frame(bytes: &[u8]) -> Vec<u8> {
    let mut frame = vec![0; bytes.len() + 1000];
    let mut checkpt = Checkpt::mmio(&mut frame).expect("enough memory");
    checkpt.open(FrameStyle::Lz4).and_then(|_| checkpt.data(bytes)).expect("enough space");
    let size = checkpt.close().expect("enough space") as usize;
    drop(checkpt);
    frame.truncate(size);
    frame
}

fn refused_as_checkpoint(format: Format, checkpoint: &[u8], what: &str) {
    let mut inflate = Inflate::new(format).expect("enough memory");
    // Something to lose.
    _ = inflate.decompress(&[0x1f, 0x8b, 8][..if format == Format::Gzip { 3 } else { 0 }], &mut []);
    let before = inflate.checkpoint(CheckpointEncoding::Full).expect("there has been no error");
    let result = inflate.restore(checkpoint);
    assert!(matches!(result, Err(Error::InvalidCheckpoint(_))), "{what}: {result:?}");
    assert!(inflate.checkpoint(CheckpointEncoding::Full) == Ok(before), "{what}: nothing has changed");
}

#[test]
fn rejects_checkpoints_with_excess_fields() {
    let accepted = |format, checkpoint: &[u8], what: &str| {
        let result = Inflate::new(format).expect("enough memory").restore(checkpoint);
        assert!(result.is_ok(), "{what}: {result:?}");
    };
    // In a gzip header there is no raw data.
    let mut gzip = Inflate::new(Format::Gzip).expect("enough memory");
    _ = gzip.decompress(&[0x1f, 0x8b, 8, 0], &mut []);
    let (header, _) = gzip.checkpoint(CheckpointEncoding::Full).expect("there has been no error");
    accepted(Format::Gzip, &header, "as it was");
    refused_as_checkpoint(Format::Gzip, &read_ahead(header.clone(), 1), "read ahead in a header");
    let mut other = header.clone();
    other.extend(&checkpoint(0, 0, &[], None)[76..]);
    resized(&mut other);
    refused_as_checkpoint(Format::Gzip, &other, "a blob in a header");
    let mut other = header;
    other[11] = 1;
    sum_up(&mut other);
    refused_as_checkpoint(Format::Gzip, &other, "a compressed window in a header");

    // Of each field less is held than it has.
    let stages =
        [(1, 10), (2, 2), (3, 1), (4, 1), (5, 1), (6, 2), (7, 8), (8, 1)].map(|(stage, size)| (Format::Gzip, stage, size));
    for (format, stage, size) in
        stages.into_iter().chain([(1, 2), (7, 4), (8, 1)].map(|(stage, size)| (Format::Zlib, stage, size)))
    {
        let start = Inflate::new(format).and_then(|inflate| inflate.checkpoint(CheckpointEncoding::Full));
        let (mut other, _) = start.expect("the start");
        for held in [size - 1, size, 255] {
            (other[10], other[14]) = (stage, held);
            sum_up(&mut other);
            if held < size {
                accepted(format, &other, "a part of a field");
            } else {
                refused_as_checkpoint(format, &other, "more than a part of a field");
            }
        }
    }

    // Around raw data there is no header.
    let mut other = checkpoint(0, 0, &[], None);
    other[10] = 1;
    sum_up(&mut other);
    refused_as_checkpoint(Format::Deflate64, &other, "in the header of a raw stream");

    // Nothing is read ahead of the bytes of a stored block, and of a block's header not all of it.
    let mut inflate = Inflate::new(Format::Deflate64).expect("enough memory");
    _ = inflate.decompress(&[0, 5, 0, 0xfa, 0xff, b'a', b'b'], &mut [0; 9]);
    let (stored, _) = inflate.checkpoint(CheckpointEncoding::Full).expect("there has been no error");
    accepted(Format::Deflate64, &stored, "as it was");
    for count in [1, 319] {
        refused_as_checkpoint(Format::Deflate64, &read_ahead(stored.clone(), count), "read ahead in a stored block");
    }
    for bit in [8, 9] {
        let mut between = checkpoint(0, 0, &[], None);
        between[76] = bit;
        between[48] = bit.div_ceil(8);
        sum_up(&mut between);
        accepted(Format::Deflate64, &between, "between blocks");
        accepted(Format::Deflate64, &read_ahead(between.clone(), 319), "as much as there can be");
        for count in [320, 321, 322, u16::MAX] {
            refused_as_checkpoint(Format::Deflate64, &read_ahead(between.clone(), count), "more read ahead than a header has");
        }
    }

    // In the later blob, code lengths where there are none.
    let (mut later, _) = inflate.checkpoint(CheckpointEncoding::Deflate64V0x1001).expect("there has been no error");
    accepted(Format::Deflate64, &later, "as it was");
    later[20] = 8;
    sum_up(&mut later);
    refused_as_checkpoint(Format::Deflate64, &later, "code lengths in a stored block");
}

#[test]
fn rejects_invalid_checkpoint_windows() {
    // Of any size there can be, as they are or compressed. From each the longest match can follow.
    let most = 262_144;
    for size in [0, 1, 65_538, 200_000, most - 1, most, most + 1] {
        let window: Vec<u8> = (0..size).map(|place| (place / 1000) as u8).collect();
        let mut encoder = Encoder::new(true);
        encoder.plain = window.clone();
        encoder.fixed(&[LETTERS[0], Token::Match { symbol: 285, length: 65538, distance: 1 }, LETTERS[1]], true);
        let (stream, plain) = encoder.finish();
        let frame = lz4_frame(&window);
        assert_eq!(frame.is_empty(), window.is_empty());
        for frame in [None, Some(&frame[..])] {
            let checkpoint = checkpoint(size.into(), size, &window, frame);
            if size > most {
                refused_as_checkpoint(Format::Deflate64, &checkpoint, "too large a window");
                continue;
            }
            let mut inflate = Inflate::new(Format::Deflate64).expect("enough memory");
            inflate.restore(&checkpoint).unwrap_or_else(|error| panic!("{size}: {error}"));
            // What was not returned comes first.
            assert!(go_on(&mut inflate, &[], 10_000).output == window, "{size}");
            assert!(go_on(&mut inflate, &stream, 1000).output == plain[window.len()..], "{size}");
        }
    }
    // Too little for a blob's other fields.
    for window_encoding in [0, 1] {
        let mut cut = checkpoint(0, 0, &[], None);
        cut[11] = window_encoding;
        while cut.pop().is_some() && cut.len() >= 76 {
            resized(&mut cut);
            refused_as_checkpoint(Format::Deflate64, &cut, "truncated");
        }
    }
    // A frame, and nothing else.
    let window: Vec<u8> = (0..5000).map(|place| (place / 100) as u8).collect();
    let mut frame = lz4_frame(&window);
    frame.push(0);
    refused_as_checkpoint(Format::Deflate64, &checkpoint(5000, 0, &window, Some(&frame)), "something after the frame");
    frame.truncate(frame.len() - 2);
    refused_as_checkpoint(Format::Deflate64, &checkpoint(5000, 0, &window, Some(&frame)), "a frame that is truncated");
}
