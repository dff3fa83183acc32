//! Decompression of chunks to the ring.

use std::ffi::{c_int, c_void};
use std::marker::PhantomData;
use std::ptr::{self, NonNull};

use lz4_sys::{LZ4_createStreamDecode, LZ4_decompress_safe_continue, LZ4_freeStreamDecode, LZ4_setStreamDecode, LZ4StreamDecode};

use super::ring::{RING_SIZE, WINDOW};
use crate::sys::copy::copy_raw;

/// The state of a decompressor, as declared in lz4.h (`LZ4_streamDecode_t_internal`).
#[repr(C)]
pub(super) struct StreamDecodeState {
    external_dictionary: *const u8,
    prefix_end: *const u8,
    pub(super) external_dictionary_size: usize,
    pub(super) prefix_size: usize,
}

/// A decompressor with its ring.
///
/// Invariant, guaranteed by the caller of [`from_raw`](Self::from_raw): `stream` is a valid stream and `ring` has
/// [`RING_SIZE`] bytes, both exclusive for `'r`; the data that the stream refers to lies in the ring.
pub(crate) struct Decompressor<'r> {
    pub(super) stream: NonNull<LZ4StreamDecode>,
    pub(super) ring: NonNull<u8>,
    borrowed: PhantomData<&'r mut [u8]>,
}

impl Decompressor<'_> {
    /// Allocates the state of a decompressor, to be freed by [`free_raw`](Self::free_raw). `None` if the allocation
    /// failed.
    pub(crate) fn create_raw() -> Option<NonNull<c_void>> {
        // SAFETY: LZ4_createStreamDecode takes no arguments.
        NonNull::new(unsafe { LZ4_createStreamDecode() }).map(NonNull::cast)
    }

    /// # Safety
    /// `stream` must be NULL or from [`create_raw`](Self::create_raw), and must not be used again.
    pub(crate) unsafe fn free_raw(stream: *mut c_void) {
        // SAFETY: the caller guarantees a stream that is not used again, or NULL, which LZ4 ignores.
        unsafe { LZ4_freeStreamDecode(stream.cast()) };
    }

    /// # Safety
    /// As for [`Compressor::from_raw`](super::Compressor::from_raw).
    #[inline]
    pub(crate) unsafe fn from_raw(stream: NonNull<c_void>, ring: NonNull<u8>) -> Self {
        Self { stream: stream.cast(), ring, borrowed: PhantomData }
    }

    /// Starts a new stream, which refers to nothing before it.
    pub(crate) fn reset(&mut self) {
        // SAFETY: `stream` is valid and exclusive by the type's invariant. The dictionary is empty, so NULL is not
        // read.
        unsafe { LZ4_setStreamDecode(self.stream.as_ptr(), ptr::null(), 0) };
    }

    #[inline(always)]
    pub(super) fn state(&mut self) -> &mut StreamDecodeState {
        // SAFETY: `stream` is valid and exclusive by the type's invariant, begins with a state of this layout, which
        // lz4.h declares, and LZ4 does not access it while `self` is borrowed.
        unsafe { self.stream.cast::<StreamDecodeState>().as_mut() }
    }

    /// Decompresses the block `src` to the ring at `at`, and returns its `len` bytes there. `None` if the block is
    /// corrupt or has another size, after which the stream must be reset.
    #[inline]
    pub(crate) fn decompress(&mut self, at: usize, len: usize, src: &[u8]) -> Option<&[u8]> {
        assert!(at <= RING_SIZE && len <= RING_SIZE - at, "a chunk lies within the ring");
        let src_size = c_int::try_from(src.len()).ok()?;
        // SAFETY: the ring is valid and exclusive by the type's invariant, and the assertion keeps the at most `len`
        // bytes that LZ4 writes inside it. LZ4 checks all reads against `src` and the data that was decompressed to the
        // ring since the last reset.
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

    /// Prepares to advance the stream by a chunk of `len` bytes that the caller decodes. `None` if the chunk does not
    /// directly follow the last one in the ring.
    #[inline(always)]
    pub(crate) fn continue_prefix(&mut self, at: usize, len: usize) -> Option<NextChunk<'_>> {
        if at > RING_SIZE - len.min(RING_SIZE) {
            return None;
        }
        // SAFETY: `at` is at most RING_SIZE by the check above, and the ring has that size by the type's invariant.
        let to = unsafe { self.ring.as_ptr().add(at) };
        let state = self.state();
        let seen = state.prefix_size;
        // At least one byte, and all of them before `at` in the ring.
        let follows = seen.wrapping_sub(1) < at && state.prefix_end == to;
        follows.then_some(NextChunk { state, to, len })
    }
}

/// The place in the ring of a chunk that follows the last one, and what precedes it.
///
/// Invariant: `state` is that of a stream whose `prefix_size` bytes before `to` were decompressed last, to the ring; the
/// ring has `len` bytes from `to` on, and is exclusive to the stream.
pub(crate) struct NextChunk<'s> {
    state: &'s mut StreamDecodeState,
    to: *mut u8,
    len: usize,
}

impl NextChunk<'_> {
    /// Returns the data before the chunk, as far as LZ4 can refer to it.
    #[inline(always)]
    pub(crate) fn before(&self) -> &[u8] {
        let len = self.state.prefix_size.min(WINDOW);
        // SAFETY: by the type's invariant these bytes lie in the ring and were written.
        unsafe { std::slice::from_raw_parts(self.to.sub(len), len) }
    }

    /// Stores the decoded chunk in the ring, and advances the stream by it.
    ///
    /// # Panics
    /// If the chunk has not the length that was announced.
    #[inline(always)]
    pub(crate) fn append(self, chunk: &[u8]) {
        assert_eq!(chunk.len(), self.len, "the chunk has the announced length");
        // SAFETY: the chunk fits into the ring at `to` by the type's invariant, and is not part of it.
        unsafe { copy_raw(self.to, chunk) };
        self.state.prefix_size += chunk.len();
        self.state.prefix_end = self.to.wrapping_add(chunk.len());
    }
}
