//! Versions of components and the specifications of which versions will do.
//!
//! The grammar is the component manager's (`idf_component_tools/semver/base.py`): semantic versions
//! with a revision, `1.2.3~4-rc.1+build`, and specifications of clauses joined by commas, `>=1.0,<2`.

use std::cmp::Ordering;
use std::fmt;
use std::str::FromStr;

use crate::error::{Error, Result};

/// `major.minor.patch[~revision][-prerelease][+build]`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Version {
    major: u64,
    minor: u64,
    patch: u64,
    revision: u64,
    prerelease: Vec<String>,
    build: Vec<String>,
}

impl Version {
    fn plain(major: u64, minor: u64, patch: u64) -> Version {
        let (prerelease, build) = (Vec::new(), Vec::new());
        Version { major, minor, patch, revision: 0, prerelease, build }
    }

    /// Whether it comes before a release: `1.0.0-rc.1`.
    pub fn is_prerelease(&self) -> bool {
        !self.prerelease.is_empty()
    }

    fn same_release(&self, other: &Version) -> bool {
        (self.major, self.minor, self.patch) == (other.major, other.minor, other.patch)
    }

    /// The order of precedence, in which builds do not count.
    fn precedence(&self, other: &Version) -> Ordering {
        let numbers = |it: &Version| (it.major, it.minor, it.patch, it.revision);
        numbers(self).cmp(&numbers(other)).then_with(|| {
            match (self.prerelease.is_empty(), other.prerelease.is_empty()) {
                (true, true) => Ordering::Equal,
                (true, false) => Ordering::Greater,
                (false, true) => Ordering::Less,
                (false, false) => identifiers(&self.prerelease, &other.prerelease),
            }
        })
    }
}

fn identifiers(left: &[String], right: &[String]) -> Ordering {
    let number = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    for (one, other) in left.iter().zip(right) {
        let order = match (number(one), number(other)) {
            // Without leading zeros, the longer number is the larger.
            (true, true) => (one.len(), one).cmp(&(other.len(), other)),
            (true, false) => Ordering::Less,
            (false, true) => Ordering::Greater,
            (false, false) => one.cmp(other),
        };
        if order != Ordering::Equal {
            return order;
        }
    }
    left.len().cmp(&right.len())
}

impl Ord for Version {
    fn cmp(&self, other: &Self) -> Ordering {
        self.precedence(other).then_with(|| self.build.cmp(&other.build))
    }
}

impl PartialOrd for Version {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.major, self.minor, self.patch)?;
        if self.revision > 0 {
            write!(f, "~{}", self.revision)?;
        }
        if !self.prerelease.is_empty() {
            write!(f, "-{}", self.prerelease.join("."))?;
        }
        if !self.build.is_empty() {
            write!(f, "+{}", self.build.join("."))?;
        }
        Ok(())
    }
}

impl FromStr for Version {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let wrong =
            || Error::input(format!("{text:?} is not a version, one like 1.2.3 was expected"));
        let parts = Parts::split(text);
        if parts.numbers.len() != 3 {
            return Err(wrong());
        }
        if parts.prerelease == Some("") || parts.build == Some("") {
            return Err(wrong());
        }
        parts.version().ok_or_else(wrong)
    }
}

/// A version or the version of a clause, taken apart.
struct Parts<'a> {
    numbers: Vec<&'a str>,
    revision: Option<&'a str>,
    prerelease: Option<&'a str>,
    build: Option<&'a str>,
}

