//! Which boards `flash` is about.

use std::io::{self, BufRead, IsTerminal};

use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::Arguments;
use crate::cli::output::Output;
use crate::error::{Error, Result};
use crate::flash::ports::{self, Choice, Port};
use crate::interrupt;

/// How long is waited for an answer at a time.
const MOMENT: Timespec = Timespec { tv_sec: 0, tv_nsec: 100_000_000 };

/// The ports that are named, or else the one that is found or chosen.
pub(super) fn ports(arguments: &Arguments, output: &Output) -> Result<Vec<Port>> {
    let mut ports: Vec<Port> = Vec::new();
    for path in &arguments.port {
        if ports.iter().any(|port| port.path == *path) {
            return Err(Error::usage(format!("--port {path} is given twice")));
        }
        let mut waiting = || output.say(format!("waiting for {path}"));
        ports.push(ports::named(path, &mut waiting)?);
    }
    if !ports.is_empty() {
        return Ok(ports);
    }
    let port = match ports::choice(&mut || output.say("waiting for a board"))? {
        Choice::One(port) => {
            output.say(format!("using {}", port.describe()));
            port
        }
        Choice::Several(ports) if can_ask(output) => ask(ports, output)?,
        choice => return Err(ports::undecided(&choice)),
    };
    Ok(vec![port])
}

/// Whether there is a person who sees the question and can answer.
fn can_ask(output: &Output) -> bool {
    !output.quiet() && io::stdin().is_terminal() && io::stderr().is_terminal()
}

/// Lets the person at the terminal choose.
fn ask(mut ports: Vec<Port>, output: &Output) -> Result<Port> {
    for (number, port) in ports.iter().enumerate() {
        output.say(format!("{:>3}  {}", number + 1, port.describe()));
    }
    loop {
        output.say("which one? Its number, or nothing to leave it");
        let line = answer()?;
        let line = line.trim();
        if line.is_empty() {
            return Err(ports::undecided(&Choice::Several(ports)));
        }
        match line.parse::<usize>() {
            Ok(number) if (1..=ports.len()).contains(&number) => {
                return Ok(ports.swap_remove(number - 1));
            }
            _ => output.say(format!("{line} is no number from 1 to {}", ports.len())),
        }
    }
}

/// A line of standard input; empty at its end.
fn answer() -> Result<String> {
    let stdin = io::stdin();
    // Reading goes on after a signal, so it begins when there is something to read.
    loop {
        let mut ready = [PollFd::new(&stdin, PollFlags::IN)];
        let ready = poll(&mut ready, Some(&MOMENT)).unwrap_or(0) > 0;
        interrupt::check()?;
        if ready {
            break;
        }
    }
    let mut line = String::new();
    // What is no text is no number either, and asked for again.
    match stdin.lock().read_line(&mut line) {
        Err(error) if error.kind() == io::ErrorKind::InvalidData => Ok("that".to_owned()),
        _ => Ok(line),
    }
}
