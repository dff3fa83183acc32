//! Sizes and counts as text.

/// `1 region`, `2 regions`.
pub fn pluralize(count: usize, noun: &str) -> String {
    format!("{count} {noun}{}", if count == 1 { "" } else { "s" })
}

/// Adds sizes. Saturates, because sizes in corrupt files can exceed 2^64 in total.
pub fn sum_sizes(sizes: impl Iterator<Item = u64>) -> u64 {
    sizes.fold(0, u64::saturating_add)
}

/// The exact size in bytes, followed by the human-readable one from 1 KiB on.
pub fn size_with_unit(size: u64) -> String {
    let exact = if size == 1 { "1 byte".to_owned() } else { format!("{size} bytes") };
    if size < 1024 { exact } else { format!("{exact} ({})", human_size(size)) }
}

/// The size with one decimal in the largest fitting unit.
pub fn human_size(size: u64) -> String {
    let units = ["KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];
    let mut value = size as f64;
    let mut unit = "B";
    for next in units {
        // 1023.95 would be printed as 1024.0.
        if value < 1023.95 {
            break;
        }
        value /= 1024.0;
        unit = next;
    }
    if unit == "B" { format!("{size} B") } else { format!("{value:.1} {unit}") }
}

/// How many times smaller `stored` is than `data`.
pub fn ratio(data: u64, stored: u64) -> String {
    if stored == 0 { "-".to_owned() } else { format!("{:.2}", data as f64 / stored as f64) }
}

/// Parses a size in bytes with an optional suffix K, M, G or T for KiB, MiB, GiB or TiB.
pub fn parse_size(text: &str) -> Result<u64, String> {
    let digits = text.trim_end_matches(|c: char| !c.is_ascii_digit());
    let shift = match text[digits.len()..].trim().to_ascii_lowercase().as_str() {
        "" | "b" => 0,
        "k" | "kib" => 10,
        "m" | "mib" => 20,
        "g" | "gib" => 30,
        "t" | "tib" => 40,
        _ => return Err("expected a number of bytes with an optional suffix K, M, G or T".to_owned()),
    };
    let number: u64 = digits.parse().map_err(|_| "expected a number of bytes".to_owned())?;
    number.checked_mul(1 << shift).ok_or_else(|| "more than 2^64 bytes".to_owned())
}
