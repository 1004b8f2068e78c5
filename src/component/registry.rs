//! The component registry: which versions of a component there are, and where their archives lie.
//!
//! A registry serves, from a storage of plain files, `components/<namespace>/<name>.json` with one
//! entry per version. Where the archive is, the entry's `url` says: a zip under a readable name today,
//! a `.tgz` under a random one formerly; it is never put together here
//! (`idf_component_tools/registry/storage_client.py`).

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use serde::Deserialize;
use serde_json::Value;

use super::ComponentHash;
use super::version::Version;
use crate::error::{Error, Result};
use crate::report::Report;
use crate::source::{Patience, find};

/// The registry that a lock means when it does not say which.
pub const REGISTRY_URL: &str = "https://components.espressif.com/";

/// Where its files are.
const STORAGE_URL: &str = "https://components-file.espressif.com/";

/// The same registry under the name that old locks use.
const OLD_REGISTRY_URL: &str = "https://api.components.espressif.com/";

/// How large an index may be, in bytes.
const MAX_INDEX: u64 = 64 << 20;

/// What a manifest may hold for the component manager of format 2.0.0 to build with it. A version
/// whose manifest holds more needs a newer manager (`BUILD_METADATA_KEYS` there).
const BUILD_KEYS: [&str; 20] = [
    "dependencies-*-git-type:string",
    "dependencies-*-matches-type:array-if-type:string",
    "dependencies-*-matches-type:array-version-type:string",
    "dependencies-*-override_path-type:string",
    "dependencies-*-path-type:string",
    "dependencies-*-pre_release-type:boolean",
    "dependencies-*-public-type:boolean",
    "dependencies-*-registry_url-type:string",
    "dependencies-*-require-type:boolean",
    "dependencies-*-require-type:string",
    "dependencies-*-rules-type:array-if-type:string",
    "dependencies-*-rules-type:array-version-type:string",
    "dependencies-*-service_url-type:string",
    "dependencies-*-type:string",
    "dependencies-*-version-type:string",
    "files-exclude-type:array-type:string",
    "files-include-type:array-type:string",
    "name-type:string",
    "targets-type:array-type:string",
    "version-type:string",
];

/// The variables that name other places, as the component manager reads them.
#[derive(Debug, Clone, Default)]
pub struct Settings {
    /// `IDF_COMPONENT_REGISTRY_URL`: the registry to use where a lock names none.
    pub registry_url: Option<String>,
    /// `IDF_COMPONENT_LOCAL_STORAGE_URL` and then `IDF_COMPONENT_STORAGE_URL`, each a list joined by
    /// semicolons: storages to ask before the registry's own.
    pub storage_urls: Vec<String>,
    /// `IDF_COMPONENT_API_TIMEOUT`: seconds that a server may be silent.
    pub timeout: Option<f64>,
}

impl Settings {
    /// The settings of the environment.
    pub fn from_environment() -> Settings {
        let variable = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
        let urls = ["IDF_COMPONENT_LOCAL_STORAGE_URL", "IDF_COMPONENT_STORAGE_URL"];
        let urls = urls
            .into_iter()
            .filter_map(variable)
            .flat_map(|urls| urls.split(';').map(str::trim).map(str::to_owned).collect::<Vec<_>>());
        Settings {
            registry_url: variable("IDF_COMPONENT_REGISTRY_URL")
                .or_else(|| variable("DEFAULT_COMPONENT_SERVICE_URL")),
            storage_urls: urls.filter(|url| !url.is_empty() && url != "default").collect(),
            timeout: variable("IDF_COMPONENT_API_TIMEOUT").and_then(|text| text.parse().ok()),
        }
    }
}

/// A version of a component in a registry.
#[derive(Debug, Clone, Deserialize)]
pub struct Release {
    /// Its version.
    pub version: String,
    /// The hash of its files.
    pub component_hash: ComponentHash,
    /// Where its archive is, relative to the storage or absolute.
    pub url: String,
    /// What it needs.
    #[serde(default)]
    pub dependencies: Vec<Needed>,
    /// The chips it is for; empty means all.
    #[serde(default, deserialize_with = "or_default")]
    pub targets: Vec<String>,
    /// When it was withdrawn.
    #[serde(default)]
    pub yanked_at: Option<String>,
    /// Why it was withdrawn.
    #[serde(default)]
    pub yanked_message: Option<String>,
    #[serde(default, deserialize_with = "or_default")]
    build_metadata_keys: Vec<String>,
}

/// What a version needs, as the registry tells it.
#[derive(Debug, Clone, Deserialize)]
#[allow(missing_docs)]
pub struct Needed {
    pub source: String,
    pub spec: String,
    #[serde(default)]
    pub namespace: Option<String>,
    #[serde(default)]
    pub name: Option<String>,
    #[serde(default)]
    pub registry_url: Option<String>,
    #[serde(default)]
    pub is_public: bool,
    #[serde(default)]
    pub require: bool,
    #[serde(default)]
    pub rules: Vec<Value>,
    #[serde(default)]
    pub matches: Vec<Value>,
}

