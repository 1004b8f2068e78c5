//! Frozen manifests: one file that includes the user's, and what upstream's own tool makes of it.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use crate::error::{Error, Result};
use crate::upstream::make::Make;

/// Asks MicroPython's `tools/manifestfile.py` what a manifest freezes.
pub(super) const SCRIPT: &str = include_str!("manifest_facts.py");

/// The name of [`SCRIPT`] in the workspace's `tools/`.
pub(super) const SCRIPT_NAME: &str = "manifest_facts.py";

/// What a manifest freezes, or why it cannot.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
pub(super) struct Facts {
    /// The frozen modules' paths on the device, sorted.
    pub modules: Vec<String>,
    /// What is wrong with the manifest, in upstream's words.
    pub error: Option<String>,
    /// The package that a `require` did not find.
    pub missing_package: Option<String>,
}

/// Checks that manifests exist before anything is copied or compiled.
///
/// # Errors
/// At the first that is not there or has a name upstream does not take.
pub(super) fn check(manifests: &[PathBuf]) -> Result<()> {
    for manifest in manifests {
        if !manifest.is_file() {
            return Err(Error::input(format!(
                "the manifest {} does not exist",
                manifest.display()
            ))
            .hint("give the path of a manifest file, usually named manifest.py"));
        }
        if manifest.extension().is_none_or(|extension| extension != "py") {
            return Err(Error::input(format!(
                "the manifest {} does not end in .py, as MicroPython wants it",
                manifest.display()
            ))
            .hint("rename it to manifest.py"));
        }
    }
    Ok(())
}

/// Writes the manifest that includes all the user's, in their order.
///
/// # Errors
/// When it cannot be written.
pub(super) fn write(manifests: &[PathBuf], to: &Path) -> Result<()> {
    let mut text = String::new();
    for manifest in manifests {
        let absolute = std::path::absolute(manifest)
            .map_err(|error| Error::io("resolve", manifest, &error))?;
        text.push_str(&format!("include({})\n", python_literal(absolute.as_os_str())));
    }
    fs::write(to, text).map_err(|error| Error::io("write", to, &error))
}

/// A string literal of Python for a path of any bytes: bytes that are not UTF-8 become the lone
/// surrogates by which Python names them (PEP 383).
fn python_literal(path: &OsStr) -> String {
    let mut literal = String::from("'");
    for chunk in path.as_bytes().utf8_chunks() {
        for c in chunk.valid().chars() {
            match c {
                '\\' | '\'' => literal.extend(['\\', c]),
                c if c.is_control() => literal.push_str(&format!("\\u{:04x}", u32::from(c))),
                c => literal.push(c),
            }
        }
        for byte in chunk.invalid() {
            literal.push_str(&format!("\\udc{byte:02x}"));
        }
    }
    literal.push('\'');
    literal
}

/// Evaluates a build's manifest exactly as the makefile would. `None` when the build freezes nothing.
///
/// # Errors
/// When make or Python cannot be run.
pub(super) fn facts_of_make(make: &Make) -> Result<Option<Facts>> {
    // Releases before v1.22 spell the variables out where they use them.
    let rule = format!(
        "mpb-manifest: ; @$(if $(FROZEN_MANIFEST),$(PYTHON) ../../../tools/{SCRIPT_NAME} \
         $(if $(MANIFEST_VARIABLES),$(MANIFEST_VARIABLES),\
         -v \"MPY_DIR=$(TOP)\" -v \"MPY_LIB_DIR=$(MPY_LIB_DIR)\" -v \"PORT_DIR=$(CURDIR)\" \
         -v \"BOARD_DIR=$(BOARD_DIR)\") $(FROZEN_MANIFEST),:)"
    );
    parse(&make.ask(&rule, "mpb-manifest")?)
}

/// Reads what [`SCRIPT`] printed, perhaps after other talk.
///
/// # Errors
/// When it is not what the script prints.
pub(super) fn parse(output: &str) -> Result<Option<Facts>> {
    let Some(json) = output.lines().rev().find(|line| line.starts_with('{')) else {
        return Ok(None);
    };
    serde_json::from_str(json)
        .map(Some)
        .map_err(|error| Error::internal(format!("{SCRIPT_NAME} did not answer in JSON: {error}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_path_becomes_a_literal_that_python_reads_back() {
        if std::process::Command::new("python3").arg("--version").output().is_err() {
            assert!(std::env::var_os("MPB_REQUIRE_TOOLS").is_none(), "python3 is not installed");
            return;
        }
        let path = OsStr::from_bytes(b"/a b/it's \\ \xc3\xa9 \xff\n/x.py");
        let script = format!(
            "import os, sys; sys.stdout.buffer.write(os.fsencode({}))",
            python_literal(path)
        );
        let output = std::process::Command::new("python3")
            .args(["-X", "utf8", "-c", &script])
            .output()
            .unwrap();
        assert_eq!(output.stdout, path.as_bytes(), "{}", String::from_utf8_lossy(&output.stderr));
    }

    #[test]
    fn a_missing_manifest_is_refused_before_anything_else() {
        let error = check(&[PathBuf::from("/nowhere/manifest.py")]).unwrap_err();
        assert_eq!(error.message(), "the manifest /nowhere/manifest.py does not exist");
    }
}
