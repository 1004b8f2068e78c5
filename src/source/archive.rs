//! Unpacking source archives that nobody has vouched for yet.
//!
//! An archive is unpacked before its tree can be hashed, so nothing in it is trusted: every member
//! stays below the destination, only directories, files and symlinks are made, symlinks come last so
//! that nothing can be written through one, and size and number are bounded.

mod zip;

use std::collections::{BTreeMap, VecDeque};
use std::ffi::{OsStr, OsString};
use std::fs::{self, File};
use std::io::{self, BufReader, Read, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{OpenOptionsExt, symlink};
use std::path::{Component, Path, PathBuf};
use std::time::{Duration, SystemTime};

use flate2::read::MultiGzDecoder;
use liblzma::bufread::XzDecoder;
use liblzma::stream::{CONCATENATED, Stream};
use tar::EntryType;

use crate::error::{Error, Result, describe};
use crate::interrupt;

/// How many symlinks a path may lead through, as on Linux.
const MAX_HOPS: usize = 40;

/// Bytes of memory that unpacking a `.tar.xz` may take. `xz -9` asks for 65 MiB; a header can ask for 4 GiB.
const XZ_MEMORY: u64 = 256 << 20;

/// How much an archive may hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Bytes in all files together.
    pub bytes: u64,
    /// Files, directories and symlinks.
    pub members: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Limits { bytes: 4 << 30, members: 500_000 }
    }
}

/// Where the tree lies in an archive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Layout {
    /// Below one top-level directory, which is left out.
    BelowTop,
    /// At the archive's root.
    Flat,
}

/// Unpacks a `.tar.gz`, `.tar.xz`, `.tar` or `.zip` into an existing empty directory. The format is
/// read from the file's first bytes.
///
/// # Errors
/// When the archive is damaged, of another format, larger than `limits`, or holds what a source tree
/// has no use for: members outside the tree, symlinks that lead out of it, devices, hard links,
/// a member twice. Or when the disk is full, or the user interrupts.
pub fn unpack(archive: &Path, into: &Path, layout: Layout, limits: Limits) -> Result<()> {
    let open = |error: io::Error| Error::io("open", archive, &error);
    let mut file = BufReader::with_capacity(128 * 1024, File::open(archive).map_err(open)?);
    let magic = io::BufRead::fill_buf(&mut file).map_err(open)?;
    let unpacker = Unpacker {
        into,
        layout,
        limits,
        members: 0,
        bytes: 0,
        top: None,
        links: BTreeMap::new(),
        buffer: vec![0; 128 * 1024],
    };
    // Also that of an archive without members.
    if magic.starts_with(b"PK\x03\x04") || magic.starts_with(b"PK\x05\x06") {
        return zip::unpack(file, unpacker);
    }
    let input = decompressed(file)?;
    // Headers count too: no archive of an allowed number of members has this much of them.
    let input = input.take(limits.bytes.saturating_add(limits.members.saturating_mul(4096)));
    unpack_tar(input, unpacker)
}

/// The tar archive in a compressed or plain file.
fn decompressed(mut file: BufReader<File>) -> Result<Box<dyn Read>> {
    let magic = io::BufRead::fill_buf(&mut file).map_err(|error| damaged(&error))?;
    if magic.starts_with(&[0x1f, 0x8b]) {
        Ok(Box::new(MultiGzDecoder::new(file)))
    } else if magic.starts_with(b"\xfd7zXZ\0") {
        let decoder = Stream::new_stream_decoder(XZ_MEMORY, CONCATENATED);
        Ok(Box::new(XzDecoder::new_stream(file, decoder.map_err(|error| damaged(&error.into()))?)))
    } else if magic.get(257..262) == Some(b"ustar".as_slice()) {
        Ok(Box::new(file))
    } else {
        Err(Error::source("what was downloaded is neither a .tar.gz, .tar.xz nor .zip file")
            .hint("a proxy or a login page may have answered in the server's place"))
    }
}

/// Unpacks a `.tar.gz` or `.tar.xz` whose hash has been compared with its pin into an empty directory,
/// with the hard links that [`unpack`] refuses, and returns its one top-level directory.
///
/// # Errors
/// When the archive holds anything else than one directory, the disk is full, or the user interrupts.
pub fn unpack_verified(archive: &Path, into: &Path) -> Result<PathBuf> {
    let file = File::open(archive).map_err(|error| Error::io("open", archive, &error))?;
    let mut tar = tar::Archive::new(decompressed(BufReader::with_capacity(128 * 1024, file))?);
    for entry in tar.entries().map_err(|error| damaged(&error))? {
        interrupt::check()?;
        let mut entry = entry.map_err(|error| damaged(&error))?;
        let unpacked =
            entry.unpack_in(into).map_err(|error| Error::io("unpack", archive, &error))?;
        if !unpacked {
            let name = entry.path_bytes().into_owned();
            return Err(refused(Path::new(OsStr::from_bytes(&name)), "leads out of the tree"));
        }
    }
    let entries = fs::read_dir(into).map_err(|error| Error::io("read", into, &error))?;
    let mut paths = entries.filter_map(|entry| Some(entry.ok()?.path()));
    match (paths.next(), paths.next()) {
        (Some(top), None) if top.is_dir() => Ok(top),
        _ => Err(Error::source("the archive does not hold one directory")),
    }
}

