//! What the host serves to the target over the link: the program to run, and the files of one directory.
//!
//! The directory is read-only and cannot be left: `..` stops at its top, and a symbolic link that
//! leads out of it is refused. Errors are the numbers that MicroPython's `errno` module names.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::vec;

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;

use crate::error::{self, Error};

/// How many bytes of a file one answer carries: 240 characters of base64, so that the answer is no
/// longer than [`HELD`](super::line::HELD).
const BLOCK: usize = 180;

/// How many files and listings a target may have open.
const OPEN_LIMIT: usize = 256;

/// The handle of the program.
const PROGRAM: usize = 0;

/// `st_mode` of a directory, as MicroPython's VFS has it.
const DIRECTORY: u32 = 0x4000;

/// `st_mode` of a file.
const FILE: u32 = 0x8000;

/// An error number of the target's `errno` module.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Errno(u8);

impl Errno {
    const ENOENT: Errno = Errno(2);
    const EIO: Errno = Errno(5);
    const EBADF: Errno = Errno(9);
    const EACCES: Errno = Errno(13);
    const ENODEV: Errno = Errno(19);
    const ENOTDIR: Errno = Errno(20);
    const EISDIR: Errno = Errno(21);
    const EINVAL: Errno = Errno(22);
    const EMFILE: Errno = Errno(24);
}

impl From<io::Error> for Errno {
    fn from(error: io::Error) -> Errno {
        match error.kind() {
            io::ErrorKind::NotFound => Errno::ENOENT,
            io::ErrorKind::PermissionDenied => Errno::EACCES,
            io::ErrorKind::NotADirectory => Errno::ENOTDIR,
            io::ErrorKind::IsADirectory => Errno::EISDIR,
            io::ErrorKind::InvalidInput => Errno::EINVAL,
            _ => Errno::EIO,
        }
    }
}

/// Something the target has open.
#[derive(Debug)]
enum Open {
    File(File),
    Listing(vec::IntoIter<String>),
}

/// Answers the target's requests.
#[derive(Debug, Default)]
pub(super) struct Server {
    root: Option<PathBuf>,
    open: Vec<Option<Open>>,
    program: Vec<u8>,
    opened: bool,
}

impl Server {
    /// Serves the files of a directory.
    pub(super) fn share(&mut self, directory: &Path) -> error::Result<()> {
        let root = directory
            .canonicalize()
            .and_then(|root| fs::read_dir(&root).map(|_| root))
            .map_err(|error| Error::io("mount", directory, &error))?;
        self.root = Some(root);
        Ok(())
    }

    /// Serves this program from now on.
    pub(super) fn offer(&mut self, program: &[u8]) {
        self.program = program.to_vec();
        self.opened = false;
    }

    /// Whether the target has opened the offered program.
    pub(super) fn opened(&self) -> bool {
        self.opened
    }

    /// Forgets what the target had open: it was reset.
    pub(super) fn reset(&mut self) {
        self.open.clear();
    }

    /// The answer to a request: `=` and a value, or `!` and an error number.
    pub(super) fn answer(&mut self, request: &str) -> String {
        match self.serve(request) {
            Ok(value) => format!("={value}"),
            Err(Errno(number)) => format!("!{number}"),
        }
    }

    fn serve(&mut self, request: &str) -> Result<String, Errno> {
        let mut words = request.split(' ');
        let what = words.next().unwrap_or_default();
        let argument = words.next().unwrap_or_default();
        match what {
            "program" => {
                self.opened = true;
                Ok(String::new())
            }
            "read" => {
                let offset = words.next().and_then(|word| word.parse().ok());
                self.read(handle(argument)?, offset.ok_or(Errno::EINVAL)?)
            }
            "next" => self.next(handle(argument)?),
            "close" => {
                if let Some(slot) = self.slot(handle(argument)?) {
                    *slot = None;
                }
                Ok(String::new())
            }
            "stat" => stat(&self.resolve(argument)?.1),
            "chdir" => self.change_directory(argument),
            "open" => self.open_file(argument),
            "list" => self.list(argument),
            _ => Err(Errno::EINVAL),
        }
    }

