//! Compressing by way of the ring.

use std::ffi::{c_char, c_int, c_void};
use std::marker::PhantomData;
use std::ptr::{self, NonNull};

use lz4_sys::{LZ4_createStream, LZ4_freeStream, LZ4StreamEncode};

use super::{HashTable, RING_SIZE, WINDOW};
use crate::sys::shared_bytes::copy_raw;

// Part of the lz4.c that lz4-sys builds, but not declared by it.
unsafe extern "C" {
    fn LZ4_resetStream(stream: *mut LZ4StreamEncode);
    fn LZ4_resetStream_fast(stream: *mut LZ4StreamEncode);
    pub(super) fn LZ4_compress_fast_continue(
        stream: *mut LZ4StreamEncode,
        src: *const c_char,
        dst: *mut c_char,
        src_size: c_int,
        dst_capacity: c_int,
        acceleration: c_int,
    ) -> c_int;
}

/// LZ4's default: the best ratio that the fast compressor has.
pub(super) const ACCELERATION: c_int = 1;

/// The state of a compressor as lz4.h publishes it (`LZ4_stream_t_internal`).
#[repr(C)]
pub(super) struct StreamState {
    pub(super) table: HashTable,
    pub(super) dictionary: *const u8,
    dictionary_context: *const c_void,
    pub(super) current_offset: u32,
    table_type: u32,
    pub(super) dictionary_size: u32,
}

impl StreamState {
    /// Says that the table is in use by a stream.
    pub(super) fn mark_used(&mut self) {
        const TABLE_OF_STREAM: u32 = 2;
        self.table_type = TABLE_OF_STREAM;
    }
}

/// Starts a new stream.
///
/// # Safety
/// `stream` is valid.
pub(super) unsafe fn reset(stream: NonNull<LZ4StreamEncode>) {
    // SAFETY: the caller's promise.
    unsafe { LZ4_resetStream_fast(stream.as_ptr()) }
}

/// Where indexes get so high that LZ4 takes measures of its own.
const INDEX_MAX: u32 = 1 << 30;

/// A chunk that follows in the ring directly on what was compressed last, and what LZ4 knows of what is before.
pub(crate) struct Following<'s> {
    pub(crate) table: &'s mut HashTable,
    /// What can be referred to, then the chunk.
    pub(crate) bytes: &'s [u8],
    /// Where in `bytes` the chunk begins.
    pub(crate) start: usize,
    /// The index of the chunk's first byte.
    pub(crate) index: u32,
}

/// A compressor with its ring.
pub(crate) struct Compressor<'r> {
    pub(super) stream: NonNull<LZ4StreamEncode>,
    pub(super) ring: NonNull<u8>,
    borrowed: PhantomData<&'r mut [u8]>,
}

