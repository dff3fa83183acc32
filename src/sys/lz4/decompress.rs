//! Decompressing by way of the ring.

use std::ffi::{c_int, c_void};
use std::marker::PhantomData;
use std::ptr::{self, NonNull};

use lz4_sys::{LZ4_createStreamDecode, LZ4_decompress_safe_continue, LZ4_freeStreamDecode, LZ4_setStreamDecode, LZ4StreamDecode};

use super::{RING_SIZE, WINDOW};
use crate::sys::shared_bytes::copy_raw;

/// The state of a decompressor as lz4.h publishes it (`LZ4_streamDecode_t_internal`).
#[repr(C)]
pub(super) struct StreamDecodeState {
    external_dictionary: *const u8,
    prefix_end: *const u8,
    pub(super) external_dictionary_size: usize,
    pub(super) prefix_size: usize,
}

/// A decompressor with its ring.
pub(crate) struct Decompressor<'r> {
    pub(super) stream: NonNull<LZ4StreamDecode>,
    pub(super) ring: NonNull<u8>,
    borrowed: PhantomData<&'r mut [u8]>,
}

impl Decompressor<'_> {
    /// Allocates the state of a decompressor; `None` where memory is short. [`free_raw`](Self::free_raw) frees it.
    pub(crate) fn create_raw() -> Option<NonNull<c_void>> {
        // SAFETY: no preconditions.
        NonNull::new(unsafe { LZ4_createStreamDecode() }).map(NonNull::cast)
    }

    /// # Safety
    /// `stream` is NULL or from [`create_raw`](Self::create_raw), and not used again.
    pub(crate) unsafe fn free_raw(stream: *mut c_void) {
        // SAFETY: passed on to the caller. LZ4 ignores NULL.
        unsafe { LZ4_freeStreamDecode(stream.cast()) };
    }

    /// # Safety
    /// As for [`Compressor::from_raw`].
    #[inline]
    pub(crate) unsafe fn from_raw(stream: NonNull<c_void>, ring: NonNull<u8>) -> Self {
        Self { stream: stream.cast(), ring, borrowed: PhantomData }
    }

    /// Starts a new stream, which refers to nothing before it.
    pub(crate) fn reset(&mut self) {
        // SAFETY: the stream is valid by the type's invariant. Without a dictionary there is no memory to read.
        unsafe { LZ4_setStreamDecode(self.stream.as_ptr(), ptr::null(), 0) };
    }

    /// Decompresses the block `src` to the ring at `at`, and returns its `len` bytes there. `None` if the block is corrupt or
    /// has any other size, after which the stream must be reset.
    #[inline]
    pub(crate) fn decompress(&mut self, at: usize, len: usize, src: &[u8]) -> Option<&[u8]> {
        assert!(at <= RING_SIZE && len <= RING_SIZE - at, "a chunk lies within the ring");
        let src_size = c_int::try_from(src.len()).ok()?;
        // SAFETY: the ring is valid by the type's invariant, and the assertion keeps what LZ4 writes (at most `len` bytes) inside it.
        // LZ4 checks all that it reads against `src` and against what was decompressed to the ring since the last reset.
        let chunk = unsafe {
            let dst = self.ring.as_ptr().add(at);
            let got = LZ4_decompress_safe_continue(self.stream.as_ptr(), src.as_ptr().cast(), dst.cast(), src_size, len as c_int);
            if usize::try_from(got) != Ok(len) {
                return None;
            }
            std::slice::from_raw_parts(dst, len)
        };
        Some(chunk)
    }

    /// As [`decompress`](Self::decompress), but leaves the work to `decode`: it gets the bytes before the chunk, and tells whether
    /// it filled `chunk`. False, with nothing done to the stream, where it did not, or where the chunk does not follow in the ring on what
    /// was decompressed last.
    #[inline(always)]
    pub(crate) fn follow(&mut self, at: usize, chunk: &mut [u8], decode: impl FnOnce(&[u8], &mut [u8]) -> bool) -> bool {
        if at > RING_SIZE - chunk.len().min(RING_SIZE) {
            return false;
        }
        // SAFETY: as in Compressor::follow.
        let state = unsafe { self.stream.cast::<StreamDecodeState>().as_mut() };
        // SAFETY: inside the ring, by the check before.
        let to = unsafe { self.ring.as_ptr().add(at) };
        let seen = state.prefix_size;
        // At least one byte, and all of them before `at` in the ring.
        let follows = seen.wrapping_sub(1) < at && state.prefix_end == to;
        if !follows {
            return false;
        }
        // SAFETY: the `seen` bytes before `at` are what LZ4 decompressed last, so they lie in the ring (no more than `at`) and were
        // written; the caller's memory is no part of it.
        let before = unsafe { std::slice::from_raw_parts(to.sub(seen.min(WINDOW)), seen.min(WINDOW)) };
        if !decode(before, chunk) {
            return false;
        }
        // SAFETY: the chunk fits the ring at `at`.
        unsafe { copy_raw(to, chunk) };
        state.prefix_size += chunk.len();
        state.prefix_end = to.wrapping_add(chunk.len());
        true
    }
}
