//! `lock`.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use serde::Serialize;

use super::output::Output;
use super::vendor::{Component, all_pins};
use crate::component::condition::Situation;
use crate::component::fetch::Fetcher;
use crate::component::pin::{self, write_aside};
use crate::component::plan::Plan;
use crate::component::registry::Registry;
use crate::component::resolve::{Project, idf_version};
use crate::component::vendor::{Options, Summary, vendor};
use crate::component::version::Version;
use crate::component::{Lock, upstream};
use crate::error::{Error, Result};
use crate::report::Report;

#[derive(Debug, clap::Args)]
#[command(
    about = "Resolve the ESP-IDF components of a build and write its lock file",
    long_about = "Resolve the ESP-IDF components of a build and write its lock file, to be kept \
        beside the flake or in version control.\n\n\
        MicroPython's releases come with lock files since v1.26.1; one of your own is needed for \
        an ESP-IDF that a locked component does not work with, for an older or patched MicroPython, \
        and when user C modules bring an idf_component.yml that asks for more components. What \
        MicroPython's own lock file says is kept where it fits, and then nothing has to be asked of \
        the registry.\n\n\
        The file is what ESP-IDF's component manager 2.x writes itself (format 2.0.0).",
    after_help = "Examples:\n  \
        micropython-builder lock --micropython mp --target esp32c3 --idf-version 5.4.2 \\\n      \
        --out dependencies.lock.esp32c3\n      \
        for the same components with another ESP-IDF\n  \
        micropython-builder lock --micropython mp --idf esp-idf --target esp32,esp32s3 \\\n      \
        --manifest modules/idf_component.yml --out locks\n      \
        with what user C modules need; locks/dependencies.lock.esp32 and …esp32s3\n  \
        micropython-builder lock --micropython mp --idf esp-idf --target esp32 --check --out locks\n      \
        says whether a lock file is still right"
)]
pub(super) struct Arguments {
    /// The MicroPython source tree
    #[arg(long, value_name = "DIR")]
    micropython: PathBuf,
    /// The chip as ESP-IDF calls it, such as esp32c3; several with commas
    #[arg(long, value_name = "CHIP", value_delimiter = ',', required = true)]
    target: Vec<String>,
    /// The version of ESP-IDF; by default that of MicroPython's own lock file
    #[arg(long, value_name = "VERSION", conflicts_with = "idf")]
    idf_version: Option<Version>,
    /// The ESP-IDF tree whose version counts
    #[arg(long, value_name = "DIR")]
    idf: Option<PathBuf>,
    /// An idf_component.yml whose dependencies are needed too, as of a user C module; can be repeated
    #[arg(long, value_name = "FILE")]
    manifest: Vec<PathBuf>,
    /// The lock file to write; with several chips a directory
    #[arg(long, value_name = "PATH")]
    out: PathBuf,
    /// Take the newest versions that fit, not those of MicroPython's own lock file
    #[arg(long)]
    upgrade: bool,
    /// Write nothing; fail if the lock file is missing or no longer right
    #[arg(long, conflicts_with_all = ["upgrade", "write_pins"])]
    check: bool,
    /// Get the components too, and add their pins to this file, which is created if needed
    #[arg(long, value_name = "FILE")]
    write_pins: Option<PathBuf>,
    /// A file of pins that counts besides the ones compiled in; can be repeated
    #[arg(long, value_name = "FILE")]
    pins: Vec<PathBuf>,
}

#[derive(Debug, Serialize)]
struct Answer {
    schema: u32,
    locks: Vec<Written>,
    /// With --write-pins, what was pinned.
    components: Vec<Component>,
}

#[derive(Debug, Serialize)]
struct Written {
    target: String,
    path: String,
    idf_version: String,
    manifest_hash: Option<String>,
    components: Vec<Chosen>,
}

#[derive(Debug, Serialize)]
struct Chosen {
    name: String,
    version: String,
    component_hash: Option<String>,
}

pub(super) fn run(arguments: &Arguments, output: &Output) -> Result<ExitCode> {
    let project = Project::new(&arguments.micropython, &arguments.manifest)?;
    let progress = output.progress();
    let mut answer = Answer { schema: 1, locks: Vec::new(), components: Vec::new() };
    let mut locks = Vec::new();
    for target in &arguments.target {
        let path = path_for(arguments, target);
        let lock = if arguments.check {
            checked(arguments, &project, target, &path)?
        } else {
            let lock = resolved(arguments, &project, target, &progress)?;
            if let Some(directory) = path.parent().filter(|it| !it.as_os_str().is_empty()) {
                std::fs::create_dir_all(directory)
                    .map_err(|error| Error::io("create", directory, &error))?;
            }
            write_aside(&path, &lock.to_text()?)?;
            lock
        };
        answer.locks.push(written(target, &path, &lock));
        locks.push((path, lock));
    }
    if let Some(file) = &arguments.write_pins {
        let summary = pinned(arguments, &locks, file, &progress)?;
        answer.components = summary.components.iter().map(Component::from).collect();
    }
    print(&answer, output)?;
    Ok(ExitCode::SUCCESS)
}