impl Compressor<'_> {
    /// Allocates the state of a compressor; `None` where memory is short. [`free_raw`](Self::free_raw) frees it.
    pub(crate) fn create_raw() -> Option<NonNull<c_void>> {
        // SAFETY: no preconditions.
        NonNull::new(unsafe { LZ4_createStream() }).map(NonNull::cast)
    }

    /// # Safety
    /// `stream` is NULL or from [`create_raw`](Self::create_raw), and not used again.
    pub(crate) unsafe fn free_raw(stream: *mut c_void) {
        // SAFETY: passed on to the caller. LZ4 ignores NULL.
        unsafe { LZ4_freeStream(stream.cast()) };
    }

    /// # Safety
    /// `stream` is from [`create_raw`](Self::create_raw) and not freed, `ring` points to [`RING_SIZE`] bytes valid for reads
    /// and writes; both are used by nobody else while the result is in use. For a stream it is the same ring each time,
    /// at least since the last [`reset`](Self::reset).
    #[inline]
    pub(crate) unsafe fn from_raw(stream: NonNull<c_void>, ring: NonNull<u8>) -> Self {
        Self { stream: stream.cast(), ring, borrowed: PhantomData }
    }

    /// Starts a new stream, which refers to nothing before it. Does not touch what else LZ4 carries from one stream to the
    /// next, so the first stream of a compressor may be encoded otherwise than later ones (docs/format/frame.md, "History").
    pub(crate) fn reset(&mut self) {
        // SAFETY: the stream is valid by the type's invariant.
        unsafe { reset(self.stream) }
    }

    /// Makes it one that has never compressed anything, or one that has: the stream to be started next is then the first of a compressor,
    /// or a later one, whatever it was used for before.
    pub(crate) fn renew(&mut self, later: bool) {
        // SAFETY: the stream is valid by the type's invariant.
        unsafe { LZ4_resetStream(self.stream.as_ptr()) };
        if later {
            // As one byte leaves it, which is too little for an entry in the table.
            // SAFETY: as in `follow`.
            let state = unsafe { self.stream.cast::<StreamState>().as_mut() };
            state.current_offset = 1;
            state.mark_used();
        }
    }

    /// Copies `chunk` to the ring at `at`, and compresses it from there to the start of `dst`. Returns the compressed size in
    /// bytes, or `None` if `dst` is too small for it, after which the stream must be reset.
    #[inline]
    pub(crate) fn compress(&mut self, at: usize, chunk: &[u8], dst: &mut [u8]) -> Option<usize> {
        assert!(at <= RING_SIZE && chunk.len() <= RING_SIZE - at, "a chunk lies within the ring");
        // SAFETY: the ring is valid by the type's invariant, and the assertion keeps the copy inside it. LZ4 reads the chunk and
        // up to 64 KiB of earlier chunks, all in the ring, and writes at most `dst`'s length to it. An int holds the
        // chunk's length (at most RING_SIZE), and capacity is cut to what one holds.
        let compressed = unsafe {
            let src = self.ring.as_ptr().add(at);
            ptr::copy_nonoverlapping(chunk.as_ptr(), src, chunk.len());
            LZ4_compress_fast_continue(
                self.stream.as_ptr(),
                src.cast(),
                dst.as_mut_ptr().cast(),
                chunk.len() as c_int,
                c_int::try_from(dst.len()).unwrap_or(c_int::MAX),
                ACCELERATION,
            )
        };
        usize::try_from(compressed).ok().filter(|&size| size > 0)
    }

    /// As [`compress`](Self::compress), but only copies `chunk` to the ring and advances the stream, and leaves it to the caller to
    /// write a block and to update the table just as LZ4 would have done. `None`, with nothing done, where the chunk does
    /// not follow in the ring on what was compressed last, or is otherwise none of LZ4's simple cases.
    #[inline(always)]
    pub(crate) fn follow(&mut self, at: usize, chunk: &[u8]) -> Option<Following<'_>> {
        if at > RING_SIZE - chunk.len().min(RING_SIZE) {
            return None;
        }
        // SAFETY: the stream is valid by the type's invariant, its state is of this layout (a test compares), and LZ4 does not use
        // it during the borrow of self.
        let state = unsafe { self.stream.cast::<StreamState>().as_mut() };
        // SAFETY: inside the ring, by the check before.
        let to = unsafe { self.ring.as_ptr().add(at) };
        let (seen, index) = (state.dictionary_size as usize, state.current_offset);
        // At least one byte, and all of them before `at` in the ring.
        let follows = seen.wrapping_sub(1) < at && state.dictionary.wrapping_add(seen) == to;
        if !follows || index >= INDEX_MAX {
            return None;
        }
        state.dictionary_size += chunk.len() as u32;
        state.current_offset += chunk.len() as u32;
        let seen = seen.min(WINDOW);
        // SAFETY: the chunk fits the ring at `at`, and the caller's memory is no part of it. The `seen` bytes before `at` are
        // LZ4's dictionary, so they lie in the ring (no more than `at`) and were written.
        let bytes = unsafe {
            copy_raw(to, chunk);
            std::slice::from_raw_parts(to.sub(seen), seen + chunk.len())
        };
        Some(Following { table: &mut state.table, bytes, start: seen, index })
    }
}