    fn read(&mut self, handle: usize, offset: u64) -> Result<String, Errno> {
        if handle == PROGRAM {
            let start = usize::try_from(offset).unwrap_or(usize::MAX).min(self.program.len());
            let block = self.program.get(start..).unwrap_or_default();
            return Ok(BASE64.encode(block.get(..BLOCK).unwrap_or(block)));
        }
        let Some(Some(Open::File(file))) = self.slot(handle) else { return Err(Errno::EBADF) };
        let mut block = [0; BLOCK];
        let mut filled = 0;
        while let Some(rest) = block.get_mut(filled..).filter(|rest| !rest.is_empty()) {
            match file.read_at(rest, offset.saturating_add(filled as u64)) {
                Ok(0) => break,
                Ok(count) => filled += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(BASE64.encode(block.get(..filled).unwrap_or_default()))
    }

    fn next(&mut self, handle: usize) -> Result<String, Errno> {
        let Some(slot) = self.slot(handle) else { return Err(Errno::EBADF) };
        let Some(Open::Listing(entries)) = slot else { return Err(Errno::EBADF) };
        if let Some(entry) = entries.next() {
            return Ok(entry);
        }
        *slot = None;
        Ok(String::new())
    }

    fn change_directory(&self, argument: &str) -> Result<String, Errno> {
        let (parts, path) = self.resolve(argument)?;
        if !path.is_dir() {
            return Err(Errno::ENOTDIR);
        }
        let path: String = parts.iter().flat_map(|part| [part.as_str(), "/"]).collect();
        Ok(BASE64.encode(format!("/{path}")))
    }

    fn open_file(&mut self, argument: &str) -> Result<String, Errno> {
        let (_, path) = self.resolve(argument)?;
        let metadata = fs::metadata(&path)?;
        if metadata.is_dir() {
            return Err(Errno::EISDIR);
        }
        // Opening a pipe would wait for its writer.
        if !metadata.is_file() {
            return Err(Errno::ENODEV);
        }
        let handle = self.keep(Open::File(File::open(&path)?))?;
        Ok(format!("{handle},{}", metadata.len()))
    }

    fn list(&mut self, argument: &str) -> Result<String, Errno> {
        let (parts, path) = self.resolve(argument)?;
        // A name that is not UTF-8 cannot be spoken of on the target.
        let mut names: Vec<String> = fs::read_dir(&path)?
            .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
            .collect();
        names.sort();
        let mut entries = Vec::with_capacity(names.len());
        for name in names {
            let below: Vec<String> = parts.iter().cloned().chain([name.clone()]).collect();
            let Ok(described) = self.locate(&below).and_then(|path| stat(&path)) else { continue };
            entries.push(format!("{},{described}", BASE64.encode(name)));
        }
        self.keep(Open::Listing(entries.into_iter())).map(|handle| handle.to_string())
    }

    fn slot(&mut self, handle: usize) -> Option<&mut Option<Open>> {
        self.open.get_mut(handle.checked_sub(1)?)
    }

    fn keep(&mut self, open: Open) -> Result<usize, Errno> {
        let free = self.open.iter().position(Option::is_none);
        let index = match free {
            Some(index) => index,
            None if self.open.len() < OPEN_LIMIT => {
                self.open.push(None);
                self.open.len() - 1
            }
            None => return Err(Errno::EMFILE),
        };
        if let Some(slot) = self.open.get_mut(index) {
            *slot = Some(open);
        }
        Ok(index + 1)
    }

    /// The parts of a path as the target wrote it (base64), and where it lies.
    fn resolve(&self, argument: &str) -> Result<(Vec<String>, PathBuf), Errno> {
        let path = BASE64.decode(argument).map_err(|_| Errno::EINVAL)?;
        let path = String::from_utf8(path).map_err(|_| Errno::EINVAL)?;
        let mut parts: Vec<String> = Vec::new();
        for part in path.split('/') {
            match part {
                "" | "." => {}
                ".." => drop(parts.pop()),
                name => parts.push(name.to_owned()),
            }
        }
        let place = self.locate(&parts)?;
        Ok((parts, place))
    }

    fn locate(&self, parts: &[String]) -> Result<PathBuf, Errno> {
        let root = self.root.as_ref().ok_or(Errno::ENODEV)?;
        let mut path = root.clone();
        path.extend(parts);
        let path = path.canonicalize()?;
        if path.starts_with(root) { Ok(path) } else { Err(Errno::EACCES) }
    }
}

fn handle(word: &str) -> Result<usize, Errno> {
    word.parse().map_err(|_| Errno::EBADF)
}

fn stat(path: &Path) -> Result<String, Errno> {
    let metadata = fs::metadata(path)?;
    if metadata.is_dir() {
        return Ok(format!("{DIRECTORY},0"));
    }
    Ok(format!("{FILE},{}", metadata.len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ask(server: &mut Server, what: &str, path: &str) -> String {
        server.answer(&format!("{what} {}", BASE64.encode(path)))
    }

    fn decoded(answer: &str) -> String {
        String::from_utf8(BASE64.decode(answer.strip_prefix('=').unwrap()).unwrap()).unwrap()
    }

    #[test]
    fn a_file_is_read_block_by_block() {
        let directory = tempfile::tempdir().unwrap();
        let contents: Vec<u8> = (0..=255).cycle().take(3 * BLOCK + 7).collect();
        fs::write(directory.path().join("data.mpy"), &contents).unwrap();
        let mut server = Server::default();
        server.share(directory.path()).unwrap();
        assert_eq!(ask(&mut server, "open", "/data.mpy"), format!("=1,{}", contents.len()));
        let mut read = Vec::new();
        loop {
            let answer = server.answer(&format!("read 1 {}", read.len()));
            let block = BASE64.decode(answer.strip_prefix('=').unwrap()).unwrap();
            if block.is_empty() {
                break;
            }
            read.extend(block);
        }
        assert_eq!(read, contents);
        assert_eq!(server.answer("close 1"), "=");
        assert_eq!(server.answer("read 1 0"), "!9");
    }

    #[test]
    fn nothing_outside_the_directory_is_served() {
        let outside = tempfile::tempdir().unwrap();
        fs::write(outside.path().join("secret"), "x").unwrap();
        let directory = outside.path().join("shared");
        fs::create_dir(&directory).unwrap();
        fs::write(directory.join("inside"), "y").unwrap();
        std::os::unix::fs::symlink("../secret", directory.join("leak")).unwrap();
        std::os::unix::fs::symlink("inside", directory.join("alias")).unwrap();
        let mut server = Server::default();
        server.share(&directory).unwrap();
        assert_eq!(ask(&mut server, "open", "/leak"), "!13");
        assert_eq!(ask(&mut server, "stat", "/../secret"), "!2");
        assert_eq!(ask(&mut server, "stat", "/../inside"), "=32768,1");
        assert_eq!(ask(&mut server, "stat", "/alias"), "=32768,1");
        assert_eq!(ask(&mut server, "list", "/"), "=1");
        let names: Vec<String> = std::iter::from_fn(|| {
            let answer = server.answer("next 1");
            (answer != "=").then(|| decoded(answer.split(',').next().unwrap()))
        })
        .collect();
        assert_eq!(names, ["alias", "inside"]);
    }

    #[test]
    fn paths_are_normalised_and_errors_told_apart() {
        let directory = tempfile::tempdir().unwrap();
        fs::create_dir_all(directory.path().join("a/b")).unwrap();
        fs::write(directory.path().join("a/f"), "").unwrap();
        let mut server = Server::default();
        assert_eq!(ask(&mut server, "stat", "/"), "!19");
        server.share(directory.path()).unwrap();
        assert_eq!(decoded(&ask(&mut server, "chdir", "/a/./x/../b")), "/a/b/");
        assert_eq!(decoded(&ask(&mut server, "chdir", "/..")), "/");
        assert_eq!(ask(&mut server, "chdir", "/a/f"), "!20");
        assert_eq!(ask(&mut server, "open", "/a"), "!21");
        assert_eq!(ask(&mut server, "open", "/none"), "!2");
        assert_eq!(ask(&mut server, "stat", "/a/f/x"), "!20");
        assert_eq!(server.answer("open %%%"), "!22");
        assert_eq!(server.answer("nonsense"), "!22");
        assert_eq!(server.answer("read 77 0"), "!9");
    }

    #[test]
    fn open_files_are_limited_and_handles_used_again() {
        let directory = tempfile::tempdir().unwrap();
        fs::write(directory.path().join("f"), "").unwrap();
        let mut server = Server::default();
        server.share(directory.path()).unwrap();
        for handle in 1..=OPEN_LIMIT {
            assert_eq!(ask(&mut server, "open", "/f"), format!("={handle},0"));
        }
        assert_eq!(ask(&mut server, "open", "/f"), "!24");
        assert_eq!(server.answer("close 7"), "=");
        assert_eq!(ask(&mut server, "open", "/f"), "=7,0");
    }

    #[test]
    fn the_program_is_handle_zero() {
        let mut server = Server::default();
        server.offer(b"print(1)");
        assert!(!server.opened());
        assert_eq!(server.answer("program"), "=");
        assert!(server.opened());
        assert_eq!(decoded(&server.answer("read 0 0")), "print(1)");
        assert_eq!(server.answer("read 0 8"), "=");
        assert_eq!(server.answer("read 0 99999999999"), "=");
        assert_eq!(server.answer("close 0"), "=");
    }
}
