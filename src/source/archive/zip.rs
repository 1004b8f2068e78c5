//! Zip archives, as ESP-IDF's component registry serves them.

use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, BufReader, Read};
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

use zip::ZipArchive;
use zip::result::ZipError;

use super::{Kind, Unpacker, damaged, refused};
use crate::error::{Error, Result};

// The bits of a Unix mode that say what a member is, and what they are of a file, a directory and a
// symlink.
const TYPE: u32 = 0o170_000;
const FILE: u32 = 0o100_000;
const DIRECTORY: u32 = 0o040_000;
const SYMLINK: u32 = 0o120_000;

/// The longest target of a symlink, in bytes (Linux's `PATH_MAX`).
const MAX_TARGET: u64 = 4096;

pub(super) fn unpack(file: BufReader<File>, mut unpacker: Unpacker<'_>) -> Result<()> {
    let mut archive = ZipArchive::new(file).map_err(|error| wrong(&error))?;
    if archive.len() as u64 > unpacker.limits.members {
        let most = unpacker.limits.members;
        return Err(Error::source(format!("the archive holds more than {most} members")));
    }
    if archive.has_duplicate_names() {
        return Err(Error::source("the archive is not a source tree: it holds a member twice"));
    }
    for index in 0..archive.len() {
        let mut member = archive.by_index(index).map_err(|error| wrong(&error))?;
        let name = PathBuf::from(OsStr::from_bytes(member.name_raw()));
        let mode = member.unix_mode().unwrap_or(FILE | 0o644);
        let kind = match mode & TYPE {
            _ if member.is_dir() => Kind::Directory,
            DIRECTORY => Kind::Directory,
            // Archives made on other systems have no type.
            FILE | 0 => {
                Kind::File { executable: mode & 0o100 != 0, size: member.size(), time: None }
            }
            SYMLINK => {
                let mut target = Vec::new();
                let read = member.by_ref().take(MAX_TARGET).read_to_end(&mut target);
                read.map_err(|error| damaged(&error))?;
                Kind::Symlink(PathBuf::from(OsStr::from_bytes(&target)))
            }
            _ => return Err(refused(&name, "is a device or a named pipe")),
        };
        unpacker.member(&name, kind, &mut member)?;
    }
    unpacker.finish()
}

fn wrong(error: &ZipError) -> Error {
    match error {
        ZipError::Io(error) if error.kind() != io::ErrorKind::UnexpectedEof => damaged(error),
        other => Error::source(format!("the archive is damaged: {other}").to_lowercase()),
    }
}
