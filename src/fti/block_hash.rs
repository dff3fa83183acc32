//! Hashes of blocks: which parts of a chunk differ from what the file has.

use std::ops::Range;
use std::sync::{Mutex, PoisonError};

use super::error::Error;
use super::layout::{Chunk, Layout, Slot};
use crate::alloc::{try_with_capacity, try_zeroed};
use crate::sync::parallel_for::parallel_for;

/// By which hash it is told whether a block has changed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum BlockHash {
    /// MD5, 16 bytes for each block.
    #[default]
    Md5 = 1,
    /// CRC-32, 4 bytes for each block, and many times as fast. One in four thousand million changes of a block goes unnoticed.
    Crc32 = 2,
}

impl BlockHash {
    /// Bytes of a hash.
    pub(super) fn width(self) -> usize {
        match self {
            Self::Md5 => 16,
            Self::Crc32 => 4,
        }
    }

    pub(super) fn of_number(number: u8) -> Option<Self> {
        [Self::Md5, Self::Crc32].into_iter().find(|kind| *kind as u8 == number)
    }

    pub(super) fn put(self, block: &[u8], hash: &mut [u8]) {
        match self {
            Self::Md5 => hash.copy_from_slice(&fast_md5::digest(block)),
            Self::Crc32 => hash.copy_from_slice(&crc32fast::hash(block).to_le_bytes()),
        }
    }

    /// Whether `hashes` are those of the blocks of `bytes`.
    pub(super) fn fits(self, bytes: &[u8], size: usize, hashes: &[u8]) -> bool {
        let mut hash = [0; 16];
        let hash = &mut hash[..self.width()];
        bytes.len().div_ceil(size) * hash.len() == hashes.len()
            && bytes.chunks(size).zip(hashes.chunks_exact(hash.len())).all(|(block, stored)| {
                self.put(block, hash);
                hash == stored
            })
    }
}

/// Sizes that a block can have.
pub(super) const SIZES: Range<usize> = 512..65_536;

/// About so much is hashed at a time by one thread.
const SPAN: usize = 1 << 20;

/// The hashes of the blocks of all chunks of a layout. Blocks count from a chunk's begin; its last one can be shorter.
#[derive(Debug)]
pub(super) struct Hashes {
    pub(super) kind: BlockHash,
    /// Bytes of a block.
    pub(super) size: usize,
    /// Those of the first slot's blocks, then those of the second's, and so on.
    pub(super) bytes: Vec<u8>,
    /// Where in `bytes` those of each slot begin, and the end.
    begins: Vec<usize>,
}

/// A part of a chunk: neighbouring blocks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Run {
    pub(super) slot: usize,
    /// Bytes of the chunk.
    pub(super) range: Range<usize>,
}

impl Hashes {
    /// Room for the hashes of a layout.
    pub(super) fn empty(layout: &Layout, kind: BlockHash, size: usize) -> Result<Self, Error> {
        let mut begins = try_with_capacity(layout.slots.len() + 1)?;
        let mut end = 0usize;
        begins.push(0);
        for slot in &layout.slots {
            let hashes = usize::try_from(slot.chunk.div_ceil(size as u64)).ok();
            let of_slot = hashes.and_then(|blocks| blocks.checked_mul(kind.width()));
            end = of_slot.and_then(|size| end.checked_add(size)).ok_or(Error::OutOfMemory)?;
            begins.push(end);
        }
        Ok(Self { kind, size, bytes: try_zeroed(end)?, begins })
    }

    /// Hashes all blocks, on up to `threads` threads.
    pub(super) fn compute(
        layout: &Layout,
        chunk: &Chunk<'_>,
        (kind, size): (BlockHash, usize),
        threads: usize,
    ) -> Result<Self, Error> {
        let mut hashes = Self::empty(layout, kind, size)?;
        let (width, span) = (kind.width(), SPAN.div_ceil(size));
        let mut jobs = Vec::new();
        let mut rest = &mut hashes.bytes[..];
        for (slot, ends) in layout.slots.iter().zip(hashes.begins.windows(2)) {
            let (mut of_slot, others) = std::mem::take(&mut rest).split_at_mut(ends[1] - ends[0]);
            rest = others;
            let chunk = chunk(slot).ok_or(Error::Internal)?;
            for bytes in chunk.chunks(span * size) {
                let (to, others) = of_slot.split_at_mut(bytes.len().div_ceil(size) * width);
                of_slot = others;
                jobs.try_reserve(1)?;
                jobs.push((bytes, Mutex::new(to)));
            }
        }
        parallel_for(threads, jobs.len(), |number| {
            let (bytes, to) = &jobs[number];
            let mut to = to.lock().unwrap_or_else(PoisonError::into_inner);
            bytes.chunks(size).zip(to.chunks_exact_mut(width)).for_each(|(block, hash)| kind.put(block, hash));
            Ok::<_, Error>(())
        })?;
        drop(jobs);
        Ok(hashes)
    }

