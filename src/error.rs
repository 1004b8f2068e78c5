//! The one error type of the crate: what happened, whose fault it is, and what mends it.

use std::fmt;
use std::io;
use std::path::Path;

/// A result whose error is ready to be shown to a person.
pub type Result<T> = std::result::Result<T, Error>;

/// Whose fault an error is. Every kind has one exit code, which is part of the command line's contract.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A fault of this program (exit code 1).
    Internal,
    /// The command line was wrong (exit code 2).
    Usage,
    /// A file, directory or value that was given is wrong, or the machine lacks something (exit code 3).
    Input,
    /// The upstream build failed (exit code 4).
    Build,
    /// A source could not be had, or its hash differs from its pin (exit code 5).
    Source,
    /// A device or emulator failed, or the Python running on it raised (exit code 6).
    Device,
    /// The user interrupted the run (exit code 130, as shells report SIGINT).
    Interrupted,
}

impl Kind {
    /// The process exit code for this kind of error.
    pub fn exit_code(self) -> u8 {
        match self {
            Kind::Internal => 1,
            Kind::Usage => 2,
            Kind::Input => 3,
            Kind::Build => 4,
            Kind::Source => 5,
            Kind::Device => 6,
            Kind::Interrupted => 130,
        }
    }
}

/// An error with its message, its exit code, and the hints that mend it.
///
/// Messages are lower-case, say what was found and what was expected, and have no full stop.
/// A hint names the exact command or argument that helps.
#[derive(Debug)]
pub struct Error {
    kind: Kind,
    message: String,
    hints: Vec<String>,
}

impl Error {
    /// An error of the given kind.
    pub fn new(kind: Kind, message: impl Into<String>) -> Self {
        Error { kind, message: message.into(), hints: Vec::new() }
    }

    /// A fault of this program.
    pub fn internal(message: impl Into<String>) -> Self {
        Self::new(Kind::Internal, message)
    }

    /// A wrong command line.
    pub fn usage(message: impl Into<String>) -> Self {
        Self::new(Kind::Usage, message)
    }

    /// A wrong file, directory or value, or something this machine lacks.
    pub fn input(message: impl Into<String>) -> Self {
        Self::new(Kind::Input, message)
    }

    /// A failed upstream build.
    pub fn build(message: impl Into<String>) -> Self {
        Self::new(Kind::Build, message)
    }

    /// A source that could not be had or differs from its pin.
    pub fn source(message: impl Into<String>) -> Self {
        Self::new(Kind::Source, message)
    }

    /// A device or emulator that failed, or Python that raised on it.
    pub fn device(message: impl Into<String>) -> Self {
        Self::new(Kind::Device, message)
    }

    /// The run was interrupted.
    pub fn interrupted() -> Self {
        Self::new(Kind::Interrupted, "interrupted")
    }

    /// An I/O error on `path` while doing `action` ("read", "create", …).
    ///
    /// What the user or the machine can mend (missing, not permitted, disk full, …) is
    /// [`Kind::Input`]; anything else is [`Kind::Internal`].
    pub fn io(action: &str, path: &Path, error: &io::Error) -> Self {
        Self::of_io(format!("cannot {action} {}", path.display()), path, error)
    }

    /// An I/O error while copying a file, of the same kinds as in [`Error::io`].
    pub fn copy(from: &Path, to: &Path, error: &io::Error) -> Self {
        Self::of_io(format!("cannot copy {} to {}", from.display(), to.display()), to, error)
    }

