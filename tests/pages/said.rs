//! Whether what a command printed is what a page shows.

/// How the two differ, or nothing.
pub fn difference(shown: &str, printed: &str, numbers_vary: bool) -> Option<String> {
    let line = |line: &str| {
        let line = line.trim_end();
        if numbers_vary { without_numbers(line) } else { line.to_owned() }
    };
    let lines = |text: &str| -> Vec<String> { text.trim_matches('\n').lines().map(line).collect() };
    let agrees = agree(&lines(shown), &lines(printed));
    (!agrees).then(|| format!("--- the page shows\n{shown}--- it prints\n{printed}---"))
}

/// Whether lines agree, where a shown line `…` stands for any number of lines.
fn agree(shown: &[String], printed: &[String]) -> bool {
    match shown.split_first() {
        None => printed.is_empty(),
        Some((first, rest)) if first.trim() == "…" => {
            (0..=printed.len()).any(|skipped| agree(rest, &printed[skipped..]))
        }
        Some((first, rest)) => printed
            .split_first()
            .is_some_and(|(line, others)| line_agrees(first, line) && agree(rest, others)),
    }
}

/// Whether a line agrees, where `…` stands for any text.
fn line_agrees(shown: &str, printed: &str) -> bool {
    match shown.split_once('…') {
        None => shown == printed,
        Some((before, after)) => printed.strip_prefix(before).is_some_and(|rest| {
            rest.char_indices()
                .map(|(place, _)| place)
                .chain([rest.len()])
                .any(|place| line_agrees(after, &rest[place..]))
        }),
    }
}

/// The line with a sign in place of each number, and no more than one space in a row: columns are as wide as their
/// numbers.
fn without_numbers(line: &str) -> String {
    let mut without = String::new();
    for c in line.chars() {
        match (without.chars().next_back(), c) {
            (Some('#'), '0'..='9' | '.' | ',') | (Some(' '), ' ') => {}
            (_, '0'..='9') => without.push('#'),
            _ => without.push(c),
        }
    }
    without
}

#[test]
fn what_agrees_and_what_does_not() {
    for (shown, printed, numbers_vary, agrees) in [
        ("one\ntwo\n", "one\ntwo  \n", false, true),
        ("one\n", "one\ntwo\n", false, false),
        ("one\n…\nfour\n", "one\ntwo\nthree\nfour\n", false, true),
        ("one\n…\nfour\n", "one\nfour\n", false, true),
        ("one\n…\nfour\n", "one\ntwo\n", false, false),
        ("kept in …/sources/…\n", "kept in /home/sources/x\n", false, true),
        ("kept in …/sources\n", "kept in /home/sources/x\n", false, false),
        ("a.elf  10 bytes\n", "a.elf  9 bytes\n", false, false),
        ("a.elf  10 bytes\n", "a.elf   9 bytes\n", true, true),
        ("in 1.5 s, 1,024 bytes\n", "in 10 s, 7 bytes\n", true, true),
        ("a 10\n", "b 10\n", true, false),
        ("a 10\n", "a\n", true, false),
    ] {
        assert_eq!(difference(shown, printed, numbers_vary).is_none(), agrees, "{shown} {printed}");
    }
}
