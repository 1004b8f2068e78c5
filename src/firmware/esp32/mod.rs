//! The esp32 port: CMake, Ninja and ESP-IDF, with no idf.py, no git and no network.
//!
//! MicroPython's `ports/esp32/CMakeLists.txt` is configured in the workspace's copy of the tree, with
//! the managed components already in place; Espressif's component manager then finds everything
//! it wants by its hash. ESP-IDF's tree is only read.

mod components;
mod emulator;
mod fits;
mod frozen;
mod idf;
mod products;
mod project;
mod sizes;

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use super::job::{Built, Job, compiler_version};
use super::record::EspIdf;
use super::{manifest, saved};
use crate::error::{Error, Result};
use crate::process::{self, Outcome};
use crate::upstream::make;
use idf::Idf;
use project::Project;

/// Builds a board of the esp32 port.
pub(super) fn build(job: &Job<'_>) -> Result<Built> {
    let idf = Idf::open(job)?;
    let target = &project::target(job)?;
    fits::check_idf(job, &idf, target)?;
    idf.check_target(target)?;
    let compiler = idf.compiler(target)?;
    let compiler_says = compiler_version(&compiler)?;
    fits::check_compiler(job, &idf, &compiler, compiler_says.as_deref());
    let components = components::bring(job, target, &idf)?;
    bring_submodules(job)?;
    job.bring_manifest_tool()?;
    job.bring_mpy_cross()?;

    let project = Project::new(job, &idf)?;
    let inputs = saved::settle(job)?;
    job.report.step(&format!("configuring {} and ESP-IDF {}", job.label(), idf.version));
    run(job, &idf, &mut project.configure(), "cmake")?;
    project.check_target(target)?;
    project.check_partitions()?;
    let frozen_modules = job.frozen_modules(&|| frozen_facts(&project))?;
    job.report.step(&format!("building {}", job.label()));
    run(job, &idf, &mut project.ninja(&["-j", &job.request.jobs.to_string()]), "ninja")?;
    saved::save(job, inputs)?;
    products::forget_places(job, &idf)?;
    let made = products::make(job)?;
    Ok(Built {
        products: made.products,
        frozen_modules,
        compiler: compiler_says,
        emulator: emulator::of(target),
        esp_idf: Some(EspIdf {
            version: idf.version.to_string(),
            components,
            flash: made.flash,
            partitions: made.partitions,
            sizes: made.sizes,
        }),
    })
}

/// The submodules that upstream's CMake files name for this port. Which of them a board needs is
/// decided while CMake runs; the port's own are few, so all of them are brought if they are there,
/// and the one that every board needs must be.
fn bring_submodules(job: &Job<'_>) -> Result<()> {
    let tree = job.workspace.micropython();
    let mut named = String::new();
    for file in ["ports/esp32/esp32_common.cmake", "extmod/extmod.cmake"] {
        let path = tree.join(file);
        match fs::read_to_string(&path) {
            Ok(text) => named.push_str(&text),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            Err(error) => return Err(Error::io("read", &path, &error)),
        }
    }
    let without_btree = job.request.make_arguments.iter().any(|argument| {
        argument.split_once('=').is_some_and(|(name, value)| {
            name == "MICROPY_PY_BTREE" && ["0", "OFF"].contains(&value.to_uppercase().as_str())
        })
    });
    let wanted: Vec<&Path> = job
        .submodules
        .iter()
        .map(std::path::PathBuf::as_path)
        .filter(|path| {
            let path = path.to_string_lossy();
            let optional = path == "lib/lwip" || without_btree && path.contains("berkeley-db");
            !optional && named.contains(&format!("GIT_SUBMODULES {path})"))
        })
        .collect();
    job.bring_submodules(&wanted)
}

/// Evaluates the manifest with the very command that the build will run.
fn frozen_facts(project: &Project<'_>) -> Result<Option<manifest::Facts>> {
    let listed = process::output(
        &mut project.ninja(&["-t", "commands", "BUILD_FROZEN_CONTENT"]),
        Duration::from_secs(60),
    )?;
    let command = listed.stdout.lines().find(|line| line.contains("tools/makemanifest.py"));
    let Some(command) = command else { return Ok(None) };
    let mut script = project.script(&command.replace(
        "/micropython/tools/makemanifest.py",
        &format!("/tools/{}", manifest::SCRIPT_NAME),
    ));
    let output = process::output(&mut script, Duration::from_secs(120))?;
    if !output.status.success() {
        let last = output.stderr.lines().last().unwrap_or("it said nothing");
        return Err(Error::input(format!("the frozen manifest cannot be evaluated: {last}")));
    }
    manifest::parse(&output.stdout)
}

/// Runs a step of the build with the log, and shows its first error when it fails.
fn run(job: &Job<'_>, idf: &Idf, command: &mut Command, name: &str) -> Result<()> {
    let log = job.workspace.log();
    match process::run_logged(command, &log, Some(job.deadline))? {
        Outcome::Ended(status) if status.success() => Ok(()),
        Outcome::Ended(status) => {
            let error = make::failure(&log, &format!("{name} ended with {status}"));
            Err(match idf.absent_submodules().as_slice() {
                [] => error,
                absent => error.hint(format!(
                    "if it is for want of ESP-IDF's {}: `git -C {} submodule update --init --recursive`",
                    absent.join(" "),
                    idf.path.display()
                )),
            })
        }
        Outcome::TimedOut => Err(make::timed_out()),
    }
}

/// The environment of everything that ESP-IDF's build runs.
fn prepare(command: &mut Command, job: &Job<'_>, idf: &Idf) {
    make::environment_of(command, &job.environment());
    let mut path = job.workspace.path().join("tools/bin").into_os_string();
    path.push(":");
    path.push(std::env::var_os("PATH").unwrap_or_default());
    command
        .env("PATH", path)
        // ESP-IDF asks git for a version, and a repository around the output is none of its business.
        .env("GIT_CEILING_DIRECTORIES", job.workspace.path())
        .env("IDF_PATH", &idf.path)
        .env("IDF_COMPONENT_CHECK_NEW_VERSION", "0")
        .env("MICROPY_MPYCROSS", job.workspace.path().join("tools/mpy-cross"))
        // What ESP-IDF's tools write to a home directory is no concern of the user's.
        .env("HOME", job.workspace.path().join("home"));
}
