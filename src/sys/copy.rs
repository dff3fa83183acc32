//! Copies of short byte slices, inlined.

/// Copies `from` to the start of `to`, or as much of it as fits. Up to 64 bytes are copied without calling memcpy,
/// which would take longer than the copy.
#[inline(always)]
pub(crate) fn copy_prefix(to: &mut [u8], from: &[u8]) {
    let from = &from[..from.len().min(to.len())];
    // SAFETY: `to` has at least as many bytes as `from` now, and as it is borrowed mutably, it does not overlap `from`.
    unsafe { copy_raw(to.as_mut_ptr(), from) }
}

/// As [`copy_prefix`], to raw memory.
///
/// # Safety
/// `to` must be valid for writes of `from.len()` bytes, none of which is part of `from`.
#[inline(always)]
pub(super) unsafe fn copy_raw(to: *mut u8, from: &[u8]) {
    let len = from.len();
    // SAFETY: in each branch the length is at least the `N` of the copy, so both ends lie within `from`, and within the
    // `len` bytes that the caller guarantees at `to`.
    unsafe {
        if len > 64 {
            std::ptr::copy_nonoverlapping(from.as_ptr(), to, len);
        } else if len >= 32 {
            copy_overlapping_ends::<16>(to, &from[..32]);
            copy_overlapping_ends::<16>(to.add(len - 32), &from[len - 32..]);
        } else if len >= 16 {
            copy_overlapping_ends::<16>(to, from);
        } else if len >= 8 {
            copy_overlapping_ends::<8>(to, from);
        } else if len >= 4 {
            copy_overlapping_ends::<4>(to, from);
        } else if len >= 2 {
            copy_overlapping_ends::<2>(to, from);
        } else if len == 1 {
            copy_overlapping_ends::<1>(to, from);
        }
    }
}

/// Copies the first `N` and the last `N` bytes, which may overlap.
///
/// # Safety
/// As for [`copy_raw`]; `from` must have at least `N` bytes.
#[inline(always)]
unsafe fn copy_overlapping_ends<const N: usize>(to: *mut u8, from: &[u8]) {
    let (first, last) = (from.as_ptr().cast::<[u8; N]>(), from.as_ptr_range().end.cast::<[u8; N]>());
    // SAFETY: `from` has at least N bytes, so its first and last N lie within it, and at `to` within its length, which
    // the caller guarantees.
    unsafe {
        let (first, last) = (first.read_unaligned(), last.sub(1).read_unaligned());
        to.cast::<[u8; N]>().write_unaligned(first);
        to.add(from.len()).cast::<[u8; N]>().sub(1).write_unaligned(last);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn copies_every_length_and_nothing_more() {
        let from: Vec<u8> = (0..200).collect();
        for len in 0..200 {
            let mut to = vec![255; 200];
            copy_prefix(&mut to, &from[..len]);
            assert_eq!(to[..len], from[..len], "{len}");
            assert!(to[len..].iter().all(|&byte| byte == 255), "{len}");
        }
    }
}
