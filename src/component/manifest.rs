//! `idf_component.yml`: which components a component needs, and which of its files belong to it.
//!
//! Read as the component manager's models read it (`idf_component_tools/manifest/models.py`):
//! unknown keys at the top are ignored, unknown keys of a dependency are errors.

use serde_json::{Map, Value};

use super::condition::{Condition, Situation};
use super::version::{Spec, Version};
use super::{name, yaml};
use crate::error::{Error, Result};
use crate::pins::Sha256Hash;

/// The name of the file.
pub const FILE_NAME: &str = "idf_component.yml";

/// The keys that the manager keeps, in the order in which it serialises them for the hash.
const KEYS: [&str; 15] = [
    "version",
    "targets",
    "maintainers",
    "description",
    "license",
    "tags",
    "dependencies",
    "files",
    "examples",
    "url",
    "repository",
    "documentation",
    "issues",
    "discussion",
    "repository_info",
];

/// Likewise for a dependency.
const DEPENDENCY_KEYS: [&str; 10] = [
    "version",
    "public",
    "path",
    "git",
    "registry_url",
    "rules",
    "matches",
    "override_path",
    "require",
    "pre_release",
];

/// A manifest.
#[derive(Debug, Clone)]
pub struct Manifest {
    /// What the manager kept of the file, in its order.
    kept: Map<String, Value>,
    /// The version the component gives itself.
    pub version: Option<Version>,
    /// The chips it is for. Empty means all.
    pub targets: Vec<String>,
    /// What it needs, in the file's order.
    pub dependencies: Vec<Dependency>,
    /// Which files belong to it.
    pub files: Files,
}

/// `files`: what is put into a component's archive.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Files {
    /// Leave out what `.gitignore` files name, instead of the default excludes.
    pub use_gitignore: bool,
    /// Patterns of files to add after all.
    pub include: Vec<String>,
    /// Patterns of files to leave out.
    pub exclude: Vec<String>,
}

/// One entry of `dependencies`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dependency {
    /// With its namespace, as in `espressif/mdns`; `idf` for ESP-IDF itself.
    pub name: String,
    /// Where it comes from.
    pub origin: Origin,
    /// Which versions will do; for a git repository a branch, tag or commit.
    pub version: Option<String>,
    /// Whether versions before a release will do too, where it is said.
    pub pre_release: Option<bool>,
    rules: Vec<Rule>,
    matches: Vec<Rule>,
    /// As a lock file writes it.
    kept: Map<String, Value>,
}

/// Where a dependency comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// ESP-IDF itself.
    Idf,
    /// A registry; the default one if there is no URL.
    Registry(Option<String>),
    /// A git repository and the directory in it.
    Git {
        /// The repository's URL.
        url: String,
        /// The directory of the component in it.
        path: String,
    },
    /// A directory of this machine.
    Local(String),
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Rule {
    condition: Condition,
    version: Option<String>,
}

impl Manifest {
    /// Reads a manifest. `place` names it in messages.
    ///
    /// # Errors
    /// When the manager would refuse it too, or it is not UTF-8.
    pub fn parse(bytes: &[u8], place: &str) -> Result<Manifest> {
        let wrong = |error: Error| error.context(format!("{place} is not a manifest"));
        let text = std::str::from_utf8(bytes)
            .map_err(|_| Error::input(format!("{place} is not a manifest: it is not UTF-8")))?;
        let value = yaml::load(text).map_err(wrong)?;
        Self::from_value(value).map_err(wrong)
    }

