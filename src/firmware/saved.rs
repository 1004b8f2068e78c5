//! Finished builds, saved to one file, that other builds begin with.
//!
//! Most of a firmware never changes: ESP-IDF, the port, MicroPython itself. A build that adds a frozen
//! module or a C module takes up the directory that the stock build left, and compiles what is new.
//!
//! What is saved is `build/` alone. Everything that goes into it, the copies of the sources, is made
//! anew each time; a file that is what it was when the build was saved gets the time of change
//! it had then. So the build system sees as changed exactly what differs, whatever that is: a manifest,
//! a setting, a patch. Where it lies must be the same, for absolute paths are all over a CMake build.
//!
//! The file is a tar archive, compressed by Zstandard. Its first member is the [`Header`] as JSON.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, BufReader, BufWriter, Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};
use walkdir::WalkDir;

use super::job::Job;
use super::plan::Request;
use super::workspace::Workspace;
use crate::error::{Error, Result};
use crate::interrupt;
use crate::pins::Sha256Hash;
use crate::report::Report;

/// The name of the header in the archive.
const HEADER: &str = "micropython-builder-build.json";

/// The schema of the header that this version writes and reads.
const SCHEMA: u32 = 1;

/// The directory of the workspace that is saved.
const BUILD: &str = "build";

/// Zstandard's own default: a few hundred megabytes in a second or two, to a sixth of their size.
const LEVEL: i32 = 3;

/// What a saved build is of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Header {
    schema: u32,
    port: String,
    board: String,
    #[serde(default)]
    variant: Option<String>,
    /// Where the workspace was, absolute.
    workspace: PathBuf,
    /// When the newest file in it was changed, in seconds since 1970.
    newest: u64,
    /// What went into it.
    inputs: Inputs,
}

/// The files of a workspace before anything was built from them, by their path in it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Inputs(BTreeMap<String, Input>);

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
struct Input {
    sha256: Sha256Hash,
    /// When it was changed, in whole seconds since 1970, rounded down. The archive has no fractions, and
    /// what was in order stays in order only if all are rounded alike.
    changed: u64,
}

/// The workspace of a build that is saved, or that begins with a saved one; `None` for one that does
/// neither, or where the saved one lay nothing can be made. Then the report says so: it is a cache,
/// and what it holds can be built.
///
/// # Errors
/// When the file is no saved build, or one of another board.
pub(super) fn begin(
    request: &Request<'_>,
    report: &dyn Report,
) -> Result<Option<(Workspace, Inputs)>> {
    if let Some(file) = &request.from_build {
        let mut archive = open(file)?;
        let (header, mut members) = read_header(&mut archive, file)?;
        header.check(request, file)?;
        match header.place() {
            Err(reason) => report.warn(&format!(
                "everything is built, and nothing taken from {}: {reason}",
                file.display()
            )),
            Ok(workspace) => {
                unpack(&mut members, &workspace, file)?;
                return Ok(Some((workspace, header.inputs)));
            }
        }
    }
    match request.save_build {
        Some(_) => Ok(Some((Workspace::fixed(&request.out)?, Inputs::default()))),
        None => Ok(None),
    }
}

impl Header {
    fn check(&self, request: &Request<'_>, file: &Path) -> Result<()> {
        let target = &request.target;
        if (&self.port, &self.board, &self.variant)
            == (&target.port, &target.board, &target.variant)
        {
            return Ok(());
        }
        let label = |board: &str, variant: &Option<String>| {
            variant
                .as_ref()
                .map_or_else(|| board.to_owned(), |variant| format!("{board}-{variant}"))
        };
        Err(Error::input(format!(
            "{} is a build of {}, and {} is to be built",
            file.display(),
            label(&self.board, &self.variant),
            label(&target.board, &target.variant)
        ))
        .hint("give --from-build what `build --save-build` wrote for the same board and variant"))
    }

