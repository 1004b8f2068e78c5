//! Says which commit a release build is made of, for `--version`.

use std::path::Path;
use std::process::Command;
use std::{env, fs};

/// The commit of what is in a package of the crate, written by `cargo package`.
const PACKAGED: &str = ".cargo_vcs_info.json";

/// As much of a commit's hash as tells it from all others.
const SHORT: usize = 9;

fn main() {
    println!("cargo::rerun-if-env-changed=MPB_COMMIT");
    println!("cargo::rerun-if-changed=build.rs");
    // A development build is of what lies between two commits, and would be compiled anew with each.
    if env::var("PROFILE").as_deref() != Ok("release") {
        return;
    }
    let root = env::var("CARGO_MANIFEST_DIR").expect("cargo sets it");
    let root = Path::new(&root);
    for input in ["Cargo.toml", "Cargo.lock", "src", "nix/pins"] {
        println!("cargo::rerun-if-changed={input}");
    }
    for file in ["HEAD", "logs/HEAD"] {
        if let Some(path) = git(root, &["rev-parse", "--git-path", file]) {
            println!("cargo::rerun-if-changed={path}");
        }
    }
    if let Some(commit) = given().or_else(|| packaged(root)).or_else(|| checked_out(root)) {
        println!("cargo::rustc-env=MPB_VERSION={} ({commit})", env!("CARGO_PKG_VERSION"));
    }
}

/// Said by who builds it, where there is no repository: a Nix build.
fn given() -> Option<String> {
    env::var("MPB_COMMIT").ok().filter(|commit| !commit.is_empty())
}

/// Cargo writes `{"git": {"sha1": "…"}, …}`.
fn packaged(root: &Path) -> Option<String> {
    let text = fs::read_to_string(root.join(PACKAGED)).ok()?;
    let (_, rest) = text.split_once("\"sha1\"")?;
    let commit = rest.split('"').nth(1)?;
    Some(commit.get(..SHORT)?.to_owned())
}

/// The commit that is checked out, if the repository is this project's and no other that holds it.
fn checked_out(root: &Path) -> Option<String> {
    let top = git(root, &["rev-parse", "--show-toplevel"])?;
    if fs::canonicalize(top).ok()? != fs::canonicalize(root).ok()? {
        return None;
    }
    let commit = git(root, &["rev-parse", &format!("--short={SHORT}"), "HEAD"])?;
    let changed = git(root, &["status", "--porcelain", "--untracked-files=no"])?;
    Some(if changed.is_empty() { commit } else { format!("{commit}, changed") })
}

fn git(root: &Path, arguments: &[&str]) -> Option<String> {
    let output = Command::new("git").arg("-C").arg(root).args(arguments).output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    output.status.success().then(|| text.trim().to_owned())
}
