//! Block hashes: comparing them finds the blocks of a chunk that differ from the file.

use std::ops::Range;
use std::sync::{Mutex, PoisonError};

use crate::alloc::{try_with_capacity, try_zeroed};
use crate::fti::error::Error;
use crate::fti::layout::{ChunkSource, Layout, Slot};
use crate::sync::parallel_for::parallel_for;

/// The hash that detects changed blocks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum BlockHash {
    /// MD5, 16 bytes per block.
    #[default]
    Md5 = 1,
    /// CRC-32, 4 bytes per block; many times faster, but misses a change with probability 2^-32.
    Crc32 = 2,
}

impl BlockHash {
    /// Size of a hash in bytes.
    pub(super) fn hash_size(self) -> usize {
        match self {
            Self::Md5 => 16,
            Self::Crc32 => 4,
        }
    }

    pub(super) fn from_u8(number: u8) -> Option<Self> {
        [Self::Md5, Self::Crc32].into_iter().find(|kind| *kind as u8 == number)
    }

    pub(super) fn hash_into(self, block: &[u8], hash: &mut [u8]) {
        match self {
            Self::Md5 => hash.copy_from_slice(&fast_md5::digest(block)),
            Self::Crc32 => hash.copy_from_slice(&crc32fast::hash(block).to_le_bytes()),
        }
    }

    /// Hashes the blocks of `bytes` and returns whether the result equals `hashes`.
    pub(super) fn matches(self, bytes: &[u8], block_size: usize, hashes: &[u8]) -> bool {
        let mut hash = [0; 16];
        let hash = &mut hash[..self.hash_size()];
        bytes.len().div_ceil(block_size) * hash.len() == hashes.len()
            && bytes.chunks(block_size).zip(hashes.chunks_exact(hash.len())).all(|(block, stored)| {
                self.hash_into(block, hash);
                hash == stored
            })
    }
}

/// Valid block sizes in bytes.
pub(super) const BLOCK_SIZES: Range<usize> = 512..65_536;

/// Approximate number of bytes that a thread hashes per job.
const JOB_SIZE: usize = 1 << 20;

/// The hashes of the blocks of all chunks of a layout. Each chunk is divided into blocks from its start; the last one may be
/// shorter.
#[derive(Debug)]
pub(in crate::fti) struct BlockHashes {
    pub(super) kind: BlockHash,
    pub(super) block_size: usize,
    /// The hashes of the first slot's blocks, then those of the second's, and so on.
    pub(super) bytes: Vec<u8>,
    /// Offset in `bytes` of each slot's first hash, and the end.
    offsets: Vec<usize>,
}

/// A run of adjacent blocks of a chunk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Run {
    pub(super) slot: usize,
    /// The bytes of the chunk that it covers.
    pub(super) range: Range<usize>,
}

impl BlockHashes {
    /// Allocates the hashes of a layout, all zero.
    pub(super) fn zeroed(layout: &Layout, kind: BlockHash, block_size: usize) -> Result<Self, Error> {
        let mut offsets = try_with_capacity(layout.slots.len() + 1)?;
        let mut end = 0usize;
        offsets.push(0);
        for slot in &layout.slots {
            let hashes = usize::try_from(slot.chunk_size.div_ceil(block_size as u64)).ok();
            let slot_size = hashes.and_then(|blocks| blocks.checked_mul(kind.hash_size()));
            end = slot_size.and_then(|size| end.checked_add(size)).ok_or(Error::OutOfMemory)?;
            offsets.push(end);
        }
        Ok(Self { kind, block_size, bytes: try_zeroed(end)?, offsets })
    }

    /// Hashes all blocks on up to `threads` threads.
    pub(super) fn compute(
        layout: &Layout,
        chunks: &ChunkSource<'_>,
        (kind, block_size): (BlockHash, usize),
        threads: usize,
    ) -> Result<Self, Error> {
        let mut hashes = Self::zeroed(layout, kind, block_size)?;
        let (hash_size, job_size) = (kind.hash_size(), JOB_SIZE.next_multiple_of(block_size));
        let mut jobs = Vec::new();
        let mut rest = &mut hashes.bytes[..];
        for (slot, ends) in layout.slots.iter().zip(hashes.offsets.windows(2)) {
            let (mut of_slot, others) = std::mem::take(&mut rest).split_at_mut(ends[1] - ends[0]);
            rest = others;
            let chunk = chunks(slot).ok_or(Error::Internal)?;
            for bytes in chunk.chunks(job_size) {
                let (to, others) = of_slot.split_at_mut(bytes.len().div_ceil(block_size) * hash_size);
                of_slot = others;
                jobs.try_reserve(1)?;
                jobs.push((bytes, Mutex::new(to)));
            }
        }
        parallel_for(threads, jobs.len(), |number| {
            let (bytes, to) = &jobs[number];
            let mut to = to.lock().unwrap_or_else(PoisonError::into_inner);
            bytes.chunks(block_size).zip(to.chunks_exact_mut(hash_size)).for_each(|(block, hash)| kind.hash_into(block, hash));
            Ok::<_, Error>(())
        })?;
        drop(jobs);
        Ok(hashes)
    }

