//! The user's module: a directory with upstream's kind of Makefile, and what that Makefile says.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use super::tree::DYNRUNTIME;
use super::{Arch, record};
use crate::error::{Error, Result};
use crate::pins::Sha256Hash;
use crate::rewrite::{self, Changes, Purpose};
use crate::source::nar_hash;
use crate::upstream::copy::copy_tree;
use crate::upstream::make::Make;

/// The name of the makefile. Upstream's rules name it, too.
const MAKEFILE: &str = "Makefile";

/// What is never a source: version control, caches, and what `make` itself leaves behind.
const NOT_SOURCES: &[&str] = &[".git", ".mpy_ld_cache", "__pycache__", "node_modules"];

/// A copy of the user's sources that no edit changes any more.
#[derive(Debug)]
pub(super) struct Snapshot {
    directory: PathBuf,
    /// From the copy's root to the directory with the Makefile.
    below: PathBuf,
    identity: Sha256Hash,
}

impl Snapshot {
    /// Copies the module in `module` with all of `root`, which contains it. `out` is where the results
    /// go: it is no part of the sources, even if it lies among them.
    ///
    /// # Errors
    /// When there is no Makefile, or something cannot be copied.
    pub(super) fn take(module: &Path, root: &Path, out: &Path, to: &Path) -> Result<Snapshot> {
        let (root, below) = locate(module, root)?;
        let results = Results::at(out)?;
        copy_tree(&root, to, |path| {
            let name = path.file_name().unwrap_or_default();
            // Objects of an earlier make by hand would be taken for up to date.
            let built = path.parent() == Some(&below) && name == "build";
            !built && !NOT_SOURCES.iter().any(|not| name == *not) && !results.hold(&root.join(path))
        })?;
        let identity = nar_hash(to)?;
        Ok(Snapshot { directory: to.to_owned(), below, identity })
    }

    /// A hash of all the sources, and of where the Makefile is among them.
    pub(super) fn identity(&self) -> (Sha256Hash, &Path) {
        (self.identity, &self.below)
    }

    /// Makes a copy to build in, and returns the directory in it that holds the Makefile.
    ///
    /// # Errors
    /// When something cannot be copied.
    pub(super) fn copy_to(&self, cell: &Path) -> Result<PathBuf> {
        copy_tree(&self.directory, cell, |_| true)?;
        Ok(cell.join(&self.below))
    }

    /// Makes a copy in which the static-const rewrite has been at the C files; none if that changes nothing.
    ///
    /// # Errors
    /// When something cannot be copied or read.
    pub(super) fn rewritten(&self, to: &Path) -> Result<Option<Rewritten>> {
        copy_tree(&self.directory, to, |_| true)?;
        let changes = rewrite::plan_tree(to, Purpose::NativeModule)?;
        changes.write()?;
        let identity = nar_hash(to)?;
        if identity == self.identity {
            return Ok(None);
        }
        let snapshot = Snapshot { directory: to.to_owned(), below: self.below.clone(), identity };
        Ok(Some(Rewritten { snapshot, changes }))
    }

    /// From the directory with the Makefile to the directory that holds the copy.
    pub(super) fn way_out(&self) -> String {
        "../".repeat(self.below.components().count() + 1)
    }
}

/// A copy of the user's sources after the static-const rewrite.
#[derive(Debug)]
pub(super) struct Rewritten {
    pub snapshot: Snapshot,
    pub changes: Changes,
}

/// The real path of `root`, and the way from it to `module`, which is below it and has a Makefile.
fn locate(module: &Path, root: &Path) -> Result<(PathBuf, PathBuf)> {
    let canonical =
        |path: &Path| path.canonicalize().map_err(|error| Error::io("open", path, &error));
    let (module, root) = (canonical(module)?, canonical(root)?);
    if !module.join(MAKEFILE).is_file() {
        return Err(no_makefile(&module));
    }
    match module.strip_prefix(&root) {
        Ok(below) => Ok((root.clone(), below.to_owned())),
        Err(_) => {
            Err(Error::usage(format!("{} is not below {}", module.display(), root.display()))
                .hint("--root names a directory that contains the module's"))
        }
    }
}

/// Checks that `module` is a directory with a Makefile, in or below `root` if there is one: what can be known
/// before any MicroPython is fetched.
///
/// # Errors
/// When it is not.
pub fn check(module: &Path, root: Option<&Path>) -> Result<()> {
    locate(module, root.unwrap_or(module)).map(drop)
}

fn no_makefile(module: &Path) -> Error {
    let error = Error::input(format!("{} has no {MAKEFILE}", module.display()));
    let entries = fs::read_dir(module).into_iter().flatten().flatten();
    let mut inside = entries.map(|entry| entry.path()).filter(|path| path.join(MAKEFILE).is_file());
    match inside.next() {
        Some(other) => error.hint(format!("{} has one", other.display())),
        None => error.hint(
            "a native module is a directory with a Makefile that sets MOD and SRC and includes \
             $(MPY_DIR)/py/dynruntime.mk; MicroPython's examples/natmod has some",
        ),
    }
}

/// Where results go, and what lies beside them while they are made.
struct Results {
    parent: PathBuf,
    name: String,
}

