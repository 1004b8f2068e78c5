//! Programs that are run from the host, and directories of it that are mounted.
//!
//! A program is not pasted: the target opens it as a file that the host serves, and compiles it while
//! it reads. So its traceback has its own file name, its text needs no memory on the target, it may
//! print any byte, and the value of `sys.exit` is known, which the raw REPL throws away. Firmware that
//! cannot do that (without `execfile`, a virtual file system, `io.IOBase` or `binascii`) gets the
//! program by the raw REPL.

use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;

use super::fault::Fault;
use super::raw::{Link, Repl};
use super::transport::Transport;
use super::{Console, Exit, Outcome};
use crate::error::{self, Error};

/// The target's end of the link.
const LINK: &str = include_str!("target/link.py");

/// The target's file system for a directory of the host.
const MOUNT: &str = include_str!("target/mount.py");

/// The longest file name that MicroPython can keep as an interned string, in bytes.
const LONGEST_NAME: usize = 255;

/// The file name of code that runs in the raw REPL.
const RAW_FRAME: &str = "  File \"<stdin>\", ";

/// Python to be run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Program {
    /// What tracebacks call it.
    pub name: String,
    /// Its text.
    pub source: Vec<u8>,
    /// Where it was read from, when it was a regular file.
    pub path: Option<PathBuf>,
}

impl Program {
    /// Code from a command line, called `<string>` as Python does.
    pub fn code(source: impl Into<Vec<u8>>) -> Program {
        Program { name: "<string>".to_owned(), source: source.into(), path: None }
    }

    /// A file, called by the path that was given.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn file(path: &Path) -> error::Result<Program> {
        let source = fs::read(path).map_err(|error| Error::io("read", path, &error))?;
        let name = path.to_string_lossy().into_owned();
        // A pipe has nothing left to be read a second time.
        let path = Some(path.to_owned()).filter(|path| path.is_file());
        Ok(Program { name, source, path })
    }

    /// All of a stream, called `<input>`.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn stream(mut stream: impl Read) -> error::Result<Program> {
        let mut source = Vec::new();
        stream
            .read_to_end(&mut source)
            .map_err(|error| Error::io("read", Path::new("standard input"), &error))?;
        Ok(Program { name: "<input>".to_owned(), source, path: None })
    }

    /// What `sys.argv[0]` is for it: the file's path, or `-c` as Python has it.
    pub fn argument(&self) -> &str {
        if self.path.is_some() { &self.name } else { "-c" }
    }

    /// The name under which the target opens it. An absolute path would be looked up among the
    /// target's own files.
    fn target_name(&self) -> &str {
        let absolute = self.name.starts_with('/') || self.name.len() > LONGEST_NAME;
        let name = match self.name.rsplit_once('/') {
            Some((_, name)) if absolute => name,
            _ => &self.name,
        };
        if name.is_empty() || name.len() > LONGEST_NAME { "<string>" } else { name }
    }
}

impl<T: Transport> Repl<T> {
    /// Runs a program to its end. What earlier programs defined is still there.
    ///
    /// # Errors
    /// When the target fails; Python that raises is an [`Outcome`].
    pub fn run(&mut self, program: &Program, console: &mut dyn Console) -> Result<Outcome, Fault> {
        if self.link_up()? {
            self.server.offer(&program.source);
            let code = format!("_mpb.run({})", literal(program.target_name()));
            let outcome = self.exec(code.as_bytes(), console)?;
            if self.server.opened() || !matches!(outcome, Outcome::Raised(_)) {
                return Ok(match outcome {
                    Outcome::Raised(traceback) => Outcome::Raised(without_link(&traceback)),
                    other => other,
                });
            }
            // Its `execfile` does not read from file systems.
            self.link = Link::Impossible("execfile opens no file".to_owned());
        }
        self.exec(&program.source, console)
    }

    /// Sets `sys.argv`, the name of the program first.
    ///
    /// # Errors
    /// When there are arguments and the firmware has no `sys.argv`.
    pub fn set_arguments(&mut self, name: &str, arguments: &[String]) -> Result<(), Fault> {
        let all: Vec<String> =
            [name].into_iter().chain(arguments.iter().map(String::as_str)).map(literal).collect();
        let code = format!("import sys\nsys.argv[:] = [{}]\n", all.join(", "));
        match self.exec_quietly(code.as_bytes())? {
            Outcome::Raised(traceback) if !arguments.is_empty() => Err(Error::device(format!(
                "this firmware takes no arguments: {}",
                last_line(&traceback)
            ))
            .into()),
            _ => Ok(()),
        }
    }

