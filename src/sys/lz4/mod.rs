//! LZ4's streaming block API.
//!
//! An LZ4 stream remembers where the last 64 KiB of its data lie, and reads them when it codes the next chunk. Here
//! they lie in a *ring* buffer: each stream is used with the one ring that its chunks are copied to, and which must not
//! move while the stream is in use. Large buffers are coded where they are ([`Compressor::in_place`],
//! [`Decompressor::in_place`]); only their last 64 KiB are copied to the ring.

mod compress;
mod decompress;
mod in_place;
mod owned;
mod ring;
mod snapshot;
mod speculative;
mod stream_offset;

pub(crate) use compress::{Compressor, HASH_BITS, HashTable, PrefixContext};
pub(crate) use decompress::Decompressor;
pub(crate) use in_place::{CompressInPlace, DecompressInPlace};
pub(crate) use owned::{OwnedCompressor, OwnedDecompressor};
pub(crate) use ring::{RING_SIZE, ring_position};
pub(crate) use snapshot::Snapshot;
pub(crate) use speculative::SpeculativeCompressor;
pub(crate) use stream_offset::StreamOffset;

#[cfg(test)]
mod tests {
    use super::ring::WINDOW;
    use super::*;

    #[test]
    fn chunks_refer_to_earlier_ones_after_the_owner_moved() {
        let text: Vec<u8> = (0..5000u32).flat_map(|n| (n * n % 251).to_le_bytes()).collect();
        let mut compressor = OwnedCompressor::new().unwrap();
        let (mut first, mut second) = (vec![0; 40_000], vec![0; 40_000]);
        compressor.borrow().reset();
        let size = compressor.borrow().compress(0, &text, &mut first).unwrap();
        first.truncate(size);
        let mut compressor = Box::new(compressor);
        let size = compressor.borrow().compress(text.len(), &text, &mut second).unwrap();
        second.truncate(size);
        assert!(second.len() < first.len() / 4, "the repetition is found");

        let mut decompressor = OwnedDecompressor::new().unwrap();
        decompressor.borrow().reset();
        assert_eq!(decompressor.borrow().decompress(0, text.len(), &first), Some(&text[..]));
        let mut decompressor = Box::new(decompressor);
        assert_eq!(decompressor.borrow().decompress(text.len(), text.len(), &second), Some(&text[..]));
    }

    #[test]
    fn compress_returns_none_if_the_output_is_too_small() {
        let mut compressor = OwnedCompressor::new().unwrap();
        let mut compressor = compressor.borrow();
        compressor.reset();
        assert_eq!(compressor.compress(0, &[1, 2, 3, 4], &mut [0; 4]), None);
        assert_eq!(compressor.compress(0, &[1, 2, 3, 4], &mut []), None);
    }

    #[test]
    fn decompress_returns_none_for_a_block_of_another_size() {
        let block = [0x30, b'a', b'b', b'c']; // three literals
        let mut decompressor = OwnedDecompressor::new().unwrap();
        let mut decompressor = decompressor.borrow();
        for (len, expected) in [(3, Some(&b"abc"[..])), (2, None), (4, None)] {
            decompressor.reset();
            assert_eq!(decompressor.decompress(0, len, &block), expected);
        }
        decompressor.reset();
        assert_eq!(decompressor.decompress(0, 3, &[]), None);
    }

    #[test]
    fn continue_prefix_refuses_chunks_that_do_not_follow_the_last_one() {
        let chunk = [7; 8];
        let mut compressor = OwnedCompressor::new().unwrap();
        let mut compressor = compressor.borrow();
        compressor.start_stream(false);
        assert!(compressor.continue_prefix(0, &chunk).is_none(), "no chunk precedes it");
        compressor.compress(0, &[1; 16], &mut [0; 64]).unwrap();
        for at in [0, 1, 15, 17, 24, RING_SIZE - 8, RING_SIZE - 7, RING_SIZE, RING_SIZE + 1, usize::MAX] {
            assert!(compressor.continue_prefix(at, &chunk).is_none(), "{at}");
        }
        let context = compressor.continue_prefix(16, &chunk).unwrap();
        assert_eq!((context.start, context.bytes), (16, &[[1; 8], [1; 8], [7; 8]].concat()[..]));

        let mut decompressor = OwnedDecompressor::new().unwrap();
        let mut decompressor = decompressor.borrow();
        decompressor.reset();
        assert!(decompressor.continue_prefix(0, 8).is_none(), "no chunk precedes it");
        decompressor.decompress(0, 3, &[0x30, b'a', b'b', b'c']).unwrap();
        for at in [0, 1, 2, 4, RING_SIZE - 8, RING_SIZE - 7, RING_SIZE, RING_SIZE + 1, usize::MAX] {
            assert!(decompressor.continue_prefix(at, 8).is_none(), "{at}");
        }
        assert!(decompressor.continue_prefix(3, 8).is_some(), "a chunk that is not appended");
        let next = decompressor.continue_prefix(3, 8).unwrap();
        assert_eq!(next.before(), b"abc");
        next.append(&chunk);
        let next = decompressor.continue_prefix(11, 8).unwrap();
        assert_eq!(next.before(), [&b"abc"[..], &chunk].concat());
    }

