//! `natmod.json`: which native modules a run built, for everything that uses them afterwards.
//!
//! The schema only grows: fields are added, never changed or removed. Nothing in it depends on when or
//! where the modules were built.

use serde::Serialize;

use crate::rewrite::ObjectRecord;

/// The file name of a record inside a directory of native modules.
pub const FILE_NAME: &str = "natmod.json";

/// The schema number this version writes.
pub const SCHEMA: u32 = 1;

/// What a run built. Paths are relative to the directory that holds the record.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Record {
    /// Always [`SCHEMA`].
    pub schema: u32,
    /// What linked the files: `own`, this program, or `upstream`, MicroPython's `tools/mpy_ld.py`.
    pub linker: String,
    /// The objects that the static-const rewrite gave a section, for the files that say so.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub static_const: Vec<ObjectRecord>,
    /// The files.
    pub files: Vec<File>,
    /// What was asked for and does not exist upstream.
    pub not_supported: Vec<NotSupported>,
    /// What was asked for and could not be built.
    pub failed: Vec<Failed>,
}

/// One cell of the matrix.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Cell {
    /// The architecture, as upstream names it.
    pub arch: String,
    /// The `.mpy` version: `6.3`.
    pub mpy_version: String,
    /// The MicroPython it is built for, as `git describe` names it: `v1.28.0`.
    pub micropython: String,
    /// That MicroPython's commit, where it is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub commit: Option<String>,
}

/// One native module.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct File {
    /// The file's name.
    pub path: String,
    /// The module's name, from the Makefile's `MOD`.
    pub module: String,
    /// What it is for.
    #[serde(flatten)]
    pub cell: Cell,
    /// The compiler, in its own words (the first line of `--version`).
    pub toolchain: String,
    /// Whether it was compiled from sources that the static-const rewrite changed.
    #[serde(skip_serializing_if = "is_false")]
    pub static_const: bool,
    /// Its size in bytes.
    pub size: u64,
    /// The SHA-256 of its contents, in lower-case hex.
    pub sha256: String,
}

/// A cell of the matrix that does not exist upstream.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct NotSupported {
    /// What was asked for.
    #[serde(flatten)]
    pub cell: Cell,
    /// Why it does not exist.
    pub reason: String,
}

/// A cell of the matrix that could not be built.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Failed {
    /// What was asked for.
    #[serde(flatten)]
    pub cell: Cell,
    /// What went wrong.
    pub error: String,
    /// What mends it.
    pub hints: Vec<String>,
}

fn is_false(value: &bool) -> bool {
    !value
}