    /// The workspace where it was, or why there can be none.
    fn place(&self) -> std::result::Result<Workspace, String> {
        // A file that is written now must be newer than all of the saved ones.
        if now() <= self.newest {
            return Err("it was made in the future, by this machine's clock".to_owned());
        }
        Workspace::at(&self.workspace)
            .map_err(|error| format!("it has to be at {} again: {error}", self.workspace.display()))
    }
}

/// Gives the files of a job's workspace that are what they were for the saved build the time of change
/// they had then, and returns what all of them are now. `None` where there is no use for it: the job
/// neither begins with a saved build nor is to be saved.
///
/// # Errors
/// When a file cannot be read or changed.
pub(super) fn settle(job: &Job<'_>) -> Result<Option<Inputs>> {
    if job.before.0.is_empty() && job.request.save_build.is_none() {
        return Ok(None);
    }
    settle_in(job.workspace.path(), job.before).map(Some)
}

fn settle_in(workspace: &Path, before: &Inputs) -> Result<Inputs> {
    let mut inputs = BTreeMap::new();
    let walk = WalkDir::new(workspace).min_depth(1).into_iter();
    for entry in walk.filter_entry(|it| !(it.depth() == 1 && it.file_name() == BUILD)) {
        interrupt::check()?;
        let entry = entry.map_err(|error| Error::walk(workspace, error))?;
        let below = entry.path().strip_prefix(workspace).ok().and_then(Path::to_str);
        let (Some(below), true) = (below, entry.file_type().is_file()) else { continue };
        let path = entry.path();
        let sha256 = Sha256Hash::of_file(path)?;
        let known = before.0.get(below).filter(|known| known.sha256 == sha256);
        let changed = match known {
            None => seconds(&fs::metadata(path).map_err(|error| Error::io("read", path, &error))?),
            Some(known) => {
                // Opened to be read: the owner may change the time of a file that is not to be written.
                File::open(path)
                    .and_then(|file| {
                        file.set_modified(UNIX_EPOCH + Duration::from_secs(known.changed))
                    })
                    .map_err(|error| Error::io("change the time of", path, &error))?;
                known.changed
            }
        };
        inputs.insert(below.to_owned(), Input { sha256, changed });
    }
    Ok(Inputs(inputs))
}

/// Saves a job's finished build with what [`settle`] returned, if the request says where to.
///
/// # Errors
/// When the file cannot be written. One that was there before is kept then.
pub(super) fn save(job: &Job<'_>, inputs: Option<Inputs>) -> Result<()> {
    let (Some(file), Some(inputs)) = (&job.request.save_build, inputs) else { return Ok(()) };
    let target = &job.request.target;
    let header = Header {
        schema: SCHEMA,
        port: target.port.clone(),
        board: target.board.clone(),
        variant: target.variant.clone(),
        workspace: job.workspace.path().to_owned(),
        newest: 0,
        inputs,
    };
    job.report.step(&format!("saving the build to {}", file.display()));
    write(header, job.workspace.path(), file)
}

