//! Making a lock: for another MicroPython tree, another ESP-IDF, or with components added.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Map, Value};

use super::condition::Situation;
use super::lock::Lock;
use super::manifest::{Manifest, project_hash};
use super::solve::{Catalog, Problem};
use super::upstream::{self, MAIN};
use super::version::Version;
use super::yaml::{self, Style};
use crate::error::{Error, Result};

/// The manifest of a project: MicroPython's own, with the dependencies of others added.
#[derive(Debug, Clone)]
pub struct Project {
    /// The manifest as read.
    pub manifest: Manifest,
    /// Its text. A build has to use this text, or the component manager takes the lock for stale.
    pub text: String,
}

impl Project {
    /// MicroPython's manifest with the dependencies of these manifests added to it, as of user C
    /// modules that need components. Without any, it is MicroPython's own text.
    ///
    /// # Errors
    /// When a manifest is wrong, or two ask for one component in ways that cannot be joined.
    pub fn new(micropython: &Path, added: &[PathBuf]) -> Result<Project> {
        let path = upstream::manifest_path(micropython);
        let manifest = upstream::manifest(micropython)?;
        let text = read(&path)?;
        if added.is_empty() {
            return Ok(Project { manifest, text });
        }
        let mut value = yaml::load(&text).map_err(|error| error.context(path.display()))?;
        for path in added {
            // Once only: it may be a pipe.
            let text = read(path)?;
            Manifest::parse(text.as_bytes(), &path.display().to_string())?;
            let other = yaml::load(&text).map_err(|error| error.context(path.display()))?;
            add(&mut value, other).map_err(|error| error.context(path.display()))?;
        }
        let text = yaml::dump(&value, Style::LOCK)?;
        let place = format!("{} with what was added", path.display());
        Ok(Project { manifest: Manifest::parse(text.as_bytes(), &place)?, text })
    }

    /// The hash by which a lock tells whether it was made from this manifest.
    pub fn hash(&self) -> String {
        project_hash([(MAIN, &self.manifest)])
    }

    /// Resolves the versions of everything this project needs.
    ///
    /// The versions of the lock `keep` are kept where they fit.
    ///
    /// # Errors
    /// When nothing fits together, or something that has to be asked cannot be.
    pub fn lock(
        &self,
        situation: &Situation,
        catalog: &dyn Catalog,
        keep: Option<&Lock>,
    ) -> Result<Lock> {
        let target = &situation.target;
        if !self.manifest.targets.is_empty() && !self.manifest.targets.contains(target) {
            let known = self.manifest.targets.join(", ");
            return Err(Error::input(format!("the manifest is for {known}, not for {target}")));
        }
        let problem = Problem { root: &self.manifest.dependencies, situation, catalog, keep };
        let solution = problem.solve()?;
        let mut direct_dependencies = Vec::new();
        for dependency in &self.manifest.dependencies {
            if dependency.version_in(situation)?.is_some() {
                direct_dependencies.push(dependency.name.clone());
            }
        }
        direct_dependencies.sort();
        let components = solution
            .into_iter()
            .filter_map(|(name, candidate)| Some((name, candidate.to_locked()?)));
        Ok(Lock {
            target: Some(target.clone()),
            manifest_hash: Some(self.hash()),
            direct_dependencies,
            idf_version: Some(situation.idf_version.clone()),
            components: components.collect(),
        })
    }

    /// Why a lock cannot be used as it is; `None` when it can.
    pub fn staleness(&self, lock: &Lock, situation: &Situation) -> Option<String> {
        let target = &situation.target;
        if lock.target.as_ref().is_some_and(|it| it != target) {
            let found = lock.target.as_deref().unwrap_or_default();
            return Some(format!("it is for {found}, not for {target}"));
        }
        if lock.manifest_hash.as_deref() != Some(self.hash().as_str()) {
            return Some("the manifests were changed after it was made".to_owned());
        }
        let idf = &situation.idf_version;
        let (name, spec) = lock.unfit_for_idf(idf)?;
        Some(format!("{name} in it needs ESP-IDF {spec}, this is {idf}"))
    }
}

fn read(path: &Path) -> Result<String> {
    fs::read_to_string(path).map_err(|error| Error::io("read", path, &error))
}