    fn from_value(value: Value) -> Result<Manifest> {
        let mut entries = match value {
            Value::Null => Map::new(),
            Value::Object(entries) => entries,
            _ => return Err(Error::input("keys with values were expected")),
        };
        let mut kept = in_order(&mut entries, &KEYS);
        if let Some(info) = kept.get_mut("repository_info").and_then(Value::as_object_mut) {
            *info = in_order(info, &["commit_sha", "path"]);
        }
        let version = match kept.get_mut("version") {
            None => None,
            Some(value) => {
                let version: Version = text(value, "version")?.parse()?;
                *value = Value::String(version.to_string());
                Some(version)
            }
        };
        for key in ["url", "documentation", "issues", "discussion"] {
            if let Some(value) = kept.get_mut(key) {
                *value = Value::String(normal_url(text(value, key)?));
            }
        }
        let mut dependencies = Vec::new();
        if let Some(value) = kept.get_mut("dependencies") {
            let entries = value.as_object_mut().ok_or_else(|| {
                Error::input("dependencies has to be a mapping from names to versions")
            })?;
            for (name, value) in entries {
                let dependency = Dependency::read(name, value)
                    .map_err(|error| error.context(format!("dependencies: {name}")))?;
                if dependencies.iter().any(|other: &Dependency| other.name == dependency.name) {
                    return Err(Error::input(format!("{} is there twice", dependency.name)));
                }
                dependencies.push(dependency);
            }
        }
        Ok(Manifest {
            version,
            targets: kept
                .get("targets")
                .map(|it| texts(it, "targets"))
                .unwrap_or(Ok(Vec::new()))?,
            files: Files::read(&mut kept)?,
            dependencies,
            kept,
        })
    }

    /// The hash of one manifest as the component `name`; see [`project_hash`].
    fn hash(&self, name: &str) -> String {
        let mut model = Map::new();
        model.insert("name".to_owned(), Value::String(name.to_owned()));
        model.extend(self.kept.iter().map(|(key, value)| (key.clone(), value.clone())));
        hash_object(&Value::String(Value::Object(model).to_string()))
    }
}

/// The `manifest_hash` of a lock: over the manifests of all components of a project that have one,
/// each with the component's name, in the order in which the build system lists them.
///
/// It is the SHA-256 of a JSON list of one SHA-256 per manifest, each over the manifest's model as
/// JSON text (`ProjectRequirements.manifest_hash` and `hash_object` of the component manager; the
/// same in its versions 2.0 to 2.5).
pub fn project_hash<'a>(manifests: impl IntoIterator<Item = (&'a str, &'a Manifest)>) -> String {
    let hashes = manifests.into_iter().map(|(name, it)| Value::String(it.hash(name)));
    hash_object(&Value::Array(hashes.collect()))
}

/// SHA-256 of the value as Python's `json.dumps` writes it: ASCII only.
fn hash_object(value: &Value) -> String {
    let mut ascii = String::new();
    for character in value.to_string().chars() {
        match character {
            ' '..='~' => ascii.push(character),
            _ => {
                let mut units = [0; 2];
                for unit in character.encode_utf16(&mut units) {
                    ascii.push_str(&format!("\\u{unit:04x}"));
                }
            }
        }
    }
    Sha256Hash::of(ascii.as_bytes()).to_hex()
}

impl Files {
    fn read(kept: &mut Map<String, Value>) -> Result<Files> {
        let Some(value) = kept.get_mut("files") else { return Ok(Files::default()) };
        let entries =
            value.as_object_mut().ok_or_else(|| Error::input("files has to be a mapping"))?;
        let ordered = in_order(entries, &["use_gitignore", "include", "exclude"]);
        let list = |key: &str| match ordered.get(key) {
            Some(value) => texts(value, key).map_err(|error| error.context("files")),
            None => Ok(Vec::new()),
        };
        let files = Files {
            use_gitignore: match ordered.get("use_gitignore") {
                None => false,
                Some(value) => value
                    .as_bool()
                    .ok_or_else(|| Error::input("files: use_gitignore has to be true or false"))?,
            },
            include: list("include")?,
            exclude: list("exclude")?,
        };
        *value = Value::Object(ordered);
        Ok(files)
    }
}

