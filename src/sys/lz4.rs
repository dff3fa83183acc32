//! LZ4's streaming block API.
//!
//! LZ4 remembers where the last 64 KiB of a stream lie, and reads them when it codes the next chunk. Here they lie in a
//! *ring*: a stream is always used together with the one ring that its chunks are copied to, which must not move as
//! long as the stream is in use.

use std::ffi::{c_char, c_int, c_void};
use std::marker::PhantomData;
use std::ptr::{self, NonNull};

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
}

/// Size of a ring in bytes: three chunks, so that the 64 KiB before a chunk are never overwritten by it.
pub(crate) const RING_SIZE: usize = 196_608;

/// LZ4's default: the best ratio that the fast compressor has.
const ACCELERATION: c_int = 1;

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