fn unpack_tar(input: impl Read, mut unpacker: Unpacker<'_>) -> Result<()> {
    let mut archive = tar::Archive::new(input);
    for entry in archive.entries().map_err(|error| damaged(&error))? {
        let mut entry = entry.map_err(|error| damaged(&error))?;
        let kind = entry.header().entry_type();
        // git writes the commit's id into one.
        if kind.is_pax_global_extensions() {
            continue;
        }
        let name = PathBuf::from(OsStr::from_bytes(&entry.path_bytes()));
        let kind = match kind {
            EntryType::Directory => Kind::Directory,
            EntryType::Regular | EntryType::Continuous => Kind::File {
                executable: entry.header().mode().is_ok_and(|mode| mode & 0o100 != 0),
                size: entry.size(),
                time: entry.header().mtime().ok(),
            },
            EntryType::Symlink => {
                let target = entry.link_name_bytes().unwrap_or_default();
                Kind::Symlink(PathBuf::from(OsStr::from_bytes(&target)))
            }
            EntryType::Link => return Err(refused(&name, "is a hard link")),
            EntryType::Char | EntryType::Block | EntryType::Fifo => {
                return Err(refused(&name, "is a device or a named pipe"));
            }
            other => {
                let letter = char::from(other.as_byte());
                return Err(refused(&name, &format!("is of type {letter:?}")));
            }
        };
        unpacker.member(&name, kind, &mut entry)?;
    }
    unpacker.finish()
}

/// What a member is.
enum Kind {
    Directory,
    File {
        executable: bool,
        /// Bytes of its content.
        size: u64,
        /// When it was changed, in seconds since 1970.
        time: Option<u64>,
    },
    /// A symlink to this path.
    Symlink(PathBuf),
}

struct Unpacker<'a> {
    into: &'a Path,
    layout: Layout,
    limits: Limits,
    members: u64,
    bytes: u64,
    /// The first component of every member, if it is left out.
    top: Option<OsString>,
    /// Symlinks by their paths in the tree, made at the end.
    links: BTreeMap<PathBuf, PathBuf>,
    buffer: Vec<u8>,
}