impl Dependency {
    /// Reads a dependency and brings `value` into the manager's form.
    pub(super) fn read(name: &str, value: &mut Value) -> Result<Dependency> {
        name::check(name)?;
        let mut kept = match value {
            Value::String(version) => {
                Map::from_iter([("version".to_owned(), Value::String(version.clone()))])
            }
            Value::Object(entries) => {
                let ordered = ordered(entries)?;
                *value = Value::Object(ordered.clone());
                ordered
            }
            _ => {
                return Err(Error::input(
                    "a version in quotation marks, or keys such as version and rules, were expected",
                ));
            }
        };
        let word = |key: &str| kept.get(key).map(|it| text(it, key)).transpose();
        let flag = |key: &str| match kept.get(key) {
            None => Ok(None),
            Some(value) => value
                .as_bool()
                .map(Some)
                .ok_or_else(|| Error::input(format!("{key} has to be true or false"))),
        };
        let path = word("override_path")?.or(word("path")?);
        let origin = match (name, word("git")?, path) {
            ("idf", ..) => Origin::Idf,
            (_, Some(url), path) => {
                let path = path.unwrap_or(".").to_owned();
                Origin::Git { url: url.to_owned(), path }
            }
            (_, None, Some(path)) => Origin::Local(path.to_owned()),
            _ => Origin::Registry(word("registry_url")?.map(str::to_owned)),
        };
        if flag("public")?.is_some() && kept.contains_key("require") {
            return Err(Error::input("public and require cannot both be given"));
        }
        let known =
            |it: &Value| matches!(it.as_str(), Some("public" | "private" | "no")) || it == false;
        if kept.get("require").is_some_and(|it| !known(it)) {
            return Err(Error::input("require has to be public, private or no"));
        }
        let dependency = Dependency {
            name: match &origin {
                Origin::Registry(_) => name::with_namespace(name),
                Origin::Local(_) => name.replace("__", "/"),
                _ => name.to_owned(),
            },
            version: word("version")?.map(str::to_owned),
            pre_release: flag("pre_release")?,
            rules: Rule::list(kept.get("rules"), &origin)?,
            matches: Rule::list(kept.get("matches"), &origin)?,
            origin,
            kept: Map::new(),
        };
        dependency.origin.check_version(dependency.version.as_deref())?;
        kept.insert("name".to_owned(), Value::String(dependency.name.clone()));
        for key in ["rules", "matches"] {
            for rule in kept.get_mut(key).and_then(Value::as_array_mut).into_iter().flatten() {
                // A lock calls it what the manifest calls it; only the hash does not.
                if let Some(entries) = rule.as_object_mut()
                    && let Some(condition) = entries.remove("if_clause")
                {
                    entries.insert("if".to_owned(), condition);
                }
            }
        }
        Ok(Dependency { kept, ..dependency })
    }

    /// Reads a dependency of a component in a lock file of format 2.0.0.
    ///
    /// # Errors
    /// When it is none.
    pub fn from_lock(value: &Value) -> Result<Dependency> {
        let wrong = || Error::input("a dependency in the lock has no name");
        let mut entries = value.as_object().ok_or_else(wrong)?.clone();
        let Some(Value::String(name)) = entries.remove("name") else { return Err(wrong()) };
        Dependency::read(&name, &mut Value::Object(entries))
    }

    /// The versions that will do in this situation, or `None` when the dependency is not needed.
    ///
    /// Of `matches` the first that holds decides, and one must hold. All `rules` must hold, and the
    /// last one's version wins.
    ///
    /// # Errors
    /// When a condition cannot be decided.
    pub fn version_in(&self, situation: &Situation) -> Result<Option<String>> {
        let default = self.version.clone().unwrap_or_else(|| "*".to_owned());
        let mut chosen = None;
        for rule in &self.matches {
            if rule.condition.holds(situation)? {
                chosen = Some(rule.version.clone().unwrap_or_else(|| default.clone()));
                break;
            }
        }
        if !self.matches.is_empty() && chosen.is_none() {
            return Ok(None);
        }
        for rule in &self.rules {
            if !rule.condition.holds(situation)? {
                return Ok(None);
            }
            chosen = rule.version.clone().or(chosen);
        }
        Ok(Some(chosen.unwrap_or(default)))
    }

