//! Managed components: those that MicroPython's lock names, copied to where the component manager looks.

use std::fs;
use std::path::Path;

use super::fits;
use super::idf::Idf;
use crate::component::files::Defaults;
use crate::component::lock::{Locked, Source};
use crate::component::manifest::Dependency;
use crate::component::solve::{Candidate, Catalog};
use crate::component::{ComponentHash, Lock, hash, name, resolve, tree, upstream};
use crate::error::{Error, Kind, Result};
use crate::firmware::job::Job;
use crate::firmware::record::Component;
use crate::upstream::copy::copy_tree;

/// Puts the components of the target's lock into the workspace and returns what to record of them.
///
/// The lock's ESP-IDF version becomes the one in use: the manager would rewrite the lock otherwise,
/// and whatever it rewrites it first wants to solve anew, over the network.
pub(super) fn bring(job: &Job<'_>, target: &str, idf: &Idf) -> Result<Vec<Component>> {
    let port = job.workspace.port("esp32");
    let path = port.join(format!("lockfiles/dependencies.lock.{target}"));
    let mut lock = match &job.request.esp32.lock {
        Some(given) => Lock::read(given)?,
        None if path.is_file() => Lock::read(&path)?,
        None => {
            return Err(Error::input(format!(
                "MicroPython {} has no lock of ESP-IDF components for {target}",
                job.request.source.version
            ))
            .hint("releases from v1.26.1 on have one for every chip they support")
            .hint(fits::lock_command(job, idf, target)));
        }
    };
    if let Some(enough) = join_manifests(job, idf, target, &lock)? {
        lock = enough;
    }
    let directory = port.join("lockfiles");
    fs::create_dir_all(&directory).map_err(|error| Error::io("create", &directory, &error))?;
    fits::check_lock(job, idf, target, &lock)?;
    lock.idf_version = Some(idf.version.clone());
    fs::write(&path, lock.to_text()?).map_err(|error| Error::io("write", &path, &error))?;

    let managed = port.join("managed_components");
    let mut components = Vec::new();
    for (name, locked) in &lock.components {
        let hash = bring_one(job, target, &managed, name, locked)?;
        components.push(Component {
            name: name.clone(),
            version: locked.version.clone(),
            component_hash: hash.to_string(),
        });
    }
    Ok(components)
}

/// Adds what user C modules' manifests ask for to the port's own manifest, in the copy: the component
/// manager does not look into modules.
///
/// Where the components of the tree's own lock are enough for the modules too, this is that lock made
/// from both; another one is the user's to give.
fn join_manifests(job: &Job<'_>, idf: &Idf, target: &str, lock: &Lock) -> Result<Option<Lock>> {
    let added = fits::module_manifests(job);
    if added.is_empty() {
        return Ok(None);
    }
    let tree = job.workspace.micropython();
    let own = resolve::Project::new(&tree, &[])?;
    let joined = resolve::Project::new(&tree, &added)?;
    let path = upstream::manifest_path(&tree);
    fs::write(&path, &joined.text).map_err(|error| Error::io("write", &path, &error))?;
    let situation = fits::situation(idf, target);
    if job.request.esp32.lock.is_some() || own.staleness(lock, &situation).is_some() {
        return Ok(None);
    }
    match joined.lock(&situation, &NothingElse, Some(lock)) {
        Err(error) if error.kind() == Kind::Interrupted => Err(error),
        enough => Ok(enough.ok()),
    }
}

/// A catalog of no components, for what has to be solved with those of a lock.
struct NothingElse;

impl Catalog for NothingElse {
    fn releases(&self, dependency: &Dependency) -> Result<Vec<Candidate>> {
        Err(not_locked(dependency))
    }

    fn commit(&self, dependency: &Dependency, _reference: &str) -> Result<Candidate> {
        Err(not_locked(dependency))
    }
}

fn not_locked(dependency: &Dependency) -> Error {
    Error::source(format!("{} is not in the lock", dependency.name))
}

/// Copies a component and checks the copy: its files decide, not what a file beside them says of them.
fn bring_one(
    job: &Job<'_>,
    target: &str,
    managed: &Path,
    name: &str,
    locked: &Locked,
) -> Result<ComponentHash> {
    let hint = || {
        let of = match &job.request.esp32.lock {
            Some(lock) => format!("--lock {}", lock.display()),
            None => {
                format!("--micropython {} --target {target}", job.request.source.path.display())
            }
        };
        format!(
            "`micropython-builder vendor {of} --out components`, then give --components components"
        )
    };
    let Some(hash) = locked.hash() else {
        return Err(Error::input(format!(
            "the lock takes the component {name} from a directory, where nothing tells whether it is the right one"
        ))
        .hint("lock it from a registry or a git repository"));
    };
    let Some(components) = &job.request.esp32.components else {
        return Err(Error::usage(format!(
            "this build needs the ESP-IDF component {name} {}, and no components were given",
            locked.version
        ))
        .hint(hint()));
    };
    let directory = name::directory(name);
    let from = components.join(&directory);
    if !from.is_dir() {
        return Err(Error::input(format!(
            "{} does not hold the ESP-IDF component {name} {}: it has no directory {directory}",
            components.display(),
            locked.version
        ))
        .hint(hint()));
    }
    let to = managed.join(&directory);
    copy_tree(&from, &to, |_| true)?;
    let defaults = match locked.source {
        Source::Git { .. } => Defaults::LeftOut,
        Source::Registry { .. } | Source::Local { .. } => Defaults::Kept,
    };
    tree::examine(&to, defaults, hash)
        .map_err(|error| error.context(from.display()).hint(hint()))?;
    let file = to.join(hash::FILE_NAME);
    fs::write(&file, hash.to_string()).map_err(|error| Error::io("write", &file, &error))?;
    Ok(*hash)
}