    #[test]
    fn continue_prefix_refuses_chunks_beyond_the_end_of_the_ring() {
        let at = RING_SIZE - 24;
        let mut compressor = OwnedCompressor::new().unwrap();
        let mut compressor = compressor.borrow();
        compressor.start_stream(false);
        compressor.compress(at, &[1; 16], &mut [0; 64]).unwrap();
        assert!(compressor.continue_prefix(RING_SIZE - 8, &[2; 9]).is_none());
        assert!(compressor.continue_prefix(RING_SIZE - 8, &[2; 8]).is_some());

        let block: Vec<u8> = [&[0xf0, 1][..], &[1; 16]].concat();
        let mut decompressor = OwnedDecompressor::new().unwrap();
        let mut decompressor = decompressor.borrow();
        decompressor.reset();
        assert!(decompressor.decompress(at, 16, &block).is_some());
        assert!(decompressor.continue_prefix(RING_SIZE - 8, 9).is_none());
        assert!(decompressor.continue_prefix(RING_SIZE - 8, 8).is_some());
    }

    /// Compresses data in chunks of `len` bytes. Returns the ring position after them.
    fn compress_all(compressor: &mut Compressor, data: &[u8], len: usize) -> usize {
        let mut to = vec![0; 2 * len + 64];
        data.chunks(len).enumerate().for_each(|(index, chunk)| _ = compressor.compress(index * len, chunk, &mut to).unwrap());
        data.len()
    }

    #[test]
    fn in_place_requires_a_preceding_window_in_the_ring() {
        let data: Vec<u8> = (0..2 * WINDOW as u32).map(|n| (u64::from(n).pow(2) % 251) as u8).collect();
        let mut compressor = OwnedCompressor::new().unwrap();
        let mut compressor = compressor.borrow();
        compressor.start_stream(false);
        let cursor = compress_all(&mut compressor, &data[..WINDOW - 8], 8);
        assert!(compressor.in_place(&data, WINDOW, cursor).is_none(), "LZ4 has seen less than a window");
        compressor.compress(cursor, &data[WINDOW - 8..WINDOW], &mut [0; 64]).unwrap();
        for (done, cursor, buffer) in [
            (WINDOW - 1, WINDOW, data.len()),
            (0, WINDOW, data.len()),
            (WINDOW, WINDOW, WINDOW),
            (WINDOW, WINDOW - 1, data.len()),
            (WINDOW, 0, data.len()),
            (WINDOW, RING_SIZE + 1, data.len()),
        ] {
            assert!(compressor.in_place(&data[..buffer], done, cursor).is_none(), "{done} {cursor} {buffer}");
        }
        assert!(compressor.in_place(&data, WINDOW, WINDOW).is_some());
    }

    #[test]
    fn dropping_unfinished_in_place_work_starts_a_new_stream() {
        let data: Vec<u8> = (0..3 * WINDOW as u32).map(|n| (u64::from(n) * u64::from(n / 7) % 251) as u8).collect();
        let mut compressor = OwnedCompressor::new().unwrap();
        let mut compressor = compressor.borrow();
        compressor.start_stream(false);
        let cursor = compress_all(&mut compressor, &data[..WINDOW], 4096);
        let mut to = vec![0; 8192];
        let mut in_place = compressor.in_place(&data, WINDOW, cursor).unwrap();
        in_place.compress(4096, &mut to).unwrap();
        drop(in_place);
        let again = &data[WINDOW..WINDOW + 64];
        let size = compressor.compress(0, again, &mut to).unwrap();

        let mut decompressor = OwnedDecompressor::new().unwrap();
        let mut decompressor = decompressor.borrow();
        decompressor.reset();
        assert_eq!(decompressor.decompress(0, 64, &to[..size]), Some(again));

        // Two literals, four bytes that begin two before them, and twelve literals.
        let block = [&[0x20, 1, 2, 4, 0, 0xc0][..], &[3; 12]].concat();
        let letters = [0x30, b'a', b'b', b'c'];
        decompressor.reset();
        decompressor.decompress(0, 3, &letters).unwrap();
        assert!(decompressor.decompress(3, 18, &block).is_some());
        let mut buffer = [0; 64];
        let mut in_place = decompressor.in_place(&mut buffer).unwrap();
        in_place.decompress(3, &letters).unwrap();
        drop(in_place);
        assert!(decompressor.decompress(0, 18, &block).is_none());
    }
}
