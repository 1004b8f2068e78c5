//! What a build in Nix's sandbox sees, and what it can download: nothing but what is pinned.
#![allow(clippy::unwrap_used)]

mod common;
#[path = "common/nix.rs"]
mod nix;
#[path = "common/registry.rs"]
mod registry;
#[path = "common/server.rs"]
mod server;
#[path = "common/vendoring.rs"]
mod vendoring;

use std::fs;
use std::process::Command;
use std::time::SystemTime;

use common::command::outcome;
use micropython_builder::source::{Sha256Hash, nar_hash};
use nix::{BOTH, Nix, Suite, physical, ran, suite, system};
use registry::{Registry, files};
use serde_json::json;
use server::{Reply, Server};
use vendoring::{command, place};

/// A derivation of the stand-in, as an expression. It differs each time, and so is built.
fn expression(suite: &Suite, derivation: &str) -> [String; 4] {
    let pkgs = suite.nixpkgs().replace("path:", "");
    let text = format!(
        "let pkgs = import {pkgs} {{ }}; now = toString builtins.currentTime; in with pkgs; {derivation}"
    );
    ["--impure".to_owned(), "--expr".to_owned(), text, "--no-link".to_owned()]
}

fn build_expression(which: Nix, suite: &Suite, derivation: &str) -> nix::Ran {
    let arguments = ["build".to_owned(), "-L".to_owned()];
    which.nix(arguments.into_iter().chain(expression(suite, derivation)))
}

#[test]
fn a_build_sees_no_network_and_nothing_undeclared() {
    let Some(suite) = suite() else { return };
    let certificates = fs::read("/etc/ssl/certs/ca-certificates.crt").unwrap();
    let server = Server::start(vec![Reply::Whole(b"what is pinned".to_vec())]);
    for which in BOTH {
        let derivation = format!(
            r#"runCommand "probe-{which:?}-${{now}}" {{ }} ''
                test "$(sed -n 's/^ *\([a-z0-9]*\):.*/\1/p' /proc/net/dev)" = lo
                if (exec 3<>/dev/tcp/127.0.0.1/{port}) 2>/dev/null; then echo "reached the host"; exit 1; fi
                for hidden in git python3 qemu-system-arm; do
                    if type -P $hidden; then echo "$hidden is there undeclared"; exit 1; fi
                done
                for hidden in /usr/bin /etc/ssl /root /home {repository}; do
                    if [ -e $hidden ]; then echo "$hidden is there"; exit 1; fi
                done
                for shown in /usr/lib /debian/bin /rust /usr/include; do
                    if touch $shown/written 2>/dev/null; then echo "$shown can be written to"; exit 1; fi
                done
                printf '#!/usr/bin/env bash\n' >script
                chmod +x script
                if ./script 2>/dev/null; then echo "there is an env"; exit 1; fi
                patchShebangs script
                ./script
                touch $out
            ''"#,
            port = server.address.port(),
            repository = env!("CARGO_MANIFEST_DIR"),
        );
        let ran = build_expression(which, suite, &derivation);
        assert!(ran.success, "{which:?}: {}", ran.stderr);
        assert!(server.asked().is_empty());
    }
    assert_eq!(fs::read("/etc/ssl/certs/ca-certificates.crt").unwrap(), certificates);
}

#[test]
fn a_download_is_what_its_pin_says_or_fails() {
    let Some(suite) = suite() else { return };
    for which in BOTH {
        // Nix takes what it has without asking, so each gets bytes of its own.
        let body = format!("{which:?} {:?}", std::time::SystemTime::now()).into_bytes();
        let server = Server::start(vec![Reply::Whole(body.clone())]);
        let url = server.url("file");
        let fetch = |hash: &str| format!("fetchurl {{ url = \"{url}\"; hash = \"{hash}\"; }}");
        let ran = build_expression(which, suite, &fetch(&hash_of(&body)));
        assert!(ran.success, "{which:?}: {}", ran.stderr);
        assert_eq!(server.asked().len(), 1);

        let ran = build_expression(which, suite, &fetch(&hash_of(b"something else")));
        assert!(!ran.success && ran.stderr.contains("hash mismatch"), "{which:?}: {}", ran.stderr);
        assert!(ran.stderr.contains(&hash_of(&body)), "{which:?}: {}", ran.stderr);
    }
}

fn hash_of(content: &[u8]) -> String {
    let file = tempfile::NamedTempFile::new().unwrap();
    fs::write(&file, content).unwrap();
    Sha256Hash::of_file(file.path()).unwrap().to_sri()
}

