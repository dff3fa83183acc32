//! LZ4's streaming block API.
//!
//! LZ4 remembers where the last 64 KiB of a stream lie, and reads them when it codes the next chunk. Here they lie in a
//! *ring*: a stream is always used together with the one ring that its chunks are copied to, which must not move as
//! long as the stream is in use.

use std::ffi::{c_char, c_int, c_void};
use std::marker::PhantomData;
use std::ptr::{self, NonNull};

use super::memory::copy_raw;
use lz4_sys::{
    LZ4_createStream, LZ4_createStreamDecode, LZ4_decompress_safe_continue, LZ4_freeStream, LZ4_freeStreamDecode,
    LZ4_setStreamDecode, LZ4StreamDecode, LZ4StreamEncode,
};

// Part of the lz4.c that lz4-sys builds, but not declared by it.
unsafe extern "C" {
    fn LZ4_resetStream_fast(stream: *mut LZ4StreamEncode);
    fn LZ4_compress_fast_continue(
        stream: *mut LZ4StreamEncode,
        src: *const c_char,
        dst: *mut c_char,
        src_size: c_int,
        dst_capacity: c_int,
        acceleration: c_int,
    ) -> c_int;
    /// As LZ4_compress_fast_continue with acceleration 1 where the source does not follow the dictionary, even if it does. `dst` must
    /// have room for any block of this size.
    fn LZ4_compress_forceExtDict(stream: *mut LZ4StreamEncode, src: *const c_char, dst: *mut c_char, src_size: c_int) -> c_int;
}

/// Size of a ring in bytes: three chunks, so that the 64 KiB before a chunk are never overwritten by it.
pub(crate) const RING_SIZE: usize = 196_608;

/// LZ4's default: the best ratio that the fast compressor has.
const ACCELERATION: c_int = 1;

/// Whether the layout of LZ4's states, and how it hashes, is what this file takes it to be.
const STATES_ARE_KNOWN: bool = cfg!(all(target_pointer_width = "64", target_endian = "little"));

/// How far back LZ4 refers, at most.
const WINDOW: usize = 65_536;

/// The state of a compressor as lz4.h publishes it (`LZ4_stream_t_internal`).
#[repr(C)]
struct StreamState {
    table: HashTable,
    dictionary: *const u8,
    dictionary_context: *const c_void,
    current_offset: u32,
    table_type: u32,
    dictionary_size: u32,
}

/// The state of a decompressor as lz4.h publishes it (`LZ4_streamDecode_t_internal`).
#[repr(C)]
struct StreamDecodeState {
    external_dictionary: *const u8,
    prefix_end: *const u8,
    external_dictionary_size: usize,
    prefix_size: usize,
}

/// The index of the last position in the stream of each hash of what stands there. A stream's first byte has index 0 or, where
/// the table was used by a stream before, an index that leaves all older ones out of reach.
pub(crate) type HashTable = [u32; 1 << HASH_BITS];

