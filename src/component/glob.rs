//! The patterns of `files.include` and `files.exclude`, as Python's `pathlib.Path.glob` reads them:
//! the component manager hands them to it as they are (`idf_component_tools/file_tools.py`).
//!
//! A pattern matches a whole path, so one that names a directory matches no file below it.

use crate::error::{Error, Result};

/// What a final `**` stands for. Up to Python 3.12 it matches directories only, so `docs/**` leaves
/// the files in `docs` alone; from 3.13 on it matches them too.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum FinalStars {
    /// Directories only, as Python 3.8 to 3.12.
    #[default]
    Directories,
    /// Files and directories, as Python 3.13 and later.
    Everything,
}

/// A pattern, split into the components of the paths it matches.
#[derive(Debug, Clone)]
pub struct Pattern {
    components: Vec<Component>,
    directories_only: bool,
}

#[derive(Debug, Clone)]
enum Component {
    /// `**`: any number of directories.
    Stars,
    Exact(String),
    Wild(Vec<Token>),
}

#[derive(Debug, Clone)]
enum Token {
    Char(char),
    /// `?`
    Any,
    /// `*`
    Run,
    Set {
        negated: bool,
        ranges: Vec<(char, char)>,
    },
}

impl Pattern {
    /// Reads a pattern.
    ///
    /// # Errors
    /// When it is empty or absolute: Python refuses those.
    pub fn parse(text: &str) -> Result<Pattern> {
        if text.is_empty() || text.starts_with('/') {
            return Err(Error::input(format!(
                "the pattern {text:?} matches nothing: it has to be relative to the component"
            )));
        }
        let mut components: Vec<Component> = Vec::new();
        for part in text.split('/').filter(|part| !part.is_empty() && *part != ".") {
            components.push(match part {
                "**" => Component::Stars,
                _ if part.contains(['*', '?', '[']) => Component::Wild(tokens(part)),
                _ => Component::Exact(part.to_owned()),
            });
        }
        Ok(Pattern { components, directories_only: text.ends_with('/') })
    }

    /// Whether it names something above the component's directory.
    pub fn leads_out(&self) -> bool {
        self.components
            .iter()
            .any(|component| matches!(component, Component::Exact(name) if name == ".."))
    }

    /// Whether Python's versions disagree about it, see [`FinalStars`].
    pub fn ends_in_stars(&self) -> bool {
        matches!(self.components.last(), Some(Component::Stars))
    }

    /// Whether it matches a file with this path relative to the component, `/` between directories.
    pub fn matches_file(&self, path: &str, stars: FinalStars) -> bool {
        if self.directories_only || self.components.is_empty() {
            return false;
        }
        if self.ends_in_stars() && stars == FinalStars::Directories {
            return false;
        }
        // Which numbers of path components the pattern's first components can stand for.
        let names: Vec<&str> = path.split('/').collect();
        let mut reached = vec![false; names.len() + 1];
        if let Some(first) = reached.first_mut() {
            *first = true;
        }
        for component in &self.components {
            reached = component.step(&names, &reached);
        }
        reached.last().copied().unwrap_or(false)
    }
}

impl Component {
    fn step(&self, names: &[&str], reached: &[bool]) -> Vec<bool> {
        let mut next = vec![false; reached.len()];
        let mut open = false;
        for (position, slot) in next.iter_mut().enumerate() {
            let before = position.checked_sub(1);
            let name = before.and_then(|index| names.get(index)).copied();
            let came = before.and_then(|index| reached.get(index)).copied().unwrap_or(false);
            *slot = match self {
                Component::Stars => {
                    open |= reached.get(position).copied().unwrap_or(false);
                    open
                }
                Component::Exact(exact) => came && name == Some(exact.as_str()),
                Component::Wild(tokens) => came && name.is_some_and(|name| wild(tokens, name)),
            };
        }
        next
    }
}

/// Matches as `fnmatch` does: `*` takes as little as possible, more when the rest does not fit.
fn wild(tokens: &[Token], name: &str) -> bool {
    let name: Vec<char> = name.chars().collect();
    let (mut token, mut at) = (0, 0);
    let mut retry: Option<(usize, usize)> = None;
    while at < name.len() || token < tokens.len() {
        let fits = match (tokens.get(token), name.get(at)) {
            (Some(Token::Run), _) => {
                retry = Some((token, at));
                token += 1;
                continue;
            }
            (Some(Token::Any), Some(_)) => true,
            (Some(Token::Char(expected)), Some(found)) => expected == found,
            (Some(Token::Set { negated, ranges }), Some(found)) => {
                ranges.iter().any(|(low, high)| low <= found && found <= high) != *negated
            }
            _ => false,
        };
        if fits {
            (token, at) = (token + 1, at + 1);
            continue;
        }
        match retry {
            Some((run, start)) if start < name.len() => {
                retry = Some((run, start + 1));
                (token, at) = (run + 1, start + 1);
            }
            _ => return false,
        }
    }
    true
}

