//! One cell of the matrix, an architecture and a tree: its directory, its make, and what came out.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use jobserver::Client;

use super::header::HeaderError;
use super::module::{self, Facts, Rewritten, Snapshot};
use super::options::Options;
use super::store::{About, Finished};
use super::toolchain::Toolchain;
use super::tree::Tree;
use super::{Arch, Header, Linker, MpyVersion, diagnosis, record};
use crate::cache;
use crate::error::{Error, Result};
use crate::pins::{Hasher, Sha256Hash};
use crate::upstream::make::{Make, makefile_word, reproducible_environment};

/// Changed whenever the same inputs give other bytes than before.
const KEY_VERSION: &str = "native module 2";

/// A cell of the matrix.
#[derive(Debug, Clone)]
pub(super) struct Cell<'a> {
    pub tree: &'a Tree,
    pub arch: Arch,
}

impl Cell<'_> {
    /// A name for it that is also good for a file.
    pub(super) fn name(&self) -> String {
        format!("mpy{}-{}", self.tree.mpy_version, self.arch)
    }

    /// What the record says of it.
    pub(super) fn record(&self) -> record::Cell {
        record::Cell {
            arch: self.arch.name().to_owned(),
            mpy_version: self.tree.mpy_version.to_string(),
            micropython: self.tree.source.version.clone(),
            commit: self.tree.source.commit.clone(),
        }
    }
}

/// What all cells share.
pub(super) struct Site<'a> {
    /// The directory that all builds happen in.
    pub workspace: &'a Path,
    pub snapshot: &'a Snapshot,
    /// What is built instead where [`Options::rewrites`] says so, if that is something else.
    pub rewritten: Option<&'a Rewritten>,
    pub options: &'a Options,
    /// A hash of all in the options that decides the bytes.
    pub options_identity: Sha256Hash,
    /// The Python that runs MicroPython's tools.
    pub python: &'a Path,
    /// Where Python and MicroPython's linker keep what they need again, for all builds.
    pub caches: &'a Path,
    pub time_limit: Duration,
}

/// A cell that is ready to be built.
pub(super) struct Prepared<'a> {
    pub cell: Cell<'a>,
    pub facts: Facts,
    make: Make,
    log: PathBuf,
}

