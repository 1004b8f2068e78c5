//! Which MicroPython a source tree is.

use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use crate::error::{Error, Result};
use crate::process;

/// How long git gets. Looking for changes reads the whole checkout.
const GIT_LIMIT: Duration = Duration::from_secs(60);

/// What every MicroPython tree has.
const LANDMARKS: [&str; 3] = ["py/mpconfig.h", "mpy-cross", "ports"];

/// The version of a MicroPython tree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Version {
    /// `MICROPY_VERSION_MAJOR` of `py/mpconfig.h`.
    pub major: u32,
    /// `MICROPY_VERSION_MINOR`.
    pub minor: u32,
    /// `MICROPY_VERSION_MICRO`.
    pub micro: u32,
    /// `MICROPY_VERSION_PRERELEASE`, which trees before v1.22 do not have.
    pub prerelease: bool,
    /// What upstream's `py/makeversionhdr.py` makes of the tree: `v1.28.0`, `v1.29.0-preview`, or in
    /// a git checkout `v1.29.0-preview.12.g0123456789`. Firmware shows it, and takes it from the
    /// environment variable `MICROPY_GIT_TAG` when that is set.
    pub tag: String,
    /// The abbreviated commit, in a git checkout: `MICROPY_GIT_HASH`.
    pub commit: Option<String>,
    /// When that commit was made, in seconds since 1970.
    pub epoch: Option<u64>,
}

impl Version {
    /// What `py/mpconfig.h` alone says: `1.28.0` or `1.29.0-preview`.
    pub fn number(&self) -> String {
        let Version { major, minor, micro, .. } = self;
        let suffix = if self.prerelease { "-preview" } else { "" };
        // Up to v1.19, a release's name did not end in zero.
        let short = *micro == 0 && (*major, *minor) < (1, 20);
        let last = if short { String::new() } else { format!(".{micro}") };
        format!("{major}.{minor}{last}{suffix}")
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.tag)
    }
}

/// Reads the version of a MicroPython tree, v1.18 or later, as upstream's `py/makeversionhdr.py`
/// does: from git in a checkout, else from `py/mpconfig.h`.
///
/// # Errors
/// When the directory is not a MicroPython tree; what is missing is named.
pub fn version(tree: &Path) -> Result<Version> {
    check(tree)?;
    let (mut version, semantic) = declared(tree)?;
    // Looked for in this very directory: a tarball unpacked inside another project's checkout
    // has nothing to do with that project's tags.
    if tree.join(".git").exists()
        && let Some((tag, commit)) = describe(tree, semantic)?
    {
        version.tag = tag;
        version.commit = Some(commit);
        let date = git(tree, &["log", "-1", "--format=%ct"])?;
        version.epoch = date.and_then(|date| date.parse().ok());
    }
    Ok(version)
}

/// The major and minor number of a MicroPython tree, by its `py/mpconfig.h` alone.
///
/// # Errors
/// As [`version`].
pub fn number(tree: &Path) -> Result<(u32, u32)> {
    check(tree)?;
    let (version, _) = declared(tree)?;
    Ok((version.major, version.minor))
}

/// What `py/mpconfig.h` says, and whether it is of a release whose versions are semantic ones.
fn declared(tree: &Path) -> Result<(Version, bool)> {
    let header = tree.join("py/mpconfig.h");
    let bytes = fs::read(&header).map_err(|error| Error::io("read", &header, &error))?;
    let text = String::from_utf8_lossy(&bytes);
    let number = |name: &str| {
        defined(&text, name).ok_or_else(|| {
            Error::input(format!("{} does not define {name}", header.display()))
                .hint("MicroPython v1.18 and later are supported")
        })
    };
    let prerelease = defined(&text, "MICROPY_VERSION_PRERELEASE");
    let mut version = Version {
        major: number("MICROPY_VERSION_MAJOR")?,
        minor: number("MICROPY_VERSION_MINOR")?,
        micro: number("MICROPY_VERSION_MICRO")?,
        prerelease: prerelease == Some(1),
        tag: String::new(),
        commit: None,
        epoch: None,
    };
    version.tag = format!("v{}", version.number());
    Ok((version, prerelease.is_some()))
}

/// Makes sure that a directory is a MicroPython tree.
///
/// # Errors
/// When it is not; what is missing is named.
pub fn check(tree: &Path) -> Result<()> {
    let missing: Vec<&str> =
        LANDMARKS.into_iter().filter(|landmark| !tree.join(landmark).exists()).collect();
    if missing.is_empty() {
        return Ok(());
    }
    let mut error = Error::input(format!(
        "{} is not a MicroPython source tree: {} missing",
        tree.display(),
        match missing.as_slice() {
            [one] => format!("{one} is"),
            several => format!("{} are", several.join(", ")),
        }
    ));
    if let Some(other) = nearby(tree) {
        error = error.hint(format!("{} is one", other.display()));
    }
    Err(error.hint(
        "give the directory that holds py/, ports/ and mpy-cross/; \
         `micropython-builder source v1.28.0` gets one",
    ))
}

