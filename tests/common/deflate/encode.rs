//! Writes Deflate and Deflate64 streams, symbol by symbol.

/// A small generator of random numbers (splitmix64).
pub struct Random(pub u64);

impl Random {
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below `end`.
    pub fn below(&mut self, end: usize) -> usize {
        (self.next() >> 11) as usize % end.max(1)
    }

    /// A number below `end`, small ones more often.
    pub fn small(&mut self, end: usize) -> usize {
        let most = 1 + self.below(end);
        let most = 1 + self.below(most);
        self.below(most)
    }

    /// True once in `n` times.
    pub fn once_in(&mut self, n: usize) -> bool {
        self.below(n) == 0
    }
}

/// What a compressed block consists of.
#[derive(Clone, Copy, Debug)]
pub enum Token {
    Literal(u8),
    /// `symbol` is the length's, as Deflate64's lengths to 258 have two.
    Match {
        symbol: usize,
        length: usize,
        distance: usize,
    },
}

/// Base and extra bits of length symbol 257 and the following.
pub fn length_symbol(symbol: usize, deflate64: bool) -> (usize, u32) {
    if symbol == 285 {
        return if deflate64 { (3, 16) } else { (258, 0) };
    }
    let index = symbol - 257;
    if index < 8 { (3 + index, 0) } else { (3 + ((4 + index % 4) << (index / 4 - 1)), (index / 4 - 1) as u32) }
}

pub fn distance_symbol(symbol: usize) -> (usize, u32) {
    if symbol < 4 { (1 + symbol, 0) } else { (1 + ((2 + symbol % 2) << (symbol / 2 - 1)), (symbol / 2 - 1) as u32) }
}

fn symbol_of_distance(distance: usize) -> usize {
    (0..32).rev().find(|&symbol| distance_symbol(symbol).0 <= distance).expect("at least 1")
}

/// A stream that is being made, and what it decompresses to.
pub struct Encoder {
    pub deflate64: bool,
    pub stream: Vec<u8>,
    pub plain: Vec<u8>,
    bits: u64,
    count: u32,
}

impl Encoder {
    pub fn new(deflate64: bool) -> Self {
        Self { deflate64, stream: Vec::new(), plain: Vec::new(), bits: 0, count: 0 }
    }

    /// The position in bits.
    pub fn at(&self) -> u64 {
        8 * self.stream.len() as u64 + u64::from(self.count)
    }

    pub fn put(&mut self, value: usize, count: u32) {
        self.bits |= (value as u64) << self.count;
        self.count += count;
        while self.count >= 8 {
            self.stream.push(self.bits as u8);
            self.bits >>= 8;
            self.count -= 8;
        }
    }

    /// Fills the last byte with `filler`.
    pub fn align(&mut self, filler: usize) {
        if self.count > 0 {
            let count = 8 - self.count;
            self.put(filler & ((1 << count) - 1), count);
        }
    }

    pub fn stored(&mut self, bytes: &[u8], last: bool, filler: usize) {
        self.put(usize::from(last), 3);
        self.align(filler);
        self.put(bytes.len(), 16);
        self.put(bytes.len() ^ 0xffff, 16);
        self.stream.extend(bytes);
        self.plain.extend(bytes);
    }

    pub fn fixed(&mut self, tokens: &[Token], last: bool) {
        self.put(usize::from(last) | 1 << 1, 3);
        let lengths: Vec<u8> = (0..288)
            .map(|symbol| [8, 9, 7, 8][usize::from(symbol >= 144) + usize::from(symbol >= 256) + usize::from(symbol >= 280)])
            .collect();
        self.symbols(tokens, &codes(&lengths), &codes(&[5; 32]));
    }

    /// A block with code lengths that fit the tokens; `any` also gives codes to symbols that are not used.
    pub fn dynamic(&mut self, tokens: &[Token], last: bool, any: Option<&mut Random>) {
        let (mut literals, mut distances) = (vec![0usize; 286], vec![0usize; if self.deflate64 { 32 } else { 30 }]);
        literals[256] = 1;
        for token in tokens {
            match *token {
                Token::Literal(byte) => literals[usize::from(byte)] += 1,
                Token::Match { symbol, distance, .. } => {
                    literals[symbol] += 1;
                    distances[symbol_of_distance(distance)] += 1;
                }
            }
        }
        let random = any.is_some();
        if let Some(random) = any {
            for count in literals.iter_mut().chain(&mut distances) {
                if *count > 0 || random.once_in(4) {
                    *count = 1 << random.small(20);
                }
            }
        }
        let (mut literals, distances) = (huffman(&literals), huffman(&distances));
        if random && self.deflate64 && tokens.len().is_multiple_of(2) {
            // Deflate64 may count the symbols that mean nothing.
            literals.resize(288, 0);
        }
        self.dynamic_header(&literals, &distances, last);
        self.symbols(tokens, &codes(&literals), &codes(&distances));
    }

