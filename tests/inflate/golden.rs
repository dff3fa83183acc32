//! Golden streams and checkpoints (`tests/golden/deflate64`): every stream decodes, checkpoints match to the byte at
//! every canonical point, restored checkpoints resume, and altered ones get the expected verdict.

use std::fmt::Write;
use std::fs;
use std::path::PathBuf;

use crate::common;
use crate::deflate::run::{blob_sum, go_on, in_one_go};
use fdckpt::inflate::Error;
use fdckpt::inflate::{CheckpointEncoding, CheckpointInfo, Format, Inflate};
use sha2::{Digest, Sha256};

fn directory() -> PathBuf {
    common::root().join("tests/golden/deflate64")
}

fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02x}").expect("a string takes it");
        text
    })
}

/// A row of vectors.tsv: its first column, and the others.
struct Row(String, Vec<String>);

impl Row {
    fn text(&self, column: usize) -> &str {
        &self.1[column]
    }

    fn number(&self, column: usize) -> u64 {
        self.text(column).parse().unwrap_or_else(|_| panic!("{} {:?}", self.0, self.1))
    }
}

fn rows() -> Vec<Row> {
    let table = fs::read_to_string(directory().join("vectors.tsv")).expect("vectors.tsv");
    let row = |line: &str| {
        let mut columns = line.split('\t').map(str::to_owned);
        Row(columns.next().expect("a column"), columns.collect())
    };
    table.lines().map(row).collect()
}

struct Stream {
    name: String,
    format: Format,
    stream: Vec<u8>,
    plain: Vec<u8>,
    rows: Vec<Row>,
}

/// The streams, decoded and found right.
fn streams() -> Vec<Stream> {
    let mut streams: Vec<Stream> = Vec::new();
    for row in rows() {
        match row.0.as_str() {
            "stream" => {
                let stream = fs::read(directory().join(row.text(2))).expect("the stream");
                let valid = [(Format::Deflate, row.number(5)), (Format::Deflate64, row.number(6))];
                let format = if row.text(1) == "deflate" { Format::Deflate } else { Format::Deflate64 };
                let mut plain = Vec::new();
                for (as_format, valid) in valid {
                    let outcome = in_one_go(as_format, &stream);
                    let right = outcome.result == Some(Ok(())) && sha256(&outcome.output) == row.text(4);
                    assert_eq!(right, valid == 1, "{} as {as_format:?}", row.text(0));
                    if as_format == format {
                        assert_eq!((outcome.output.len() as u64, outcome.taken), (row.number(3), stream.len() as u64));
                        plain = outcome.output;
                    }
                }
                streams.push(Stream { name: row.text(0).to_owned(), format, stream, plain, rows: Vec::new() });
            }
            "altered" => {}
            _ => streams.last_mut().expect("a stream before it").rows.push(row),
        }
    }
    assert_eq!(streams.len(), 27);
    streams
}

impl Stream {
    /// The blob that a row describes, put together without the library.
    fn blob(&self, row: &Row) -> Vec<u8> {
        let [bits, buffered, bfinal, kind, remaining, written, unread] = std::array::from_fn(|column| row.number(column));
        let window = row.number(8) as usize;
        let later = row.0.starts_with("later");
        let mut blob = Vec::new();
        if later {
            blob.extend(0x1001u16.to_le_bytes());
        }
        blob.extend(bits.to_le_bytes());
        blob.extend([buffered as u8, (bfinal << 7 | kind) as u8]);
        blob.extend(&(remaining as u32).to_le_bytes()[..if later { 2 } else { 4 }]);
        if kind == 2 {
            let block =
                self.rows.iter().find(|row| row.0 == "block" && row.number(2) <= bits && bits <= row.number(4)).expect("a block");
            let block = match row.text(7) {
                "-1" => block,
                index => {
                    self.rows.iter().filter(|row| row.0 == "block").nth(index.parse().expect("a number")).expect("the block")
                }
            };
            for column in [5, 6] {
                let hex = block.text(column).as_bytes();
                blob.extend(
                    hex.chunks(2).map(|two| u8::from_str_radix(std::str::from_utf8(two).expect("hex"), 16).expect("hex")),
                );
            }
        } else {
            blob.extend([if later { 0 } else { 0xff }; 320]);
        }
        blob.extend(written.to_le_bytes());
        blob.extend((unread as u32).to_le_bytes());
        blob.extend(&self.plain[written as usize - window..written as usize]);
        blob.extend(blob_sum(&blob).to_le_bytes());
        assert_eq!(sha256(&blob), row.text(9), "{} {:?}", self.name, row.1);
        blob
    }

