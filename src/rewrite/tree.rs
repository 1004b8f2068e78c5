//! The rewrite of files and directories: all of it is planned before anything is written, and each file
//! is replaced whole.

use std::collections::BTreeSet;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use tempfile::NamedTempFile;
use walkdir::{DirEntry, WalkDir};

use super::include::Includes;
use super::{Kept, Object, Purpose, Rewritten, rewrite};
use crate::error::{Error, Result};
use crate::interrupt;

/// The extensions of files that may include a C file or header.
const INCLUDING: &[&str] = &["c", "h", "inc", "cc", "cpp", "cxx", "hpp", "S"];

/// A file of which there is something to say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileChanges {
    /// Its path: below the given directory's, or as given.
    pub path: PathBuf,
    /// The path relative to the given directory; for a file that was given itself, its name.
    pub relative: PathBuf,
    /// What was there; empty if nothing changes.
    pub before: Vec<u8>,
    /// What the rewrite does.
    pub rewritten: Rewritten,
}

/// What the rewrite would change, and what it would leave.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Changes {
    /// The files of which there is something to say, in the order of their paths.
    pub files: Vec<FileChanges>,
    /// How many C files and headers there were.
    pub read: usize,
}

impl Changes {
    /// The files that change.
    pub fn changed(&self) -> impl Iterator<Item = &FileChanges> {
        self.files.iter().filter(|file| file.rewritten.text.is_some())
    }

    /// The objects that get a section, with their files.
    pub fn objects(&self) -> impl Iterator<Item = (&FileChanges, &Object)> {
        self.files.iter().flat_map(|file| file.rewritten.objects.iter().map(move |it| (file, it)))
    }

    /// Carries the changes out. Every new file is written in full before the first old one is replaced;
    /// permissions stay.
    ///
    /// # Errors
    /// When a file cannot be written.
    pub fn write(&self) -> Result<()> {
        let mut staged = Vec::new();
        for file in self.changed() {
            interrupt::check()?;
            staged.push((&file.path, stage(file)?));
        }
        for (path, new) in staged {
            new.persist(path).map_err(|error| Error::io("replace", path, &error.error))?;
        }
        Ok(())
    }
}

/// The new version of a file, beside it.
fn stage(file: &FileChanges) -> Result<NamedTempFile> {
    let fail = |error: std::io::Error| Error::io("write", &file.path, &error);
    let permissions = fs::metadata(&file.path).map_err(fail)?.permissions();
    if permissions.readonly() {
        return Err(Error::input(format!("{} is read-only", file.path.display()))
            .hint(format!("make it writable: chmod u+w {}", file.path.display())));
    }
    let parent = match file.path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    let mut new = tempfile::Builder::new()
        .prefix(".micropython-builder-")
        .tempfile_in(parent)
        .map_err(fail)?;
    new.write_all(file.rewritten.text.as_deref().unwrap_or_default()).map_err(fail)?;
    new.as_file().set_permissions(permissions).map_err(fail)?;
    Ok(new)
}

/// A file to read: where it is, and what it is called below the path that was given.
#[derive(Debug)]
struct Source {
    path: PathBuf,
    relative: PathBuf,
    /// What tells it from all others, wherever the tree lies.
    identity: String,
}

/// Reads C files and headers, or all below a directory, and says what the rewrite would do. Nothing is
/// written. Hidden directories and what symlinks in a directory point to are left out; so are files of
/// other languages.
///
/// # Errors
/// When a path is no C file and no directory with some, or something cannot be read.
pub fn plan(paths: &[PathBuf], purpose: Purpose) -> Result<Changes> {
    plan_sources(&sources(paths)?, purpose)
}

/// As [`plan`], for one directory, which may hold no C files at all: the caller's own copy of a module.
///
/// # Errors
/// When something cannot be read.
pub fn plan_tree(directory: &Path, purpose: Purpose) -> Result<Changes> {
    let mut sources = Vec::new();
    for path in below(directory)? {
        let relative = path.strip_prefix(directory).unwrap_or(&path).to_owned();
        sources.push(Source { identity: identity(0, &relative), path, relative });
    }
    plan_sources(&sources, purpose)
}