    /// Writes the header of a dynamic block, valid or not.
    pub fn dynamic_header(&mut self, literals: &[u8], distances: &[u8], last: bool) {
        let used =
            |lengths: &[u8], least: usize| lengths.iter().rposition(|&length| length != 0).map_or(least, |at| least.max(at + 1));
        let (literals, distances) = (
            &literals[..used(literals, 257).max(literals.len().min(288) * usize::from(literals.len() == 288))],
            &distances[..used(distances, 1)],
        );
        let all: Vec<u8> = literals.iter().chain(distances).copied().collect();
        let mut runs: Vec<(usize, usize, u32)> = Vec::new();
        let mut at = 0;
        while at < all.len() {
            let same = all[at..].iter().take_while(|&&length| length == all[at]).count();
            if all[at] == 0 && same >= 3 {
                let same = same.min(138);
                runs.push(if same >= 11 { (18, same - 11, 7) } else { (17, same - 3, 3) });
                at += same;
            } else if same >= 4 {
                let same = same.min(7);
                runs.push((usize::from(all[at]), 0, 0));
                runs.push((16, same - 4, 2));
                at += same;
            } else {
                runs.push((usize::from(all[at]), 0, 0));
                at += 1;
            }
        }
        let mut counts = [0usize; 19];
        runs.iter().for_each(|run| counts[run.0] += 1);
        // The code lengths' code must be complete: two symbols at least, of at most 7 bits.
        if counts.iter().filter(|&&count| count > 0).count() < 2 {
            counts[usize::from(counts[0] > 0)] += 1;
        }
        let lengths = huffman_of_at_most(&counts, 7);
        let order = [16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15];
        let sent = order.iter().rposition(|&symbol| lengths[symbol] != 0).map_or(4, |at| (at + 1).max(4));
        self.put(usize::from(last) | 2 << 1, 3);
        self.put(literals.len() - 257, 5);
        self.put(distances.len() - 1, 5);
        self.put(sent - 4, 4);
        order[..sent].iter().for_each(|&symbol| self.put(usize::from(lengths[symbol]), 3));
        let codes = codes(&lengths);
        for (symbol, extra, bits) in runs {
            self.put(codes[symbol].0, codes[symbol].1);
            self.put(extra, bits);
        }
    }

    /// Tokens, and the end of the block.
    pub fn symbols(&mut self, tokens: &[Token], literals: &[(usize, u32)], distances: &[(usize, u32)]) {
        for token in tokens {
            match *token {
                Token::Literal(byte) => {
                    let (code, bits) = literals[usize::from(byte)];
                    assert_ne!(bits, 0);
                    self.put(code, bits);
                    self.plain.push(byte);
                }
                Token::Match { symbol, length, distance } => {
                    let (code, bits) = literals[symbol];
                    assert_ne!(bits, 0);
                    self.put(code, bits);
                    let (base, extra) = length_symbol(symbol, self.deflate64);
                    self.put(length - base, extra);
                    let symbol = symbol_of_distance(distance);
                    assert_ne!(distances[symbol].1, 0);
                    self.put(distances[symbol].0, distances[symbol].1);
                    let (base, extra) = distance_symbol(symbol);
                    self.put(distance - base, extra);
                    for _ in 0..length {
                        self.plain.push(self.plain[self.plain.len() - distance]);
                    }
                }
            }
        }
        self.put(literals[256].0, literals[256].1);
    }

    pub fn finish(mut self) -> (Vec<u8>, Vec<u8>) {
        self.align(0);
        (self.stream, self.plain)
    }
}

/// The codes for code lengths, first bit lowest, and their bits.
pub fn codes(lengths: &[u8]) -> Vec<(usize, u32)> {
    let mut next = [0usize; 17];
    for length in 1..16 {
        next[length + 1] = (next[length] + lengths.iter().filter(|&&l| usize::from(l) == length).count()) << 1;
    }
    lengths
        .iter()
        .map(|&length| {
            if length == 0 {
                return (0, 0);
            }
            let code = next[usize::from(length)];
            next[usize::from(length)] += 1;
            (code.reverse_bits() >> (usize::BITS - u32::from(length)), u32::from(length))
        })
        .collect()
}

/// Code lengths for counts, of at most 15 bits.
pub fn huffman(counts: &[usize]) -> Vec<u8> {
    huffman_of_at_most(counts, 15)
}