    /// Resumes from a checkpoint to the right output.
    fn resume(&self, checkpoint: &[u8], what: &str) {
        let mut inflate = Inflate::new(self.format).expect("enough memory");
        let position = inflate.restore(checkpoint).unwrap_or_else(|error| panic!("{} {what}: {error}", self.name));
        let outcome = go_on(&mut inflate, &self.stream[position.in_offset as usize..], 1 << 16);
        assert_eq!(outcome.result, Some(Ok(())), "{} {what}", self.name);
        assert!(outcome.output == self.plain[position.out_offset as usize..], "{} {what}", self.name);
        assert_eq!(outcome.taken, self.stream.len() as u64);
    }
}

#[test]
fn checkpoints_match_golden_at_every_canonical_point() {
    let (mut blobs, mut later_blobs, mut without) = (0, 0, 0);
    for stream in streams() {
        let mut inflate = Inflate::new(stream.format).expect("enough memory");
        let mut buffer = vec![0; stream.plain.len() + 1];
        let boundaries: Vec<&Row> = stream.rows.iter().filter(|row| row.0 == "boundary").collect();
        let mut at_fed = false;
        for row in &stream.rows {
            match row.0.as_str() {
                "fed" => {
                    at_fed = true;
                    let input = &stream.stream[inflate.total_in() as usize..row.number(0) as usize];
                    let (from, size) = (inflate.total_out() as usize, buffer.len());
                    let progress = inflate.decompress(input, &mut buffer[from..size]);
                    assert_eq!((progress.consumed, progress.result.is_ok()), (input.len(), true));
                    if row.1.len() > 1 {
                        // The original has nothing for these: they are the start, and the end.
                        without += 1;
                        let (blob, _) = inflate.checkpoint(CheckpointEncoding::Deflate64V0).expect("a blob");
                        let golden = if inflate.total_in() as usize == stream.stream.len() {
                            boundaries.last()
                        } else {
                            boundaries.first()
                        };
                        assert_eq!(sha256(&blob), golden.expect("two").text(4), "{} fed {}", stream.name, row.number(0));
                    }
                    let (full, position) = inflate.checkpoint(CheckpointEncoding::Full).expect("a checkpoint");
                    assert_eq!(position.in_offset, row.number(0));
                    let described = CheckpointInfo::read(&full).expect("intact");
                    assert_eq!(
                        (described.encoding, described.format, described.position),
                        (CheckpointEncoding::Full, Some(stream.format), position)
                    );
                    assert_eq!((described.unread_size, described.fits_deflate), (0, stream.format == Format::Deflate));
                    if row.number(0) % 7 == 0 {
                        stream.resume(&full, "full");
                    }
                    // Between blocks, what a full checkpoint has inside is golden too.
                    let inside = &full[76 + usize::from(full[12])..];
                    let bits = u64::from_le_bytes(inside[..8].try_into().expect("8 bytes"));
                    if inside[9] & 0x7f == 0
                        && inside[10..14] == [0; 4]
                        && let Some(boundary) = boundaries.iter().find(|row| row.number(0) == bits)
                    {
                        assert_eq!(sha256(inside), boundary.text(4), "{} at bit {bits}", stream.name);
                    }
                }
                "ahead" => at_fed = false,
                "blob" if at_fed => {
                    let (blob, position) = inflate.checkpoint(CheckpointEncoding::Deflate64V0).expect("a blob");
                    assert!(blob == stream.blob(row), "{} {:?}", stream.name, &row.1[..8]);
                    assert_eq!(
                        (position.in_offset, position.out_offset),
                        (row.number(0).div_ceil(8), row.number(5) - row.number(6))
                    );
                    // Half of them, as that takes seconds without optimisation.
                    if blobs % 2 == 0 {
                        stream.resume(&blob, "blob");
                    }
                    blobs += 1;
                }
                "later" if at_fed => {
                    let (blob, _) = inflate.checkpoint(CheckpointEncoding::Deflate64V0x1001).expect("a blob");
                    assert!(blob == stream.blob(row), "{} {:?}", stream.name, &row.1[..8]);
                    if later_blobs % 2 == 1 {
                        stream.resume(&blob, "later blob");
                    }
                    later_blobs += 1;
                }
                "later_0_1_11" => stream.resume(&stream.blob(row), "blob of 0.1.11"),
                _ => {}
            }
        }
    }
    assert_eq!((blobs, without), (754, 216));
    assert!(later_blobs > 600, "{later_blobs}");
}

