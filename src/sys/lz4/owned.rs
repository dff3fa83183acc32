//! Compressors and decompressors that own their state and ring.

use std::ffi::c_void;
use std::mem::MaybeUninit;
use std::ptr::NonNull;

use super::compress::Compressor;
use super::decompress::Decompressor;
use super::ring::RING_SIZE;

/// State and ring of a stream of either direction. Both are on the heap, so they stay where they are when this moves.
struct OwnedStream {
    state: NonNull<c_void>,
    free: unsafe fn(*mut c_void),
    ring: NonNull<[MaybeUninit<u8>]>,
}

// SAFETY: LZ4's states are plain memory without ties to a thread, and state and ring are owned.
unsafe impl Send for OwnedStream {}
// SAFETY: no method of a shared reference accesses state or ring.
unsafe impl Sync for OwnedStream {}

impl OwnedStream {
    fn new(create: fn() -> Option<NonNull<c_void>>, free: unsafe fn(*mut c_void)) -> Option<Self> {
        let mut ring = Vec::new();
        ring.try_reserve_exact(RING_SIZE).ok()?;
        // Uninitialised: filling it takes longer than coding a small frame. LZ4 reads only what was written there
        // before.
        ring.resize(RING_SIZE, MaybeUninit::uninit());
        let state = create()?;
        Some(Self { state, free, ring: NonNull::from(Box::leak(ring.into_boxed_slice())) })
    }
}

impl Drop for OwnedStream {
    fn drop(&mut self) {
        // SAFETY: `free` belongs to the function that created the state, and the ring is the box that `new` leaked;
        // both are freed once, here, and nothing borrows them any more.
        unsafe {
            (self.free)(self.state.as_ptr());
            drop(Box::from_raw(self.ring.as_ptr()));
        }
    }
}

/// A compressor that owns its state and ring.
pub(crate) struct OwnedCompressor(OwnedStream);

impl OwnedCompressor {
    /// `None` if the allocation failed.
    pub(crate) fn new() -> Option<Self> {
        OwnedStream::new(Compressor::create_raw, Compressor::free_raw).map(Self)
    }

    pub(crate) fn borrow(&mut self) -> Compressor<'_> {
        // SAFETY: the state is from `create_raw`, the ring has RING_SIZE bytes, the two are always used together, and
        // both are borrowed exclusively with `self`, which frees them.
        unsafe { Compressor::from_raw(self.0.state, self.0.ring.cast()) }
    }
}

/// A decompressor that owns its state and ring.
pub(crate) struct OwnedDecompressor(OwnedStream);

impl OwnedDecompressor {
    /// `None` if the allocation failed.
    pub(crate) fn new() -> Option<Self> {
        OwnedStream::new(Decompressor::create_raw, Decompressor::free_raw).map(Self)
    }

    pub(crate) fn borrow(&mut self) -> Decompressor<'_> {
        // SAFETY: as in `OwnedCompressor::borrow`.
        unsafe { Decompressor::from_raw(self.0.state, self.0.ring.cast()) }
    }
}
