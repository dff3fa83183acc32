//! Memory of the caller: buffers, and regions that frames are written to and read from.
//!
//! A C program passes an address and a size. It may access parts of the memory that the library does not touch, and may
//! give a size beyond that of any object. So the memory is kept as address and size; a slice exists only of the part in
//! use, while it is in use.

use std::marker::PhantomData;

/// Memory that is written to.
pub(crate) struct SharedBytesMut<'m> {
    address: *mut u8,
    size: u64,
    memory: PhantomData<&'m mut [u8]>,
}

impl<'m> SharedBytesMut<'m> {
    /// # Safety
    /// The ranges that are requested by [`get`](Self::get) must be valid for reads and writes for `'m`, and not be
    /// accessed otherwise while a slice that `get` returned is in use. `address` may be NULL if `size` is 0.
    pub(crate) unsafe fn from_raw(address: *mut u8, size: u64) -> Self {
        Self { address, size, memory: PhantomData }
    }

    pub(crate) fn new(memory: &'m mut [u8]) -> Self {
        Self { address: memory.as_mut_ptr(), size: memory.len() as u64, memory: PhantomData }
    }

    #[inline]
    pub(crate) fn size(&self) -> u64 {
        self.size
    }

    #[inline]
    pub(crate) fn is_null(&self) -> bool {
        self.address.is_null()
    }

    /// Returns all bytes if their number is at least 1 and at most `max`.
    #[inline(always)]
    pub(crate) fn get_if_at_most(&mut self, max: u64) -> Option<&mut [u8]> {
        if self.address.is_null() || self.size > max {
            return None;
        }
        self.get(0, self.size)
    }

    /// Returns the `len` bytes at `offset`; `None` if they are out of bounds, or `len` is 0.
    #[inline]
    pub(crate) fn get(&mut self, offset: u64, len: u64) -> Option<&mut [u8]> {
        if !range_in_bounds(self.size, offset, len) {
            return None;
        }
        // SAFETY: the range lies within the memory, for which the caller of `from_raw` guarantees validity and
        // exclusive access; the borrow of `self` prevents overlapping slices.
        Some(unsafe { std::slice::from_raw_parts_mut(self.address.add(offset as usize), len as usize) })
    }
}

/// Memory that is read.
pub(crate) struct SharedBytes<'m> {
    address: *const u8,
    size: u64,
    memory: PhantomData<&'m [u8]>,
}

impl<'m> SharedBytes<'m> {
    /// # Safety
    /// The ranges that are requested by [`get`](Self::get) must be valid for reads, and not change, for `'m`. `address`
    /// may be NULL if `size` is 0.
    pub(crate) unsafe fn from_raw(address: *const u8, size: u64) -> Self {
        Self { address, size, memory: PhantomData }
    }

    pub(crate) fn new(memory: &'m [u8]) -> Self {
        Self { address: memory.as_ptr(), size: memory.len() as u64, memory: PhantomData }
    }

    #[inline]
    pub(crate) fn size(&self) -> u64 {
        self.size
    }

    #[inline]
    pub(crate) fn is_null(&self) -> bool {
        self.address.is_null()
    }

    /// Returns all bytes if their number is at least 1 and at most `max`.
    #[inline(always)]
    pub(crate) fn get_if_at_most(&self, max: u64) -> Option<&'m [u8]> {
        if self.address.is_null() || self.size > max {
            return None;
        }
        self.get(0, self.size)
    }

    /// Returns the `len` bytes at `offset`; `None` if they are out of bounds, or `len` is 0.
    #[inline]
    pub(crate) fn get(&self, offset: u64, len: u64) -> Option<&'m [u8]> {
        if !range_in_bounds(self.size, offset, len) {
            return None;
        }
        // SAFETY: the range lies within the memory, which the caller of `from_raw` guarantees to be valid and constant
        // for `'m`.
        Some(unsafe { std::slice::from_raw_parts(self.address.add(offset as usize), len as usize) })
    }
}

/// Returns whether `len` bytes at `offset` lie within `size` bytes. An empty range does not: a slice must not be NULL,
/// which empty memory may be.
#[inline]
fn range_in_bounds(size: u64, offset: u64, len: u64) -> bool {
    len > 0 && len <= isize::MAX as u64 && offset <= size && len <= size - offset
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn get_rejects_ranges_out_of_bounds() {
        let bytes = [1, 2, 3, 4];
        let region = SharedBytes::new(&bytes);
        assert_eq!(region.get(1, 3), Some(&bytes[1..]));
        for (offset, len) in [(1, 4), (4, 1), (5, 0), (0, 0), (u64::MAX, 1), (1, u64::MAX), (u64::MAX, u64::MAX)] {
            assert_eq!(region.get(offset, len), None, "{len} at {offset}");
        }
    }

    #[test]
    fn get_if_at_most_rejects_larger_and_empty_memory() {
        let mut bytes = [1, 2, 3];
        assert_eq!(SharedBytes::new(&bytes).get_if_at_most(3), Some(&bytes[..]));
        assert_eq!(SharedBytes::new(&bytes).get_if_at_most(2), None);
        assert_eq!(SharedBytes::new(&[]).get_if_at_most(3), None);
        assert_eq!(SharedBytesMut::new(&mut bytes).get_if_at_most(3).map(|got| got.len()), Some(3));
        assert_eq!(SharedBytesMut::new(&mut bytes).get_if_at_most(2), None);
        // SAFETY: `get_if_at_most` refuses NULL before any range is requested.
        assert_eq!(unsafe { SharedBytesMut::from_raw(std::ptr::null_mut(), 1) }.get_if_at_most(3), None);
    }

    #[test]
    fn empty_memory_may_be_null() {
        // SAFETY: NULL is allowed with size 0.
        let mut region = unsafe { SharedBytesMut::from_raw(std::ptr::null_mut(), 0) };
        assert_eq!(region.get(0, 1), None);
        assert_eq!(region.get(0, 0), None);
    }

    #[test]
    fn memory_of_unlimited_size_is_accessed_where_requested() {
        let mut bytes = [0u8; 8];
        // SAFETY: only the 8 bytes of `bytes` are requested.
        let mut region = unsafe { SharedBytesMut::from_raw(bytes.as_mut_ptr(), u64::MAX) };
        region.get(4, 4).unwrap().fill(7);
        assert_eq!(bytes, [0, 0, 0, 0, 7, 7, 7, 7]);
    }
}
