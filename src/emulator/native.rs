//! The unix port: MicroPython as a program of this machine.

use std::ffi::OsString;
use std::fs;
use std::io::{self, Read, Write};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{ChildStderr, ChildStdout, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::thread;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::Errno;
use tempfile::NamedTempFile;

use super::streams::{Part, Streams};
use super::{Job, deadline, too_long};
use crate::error::{Error, Result};
use crate::interrupt;
use crate::process::Group;
use crate::repl::{Console, Outcome, Program};

/// How long a wait goes on before the child, the clock and the interrupt flag are looked at.
const SLICE: Duration = Duration::from_millis(50);

/// For how many of these waits nothing must have been written before held output is let go.
const QUIET: u32 = 10;

/// The search path of the unix port (`MICROPY_PY_SYS_PATH_DEFAULT`), which setting MICROPYPATH replaces.
const DEFAULT_PATH: &str = ".frozen:~/.micropython/lib:/usr/lib/micropython";

/// The longest code that is given on the command line; Linux takes 128 KiB in one argument.
const LONGEST_ARGUMENT: usize = 100 << 10;

/// Runs programs to their end. They get no standard input.
pub(super) fn run(executable: &Path, job: &Job, console: &mut dyn Console) -> Result<Outcome> {
    let mut command = command(executable, job)?;
    let driver = add_programs(&mut command, job)?;
    command.args(&job.arguments);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut group = Group::spawn(&mut command)?;
    let (sender, receiver) = sync_channel(64);
    let child = group.child();
    let Some((stdout, stderr)) = child.stdout.take().zip(child.stderr.take()) else {
        return Err(Error::internal("the program has no pipes"));
    };
    thread::Builder::new()
        .spawn(move || pass_on(stdout, stderr, &sender))
        .map_err(|error| Error::internal(format!("cannot start a thread: {error}")))?;
    let mut streams = Streams::new(console, driver.as_ref().map(|file| file.path()));
    let status = follow(&mut group, &receiver, job, &mut streams)?;
    streams.finish(status)
}

/// Replaces this process by the program, on the terminal that it has. Returns when that fails.
pub(super) fn replace(executable: &Path, job: &Job) -> Error {
    match command(executable, job) {
        Ok(mut command) => Error::io("start", executable, &command.exec()),
        Err(error) => error,
    }
}

/// The command without its programs. A mounted directory is the current one, as on a device, and
/// comes first in the search path.
fn command(executable: &Path, job: &Job) -> Result<Command> {
    let mut command = Command::new(executable);
    // It would start a REPL after the program.
    command.env_remove("MICROPYINSPECT");
    let Some(mount) = &job.mount else { return Ok(command) };
    let mount = mount
        .canonicalize()
        .and_then(|path| fs::read_dir(&path).map(|_| path))
        .map_err(|error| Error::io("mount", mount, &error))?;
    if mount.as_os_str().as_bytes().contains(&b':') {
        return Err(Error::input(format!(
            "cannot mount {}: MICROPYPATH separates directories by colons",
            mount.display()
        ))
        .hint("give a directory without a colon in its path"));
    }
    let others = std::env::var_os("MICROPYPATH").unwrap_or_else(|| DEFAULT_PATH.into());
    let mut path = mount.clone().into_os_string();
    path.push(":");
    path.push(others);
    command.env("MICROPYPATH", path).current_dir(mount);
    Ok(command)
}

/// Adds the programs: one as the interpreter takes it, several by a driver that lives as long as the
/// returned file.
fn add_programs(command: &mut Command, job: &Job) -> Result<Option<NamedTempFile>> {
    if let [program] = job.programs.as_slice() {
        if let Some(path) = &program.path {
            command.arg(script_argument(path, job.mount.is_some())?);
            return Ok(None);
        }
        if program.source.len() <= LONGEST_ARGUMENT && !program.source.contains(&0) {
            command.arg("-c").arg(OsString::from_vec(program.source.clone()));
            return Ok(None);
        }
    }
    let fail = |error: io::Error| Error::io("write", &std::env::temp_dir(), &error);
    let mut file = tempfile::Builder::new().suffix(".py").tempfile().map_err(fail)?;
    file.write_all(&driver(&job.programs)).map_err(fail)?;
    command.arg(file.path());
    Ok(Some(file))
}

/// A script's path as the interpreter takes it: not for an option, and right in a mounted directory.
fn script_argument(path: &Path, mounted: bool) -> Result<PathBuf> {
    if mounted {
        return std::path::absolute(path).map_err(|error| Error::io("resolve", path, &error));
    }
    let is_option = path.as_os_str().as_bytes().starts_with(b"-");
    Ok(if is_option { Path::new(".").join(path) } else { path.to_owned() })
}

/// Python that runs programs one after the other under their own names.
fn driver(programs: &[Program]) -> Vec<u8> {
    let first = programs.first().map_or("", |program| program.argument());
    let mut code = b"import sys\nsys.path[0] = ''\nsys.argv[0] = ".to_vec();
    literal(first.as_bytes(), &mut code);
    // The minimal variant has no `compile`: there, tracebacks lack the name.
    code.extend(b"\ntry:\n    compile\nexcept NameError:\n    compile = lambda code, *_: code\n");
    for program in programs {
        code.extend(b"exec(compile(");
        literal(&program.source, &mut code);
        code.extend(b", ");
        literal(program.name.as_bytes(), &mut code);
        code.extend(b", 'exec'))\n");
    }
    code
}

/// Appends a Python string literal.
fn literal(text: &[u8], code: &mut Vec<u8>) {
    code.push(b'"');
    for byte in text {
        match byte {
            b'"' | b'\\' => code.extend([b'\\', *byte]),
            0..=31 => code.extend(format!("\\x{byte:02x}").bytes()),
            _ => code.push(*byte),
        }
    }
    code.push(b'"');
}

/// Reads both streams until they end. Where both have something, standard output comes first, so that
/// a traceback follows what was printed before it.
fn pass_on(mut stdout: ChildStdout, mut stderr: ChildStderr, sender: &SyncSender<Part>) {
    let mut buffer = vec![0; 16 << 10];
    let (mut output, mut error) = (true, true);
    while output || error {
        let mut open = Vec::with_capacity(2);
        if output {
            open.push(PollFd::new(&stdout, PollFlags::IN));
        }
        if error {
            open.push(PollFd::new(&stderr, PollFlags::IN));
        }
        match poll(&mut open, None) {
            Ok(_) => {}
            Err(Errno::INTR) => continue,
            Err(_) => return,
        }
        let mut ready = open.iter().map(|stream| !stream.revents().is_empty());
        let output_ready = output && ready.next().unwrap_or_default();
        let error_ready = error && ready.next().unwrap_or_default();
        if output_ready {
            output = read_part(&mut stdout, &mut buffer, sender, Part::Output);
        }
        if error_ready {
            error = read_part(&mut stderr, &mut buffer, sender, Part::Error);
        }
    }
}

/// Reads once; false when no more will come or nobody wants it.
fn read_part(
    stream: &mut impl Read,
    buffer: &mut [u8],
    sender: &SyncSender<Part>,
    part: fn(Vec<u8>) -> Part,
) -> bool {
    match stream.read(buffer) {
        Ok(count @ 1..) => sender.send(part(buffer.iter().take(count).copied().collect())).is_ok(),
        Err(error) => error.kind() == io::ErrorKind::Interrupted,
        Ok(_) => false,
    }
}

/// Passes on what the program writes until it has ended and all is passed on.
fn follow(
    group: &mut Group,
    receiver: &Receiver<Part>,
    job: &Job,
    streams: &mut Streams<'_>,
) -> Result<ExitStatus> {
    let deadline = deadline(job.limit);
    let mut status = None;
    let mut quiet = 0;
    loop {
        interrupt::check()?;
        if deadline.is_some_and(|deadline| Instant::now() >= deadline) {
            streams.release()?;
            return Err(too_long(job, &streams.last_lines()));
        }
        if status.is_none() {
            status = group.try_wait()?;
            if status.is_some() {
                // What it left running holds the pipes open.
                group.end();
            }
        }
        match receiver.recv_timeout(SLICE) {
            Ok(part) => {
                streams.take(part)?;
                quiet = 0;
            }
            Err(RecvTimeoutError::Timeout) => {
                quiet += 1;
                if quiet == QUIET {
                    streams.release()?;
                }
            }
            Err(RecvTimeoutError::Disconnected) => match status {
                Some(status) => return Ok(status),
                // It closed its streams and goes on.
                None => thread::sleep(SLICE),
            },
        }
    }
}
