//! What a release is made of: notes from the changelog, archives, and workflows that use what they say.

mod common;

use std::fs;
use std::process::{Command, Output};

use common::command::{failed, names_in, repository, stderr, succeed, succeeded};
use tempfile::TempDir;
use walkdir::WalkDir;

const VERSION: &str = env!("CARGO_PKG_VERSION");

fn script(name: &str, arguments: &[&str]) -> Output {
    Command::new(repository("scripts").join(name)).args(arguments).output().unwrap()
}

#[test]
fn the_notes_are_the_changelogs_section_of_the_version() {
    let notes = succeeded(&script("changelog", &[&format!("v{VERSION}")]));
    let changelog = fs::read_to_string(repository("CHANGELOG.md")).unwrap();
    assert!(changelog.contains(&notes), "{notes}");
    assert!(notes.contains("### "), "{notes}");
    assert!(!notes.starts_with('\n') && !notes.contains("\n## "), "{notes}");
}

#[test]
fn a_tag_of_another_version_is_refused() {
    for tag in ["v99.0.0", VERSION, ""] {
        let expected = format!("the version in Cargo.toml is {VERSION}");
        failed(&script("changelog", &[tag]), 3, &[&expected]);
    }
}

#[test]
fn an_archive_unpacks_into_a_prefix_and_has_its_sum() {
    let scratch = TempDir::new().unwrap();
    let out = scratch.path().join("artefacts");
    let program = env!("CARGO_BIN_EXE_micropython-builder");
    succeeded(&script("archive", &[program, "x86_64-linux", out.to_str().unwrap()]));

    let archive = format!("micropython-builder-{VERSION}-x86_64-linux.tar.gz");
    assert_eq!(names_in(&out), [archive.as_str(), &format!("{archive}.sha256")]);
    let sums = format!("{archive}.sha256");
    succeed(Command::new("sha256sum").args(["--check", &sums]).current_dir(&out));

    let prefix = scratch.path().join("prefix");
    fs::create_dir(&prefix).unwrap();
    let mut tar = Command::new("tar");
    tar.arg("-xzf").arg(out.join(archive)).args(["--strip-components", "1", "-C"]).arg(&prefix);
    succeed(tar);
    let version = succeed(Command::new(prefix.join("bin/micropython-builder")).arg("--version"));
    assert!(version.contains(VERSION));
    for file in [
        "lib/udev/rules.d/70-micropython-builder.rules",
        "share/bash-completion/completions/micropython-builder",
        "share/doc/micropython-builder/CHANGELOG.md",
        "share/doc/micropython-builder/LICENSE-MIT",
        "share/doc/micropython-builder/THIRD-PARTY.txt",
        "share/fish/vendor_completions.d/micropython-builder.fish",
        "share/man/man1/micropython-builder-build.1",
        "share/zsh/site-functions/_micropython-builder",
    ] {
        assert!(prefix.join(file).metadata().unwrap().len() > 0, "{file}");
    }
}

/// A tag of an action can be moved to other code; a commit cannot.
#[test]
fn actions_are_pinned_by_commit() {
    let workflows =
        WalkDir::new(repository(".github")).into_iter().map(|entry| entry.unwrap().into_path());
    let mut files: Vec<_> =
        workflows.filter(|path| path.extension().is_some_and(|it| it == "yml")).collect();
    files.push(repository("action.yml"));
    let mut count = 0;
    for file in files {
        let text = fs::read_to_string(&file).unwrap();
        let used = text
            .lines()
            .filter_map(|line| line.trim_start().trim_start_matches("- ").strip_prefix("uses: "));
        for action in used.filter(|action| !action.starts_with("./")) {
            let pin = action.split_once('@').and_then(|(_, pin)| pin.split_once(" # v"));
            let pinned = pin.is_some_and(|(commit, version)| {
                commit.len() == 40
                    && commit.bytes().all(|b| b.is_ascii_hexdigit())
                    && version.contains('.')
            });
            assert!(pinned, "{} uses {action}", file.display());
            count += 1;
        }
    }
    assert!(count > 10, "only {count} uses were found");
}

/// The script that says what commit a program is of, and the like, are part of what is published.
#[test]
fn the_package_has_what_it_is_built_from() {
    let mut cargo = Command::new(env!("CARGO"));
    cargo.args(["package", "--list", "--allow-dirty", "--offline"]).current_dir(repository("."));
    let output = cargo.output().unwrap();
    let warnings = stderr(&output);
    assert!(!warnings.contains("warning"), "{warnings}");
    let files = succeeded(&output);
    for file in [
        "build.rs",
        "src/main.rs",
        "nix/pins/micropython.json",
        "tests/release.rs",
        "README.md",
        "LICENSE-MIT",
    ] {
        assert!(files.lines().any(|line| line == file), "{file} is not in the package");
    }
    assert!(!files.lines().any(|line| line.starts_with("target/")), "{files}");
}