impl Unpacker<'_> {
    fn member(&mut self, name: &Path, kind: Kind, content: &mut dyn Read) -> Result<()> {
        interrupt::check()?;
        self.members += 1;
        if self.members > self.limits.members {
            return Err(Error::source(format!(
                "the archive holds more than {} members",
                self.limits.members
            )));
        }
        let Some(path) = self.place(name)? else { return Ok(()) };
        match kind {
            Kind::Directory => self.directory(&path),
            Kind::File { executable, size, time } => {
                let file = self.file(&path, executable, content)?;
                // The readers end a file where the archive ends: its size tells whether it is whole.
                let length =
                    file.metadata().map_err(|error| Error::io("read", &path, &error))?.len();
                if length != size {
                    return Err(refused(name, "is cut off"));
                }
                let time = time.map(Duration::from_secs);
                let time = time.and_then(|seconds| SystemTime::UNIX_EPOCH.checked_add(seconds));
                // Only for the eye: no hash and no build depends on it.
                let _ = time.map(|time| file.set_modified(time));
                Ok(())
            }
            Kind::Symlink(target) => match self.links.insert(path, target) {
                None => Ok(()),
                Some(_) => Err(refused(name, "is there twice")),
            },
        }
    }

    /// Where a member belongs in the tree. `None` for the top-level directory itself.
    fn place(&mut self, name: &Path) -> Result<Option<PathBuf>> {
        let mut path = PathBuf::new();
        let mut top: Option<&OsStr> = None;
        for component in name.components() {
            match component {
                Component::CurDir => {}
                Component::Normal(part) if part.as_bytes().contains(&0) => {
                    return Err(refused(name, "has a zero byte in its name"));
                }
                Component::Normal(part) if self.layout == Layout::BelowTop && top.is_none() => {
                    top = Some(part);
                }
                Component::Normal(part) => path.push(part),
                Component::ParentDir => return Err(refused(name, "leads out of the tree")),
                Component::RootDir | Component::Prefix(_) => {
                    return Err(refused(name, "has an absolute path"));
                }
            }
        }
        if self.layout == Layout::Flat {
            return Ok((!path.as_os_str().is_empty()).then_some(path));
        }
        let Some(top) = top else { return Ok(None) };
        if *self.top.get_or_insert_with(|| top.to_owned()) != top {
            return Err(refused(name, "lies beside the archive's top-level directory"));
        }
        Ok((!path.as_os_str().is_empty()).then_some(path))
    }

    fn directory(&self, path: &Path) -> Result<()> {
        let path = self.into.join(path);
        fs::create_dir_all(&path).map_err(|error| self.cannot_make(&path, &error))
    }

    fn file(&mut self, path: &Path, executable: bool, content: &mut dyn Read) -> Result<File> {
        if let Some(parent) = path.parent().filter(|parent| !parent.as_os_str().is_empty()) {
            self.directory(parent)?;
        }
        let path = self.into.join(path);
        let mut file = File::options()
            .write(true)
            .create_new(true)
            .mode(if executable { 0o755 } else { 0o644 })
            .open(&path)
            .map_err(|error| self.cannot_make(&path, &error))?;
        loop {
            interrupt::check()?;
            let count = content.read(&mut self.buffer).map_err(|error| damaged(&error))?;
            if count == 0 {
                return Ok(file);
            }
            self.bytes = self.bytes.saturating_add(count as u64);
            if self.bytes > self.limits.bytes {
                return Err(Error::source(format!(
                    "the archive's files are larger than {} bytes together",
                    self.limits.bytes
                )));
            }
            file.write_all(self.buffer.get(..count).unwrap_or_default())
                .map_err(|error| Error::io("write", &path, &error))?;
        }
    }

    /// Makes the symlinks, now that nothing else will be written.
    fn finish(self) -> Result<()> {
        for (path, target) in &self.links {
            let inside = !target.as_os_str().is_empty()
                && !target.as_os_str().as_bytes().contains(&0)
                && stays_inside(&self.links, path, target);
            if !inside {
                return Err(refused(
                    path,
                    &format!("is a symlink that leads out of the tree, to {}", target.display()),
                ));
            }
        }
        for (path, target) in &self.links {
            if let Some(parent) = path.parent() {
                self.directory(parent)?;
            }
            let path = self.into.join(path);
            symlink(target, &path).map_err(|error| self.cannot_make(&path, &error))?;
        }
        if self.top.is_none() && self.layout == Layout::BelowTop || self.members == 0 {
            return Err(Error::source("the archive is empty"));
        }
        Ok(())
    }

    fn cannot_make(&self, path: &Path, error: &io::Error) -> Error {
        let name = path.strip_prefix(self.into).unwrap_or(path);
        match error.kind() {
            io::ErrorKind::AlreadyExists => refused(name, "is there twice"),
            io::ErrorKind::NotADirectory => refused(name, "lies below a file"),
            _ => Error::io("create", path, error),
        }
    }
}

/// Whether following a symlink ends inside the tree, whichever other symlinks it leads through.
fn stays_inside(links: &BTreeMap<PathBuf, PathBuf>, link: &Path, target: &Path) -> bool {
    let mut at: PathBuf = link.parent().unwrap_or(Path::new("")).to_owned();
    let mut ahead: VecDeque<PathBuf> = VecDeque::from([target.to_owned()]);
    let mut hops = 0;
    while let Some(path) = ahead.pop_front() {
        let mut components = path.components();
        let Some(component) = components.next() else { continue };
        ahead.push_front(components.as_path().to_owned());
        match component {
            Component::CurDir => {}
            Component::ParentDir => {
                if !at.pop() {
                    return false;
                }
            }
            Component::Normal(name) => {
                at.push(name);
                if let Some(further) = links.get(&at) {
                    hops += 1;
                    if hops > MAX_HOPS {
                        return false;
                    }
                    at.pop();
                    ahead.push_front(further.clone());
                }
            }
            Component::RootDir | Component::Prefix(_) => return false,
        }
    }
    true
}

fn refused(name: &Path, why: &str) -> Error {
    Error::source(format!("the archive is not a source tree: {} {why}", name.display()))
}

fn damaged(error: &io::Error) -> Error {
    Error::source(format!("the archive is damaged: {}", describe(error)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn inside(links: &[(&str, &str)], link: &str) -> bool {
        let links: BTreeMap<PathBuf, PathBuf> =
            links.iter().map(|(path, target)| (path.into(), target.into())).collect();
        stays_inside(&links, Path::new(link), &links[Path::new(link)])
    }

    #[test]
    fn symlinks_are_followed_through_each_other() {
        assert!(inside(&[("a/b", "../c/d")], "a/b"));
        assert!(inside(&[("a/b", "./x/../../y")], "a/b"));
        assert!(!inside(&[("a/b", "../../c")], "a/b"));
        assert!(!inside(&[("b", "/etc/passwd")], "b"));
        // In words, a/b/up/../.. is a/b; in fact, up leads to the top.
        let links = [("a/b/up", "../.."), ("a/b/out", "up/../x")];
        assert!(inside(&links, "a/b/up"));
        assert!(!inside(&links, "a/b/out"));
        // A target through a symlink to a directory further down.
        assert!(inside(&[("d", "sub/deep"), ("l", "d/../../x")], "l"));
        assert!(!inside(&[("a", "b"), ("b", "a")], "a"));
    }
}
