//! What a plain scalar means: in YAML 1.2, as read, and in YAML 1.1, as PyYAML asks before it
//! leaves a text unquoted.

use serde_json::{Number, Value};

/// The value of a plain scalar in YAML 1.2's core schema, with the digit groups (`1_000`) that
/// ruamel.yaml allows. An integer too large for its type becomes the nearest float.
pub(super) fn resolve_core(text: &str) -> Value {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => return Value::Null,
        "true" | "True" | "TRUE" => return Value::Bool(true),
        "false" | "False" | "FALSE" => return Value::Bool(false),
        _ => {}
    }
    let (sign, digits) = match text.strip_prefix('-') {
        Some(rest) => (-1, rest),
        None => (1, text.strip_prefix('+').unwrap_or(text)),
    };
    if !digits.starts_with(|first: char| first.is_ascii_digit() || first == '.') {
        return Value::String(text.to_owned());
    }
    let plain: String = digits.chars().filter(|&character| character != '_').collect();
    let radix = |prefix: &str, radix: u32| {
        plain.strip_prefix(prefix).and_then(|digits| i64::from_str_radix(digits, radix).ok())
    };
    let integer = radix("0x", 16)
        .or_else(|| radix("0o", 8))
        .or_else(|| radix("0b", 2))
        .or_else(|| plain.parse().ok().filter(|_| !plain.starts_with(['+', '-'])));
    if let Some(integer) = integer {
        return Value::from(sign * integer);
    }
    let is_float = plain.bytes().any(|byte| byte.is_ascii_digit())
        && plain.bytes().all(|byte| byte.is_ascii_digit() || b".eE+-".contains(&byte));
    let float = is_float.then(|| plain.parse::<f64>().ok()).flatten();
    match float.and_then(|float| Number::from_f64(float * f64::from(sign as i32))) {
        Some(number) => Value::Number(number),
        None => Value::String(text.to_owned()),
    }
}

/// Whether YAML 1.1 takes the plain scalar for something else than text (the resolvers of PyYAML).
pub(super) fn is_special_1_1(text: &str) -> bool {
    matches!(text, "" | "~" | "=" | "<<")
        || is_word(text)
        || is_integer(text)
        || is_float(text)
        || is_timestamp(text)
}

fn is_word(text: &str) -> bool {
    ["null", "yes", "no", "true", "false", "on", "off"].iter().any(|word| {
        text == *word
            || text == word.to_uppercase()
            || (text.to_lowercase() == *word
                && text.starts_with(|first: char| first.is_ascii_uppercase())
                && text.chars().skip(1).all(|character| character.is_ascii_lowercase()))
    })
}

fn unsigned(text: &str) -> &str {
    text.strip_prefix(['-', '+']).unwrap_or(text)
}

fn all(text: &str, allowed: impl Fn(u8) -> bool) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte == b'_' || allowed(byte))
}

fn is_integer(text: &str) -> bool {
    let text = unsigned(text);
    if let Some(digits) = text.strip_prefix("0b") {
        return all(digits, |byte| matches!(byte, b'0' | b'1'));
    }
    if let Some(digits) = text.strip_prefix("0x") {
        return all(digits, |byte| byte.is_ascii_hexdigit());
    }
    match text.strip_prefix('0') {
        Some("") => true,
        Some(digits) => all(digits, |byte| matches!(byte, b'0'..=b'7')),
        None => {
            let (first, sixties) = text.split_once(':').map_or((text, None), |(a, b)| (a, Some(b)));
            first.starts_with(|digit: char| matches!(digit, '1'..='9'))
                && all(first, |byte| byte.is_ascii_digit())
                && sixties.is_none_or(is_base_60)
        }
    }
}

/// `59:01`, the digits of a base of 60 that YAML 1.1 knows.
fn is_base_60(text: &str) -> bool {
    text.split(':').all(|part| match part.as_bytes() {
        [digit] => digit.is_ascii_digit(),
        [tens, digit] => matches!(tens, b'0'..=b'5') && digit.is_ascii_digit(),
        _ => false,
    })
}

