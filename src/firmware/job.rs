//! What all ports' builds share: the workspace with its copies, and bringing what a build turns out
//! to need.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use super::plan::Request;
use super::record::{Emulator, EspIdf, Role};
use super::saved::Inputs;
use super::workspace::Workspace;
use super::{manifest, micropython_lib, submodule};
use crate::error::{Error, Result};
use crate::process;
use crate::report::Report;
use crate::upstream::copy::{belongs_in_copy, copy_tree};
use crate::upstream::{make, mpy_cross};

/// One build: what is asked for, where it happens, and how long it may take.
pub(super) struct Job<'a> {
    pub workspace: &'a Workspace,
    /// What went into the saved build that this one begins with; nothing, if there is none.
    pub before: &'a Inputs,
    pub request: &'a Request<'a>,
    /// The user C modules by name; their copies lie in the workspace.
    pub modules: &'a BTreeMap<String, PathBuf>,
    /// The submodules that the tree declares.
    pub submodules: &'a [PathBuf],
    pub deadline: Instant,
    pub report: &'a dyn Report,
}

/// What a port's build leaves behind.
pub(super) struct Built {
    pub products: Vec<Product>,
    pub frozen_modules: Vec<String>,
    pub compiler: Option<String>,
    pub emulator: Option<Emulator>,
    pub esp_idf: Option<EspIdf>,
}

/// A file that a build leaves behind.
pub(super) struct Product {
    pub role: Role,
    /// Where it was built.
    pub built: PathBuf,
    /// Its name in the firmware directory.
    pub name: String,
    /// Its offset in flash, in bytes, for what is flashed.
    pub offset: Option<u64>,
}

impl Job<'_> {
    /// What keeps time, place and the user's settings out of the bytes.
    pub(super) fn environment(&self) -> Vec<(OsString, OsString)> {
        let source = &self.request.source;
        let commit: String = source.commit.unwrap_or_default().chars().take(10).collect();
        let mut environment = make::reproducible_environment(source.epoch);
        environment.push(("PYTHONDONTWRITEBYTECODE".into(), "1".into()));
        environment.push(("MICROPY_GIT_TAG".into(), source.version.into()));
        environment.push(("MICROPY_GIT_HASH".into(), commit.into()));
        environment
    }

    /// Copies submodules into the workspace: the tree's own, or those that belong to its release.
    ///
    /// # Errors
    /// When one is not there and cannot be fetched.
    pub(super) fn bring_submodules(&self, needed: &[&Path]) -> Result<()> {
        let tree = self.request.source.path;
        let (present, missing): (Vec<&Path>, Vec<&Path>) =
            needed.iter().partition(|path| submodule::present(tree, path));
        let mut found: Vec<(&Path, PathBuf)> =
            present.into_iter().map(|path| (path, tree.join(path))).collect();
        let given = |path: &Path| self.request.submodules.get(&*path.to_string_lossy());
        found.extend(missing.iter().filter_map(|path| Some((*path, given(path)?.clone()))));
        let missing: Vec<&Path> =
            missing.into_iter().filter(|path| given(path).is_none()).collect();
        match self.request.source.fetch_submodule {
            Some(fetch) => {
                for path in missing {
                    let fetched = fetch(&path.to_string_lossy())
                        .map_err(|error| submodule::with_left_out(error, &[path]))?;
                    found.push((path, fetched));
                }
            }
            None if missing.is_empty() => {}
            None => return Err(submodule::missing(tree, &missing)),
        }
        for (path, from) in found {
            let to = self.workspace.micropython().join(path);
            copy_tree(&from, &to, |path| belongs_in_copy(path, &[]))?;
        }
        Ok(())
    }

    /// Puts micropython-lib and the manifest tool into the workspace.
    ///
    /// # Errors
    /// When they cannot be written.
    pub(super) fn bring_manifest_tool(&self) -> Result<()> {
        let script = self.workspace.tools()?.join(manifest::SCRIPT_NAME);
        fs::write(&script, manifest::SCRIPT)
            .map_err(|error| Error::io("write", &script, &error))?;
        if !self.request.manifests.is_empty() {
            manifest::write(&self.request.manifests, &self.workspace.manifest())?;
        }
        micropython_lib::link(
            micropython_lib::find(self.request)?.as_deref(),
            &self.workspace.micropython_lib(),
        )
    }

    /// The frozen modules as `ask` evaluates the manifest, with micropython-lib fetched if only that
    /// is missing.
    ///
    /// # Errors
    /// When the manifest cannot be used.
    pub(super) fn frozen_modules(
        &self,
        ask: &dyn Fn() -> Result<Option<manifest::Facts>>,
    ) -> Result<Vec<String>> {
        let Some(mut facts) = ask()? else { return Ok(Vec::new()) };
        let given = micropython_lib::find(self.request)?;
        if let (Some(_), None, Some(fetch)) =
            (&facts.missing_package, &given, self.request.source.fetch_submodule)
        {
            let fetched = fetch(micropython_lib::SUBMODULE)?;
            micropython_lib::link(Some(&fetched), &self.workspace.micropython_lib())?;
            facts = ask()?.unwrap_or_default();
        }
        let whose = if self.request.manifests.is_empty() { "the board's own" } else { "the" };
        match (facts.missing_package, facts.error) {
            (Some(package), _) => Err(micropython_lib::lacks(whose, &package, given.as_deref())),
            (None, Some(error)) => {
                Err(Error::input(format!("{whose} frozen manifest cannot be used: {error}")))
            }
            (None, None) => Ok(facts.modules),
        }
    }

    /// Puts mpy-cross into the workspace: the one given, or the tree's own, built if need be.
    ///
    /// # Errors
    /// When it cannot be built or copied.
    pub(super) fn bring_mpy_cross(&self) -> Result<PathBuf> {
        let program = match &self.request.mpy_cross {
            Some(given) => given.clone(),
            None => mpy_cross::Build {
                tree: &self.workspace.micropython(),
                environment: self.environment(),
                jobs: self.request.jobs,
                log: &self.workspace.log(),
                deadline: self.deadline,
            }
            .get(self.report)?,
        };
        let to = self.workspace.tools()?.join("mpy-cross");
        fs::copy(&program, &to).map_err(|error| Error::copy(&program, &to, &error))?;
        Ok(to)
    }

    /// The board with its variant, for people.
    pub(super) fn label(&self) -> String {
        let target = &self.request.target;
        let variant = target.variant.as_deref().map(|name| format!("-{name}")).unwrap_or_default();
        format!("{}{variant} with MicroPython {}", target.board, self.request.source.version)
    }
}

/// The first line a compiler says of itself.
pub(super) fn compiler_version(compiler: &str) -> Result<Option<String>> {
    let Some(program) = compiler.split_whitespace().next() else { return Ok(None) };
    let mut command = Command::new(program);
    command.arg("--version").env("LC_ALL", "C");
    let output = process::output(&mut command, Duration::from_secs(20))?;
    Ok(output.stdout.lines().next().map(str::to_owned))
}