impl<'a> Parts<'a> {
    fn split(text: &'a str) -> Parts<'a> {
        let (text, build) = match text.split_once('+') {
            Some((text, build)) => (text, Some(build)),
            None => (text, None),
        };
        let (text, prerelease) = match text.split_once('-') {
            Some((text, prerelease)) => (text, Some(prerelease)),
            None => (text, None),
        };
        let (text, revision) = match text.split_once('~') {
            Some((text, revision)) => (text, Some(revision)),
            None => (text, None),
        };
        Parts { numbers: text.split('.').collect(), revision, prerelease, build }
    }

    /// The number at a position. `None` when something else is there.
    fn number(&self, position: usize) -> Option<Number> {
        match self.numbers.get(position) {
            None | Some(&"*") => Some(Number::Any),
            Some(text) => decimal(text).map(Number::Is),
        }
    }

    fn version(&self) -> Option<Version> {
        let number = |position| match self.number(position) {
            Some(Number::Is(number)) => Some(number),
            _ => None,
        };
        let revision = match self.revision {
            Some(text) if text.bytes().all(|byte| byte.is_ascii_digit()) => text.parse().ok()?,
            Some(_) => return None,
            None => 0,
        };
        Some(Version {
            major: number(0)?,
            minor: number(1)?,
            patch: number(2)?,
            revision,
            prerelease: dotted(self.prerelease, false)?,
            build: dotted(self.build, true)?,
        })
    }
}

enum Number {
    Is(u64),
    /// `*`, or nothing.
    Any,
}

/// A number without leading zeros.
fn decimal(text: &str) -> Option<u64> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    (digits && (text == "0" || !text.starts_with('0'))).then(|| text.parse().ok())?
}

fn dotted(text: Option<&str>, leading_zeros: bool) -> Option<Vec<String>> {
    let Some(text) = text.filter(|text| !text.is_empty()) else { return Some(Vec::new()) };
    text.split('.')
        .map(|part| {
            let known = part.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
            let number = part.bytes().all(|byte| byte.is_ascii_digit());
            let zero = number && part.len() > 1 && part.starts_with('0') && !leading_zeros;
            (!part.is_empty() && known && !zero).then(|| part.to_owned())
        })
        .collect()
}

/// Which versions will do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Spec {
    text: String,
    /// Each of these has to hold.
    clauses: Vec<Clause>,
}

/// A clause of which one range has to hold.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Clause {
    All(Vec<Range>),
    Any(Vec<Range>),
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Range {
    operator: Operator,
    version: Version,
    /// `<1.2.3-`: versions before 1.2.3 itself count too.
    before_too: bool,
    /// `==1.2.3+`: versions with a build do not count.
    build_counts: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Operator {
    Equal,
    NotEqual,
    Less,
    LessEqual,
    Greater,
    GreaterEqual,
}

impl Spec {
    /// Every version.
    pub fn any() -> Spec {
        let version = Version::plain(0, 0, 0);
        Spec {
            text: "*".to_owned(),
            clauses: vec![Clause::All(vec![Range::new(Operator::GreaterEqual, version)])],
        }
    }

    /// Whether a version will do.
    pub fn matches(&self, version: &Version) -> bool {
        self.clauses.iter().all(|clause| match clause {
            Clause::All(ranges) => ranges.iter().all(|range| range.matches(version)),
            Clause::Any(ranges) => ranges.iter().any(|range| range.matches(version)),
        })
    }

    /// Whether a version before a release is named, which lets such versions in.
    pub fn names_prerelease(&self) -> bool {
        self.ranges().any(|range| range.version.is_prerelease())
    }

    /// Whether it names one version, which lets a withdrawn one in.
    pub fn is_exact(&self) -> bool {
        let mut ranges = self.ranges();
        ranges.next().is_some_and(|range| range.operator == Operator::Equal)
            && ranges.next().is_none()
    }

    fn ranges(&self) -> impl Iterator<Item = &Range> {
        self.clauses.iter().flat_map(|clause| match clause {
            Clause::All(ranges) | Clause::Any(ranges) => ranges,
        })
    }
}

impl fmt::Display for Spec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl FromStr for Spec {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let wrong = || {
            Error::input(format!(
                "{text:?} does not say which versions will do, something like ^1.2.0 or >=1.0,<2.0 \
                 was expected"
            ))
        };
        let clauses: Option<Vec<Clause>> = text.split(',').map(clause).collect();
        Ok(Spec { text: text.to_owned(), clauses: clauses.ok_or_else(wrong)? })
    }
}

