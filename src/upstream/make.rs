//! Running upstream's makefiles, and asking them what they know.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::io::{BufRead, BufReader};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use jobserver::Client;

use crate::error::{self, Error, Result};
use crate::process::{self, Outcome};

/// Environment variables that reach the build. Makefiles take any variable of the environment as
/// theirs, so all others are kept from it: a stray `BOARD` or `CFLAGS` must not decide the bytes.
const INHERITED: &[&str] = &[
    "DEVELOPER_DIR",
    "HOME",
    "LD_LIBRARY_PATH",
    "LOCALE_ARCHIVE",
    "LOGNAME",
    "PATH",
    "SDKROOT",
    "TEMP",
    "TMP",
    "TMPDIR",
    "USER",
];

/// Like [`INHERITED`], by prefix: compiler wrappers of Nix, pkg-config and ccache.
const INHERITED_PREFIXES: &[&str] = &["CCACHE_", "NIX_", "PKG_CONFIG"];

/// The build date of a tree whose commit date nobody knows: the first second of 1980, the earliest
/// that archives of every kind can hold.
const UNKNOWN_EPOCH: u64 = 315_532_800;

/// How long a question to a makefile may take.
const QUESTION_LIMIT: Duration = Duration::from_secs(120);

/// A makefile with the variables and the environment of one build.
#[derive(Debug, Clone)]
pub(crate) struct Make {
    /// The directory of the makefile.
    pub directory: PathBuf,
    /// `NAME=VALUE` arguments.
    pub variables: Vec<OsString>,
    /// The environment besides what is inherited.
    pub environment: Vec<(OsString, OsString)>,
}

/// What a makefile says about a build before anything is built.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Facts {
    /// Objects, include paths and flags: everything that can mention a source.
    pub paths: Vec<String>,
    /// The compiler with its leading arguments.
    pub compiler: String,
    /// The emulator's command line without a kernel, empty where there is none.
    pub emulator: Vec<String>,
}

impl Make {
    fn command(&self) -> Command {
        let mut command = Command::new("make");
        command.current_dir(&self.directory);
        environment_of(&mut command, &self.environment);
        command.args(&self.variables);
        command
    }

    /// Asks the makefile for what it knows.
    ///
    /// # Errors
    /// When the makefile cannot be evaluated: its own message is shown.
    pub(crate) fn facts(&self) -> Result<Facts> {
        let values = self.values([
            "$(OBJ) $(INC) $(CFLAGS) $(CXXFLAGS) $(LDFLAGS) $(LIB) $(LIBS)",
            "$(CC)",
            "$(QEMU_SYSTEM) $(QEMU_ARGS)",
        ])?;
        let [paths, compiler, emulator] = values
            .map(|value| value.split_whitespace().map(str::to_owned).collect::<Vec<String>>());
        Ok(Facts { paths, compiler: compiler.join(" "), emulator })
    }

    /// Evaluates expressions within the makefile and returns what they are there, each on one line.
    ///
    /// # Errors
    /// As [`Make::ask`].
    pub(crate) fn values<const N: usize>(&self, expressions: [&str; N]) -> Result<[String; N]> {
        const MARK: &str = "mpb-value";
        let question: String =
            (0..).zip(expressions).fold(String::new(), |question, (number, it)| {
                question + &format!("$(info {MARK} {number} {it})")
            });
        let output = self.ask(&format!("mpb-values: ; @:{question}"), "mpb-values")?;
        Ok(std::array::from_fn(|number| {
            let prefix = format!("{MARK} {number} ");
            let value = output.lines().find_map(|line| line.strip_prefix(&prefix));
            value.unwrap_or_default().trim().to_owned()
        }))
    }

    /// Evaluates an extra rule of ours within the makefile and returns what it prints.
    ///
    /// # Errors
    /// When make fails: the rule's or the makefile's own message is shown.
    pub(crate) fn ask(&self, rule: &str, target: &str) -> Result<String> {
        let mut command = self.command();
        command.arg(format!("--eval={rule}")).args(["--no-print-directory", "-s", target]);
        let output = process::output(&mut command, QUESTION_LIMIT)?;
        if output.status.success() {
            return Ok(output.stdout);
        }
        let talk = if output.stderr.trim().is_empty() { &output.stdout } else { &output.stderr };
        Err(Error::build(
            first_error(talk.lines().map(str::to_owned))
                .unwrap_or_else(|| format!("make ended with {} and said nothing", output.status)),
        ))
    }

    /// Runs the makefile's default target with so many jobs, logging everything it prints.
    ///
    /// # Errors
    /// When it fails or exceeds the deadline: the first error of the log is shown.
    pub(crate) fn run(&self, jobs: usize, log: &Path, deadline: Instant) -> Result<()> {
        let mut command = self.command();
        command.arg(format!("-j{jobs}"));
        run_logged(&mut command, log, deadline)
    }

