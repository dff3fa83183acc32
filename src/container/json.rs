//! A JSON tokenizer for the container's metadata.
//!
//! The set of accepted texts is part of the format: RFC 8259 without validation of UTF-8 (bytes above 0x7F are skipped), and with a
//! maximum nesting depth. Nothing recurses.

use super::error::Error;

/// Maximum nesting depth of arrays and objects.
pub(super) const DEPTH_MAX: usize = 10_000;

/// A text and the current position.
pub(super) struct Json<'t> {
    text: &'t [u8],
    at: usize,
    /// Offset of the text in the file.
    base: u64,
}

impl<'t> Json<'t> {
    pub(super) fn new(text: &'t [u8], base: u64) -> Self {
        Self { text, at: 0, base }
    }

    /// Returns the offset of the next byte in the file.
    pub(super) fn offset(&self) -> u64 {
        self.base + self.at as u64
    }

    #[inline]
    pub(super) fn peek(&self) -> Option<u8> {
        self.text.get(self.at).copied()
    }

    /// Consumes the next byte if it is `byte`.
    #[inline]
    pub(super) fn eat(&mut self, byte: u8) -> bool {
        let eaten = self.peek() == Some(byte);
        self.at += usize::from(eaten);
        eaten
    }

    /// Consumes the next byte, which must be `byte`.
    pub(super) fn expect(&mut self, byte: u8, message: &'static str) -> Result<(), Error> {
        if self.eat(byte) { Ok(()) } else { Err(self.error(message)) }
    }

    pub(super) fn error(&self, reason: &'static str) -> Error {
        Error::Corrupt { offset: self.offset(), reason }
    }

    /// Consumes white space. Returns its size in bytes.
    #[inline]
    pub(super) fn space(&mut self) -> usize {
        let from = self.at;
        while let Some(b' ' | b'\t' | b'\n' | b'\r') = self.peek() {
            self.at += 1;
        }
        self.at - from
    }

    /// Consumes `null`, `true` or `false`.
    pub(super) fn word(&mut self) -> Result<(), Error> {
        let rest = &self.text[self.at..];
        match ["null", "true", "false"].iter().find(|word| rest.starts_with(word.as_bytes())) {
            Some(word) => self.at += word.len(),
            None => return Err(self.error("a JSON value is expected")),
        }
        Ok(())
    }

    /// Consumes a number and returns its text.
    pub(super) fn number(&mut self) -> Result<&'t [u8], Error> {
        let from = self.at;
        self.eat(b'-');
        if !self.eat(b'0') {
            self.digits()?;
        }
        if self.eat(b'.') {
            self.digits()?;
        }
        if self.eat(b'e') || self.eat(b'E') {
            _ = self.eat(b'+') || self.eat(b'-');
            self.digits()?;
        }
        Ok(&self.text[from..self.at])
    }

    fn digits(&mut self) -> Result<(), Error> {
        if !matches!(self.peek(), Some(b'0'..=b'9')) {
            return Err(self.error("a digit is expected"));
        }
        while let Some(b'0'..=b'9') = self.peek() {
            self.at += 1;
        }
        Ok(())
    }

    /// Consumes a string and returns the text between its quotes, still escaped.
    pub(super) fn string(&mut self) -> Result<&'t [u8], Error> {
        self.expect(b'"', "a string is expected")?;
        let from = self.at;
        loop {
            match self.peek() {
                Some(b'"') => break,
                Some(b'\\') => {
                    self.at += 1;
                    self.escape()?;
                }
                Some(0..=0x1f) => return Err(self.error("a control character must be escaped in a string")),
                Some(_) => self.at += 1,
                None => return Err(self.error("the metadata ends in a string")),
            }
        }
        self.at += 1;
        Ok(&self.text[from..self.at - 1])
    }

    fn escape(&mut self) -> Result<(), Error> {
        match self.peek() {
            Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => self.at += 1,
            Some(b'u') => {
                self.at += 1;
                for _ in 0..4 {
                    if !self.peek().is_some_and(|byte| byte.is_ascii_hexdigit()) {
                        return Err(self.error("a hexadecimal digit is expected"));
                    }
                    self.at += 1;
                }
            }
            _ => return Err(self.error("unknown escape in a string")),
        }
        Ok(())
    }

    /// Consumes a value nested in `depth` arrays and objects.
    pub(super) fn skip(&mut self, depth: usize) -> Result<(), Error> {
        let mut open = NestingStack::new(depth);
        loop {
            self.space();
            match self.peek() {
                Some(b'{') => {
                    open.push(true).ok_or_else(|| self.error(TOO_DEEP))?;
                    self.at += 1;
                    self.space();
                    if self.peek() != Some(b'}') {
                        self.key()?;
                        continue;
                    }
                }
                Some(b'[') => {
                    open.push(false).ok_or_else(|| self.error(TOO_DEEP))?;
                    self.at += 1;
                    self.space();
                    if self.peek() != Some(b']') {
                        continue;
                    }
                }
                Some(b'"') => _ = self.string()?,
                Some(b'-' | b'0'..=b'9') => _ = self.number()?,
                _ => self.word()?,
            }
            // A value has ended, or an array or object is empty.
            loop {
                let Some(is_object) = open.top() else { return Ok(()) };
                self.space();
                if self.eat(if is_object { b'}' } else { b']' }) {
                    open.pop();
                    continue;
                }
                self.expect(b',', if is_object { IN_OBJECT } else { IN_ARRAY })?;
                if is_object {
                    self.key()?;
                }
                break;
            }
        }
    }

    fn key(&mut self) -> Result<(), Error> {
        self.space();
        self.string()?;
        self.space();
        self.expect(b':', "a colon is expected")
    }
}