fn clause(text: &str) -> Option<Clause> {
    // The longer operators first: `<=` begins as `<` does.
    const OPERATORS: [&str; 10] = ["<=", ">=", "==", "!=", "~=", "<", ">", "=", "^", "~"];
    let operator = OPERATORS.into_iter().find(|operator| text.starts_with(operator)).unwrap_or("");
    let parts = Parts::split(text.get(operator.len()..)?);
    if parts.numbers.len() > 3 {
        return None;
    }
    let (major, minor, patch) = (parts.number(0)?, parts.number(1)?, parts.number(2)?);
    let level = match (&minor, &patch) {
        (Number::Any, _) => Level::Major,
        (_, Number::Any) => Level::Minor,
        _ => Level::Patch,
    };
    let whole = level == Level::Patch && matches!(major, Number::Is(_));
    // A text that is there but empty, as the hyphen in `<1.2.3-`, has a meaning of its own.
    let given = |text: Option<&str>| text.is_some_and(|text| !text.is_empty());
    let revised = parts.revision.is_some_and(|text| !text.trim_start_matches('0').is_empty());
    if (!whole && (revised || given(parts.prerelease) || given(parts.build)))
        || parts.revision == Some("")
    {
        return None;
    }
    let equality = matches!(operator, "" | "=" | "==" | "!=");
    if parts.build.is_some() && !equality {
        return None;
    }
    let Number::Is(major) = major else {
        let everything = Range::new(Operator::GreaterEqual, Version::plain(0, 0, 0));
        return matches!(operator, "" | "=" | "==" | ">=").then(|| Clause::All(vec![everything]));
    };
    let target = match (level, minor) {
        (Level::Patch, _) => parts.version()?,
        (Level::Minor, Number::Is(minor)) => Version::plain(major, minor, 0),
        _ => Version::plain(major, 0, 0),
    };
    let marks = (parts.prerelease == Some(""), parts.build == Some(""));
    ranges(operator, target, level, marks)
}

/// How many numbers a clause gives.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Level {
    Major,
    Minor,
    Patch,
}

fn ranges(operator: &str, low: Version, level: Level, marks: (bool, bool)) -> Option<Clause> {
    use Operator::{Equal, Greater, GreaterEqual, Less, LessEqual, NotEqual};
    let next_major = Version::plain(low.major.checked_add(1)?, 0, 0);
    let next_minor = Version::plain(low.major, low.minor.checked_add(1)?, 0);
    let next_patch = Version::plain(low.major, low.minor, low.patch.checked_add(1)?);
    let after = if level == Level::Major { next_major.clone() } else { next_minor.clone() };
    let between =
        |low, high| Clause::All(vec![Range::new(GreaterEqual, low), Range::new(Less, high)]);
    let one = |operator, version| Clause::All(vec![Range::new(operator, version)]);
    let whole = level == Level::Patch;
    let (before_too, build_counts) = marks;
    Some(match operator {
        "^" if low.major > 0 => between(low, next_major),
        "^" if low.minor > 0 => between(low, next_minor),
        "^" => between(low, next_patch),
        "~" => between(low, after),
        "~=" => between(low, if whole { next_minor } else { next_major }),
        "" | "=" | "==" if whole => {
            let mut range = Range::new(Equal, low);
            range.build_counts |= build_counts;
            Clause::All(vec![range])
        }
        "" | "=" | "==" => between(low, after),
        "!=" if whole => {
            let mut range = Range::new(NotEqual, low);
            range.before_too = before_too;
            range.build_counts |= build_counts && !before_too;
            Clause::All(vec![range])
        }
        "!=" => Clause::Any(vec![Range::new(Less, low), Range::new(GreaterEqual, after)]),
        ">" if whole => one(Greater, low),
        ">" => one(GreaterEqual, after),
        ">=" => one(GreaterEqual, low),
        "<" => Clause::All(vec![Range { before_too, ..Range::new(Less, low) }]),
        "<=" if whole => one(LessEqual, low),
        _ => one(Less, after),
    })
}

