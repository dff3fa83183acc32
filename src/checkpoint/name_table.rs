//! A table that finds names by their hash, as it is in the file: open addressing, half of the places free at least.

use super::checksum;
use super::error::ErrorKind;
use crate::alloc::try_zeroed;

/// How many places a table for so many names has.
pub(super) fn slots_for(names: usize) -> usize {
    if names == 0 { 0 } else { (2 * names).next_power_of_two() }
}

/// The most names: a place holds a number and one, in 32 bits.
pub(super) const NAMES_MAX: usize = u32::MAX as usize - 1;

/// The places to look at for a name, one after the other: `count` of them in all.
pub(super) fn places(name: &str, count: usize) -> impl Iterator<Item = usize> + use<> {
    let first = checksum(name.as_bytes()) as usize;
    (0..count).map(move |step| first.wrapping_add(step) & (count - 1))
}

/// The table in the making.
#[derive(Debug, Default)]
pub(super) struct Names {
    /// Number and one; 0 is a free place.
    slots: Vec<u32>,
    /// All names, each followed by a NUL.
    bytes: Vec<u8>,
    /// Where each ends, the NUL included.
    ends: Vec<u32>,
}

impl Names {
    pub(super) fn len(&self) -> usize {
        self.ends.len()
    }

    pub(super) fn get(&self, number: usize) -> &str {
        let begin = if number == 0 { 0 } else { self.ends[number - 1] as usize };
        std::str::from_utf8(&self.bytes[begin..self.ends[number] as usize - 1]).unwrap_or_default()
    }

    /// All names as they are in the file, where each ends, and the places.
    pub(super) fn parts(&self) -> (&[u8], &[u32], &[u32]) {
        (&self.bytes, &self.ends, &self.slots)
    }

    pub(super) fn has(&self, name: &str) -> bool {
        places(name, self.slots.len()).map_while(|place| self.at(place)).any(|other| self.get(other) == name)
    }

    /// Adds a name. On failure nothing has changed.
    pub(super) fn add(&mut self, name: &str) -> Result<(), ErrorKind> {
        let number = self.len();
        if number >= NAMES_MAX {
            return Err(ErrorKind::InvalidArgument("too many names: the maximum is 4294967294"));
        }
        let end = u32::try_from(self.bytes.len() + name.len() + 1);
        let end = end.map_err(|_| ErrorKind::InvalidArgument("the names exceed 4 GiB in total"))?;
        if self.has(name) {
            return Err(ErrorKind::DuplicateName);
        }
        let reserved = self.bytes.try_reserve(name.len() + 1).and_then(|()| self.ends.try_reserve(1));
        reserved?;
        self.grow(slots_for(number + 1))?;
        self.bytes.extend_from_slice(name.as_bytes());
        self.bytes.push(0);
        self.ends.push(end);
        self.enter(number);
        Ok(())
    }

    fn at(&self, place: usize) -> Option<usize> {
        (self.slots[place] as usize).checked_sub(1)
    }

    fn enter(&mut self, number: usize) {
        let free = places(self.get(number), self.slots.len()).find(|&place| self.slots[place] == 0);
        self.slots[free.expect("half of the places are free")] = number as u32 + 1;
    }

    /// The names come in again in their order, so that the table depends on them alone.
    fn grow(&mut self, slots: usize) -> Result<(), ErrorKind> {
        if slots == self.slots.len() {
            return Ok(());
        }
        self.slots = try_zeroed(slots)?;
        (0..self.len()).for_each(|number| self.enter(number));
        Ok(())
    }
}
