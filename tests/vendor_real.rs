//! The real components of every pinned release of MicroPython, as far as they can be had.
//!
//! `MPB_GIT_MIRRORS` names a directory with copies of the repositories of the pins, each a git
//! directory `OWNER/NAME.git`; `MPB_NETWORK=1` takes registry and repositories themselves. Without
//! either there is nothing to test with, and that is said.
#![allow(clippy::unwrap_used, clippy::print_stderr)]

mod common;

use std::path::{Path, PathBuf};

use common::command::mpb;
use micropython_builder::pins::{self, ComponentSource, Components};

/// The repositories that a component can be had from.
fn repositories(pins: &Components, name: &str, version: &str) -> Vec<String> {
    let mut urls = Vec::new();
    for source in &pins.get(name, version).unwrap().sources {
        match source {
            ComponentSource::Registry => {}
            ComponentSource::Git(tree) => urls.push(tree.url.clone()),
            ComponentSource::Repository(upload) => {
                urls.push(upload.tree.url.clone());
                urls.extend(upload.submodules.iter().map(|submodule| submodule.url.clone()));
            }
        }
    }
    urls
}

fn mirror_of(mirrors: &Path, url: &str) -> PathBuf {
    let path = url.strip_prefix("https://github.com/").unwrap();
    mirrors.join(format!("{}.git", path.trim_end_matches(".git")))
}

#[test]
fn every_release_can_be_vendored() {
    let mirrors = std::env::var_os("MPB_GIT_MIRRORS").map(PathBuf::from);
    let network = std::env::var_os("MPB_NETWORK").is_some();
    if (mirrors.is_none() && !network) || !common::require("git") {
        eprintln!("skipped: neither MPB_GIT_MIRRORS nor MPB_NETWORK is set");
        return;
    }
    let pins = pins::components().unwrap();
    for (release, locks) in &pins.releases {
        for (target, lock) in &locks.targets {
            let out = tempfile::tempdir().unwrap();
            let mut vendor = mpb();
            vendor
                .args(["vendor", "--release", release, "--target", target, "--out"])
                .arg(out.path());
            let mut rules = Vec::new();
            let mut had = 0;
            for (name, version) in &lock.components {
                let urls = repositories(&pins, name, version);
                let there = |url: &String| {
                    mirrors.as_ref().is_some_and(|mirrors| mirror_of(mirrors, url).is_dir())
                };
                if !network && !urls.iter().all(there) {
                    eprintln!("skipped: there is no mirror of {name} {version}");
                    continue;
                }
                had += 1;
                vendor.args(["--component", name]);
                rules.extend(urls.into_iter().filter(there));
            }
            for (index, url) in rules.iter().enumerate() {
                let mirror = mirror_of(mirrors.as_ref().unwrap(), url);
                vendor.env(
                    format!("GIT_CONFIG_KEY_{index}"),
                    format!("url.file://{}.insteadOf", mirror.display()),
                );
                vendor.env(format!("GIT_CONFIG_VALUE_{index}"), url);
            }
            vendor.env("GIT_CONFIG_COUNT", rules.len().to_string());
            if had == 0 {
                continue;
            }
            let output = vendor.output().unwrap();
            let stderr = String::from_utf8_lossy(&output.stderr);
            assert!(output.status.success(), "{release} {target}: {stderr}");
            // Every component's hashes were compared on the way; this is the directory's.
            let stdout = String::from_utf8_lossy(&output.stdout);
            if had == lock.components.len() {
                assert!(
                    stdout.ends_with(&format!("{}\n", lock.nar.unwrap())),
                    "{release} {target}: {stdout}"
                );
            }
            eprintln!(
                "vendored {had} of {} components for {release} {target}",
                lock.components.len()
            );
        }
    }
}