#[test]
fn a_wrong_pin_finds_nothing() {
    let Some(suite) = suite() else { return };
    let directory = tempfile::tempdir().unwrap();
    let copied = Command::new("cp")
        .arg("-r")
        .arg(suite.flake().replace("path:", ""))
        .arg(directory.path().join("flake"))
        .status();
    assert!(copied.unwrap().success());
    let lock = directory.path().join("flake/Cargo.lock");
    let text = fs::read_to_string(&lock).unwrap();
    let (before, after) = text.split_once("checksum = \"").unwrap();
    let digit = if after.starts_with('0') { '1' } else { '0' };
    fs::write(&lock, format!("{before}checksum = \"{digit}{}", &after[1..])).unwrap();

    let reference = format!("path:{}/flake#micropython-builder", directory.path().display());
    let ran = Nix::Current.try_build(&reference, &suite.standing_in());
    assert!(!ran.success);
    assert!(ran.stderr.contains("error: cannot download crate-"), "{}", ran.stderr);
}

#[test]
fn pinned_python_packages_build_and_load() {
    let Some(suite) = suite() else { return };
    let reference = format!("{}#lib.{}.espPython", suite.flake(), system());
    Nix::Current.build(&reference, &suite.standing_in());
    let found = Nix::Current.evaluate(&reference, "python: python.outPath", &suite.standing_in());
    let python = format!("{}/bin/python3", found.as_str().unwrap());
    let mut command = Nix::Current.inside(&python);
    command.args([
        "-c",
        "import esptool, kconfgen, idf_component_manager; print(esptool.__version__)",
    ]);
    let loaded = ran(command);
    assert!(loaded.stdout.starts_with("4."), "{}{}", loaded.stdout, loaded.stderr);
    assert!(physical(found.as_str().unwrap()).join("pyvenv.cfg").is_file());
}

#[test]
fn components_come_from_a_registry_as_their_pins_say() {
    let Some(suite) = suite() else { return };
    let registry = Registry::new();
    // Nix takes what it has without asking, so there must be something new.
    let version = format!("1.0.{}", SystemTime::UNIX_EPOCH.elapsed().unwrap().as_secs());
    let one = registry.publish("acme/one", &version, &files("1", 10), false, json!({}));
    let (directory, lock, out) = place(&[&one]);
    let pins = directory.path().join("components.json");
    let mut vendor = command(&registry);
    vendor
        .args(["vendor", "--lock"])
        .arg(&lock)
        .arg("--out")
        .arg(&out)
        .arg("--write-pins")
        .arg(&pins);
    assert_eq!(outcome(&mut vendor).0, 0);

    fs::remove_dir_all(&out).unwrap();
    fs::write(directory.path().join("flake.nix"), COMPONENTS).unwrap();
    let reference = format!("path:{}#{}", directory.path().display(), system());
    let build = || {
        let fixed =
            ["build", "--no-link", "--print-out-paths", "--no-write-lock-file", "-L", &reference];
        let mut command = Nix::Current.inside("nix");
        command.args(fixed).args(suite.offline_input());
        ran({
            command.env("IDF_COMPONENT_STORAGE_URL", registry.url());
            command
        })
    };
    let ran = build();
    assert!(ran.success, "{}", ran.stderr);
    let component = fs::read_link(physical(ran.stdout.trim()).join("acme__one")).unwrap();
    let component = physical(component.to_str().unwrap());
    let text = fs::read_to_string(&pins).unwrap();
    let found = nar_hash(&component).unwrap().to_sri();
    assert!(text.contains(&found), "{found} is not pinned: {text}");

    let other = nar_hash(directory.path()).unwrap().to_sri();
    fs::write(&pins, text.replace(&found, &other)).unwrap();
    let ran = build();
    assert!(!ran.success, "a component with another hash was taken");
    assert!(ran.stderr.contains(&found) && ran.stderr.contains(&other), "{}", ran.stderr);
}

/// The components of a firmware with a lock and pins of the user's own.
const COMPONENTS: &str = "{
  inputs.micropython-builder.url = \"github:OWNER/micropython-builder\";
  outputs = { self, micropython-builder }: builtins.mapAttrs
    (system: library: (library.buildMicroPythonFirmware {
      board = \"ESP32_GENERIC_C3\";
      componentsLock = ./dependencies.lock;
      componentPins = ./components.json;
    }).components)
    micropython-builder.lib;
}
";