    /// Those of the blocks of a slot.
    fn of_slot(&self, slot: usize) -> &[u8] {
        &self.bytes[self.begins[slot]..self.begins[slot + 1]]
    }

    /// Those of the blocks of a run.
    pub(super) fn of_run(&self, run: &Run) -> &[u8] {
        let width = self.kind.width();
        let blocks = run.range.start / self.size..run.range.end.div_ceil(self.size);
        &self.of_slot(run.slot)[blocks.start * width..blocks.end * width]
    }

    /// How many blocks there are.
    pub(super) fn count(&self) -> u64 {
        (self.bytes.len() / self.kind.width()) as u64
    }

    /// The blocks that are not as they were, neighbouring ones as one. `before` are layout and hashes of what the file has, whose slots
    /// are the first of these; without it, all are told.
    pub(super) fn changed(&self, layout: &Layout, before: Option<(&Layout, &Self)>) -> Result<Vec<Run>, Error> {
        let mut runs: Vec<Run> = Vec::new();
        for (slot, &Slot { chunk, .. }) in layout.slots.iter().enumerate() {
            let chunk = chunk as usize;
            let old = before.and_then(|(layout, hashes)| Some((layout.slots.get(slot)?.chunk as usize, hashes.of_slot(slot))));
            let (width, mut open) = (self.kind.width(), None::<usize>);
            let mut end_at = |open: &mut Option<usize>, end: usize| {
                let Some(start) = open.take() else { return Ok(()) };
                runs.try_reserve(1)?;
                runs.push(Run { slot, range: start..end });
                Ok::<_, Error>(())
            };
            for (block, hash) in self.of_slot(slot).chunks_exact(width).enumerate() {
                let begin = block * self.size;
                let end = chunk.min(begin + self.size);
                // A block of another length is another block, whatever its hash.
                let same = old.is_some_and(|(old_chunk, old)| {
                    old.get(block * width..(block + 1) * width) == Some(hash) && old_chunk.min(begin + self.size) == end
                });
                if same {
                    end_at(&mut open, begin)?;
                } else {
                    open.get_or_insert(begin);
                }
            }
            end_at(&mut open, chunk)?;
        }
        Ok(runs)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neighbouring_blocks_are_one_run() {
        let layout = Layout::default().next(&[(1, 5000), (2, 1000)]).unwrap();
        let mut memory = vec![0u8; 6000];
        let hash = |memory: &[u8], layout: &Layout, kind| {
            let chunk = |slot: &Slot| {
                let begin = if slot.id == 1 { 0 } else { 5000 };
                memory.get(begin..begin + slot.chunk as usize)
            };
            Hashes::compute(layout, &chunk, (kind, 1000), 2).unwrap()
        };
        for kind in [BlockHash::Md5, BlockHash::Crc32] {
            memory.fill(0);
            let before = hash(&memory, &layout, kind);
            assert_eq!((before.count(), before.bytes.len()), (6, 6 * kind.width()));
            let all = [Run { slot: 0, range: 0..5000 }, Run { slot: 1, range: 0..1000 }];
            assert_eq!(before.changed(&layout, None).unwrap(), all);
            assert_eq!(before.changed(&layout, Some((&layout, &before))).unwrap(), []);
            [999, 1000, 2999, 4000, 5000].into_iter().for_each(|at| memory[at] = 1);
            let after = hash(&memory, &layout, kind);
            let runs = after.changed(&layout, Some((&layout, &before))).unwrap();
            let wanted = [Run { slot: 0, range: 0..3000 }, Run { slot: 0, range: 4000..5000 }, Run { slot: 1, range: 0..1000 }];
            assert_eq!(runs, wanted);
            assert_eq!(after.of_run(&runs[1]), &after.bytes[4 * kind.width()..5 * kind.width()]);
            // A last block that is shorter is another one; one that is whole is not.
            for (size, changed) in [(3000, vec![]), (2999, vec![Run { slot: 0, range: 2000..2999 }])] {
                let shrunk = layout.next(&[(1, size), (2, 1000)]).unwrap();
                let hashes = hash(&memory, &shrunk, kind);
                assert_eq!(hashes.changed(&shrunk, Some((&layout, &after))).unwrap(), changed);
            }
        }
    }
}
