//! Child processes: every one in a process group of its own, with a time limit, ended with all its
//! descendants when the limit passes or the user interrupts.

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process_group};

use crate::error::{Error, Result};
use crate::interrupt;

/// How often a waiting parent looks at its child, the clock and the interrupt flag: at first, so that
/// short commands don't wait for it, and at most.
const FIRST_POLL: Duration = Duration::from_micros(500);
const POLL: Duration = Duration::from_millis(20);

/// How long a process group gets between SIGTERM and SIGKILL.
const GRACE: Duration = Duration::from_secs(2);

/// A child that leads a process group. Dropping it ends the whole group.
#[derive(Debug)]
pub struct Group {
    child: Child,
    program: String,
    ended: bool,
}

impl Group {
    /// Starts a command as the leader of a new process group.
    ///
    /// # Errors
    /// When it cannot be started; a missing program is named together with how to look for it.
    pub fn spawn(command: &mut Command) -> Result<Group> {
        let program = command.get_program().to_string_lossy().into_owned();
        command.process_group(0);
        match command.spawn() {
            Ok(child) => Ok(Group { child, program, ended: false }),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                Err(Error::input(format!("the program {program} is not installed"))
                    .hint("`micropython-builder doctor` says what installs it"))
            }
            Err(error) => Err(Error::io("start", Path::new(&program), &error)),
        }
    }

    /// The child itself, for its pipes.
    pub fn child(&mut self) -> &mut Child {
        &mut self.child
    }

    /// The status, if the child has ended.
    ///
    /// # Errors
    /// When the operating system cannot say.
    pub fn try_wait(&mut self) -> Result<Option<ExitStatus>> {
        self.child
            .try_wait()
            .map_err(|error| Error::internal(format!("cannot wait for {}: {error}", self.program)))
    }

    /// Waits until the child ends, the deadline passes or the user interrupts. In the latter two
    /// cases the group is ended before this returns.
    ///
    /// # Errors
    /// [`Error::interrupted`] when the user interrupts.
    pub fn wait(&mut self, deadline: Option<Instant>) -> Result<Outcome> {
        let mut pause = FIRST_POLL;
        loop {
            if let Some(status) = self.try_wait()? {
                self.end();
                return Ok(Outcome::Ended(status));
            }
            if interrupt::requested() {
                self.end();
                return Err(Error::interrupted());
            }
            if deadline.is_some_and(|deadline| Instant::now() >= deadline) {
                self.end();
                return Ok(Outcome::TimedOut);
            }
            thread::sleep(pause);
            pause = (pause + pause / 4).min(POLL);
        }
    }

    /// Ends the group: SIGTERM, a moment of grace, SIGKILL. Does nothing the second time.
    pub fn end(&mut self) {
        if std::mem::replace(&mut self.ended, true) {
            return;
        }
        let group = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw);
        let Some(group) = group else { return };
        let give_up = Instant::now() + GRACE;
        // A group without members cannot be signalled: then there is nothing left to end.
        let mut alive = kill_process_group(group, Signal::TERM).is_ok();
        while alive && Instant::now() < give_up {
            let _ = self.child.try_wait();
            alive = rustix::process::test_kill_process_group(group).is_ok();
            if alive {
                thread::sleep(Duration::from_millis(5));
            }
        }
        if alive {
            let _ = kill_process_group(group, Signal::KILL);
        }
        let _ = self.child.wait();
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        self.end();
    }
}

/// How waiting for a child ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// The child ended by itself.
    Ended(ExitStatus),
    /// The deadline passed, and the child was ended.
    TimedOut,
}

/// Runs a command with its output (both streams) appended to a log, until it ends or the deadline passes.
///
/// # Errors
/// When the command cannot be started, the log cannot be written, or the user interrupts.
pub fn run_logged(command: &mut Command, log: &Path, deadline: Option<Instant>) -> Result<Outcome> {
    let fail = |error: io::Error| Error::io("write", log, &error);
    let file = File::options().create(true).append(true).open(log).map_err(fail)?;
    let copy = file.try_clone().map_err(fail)?;
    command.stdin(Stdio::null()).stdout(file).stderr(copy);
    Group::spawn(command)?.wait(deadline)
}

/// What a command wrote and how it ended.
#[derive(Debug, Clone)]
pub struct Output {
    /// How it ended.
    pub status: ExitStatus,
    /// Its standard output; bytes that are not UTF-8 are replaced.
    pub stdout: String,
    /// Its standard error; bytes that are not UTF-8 are replaced.
    pub stderr: String,
}

/// Runs a short command and returns what it wrote.
///
/// # Errors
/// When it cannot be started, takes longer than `limit`, or the user interrupts.
pub fn output(command: &mut Command, limit: Duration) -> Result<Output> {
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut group = Group::spawn(command)?;
    let stdout = read_all(group.child().stdout.take());
    let stderr = read_all(group.child().stderr.take());
    let outcome = group.wait(Some(Instant::now() + limit))?;
    let program = group.program.clone();
    drop(group);
    let joined = |reader: thread::JoinHandle<String>| reader.join().unwrap_or_default();
    let (stdout, stderr) = (joined(stdout), joined(stderr));
    match outcome {
        Outcome::Ended(status) => Ok(Output { status, stdout, stderr }),
        Outcome::TimedOut => {
            Err(Error::build(format!("{program} did not end within {} seconds", limit.as_secs())))
        }
    }
}

fn read_all(pipe: Option<impl Read + Send + 'static>) -> thread::JoinHandle<String> {
    thread::spawn(move || {
        let mut bytes = Vec::new();
        if let Some(mut pipe) = pipe {
            // What came before an error is still worth showing.
            let _ = pipe.read_to_end(&mut bytes);
        }
        String::from_utf8_lossy(&bytes).into_owned()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str) -> Command {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        command
    }

    #[test]
    fn output_returns_both_streams_and_the_status() {
        let output =
            output(&mut shell("echo out; echo err >&2; exit 3"), Duration::from_secs(10)).unwrap();
        assert_eq!((output.stdout.as_str(), output.stderr.as_str()), ("out\n", "err\n"));
        assert_eq!(output.status.code(), Some(3));
    }

    #[test]
    fn a_missing_program_is_named() {
        let error =
            output(&mut Command::new("no-such-program"), Duration::from_secs(1)).unwrap_err();
        assert_eq!(error.message(), "the program no-such-program is not installed");
    }

    #[test]
    fn the_time_limit_ends_the_whole_group() {
        let directory = tempfile::tempdir().unwrap();
        let log = directory.path().join("log");
        let started = Instant::now();
        let outcome = run_logged(
            &mut shell("sleep 600 & echo $!; wait"),
            &log,
            Some(started + Duration::from_millis(300)),
        )
        .unwrap();
        assert_eq!(outcome, Outcome::TimedOut);
        let grandchild: i32 = std::fs::read_to_string(&log).unwrap().trim().parse().unwrap();
        let gone = || {
            Pid::from_raw(grandchild)
                .is_none_or(|pid| rustix::process::test_kill_process(pid).is_err())
        };
        // It is reparented and reaped by init, which may take a moment.
        while !gone() && started.elapsed() < Duration::from_secs(10) {
            thread::sleep(POLL);
        }
        assert!(gone(), "the grandchild {grandchild} still runs");
    }
}
