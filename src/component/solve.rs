//! Resolving versions: which of the versions that a registry has fit together.
//!
//! The search is PubGrub, as in the component manager, by the `pubgrub` crate. What may be chosen
//! follows the manager's rules (`idf_component_tools/sources/web_service.py`): versions for other
//! chips, withdrawn ones, and those before a release stay out unless somebody names them.

use std::cell::RefCell;
use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::rc::Rc;

use pubgrub::{
    DefaultStringReporter, Dependencies, DependencyConstraints, DependencyProvider,
    PackageResolutionStatistics, PubGrubError, Ranges, Reporter,
};

use super::condition::Situation;
use super::lock::{Lock, Locked, Source};
use super::manifest::{Dependency, Origin};
use super::version::{Spec, Version};
use crate::error::{Error, Kind, Result};
use crate::interrupt;

/// A version that can be chosen.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Resolved {
    /// A version of a registry, or of ESP-IDF.
    Release(Version),
    /// A commit of a git repository.
    Commit(String),
}

impl fmt::Display for Resolved {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Resolved::Release(version) => version.fmt(f),
            Resolved::Commit(commit) => f.write_str(commit),
        }
    }
}

/// A version of a component that a catalog has.
#[derive(Debug, Clone)]
pub struct Candidate {
    /// The version.
    pub version: Resolved,
    /// Where it comes from, with its hash; `None` for ESP-IDF itself.
    pub source: Option<Source>,
    /// The chips it is for. Empty means all.
    pub targets: Vec<String>,
    /// What it needs.
    pub dependencies: Vec<Dependency>,
    /// Whether it was withdrawn.
    pub yanked: bool,
}

/// What has versions of components.
pub trait Catalog {
    /// All versions of a component in the registry that the dependency names.
    ///
    /// # Errors
    /// When the registry cannot be asked. An unknown component has no versions.
    fn releases(&self, dependency: &Dependency) -> Result<Vec<Candidate>>;

    /// The commit that a branch, tag or commit of the dependency's repository stands for.
    ///
    /// # Errors
    /// When the repository cannot be asked, or has no such thing.
    fn commit(&self, dependency: &Dependency, reference: &str) -> Result<Candidate>;
}

/// What is to be resolved.
pub struct Problem<'a> {
    /// The dependencies of the project's own manifest.
    pub root: &'a [Dependency],
    /// The chip and ESP-IDF's version.
    pub situation: &'a Situation,
    /// Where versions are.
    pub catalog: &'a dyn Catalog,
    /// A lock whose versions are kept as far as they fit.
    pub keep: Option<&'a Lock>,
}

impl Problem<'_> {
    /// The components that were chosen, by name, with ESP-IDF among them if something needs it.
    ///
    /// # Errors
    /// [`Error::input`] when nothing fits together, with the reason; others when a catalog cannot
    /// be asked.
    pub fn solve(&self) -> Result<BTreeMap<String, Candidate>> {
        if self.keep.is_none() {
            return self.attempt(false);
        }
        // With the kept versions alone, nothing that they cover has to be asked for.
        let failure = match self.attempt(true) {
            Err(failure) if failure.kind() == Kind::Input => failure,
            // What could not be asked cannot be asked for other versions either.
            other => return other,
        };
        self.attempt(false).map_err(|error| match error.kind() {
            Kind::Source => error.hint(format!("other versions were looked for because {failure}")),
            _ => error,
        })
    }

    fn attempt(&self, kept_only: bool) -> Result<BTreeMap<String, Candidate>> {
        let provider = Provider {
            problem: self,
            kept_only,
            known: RefCell::default(),
            notes: RefCell::default(),
        };
        let root = Resolved::Release("0.0.0".parse()?);
        let solution =
            pubgrub::resolve(&provider, Package::Root, root).map_err(|error| match error {
                PubGrubError::NoSolution(mut tree) => {
                    tree.collapse_no_versions();
                    let reason = DefaultStringReporter::report(&tree);
                    let notes = provider.notes.borrow();
                    let error = Error::input(format!("nothing fits together: {reason}"));
                    notes.iter().fold(error, |error, note| error.hint(note.clone()))
                }
                PubGrubError::ErrorRetrievingDependencies { source, .. }
                | PubGrubError::ErrorChoosingVersion { source, .. }
                | PubGrubError::ErrorInShouldCancel(source) => source,
            })?;
        let known = provider.known.into_inner();
        let chosen = solution.into_iter().filter_map(|(package, version)| {
            let Package::Component(name) = package else { return None };
            let candidates = &known.get(&name)?.candidates;
            let candidate = candidates.iter().find(|it| it.version == version)?.clone();
            Some((name, candidate))
        });
        Ok(chosen.collect())
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Package {
    Root,
    Component(String),
}

impl fmt::Display for Package {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Package::Root => f.write_str("this project"),
            Package::Component(name) => f.write_str(name),
        }
    }
}

