//! `.mpy` versions as people name them, and the release of MicroPython that is best for each.

use std::fmt;
use std::fs;
use std::path::Path;
use std::str::FromStr;

use crate::error::{Error, Result};
use crate::pins::MicroPython;
use crate::source::defined;

/// A `.mpy` version: of the format, and from 6.1 on of the native interface. `6` and `6.0` are the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct MpyVersion {
    /// The version of the format (`MPY_VERSION` in `py/persistentcode.h`).
    pub major: u8,
    /// The version of the native interface (`MPY_SUB_VERSION`, from v1.20 on).
    pub sub: u8,
}

impl MpyVersion {
    /// Those that native modules can be built for, newest first.
    pub const ALL: [MpyVersion; 5] = [
        MpyVersion { major: 6, sub: 3 },
        MpyVersion { major: 6, sub: 2 },
        MpyVersion { major: 6, sub: 1 },
        MpyVersion { major: 6, sub: 0 },
        MpyVersion { major: 5, sub: 0 },
    ];

    /// The version that a MicroPython source tree, v1.18 or later, loads and makes.
    ///
    /// # Errors
    /// When it does not say so.
    pub fn of_tree(tree: &Path) -> Result<MpyVersion> {
        let path = tree.join("py/persistentcode.h");
        let bytes = fs::read(&path).map_err(|error| Error::io("read", &path, &error))?;
        let header = String::from_utf8_lossy(&bytes);
        let number = |name: &str| {
            let number = defined(&header, name)?;
            Some(
                u8::try_from(number)
                    .map_err(|_| Error::input(format!("{name} is {number} in {}", path.display()))),
            )
        };
        let major = number("MPY_VERSION").unwrap_or_else(|| {
            Err(Error::input(format!("{} does not define MPY_VERSION", path.display()))
                .hint("MicroPython v1.18 and later are supported"))
        })?;
        let sub = number("MPY_SUB_VERSION").unwrap_or(Ok(0))?;
        Ok(MpyVersion { major, sub })
    }

    /// The newest pinned release that writes this version.
    ///
    /// # Errors
    /// When no pinned release does.
    pub fn recommended_release(self, pins: &MicroPython) -> Result<String> {
        let names = pins.names();
        let found = names.iter().rev().find(|name| {
            let release = pins.releases.get(**name);
            release.is_some_and(|release| release.mpy_version.parse() == Ok(self))
        });
        found.map(|name| (*name).to_owned()).ok_or_else(|| {
            Error::input(format!("no release with .mpy version {self} is pinned"))
                .hint("name a MicroPython with --micropython instead")
        })
    }
}

impl fmt::Display for MpyVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.sub {
            0 => write!(f, "{}", self.major),
            sub => write!(f, "{}.{sub}", self.major),
        }
    }
}

impl FromStr for MpyVersion {
    type Err = ();

    fn from_str(text: &str) -> std::result::Result<Self, ()> {
        let (major, sub) = text.split_once('.').unwrap_or((text, "0"));
        let number = |text: &str| text.parse::<u8>().map_err(|_| ());
        Ok(MpyVersion { major: number(major)?, sub: number(sub)? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_version_has_its_newest_release() {
        let pins = crate::pins::micropython().unwrap();
        let of =
            |text: &str| text.parse::<MpyVersion>().unwrap().recommended_release(&pins).unwrap();
        for (version, release) in [
            ("6.3", "v1.28.0"),
            ("6.2", "v1.22.2"),
            ("6.1", "v1.21.0"),
            ("6.0", "v1.19.1"),
            ("6", "v1.19.1"),
            ("5", "v1.18"),
        ] {
            assert_eq!(of(version), release, "{version}");
        }
        assert!(MpyVersion { major: 9, sub: 0 }.recommended_release(&pins).is_err());
    }

    #[test]
    fn versions_are_written_as_upstream_writes_them() {
        for (text, shown) in [("6.3", "6.3"), ("6.0", "6"), ("6", "6"), ("5", "5")] {
            assert_eq!(text.parse::<MpyVersion>().map(|it| it.to_string()).as_deref(), Ok(shown));
        }
        for text in ["", "6.", ".3", "6.3.1", "six"] {
            assert!(text.parse::<MpyVersion>().is_err(), "{text}");
        }
    }
}