fn is_tree(directory: &Path) -> bool {
    LANDMARKS.iter().all(|landmark| directory.join(landmark).exists())
}

/// A tree that the directory lies in, or the only one just inside it (an unpacked archive).
fn nearby(directory: &Path) -> Option<PathBuf> {
    let absolute = std::path::absolute(directory).ok()?;
    if let Some(tree) = absolute.ancestors().skip(1).find(|above| is_tree(above)) {
        return Some(tree.to_path_buf());
    }
    let mut inside = fs::read_dir(directory)
        .ok()?
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| is_tree(path));
    match (inside.next(), inside.next()) {
        (Some(tree), None) => Some(tree),
        _ => None,
    }
}

/// The number that `#define NAME NUMBER` gives.
pub(crate) fn defined(text: &str, name: &str) -> Option<u32> {
    text.lines().find_map(|line| {
        let rest = line.trim_start().strip_prefix('#')?.trim_start().strip_prefix("define")?;
        let mut words = rest.split_whitespace();
        if words.next()? != name {
            return None;
        }
        words.next()?.trim_matches(['(', ')']).parse().ok()
    })
}

/// What git says, in the form of the tree's own `py/makeversionhdr.py`. `None` when git is not
/// installed or cannot tell (a damaged checkout, or one of another user), as upstream takes it.
fn describe(tree: &Path, semantic: bool) -> Result<Option<(String, String)>> {
    let script = fs::read(tree.join("py/makeversionhdr.py")).unwrap_or_default();
    let long = String::from_utf8_lossy(&script).contains("--abbrev=10");
    let mut arguments = vec!["describe", "--tags", "--dirty", "--always", "--match", "v[1-9].*"];
    if long {
        arguments.push("--abbrev=10");
    }
    let Some(tag) = git(tree, &arguments)? else { return Ok(None) };
    let Some(commit) = git(tree, &["rev-parse", "--short", "HEAD"])? else { return Ok(None) };
    Ok(Some((if semantic { dotted(&tag) } else { tag }, commit)))
}

/// `v1.29.0-preview-12-g0123456-dirty` with dots after the first hyphen, as v1.22 and later have it.
fn dotted(tag: &str) -> String {
    match tag.split_once('-') {
        Some((release, rest)) => format!("{release}-{}", rest.replace('-', ".")),
        None => tag.to_owned(),
    }
}

fn git(tree: &Path, arguments: &[&str]) -> Result<Option<String>> {
    let mut command = Command::new("git");
    command.arg("-C").arg(tree).args(arguments);
    // Without this, looking at a checkout would write to its index.
    command.env("GIT_OPTIONAL_LOCKS", "0");
    // A hook or alias that runs us may point git at another repository.
    for variable in ["GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE"] {
        command.env_remove(variable);
    }
    match process::output(&mut command, GIT_LIMIT) {
        Ok(output) if output.status.success() => Ok(Some(output.stdout.trim().to_owned())),
        Ok(_) => Ok(None),
        Err(error) if error.kind() == crate::error::Kind::Interrupted => Err(error),
        Err(_) => Ok(None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn definitions_are_found_however_they_are_written() {
        let text = "#define A 1\n  # define  B  (22) // note\n#define AB 3\n#define C x\n";
        assert_eq!(defined(text, "A"), Some(1));
        assert_eq!(defined(text, "B"), Some(22));
        assert_eq!(defined(text, "C"), None);
        assert_eq!(defined(text, "D"), None);
    }

    #[test]
    fn tags_become_semantic_versions() {
        assert_eq!(dotted("v1.28.0"), "v1.28.0");
        assert_eq!(dotted("v1.29.0-preview-12-gabc-dirty"), "v1.29.0-preview.12.gabc.dirty");
    }

    #[test]
    fn what_is_missing_is_named() {
        let directory = tempfile::tempdir().unwrap();
        fs::create_dir_all(directory.path().join("inner/ports")).unwrap();
        fs::create_dir_all(directory.path().join("inner/py")).unwrap();
        fs::create_dir_all(directory.path().join("inner/mpy-cross")).unwrap();
        let error = version(&directory.path().join("inner")).unwrap_err();
        assert!(error.message().ends_with("py/mpconfig.h is missing"), "{error}");
        fs::write(directory.path().join("inner/py/mpconfig.h"), "").unwrap();
        let error = version(&directory.path().join("inner")).unwrap_err();
        assert!(error.message().ends_with("does not define MICROPY_VERSION_MAJOR"), "{error}");
        let error = version(directory.path()).unwrap_err();
        assert!(error.message().ends_with("mpy-cross, ports are missing"), "{error}");
        assert!(error.hints()[0].ends_with("inner is one"), "{:?}", error.hints());
    }
}
