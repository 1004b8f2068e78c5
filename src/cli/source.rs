//! `source`.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::os::unix::ffi::OsStrExt;
use std::process::ExitCode;

use serde::Serialize;

use super::output::Output;
use crate::error::Result;
use crate::source::{Origin, Request, Sha256Hash, Sources};

#[derive(Debug, clap::Args)]
#[command(
    about = "Get a MicroPython source tree by its pin and print where it lies",
    long_about = "Get a MicroPython source tree, verify it against its pin, and print where it \
        lies.\n\n\
        Trees are kept in the cache directory ($MICROPYTHON_BUILDER_CACHE, else \
        ~/.cache/micropython-builder) and taken from there without network the next time. \
        A tree whose hash differs from its pin is not kept, and the exit code is 5.",
    after_help = "Examples:\n  \
        micropython-builder source v1.28.0\n      \
        gets the release from GitHub and prints its directory\n  \
        micropython-builder source debian\n      \
        gets Debian's package from this machine's own apt mirror; on Ubuntu, Ubuntu's\n  \
        micropython-builder source v1.28.0 --submodule lib/micropython-lib\n      \
        prints two directories, the release's and that of the submodule's pinned commit\n  \
        micropython-builder source --json ~/src/micropython\n      \
        shows version and NAR hash of a checkout"
)]
pub(super) struct Arguments {
    /// A directory, a pinned version (`v1.28.0`), `debian`, or `debian:SUITE` (`debian:sid`)
    #[arg(value_name = "SOURCE")]
    source: OsString,
    /// Get this submodule too; its directory is printed on a line of its own. Can be repeated
    #[arg(long = "submodule", value_name = "PATH")]
    submodules: Vec<String>,
    /// Ask a Debian suite that is not pinned for what it has now, instead of taking what the
    /// cache has
    #[arg(long)]
    refresh: bool,
}

#[derive(Debug, Serialize)]
struct Report {
    schema: u32,
    path: String,
    version: String,
    nar: Sha256Hash,
    #[serde(skip_serializing_if = "Option::is_none")]
    epoch: Option<u64>,
    origin: Origin,
    submodules: BTreeMap<String, String>,
}

pub(super) fn run(arguments: &Arguments, output: &Output) -> Result<ExitCode> {
    let request = Request::parse(&arguments.source)?;
    let sources = Sources::of_user()?.refresh(arguments.refresh);
    let progress = output.progress();
    let tree = sources.get(&request, &progress)?;
    let mut submodules = Vec::new();
    for path in &arguments.submodules {
        submodules.push((path, sources.submodule_of(&tree, path, &progress)?));
    }
    if output.json() {
        output.data_json(&Report {
            schema: 1,
            path: tree.path.to_string_lossy().into_owned(),
            version: tree.version()?.tag,
            nar: tree.nar()?,
            epoch: tree.epoch,
            submodules: submodules
                .into_iter()
                .map(|(name, path)| (name.clone(), path.to_string_lossy().into_owned()))
                .collect(),
            origin: tree.origin,
        })?;
    } else {
        let paths = std::iter::once(tree.path).chain(submodules.into_iter().map(|(_, path)| path));
        for path in paths {
            output.data_bytes(path.as_os_str().as_bytes())?;
            output.data("\n")?;
        }
    }
    Ok(ExitCode::SUCCESS)
}
