//! Reading a tree's ports and the names of their boards.

use std::fs;
use std::io;
use std::path::Path;

use super::describe;
use super::make::Makefile;
use super::{BuildSystem, Catalogue, Port};
use crate::error::{Error, Result, describe as in_words};
use crate::source;

/// Files any of which makes a directory in `boards/` a board.
const BOARD_FILES: [&str; 4] =
    ["board.json", "mpconfigboard.cmake", "mpconfigboard.mk", "mpconfigboard.h"];

/// Reads all ports, boards and variants of a MicroPython source tree.
///
/// A file that cannot be understood becomes a warning, and hides no other board.
///
/// # Errors
/// When the directory is no MicroPython source tree or its `ports` cannot be listed.
pub fn scan(tree: &Path) -> Result<Catalogue> {
    source::check(tree)?;
    let directory = tree.join("ports");
    let names =
        entries(&directory, Path::is_dir).map_err(|error| Error::io("read", &directory, &error))?;
    let mut catalogue = Catalogue {
        tree: tree.to_path_buf(),
        version: source::version(tree).ok().map(|version| version.number()),
        ports: Vec::new(),
        boards: Vec::new(),
        warnings: Vec::new(),
    };
    for name in names {
        let mut place = Place::new(tree, &name, &mut catalogue.warnings);
        let port = place.port();
        for (name, layout) in place.declared(&port) {
            catalogue.boards.push(describe::board(&mut place, name, layout));
        }
        catalogue.ports.push(port);
    }
    Ok(catalogue)
}

/// How a tree declares a board.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Layout {
    /// `boards/NAME/`
    Directory,
    /// `boards/NAME.mk` or `boards/NAME.conf`
    File,
    /// A condition in the port's Makefile.
    Condition,
    /// The port is the board.
    Port,
}

/// The port that is being read.
pub(super) struct Place<'a> {
    pub(super) tree: &'a Path,
    pub(super) port: &'a str,
    pub(super) directory: std::path::PathBuf,
    pub(super) build_system: Option<BuildSystem>,
    /// The port's Makefile as it is without a board named.
    pub(super) makefile: Option<Makefile>,
    pub(super) warnings: &'a mut Vec<String>,
}

impl<'a> Place<'a> {
    fn new(tree: &'a Path, port: &'a str, warnings: &'a mut Vec<String>) -> Self {
        let directory = tree.join("ports").join(port);
        let has_makefile = directory.join("Makefile").is_file();
        let build_system = if directory.join("CMakeLists.txt").is_file() {
            Some(BuildSystem::Cmake)
        } else {
            has_makefile.then_some(BuildSystem::Make)
        };
        let mut place = Place { tree, port, directory, build_system, makefile: None, warnings };
        place.makefile = has_makefile.then(|| place.read_makefile(&[])).flatten();
        place
    }

    /// Reads the port's Makefile with some variables given.
    pub(super) fn read_makefile(&mut self, arguments: &[(&str, &str)]) -> Option<Makefile> {
        match Makefile::read(&self.directory, arguments) {
            Ok(makefile) => Some(makefile),
            Err(error) => {
                self.warn(error.message());
                None
            }
        }
    }

    /// Notes what could not be understood, once.
    pub(super) fn warn(&mut self, message: impl Into<String>) {
        let message = message.into();
        if !self.warnings.contains(&message) {
            self.warnings.push(message);
        }
    }

    fn port(&self) -> Port {
        let directory = format!("ports/{}", self.port);
        let documentation = [format!("{directory}/README.md"), format!("docs/{}", self.port)]
            .into_iter()
            .filter(|path| self.tree.join(path).exists())
            .collect();
        Port {
            name: self.port.to_owned(),
            directory,
            build_system: self.build_system,
            default_board: self.makefile.as_ref().and_then(|makefile| makefile.value("BOARD")),
            documentation,
        }
    }

    /// The names of the boards that the port declares, sorted.
    fn declared(&mut self, port: &Port) -> Vec<(String, Layout)> {
        let boards = self.directory.join("boards");
        let is_board = |path: &Path| BOARD_FILES.iter().any(|file| path.join(file).is_file());
        let mut names = self.list(&boards, is_board);
        let mut layout = Layout::Directory;
        if names.is_empty() {
            layout = Layout::File;
            names = self.board_files(&boards);
        }
        if names.is_empty() && !boards.is_dir() {
            layout = Layout::Condition;
            names = self.conditions(port.default_board.as_deref());
        }
        if names.is_empty() && port.build_system.is_some() {
            layout = Layout::Port;
            names.push(port.name.clone());
        }
        names.into_iter().map(|name| (name, layout)).collect()
    }

    /// Boards that are one file: a fragment of the Makefile, or Zephyr's configuration.
    fn board_files(&mut self, boards: &Path) -> Vec<String> {
        let fragments = self
            .makefile
            .as_ref()
            .is_some_and(|makefile| makefile.includes_literally("boards/$(BOARD).mk"));
        let zephyr = self.build_system == Some(BuildSystem::Cmake)
            && self.directory.join("prj.conf").is_file();
        let suffix = match (fragments, zephyr) {
            (true, _) => ".mk",
            (false, true) => ".conf",
            (false, false) => return Vec::new(),
        };
        let files = self.list(boards, Path::is_file);
        files.iter().filter_map(|name| name.strip_suffix(suffix)).map(str::to_owned).collect()
    }

    /// Boards that exist only as conditions in the port's Makefile.
    fn conditions(&self, default: Option<&str>) -> Vec<String> {
        let Some(makefile) = &self.makefile else { return Vec::new() };
        let compared = makefile.comparisons().iter().filter(|found| found.variable == "BOARD");
        let mut names: Vec<String> = compared.map(|found| found.value.clone()).collect();
        if !names.is_empty() {
            names.extend(default.map(str::to_owned));
        }
        names.sort();
        names.dedup();
        names
    }

    /// The names in a directory that pass, sorted; none if there is no such directory.
    pub(super) fn list(&mut self, directory: &Path, wanted: impl Fn(&Path) -> bool) -> Vec<String> {
        match entries(directory, wanted) {
            Ok(names) => names,
            Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
            Err(error) => {
                self.warn(format!("cannot read {}: {}", directory.display(), in_words(&error)));
                Vec::new()
            }
        }
    }
}

/// The names in a directory that pass, sorted. Names that are not UTF-8 name no port or board.
fn entries(directory: &Path, wanted: impl Fn(&Path) -> bool) -> io::Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        let hidden = entry.file_name().as_encoded_bytes().starts_with(b".");
        if let Ok(name) = entry.file_name().into_string()
            && !hidden
            && wanted(&entry.path())
        {
            names.push(name);
        }
    }
    names.sort();
    Ok(names)
}