    /// Runs a target, or the default one, with one job and what a jobserver has to spare.
    ///
    /// # Errors
    /// As [`Make::run`].
    pub(crate) fn run_beside(
        &self,
        others: &Client,
        target: Option<&str>,
        log: &Path,
        deadline: Instant,
    ) -> Result<()> {
        let mut command = self.command();
        command.args(target);
        others.configure_make(&mut command);
        run_logged(&mut command, log, deadline)
    }
}

fn run_logged(command: &mut Command, log: &Path, deadline: Instant) -> Result<()> {
    match process::run_logged(command, log, Some(deadline))? {
        Outcome::Ended(status) if status.success() => Ok(()),
        Outcome::Ended(status) => Err(failure(log, &format!("make ended with {status}"))),
        Outcome::TimedOut => Err(timed_out()),
    }
}

/// Checks variables for makefiles: each must be `NAME=VALUE`, and none one of `ours`, which stand there
/// with the options that set them.
///
/// # Errors
/// At the first that is not.
pub(crate) fn check_arguments(arguments: &[String], ours: &[(&str, &str)]) -> Result<()> {
    for argument in arguments {
        let name = argument.split_once('=').map(|(name, _)| name.trim());
        match name {
            None | Some("") => {
                return Err(Error::usage(format!(
                    "the make argument {argument:?} is not of the form NAME=VALUE"
                )));
            }
            Some(name) => {
                if let Some((_, option)) = ours.iter().find(|(ours, _)| *ours == name) {
                    return Err(Error::usage(format!(
                        "the make variable {name} is set by {option}"
                    ))
                    .hint(format!("give {option} instead of --make-arg {argument}")));
                }
            }
        }
    }
    Ok(())
}

/// What keeps time, place and the user's language out of what a build makes. `epoch` is the date it
/// shows, in seconds since 1970, unless the user sets `SOURCE_DATE_EPOCH`.
pub(crate) fn reproducible_environment(epoch: Option<u64>) -> Vec<(OsString, OsString)> {
    let epoch = epoch.unwrap_or(UNKNOWN_EPOCH).to_string();
    let epoch = std::env::var_os("SOURCE_DATE_EPOCH").unwrap_or_else(|| epoch.into());
    let mut environment: Vec<(OsString, OsString)> =
        [("LC_ALL", "C"), ("PYTHONHASHSEED", "0"), ("PYTHONUTF8", "1"), ("TZ", "UTC")]
            .map(|(name, value)| (name.into(), value.into()))
            .to_vec();
    environment.push(("SOURCE_DATE_EPOCH".into(), epoch));
    environment
}

/// Gives a command of a build its environment: what is inherited, and what the build sets.
pub(crate) fn environment_of(command: &mut Command, own: &[(OsString, OsString)]) {
    command.env_clear();
    command.envs(std::env::vars_os().filter(|(name, _)| inherited(name)));
    command.envs(own.iter().map(|(name, value)| (name, value)));
}

/// The error for a build that did not end in time.
pub(crate) fn timed_out() -> Error {
    Error::build("the build did not end within its time limit")
        .hint("give it longer with --time-limit, or look at what it was doing in the log")
}

fn inherited(name: &OsStr) -> bool {
    INHERITED.iter().any(|known| name == *known)
        || name
            .to_str()
            .is_some_and(|name| INHERITED_PREFIXES.iter().any(|prefix| name.starts_with(prefix)))
}

/// The error for a step that failed: the first error in its log, else how it ended.
pub(crate) fn failure(log: &Path, ended: &str) -> Error {
    let lines = fs::File::open(log).map(|file| {
        BufReader::new(file)
            .split(b'\n')
            .map_while(std::result::Result::ok)
            .map(|line| String::from_utf8_lossy(&line).into_owned())
    });
    let message = lines.ok().and_then(first_error);
    let message = message.unwrap_or_else(|| ended.to_owned());
    if message.to_lowercase().contains("no space left on device") {
        let temporary = std::env::temp_dir();
        let names_it = message.contains(&format!("{}/", temporary.display()));
        let hint = match names_it || log.starts_with(&temporary) {
            true => error::room_for(&temporary),
            false => "free some space, or choose a directory on another disk with --out",
        };
        return Error::input(format!("the disk is full: {message}")).hint(hint);
    }
    Error::build(message)
}

/// The first line that says what went wrong, preferring what a tool said to what make made of it.
fn first_error(mut lines: impl Iterator<Item = String>) -> Option<String> {
    const TOOLS: &[&str] = &[
        "error:",
        "Error:",
        "error executing",
        "Error in manifest",
        "undefined reference",
        "multiple definition",
        "will not fit in region",
        "overflowed by",
        "No space left on device",
        ": not found",
        "No such file or directory",
    ];
    let mut from_make = None;
    while let Some(line) = lines.next() {
        if line.starts_with(CMAKE_ERROR) {
            return Some(cmake_error(line, &mut lines));
        }
        if TOOLS.iter().any(|pattern| line.contains(pattern)) && !line.starts_with("make") {
            return Some(line.trim().to_owned());
        }
        if from_make.is_none() && line.contains("***") {
            from_make = Some(line.trim().to_owned());
        }
    }
    from_make
}

