//! `#define` lines of C headers, without running a preprocessor.

use std::fs;
use std::path::{Path, PathBuf};

use super::branch::{Branches, Truth};

/// How many headers may be included before it is taken for a loop.
const LIMIT: usize = 64;

/// A definition and whether it yields to an earlier one (`#ifndef NAME` around it).
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Definition {
    pub(super) value: String,
    pub(super) yields: bool,
}

/// The first definition of `name` in a header and in what it includes (`#include "…"`).
///
/// `None` when there is none, and also when it stands under a condition that only a compiler can
/// decide. `#ifndef` is taken to hold: headers use it to guard themselves and their defaults.
pub(super) fn definition(path: &Path, directories: &[PathBuf], name: &str) -> Option<Definition> {
    let mut search = Search { directories, name, budget: LIMIT };
    search.file(path).and_then(Found::sure)
}

struct Search<'a> {
    directories: &'a [PathBuf],
    name: &'a str,
    budget: usize,
}

enum Found {
    Sure(Definition),
    /// There is a definition, but whether it counts is not known.
    Unsure,
}

impl Found {
    fn sure(self) -> Option<Definition> {
        match self {
            Found::Sure(definition) => Some(definition),
            Found::Unsure => None,
        }
    }
}

impl Search<'_> {
    fn file(&mut self, path: &Path) -> Option<Found> {
        self.budget = self.budget.checked_sub(1)?;
        let text = fs::read(path).ok()?;
        let text = String::from_utf8_lossy(&text).replace("\\\n", " ");
        let mut branches = Branches::default();
        let mut guards: Vec<String> = Vec::new();
        for line in text.lines() {
            let Some(directive) = line.trim_start().strip_prefix('#') else { continue };
            let (word, rest) = split_word(directive);
            match word {
                "ifndef" => {
                    guards.push(split_word(rest).0.to_owned());
                    branches.open(Truth::Yes);
                }
                "if" | "ifdef" => {
                    guards.push(String::new());
                    branches.open(Truth::Maybe);
                }
                "elif" => branches.otherwise(Truth::Maybe),
                "else" => branches.otherwise(Truth::Yes),
                "endif" => {
                    guards.pop();
                    branches.close();
                }
                "define" | "include" => {
                    let found = match branches.state() {
                        Truth::No => None,
                        state if word == "define" => self.define(rest, state, &guards),
                        state => self.include(path, rest).map(|found| match state {
                            Truth::Yes => found,
                            _ => Found::Unsure,
                        }),
                    };
                    if found.is_some() {
                        return found;
                    }
                }
                _ => {}
            }
        }
        None
    }

    fn define(&self, rest: &str, state: Truth, guards: &[String]) -> Option<Found> {
        let (name, value) = split_word(rest);
        if name != self.name {
            return None;
        }
        if state != Truth::Yes {
            return Some(Found::Unsure);
        }
        let value = value.split("//").next().unwrap_or(value);
        let value = value.split("/*").next().unwrap_or(value).trim().to_owned();
        let yields = guards.iter().any(|guard| guard == name);
        Some(Found::Sure(Definition { value, yields }))
    }

    fn include(&mut self, from: &Path, rest: &str) -> Option<Found> {
        let name = rest.strip_prefix('"')?.split('"').next()?;
        let beside = from.parent().map(|directory| directory.join(name));
        let candidates: Vec<PathBuf> = beside
            .into_iter()
            .chain(self.directories.iter().map(|directory| directory.join(name)))
            .collect();
        let path = candidates.iter().find(|path| path.is_file())?;
        self.file(path)
    }
}

fn split_word(text: &str) -> (&str, &str) {
    let text = text.trim();
    match text.split_once(char::is_whitespace) {
        Some((word, rest)) => (word, rest.trim_start()),
        None => (text, ""),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn search(files: &[(&str, &str)], name: &str) -> Option<Definition> {
        let directory = tempfile::tempdir().unwrap();
        fs::create_dir(directory.path().join("boards")).unwrap();
        for (file, text) in files {
            fs::write(directory.path().join(file), text).unwrap();
        }
        definition(&directory.path().join("a.h"), &[directory.path().to_path_buf()], name)
    }

    #[test]
    fn the_first_definition_counts_wherever_it_stands() {
        let found = search(
            &[
                (
                    "a.h",
                    "#ifndef A_H\n#define A_H\n#include \"boards/b.h\"\n#define SIZE 1\n#endif\n",
                ),
                ("boards/b.h", "# ifndef SIZE\n#  define SIZE (4 * 1024) // four\n# endif\n"),
            ],
            "SIZE",
        );
        assert_eq!(found, Some(Definition { value: "(4 * 1024)".to_owned(), yields: true }));
        let found = search(&[("a.h", "#define NAME \"x y\" /* z */\n")], "NAME");
        assert_eq!(found, Some(Definition { value: "\"x y\"".to_owned(), yields: false }));
    }

    #[test]
    fn a_definition_under_a_condition_is_not_claimed() {
        assert_eq!(
            search(&[("a.h", "#if X\n#define N 1\n#else\n#define N 2\n#endif\n")], "N"),
            None
        );
        assert_eq!(search(&[("a.h", "#ifndef X\n#else\n#define N 2\n#endif\n")], "N"), None);
        assert_eq!(search(&[("a.h", "#include \"a.h\"\n#include \"none.h\"\n")], "N"), None);
    }
}
