//! `natmod`: toolchains from pinned archives, served on loopback.
#![allow(clippy::unwrap_used, clippy::print_stderr)]

mod common;
#[path = "common/natmod.rs"]
mod natmod;
#[path = "common/server.rs"]
mod server;

use std::fs;
use std::path::Path;
use std::process::Output;

use common::command::{mpb, stderr};
use common::require;
use flate2::Compression;
use flate2::write::GzEncoder;
use natmod::{Tools, answering, module, record};
use serde_json::json;
use server::{Reply, Server};
use tar::{EntryType, Header};
use tempfile::TempDir;

/// An archive like those of compilers: one directory, and in it a `gcc` under two names, by a hard link.
fn archive() -> Vec<u8> {
    let mut builder = tar::Builder::new(GzEncoder::new(Vec::new(), Compression::fast()));
    let script = b"#!/bin/sh\nexec arm-none-eabi-gcc \"$@\"\n";
    let mut header = Header::new_gnu();
    header.set_mode(0o755);
    header.set_size(script.len() as u64);
    builder.append_data(&mut header, "made-up-1.0/bin/made-up-gcc-1.0", &script[..]).unwrap();
    let mut link = Header::new_gnu();
    link.set_entry_type(EntryType::Link);
    link.set_mode(0o755);
    link.set_size(0);
    builder
        .append_link(&mut link, "made-up-1.0/bin/made-up-gcc", "made-up-1.0/bin/made-up-gcc-1.0")
        .unwrap();
    builder.into_inner().unwrap().finish().unwrap()
}

struct World {
    directory: TempDir,
    tools: Tools,
}

impl World {
    /// Pins that say that the archive of a server builds for armv7m.
    fn new(server: &Server, sha256: &str) -> Option<World> {
        let tools = Tools::find()?;
        if !require("arm-none-eabi-gcc") {
            return None;
        }
        let directory = tempfile::tempdir().unwrap();
        fs::create_dir(directory.path().join("pins")).unwrap();
        let url = server.url("made-up.tar.gz");
        let archive = json!({"url": url, "hash": sha256, "size": 2_000_000});
        let archives = json!({"x86_64-linux": archive, "aarch64-linux": archive});
        let pins = json!({
            "schema": 1,
            "native_modules": {"armv7m": {"toolchain": "made-up", "version": "1.0"}},
            "toolchains": {"made-up": {"prefix": "made-up-", "versions": {"1.0": {"archives": archives}}}},
        });
        fs::write(directory.path().join("pins/toolchains.json"), pins.to_string()).unwrap();
        Some(World { directory, tools })
    }

    fn path(&self, name: &str) -> std::path::PathBuf {
        self.directory.path().join(name)
    }

    fn build(&self, module: &Path, more: &[&str]) -> Output {
        let mut command = self.tools.natmod(module, &self.path("dist"));
        command.env("MICROPYTHON_BUILDER_PINS", self.path("pins"));
        command.env("MICROPYTHON_BUILDER_CACHE", self.path("the user's c\u{e4}che"));
        command.args(["--arch", "armv7m"]).args(more).output().unwrap()
    }
}

fn sri(bytes: &[u8]) -> String {
    let mut hasher = micropython_builder::pins::Hasher::default();
    hasher.update(bytes);
    hasher.finish().to_sri()
}

#[test]
fn a_pinned_toolchain_is_fetched_once_and_kept() {
    let archive = archive();
    let server = Server::start(vec![Reply::Served { body: archive.clone(), tag: "one" }]);
    let Some(world) = World::new(&server, &sri(&archive)) else { return };
    let module = module(&[("mymodule.c", &answering("", "n + 1"))]);
    let output = world.build(module.path(), &["--toolchain", "armv7m=pinned"]);
    assert!(output.status.success(), "{}", stderr(&output));
    let made = world.path("the user's c\u{e4}che/toolchains/made-up-1.0/bin/made-up-gcc");
    assert!(made.is_file());
    let first = fs::read(world.path("dist/mymodule-mpy6.3-armv7m.mpy")).unwrap();
    assert!(record(&world.path("dist"))["files"][0]["toolchain"].as_str().unwrap().contains("gcc"));

    assert_eq!(server.asked().len(), 1);
    drop(server);
    let output = world.build(module.path(), &["--toolchain", "armv7m=pinned", "--rebuild"]);
    assert!(output.status.success(), "{}", stderr(&output));
    assert_eq!(fs::read(world.path("dist/mymodule-mpy6.3-armv7m.mpy")).unwrap(), first);
    // Another compiler is another cell: this machine's own builds the module anew.
    let output = world.build(module.path(), &[]);
    assert!(output.status.success() && !stderr(&output).contains("unchanged"));
}

#[test]
fn an_archive_that_differs_from_its_pin_is_not_kept() {
    let server = Server::start(vec![Reply::Served { body: archive(), tag: "one" }]);
    let Some(world) = World::new(&server, &sri(b"something else")) else { return };
    let module = module(&[("mymodule.c", &answering("", "n + 1"))]);
    let output = world.build(module.path(), &["--toolchain", "armv7m=pinned", "--fail-fast"]);
    assert_eq!(output.status.code(), Some(5), "{}", stderr(&output));
    assert!(stderr(&output).contains("differs from its pin"), "{}", stderr(&output));
    let left: Vec<_> = fs::read_dir(world.path("the user's c\u{e4}che/toolchains"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| !name.ends_with(".lock"))
        .collect();
    assert!(left.is_empty(), "{left:?}");
    assert!(!world.path("dist").exists());
}

#[test]
fn what_is_pinned_for_nobody_is_said_so() {
    let mut command = mpb();
    let Some(tools) = Tools::find() else { return };
    let module = module(&[("mymodule.c", &answering("", "n + 1"))]);
    command.arg("natmod").arg(module.path()).arg("--micropython").arg(&tools.tree);
    let output = command.args(["--arch", "x64", "--toolchain", "x64=pinned"]).output().unwrap();
    assert_eq!(output.status.code(), Some(3));
    assert!(stderr(&output).contains("no toolchain for x64 is pinned"), "{}", stderr(&output));
}