/// Adds the dependencies of one manifest to another.
fn add(to: &mut Value, from: Value) -> Result<()> {
    let Value::Object(mut from) = from else { return Ok(()) };
    let Some(Value::Object(added)) = from.remove("dependencies") else { return Ok(()) };
    if !to.is_object() {
        *to = Value::Object(Map::new());
    }
    let entries = to.as_object_mut().ok_or_else(|| Error::internal("a manifest is no mapping"))?;
    let known = entries.entry("dependencies").or_insert_with(|| Value::Object(Map::new()));
    let known = known.as_object_mut().ok_or_else(|| Error::input("dependencies is no mapping"))?;
    for (name, value) in added {
        let full = super::name::with_namespace(&name);
        let same = |it: &String| *it == name || super::name::with_namespace(it) == full;
        match known.iter_mut().find(|(key, _)| same(key)) {
            None => {
                known.insert(name, value);
            }
            Some((_, there)) if *there == value => {}
            Some((_, there)) => *there = both(&name, there, &value)?,
        }
    }
    Ok(())
}

/// A dependency that is satisfied only by what satisfies both.
fn both(name: &str, one: &Value, other: &Value) -> Result<Value> {
    match (version_alone(one), version_alone(other)) {
        (Some("*"), Some(version)) | (Some(version), Some("*")) => Ok(version.into()),
        (Some(one), Some(other)) => Ok(format!("{one},{other}").into()),
        _ => Err(Error::input(format!(
            "{name} is asked for twice, in ways that cannot be joined: {one} and {other}"
        ))
        .hint("leave it out of the manifest that is added")),
    }
}

fn version_alone(value: &Value) -> Option<&str> {
    match value {
        Value::String(version) => Some(version),
        Value::Object(entries) if entries.len() == 1 => entries.get("version")?.as_str(),
        _ => None,
    }
}

/// The version of an ESP-IDF tree, as its CMake files say it: it is what the component manager is
/// told, whatever a `version.txt` says.
///
/// # Errors
/// When the directory is no ESP-IDF tree.
pub fn idf_version(idf: &Path) -> Result<Version> {
    let file = idf.join("tools/cmake/version.cmake");
    let text = fs::read_to_string(&file).map_err(|_| {
        Error::input(format!(
            "{} is no ESP-IDF tree: it has no tools/cmake/version.cmake",
            idf.display()
        ))
        .hint("give the directory that holds ESP-IDF's components/ and tools/")
    })?;
    let part = |name: &str| {
        text.lines().find_map(|line| {
            let value = line.trim().strip_prefix("set(")?.strip_prefix(name)?;
            value.trim().trim_end_matches(')').parse::<u32>().ok()
        })
    };
    match ["IDF_VERSION_MAJOR", "IDF_VERSION_MINOR", "IDF_VERSION_PATCH"].map(part) {
        [Some(major), Some(minor), Some(patch)] => format!("{major}.{minor}.{patch}").parse(),
        _ => Err(Error::input(format!("{} does not say a version", file.display()))
            .hint("give the tree of a release of ESP-IDF as it is")),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn dependencies_are_joined() {
        let mut main = json!({"dependencies": {"mdns": "~1.1.0", "a/bb": {"version": "1"}, "idf": {"version": ">=5.3"}}});
        add(&mut main, json!({"dependencies": {"espressif/mdns": ">=1.1", "c/dd": "*", "idf": "*"}, "version": "1.0.0"})).unwrap();
        assert_eq!(
            main,
            json!({"dependencies": {"mdns": "~1.1.0,>=1.1", "a/bb": {"version": "1"}, "idf": ">=5.3", "c/dd": "*"}})
        );
        let error = add(&mut main, json!({"dependencies": {"a/bb": {"git": "u"}}})).unwrap_err();
        assert!(error.message().contains("asked for twice"), "{error}");
        let mut empty = Value::Null;
        add(&mut empty, json!({"dependencies": {"c/dd": "*"}})).unwrap();
        assert_eq!(empty, json!({"dependencies": {"c/dd": "*"}}));
    }

    #[test]
    fn the_version_of_esp_idf_is_found() {
        let directory = tempfile::tempdir().unwrap();
        assert!(idf_version(directory.path()).is_err());
        fs::create_dir_all(directory.path().join("tools/cmake")).unwrap();
        let cmake =
            "set(IDF_VERSION_MAJOR 5)\nset(IDF_VERSION_MINOR 3)\nset(IDF_VERSION_PATCH 0)\n";
        fs::write(directory.path().join("tools/cmake/version.cmake"), cmake).unwrap();
        assert_eq!(idf_version(directory.path()).unwrap().to_string(), "5.3.0");
        fs::write(directory.path().join("version.txt"), "v5.5.1\n").unwrap();
        assert_eq!(idf_version(directory.path()).unwrap().to_string(), "5.3.0");
    }
}
