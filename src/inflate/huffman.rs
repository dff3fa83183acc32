//! Huffman decoding tables, and the symbols of Deflate and Deflate64.
//!
//! A table is indexed with the next bits of the stream. Codes of at most `ROOT_BITS` bits are found in the root table.
//! For longer codes the root entry refers to a subtable, which is indexed with the bits that follow. An entry is a
//! `u32`:
//!
//! | bits | literal | length or distance | subtable | end of block, or invalid code |
//! |---|---|---|---|---|
//! | 0..8 | code length | code length plus number of extra bits | `ROOT_BITS` | code length |
//! | 8..12 | | code length | number of bits that index it | |
//! | 13, 14, 15 | | | `SUBTABLE_FLAG`, `SPECIAL_FLAG` | `END_OF_BLOCK_FLAG` or 0, `SPECIAL_FLAG` |
//! | 16..32 | the byte; `LITERAL_FLAG` | base value | index of its first entry | |
//!
//! In a subtable the code length counts only the bits after the first `ROOT_BITS`.

pub(super) const LITERAL_FLAG: u32 = 1 << 31;
pub(super) const SPECIAL_FLAG: u32 = 1 << 15;
pub(super) const SUBTABLE_FLAG: u32 = 1 << 14;
pub(super) const END_OF_BLOCK_FLAG: u32 = 1 << 13;

/// Maximum length of a code in bits.
pub(super) const MAX_CODE_LEN: usize = 15;

/// Size of the literal/length alphabet.
pub(super) const LITLEN_SYMBOLS: usize = 288;

/// Size of the distance alphabet.
pub(super) const DIST_SYMBOLS: usize = 32;

/// Code lengths of a block: the literal/length alphabet, then the distance alphabet. 0 means that a symbol is unused.
pub(super) type CodeLengths = [u8; LITLEN_SYMBOLS + DIST_SYMBOLS];

/// The end-of-block symbol of the literal/length alphabet.
pub(super) const END_OF_BLOCK: usize = 256;

/// Why a set of code lengths is no prefix code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum CodeSetError {
    Oversubscribed,
    Incomplete,
}

/// Decoding table of `SIZE` entries: the root table of 2^`ROOT_BITS` entries, then the subtables. `SIZE` must be a
/// power of two, so that an index can be masked instead of checked.
pub(super) struct Table<const ROOT_BITS: usize, const SIZE: usize> {
    entries: [u32; SIZE],
}

/// zlib's `enough.c` computes the maximum number of entries for codes of up to 15 bits: 2342 with 288 symbols and 11
/// root bits.
pub(super) type LitLenTable = Table<11, 4096>;

/// As above: 594 entries with 32 symbols and 9 root bits.
pub(super) type DistTable = Table<9, 1024>;

impl<const ROOT_BITS: usize, const SIZE: usize> Table<ROOT_BITS, SIZE> {
    pub(super) const ROOT_BITS: usize = ROOT_BITS;

    pub(super) const fn new() -> Self {
        assert!(SIZE.is_power_of_two() && SIZE >= 1 << ROOT_BITS);
        Self { entries: [0; SIZE] }
    }

    /// Returns the root entry for the next `bits` of the stream.
    #[inline(always)]
    pub(super) fn lookup_root(&self, bits: u64) -> u32 {
        self.entries[bits as usize & ((1 << ROOT_BITS) - 1)]
    }

    /// Returns the entry in the subtable of the root entry `root`, for the `bits` that follow the first `ROOT_BITS`.
    #[inline(always)]
    pub(super) fn lookup_subtable(&self, root: u32, bits: u64) -> u32 {
        let mask = (1u64 << ((root >> 8) & 15)) - 1;
        self.entries[((root >> 16) as usize + (bits & mask) as usize) & (SIZE - 1)]
    }

