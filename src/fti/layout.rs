//! Which containers there are, and what is in each: carried from one checkpoint to the next, whatever the generation.

use super::error::Error;
use super::format::HASH_OF_NOTHING;
use super::{Checkpoint, FormatVersion};
use crate::alloc::{try_collect, try_copy, try_with_capacity};

/// A container without its place in the file, which depends on the generation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Slot {
    pub(super) id: i32,
    /// Where its variable stands in the order of protection.
    pub(super) idx: i32,
    pub(super) container_id: i32,
    pub(super) dptr: u64,
    pub(super) size: u64,
    pub(super) has_content: bool,
    pub(super) chunk: u64,
    /// Of the last chunk that it had.
    pub(super) hash: [u8; 16],
}

/// The containers of a file, in its order, and in which blocks.
#[derive(Debug, Default)]
pub(super) struct Layout {
    pub(super) slots: Vec<Slot>,
    /// How many of the slots each block has.
    pub(super) blocks: Vec<usize>,
    /// Ids, in the order of first protection.
    pub(super) order: Vec<i32>,
}

/// What a variable still needs, while containers are filled.
#[derive(Clone, Copy)]
struct Need {
    id: i32,
    left: u64,
    /// Containers so far, and the sum of their sizes.
    containers: i32,
    sum: u64,
}

impl Layout {
    /// The layout of a file without damage.
    pub(super) fn of(checkpoint: &Checkpoint<'_>) -> Result<Self, Error> {
        let mut layout = Self {
            slots: try_with_capacity(checkpoint.containers.len())?,
            blocks: try_with_capacity(checkpoint.blocks.len())?,
            order: try_collect(checkpoint.variables.iter().map(|variable| variable.id))?,
        };
        let (slots, blocks, order) = (&mut layout.slots, &mut layout.blocks, &layout.order);
        let mut idx_of = try_collect((0..order.len()).map(|at| (order[at], at as i32)))?;
        idx_of.sort_unstable();
        let idx = |id: i32| idx_of.binary_search_by_key(&id, |&(id, _)| id).map_or(0, |place| idx_of[place].1);
        slots.extend(checkpoint.containers.iter().map(|container| Slot {
            id: container.id,
            idx: idx(container.id),
            container_id: container.container_id,
            dptr: container.dptr as u64,
            size: container.container_size as u64,
            has_content: container.has_chunk(),
            chunk: container.chunk_size as u64,
            hash: container.hash,
        }));
        blocks.extend(checkpoint.blocks.iter().map(|block| block.containers.len()));
        Ok(layout)
    }

    /// The layout of the next checkpoint: the containers that are there are filled, what they don't hold gets new ones in a block
    /// of their own. `variables` are ids and sizes.
    ///
    /// Where a variable is no more, all are laid out anew.
    pub(super) fn next(&self, variables: &[(i32, u64)]) -> Result<Self, Error> {
        let mut needs = try_collect(variables.iter().map(|&(id, left)| Need { id, left, containers: 0, sum: 0 }))?;
        needs.sort_unstable_by_key(|need| need.id);
        if needs.windows(2).any(|pair| pair[0].id == pair[1].id) {
            return Err(Error::InvalidArgument("two variables have the same id"));
        }
        let place_in = |needs: &[Need], id: i32| needs.binary_search_by_key(&id, |need| need.id).ok();
        if self.order.iter().any(|&id| place_in(&needs, id).is_none()) {
            return Self::default().next(variables);
        }

        let mut next = Self {
            slots: try_with_capacity(self.slots.len() + variables.len())?,
            blocks: try_with_capacity(self.blocks.len() + 1)?,
            order: try_with_capacity(variables.len())?,
        };
        let (slots, blocks, order) = (&mut next.slots, &mut next.blocks, &mut next.order);

        for slot in &self.slots {
            let Some(place) = place_in(&needs, slot.id) else { return Err(Error::Internal) };
            let need = &mut needs[place];
            // The first container always has content, be it none.
            let has_content = need.left > 0 || slot.container_id == 0;
            let chunk = need.left.min(slot.size);
            need.left -= chunk;
            need.containers += 1;
            need.sum += slot.size;
            slots.push(Slot { has_content, chunk, ..*slot });
        }
        blocks.extend_from_slice(&self.blocks);
        order.extend_from_slice(&self.order);
        for &(id, _) in variables {
            if place_in(&needs, id).is_some_and(|place| needs[place].containers == 0) {
                order.push(id);
            }
        }
        for (&id, idx) in order.iter().zip(0..) {
            let Some(place) = place_in(&needs, id) else { return Err(Error::Internal) };
            let Need { left, containers, sum, .. } = needs[place];
            if left > 0 || containers == 0 {
                let (container_id, hash) = (containers, HASH_OF_NOTHING);
                slots.push(Slot { id, idx, container_id, dptr: sum, size: left, has_content: true, chunk: left, hash });
            }
        }
        let added = slots.len() - self.slots.len();
        if added > 0 {
            blocks.push(added);
        }
        Ok(next)
    }

    /// Whether it has all containers of an earlier one, in the same places.
    pub(super) fn continues(&self, earlier: &Self) -> bool {
        let same = |(one, other): (&Slot, &Slot)| {
            (one.id, one.container_id, one.dptr, one.size) == (other.id, other.container_id, other.dptr, other.size)
        };
        self.slots.len() >= earlier.slots.len() && self.slots.iter().zip(&earlier.slots).all(same)
    }

    /// The same once more.
    pub(super) fn copy(&self) -> Result<Self, Error> {
        Ok(Self { slots: try_copy(&self.slots)?, blocks: try_copy(&self.blocks)?, order: try_copy(&self.order)? })
    }

    /// The slots of each block.
    pub(super) fn by_block(&self) -> impl Iterator<Item = &[Slot]> {
        let mut rest = &self.slots[..];
        self.blocks.iter().map(move |&count| {
            let (block, others) = rest.split_at(count);
            rest = others;
            block
        })
    }

    /// Sizes of a file of this layout: bytes of data, of what describes them (with the header).
    pub(super) fn sizes(&self, generation: FormatVersion) -> Option<(u64, u64)> {
        let format = generation.format();
        let data = self.slots.iter().try_fold(0u64, |sum, slot| sum.checked_add(slot.size))?;
        let meta = format.header + self.blocks.len() * format.block + self.slots.len() * format.container;
        data.checked_add(meta as u64).filter(|size| i64::try_from(*size).is_ok())?;
        Some((data, meta as u64))
    }
}

/// Where the bytes of a slot's chunk are.
pub(super) type Chunk<'c> = dyn Fn(&Slot) -> Option<&'c [u8]> + Sync + 'c;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_a_variable_all_is_laid_out_anew() {
        let first = Layout::default().next(&[(1, 10), (2, 20), (3, 30)]).unwrap();
        let second = first.next(&[(1, 15), (2, 20), (3, 30)]).unwrap();
        assert_eq!(second.blocks, [3, 1]);
        let third = second.next(&[(3, 30), (1, 15)]).unwrap();
        assert_eq!((third.blocks, third.order), (vec![2], vec![3, 1]));
        assert!(matches!(second.next(&[(1, 1), (1, 2)]), Err(Error::InvalidArgument(_))));
    }
}
