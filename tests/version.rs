//! `--version`: the version, and in a release build the commit. The build script is compiled as cargo compiles it and
//! run where it would be.

mod common;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use common::command::{mpb, repository, succeed};
use tempfile::TempDir;

/// The build script as a program, and places to run it in.
struct Script {
    program: PathBuf,
    scratch: TempDir,
}

impl Script {
    fn compiled() -> Self {
        let scratch = TempDir::new().unwrap();
        let program = scratch.path().join("build-script");
        let mut rustc = Command::new("rustc");
        rustc.args(["--edition", "2024", "-o"]).arg(&program).arg(repository("build.rs"));
        rustc.env("CARGO_PKG_VERSION", "1.2.3");
        succeed(rustc);
        Self { program, scratch }
    }

    fn directory(&self, name: &str) -> PathBuf {
        let directory = self.scratch.path().join(name);
        fs::create_dir_all(&directory).unwrap();
        directory
    }

    /// What it says the version is, if it does.
    fn version(&self, root: &Path, profile: &str, commit: Option<&str>) -> Option<String> {
        let mut script = Command::new(&self.program);
        script.env("CARGO_MANIFEST_DIR", root).env("PROFILE", profile);
        script.env("GIT_CEILING_DIRECTORIES", self.scratch.path()).env_remove("MPB_COMMIT");
        script.envs(commit.map(|commit| ("MPB_COMMIT", commit)));
        let said = succeed(script);
        let version =
            |line: &str| line.strip_prefix("cargo::rustc-env=MPB_VERSION=").map(str::to_owned);
        said.lines().find_map(version)
    }
}

fn git(directory: &Path, arguments: &[&str]) -> String {
    let mut git = Command::new("git");
    git.arg("-C").arg(directory).args(["-c", "user.name=A", "-c", "user.email=a@example.org"]);
    git.args(arguments);
    succeed(git).trim().to_owned()
}

#[test]
fn a_release_build_says_which_commit_it_is_of() {
    let script = Script::compiled();
    let checkout = script.directory("checkout");
    git(&checkout, &["init", "--quiet"]);
    fs::write(checkout.join("Cargo.toml"), "[package]\n").unwrap();
    git(&checkout, &["add", "."]);
    git(&checkout, &["commit", "--quiet", "--message", "One"]);
    let commit = git(&checkout, &["rev-parse", "HEAD"])[..9].to_owned();
    let version = |commit: Option<&str>| script.version(&checkout, "release", commit);

    assert_eq!(version(None), Some(format!("1.2.3 ({commit})")));
    assert_eq!(script.version(&checkout, "debug", None), None);
    // Files that are nobody's are no change.
    fs::write(checkout.join("notes"), "mine").unwrap();
    assert_eq!(version(None), Some(format!("1.2.3 ({commit})")));
    fs::write(checkout.join("Cargo.toml"), "[package]\nname = \"other\"\n").unwrap();
    assert_eq!(version(None), Some(format!("1.2.3 ({commit}, changed)")));
    // Who builds it may know better.
    assert_eq!(version(Some("0123abcde")), Some("1.2.3 (0123abcde)".to_owned()));
    assert_eq!(version(Some("")), Some(format!("1.2.3 ({commit}, changed)")));

    // A repository that holds the sources of this among others is not this one's.
    let within = script.directory("checkout/vendor/micropython-builder");
    assert_eq!(script.version(&within, "release", None), None);
    let packaged = "{\n  \"git\": {\n    \"sha1\": \"89abcdef0123456789abcdef0123456789abcdef\"\n  },\n  \"path_in_vcs\": \"\"\n}";
    fs::write(within.join(".cargo_vcs_info.json"), packaged).unwrap();
    assert_eq!(script.version(&within, "release", None), Some("1.2.3 (89abcdef0)".to_owned()));

    let nowhere = script.directory("nowhere");
    assert_eq!(script.version(&nowhere, "release", None), None);
}

#[test]
fn the_program_prints_its_version() {
    for option in ["--version", "-V"] {
        let mut version = mpb();
        version.arg(option);
        let said = succeed(version);
        let expected = concat!("micropython-builder ", env!("CARGO_PKG_VERSION"));
        assert!(said.trim_end().starts_with(expected), "{said}");
    }
}