fn plan_sources(sources: &[Source], purpose: Purpose) -> Result<Changes> {
    let mut changes = Changes::default();
    let mut includes = Includes::default();
    for source in sources {
        interrupt::check()?;
        let before = read(&source.path)?;
        includes.add(&source.path, &before);
        if !is_c(&source.path) {
            continue;
        }
        changes.read += 1;
        let rewritten = rewrite(&before, purpose, &source.identity);
        if rewritten != Rewritten::default() {
            let before = if rewritten.text.is_some() { before } else { Vec::new() };
            let (path, relative) = (source.path.clone(), source.relative.clone());
            changes.files.push(FileChanges { path, relative, before, rewritten });
        }
    }
    keep_shared(&mut changes, &includes);
    Ok(changes)
}

/// Takes back what would be done to files that are compiled more than once.
fn keep_shared(changes: &mut Changes, includes: &Includes) {
    for file in &mut changes.files {
        if includes.is_compiled_once(&file.path) {
            continue;
        }
        let rewritten = &mut file.rewritten;
        rewritten.text = None;
        file.before = Vec::new();
        let objects = rewritten.objects.drain(..).map(|object| Kept {
            name: Some(object.name),
            line: object.line,
            why: "its file is included, and not just once by one source",
        });
        rewritten.kept.extend(objects);
        rewritten.kept.sort_by_key(|kept| kept.line);
    }
}

fn read(path: &Path) -> Result<Vec<u8>> {
    fs::read(path).map_err(|error| Error::io("read", path, &error))
}

fn is_c(path: &Path) -> bool {
    has_extension(path, &["c", "h"])
}

fn has_extension(path: &Path, known: &[&str]) -> bool {
    path.extension().is_some_and(|extension| known.iter().any(|known| extension == *known))
}

/// The name of a file among all that are rewritten together, wherever they lie.
fn identity(index: usize, relative: &Path) -> String {
    format!("{index}/{}", relative.display())
}

fn sources(paths: &[PathBuf]) -> Result<Vec<Source>> {
    let mut sources = Vec::new();
    let mut known = BTreeSet::new();
    for (index, given) in paths.iter().enumerate() {
        let metadata = fs::metadata(given).map_err(|error| Error::io("read", given, &error))?;
        let found = if metadata.is_dir() {
            let found = below(given)?;
            if !found.iter().any(|path| is_c(path)) {
                return Err(Error::input(format!("{} holds no C files", given.display()))
                    .hint("give a directory with .c or .h files in it"));
            }
            found
        } else if metadata.is_file() && is_c(given) {
            // A file that is given through a symlink is changed where it is.
            vec![given.canonicalize().map_err(|error| Error::io("resolve", given, &error))?]
        } else {
            return Err(Error::input(format!(
                "{} is no C file: expected .c or .h",
                given.display()
            ))
            .hint("give C files, or directories with C files in them"));
        };
        for path in found {
            let relative = match path.strip_prefix(given) {
                Ok(relative) => relative.to_owned(),
                Err(_) => path.file_name().unwrap_or_default().into(),
            };
            let real = path.canonicalize().map_err(|error| Error::io("resolve", &path, &error))?;
            if known.insert(real) {
                sources.push(Source { identity: identity(index, &relative), path, relative });
            }
        }
    }
    Ok(sources)
}

/// The C files below a directory, and those that can include them.
fn below(directory: &Path) -> Result<Vec<PathBuf>> {
    let hidden = |entry: &DirEntry| {
        entry.depth() > 0 && entry.file_name().as_encoded_bytes().starts_with(b".")
    };
    let mut found = Vec::new();
    for entry in
        WalkDir::new(directory).sort_by_file_name().into_iter().filter_entry(|it| !hidden(it))
    {
        let entry = entry.map_err(|error| Error::walk(directory, error))?;
        if entry.file_type().is_file() && has_extension(entry.path(), INCLUDING) {
            found.push(entry.into_path());
        }
    }
    Ok(found)
}
