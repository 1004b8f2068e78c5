//! The names of MicroPython's releases.

use std::fmt;

/// The number of a release, read from a name such as `v1.28.0`, `1.28.0` or `v1.19`.
///
/// A part that is left out counts as zero, so `1.19` and `v1.19.0` are the same release.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct ReleaseName {
    /// The first number.
    pub major: u32,
    /// The second number.
    pub minor: u32,
    /// The third number.
    pub micro: u32,
}

impl ReleaseName {
    /// Reads a name; `None` when it is not the name of a release.
    pub fn parse(name: &str) -> Option<Self> {
        let mut parts = name.strip_prefix('v').unwrap_or(name).split('.').map(|part| {
            let digits = !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
            digits.then(|| part.parse::<u32>().ok()).flatten()
        });
        let (major, minor) = (parts.next()??, parts.next()??);
        let micro = parts.next().unwrap_or(Some(0))?;
        parts.next().is_none().then_some(ReleaseName { major, minor, micro })
    }

    /// How far two releases lie apart, for finding the nearest.
    pub fn distance(self, other: Self) -> (u32, u32, u32) {
        (
            self.major.abs_diff(other.major),
            self.minor.abs_diff(other.minor),
            self.micro.abs_diff(other.micro),
        )
    }
}

impl fmt::Display for ReleaseName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "v{}.{}.{}", self.major, self.minor, self.micro)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_as_numbers() {
        let parse = |name| ReleaseName::parse(name).map(|found| found.to_string());
        assert_eq!(parse("v1.28.0").as_deref(), Some("v1.28.0"));
        assert_eq!(parse("1.19").as_deref(), Some("v1.19.0"));
        for name in
            ["", "v", "1", "v1", "1.2.3.4", "1..2", "1.2.", "v1.+2", "main", "1.28.0-preview"]
        {
            assert_eq!(parse(name), None, "{name}");
        }
        assert!(ReleaseName::parse("v1.9") < ReleaseName::parse("v1.10"));
    }
}
