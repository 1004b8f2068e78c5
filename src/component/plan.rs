//! From locks and pins to what has to be fetched.

use std::collections::{BTreeMap, BTreeSet};

use super::fetch::{Place, Wanted};
use super::files::Defaults;
use super::lock::{Lock, Source};
use super::{ComponentHash, name};
use crate::error::{Error, Result};
use crate::pins::{ComponentPin, ComponentSource, Components, GitTree, Sha256Hash};

/// The components of some locks, by name.
#[derive(Debug, Clone, Default)]
pub struct Plan {
    /// What is wanted, with the NAR hash of its directory where that is pinned.
    pub wanted: BTreeMap<String, (Wanted, Option<Sha256Hash>)>,
    /// Components of the locks that are directories of the machine that made them.
    pub local: Vec<String>,
    /// Components of the locks that [`Plan::keep_only`] left out.
    pub left_out: Vec<String>,
    /// Which lock each came from, for messages.
    from: BTreeMap<String, String>,
}

impl Plan {
    /// Adds the components of a lock. `place` names it in messages.
    ///
    /// # Errors
    /// When another lock has a component of the same name in another version.
    pub fn add_lock(&mut self, lock: &Lock, place: &str, pins: &Components) -> Result<()> {
        for (name, locked) in &lock.components {
            let Some(hash) = locked.hash() else {
                self.local.push(name.clone());
                continue;
            };
            let version = &locked.version;
            let pin = pins
                .get(name, version)
                .filter(|pin| ComponentHash::from(pin.component_hash) == *hash);
            let (defaults, usual) = match &locked.source {
                Source::Git { url, path, .. } => {
                    let tree =
                        GitTree { url: url.clone(), commit: version.clone(), path: path.clone() };
                    (Defaults::LeftOut, vec![Place::Forge(tree.clone()), Place::Git(tree)])
                }
                Source::Registry { url, .. } => {
                    (Defaults::Kept, vec![Place::Registry(url.clone())])
                }
                Source::Local { .. } => continue,
            };
            let pinned = pin.map(|pin| places(pin, &usual)).unwrap_or_default();
            let wanted = Wanted {
                name: name.clone(),
                version: version.clone(),
                hash: *hash,
                defaults,
                places: if pinned.is_empty() { usual } else { pinned },
            };
            self.add(wanted, pin.and_then(|pin| pin.nar), place)?;
        }
        Ok(())
    }

    /// Adds the components that the pins list for a release of MicroPython and a chip.
    ///
    /// # Errors
    /// When they are not pinned.
    pub fn add_release(&mut self, release: &str, target: &str, pins: &Components) -> Result<()> {
        let known = pins.releases.get(release).ok_or_else(|| {
            let names: Vec<&str> = pins.releases.keys().map(String::as_str).collect();
            Error::input(format!("the components of MicroPython {release} are not pinned"))
                .hint(format!("pinned are {}", names.join(", ")))
        })?;
        let lock = known.targets.get(target).ok_or_else(|| {
            let names: Vec<&str> = known.targets.keys().map(String::as_str).collect();
            Error::input(format!("MicroPython {release} has no components for {target}"))
                .hint(format!("it has for {}", names.join(", ")))
        })?;
        for (name, version) in &lock.components {
            let pin = pins.get(name, version).ok_or_else(|| {
                Error::input(format!(
                    "{name} {version} is not pinned, but {release} {target} needs it"
                ))
            })?;
            self.add_pin(name, version, pin, &format!("{release} {target}"))?;
        }
        Ok(())
    }

    /// Adds a component by its name and version, which must be pinned.
    ///
    /// # Errors
    /// When it is not.
    pub fn add_pinned(&mut self, name: &str, version: &str, pins: &Components) -> Result<()> {
        let name = name::with_namespace(name);
        let pin = pins.get(&name, version).ok_or_else(|| {
            let error = Error::input(format!("{name} {version} is not pinned"));
            match pins.components.get(&name) {
                Some(versions) => {
                    let known: Vec<&str> = versions.keys().map(String::as_str).collect();
                    error.hint(format!("of {name} are pinned {}", known.join(", ")))
                }
                None => error.hint("`micropython-builder vendor --lock FILE --write-pins FILE` pins one, then give --pins FILE"),
            }
        })?;
        self.add_pin(&name, version, pin, "--pinned")
    }

    fn add_pin(
        &mut self,
        name: &str,
        version: &str,
        pin: &ComponentPin,
        place: &str,
    ) -> Result<()> {
        let git = pin.sources.iter().any(|it| matches!(it, ComponentSource::Git(_)));
        let wanted = Wanted {
            name: name.to_owned(),
            version: version.to_owned(),
            hash: pin.component_hash.into(),
            defaults: if git { Defaults::LeftOut } else { Defaults::Kept },
            places: places(pin, &[Place::Registry(None)]),
        };
        self.add(wanted, pin.nar, place)
    }

    /// The directories that may be there.
    pub(super) fn directories(&self) -> BTreeSet<String> {
        self.wanted.keys().chain(&self.left_out).map(|name| name::directory(name)).collect()
    }

    fn add(&mut self, wanted: Wanted, nar: Option<Sha256Hash>, place: &str) -> Result<()> {
        let name = wanted.name.clone();
        let directory = name::directory(&name).to_lowercase();
        let same = self
            .wanted
            .values()
            .find(|(it, _)| name::directory(&it.name).to_lowercase() == directory);
        match same {
            None => {
                self.from.insert(name.clone(), place.to_owned());
                self.wanted.insert(name, (wanted, nar));
                Ok(())
            }
            Some((other, _)) if other.hash == wanted.hash && other.version == wanted.version => {
                Ok(())
            }
            Some((other, _)) => {
                let from = self.from.get(&other.name).map_or("", String::as_str);
                Err(Error::input(format!(
                    "two components of one name: {} {} of {from}, and {} {} of {place}",
                    other.name, other.version, wanted.name, wanted.version
                ))
                .hint("vendor each lock into a directory of its own"))
            }
        }
    }

    /// Keeps only these components. The others may be there already and are left alone.
    ///
    /// # Errors
    /// When one is not in the locks.
    pub fn keep_only(&mut self, names: &[String]) -> Result<()> {
        let names: Vec<String> = names.iter().map(|name| name::with_namespace(name)).collect();
        if let Some(name) = names.iter().find(|name| !self.wanted.contains_key(*name)) {
            let known: Vec<&str> = self.wanted.keys().map(String::as_str).collect();
            return Err(Error::input(format!("there is no component {name} in the lock"))
                .hint(format!("it has {}", known.join(", "))));
        }
        let left_out = self.wanted.keys().filter(|name| !names.contains(name));
        self.left_out.extend(left_out.cloned());
        self.wanted.retain(|name, _| names.contains(name));
        Ok(())
    }
}

/// The places of a pin. A registry is the one that the lock names.
fn places(pin: &ComponentPin, usual: &[Place]) -> Vec<Place> {
    let mut places = Vec::new();
    for source in &pin.sources {
        match source {
            ComponentSource::Registry => places.extend(usual.iter().cloned()),
            ComponentSource::Git(tree) => {
                places.extend([Place::Forge(tree.clone()), Place::Git(tree.clone())]);
            }
            ComponentSource::Repository(upload) => places.extend([
                Place::UploadFromForge(upload.clone()),
                Place::UploadWithGit(upload.clone()),
            ]),
        }
    }
    places
}
