//! Memory that belongs to the caller: buffers, and regions that checkpoints are written to and restored from.
//!
//! A C host says "here is memory from this address on, of this size", and may go on using parts of it that the library
//! does not touch, or name a size beyond what any object can have. So memory is kept as an address and a size, and a
//! slice exists only of the part in use, only while it is in use.

use std::marker::PhantomData;
use std::mem::MaybeUninit;

/// A region that is written to.
pub(crate) struct SharedBytesMut<'m> {
    address: *mut u8,
    size: u64,
    memory: PhantomData<&'m mut [u8]>,
}

impl<'m> SharedBytesMut<'m> {
    /// # Safety
    /// The bytes from `address` on that are asked for by [`get`](Self::get) must be valid for writes, and used by nobody
    /// else while what `get` returned is in use. `address` may be NULL if `size` is 0.
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

    /// All of it, if that is at least one byte and at most `most`.
    #[inline(always)]
    pub(crate) fn up_to(&mut self, most: u64) -> Option<&mut [u8]> {
        if self.address.is_null() || self.size > most {
            return None;
        }
        self.get(0, self.size)
    }

    /// The `len` bytes at `offset`, if the region has them.
    #[inline]
    pub(crate) fn get(&mut self, offset: u64, len: u64) -> Option<&mut [u8]> {
        if !fits(self.size, offset, len) {
            return None;
        }
        // SAFETY: offset + len lies within the region, which is valid by the constructor's contract; the exclusive borrow
        // of self keeps the slices that the library makes apart.
        Some(unsafe { std::slice::from_raw_parts_mut(self.address.add(offset as usize), len as usize) })
    }
}

/// A region that is read from.
pub(crate) struct SharedBytes<'m> {
    address: *const u8,
    size: u64,
    memory: PhantomData<&'m [u8]>,
}

impl<'m> SharedBytes<'m> {
    /// # Safety
    /// The bytes from `address` on that are asked for by [`get`](Self::get) must be valid for reads, and not change for
    /// `'m`. `address` may be NULL if `size` is 0.
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

    /// All of it, if that is at least one byte and at most `most`.
    #[inline(always)]
    pub(crate) fn up_to(&self, most: u64) -> Option<&'m [u8]> {
        if self.address.is_null() || self.size > most {
            return None;
        }
        self.get(0, self.size)
    }

    /// The `len` bytes at `offset`, if the region has them.
    #[inline]
    pub(crate) fn get(&self, offset: u64, len: u64) -> Option<&'m [u8]> {
        if !fits(self.size, offset, len) {
            return None;
        }
        // SAFETY: offset + len lies within the region, which is valid by the constructor's contract.
        Some(unsafe { std::slice::from_raw_parts(self.address.add(offset as usize), len as usize) })
    }
}

/// Copies `from` to the start of `to`, or as much of it as there is room for. Up to 64 bytes are copied in place: the call would take
/// longer than that.
#[inline(always)]
pub(crate) fn copy(to: &mut [u8], from: &[u8]) {
    let from = &from[..from.len().min(to.len())];
    // SAFETY: there is room for so much; and what is borrowed mutably does not overlap anything.
    unsafe { copy_raw(to.as_mut_ptr(), from) }
}

/// As [`copy`].
///
/// # Safety
/// At `to` there are as many bytes as `from` has, valid for writes, and not part of `from`.
#[inline(always)]
pub(super) unsafe fn copy_raw(to: *mut u8, from: &[u8]) {
    let len = from.len();
    // SAFETY: each length is at least N of its copy, and the caller answers for as many bytes.
    unsafe {
        if len > 64 {
            std::ptr::copy_nonoverlapping(from.as_ptr(), to, len);
        } else if len >= 32 {
            copy_ends::<16>(to, &from[..32]);
            copy_ends::<16>(to.add(len - 32), &from[len - 32..]);
        } else if len >= 16 {
            copy_ends::<16>(to, from);
        } else if len >= 8 {
            copy_ends::<8>(to, from);
        } else if len >= 4 {
            copy_ends::<4>(to, from);
        } else if len >= 2 {
            copy_ends::<2>(to, from);
        } else if len == 1 {
            copy_ends::<1>(to, from);
        }
    }
}

