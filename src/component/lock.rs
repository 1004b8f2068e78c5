//! `dependencies.lock`: the versions that a project's dependencies were resolved to.
//!
//! Formats 1.0.0 (component manager 1.x) and 2.0.0 (2.x; `idf_component_tools/lock/manager.py`) are
//! read; 2.0.0 is written.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::{Map, Value};

use super::version::{Spec, Version};
use super::yaml::{self, Style};
use super::{ComponentHash, name};
use crate::error::{Error, Result};

/// A lock file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lock {
    /// The chip it is for, as ESP-IDF calls it. Old locks may not say.
    pub target: Option<String>,
    /// The hash of the manifests it was made from, see [`super::manifest::project_hash`].
    pub manifest_hash: Option<String>,
    /// The names of what the manifests themselves ask for.
    pub direct_dependencies: Vec<String>,
    /// ESP-IDF's version.
    pub idf_version: Option<Version>,
    /// The components, by name; ESP-IDF itself is not among them.
    pub components: BTreeMap<String, Locked>,
}

/// A component of a lock.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Locked {
    /// Its version; of a git repository the commit.
    pub version: String,
    /// Where it comes from.
    pub source: Source,
    /// The chips it is for. Empty means all.
    pub targets: Vec<String>,
    /// What it needs, each as the lock holds it; `None` when the lock does not say, as in format
    /// 1.0.0.
    pub dependencies: Option<Vec<Value>>,
}

/// Where a component comes from, with the hash of its files where it has to be fetched.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// A registry.
    Registry {
        /// Its URL.
        url: Option<String>,
        /// Whether the manifest lets versions before a release in, where it says so.
        pre_release: Option<bool>,
        /// The hash of its files.
        hash: ComponentHash,
    },
    /// A git repository.
    Git {
        /// Its URL.
        url: String,
        /// The directory of the component in it; `.` is the repository itself.
        path: String,
        /// The hash of its files.
        hash: ComponentHash,
    },
    /// A directory of the machine that made the lock.
    Local {
        /// That directory.
        path: String,
    },
}

impl Locked {
    /// The hash of its files; nothing is fetched of a component without one.
    pub fn hash(&self) -> Option<&ComponentHash> {
        match &self.source {
            Source::Registry { hash, .. } | Source::Git { hash, .. } => Some(hash),
            Source::Local { .. } => None,
        }
    }
}

impl Lock {
    /// Reads a lock file.
    ///
    /// # Errors
    /// When it cannot be read or is none, see [`Lock::parse`].
    pub fn read(path: &Path) -> Result<Lock> {
        let bytes = std::fs::read(path).map_err(|error| Error::io("read", path, &error))?;
        Self::parse(&bytes, &path.display().to_string())
    }

    /// Reads a lock. `place` names it in messages.
    ///
    /// # Errors
    /// When it is no lock, of another format, or names a component twice.
    pub fn parse(bytes: &[u8], place: &str) -> Result<Lock> {
        let wrong = |error: Error| error.context(format!("{place} is not a lock file"));
        let text = std::str::from_utf8(bytes)
            .map_err(|_| Error::input(format!("{place} is not a lock file: it is not UTF-8")))?;
        let Value::Object(entries) = yaml::load(text).map_err(wrong)? else {
            return Err(wrong(Error::input("keys with values were expected")));
        };
        match entries.get("version") {
            Some(Value::String(version)) if version == "1.0.0" || version == "2.0.0" => {}
            Some(found) => {
                return Err(Error::input(format!(
                    "{place} is a lock file of format {}, formats 1.0.0 and 2.0.0 are known",
                    found.as_str().map_or_else(|| found.to_string(), str::to_owned)
                ))
                .hint("write it again: `micropython-builder lock --help`"));
            }
            None => return Err(wrong(Error::input("it does not say which format it has"))),
        }
        Self::from_entries(&entries).map_err(wrong)
    }

    fn from_entries(entries: &Map<String, Value>) -> Result<Lock> {
        let empty = Map::new();
        let listed = match entries.get("dependencies") {
            Some(Value::Object(listed)) => listed,
            None | Some(Value::Null) => &empty,
            Some(_) => return Err(Error::input("dependencies has to be a mapping")),
        };
        let mut lock = Lock {
            target: text(entries, "target")?,
            manifest_hash: text(entries, "manifest_hash")?,
            direct_dependencies: texts(entries, "direct_dependencies")?,
            idf_version: None,
            components: BTreeMap::new(),
        };
        for (key, value) in listed {
            let inside = |error: Error| error.context(key);
            let entry = value
                .as_object()
                .ok_or_else(|| inside(Error::input("keys with values were expected")))?;
            if source_type(entry) == Some("idf") {
                lock.idf_version =
                    text(entry, "version").map_err(inside)?.map(|it| it.parse()).transpose()?;
                continue;
            }
            name::check(key)?;
            let locked = Locked::read(entry).map_err(inside)?;
            let known = match locked.source {
                Source::Registry { .. } => name::with_namespace(key),
                _ => key.clone(),
            };
            let directory = name::directory(&known).to_lowercase();
            let clash =
                lock.components.keys().find(|it| name::directory(it).to_lowercase() == directory);
            if let Some(other) = clash {
                return Err(Error::input(format!(
                    "{key} and {other} are two components of one name"
                )));
            }
            lock.components.insert(known, locked);
        }
        Ok(lock)
    }

