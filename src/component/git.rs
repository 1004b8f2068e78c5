//! Trees of git repositories: as an archive from the forge that hosts them, or with git itself.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use super::fetch::Fetcher;
use super::lock::is_commit;
use crate::error::{Error, Kind, Result};
use crate::process::{self, Outcome};
use crate::source::{Layout, unpack};

/// How long git may take to fetch one commit.
const LIMIT: Duration = Duration::from_secs(15 * 60);

/// The attributes that would make `git archive` differ from a checkout.
const ATTRIBUTES: &str = "* -export-ignore -export-subst\n";

/// Where a forge serves the tree of a commit as a `.tar.gz`, for a repository at an HTTP URL.
pub(super) fn archive_url(repository: &str, commit: &str) -> Option<String> {
    let base = repository.trim_end_matches('/');
    let base = base.strip_suffix(".git").unwrap_or(base);
    let (_, rest) =
        base.split_once("://").filter(|(scheme, _)| matches!(*scheme, "http" | "https"))?;
    let (host, path) = rest.split_once('/')?;
    let name = path.rsplit('/').next()?;
    Some(if host.split('.').any(|label| label == "gitlab") {
        format!("{base}/-/archive/{commit}/{name}-{commit}.tar.gz")
    } else if host == "bitbucket.org" {
        format!("{base}/get/{commit}.tar.gz")
    } else {
        format!("{base}/archive/{commit}.tar.gz")
    })
}

impl Fetcher<'_> {
    /// Puts the archive of a commit from the forge into the empty directory `into`.
    pub(super) fn forge_tree(&self, url: &str, commit: &str, into: &Path) -> Result<()> {
        let archive = archive_url(url, commit)
            .ok_or_else(|| Error::source(format!("{url} is no repository that serves archives")))?;
        self.archive(&archive, Layout::BelowTop, &format!("{url} {}", short(commit)), into)
    }

    /// Puts the tree of a commit into the empty directory `into`, with git.
    pub(super) fn git_tree(&self, url: &str, commit: &str, into: &Path) -> Result<()> {
        if !is_commit(commit) || url.starts_with('-') {
            return Err(Error::input(format!("{url} {commit} is no repository and commit")));
        }
        let what = format!("{url} {}", short(commit));
        self.report.step(&format!("fetching {what} with git"));
        let scratch = tempfile::Builder::new()
            .prefix("git-")
            .tempdir_in(self.directory)
            .map_err(|error| Error::io("create a directory in", self.directory, &error))?;
        let repository = scratch.path().join("repository");
        let log = scratch.path().join("log");
        let run = |arguments: &[&str]| -> Result<()> {
            let mut command = Command::new("git");
            command
                .arg("--git-dir")
                .arg(&repository)
                .args(arguments)
                .env("GIT_TERMINAL_PROMPT", "0")
                .env("GIT_ALLOW_PROTOCOL", "https:http:ssh:git:file")
                .env("LC_ALL", "C");
            match process::run_logged(&mut command, &log, Some(Instant::now() + LIMIT)) {
                Ok(Outcome::Ended(status)) if status.success() => Ok(()),
                Ok(Outcome::Ended(_)) => {
                    let text = fs::read_to_string(&log).unwrap_or_default();
                    Err(Error::source(format!("git cannot fetch it: {}", reason(&text))))
                }
                Ok(Outcome::TimedOut) => Err(Error::source("git did not fetch it in time")),
                // Without git, this is one more place that does not have it.
                Err(error) if error.kind() == Kind::Input => Err(Error::source(error.message())),
                Err(error) => Err(error),
            }
        };
        run(&["init", "--quiet", "--bare"])?;
        let info = repository.join("info");
        fs::create_dir_all(&info).map_err(|error| Error::io("create", &info, &error))?;
        let attributes = info.join("attributes");
        fs::write(&attributes, ATTRIBUTES)
            .map_err(|error| Error::io("write", &attributes, &error))?;
        run(&[
            "fetch",
            "--quiet",
            "--depth=1",
            "--no-tags",
            "--no-write-fetch-head",
            "--",
            url,
            commit,
        ])?;
        let archive = scratch.path().join("archive.tar");
        let output = format!("--output={}", archive.display());
        run(&["archive", "--format=tar", &output, commit])?;
        unpack(&archive, into, Layout::Flat, self.limits)
    }
}

/// The line with which git says what went wrong. What follows it is advice, over several lines.
pub(super) fn reason(talk: &str) -> &str {
    let mut lines = talk.lines().map(str::trim).filter(|line| !line.is_empty());
    let first = |mark: &str| lines.clone().find_map(|line| line.strip_prefix(mark));
    match first("fatal: ").or_else(|| first("error: ")) {
        Some(reason) => reason,
        None => lines.next_back().unwrap_or("it said nothing"),
    }
}

/// A commit as people write it.
pub(super) fn short(commit: &str) -> &str {
    commit.get(..10).unwrap_or(commit)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn git_is_quoted_with_what_went_wrong() {
        let talk = "warning: x\nfatal: no such repository\n\nPlease make sure\nit exists.\n";
        assert_eq!(reason(talk), "no such repository");
        assert_eq!(reason("error: no space\nsorry\n"), "no space");
        assert_eq!(reason("first\nKilled\n\n"), "Killed");
        assert_eq!(reason(""), "it said nothing");
    }

    #[test]
    fn forges_have_their_own_addresses() {
        for (url, expected) in [
            ("https://github.com/a/b.git", "https://github.com/a/b/archive/c.tar.gz"),
            ("https://gitlab.com/a/g/b", "https://gitlab.com/a/g/b/-/archive/c/b-c.tar.gz"),
            (
                "https://gitlab.example.org/a/b/",
                "https://gitlab.example.org/a/b/-/archive/c/b-c.tar.gz",
            ),
            ("https://bitbucket.org/a/b", "https://bitbucket.org/a/b/get/c.tar.gz"),
            ("http://127.0.0.1:8000/a/b", "http://127.0.0.1:8000/a/b/archive/c.tar.gz"),
        ] {
            assert_eq!(archive_url(url, "c").as_deref(), Some(expected));
        }
        assert_eq!(archive_url("git@github.com:a/b.git", "c"), None);
        assert_eq!(archive_url("file:///a/b", "c"), None);
    }
}