impl Results {
    fn at(out: &Path) -> Result<Results> {
        let (parent, name) = crate::publish::parent_and_name(out)?;
        let parent = parent.canonicalize().unwrap_or(parent);
        Ok(Results { parent, name: name.to_string_lossy().into_owned() })
    }

    fn hold(&self, path: &Path) -> bool {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let staging = || {
            name.strip_prefix('.')
                .and_then(|rest| rest.strip_prefix(self.name.as_str()))
                .is_some_and(|rest| rest.starts_with(".new-"))
        };
        path.parent() == Some(&self.parent)
            && (name == self.name.as_str() && path.join(record::FILE_NAME).is_file()
                || name.strip_suffix(".logs") == Some(&self.name)
                || staging())
    }
}

/// What a Makefile says of the module for one architecture.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Facts {
    pub built: Built,
    /// Whether Python is compiled into it, or may be.
    pub has_python: bool,
}

/// Which file is the module.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Built {
    /// The one that `MOD` names; without `.mpy`.
    Named(String),
    /// The only one that the user's target makes besides these, which are there without it. Such a target
    /// runs make again, with rules that a look at the Makefile does not show.
    New(Files),
}

impl Built {
    /// The name of the file, without `.mpy`, once make has run in a directory for a target.
    ///
    /// # Errors
    /// When it is not there, or is one of several.
    pub(super) fn find(&self, directory: &Path, target: Option<&str>) -> Result<String> {
        let made = mpy_files(directory)?;
        let target = target.map(|name| format!(" {name}")).unwrap_or_default();
        let there = match self {
            Built::Named(name) if made.contains_key(name) => return Ok(name.clone()),
            Built::Named(name) => {
                return Err(Error::build(format!(
                    "`make{target}` ended well and left no {name}.mpy"
                ))
                .hint("MOD in the Makefile names the file that is taken"));
            }
            Built::New(there) => there,
        };
        let is_new = |name: &&String| made.get(*name) != there.get(*name);
        let new: Vec<&str> = made.keys().filter(is_new).map(String::as_str).collect();
        match new.as_slice() {
            [one] => Ok((*one).to_owned()),
            [] => Err(Error::build(format!("`make{target}` ended well and left no new .mpy file"))),
            several => Err(Error::build(format!(
                "`make{target}` left several .mpy files: {}",
                several.join(", ")
            ))
            .hint("name a target that makes one of them with --make-target")),
        }
    }
}

/// Files by name, and when each was written.
type Files = BTreeMap<String, SystemTime>;

/// The `.mpy` files in a directory; their names are without `.mpy`.
fn mpy_files(directory: &Path) -> Result<Files> {
    let fail = |error| Error::io("read", directory, &error);
    let mut files = Files::new();
    for entry in fs::read_dir(directory).map_err(fail)? {
        let entry = entry.map_err(fail)?;
        let name = entry.file_name();
        if let Some(name) = name.to_str().and_then(|name| name.strip_suffix(".mpy")) {
            let written = entry.metadata().and_then(|metadata| metadata.modified());
            files.insert(name.to_owned(), written.map_err(fail)?);
        }
    }
    Ok(files)
}

impl Facts {
    /// Asks the Makefile, of which a target of the user's is to be made if there is one.
    ///
    /// # Errors
    /// When it cannot be evaluated, names no module, or does not include upstream's rules.
    pub(super) fn ask(make: &Make, target: Option<&str>) -> Result<Facts> {
        let [built, makefiles, python] =
            make.values(["$(MOD)", "$(MAKEFILE_LIST)", "$(SRC_MPY)$(filter %.py,$(SRC))"])?;
        if !makefiles.split_whitespace().any(|file| file.ends_with(DYNRUNTIME)) {
            if target.is_some() {
                let built = Built::New(mpy_files(&make.directory)?);
                return Ok(Facts { built, has_python: true });
            }
            return Err(Error::input(format!("the Makefile does not include {DYNRUNTIME}")).hint(
                "end it with `include $(MPY_DIR)/py/dynruntime.mk`, or name the target that builds \
                       the module with --make-target",
            ));
        }
        if built.is_empty() {
            return Err(Error::input("the Makefile does not set MOD, the module's name")
                .hint("set it before the include, for example `MOD = mymodule`"));
        }
        if built.contains(['/', ' ']) || built.starts_with('.') {
            return Err(Error::input(format!(
                "the Makefile's MOD is {built:?}, expected one plain name"
            )));
        }
        Ok(Facts { built: Built::Named(built), has_python: !python.is_empty() })
    }
}

/// The module's name. Upstream's own examples are named for the architecture, too (`re_x64`).
pub(super) fn name(built: &str, arch: Arch) -> &str {
    let plain = built.strip_suffix(arch.name()).and_then(|rest| rest.strip_suffix(['_', '-']));
    plain.filter(|name| !name.is_empty()).unwrap_or(built)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_architecture_is_no_part_of_the_name() {
        assert_eq!(name("re_x64", Arch::X64), "re");
        assert_eq!(name("re_x64", Arch::X86), "re_x64");
        assert_eq!(name("x64", Arch::X64), "x64");
        assert_eq!(name("features0", Arch::Armv6m), "features0");
    }
}
