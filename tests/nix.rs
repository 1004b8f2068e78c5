//! The flake, evaluated: its outputs, every board, and what is said to who asks for the impossible.
#![allow(clippy::unwrap_used)]

mod common;
#[path = "common/nix.rs"]
mod nix;

use std::fs;

use nix::{BOTH, Nix, Suite, suite, system};
use serde_json::Value;

/// Wrong requests by name in `tests/nix/faults/flake.nix`, and how the messages begin.
const FAULTS: [(&str, &[&str]); 36] = [
    ("no-board", &["buildMicroPythonFirmware needs the argument board: a string"]),
    (
        "unknown-board",
        &["has no board \"ESP32_GENERIC_C33\"", "hint: nearest to it: ESP32_GENERIC_C3,"],
    ),
    (
        "unknown-variant",
        &["ESP32_GENERIC has no variant \"SPIRAN\"", "hint: there is D2WD, OTA, SPIRAM"],
    ),
    (
        "variant-of-none",
        &["the board ESP32_GENERIC_C3 has no variants", "hint: leave variant away"],
    ),
    ("unknown-port", &["has no port \"esp23\"", "hint: nearest to it: esp32"]),
    ("board-of-another-port", &["the port qemu has no board \"ESP32_GENERIC_C3\""]),
    ("unsupported-port", &["firmware for PYBV11 cannot be built yet", "not stm32"]),
    ("unknown-argument", &["has no argument userCModule", "hint: nearest to it: userCModules"]),
    ("wrong-type", &["patches is \"fix.patch\", expected a list"]),
    (
        "not-a-set",
        &["was given \"ESP32_GENERIC_C3\", expected an attribute set", "hint: for example"],
    ),
    ("c-module-without-fragment", &["empty-module has no micropython.cmake"]),
    (
        "c-module-missing",
        &["userCModules names a path that does not exist", "hint: in a git checkout"],
    ),
    ("manifest-missing", &["manifest names a path that does not exist", "hint: in a git checkout"]),
    ("both-patch-phase-and-patches", &["both are given", "hint: give patches and postPatch"]),
    ("both-components-and-lock", &["components and componentsLock both say"]),
    ("pins-without-lock", &["componentPins are the pins of what componentsLock names"]),
    ("partitions-without-flash", &["VIRT_RV32 is a board of the port qemu, and partitionTable is"]),
    ("no-variable", &["makeArguments has \"A B\""]),
    ("unknown-release", &["MicroPython v1.99.0 is not pinned", "hint: nearest to it: v1."]),
    (
        "release-without-components",
        &["MicroPython v1.18 has no submodule lib/micropython-lib", "hint: give it yourself"],
    ),
    ("unknown-submodule", &["has no submodule lib/tinyubs", "hint: nearest to it: lib/tinyusb"]),
    ("unknown-esp-idf", &["ESP-IDF v1.0 is not pinned", "hint: nearest to it: v"]),
    ("no-lock", &["flake.nix names no components"]),
    (
        "lock-for-another-chip",
        &["esp32s3.lock is for esp32s3, the board is an esp32c3", "hint: micropython-builder lock"],
    ),
    (
        "stale-pin",
        &[
            "the pin of the component espressif/mdns 1.1.0 is stale",
            "hint: micropython-builder vendor",
        ],
    ),
    (
        "unpinned-component",
        &[
            "espressif/mdns 0.0.1 of unpinned.lock is not pinned",
            "hint: micropython-builder vendor",
        ],
    ),
    (
        "flash-what-cannot-be",
        &["VIRT_RV32 runs on an emulator, and is not flashed", "hint: run it"],
    ),
    ("flash-both", &["was given a firmware, and manifest to build one with"]),
    ("modules-for-no-arch", &["no architecture \"armv7\"", "hint: nearest to it: armv7m,"]),
    ("modules-for-nothing", &["archs is empty", "hint: leave it away"]),
    ("modules-for-both", &["micropython and mpyVersions both say", "hint: give one"]),
    ("modules-for-no-version", &["there is no .mpy version \"9\"", "hint: there is 5,"]),
    ("modules-without-makefile", &["empty-module has no Makefile", "hint: https://docs.m"]),
    ("module-without-arch", &["buildNativeModule needs the argument arch", "hint: for example"]),
    ("module-for-many", &["buildNativeModule has no argument archs", "hint: give arch,"]),
    ("run-what-cannot-be", &["nixpkgs' QEMU has no machine of an ESP32", "hint: with Espressif's"]),
];

