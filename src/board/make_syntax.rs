//! The parts of a Makefile's line.

/// The text before a `#` that is not escaped.
pub(super) fn without_comment(line: &str) -> &str {
    let before = |at: usize| line.get(..at).unwrap_or(line);
    let comment = line.match_indices('#').find(|(at, _)| !before(*at).ends_with('\\'));
    comment.map_or(line, |(at, _)| before(at))
}

/// The first word, and what follows it.
pub(super) fn split_word(text: &str) -> (&str, &str) {
    let text = text.trim();
    match text.split_once(char::is_whitespace) {
        Some((word, rest)) => (word, rest.trim_start()),
        None => (text, ""),
    }
}

/// The two sides of `ifeq (a,b)`, `ifeq "a" "b"` or `ifeq 'a' 'b'`.
pub(super) fn sides(text: &str) -> Option<(&str, &str)> {
    let text = text.trim();
    if text.starts_with('(') {
        let (inner, _) = enclosed(text, ')')?;
        return match top_level(inner, ',').as_slice() {
            [left, right] => Some((left, right)),
            _ => None,
        };
    }
    let (left, rest) = quoted(text)?;
    let (right, _) = quoted(rest.trim_start())?;
    Some((left, right))
}

fn quoted(text: &str) -> Option<(&str, &str)> {
    let quote = text.chars().next().filter(|quote| matches!(quote, '"' | '\''))?;
    text.get(1..)?.split_once(quote)
}

/// What is between the opening bracket that `text` begins with and the one that closes it, and
/// what follows.
pub(super) fn enclosed(text: &str, close: char) -> Option<(&str, &str)> {
    let open = text.chars().next()?;
    let mut depth = 0usize;
    for (at, character) in text.char_indices() {
        if character == open {
            depth += 1;
        } else if character == close {
            depth = depth.saturating_sub(1);
            if depth == 0 {
                return Some((text.get(1..at)?, text.get(at + close.len_utf8()..)?));
            }
        }
    }
    None
}

/// Splits at a separator outside brackets.
pub(super) fn top_level(text: &str, separator: char) -> Vec<&str> {
    let mut parts = Vec::new();
    let (mut depth, mut start) = (0usize, 0);
    for (at, character) in text.char_indices() {
        match character {
            '(' | '{' => depth += 1,
            ')' | '}' => depth = depth.saturating_sub(1),
            _ if character == separator && depth == 0 => {
                parts.extend(text.get(start..at));
                start = at + separator.len_utf8();
            }
            _ => {}
        }
    }
    parts.extend(text.get(start..));
    parts
}

/// Name, operator and value of an assignment; `None` for a rule or anything else.
pub(super) fn assignment(line: &str) -> Option<(&str, &str, &str)> {
    let mut depth = 0usize;
    for (at, character) in line.char_indices() {
        match character {
            '(' | '{' => depth += 1,
            ')' | '}' => depth = depth.saturating_sub(1),
            ':' if depth == 0 => {
                let value = line.get(at..)?.trim_start_matches(':').strip_prefix('=')?;
                return Some((line.get(..at)?.trim(), ":=", value.trim()));
            }
            '=' if depth == 0 => {
                let name = line.get(..at)?;
                let (name, operator) = match name.chars().last() {
                    Some('?') => (name.strip_suffix('?')?, "?="),
                    Some('+') => (name.strip_suffix('+')?, "+="),
                    Some('!') => (name.strip_suffix('!')?, "!="),
                    _ => (name, "="),
                };
                let name = name.trim();
                let is_name = !name.is_empty() && !name.contains(char::is_whitespace);
                return is_name.then_some((name, operator, line.get(at + 1..)?.trim()));
            }
            _ => {}
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn assignments_are_told_from_rules() {
        assert_eq!(assignment("A = b = c"), Some(("A", "=", "b = c")));
        assert_eq!(assignment("A?=x"), Some(("A", "?=", "x")));
        assert_eq!(assignment("A ::= x"), Some(("A", ":=", "x")));
        assert_eq!(assignment("$(A:b=c) += x"), Some(("$(A:b=c)", "+=", "x")));
        assert_eq!(assignment("all: X = 1"), None);
        assert_eq!(assignment("all: a.o"), None);
        assert_eq!(assignment("just words"), None);
        assert_eq!(assignment("= x"), None);
    }

    #[test]
    fn sides_may_be_bracketed_or_quoted() {
        assert_eq!(sides("($(a b,c),d)"), Some(("$(a b,c)", "d")));
        assert_eq!(sides("'a' \"b c\""), Some(("a", "b c")));
        assert_eq!(sides("(a,b"), None);
        assert_eq!(sides("a b"), None);
    }

    #[test]
    fn comments_end_a_line_unless_escaped() {
        assert_eq!(without_comment("a \\# b # c"), "a \\# b ");
        assert_eq!(without_comment("# all"), "");
    }
}