#[test]
fn checkpoints_of_other_engines_resume() {
    let (mut ahead, mut boundaries) = (0, 0);
    for stream in streams() {
        let mut at_ahead = false;
        for row in &stream.rows {
            match row.0.as_str() {
                "ahead" => at_ahead = true,
                "blob" if at_ahead => {
                    stream.resume(&stream.blob(row), "with output to return");
                    ahead += 1;
                }
                "boundary" => {
                    let [bits, buffered, bfinal, written] = std::array::from_fn(|column| row.number(column));
                    let mut blob = bits.to_le_bytes().to_vec();
                    blob.extend([buffered as u8, (bfinal << 7) as u8, 0, 0, 0, 0]);
                    blob.extend([0xff; 320]);
                    blob.extend(written.to_le_bytes());
                    blob.extend([0; 4]);
                    blob.extend(&stream.plain[(written as usize).saturating_sub(65538)..written as usize]);
                    blob.extend(blob_sum(&blob).to_le_bytes());
                    assert_eq!(sha256(&blob), row.text(4));
                    stream.resume(&blob, "between blocks");
                    // And what is restored is what was there.
                    let mut inflate = Inflate::new(stream.format).expect("enough memory");
                    inflate.restore(&blob).expect("as before");
                    assert!(inflate.checkpoint(CheckpointEncoding::Deflate64V0).expect("a blob").0 == blob);
                    boundaries += 1;
                }
                _ => {}
            }
        }
    }
    assert!(ahead > 30 && boundaries > 100, "{ahead} {boundaries}");
}

#[test]
fn altered_checkpoints_get_expected_verdict() {
    let mut count = 0;
    for row in rows().iter().filter(|row| row.0 == "altered") {
        let name = row.text(0);
        let blob = fs::read(directory().join(row.text(3))).expect("the blob");
        let stream = fs::read(directory().join(row.text(1))).expect("the stream");
        let mut inflate = Inflate::new(Format::Deflate64).expect("enough memory");
        // Something to lose.
        let mut first = vec![0; 300];
        _ = inflate.decompress(&stream[..200], &mut first);
        let before = inflate.checkpoint(CheckpointEncoding::Full).expect("a checkpoint");
        let result = inflate.restore(&blob);
        let verdict = match (row.text(2), result) {
            ("accept", Ok(position)) => {
                let described = CheckpointInfo::read(&blob).expect("intact");
                let encoding = if blob.starts_with(&[1, 0x10]) {
                    CheckpointEncoding::Deflate64V0x1001
                } else {
                    CheckpointEncoding::Deflate64V0
                };
                assert_eq!((described.encoding, described.format, described.position), (encoding, None, position), "{name}");
                assert_eq!(
                    (described.bit_offset.div_ceil(8), described.window_size),
                    (position.in_offset, blob.len() as u64 - 350),
                    "{name}"
                );
                assert_eq!((position.in_offset, position.out_offset), (row.number(4), row.number(5)), "{name}");
                let outcome = go_on(&mut inflate, &stream[position.in_offset as usize..], 1000);
                assert_eq!((outcome.result, sha256(&outcome.output).as_str()), (Some(Ok(())), row.text(6)), "{name}");
                true
            }
            ("reject", Err(_)) => true,
            // Refused, as no valid stream has that.
            ("either", result) => result.is_err(),
            // The later layout, which is read.
            ("reject_or_convert", Ok(position)) => {
                let whole = in_one_go(Format::Deflate64, &stream).output;
                let outcome = go_on(&mut inflate, &stream[position.in_offset as usize..], 1000);
                outcome.result == Some(Ok(())) && outcome.output == whole[position.out_offset as usize..]
            }
            _ => false,
        };
        assert!(verdict, "{name}: {result:?}");
        assert_eq!(CheckpointInfo::read(&blob).map(|described| described.position), result, "{name}");
        if result.is_err() {
            assert!(matches!(result, Err(Error::InvalidCheckpoint(_))));
            assert!(inflate.checkpoint(CheckpointEncoding::Full) == Ok(before), "{name}: nothing has changed");
        }
        count += 1;
    }
    assert_eq!(count, 39);
}