struct Known {
    origin: Origin,
    candidates: Vec<Candidate>,
    /// Of a git repository, the commits that branches and tags stand for.
    references: BTreeMap<String, Resolved>,
}

struct Provider<'a> {
    problem: &'a Problem<'a>,
    /// Whether a component of the kept lock can only be what it is there.
    kept_only: bool,
    known: RefCell<BTreeMap<String, Known>>,
    /// Why versions that somebody asked for were not taken.
    notes: RefCell<BTreeSet<String>>,
}

impl Provider<'_> {
    fn kept(&self, name: &str) -> Option<&Locked> {
        self.problem.keep?.components.get(name)
    }

    /// Which versions satisfy a dependency.
    fn allowed(&self, dependency: &Dependency, spec: &str) -> Result<Ranges<Resolved>> {
        self.learn(dependency, spec)?;
        let known = self.known.borrow();
        let Some(known) = known.get(&dependency.name) else { return Ok(Ranges::empty()) };
        if !same_place(&known.origin, &dependency.origin) {
            return Err(Error::input(format!(
                "{} is needed from two places: {} and {}",
                dependency.name,
                place(&known.origin),
                place(&dependency.origin)
            )));
        }
        if let Origin::Git { .. } = dependency.origin {
            let commit = known.references.get(spec).cloned();
            return Ok(commit.map_or_else(Ranges::empty, Ranges::singleton));
        }
        let fits = self.fitting(&known.candidates, dependency, &spec.parse()?);
        let versions = fits.into_iter().map(|it| Ranges::singleton(it.version.clone()));
        Ok(versions.fold(Ranges::empty(), |all, one| all.union(&one)))
    }

    fn fitting<'c>(
        &self,
        candidates: &'c [Candidate],
        dependency: &Dependency,
        spec: &Spec,
    ) -> Vec<&'c Candidate> {
        let target = &self.problem.situation.target;
        let early = dependency.pre_release == Some(true) || spec.names_prerelease();
        let (mut fits, mut yanked, mut reasons) = (Vec::new(), Vec::new(), BTreeSet::new());
        for candidate in candidates {
            let Resolved::Release(version) = &candidate.version else { continue };
            if !spec.matches(version) {
                continue;
            }
            if !candidate.targets.is_empty() && !candidate.targets.contains(target) {
                reasons.insert(format!("{version} is for {}", candidate.targets.join(", ")));
            } else if version.is_prerelease() && !early {
                reasons.insert(format!("{version} needs `pre_release: true`"));
            } else if candidate.yanked {
                yanked.push(candidate);
                reasons.insert(format!("{version} was withdrawn"));
            } else {
                fits.push(candidate);
            }
        }
        if fits.is_empty() && spec.is_exact() {
            fits = yanked;
        }
        if fits.is_empty() {
            let name = &dependency.name;
            let known: Vec<String> = candidates.iter().map(|it| it.version.to_string()).collect();
            let note = match (reasons.is_empty(), known.is_empty()) {
                (false, _) => format!(
                    "of {name} {spec}, {}",
                    reasons.into_iter().collect::<Vec<_>>().join("; ")
                ),
                (true, false) => format!("{name} {spec}: there are {}", known.join(", ")),
                (true, true) => format!("the registry has no component {name}"),
            };
            self.notes.borrow_mut().insert(note);
        }
        fits
    }

    /// Makes sure that what can satisfy a dependency is known.
    fn learn(&self, dependency: &Dependency, spec: &str) -> Result<()> {
        let name = &dependency.name;
        let git = matches!(dependency.origin, Origin::Git { .. });
        match self.known.borrow().get(name) {
            Some(known) if !git || known.references.contains_key(spec) => return Ok(()),
            _ => {}
        }
        let candidates = self.candidates(dependency, spec)?;
        let mut known = self.known.borrow_mut();
        let known = known.entry(name.clone()).or_insert_with(|| Known {
            origin: dependency.origin.clone(),
            candidates: Vec::new(),
            references: BTreeMap::new(),
        });
        for candidate in candidates {
            if git {
                known.references.insert(spec.to_owned(), candidate.version.clone());
            }
            if !known.candidates.iter().any(|it| it.version == candidate.version) {
                known.candidates.push(candidate);
            }
        }
        Ok(())
    }

    fn candidates(&self, dependency: &Dependency, spec: &str) -> Result<Vec<Candidate>> {
        let name = &dependency.name;
        let kept = self.kept(name).filter(|_| self.kept_only);
        if let Some(kept) = kept.and_then(|kept| from_lock(kept, &dependency.origin)) {
            return Ok(vec![kept]);
        }
        match &dependency.origin {
            Origin::Idf => Ok(vec![Candidate {
                version: Resolved::Release(self.problem.situation.idf_version.clone()),
                source: None,
                targets: Vec::new(),
                dependencies: Vec::new(),
                yanked: false,
            }]),
            Origin::Registry(_) => self.problem.catalog.releases(dependency),
            Origin::Git { .. } => Ok(vec![self.problem.catalog.commit(dependency, spec)?]),
            Origin::Local(path) => Err(Error::input(format!(
                "{name} is the directory {path}, which a lock for other machines cannot name"
            ))
            .hint("name a version in a registry, or a git repository")),
        }
    }

    fn constraints(
        &self,
        dependencies: &[Dependency],
    ) -> Result<DependencyConstraints<Package, Ranges<Resolved>>> {
        let mut constraints = DependencyConstraints::default();
        for dependency in dependencies {
            let Some(spec) = dependency.version_in(self.problem.situation)? else { continue };
            let allowed = self.allowed(dependency, &spec)?;
            constraints.insert(Package::Component(dependency.name.clone()), allowed);
        }
        Ok(constraints)
    }
}