impl<'s> Site<'s> {
    /// The rewritten sources, if a cell is built from these.
    pub(super) fn rewritten(&self, arch: Arch) -> Option<&'s Rewritten> {
        self.rewritten.filter(|_| self.options.rewrites(arch))
    }

    fn snapshot(&self, arch: Arch) -> &'s Snapshot {
        self.rewritten(arch).map_or(self.snapshot, |rewritten| &rewritten.snapshot)
    }

    /// A hash of all that decides what a cell becomes.
    pub(super) fn key(&self, cell: &Cell<'_>, toolchain: &Toolchain) -> String {
        let mut hasher = Hasher::default();
        let (sources, below) = self.snapshot(cell.arch).identity();
        hasher.update(KEY_VERSION.as_bytes());
        hasher.update(sources.as_bytes());
        hasher.update(below.as_os_str().as_encoded_bytes());
        hasher.update(cell.tree.identity().as_bytes());
        hasher.update(cell.arch.name().as_bytes());
        hasher.update(toolchain.identity.as_bytes());
        hasher.update(self.options_identity.as_bytes());
        hasher.finish().to_hex()
    }

    /// Where the sources of a tree lie, seen from the workspace.
    fn tree(tree: &Tree) -> String {
        format!("micropython/{}", tree.mpy_version)
    }

    /// Where a tree's mpy-cross lies, seen from the workspace.
    pub(super) fn mpy_cross(version: MpyVersion) -> String {
        format!("mpy-cross/{version}/mpy-cross")
    }

    /// Makes the workspace: links to the trees, and what all cells are given. Everything a makefile is
    /// told is reached through relative paths, so no path of the user's has to survive make's word
    /// splitting.
    ///
    /// # Errors
    /// When something cannot be written.
    pub(super) fn lay_out(&self, trees: &[Tree]) -> Result<()> {
        let make_directory = |path: &Path| {
            fs::create_dir_all(path).map_err(|error| Error::io("create", path, &error))
        };
        make_directory(&self.workspace.join("micropython"))?;
        make_directory(&self.workspace.join("logs"))?;
        cache::create(&self.linker_cache())?;
        for tree in trees {
            link(&tree.source.path, &self.workspace.join(Self::tree(tree)))?;
        }
        if let Some(externs) = &self.options.externs {
            let to = self.workspace.join("externs.ld");
            fs::copy(externs, &to).map_err(|error| Error::copy(externs, &to, &error))?;
        }
        Ok(())
    }

    fn linker_cache(&self) -> PathBuf {
        self.caches.join("mpy_ld_cache")
    }

    /// Where everything is logged that a cell's make prints.
    pub(super) fn log(&self, cell: &Cell<'_>) -> PathBuf {
        self.workspace.join("logs").join(format!("{}.log", cell.name()))
    }

    /// What keeps the user's settings, time and place out of the bytes.
    pub(super) fn environment(&self) -> Vec<(OsString, OsString)> {
        let mut environment = reproducible_environment(None);
        environment.push(("PYTHONPYCACHEPREFIX".into(), self.caches.join("python").into()));
        environment
    }

    /// Makes a cell's directory, and asks the Makefile in it what it is about.
    ///
    /// # Errors
    /// When the Makefile cannot be used.
    pub(super) fn prepare<'a>(
        &self,
        cell: Cell<'a>,
        toolchain: &Toolchain,
    ) -> Result<Prepared<'a>> {
        let top = self.workspace.join("cells").join(cell.name());
        let directory = self.snapshot(cell.arch).copy_to(&top)?;
        if self.options.linker == Linker::Upstream {
            link(&self.linker_cache(), &directory.join(".mpy_ld_cache"))?;
        }
        // Out of the directory with the Makefile, and out of cells/<name>.
        let way_out = format!("{}../", self.snapshot.way_out());
        let mut variables: Vec<OsString> = vec![
            format!("ARCH={}", cell.arch).into(),
            "BUILD=build".into(),
            assignment("CROSS", &cross(&toolchain.prefix)),
            format!("MPY_DIR={way_out}{}", Self::tree(cell.tree)).into(),
            format!("MPY_CROSS={way_out}{}", Self::mpy_cross(cell.tree.mpy_version)).into(),
            assignment("PYTHON", &makefile_word(self.python.as_os_str())),
            // py/dynruntime.mk has them in /bin, where not every system does.
            "MKDIR=mkdir".into(),
            "RM=rm".into(),
        ];
        let externs = format!("{way_out}externs.ld");
        variables.extend(self.options.variables(cell.arch, &externs));
        let mut environment = self.environment();
        let flags: Vec<OsString> = self
            .options
            .mpy_cross_arguments
            .iter()
            .map(|argument| makefile_word(OsStr::new(argument)))
            .collect();
        // In the environment, so that makefiles add to it.
        environment.push(("MPY_CROSS_FLAGS".into(), flags.join(OsStr::new(" "))));
        let make = Make { directory, variables, environment };
        let facts = Facts::ask(&make, self.options.make_target.as_deref())?;
        let log = self.log(&cell);
        fs::write(&log, self.preface(cell.arch))
            .map_err(|error| Error::io("write", &log, &error))?;
        Ok(Prepared { cell, facts, make, log })
    }

    /// What a log says before make says anything.
    fn preface(&self, arch: Arch) -> String {
        let mut lines = vec![self.options.linker.described().to_owned()];
        lines.extend(self.rewritten(arch).into_iter().flat_map(|it| it.changes.lines()));
        lines.join("\n") + "\n"
    }

    /// Builds a cell.
    ///
    /// # Errors
    /// When make fails, or what it leaves is not the module that was asked for.
    pub(super) fn build(&self, prepared: &Prepared<'_>, others: &Client) -> Result<Finished> {
        let Prepared { cell, facts, make, log } = prepared;
        let target = self.options.make_target.as_deref();
        make.run_beside(others, target, log, Instant::now() + self.time_limit).map_err(
            |error| {
                let linker = &self.options.linker;
                diagnosis::Scene { make, log, tree: cell.tree, arch: cell.arch, linker }
                    .explain(error)
            },
        )?;
        let built = facts.built.find(&make.directory, target)?;
        let path = make.directory.join(format!("{built}.mpy"));
        let bytes = fs::read(&path).map_err(|error| Error::io("read", &path, &error))?;
        check(&bytes, cell)?;
        let module = module::name(&built, cell.arch).to_owned();
        Ok(Finished { about: About { module }, bytes })
    }
}

fn link(to: &Path, at: &Path) -> Result<()> {
    symlink(to, at).map_err(|error| Error::io("create", at, &error))
}

/// The value of `CROSS`, which recipes have before the names of programs and makefiles may look into: quoted only
/// where a shell would not take it as it is.
fn cross(prefix: &str) -> OsString {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"/._+-".contains(&byte);
    if prefix.bytes().all(is_plain) { prefix.into() } else { makefile_word(OsStr::new(prefix)) }
}

fn assignment(name: &str, value: &OsStr) -> OsString {
    let mut assignment = OsString::from(name);
    assignment.push("=");
    assignment.push(value);
    assignment
}

/// Makes sure that a file is native code for the cell it was built in.
fn check(bytes: &[u8], cell: &Cell<'_>) -> Result<()> {
    let found = match Header::parse(bytes) {
        Ok(header) => format!(
            ".mpy version {} for {}",
            header.mpy_version(),
            super::header::arch_text(header.arch_code())
        ),
        Err(HeaderError::NotMpy) => "no .mpy file".to_owned(),
        Err(HeaderError::CutOff) => "a .mpy file that is cut off".to_owned(),
        Err(HeaderError::UnknownVersion(version)) => format!(".mpy version {version}"),
    };
    let expected = format!(".mpy version {} for {}", cell.tree.mpy_version, cell.arch);
    if found == expected {
        return Ok(());
    }
    Err(Error::build(format!("what was built is {found}, expected {expected}"))
        .hint("the Makefile must take ARCH and MPY_DIR as they are given"))
}