pub(super) const IN_OBJECT: &str = "a comma or } is expected";
pub(super) const IN_ARRAY: &str = "a comma or ] is expected";
const TOO_DEEP: &str = "values are nested too deeply (maximum 10000)";

/// The stack of open arrays and objects: one bit each, to save stack memory.
struct NestingStack {
    bits: [u64; DEPTH_MAX.div_ceil(64)],
    outer: usize,
    depth: usize,
}

impl NestingStack {
    fn new(outer: usize) -> Self {
        Self { bits: [0; _], outer, depth: 0 }
    }

    /// Returns `None` if the nesting is too deep.
    fn push(&mut self, is_object: bool) -> Option<()> {
        if self.outer + self.depth >= DEPTH_MAX {
            return None;
        }
        let (word, bit) = (&mut self.bits[self.depth / 64], 1 << (self.depth % 64));
        *word = if is_object { *word | bit } else { *word & !bit };
        self.depth += 1;
        Some(())
    }

    fn top(&self) -> Option<bool> {
        let top = self.depth.checked_sub(1)?;
        Some(self.bits[top / 64] >> (top % 64) & 1 == 1)
    }

    fn pop(&mut self) {
        self.depth -= 1;
    }
}

/// Finds the one of `names` (in lower case) that a key matches by the rules of the original: unescaped, ignoring the case of ASCII letters,
/// and U+017F (long s) matches s.
pub(super) fn find(key: &[u8], names: &[&'static str]) -> Option<usize> {
    if let Some(found) = names.iter().position(|name| name.as_bytes() == key) {
        return Some(found);
    }
    const NAME_MAX: usize = "sections".len();
    let (mut folded, mut len, mut rest) = ([0; NAME_MAX], 0, key);
    while !rest.is_empty() {
        let (letter, more) = match rest {
            [b'\\', b'u', a, b, c, d, more @ ..] => {
                let code = [a, b, c, d].iter().fold(0, |code, digit| code << 4 | char::from(**digit).to_digit(16).unwrap_or(0));
                (if code == 0x17f { b's' } else { u8::try_from(code).ok()? }, more)
            }
            [0xc5, 0xbf, more @ ..] => (b's', more),
            [byte, more @ ..] => (*byte, more),
            [] => break,
        };
        // No name has anything but letters, so other bytes and escapes do not match.
        *folded.get_mut(len)? = Some(letter.to_ascii_lowercase()).filter(u8::is_ascii_lowercase)?;
        (len, rest) = (len + 1, more);
    }
    names.iter().position(|name| name.as_bytes() == &folded[..len])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_found_as_the_original_does() {
        let names = ["version", "sections", "type"];
        for key in ["sections", "SECTIONS", "sEctionS", "\u{17f}ection\u{17f}", r"\u0073ections", r"\u017Fections"] {
            assert_eq!(find(key.as_bytes(), &names), Some(1), "{key}");
        }
        for key in ["", "section", "sectionss", "sectio\u{274}s", r"section\n", r"\u0173ections", "type ", "\u{212a}"] {
            assert_eq!(find(key.as_bytes(), &names), None, "{key}");
        }
        assert_eq!(find(b"\xff", &names), None);
    }

    fn is_one_value(text: &[u8]) -> bool {
        let mut json = Json::new(text, 0);
        json.skip(0).is_ok() && json.peek().is_none()
    }

    #[test]
    fn values_are_strict_json() {
        let valid = "0 -0 10 -12.50 1e5 1E+5 1e-05 0.0e0 1e999 null true false \"\" \"\\\"\\\\\\/\\b\\f\\n\\r\\t\" \"\\uD800\\u00aF\" \
                     [] {} [0,[1],{\"\":[]}] {\"a\":{},\"a\":\"]\"}";
        for text in valid.split_whitespace() {
            assert!(is_one_value(text.as_bytes()), "{text}");
        }
        assert!(is_one_value(b" [ 1 ,\t{ \"a\"\r:\n2 , \"b\" : [ ] } ]") && is_one_value(b"\"\x7f\xff\xed\xa0\x80\""));
        let invalid = "- + +1 01 -01 1. .5 1.e1 1e 1e+ 1e+-5 1e1.5 0x1 Null nul True NaN Infinity 'a' \" \"\\\" \"\\x\" \"\\u12g4\" \"\\u123\" \
                       [ [1 [1, [,] [1,] [1]] [1}} {\"a\"} {\"a\":} {\"a\":1,} {,} {a:1} {1:1} {\"a\":1 {\"a\" 1,2 ] } , : //";
        for text in invalid.split_whitespace() {
            assert!(!is_one_value(text.as_bytes()), "{text}");
        }
        for text in [&b""[..], b" ", b"\"\x1f\"", b"\"\0\"", b"\xef\xbb\xbf0", b"\x0b0", b"\xc2\xa00"] {
            assert!(!is_one_value(text), "{text:?}");
        }
    }

    #[test]
    fn accepts_maximum_nesting_depth_and_no_more() {
        for (depth, outer, fits) in [(10_000, 0, true), (10_001, 0, false), (9_999, 1, true), (10_000, 1, false)] {
            for (open, close, innermost) in [("[", "]", "[]"), ("{\"a\":", "}", "{}")] {
                let text = format!("{}{innermost}{}", open.repeat(depth - 1), close.repeat(depth - 1));
                assert_eq!(Json::new(text.as_bytes(), 0).skip(outer).is_ok(), fits, "{depth} {outer} {open}");
            }
        }
    }
}
