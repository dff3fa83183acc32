//! Text of limited length, without allocation.

use std::ffi::CStr;
use std::fmt::{self, Write};

/// A C string of at most `SIZE - 1` bytes, on the stack. Longer text is truncated between characters.
pub(super) struct FixedString<const SIZE: usize> {
    bytes: [u8; SIZE],
    used: usize,
}

impl<const SIZE: usize> FixedString<SIZE> {
    pub(super) const fn new() -> Self {
        Self { bytes: [0; SIZE], used: 0 }
    }

    /// Replaces the text.
    pub(super) fn set(&mut self, text: impl fmt::Display) {
        *self = Self::new();
        _ = write!(self, "{text}");
    }

    pub(super) fn as_c_str(&self) -> &CStr {
        CStr::from_bytes_until_nul(&self.bytes).unwrap_or_default()
    }

    /// The text and a newline, in place of the NUL.
    pub(super) fn with_newline(&mut self) -> &[u8] {
        self.bytes[self.used] = b'\n';
        &self.bytes[..=self.used]
    }
}

impl<const SIZE: usize> Write for FixedString<SIZE> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let mut end = text.len().min(SIZE - 1 - self.used);
        while !text.is_char_boundary(end) {
            end -= 1;
        }
        let text = &text[..end];
        self.bytes[self.used..][..text.len()].copy_from_slice(text.as_bytes());
        self.used += text.len();
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn truncates_long_text_between_characters() {
        let mut text = FixedString::<8>::new();
        _ = write!(text, "12345");
        _ = write!(text, "6ä and more");
        assert_eq!(text.as_c_str(), c"123456");
        assert_eq!(text.with_newline(), b"123456\n");
        let mut text = FixedString::<8>::new();
        _ = write!(text, "1234567");
        _ = write!(text, "8");
        assert_eq!(text.with_newline(), b"1234567\n");
    }
}