    /// The lock as a file of format 2.0.0.
    ///
    /// # Errors
    /// When something in it cannot be written as YAML.
    pub fn to_text(&self) -> Result<String> {
        let mut dependencies = Map::new();
        for (name, locked) in &self.components {
            dependencies.insert(name.clone(), locked.to_value());
        }
        if let Some(version) = &self.idf_version {
            let idf =
                serde_json::json!({"source": {"type": "idf"}, "version": version.to_string()});
            dependencies.insert("idf".to_owned(), idf);
        }
        let mut entries = Map::new();
        entries.insert("dependencies".to_owned(), Value::Object(dependencies));
        if !self.direct_dependencies.is_empty() {
            let direct = self.direct_dependencies.clone().into();
            entries.insert("direct_dependencies".to_owned(), direct);
        }
        for (key, value) in [("manifest_hash", &self.manifest_hash), ("target", &self.target)] {
            if let Some(value) = value {
                entries.insert(key.to_owned(), value.clone().into());
            }
        }
        entries.insert("version".to_owned(), "2.0.0".into());
        yaml::dump(&Value::Object(entries), Style::LOCK)
    }

    /// The first component that does not work with this version of ESP-IDF, and what it asks for.
    pub fn unfit_for_idf(&self, idf: &Version) -> Option<(&str, Spec)> {
        self.components.iter().find_map(|(name, locked)| {
            let spec = locked.dependencies.iter().flatten().find_map(|dependency| {
                let asks = dependency.get("name")? == "idf";
                asks.then(|| dependency.get("version")?.as_str()?.parse::<Spec>().ok())?
            })?;
            (!spec.matches(idf)).then_some((name.as_str(), spec))
        })
    }
}

impl Locked {
    fn read(entry: &Map<String, Value>) -> Result<Locked> {
        let version = text(entry, "version")?.ok_or_else(|| Error::input("it has no version"))?;
        let hash = text(entry, "component_hash")?.map(|hash| hash.parse()).transpose()?;
        let hash = || hash.ok_or_else(|| Error::input("it has no component_hash"));
        let given = match entry.get("source") {
            Some(Value::Object(given)) => given,
            _ => return Err(Error::input("it has no source")),
        };
        let source = match source_type(entry) {
            Some("service") => {
                version.parse::<Version>()?;
                let url = text(given, "registry_url")?.or(text(given, "service_url")?);
                let pre_release = given.get("pre_release").and_then(Value::as_bool);
                Source::Registry { url, pre_release, hash: hash()? }
            }
            Some("git") => {
                if !is_commit(&version) {
                    return Err(Error::input(format!(
                        "its version is {version:?}, a commit of 40 hexadecimal digits was expected"
                    )));
                }
                let url = text(given, "git")?.ok_or_else(|| Error::input("it has no git URL"))?;
                let path = text(given, "path")?.unwrap_or_else(|| ".".to_owned());
                Source::Git { url, path, hash: hash()? }
            }
            Some("local") => {
                let path = text(given, "path")?.ok_or_else(|| Error::input("it has no path"))?;
                Source::Local { path }
            }
            other => {
                return Err(Error::input(format!(
                    "its source is of the type {:?}, expected was service, git, local or idf",
                    other.unwrap_or_default()
                )));
            }
        };
        let dependencies = match entry.get("dependencies") {
            Some(Value::Array(items)) => Some(items.clone()),
            _ => None,
        };
        Ok(Locked { version, source, targets: texts(entry, "targets")?, dependencies })
    }