    /// The entry as a lock file of format 2.0.0 holds it.
    pub fn to_lock(&self) -> Value {
        Value::Object(self.kept.clone())
    }
}

impl Origin {
    fn check_version(&self, version: Option<&str>) -> Result<()> {
        match (self, version) {
            (Origin::Idf | Origin::Registry(_), Some(version)) => {
                version.parse::<Spec>().map(|_| ())
            }
            _ => Ok(()),
        }
    }
}

impl Rule {
    fn list(value: Option<&Value>, origin: &Origin) -> Result<Vec<Rule>> {
        let Some(value) = value else { return Ok(Vec::new()) };
        let wrong =
            || Error::input("rules and matches have to be lists of mappings with the key if");
        let items = value.as_array().ok_or_else(wrong)?;
        items
            .iter()
            .map(|item| {
                let condition = item.get("if_clause").and_then(Value::as_str).ok_or_else(wrong)?;
                let version = item.get("version").map(|it| text(it, "version")).transpose()?;
                origin.check_version(version)?;
                let condition = Condition::parse(condition)?;
                Ok(Rule { condition, version: version.map(str::to_owned) })
            })
            .collect()
    }
}

/// What is under these keys, in their order.
fn in_order(entries: &mut Map<String, Value>, keys: &[&str]) -> Map<String, Value> {
    let taken = keys.iter().filter_map(|key| Some(((*key).to_owned(), entries.remove(*key)?)));
    taken.collect()
}

/// The keys of a dependency in the manager's order.
fn ordered(entries: &Map<String, Value>) -> Result<Map<String, Value>> {
    let mut ordered = Map::new();
    let mut entries = entries.clone();
    if let Some(url) = entries.remove("service_url") {
        entries.entry("registry_url").or_insert(url);
    }
    for key in DEPENDENCY_KEYS {
        let Some(mut value) = entries.remove(key) else { continue };
        for rule in value.as_array_mut().into_iter().flatten() {
            let Some(given) = rule.as_object_mut() else { continue };
            let mut model = Map::new();
            for (from, to) in [("if", "if_clause"), ("version", "version")] {
                if let Some(value) = given.remove(from) {
                    model.insert(to.to_owned(), value);
                }
            }
            *given = model;
        }
        ordered.insert(key.to_owned(), value);
    }
    match entries.keys().next() {
        Some(key) => Err(Error::input(format!("the key {key} is not known for a dependency"))),
        None => Ok(ordered),
    }
}

fn text<'a>(value: &'a Value, key: &str) -> Result<&'a str> {
    match value {
        Value::String(text) if !text.is_empty() => Ok(text),
        Value::Number(number) => {
            Err(Error::input(format!("{key} is the number {number}, text was expected"))
                .hint(format!("put it into quotation marks: {key}: \"{number}\"")))
        }
        _ => Err(Error::input(format!("{key} has to be a text"))),
    }
}

fn texts(value: &Value, key: &str) -> Result<Vec<String>> {
    let items = value.as_array().ok_or_else(|| Error::input(format!("{key} has to be a list")))?;
    items.iter().map(|item| text(item, key).map(str::to_owned)).collect()
}

/// A URL as the manager's models normalise it: host in lower case, and a slash when there is no path.
fn normal_url(url: &str) -> String {
    let Some((scheme, rest)) = url.split_once("://") else { return url.to_owned() };
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let (host, rest) = rest.split_at(end);
    let slash = if rest.starts_with('/') { "" } else { "/" };
    format!("{}://{}{slash}{rest}", scheme.to_lowercase(), host.to_lowercase())
}
