//! Bit reader, least significant bit first (RFC 1951, section 3.1.1).

/// Reads bits from a slice of input. A copy saves the position: assigning it back undoes reads.
#[derive(Clone, Copy)]
pub(super) struct BitReader<'a> {
    /// Input bytes that are not loaded into `bits` yet.
    pub(super) input: &'a [u8],
    /// Loaded bits, the next one lowest; those at and above `bit_count` are 0.
    pub(super) bits: u64,
    /// Number of loaded bits, at most 64.
    pub(super) bit_count: u32,
}

impl<'a> BitReader<'a> {
    pub(super) fn new(input: &'a [u8]) -> Self {
        Self { input, bits: 0, bit_count: 0 }
    }

    /// Starts at bit `skip` (0 to 7) of `carried`, which `input` follows. At most 64 bits of `carried` may remain.
    pub(super) fn with_carried(carried: &[u8], skip: u32, input: &'a [u8]) -> Self {
        let mut bits = 0;
        for (index, &byte) in carried.iter().enumerate() {
            let shift = 8 * index as i32 - skip as i32;
            bits |= if shift < 0 { u64::from(byte) >> -shift } else { u64::from(byte) << shift };
        }
        Self { input, bits, bit_count: (8 * carried.len() as u32).saturating_sub(skip) }
    }

    /// Loads whole bytes until at least 57 bits are loaded or the input ends.
    #[inline]
    pub(super) fn refill(&mut self) {
        while self.bit_count <= 56 {
            let Some((&byte, input)) = self.input.split_first() else { return };
            self.bits |= u64::from(byte) << self.bit_count;
            self.bit_count += 8;
            self.input = input;
        }
    }

    /// Skips `count` loaded bits, at most 63.
    #[inline]
    pub(super) fn consume(&mut self, count: u32) {
        debug_assert!(count <= self.bit_count && count < 64);
        self.bits >>= count;
        self.bit_count -= count;
    }

    /// Reads `count` bits, at most 32. Returns `None`, and consumes nothing, if fewer remain.
    #[inline]
    pub(super) fn read_bits(&mut self, count: u32) -> Option<u32> {
        if self.bit_count < count {
            self.refill();
            if self.bit_count < count {
                return None;
            }
        }
        let value = (self.bits & ((1 << count) - 1)) as u32;
        self.consume(count);
        Some(value)
    }

    /// Number of bits from the position to the end of the input.
    pub(super) fn remaining_bits(&self) -> u64 {
        8 * self.input.len() as u64 + u64::from(self.bit_count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bits_are_read_lowest_first_across_carried_bytes_and_input() {
        let stream: Vec<u8> = (1..40).map(|byte: u8| byte.wrapping_mul(151)).collect();
        let bit = |offset: usize| u32::from(stream[offset / 8] >> (offset % 8) & 1);
        for split in 0..=9 {
            for skip in 0..8.min(8 * split + 1) {
                if 8 * split - skip > 64 {
                    continue;
                }
                let mut reader = BitReader::with_carried(&stream[..split], skip as u32, &stream[split..]);
                assert_eq!(reader.remaining_bits(), (8 * stream.len() - skip) as u64);
                let mut offset = skip;
                for width in [1, 32, 7, 13, 3, 24, 31, 5, 17] {
                    let expected = (0..width).map(|i| bit(offset + i) << i).sum::<u32>();
                    assert_eq!(reader.read_bits(width as u32), Some(expected), "split {split}, skip {skip}, bit {offset}");
                    offset += width;
                }
            }
        }
    }

    #[test]
    fn incomplete_read_consumes_nothing() {
        let mut reader = BitReader::new(&[0xa5]);
        let reads = [4, 5, 4, 1].map(|count| reader.read_bits(count));
        assert_eq!(reads, [Some(5), None, Some(0xa), None]);
    }
}
