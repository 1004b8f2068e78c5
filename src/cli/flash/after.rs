//! What `flash` does with a board that it has flashed.

use std::io::{self, IsTerminal};
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Serialize;

use super::AfterName;
use crate::cli::output::Output;
use crate::cli::stream::Standard;
use crate::error::{Error, Result};
use crate::flash::deploy::Deployed;
use crate::flash::monitor;
use crate::flash::ports::Port;
use crate::flash::running::Board;
use crate::repl::{Captured, Exit, Outcome, Program, RawTerminal};

#[derive(Debug, clap::Args)]
pub(super) struct AfterArguments {
    /// Then copy the files of this directory onto the board's filesystem, through its REPL
    #[arg(long, value_name = "DIR", conflicts_with = "dry_run")]
    deploy: Option<PathBuf>,
    /// Then run this Python file on the board; what it prints is printed, and when it raises, the exit
    /// code is 6
    #[arg(long, value_name = "FILE", conflicts_with = "dry_run")]
    smoke: Option<PathBuf>,
    /// How long the smoke test may take, starting the board included
    #[arg(long, value_name = "SECONDS", default_value_t = 60, value_parser = clap::value_parser!(u64).range(1..))]
    smoke_timeout: u64,
    /// Then show what the board says and pass keys on to it; Ctrl-] ends that. Backtraces of crashes are
    /// shown with function names and lines when firmware.json names an ELF file
    #[arg(long, short, conflicts_with = "dry_run")]
    monitor: bool,
}

/// What is to be done, read before anything is written.
pub(super) struct Then {
    deploy: Option<PathBuf>,
    smoke: Option<Program>,
    limit: Duration,
    monitor: bool,
}

/// What was done.
#[derive(Debug, Default, Serialize)]
pub(super) struct Report {
    #[serde(skip_serializing_if = "Option::is_none")]
    deployed: Option<Deployed>,
    #[serde(skip_serializing_if = "Option::is_none")]
    smoke: Option<Smoke>,
}

#[derive(Debug, Serialize)]
struct Smoke {
    stdout: String,
}

impl AfterArguments {
    /// Whether anything is to be done.
    pub(super) fn any(&self) -> bool {
        self.deploy.is_some() || self.smoke.is_some() || self.monitor
    }

    pub(super) fn prepare(&self, flash: &super::Arguments, output: &Output) -> Result<Then> {
        if self.any() && !matches!(flash.after, AfterName::HardReset | AfterName::WatchdogReset) {
            return Err(Error::usage(
                "--deploy, --smoke and --monitor need a board that is started afterwards",
            )
            .hint("leave `--after` out"));
        }
        if self.monitor && output.json() {
            return Err(Error::usage("--monitor has no meaning with --json"));
        }
        if let Some(directory) = self.deploy.as_ref().filter(|directory| !directory.is_dir()) {
            return Err(Error::input(format!("{} is no directory", directory.display()))
                .hint("give --deploy the directory whose files go onto the board"));
        }
        Ok(Then {
            deploy: self.deploy.clone(),
            smoke: self.smoke.as_deref().map(Program::file).transpose()?,
            limit: Duration::from_secs(self.smoke_timeout),
            monitor: self.monitor,
        })
    }
}

impl Then {
    /// A monitor shows one board.
    pub(super) fn check_several(&self) -> Result<()> {
        if self.monitor {
            return Err(Error::usage("--monitor shows one board, and several --port are given"));
        }
        Ok(())
    }

    pub(super) fn run(&self, port: &Port, elf: Option<&Path>, output: &Output) -> Result<Report> {
        let mut report = Report::default();
        if self.deploy.is_none() && self.smoke.is_none() && !self.monitor {
            return Ok(report);
        }
        let mut board = Board::after_reset(port)?;
        if let Some(directory) = &self.deploy {
            output.say(format!("copying {} to {}", directory.display(), port.path));
            let deployed = board.deploy(directory)?;
            output.say(deployed.describe());
            report.deployed = Some(deployed);
        }
        if let Some(program) = &self.smoke {
            report.smoke = Some(self.smoke(&mut board, program, output)?);
        }
        if self.monitor {
            output.say(format!("{}: Ctrl-] ends the session", port.path));
            let terminal = io::stdin().is_terminal().then(RawTerminal::enter).transpose()?;
            let result = monitor::run(&mut board, elf, &mut Standard);
            drop(terminal);
            output.say("");
            result?;
        }
        Ok(report)
    }

    fn smoke(&self, board: &mut Board, program: &Program, output: &Output) -> Result<Smoke> {
        output.say(format!("running {}", program.name));
        let mut captured = Captured::default();
        let outcome = if output.json() {
            board.smoke(program, self.limit, &mut captured)?
        } else {
            board.smoke(program, self.limit, &mut Standard)?
        };
        let failed = |how: String| Err(Error::device(format!("{} failed: {how}", program.name)));
        match outcome {
            Outcome::Done | Outcome::Exited(Exit::Code(0)) => {
                Ok(Smoke { stdout: String::from_utf8_lossy(&captured.output).into_owned() })
            }
            Outcome::Raised(traceback) => {
                failed(traceback.trim_end().lines().next_back().unwrap_or("it raised").to_owned())
            }
            Outcome::Exited(Exit::Code(code)) => {
                failed(format!("it ended with exit status {code}"))
            }
            Outcome::Exited(Exit::Message(text)) => {
                failed(format!("it ended with sys.exit: {text}"))
            }
            Outcome::Exited(Exit::Unknown) => failed(
                "it ended with sys.exit, and this firmware does not tell with which value"
                    .to_owned(),
            ),
        }
    }
}
