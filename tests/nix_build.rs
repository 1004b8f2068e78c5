//! The flake, built: in Nix's sandbox, from what is at hand, and run.
#![allow(clippy::unwrap_used)]

mod common;
#[path = "common/nix.rs"]
mod nix;

use std::fs;
use std::path::Path;
use std::process::Command;

use nix::{BOTH, Nix, ran, suite, system};

#[test]
fn the_helper_is_built_from_pinned_crates() {
    let Some(suite) = suite() else { return };
    let built = Nix::Current.build(&format!("{}#default", suite.offline()), &[]);
    let version = |program: &Path| {
        ran({
            let mut command = Command::new(program);
            command.arg("--version");
            command
        })
    };
    let ours = version(Path::new(env!("CARGO_BIN_EXE_micropython-builder")));
    assert_eq!(version(&built[0].join("bin/micropython-builder")).stdout, ours.stdout);
    for file in [
        "lib/udev/rules.d/70-micropython-builder.rules",
        "share/bash-completion/completions/micropython-builder",
        "share/zsh/site-functions/_micropython-builder",
        "share/fish/vendor_completions.d/micropython-builder.fish",
    ] {
        assert!(built[0].join(file).metadata().unwrap().len() > 100, "{file}");
    }
    let mut pages = fs::read_dir(built[0].join("share/man/man1")).unwrap().flatten();
    let is_of_build = |name: &str| name.starts_with("micropython-builder-build.1");
    assert!(pages.any(|page| page.file_name().to_str().is_some_and(is_of_build)));

    // And as an app, with the other Nix.
    let mut command = Nix::Old.inside("nix");
    command.args(["run", "--no-write-lock-file", &suite.offline(), "--", "hash"]);
    command.arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("Cargo.toml"));
    let hashed = ran(command);
    assert!(hashed.stdout.starts_with("sha256-"), "{}{}", hashed.stdout, hashed.stderr);
}

#[test]
fn the_flakes_own_checks_pass() {
    let Some(suite) = suite() else { return };
    let checks = format!("{}#checks.{}", suite.offline(), system());
    // Two processors, frozen modules, C modules, a native module. The other firmware is as that of the
    // examples; lints and unit tests would compile the helper twice more, and run outside of this too.
    for name in ["format", "nix-format", "qemu-arm", "native-module", "unix-added"] {
        Nix::Current.build(&format!("{checks}.{name}"), &[]);
    }
    let all = Nix::Current.evaluate(&checks, "builtins.mapAttrs (_: check: check.drvPath)", &[]);
    assert!(all.as_object().unwrap().len() >= 11, "{all}");
}

#[test]
fn an_example_boots_and_is_the_same_again() {
    let Some(suite) = suite() else { return };
    // As one does in a clone, in its directory.
    let nix = |which: Nix, arguments: &[&str], after: &[&str]| {
        let mut command = which.inside("nix");
        command.args(arguments).arg("--no-write-lock-file").args(suite.offline_input()).args(after);
        command.current_dir(suite.clone());
        let ran = ran(command);
        assert!(ran.success, "{which:?} {arguments:?}: {}", ran.stderr);
        ran.stdout
    };
    let question = ["--", "--exec", "import hello; print(hello.sums(5)[-1])"];
    assert_eq!(nix(Nix::Current, &["run", "./examples#run"], &question), "10\n");

    // Built once more by the other Nix, which compares.
    nix(Nix::Old, &["build", "--no-link", "--rebuild", "./examples#emulated"], &[]);
}

#[test]
fn a_new_project_builds() {
    let Some(suite) = suite() else { return };
    let directory = tempfile::tempdir().unwrap();
    for which in BOTH {
        let project = directory.path().join(format!("{which:?}"));
        fs::create_dir(&project).unwrap();
        let mut command = which.inside("nix");
        command.args(["flake", "init", "-t", &suite.flake()]).current_dir(&project);
        let made = ran(command);
        assert!(made.success, "{}", made.stderr);
    }
    let mut command = Nix::Current.inside("nix");
    let project = format!("path:{}#try", directory.path().join("Current").display());
    command.args(["run", "--no-write-lock-file", &project]).args(suite.offline_input());
    command.args(["--", "--exec", "import app; app.main()"]);
    let asked = ran(command);
    assert_eq!(asked.stdout, "The answer is 42\n", "{}", asked.stderr);
    assert!(same_files(&directory.path().join("Old"), &directory.path().join("Current")));
}

fn same_files(one: &Path, other: &Path) -> bool {
    Command::new("diff").arg("-r").args([one, other]).status().unwrap().success()
}

#[test]
fn other_package_sets_can_have_it() {
    let Some(suite) = suite() else { return };
    // What mkLib and the overlay make of a package set is what the flake's own packages are.
    let expression = format!(
        "let
            flake = builtins.getFlake \"{flake}\";
            pkgs = import (builtins.getFlake \"{nixpkgs}\") {{ system = \"{system}\"; }};
            extended = pkgs.extend flake.overlays.default;
        in [
            flake.packages.{system}.default.drvPath
            (flake.mkLib pkgs).helper.drvPath
            extended.micropython-builder.drvPath
        ]",
        flake = suite.offline(),
        nixpkgs = suite.nixpkgs(),
        system = system()
    );
    let found = Nix::Current.evaluate_expression(&expression);
    let found: Vec<String> = serde_json::from_value(found).unwrap();
    assert!(found[0].contains("-micropython-builder-"), "{found:?}");
    assert!(found.iter().all(|it| *it == found[0]), "{found:?}");
}

/// A firmware that is made up, and the program that would write it to a board.
const FLASHED: &str = "
    let
      pkgs = import (builtins.getFlake \"NIXPKGS\") { };
      helper = pkgs.writeShellScriptBin \"micropython-builder\" ''printf '%s\\n' \"$@\"'';
      firmware = pkgs.linkFarm \"firmware\" [
        { name = \"firmware.bin\"; path = pkgs.writeText \"firmware.bin\" \"bytes\"; }
      ];
      library = ((builtins.getFlake \"FLAKE\").mkLib pkgs).overrideSources { inherit helper; };
    in
    library.flashMicroPythonFirmware { inherit firmware; }";

#[test]
fn a_flash_program_hands_the_firmware_on() {
    let Some(suite) = suite() else { return };
    let expression =
        FLASHED.replace("NIXPKGS", &suite.nixpkgs()).replace("FLAKE", &suite.offline());
    let fixed = ["build", "--no-link", "--print-out-paths", "--impure", "--expr", &expression];
    let built = Nix::Current.nix(fixed);
    assert!(built.success, "{}", built.stderr);
    let program = format!("{}/bin/flash-micropython", built.stdout.trim());
    let mut command = Nix::Current.inside(&program);
    command.args(["--port", "/dev/ttyACM0"]);
    let said = ran(command);
    assert!(said.success, "{}", said.stderr);
    let said: Vec<&str> = said.stdout.lines().collect();
    assert_eq!((said[0], &said[2..]), ("flash", &["--port", "/dev/ttyACM0"][..]));
    assert!(said[1].ends_with("-firmware"), "{said:?}");
}
