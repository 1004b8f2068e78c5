//! Vendoring: a `managed_components` directory with which the component manager needs no network.
//!
//! The result is a function of the locks alone. Everything is built in `.vendor` inside the output
//! directory and moved into place when it is verified, so that a run that ends early leaves what was
//! there before, and the next one continues.

use std::collections::BTreeSet;
use std::fs::{self, File, Metadata};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use super::fetch::{Fetcher, Place, Wanted};
use super::plan::Plan;
use super::registry::{Registry, Settings};
use super::{ComponentHash, name, tree};
use crate::cache::Lock;
use crate::error::{Error, Result};
use crate::interrupt;
use crate::pins::Sha256Hash;
use crate::publish::Made;
use crate::report::Report;
use crate::source::{Limits, Patience, nar_hash};

/// The directory in the output directory that everything unfinished is in.
const WORK: &str = ".vendor";

/// How to vendor.
#[derive(Debug, Clone)]
pub struct Options {
    /// How many components are fetched at a time.
    pub jobs: usize,
    /// Replace components in the output directory that were changed by hand.
    pub force: bool,
    /// Where registries are.
    pub settings: Settings,
    /// How patient downloads are.
    pub patience: Patience,
    /// How much an archive may hold.
    pub limits: Limits,
}

impl Default for Options {
    fn default() -> Self {
        Options {
            jobs: thread::available_parallelism().map_or(2, usize::from).clamp(2, 8),
            force: false,
            settings: Settings::default(),
            patience: Patience::default(),
            limits: Limits { bytes: 2 << 30, members: 200_000 },
        }
    }
}

impl Options {
    /// The options that the environment gives, see [`Settings`].
    pub fn from_environment() -> Options {
        let mut options = Options { settings: Settings::from_environment(), ..Options::default() };
        let timeout = options.settings.timeout.filter(|it| it.is_finite() && *it > 0.0);
        if let Some(timeout) = timeout.and_then(|it| Duration::try_from_secs_f64(it).ok()) {
            options.patience.connect = timeout;
            options.patience.stall = timeout;
        }
        options
    }
}

/// A component in a directory.
#[derive(Debug, Clone)]
pub struct Vendored {
    /// Its name, with the namespace.
    pub name: String,
    /// Its version.
    pub version: String,
    /// Its directory.
    pub path: PathBuf,
    /// The hash of its files, as in the lock.
    pub hash: ComponentHash,
    /// The NAR hash of its directory.
    pub nar: Sha256Hash,
    /// Whether that is pinned (and then is what the pin says).
    pub pinned: bool,
    /// The place that had it; `None` when it was there already.
    pub place: Option<Place>,
}

/// A directory of components.
#[derive(Debug, Clone)]
pub struct Summary {
    /// The components, by name.
    pub components: Vec<Vendored>,
    /// The NAR hash of the whole directory.
    pub nar: Sha256Hash,
}

/// Puts the components of a plan, and nothing else, into the directory `out`.
///
/// # Errors
/// [`Error::source`] when a component cannot be had or is not what the lock and pins say; others when
/// the directory holds something else, or cannot be written.
pub fn vendor(plan: &Plan, out: &Path, options: &Options, report: &dyn Report) -> Result<Summary> {
    let mut work = Work::enter(out, report)?;
    let expected = plan.directories();
    clear(out, &expected, options.force, report)?;
    let registry =
        Registry::new(options.settings.clone(), options.patience.clone(), &work.directory);
    let fetcher =
        Fetcher { registry: &registry, directory: &work.directory, limits: options.limits, report };
    let wanted: Vec<&(Wanted, Option<Sha256Hash>)> = plan.wanted.values().collect();
    let components = in_parallel(&wanted, options.jobs, |(wanted, nar)| {
        one(wanted, *nar, out, &fetcher, options.force)
    })?;
    work.finish()?;
    Ok(Summary { components, nar: nar_hash(out)? })
}

