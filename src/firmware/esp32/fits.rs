//! Whether MicroPython, its locked components, ESP-IDF and the compiler go together, by what each of
//! them says about the others. Asked before anything is compiled.

use std::fs;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::idf::Idf;
use crate::component::Lock;
use crate::component::condition::Situation;
use crate::component::manifest::{self, Manifest, project_hash};
use crate::component::upstream;
use crate::component::version::Spec;
use crate::error::{Error, Result};
use crate::firmware::job::Job;
use crate::pins::{self, ReleaseName};

/// Checks ESP-IDF's version against what MicroPython's own manifest asks for, which is an error, and
/// against what upstream names for the release, which is a warning.
pub(super) fn check_idf(job: &Job<'_>, idf: &Idf, target: &str) -> Result<()> {
    let known = known_to_work(job)?;
    let path = main_manifest(job);
    if let Some(asked) = asked_idf(&path, idf, target)? {
        let spec: Spec = asked.parse().map_err(|error: Error| error.context(path.display()))?;
        if !spec.matches(&idf.version) {
            return Err(Error::input(format!(
                "MicroPython {} needs ESP-IDF {asked}, {} is {}",
                job.request.source.version,
                idf.path.display(),
                idf.version
            ))
            .hint(known.map_or_else(
                || "MicroPython's ports/esp32/README.md names the versions it is built with".into(),
                |known| check_out(idf, &known.recommended),
            )));
        }
    }
    if let Some(known) = known {
        let version = ReleaseName::parse(&idf.version.to_string());
        if !known.supported.iter().any(|tag| ReleaseName::parse(tag) == version) {
            job.report.warn(&format!(
                "upstream does not build MicroPython {} with ESP-IDF {}, but with {} (best {})",
                job.request.source.version,
                idf.version,
                known.supported.join(", "),
                known.recommended
            ));
        }
    }
    Ok(())
}

/// Checks that the lock is for this chip and was made from the manifest beside it: from another one,
/// the component manager would solve it anew, over the network.
pub(super) fn check_lock(job: &Job<'_>, idf: &Idf, target: &str, lock: &Lock) -> Result<()> {
    let shown = match &job.request.esp32.lock {
        Some(given) => given.display().to_string(),
        None => format!("ports/esp32/lockfiles/dependencies.lock.{target}"),
    };
    if let Some(other) = lock.target.as_ref().filter(|it| *it != target) {
        return Err(Error::input(format!("the lock {shown} is for {other}, not for {target}"))
            .hint(lock_command(job, idf, target)));
    }
    let manifest_path = main_manifest(job);
    let current = read_manifest(&manifest_path)?.map(|it| project_hash([(upstream::MAIN, &it)]));
    if current.is_some() && lock.manifest_hash.is_some() && current != lock.manifest_hash {
        let manifest = relative(job, &manifest_path);
        let modules = !module_manifests(job).is_empty();
        let error = Error::input(match (modules, &job.request.esp32.lock) {
            (true, None) => format!(
                "the user C modules ask for ESP-IDF components ({}) that the lock {shown} does not have",
                manifest::FILE_NAME
            ),
            (true, Some(_)) => format!(
                "the lock {shown} is stale: it was not made from {manifest} and what these user C \
                 modules ask for"
            ),
            (false, _) => format!(
                "the lock {shown} is stale: it was made from another {manifest} than the tree has"
            ),
        });
        let error = error.hint(lock_command(job, idf, target));
        return Err(match modules {
            true => error,
            false => error.hint(format!("or leave {manifest} as the release has it")),
        });
    }
    match lock.unfit_for_idf(&idf.version) {
        None => Ok(()),
        Some((name, spec)) => Err(Error::input(format!(
            "the component {name} that {shown} names needs ESP-IDF {spec}, {} is {}",
            idf.path.display(),
            idf.version
        ))
        .hint("take an ESP-IDF that MicroPython's ports/esp32/README.md names")),
    }
}

/// The command that writes a lock of the user's own, and the option that takes it.
pub(super) fn lock_command(job: &Job<'_>, idf: &Idf, target: &str) -> String {
    let added = module_manifests(job);
    let added: String = added.iter().map(|it| format!("--manifest {} ", it.display())).collect();
    format!(
        "`micropython-builder lock --micropython {} --idf {} --target {target} {added}--out \
         dependencies.lock.{target}`, then give --lock dependencies.lock.{target}",
        job.request.source.path.display(),
        idf.path.display(),
    )
}

/// The manifests of user C modules that need components.
pub(super) fn module_manifests(job: &Job<'_>) -> Vec<PathBuf> {
    let manifests = job.modules.values().map(|module| module.join(manifest::FILE_NAME));
    manifests.filter(|path| path.is_file()).collect()
}

