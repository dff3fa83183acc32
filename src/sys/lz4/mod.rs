//! LZ4's streaming block API.
//!
//! LZ4 remembers where the last 64 KiB of a stream lie, and reads them when it codes the next chunk. Here they lie in a
//! *ring*: a stream is always used together with the one ring that its chunks are copied to, which must not move as
//! long as the stream is in use. Large buffers can be coded where they are ([`in_place`]): the ring gets a copy of the
//! last 64 KiB in the end.

mod compress;
mod decompress;
mod in_place;
mod snapshot;

pub(crate) use compress::{Compressor, Following};
pub(crate) use decompress::Decompressor;
pub(crate) use in_place::{CompressInPlace, DecompressInPlace};
pub(crate) use snapshot::{Ahead, Snapshot};

use std::ffi::c_void;
use std::mem::MaybeUninit;
use std::ptr::NonNull;

/// Size of a ring in bytes: three chunks, so that the 64 KiB before a chunk are never overwritten by it.
pub(crate) const RING_SIZE: usize = 196_608;

/// Where in the ring a chunk of `len` bytes goes: it lies in one piece, so it starts over where less than that is left behind `cursor`
/// (at most [`RING_SIZE`], as is `len`). This decides what LZ4 can refer back to, hence the bytes of the frame.
#[inline]
pub(crate) fn place_in_ring(cursor: usize, len: usize) -> usize {
    if len > RING_SIZE - cursor { 0 } else { cursor }
}

/// How far back LZ4 refers, at most.
const WINDOW: usize = 65_536;

/// The index of the last position in the stream of each hash of what stands there. A stream's first byte has index 0 or, where
/// the table was used by a stream before, an index that leaves all older ones out of reach.
pub(crate) type HashTable = [u32; 1 << HASH_BITS];

/// Bits of a hash.
pub(crate) const HASH_BITS: u32 = 12;

/// Ring and state of either direction, owned.
struct Owned {
    state: NonNull<c_void>,
    free: unsafe fn(*mut c_void),
    ring: NonNull<[MaybeUninit<u8>]>,
}

// SAFETY: LZ4's states are plain memory without ties to a thread, and the ring is owned.
unsafe impl Send for Owned {}
// SAFETY: a shared reference gives access to nothing.
unsafe impl Sync for Owned {}

impl Owned {
    fn new(create: fn() -> Option<NonNull<c_void>>, free: unsafe fn(*mut c_void)) -> Option<Self> {
        let mut ring = Vec::new();
        ring.try_reserve_exact(RING_SIZE).ok()?;
        // Not filled, as touching so much takes longer than coding a small frame. LZ4 reads what it has put there.
        ring.resize(RING_SIZE, MaybeUninit::uninit());
        let state = create()?;
        Some(Self { state, free, ring: NonNull::from(Box::leak(ring.into_boxed_slice())) })
    }
}

impl Drop for Owned {
    fn drop(&mut self) {
        // SAFETY: the state is freed once, by the function that belongs to how it was made; the ring came from a box and
        // is not used after.
        unsafe {
            (self.free)(self.state.as_ptr());
            drop(Box::from_raw(self.ring.as_ptr()));
        }
    }
}

/// A compressor that owns its state and ring (which stays where it is when this moves).
pub(crate) struct OwnedCompressor(Owned);

impl OwnedCompressor {
    /// `None` where memory is short.
    pub(crate) fn new() -> Option<Self> {
        Owned::new(Compressor::create_raw, Compressor::free_raw).map(Self)
    }

    pub(crate) fn borrow(&mut self) -> Compressor<'_> {
        // SAFETY: state and ring are made for each other, live as long as self, and are borrowed exclusively.
        unsafe { Compressor::from_raw(self.0.state, self.0.ring.cast()) }
    }
}

/// A decompressor that owns its state and ring (which stays where it is when this moves).
pub(crate) struct OwnedDecompressor(Owned);

impl OwnedDecompressor {
    /// `None` where memory is short.
    pub(crate) fn new() -> Option<Self> {
        Owned::new(Decompressor::create_raw, Decompressor::free_raw).map(Self)
    }

