//! `source debian`: from this machine's own mirror, and from an archive made here.
#![allow(clippy::unwrap_used, clippy::print_stderr)]

mod common;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Output;

use common::command::{failed, mpb, stderr};
use common::require;
use flate2::Compression;
use flate2::write::GzEncoder;
use micropython_builder::source::{Sha256Hash, nar_hash};
use serde_json::{Value, json};
use tempfile::TempDir;

const TARBALL: &str = "micropython_1.99.0.orig.tar.gz";

/// An apt archive of one source package, and a machine whose apt knows only that.
struct Machine {
    directory: TempDir,
    nar: Sha256Hash,
}

impl Machine {
    fn new() -> Machine {
        let directory = tempfile::tempdir().unwrap();
        let mut machine = Machine { directory, nar: Sha256Hash::from_bytes([0; 32]) };
        machine.publish("one");
        let mirror = machine.at("debian").display().to_string().replace(' ', "%20");
        let list = format!("deb [trusted=yes] file:{mirror} bookworm main\n");
        fs::write(machine.at("sources.list"), list).unwrap();
        let configuration = format!(
            "Dir::Etc::sourcelist \"{}\";\nDir::Etc::sourceparts \"/dev/null\";\n\
             APT::Update::Pre-Invoke {{ \"touch '{hook}'\"; }};\n\
             APT::Update::Post-Invoke {{ \"touch '{hook}'\"; }};\n\
             APT::Update::Post-Invoke-Success {{ \"touch '{hook}'\"; }};\n",
            machine.at("sources.list").display(),
            hook = machine.at("hook").display()
        );
        fs::write(machine.at("apt.conf"), configuration).unwrap();
        machine
    }

