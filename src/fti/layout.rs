//! Which containers there are, and what is in each: carried from one checkpoint to the next, whatever the generation.

use super::format::HASH_OF_NOTHING;
use super::{Checkpoint, Generation};
use crate::error::Error;

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
        let mut layout = Self::default();
        let (slots, blocks, order) = (&mut layout.slots, &mut layout.blocks, &mut layout.order);
        let reserved = slots.try_reserve_exact(checkpoint.containers.len());
        let reserved = reserved.and_then(|()| blocks.try_reserve_exact(checkpoint.blocks.len()));
        reserved.and_then(|()| order.try_reserve_exact(checkpoint.variables.len())).map_err(|_| Error::OutOfMemory)?;
        order.extend(checkpoint.variables.iter().map(|variable| variable.id));
        let mut idx_of = Vec::new();
        idx_of.try_reserve_exact(order.len()).map_err(|_| Error::OutOfMemory)?;
        idx_of.extend(order.iter().copied().zip(0..));
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
        let mut needs = Vec::new();
        needs.try_reserve_exact(variables.len()).map_err(|_| Error::OutOfMemory)?;
        needs.extend(variables.iter().map(|&(id, left)| Need { id, left, containers: 0, sum: 0 }));
        needs.sort_unstable_by_key(|need| need.id);
        if needs.windows(2).any(|pair| pair[0].id == pair[1].id) {
            return Err(Error::Argument("two variables have the same id"));
        }
        let place_in = |needs: &[Need], id: i32| needs.binary_search_by_key(&id, |need| need.id).ok();
        if self.order.iter().any(|&id| place_in(&needs, id).is_none()) {
            return Self::default().next(variables);
        }

        let mut next = Self::default();
        let (slots, blocks, order) = (&mut next.slots, &mut next.blocks, &mut next.order);
        let reserved = slots.try_reserve_exact(self.slots.len() + variables.len());
        let reserved = reserved.and_then(|()| blocks.try_reserve_exact(self.blocks.len() + 1));
        reserved.and_then(|()| order.try_reserve_exact(variables.len())).map_err(|_| Error::OutOfMemory)?;

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
    pub(super) fn sizes(&self, generation: Generation) -> Option<(u64, u64)> {
        let format = generation.format();
        let data = self.slots.iter().try_fold(0u64, |sum, slot| sum.checked_add(slot.size))?;
        let meta = format.header + self.blocks.len() * format.block + self.slots.len() * format.container;
        data.checked_add(meta as u64).filter(|size| i64::try_from(*size).is_ok())?;
        Some((data, meta as u64))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::Value;

    fn number(value: &Value) -> u64 {
        value.as_u64().unwrap()
    }

    /// The example of FTI's own document at full size: each number of it.
    #[test]
    fn the_documents_example() {
        let text = include_str!("../../ctests/golden/fti/doc7_numbers.json");
        let document: Value = serde_json::from_str(text).unwrap();
        let (mut layout, mut variables) = (Layout::default(), Vec::<(i32, u64)>::new());
        let mut numbers = 0;
        for checkpoint in document["checkpoints"].as_array().unwrap() {
            for protect in checkpoint["protect"].as_array().unwrap() {
                let id = number(&protect["id"]) as i32;
                let size = 4 * number(&checkpoint["sizes_in_elements"][protect["size"].as_str().unwrap()]);
                match variables.iter_mut().find(|variable| variable.0 == id) {
                    Some(variable) => variable.1 = size,
                    None => variables.push((id, size)),
                }
            }
            layout = layout.next(&variables).unwrap();
            let blocks = checkpoint["blocks"].as_array().unwrap();
            assert_eq!(layout.blocks.len(), blocks.len());
            let mut at = 96;
            for (slots, block) in layout.by_block().zip(blocks) {
                let metadata = 12 + 64 * slots.len() as u64;
                let data: u64 = slots.iter().map(|slot| slot.size).sum();
                assert_eq!(slots.len() as u64, number(&block["numvars"]));
                assert_eq!(metadata + data, number(&block["dbsize"]));
                assert_eq!(metadata, number(&block["size_metadata"]));
                numbers += 3;
                let mut fptr = at + metadata;
                for (slot, wanted) in slots.iter().zip(block["vars"].as_array().unwrap()) {
                    assert_eq!(u64::from(slot.id as u32), number(&wanted["id"]));
                    assert_eq!(u64::from(slot.idx as u32), number(&wanted["idx"]));
                    assert_eq!(u64::from(slot.container_id as u32), number(&wanted["containerid"]));
                    assert_eq!(slot.dptr, number(&wanted["dptr"]));
                    assert_eq!(fptr, number(&wanted["fptr"]));
                    assert_eq!(slot.chunk, number(&wanted["chunksize"]));
                    assert_eq!(slot.size, number(&wanted["containersize"]));
                    assert_eq!(slot.has_content, wanted["hascontent"].as_bool().unwrap());
                    numbers += 8;
                    fptr += slot.size;
                }
                at += metadata + data;
            }
        }
        assert_eq!(numbers, 432);
    }

    #[test]
    fn without_a_variable_all_is_laid_out_anew() {
        let first = Layout::default().next(&[(1, 10), (2, 20), (3, 30)]).unwrap();
        let second = first.next(&[(1, 15), (2, 20), (3, 30)]).unwrap();
        assert_eq!(second.blocks, [3, 1]);
        let third = second.next(&[(3, 30), (1, 15)]).unwrap();
        assert_eq!((third.blocks, third.order), (vec![2], vec![3, 1]));
        assert!(matches!(second.next(&[(1, 1), (1, 2)]), Err(Error::Argument(_))));
    }
}