    /// Returns the hashes of a slot's blocks.
    fn of_slot(&self, slot: usize) -> &[u8] {
        &self.bytes[self.offsets[slot]..self.offsets[slot + 1]]
    }

    /// Returns the hashes of a run's blocks.
    pub(super) fn of_run(&self, run: &Run) -> &[u8] {
        let hash_size = self.kind.hash_size();
        let blocks = run.range.start / self.block_size..run.range.end.div_ceil(self.block_size);
        &self.of_slot(run.slot)[blocks.start * hash_size..blocks.end * hash_size]
    }

    /// Returns the number of blocks of all chunks.
    pub(super) fn count(&self) -> u64 {
        (self.bytes.len() / self.kind.hash_size()) as u64
    }

    /// Returns the runs of changed blocks. `before` is the layout and the hashes of the file, whose slots are the first of `layout`;
    /// without it, all blocks count as changed.
    pub(super) fn changed_runs(&self, layout: &Layout, before: Option<(&Layout, &Self)>) -> Result<Vec<Run>, Error> {
        let mut runs: Vec<Run> = Vec::new();
        for (slot, &Slot { chunk_size, .. }) in layout.slots.iter().enumerate() {
            let chunk_size = chunk_size as usize;
            let old =
                before.and_then(|(layout, hashes)| Some((layout.slots.get(slot)?.chunk_size as usize, hashes.of_slot(slot))));
            let (hash_size, mut run_start) = (self.kind.hash_size(), None::<usize>);
            let mut end_run = |start: &mut Option<usize>, end: usize| {
                let Some(start) = start.take() else { return Ok(()) };
                runs.try_reserve(1)?;
                runs.push(Run { slot, range: start..end });
                Ok::<_, Error>(())
            };
            for (block, hash) in self.of_slot(slot).chunks_exact(hash_size).enumerate() {
                let begin = block * self.block_size;
                let end = chunk_size.min(begin + self.block_size);
                // A block of another length is another block, whatever its hash.
                let is_same = old.is_some_and(|(old_chunk_size, old)| {
                    old.get(block * hash_size..(block + 1) * hash_size) == Some(hash)
                        && old_chunk_size.min(begin + self.block_size) == end
                });
                if is_same {
                    end_run(&mut run_start, begin)?;
                } else {
                    run_start.get_or_insert(begin);
                }
            }
            end_run(&mut run_start, chunk_size)?;
        }
        Ok(runs)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn adjacent_changed_blocks_form_one_run() {
        let layout = Layout::default().next(&[(1, 5000), (2, 1000)]).unwrap();
        let mut memory = vec![0u8; 6000];
        let hash = |memory: &[u8], layout: &Layout, kind| {
            let chunks = |slot: &Slot| {
                let begin = if slot.id == 1 { 0 } else { 5000 };
                memory.get(begin..begin + slot.chunk_size as usize)
            };
            BlockHashes::compute(layout, &chunks, (kind, 1000), 2).unwrap()
        };
        for kind in [BlockHash::Md5, BlockHash::Crc32] {
            memory.fill(0);
            let before = hash(&memory, &layout, kind);
            assert_eq!((before.count(), before.bytes.len()), (6, 6 * kind.hash_size()));
            let all = [Run { slot: 0, range: 0..5000 }, Run { slot: 1, range: 0..1000 }];
            assert_eq!(before.changed_runs(&layout, None).unwrap(), all);
            assert_eq!(before.changed_runs(&layout, Some((&layout, &before))).unwrap(), []);
            [999, 1000, 2999, 4000, 5000].into_iter().for_each(|at| memory[at] = 1);
            let after = hash(&memory, &layout, kind);
            let runs = after.changed_runs(&layout, Some((&layout, &before))).unwrap();
            let wanted = [Run { slot: 0, range: 0..3000 }, Run { slot: 0, range: 4000..5000 }, Run { slot: 1, range: 0..1000 }];
            assert_eq!(runs, wanted);
            assert_eq!(after.of_run(&runs[1]), &after.bytes[4 * kind.hash_size()..5 * kind.hash_size()]);
            // A shorter last block counts as changed, a removed one does not.
            for (size, changed) in [(3000, vec![]), (2999, vec![Run { slot: 0, range: 2000..2999 }])] {
                let shrunk = layout.next(&[(1, size), (2, 1000)]).unwrap();
                let hashes = hash(&memory, &shrunk, kind);
                assert_eq!(hashes.changed_runs(&shrunk, Some((&layout, &after))).unwrap(), changed);
            }
        }
    }
}
