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
}
