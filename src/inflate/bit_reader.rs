//! The bits of a stream, least significant first.

/// A reader of bits over a piece of input. To go back, keep a copy.
#[derive(Clone, Copy)]
pub(super) struct Bits<'a> {
    /// What is not in `bits` yet.
    pub(super) rest: &'a [u8],
    /// The next bits, the first of them lowest; above `count` zeros.
    pub(super) bits: u64,
    /// How many of them there are, at most 64.
    pub(super) count: u32,
}

impl<'a> Bits<'a> {
    pub(super) fn new(rest: &'a [u8]) -> Self {
        Self { rest, bits: 0, count: 0 }
    }

    /// Begins with the bits of `before` from bit `skip` (less than 8) of its first byte on: at most 64.
    pub(super) fn after(before: &[u8], skip: u32, rest: &'a [u8]) -> Self {
        let mut bits = 0;
        for (index, &byte) in before.iter().enumerate() {
            let place = 8 * index as i32 - skip as i32;
            bits |= if place < 0 { u64::from(byte) >> -place } else { u64::from(byte) << place };
        }
        Self { rest, bits, count: (8 * before.len() as u32).saturating_sub(skip) }
    }

    /// Loads whole bytes as far as there is room and input: after that there are at least 57 bits, or all that is left.
    #[inline]
    pub(super) fn refill(&mut self) {
        while self.count <= 56 {
            let Some((&byte, rest)) = self.rest.split_first() else { return };
            self.bits |= u64::from(byte) << self.count;
            self.count += 8;
            self.rest = rest;
        }
    }

    /// Drops bits that are known to be there, less than 64.
    #[inline]
    pub(super) fn drop(&mut self, count: u32) {
        debug_assert!(count <= self.count && count < 64);
        self.bits >>= count;
        self.count -= count;
    }

    /// Takes `count` bits, at most 32; `None` if the input ends before.
    #[inline]
    pub(super) fn take(&mut self, count: u32) -> Option<u32> {
        if self.count < count {
            self.refill();
            if self.count < count {
                return None;
            }
        }
        let value = (self.bits & ((1 << count) - 1)) as u32;
        self.drop(count);
        Some(value)
    }

    /// How many bits there are.
    pub(super) fn left(&self) -> u64 {
        8 * self.rest.len() as u64 + u64::from(self.count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bits_come_lowest_first_and_over_the_seam() {
        let stream: Vec<u8> = (1..40).map(|byte: u8| byte.wrapping_mul(151)).collect();
        let bit = |at: usize| u32::from(stream[at / 8] >> (at % 8) & 1);
        for split in 0..=9 {
            for skip in 0..8.min(8 * split + 1) {
                if 8 * split - skip > 64 {
                    continue;
                }
                let mut bits = Bits::after(&stream[..split], skip as u32, &stream[split..]);
                assert_eq!(bits.left(), (8 * stream.len() - skip) as u64);
                let mut at = skip;
                for width in [1, 32, 7, 13, 3, 24, 31, 5, 17] {
                    let expected = (0..width).map(|i| bit(at + i) << i).sum::<u32>();
                    assert_eq!(bits.take(width as u32), Some(expected), "split {split}, skip {skip}, bit {at}");
                    at += width;
                }
            }
        }
        let mut bits = Bits::new(&[0xa5]);
        assert_eq!((bits.take(4), bits.take(5), bits.take(4), bits.take(1)), (Some(5), None, Some(0xa), None));
    }
}
