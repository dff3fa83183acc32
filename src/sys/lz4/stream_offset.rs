//! A model of the position counter of LZ4's compressor.

use super::ring::WINDOW;

/// Counter beyond which LZ4 empties its hash table when it starts a stream.
const RESET_BEYOND: u64 = 1 << 30;

/// Largest counter; LZ4 restarts at [`GAP`] with the chunk that would exceed it.
pub(super) const OFFSET_MAX: u64 = 1 << 31;

/// What LZ4 adds to the counter between streams, so that all entries of the hash table are out of reach.
const GAP: u64 = WINDOW as u64;

/// The position counter (`currentOffset`) of a compressor after the streams so far, known without compressing them.
///
/// It decides whether the next stream starts with an empty hash table or a used one, which shows in the bytes of LZ4
/// frames: the first stream of a compressor has an empty one, later ones a used one, until the counter has exceeded 1
/// GiB (docs/format/frame.md, "History").
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct StreamOffset(u64);

impl StreamOffset {
    /// Starts a stream. Returns whether its hash table is a used one.
    pub(crate) fn start_stream(&mut self) -> bool {
        if self.0 > RESET_BEYOND {
            self.0 = 0;
        }
        let reuses_table = self.0 > 0;
        if reuses_table {
            self.0 += GAP;
        }
        reuses_table
    }

    /// Adds a buffer of `size` bytes that is compressed in chunks of `chunk` bytes, the last one shorter.
    pub(crate) fn add_buffer(&mut self, mut size: u64, chunk: u64) {
        while size > 0 {
            // Full chunks that do not reach the limit are added at once.
            let fitting = ((OFFSET_MAX - self.0) / chunk).min(size / chunk);
            if fitting > 0 {
                self.0 += fitting * chunk;
                size -= fitting * chunk;
                continue;
            }
            let last = size.min(chunk);
            if self.0 + last > OFFSET_MAX {
                self.0 = GAP;
            }
            self.0 += last;
            size -= last;
        }
    }

    /// Returns the counter; 0 before the first stream.
    pub(crate) fn to_raw(self) -> u64 {
        self.0
    }

    /// The reverse of [`to_raw`](Self::to_raw); `None` for numbers that it does not return.
    pub(crate) fn from_raw(number: u64) -> Option<Self> {
        (number <= OFFSET_MAX).then_some(Self(number))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CHUNK: u64 = 65_536;
    const GIB: u64 = 1 << 30;

    fn after(sizes: &[u64]) -> StreamOffset {
        let mut offset = StreamOffset::default();
        sizes.iter().for_each(|&size| offset.add_buffer(size, CHUNK));
        offset
    }

    fn stream(offset: &mut StreamOffset, size: u64) -> bool {
        let reuses_table = offset.start_stream();
        offset.add_buffer(size, CHUNK);
        reuses_table
    }

    #[test]
    fn table_is_reset_beyond_1_gib() {
        let mut offset = StreamOffset::default();
        assert!(!stream(&mut offset, 0));
        assert!(!stream(&mut offset, GIB));
        // Exactly 1 GiB is not beyond it.
        assert!(stream(&mut offset, 1));
        assert!(!stream(&mut offset, 1));
        assert!(stream(&mut offset, 1));
    }

    #[test]
    fn counter_restarts_beyond_2_gib() {
        let mut offset = StreamOffset::default();
        assert!(!stream(&mut offset, 2 * GIB + 1));
        assert_eq!(offset.to_raw(), 65_537);
        assert!(stream(&mut offset, 1));
        // The last byte that is not beyond.
        let last = after(&[1, 2 * GIB - 1]);
        assert_eq!(last.to_raw(), OFFSET_MAX);
        assert_eq!(StreamOffset::from_raw(last.to_raw()), Some(last));
        assert!(StreamOffset::from_raw(OFFSET_MAX + 1).is_none());
        assert_eq!(after(&[1, 2 * GIB - 1, 1, 65_536, 65_536]).to_raw(), GAP + 1 + 2 * 65_536);
        // Full chunks that do not end at the limit.
        assert_eq!(after(&[1, 2 * GIB]).to_raw(), GAP + 65_536);
    }

    #[test]
    fn chunks_add_up_as_one_buffer() {
        let mut offset = StreamOffset::default();
        for _ in 0..3 * GIB / CHUNK {
            offset.add_buffer(CHUNK, CHUNK);
        }
        assert_eq!(offset, after(&[3 * GIB]));
    }
}