fn or_default<'de, D, T>(deserializer: D) -> std::result::Result<T, D::Error>
where
    D: serde::Deserializer<'de>,
    T: Deserialize<'de> + Default,
{
    Ok(Option::<T>::deserialize(deserializer)?.unwrap_or_default())
}

impl Release {
    /// Its version, taken apart.
    ///
    /// # Errors
    /// When it is none.
    pub fn version(&self) -> Result<Version> {
        self.version.parse()
    }

    /// Whether a component manager that writes locks of format 2.0.0 understands its manifest.
    pub fn is_understood(&self) -> bool {
        self.build_metadata_keys.iter().all(|key| BUILD_KEYS.contains(&key.as_str()))
    }
}

/// The versions of a component that one storage has.
#[derive(Debug)]
pub struct Index {
    /// The storage.
    pub storage: String,
    /// The versions, in the storage's order.
    pub releases: Vec<Release>,
}

/// Asks registries. What they answered is remembered until this is dropped.
#[derive(Debug)]
pub struct Registry {
    settings: Settings,
    patience: Patience,
    directory: PathBuf,
    /// By their addresses. An inner lock is held while that one is asked for.
    indexes: Mutex<HashMap<String, Arc<Mutex<Option<Found>>>>>,
    storages: Mutex<HashMap<String, String>>,
}

type Found = Option<Arc<Index>>;

impl Registry {
    /// A client that keeps what is being downloaded in `directory`.
    pub fn new(settings: Settings, patience: Patience, directory: &Path) -> Registry {
        let directory = directory.to_owned();
        Registry {
            settings,
            patience,
            directory,
            indexes: Mutex::default(),
            storages: Mutex::default(),
        }
    }

    /// The archive's address.
    pub fn archive_url(index: &Index, release: &Release) -> String {
        join(&index.storage, &release.url)
    }

    /// A version of a component with these files, and the index it was found in. The storages are
    /// asked in turn.
    ///
    /// # Errors
    /// When no storage has it, or none can be asked.
    pub fn release(
        &self,
        name: &str,
        version: &str,
        hash: &ComponentHash,
        registry: Option<&str>,
        report: &dyn Report,
    ) -> Result<(Arc<Index>, Release)> {
        let wanted: Version = version.parse()?;
        let is_wanted = |it: &Release| it.version().is_ok_and(|version| version == wanted);
        let mut other = None;
        let index = self.index(name, registry, report, |release| {
            let differs = is_wanted(release) && release.component_hash != *hash;
            other = other.or(differs.then_some(release.component_hash));
            // Asking elsewhere for the right one would hide that this is wrong.
            is_wanted(release)
        })?;
        let found = index.releases.iter().find(|it| is_wanted(it) && it.component_hash == *hash);
        if let Some(release) = found {
            return Ok((Arc::clone(&index), release.clone()));
        }
        if let Some(other) = other {
            return Err(Error::source(format!(
                "the registry's {name} {version} is another one than the lock's\n  lock:     {hash}\n  \
                 registry: {other}"
            ))
            .hint("make sure that the lock file and the registry are the right ones"));
        }
        let known: Vec<&str> = index.releases.iter().map(|it| it.version.as_str()).collect();
        let known = match known.as_slice() {
            [] => "no version".to_owned(),
            _ => known.join(", "),
        };
        Err(Error::source(format!("the registry has no {name} {version}, it has {known}"))
            .hint("resolve the versions again with `micropython-builder lock`"))
    }

    /// What the first storage has of a component that has a version that is wanted; or else what
    /// the last one has that knows the component.
    ///
    /// # Errors
    /// When a storage cannot be asked, or none knows the component.
    pub fn index(
        &self,
        name: &str,
        registry: Option<&str>,
        report: &dyn Report,
        mut wanted: impl FnMut(&Release) -> bool,
    ) -> Result<Arc<Index>> {
        let mut last = None;
        for number in 0..=self.settings.storage_urls.len() {
            let storage = match self.settings.storage_urls.get(number) {
                Some(storage) => storage.clone(),
                None => self.storage_of(registry, report)?,
            };
            let Some(index) = self.ask(&storage, name, report)? else { continue };
            let found = index.releases.iter().any(&mut wanted);
            last = Some(index);
            if found {
                break;
            }
        }
        last.ok_or_else(|| Error::source(format!("the registry has no component {name}")))
    }