    /// Builds the table for `code_lengths` (0 for unused symbols, at most [`MAX_CODE_LEN`]). `symbol_entries` has the
    /// entry of each symbol without its code length.
    ///
    /// The set must be complete. As in zlib, two exceptions are accepted: a single code of one bit, and no code at all
    /// if `allow_empty`. All other bits then get the entry of an invalid code.
    pub(super) fn build(&mut self, code_lengths: &[u8], symbol_entries: &[u32], allow_empty: bool) -> Result<(), CodeSetError> {
        let mut counts = [0u16; MAX_CODE_LEN + 1];
        for &length in code_lengths {
            counts[usize::from(length) & MAX_CODE_LEN] += 1;
        }
        let used = code_lengths.len() - usize::from(counts[0]);
        counts[0] = 0;
        let mut unused_codes = 1i32;
        for &count in &counts[1..] {
            unused_codes = (unused_codes << 1) - i32::from(count);
            if unused_codes < 0 {
                return Err(CodeSetError::Oversubscribed);
            }
        }
        if unused_codes > 0 {
            let single = used == 1 && counts[1] == 1;
            let empty = used == 0 && allow_empty;
            if !single && !empty {
                return Err(CodeSetError::Incomplete);
            }
            self.entries[..1 << ROOT_BITS].fill(pack_entry(SPECIAL_FLAG, 1));
            if let Some(symbol) = code_lengths.iter().position(|&length| length == 1) {
                let entry = pack_entry(symbol_entries[symbol], 1);
                self.entries[..1 << ROOT_BITS].iter_mut().step_by(2).for_each(|slot| *slot = entry);
            }
            return Ok(());
        }

        // Counting sort: symbols in the order of their codes.
        let mut offsets = [0u16; MAX_CODE_LEN + 2];
        for length in 1..=MAX_CODE_LEN {
            offsets[length + 1] = offsets[length] + counts[length];
        }
        let mut sorted = [0u16; LITLEN_SYMBOLS];
        for (symbol, &length) in code_lengths.iter().enumerate() {
            if length != 0 {
                let offset = &mut offsets[usize::from(length) & MAX_CODE_LEN];
                sorted[usize::from(*offset)] = symbol as u16;
                *offset += 1;
            }
        }
        let mut sorted_entries = sorted[..used].iter().map(|&symbol| symbol_entries[usize::from(symbol)]);

        // The current code, bit-reversed: its first bit is the lowest, as in the stream.
        let mut code = 0usize;
        let mut size = 1;
        for (length, &count) in counts.iter().enumerate().take(ROOT_BITS + 1).skip(1) {
            // A table for `length` bits is the table for one bit less twice: shorter codes do not depend on the new
            // bit.
            self.entries.copy_within(..size, size);
            size *= 2;
            for entry in sorted_entries.by_ref().take(usize::from(count)) {
                self.entries[code & (SIZE - 1)] = pack_entry(entry, length as u32);
                code = next_code(code, length);
            }
        }
        let (mut start, mut prefix, mut width) = (0, usize::MAX, 0);
        let mut end = 1 << ROOT_BITS;
        for length in ROOT_BITS + 1..=MAX_CODE_LEN {
            for done in 0..usize::from(counts[length]) {
                let Some(entry) = sorted_entries.next() else { break };
                if code & ((1 << ROOT_BITS) - 1) != prefix {
                    prefix = code & ((1 << ROOT_BITS) - 1);
                    start = end;
                    // Widen the subtable until it holds all codes with this prefix. The set is complete, so that ends
                    // at the longest code at the latest.
                    width = length - ROOT_BITS;
                    let mut unassigned = (1i32 << width) - i32::from(counts[length]) + done as i32;
                    while unassigned > 0 {
                        width += 1;
                        unassigned = (unassigned << 1) - i32::from(counts[ROOT_BITS + width]);
                    }
                    end += 1 << width;
                    self.entries[prefix] =
                        (start as u32) << 16 | SPECIAL_FLAG | SUBTABLE_FLAG | (width as u32) << 8 | ROOT_BITS as u32;
                }
                let entry = pack_entry(entry, (length - ROOT_BITS) as u32);
                let step = 1 << (length - ROOT_BITS);
                for index in (start + (code >> ROOT_BITS)..start + (1 << width)).step_by(step) {
                    self.entries[index & (SIZE - 1)] = entry;
                }
                code = next_code(code, length);
            }
        }
        Ok(())
    }
}

/// Adds a code length to the entry of a symbol.
#[inline(always)]
fn pack_entry(symbol_entry: u32, code_length: u32) -> u32 {
    symbol_entry + (code_length << 8 | code_length)
}

/// Returns the canonical code after `code`, bit-reversed: increments the number whose highest bit is bit 0. A longer
/// code continues where the shorter ones end, with zeros appended; in reversed order these are leading zeros, so the
/// number is the same.
#[inline(always)]
fn next_code(code: usize, length: usize) -> usize {
    let zeros = !code & ((1 << length) - 1);
    if zeros == 0 {
        return 0;
    }
    let highest = 1 << (usize::BITS - 1 - zeros.leading_zeros());
    (code & (highest - 1)) | highest
}

