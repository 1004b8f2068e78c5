//! The NAR hash of a file, symlink or directory, as `nix hash path` computes it.
//!
//! A NAR (Nix archive; "The Purely Functional Software Deployment Model", figure 5.2, and
//! `libutil/archive.cc`) holds what matters of a tree and nothing else: names, file contents,
//! symlink targets, and whether a file's owner may execute it. Entries are sorted by the bytes of
//! their names; every string is preceded by its length as a little-endian `u64` and padded with
//! zeros to eight bytes.
//!
//! The archive is never held: it streams into its sink, file by file, 128 KiB at a time. Directories
//! are walked relative to their parents with an explicit stack, so neither the depth of a tree nor
//! the length of its paths is limited.

use std::ffi::{CStr, CString, OsStr};
use std::io::{self, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, CWD, Dir, FileType, Mode, OFlags, Stat};

use crate::error::{Error, Result};
use crate::interrupt;
use crate::pins::{Hasher, Sha256Hash};

const BUFFER: usize = 128 * 1024;

/// How many directories on the way to the current one are kept open. Those further up are
/// opened again, through `..`, when the walk comes back to them.
const OPEN_DIRECTORIES: usize = 32;

/// The NAR hash of a path. A symlink is hashed itself, not what it points to, unless a slash
/// follows its name: as with `nix hash path`.
///
/// # Errors
/// When something cannot be read, is neither file, directory nor symlink, or changes while it is
/// read; or when the user interrupts.
pub fn nar_hash(path: &Path) -> Result<Sha256Hash> {
    let mut hasher = Hasher::default();
    write(path, &mut hasher)?;
    Ok(hasher.finish())
}

/// Writes the NAR of a path to `sink`, as `nix-store --dump` does.
///
/// # Errors
/// As [`nar_hash`], and when the sink cannot take more.
pub fn write(path: &Path, sink: &mut dyn Write) -> Result<()> {
    let path = path.to_owned();
    let name = CString::new(path.as_os_str().as_bytes())
        .map_err(|_| Error::input(format!("{:?} is not a path: it holds a zero byte", path)))?;
    let mut writer = Writer { sink, buffer: vec![0; BUFFER], path };
    writer.strings(&[b"nix-archive-1"])?;
    let kind = writer.kind(CWD, &name)?;
    let Some(root) = writer.node(CWD, &name, kind)? else { return Ok(()) };
    writer.walk(root)
}

/// A directory on the way from the root to the current node.
struct Directory {
    /// `None` while more than [`OPEN_DIRECTORIES`] deeper ones are being walked.
    descriptor: Option<OwnedFd>,
    device: u64,
    inode: u64,
    /// What is still to be written, sorted, in reverse.
    entries: Vec<(CString, FileType)>,
}

struct Writer<'a> {
    sink: &'a mut dyn Write,
    buffer: Vec<u8>,
    /// Where the walk is, for messages.
    path: PathBuf,
}

