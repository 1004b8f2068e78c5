//! Copying a directory onto the filesystem of a board.
//!
//! The directory is mounted on the board, as `run --mount` does, and Python there copies from it what
//! differs: so nothing has to be quoted, and the board itself checks what it has written.

use std::fs;
use std::path::Path;

use serde::Serialize;
use walkdir::WalkDir;

use super::running::{BOOT, Board};
use crate::error::{Error, Result};
use crate::pins::Sha256Hash;
use crate::repl::{Captured, Outcome, Program, Repl, Transport};

/// What runs on the board.
const COPY: &str = include_str!("deploy.py");

/// What was copied.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Deployed {
    /// The files that were written, by their paths on the board.
    pub written: Vec<String>,
    /// The files that were there already.
    pub kept: Vec<String>,
}

impl Board {
    /// Copies the files of a directory to the root of the board's filesystem. What else is there stays.
    /// Afterwards MicroPython starts anew, and with it `main.py`.
    ///
    /// # Errors
    /// When the directory cannot be read, or the board cannot keep it.
    pub fn deploy(&mut self, directory: &Path) -> Result<Deployed> {
        self.enter(BOOT)?;
        let deployed = deploy(&mut self.repl, directory)?;
        // In the friendly REPL, for main.py is not run in the raw one.
        self.repl
            .leave_raw()
            .and_then(|()| self.repl.soft_reset())
            .map_err(|fault| self.explain(fault))?;
        Ok(deployed)
    }
}

/// Copies the files of a directory with a target that is in its raw REPL.
///
/// # Errors
/// As [`Board::deploy`].
pub fn deploy<T: Transport>(repl: &mut Repl<T>, directory: &Path) -> Result<Deployed> {
    let Listed { directories, files } = Listed::of(directory)?;
    repl.mount(directory)?;
    let quoted = |text: &String| format!("{text:?}");
    let directories: Vec<String> = directories.iter().map(quoted).collect();
    let files: Vec<String> =
        files.iter().map(|(path, hash)| format!("({path:?}, {hash:?})")).collect();
    let call = format!("deploy([{}], [{}])\n", directories.join(", "), files.join(", "));
    let mut console = Captured::default();
    match repl.run(&Program::code(format!("{COPY}\n{call}")), &mut console)? {
        Outcome::Done => Ok(Deployed::of(&console)),
        Outcome::Raised(traceback) => Err(refused(&traceback)),
        Outcome::Exited(_) => Err(Error::device("the board started anew while files were copied")),
    }
}

fn refused(traceback: &str) -> Error {
    let reason = traceback.trim_end().lines().next_back().unwrap_or("no reason was given");
    let error = Error::device(format!("the board cannot keep the files: {reason}"));
    if reason.contains("28") || reason.contains("ENOSPC") {
        return error.hint("remove what is not needed there, or freeze modules into the firmware with `--manifest`");
    }
    error
}

/// What there is to copy.
#[derive(Default)]
struct Listed {
    /// Each after the one it lies in.
    directories: Vec<String>,
    /// With their SHA-256 in hex.
    files: Vec<(String, String)>,
}

impl Listed {
    fn of(root: &Path) -> Result<Listed> {
        if !root.is_dir() {
            return Err(Error::input(format!("{} is no directory", root.display())));
        }
        let mut listed = Listed::default();
        for entry in WalkDir::new(root).min_depth(1).follow_links(true).sort_by_file_name() {
            let entry = entry.map_err(|error| Error::walk(root, error))?;
            let path = entry.path().strip_prefix(root).unwrap_or(entry.path());
            let name = path.to_str().filter(|name| name.chars().all(plain)).ok_or_else(|| {
                Error::input(format!(
                    "{} has a name that a board cannot keep",
                    entry.path().display()
                ))
            })?;
            if entry.file_type().is_dir() {
                listed.directories.push(name.to_owned());
            } else if fs::metadata(entry.path()).is_ok_and(|found| found.is_file()) {
                listed.files.push((name.to_owned(), Sha256Hash::of_file(entry.path())?.to_hex()));
            }
        }
        Ok(listed)
    }
}

/// Whether a character may stand in a Python string as Rust writes it.
fn plain(character: char) -> bool {
    !character.is_control() && !matches!(character, '"' | '\\' | '\'')
}

impl Deployed {
    fn of(console: &Captured) -> Deployed {
        let text = String::from_utf8_lossy(&console.output).into_owned();
        let of = |what: &str| {
            text.lines().filter_map(|line| line.strip_prefix(what)).map(str::to_owned).collect()
        };
        Deployed { written: of("wrote "), kept: of("kept ") }
    }

    /// A line for a person.
    pub fn describe(&self) -> String {
        format!("{} files written, {} there already", self.written.len(), self.kept.len())
    }
}