/// Checks that a directory holds the components of a plan and nothing else. The faults are returned
/// as texts; without any, the summary is.
///
/// # Errors
/// When the directory cannot be read.
pub fn check(plan: &Plan, directory: &Path) -> Result<std::result::Result<Summary, Vec<String>>> {
    let mut faults = Vec::new();
    let mut components = Vec::new();
    let expected = plan.directories();
    if directory.join(WORK).exists() {
        faults.push(format!("{WORK} is what an unfinished run left"));
    }
    for entry in entries(directory)? {
        if !expected.contains(&entry) {
            faults.push(format!("{entry} is no component of the lock"));
        }
    }
    for (wanted, pin) in plan.wanted.values() {
        interrupt::check()?;
        let label = format!("{} {}", wanted.name, wanted.version);
        let path = directory.join(name::directory(&wanted.name));
        if !path.is_dir() {
            faults.push(format!("{label} is missing"));
            continue;
        }
        if let Some(fault) = tree::fault(&path, wanted.defaults, &wanted.hash)? {
            faults.push(format!("{label}: {fault}"));
            continue;
        }
        let nar = nar_hash(&path)?;
        match pin {
            Some(pin) if *pin != nar => {
                faults.push(format!("{label}: its NAR hash is {nar}, pinned is {pin}"));
            }
            _ => components.push(vendored(wanted, &path, nar, pin.is_some(), None)),
        }
    }
    if !faults.is_empty() {
        return Ok(Err(faults));
    }
    Ok(Ok(Summary { components, nar: nar_hash(directory)? }))
}

/// Makes sure that one component is there.
fn one(
    wanted: &Wanted,
    pin: Option<Sha256Hash>,
    out: &Path,
    fetcher: &Fetcher<'_>,
    force: bool,
) -> Result<Vendored> {
    let path = out.join(name::directory(&wanted.name));
    let there = fs::symlink_metadata(&path).is_ok();
    if there && tree::fault(&path, wanted.defaults, &wanted.hash)?.is_none() {
        let nar = nar_hash(&path)?;
        if pin.is_none_or(|pin| pin == nar) {
            return Ok(vendored(wanted, &path, nar, pin.is_some(), None));
        }
    }
    if there && !force && tree::claimed(&path).is_none() {
        return Err(Error::input(format!("{} was changed by hand", path.display()))
            .hint("move it away, or replace it with --force"));
    }
    let built = tempfile::Builder::new()
        .prefix("done-")
        .tempdir_in(fetcher.directory)
        .map_err(|error| Error::io("create a directory in", fetcher.directory, &error))?;
    let new = built.path().join("new");
    let place = fetcher.get(wanted, &new)?;
    let nar = nar_hash(&new)?;
    if let Some(pin) = pin.filter(|pin| *pin != nar) {
        return Err(Error::source(format!(
            "the NAR hash of {} {} differs from its pin, although its component hash is right\n  \
             pinned: {pin}\n   found: {nar}",
            wanted.name, wanted.version
        ))
        .hint("the pin was made by another version of this program, or is wrong"));
    }
    if there {
        let old = built.path().join("old");
        fs::rename(&path, &old).map_err(|error| Error::io("replace", &path, &error))?;
    }
    fs::rename(&new, &path).map_err(|error| Error::io("create", &path, &error))?;
    Ok(vendored(wanted, &path, nar, pin.is_some(), Some(place.clone())))
}

fn vendored(
    wanted: &Wanted,
    path: &Path,
    nar: Sha256Hash,
    pinned: bool,
    place: Option<Place>,
) -> Vendored {
    Vendored {
        name: wanted.name.clone(),
        version: wanted.version.clone(),
        path: path.to_owned(),
        hash: wanted.hash,
        nar,
        pinned,
        place,
    }
}

/// Removes components of earlier runs that are no longer wanted. What is something else stays, and is
/// an error: it would be part of the result's hash.
fn clear(out: &Path, expected: &BTreeSet<String>, force: bool, report: &dyn Report) -> Result<()> {
    for entry in entries(out)? {
        if expected.contains(&entry) {
            continue;
        }
        let path = out.join(&entry);
        if !(path.is_dir() && (tree::claimed(&path).is_some() || (force && entry.contains("__")))) {
            return Err(Error::input(format!("{} is no component of the lock", path.display()))
                .hint("choose an empty directory, or one that holds nothing but components"));
        }
        report.step(&format!("removing {entry}, which is not in the lock"));
        fs::remove_dir_all(&path).map_err(|error| Error::io("remove", &path, &error))?;
    }
    Ok(())
}

