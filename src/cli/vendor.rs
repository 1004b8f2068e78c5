//! `vendor`.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use serde::Serialize;

use super::output::Output;
use crate::component::plan::Plan;
use crate::component::vendor::{Options, Summary, Vendored, check, vendor};
use crate::component::{ComponentHash, Lock, pin, upstream};
use crate::error::{Error, Result};
use crate::pins::{self, Components, Sha256Hash};
use crate::source;

#[derive(Debug, clap::Args)]
#[command(
    about = "Get the ESP-IDF components of a lock file into a managed_components directory",
    long_about = "Get the ESP-IDF components of a lock file into a managed_components directory, \
        with which a build needs no network.\n\n\
        Each component comes from ESP-IDF's component registry, or from the git repository it was \
        uploaded from, whichever has it; its files must have the component_hash of the lock. The \
        directory holds those files and .component_hash, nothing else, so that its NAR hash depends \
        on the lock alone. It is compared with the pin where there is one. What is there already and \
        right is kept; a run that was interrupted is continued by the next one.\n\n\
        IDF_COMPONENT_REGISTRY_URL, IDF_COMPONENT_STORAGE_URL, IDF_COMPONENT_LOCAL_STORAGE_URL and \
        IDF_COMPONENT_API_TIMEOUT mean what they mean to ESP-IDF's component manager.",
    after_help = "Examples:\n  \
        micropython-builder vendor --micropython mp --target esp32c3 --out managed_components\n      \
        the components that the MicroPython in mp locks for the ESP32-C3\n  \
        micropython-builder vendor --lock dependencies.lock.esp32s3 --out managed_components\n      \
        those of a lock file of your own; `micropython-builder lock` makes one\n  \
        micropython-builder vendor --pinned espressif/mdns@1.1.0 --out managed_components\n      \
        one component that is pinned, without a lock\n  \
        micropython-builder vendor --lock dependencies.lock.esp32s3 --check managed_components\n      \
        says whether a directory holds exactly those"
)]
pub(super) struct Arguments {
    /// A lock file of ESP-IDF's component manager, format 1.0.0 or 2.0.0; can be repeated
    #[arg(long, value_name = "FILE")]
    lock: Vec<PathBuf>,
    /// A MicroPython source tree: take its lock files for the chips of --target
    #[arg(long, value_name = "DIR", requires = "target")]
    micropython: Option<PathBuf>,
    /// A release of MicroPython: take what is pinned for it and the chips of --target
    #[arg(long, value_name = "VERSION", requires = "target", conflicts_with = "micropython")]
    release: Option<String>,
    /// A chip as ESP-IDF calls it, such as esp32c3; several with commas
    #[arg(long, value_name = "CHIP", value_delimiter = ',')]
    target: Vec<String>,
    /// A component that is pinned, such as espressif/mdns@1.1.0, of no lock; can be repeated
    #[arg(long, value_name = "NAME@VERSION", value_parser = named)]
    pinned: Vec<(String, String)>,
    /// The directory to fill; it is created if needed, and may hold nothing but components
    #[arg(long, value_name = "DIR", required_unless_present = "check")]
    out: Option<PathBuf>,
    /// Instead of getting anything, say whether this directory is what it should be
    #[arg(long, value_name = "DIR", conflicts_with_all = ["out", "force", "write_pins"])]
    check: Option<PathBuf>,
    /// Only this component of the lock, such as espressif/mdns; can be repeated
    #[arg(long, value_name = "NAME")]
    component: Vec<String>,
    /// A file of pins that counts besides the ones compiled in; can be repeated
    #[arg(long, value_name = "FILE")]
    pins: Vec<PathBuf>,
    /// Add pins for what was got to this file, which is created if needed
    #[arg(long, value_name = "FILE")]
    write_pins: Option<PathBuf>,
    /// How many components to get at a time
    #[arg(long, value_name = "NUMBER", value_parser = clap::value_parser!(u16).range(1..=64))]
    jobs: Option<u16>,
    /// Replace components in the directory that were changed by hand
    #[arg(long)]
    force: bool,
}

#[derive(Debug, Serialize)]
struct Report {
    schema: u32,
    directory: String,
    nar: Sha256Hash,
    components: Vec<Component>,
}

#[derive(Debug, Serialize)]
pub(super) struct Component {
    name: String,
    version: String,
    directory: String,
    component_hash: ComponentHash,
    nar: Sha256Hash,
    /// Whether the NAR hash was compared with a pin.
    pinned: bool,
    /// Where it was got from; null when it was there already.
    from: Option<String>,
}

