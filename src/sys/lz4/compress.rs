//! Compression of chunks that are copied to the ring.

use std::ffi::{c_char, c_int, c_void};
use std::marker::PhantomData;
use std::ptr::{self, NonNull};

use lz4_sys::{LZ4_createStream, LZ4_freeStream, LZ4StreamEncode};

use super::ring::{RING_SIZE, WINDOW, ring_position};
use crate::sys::copy::copy_raw;

// Part of the lz4.c that lz4-sys builds, but not declared by it.
unsafe extern "C" {
    /// As `LZ4_compress_fast_continue` with acceleration 1 if the source did not follow the dictionary, even if it
    /// does. `dst` must have space for any block of this size.
    fn LZ4_compress_forceExtDict(stream: *mut LZ4StreamEncode, src: *const c_char, dst: *mut c_char, src_size: c_int) -> c_int;
    fn LZ4_resetStream(stream: *mut LZ4StreamEncode);
    fn LZ4_resetStream_fast(stream: *mut LZ4StreamEncode);
    fn LZ4_compress_fast_continue(
        stream: *mut LZ4StreamEncode,
        src: *const c_char,
        dst: *mut c_char,
        src_size: c_int,
        dst_capacity: c_int,
        acceleration: c_int,
    ) -> c_int;
}

/// LZ4's default: the best ratio of the fast compressor.
const ACCELERATION: c_int = 1;

/// Maps the hash of a sequence to the index of its last position in the stream. A stream's first byte has index 0 or,
/// if an earlier stream used the table, an index that leaves all older positions out of reach.
pub(crate) type HashTable = [u32; 1 << HASH_BITS];

/// Number of bits of a hash.
pub(crate) const HASH_BITS: u32 = 12;

/// The state of a compressor, as declared in lz4.h (`LZ4_stream_t_internal`).
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
    /// Marks the table as used by a stream (`byU32` in lz4.c).
    pub(super) fn mark_used(&mut self) {
        const BY_U32: u32 = 2;
        self.table_type = BY_U32;
    }
}

/// Returns the state behind a stream.
///
/// # Safety
/// `stream` must be valid, and not be accessed otherwise for `'s`.
#[inline(always)]
pub(super) unsafe fn stream_state<'s>(stream: NonNull<LZ4StreamEncode>) -> &'s mut StreamState {
    // SAFETY: the stream is valid and exclusive, which the caller guarantees, and begins with a state of this layout,
    // which lz4.h declares and the equality tests of small_block.rs depend on.
    unsafe { stream.cast::<StreamState>().as_mut() }
}

/// Starts a new stream.
///
/// # Safety
/// `stream` must be valid, and not be accessed by another thread.
pub(super) unsafe fn reset(stream: NonNull<LZ4StreamEncode>) {
    // SAFETY: LZ4 only requires a valid stream, which the caller guarantees.
    unsafe { LZ4_resetStream_fast(stream.as_ptr()) }
}

/// Compresses `chunk` where it lies to the start of `dst`, to the block that it would become in the ring with the
/// cursor at `cursor`, and advances the cursor. Returns the size of the block; `None` if `dst` is too small for the
/// largest possible block.
///
/// # Safety
/// `stream` must be valid and exclusive, and the data that it has seen of the 64 KiB before the chunk must be readable.
pub(super) unsafe fn compress_chunk(
    stream: NonNull<LZ4StreamEncode>,
    chunk: &[u8],
    cursor: &mut usize,
    dst: &mut [u8],
) -> Option<usize> {
    let len = chunk.len();
    if len > RING_SIZE || dst.len() < len + len / 255 + 16 {
        return None;
    }
    let at = ring_position(*cursor, len);
    let starts_over = at != *cursor;
    let (stream, src, dst_size) = (stream.as_ptr(), chunk.as_ptr().cast(), dst.len().min(c_int::MAX as usize) as c_int);
    // SAFETY: LZ4 reads the chunk, which is borrowed, and up to 64 KiB before it, which the caller guarantees to be
    // readable. It writes at most the size of the largest possible block, which `dst` was checked to hold.
    let size = unsafe {
        if starts_over {
            LZ4_compress_forceExtDict(stream, src, dst.as_mut_ptr().cast(), len as c_int)
        } else {
            LZ4_compress_fast_continue(stream, src, dst.as_mut_ptr().cast(), len as c_int, dst_size, ACCELERATION)
        }
    };
    *cursor = at + len;
    usize::try_from(size).ok().filter(|&size| size > 0)
}

/// Indexes from which on LZ4 may rebase or reset the table.
const INDEX_MAX: u32 = 1 << 30;

/// A chunk that directly follows the last one in the ring, and the data that precedes it (LZ4's "prefix mode").
pub(crate) struct PrefixContext<'s> {
    pub(crate) table: &'s mut HashTable,
    /// The data that can be referred to, then the chunk.
    pub(crate) bytes: &'s [u8],
    /// Offset of the chunk in `bytes`.
    pub(crate) start: usize,
    /// Index of the chunk's first byte in the stream.
    pub(crate) index: u32,
}

