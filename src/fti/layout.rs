//! The containers of a file, independent of the version. They are kept from one checkpoint to the next.

use super::error::Error;
use super::format::MD5_EMPTY;
use super::{Checkpoint, FormatVersion};
use crate::alloc::{try_collect, try_copy, try_with_capacity};

/// A container and its chunk, without the offset in the file, which depends on the version.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Slot {
    pub(super) id: i32,
    /// Index of the variable in the order of protection.
    pub(super) idx: i32,
    pub(super) container_id: i32,
    /// Offset of the chunk in the variable.
    pub(super) dptr: u64,
    /// Size of the container in bytes.
    pub(super) size: u64,
    pub(super) has_content: bool,
    /// Size of the chunk in bytes.
    pub(super) chunk_size: u64,
    /// Hash of the last chunk that was not empty.
    pub(super) hash: [u8; 16],
}

/// The containers of a file, in file order, grouped into blocks.
#[derive(Debug, Default)]
pub(super) struct Layout {
    pub(super) slots: Vec<Slot>,
    /// Number of slots of each block.
    pub(super) blocks: Vec<usize>,
    /// Ids of the variables in the order of protection.
    pub(super) order: Vec<i32>,
}

/// A variable of which the last `remaining` bytes are not yet in a container.
#[derive(Clone, Copy)]
struct Unplaced {
    id: i32,
    remaining: u64,
    /// Number of containers of the variable so far.
    containers: i32,
    /// Sum of the sizes of these containers.
    capacity: u64,
}

impl Layout {
    /// Returns the layout of a file that has no issues.
    pub(super) fn from_checkpoint(checkpoint: &Checkpoint<'_>) -> Result<Self, Error> {
        let mut layout = Self {
            slots: try_with_capacity(checkpoint.containers.len())?,
            blocks: try_with_capacity(checkpoint.blocks.len())?,
            order: try_collect(checkpoint.variables.iter().map(|variable| variable.id))?,
        };
        let (slots, blocks, order) = (&mut layout.slots, &mut layout.blocks, &layout.order);
        let mut idx_of = try_collect((0..order.len()).map(|at| (order[at], at as i32)))?;
        idx_of.sort_unstable();
        let idx = |id: i32| idx_of.binary_search_by_key(&id, |&(id, _)| id).map_or(0, |index| idx_of[index].1);
        slots.extend(checkpoint.containers.iter().map(|container| Slot {
            id: container.id,
            idx: idx(container.id),
            container_id: container.container_id,
            dptr: container.dptr as u64,
            size: container.container_size as u64,
            has_content: container.has_chunk(),
            chunk_size: container.chunk_size as u64,
            hash: container.hash,
        }));
        blocks.extend(checkpoint.blocks.iter().map(|block| block.containers.len()));
        Ok(layout)
    }

