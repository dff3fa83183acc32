//! Allocations that fail with an error instead of ending the process.

use std::ffi::CString;

use crate::error_base::OutOfMemory;

/// Allocates a vector of `len` zeros.
pub(crate) fn try_zeroed<T: Clone + Default>(len: usize) -> Result<Vec<T>, OutOfMemory> {
    let mut zeros = Vec::new();
    try_grow(&mut zeros, len)?;
    Ok(zeros)
}

/// Extends `vec` with default values to `len` elements; a longer vector stays as it is.
pub(crate) fn try_grow<T: Clone + Default>(vec: &mut Vec<T>, len: usize) -> Result<(), OutOfMemory> {
    if len > vec.len() {
        vec.try_reserve_exact(len - vec.len())?;
        vec.resize(len, T::default());
    }
    Ok(())
}

/// Allocates a vector with room for `capacity` elements.
pub(crate) fn try_with_capacity<T>(capacity: usize) -> Result<Vec<T>, OutOfMemory> {
    let mut vec = Vec::new();
    vec.try_reserve_exact(capacity)?;
    Ok(vec)
}

/// Collects the items of an iterator that knows their number.
pub(crate) fn try_collect<T>(items: impl ExactSizeIterator<Item = T>) -> Result<Vec<T>, OutOfMemory> {
    let len = items.len();
    let mut all = try_with_capacity(len)?;
    // Not one more than there is memory for, whatever the iterator does.
    all.extend(items.take(len));
    Ok(all)
}

/// Copies a slice.
pub(crate) fn try_copy<T: Clone>(from: &[T]) -> Result<Vec<T>, OutOfMemory> {
    let mut copy = try_with_capacity(from.len())?;
    copy.extend_from_slice(from);
    Ok(copy)
}

/// Moves a value to the heap. An array of one, because a vector becomes that without a further allocation.
pub(crate) fn try_box<T>(value: T) -> Result<Box<[T; 1]>, OutOfMemory> {
    let mut one = try_with_capacity(1)?;
    one.push(value);
    one.try_into().map_err(|_| OutOfMemory)
}

/// Copies bytes to a C string; `Ok(None)` if they have a NUL.
pub(crate) fn try_c_string(bytes: &[u8]) -> Result<Option<CString>, OutOfMemory> {
    let mut copy = try_with_capacity(bytes.len() + 1)?;
    copy.extend_from_slice(bytes);
    copy.push(0);
    Ok(CString::from_vec_with_nul(copy).ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn impossible_sizes_are_errors() {
        assert_eq!(try_zeroed::<u8>(usize::MAX), Err(OutOfMemory));
        assert_eq!(try_with_capacity::<u64>(usize::MAX), Err(OutOfMemory));
    }

    #[test]
    fn c_string_has_no_nul_inside() {
        assert_eq!(try_c_string(b"name"), Ok(Some(c"name".to_owned())));
        assert_eq!(try_c_string(b"na\0me"), Ok(None));
    }

    #[test]
    fn grow_keeps_content() {
        let mut bytes = vec![7; 3];
        try_grow(&mut bytes, 5).unwrap();
        try_grow(&mut bytes, 2).unwrap();
        assert_eq!(bytes, [7, 7, 7, 0, 0]);
    }
}
