//! The catalog of versions that registries and git repositories are.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Map, Value, json};

use super::fetch::Fetcher;
use super::files::Defaults;
use super::git::reason;
use super::glob::FinalStars;
use super::hash::{self, component_hash};
use super::lock::{Source, is_commit};
use super::manifest::{Dependency, Origin};
use super::registry::{Index, Needed, REGISTRY_URL, Release};
use super::solve::{Candidate, Catalog, Resolved};
use super::upload;
use crate::error::{Error, Result};
use crate::process;

/// How long git may take to list a repository's branches and tags.
const LIMIT: Duration = Duration::from_secs(120);

impl Catalog for Fetcher<'_> {
    fn releases(&self, dependency: &Dependency) -> Result<Vec<Candidate>> {
        let Origin::Registry(registry) = &dependency.origin else { return Ok(Vec::new()) };
        let index =
            self.registry.index(&dependency.name, registry.as_deref(), self.report, |_| true)?;
        let url = registry.clone().unwrap_or_else(|| REGISTRY_URL.to_owned());
        Ok(candidates(&index, &url, dependency.pre_release))
    }

    fn commit(&self, dependency: &Dependency, reference: &str) -> Result<Candidate> {
        let Origin::Git { url, path } = &dependency.origin else {
            return Err(Error::internal(format!("{} is in no git repository", dependency.name)));
        };
        let commit = if is_commit(reference) {
            reference.to_owned()
        } else {
            commit_of(url, if reference == "*" { "HEAD" } else { reference })?
        };
        let scratch = tempfile::Builder::new()
            .prefix("tree-")
            .tempdir_in(self.directory)
            .map_err(|error| Error::io("create a directory in", self.directory, &error))?;
        let forge = scratch.path().join("forge");
        let git = scratch.path().join("git");
        let tree = match make_empty(&forge).and_then(|()| self.forge_tree(url, &commit, &forge)) {
            Ok(()) => forge,
            Err(error) if error.kind() == crate::error::Kind::Source => {
                make_empty(&git)?;
                self.git_tree(url, &commit, &git)?;
                git
            }
            Err(error) => return Err(error),
        };
        let root = upload::inside(&tree, path)?;
        let manifest = hash::manifest(&root)?;
        let hash = component_hash(&root, Defaults::LeftOut, FinalStars::default())?;
        Ok(Candidate {
            version: Resolved::Commit(commit),
            source: Some(Source::Git { url: url.clone(), path: path.clone(), hash }),
            targets: manifest.targets,
            dependencies: manifest.dependencies,
            yanked: false,
        })
    }
}

fn make_empty(directory: &Path) -> Result<()> {
    fs::create_dir(directory).map_err(|error| Error::io("create", directory, &error))
}

/// The versions of an index that this program and the component manager can use.
fn candidates(index: &Arc<Index>, registry: &str, early: Option<bool>) -> Vec<Candidate> {
    let mut seen = BTreeSet::new();
    let usable = index.releases.iter().filter(|release| release.is_understood());
    let candidates = usable.filter_map(|release| candidate(release, registry, early).ok());
    candidates.filter(|it| seen.insert(it.version.clone())).collect()
}

fn candidate(release: &Release, registry: &str, pre_release: Option<bool>) -> Result<Candidate> {
    let dependencies: Result<Vec<Dependency>> =
        release.dependencies.iter().map(dependency).collect();
    Ok(Candidate {
        version: Resolved::Release(release.version()?),
        source: Some(Source::Registry {
            url: Some(registry.to_owned()),
            pre_release,
            hash: release.component_hash,
        }),
        targets: release.targets.clone(),
        dependencies: dependencies?,
        yanked: release.yanked_at.is_some(),
    })
}

/// A dependency as a lock holds it, from what the registry says.
fn dependency(needed: &Needed) -> Result<Dependency> {
    let mut entries = Map::new();
    let require = match (needed.is_public, needed.require) {
        (true, _) => "public",
        (false, true) => "private",
        (false, false) => "no",
    };
    entries.insert("version".to_owned(), json!(needed.spec));
    entries.insert("require".to_owned(), json!(require));
    for (key, rules) in [("rules", &needed.rules), ("matches", &needed.matches)] {
        if !rules.is_empty() {
            let rules = rules.iter().map(|rule| {
                let entries = rule.as_object().into_iter().flatten();
                let given = entries.filter(|(_, value)| !value.is_null());
                Value::Object(given.map(|(key, value)| (key.clone(), value.clone())).collect())
            });
            entries.insert(key.to_owned(), rules.collect());
        }
    }
    match (needed.source.as_str(), &needed.namespace, &needed.name) {
        ("idf", ..) => Dependency::read("idf", &mut Value::Object(entries)),
        ("service", Some(namespace), Some(name)) => {
            let registry = needed.registry_url.as_deref().unwrap_or(REGISTRY_URL);
            entries.insert("registry_url".to_owned(), json!(registry));
            Dependency::read(&format!("{namespace}/{name}"), &mut Value::Object(entries))
        }
        (source, ..) => Err(Error::source(format!("a dependency from {source:?} is not known"))),
    }
}

/// The commit of a branch or tag, as git says.
fn commit_of(url: &str, reference: &str) -> Result<String> {
    let mut command = Command::new("git");
    command
        .args(["ls-remote", "--quiet", "--", url, reference])
        .arg(format!("{reference}^{{}}"))
        .env("GIT_TERMINAL_PROMPT", "0")
        .env("GIT_ALLOW_PROTOCOL", "https:http:ssh:git:file")
        .env("LC_ALL", "C");
    let output = process::output(&mut command, LIMIT)?;
    if !output.status.success() {
        return Err(Error::source(format!("git cannot ask {url}: {}", reason(&output.stderr))));
    }
    let lines = output.stdout.lines().filter_map(|line| line.split_once('\t'));
    let found: Vec<(&str, &str)> = lines.collect();
    // Of an annotated tag, the commit it names; then a branch before a tag, as git prefers them not.
    let preference = [
        format!("refs/tags/{reference}^{{}}"),
        format!("refs/tags/{reference}"),
        format!("refs/heads/{reference}"),
        reference.to_owned(),
    ];
    preference
        .iter()
        .find_map(|wanted| found.iter().find(|(_, name)| name == wanted))
        .map(|(commit, _)| (*commit).to_owned())
        .filter(|commit| is_commit(commit))
        .ok_or_else(|| Error::source(format!("{url} has no branch or tag {reference}")))
}
