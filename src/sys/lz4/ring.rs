//! The ring buffer that holds the data a stream refers to.

/// Size of a ring in bytes: three chunks, so that a chunk never overwrites the 64 KiB that precede it.
pub(crate) const RING_SIZE: usize = 196_608;

/// Maximum distance in bytes that LZ4 refers back.
pub(super) const WINDOW: usize = 65_536;

/// Returns the position in the ring of a chunk of `len` bytes: at `cursor`, or at 0 if it does not fit there in one
/// piece. Both are at most [`RING_SIZE`]. The position decides what LZ4 can refer back to, hence the bytes of the
/// frame.
#[inline]
pub(crate) fn ring_position(cursor: usize, len: usize) -> usize {
    if len > RING_SIZE - cursor { 0 } else { cursor }
}