    fn to_value(&self) -> Value {
        let mut entry = Map::new();
        if let Some(hash) = self.hash() {
            entry.insert("component_hash".to_owned(), hash.to_string().into());
        }
        if let Some(dependencies) = &self.dependencies {
            entry.insert("dependencies".to_owned(), dependencies.clone().into());
        }
        let source = match &self.source {
            Source::Registry { url, pre_release, .. } => {
                let mut source = Map::from_iter([("type".to_owned(), "service".into())]);
                if let Some(url) = url {
                    source.insert("registry_url".to_owned(), url.clone().into());
                }
                if let Some(given) = pre_release {
                    source.insert("pre_release".to_owned(), (*given).into());
                }
                Value::Object(source)
            }
            Source::Git { url, path, .. } => {
                serde_json::json!({"git": url, "path": path, "type": "git"})
            }
            Source::Local { path } => serde_json::json!({"path": path, "type": "local"}),
        };
        entry.insert("source".to_owned(), source);
        if !self.targets.is_empty() {
            entry.insert("targets".to_owned(), self.targets.clone().into());
        }
        entry.insert("version".to_owned(), self.version.clone().into());
        Value::Object(entry)
    }
}

/// Whether a text is the id of a git commit.
pub fn is_commit(text: &str) -> bool {
    text.len() == 40 && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

fn source_type(entry: &Map<String, Value>) -> Option<&str> {
    entry.get("source")?.get("type")?.as_str()
}

fn text(entries: &Map<String, Value>, key: &str) -> Result<Option<String>> {
    match entries.get(key) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => Ok(Some(text.clone())),
        Some(_) => Err(Error::input(format!("{key} has to be a text"))),
    }
}

fn texts(entries: &Map<String, Value>, key: &str) -> Result<Vec<String>> {
    let wrong = || Error::input(format!("{key} has to be a list of texts"));
    match entries.get(key) {
        None | Some(Value::Null) => Ok(Vec::new()),
        Some(Value::Array(items)) => {
            items.iter().map(|item| item.as_str().map(str::to_owned).ok_or_else(wrong)).collect()
        }
        Some(_) => Err(wrong()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HASH: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

    fn parse(text: &str) -> Result<Lock> {
        Lock::parse(text.as_bytes(), "lock")
    }

    fn entry(name: &str, hash: &str) -> String {
        format!(
            "  {name}:\n    component_hash: {hash}\n    source: {{type: service}}\n    version: 1.0.0\n"
        )
    }

    #[test]
    fn both_formats_are_read() {
        let old = format!(
            "dependencies:\n  idf:\n    component_hash: null\n    source: {{type: idf}}\n    version: 5.1.2\n  \
             mdns:\n    component_hash: {HASH}\n    source:\n      service_url: https://api.components.espressif.com/\n      \
             type: service\n    version: 1.2.0\nmanifest_hash: {HASH}\ntarget: esp32\nversion: 1.0.0\n"
        );
        let lock = parse(&old).unwrap();
        assert_eq!(lock.idf_version, Some("5.1.2".parse().unwrap()));
        let mdns = lock.components.get("espressif/mdns").unwrap();
        assert_eq!(mdns.hash().unwrap().to_string(), HASH);
        let new = lock.to_text().unwrap();
        assert!(new.ends_with("target: esp32\nversion: 2.0.0\n"), "{new}");
        let again = parse(&new).unwrap();
        assert_eq!(again.to_text().unwrap(), new);
        assert_eq!(again.components.len(), 1);
    }

    #[test]
    fn what_is_no_lock_is_refused() {
        let twice = format!(
            "version: 2.0.0\ndependencies:\n{}{}",
            entry("mdns", HASH),
            entry("espressif/mdns", HASH)
        );
        let same = format!(
            "version: 2.0.0\ndependencies:\n{}{}",
            entry("mdns", HASH),
            entry("mdns", HASH)
        );
        let up = format!("version: 2.0.0\ndependencies:\n{}", entry("../../etc", HASH));
        let short = format!("version: 2.0.0\ndependencies:\n{}", entry("mdns", "abcd"));
        for (text, expected) in [
            ("", "keys with values were expected"),
            ("version: 3.0.0\n", "of format 3.0.0, formats 1.0.0 and 2.0.0 are known"),
            ("version: 2\n", "of format 2,"),
            ("dependencies: {}\n", "does not say which format"),
            (twice.as_str(), "two components of one name"),
            (same.as_str(), "is there twice"),
            (up.as_str(), "is not a component's name"),
            (short.as_str(), "component_hash"),
            (
                "version: 2.0.0\ndependencies:\n  mdns: {version: 1.0.0, source: {type: ftp}}\n",
                "\"ftp\"",
            ),
            (
                "version: 2.0.0\ndependencies:\n  mdns: {version: 1.0.0, source: {type: service}}\n",
                "no component_hash",
            ),
            (
                "version: 2.0.0\ndependencies:\n  mdns: {version: main, source: {type: git, git: u}}\n",
                "a commit of 40",
            ),
        ] {
            let error = parse(text).unwrap_err();
            assert!(error.message().contains(expected), "{text}\n{error}");
        }
    }
}
