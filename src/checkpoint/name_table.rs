//! The hash table of names, as stored in the file: open addressing, at most half of the slots used.

use super::checksum;
use super::error::ErrorKind;
use crate::alloc::try_zeroed;

/// Returns the number of slots of a table of `names` names.
pub(super) fn slot_count(names: usize) -> usize {
    if names == 0 { 0 } else { (2 * names).next_power_of_two() }
}

/// Maximum number of names: a slot holds index + 1 in 32 bits.
pub(super) const NAMES_MAX: usize = u32::MAX as usize - 1;

/// Iterates over the slots in which a name may be, in probing order; `count` is the number of slots.
pub(super) fn probe_sequence(name: &str, count: usize) -> impl Iterator<Item = usize> + use<> {
    let first = checksum(name.as_bytes()) as usize;
    (0..count).map(move |step| first.wrapping_add(step) & (count - 1))
}

/// Builds the table.
#[derive(Debug, Default)]
pub(super) struct NameTable {
    /// Index + 1; 0 if the slot is free.
    slots: Vec<u32>,
    /// All names, each followed by a NUL.
    bytes: Vec<u8>,
    /// End offset of each name, including the NUL.
    ends: Vec<u32>,
}

impl NameTable {
    pub(super) fn len(&self) -> usize {
        self.ends.len()
    }

    pub(super) fn get(&self, index: usize) -> &str {
        let begin = if index == 0 { 0 } else { self.ends[index - 1] as usize };
        std::str::from_utf8(&self.bytes[begin..self.ends[index] as usize - 1]).unwrap_or_default()
    }

    /// Returns the names as stored, the end offset of each, and the slots.
    pub(super) fn parts(&self) -> (&[u8], &[u32], &[u32]) {
        (&self.bytes, &self.ends, &self.slots)
    }

    pub(super) fn contains(&self, name: &str) -> bool {
        probe_sequence(name, self.slots.len()).map_while(|slot| self.index_in(slot)).any(|other| self.get(other) == name)
    }

    /// Adds a name. On failure, the table is unchanged.
    pub(super) fn add(&mut self, name: &str) -> Result<(), ErrorKind> {
        let index = self.len();
        if index >= NAMES_MAX {
            return Err(ErrorKind::InvalidArgument("too many names: the maximum is 4294967294"));
        }
        let end = u32::try_from(self.bytes.len() + name.len() + 1);
        let end = end.map_err(|_| ErrorKind::InvalidArgument("the names exceed 4 GiB in total"))?;
        if self.contains(name) {
            return Err(ErrorKind::DuplicateName);
        }
        let reserved = self.bytes.try_reserve(name.len() + 1).and_then(|()| self.ends.try_reserve(1));
        reserved?;
        self.grow(slot_count(index + 1))?;
        self.bytes.extend_from_slice(name.as_bytes());
        self.bytes.push(0);
        self.ends.push(end);
        self.insert_slot(index);
        Ok(())
    }

    fn index_in(&self, slot: usize) -> Option<usize> {
        (self.slots[slot] as usize).checked_sub(1)
    }

    fn insert_slot(&mut self, index: usize) {
        let free = probe_sequence(self.get(index), self.slots.len()).find(|&slot| self.slots[slot] == 0);
        self.slots[free.expect("half of the slots are free")] = index as u32 + 1;
    }

    /// Rebuilds the table in the order of the names, so that it depends on these alone.
    fn grow(&mut self, slots: usize) -> Result<(), ErrorKind> {
        if slots == self.slots.len() {
            return Ok(());
        }
        self.slots = try_zeroed(slots)?;
        (0..self.len()).for_each(|index| self.insert_slot(index));
        Ok(())
    }
}
