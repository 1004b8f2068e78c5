//! Finding a tool and asking it for its version.

use std::env;
use std::ffi::OsStr;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use serde::Serialize;

use crate::error::{Kind, Result};
use crate::process::{self, Output};

/// How long a tool gets to say its version.
const LIMIT: Duration = Duration::from_secs(20);

/// How to find a tool.
#[derive(Debug)]
pub(super) enum Probe {
    /// A program on PATH that knows `--version`.
    Program,
    /// A library that `pkg-config` knows.
    PkgConfig { module: &'static str },
    /// A module that `python3` can import and that knows its version.
    PythonModule { module: &'static str },
    /// A C library that a compiler has the headers of.
    Headers {
        compiler: &'static str,
        arguments: &'static [&'static str],
        /// A specs file that is used when the compiler has it, as upstream's makefiles do.
        specs: Option<&'static str>,
    },
}

/// What was found of a tool.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "status", rename_all = "kebab-case")]
pub enum Finding {
    /// It is there.
    Ok {
        /// Its version, where it says one.
        version: Option<String>,
        /// The program, or the compiler that has the library.
        path: PathText,
    },
    /// It is there, but older than what is needed.
    TooOld {
        /// Its version.
        version: String,
        /// The oldest version that serves.
        minimum: String,
        /// Where it is.
        path: PathText,
    },
    /// It is there, but does not work.
    Broken {
        /// What went wrong.
        reason: String,
        /// Where it is.
        path: PathText,
    },
    /// It is not there.
    Missing {
        /// What has to be there first, before it can be looked for.
        needs: Option<String>,
    },
}

impl Finding {
    /// Whether the tool serves.
    pub fn is_ok(&self) -> bool {
        matches!(self, Finding::Ok { .. })
    }
}

/// A path for people and JSON; bytes that are not UTF-8 are replaced.
pub type PathText = String;

/// Looks for a tool.
///
/// # Errors
/// When the user interrupts. A tool that does not work is a finding.
pub(super) fn examine(name: &str, probe: &Probe, minimum: Option<&str>) -> Result<Finding> {
    let finding = match probe {
        Probe::Program => program(name)?,
        Probe::PkgConfig { module } => pkg_config(module)?,
        Probe::PythonModule { module } => python_module(module)?,
        Probe::Headers { compiler, arguments, specs } => headers(compiler, arguments, *specs)?,
    };
    Ok(match (finding, minimum) {
        (Finding::Ok { version: Some(version), path }, Some(minimum))
            if older(&version, minimum) =>
        {
            Finding::TooOld { version, minimum: minimum.to_owned(), path }
        }
        (finding, _) => finding,
    })
}

fn program(name: &str) -> Result<Finding> {
    let Some(path) = on_path(name) else { return Ok(Finding::Missing { needs: None }) };
    let text = path_text(&path);
    Ok(match ask(&path, &["--version"])? {
        Ok(output) => Finding::Ok { version: version(&output.stdout), path: text },
        Err(reason) => Finding::Broken { reason, path: text },
    })
}

fn pkg_config(module: &str) -> Result<Finding> {
    let Some(path) = on_path("pkg-config") else { return Ok(needs("pkg-config")) };
    // It fails for a module that it does not know.
    Ok(match ask(&path, &["--modversion", module])? {
        Ok(output) => Finding::Ok { version: version(&output.stdout), path: path_text(&path) },
        Err(_) => Finding::Missing { needs: None },
    })
}

fn python_module(module: &str) -> Result<Finding> {
    let Some(path) = on_path("python3") else { return Ok(needs("python3")) };
    let script = format!("import {module}; print({module}.__version__)");
    Ok(match ask(&path, &["-c", &script])? {
        Ok(output) => Finding::Ok { version: version(&output.stdout), path: path_text(&path) },
        Err(_) => Finding::Missing { needs: None },
    })
}

/// Has the compiler read a header and tell which C library it is of.
fn headers(compiler: &str, arguments: &[&str], specs: Option<&str>) -> Result<Finding> {
    let Some(path) = on_path(compiler) else { return Ok(needs(compiler)) };
    let mut arguments = arguments.to_vec();
    let mut specs_argument = None;
    if let Some(specs) = specs {
        let print = format!("--print-file-name={specs}");
        let answer = ask(&path, &[arguments.as_slice(), &[print.as_str()]].concat())?;
        // A compiler that does not have the file answers with its bare name.
        specs_argument = answer
            .ok()
            .map(|output| output.stdout.trim().to_owned())
            .filter(|found| found != specs && !found.is_empty())
            .map(|found| format!("--specs={found}"));
    }
    arguments.extend(specs_argument.as_deref());
    arguments.extend(["-E", "-dM", "-include", "string.h", "-x", "c", "/dev/null"]);
    Ok(match ask(&path, &arguments)? {
        Ok(output) => {
            Finding::Ok { version: library_version(&output.stdout), path: path_text(&path) }
        }
        Err(reason) if reason.contains("string.h") => Finding::Missing { needs: None },
        Err(reason) => Finding::Broken { reason, path: path_text(&path) },
    })
}

fn needs(tool: &str) -> Finding {
    Finding::Missing { needs: Some(tool.to_owned()) }
}

fn path_text(path: &Path) -> PathText {
    path.to_string_lossy().into_owned()
}

/// The executable file of that name on PATH.
pub(crate) fn on_path(name: &str) -> Option<PathBuf> {
    let is_program = |path: &PathBuf| {
        path.metadata().is_ok_and(|data| data.is_file() && data.permissions().mode() & 0o111 != 0)
    };
    let path = env::var_os("PATH")?;
    env::split_paths(&path).map(|directory| directory.join(name)).find(is_program)
}

/// Runs a tool; what went wrong, in its own first words, when it fails.
fn ask(program: &Path, arguments: &[&str]) -> Result<std::result::Result<Output, String>> {
    let mut command = Command::new(program);
    command.args(arguments.iter().map(OsStr::new)).env("LC_ALL", "C");
    match process::output(&mut command, LIMIT) {
        Ok(output) if output.status.success() => Ok(Ok(output)),
        Ok(output) => {
            let said = output.stderr.lines().find(|line| !line.trim().is_empty());
            Ok(Err(said.map_or_else(|| output.status.to_string(), str::to_owned)))
        }
        Err(error) if error.kind() == Kind::Interrupted => Err(error),
        Err(error) => Ok(Err(error.message().to_owned())),
    }
}

/// The version in the first line that a tool prints: the last word that begins with a digit and
/// has a dot in it, outside brackets (which hold a distribution's own version).
fn version(text: &str) -> Option<String> {
    let line = text.lines().next()?;
    let mut depth = 0usize;
    let outside: String = line
        .chars()
        .filter(|character| {
            match character {
                '(' => depth += 1,
                ')' => depth = depth.saturating_sub(1),
                _ => return depth == 0,
            }
            false
        })
        .collect();
    let is_version =
        |word: &&str| word.starts_with(|c: char| c.is_ascii_digit()) && word.contains('.');
    let word = outside.split([' ', '\t', ',']).rfind(is_version)?;
    let end = word.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(word.len());
    Some(word.get(..end)?.trim_end_matches('.').to_owned())
}

/// Name and version of a C library, from the macros that its headers define.
fn library_version(macros: &str) -> Option<String> {
    let value = |name: &str| {
        macros.lines().find_map(|line| {
            let (found, value) = line.strip_prefix("#define ")?.split_once(' ')?;
            (found == name).then(|| value.trim_matches('"').to_owned())
        })
    };
    // picolibc defines newlib's version too.
    if let Some(version) = value("__PICOLIBC_VERSION__").or_else(|| value("_PICOLIBC_VERSION")) {
        return Some(format!("picolibc {version}"));
    }
    if let Some(version) = value("_NEWLIB_VERSION") {
        return Some(format!("newlib {version}"));
    }
    Some(format!("glibc {}.{}", value("__GLIBC__")?, value("__GLIBC_MINOR__")?))
}

/// Whether a version is older than another, number by number.
fn older(version: &str, minimum: &str) -> bool {
    let numbers = |text: &str| -> Vec<u64> {
        text.split(|c: char| !c.is_ascii_digit()).filter_map(|number| number.parse().ok()).collect()
    };
    numbers(version) < numbers(minimum)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_found_in_what_tools_print() {
        for (text, expected) in [
            ("gcc (Debian 12.2.0-14+deb12u1) 12.2.0\nCopyright", Some("12.2.0")),
            ("arm-none-eabi-gcc (15:12.2.rel1-1) 12.2.1 20221205", Some("12.2.1")),
            ("riscv64-unknown-elf-gcc () 13.2.0", Some("13.2.0")),
            ("Apple clang version 15.0.0 (clang-1500.3.9.4)", Some("15.0.0")),
            ("GNU Make 4.3", Some("4.3")),
            ("Python 3.11.2", Some("3.11.2")),
            ("GNU bash, version 5.2.15(1)-release (x86_64-pc-linux-gnu)", Some("5.2.15")),
            ("QEMU emulator version 7.2.22 (Debian 1:7.2+dfsg-7+deb12u18+b3)", Some("7.2.22")),
            ("1.8.1", Some("1.8.1")),
            ("Debian 'dpkg' package management program version 1.21.22 (amd64).", Some("1.21.22")),
            ("no version", None),
            ("", None),
        ] {
            assert_eq!(version(text).as_deref(), expected, "{text}");
        }
    }

    #[test]
    fn versions_are_compared_by_number() {
        assert!(older("3.2.9", "3.3"));
        assert!(older("9.4.0", "10"));
        assert!(!older("10.2.0", "10"));
        assert!(!older("3.11.2", "3.3"));
        assert!(!older("3.3", "3.3"));
    }
}