/// A compressor with its ring.
///
/// Invariant, guaranteed by the caller of [`from_raw`](Self::from_raw): `stream` is a valid stream and `ring` has
/// [`RING_SIZE`] bytes, both exclusive for `'r`; the data that the stream refers to lies in the ring.
pub(crate) struct Compressor<'r> {
    pub(super) stream: NonNull<LZ4StreamEncode>,
    pub(super) ring: NonNull<u8>,
    borrowed: PhantomData<&'r mut [u8]>,
}

impl Compressor<'_> {
    /// Allocates the state of a compressor, to be freed by [`free_raw`](Self::free_raw). `None` if the allocation
    /// failed.
    pub(crate) fn create_raw() -> Option<NonNull<c_void>> {
        // SAFETY: LZ4_createStream takes no arguments.
        NonNull::new(unsafe { LZ4_createStream() }).map(NonNull::cast)
    }

    /// # Safety
    /// `stream` must be NULL or from [`create_raw`](Self::create_raw), and must not be used again.
    pub(crate) unsafe fn free_raw(stream: *mut c_void) {
        // SAFETY: the caller guarantees a stream that is not used again, or NULL, which LZ4 ignores.
        unsafe { LZ4_freeStream(stream.cast()) };
    }

    /// # Safety
    /// `stream` must be from [`create_raw`](Self::create_raw) and not freed, and `ring` must be valid for reads and
    /// writes of [`RING_SIZE`] bytes; neither must be accessed otherwise while the result is in use. A stream must be
    /// used with the same ring since its last [`reset`](Self::reset).
    #[inline]
    pub(crate) unsafe fn from_raw(stream: NonNull<c_void>, ring: NonNull<u8>) -> Self {
        Self { stream: stream.cast(), ring, borrowed: PhantomData }
    }

    /// Starts a new stream, which refers to nothing before it. Keeps what else LZ4 carries from one stream to the next,
    /// so the first stream of a compressor may be encoded otherwise than later ones (docs/format/frame.md, "History").
    pub(crate) fn reset(&mut self) {
        // SAFETY: `stream` is valid and exclusive by the type's invariant.
        unsafe { reset(self.stream) }
    }

    /// Resets all state, and makes the next stream the first one of a compressor, or a later one, which reuses a table
    /// ([`StreamOffset`](super::StreamOffset)).
    pub(crate) fn start_stream(&mut self, reuse_table: bool) {
        // SAFETY: `stream` is valid and exclusive by the type's invariant.
        unsafe { LZ4_resetStream(self.stream.as_ptr()) };
        if reuse_table {
            // The state after a stream of one byte, which is too short for an entry in the table.
            let state = self.state();
            state.current_offset = 1;
            state.mark_used();
        }
    }

    #[inline(always)]
    pub(super) fn state(&mut self) -> &mut StreamState {
        // SAFETY: `stream` is valid and exclusive by the type's invariant, and LZ4 does not access it while `self` is
        // borrowed.
        unsafe { stream_state(self.stream) }
    }

    /// Copies `chunk` to the ring at `at`, and compresses it from there to the start of `dst`. Returns the compressed
    /// size in bytes; `None` if `dst` is too small, after which the stream must be reset.
    #[inline]
    pub(crate) fn compress(&mut self, at: usize, chunk: &[u8], dst: &mut [u8]) -> Option<usize> {
        assert!(at <= RING_SIZE && chunk.len() <= RING_SIZE - at, "a chunk lies within the ring");
        // SAFETY: the ring is valid and exclusive by the type's invariant, and the assertion keeps the copy inside it.
        // LZ4 reads the chunk and up to 64 KiB of earlier data, all in the ring, and writes at most `dst.len()` bytes
        // to `dst`. A c_int holds the length of the chunk, at most RING_SIZE; the capacity is clamped to its range.
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

    /// Copies `chunk` to the ring and advances the stream as [`compress`](Self::compress) does. The caller must encode
    /// the block and update the table exactly as LZ4 would have done. Returns `None`, and does nothing, if the chunk
    /// does not directly follow the last one in the ring, or LZ4 would treat it specially.
    #[inline(always)]
    pub(crate) fn continue_prefix(&mut self, at: usize, chunk: &[u8]) -> Option<PrefixContext<'_>> {
        if at > RING_SIZE - chunk.len().min(RING_SIZE) {
            return None;
        }
        // SAFETY: `at` is at most RING_SIZE by the check above, and the ring has that size by the type's invariant.
        let to = unsafe { self.ring.as_ptr().add(at) };
        let state = self.state();
        let (seen, index) = (state.dictionary_size as usize, state.current_offset);
        // At least one byte, and all of them before `at` in the ring.
        let follows = seen.wrapping_sub(1) < at && state.dictionary.wrapping_add(seen) == to;
        if !follows || index >= INDEX_MAX {
            return None;
        }
        state.dictionary_size += chunk.len() as u32;
        state.current_offset += chunk.len() as u32;
        let seen = seen.min(WINDOW);
        // SAFETY: the chunk fits into the ring at `at` by the check above, and is not part of it, which `self` has
        // exclusively. The `seen` bytes before `at`, less than or as many as `at`, are LZ4's dictionary, so they lie in
        // the ring and were written.
        let bytes = unsafe {
            copy_raw(to, chunk);
            std::slice::from_raw_parts(to.sub(seen), seen + chunk.len())
        };
        Some(PrefixContext { table: &mut state.table, bytes, start: seen, index })
    }
}