/// The wrong requests as a flake, and what makes it use this one.
fn faults(suite: &Suite) -> (String, Vec<String>) {
    let more = ["--override-input", "micropython-builder", &suite.flake()].map(str::to_owned);
    let nixpkgs = ["--override-input", "micropython-builder/nixpkgs", &suite.nixpkgs()];
    let more = more.into_iter().chain(nixpkgs.map(str::to_owned)).collect();
    (format!("{}/tests/nix/faults#faults.{}", suite.flake(), system()), more)
}

#[test]
fn a_person_can_read_what_is_wrong() {
    let Some(suite) = suite() else { return };
    let (flake, more) = faults(suite);
    let names = Nix::Current.evaluate(&flake, "builtins.attrNames", &more);
    let mut known: Vec<&str> = FAULTS.iter().map(|(name, _)| *name).collect();
    known.sort_unstable();
    assert_eq!(names, serde_json::json!(known));

    for (number, (name, expected)) in FAULTS.iter().enumerate() {
        // The messages are the same Nix code's; the old Nix is asked for a few.
        let which = if number % 8 == 0 { Nix::Old } else { Nix::Current };
        let ran = which.try_evaluate(&flake, &format!("it: it.{name}.drvPath"), &more);
        assert!(!ran.success, "{name} is not refused: {}", ran.stdout);
        let (_, message) = ran
            .stderr
            .rsplit_once("error: micropython-builder: ")
            .unwrap_or_else(|| panic!("{name} ends otherwise: {}", ran.stderr));
        let mut rest = message;
        for part in *expected {
            let at = rest.find(part).unwrap_or_else(|| panic!("{name} lacks '{part}': {message}"));
            rest = &rest[at + part.len()..];
        }
    }
}

#[test]
fn the_flake_is_sound() {
    let Some(suite) = suite() else { return };
    for which in BOTH {
        // 2.8 looks at every system without being told.
        let all = if which == Nix::Current { vec!["--all-systems".to_owned()] } else { Vec::new() };
        let arguments = ["flake", "check", "--no-build", "--no-write-lock-file", &suite.flake()];
        let arguments = arguments.into_iter().map(str::to_owned).chain(all);
        let ran = which.nix(arguments.chain(suite.standing_in()));
        assert!(ran.success, "{which:?}: {}", ran.stderr);
        for line in ran.stderr.lines().filter(|line| line.contains("warning:")) {
            let known = ["unknown flake output", "not writing modified lock", "omitted these"];
            assert!(known.iter().any(|known| line.contains(known)), "{which:?}: {line}");
        }
    }
}

/// The derivation of every board, variant and system; or why there is none.
const EVERY_BOARD: &str = "library: builtins.mapAttrs (port: boards: builtins.mapAttrs (name: board:
    if board.isSupported then (board.buildMicroPythonFirmware { }).drvPath else null) boards) library.boards";

#[test]
fn every_board_evaluates_alike_with_both() {
    let Some(suite) = suite() else { return };
    let of = |which: Nix, system: &str| {
        which.evaluate(
            &format!("{}#lib.{system}", suite.flake()),
            EVERY_BOARD,
            &suite.standing_in(),
        )
    };
    let here = of(Nix::Current, &system());
    assert_eq!(here, of(Nix::Old, &system()));

    // As many as the file of boards has.
    let file = format!("{}/nix/boards/boards.json", env!("CARGO_MANIFEST_DIR"));
    let data: Value = serde_json::from_slice(&fs::read(file).unwrap()).unwrap();
    let (mut supported, mut built) = (0, Vec::new());
    for (port, boards) in data["ports"].as_object().unwrap() {
        let variants = boards.as_object().unwrap().values();
        let variants: usize = variants.map(|it| it["variants"].as_array().unwrap().len()).sum();
        let found: Vec<&Value> = here[port].as_object().unwrap().values().collect();
        assert_eq!(found.len(), variants, "{port}");
        let derivations = found.iter().filter_map(|it| it.as_str());
        if ["esp32", "qemu", "unix"].contains(&port.as_str()) {
            supported += variants;
        }
        built.extend(derivations.map(str::to_owned));
    }
    assert_eq!(built.len(), supported);
    built.sort_unstable();
    built.dedup();
    assert_eq!(built.len(), supported, "two boards have the same derivation");
}