/// Bits of a hash.
pub(crate) const HASH_BITS: u32 = 12;

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
    stream: NonNull<LZ4StreamEncode>,
    ring: NonNull<u8>,
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
    /// next, so the first stream of a compressor may be encoded otherwise than later ones (docs/frame-format.md, "History").
    pub(crate) fn reset(&mut self) {
        // SAFETY: the stream is valid by the type's invariant.
        unsafe { LZ4_resetStream_fast(self.stream.as_ptr()) }
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
        if !STATES_ARE_KNOWN || at > RING_SIZE - chunk.len().min(RING_SIZE) {
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

/// Compresses chunks where they lie in memory of the caller, to the very blocks that they become by way of the ring.
///
/// What a block refers to is always before it in the stream, within [`WINDOW`] bytes, hence in the caller's memory too. The ring comes in
/// only by the place where it starts over: there LZ4 takes what is before for an external dictionary, which it does not connect
/// with the chunk, and forgets it after. So it is told here.
pub(crate) struct CompressInPlace<'s, 'r> {
    lz4: &'s mut Compressor<'r>,
    buffer: &'s [u8],
    done: usize,
    /// Where in the ring the next chunk would go.
    cursor: usize,
}

impl<'r> Compressor<'r> {
    /// Compresses what follows the first `done` bytes of `buffer`, which were compressed last, up to `cursor` in the ring. `None` where
    /// that is less than a window.
    pub(crate) fn in_place<'s>(&'s mut self, buffer: &'s [u8], done: usize, cursor: usize) -> Option<CompressInPlace<'s, 'r>> {
        if !STATES_ARE_KNOWN || done < WINDOW || done == buffer.len() || cursor > RING_SIZE {
            return None;
        }
        // SAFETY: as in `follow`.
        let state = unsafe { self.stream.cast::<StreamState>().as_mut() };
        let seen = state.dictionary_size as usize;
        if seen < WINDOW || state.dictionary.wrapping_add(seen) != self.ring.as_ptr().wrapping_add(cursor) {
            return None;
        }
        state.dictionary = buffer[done - WINDOW..].as_ptr();
        state.dictionary_size = WINDOW as u32;
        Some(CompressInPlace { lz4: self, buffer, done, cursor })
    }
}

impl CompressInPlace<'_, '_> {
    /// How many bytes of the buffer are still to be compressed.
    pub(crate) fn left(&self) -> usize {
        self.buffer.len() - self.done
    }

    /// Compresses the next `len` bytes of the buffer to the start of `dst`. Returns the block's size, or `None` where `dst` is too small for
    /// just any block, or the buffer ends before.
    pub(crate) fn compress(&mut self, len: usize, dst: &mut [u8]) -> Option<usize> {
        let chunk = self.buffer.get(self.done..)?.get(..len)?;
        if len > RING_SIZE || dst.len() < len + len / 255 + 16 {
            return None;
        }
        let starts_over = len > RING_SIZE - self.cursor;
        let (stream, src, dst_size) =
            (self.lz4.stream.as_ptr(), chunk.as_ptr().cast(), dst.len().min(c_int::MAX as usize) as c_int);
        // SAFETY: LZ4 reads the chunk and up to 64 KiB before it, all in the buffer, which is borrowed as long as self; and
        // writes no more than what any block of so many bytes takes, for which there is room.
        let size = unsafe {
            if starts_over {
                LZ4_compress_forceExtDict(stream, src, dst.as_mut_ptr().cast(), len as c_int)
            } else {
                LZ4_compress_fast_continue(stream, src, dst.as_mut_ptr().cast(), len as c_int, dst_size, ACCELERATION)
            }
        };
        self.cursor = if starts_over { len } else { self.cursor + len };
        self.done += len;
        usize::try_from(size).ok().filter(|&size| size > 0)
    }

    /// Brings what chunks to come may refer to into the ring, so that the buffer is the caller's again. Returns where in the ring the
    /// next chunk goes.
    pub(crate) fn finish(self) -> usize {
        // SAFETY: as in `follow`.
        let state = unsafe { self.lz4.stream.cast::<StreamState>().as_mut() };
        let seen = (state.dictionary_size as usize).min(WINDOW);
        assert!(
            seen <= self.cursor && seen <= self.done,
            "a window is no more than what was compressed since the ring started over"
        );
        // SAFETY: inside the ring by the assertion, and since cursors are; the buffer is no part of it.
        unsafe {
            let to = self.lz4.ring.as_ptr().add(self.cursor - seen);
            copy_raw(to, &self.buffer[self.done - seen..self.done]);
            state.dictionary = to;
        }
        state.dictionary_size = seen as u32;
        let cursor = self.cursor;
        std::mem::forget(self);
        cursor
    }
}

impl Drop for CompressInPlace<'_, '_> {
    /// Without `finish`, nothing may refer to the buffer any more.
    fn drop(&mut self) {
        self.lz4.reset();
    }
}

/// A decompressor with its ring.
pub(crate) struct Decompressor<'r> {
    stream: NonNull<LZ4StreamDecode>,
    ring: NonNull<u8>,
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
        if !STATES_ARE_KNOWN || at > RING_SIZE - chunk.len().min(RING_SIZE) {
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

/// Decompresses chunks one behind the other to memory of the caller instead of the ring.
pub(crate) struct DecompressInPlace<'s, 'r> {
    lz4: &'s mut Decompressor<'r>,
    buffer: &'s mut [u8],
    done: usize,
}

impl<'r> Decompressor<'r> {
    /// Decompresses the chunks to come to `buffer`. `None` where LZ4 would lose what they may refer to: it remembers two pieces of memory, and
    /// one of them would be the buffer. Once another chunk of 64 KiB has been decompressed to the ring, it is possible.
    pub(crate) fn in_place<'s>(&'s mut self, buffer: &'s mut [u8]) -> Option<DecompressInPlace<'s, 'r>> {
        // SAFETY: as in `follow`.
        let state = unsafe { self.stream.cast::<StreamDecodeState>().as_ref() };
        let is_one_piece = state.external_dictionary_size == 0 || state.prefix_size >= WINDOW;
        is_one_piece.then(|| DecompressInPlace { lz4: self, buffer, done: 0 })
    }
}

impl DecompressInPlace<'_, '_> {
    /// How many bytes of the buffer are still to be filled.
    pub(crate) fn left(&self) -> usize {
        self.buffer.len() - self.done
    }

    /// Decompresses the block `src` to the next `len` bytes of the buffer. `None` if the block is corrupt or has any other size, or
    /// the buffer ends before.
    pub(crate) fn decompress(&mut self, len: usize, src: &[u8]) -> Option<()> {
        let dst = self.buffer.get_mut(self.done..)?.get_mut(..len)?;
        let (src_size, len_int) = (c_int::try_from(src.len()).ok()?, c_int::try_from(len).ok()?);
        // SAFETY: LZ4 writes at most `len` bytes to dst, and checks all that it reads against `src` and against what was
        // decompressed since the last reset: that is in the ring and in the buffer, borrowed as long as self.
        let got = unsafe {
            let dst = dst.as_mut_ptr().cast();
            LZ4_decompress_safe_continue(self.lz4.stream.as_ptr(), src.as_ptr().cast(), dst, src_size, len_int)
        };
        self.done += len;
        (usize::try_from(got) == Ok(len)).then_some(())
    }

    /// Brings what chunks to come may refer to into the ring, so that the buffer is the caller's again: it must be full, and have
    /// at least 64 KiB. Returns where in the ring the next chunk goes.
    pub(crate) fn finish(self) -> usize {
        assert!(self.done == self.buffer.len() && self.done >= WINDOW, "the buffer is full");
        let ring = self.lz4.ring.as_ptr();
        // SAFETY: the ring is larger than the window, and no part of the buffer. LZ4 from now on refers to the ring alone.
        unsafe {
            copy_raw(ring, &self.buffer[self.done - WINDOW..]);
            LZ4_setStreamDecode(self.lz4.stream.as_ptr(), ring.cast(), WINDOW as c_int);
        }
        std::mem::forget(self);
        WINDOW
    }
}

impl Drop for DecompressInPlace<'_, '_> {
    /// Without `finish`, nothing may refer to the buffer any more.
    fn drop(&mut self) {
        self.lz4.reset();
    }
}

/// Ring and state of either direction, owned.
struct Owned {
    state: NonNull<c_void>,
    free: unsafe fn(*mut c_void),
    ring: NonNull<[u8]>,
}

// SAFETY: LZ4's states are plain memory without ties to a thread, and the ring is owned.
unsafe impl Send for Owned {}
// SAFETY: a shared reference gives access to nothing.
unsafe impl Sync for Owned {}

impl Owned {
    fn new(create: fn() -> Option<NonNull<c_void>>, free: unsafe fn(*mut c_void)) -> Option<Self> {
        let mut ring = Vec::new();
        ring.try_reserve_exact(RING_SIZE).ok()?;
        ring.resize(RING_SIZE, 0u8);
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
