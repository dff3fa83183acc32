//! The state of a compressor between two chunks, taken out of one stream to be compared with, or put into, another.

use super::compress::{HASH_BITS, StreamState};
use super::ring::WINDOW;

/// All state of a compressor that decides how the next chunk is encoded if 64 KiB precede it: the distance from the
/// chunk back to each entry of the hash table; 0 for entries that are out of reach for good.
#[derive(PartialEq, Eq)]
pub(crate) struct Snapshot(Vec<u16>);

impl Snapshot {
    /// `None` if the allocation failed.
    pub(crate) fn new() -> Option<Self> {
        let mut distances = Vec::new();
        distances.try_reserve_exact(1 << HASH_BITS).ok()?;
        distances.resize(1 << HASH_BITS, 0);
        Some(Self(distances))
    }

    pub(crate) fn copy_from(&mut self, other: &Self) {
        self.0.copy_from_slice(&other.0);
    }

    pub(super) fn capture(&mut self, state: &StreamState) {
        for (distance, &index) in self.0.iter_mut().zip(&state.table) {
            *distance = u16::try_from(state.current_offset.wrapping_sub(index)).unwrap_or(0);
        }
    }

    /// Makes this the state of a stream whose counter is `offset`, at least 64 KiB.
    pub(super) fn restore_into(&self, state: &mut StreamState, offset: u32) {
        debug_assert!(offset >= WINDOW as u32);
        for (&distance, index) in self.0.iter().zip(&mut state.table) {
            *index = if distance == 0 { 0 } else { offset - u32::from(distance) };
        }
        state.current_offset = offset;
    }
}
