//! Which files belong to a component (`idf_component_tools/file_tools.py`): all, without those left
//! out by default, by `.gitignore` or by the manifest, and with those the manifest adds back.

use std::fs;
use std::io;
use std::path::Path;

use ignore::gitignore::{Gitignore, GitignoreBuilder};

use super::glob::{FinalStars, Pattern};
use super::hash;
use super::manifest::Manifest;
use crate::error::{Error, Result};
use crate::interrupt;

/// What is left out of every component when it is packed, or taken from a git repository.
const DEFAULT_EXCLUDES: [&str; 20] = [
    "**/__pycache__",
    "**/*.pyc",
    "**/*.pyd",
    "**/*.pyo",
    "**/.DS_Store",
    "**/.git/**/*",
    "**/.svn/**/*",
    "**/dist/**/*",
    "**/build/**/*",
    "**/build_*/**/*",
    "**/managed_components/**/*",
    "**/dependencies.lock",
    "**/.github/**/*",
    "**/.gitlab-ci.yml",
    "**/.idea/**/*",
    "**/.vscode/**/*",
    "**/.settings/**/*",
    "**/sdkconfig",
    "**/sdkconfig.old",
    "**/.component_hash",
];

/// What becomes of files that are left out of every component.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Defaults {
    /// They count: the archive of a registry has none of them unless it is meant to.
    Kept,
    /// They do not: a git repository holds what nobody packed.
    LeftOut,
}

/// Which files belong to a component.
#[derive(Debug, Clone)]
pub struct Selection {
    use_gitignore: bool,
    exclude: Vec<Pattern>,
    include: Vec<Pattern>,
}

impl Selection {
    /// What a manifest says. With [`Defaults::Kept`] the two files in which hashes are kept are left
    /// out, as when the manager verifies a directory; with [`Defaults::LeftOut`] the defaults are.
    ///
    /// # Errors
    /// When a pattern is wrong.
    pub fn of_component(manifest: &Manifest, defaults: Defaults) -> Result<Selection> {
        let files = &manifest.files;
        let kept_hashes = [hash::FILE_NAME, hash::CHECKSUMS].map(|name| format!("**/{name}"));
        let standing: Vec<&str> = match defaults {
            Defaults::Kept => kept_hashes.iter().map(String::as_str).collect(),
            Defaults::LeftOut if files.use_gitignore => Vec::new(),
            Defaults::LeftOut => DEFAULT_EXCLUDES.to_vec(),
        };
        let given = files.exclude.iter().map(String::as_str);
        let exclude: Result<_> = standing.into_iter().chain(given).map(Pattern::parse).collect();
        let include: Result<Vec<Pattern>> =
            files.include.iter().map(|text| Pattern::parse(text)).collect();
        let include = include?;
        if include.iter().any(Pattern::leads_out) {
            return Err(Error::input(
                "a pattern of files.include leads out of the component's directory",
            ));
        }
        Ok(Selection { use_gitignore: files.use_gitignore, exclude: exclude?, include })
    }

    /// Whether Python's versions disagree about a pattern of it, see [`FinalStars`].
    pub fn depends_on_final_stars(&self) -> bool {
        self.exclude.iter().chain(&self.include).any(Pattern::ends_in_stars)
    }

    fn takes(&self, path: &str, ignored: bool, stars: FinalStars) -> bool {
        let matched = |patterns: &[Pattern]| patterns.iter().any(|it| it.matches_file(path, stars));
        let left_out = (self.use_gitignore && ignored) || matched(&self.exclude);
        !left_out || matched(&self.include)
    }
}

/// The files of a directory that belong to a component, as paths with `/`, sorted. Symlinks to files
/// are among them; those to directories are not followed.
///
/// # Errors
/// When the directory cannot be read, a name is not UTF-8, or something is neither file nor
/// directory.
pub fn select(root: &Path, selection: &Selection, stars: FinalStars) -> Result<Vec<String>> {
    let mut walk = Walk { selection, stars, ignores: Vec::new(), selected: Vec::new() };
    walk.directory(root, "", Ignored::ByRules)?;
    walk.selected.sort_unstable();
    Ok(walk.selected)
}

/// Whether git ignores what is in a directory.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Ignored {
    ByRules,
    Always,
    Never,
}

struct Walk<'a> {
    selection: &'a Selection,
    stars: FinalStars,
    /// The `.gitignore` files from the root down to the current directory.
    ignores: Vec<Gitignore>,
    selected: Vec<String>,
}

impl Walk<'_> {
    fn directory(&mut self, path: &Path, relative: &str, ignored: Ignored) -> Result<()> {
        interrupt::check()?;
        let fail = |error: io::Error| Error::io("read", path, &error);
        let depth = self.ignores.len();
        let rules = self.selection.use_gitignore && ignored == Ignored::ByRules;
        if rules && path.join(".gitignore").is_file() {
            let mut builder = GitignoreBuilder::new(path);
            // A line that is no pattern is skipped, as git does.
            let _ = builder.add(path.join(".gitignore"));
            self.ignores.extend(builder.build().ok());
        }
        for entry in fs::read_dir(path).map_err(fail)? {
            let entry = entry.map_err(fail)?;
            let path = entry.path();
            let name = entry.file_name();
            let name = name.to_str().ok_or_else(|| {
                Error::input(format!("the name of {} is not UTF-8", path.display()))
            })?;
            let relative = match relative {
                "" => name.to_owned(),
                _ => format!("{relative}/{name}"),
            };
            let kind = entry.file_type().map_err(|error| Error::io("read", &path, &error))?;
            // git never looks at what has this name.
            let ignored = if name == ".git" { Ignored::Never } else { ignored };
            let ignored = match ignored {
                Ignored::ByRules if self.is_ignored(&path, kind.is_dir()) => Ignored::Always,
                other => other,
            };
            if kind.is_dir() {
                self.directory(&path, &relative, ignored)?;
                continue;
            }
            let ignored = ignored == Ignored::Always && !is_quoted(&relative);
            if self.selection.takes(&relative, ignored, self.stars) && is_file(&path, kind)? {
                self.selected.push(relative);
            }
        }
        self.ignores.truncate(depth);
        Ok(())
    }

    /// The deepest `.gitignore` that has something to say decides.
    fn is_ignored(&self, path: &Path, directory: bool) -> bool {
        let decision = self.ignores.iter().rev().map(|it| it.matched(path, directory));
        decision.into_iter().find(|it| !it.is_none()).is_some_and(|it| it.is_ignore())
    }
}

/// Whether git writes the path in quotation marks when it lists what it ignores. The manager takes
/// those for part of the name, so such a file is not left out.
fn is_quoted(path: &str) -> bool {
    path.bytes().any(|byte| !matches!(byte, b' '..=b'~') || matches!(byte, b'"' | b'\\'))
}

fn is_file(path: &Path, kind: fs::FileType) -> Result<bool> {
    if kind.is_file() {
        return Ok(true);
    }
    if !kind.is_symlink() {
        return Err(Error::input(format!(
            "{} is neither a file, a directory nor a symlink",
            path.display()
        )));
    }
    match fs::metadata(path) {
        Ok(target) => Ok(target.is_file()),
        Err(error) => Err(Error::io("follow the symlink", path, &error)),
    }
}
