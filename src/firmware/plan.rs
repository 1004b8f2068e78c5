//! What is to be built, and how upstream builds it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::record::Role;
use super::{qemu, unix};
use crate::error::{Error, Result};

/// Gets a submodule's tree by its path (`lib/mbedtls`), for trees whose submodules are pinned.
pub type FetchSubmodule<'a> = dyn Fn(&str) -> Result<PathBuf> + 'a;

/// A MicroPython source tree, with what is known about where it comes from.
#[derive(Clone, Copy)]
pub struct Source<'a> {
    /// The tree. It is only read.
    pub path: &'a Path,
    /// The version as `git describe` writes it: `v1.25.0`.
    pub version: &'a str,
    /// The commit, where it is known.
    pub commit: Option<&'a str>,
    /// The commit's date in seconds since 1970, where it is known.
    pub epoch: Option<u64>,
    /// Brings submodules that the tree lacks; `None` where nothing says which belong to it.
    pub fetch_submodule: Option<&'a FetchSubmodule<'a>>,
}

/// A board of a tree, in the tree's own names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// The port: `qemu`, `unix`, …
    pub port: String,
    /// The board, or the port's name where it has none.
    pub board: String,
    /// The variant to build.
    pub variant: Option<String>,
    /// The microcontroller, as upstream names it.
    pub mcu: Option<String>,
}

/// Everything that decides the bytes of a firmware, and how long building it may take.
#[derive(Clone)]
pub struct Request<'a> {
    /// The MicroPython to build.
    pub source: Source<'a>,
    /// The board to build it for.
    pub target: Target,
    /// micropython-lib, when not the tree's own.
    pub micropython_lib: Option<PathBuf>,
    /// Submodules by their path in the tree (`lib/mbedtls`), for those that the tree lacks.
    pub submodules: BTreeMap<String, PathBuf>,
    /// Frozen manifests. Together they take the place of the board's own; empty keeps that one.
    pub manifests: Vec<PathBuf>,
    /// User C modules: a module's directory, a directory of modules, or a make or cmake fragment.
    pub user_c_modules: Vec<PathBuf>,
    /// Give the `static const` objects of user C modules sections of their own, see [`crate::rewrite`].
    pub static_const: bool,
    /// Patches to MicroPython, applied in order with `patch -p1`.
    pub patches: Vec<PathBuf>,
    /// Variables for the upstream build, each `NAME=VALUE`.
    pub make_arguments: Vec<String>,
    /// An mpy-cross to use instead of building one.
    pub mpy_cross: Option<PathBuf>,
    /// What only the esp32 port takes.
    pub esp32: Esp32,
    /// Where the firmware directory is to be.
    pub out: PathBuf,
    /// Where ELF and map go when they are not what is run, instead of into the firmware directory.
    pub symbols: Option<PathBuf>,
    /// Save the finished build to this file, for others to begin with.
    pub save_build: Option<PathBuf>,
    /// Begin with the build that was saved to this file.
    pub from_build: Option<PathBuf>,
    /// How many compilers may run at once.
    pub jobs: usize,
    /// How long the upstream build may take in all.
    pub time_limit: Duration,
    /// Keep the build directory beside the output.
    pub keep_build: bool,
}

/// What the esp32 port takes besides.
#[derive(Debug, Clone, Default)]
pub struct Esp32 {
    /// ESP-IDF's tree, with its submodules.
    pub idf: Option<PathBuf>,
    /// A directory of ESP-IDF components as `vendor` makes it: `NAMESPACE__NAME/…`.
    pub components: Option<PathBuf>,
    /// The Python that has ESP-IDF's packages.
    pub python: Option<PathBuf>,
    /// A partition table in CSV form, in place of the board's.
    pub partition_table: Option<PathBuf>,
    /// The lock of ESP-IDF's components, in place of the tree's own.
    pub lock: Option<PathBuf>,
    /// Settings in the form of `sdkconfig`, after the board's; later ones win.
    pub sdkconfig: Vec<PathBuf>,
    /// Place frozen modules behind everything else, so that a change in one of them moves nothing.
    pub frozen_last: bool,
}

/// How a port whose build is a makefile is built: what its family knows that the makefile does not say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Recipe {
    /// The variables that select board and variant, and what this machine's compiler needs.
    pub variables: Vec<String>,
    /// Flags for every compilation, besides upstream's.
    pub compiler_flags: Vec<String>,
    /// What the build leaves behind, by name in the build directory.
    pub products: Vec<(Role, &'static str)>,
    /// Whether an emulator runs it, so that the makefile's emulator settings are recorded.
    pub emulated: bool,
}

/// The ways in which ports are built.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Way {
    /// With the port's makefile.
    Make(Recipe),
    /// With CMake, Ninja and ESP-IDF.
    Esp32,
}

/// The way a target is built.
///
/// # Errors
/// When this version cannot build the port.
pub(super) fn way(request: &Request<'_>) -> Result<Way> {
    match request.target.port.as_str() {
        "esp32" => Ok(Way::Esp32),
        "qemu" => qemu::recipe(request).map(Way::Make),
        "unix" => Ok(Way::Make(unix::recipe(request))),
        other => Err(Error::input(format!(
            "building for port {other} is not supported yet, this version builds esp32, qemu and unix"
        ))
        .hint("`micropython-builder boards --port qemu` lists the emulated boards")),
    }
}

/// Whether the user set a make variable.
pub(super) fn sets(request: &Request<'_>, name: &str) -> bool {
    value(request, name).is_some()
}

/// The value that the user gives a make variable; the last one counts.
pub(super) fn value<'a>(request: &'a Request<'_>, name: &str) -> Option<&'a str> {
    let pairs = request.make_arguments.iter().rev().filter_map(|it| it.split_once('='));
    pairs.filter(|(found, _)| *found == name).map(|(_, value)| value).next()
}
