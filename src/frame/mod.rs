//! The frame format of fd_checkpt: encodes buffers to a checkpoint and decodes them.
//!
//! [`Checkpt`] writes a checkpoint, [`Restore`] reads one, [`Error`] is their error. docs/format/frame.md specifies the
//! format.

// - `style`: frame styles; `state`: state machine of a checkpoint or restore; `limits`: sizes of buffers.
// - `sink`, `source`: output and input, a descriptor or memory.
// - `codec`: the order of calls; `encoder`, `decoder`: the two directions. They own no memory; for each call they borrow
//   it from the caller's C struct or from the Rust types.
// - `small_block`: LZ4 for the smallest chunks. `parallel_compress`, `segment_plan`: LZ4 for large buffers on several threads.
// - `readahead`: reads a file on another thread while a large buffer is decompressed.
// - `writer`, `reader`: the Rust types.

pub(crate) mod codec;
pub(crate) mod decoder;
pub(crate) mod encoder;
mod error;
mod limits;
mod parallel_compress;
mod readahead;
pub(crate) mod reader;
mod segment_plan;
pub(crate) mod sink;
pub(crate) mod small_block;
pub(crate) mod source;
pub(crate) mod state;
pub(crate) mod style;
pub(crate) mod writer;

pub use error::Error;
pub use limits::{BUFFER_MIN, META_MAX};
pub use parallel_compress::{ParallelStats, set_max_threads};
pub use reader::Restore;
pub use style::FrameStyle;
pub use writer::Checkpt;

use std::os::fd::{AsFd, BorrowedFd};

use crate::alloc::try_zeroed;
use crate::sys::lz4::{RING_SIZE, ring_position};

/// Maximum size in bytes of a chunk, the unit of compression in LZ4 frames.
pub(crate) const CHUNK_MAX: usize = 65_536;

/// Size in bytes of a chunk's header, which holds the compressed size.
pub(crate) const CHUNK_HEADER_SIZE: usize = 3;

/// Returns the maximum size in bytes of a chunk of `size` bytes in the frame: the header and LZ4's bound of the block.
#[inline]
pub(crate) const fn chunk_bound(size: usize) -> usize {
    size + size / 255 + 16 + CHUNK_HEADER_SIZE
}

const _: () = assert!(chunk_bound(CHUNK_MAX) <= BUFFER_MIN && chunk_bound(CHUNK_MAX) < 1 << 24);

/// Kind of a buffer. Both are encoded alike, but differ in the maximum size and in how long the memory must stay unchanged.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum BufferKind {
    Meta,
    Data,
}

/// Allocates a buffer of `size` bytes for reading from or writing to a descriptor.
fn try_io_buffer(size: usize) -> Result<Vec<u8>, Error> {
    if size < BUFFER_MIN {
        return Err(Error::IoBufferTooSmall { size: size as u64 });
    }
    Ok(try_zeroed(size)?)
}

/// Type-erased descriptor, owned or borrowed.
pub(crate) trait DynFd: Send + Sync {
    fn fd(&self) -> BorrowedFd<'_>;
}

impl<F: AsFd + Send + Sync> DynFd for [F; 1] {
    fn fd(&self) -> BorrowedFd<'_> {
        self[0].as_fd()
    }
}

/// Returns the offset in the ring of the next chunk, of `size` bytes, and moves the cursor past it. The cursor is in the
/// caller's memory, so any value is handled.
#[inline]
pub(crate) fn advance_ring_cursor(cursor: &mut u64, size: usize) -> usize {
    let offset = match usize::try_from(*cursor) {
        Ok(cursor) if cursor <= RING_SIZE => ring_position(cursor, size),
        _ => 0,
    };
    *cursor = (offset + size) as u64;
    offset
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chunk_that_exceeds_the_end_of_the_ring_is_stored_at_its_start() {
        let mut cursor = 0;
        assert_eq!(advance_ring_cursor(&mut cursor, 65_536), 0);
        assert_eq!(advance_ring_cursor(&mut cursor, 65_536), 65_536);
        assert_eq!(advance_ring_cursor(&mut cursor, 65_536), 131_072);
        assert_eq!(cursor, 196_608);
        assert_eq!(advance_ring_cursor(&mut cursor, 1), 0);
        cursor = 196_607;
        assert_eq!(advance_ring_cursor(&mut cursor, 1), 196_607);
        cursor = 196_607;
        assert_eq!(advance_ring_cursor(&mut cursor, 2), 0);
    }

    #[test]
    fn cursor_outside_the_ring_is_treated_as_its_start() {
        for mut cursor in [196_609, u64::MAX] {
            assert_eq!(advance_ring_cursor(&mut cursor, 10), 0);
            assert_eq!(cursor, 10);
        }
    }
}