#[test]
fn other_systems_evaluate_or_say_why_not() {
    let Some(suite) = suite() else { return };
    for other in ["aarch64-linux", "aarch64-darwin", "x86_64-darwin"] {
        let attribute = format!("{}#lib.{other}", suite.flake());
        let found = Nix::Current.evaluate(
            &attribute,
            "library: builtins.mapAttrs (_: one: (one.buildMicroPythonFirmware { }).drvPath)
                (builtins.intersectAttrs library.aliases library)",
            &suite.standing_in(),
        );
        assert!(found.as_object().unwrap().len() > 10, "{other}: {found}");
    }

    // Nobody makes the ESP8266's compiler for a Mac with Apple's processor.
    let library = format!("{}#lib.aarch64-darwin", suite.flake());
    let module =
        "library: (library.buildNativeModule { src = \"/module\"; arch = \"xtensa\"; }).drvPath";
    let ran = Nix::Current.try_evaluate(&library, module, &suite.standing_in());
    assert!(!ran.success, "{}", ran.stdout);
    let said = "there is no xtensa-lx106-elf esp-2020r3 for aarch64-darwin, only for x86_64-";
    assert!(ran.stderr.contains(said), "{}", ran.stderr);
}

#[test]
fn native_modules_evaluate_for_every_architecture_of_a_system() {
    let Some(suite) = suite() else { return };
    let modules = |which: Nix, system: &str| {
        let function = format!(
            "library: let modules = library.buildNativeModules {{
                src = \"{}/examples/natmod\"; mpyVersions = [ \"6.3\" \"6.2\" ];
            }}; in {{ inherit (modules) drvPath natmodArguments; }}",
            suite.clone().display()
        );
        let library = format!("{}#lib.{system}", suite.flake());
        which.evaluate(&library, &function, &suite.standing_in())
    };
    // Without x86 and x64, and without the compiler of the ESP8266, which is for PCs only.
    for (system, expected) in [("x86_64-linux", 10), ("aarch64-linux", 7), ("x86_64-darwin", 8)] {
        let found = modules(Nix::Current, system);
        let arguments: Vec<&str> = found["natmodArguments"]
            .as_array()
            .unwrap()
            .iter()
            .map(|it| it.as_str().unwrap())
            .collect();
        let of = |option: &'static str| {
            arguments.windows(2).filter(move |it| it[0] == option).map(|it| it[1])
        };
        let archs: Vec<&str> = of("--arch").next().unwrap().split(',').collect();
        assert_eq!(archs.len(), expected, "{system}: {archs:?}");
        let compilers: Vec<&str> =
            of("--toolchain").map(|it| it.split_once('=').unwrap().0).collect();
        assert_eq!(compilers, archs, "{system}");
        assert_eq!(of("--micropython").count(), 2, "{system}");
    }
    assert_eq!(
        modules(Nix::Current, &system())["drvPath"],
        modules(Nix::Old, &system())["drvPath"]
    );
}

#[test]
fn the_earlier_form_of_this_flake_still_works() {
    let Some(suite) = suite() else { return };
    let attribute = format!("{}#lib.{}", suite.flake(), system());
    let function = "library: {
        old = (library.esp32c3.buildMicroPythonFirmware { sha256 = \"sha256-AAAA\"; }).drvPath;
        new = (library.esp32c3-generic.buildMicroPythonFirmware { }).drvPath;
        frozen = (library.esp32c3-generic.buildMicroPythonFirmware { frozenManifestText = \"require('aiohttp')\"; }).drvPath;
    }";
    let ran = Nix::Current.try_evaluate(&attribute, function, &suite.standing_in());
    assert!(ran.success, "{}", ran.stderr);
    assert!(ran.stderr.contains("does not need sha256 any more"), "{}", ran.stderr);
    let found: Value = serde_json::from_str(&ran.stdout).unwrap();
    assert_eq!(found["old"], found["new"]);
    assert_ne!(found["frozen"], found["new"]);
}

#[test]
fn the_program_says_which_commit_it_is_of_and_no_firmware_depends_on_that() {
    let Some(suite) = suite() else { return };
    let expression = format!(
        "let
            nixpkgs = builtins.getFlake \"{nixpkgs}\";
            of = self: (import {flake}/nix/outputs.nix {{ inherit self nixpkgs; }}).packages.{system};
        in map (self: {{
            commit = (of self).micropython-builder.MPB_COMMIT or null;
            firmware = (of self).esp32c3-generic.drvPath;
        }}) [ {{ }} {{ rev = \"0123456789abcdef0123456789abcdef01234567\"; }} ]",
        nixpkgs = suite.nixpkgs(),
        flake = suite.flake().trim_start_matches("path:"),
        system = system()
    );
    let found = Nix::Current.evaluate_expression(&expression);
    let (copy, commit) = (&found[0], &found[1]);
    assert_eq!(copy["commit"], Value::Null);
    assert_eq!(commit["commit"], "012345678");
    assert_eq!(commit["firmware"], copy["firmware"]);
}
