//! Decoding tables for Huffman codes.
//!
//! A table is looked up with the next bits of the stream. Codes of at most [`Table`]'s `ROOT` bits are found at once; for longer ones
//! the first lookup gives the place of a second table, for the bits that follow. An entry is a `u32`:
//!
//! | bits | literal | length or distance | second table | end of block, or no code |
//! |---|---|---|---|---|
//! | 0..8 | bits of the code | bits of code and extra bits | `ROOT` | bits of the code |
//! | 8..12 | | bits of the code | bits that index it | |
//! | 13, 14, 15 | | | `SECOND`, `SPECIAL` | `END_OF_BLOCK` or 0, `SPECIAL` |
//! | 16..32 | the byte; `LITERAL` | base | where it begins | |
//!
//! In a second table "bits of the code" are those that follow the first `ROOT`.

pub(super) const LITERAL: u32 = 1 << 31;
pub(super) const SPECIAL: u32 = 1 << 15;
pub(super) const SECOND: u32 = 1 << 14;
pub(super) const END_OF_BLOCK: u32 = 1 << 13;

/// Bits of the longest code.
pub(super) const LONGEST: usize = 15;

/// Literal/length symbols and distance symbols, as counted by a stored set of code lengths.
pub(super) const LITERALS: usize = 288;
pub(super) const DISTANCES: usize = 32;

/// The code lengths of a block: literals and lengths, then distances.
pub(super) type Lengths = [u8; LITERALS + DISTANCES];

/// The symbol that ends a block.
pub(super) const END: usize = 256;

/// What is wrong with a set of code lengths.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum BadCode {
    Oversubscribed,
    Incomplete,
}

/// A table of `SIZE` entries, a power of two that has room for all second tables, of which the first 2^`ROOT` are looked up first.
pub(super) struct Table<const ROOT: usize, const SIZE: usize> {
    entries: [u32; SIZE],
}

/// With 288 symbols and codes of up to 15 bits a root of 11 bits needs at most 2342 entries, with 32 symbols one of 9 bits 594
/// (zlib's `enough.c` computes these).
pub(super) type LiteralTable = Table<11, 4096>;
pub(super) type DistanceTable = Table<9, 1024>;

impl<const ROOT: usize, const SIZE: usize> Table<ROOT, SIZE> {
    pub(super) const ROOT: usize = ROOT;

    pub(super) const fn new() -> Self {
        assert!(SIZE.is_power_of_two() && SIZE >= 1 << ROOT);
        Self { entries: [0; SIZE] }
    }

    /// The entry for the next `bits`.
    #[inline(always)]
    pub(super) fn first(&self, bits: u64) -> u32 {
        self.entries[bits as usize & ((1 << ROOT) - 1)]
    }

    /// The entry of the second table that `entry` names, for the `bits` that follow the first `ROOT`.
    #[inline(always)]
    pub(super) fn second(&self, entry: u32, bits: u64) -> u32 {
        let mask = (1u64 << ((entry >> 8) & 15)) - 1;
        self.entries[((entry >> 16) as usize + (bits & mask) as usize) & (SIZE - 1)]
    }

    /// Builds the table for codes of `lengths` bits (0 for symbols that are not used, else at most 15). `symbols` has, without the
    /// bits of its code, the entry for each symbol.
    ///
    /// A set must be complete. As zlib does, one single code of one bit is let pass too, and if `may_be_empty` none at all; then what is
    /// no code is an entry that says so.
    pub(super) fn build(&mut self, lengths: &[u8], symbols: &[u32], may_be_empty: bool) -> Result<(), BadCode> {
        let mut counts = [0u16; LONGEST + 1];
        for &length in lengths {
            counts[usize::from(length) & LONGEST] += 1;
        }
        let used = lengths.len() - usize::from(counts[0]);
        counts[0] = 0;
        let mut unused = 1i32;
        for &count in &counts[1..] {
            unused = (unused << 1) - i32::from(count);
            if unused < 0 {
                return Err(BadCode::Oversubscribed);
            }
        }
        if unused > 0 {
            let single = used == 1 && counts[1] == 1;
            let empty = used == 0 && may_be_empty;
            if !single && !empty {
                return Err(BadCode::Incomplete);
            }
            self.entries[..1 << ROOT].fill(with_code(SPECIAL, 1));
            if let Some(symbol) = lengths.iter().position(|&length| length == 1) {
                self.entries[..1 << ROOT].iter_mut().step_by(2).for_each(|entry| *entry = with_code(symbols[symbol], 1));
            }
            return Ok(());
        }

        // The symbols in the order of their codes.
        let mut next = [0u16; LONGEST + 2];
        for length in 1..=LONGEST {
            next[length + 1] = next[length] + counts[length];
        }
        let mut sorted = [0u16; LITERALS];
        for (symbol, &length) in lengths.iter().enumerate() {
            if length != 0 {
                let place = &mut next[usize::from(length) & LONGEST];
                sorted[usize::from(*place)] = symbol as u16;
                *place += 1;
            }
        }
        let mut sorted = sorted[..used].iter().map(|&symbol| symbols[usize::from(symbol)]);

        // The code, its first bit lowest, as the stream has it.
        let mut code = 0usize;
        let mut size = 1;
        for (length, &count) in counts.iter().enumerate().take(ROOT + 1).skip(1) {
            // A table for `length` bits is that for one bit less twice, as that bit does not matter to shorter codes.
            self.entries.copy_within(..size, size);
            size *= 2;
            for entry in sorted.by_ref().take(usize::from(count)) {
                self.entries[code & (SIZE - 1)] = with_code(entry, length as u32);
                code = following(code, length);
            }
        }
        let (mut start, mut prefix, mut width) = (0, usize::MAX, 0);
        let mut end = 1 << ROOT;
        for length in ROOT + 1..=LONGEST {
            for done in 0..usize::from(counts[length]) {
                let Some(entry) = sorted.next() else { break };
                if code & ((1 << ROOT) - 1) != prefix {
                    prefix = code & ((1 << ROOT) - 1);
                    start = end;
                    // As wide as it takes until the codes that begin so are used up: the longest ones at the latest, as the set is complete.
                    width = length - ROOT;
                    let mut room = (1i32 << width) - i32::from(counts[length]) + done as i32;
                    while room > 0 {
                        width += 1;
                        room = (room << 1) - i32::from(counts[ROOT + width]);
                    }
                    end += 1 << width;
                    self.entries[prefix] = (start as u32) << 16 | SPECIAL | SECOND | (width as u32) << 8 | ROOT as u32;
                }
                let entry = with_code(entry, (length - ROOT) as u32);
                let step = 1 << (length - ROOT);
                for place in (start + (code >> ROOT)..start + (1 << width)).step_by(step) {
                    self.entries[place & (SIZE - 1)] = entry;
                }
                code = following(code, length);
            }
        }
        Ok(())
    }
}