impl From<&Vendored> for Component {
    fn from(it: &Vendored) -> Self {
        Component {
            name: it.name.clone(),
            version: it.version.clone(),
            directory: it.path.to_string_lossy().into_owned(),
            component_hash: it.hash,
            nar: it.nar,
            pinned: it.pinned,
            from: it.place.as_ref().map(ToString::to_string),
        }
    }
}

pub(super) fn run(arguments: &Arguments, output: &Output) -> Result<ExitCode> {
    let pins = all_pins(&arguments.pins)?;
    let mut plan = plan(arguments, &pins)?;
    if !arguments.component.is_empty() {
        plan.keep_only(&arguments.component)?;
    }
    let progress = output.progress();
    for name in &plan.local {
        output.say(format!("{name} is a directory of the machine that made the lock; left out"));
    }
    let (directory, summary) = match (&arguments.check, &arguments.out) {
        (Some(directory), _) => (directory, checked(&plan, directory)?),
        (None, Some(out)) => {
            let mut options = Options { force: arguments.force, ..Options::from_environment() };
            options.jobs = arguments.jobs.map_or(options.jobs, usize::from);
            (out, vendor(&plan, out, &options, &progress)?)
        }
        (None, None) => return Err(Error::usage("either --out or --check is needed")),
    };
    if let Some(file) = &arguments.write_pins {
        let mut new = pin::pins_of(&plan, &summary);
        // The tree's own lock file, all of it and nothing else, is what a release's pin is about.
        let alone = arguments.lock.is_empty()
            && arguments.pinned.is_empty()
            && plan.left_out.is_empty()
            && plan.local.is_empty();
        if let (Some(tree), [target], true) = (&arguments.micropython, &*arguments.target, alone) {
            let release = source::version(tree)?.tag;
            pin::pin_release(&mut new, &release, target, &upstream::lock(tree, target)?, &summary)?;
        }
        pin::add(file, new)?;
        output.say(format!("pinned in {}", file.display()));
    }
    print(directory, &summary, output)?;
    Ok(ExitCode::SUCCESS)
}

fn plan(arguments: &Arguments, pins: &Components) -> Result<Plan> {
    let mut plan = Plan::default();
    for path in &arguments.lock {
        plan.add_lock(&Lock::read(path)?, &path.display().to_string(), pins)?;
    }
    for target in &arguments.target {
        if let Some(tree) = &arguments.micropython {
            let upstream = upstream::lock(tree, target)?;
            plan.add_lock(&upstream.lock, &upstream.path.display().to_string(), pins)?;
        }
        if let Some(release) = &arguments.release {
            plan.add_release(release, target, pins)?;
        }
    }
    for (name, version) in &arguments.pinned {
        plan.add_pinned(name, version, pins)?;
    }
    let released = arguments.micropython.is_some() || arguments.release.is_some();
    if arguments.lock.is_empty() && arguments.pinned.is_empty() && !released {
        return Err(Error::usage("nothing says which components are wanted").hint(
            "give --lock FILE, --pinned NAME@VERSION, or --target CHIP with --micropython DIR or --release VERSION",
        ));
    }
    Ok(plan)
}

/// Reads `NAME@VERSION`.
fn named(text: &str) -> std::result::Result<(String, String), String> {
    match text.split_once('@') {
        Some((name, version)) if !name.is_empty() && !version.is_empty() => {
            Ok((name.to_owned(), version.to_owned()))
        }
        _ => Err("expected NAME@VERSION, such as espressif/mdns@1.1.0".to_owned()),
    }
}

/// The pins compiled in, and those of the files.
pub(super) fn all_pins(files: &[PathBuf]) -> Result<Components> {
    let mut all = pins::components()?;
    for path in files {
        all.merge(pin::read(path)?);
    }
    Ok(all)
}

fn checked(plan: &Plan, directory: &Path) -> Result<Summary> {
    check(plan, directory)?.map_err(|faults| {
        Error::source(format!(
            "{} is not what the lock says\n  {}",
            directory.display(),
            faults.join("\n  ")
        ))
        .hint(format!("`micropython-builder vendor … --out {}` mends it", directory.display()))
    })
}

fn print(directory: &Path, summary: &Summary, output: &Output) -> Result<()> {
    if output.json() {
        return output.data_json(&Report {
            schema: 1,
            directory: directory.to_string_lossy().into_owned(),
            nar: summary.nar,
            components: summary.components.iter().map(Component::from).collect(),
        });
    }
    for component in &summary.components {
        output.data(format!("{} {} {}\n", component.name, component.version, component.nar))?;
        if !component.pinned {
            output.say(format!(
                "{} {} is not pinned: its component hash alone vouches for it",
                component.name, component.version
            ));
        }
    }
    output.data(format!("{} {}\n", directory.display(), summary.nar))
}