fn huffman_of_at_most(counts: &[usize], most: u8) -> Vec<u8> {
    let mut counts = counts.to_vec();
    loop {
        let mut lengths = vec![0u8; counts.len()];
        let mut heap: std::collections::BinaryHeap<(std::cmp::Reverse<usize>, std::cmp::Reverse<usize>)> = counts
            .iter()
            .enumerate()
            .filter(|(_, count)| **count > 0)
            .map(|(symbol, &count)| (std::cmp::Reverse(count), std::cmp::Reverse(symbol)))
            .collect();
        if heap.len() == 1 {
            lengths[heap.pop().expect("one").1.0] = 1;
            return lengths;
        }
        let mut parents = vec![0usize; 2 * counts.len()];
        let mut next = counts.len();
        while heap.len() > 1 {
            let (a, b) = (heap.pop().expect("two"), heap.pop().expect("two"));
            (parents[a.1.0], parents[b.1.0]) = (next, next);
            heap.push((std::cmp::Reverse(a.0.0 + b.0.0), std::cmp::Reverse(next)));
            next += 1;
        }
        for (symbol, length) in lengths.iter_mut().enumerate().filter(|(symbol, _)| counts[*symbol] > 0) {
            let mut node = symbol;
            while node != next - 1 {
                node = parents[node];
                *length += 1;
            }
        }
        if lengths.iter().all(|&length| length <= most) {
            return lengths;
        }
        counts.iter_mut().filter(|count| **count > 0).for_each(|count| *count = *count / 4 + 1);
    }
}

/// A random stream that has, if there are enough of them, every kind of block, every symbol, length and distance.
pub fn random_stream(seed: u64, deflate64: bool, blocks: usize) -> (Vec<u8>, Vec<u8>) {
    let mut random = Random(seed);
    let mut encoder = Encoder::new(deflate64);
    for block in 0..blocks {
        let last = block + 1 == blocks;
        if random.once_in(4) {
            let most = [1, 10, 1000, 65536][random.below(4)];
            let bytes: Vec<u8> = (0..random.below(most)).map(|_| random.next() as u8).collect();
            encoder.stored(&bytes, last, random.next() as usize);
            continue;
        }
        let letters = 1 + random.below(256);
        let mut have = encoder.plain.len();
        let tokens: Vec<Token> = (0..random.small(700))
            .map(|_| {
                if have == 0 || random.once_in(2) {
                    have += 1;
                    return Token::Literal(random.below(letters) as u8);
                }
                // Every symbol is as likely as any other; the longest matches are rare, as they are long.
                let symbols = if deflate64 && !random.once_in(20) { 28 } else { 29 };
                let symbol = 257 + random.below(symbols);
                let (base, extra) = length_symbol(symbol, deflate64);
                let length = base + if symbol == 285 { random.small(1 << extra) } else { random.below(1 << extra) };
                let window = if deflate64 { 65536 } else { 32768 }.min(have);
                let (base, extra) = distance_symbol(random.below(1 + symbol_of_distance(window)));
                let distance = (base + random.below(1 << extra)).min(window);
                have += length;
                Token::Match { symbol, length, distance }
            })
            .collect();
        match random.below(4) {
            0 => encoder.fixed(&tokens, last),
            1 => encoder.dynamic(&tokens, last, Some(&mut random)),
            _ => encoder.dynamic(&tokens, last, None),
        }
    }
    encoder.finish()
}

/// A simple compressor: where no other is available.
pub fn compress(plain: &[u8], deflate64: bool) -> Vec<u8> {
    let mut encoder = Encoder::new(deflate64);
    let window = if deflate64 { 65536 } else { 32768 };
    let mut seen = vec![usize::MAX; 1 << 16];
    let mut tokens = Vec::new();
    let mut at = 0;
    while at < plain.len() {
        let mut found = None;
        if at + 4 <= plain.len() {
            let word = u32::from_le_bytes(plain[at..at + 4].try_into().expect("four bytes"));
            let place = &mut seen[(word.wrapping_mul(2654435761) >> 16) as usize];
            let before = std::mem::replace(place, at);
            if before != usize::MAX && at - before <= window {
                let most = if deflate64 { 65538 } else { 258 }.min(plain.len() - at);
                let length = (0..most).take_while(|i| plain[before + i] == plain[at + i]).count();
                if length >= 4 {
                    found = Some((length, at - before));
                }
            }
        }
        if let Some((length, distance)) = found {
            let symbol = (257..285 + usize::from(length > 257 || !deflate64))
                .rev()
                .find(|&symbol| length_symbol(symbol, deflate64).0 <= length)
                .expect("at least 3");
            let symbol = if length == 258 && !deflate64 { 285 } else { symbol };
            tokens.push(Token::Match { symbol, length, distance });
            at += length;
        } else {
            tokens.push(Token::Literal(plain[at]));
            at += 1;
        }
        if tokens.len() == 16384 {
            encoder.dynamic(&tokens, false, None);
            tokens.clear();
        }
    }
    encoder.dynamic(&tokens, true, None);
    encoder.finish().0
}
