//! Vendoring from a registry on loopback, by the library and by the command.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use micropython_builder::component::Lock;
use micropython_builder::component::plan::Plan;
use micropython_builder::component::registry::Settings;
use micropython_builder::component::vendor::{Options, Summary, vendor};
use micropython_builder::error::Error;
use micropython_builder::pins::Components;
use micropython_builder::report::Silent;
use micropython_builder::source::Patience;
use tempfile::TempDir;

use super::common::command;
use crate::registry::{Entry, Registry, lock};

pub const REGISTRY: &str = "https://components.espressif.com/";

/// Patience for servers that will never do better.
pub fn options(registry: &Registry) -> Options {
    Options {
        settings: Settings { storage_urls: vec![registry.url()], ..Settings::default() },
        patience: Patience {
            connect: Duration::from_secs(5),
            stall: Duration::from_millis(500),
            attempts: 3,
            pause: Duration::from_millis(10),
            ..Patience::default()
        },
        ..Options::default()
    }
}

pub fn plan(entries: &[&Entry]) -> Plan {
    let mut plan = Plan::default();
    let lock = Lock::parse(lock(entries, REGISTRY).as_bytes(), "lock").unwrap();
    plan.add_lock(&lock, "lock", &Components::empty()).unwrap();
    plan
}

pub fn get(registry: &Registry, entries: &[&Entry], out: &Path) -> Result<Summary, Error> {
    vendor(&plan(entries), out, &options(registry), &Silent)
}

/// The command, in an environment of its own.
pub fn command(registry: &Registry) -> Command {
    let mut command = command::mpb();
    command.env("IDF_COMPONENT_STORAGE_URL", registry.url()).env_remove("MICROPYTHON_BUILDER_PINS");
    command
}

/// A directory with a lock file, and the output directory's path in it.
pub fn place(entries: &[&Entry]) -> (TempDir, PathBuf, PathBuf) {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("dependencies.lock");
    fs::write(&file, lock(entries, REGISTRY)).unwrap();
    let out = directory.path().join("managed components \u{fc}");
    (directory, file, out)
}

pub fn vendor_with(entry: &Entry, out: &Path, options: &Options) -> Result<Summary, Error> {
    let mut plan = Plan::default();
    let text = lock(&[entry], &options.settings.registry_url.clone().unwrap_or_default());
    let lock = Lock::parse(text.as_bytes(), "lock").unwrap();
    plan.add_lock(&lock, "lock", &Components::empty()).unwrap();
    vendor(&plan, out, options, &Silent)
}

// Each test program uses some of these.
const _: fn(&[&Entry]) -> (TempDir, PathBuf, PathBuf) = place;
const _: fn(&Registry, &[&Entry], &Path) -> Result<Summary, Error> = get;
const _: fn(&Registry) -> Command = command;
const _: fn(&Entry, &Path, &Options) -> Result<Summary, Error> = vendor_with;