/// Entries of all symbols of a format, without code lengths.
pub(super) struct SymbolEntries {
    pub(super) litlen: [u32; LITLEN_SYMBOLS],
    pub(super) dist: [u32; DIST_SYMBOLS],
}

pub(super) static DEFLATE_SYMBOLS: SymbolEntries = SymbolEntries::new(false);
pub(super) static DEFLATE64_SYMBOLS: SymbolEntries = SymbolEntries::new(true);

impl SymbolEntries {
    /// RFC 1951, section 3.2.5. Deflate64 differs in symbol 285, which has 16 extra bits, and has the distance symbols
    /// 30 and 31.
    const fn new(deflate64: bool) -> Self {
        let mut litlen = [SPECIAL_FLAG; LITLEN_SYMBOLS];
        let mut symbol = 0;
        while symbol < 256 {
            litlen[symbol] = LITERAL_FLAG | (symbol as u32) << 16;
            symbol += 1;
        }
        litlen[END_OF_BLOCK] = SPECIAL_FLAG | END_OF_BLOCK_FLAG;
        let mut base = 3;
        symbol = 257;
        while symbol < 285 {
            let extra_bits = if symbol < 265 { 0 } else { (symbol as u32 - 261) / 4 };
            litlen[symbol] = base << 16 | extra_bits;
            base += 1 << extra_bits;
            symbol += 1;
        }
        litlen[285] = if deflate64 { 3 << 16 | 16 } else { 258 << 16 };

        let mut dist = [SPECIAL_FLAG; DIST_SYMBOLS];
        let mut base = 1;
        symbol = 0;
        while symbol < if deflate64 { 32 } else { 30 } {
            let extra_bits = if symbol < 4 { 0 } else { (symbol as u32 - 2) / 2 };
            dist[symbol] = base << 16 | extra_bits;
            base += 1 << extra_bits;
            symbol += 1;
        }
        Self { litlen, dist }
    }
}

/// Code lengths of blocks with fixed codes (RFC 1951, section 3.2.6).
pub(super) static FIXED_CODE_LENGTHS: CodeLengths = {
    let mut lengths = [8; LITLEN_SYMBOLS + DIST_SYMBOLS];
    let mut symbol = 144;
    while symbol < LITLEN_SYMBOLS + DIST_SYMBOLS {
        lengths[symbol] = match symbol {
            144..256 => 9,
            256..280 => 7,
            280..288 => 8,
            _ => 5,
        };
        symbol += 1;
    }
    lengths
};

#[cfg(test)]
mod tests {
    use super::*;

    /// Decodes one symbol bit by bit, as defined in RFC 1951, section 3.2.2. Returns the symbol and its code length.
    fn decode_naive(code_lengths: &[u8], bits: u64) -> Option<(usize, u32)> {
        let (mut code, mut first, mut bits) = (0u32, 0u32, bits);
        for length in 1..=MAX_CODE_LEN as u32 {
            code = code << 1 | (bits & 1) as u32;
            bits >>= 1;
            let mut symbols = (0..code_lengths.len()).filter(|&symbol| u32::from(code_lengths[symbol]) == length);
            if let Some(symbol) = code.checked_sub(first).and_then(|index| symbols.clone().nth(index as usize)) {
                return Some((symbol, length));
            }
            first = (first + symbols.by_ref().count() as u32) << 1;
        }
        None
    }

    fn check<const ROOT_BITS: usize, const SIZE: usize>(table: &mut Table<ROOT_BITS, SIZE>, code_lengths: &[u8]) {
        let symbol_entries: Vec<u32> = (0..code_lengths.len() as u32).map(|symbol| symbol << 16).collect();
        table.build(code_lengths, &symbol_entries, true).expect("a valid set");
        for bits in (0..1 << MAX_CODE_LEN).step_by(7) {
            let (mut entry, mut root_bits) = (table.lookup_root(bits), 0);
            if entry & SUBTABLE_FLAG != 0 {
                root_bits = ROOT_BITS as u32;
                entry = table.lookup_subtable(entry, bits >> ROOT_BITS);
            }
            match decode_naive(code_lengths, bits) {
                Some((symbol, length)) => {
                    assert_eq!((entry >> 16, root_bits + (entry & 0xff)), (symbol as u32, length), "{bits:b} {code_lengths:?}")
                }
                None => assert_eq!(entry & !0xfff, SPECIAL_FLAG, "{bits:b} {code_lengths:?}"),
            }
        }
    }