    /// Mounts a directory of the host at `/remote`, read-only, and makes it the current directory,
    /// so that its modules can be imported and its files opened.
    ///
    /// # Errors
    /// When the directory cannot be read, or the firmware has no virtual file system.
    pub fn mount(&mut self, directory: &Path) -> Result<(), Fault> {
        self.server.share(directory)?;
        self.remount()
    }

    /// Mounts the shared directory anew, after a soft reset.
    pub(super) fn remount(&mut self) -> Result<(), Fault> {
        let refused = |reason: &str| {
            Error::device(format!("this firmware cannot mount a directory: {reason}")).hint(
                "mounting needs firmware with a virtual file system (MICROPY_VFS) and the modules io and binascii; `--manifest` freezes files into the firmware instead",
            )
        };
        if !self.link_up()? {
            return Err(match &self.link {
                Link::Impossible(reason) => refused(reason),
                _ => refused("it has no link to the host"),
            }
            .into());
        }
        match self.exec_quietly(compact(MOUNT).as_bytes())? {
            Outcome::Done => Ok(()),
            Outcome::Raised(traceback) => Err(refused(last_line(&traceback)).into()),
            Outcome::Exited(_) => Err(refused("it was reset").into()),
        }
    }

    /// Whether the target's end of the link is there, after defining it if that was not tried yet.
    fn link_up(&mut self) -> Result<bool, Fault> {
        if self.link == Link::Untried {
            let code = compact(LINK).replace("MARK", &self.marker_literal());
            self.link = match self.exec_quietly(code.as_bytes())? {
                Outcome::Done => Link::Up,
                Outcome::Raised(traceback) => Link::Impossible(last_line(&traceback).to_owned()),
                Outcome::Exited(_) => Link::Impossible("it was reset".to_owned()),
            };
        }
        Ok(self.link == Link::Up)
    }
}

/// Python without its comments and blank lines, which need not travel.
fn compact(code: &str) -> String {
    let kept = |line: &&str| !line.trim().is_empty() && !line.trim_start().starts_with('#');
    code.lines().filter(kept).flat_map(|line| [line, "\n"]).collect()
}

/// A Python string literal.
fn literal(text: &str) -> String {
    let mut literal = String::from("\"");
    for c in text.chars() {
        match c {
            '"' | '\\' => literal.extend(['\\', c]),
            c if c.is_ascii_control() => literal.push_str(&format!("\\x{:02x}", c as u32)),
            c => literal.push(c),
        }
    }
    literal.push('"');
    literal
}

/// A traceback without the frames of the link itself.
fn without_link(traceback: &str) -> String {
    traceback.split_inclusive('\n').filter(|line| !line.starts_with(RAW_FRAME)).collect()
}

fn last_line(traceback: &str) -> &str {
    traceback.trim_end().lines().next_back().unwrap_or("no reason was given")
}

/// The number that the link reports for `sys.exit(NUMBER)`.
pub(super) fn exit_code(value: &str) -> Exit {
    value.parse().map_or_else(|_| Exit::Message(value.to_owned()), Exit::Code)
}

/// The text (base64) that the link reports for `sys.exit("TEXT")`.
pub(super) fn exit_message(value: &str) -> Exit {
    let text = BASE64.decode(value.trim()).unwrap_or_default();
    Exit::Message(String::from_utf8_lossy(&text).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn programs_are_opened_by_relative_names() {
        let name = |name: &str| {
            Program { name: name.to_owned(), source: vec![], path: None }.target_name().to_owned()
        };
        assert_eq!(name("a/b.py"), "a/b.py");
        assert_eq!(name("/home/me/b.py"), "b.py");
        assert_eq!(name(&format!("{}/b.py", "d".repeat(300))), "b.py");
        assert_eq!(name(&"n".repeat(300)), "<string>");
        assert_eq!(name(""), "<string>");
    }

    #[test]
    fn literals_are_escaped() {
        assert_eq!(literal("a\"b\\c\n\x04é"), "\"a\\\"b\\\\c\\x0a\\x04é\"");
    }

    #[test]
    fn frames_of_the_link_are_taken_away() {
        let traceback = "Traceback (most recent call last):\n  File \"<stdin>\", line 1, in <module>\n  File \"<stdin>\", line 80, in run\n  File \"a.py\", line 2, in <module>\nValueError: \n";
        assert_eq!(
            without_link(traceback),
            "Traceback (most recent call last):\n  File \"a.py\", line 2, in <module>\nValueError: \n"
        );
    }

    #[test]
    fn exit_values_are_read() {
        assert_eq!(exit_code("-3"), Exit::Code(-3));
        assert_eq!(exit_code("99999999999999999999"), Exit::Message("99999999999999999999".into()));
        assert_eq!(exit_message("YmFk\r"), Exit::Message("bad".into()));
    }
}