impl Range {
    fn new(operator: Operator, version: Version) -> Range {
        let build_counts = !version.build.is_empty();
        Range { operator, version, before_too: false, build_counts }
    }

    fn matches(&self, version: &Version) -> bool {
        let order = version.precedence(&self.version);
        // `<1.2.3` leaves out 1.2.3-rc.1 although that comes before it.
        let excluded = version.is_prerelease()
            && !self.before_too
            && !self.version.is_prerelease()
            && version.same_release(&self.version);
        let equal =
            order == Ordering::Equal && (!self.build_counts || version.build == self.version.build);
        match self.operator {
            Operator::Equal => equal,
            Operator::NotEqual => !equal && (self.build_counts || !excluded),
            Operator::Less => order == Ordering::Less && !excluded,
            Operator::LessEqual => order != Ordering::Greater,
            Operator::Greater => order == Ordering::Greater,
            Operator::GreaterEqual => order != Ordering::Less,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn version(text: &str) -> Version {
        text.parse().unwrap()
    }

    fn matches(spec: &str, text: &str) -> bool {
        spec.parse::<Spec>().unwrap().matches(&version(text))
    }

    #[test]
    fn versions_are_ordered_by_precedence() {
        let sorted = [
            "0.9.9",
            "1.0.0-1",
            "1.0.0-2",
            "1.0.0-10",
            "1.0.0-alpha",
            "1.0.0-alpha.1",
            "1.0.0",
            "1.0.0+a",
            "1.0.0~1-rc",
            "1.0.0~1",
            "1.0.1",
        ]
        .map(version);
        assert!(sorted.is_sorted());
        for text in [
            "", "1", "1.0", "1.0.0.0", "01.0.0", "1.0.0-", "1.0.0-01", "1.0.0+", "1.0.0~", "a.b.c",
            "*", "1.*.0",
        ] {
            assert!(text.parse::<Version>().is_err(), "{text:?}");
        }
        assert_eq!(version("1.2.3~4-rc.1+b.02").to_string(), "1.2.3~4-rc.1+b.02");
    }

    #[test]
    fn clauses_match() {
        for (spec, inside, outside) in [
            ("*", "0.0.1", ""),
            ("^1.2.3", "1.9.0", "2.0.0"),
            ("^0.2.3", "0.2.9", "0.3.0"),
            ("^0.0.3", "0.0.3", "0.0.4"),
            ("~1.1.0", "1.1.9~2", "1.2.0"),
            ("~2", "2.9.0", "3.0.0"),
            ("~=1.4", "1.9.0", "2.0.0"),
            ("~=1.4.5", "1.4.9", "1.5.0"),
            (">=1.0,<2.0", "1.5.0", "2.0.0"),
            ("1.7", "1.7.6~1", "1.8.0"),
            ("2.7.0", "2.7.0", "2.7.0~1"),
            ("!=1.2.*", "1.3.0", "1.2.9"),
            (">1.2", "1.3.0", "1.2.9"),
            ("<=1.2", "1.2.9", "1.3.0"),
            ("<1.2.3", "1.2.2", "1.2.3-rc"),
            ("<1.2.3-", "1.2.3-rc", "1.2.3"),
            ("==1.2.3+", "1.2.3", "1.2.3+b"),
            ("==1.2.3", "1.2.3+b", "1.2.3-rc"),
        ] {
            assert!(matches(spec, inside), "{spec} {inside}");
            assert!(outside.is_empty() || !matches(spec, outside), "{spec} {outside}");
        }
        for text in
            ["", " 1.0", ">=1.0, <2.0", "^", "1.x", ">*", "1.*-rc", ">1.0.0+b", "^1.2.3.4", "=>1"]
        {
            assert!(text.parse::<Spec>().is_err(), "{text:?}");
        }
        assert!("~1.0.0-rc".parse::<Spec>().unwrap().names_prerelease());
        assert!("1.0.0".parse::<Spec>().unwrap().is_exact());
        assert!(!"~1.0.0".parse::<Spec>().unwrap().is_exact());
    }
}