/// Warns when the compiler is not the one that ESP-IDF recommends. `says` is the first line of its
/// `--version`.
pub(super) fn check_compiler(job: &Job<'_>, idf: &Idf, compiler: &str, says: Option<&str>) {
    let tools = fs::read_to_string(idf.path.join("tools/tools.json")).unwrap_or_default();
    let (Some(recommended), Some(says)) = (recommended(&tools, compiler), says) else { return };
    if !says.contains(&recommended) {
        job.report.warn(&format!(
            "ESP-IDF {} recommends {compiler} of {recommended}, this one is {says}",
            idf.version
        ));
    }
}

/// The manifest of the application's own component.
fn main_manifest(job: &Job<'_>) -> PathBuf {
    job.workspace.port("esp32").join("main").join(manifest::FILE_NAME)
}

/// Nothing where there is none: releases before v1.21 have none.
fn read_manifest(path: &Path) -> Result<Option<Manifest>> {
    match fs::read(path) {
        Ok(bytes) => Manifest::parse(&bytes, &path.display().to_string()).map(Some),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(Error::io("read", path, &error)),
    }
}

/// What conditions in manifests are about.
pub(super) fn situation(idf: &Idf, target: &str) -> Situation {
    Situation { target: target.to_owned(), idf_version: idf.version.clone() }
}

/// The versions of ESP-IDF that a manifest asks for.
fn asked_idf(path: &Path, idf: &Idf, target: &str) -> Result<Option<String>> {
    let Some(manifest) = read_manifest(path)? else { return Ok(None) };
    let situation = situation(idf, target);
    let asked =
        manifest.dependencies.iter().find(|dependency| dependency.origin == manifest::Origin::Idf);
    asked.map_or(Ok(None), |asked| asked.version_in(&situation))
}

/// The recommended and all supported versions, where the release is pinned.
fn known_to_work(job: &Job<'_>) -> Result<Option<pins::EspIdf>> {
    let pins = pins::micropython()?;
    let release = pins.release(job.request.source.version).ok();
    Ok(release.map(|(_, release)| release.esp_idf.clone()))
}

fn check_out(idf: &Idf, tag: &str) -> String {
    let tree = idf.path.display();
    format!("`git -C {tree} checkout {tag} && git -C {tree} submodule update --init --recursive`")
}

/// A path of the workspace's copy as the user knows it: as part of the MicroPython tree.
fn relative(job: &Job<'_>, path: &Path) -> String {
    path.strip_prefix(job.workspace.micropython()).unwrap_or(path).display().to_string()
}

#[derive(Deserialize)]
struct Tools {
    tools: Vec<Tool>,
}

#[derive(Deserialize)]
struct Tool {
    name: String,
    versions: Vec<ToolVersion>,
}

#[derive(Deserialize)]
struct ToolVersion {
    name: String,
    #[serde(default)]
    status: String,
}

/// The version of a compiler that `tools/tools.json` recommends: `esp-13.2.0_20240530`.
///
/// A tool there is named by the prefix of its programs; the compilers of all Xtensa chips are one
/// tool since ESP-IDF 5.1.
fn recommended(tools: &str, compiler: &str) -> Option<String> {
    let tools: Tools = serde_json::from_str(tools).ok()?;
    let prefix = compiler.strip_suffix("-gcc")?;
    let named = |name: &str| tools.tools.iter().find(|tool| tool.name == name);
    let tool = named(prefix)
        .or_else(|| prefix.starts_with("xtensa-").then(|| named("xtensa-esp-elf")).flatten())?;
    let version = tool.versions.iter().find(|version| version.status == "recommended")?;
    Some(version.name.clone())
}

#[cfg(test)]
mod tests {
    use super::recommended;

    #[test]
    fn the_recommended_compiler_is_found_under_the_name_of_its_tool() {
        let tools = r#"{"version": 2, "tools": [
            {"name": "riscv32-esp-elf", "versions": [
                {"name": "esp-14", "status": "supported"}, {"name": "esp-13", "status": "recommended"}]},
            {"name": "xtensa-esp-elf", "versions": [{"name": "esp-15", "status": "recommended"}]},
            {"name": "idf-exe", "versions": [{"name": "1"}]}]}"#;
        assert_eq!(recommended(tools, "riscv32-esp-elf-gcc").as_deref(), Some("esp-13"));
        assert_eq!(recommended(tools, "xtensa-esp32s3-elf-gcc").as_deref(), Some("esp-15"));
        assert_eq!(recommended(tools, "clang"), None);
        assert_eq!(recommended("", "riscv32-esp-elf-gcc"), None);
    }
}