impl Writer<'_> {
    fn walk(&mut self, root: Directory) -> Result<()> {
        let mut stack = vec![root];
        while let Some(directory) = stack.last_mut() {
            let Some((name, kind)) = directory.entries.pop() else {
                self.strings(&[b")"])?;
                let closed = stack.pop();
                if let (Some(parent), Some(child)) = (stack.last_mut(), closed) {
                    self.path.pop();
                    self.reopen(parent, &child)?;
                    self.strings(&[b")"])?;
                }
                continue;
            };
            self.path.push(OsStr::from_bytes(name.as_bytes()));
            self.strings(&[b"entry", b"(", b"name", name.as_bytes(), b"node"])?;
            let parent = directory.descriptor.as_ref().ok_or_else(lost)?;
            match self.node(parent.as_fd(), &name, kind)? {
                Some(child) => {
                    stack.push(child);
                    let far = stack.len().checked_sub(OPEN_DIRECTORIES);
                    if let Some(above) = far.and_then(|index| stack.get_mut(index)) {
                        above.descriptor = None;
                    }
                }
                None => {
                    self.path.pop();
                    self.strings(&[b")"])?;
                }
            }
        }
        Ok(())
    }

    /// Makes sure that a directory the walk comes back to is open.
    fn reopen(&self, parent: &mut Directory, child: &Directory) -> Result<()> {
        if parent.descriptor.is_some() {
            return Ok(());
        }
        let child = child.descriptor.as_ref().ok_or_else(lost)?;
        let descriptor = rustix::fs::openat(child, c"..", directory_flags(), Mode::empty())
            .map_err(|error| self.fail("open", error))?;
        let stat = rustix::fs::fstat(&descriptor).map_err(|error| self.fail("read", error))?;
        if identity(&stat) != (parent.device, parent.inode) {
            return Err(self.changed("it was moved"));
        }
        parent.descriptor = Some(descriptor);
        Ok(())
    }

    /// Writes a file or symlink whole. Of a directory it writes the beginning and returns the rest.
    fn node(
        &mut self,
        parent: BorrowedFd<'_>,
        name: &CStr,
        kind: FileType,
    ) -> Result<Option<Directory>> {
        interrupt::check()?;
        let kind = if kind == FileType::Unknown { self.kind(parent, name)? } else { kind };
        match kind {
            FileType::RegularFile => self.file(parent, name).map(|()| None),
            FileType::Symlink => {
                let target = rustix::fs::readlinkat(parent, name, Vec::new())
                    .map_err(|error| self.fail("read", error))?;
                self.strings(&[b"(", b"type", b"symlink", b"target", target.as_bytes(), b")"])?;
                Ok(None)
            }
            FileType::Directory => self.directory(parent, name).map(Some),
            other => Err(self.special(other)),
        }
    }

    fn kind(&self, parent: BorrowedFd<'_>, name: &CStr) -> Result<FileType> {
        rustix::fs::statat(parent, name, AtFlags::SYMLINK_NOFOLLOW)
            .map(|stat| FileType::from_raw_mode(stat.st_mode))
            .map_err(|error| self.fail("read", error))
    }

    fn file(&mut self, parent: BorrowedFd<'_>, name: &CStr) -> Result<()> {
        // A file that has been replaced by a pipe since must not block.
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::NONBLOCK;
        let file = rustix::fs::openat(parent, name, flags, Mode::empty())
            .map_err(|error| self.fail("open", error))?;
        let before = rustix::fs::fstat(&file).map_err(|error| self.fail("read", error))?;
        if FileType::from_raw_mode(before.st_mode) != FileType::RegularFile {
            return Err(self.changed("it was replaced"));
        }
        self.strings(&[b"(", b"type", b"regular"])?;
        if Mode::from_raw_mode(before.st_mode).contains(Mode::XUSR) {
            self.strings(&[b"executable", b""])?;
        }
        let size = u64::try_from(before.st_size).unwrap_or(0);
        self.strings(&[b"contents"])?;
        self.put(&size.to_le_bytes())?;
        let mut left = size;
        while left > 0 {
            interrupt::check()?;
            let wanted = usize::try_from(left).unwrap_or(BUFFER).min(BUFFER);
            let space = self.buffer.get_mut(..wanted).unwrap_or_default();
            let count = match rustix::io::read(&file, space) {
                Ok(0) => return Err(self.changed("it became shorter")),
                Ok(count) => count,
                Err(rustix::io::Errno::INTR) => continue,
                Err(error) => return Err(self.fail("read", error)),
            };
            let bytes = self.buffer.get(..count).unwrap_or_default();
            put(self.sink, bytes)?;
            left = left.saturating_sub(count as u64);
        }
        self.pad(size)?;
        let after = rustix::fs::fstat(&file).map_err(|error| self.fail("read", error))?;
        let state = |stat: &Stat| (stat.st_size, stat.st_mtime, stat.st_mtime_nsec);
        if state(&before) != state(&after) {
            return Err(self.changed("it was written to"));
        }
        self.strings(&[b")"])
    }

    fn directory(&mut self, parent: BorrowedFd<'_>, name: &CStr) -> Result<Directory> {
        let descriptor = rustix::fs::openat(parent, name, directory_flags(), Mode::empty())
            .map_err(|error| self.fail("open", error))?;
        let stat = rustix::fs::fstat(&descriptor).map_err(|error| self.fail("read", error))?;
        let mut entries = Vec::new();
        for entry in Dir::read_from(&descriptor).map_err(|error| self.fail("read", error))? {
            let entry = entry.map_err(|error| self.fail("read", error))?;
            let name = entry.file_name();
            if name != c"." && name != c".." {
                entries.push((name.to_owned(), entry.file_type()));
            }
        }
        entries.sort_unstable_by(|left, right| right.0.cmp(&left.0));
        self.strings(&[b"(", b"type", b"directory"])?;
        let (device, inode) = identity(&stat);
        Ok(Directory { descriptor: Some(descriptor), device, inode, entries })
    }

    fn strings(&mut self, strings: &[&[u8]]) -> Result<()> {
        for string in strings {
            let length = string.len() as u64;
            self.put(&length.to_le_bytes())?;
            self.put(string)?;
            self.pad(length)?;
        }
        Ok(())
    }

    fn pad(&mut self, length: u64) -> Result<()> {
        let zeros: &[u8] = match length % 8 {
            0 => &[],
            over => [0; 8].get(usize::try_from(over).unwrap_or(0)..).unwrap_or_default(),
        };
        self.put(zeros)
    }

    fn put(&mut self, bytes: &[u8]) -> Result<()> {
        put(self.sink, bytes)
    }

    fn fail(&self, action: &str, error: rustix::io::Errno) -> Error {
        Error::io(action, &self.path, &io::Error::from(error))
    }

    fn changed(&self, how: &str) -> Error {
        Error::input(format!("{} changed while it was read: {how}", self.path.display()))
            .hint("run it again when nothing writes to that tree")
    }

    fn special(&self, kind: FileType) -> Error {
        let kind = match kind {
            FileType::Fifo => "a named pipe",
            FileType::Socket => "a socket",
            FileType::CharacterDevice | FileType::BlockDevice => "a device",
            _ => "of an unknown type",
        };
        Error::input(format!(
            "{} is {kind}, expected a file, a directory or a symlink",
            self.path.display()
        ))
        .hint("a NAR cannot hold anything else; move it out of the tree")
    }
}

fn directory_flags() -> OFlags {
    OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC
}

fn put(sink: &mut dyn Write, bytes: &[u8]) -> Result<()> {
    sink.write_all(bytes).map_err(|error| {
        Error::input(format!("cannot write the archive: {}", crate::error::describe(&error)))
    })
}

fn lost() -> Error {
    Error::internal("a directory of the walk is not open")
}

// The types of these fields differ between operating systems.
#[allow(clippy::unnecessary_cast)]
fn identity(stat: &Stat) -> (u64, u64) {
    (stat.st_dev as u64, stat.st_ino as u64)
}
