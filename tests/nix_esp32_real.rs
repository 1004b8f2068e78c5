//! A real ESP32 board through the flake, in Nix's sandbox, where the environment says where ESP-IDF is
//! (docs/esp32.md).
#![allow(clippy::unwrap_used)]

mod common;
#[allow(dead_code)]
#[path = "../benches/figures/mod.rs"]
mod figures;
#[path = "common/nix.rs"]
mod nix;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use common::command::mpb;
use figures::{Figure, Section};
use nix::{Nix, ran, suite, system};

/// The flake that `nix/testing/esp32` writes; none when the environment names no ESP-IDF.
fn real() -> Option<String> {
    let named = ["IDF", "MICROPYTHON", "COMPONENTS", "TOOLCHAIN"]
        .map(|name| std::env::var_os(format!("MPB_ESP_{name}")).filter(|it| !it.is_empty()));
    if named.contains(&None) {
        eprintln!("not run: MPB_ESP_IDF and its companions name no ESP-IDF (docs/esp32.md)");
        return None;
    }
    suite()?;
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let directory = root.join("target/nix/esp32");
    let mut write = Command::new(root.join("nix/testing/esp32"));
    let written = ran({
        write.arg(&directory);
        write
    });
    assert!(written.success, "{}", written.stderr);
    Some(format!("path:{}/esp32#packages.{}", directory.display(), system()))
}

/// Runs `nix` and returns the CPU seconds that it and its builds took.
fn timed(arguments: &[&str]) -> f64 {
    let mut command = Nix::Current.inside("bash");
    command.args(["-c", "TIMEFORMAT='%U %S'; time \"$@\"", "bash", "nix"]).args(arguments);
    let ran = ran(command);
    assert!(ran.success, "{arguments:?}: {}", ran.stderr);
    let times = ran.stderr.lines().last().unwrap();
    times.split(' ').map(|time| time.parse::<f64>().unwrap()).sum()
}

fn files(directory: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let entries = fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path());
    entries.map(|path| (path.file_name().unwrap().into(), fs::read(&path).unwrap())).collect()
}

#[test]
fn one_frozen_module_more_costs_little_and_gives_what_a_whole_build_gives() {
    let Some(packages) = real() else { return };
    let of = |name: &str| format!("{packages}.{name}");
    let fixed = ["build", "--no-link", "--no-write-lock-file"];

    // Beginning with the stock board's build; and once more, to be compared and timed.
    let more = of("one-module-more");
    let out = &Nix::Current.build(&more, &[])[0];
    let delta = timed(&[fixed.as_slice(), &["--rebuild", &more]].concat());

    // Everything as one derivation, built now even if it was built before.
    let whole = of("one-module-more-at-once");
    let outputs = Nix::Current.evaluate(
        &whole,
        "firmware: map (name: firmware.${name}.outPath) firmware.outputs",
        &[],
    );
    let outputs = outputs.as_array().unwrap().iter().map(|path| path.as_str().unwrap());
    // Fails when there is none, which is as well.
    Nix::Current.nix(["store", "delete", "--ignore-liveness"].into_iter().chain(outputs));
    let all = timed(&[fixed.as_slice(), &[&whole]].concat());

    let figure = Figure {
        what: "one frozen module more, in Nix's sandbox",
        ours: "`nix build`, which begins with the saved stock build",
        peer: "`nix build` of all as one derivation",
        unit: "CPU s",
    };
    Section("Building for an ESP32").figure(&figure, &[(delta, all)]);
    assert!(delta <= 0.15 * all, "{delta} CPU seconds of {all}");
    let (found, expected) = (files(out), files(&Nix::Current.build(&whole, &[])[0]));
    assert_eq!(found.keys().collect::<Vec<_>>(), expected.keys().collect::<Vec<_>>());
    for (name, bytes) in &found {
        assert!(*bytes == expected[name], "{} is not the same", name.display());
    }

    let Some(qemu) = std::env::var_os("MPB_ESP_QEMU") else { return };
    let mut run = mpb();
    run.arg("run").arg(out).arg("--emulator").arg(qemu);
    run.args(["--exec", "import added, aioespnow; print(added.ANSWER)"]);
    let said = ran(run);
    assert_eq!(said.stdout, "42\n", "{}", said.stderr);
}