    /// Returns the layout of the next checkpoint: fills the existing containers, and adds a block of containers for the rest.
    /// `variables` are ids and sizes.
    ///
    /// If a variable was removed, lays out all of them anew.
    pub(super) fn next(&self, variables: &[(i32, u64)]) -> Result<Self, Error> {
        let mut unplaced =
            try_collect(variables.iter().map(|&(id, size)| Unplaced { id, remaining: size, containers: 0, capacity: 0 }))?;
        unplaced.sort_unstable_by_key(|variable| variable.id);
        if unplaced.windows(2).any(|pair| pair[0].id == pair[1].id) {
            return Err(Error::InvalidArgument("two variables have the same id"));
        }
        let index_of = |unplaced: &[Unplaced], id: i32| unplaced.binary_search_by_key(&id, |variable| variable.id).ok();
        if self.order.iter().any(|&id| index_of(&unplaced, id).is_none()) {
            return Self::default().next(variables);
        }

        let mut next = Self {
            slots: try_with_capacity(self.slots.len() + variables.len())?,
            blocks: try_with_capacity(self.blocks.len() + 1)?,
            order: try_with_capacity(variables.len())?,
        };
        let (slots, blocks, order) = (&mut next.slots, &mut next.blocks, &mut next.order);

        for slot in &self.slots {
            let Some(index) = index_of(&unplaced, slot.id) else { return Err(Error::Internal) };
            let variable = &mut unplaced[index];
            // The first container always has content, which may be empty.
            let has_content = variable.remaining > 0 || slot.container_id == 0;
            let chunk_size = variable.remaining.min(slot.size);
            variable.remaining -= chunk_size;
            variable.containers += 1;
            variable.capacity += slot.size;
            slots.push(Slot { has_content, chunk_size, ..*slot });
        }
        blocks.extend_from_slice(&self.blocks);
        order.extend_from_slice(&self.order);
        for &(id, _) in variables {
            if index_of(&unplaced, id).is_some_and(|index| unplaced[index].containers == 0) {
                order.push(id);
            }
        }
        for (&id, idx) in order.iter().zip(0..) {
            let Some(index) = index_of(&unplaced, id) else { return Err(Error::Internal) };
            let Unplaced { remaining, containers, capacity, .. } = unplaced[index];
            if remaining > 0 || containers == 0 {
                let (container_id, hash) = (containers, MD5_EMPTY);
                slots.push(Slot {
                    id,
                    idx,
                    container_id,
                    dptr: capacity,
                    size: remaining,
                    has_content: true,
                    chunk_size: remaining,
                    hash,
                });
            }
        }
        let added = slots.len() - self.slots.len();
        if added > 0 {
            blocks.push(added);
        }
        Ok(next)
    }

    /// Returns whether this layout has all containers of an earlier one at the same offsets.
    pub(super) fn continues(&self, earlier: &Self) -> bool {
        let same = |(one, other): (&Slot, &Slot)| {
            (one.id, one.container_id, one.dptr, one.size) == (other.id, other.container_id, other.dptr, other.size)
        };
        self.slots.len() >= earlier.slots.len() && self.slots.iter().zip(&earlier.slots).all(same)
    }

    /// Copies the layout; fails if an allocation fails.
    pub(super) fn try_clone(&self) -> Result<Self, Error> {
        Ok(Self { slots: try_copy(&self.slots)?, blocks: try_copy(&self.blocks)?, order: try_copy(&self.order)? })
    }

    /// Iterates over the slots of each block.
    pub(super) fn by_block(&self) -> impl Iterator<Item = &[Slot]> {
        let mut rest = &self.slots[..];
        self.blocks.iter().map(move |&count| {
            let (block, later) = rest.split_at(count);
            rest = later;
            block
        })
    }

    /// Returns the sizes in bytes of the data and of the metadata (with the header) of a file of this layout.
    pub(super) fn sizes(&self, version: FormatVersion) -> Option<(u64, u64)> {
        let format = version.format();
        let data = self.slots.iter().try_fold(0u64, |sum, slot| sum.checked_add(slot.size))?;
        let meta =
            format.header_size + self.blocks.len() * format.block_meta_size + self.slots.len() * format.container_meta_size;
        data.checked_add(meta as u64).filter(|size| i64::try_from(*size).is_ok())?;
        Some((data, meta as u64))
    }
}

/// Returns the bytes of a slot's chunk.
pub(super) type ChunkSource<'c> = dyn Fn(&Slot) -> Option<&'c [u8]> + Sync + 'c;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn removing_a_variable_lays_out_all_anew() {
        let first = Layout::default().next(&[(1, 10), (2, 20), (3, 30)]).unwrap();
        let second = first.next(&[(1, 15), (2, 20), (3, 30)]).unwrap();
        assert_eq!(second.blocks, [3, 1]);
        let third = second.next(&[(3, 30), (1, 15)]).unwrap();
        assert_eq!((third.blocks, third.order), (vec![2], vec![3, 1]));
        assert!(matches!(second.next(&[(1, 1), (1, 2)]), Err(Error::InvalidArgument(_))));
    }
}