fn tokens(part: &str) -> Vec<Token> {
    let characters: Vec<char> = part.chars().collect();
    let mut tokens = Vec::new();
    let mut at = 0;
    while let Some(&character) = characters.get(at) {
        at += 1;
        tokens.push(match character {
            '*' => Token::Run,
            '?' => Token::Any,
            '[' => match set_end(&characters, at) {
                Some(end) => {
                    let inside = characters.get(at..end).unwrap_or_default();
                    at = end + 1;
                    set(inside)
                }
                None => Token::Char('['),
            },
            other => Token::Char(other),
        });
    }
    tokens
}

/// Where the `]` of a set is whose `[` lies before `start`. A `]` at its beginning belongs to it.
fn set_end(characters: &[char], start: usize) -> Option<usize> {
    let mut at = start;
    if characters.get(at) == Some(&'!') {
        at += 1;
    }
    if characters.get(at) == Some(&']') {
        at += 1;
    }
    let found = characters.get(at..)?.iter().position(|&character| character == ']')?;
    Some(at + found)
}

/// Reads the inside of `[…]` as `fnmatch.translate` does, which is peculiar about hyphens: one is
/// a range's only when a character lies between it and the range before, and a range that runs
/// backwards vanishes together with its ends.
fn set(inside: &[char]) -> Token {
    let mut chunks: Vec<Vec<char>> = Vec::new();
    let negated = inside.first() == Some(&'!');
    let (mut start, mut search) = (0, if negated { 2 } else { 1 });
    while let Some(found) = inside
        .get(search..)
        .and_then(|rest| rest.iter().position(|&character| character == '-'))
        .map(|offset| search + offset)
    {
        chunks.push(inside.get(start..found).unwrap_or_default().to_vec());
        start = found + 1;
        search = found + 3;
    }
    match (inside.get(start..).unwrap_or_default(), chunks.last_mut()) {
        ([], Some(last)) => last.push('-'),
        (rest, _) => chunks.push(rest.to_vec()),
    }
    let mut merged: Vec<Vec<char>> = Vec::new();
    for chunk in chunks.into_iter().rev() {
        match merged.pop() {
            Some(next) if chunk.last() > next.first() => {
                let kept = chunk.split_last().map(|(_, kept)| kept).unwrap_or_default();
                merged.push(kept.iter().chain(next.iter().skip(1)).copied().collect());
            }
            Some(next) => merged.extend([next, chunk]),
            None => merged.push(chunk),
        }
    }
    merged.reverse();
    ranges(&merged, negated)
}

fn ranges(chunks: &[Vec<char>], negated: bool) -> Token {
    let mut ranges = Vec::new();
    for (index, chunk) in chunks.iter().enumerate() {
        let skipped = usize::from(negated && index == 0);
        ranges.extend(chunk.iter().skip(skipped).map(|&character| (character, character)));
        let next = chunks.get(index + 1).and_then(|next| next.first());
        if let (Some(&low), Some(&high)) = (chunk.last(), next) {
            ranges.push((low, high));
        }
    }
    Token::Set { negated, ranges }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matches(pattern: &str, path: &str) -> bool {
        Pattern::parse(pattern).unwrap().matches_file(path, FinalStars::Directories)
    }

    #[test]
    fn patterns_match_whole_paths() {
        assert!(matches("**/*", "a") && matches("**/*", "a/b/c") && matches("*", ".hidden"));
        assert!(!matches("*", "a/b") && !matches("a", "a/b") && !matches("a/", "a"));
        assert!(matches("**/a/**/*", "x/a/b") && matches("**/a/**/*", "a/b/c"));
        assert!(!matches("**/a/**/*", "a"));
        assert!(matches("./a//b", "a/b") && matches("a/**/b", "a/b"));
        assert!(matches("build_*/**/*", "build_x/y") && !matches("build_*/**/*", "build/y"));
        assert!(matches("*a*b", "xaabab") && !matches("*a*b", "xaaba"));
    }

    #[test]
    fn sets_are_those_of_fnmatch() {
        assert!(matches("[a-c]x", "bx") && !matches("[!a-c]x", "bx") && matches("[]]", "]"));
        assert!(matches("[", "[") && matches("[a", "[a") && matches("[a-]", "-"));
        assert!(!matches("[z-a]", "m") && matches("[!z-a]", "m"));
        assert!(matches("[a-c-e]", "-") && matches("[a-c-e]", "e") && !matches("[a-c-e]", "d"));
    }

    #[test]
    fn final_stars_depend_on_the_python() {
        let pattern = Pattern::parse("docs/**").unwrap();
        assert!(!pattern.matches_file("docs/a/b", FinalStars::Directories));
        assert!(pattern.matches_file("docs/a/b", FinalStars::Everything));
        assert!(!pattern.matches_file("doc/a", FinalStars::Everything));
    }

    #[test]
    fn absolute_patterns_are_refused() {
        assert!(Pattern::parse("").is_err() && Pattern::parse("/a").is_err());
        assert!(Pattern::parse("../a").unwrap().leads_out());
    }
}
