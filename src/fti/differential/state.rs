//! States of a file, and what a writer knows of the file that it updates.

use super::block_hash::BlockHashes;
use crate::fti::checkpoint::Checkpoint;
use crate::fti::error::Error;
use crate::fti::format::HASH_SIZE;
use crate::fti::layout::Layout;
use crate::fti::parse;
use crate::sys::fd::FileId;

/// Number of bytes at the end of a file that identify its state: at least a header of any version.
pub(super) const TAIL_MAX: usize = 128;

/// Identifies the contents of a file without reading all of it: the size, and the header's hash of itself, or the MD5 of the last
/// bytes if these are no header.
///
/// A header written in part has neither the old hash nor the new one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::fti) struct FileState {
    pub(super) size: u64,
    pub(super) hash: [u8; HASH_SIZE],
}

impl FileState {
    /// Returns the state of a file of `size` bytes that ends in `tail`.
    pub(super) fn new(size: u64, tail: &[u8]) -> Self {
        let tail = &tail[tail.len().saturating_sub(TAIL_MAX)..];
        Self { size, hash: parse::hash_at_end(tail).unwrap_or_else(|| fast_md5::digest(tail)) }
    }

    /// Returns the state of a file in memory.
    fn of(file: &[u8]) -> Self {
        Self::new(file.len() as u64, file)
    }

    /// Returns the state of a missing or empty file.
    pub(super) fn absent() -> Self {
        Self::of(&[])
    }
}

/// A state of a file, its layout and hashes.
#[derive(Debug)]
pub(super) struct KnownFile {
    pub(super) state: FileState,
    pub(super) layout: Layout,
    /// `None` after a restart.
    pub(super) hashes: Option<BlockHashes>,
    /// After a restart: the file whose data was verified, if known. A copy in the same state may be corrupt.
    pub(super) verified: Option<FileId>,
}

/// The states in which the file may be: the one after the last update, and, if that failed or was prepared, the one before it.
#[derive(Debug, Default)]
pub(in crate::fti) struct KnownFiles(pub(super) [Option<KnownFile>; 2]);

impl KnownFiles {
    /// Returns the entry of a file that was read.
    pub(in crate::fti) fn resumed(checkpoint: &Checkpoint<'_>, verified: Option<FileId>) -> Result<Self, Error> {
        let (state, layout) = (FileState::of(checkpoint.file), Layout::from_checkpoint(checkpoint)?);
        Ok(Self([Some(KnownFile { state, layout, hashes: None, verified }), None]))
    }

    /// Removes and returns the entry of this state.
    pub(super) fn take(&mut self, state: &FileState) -> Option<KnownFile> {
        let found = self.0.iter_mut().find(|known| known.as_ref().is_some_and(|known| known.state == *state));
        found.and_then(Option::take)
    }
}