/// The entry of a symbol whose code has `length` bits.
#[inline(always)]
fn with_code(symbol: u32, length: u32) -> u32 {
    symbol + (length << 8 | length)
}

/// The code of `length` bits after `code`: one more, counted from the highest bit down. Canonical codes only get longer, and a longer one
/// continues where the shorter ones ended, which in this order of bits is the same number.
#[inline(always)]
fn following(code: usize, length: usize) -> usize {
    let zeros = !code & ((1 << length) - 1);
    if zeros == 0 {
        return 0;
    }
    let highest = 1 << (usize::BITS - 1 - zeros.leading_zeros());
    (code & (highest - 1)) | highest
}

/// What the symbols of a format mean, as entries without codes.
pub(super) struct Symbols {
    pub(super) literals: [u32; LITERALS],
    pub(super) distances: [u32; DISTANCES],
}

pub(super) static DEFLATE: Symbols = Symbols::new(false);
pub(super) static DEFLATE64: Symbols = Symbols::new(true);

impl Symbols {
    /// RFC 1951, 3.2.5. In Deflate64 symbol 285 has 16 extra bits, and there are distance symbols 30 and 31.
    const fn new(deflate64: bool) -> Self {
        let mut literals = [SPECIAL; LITERALS];
        let mut symbol = 0;
        while symbol < 256 {
            literals[symbol] = LITERAL | (symbol as u32) << 16;
            symbol += 1;
        }
        literals[END] = SPECIAL | END_OF_BLOCK;
        let mut base = 3;
        symbol = 257;
        while symbol < 285 {
            let extra = if symbol < 265 { 0 } else { (symbol as u32 - 261) / 4 };
            literals[symbol] = base << 16 | extra;
            base += 1 << extra;
            symbol += 1;
        }
        literals[285] = if deflate64 { 3 << 16 | 16 } else { 258 << 16 };

        let mut distances = [SPECIAL; DISTANCES];
        let mut base = 1;
        symbol = 0;
        while symbol < if deflate64 { 32 } else { 30 } {
            let extra = if symbol < 4 { 0 } else { (symbol as u32 - 2) / 2 };
            distances[symbol] = base << 16 | extra;
            base += 1 << extra;
            symbol += 1;
        }
        Self { literals, distances }
    }
}

