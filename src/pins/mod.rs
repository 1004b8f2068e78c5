//! What the sources are: `nix/pins/*.json`, compiled into the program and read by Nix alike.

mod components;
mod micropython;
mod sri;
mod toolchains;
mod version;

use std::path::PathBuf;

use serde::de::DeserializeOwned;

use crate::error::{Error, Result};

pub use components::{
    ComponentPin, ComponentSource, Components, Copy, GitTree, ManifestChange, ReleaseLocks,
    Submodule, TargetLock, Upload,
};
pub use micropython::{
    DebianPins, DebianTarball, DefaultSuites, EspIdf, MicroPython, Release, Repository,
};
pub use sri::{Hasher, Sha256Hash};
pub use toolchains::{Archive, Choice, Toolchain, ToolchainVersion, Toolchains};
pub use version::ReleaseName;

/// Names a directory whose pin files are used instead of those compiled in. A file that is not
/// there is taken from the program.
pub const VARIABLE: &str = "MICROPYTHON_BUILDER_PINS";

/// The schema of the pin files this program reads.
const SCHEMA: u32 = 1;

/// The pins of MicroPython: `micropython.json` of the directory that [`VARIABLE`] names, or the one
/// compiled in.
///
/// # Errors
/// When the directory is missing, or the file is not what this program reads.
pub fn micropython() -> Result<MicroPython> {
    let directory = std::env::var_os(VARIABLE).filter(|value| !value.is_empty()).map(PathBuf::from);
    load(directory, "micropython.json", include_str!("../../nix/pins/micropython.json"))
}

/// The pins of ESP-IDF's components: `components.json`, likewise.
///
/// # Errors
/// As [`micropython()`].
pub fn components() -> Result<Components> {
    let directory = std::env::var_os(VARIABLE).filter(|value| !value.is_empty()).map(PathBuf::from);
    load(directory, "components.json", include_str!("../../nix/pins/components.json"))
}

/// The pins of toolchains: `toolchains.json`, likewise.
///
/// # Errors
/// As [`micropython()`].
pub fn toolchains() -> Result<Toolchains> {
    let directory = std::env::var_os(VARIABLE).filter(|value| !value.is_empty()).map(PathBuf::from);
    load(directory, "toolchains.json", include_str!("../../nix/pins/toolchains.json"))
}

fn load<T: DeserializeOwned>(directory: Option<PathBuf>, name: &str, built_in: &str) -> Result<T> {
    let Some(directory) = directory else {
        return parse(built_in, name);
    };
    if !directory.is_dir() {
        return Err(Error::input(format!(
            "{VARIABLE} names {}, which is not a directory",
            directory.display()
        ))
        .hint(format!("put the pin files there ({name}), or unset {VARIABLE}")));
    }
    let path = directory.join(name);
    match std::fs::read_to_string(&path) {
        Ok(text) => parse(&text, &path.display().to_string()),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => parse(built_in, name),
        Err(error) => Err(Error::io("read", &path, &error)),
    }
}

fn parse<T: DeserializeOwned>(text: &str, place: &str) -> Result<T> {
    #[derive(serde::Deserialize)]
    struct Header {
        schema: u32,
    }

    let wrong = |error: serde_json::Error| {
        Error::input(format!("{place} is not a file of pins: {error}"))
            .hint("docs/sources.md describes what a file of pins holds")
    };
    // The schema first: of a file made for another one, its number says more than a missing field.
    let header: Header = serde_json::from_str(text).map_err(wrong)?;
    if header.schema != SCHEMA {
        return Err(Error::input(format!(
            "{place} has schema {}, this program reads schema {SCHEMA}",
            header.schema
        ))
        .hint("use pins and program of the same release"));
    }
    serde_json::from_str(text).map_err(wrong)
}

#[cfg(test)]
mod tests {
    use super::*;

    const BUILT_IN: &str = include_str!("../../nix/pins/micropython.json");

    fn load_from(directory: &std::path::Path) -> Result<MicroPython> {
        load(Some(directory.to_owned()), "micropython.json", BUILT_IN)
    }

    #[test]
    fn a_directory_replaces_what_is_compiled_in() {
        let directory = tempfile::tempdir().unwrap();
        assert!(load_from(directory.path()).unwrap().release("v1.28.0").is_ok());
        let text = BUILT_IN.replace("\"v1.28.0\"", "\"v1.28.1\"");
        std::fs::write(directory.path().join("micropython.json"), text).unwrap();
        let pins = load_from(directory.path()).unwrap();
        assert!(pins.release("v1.28.1").is_ok());
        assert!(pins.release("v1.28.0").is_err());
    }

    #[test]
    fn what_is_no_pin_file_is_refused() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("micropython.json");
        for (text, expected) in [
            ("{}", "missing field `schema`"),
            ("{\"schema\": 2}", "has schema 2, this program reads schema 1"),
            ("{\"schema\": 1}", "missing field"),
            ("nonsense", "is not a file of pins"),
        ] {
            std::fs::write(&file, text).unwrap();
            let error = load_from(directory.path()).unwrap_err();
            assert!(error.message().contains(expected), "{error}");
        }
        let error = load_from(&directory.path().join("none")).unwrap_err();
        assert!(error.message().contains("not a directory"), "{error}");
    }
}
