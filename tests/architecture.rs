//! The rooms of `docs/architecture.md`: the table names them all, and each uses what the table says.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use walkdir::WalkDir;

/// Where a room's name stands before what it uses.
type Uses = BTreeMap<String, BTreeSet<String>>;

/// The code of a file: without comments, and without the tests that stand below it.
fn code(text: &str) -> String {
    let end = text.find("#[cfg(test)]\nmod tests {").unwrap_or(text.len());
    let lines = text[..end].lines().filter(|line| !line.trim_start().starts_with("//"));
    lines.collect::<Vec<_>>().join("\n")
}

/// The modules that a path into the crate begins with: `a` of `a::b`, `a` and `c` of `{a::b, c}`.
fn first_names(path: &str) -> Vec<String> {
    let word = |text: &str| {
        let text = text.trim_start();
        let end = text.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(text.len());
        text[..end].to_owned()
    };
    let Some(group) = path.strip_prefix('{') else { return vec![word(path)] };
    let (mut depth, mut names, mut begins) = (0, Vec::new(), 0);
    for (at, c) in group.char_indices() {
        match c {
            '{' => depth += 1,
            '}' if depth > 0 => depth -= 1,
            ',' | '}' if depth == 0 => {
                names.push(word(&group[begins..at]));
                begins = at + 1;
                if c == '}' {
                    break;
                }
            }
            _ => {}
        }
    }
    names.retain(|name| !name.is_empty());
    names
}

/// What the rooms of `src` use of each other.
fn uses() -> Uses {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut uses = Uses::new();
    for entry in WalkDir::new(&source) {
        let entry = entry.unwrap();
        let path = entry.path().strip_prefix(&source).unwrap();
        if path.extension().is_none_or(|extension| extension != "rs") {
            continue;
        }
        let first = path.components().next().unwrap().as_os_str().to_str().unwrap();
        let room = first.trim_end_matches(".rs").to_owned();
        if ["main", "lib"].contains(&room.as_str()) {
            continue;
        }
        let text = code(&fs::read_to_string(entry.path()).unwrap());
        let used = text.split("crate::").skip(1).flat_map(first_names);
        // Types have capitals; the crate's root only names those of its rooms again.
        let others = used.filter(|name| *name != room && name.starts_with(char::is_lowercase));
        uses.entry(room.clone()).or_default().extend(others);
    }
    uses
}

/// What the table says: rows of `room`, what is in it, what it uses.
fn documented() -> Uses {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/architecture.md");
    let text = fs::read_to_string(page).unwrap();
    let table = text.split("| module |").nth(1).unwrap().split("\n\n").next().unwrap();
    let quoted = |text: &str| text.split('`').skip(1).step_by(2).map(str::to_owned).collect();
    let rows = table.lines().skip(2).map(|row| {
        let cells: Vec<&str> = row.trim_matches('|').split('|').collect();
        let room: BTreeSet<String> = quoted(cells[0]);
        (room.into_iter().next().unwrap(), quoted(cells[cells.len() - 1]))
    });
    rows.collect()
}

#[test]
fn rooms_use_what_the_architecture_says_and_nothing_else() {
    assert_eq!(uses(), documented(), "left: the code, right: docs/architecture.md");
}

#[test]
fn no_room_uses_one_that_uses_it() {
    let uses = uses();
    let mut settled = BTreeSet::new();
    while settled.len() < uses.len() {
        let next = uses.iter().find(|(room, used)| {
            !settled.contains(*room) && used.iter().all(|other| settled.contains(other))
        });
        let Some((room, _)) = next else {
            let left: Vec<_> = uses.keys().filter(|room| !settled.contains(*room)).collect();
            panic!("among {left:?} there is a circle");
        };
        settled.insert(room.clone());
    }
}

#[test]
fn only_the_command_line_prints() {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    for entry in WalkDir::new(&source) {
        let entry = entry.unwrap();
        let path = entry.path().strip_prefix(&source).unwrap();
        let printing = path.starts_with("cli") || path == Path::new("main.rs");
        if !entry.file_type().is_file() || printing || path.ends_with("testing.rs") {
            continue;
        }
        let text = code(&fs::read_to_string(entry.path()).unwrap());
        for print in ["println!(", "eprintln!(", "print!(", "eprint!(", "dbg!("] {
            assert!(!text.contains(print), "{} has {print}", path.display());
        }
    }
}
