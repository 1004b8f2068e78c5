//! A pinned release with its archive, and a machine to get it on.

use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use micropython_builder::pins::MicroPython;
use micropython_builder::source::{Patience, Sha256Hash, Sources, nar_hash};
use serde_json::{Value, json};
use tempfile::TempDir;

use super::archives;
use super::common::command;
use super::server::{Reply, Server};

pub const VERSION: &str = "v1.99.0";
pub const COMMIT: &str = "0123456789012345678901234567890123456789";

/// A source tree, its archive, and a machine to get it on.
pub struct World {
    pub directory: TempDir,
    pub archive: Vec<u8>,
    pub nar: Sha256Hash,
}

impl World {
    pub fn new() -> World {
        let directory = tempfile::tempdir().unwrap();
        let tree = directory.path().join("tree");
        plant(&tree);
        // Large enough to be broken in the middle, and not compressible.
        let mut noise = 1u32;
        let noise: Vec<u8> = std::iter::repeat_with(|| {
            noise = noise.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            noise.to_be_bytes()[0]
        })
        .take(300_000)
        .collect();
        fs::write(tree.join("noise"), noise).unwrap();
        fs::write(tree.join("run"), "#!/bin/sh\n").unwrap();
        fs::set_permissions(tree.join("run"), Permissions::from_mode(0o755)).unwrap();
        fs::create_dir_all(tree.join("lib/empty")).unwrap();
        symlink("../run", tree.join("lib/link")).unwrap();

        let archive = archives::of_tree(&tree, COMMIT);
        let nar = nar_hash(&tree).unwrap();
        World { directory, archive, nar }
    }

    pub fn cache(&self) -> PathBuf {
        self.directory.path().join("cache")
    }

    pub fn pins(&self, servers: &[&Server]) -> Value {
        let urls: Vec<String> =
            servers.iter().map(|server| server.url("{owner}/{repo}/{commit}.tar.gz")).collect();
        let release = |submodules: Value| {
            json!({
                "commit": COMMIT, "epoch": 1_700_000_000, "mpy_version": "6.3",
                "esp_idf": { "recommended": "v5.5.1", "supported": ["v5.5.1"] },
                "nar": self.nar, "owner": "micropython", "repo": "micropython",
                "submodules": submodules,
            })
        };
        let commit = COMMIT.replace('0', "f");
        json!({
            "schema": 1,
            "archives": urls,
            "debian": {
                "default": { "debian": "trixie", "ubuntu": "noble" },
                "package": "micropython", "suites": {},
            },
            "releases": {
                VERSION: release(json!({
                    "lib/known": { "commit": commit, "nar": self.nar, "owner": "o", "repo": "known" },
                    "lib/unknown": { "commit": commit, "nar": null, "owner": "o", "repo": "unknown" },
                })),
                "v1.98.0": release(json!({})),
            },
        })
    }

    pub fn sources(&self, servers: &[&Server]) -> Sources {
        self.sources_after(servers, Duration::from_secs(20))
    }

    /// Sources that wait for a silent server as long as `stall`.
    pub fn sources_after(&self, servers: &[&Server], stall: Duration) -> Sources {
        let pins: MicroPython = serde_json::from_value(self.pins(servers)).unwrap();
        Sources::new(pins, &self.cache()).patience(Patience {
            stall,
            attempts: 3,
            pause: Duration::from_millis(10),
            ..Patience::default()
        })
    }

    pub fn command(&self, server: &Server) -> Command {
        let pins = self.directory.path().join("pins");
        fs::create_dir_all(&pins).unwrap();
        fs::write(pins.join("micropython.json"), self.pins(&[server]).to_string()).unwrap();
        let mut command = command::mpb();
        command
            .arg("source")
            .env("MICROPYTHON_BUILDER_PINS", pins)
            .env("MICROPYTHON_BUILDER_CACHE", self.cache());
        command
    }

    /// What is below the cache, without locks.
    pub fn cached(&self) -> Vec<String> {
        let mut names: Vec<String> = ["sources", "downloads"]
            .iter()
            .flat_map(|part| fs::read_dir(self.cache().join(part)).into_iter().flatten().flatten())
            .map(|entry| entry.file_name().into_string().unwrap())
            .filter(|name| !name.ends_with(".lock"))
            .collect();
        names.sort();
        names
    }

    pub fn whole(&self) -> Reply {
        Reply::Served { body: self.archive.clone(), tag: "\"1\"" }
    }

    pub fn broken(&self, after: usize) -> Reply {
        Reply::Broken { body: self.archive.clone(), tag: "\"1\"", after }
    }
}

/// The least that makes a directory a MicroPython tree.
fn plant(tree: &Path) {
    fs::create_dir_all(tree.join("py")).unwrap();
    fs::create_dir_all(tree.join("ports")).unwrap();
    fs::create_dir_all(tree.join("mpy-cross")).unwrap();
    let numbers = [("MAJOR", 1), ("MINOR", 99), ("MICRO", 0), ("PRERELEASE", 0)];
    let header: String = numbers
        .iter()
        .map(|(name, number)| format!("#define MICROPY_VERSION_{name} {number}\n"))
        .collect();
    fs::write(tree.join("py/mpconfig.h"), header).unwrap();
}
