//! Writing pins of components that were vendored.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Write};
use std::path::Path;

use super::fetch::{Place, Wanted};
use super::plan::Plan;
use super::upstream::UpstreamLock;
use super::vendor::Summary;
use crate::error::{Error, Result};
use crate::pins::{
    ComponentPin, ComponentSource, Components, ReleaseLocks, Sha256Hash, TargetLock,
};

/// Reads a file of pins.
///
/// # Errors
/// When it cannot be read or is none.
pub fn read(path: &Path) -> Result<Components> {
    let text = fs::read_to_string(path).map_err(|error| Error::io("read", path, &error))?;
    Components::parse(&text, &path.display().to_string())
}

/// The pin of a component whose NAR hash is known.
pub fn pin_of(wanted: &Wanted, nar: Option<Sha256Hash>) -> ComponentPin {
    let mut sources = Vec::new();
    for place in &wanted.places {
        match place {
            Place::Registry(_) => sources.push(ComponentSource::Registry),
            Place::Forge(tree) => sources.push(ComponentSource::Git(tree.clone())),
            Place::UploadFromForge(upload) => {
                sources.push(ComponentSource::Repository(upload.clone()));
            }
            Place::Git(_) | Place::UploadWithGit(_) => {}
        }
    }
    ComponentPin { component_hash: wanted.hash.into(), nar, sources }
}

/// The pins of what was vendored.
pub fn pins_of(plan: &Plan, summary: &Summary) -> Components {
    let mut pins = Components::empty();
    for component in &summary.components {
        if let Some((wanted, _)) = plan.wanted.get(&component.name) {
            let versions = pins.components.entry(component.name.clone()).or_default();
            versions.insert(component.version.clone(), pin_of(wanted, Some(component.nar)));
        }
    }
    pins
}

/// The pin of a release's lock file, all of whose components were vendored into one directory.
///
/// # Errors
/// When the lock does not say which ESP-IDF it was made with.
pub fn pin_release(
    pins: &mut Components,
    release: &str,
    target: &str,
    upstream: &UpstreamLock,
    summary: &Summary,
) -> Result<()> {
    let idf = upstream.lock.idf_version.as_ref().ok_or_else(|| {
        Error::input(format!("{} does not name ESP-IDF's version", upstream.path.display()))
    })?;
    let components = summary.components.iter().map(|it| (it.name.clone(), it.version.clone()));
    let lock = TargetLock {
        lock: upstream.sha256,
        components: components.collect(),
        nar: Some(summary.nar),
    };
    let locks = ReleaseLocks {
        esp_idf: idf.to_string(),
        targets: BTreeMap::from([(target.to_owned(), lock)]),
    };
    pins.releases.insert(release.to_owned(), locks);
    Ok(())
}

/// Adds pins to a file, which is created if it is not there.
///
/// # Errors
/// When it cannot be read or written, or is not a file of pins.
pub fn add(path: &Path, pins: Components) -> Result<()> {
    let mut all = match fs::metadata(path) {
        Ok(_) => read(path)?,
        Err(error) if error.kind() == io::ErrorKind::NotFound => Components::empty(),
        Err(error) => return Err(Error::io("read", path, &error)),
    };
    all.merge(pins);
    write_aside(path, &all.to_text()?)
}

/// Writes a file whole or not at all.
///
/// # Errors
/// When it cannot be written.
pub fn write_aside(path: &Path, text: &str) -> Result<()> {
    let directory = path.parent().filter(|it| !it.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let fail = |error: io::Error| Error::io("write", path, &error);
    let mut file = tempfile::Builder::new()
        .permissions(std::os::unix::fs::PermissionsExt::from_mode(0o644))
        .tempfile_in(directory)
        .map_err(fail)?;
    file.write_all(text.as_bytes()).map_err(fail)?;
    file.persist(path).map_err(|error| fail(error.error))?;
    Ok(())
}