/// How CMake begins an error that it knows the place of.
const CMAKE_ERROR: &str = "CMake Error at ";

/// The place of an error of CMake with the paragraph below it. The output of a CMake that another one
/// ran may be that paragraph; then it is the inner one's error that says what is wrong.
fn cmake_error(place: String, lines: &mut impl Iterator<Item = String>) -> String {
    let mut error = place.trim().to_owned();
    let mut begun = false;
    for line in lines {
        let line = line.trim();
        if line.starts_with(CMAKE_ERROR) {
            line.clone_into(&mut error);
            begun = false;
        } else if error.contains("CMake Warning") {
            // The inner one's error comes after its warnings.
        } else if begun && (line.is_empty() || line.starts_with("Call Stack")) {
            break;
        } else if !line.is_empty() {
            begun = true;
            error.push(' ');
            error.push_str(line);
        }
    }
    error
}

/// The compiler flags that put `name` for a directory into everything a compilation records.
///
/// GCC passes only the second on to the assembler for sources that are not preprocessed (`.s`).
pub(crate) fn prefix_maps(directory: &Path, name: &str) -> [OsString; 2] {
    ["-ffile-prefix-map=", "-fdebug-prefix-map="].map(|option| {
        let mut flag = OsString::from(option);
        flag.push(directory);
        flag.push("=");
        flag.push(name);
        flag
    })
}

/// A word quoted for a shell.
pub(crate) fn shell_word(word: &OsStr) -> OsString {
    let mut quoted = vec![b'\''];
    for byte in word.as_bytes() {
        match byte {
            b'\'' => quoted.extend_from_slice(br"'\''"),
            byte => quoted.push(*byte),
        }
    }
    quoted.push(b'\'');
    OsString::from_vec(quoted)
}

/// A word quoted for a shell inside a makefile.
pub(crate) fn makefile_word(word: &OsStr) -> OsString {
    let quoted = shell_word(word);
    let parts: Vec<&[u8]> = quoted.as_bytes().split(|byte| *byte == b'$').collect();
    OsString::from_vec(parts.join(b"$$".as_slice()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(text: &str) -> impl Iterator<Item = String> {
        text.lines().map(str::to_owned)
    }

    #[test]
    fn a_tools_own_words_come_before_makes() {
        let log = "CC main.c\nmake: *** [x] Error 1\nmain.c:3:1: error: unknown type name 'x'\n";
        assert_eq!(
            first_error(lines(log)).as_deref(),
            Some("main.c:3:1: error: unknown type name 'x'")
        );
        assert_eq!(
            first_error(lines("a\nmake: *** [x] Error 1\n")).as_deref(),
            Some("make: *** [x] Error 1")
        );
        assert_eq!(first_error(lines("all is well")), None);
    }

    #[test]
    fn an_error_of_cmake_is_told_with_its_text() {
        let simple = "-- x\nCMake Error at a/CMakeLists.txt:3 (message):\n  no such\n  thing\nCall Stack \
            (most recent call first):\n  b:1 (include)\n\n\n-- Configuring incomplete\n";
        assert_eq!(
            first_error(lines(simple)).as_deref(),
            Some("CMake Error at a/CMakeLists.txt:3 (message): no such thing")
        );
        let nested = "CMake Error at outer.cmake:225 (message):\n  CMake Warning (dev) at x.cmake:8:\n\n    \
            Syntax\n\n  This warning is for\n  developers.\n\n  CMake Error at inner.txt:3 (message):\n\n    \
            Missing\n    this.\n\n  Call Stack:\n";
        assert_eq!(
            first_error(lines(nested)).as_deref(),
            Some("CMake Error at inner.txt:3 (message): Missing this.")
        );
        let cut = first_error(lines("CMake Error at a:1 (x):\n"));
        assert_eq!(cut.as_deref(), Some("CMake Error at a:1 (x):"));
    }

    #[test]
    fn quoting_survives_make_and_shell() {
        let odd = "it's $HOME and \"two  spaces\"";
        let rule =
            format!("show: ; @printf %s {}", makefile_word(OsStr::new(odd)).to_str().unwrap());
        let directory = tempfile::tempdir().unwrap();
        fs::write(directory.path().join("Makefile"), "").unwrap();
        let make = Make {
            directory: directory.path().to_owned(),
            variables: Vec::new(),
            environment: Vec::new(),
        };
        assert_eq!(make.ask(&rule, "show").unwrap(), odd);
    }
}
