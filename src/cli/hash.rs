//! `hash`.

use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;
use std::process::ExitCode;

use serde::Serialize;

use super::output::Output;
use crate::error::Result;
use crate::source::{Sha256Hash, nar};

#[derive(Debug, clap::Args)]
#[command(
    about = "Print the NAR hash of files and directories, as `nix hash path` does",
    long_about = "Print the NAR hash of files and directories in SRI form, as `nix hash path` \
        does: the hash that a Nix expression or a pin names for a source tree.\n\n\
        It covers names, contents, symlink targets and whether a file's owner may execute it; \
        not times, owners or other permissions. Nix is not needed.",
    after_help = "Examples:\n  \
        micropython-builder hash micropython-1.28.0\n      \
        prints sha256-… for the tree, as `nix hash path micropython-1.28.0`\n  \
        micropython-builder hash src lib\n      \
        prints one line for each: the hash, two spaces, the path\n  \
        micropython-builder hash --json src\n      \
        the same as JSON, with the hash in SRI, hexadecimal and Nix's base 32"
)]
pub(super) struct Arguments {
    /// A file, directory or symlink; a symlink is hashed itself, not what it points to
    #[arg(required = true, value_name = "PATH")]
    paths: Vec<PathBuf>,
}

#[derive(Debug, Serialize)]
struct Report {
    schema: u32,
    hashes: Vec<Entry>,
}

#[derive(Debug, Serialize)]
struct Entry {
    path: String,
    sri: String,
    hex: String,
    base32: String,
}

pub(super) fn run(arguments: &Arguments, output: &Output) -> Result<ExitCode> {
    let mut hashes: Vec<(&PathBuf, Sha256Hash)> = Vec::new();
    for path in &arguments.paths {
        hashes.push((path, nar::nar_hash(path)?));
    }
    if output.json() {
        let hashes = hashes.into_iter().map(|(path, hash)| Entry {
            path: path.to_string_lossy().into_owned(),
            sri: hash.to_sri(),
            hex: hash.to_hex(),
            base32: hash.to_base32(),
        });
        output.data_json(&Report { schema: 1, hashes: hashes.collect() })?;
    } else if let [(_, hash)] = hashes.as_slice() {
        output.data(format!("{hash}\n"))?;
    } else {
        for (path, hash) in hashes {
            output.data(format!("{hash}  "))?;
            output.data_bytes(path.as_os_str().as_bytes())?;
            output.data("\n")?;
        }
    }
    Ok(ExitCode::SUCCESS)
}