/// The names in a directory, without the one for unfinished work.
fn entries(directory: &Path) -> Result<Vec<String>> {
    let fail = |error: io::Error| Error::io("read", directory, &error);
    let mut names = Vec::new();
    for entry in fs::read_dir(directory).map_err(fail)? {
        let name = entry.map_err(fail)?.file_name();
        if name != WORK {
            names.push(name.to_string_lossy().into_owned());
        }
    }
    names.sort();
    Ok(names)
}

/// Does something for each item, several at a time, and returns the results in order. After a failure
/// nothing new is begun; what is under way is finished, so that the next run need not repeat it.
fn in_parallel<T: Sync, R: Send>(
    items: &[T],
    jobs: usize,
    work: impl Fn(&T) -> Result<R> + Sync,
) -> Result<Vec<R>> {
    let (next, stop) = (AtomicUsize::new(0), AtomicBool::new(false));
    let done = Mutex::new(Vec::new());
    thread::scope(|scope| {
        for _ in 0..jobs.clamp(1, items.len().max(1)) {
            scope.spawn(|| {
                while !stop.load(Ordering::Relaxed) {
                    let index = next.fetch_add(1, Ordering::Relaxed);
                    let Some(item) = items.get(index) else { break };
                    let result = interrupt::check().and_then(|()| work(item));
                    stop.fetch_or(result.is_err(), Ordering::Relaxed);
                    done.lock().unwrap_or_else(PoisonError::into_inner).push((index, result));
                }
            });
        }
    });
    let mut done = done.into_inner().unwrap_or_else(PoisonError::into_inner);
    done.sort_by_key(|(index, _)| *index);
    done.into_iter().map(|(_, result)| result).collect()
}

/// The output directory, held by one run at a time, with the directory for unfinished work in it. Of a run that got
/// nothing, nothing stays.
struct Work {
    directory: PathBuf,
    // Before the lock, so that a directory is not removed that another run has taken up.
    made: Made,
    /// The output directory itself is what is locked: a lock file would be part of the result.
    _lock: Lock,
}

impl Work {
    /// Waits until no other run works on `out`, and removes what one that was killed left behind,
    /// except for what it downloaded.
    fn enter(out: &Path, report: &dyn Report) -> Result<Work> {
        let (made, lock) = loop {
            let made = Made::directory(out)?;
            // Another run that got nothing removes the directory, before it is opened here or while it is waited for.
            let opened = match File::open(out) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                opened => opened.map_err(|error| Error::io("open", out, &error))?,
            };
            let found = opened.metadata().map_err(|error| Error::io("read", out, &error))?;
            let lock = Lock::of(opened, &format!("another run in {}", out.display()), report)?;
            if is_still(&found, out) {
                break (made, lock);
            }
        };
        let directory = out.join(WORK);
        fs::create_dir_all(&directory).map_err(|error| Error::io("create", &directory, &error))?;
        for entry in fs::read_dir(&directory).into_iter().flatten().flatten() {
            if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                // What cannot be removed costs space, nothing else.
                let _ = fs::remove_dir_all(entry.path());
            }
        }
        Ok(Work { directory, made, _lock: lock })
    }

    /// Removes the directory for unfinished work. The output directory stays, with nothing in it if the lock names
    /// no component, and stays locked.
    fn finish(&mut self) -> Result<()> {
        fs::remove_dir_all(&self.directory)
            .map_err(|error| Error::io("remove", &self.directory, &error))?;
        self.made.keep();
        Ok(())
    }
}

impl Drop for Work {
    fn drop(&mut self) {
        // What was downloaded in part stays, for the next run to go on with.
        let _ = fs::remove_dir(&self.directory);
    }
}

/// Whether what was opened is what has the path now.
fn is_still(opened: &Metadata, path: &Path) -> bool {
    fs::metadata(path).is_ok_and(|it| (it.dev(), it.ino()) == (opened.dev(), opened.ino()))
}
