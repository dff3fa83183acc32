//! Frames: buffers encoded to the bytes of a checkpoint, and decoded from them.
//!
//! [`Checkpt`] writes a checkpoint, [`Restore`] reads one; [`Error`] is what both fail with. docs/format/frame.md specifies the
//! format.

// - `style`: the styles; `state`: the state that a checkpoint or restore is in; `limits`: sizes of buffers.
// - `sink`, `source`: where the bytes go to and come from, a descriptor or memory.
// - `codec`: the rules of what may be called when; `encoder`, `decoder`: the two directions. They hold no memory of
//   their own but borrow all of it, for one call, from either the caller's C struct or the Rust types.
// - `small_block`: LZ4 for the smallest chunks; `parallel_compress`: for the largest buffers, on several threads, in `segment_plan`.
// - `readahead`: reading for the largest buffers, while another thread decompresses.
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
pub use parallel_compress::{ParallelStats, set_threads};
pub use reader::Restore;
pub use style::FrameStyle;
pub use writer::Checkpt;

use std::os::fd::{AsFd, BorrowedFd};

use crate::alloc::try_zeroed;
use crate::sys::lz4::{RING_SIZE, ring_position};

/// The largest chunk in bytes that a buffer in an LZ4 frame is cut into.
pub(crate) const CHUNK_MAX: usize = 65_536;

/// Bytes of a chunk's header: its compressed size.
pub(crate) const CHUNK_HEADER: usize = 3;

/// The most bytes that a chunk of `size` bytes takes in the frame: LZ4's bound, and the header.
#[inline]
pub(crate) const fn chunk_bound(size: usize) -> usize {
    size + size / 255 + 16 + CHUNK_HEADER
}

const _: () = assert!(chunk_bound(CHUNK_MAX) <= BUFFER_MIN && chunk_bound(CHUNK_MAX) < 1 << 24);

/// Whether a buffer is metadata or data, which are encoded alike but differ in size and in how long the caller keeps them.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Meta,
    Data,
}

/// A buffer of `size` bytes for reading from or writing to a descriptor.
fn io_buffer(size: usize) -> Result<Vec<u8>, Error> {
    if size < BUFFER_MIN {
        return Err(Error::IoBufferTooSmall { size: size as u64 });
    }
    Ok(try_zeroed(size)?)
}

/// A descriptor of any type, owned or borrowed.
pub(crate) trait Descriptor: Send + Sync {
    fn fd(&self) -> BorrowedFd<'_>;
}

impl<F: AsFd + Send + Sync> Descriptor for [F; 1] {
    fn fd(&self) -> BorrowedFd<'_> {
        self[0].as_fd()
    }
}

/// Where in the ring the next chunk goes. The cursor is in a C host's memory, so it may be anything.
#[inline]
pub(crate) fn next_in_ring(cursor: &mut u64, size: usize) -> usize {
    let at = match usize::try_from(*cursor) {
        Ok(at) if at <= RING_SIZE => ring_position(at, size),
        _ => 0,
    };
    *cursor = (at + size) as u64;
    at
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chunk_that_does_not_fit_the_rest_of_the_ring_starts_over() {
        let mut cursor = 0;
        assert_eq!(next_in_ring(&mut cursor, 65_536), 0);
        assert_eq!(next_in_ring(&mut cursor, 65_536), 65_536);
        assert_eq!(next_in_ring(&mut cursor, 65_536), 131_072);
        assert_eq!(cursor, 196_608);
        assert_eq!(next_in_ring(&mut cursor, 1), 0);
        cursor = 196_607;
        assert_eq!(next_in_ring(&mut cursor, 1), 196_607);
        cursor = 196_607;
        assert_eq!(next_in_ring(&mut cursor, 2), 0);
    }

    #[test]
    fn a_cursor_outside_the_ring_is_not_followed() {
        for mut cursor in [196_609, u64::MAX] {
            assert_eq!(next_in_ring(&mut cursor, 10), 0);
            assert_eq!(cursor, 10);
        }
    }
}
