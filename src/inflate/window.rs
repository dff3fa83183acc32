//! The window: output that matches can refer to, followed by output that the caller has not read yet.

use super::decode::OUTPUT_SLACK;
use super::error::Error;
use crate::alloc::try_grow;

/// Number of bytes of output that a checkpoint keeps. Distances of Deflate64 reach 65536 bytes back; the 2 bytes more
/// are part of the unversioned layout of crate deflate64.
pub(super) const HISTORY_SIZE: usize = 65538;

/// Maximum length of a match, that of Deflate64.
const MAX_MATCH_LEN: usize = 65538;

/// Maximum size of the window, in memory and in a checkpoint: the history, the longest match, and enough space that the
/// history is moved rarely.
pub(super) const WINDOW_MAX: usize = 262144;

/// Size of the first allocation.
const INITIAL_SIZE: usize = 1 << 15;

/// Buffer with three consecutive parts: history, unread output, free space.
#[derive(Debug, Default)]
pub(super) struct Window {
    buffer: Vec<u8>,
    /// Start of the unread output.
    read_pos: usize,
    /// Start of the free space.
    write_pos: usize,
}

impl Window {
    /// Returns all output in the window, oldest byte first: at least [`HISTORY_SIZE`] bytes, unless there was less
    /// output.
    pub(super) fn content(&self) -> &[u8] {
        &self.buffer[..self.write_pos]
    }

    /// Number of bytes at the end of [`Self::content`] that the caller has not read yet.
    pub(super) fn unread_len(&self) -> usize {
        self.write_pos - self.read_pos
    }

    /// Copies unread output to the caller's buffer. Returns the number of bytes copied.
    pub(super) fn read(&mut self, output: &mut [u8]) -> usize {
        let count = self.unread_len().min(output.len());
        output[..count].copy_from_slice(&self.buffer[self.read_pos..][..count]);
        self.read_pos += count;
        count
    }

    /// Returns the whole buffer and the start of its free space.
    pub(super) fn buffer_mut(&mut self) -> (&mut [u8], usize) {
        (&mut self.buffer, self.write_pos)
    }

    /// Ends the unread output at `write_pos` of the buffer.
    pub(super) fn advance_to(&mut self, write_pos: usize) {
        debug_assert!(write_pos >= self.write_pos && write_pos <= self.buffer.len());
        self.write_pos = write_pos;
    }

    /// Makes free space for the longest match of the format and [`OUTPUT_SLACK`], by growing the buffer up to
    /// [`WINDOW_MAX`], then by moving the history to its start. All output must have been read.
    pub(super) fn reserve_match(&mut self, deflate64: bool) -> Result<(), Error> {
        let needed = OUTPUT_SLACK + if deflate64 { MAX_MATCH_LEN } else { 258 };
        if self.buffer.len() - self.write_pos >= needed {
            return Ok(());
        }
        if self.buffer.len() < WINDOW_MAX {
            self.grow((2 * self.buffer.len()).max(self.write_pos + needed).clamp(INITIAL_SIZE, WINDOW_MAX))?;
            if self.buffer.len() - self.write_pos >= needed {
                return Ok(());
            }
        }
        debug_assert_eq!(self.unread_len(), 0);
        let history = self.write_pos.min(HISTORY_SIZE);
        self.buffer.copy_within(self.write_pos - history..self.write_pos, 0);
        (self.read_pos, self.write_pos) = (history, history);
        Ok(())
    }

    /// Allocates the memory that [`Self::set_history`] needs for `len` bytes of output, so that it cannot fail.
    pub(super) fn reserve_history(&mut self, len: usize) -> Result<(), Error> {
        self.grow(len.min(HISTORY_SIZE))
    }

    fn grow(&mut self, size: usize) -> Result<(), Error> {
        Ok(try_grow(&mut self.buffer, size)?)
    }

    /// Replaces the content by the end of `output`, which the caller already has.
    pub(super) fn set_history(&mut self, output: &[u8]) {
        let history = &output[output.len().saturating_sub(HISTORY_SIZE)..];
        self.buffer[..history.len()].copy_from_slice(history);
        (self.read_pos, self.write_pos) = (history.len(), history.len());
    }

    /// Replaces the content by `unknown_len` zeros and `content`, whose last `unread_len` bytes are unread. The zeros
    /// stand for output that is not known, which no match reaches.
    pub(super) fn restore(&mut self, unknown_len: usize, content: &[u8], unread_len: usize) -> Result<(), Error> {
        let size = unknown_len + content.len();
        self.grow(size)?;
        self.buffer[..unknown_len].fill(0);
        self.buffer[unknown_len..size].copy_from_slice(content);
        (self.read_pos, self.write_pos) = (size - unread_len, size);
        Ok(())
    }
}