/// Copies the first `N` bytes and the last `N`, which may be the same in part.
///
/// # Safety
/// As for [`copy_raw`], and `from` has at least `N` bytes.
#[inline(always)]
unsafe fn copy_ends<const N: usize>(to: *mut u8, from: &[u8]) {
    let (first, last) = (from.as_ptr().cast::<[u8; N]>(), from.as_ptr_range().end.cast::<[u8; N]>());
    // SAFETY: the caller's promise.
    unsafe {
        let (first, last) = (first.read_unaligned(), last.sub(1).read_unaligned());
        to.cast::<[u8; N]>().write_unaligned(first);
        to.add(from.len()).cast::<[u8; N]>().sub(1).write_unaligned(last);
    }
}

/// A slice of length 0 is refused at NULL (a slice never is), hence the caller sees "not there" for an empty region.
#[inline]
fn fits(size: u64, offset: u64, len: u64) -> bool {
    len > 0 && len <= isize::MAX as u64 && offset <= size && len <= size - offset
}

/// Asks the system for large pages below memory that is about to be filled: touching fresh memory page by page takes several
/// times as long as copying to it. A hint, which the system may not follow.
pub(crate) fn prefer_large_pages(memory: &mut [MaybeUninit<u8>]) {
    const LARGE: usize = 2 << 20;
    let begin = memory.as_mut_ptr();
    let skipped = begin.align_offset(LARGE);
    let size = memory.len().saturating_sub(skipped) / LARGE * LARGE;
    if size > 0 {
        // SAFETY: these are whole pages inside of the memory, and the advice changes no content.
        unsafe { libc::madvise(begin.add(skipped).cast(), size, libc::MADV_HUGEPAGE) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gives_what_lies_inside_and_nothing_else() {
        let bytes = [1, 2, 3, 4];
        let region = SharedBytes::new(&bytes);
        assert_eq!(region.get(1, 3), Some(&bytes[1..]));
        for (offset, len) in [(1, 4), (4, 1), (5, 0), (0, 0), (u64::MAX, 1), (1, u64::MAX), (u64::MAX, u64::MAX)] {
            assert_eq!(region.get(offset, len), None, "{len} at {offset}");
        }
    }

    #[test]
    fn copies_of_every_length() {
        let from: Vec<u8> = (0..200).collect();
        for len in 0..200 {
            let mut to = vec![255; 200];
            copy(&mut to, &from[..len]);
            assert_eq!(to[..len], from[..len], "{len}");
            assert!(to[len..].iter().all(|&byte| byte == 255), "{len}");
        }
    }

    #[test]
    fn up_to_a_size() {
        let mut bytes = [1, 2, 3];
        assert_eq!(SharedBytes::new(&bytes).up_to(3), Some(&bytes[..]));
        assert_eq!(SharedBytes::new(&bytes).up_to(2), None);
        assert_eq!(SharedBytes::new(&[]).up_to(3), None);
        assert_eq!(SharedBytesMut::new(&mut bytes).up_to(3).map(|got| got.len()), Some(3));
        assert_eq!(SharedBytesMut::new(&mut bytes).up_to(2), None);
        // SAFETY: nothing at NULL is asked for.
        assert_eq!(unsafe { SharedBytesMut::from_raw(std::ptr::null_mut(), 1) }.up_to(3), None);
    }

    #[test]
    fn an_empty_region_may_be_nowhere() {
        // SAFETY: the size is 0.
        let mut region = unsafe { SharedBytesMut::from_raw(std::ptr::null_mut(), 0) };
        assert_eq!(region.get(0, 1), None);
        assert_eq!(region.get(0, 0), None);
    }

    #[test]
    fn a_region_without_end_is_used_as_far_as_it_is_asked_for() {
        let mut bytes = [0u8; 8];
        // SAFETY: only the 8 bytes that are there are asked for.
        let mut region = unsafe { SharedBytesMut::from_raw(bytes.as_mut_ptr(), u64::MAX) };
        region.get(4, 4).unwrap().fill(7);
        assert_eq!(bytes, [0, 0, 0, 0, 7, 7, 7, 7]);
    }
}
