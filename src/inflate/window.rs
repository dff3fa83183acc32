//! The last output: what matches refer to, and what the caller did not take yet.

use super::decode::SLACK;
use super::error::Error;
use crate::alloc::try_grow;

/// As much output as a checkpoint keeps. (Deflate64 refers to the last 65536 bytes at most; the 2 bytes more are the blob's.)
pub(super) const HISTORY: usize = 65538;

/// The longest match there is, of Deflate64.
const MATCH_MAX: usize = 65538;

/// The largest window: room for the history, for the longest match, and to go on for a while before the history is moved. It is also the
/// largest window of a blob.
pub(super) const WINDOW_MAX: usize = 262144;

const SMALLEST: usize = 1 << 15;

/// A piece of memory through which output runs: history, then bytes that the caller did not take yet, then room.
#[derive(Debug, Default)]
pub(super) struct Window {
    memory: Vec<u8>,
    /// Where what the caller did not take yet begins.
    read: usize,
    /// Where the room begins.
    write: usize,
}

impl Window {
    /// All output that is kept, the oldest byte first. At least `HISTORY` bytes, unless there was less output.
    pub(super) fn kept(&self) -> &[u8] {
        &self.memory[..self.write]
    }

    /// How many of the last bytes the caller did not take yet.
    pub(super) fn unread(&self) -> usize {
        self.write - self.read
    }

    /// Gives the caller as much as there is, and fits.
    pub(super) fn drain(&mut self, output: &mut [u8]) -> usize {
        let count = self.unread().min(output.len());
        output[..count].copy_from_slice(&self.memory[self.read..][..count]);
        self.read += count;
        count
    }

    /// The memory, and where its room begins.
    pub(super) fn room(&mut self) -> (&mut [u8], usize) {
        (&mut self.memory, self.write)
    }

    /// The room begins later now.
    pub(super) fn advance(&mut self, write: usize) {
        debug_assert!(write >= self.write && write <= self.memory.len());
        self.write = write;
    }

    /// Sees to it that there is room: for the longest match if `long`, else for those of Deflate. Everything must have been taken.
    pub(super) fn make_room(&mut self, long: bool) -> Result<(), Error> {
        let needed = SLACK + if long { MATCH_MAX } else { 258 };
        if self.memory.len() - self.write >= needed {
            return Ok(());
        }
        if self.memory.len() < WINDOW_MAX {
            self.grow((2 * self.memory.len()).max(self.write + needed).clamp(SMALLEST, WINDOW_MAX))?;
            if self.memory.len() - self.write >= needed {
                return Ok(());
            }
        }
        debug_assert_eq!(self.unread(), 0);
        let kept = self.write.min(HISTORY);
        self.memory.copy_within(self.write - kept..self.write, 0);
        (self.read, self.write) = (kept, kept);
        Ok(())
    }

    /// Sees to it that [`Self::replace`] has memory for so much.
    pub(super) fn reserve(&mut self, output: usize) -> Result<(), Error> {
        self.grow(output.min(HISTORY))
    }

    fn grow(&mut self, size: usize) -> Result<(), Error> {
        Ok(try_grow(&mut self.memory, size)?)
    }

    /// Output went to the caller without being put here: this is now the history.
    pub(super) fn replace(&mut self, output: &[u8]) {
        let kept = &output[output.len().saturating_sub(HISTORY)..];
        self.memory[..kept.len()].copy_from_slice(kept);
        (self.read, self.write) = (kept.len(), kept.len());
    }

    /// Begins anew, with this as what is kept, of which the last `unread` bytes are for the caller. Before it come so many bytes that are
    /// not known, and to which no match reaches.
    pub(super) fn restore(&mut self, unknown: usize, kept: &[u8], unread: usize) -> Result<(), Error> {
        let size = unknown + kept.len();
        self.grow(size)?;
        self.memory[..unknown].fill(0);
        self.memory[unknown..size].copy_from_slice(kept);
        (self.read, self.write) = (size - unread, size);
        Ok(())
    }
}