impl DependencyProvider for Provider<'_> {
    type P = Package;
    type V = Resolved;
    type VS = Ranges<Resolved>;
    type Priority = Reverse<usize>;
    type M = String;
    type Err = Error;

    fn prioritize(
        &self,
        package: &Package,
        range: &Ranges<Resolved>,
        _statistics: &PackageResolutionStatistics,
    ) -> Self::Priority {
        let Package::Component(name) = package else { return Reverse(0) };
        let known = self.known.borrow();
        let candidates = known.get(name).map(|it| it.candidates.as_slice()).unwrap_or_default();
        Reverse(candidates.iter().filter(|it| range.contains(&it.version)).count())
    }

    fn choose_version(
        &self,
        package: &Package,
        range: &Ranges<Resolved>,
    ) -> Result<Option<Resolved>> {
        let Package::Component(name) = package else {
            return Ok(Some(Resolved::Release("0.0.0".parse()?)));
        };
        let known = self.known.borrow();
        let Some(known) = known.get(name) else { return Ok(None) };
        let inside = known.candidates.iter().filter(|it| range.contains(&it.version));
        let kept = self.kept(name).map(|it| it.version.as_str());
        let best =
            inside.max_by_key(|it| (Some(it.version.to_string().as_str()) == kept, &it.version));
        Ok(best.map(|it| it.version.clone()))
    }

    fn get_dependencies(
        &self,
        package: &Package,
        version: &Resolved,
    ) -> Result<Dependencies<Package, Ranges<Resolved>, String>> {
        interrupt::check()?;
        let dependencies: Rc<[Dependency]> = match package {
            Package::Root => self.problem.root.into(),
            Package::Component(name) => {
                let known = self.known.borrow();
                let candidates = known.get(name).map(|it| it.candidates.as_slice());
                let found = candidates.unwrap_or_default().iter().find(|it| it.version == *version);
                found.map(|it| it.dependencies.as_slice()).unwrap_or_default().into()
            }
        };
        Ok(Dependencies::Available(self.constraints(&dependencies)?))
    }
}

/// A component of a lock as something to choose, if it comes from where the dependency says.
fn from_lock(locked: &Locked, origin: &Origin) -> Option<Candidate> {
    let version = match (&locked.source, origin) {
        (Source::Registry { .. }, Origin::Registry(_)) => {
            Resolved::Release(locked.version.parse().ok()?)
        }
        (Source::Git { url, path, .. }, Origin::Git { url: wanted, path: inside })
            if url == wanted && path == inside =>
        {
            Resolved::Commit(locked.version.clone())
        }
        _ => return None,
    };
    // A lock that does not say what a component needs cannot be solved from.
    let dependencies: Result<Vec<Dependency>> =
        locked.dependencies.as_ref()?.iter().map(Dependency::from_lock).collect();
    Some(Candidate {
        version,
        source: Some(locked.source.clone()),
        targets: locked.targets.clone(),
        dependencies: dependencies.ok()?,
        yanked: false,
    })
}

fn same_place(one: &Origin, other: &Origin) -> bool {
    match (one, other) {
        // The same component of another registry is another component, but a mirror is not.
        (Origin::Registry(_), Origin::Registry(_)) => true,
        _ => one == other,
    }
}

fn place(origin: &Origin) -> String {
    match origin {
        Origin::Idf => "ESP-IDF".to_owned(),
        Origin::Registry(_) => "the registry".to_owned(),
        Origin::Git { url, .. } => url.clone(),
        Origin::Local(path) => path.clone(),
    }
}

impl Candidate {
    /// As a lock holds it; `None` for ESP-IDF itself.
    pub fn to_locked(&self) -> Option<Locked> {
        Some(Locked {
            version: self.version.to_string(),
            source: self.source.clone()?,
            targets: self.targets.clone(),
            dependencies: Some(self.dependencies.iter().map(Dependency::to_lock).collect()),
        })
    }
}
