//! Little-endian fields, and sizes that are checked before they are used.

use crate::error_base::OffsetOverflow;

/// The offset one past `size` bytes at `offset`, which can be beyond what a number holds.
#[inline]
pub(crate) fn end_of(offset: u64, size: u64) -> Result<u64, OffsetOverflow> {
    offset.checked_add(size).ok_or(OffsetOverflow { size })
}

/// Reads 64 bits at `at`; 0 if they are not all there.
#[inline]
pub(crate) fn u64_at(bytes: &[u8], at: usize) -> u64 {
    bytes.get(at..).and_then(|rest| rest.first_chunk()).map_or(0, |field| u64::from_le_bytes(*field))
}

/// Reads 32 bits at `at`; 0 if they are not all there.
#[inline]
pub(crate) fn u32_at(bytes: &[u8], at: usize) -> u32 {
    bytes.get(at..).and_then(|rest| rest.first_chunk()).map_or(0, |field| u32::from_le_bytes(*field))
}

/// Writes the low 24 bits of `value`.
#[inline]
pub(crate) fn put_u24(field: &mut [u8; 3], value: u32) {
    debug_assert!(value < 1 << 24);
    let [a, b, c, _] = value.to_le_bytes();
    *field = [a, b, c];
}

/// Reads 24 bits.
#[inline]
pub(crate) fn get_u24(field: [u8; 3]) -> u32 {
    let [a, b, c] = field;
    u32::from_le_bytes([a, b, c, 0])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn incomplete_fields_read_as_zero() {
        let bytes = [1, 2, 3, 4, 5, 6, 7, 8, 9];
        assert_eq!((u64_at(&bytes, 1), u64_at(&bytes, 2), u64_at(&bytes, 10)), (0x0908_0706_0504_0302, 0, 0));
        assert_eq!((u32_at(&bytes, 5), u32_at(&bytes, 6), u32_at(&bytes, 10)), (0x0908_0706, 0, 0));
    }

    #[test]
    fn u24_is_little_endian() {
        let mut field = [0; 3];
        put_u24(&mut field, 0x03_0201);
        assert_eq!(field, [1, 2, 3]);
        for value in [0, 1, 0xff, 0x100, 0xffff, 0x1_0000, 0xff_ffff] {
            put_u24(&mut field, value);
            assert_eq!(get_u24(field), value);
        }
    }
}
