//! The flake, executed by two Nixes with a stand-in for nixpkgs: `nix/testing/README.md`.
//!
//! `nix/testing/setup` and `nix/testing/prefill`, which `scripts/test` runs, make what is needed.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::OnceLock;

use serde_json::Value;

use super::common::{micropython, missing};

const ROOT: &str = env!("CARGO_MANIFEST_DIR");

/// The name of this machine among Nix's systems.
pub fn system() -> String {
    format!("{}-{}", std::env::consts::ARCH, std::env::consts::OS)
}

/// The flakes of the suite, written anew for each test program. None when this machine was not set
/// up for them, as with `require`.
pub fn suite() -> Option<&'static Suite> {
    static SUITE: OnceLock<Option<Suite>> = OnceLock::new();
    SUITE.get_or_init(Suite::write).as_ref()
}

pub struct Suite {
    directory: PathBuf,
}

impl Suite {
    fn write() -> Option<Suite> {
        if !Path::new(ROOT).join("target/nix/host").is_file() {
            missing("nix/testing/setup was not run");
            return None;
        }
        let directory = Path::new(ROOT).join("target/nix/suite");
        let written = Command::new(Path::new(ROOT).join("nix/testing/offline"))
            .args([&directory, &micropython()?])
            .status();
        assert!(written.unwrap().success());
        Some(Suite { directory })
    }

    /// This repository, as a user of it sees it.
    pub fn flake(&self) -> String {
        format!("path:{}/flake", self.directory.display())
    }

    /// The same as a clone with git.
    pub fn clone(&self) -> PathBuf {
        self.directory.join("clone")
    }

    /// The stand-in for nixpkgs.
    pub fn nixpkgs(&self) -> String {
        format!("path:{}/flake/nix/testing/nixpkgs", self.directory.display())
    }

    /// This repository with sources that are at hand.
    pub fn offline(&self) -> String {
        format!("path:{}/offline", self.directory.display())
    }

    /// What makes the repository's flake take the stand-in.
    pub fn standing_in(&self) -> [String; 3] {
        ["--override-input".to_owned(), "nixpkgs".to_owned(), self.nixpkgs()]
    }

    /// What makes a flake with an input `micropython-builder` take the one with sources at hand.
    pub fn offline_input(&self) -> [String; 3] {
        ["--override-input".to_owned(), "micropython-builder".to_owned(), self.offline()]
    }
}

/// One of the two.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Nix {
    /// The oldest that is supported.
    Old,
    Current,
}

pub const BOTH: [Nix; 2] = [Nix::Old, Nix::Current];

/// How a command ended.
pub struct Ran {
    pub success: bool,
    pub stdout: String,
    pub stderr: String,
}

impl Nix {
    /// A command, to be run where this Nix and its store are.
    pub fn inside(self, program: &str) -> Command {
        let mut command = Command::new(Path::new(ROOT).join("nix/testing/inside"));
        command.arg(if self == Nix::Old { "old" } else { "current" }).arg(program);
        command
    }

    /// `nix`, never importing from derivations nor writing lock files.
    pub fn nix<A: AsRef<std::ffi::OsStr>>(self, arguments: impl IntoIterator<Item = A>) -> Ran {
        let mut command = self.inside("nix");
        command.args(arguments).args(["--option", "allow-import-from-derivation", "false"]);
        ran(command)
    }

    /// The value of an attribute, or of what a function makes of it.
    pub fn evaluate(self, attribute: &str, function: &str, more: &[String]) -> Value {
        let ran = self.try_evaluate(attribute, function, more);
        assert!(ran.success, "{self:?} cannot evaluate {attribute}: {}", ran.stderr);
        serde_json::from_str(&ran.stdout).unwrap()
    }

    pub fn try_evaluate(self, attribute: &str, function: &str, more: &[String]) -> Ran {
        let fixed = ["eval", "--json", "--no-write-lock-file", attribute, "--apply", function];
        self.nix(fixed.into_iter().map(str::to_owned).chain(more.iter().cloned()))
    }

    /// The value of an expression, which may look at the machine.
    #[track_caller]
    pub fn evaluate_expression(self, expression: &str) -> Value {
        let ran = self.nix(["eval", "--json", "--impure", "--expr", expression]);
        assert!(ran.success, "{self:?} cannot evaluate {expression}: {}", ran.stderr);
        serde_json::from_str(&ran.stdout).unwrap()
    }

    /// Builds what a reference names and returns where the outputs lie for programs outside.
    #[track_caller]
    pub fn build(self, reference: &str, more: &[String]) -> Vec<PathBuf> {
        let ran = self.try_build(reference, more);
        assert!(ran.success, "{self:?} cannot build {reference}: {}", ran.stderr);
        ran.stdout.lines().map(physical).collect()
    }

    pub fn try_build(self, reference: &str, more: &[String]) -> Ran {
        let fixed =
            ["build", "--no-link", "--print-out-paths", "--no-write-lock-file", "-L", reference];
        self.nix(fixed.into_iter().map(str::to_owned).chain(more.iter().cloned()))
    }
}

pub fn ran(mut command: Command) -> Ran {
    let Output { status, stdout, stderr } = command.output().unwrap();
    let text = |bytes| String::from_utf8_lossy(bytes).into_owned();
    Ran { success: status.success(), stdout: text(&stdout), stderr: text(&stderr) }
}

/// Where a path of the store lies on this machine, which has no /nix.
pub fn physical(path: &str) -> PathBuf {
    let rest = path.strip_prefix('/').unwrap_or_else(|| panic!("'{path}' is no store path"));
    Path::new(ROOT).join("target/nix").join(rest)
}

// Each test program uses some of these.
const _: [Nix; 2] = BOTH;
const _: fn(&str) -> PathBuf = physical;
const _: fn(&Suite) -> String = Suite::flake;
const _: fn(&Suite) -> String = Suite::offline;
const _: fn(&Suite) -> PathBuf = Suite::clone;
const _: fn(&Suite) -> [String; 3] = Suite::standing_in;
const _: fn(&Suite) -> [String; 3] = Suite::offline_input;
const _: fn(Nix, &str, &str, &[String]) -> Value = Nix::evaluate;
const _: fn(Nix, &str, &[String]) -> Vec<PathBuf> = Nix::build;
const _: fn(Nix, &str) -> Value = Nix::evaluate_expression;
