//! Escapes names and values from files, which must not control a terminal.

/// Whether a terminal may act on the character, or reorder others because of it.
pub fn is_terminal_control(c: char) -> bool {
    c.is_control() || matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// Escapes characters that a terminal could act on.
pub fn escape_for_terminal(text: &str) -> String {
    text.chars().fold(String::new(), |mut escaped, c| {
        if is_terminal_control(c) {
            escaped.extend(c.escape_default());
        } else {
            escaped.push(c);
        }
        escaped
    })
}

/// Text up to the first NUL, with bytes that are not printable ASCII escaped.
pub fn ascii(text: &[u8]) -> String {
    let end = text.iter().position(|byte| *byte == 0).unwrap_or(text.len());
    text[..end].escape_ascii().to_string()
}

/// Lower-case hexadecimal digits.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