    pub(crate) fn borrow(&mut self) -> Decompressor<'_> {
        // SAFETY: state and ring are made for each other, live as long as self, and are borrowed exclusively.
        unsafe { Decompressor::from_raw(self.0.state, self.0.ring.cast()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chunks_refer_to_earlier_ones_also_across_a_move_of_the_owner() {
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
    fn what_does_not_fit_is_none() {
        let mut compressor = OwnedCompressor::new().unwrap();
        let mut compressor = compressor.borrow();
        compressor.reset();
        assert_eq!(compressor.compress(0, &[1, 2, 3, 4], &mut [0; 4]), None);
        assert_eq!(compressor.compress(0, &[1, 2, 3, 4], &mut []), None);
    }

    #[test]
    fn a_block_of_another_size_is_none() {
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

    /// What the quick ways rely on, they look for themselves.
    #[test]
    fn what_does_not_follow_is_not_followed() {
        let chunk = [7; 8];
        let mut compressor = OwnedCompressor::new().unwrap();
        let mut compressor = compressor.borrow();
        compressor.renew(false);
        assert!(compressor.follow(0, &chunk).is_none(), "nothing is before");
        compressor.compress(0, &[1; 16], &mut [0; 64]).unwrap();
        for at in [0, 1, 15, 17, 24, RING_SIZE - 8, RING_SIZE - 7, RING_SIZE, RING_SIZE + 1, usize::MAX] {
            assert!(compressor.follow(at, &chunk).is_none(), "{at}");
        }
        let following = compressor.follow(16, &chunk).unwrap();
        assert_eq!((following.start, following.bytes), (16, &[[1; 8], [1; 8], [7; 8]].concat()[..]));

        let mut decompressor = OwnedDecompressor::new().unwrap();
        let mut decompressor = decompressor.borrow();
        decompressor.reset();
        let mut to = chunk;
        assert!(!decompressor.follow(0, &mut to, |_, _| true), "nothing is before");
        decompressor.decompress(0, 3, &[0x30, b'a', b'b', b'c']).unwrap();
        for at in [0, 1, 2, 4, RING_SIZE - 8, RING_SIZE - 7, RING_SIZE, RING_SIZE + 1, usize::MAX] {
            assert!(!decompressor.follow(at, &mut to, |_, _| true), "{at}");
        }
        assert!(!decompressor.follow(3, &mut to, |_, _| false), "it is not decoded");
        assert!(decompressor.follow(3, &mut to, |before, _| before == b"abc"));
        assert!(decompressor.follow(11, &mut to, |before, _| before == [&b"abc"[..], &[7; 8]].concat()));
    }

    /// Nor where the chunk does not fit the ring any more.
    #[test]
    fn nothing_is_followed_beyond_the_end_of_the_ring() {
        let at = RING_SIZE - 24;
        let mut compressor = OwnedCompressor::new().unwrap();
        let mut compressor = compressor.borrow();
        compressor.renew(false);
        compressor.compress(at, &[1; 16], &mut [0; 64]).unwrap();
        assert!(compressor.follow(RING_SIZE - 8, &[2; 9]).is_none());
        assert!(compressor.follow(RING_SIZE - 8, &[2; 8]).is_some());

        let block: Vec<u8> = [&[0xf0, 1][..], &[1; 16]].concat();
        let mut decompressor = OwnedDecompressor::new().unwrap();
        let mut decompressor = decompressor.borrow();
        decompressor.reset();
        assert!(decompressor.decompress(at, 16, &block).is_some());
        assert!(!decompressor.follow(RING_SIZE - 8, &mut [2; 9], |_, _| true));
        assert!(decompressor.follow(RING_SIZE - 8, &mut [2; 8], |_, _| true));
    }

    /// The ring filled to its end with chunks of `len` bytes.
    fn filled(compressor: &mut Compressor, data: &[u8], len: usize) -> usize {
        let mut to = vec![0; 2 * len + 64];
        data.chunks(len).enumerate().for_each(|(index, chunk)| _ = compressor.compress(index * len, chunk, &mut to).unwrap());
        data.len()
    }

    #[test]
    fn in_place_only_behind_a_window_that_is_in_the_ring() {
        let data: Vec<u8> = (0..2 * WINDOW as u32).map(|n| (u64::from(n).pow(2) % 251) as u8).collect();
        let mut compressor = OwnedCompressor::new().unwrap();
        let mut compressor = compressor.borrow();
        compressor.renew(false);
        let cursor = filled(&mut compressor, &data[..WINDOW - 8], 8);
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

    /// Nothing refers to the buffer any more: the next chunk is the first of a stream.
    #[test]
    fn what_is_not_finished_is_forgotten() {
        let data: Vec<u8> = (0..3 * WINDOW as u32).map(|n| (u64::from(n) * u64::from(n / 7) % 251) as u8).collect();
        let mut compressor = OwnedCompressor::new().unwrap();
        let mut compressor = compressor.borrow();
        compressor.renew(false);
        let cursor = filled(&mut compressor, &data[..WINDOW], 4096);
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
