//! Building the cells of a matrix: those that an earlier run did not finish, as many at once as may be.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use jobserver::Client;

use super::build::Request;
use super::cell::{Cell, Prepared, Site};
use super::store::{self, Finished};
use super::toolchain::{Finder, Toolchain};
use super::tree::Tree;
use super::{Linker, MpyVersion};
use crate::error::{Error, Kind, Result};
use crate::report::Report;
use crate::upstream::{jobs, mpy_cross};
use crate::{doctor, process};

/// What became of a cell.
pub(super) struct Done<'a> {
    pub cell: Cell<'a>,
    pub result: Result<Good>,
}

/// A module that is finished.
pub(super) struct Good {
    pub finished: Finished,
    pub compiler: String,
    /// Whether an earlier run finished it.
    pub unchanged: bool,
}

/// One run through a matrix.
pub(super) struct Run<'a> {
    request: &'a Request,
    site: &'a Site<'a>,
    report: &'a dyn Report,
    /// Set when nothing more is to be begun.
    stop: AtomicBool,
}

/// A cell that is on its way.
struct Pending<'a> {
    cell: Cell<'a>,
    toolchain: Toolchain,
    key: String,
}

impl<'r> Run<'r> {
    pub(super) fn new(request: &'r Request, site: &'r Site<'r>, report: &'r dyn Report) -> Run<'r> {
        Run { request, site, report, stop: AtomicBool::new(false) }
    }

    /// Finishes all cells, or says of each what went wrong.
    ///
    /// # Errors
    /// When the user interrupts, nothing can be built at all, or a cell fails that must not.
    pub(super) fn all<'a>(&self, cells: Vec<Cell<'a>>, trees: &[Tree]) -> Result<Vec<Done<'a>>> {
        let mut finder = Finder::new(&self.request.toolchains, self.report)?;
        let (mut done, mut pending) = (Vec::new(), Vec::new());
        for cell in cells {
            match self.look_up(&cell, &mut finder) {
                Ok((toolchain, key, None)) => pending.push(Pending { cell, toolchain, key }),
                Ok((toolchain, _, Some(finished))) => {
                    let compiler = toolchain.compiler;
                    let good = Good { finished, compiler, unchanged: true };
                    done.push(Done { cell, result: Ok(good) });
                }
                Err(error) => done.push(Done { cell, result: Err(self.failed(error)?) }),
            }
        }
        if !pending.is_empty() {
            if self.request.options.linker == Linker::Upstream {
                self.check_python()?;
            }
            self.site.lay_out(trees)?;
            done.extend(self.build(pending)?);
        }
        done.sort_by_key(|done| (std::cmp::Reverse(done.cell.tree.mpy_version), done.cell.arch));
        Ok(done)
    }

    /// What a cell is built with, and what an earlier run made of the same.
    fn look_up(
        &self,
        cell: &Cell<'_>,
        finder: &mut Finder<'_>,
    ) -> Result<(Toolchain, String, Option<Finished>)> {
        let toolchain = finder.get(cell.arch)?;
        let key = self.site.key(cell, &toolchain);
        let finished = if self.request.rebuild { None } else { store::find(&key)? };
        Ok((toolchain, key, finished))
    }

    /// Passes an error on to the record, or on to the user at once.
    fn failed(&self, error: Error) -> Result<Error> {
        if self.request.fail_fast || error.kind() == Kind::Interrupted {
            self.stop.store(true, Ordering::Relaxed);
            return Err(error);
        }
        Ok(error)
    }

    fn check_python(&self) -> Result<()> {
        let mut command = Command::new(&self.request.python);
        command.args(["-c", "import elftools"]);
        let output = process::output(&mut command, Duration::from_secs(60))?;
        if output.status.success() {
            return Ok(());
        }
        let program = self.request.python.display();
        let mut error = Error::input(format!(
            "the Python {program} has no module elftools, which MicroPython's linker needs"
        ));
        if let Some(hint) = doctor::install_hint("pyelftools") {
            error = error.hint(hint);
        }
        Err(error
            .hint(format!("or install it there: `{program} -m pip install pyelftools ar`"))
            .hint("or name another Python with --python")
            .hint("or leave --linker upstream away: this program's own linker needs no Python"))
    }

    /// Builds cells: first their makefiles are asked, then mpy-cross is built for the trees that
    /// need it, and then the modules.
    fn build<'a>(&self, pending: Vec<Pending<'a>>) -> Result<Vec<Done<'a>>> {
        let jobs = self.request.jobs;
        let prepared = jobs::for_each(jobs, pending, |pending, _| {
            let prepared =
                self.unless_stopped(|| self.site.prepare(pending.cell.clone(), &pending.toolchain));
            (pending, prepared)
        })?;
        let mut ready: Vec<(Pending<'_>, Result<Prepared<'_>>)> = Vec::new();
        for (pending, prepared) in prepared {
            ready.push((pending, prepared.or_else(|error| Err(self.failed(error)?))));
        }
        self.bring_mpy_cross(&ready)?;
        let built = jobs::for_each(jobs, ready, |(pending, prepared), others| {
            let finished = prepared.and_then(|prepared| {
                self.unless_stopped(|| self.build_one(&pending, &prepared, others))
            });
            let stops = self.request.fail_fast
                && finished.as_ref().is_err_and(|error| error.kind() != Kind::Interrupted);
            if stops {
                self.stop.store(true, Ordering::Relaxed);
            }
            (pending, finished)
        })?;
        let mut done = Vec::new();
        let mut first = None;
        for (pending, finished) in built {
            let compiler = pending.toolchain.compiler;
            let result = finished
                .map(|finished| Good { finished, compiler, unchanged: false })
                .map_err(|error| self.keep_log(&pending.cell, error));
            match result {
                Err(error) if error.kind() == Kind::Interrupted => first = first.or(Some(error)),
                result => done.push(Done { cell: pending.cell, result }),
            }
        }
        if self.request.fail_fast
            && let Some(error) = done.iter().position(|done| done.result.is_err())
        {
            return Err(done.swap_remove(error).result.err().unwrap_or_else(Error::interrupted));
        }
        first.map_or(Ok(done), Err)
    }

    /// Does something, unless another cell has failed and nothing more is to be begun.
    fn unless_stopped<T>(&self, action: impl FnOnce() -> Result<T>) -> Result<T> {
        if self.stop.load(Ordering::Relaxed) { Err(Error::interrupted()) } else { action() }
    }

    fn bring_mpy_cross(&self, ready: &[(Pending<'_>, Result<Prepared<'_>>)]) -> Result<()> {
        let mut brought: Vec<MpyVersion> = Vec::new();
        for prepared in ready.iter().filter_map(|(_, prepared)| prepared.as_ref().ok()) {
            let tree = prepared.cell.tree;
            if !prepared.facts.has_python || brought.contains(&tree.mpy_version) {
                continue;
            }
            brought.push(tree.mpy_version);
            let workspace = self.site.workspace;
            let copy = workspace.join(format!("mpy-cross/{}/tree", tree.mpy_version));
            tree.copy_mpy_cross_sources(&copy)?;
            let log = workspace.join("logs").join(format!("mpy-cross-{}.log", tree.mpy_version));
            let program = mpy_cross::Build {
                tree: &copy,
                environment: self.site.environment(),
                jobs: self.request.jobs,
                log: &log,
                deadline: Instant::now() + self.request.time_limit,
            }
            .get(self.report)?;
            let at = workspace.join(Site::mpy_cross(tree.mpy_version));
            symlink(&program, &at).map_err(|error| Error::io("create", &at, &error))?;
        }
        Ok(())
    }

    fn build_one(
        &self,
        pending: &Pending<'_>,
        prepared: &Prepared<'_>,
        others: &Client,
    ) -> Result<Finished> {
        let finished = self.site.build(prepared, others)?;
        store::keep(&pending.key, &finished)?;
        let cell = &pending.cell;
        self.report.step(&format!(
            "{} for {}, .mpy version {}: {} bytes",
            finished.about.module,
            cell.arch,
            cell.tree.mpy_version,
            finished.bytes.len()
        ));
        Ok(finished)
    }

    /// Puts the log of a cell that failed where the user finds it.
    fn keep_log(&self, cell: &Cell<'_>, error: Error) -> Error {
        let log = self.site.log(cell);
        let kept = logs(&self.request.out).join(format!("{}.log", cell.name()));
        let is_kept = error.kind() == Kind::Build
            && kept.parent().is_some_and(|logs| fs::create_dir_all(logs).is_ok())
            && fs::copy(&log, &kept).is_ok();
        if is_kept { error.hint(format!("the whole log: {}", kept.display())) } else { error }
    }
}

/// Where the logs of cells that failed are kept.
pub(super) fn logs(out: &Path) -> PathBuf {
    let mut name = out.file_name().unwrap_or_default().to_owned();
    name.push(".logs");
    out.with_file_name(name)
}