    /// Returns a complete set: codes are split at random until `used` symbols have one.
    fn random_code_lengths(mut seed: u64, symbols: usize, used: usize) -> Vec<u8> {
        let mut random = move |below: usize| {
            seed = seed.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
            (seed >> 33) as usize % below
        };
        let mut codes = vec![0u8];
        while codes.len() < used {
            let index = random(codes.len());
            if usize::from(codes[index]) < MAX_CODE_LEN {
                codes[index] += 1;
                codes.push(codes[index]);
            }
        }
        let mut code_lengths = vec![0; symbols];
        for length in codes {
            let mut symbol = random(symbols);
            while code_lengths[symbol] != 0 {
                symbol = (symbol + 1) % symbols;
            }
            code_lengths[symbol] = length;
        }
        code_lengths
    }

    #[test]
    fn tables_match_bitwise_decoding() {
        let mut litlen = Box::new(LitLenTable::new());
        let mut dist = Box::new(DistTable::new());
        check(&mut litlen, &FIXED_CODE_LENGTHS[..LITLEN_SYMBOLS]);
        check(&mut dist, &FIXED_CODE_LENGTHS[LITLEN_SYMBOLS..]);
        for seed in 0..4 {
            check(&mut litlen, &random_code_lengths(seed, 286, 2 + seed as usize * 90));
            check(&mut dist, &random_code_lengths(seed, 32, 2 + seed as usize * 9));
        }
        // The longest codes: lengths 1, 2, 3, ... 14, 15, 15.
        let longest: Vec<u8> = (1..=15).chain([15]).collect();
        check(&mut litlen, &longest);
        check(&mut dist, &longest);
        // The maximum number of subtables: the last codes are one bit longer than the root table.
        let most_subtables = |root_bits: u8, count: usize| -> Vec<u8> {
            let rest = (1 << (root_bits + 1)) - count;
            let short = (0..=root_bits).filter(|bit| rest >> bit & 1 != 0).map(|bit| root_bits + 1 - bit);
            short.chain(std::iter::repeat_n(root_bits + 1, count)).collect()
        };
        check(&mut litlen, &most_subtables(11, 276));
        check(&mut dist, &most_subtables(9, 24));
        check(&mut dist, &[0, 1, 0]);
        check(&mut dist, &[0; 32]);
    }

    #[test]
    fn build_rejects_oversubscribed_and_incomplete_sets() {
        let mut table = Box::new(DistTable::new());
        let mut build = |code_lengths: &[u8], allow_empty| table.build(code_lengths, &[0; 32], allow_empty);
        assert_eq!(build(&[1, 1, 1], true), Err(CodeSetError::Oversubscribed));
        assert_eq!(build(&[2; 32], true), Err(CodeSetError::Oversubscribed));
        assert_eq!(build(&[1, 2], true), Err(CodeSetError::Incomplete));
        assert_eq!(build(&[2], true), Err(CodeSetError::Incomplete));
        assert_eq!(build(&[0; 4], false), Err(CodeSetError::Incomplete));
        assert_eq!(build(&[0; 4], true), Ok(()));
        assert_eq!(build(&[0, 1], false), Ok(()));
    }

    #[test]
    fn symbols_have_base_and_extra_bits_of_the_rfc() {
        let meaning = |entry: u32| (entry >> 16, entry & 0xff);
        for (symbol, expected) in [(257, (3, 0)), (264, (10, 0)), (265, (11, 1)), (268, (17, 1)), (284, (227, 5))] {
            assert_eq!(meaning(DEFLATE_SYMBOLS.litlen[symbol]), expected);
            assert_eq!(meaning(DEFLATE64_SYMBOLS.litlen[symbol]), expected);
        }
        assert_eq!((meaning(DEFLATE_SYMBOLS.litlen[285]), meaning(DEFLATE64_SYMBOLS.litlen[285])), ((258, 0), (3, 16)));
        for (symbol, expected) in [(0, (1, 0)), (3, (4, 0)), (4, (5, 1)), (29, (24577, 13))] {
            assert_eq!(meaning(DEFLATE_SYMBOLS.dist[symbol]), expected);
        }
        assert_eq!((meaning(DEFLATE64_SYMBOLS.dist[30]), meaning(DEFLATE64_SYMBOLS.dist[31])), ((32769, 14), (49153, 14)));
        let unused = [DEFLATE_SYMBOLS.dist[30], DEFLATE_SYMBOLS.litlen[286], DEFLATE64_SYMBOLS.litlen[287]];
        assert_eq!(unused, [SPECIAL_FLAG; 3]);
    }
}