fn write(mut header: Header, workspace: &Path, file: &Path) -> Result<()> {
    let members = members(&workspace.join(BUILD))?;
    let times = members.iter().map(|(_, metadata)| seconds(metadata));
    let inputs = header.inputs.0.values().map(|input| input.changed);
    header.newest = times.chain(inputs).max().unwrap_or_default();

    let fail = |error: io::Error| Error::io("write", file, &error);
    let directory = file.parent().filter(|it| !it.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut fresh = tempfile::Builder::new()
        .permissions(fs::Permissions::from_mode(0o644))
        .tempfile_in(directory)
        .map_err(fail)?;
    let compressor = zstd::Encoder::new(BufWriter::new(&mut fresh), LEVEL).map_err(fail)?;
    let mut archive = tar::Builder::new(compressor);
    archive.follow_symlinks(false);
    let text = serde_json::to_vec(&header)
        .map_err(|error| Error::internal(format!("cannot write {HEADER}: {error}")))?;
    let mut member = tar::Header::new_gnu();
    member.set_size(text.len() as u64);
    member.set_mode(0o644);
    archive.append_data(&mut member, HEADER, text.as_slice()).map_err(fail)?;
    for (path, _) in &members {
        interrupt::check()?;
        let below = path.strip_prefix(workspace).unwrap_or(path);
        archive.append_path_with_name(path, below).map_err(fail)?;
    }
    let compressor = archive.into_inner().map_err(fail)?;
    let mut out = compressor.finish().map_err(fail)?;
    out.flush().map_err(fail)?;
    drop(out);
    fresh.persist(file).map_err(|error| fail(error.error))?;
    Ok(())
}

/// Everything in a directory, and itself, in an order that depends on the names alone.
fn members(directory: &Path) -> Result<Vec<(PathBuf, fs::Metadata)>> {
    let mut members = Vec::new();
    for entry in WalkDir::new(directory).sort_by_file_name() {
        let entry = entry.map_err(|error| Error::walk(directory, error))?;
        let metadata = entry
            .metadata()
            .map_err(|error| Error::io("read", entry.path(), &io::Error::from(error)))?;
        members.push((entry.into_path(), metadata));
    }
    Ok(members)
}

type Archive = tar::Archive<zstd::Decoder<'static, BufReader<File>>>;

fn open(file: &Path) -> Result<Archive> {
    let fail = |error: io::Error| Error::io("read", file, &error);
    let opened = File::open(file).map_err(fail)?;
    let decompressor = zstd::Decoder::new(opened).map_err(fail)?;
    let mut archive = tar::Archive::new(decompressor);
    archive.set_preserve_permissions(true);
    archive.set_preserve_mtime(true);
    Ok(archive)
}

/// The header, and the members after it.
fn read_header<'a>(
    archive: &'a mut Archive,
    file: &Path,
) -> Result<(Header, tar::Entries<'a, zstd::Decoder<'static, BufReader<File>>>)> {
    let wrong = |why: String| {
        Error::input(format!("{} is no saved build: {why}", file.display()))
            .hint("give --from-build a file that `build --save-build FILE` wrote")
    };
    let mut members = archive.entries().map_err(|error| wrong(error.to_string()))?;
    let mut text = Vec::new();
    let first = members.next().transpose().map_err(|error| wrong(error.to_string()))?;
    let mut first = first
        .filter(|first| first.path_bytes().as_ref() == HEADER.as_bytes())
        .ok_or_else(|| wrong(format!("it does not begin with {HEADER}")))?;
    first.read_to_end(&mut text).map_err(|error| wrong(error.to_string()))?;
    drop(first);
    let value: serde_json::Value =
        serde_json::from_slice(&text).map_err(|error| wrong(error.to_string()))?;
    if value.get("schema").and_then(serde_json::Value::as_u64) != Some(u64::from(SCHEMA)) {
        return Err(wrong(format!("it has not the schema {SCHEMA}")));
    }
    let header = serde_json::from_value(value).map_err(|error| wrong(error.to_string()))?;
    Ok((header, members))
}

fn unpack<R: Read>(
    members: &mut tar::Entries<'_, R>,
    workspace: &Workspace,
    file: &Path,
) -> Result<()> {
    let fail = |error: io::Error| Error::io("unpack", file, &error);
    // Writing into a directory changes its time: directories last.
    let mut directories = Vec::new();
    for member in members {
        interrupt::check()?;
        let mut member = member.map_err(fail)?;
        if member.header().entry_type().is_dir() {
            directories.push(member);
        } else {
            member.unpack_in(workspace.path()).map_err(fail)?;
        }
    }
    for directory in directories.iter_mut().rev() {
        directory.unpack_in(workspace.path()).map_err(fail)?;
    }
    Ok(())
}

fn seconds(metadata: &fs::Metadata) -> u64 {
    let changed = metadata.modified().unwrap_or(UNIX_EPOCH);
    changed.duration_since(UNIX_EPOCH).map_or(0, |time| time.as_secs())
}

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| time.as_secs())
}

#[cfg(test)]
mod tests;