/// The code lengths of fixed blocks (RFC 1951, 3.2.6).
pub(super) static FIXED: [u8; LITERALS + DISTANCES] = {
    let mut lengths = [8; LITERALS + DISTANCES];
    let mut symbol = 144;
    while symbol < LITERALS + DISTANCES {
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

    /// Decodes one symbol bit by bit, as RFC 1951, 3.2.2 defines codes.
    fn naive(lengths: &[u8], bits: u64) -> Option<(usize, u32)> {
        let (mut code, mut first, mut bits) = (0u32, 0u32, bits);
        for length in 1..=LONGEST as u32 {
            code = code << 1 | (bits & 1) as u32;
            bits >>= 1;
            let mut with = (0..lengths.len()).filter(|&symbol| u32::from(lengths[symbol]) == length);
            if let Some(symbol) = code.checked_sub(first).and_then(|index| with.clone().nth(index as usize)) {
                return Some((symbol, length));
            }
            first = (first + with.by_ref().count() as u32) << 1;
        }
        None
    }

    fn check<const ROOT: usize, const SIZE: usize>(table: &mut Table<ROOT, SIZE>, lengths: &[u8]) {
        let symbols: Vec<u32> = (0..lengths.len() as u32).map(|symbol| symbol << 16).collect();
        table.build(lengths, &symbols, true).expect("a good set");
        for bits in (0..1 << LONGEST).step_by(7) {
            let (mut entry, mut before) = (table.first(bits), 0);
            if entry & SECOND != 0 {
                before = ROOT as u32;
                entry = table.second(entry, bits >> ROOT);
            }
            match naive(lengths, bits) {
                Some((symbol, length)) => {
                    assert_eq!((entry >> 16, before + (entry & 0xff)), (symbol as u32, length), "{bits:b} {lengths:?}")
                }
                None => assert_eq!(entry & !0xfff, SPECIAL, "{bits:b} {lengths:?}"),
            }
        }
    }

    /// A complete set: codes are split at random until all symbols have one.
    fn random_lengths(mut seed: u64, symbols: usize, used: usize) -> Vec<u8> {
        let mut random = move |below: usize| {
            seed = seed.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
            (seed >> 33) as usize % below
        };
        let mut codes = vec![0u8];
        while codes.len() < used {
            let which = random(codes.len());
            if usize::from(codes[which]) < LONGEST {
                codes[which] += 1;
                codes.push(codes[which]);
            }
        }
        let mut lengths = vec![0; symbols];
        for length in codes {
            let mut symbol = random(symbols);
            while lengths[symbol] != 0 {
                symbol = (symbol + 1) % symbols;
            }
            lengths[symbol] = length;
        }
        lengths
    }

    #[test]
    fn tables_agree_with_the_definition() {
        let mut literals = Box::new(LiteralTable::new());
        let mut distances = Box::new(DistanceTable::new());
        check(&mut literals, &FIXED[..LITERALS]);
        check(&mut distances, &FIXED[LITERALS..]);
        for seed in 0..4 {
            check(&mut literals, &random_lengths(seed, 286, 2 + seed as usize * 90));
            check(&mut distances, &random_lengths(seed, 32, 2 + seed as usize * 9));
        }
        // The longest codes there can be: 1, 2, 3, ... 14, 15, 15.
        let long: Vec<u8> = (1..=15).chain([15]).collect();
        check(&mut literals, &long);
        check(&mut distances, &long);
        // As many second tables as there can be: the last codes are one bit too long to be found at once.
        let crowded = |root: u8, count: usize| -> Vec<u8> {
            let rest = (1 << (root + 1)) - count;
            let short = (0..=root).filter(|bit| rest >> bit & 1 != 0).map(|bit| root + 1 - bit);
            short.chain(std::iter::repeat_n(root + 1, count)).collect()
        };
        check(&mut literals, &crowded(11, 276));
        check(&mut distances, &crowded(9, 24));
        check(&mut distances, &[0, 1, 0]);
        check(&mut distances, &[0; 32]);
    }

    #[test]
    fn bad_sets_are_refused() {
        let mut table = Box::new(DistanceTable::new());
        let mut build = |lengths: &[u8], may_be_empty| table.build(lengths, &[0; 32], may_be_empty);
        assert_eq!(build(&[1, 1, 1], true), Err(BadCode::Oversubscribed));
        assert_eq!(build(&[2; 32], true), Err(BadCode::Oversubscribed));
        assert_eq!(build(&[1, 2], true), Err(BadCode::Incomplete));
        assert_eq!(build(&[2], true), Err(BadCode::Incomplete));
        assert_eq!(build(&[0; 4], false), Err(BadCode::Incomplete));
        assert_eq!(build(&[0; 4], true), Ok(()));
        assert_eq!(build(&[0, 1], false), Ok(()));
    }

    #[test]
    fn symbols_are_those_of_the_rfc() {
        let meaning = |entry: u32| (entry >> 16, entry & 0xff);
        for (symbol, expected) in [(257, (3, 0)), (264, (10, 0)), (265, (11, 1)), (268, (17, 1)), (284, (227, 5))] {
            assert_eq!(meaning(DEFLATE.literals[symbol]), expected);
            assert_eq!(meaning(DEFLATE64.literals[symbol]), expected);
        }
        assert_eq!((meaning(DEFLATE.literals[285]), meaning(DEFLATE64.literals[285])), ((258, 0), (3, 16)));
        for (symbol, expected) in [(0, (1, 0)), (3, (4, 0)), (4, (5, 1)), (29, (24577, 13))] {
            assert_eq!(meaning(DEFLATE.distances[symbol]), expected);
        }
        assert_eq!((meaning(DEFLATE64.distances[30]), meaning(DEFLATE64.distances[31])), ((32769, 14), (49153, 14)));
        assert_eq!((DEFLATE.distances[30], DEFLATE.literals[286], DEFLATE64.literals[287]), (SPECIAL, SPECIAL, SPECIAL));
    }
}