    /// The storage of a registry: the usual one's is known, others are asked.
    fn storage_of(&self, registry: Option<&str>, report: &dyn Report) -> Result<String> {
        let registry = registry.or(self.settings.registry_url.as_deref()).unwrap_or(REGISTRY_URL);
        let registry = registry.trim_end_matches('/');
        let registry = registry.strip_suffix("/api").unwrap_or(registry);
        if [REGISTRY_URL, OLD_REGISTRY_URL].iter().any(|it| it.trim_end_matches('/') == registry) {
            return Ok(STORAGE_URL.to_owned());
        }
        let url = format!("{registry}/api");
        let mut storages = self.storages.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(storage) = storages.get(registry) {
            return Ok(storage.clone());
        }
        let answer = self.document(&url, "the registry's address", report)?;
        let wrong = || Error::source(format!("{url} does not answer as a component registry does"));
        let answer = answer.ok_or_else(wrong)?;
        let base = answer.get("components_base_url").and_then(Value::as_str);
        let base = base.map(str::to_owned).ok_or_else(wrong)?;
        storages.insert(registry.to_owned(), base.clone());
        Ok(base)
    }

    fn ask(&self, storage: &str, name: &str, report: &dyn Report) -> Result<Found> {
        let name = name.to_lowercase();
        let url = join(storage, &format!("components/{name}.json"));
        let slot = {
            let mut indexes = self.indexes.lock().unwrap_or_else(PoisonError::into_inner);
            Arc::clone(indexes.entry(url.clone()).or_default())
        };
        let mut slot = slot.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(found) = &*slot {
            return Ok(found.clone());
        }
        let document = self.document(&url, &format!("the versions of {name}"), report)?;
        let found = document.map(|document| Index::read(storage, &url, document)).transpose()?;
        let found = found.map(Arc::new);
        *slot = Some(found.clone());
        Ok(found)
    }

    /// A JSON document, or `None` when there is none.
    fn document(&self, url: &str, what: &str, report: &dyn Report) -> Result<Option<Value>> {
        let text = match local_file(url) {
            Some(path) => match fs::read(&path) {
                Ok(text) => text,
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
                Err(error) => return Err(Error::io("read", &path, &error)),
            },
            None => match self.small(url, what, report)? {
                Some(text) => text,
                None => return Ok(None),
            },
        };
        serde_json::from_slice(&text).map(Some).map_err(|error| {
            Error::source(format!("{url} is not what a component registry serves: {error}"))
                .hint("a proxy or a login page may have answered in the registry's place")
        })
    }

    /// Downloads what fits into memory.
    fn small(&self, url: &str, what: &str, report: &dyn Report) -> Result<Option<Vec<u8>>> {
        let scratch = tempfile::Builder::new()
            .prefix("index-")
            .tempdir_in(&self.directory)
            .map_err(|error| Error::io("create a directory in", &self.directory, &error))?;
        let path = scratch.path().join("index");
        if self.download(url, &path, what, MAX_INDEX, report)?.is_none() {
            return Ok(None);
        }
        fs::read(&path).map(Some).map_err(|error| Error::io("read", &path, &error))
    }

    /// Downloads a file. `None` when there is none, else whether it was put together from several
    /// answers.
    pub(super) fn download(
        &self,
        url: &str,
        path: &Path,
        what: &str,
        size: u64,
        report: &dyn Report,
    ) -> Result<Option<bool>> {
        let patience = Patience { size, ..self.patience.clone() };
        find(url, path, what, &patience, report)
    }
}

impl Index {
    fn read(storage: &str, url: &str, document: Value) -> Result<Index> {
        let versions = match document {
            Value::Object(mut entries) => match entries.remove("versions") {
                Some(Value::Array(versions)) => versions,
                _ => return Err(Error::source(format!("{url} lists no versions"))),
            },
            _ => return Err(Error::source(format!("{url} lists no versions"))),
        };
        // One that cannot be read is none that could be used; the others still can.
        let releases =
            versions.into_iter().filter_map(|version| serde_json::from_value(version).ok());
        Ok(Index { storage: storage.to_owned(), releases: releases.collect() })
    }
}

fn join(base: &str, path: &str) -> String {
    if path.contains("://") {
        return path.to_owned();
    }
    format!("{}/{}", base.trim_end_matches('/'), path.trim_start_matches('/'))
}

/// The file that a `file://` URL names; `None` for another URL.
pub(super) fn local_file(url: &str) -> Option<PathBuf> {
    url.strip_prefix("file://").map(|path| PathBuf::from(unescape(path)))
}

/// Undoes `%20` and the like; what is no such escape stays.
fn unescape(text: &str) -> std::ffi::OsString {
    use std::os::unix::ffi::OsStringExt;
    let mut bytes = Vec::new();
    let mut rest = text.as_bytes();
    while let Some((&first, after)) = rest.split_first() {
        let escaped = after.get(..2).and_then(|it| std::str::from_utf8(it).ok());
        match escaped.filter(|_| first == b'%').and_then(|it| u8::from_str_radix(it, 16).ok()) {
            Some(byte) => {
                bytes.push(byte);
                rest = after.get(2..).unwrap_or_default();
            }
            None => {
                bytes.push(first);
                rest = after;
            }
        }
    }
    std::ffi::OsString::from_vec(bytes)
}
