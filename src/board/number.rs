//! Sizes as build files, C headers and linker scripts write them.

/// How deep brackets may nest.
const DEPTH: usize = 32;

/// The value of an integer expression such as `0x800000`, `256K` or `(16 * 1024 * 1024)`.
///
/// `K` and `M` are linker-script suffixes (1024 and 1024²), `u` and `l` those of C. `None` for
/// anything else, names included.
pub(super) fn evaluate(text: &str) -> Option<u64> {
    let mut parser = Parser { rest: text.trim() };
    let value = parser.sum(0)?;
    parser.rest.is_empty().then_some(value)
}

struct Parser<'a> {
    rest: &'a str,
}

impl Parser<'_> {
    fn sum(&mut self, depth: usize) -> Option<u64> {
        let mut value = self.product(depth)?;
        loop {
            if self.take('+') {
                value = value.checked_add(self.product(depth)?)?;
            } else if self.take('-') {
                value = value.checked_sub(self.product(depth)?)?;
            } else {
                return Some(value);
            }
        }
    }

    fn product(&mut self, depth: usize) -> Option<u64> {
        let mut value = self.term(depth)?;
        loop {
            if self.take('*') {
                value = value.checked_mul(self.term(depth)?)?;
            } else if self.take('/') {
                value = value.checked_div(self.term(depth)?)?;
            } else {
                return Some(value);
            }
        }
    }

    fn term(&mut self, depth: usize) -> Option<u64> {
        if self.take('(') {
            let value = if depth < DEPTH { self.sum(depth + 1)? } else { return None };
            return self.take(')').then_some(value);
        }
        let end = self.rest.find(|c: char| !c.is_ascii_alphanumeric()).unwrap_or(self.rest.len());
        let (word, rest) = self.rest.split_at(end);
        self.rest = rest.trim_start();
        number(word)
    }

    fn take(&mut self, character: char) -> bool {
        let rest = self.rest.strip_prefix(character);
        self.rest = rest.map_or(self.rest, str::trim_start);
        rest.is_some()
    }
}

fn number(word: &str) -> Option<u64> {
    let word = word.to_ascii_lowercase();
    if let Some(digits) = word.strip_prefix("0x") {
        return u64::from_str_radix(digits.trim_end_matches(['u', 'l']), 16).ok();
    }
    let (digits, unit) = match word.chars().last()? {
        'k' => (word.trim_end_matches('k'), 1024),
        'm' => (word.trim_end_matches('m'), 1024 * 1024),
        _ => (word.trim_end_matches(['u', 'l']), 1),
    };
    digits.parse::<u64>().ok()?.checked_mul(unit)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read_as_their_languages_mean_them() {
        for (text, value) in [
            ("0x800000", 8 << 20),
            ("256K", 256 << 10),
            ("1M", 1 << 20),
            (" (16 * 1024 * 1024) ", 16 << 20),
            ("(2 * (1024u * 1024UL))", 2 << 20),
            ("4096k - 1536 * 1024", 4096 * 1024 - 1536 * 1024),
            ("8/2/2", 2),
        ] {
            assert_eq!(evaluate(text), Some(value), "{text}");
        }
    }

    #[test]
    fn anything_else_has_no_value() {
        let deep = "(".repeat(100_000);
        for text in [
            "",
            "PICO_FLASH_SIZE_BYTES",
            "1 +",
            "(1",
            "1)",
            "0xg",
            "2 - 3",
            "1/0",
            "4GB",
            "99999999999999999999",
            "18446744073709551615 * 2",
            &deep,
        ] {
            assert_eq!(evaluate(text), None, "{text:.20}");
        }
    }
}
