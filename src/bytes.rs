//! Little-endian fields, and sizes that are checked before they are used.

use crate::error::Error;

/// The offset one past `size` bytes at `offset`, which can be beyond what a number holds.
#[inline]
pub(crate) fn end_of(offset: u64, size: u64) -> Result<u64, Error> {
    offset.checked_add(size).ok_or(Error::TooLarge { size })
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
