//! Inflate: each failed allocation is reported and changes nothing.

use std::io::{self, Cursor};

use crate::failing_alloc::{self, at_each_allocation};
use fdckpt::inflate::Error;
use fdckpt::inflate::{CheckpointEncoding, Format, Index, Inflate, Status};

/// Half of it compresses.
fn plain() -> Vec<u8> {
    (0..300_000u32).map(|i| if i % 1000 < 500 { b'a' } else { (i.wrapping_mul(2654435761) >> 24) as u8 }).collect()
}

/// Decompresses to the end in pieces that go to the window, repeating what fails for want of memory: `count` is of
/// these.
fn to_the_end(inflate: &mut Inflate, mut input: &[u8], fail: impl Fn(), count: &mut u64) -> Vec<u8> {
    let (mut output, mut buffer) = (Vec::with_capacity(400_000), [0; 3000]);
    loop {
        fail();
        let progress = inflate.decompress(input, &mut buffer);
        failing_alloc::never();
        output.extend_from_slice(&buffer[..progress.produced]);
        input = &input[progress.consumed..];
        match progress.result {
            Ok(Status::Done) => return output,
            Ok(_) => {}
            Err(error) => {
                assert_eq!(error, Error::OutOfMemory);
                *count += 1;
                // The state is whole.
                inflate.checkpoint(CheckpointEncoding::Full).expect("there is memory again");
            }
        }
    }
}

#[test]
fn every_failed_allocation_is_reported() {
    let plain = plain();
    let stream = miniz_oxide::deflate::compress_to_vec_zlib(&plain, 6);
    assert_eq!(at_each_allocation(|| Inflate::new(Format::Zlib)), 1);

    // Each call's first allocation fails, and then does not when the call is repeated.
    let mut inflate = Inflate::new(Format::Zlib).expect("memory");
    let (mut failed, odd) = (0, std::cell::Cell::new(false));
    let output = to_the_end(
        &mut inflate,
        &stream,
        || {
            if odd.replace(!odd.get()) {
                failing_alloc::fail_in(1)
            }
        },
        &mut failed,
    );
    assert!(output == plain && failed > 1, "{failed}");

    // Directly to a large buffer.
    let mut inflate = Inflate::new(Format::Zlib).expect("memory");
    let mut buffer = vec![0; plain.len()];
    failing_alloc::fail_in(1);
    let progress = inflate.decompress(&stream, &mut buffer);
    failing_alloc::never();
    assert_eq!((progress.result, progress.produced), (Err(Error::OutOfMemory), 0));
    let progress = inflate.decompress(&stream[progress.consumed..], &mut buffer);
    assert!(progress.result == Ok(Status::Done) && buffer == plain);

    let mut inflate = Inflate::new(Format::Zlib).expect("memory");
    _ = inflate.decompress(&stream[..stream.len() / 2], &mut buffer);
    let position = Inflate::total_out(&inflate) as usize;
    for encoding in [CheckpointEncoding::Full, CheckpointEncoding::Compact] {
        assert!(at_each_allocation(|| inflate.checkpoint(encoding)) >= 1, "{encoding:?}");
        let (checkpoint, at) = inflate.checkpoint(encoding).expect("memory");
        let mut other = Inflate::new(Format::Zlib).expect("memory");
        let before = other.checkpoint(CheckpointEncoding::Full).expect("memory");
        for n in 1.. {
            failing_alloc::fail_in(n);
            let result = other.restore(&checkpoint);
            if failing_alloc::never() {
                assert_eq!((result, n > 1), (Ok(at), true), "{encoding:?}");
                break;
            }
            assert_eq!(result, Err(Error::OutOfMemory));
            assert!(
                other.checkpoint(CheckpointEncoding::Full) == Ok(before.clone()),
                "{encoding:?}: allocation {n} has left something"
            );
        }
        let rest = to_the_end(&mut other, &stream[at.in_offset as usize..], || (), &mut 0);
        assert!(rest == plain[position..], "{encoding:?}");
    }
}

#[test]
fn every_failed_allocation_of_an_index_is_reported() {
    let plain = plain();
    let stream = miniz_oxide::deflate::compress_to_vec_zlib(&plain, 6);
    let of = |error: io::Error| match error.kind() {
        io::ErrorKind::OutOfMemory => Error::OutOfMemory,
        _ => Error::Internal,
    };
    assert!(at_each_allocation(|| Index::build(&stream[..], io::sink(), Format::Zlib, 50_000).map_err(of)) > 10);
    let index = Index::build(&stream[..], io::sink(), Format::Zlib, 50_000).expect("memory");
    assert!(at_each_allocation(|| index.to_container().map(drop)) > 1);
    let file = index.to_container().expect("memory").serialize().expect("memory");
    assert!(at_each_allocation(|| Index::parse(&file)) > 1);
    assert!(at_each_allocation(|| index.reader(Cursor::new(&stream)).map_err(of)) > 1);
    let mut reader = index.reader(Cursor::new(&stream)).expect("memory");
    let mut part = [0; 1000];
    assert!(at_each_allocation(|| reader.read_at(260_000, &mut part).map_err(of)) > 1);
    assert_eq!(part, plain[260_000..][..1000]);
    // What was read before does not matter.
    at_each_allocation(|| reader.read_at(120_000, &mut part).map_err(of));
    assert_eq!(part, plain[120_000..][..1000]);
}
