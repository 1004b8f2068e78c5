//! Numbers as partition tables write them, read as ESP-IDF's `gen_esp32part.py` reads them:
//! Python's `int(text, 0)`, and the suffixes `K` and `M`.

/// The number that a field holds, or nothing when it holds none.
///
/// Suffixes may follow each other, as they may upstream (`1KK` is `1M`).
pub(super) fn parse(text: &str) -> Option<i64> {
    let factor = match text.chars().last()?.to_ascii_lowercase() {
        'k' => 1024,
        'm' => 1024 * 1024,
        _ => return integer(text),
    };
    let rest = text.get(..text.len() - 1)?;
    parse(rest)?.checked_mul(factor)
}

/// A Python integer literal, with a sign and with spaces around it.
fn integer(text: &str) -> Option<i64> {
    let text = text.trim();
    let (negative, text) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    let (radix, digits) = match text.get(..2).map(str::to_ascii_lowercase).as_deref() {
        Some("0x") => (16, prefixed(text)?),
        Some("0o") => (8, prefixed(text)?),
        Some("0b") => (2, prefixed(text)?),
        _ => (10, text),
    };
    let plain = without_underscores(digits)?;
    // A decimal literal has no leading zeros, unless it is zero.
    if radix == 10 && plain.starts_with('0') && plain.bytes().any(|digit| digit != b'0') {
        return None;
    }
    // The sign was taken off above; `from_str_radix` would take another.
    if !plain.starts_with(|first: char| first.is_digit(radix)) {
        return None;
    }
    let value = i64::from_str_radix(&plain, radix).ok()?;
    Some(if negative { -value } else { value })
}

/// What follows `0x`; an underscore may follow the prefix.
fn prefixed(text: &str) -> Option<&str> {
    let digits = text.get(2..)?;
    Some(digits.strip_prefix('_').unwrap_or(digits))
}

/// Digits with single underscores between them.
fn without_underscores(digits: &str) -> Option<String> {
    let well_placed = !digits.starts_with('_') && !digits.ends_with('_') && !digits.contains("__");
    well_placed.then(|| digits.replace('_', ""))
}

#[cfg(test)]
mod tests {
    use super::parse;

    #[test]
    fn numbers_are_pythons() {
        for (text, value) in [
            ("0x9000", 0x9000),
            ("0X1_0", 0x10),
            ("0x_10", 0x10),
            ("0b101", 5),
            ("0o17", 15),
            ("1_000", 1000),
            ("000", 0),
            ("+5", 5),
            ("-4K", -4096),
            ("4 K", 4096),
            ("1kk", 1 << 20),
            ("2M", 2 << 20),
            ("0x10K", 0x4000),
        ] {
            assert_eq!(parse(text), Some(value), "{text}");
        }
        for text in
            ["", "K", "1.5M", "010", "0x", "1__0", "_1", "1_", "--1", "+-1", "ff", "9e3", "é"]
        {
            assert_eq!(parse(text), None, "{text}");
        }
    }

    #[test]
    fn what_is_too_large_is_no_number() {
        assert_eq!(parse("0x8000000000000000"), None);
        assert_eq!(parse(&format!("1{}", "M".repeat(20))), None);
    }
}