fn is_float(text: &str) -> bool {
    let number = unsigned(text);
    let inf = |text: &str| matches!(text, ".inf" | ".Inf" | ".INF");
    if inf(number) || matches!(text, ".nan" | ".NaN" | ".NAN") {
        return true;
    }
    let Some((whole, rest)) = number.split_once('.') else { return false };
    let (fraction, exponent) = match rest.find(['e', 'E']) {
        Some(at) => (rest.get(..at).unwrap_or_default(), rest.get(at + 1..)),
        None => (rest, None),
    };
    // The sign of the exponent is not optional in YAML 1.1.
    let exponent_fits = exponent.is_none_or(|exponent| {
        exponent.starts_with(['-', '+'])
            && exponent.len() > 1
            && exponent.bytes().skip(1).all(|byte| byte.is_ascii_digit())
    });
    let digits = |text: &str| text.bytes().all(|byte| byte == b'_' || byte.is_ascii_digit());
    let begins = |text: &str| text.starts_with(|first: char| first.is_ascii_digit());
    if !exponent_fits || !digits(fraction) {
        return false;
    }
    if whole.is_empty() {
        return begins(fraction) && number.len() == text.len();
    }
    match whole.split_once(':') {
        Some((first, sixties)) => {
            begins(first) && digits(first) && is_base_60(sixties) && exponent.is_none()
        }
        None => begins(whole) && digits(whole),
    }
}

fn is_timestamp(text: &str) -> bool {
    let Some((year, text)) = text.split_once('-') else { return false };
    let Some((month, text)) = text.split_once('-') else { return false };
    let days = text.bytes().take_while(u8::is_ascii_digit).count();
    let rest = text.get(days..).unwrap_or_default();
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    if year.len() != 4 || !digits(year) || !digits(month) || !matches!(month.len(), 1 | 2) {
        return false;
    }
    if rest.is_empty() {
        return month.len() == 2 && days == 2;
    }
    let trimmed = rest.trim_start_matches([' ', '\t']);
    let time = rest.strip_prefix(['T', 't']).or((trimmed.len() < rest.len()).then_some(trimmed));
    matches!(days, 1 | 2) && time.is_some_and(is_time)
}

fn is_time(text: &str) -> bool {
    let two = |text: &str| text.len() == 2 && text.bytes().all(|byte| byte.is_ascii_digit());
    let Some((hour, rest)) = text.split_once(':') else { return false };
    let Some((minute, rest)) = rest.split_once(':') else { return false };
    let hour_fits = matches!(hour.len(), 1 | 2) && hour.bytes().all(|byte| byte.is_ascii_digit());
    if !hour_fits || !two(minute) || !rest.get(..2).is_some_and(two) {
        return false;
    }
    let rest = rest.get(2..).unwrap_or_default();
    let rest = match rest.strip_prefix('.') {
        Some(fraction) => fraction.trim_start_matches(|digit: char| digit.is_ascii_digit()),
        None => rest,
    };
    let zone = rest.trim_start_matches([' ', '\t']);
    match zone {
        "" => rest.is_empty(),
        "Z" => true,
        _ => zone.strip_prefix(['-', '+']).is_some_and(|zone| {
            let (hours, minutes) = zone.split_once(':').map_or((zone, None), |(a, b)| (a, Some(b)));
            matches!(hours.len(), 1 | 2)
                && hours.bytes().all(|byte| byte.is_ascii_digit())
                && minutes.is_none_or(two)
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn yaml_1_1_words_and_numbers_are_special() {
        for text in [
            "",
            "~",
            "null",
            "Yes",
            "OFF",
            "0",
            "-1",
            "017",
            "0x1F",
            "0b1",
            "1_000",
            "1:30",
            "1.5",
            "1.",
            ".5",
            "1.0e+3",
            "-.inf",
            ".NaN",
            "2024-01-02",
            "2024-1-2 3:04:05",
            "=",
            "<<",
            "2001-12-14t21:59:43.10-05:00",
            "1:30.5",
        ] {
            assert!(is_special_1_1(text), "{text:?}");
        }
        for text in [
            "1.0.3",
            "yEs",
            "08x",
            "1e3",
            "1.0e3",
            "-.5",
            "v1",
            ">=5.0",
            "2024-1-2",
            "1:99",
            "a",
            "0.15.2",
            "~1.1",
            "2024-01-02x",
            "0o7",
            "e4c0ec3c",
        ] {
            assert!(!is_special_1_1(text), "{text:?}");
        }
    }

    #[test]
    fn core_schema_numbers() {
        assert_eq!(resolve_core("1.10"), Value::from(1.1));
        assert_eq!(resolve_core("-0x10"), Value::from(-16));
        assert_eq!(resolve_core("1e3"), Value::from(1000.0));
        assert_eq!(resolve_core("1.0.3"), Value::from("1.0.3"));
        assert_eq!(resolve_core("99999999999999999999"), Value::from(1e20));
        assert_eq!(resolve_core("."), Value::from("."));
        assert_eq!(resolve_core("e4"), Value::from("e4"));
    }
}