fn path_for(arguments: &Arguments, target: &str) -> PathBuf {
    let name = format!("dependencies.lock.{target}");
    let directory = arguments.target.len() > 1
        || arguments.out.is_dir()
        || arguments.out.as_os_str().to_string_lossy().ends_with('/');
    if directory { arguments.out.join(name) } else { arguments.out.clone() }
}

/// MicroPython's own lock file, if it has one for this chip that is not stale.
fn own_lock(arguments: &Arguments, target: &str) -> Option<Lock> {
    let known = upstream::targets(&arguments.micropython).ok()?;
    known.iter().any(|it| it == target).then_some(())?;
    upstream::unchecked_lock(&arguments.micropython, target).ok().map(|it| it.lock)
}

fn situation(arguments: &Arguments, target: &str) -> Result<Situation> {
    let given = match (&arguments.idf_version, &arguments.idf) {
        (Some(version), _) => Some(version.clone()),
        (None, Some(idf)) => Some(idf_version(idf)?),
        (None, None) => own_lock(arguments, target).and_then(|it| it.idf_version),
    };
    let idf_version = given.ok_or_else(|| {
        Error::usage(format!(
            "{} does not say which ESP-IDF it is for, with {target}",
            arguments.micropython.display()
        ))
        .hint("give --idf-version VERSION or --idf DIR")
    })?;
    Ok(Situation { target: target.to_owned(), idf_version })
}

fn resolved(
    arguments: &Arguments,
    project: &Project,
    target: &str,
    report: &dyn Report,
) -> Result<Lock> {
    let situation = situation(arguments, target)?;
    report.step(&format!(
        "resolving the components for {target} and ESP-IDF {}",
        situation.idf_version
    ));
    let options = Options::from_environment();
    let scratch = tempfile::tempdir()
        .map_err(|error| Error::io("create a directory in", &std::env::temp_dir(), &error))?;
    let registry = Registry::new(options.settings, options.patience, scratch.path());
    let (directory, limits) = (scratch.path(), options.limits);
    let catalog = Fetcher { registry: &registry, directory, limits, report };
    let keep = own_lock(arguments, target).filter(|_| !arguments.upgrade);
    project
        .lock(&situation, &catalog, keep.as_ref())
        .map_err(|error| error.context(format!("cannot resolve the components for {target}")))
}

fn checked(arguments: &Arguments, project: &Project, target: &str, path: &Path) -> Result<Lock> {
    let mut again = format!(
        "micropython-builder lock --micropython {} --target {target}",
        arguments.micropython.display()
    );
    let situation = situation(arguments, target)?;
    again.push_str(&format!(" --idf-version {}", situation.idf_version));
    for manifest in &arguments.manifest {
        again.push_str(&format!(" --manifest {}", manifest.display()));
    }
    again.push_str(&format!(" --out {}", path.display()));
    let lock = Lock::read(path).map_err(|error| error.hint(format!("`{again}` makes it")))?;
    match project.staleness(&lock, &situation) {
        None => Ok(lock),
        Some(why) => Err(Error::input(format!("{} is stale: {why}", path.display()))
            .hint(format!("`{again}` makes it anew"))),
    }
}

/// Gets the components of locks and adds their pins to a file.
fn pinned(
    arguments: &Arguments,
    locks: &[(PathBuf, Lock)],
    file: &Path,
    report: &dyn Report,
) -> Result<Summary> {
    let pins = all_pins(&arguments.pins)?;
    let options = Options::from_environment();
    let mut all: Option<Summary> = None;
    for (path, lock) in locks {
        let mut plan = Plan::default();
        plan.add_lock(lock, &path.display().to_string(), &pins)?;
        let scratch = tempfile::tempdir()
            .map_err(|error| Error::io("create a directory in", &std::env::temp_dir(), &error))?;
        let summary = vendor(&plan, scratch.path(), &options, report)?;
        pin::add(file, pin::pins_of(&plan, &summary))?;
        match &mut all {
            None => all = Some(summary),
            Some(all) => {
                for component in summary.components {
                    let same = |it: &crate::component::vendor::Vendored| {
                        (&it.name, &it.version) == (&component.name, &component.version)
                    };
                    if !all.components.iter().any(same) {
                        all.components.push(component);
                    }
                }
            }
        }
    }
    all.ok_or_else(|| Error::internal("no lock was made"))
}

fn written(target: &str, path: &Path, lock: &Lock) -> Written {
    let components = lock.components.iter().map(|(name, locked)| Chosen {
        name: name.clone(),
        version: locked.version.clone(),
        component_hash: locked.hash().map(ToString::to_string),
    });
    Written {
        target: target.to_owned(),
        path: path.to_string_lossy().into_owned(),
        idf_version: lock.idf_version.as_ref().map_or_else(String::new, ToString::to_string),
        manifest_hash: lock.manifest_hash.clone(),
        components: components.collect(),
    }
}

fn print(answer: &Answer, output: &Output) -> Result<()> {
    if output.json() {
        return output.data_json(answer);
    }
    for lock in &answer.locks {
        output.data(format!("{}\n", lock.path))?;
        for component in &lock.components {
            output.data(format!("  {} {}\n", component.name, component.version))?;
        }
    }
    Ok(())
}