    /// An I/O error; `path` is where something could not be written, if that is what failed.
    fn of_io(failed: String, path: &Path, error: &io::Error) -> Self {
        use io::ErrorKind as K;
        let message = format!("{failed}: {}", describe(error));
        match error.kind() {
            K::StorageFull | K::QuotaExceeded => Self::input(message).hint(room_for(path)),
            K::NotFound | K::PermissionDenied | K::ReadOnlyFilesystem | K::NotADirectory
                if path == std::env::temp_dir() =>
            {
                Self::input(message).hint("set TMPDIR to a directory that can be written to")
            }
            K::NotFound
            | K::PermissionDenied
            | K::ReadOnlyFilesystem
            | K::NotADirectory
            | K::IsADirectory
            | K::AlreadyExists
            | K::InvalidFilename
            | K::FileTooLarge
            | K::ResourceBusy
            | K::InvalidData
            | K::UnexpectedEof => Self::input(message),
            _ => Self::internal(message),
        }
    }

    /// Turns an error of walking the directory `root` into ours.
    pub fn walk(root: &Path, error: walkdir::Error) -> Self {
        let path = error.path().unwrap_or(root).to_owned();
        match error.into_io_error() {
            Some(error) => Self::io("read", &path, &error),
            None => Self::input(format!("{} holds symlinks that form a loop", path.display())),
        }
    }

    /// Adds a hint: the exact command or argument that mends it.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hints.push(hint.into());
        self
    }

    /// Puts what was being done before the message: `context: message`.
    #[must_use]
    pub fn context(mut self, context: impl fmt::Display) -> Self {
        self.message = format!("{context}: {}", self.message);
        self
    }

    /// Whose fault it is.
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// The message, without hints.
    pub fn message(&self) -> &str {
        &self.message
    }

    /// The hints, most helpful first.
    pub fn hints(&self) -> &[String] {
        &self.hints
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Error {}

/// The hint for a disk that is full, by a path on it.
pub(crate) fn room_for(path: &Path) -> &'static str {
    if path.starts_with(std::env::temp_dir()) {
        "free some space, or choose another disk: for temporary files, TMPDIR names a directory on it"
    } else {
        "free some space, or choose a directory on another disk"
    }
}

/// An I/O error in the operating system's words, without Rust's "(os error N)".
pub fn describe(error: &io::Error) -> String {
    let text = error.to_string();
    lower_first(text.split(" (os error").next().unwrap_or(&text))
}

/// A text with its first letter in lower case, as messages have it.
pub(crate) fn lower_first(text: &str) -> String {
    let mut chars = text.chars();
    match chars.next() {
        Some(first) => first.to_lowercase().chain(chars).collect(),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exit_codes_are_the_documented_ones() {
        let codes: Vec<u8> = [
            Kind::Internal,
            Kind::Usage,
            Kind::Input,
            Kind::Build,
            Kind::Source,
            Kind::Device,
            Kind::Interrupted,
        ]
        .into_iter()
        .map(Kind::exit_code)
        .collect();
        assert_eq!(codes, [1, 2, 3, 4, 5, 6, 130]);
    }

    #[test]
    fn io_errors_speak_the_systems_words() {
        let error = io::Error::from_raw_os_error(28);
        let error = Error::io("write", Path::new("/x/y"), &error);
        assert_eq!(error.kind(), Kind::Input);
        assert_eq!(error.message(), "cannot write /x/y: no space left on device");
        assert_eq!(error.hints().len(), 1);
    }

    #[test]
    fn temporary_files_have_a_place_that_can_be_chosen() {
        let place = std::env::temp_dir();
        let (below, elsewhere) = (place.join("natmod-1/a.c"), Path::new("/x/out/a.c"));
        let full = io::Error::from_raw_os_error(28);
        for (to, names_it) in [(below.as_path(), true), (elsewhere, false)] {
            let error = Error::copy(Path::new("/x/a.c"), to, &full);
            assert_eq!(error.hints()[0].contains("TMPDIR"), names_it, "{:?}", error.hints());
        }
        let denied = io::Error::from_raw_os_error(13);
        let hints = |path: &Path| Error::io("create a file in", path, &denied).hints().len();
        assert_eq!((hints(&place), hints(elsewhere)), (1, 0));
    }
}