    fn at(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// Puts a version of the tree into the archive's suite `trixie`.
    fn publish(&mut self, content: &str) {
        let tree = self.at("tree");
        for name in ["py", "ports", "mpy-cross"] {
            fs::create_dir_all(tree.join(name)).unwrap();
        }
        fs::write(tree.join("content"), content).unwrap();
        let header: String = [("MAJOR", 1), ("MINOR", 99), ("MICRO", 0), ("PRERELEASE", 0)]
            .iter()
            .map(|(name, number)| format!("#define MICROPY_VERSION_{name} {number}\n"))
            .collect();
        fs::write(tree.join("py/mpconfig.h"), header).unwrap();
        self.nar = nar_hash(&tree).unwrap();

        let pool = self.at("debian/pool");
        let index = self.at("debian/dists/trixie/main/source");
        fs::create_dir_all(&pool).unwrap();
        fs::create_dir_all(&index).unwrap();
        let mut builder = tar::Builder::new(GzEncoder::new(Vec::new(), Compression::fast()));
        builder.append_dir_all("micropython-1.99.0", &tree).unwrap();
        fs::write(pool.join(TARBALL), builder.into_inner().unwrap().finish().unwrap()).unwrap();
        fs::write(pool.join("micropython_1.99.0-1.dsc"), "").unwrap();

        let sums: String = ["micropython_1.99.0-1.dsc", TARBALL]
            .iter()
            .map(|name| line(&pool.join(name), name))
            .collect();
        let sources = format!(
            "Package: micropython\nBinary: micropython\nVersion: 1.99.0-1\nFormat: 3.0 (quilt)\n\
             Directory: pool\nChecksums-Sha256:\n{sums}\n"
        );
        fs::write(index.join("Sources"), sources).unwrap();
        let release = format!(
            "Origin: Debian\nSuite: trixie\nCodename: trixie\nDate: Thu, 01 Jan 2026 00:00:00 UTC\n\
             Components: main\nArchitectures: all\nSHA256:\n{}",
            line(&index.join("Sources"), "main/source/Sources")
        );
        fs::write(self.at("debian/dists/trixie/Release"), release).unwrap();
    }

    /// Pins the tarball as that of a suite, with the hashes given.
    fn pin(&self, suite: &str, file: Sha256Hash, nar: Sha256Hash) {
        let tarball = json!({ "file": TARBALL, "hash": file, "nar": nar, "release": "v1.99.0" });
        self.write_pins(json!({ suite: tarball }));
    }

    fn write_pins(&self, suites: Value) {
        fs::create_dir_all(self.at("pins")).unwrap();
        let pins = json!({
            "schema": 1, "archives": [], "releases": {},
            "debian": { "default": { "debian": "trixie", "ubuntu": "noble" }, "package": "micropython", "suites": suites },
        });
        fs::write(self.at("pins/micropython.json"), pins.to_string()).unwrap();
    }

    fn source(&self, arguments: &[&str]) -> Output {
        let output = mpb()
            .arg("source")
            .args(arguments)
            .env("APT_CONFIG", self.at("apt.conf"))
            .env("MICROPYTHON_BUILDER_PINS", self.at("pins"))
            .env("MICROPYTHON_BUILDER_CACHE", self.at("cache"))
            .output()
            .unwrap();
        assert!(!self.at("hook").exists(), "a hook of this machine ran");
        output
    }

    fn json(&self, arguments: &[&str]) -> Value {
        let output = self.source(&[&["--json"], arguments].concat());
        assert!(output.status.success(), "{}", stderr(&output));
        serde_json::from_slice(&output.stdout).unwrap()
    }

    fn fails(&self, expected: &[&str]) {
        failed(&self.source(&["debian"]), 5, expected);
    }

    fn trees(&self) -> usize {
        let entries = fs::read_dir(self.at("cache/sources")).into_iter().flatten().flatten();
        entries.filter(|entry| entry.path().is_dir()).count()
    }
}

/// A line of checksums: hash, size, name.
fn line(path: &Path, name: &str) -> String {
    let hash = Sha256Hash::of_file(path).unwrap().to_hex();
    format!(" {hash} {} {name}\n", fs::metadata(path).unwrap().len())
}

#[test]
fn a_pinned_tarball_is_verified_and_kept() {
    if !require("apt-get") {
        return;
    }
    let machine = Machine::new();
    let file = Sha256Hash::of_file(&machine.at("debian/pool").join(TARBALL)).unwrap();
    let wrong = Sha256Hash::from_bytes([1; 32]);

    machine.pin("trixie", wrong, machine.nar);
    machine.fails(&[&wrong.to_sri(), &file.to_sri()]);
    machine.pin("trixie", file, wrong);
    machine.fails(&[&wrong.to_sri(), &machine.nar.to_sri()]);
    assert_eq!(machine.trees(), 0);

    machine.pin("trixie", file, machine.nar);
    let tree = machine.json(&["debian"]);
    assert_eq!(tree["nar"], json!(machine.nar));
    assert_eq!(tree["version"], "v1.99.0");
    assert_eq!(tree["origin"]["verified"], "pin");
    // From now on the mirror may be gone.
    fs::rename(machine.at("debian"), machine.at("gone")).unwrap();
    assert_eq!(machine.json(&["debian:trixie"])["path"], tree["path"]);
    assert_eq!(machine.json(&["debian", "--refresh"])["path"], tree["path"]);
}

#[test]
fn a_tarball_that_is_pinned_for_another_suite_is_verified_too() {
    if !require("apt-get") {
        return;
    }
    let machine = Machine::new();
    let file = Sha256Hash::of_file(&machine.at("debian/pool").join(TARBALL)).unwrap();
    machine.pin("noble", file, machine.nar);
    let tree = machine.json(&["debian:trixie"]);
    assert_eq!(tree["origin"]["verified"], "pin");
    assert_eq!(tree["origin"]["release"], "v1.99.0");
    fs::rename(machine.at("debian"), machine.at("gone")).unwrap();
    assert_eq!(machine.json(&["debian:trixie"]), tree);
}

#[test]
fn an_unpinned_tarball_is_apts_word_and_stays_until_refreshed() {
    if !require("apt-get") {
        return;
    }
    let mut machine = Machine::new();
    machine.write_pins(json!({}));
    let first = machine.json(&["debian"]);
    assert_eq!(first["nar"], json!(machine.nar));
    assert_eq!(first["origin"]["verified"], "apt");
    assert_eq!(first["origin"]["release"], Value::Null);

    machine.publish("two");
    assert_eq!(machine.json(&["debian"])["path"], first["path"]);
    let second = machine.json(&["debian", "--refresh"]);
    assert_eq!(second["nar"], json!(machine.nar));
    assert_ne!(second["path"], first["path"]);
    assert_eq!(machine.json(&["debian:trixie"])["path"], second["path"]);
}

#[test]
fn what_the_mirror_does_not_have_is_said_in_apts_words() {
    if !require("apt-get") {
        return;
    }
    let machine = Machine::new();
    machine.write_pins(json!({}));
    failed(&machine.source(&["debian:forky"]), 5, &["forky from file:", "apt-get says: "]);

    // Bytes that the index does not vouch for.
    fs::write(machine.at("debian/pool").join(TARBALL), "something else").unwrap();
    machine.fails(&["apt-get says"]);
    assert_eq!(machine.trees(), 0);

    fs::write(machine.at("sources.list"), "").unwrap();
    machine.fails(&["names no mirror of Debian or Ubuntu"]);
}

/// The real thing: needs a mirror that answers.
#[test]
fn this_machines_mirror_has_micropython() {
    if !require("apt-get") {
        return;
    }
    let cache = tempfile::tempdir().unwrap();
    let output = mpb()
        .args(["source", "--json", "debian"])
        .env("MICROPYTHON_BUILDER_CACHE", cache.path())
        .env_remove("MICROPYTHON_BUILDER_PINS")
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", stderr(&output));
    let tree: Value = serde_json::from_slice(&output.stdout).unwrap();
    let path = Path::new(tree["path"].as_str().unwrap());
    assert_eq!(json!(nar_hash(path).unwrap()), tree["nar"]);
    assert!(path.join("py/mpconfig.h").is_file());
    // Debian and Ubuntu both have a suite that is pinned.
    assert_eq!(tree["origin"]["verified"], "pin");
    if tree["origin"]["suite"] == "trixie" {
        assert_eq!(
            (&tree["origin"]["verified"], &tree["version"]),
            (&json!("pin"), &json!("v1.25.0"))
        );
    }
}
